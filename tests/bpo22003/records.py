"""What was measured, `data/evidence/bpo22003.json`: written whole after each block, so that it can go on.

Format history
--------------
lockstep.bpo22003/1  The first: `Study`. A ratio is that of a subject to the first one, `REFERENCE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import studies
from pydantic import TypeAdapter

from runner.errors import UsageError

SCHEMA = "lockstep.bpo22003/1"
REFERENCE = "cStringIO.StringI"
"""The kind that all others are held against: what people had before `io.BytesIO`."""
WORKLOADS = ("founding", "construct")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A kind of buffer in one interpreter, as its worker describes it."""

    kind: str
    """``cStringIO.StringI`` or ``io.BytesIO``."""
    version: str
    """``3.13.0``."""
    compiler: str
    options: tuple[str, ...]
    """What the interpreter was configured with, by name alone."""
    shares: bool
    """Whether a buffer holds on to the very bytes that it was made of: counted, not measured."""

    @property
    def minor(self) -> str:
        """``3.13``."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Fresh processes of all subjects that have taken turns."""

    started: float
    """Seconds since the epoch."""
    cycles: int
    """Turns of each subject in each workload."""
    seconds: Mapping[str, tuple[float, ...]]
    """Workload → median seconds of a call, for each subject."""
    log_ratios: Mapping[str, tuple[float, ...]]
    """Workload → median over the cycles of the log ratio to the first subject, for each subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All blocks of one machine and one set of interpreters."""

    schema: str = SCHEMA
    machine: Mapping[str, str | int | float | bool | None]
    """As `runner.machine.describe` gives it."""
    subjects: tuple[Subject, ...]
    """In the order of their versions, the reference first."""
    blocks: tuple[Block, ...] = ()


_study: TypeAdapter[Study] = TypeAdapter(Study)


def read(path: Path) -> Study | None:
    """What is stored; None where nothing is. Raises UsageError for a file that is no such study."""
    return studies.read(path, _study, SCHEMA, "no study of the line")


def write(path: Path, study: Study) -> None:
    """Write it whole; it is on disk when this returns."""
    studies.write(path, _study, study, indent=1)


def going_on(stored: Study | None, machine: Mapping[str, str | int | float | bool | None],
             subjects: tuple[Subject, ...], path: Path) -> Study:
    """The study to which the next block belongs. Raises UsageError where what is stored is of another machine, or of
    other interpreters: their blocks are not to be thrown together."""
    if stored is None:
        return Study(machine=machine, subjects=subjects)
    if stored.machine.get("fingerprint") != machine.get("fingerprint"):
        raise UsageError(f"{path} was measured on another machine. Name another file by --data, or remove it.")
    if stored.subjects != subjects:
        raise UsageError(f"{path} was measured with other interpreters: {_listed(stored.subjects)} there, "
                         f"{_listed(subjects)} now. Name these by --python, or another file by --data.")
    return stored


def _listed(subjects: tuple[Subject, ...]) -> str:
    return ", ".join(dict.fromkeys(f"{subject.version} ({subject.compiler})" for subject in subjects))
