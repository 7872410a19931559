"""What is known of the designs, `data/evidence/design-space.json`: written whole after each part, so that it can go on.

Format history
--------------
lockstep.design-space/1  The first: `Study`. Ratios are head ÷ base, above 1 is slower (or more).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import studies
from pydantic import TypeAdapter
from studies import Row

from runner.judging.report import NOT_REACHED, Mean
from runner.model import Verdict

SCHEMA = "lockstep.design-space/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One run: a design (head) against another (base)."""

    design: str
    against: str
    digests: tuple[str, str]
    """Of the two designs' sources, as the names come: a design that was changed since is measured anew."""
    suite: str
    pattern: str | None = None
    """Regular expression that its benchmarks match; None: it is the whole suite."""
    budget: float = 180.0
    """Seconds."""
    run: str
    """Name of the run's folder."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    scope: str
    margin: float
    mean: Mean | None
    """Over the timed benchmarks."""
    rows: tuple[Row, ...]

    @property
    def open(self) -> bool:
        """Whether a larger budget might say more of a benchmark."""
        return any(row.state in (Verdict.UNDECIDED.value, NOT_REACHED) for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a stream is to one kind of object that it is made from (`sources`)."""

    allocated: int
    """Bytes that making the stream took at most."""
    follows: bool | None
    """The stream's content changed with the object's; None: the object cannot change."""
    held: str
    """What the object's owner was told, who is refused something as long as the stream is only read;
    empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a design shares."""

    design: str
    digest: str
    size: int
    """Bytes of each object that a stream was made from."""
    kinds: Mapping[str, Kind]
    stale: bool
    """A value that was hashed and dropped hands its hash on to the next one, which a write has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """A way in which a design behaves as today's does not."""

    what: str
    script: str
    """What shows it."""
    base: str
    """What today's says."""
    head: str
    """What the design says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What `lockstep verify` has found of a design against today's."""

    design: str
    digests: tuple[str, str]
    """Of today's source and of the design's."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    """Of searching."""
    sequences: int
    """Of operations that were tried in both, those to make short what was found among them."""
    kinds: tuple[str, ...] = ()
    """Of sources that both can make streams from (`verifying.sequences`)."""
    hazards: tuple[Hazard, ...]
    problems: tuple[str, ...] = ()
    """What could not be looked at, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All that was measured, on one machine."""

    schema: str = SCHEMA
    machine: Mapping[str, str | int | float | bool | None]
    """As `runner.machine.describe` gives it."""
    compared: tuple[Compared, ...] = ()
    seen: tuple[Seen, ...] = ()
    verified: tuple[Verified, ...] = ()


_study = TypeAdapter(Study)


def read(path: Path) -> Study | None:
    """What was stored; None where there is nothing. Raises UsageError for a file that is no study of this version."""
    return studies.read(path, _study, SCHEMA, "not a study of designs")


def write(path: Path, study: Study) -> None:
    studies.write(path, _study, study)
