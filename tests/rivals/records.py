"""What was measured, one JSON line each, appended for ever: data/evidence/rivals.jsonl.

Format history
--------------
lockstep.rivals/1  Three kinds of line: `Measurement`, `Trial` and `Truth`, told apart by ``kind``. A ratio is head ÷
                   base. Folders are written as ``TOP`` (the project's) and ``RIVALS`` (where all that was made for
                   measuring lies). A torn last line is ignored on reading and cut off before the next one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from runner.errors import UsageError

SCHEMA = "lockstep.rivals/1"


class Said(Enum):
    """What a tool says of head."""

    SLOWER = "slower"
    FASTER = "faster"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    """It ended without an answer, or not in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A tool's answer by one rule of its own."""

    rule: str
    """The row of the table: ``pyperf``, ``asv, factor 1.1``."""
    said: Said
    ratio: float | None = None
    """Its estimate; None where it gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing to measure: what a tool says of a pair within a budget."""

    tool: str
    share: float
    """Of work planted in head: 0 is the A/A pair."""
    budget: int
    """Seconds."""
    workload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and with what it was measured."""

    started: float
    """Seconds since the epoch."""
    machine: Mapping[str, str | int | float | bool | None]
    """As `runner.machine.describe` gives it."""
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One started run of one tool, however it ended."""

    schema: str = SCHEMA
    kind: Literal["measurement"] = "measurement"
    cell: Cell
    round: int
    position: int
    """In the round's random order."""
    seed: int
    """Of the order."""
    size: int
    """The tool's own amount of work, chosen so that it uses about the budget."""
    used: float
    """What of it was done: less where the tool stops by itself, 0 where it failed."""
    wall: float
    """Seconds from the start of its first command to the end of its last."""
    answers: tuple[Answer, ...]
    truth: float
    """Log ratio planted, as the lines of `Truth` before this one say it; 0 for the A/A pair."""
    truth_error: float
    """Its standard error."""
    commands: Mapping[str, int]
    """Command line → how often it was run, in the order of their first runs."""
    failure: str | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What an amount of work costs: an unscored run of a tool on the A/A pair."""

    schema: str = SCHEMA
    kind: Literal["trial"] = "trial"
    tool: str
    workload: str
    size: int
    """What was asked for."""
    used: float
    """What of it was done: less where the tool stops by itself."""
    wall: float
    details: Mapping[str, int]
    """What the tool has found out once for all its runs."""
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One measurement of a planted share, apart from all tools."""

    schema: str = SCHEMA
    kind: Literal["truth"] = "truth"
    workload: str
    share: float
    log_ratio: float
    error: float
    """Standard error over processes."""
    processes: int
    place: Place


Line = Measurement | Trial | Truth
_line: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def read(path: Path) -> list[Line]:
    """All lines in stored order; [] where there is no file yet.

    Raises UsageError for a line that is not one of these records, or of a newer version.
    """
    if not path.exists():
        return []
    pieces = path.read_bytes().split(b"\n")
    pieces.pop()  # empty, or torn
    lines = []
    for number, piece in enumerate(pieces, start=1):
        try:
            line = _line.validate_json(piece)
        except ValidationError as error:
            raise UsageError(f"{path}:{number} is not a measurement: {error.errors()[0]['msg']}.") from error
        if line.schema != SCHEMA:
            raise UsageError(f"{path}:{number} is of version {line.schema!r}; this reads {SCHEMA!r}.")
        lines.append(line)
    return lines


def append(path: Path, line: Line) -> None:
    """Add a line; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        end = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(descriptor, end)
        with os.fdopen(os.dup(descriptor), "r+b") as stream:
            stream.seek(end)
            stream.write(_line.dump_json(line) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        os.close(descriptor)


def measurements(lines: Sequence[Line]) -> list[Measurement]:
    return [line for line in lines if isinstance(line, Measurement)]


def trials(lines: Sequence[Line]) -> list[Trial]:
    return [line for line in lines if isinstance(line, Trial)]


def truths(lines: Sequence[Line]) -> list[Truth]:
    return [line for line in lines if isinstance(line, Truth)]
