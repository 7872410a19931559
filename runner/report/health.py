"""How the service is: nights, what is missing, how well it measures, the disk, what waits, versions.

Format history
--------------
lockstep.health/1  The JSON. The first. Keys may be added; none is removed or changes its meaning within a version.
"""

from __future__ import annotations

import dataclasses
import json as json_
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from runner.report import quantities
from runner.report.as_json import strict
from runner.report.printable import printable
from runner.report.text import clean, plain_table, print_to_text

SCHEMA = "lockstep.health/1"
DAY = 86_400.0
GRACE = 0.5
"""Days by which a night may begin later than a day after the one before it."""
BAD = ("broken", "gone", "failed")
"""States of nights that did not do their work."""
_STYLES = {**dict.fromkeys(BAD, "bold red"), "unfinished": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night of one watch in one configuration."""

    id: str
    watch: str
    configuration: str
    created: float
    """Seconds since the epoch."""
    state: str
    """``done``, ``unchanged``, ``broken``, ``gone``, ``failed`` or ``unfinished``."""
    seconds: float
    why: str
    """What went wrong, in a sentence; empty for nothing."""
    counts: Mapping[str, int]
    """Benchmarks of all its runs by state (`judging.report.STATES`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A watch in one configuration, over all its nights."""

    watch: str
    configuration: str
    last: Night
    """The newest."""
    missed: tuple[float, ...]
    """Days on which there was none, between the first night and now, oldest first: the time at which each was due, in
    seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Something that could not be delivered yet: to a channel of alerts, or a run to the server."""

    channel: str
    title: str
    since: float
    tries: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All that a page or a terminal shows of it."""

    now: float
    """When it was looked at, in seconds since the epoch."""
    nights: tuple[Night, ...]
    """The last ones, newest first."""
    watched: tuple[Watched, ...]
    undecided: float | None
    """Share of the benchmarks compared in `nights` that ended without a verdict; None: there were none."""
    canary: tuple[int, int] | None
    """In how many of the last runs the canary spoke, and how many those are; None: there were none."""
    events: Mapping[str, int]
    """Events by state."""
    runs: int
    """Run folders."""
    used: int
    """Bytes in the folder for state."""
    free: int
    """Bytes left on its disk."""
    waiting: tuple[Waiting, ...]
    dropped: int
    """Letters that were given up, ever."""
    versions: Mapping[str, str]
    problems: tuple[str, ...]
    """What could not be read."""

    @property
    def good(self) -> bool:
        """Nothing of it wants a person: each last night did its work, none is missing now, nothing waits or is lost."""
        late = any(one.missed and one.missed[-1] > one.last.created for one in self.watched)
        return not (late or self.waiting or self.problems or any(one.last.state in BAD for one in self.watched))


def missed(begun: Sequence[float], now: float) -> tuple[float, ...]:
    """When nights were due that there were not: one a day, from the first on. `begun`, ascending, and `now` in seconds.

    A night that begins late, by less than `GRACE` days, is none that is missing.
    """
    return tuple(
        before + DAY * number
        for before, after in zip(begun, (*begun[1:], now), strict=True)
        for number in range(1, int((after - before) / DAY - GRACE) + 1)
    )


def watched(nights: Sequence[Night], now: float) -> tuple[Watched, ...]:
    """Each watch in each configuration, in alphabetical order; `nights` oldest first."""
    groups: dict[tuple[str, str], list[Night]] = {}
    for night in nights:
        groups.setdefault((night.watch, night.configuration), []).append(night)
    return tuple(
        Watched(watch=watch, configuration=configuration, last=group[-1],
                missed=missed([night.created for night in group], now))
        for (watch, configuration), group in sorted(groups.items())
    )


def undecided(nights: Sequence[Night]) -> float | None:
    """Share of the benchmarks that nights compared which are undecided, or not reached; None: they compared none."""
    compared = ("faster", "slower", "same", "undecided", "not reached")
    total = sum(night.counts.get(state, 0) for night in nights for state in compared)
    without = sum(night.counts.get(state, 0) for night in nights for state in compared[3:])
    return without / total if total else None


def json(health: Health) -> str:
    """The same for programs. Times are in seconds since the epoch, sizes in bytes."""
    content = {"schema": SCHEMA, "good": health.good, **dataclasses.asdict(health)}
    return json_.dumps(strict(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def facts(health: Health) -> list[tuple[str, str]]:
    """What is not a list, in words: a name and a text each."""
    rows = []
    for one in health.watched:
        name = f"{one.watch}{f' ({one.configuration})' if one.configuration else ''}"
        gaps = f"; missed in all: {len(one.missed)}, the last {_day(one.missed[-1])}" if one.missed else ""
        rows.append((name, f"last night {ago(health.now - one.last.created)}: {one.last.state}{gaps}"))
    if health.undecided is not None:
        rows.append(("undecided", f"{quantities.percent(health.undecided)} of what the nights below compared"))
    if health.canary is not None:
        spoke, of = health.canary
        rows.append(("canary", f"spoke in {spoke} of the last {of} runs"))
    open_ = {state: count for state, count in health.events.items() if count}
    rows.append(("events", ", ".join(f"{count} {state}" for state, count in open_.items()) or "none"))
    size, left = quantities.value(health.used, "bytes"), quantities.value(health.free, "bytes")
    rows.append(("disk", f"{health.runs} runs; {size} in all, {left} free"))
    lost = f"; {health.dropped} were given up" if health.dropped else ""
    rows.append(("to deliver", f"{len(health.waiting) or 'none'} waiting{lost}"))
    rows.append(("versions", ", ".join(f"{name} {version}" for name, version in health.versions.items())))
    return rows


def render(health: Health, *, width: int = 100, color: bool = False) -> str:
    """Health for the terminal."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, said in facts(health):
        grid.add_row(clean(name), clean(said))
    parts: list[RenderableType] = [grid]
    for title, lines in (
        ("Waiting to be delivered", [f"{one.channel}: {one.title}: {one.problem or 'not tried yet'} "
                                     f"({one.tries} tries in {quantities.duration(health.now - one.since)})"
                                     for one in health.waiting]),
        ("Problems", list(health.problems)),
    ):
        if lines:
            parts += [Text(), Text(title, style="bold"), *(clean(line) for line in lines)]
    if health.nights:
        parts += [Text(), _nights(health.nights)]
    else:
        parts += [Text(), Text("no nights yet: `lockstep nightly` makes one", style="dim")]
    return print_to_text(parts, width=width, color=color)


def _nights(nights: Sequence[Night]) -> Table:
    table = plain_table()
    for name in ("night", "state", "took"):
        table.add_column(name, no_wrap=True)
    table.add_column("", overflow="fold")
    for one in nights:
        table.add_row(clean(one.id), clean(one.state, _STYLES.get(one.state, "")),
                      clean(quantities.duration(one.seconds)), clean(one.why))
    return table


def ago(seconds: float) -> str:
    """``3 hours ago``, ``2 days ago``."""
    if seconds < 5400:
        return f"{max(0, round(seconds / 60))} min ago"
    return f"{round(seconds / 3600)} hours ago" if seconds < 2 * DAY else f"{round(seconds / DAY)} days ago"


def _day(when: float) -> str:
    return printable(time.strftime("%Y-%m-%d", time.gmtime(when)))
