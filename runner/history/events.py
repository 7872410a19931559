"""Confirmed changes, each with a permanent address and with what was said of it: one text file an event.

Format history
--------------
lockstep.event/1  The first. `<id>.json` is an `Event`: JSON of two spaces, keys in the order of the fields, so that a
                  diff shows what was said. Times are in seconds since the epoch. A file may be edited by hand.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError, listed
from runner.model import Commit
from runner.storage import store

SCHEMA = "lockstep.event/1"
LOCKSTEP = "lockstep"
"""Who says what nobody said: that an event went away by itself."""
DRIFT = "drift"
"""Kind of an event that many small steps made together: its range is no place of one change."""
TAKEN_BACK = 0.5
"""Share of a slowdown that a later change must take back, at least, for the slowdown to have gone away."""

_INFINITE = ConfigDict(ser_json_inf_nan="constants")
"""An interval may reach anywhere: JSON of Python's kind, as all that reads events here understands it."""

Direction = Literal["slower", "faster"]


class State(Enum):
    """How far people are with an event."""

    NEW = "new"
    """A fresh measurement showed it; nobody has looked."""
    CONFIRMED = "confirmed"
    """Somebody has looked, and agrees."""
    ACKNOWLEDGED = "acknowledged"
    """Somebody works on it."""
    FIXED = "fixed"
    """It is gone: somebody says so, or the measurements do."""
    WONT_FIX = "wont-fix"
    """It is meant, or worth it."""
    FALSE_ALARM = "false alarm"
    """There is no such change."""

    @property
    def open(self) -> bool:
        return self in (State.NEW, State.CONFIRMED, State.ACKNOWLEDGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A benchmark that changed, as the run that confirmed it says."""

    __pydantic_config__ = _INFINITE

    benchmark: str
    """`Benchmark.key`."""
    ratio: float
    low: float
    high: float
    """After ÷ before, with its interval: above 1 is slower (or more)."""
    p: float
    """Of the confirming run, which is fresh: not of the nomination."""
    run: str
    """Id of the run that confirmed it."""
    gone: str = ""
    """Id of the run that showed a later change that took it back; empty while it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that was said of an event."""

    when: float
    """Seconds since the epoch."""
    state: State
    """The event's from then on; it may be what it was before, where only the note is new."""
    who: str
    """A person's name, or `LOCKSTEP`."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A confirmed change: benchmarks that moved in one direction at one commit, or within one range of commits."""

    schema: str = SCHEMA
    id: str = ""
    """Names the file and the page, for ever; made from the fields below (`identity`) where it is not given."""
    watch: str
    configuration: str
    """Build options as in a spec, without the question mark; empty for none."""
    machine: str
    """Fingerprint."""
    suite: str
    direction: Direction
    kind: str
    """What nominated it: ``step``, ``newest`` or ``drift``."""
    good: Commit
    """The last one known to be without it."""
    bad: Commit
    """The first one known to have it."""
    between: int
    """Commits that may have brought it: those after `good` up to and with `bad`. 1: it was `bad`."""
    benchmarks: tuple[Affected, ...]
    run: str
    """Id of the run that confirmed it; where several did, of the one that its range rests on."""
    command: str
    """A command line that measures it again."""
    functions: tuple[str, ...] = ()
    """Functions whose instruction counts moved, most first, in words: ``dict_lookup +12 %``."""
    opened: float
    """Seconds since the epoch."""
    entries: tuple[Entry, ...] = ()
    """Oldest first; empty while nobody has said anything."""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", identity(self))

    @property
    def state(self) -> State:
        return self.entries[-1].state if self.entries else State.NEW

    @property
    def states(self) -> tuple[tuple[State, float], ...]:
        """Each state that it went through, with the time in seconds since the epoch; the first is `NEW`."""
        found = [(State.NEW, self.opened)]
        for entry in self.entries:
            if entry.state is not found[-1][0]:
                found.append((entry.state, entry.when))
        return tuple(found)

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What is watched, and where: only events that agree in it can be about one change."""
        # The folder's name, as in series: two suites of a watch differ in it, and the folder may move.
        return self.watch, self.configuration, self.machine, Path(self.suite).name


_event = TypeAdapter(Event)


def identity(event: Event) -> str:
    """An id for people and file names, the same whenever the same change is found: watch, commit, direction, and eight
    digits of a hash of all that tells events apart."""
    parts = (*event.place, event.good.hash, event.bad.hash, event.direction, *[DRIFT] * (event.kind == DRIFT))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    watch = re.sub(r"[^a-z0-9]+", "-", event.watch.lower()).strip("-")[:40] or "watch"
    return f"{watch}-{event.bad.hash[:10]}-{event.direction}-{digest}"


def read(folder: Path) -> list[Event]:
    """The events of a folder, oldest first; none where there is no such folder.

    Raises UsageError for a file that is no event, with the field: a person may have edited it.
    """
    return sorted(map(_read, sorted(folder.glob("*.json"))), key=lambda event: (event.opened, event.id))


def _read(path: Path) -> Event:
    mend = "Mend it, or take it back from version control."
    try:
        event = _event.validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{path} is no event: {f'{where}: ' if where else ''}{problem['msg']}. {mend}") from error
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}.") from error
    if event.schema != SCHEMA:
        raise UsageError(f"{path} is of version {event.schema!r}; this Lockstep reads {SCHEMA!r}.")
    if event.id != path.stem:
        raise UsageError(f"{path} holds event {event.id}: a copy, or renamed. {mend}")
    return event


def write(folder: Path, event: Event) -> Path:
    """Write an event whole, over what was said of it before; returns the file. Raises MachineError."""
    path = folder / f"{event.id}.json"
    _make(folder)
    store.write_whole(path, _event.dump_json(event, indent=2).decode() + "\n")
    return path


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder: who reads events, changes them and writes them is alone meanwhile. Waits for others."""
    _make(folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def find(events: Sequence[Event], name: str) -> Event:
    """The event that a person means: its id, or a part of it that no other has, such as the commit's first digits.

    Raises UsageError.
    """
    matches = [event for event in events if event.id == name] or [event for event in events if name in event.id]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name!r} is a part of {len(matches)} events: {listed([one.id for one in matches])}; "
                         "type more of it.")
    known = listed([event.id for event in reversed(events)], most=3) or "none yet"
    raise UsageError(f"there is no event {name!r}; the newest are: {known}. `lockstep events --all` lists them.")


