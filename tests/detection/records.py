"""What the study has found, `data/evidence/detection.json`: written whole after each part, so that it can go on.

Format history
--------------
lockstep.detection/1  The first: `Study`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from runner.storage.store import write_whole

SCHEMA = "lockstep.detection/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One simulated suite and year."""

    world: str
    """One of `worlds.WORLDS`; ``mixed``: a fifth of the series in each."""
    scene: str
    """``steps``: with planted changes; ``quiet``: without; ``creeping``: with slow ones."""
    number: int
    """Also the seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of one planted change in one series."""

    size: float
    """As a fraction, without its sign."""
    delay: int | None
    """Nights from the first one with it to that in which it was named; None: never."""
    commits: int | None
    """That the range of the event left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one simulated year has shown."""

    job: Job
    series: int
    nights: int
    """Asked about, in which the histories were as long as that."""
    nominations: int
    """Each is one comparison."""
    innocent: int
    """Nominations without any change."""
    confirmed: int
    false: int
    """Events that name a benchmark which did not change there, in that direction."""
    blocks: int
    """Of all comparisons, over all their benchmarks."""
    suspects: int
    """Pairs of a nomination and a benchmark."""
    found: tuple[Found, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What another rule makes of the same series."""

    rule: str
    world: str
    years: int
    """Series-years in which false alarms were counted."""
    false: int
    soon: int
    """Planted changes of 2 % that it reports in the first or second night with them …"""
    later: int
    """… and within two weeks."""
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    schema: str = SCHEMA
    day: str
    versions: Mapping[str, str]
    outcomes: tuple[Outcome, ...] = ()
    others: tuple[Other, ...] = ()
    missing: Mapping[str, str]
    """Rules that could not be tried, with the reason."""


_study = TypeAdapter(Study)


def read(path: Path) -> Study | None:
    return _study.validate_json(path.read_bytes()) if path.exists() else None


def write(path: Path, study: Study) -> None:
    write_whole(path, _study.dump_json(study).decode() + "\n")
