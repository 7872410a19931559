"""What the study has found, `data/evidence/scale.json`: written whole after each part, so that it can go on.

Format history
--------------
lockstep.scale/1  The first: `Study`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import studies
from pydantic import TypeAdapter

SCHEMA = "lockstep.scale/1"
NIGHTS = 365
"""Of each machine, each with one run of all benchmarks."""
FULL = 1000 * 10_000 * NIGHTS
"""Rows of 1000 machines with 10 000 benchmarks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many of what an index has."""

    machines: int
    benchmarks: int

    @property
    def rows(self) -> int:
        return self.machines * self.benchmarks * NIGHTS


def size_of(rows: float) -> Size:
    """Of about so many rows: as much smaller than `FULL` in machines as in benchmarks."""
    share = math.sqrt(rows / FULL)
    return Size(machines=max(1, round(1000 * share)), benchmarks=max(1, round(10_000 * share)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How long something took, in seconds, of so many times."""

    median: float
    worst: float
    times: int
    rows: int
    """That came back, or were written, in the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One index of one size."""

    engine: str
    """``SQLite`` or ``PostgreSQL``, with its version."""
    size: Size
    filled: float
    """Seconds that making it took."""
    bytes: int
    """Of all there is, indexes included."""
    indexes: int | None
    """Bytes of indexes that are apart; None: not known."""
    took: Mapping[str, Took]
    """By what was asked, as `asked.QUESTIONS` has it."""
    plans: Mapping[str, tuple[str, ...]]
    """How the engine searches, by question, in its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All that was measured on one machine."""

    schema: str = SCHEMA
    day: str
    machine: str
    measured: tuple[Measured, ...] = ()


_study = TypeAdapter(Study)


def read(path: Path) -> Study | None:
    """The study that is stored; None where none is. Raises UsageError as `studies.read`."""
    return studies.read(path, _study, SCHEMA, "no study of scale")


def write(path: Path, study: Study) -> None:
    """Store it."""
    studies.write(path, _study, study, indent=1)