def said(event: Event, entry: Entry) -> Event:
    """The event with something said of it. Raises UsageError where that says nothing new, or nobody says it."""
    if not entry.who.strip():
        raise UsageError(f"{event.id}: who says so? Give a name: --who NAME.")
    if entry.state is event.state and not entry.note:
        raise UsageError(f"{event.id} is {entry.state.value} already; say --note TEXT to add something to that.")
    return replace(event, entries=(*event.entries, entry))


def record(folder: Path, found: Sequence[Event], *, margin: float) -> list[Event]:
    """Merge what was just confirmed into the events of a folder, and write it; returns those new or changed.

    That is done in the order of the commits: a slowdown must be there before what takes it back. Once more with the
    same, as after a kill, it changes nothing. Raises as `read` and `write` do.
    """
    with held(folder):
        known = {event.id: event for event in read(folder)}
        changed: dict[str, Event] = {}
        for one in sorted(found, key=_order):
            for event in merge(tuple(known.values()), one, margin=margin):
                known[event.id] = changed[event.id] = event
                write(folder, event)
        return list(changed.values())


def named(events: Sequence[Event]) -> dict[str, str]:
    """The runs that open events rest on, by id, each with the id of such an event."""
    return {run: event.id for event in events if event.state.open for run in _runs(event)}


def of_runs(folder: Path, runs: Collection[str]) -> list[str]:
    """Ids of the events that rest on some of these runs, oldest first. Raises as `read` does."""
    return [event.id for event in read(folder) if any(run in runs for run in _runs(event))]


def _runs(event: Event) -> Iterator[str]:
    """The runs that confirmed it, and those that took it back."""
    yield event.run
    for one in event.benchmarks:
        yield from (run for run in (one.run, one.gone) if run)


def change(folder: Path, name: str, how: Callable[[Event], Event]) -> Event:
    """Change the event that a person means, alone; returns it as written. Raises as `find`, `read`, `write`, `how`."""
    with held(folder):
        event = how(find(read(folder), name))
        write(folder, event)
        return event


def merge(known: Sequence[Event], found: Event, *, margin: float) -> tuple[Event, ...]:
    """What a change that was just confirmed does to the events that are known: returns those that are new or changed.

    - A benchmark that gets faster by what an earlier event had made it slower, up to `margin`, is no event of its own:
      the earlier event loses it, and is fixed when it has lost all. An improvement is spent once: on the newest
      slowdown first, and what is left of it on the one before.
    - What is found again is one event, whatever its state: with the same id, or in overlapping ranges that share a
      benchmark. Its range becomes narrower only if the new finding speaks of all its benchmarks: the others may have
      changed elsewhere in the wider one.
    - The rest is a new event.

    The same finding once more changes nothing.
    """
    changed: list[Event] = []
    back = _taken_back(known, found, margin)
    for event in known:
        after = _without(event, back.get(event.id, set()), found)
        if after != event:
            changed.append(after)
    rest = [one for one in found.benchmarks if not any(one.benchmark in gone for gone in back.values())]
    if rest:
        left = replace(found, benchmarks=tuple(rest))
        same = next((event for event in known if _is_same(event, left)), None)
        after = left if same is None else _joined(same, left)
        if after != same:
            changed.append(after)
    return tuple(changed)


@dataclass(frozen=True, slots=True)
class _Amount:
    """By how much something became slower, or faster again."""

    log: float
    """Of the ratio, or of one over it; negative: the other way. NaN, from which nothing follows, where the ratio or its
    interval is not finite."""
    error: float
    """Half of the interval."""

    def without(self, spent: _Amount) -> _Amount:
        return _Amount(max(0.0, self.log - spent.log), math.hypot(self.error, spent.error))


