"""What the nights have shown, `data/evidence/nights.json`: written whole after each part, so that it can go on.

Format history
--------------
lockstep.nights/1  The first: `Study`. Times are in seconds since the epoch, spans in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import studies
from pydantic import TypeAdapter

SCHEMA = "lockstep.nights/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A night, and whether it did what it should."""

    subject: str
    """Of its commit."""
    state: str
    """`Night.state`."""
    nights: tuple[str, ...]
    """Ids; several where the night failed and was had once more."""
    started: float
    wall: float
    """From the command's start to its end."""
    whole: bool
    """One command had all of it, and waited for nobody; else `wall` is the sum of its steps."""
    building: float
    """Of it, the step that builds."""
    ahead: float
    """That building its commit had taken before the night; 0 where it was not built ahead."""
    nominated: int
    slower: tuple[str, ...]
    """Benchmarks that it confirmed to have become slower, in order of their names."""
    faster: tuple[str, ...]
    wrong: tuple[str, ...]
    """What is not as it should be; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A search over all eight commits."""

    benchmark: str
    found: tuple[str, ...]
    """Subjects of the commits of which one did it."""
    duels: int
    wall: float
    """Of the last command; of several where it was interrupted."""
    whole: bool
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One ``kill -9``."""

    seconds: float
    """After the command's start."""
    step: str
    """What was under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A night that was killed, and begun again each time, until it ended."""

    seed: int
    """Of the kills' moments."""
    seconds: float
    """All of it."""
    kills: tuple[Kill, ...]
    wrong: tuple[str, ...]
    """In what it ended otherwise than the night that was left alone; empty: in nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All that was had, on one machine."""

    schema: str = SCHEMA
    machine: Mapping[str, str | int | float | bool | None]
    """As `runner.machine.describe` gives it."""
    digest: str
    """Of the commits, the suite and the configuration: nights of others are another study."""
    budget: float
    """Of a night."""
    trials: tuple[Trial, ...] = ()
    repeats: tuple[tuple[Row, ...], ...] = ()
    """Rows of nights, each in a state of its own."""
    searches: tuple[Searched, ...] = ()
    built: Mapping[str, float]
    """Commits that were built between nights, by full hash, with what that took."""

    @property
    def kills(self) -> int:
        return sum(len(trial.kills) for trial in self.trials)


_study = TypeAdapter(Study)


def read(path: Path) -> Study | None:
    """What was stored; None where there is nothing. Raises UsageError for a file that is no study of this version."""
    return studies.read(path, _study, SCHEMA, "not a study of nights")


def write(path: Path, study: Study) -> None:
    studies.write(path, _study, study, indent=1)
