"""What was measured, `data/evidence/pyperformance.json`: written whole after each step, so that it can go on.

Format history
--------------
lockstep.pyperformance/1  The first: `Study`. Ratios are head ÷ base, above 1 is slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import studies
from pydantic import TypeAdapter
from rivals.records import Answer
from studies import Row

from runner.judging.report import Mean

SCHEMA = "lockstep.pyperformance/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of `lockstep ab`, ended or not."""

    part: str
    """Its name in `parts`."""
    arms: tuple[str, str]
    """Base and head, as `Part.arms` says them."""
    versions: tuple[str, str]
    """Of Python, likewise: ``3.13.5``."""
    suite: str
    run: str
    """Name of the run's folder."""
    budget: float | None
    """Seconds; None: until all is settled."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    """Of measuring, over all its sessions."""
    share: float
    """Of these that were measured slices."""
    complete: bool
    """False: measuring was interrupted, and the next sitting goes on with it."""
    scope: str
    margin: float
    mean: Mean | None
    """Over the benchmarks that were reached."""
    tools: Mapping[str, str]
    """Versions of pyperf, pyperformance and lockstep."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What `lockstep explain` says of a benchmark that the variant made slower."""

    benchmark: str
    run: str
    """Of the part `dict`, by the name of its folder."""
    started: float
    """Seconds since the epoch."""
    base: float | None
    head: float | None
    """Instructions a call; None where they were not counted."""
    place: int | None
    """Of the function that the variant makes slower, in the list of those that differ, from 1; None: not in it."""
    more: float | None
    """Instructions of its own that it takes more in a call; None where it is not in the list."""
    first: str
    """The function that the list begins with; empty for no list."""
    problems: tuple[str, ...]
    """Why something was not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one tool said of a script."""

    started: float
    """Seconds since the epoch."""
    wall: float
    """Seconds from the start of its first command to the end of its last."""
    seconds: float
    """What of that was measuring, the starts of processes included."""
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One script under pyperf, and in Lockstep right after it with as many machine-seconds as that took."""

    script: str
    pair: str
    """A key of `parts.PAIRS`."""
    processes: int | None
    """What pyperf was told by ``--processes``; None: nothing, so that it took its own number."""
    pyperf: Side
    lockstep: Side | None
    """None where pyperf gave no answer, and so no number of seconds."""
    state: str = ""
    """What a report of Lockstep's says, such as ``undecided``; empty where it did not run."""
    run: str
    """Name of Lockstep's run folder; empty for none."""
    failure: str
    """Why pyperf gave no answer; empty where it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All that was measured, on one machine."""

    schema: str = SCHEMA
    machine: Mapping[str, str | int | float | bool | None]
    """As `runner.machine.describe` gives it."""
    measured: tuple[Measured, ...] = ()
    explained: tuple[Explained, ...] = ()
    beside: tuple[Beside, ...] = ()

    def of(self, part: str) -> Measured | None:
        """The run of a part; None where it was not begun."""
        return next((one for one in self.measured if one.part == part), None)


_study = TypeAdapter(Study)


def read(path: Path) -> Study | None:
    """What was stored; None where there is nothing. Raises UsageError for a file that is no study of this version."""
    return studies.read(path, _study, SCHEMA, "not a study of pyperformance")


def write(path: Path, study: Study) -> None:
    studies.write(path, _study, study)