def _amount(one: Affected, direction: Direction) -> _Amount:
    """By how much a benchmark went in a direction."""
    numbers = (one.low, one.ratio, one.high)
    if not all(number > 0 and math.isfinite(number) for number in numbers):
        return _Amount(math.nan, math.nan)
    low, ratio, high = map(math.log, numbers)
    return _Amount(ratio if direction == "slower" else -ratio, (high - low) / 2)


def _taken_back(known: Sequence[Event], found: Event, margin: float) -> dict[str, set[str]]:
    """Benchmarks of earlier events that a change took back, by the event's id.

    For an event there is the least of what those that were ended before it have left. But events whose ranges overlap,
    such as a drift and a step in it, are of one slowdown: what there is for one of them there is for the other.
    """
    earlier = sorted((event for event in known if _may_end(event, found)), key=_order, reverse=True)
    back: dict[str, set[str]] = {}
    for one in found.benchmarks:
        whole, ended = _amount(one, found.direction), list[tuple[Event, _Amount]]()
        for event in earlier:
            before = next((it for it in event.benchmarks if it.benchmark == one.benchmark), None)
            if before is None:
                continue
            amount = _amount(before, event.direction)
            there = min((left for other, left in ended if not _overlap(other, event)),
                        key=lambda left: left.log, default=whole)
            over = event.state in (State.FIXED, State.FALSE_ALARM)
            # What this very run took back before a kill is still taken back, whatever became of the event.
            if before.gone == one.run or (not before.gone and not over and _undone(amount, there, margin)):
                back.setdefault(event.id, set()).add(one.benchmark)
                ended.append((event, there.without(amount)))
    return back


def _may_end(event: Event, found: Event) -> bool:
    """Whether it is a slowdown, and the change a later improvement in the same place."""
    later = found.opened >= event.opened
    if event.bad.position is not None and found.bad.position is not None:
        later = found.bad.position > event.bad.position
    return later and event.place == found.place and (event.direction, found.direction) == ("slower", "faster")


def _undone(slower: _Amount, faster: _Amount, margin: float) -> bool:
    """Whether nothing larger than the margin is shown to be left of a slowdown, and most of it was taken back."""
    error = math.hypot(slower.error, faster.error)
    return faster.log >= TAKEN_BACK * slower.log and slower.log - faster.log - error <= math.log1p(margin)


def _without(event: Event, back: set[str], found: Event) -> Event:
    if not any(one.benchmark in back and not one.gone for one in event.benchmarks):
        return event
    run_of = {one.benchmark: one.run for one in found.benchmarks}
    left = replace(event, benchmarks=tuple(
        replace(one, gone=run_of[one.benchmark]) if one.benchmark in back and not one.gone else one
        for one in event.benchmarks))
    if not all(one.gone for one in left.benchmarks):
        return left
    where = found.bad.hash[:10] if found.between == 1 else f"{found.good.hash[:10]}..{found.bad.hash[:10]}"
    note = f"went away at {where}: run {found.run}"
    return said(left, Entry(when=found.opened, state=State.FIXED, who=LOCKSTEP, note=note))


def _is_same(event: Event, found: Event) -> bool:
    if event.id == found.id:
        return True
    if event.place != found.place or event.direction != found.direction or DRIFT in (event.kind, found.kind):
        return False
    shared = {one.benchmark for one in event.benchmarks} & {one.benchmark for one in found.benchmarks}
    return bool(shared) and _overlap(event, found)


def _overlap(one: Event, other: Event) -> bool:
    """Whether one commit can lie in both ranges; where positions are not known, whether both end in the same one."""
    if None in (one.good.position, other.good.position, one.bad.position, other.bad.position):
        return one.bad.hash == other.bad.hash
    return max(map(_position, (one.good, other.good))) < min(map(_position, (one.bad, other.bad)))


def _joined(event: Event, found: Event) -> Event:
    after = {one.benchmark: one for one in event.benchmarks}
    for one in found.benchmarks:
        known = after.get(one.benchmark)
        after[one.benchmark] = one if known is None else replace(one, gone=known.gone)
    functions = tuple(dict.fromkeys((*event.functions, *found.functions)))
    joined = replace(event, benchmarks=tuple(after.values()), functions=functions)
    covers = {one.benchmark for one in event.benchmarks} <= {one.benchmark for one in found.benchmarks}
    if not covers or found.between >= event.between:
        return joined
    good, bad, between = found.good, found.bad, found.between
    if None not in (event.good.position, event.bad.position, good.position, bad.position):
        # Both ranges hold the change of every benchmark, so that it lies in what they share: where the narrower one
        # sticks out of the wider one, that is narrower still.
        good, bad = max(event.good, good, key=_position), min(event.bad, bad, key=_position)
        between = _position(bad) - _position(good)
    return replace(joined, good=good, bad=bad, between=between, run=found.run, command=found.command)


def _order(event: Event) -> tuple[float, float]:
    """Sorts events by commit, then by time; those whose commit's position is not known come last."""
    return math.inf if event.bad.position is None else event.bad.position, event.opened


def _position(commit: Commit) -> int:
    """Of one whose position is known."""
    return commit.position or 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make {folder}, where events are kept: {error.strerror or error}.") from error
