"""What is kept of runs, and for how long: the order of steps of `lockstep gc` and `lockstep reindex`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from runner import config
from runner.errors import LockstepError
from runner.history import events as events_
from runner.history import runs as history
from runner.jobs.ab import View
from runner.judging import statistics
from runner.storage import store
from runner.storage.index import Place

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """A run whose blocks are old enough to go, or are gone now."""

    id: str
    created: float
    """Seconds since the epoch."""
    size: int
    """Bytes of its blocks and layouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What `collect` removed, or would remove."""

    runs: tuple[Old, ...]
    """Oldest first."""
    left: tuple[str, ...]
    """Old runs that keep their blocks, and folders that could not be read, each with the reason."""


def reindex(out: Path | None, view: View, place: Place | None = None) -> tuple[Place, history.Updated]:
    """Make the index of a folder of runs anew; return where it is and what it was made of.

    `place`: where it is to be; None: the file that belongs to the folder. Raises MachineError where it cannot be
    written.
    """
    place = config.index_file(out) if place is None else place
    return place, history.reindex(config.runs_folder(out), place, told=_told(view))


def collect(
    out: Path | None, *, before: float, apply: bool, view: View, events: Path, watches: Collection[str] | None = None
) -> Collected:
    """Remove the blocks of the runs of before a time (seconds since the epoch), keeping what they said.

    Not of runs that are not complete: they may be gone on with. Not of those that an open event of the folder `events`
    rests on: whoever looks into it may want their slices. `watches`: of the runs of these alone; None: of all.
    `apply` False: only say what would go. Killed in the middle, the next one goes on.

    Raises UsageError, having removed nothing, where an event cannot be read; MachineError where the index cannot be
    written, or a disk is full.
    """
    named = events_.named(events_.read(events))
    folder, file = config.runs_folder(out), config.index_file(out)
    known = history.read(folder, file, told=_told(view))
    found, left = list[Old](), list(known.problems)
    for entry in known.runs:
        place = folder / entry.id
        if entry.created >= before or not store.has_blocks(place):
            continue
        if watches is not None and (entry.role is None or entry.role.watch not in watches):
            continue
        if not entry.complete:
            left.append(f"{entry.id} was interrupted, and can be gone on with or removed as a whole: "
                        f"`lockstep runs {entry.id} --remove`")
            continue
        if entry.id in named:
            left.append(f"{entry.id} is what open event {named[entry.id]} rests on")
            continue
        old = Old(id=entry.id, created=entry.created, size=sum(store.raw(place).values()))
        if apply:
            view.phase(f"keeping what {entry.id} says")
            try:
                statistics.keep(place)
            except LockstepError as error:
                left.append(f"{entry.id}: {error}")
                continue
        found.append(old)
    if apply and found:
        history.update(folder, file, told=_told(view))
    return Collected(runs=tuple(found), left=tuple(left))


def _told(view: View) -> history.Told:
    return lambda done, of: view.phase(f"reading run {done} of {of}")
