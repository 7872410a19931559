"""The ledger of nominations, `nominations.jsonl`: every change that a history suggested, and what became of it.

Format history
--------------
lockstep.nominations/1  The first. A line is an `Entry`; lines are only ever added. Times are seconds since the epoch,
                        sizes and limits natural logs of after ÷ before. A torn last line is ignored on reading and
                        cut off before the next one.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.storage import store

NAME = "nominations.jsonl"
SCHEMA = "lockstep.nominations/1"

Outcome = Literal["confirmed", "not confirmed", "not measured"]
Said = Literal["confirmed", "same", "not confirmed", "not measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One benchmark of a nomination, and what the confirmation said of it."""

    benchmark: str
    """`Benchmark.key`."""
    size: float
    """As the history has it, or the comparison with the last commit."""
    suggested: float
    """p of that."""
    said: Said
    p: float | None = None
    """Of the fresh blocks alone; None, like the three below, where there were too few."""
    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One nomination, and its outcome."""

    schema: str = SCHEMA
    nomination: str
    """Its id."""
    when: float
    """When it was confirmed or not."""
    watch: str
    configuration: str
    machine: str
    """Fingerprint."""
    suite: str
    kind: str
    """What was suggested: ``step``, ``newest`` or ``drift``."""
    direction: str
    """``slower`` or ``faster``."""
    good: str
    """Hash of the last commit without it."""
    bad: str
    """Hash of the first commit that has it for certain."""
    positions: tuple[float, float]
    """Of both, in the order of the history."""
    newest: str
    """Hash of the newest commit when it was nominated: what has the same one is of one batch."""
    p: float
    """Of the fresh blocks, for all suspects together (Simes); 1 where nothing was measured."""
    level: float
    """The error that it might make; 0 where nothing was measured."""
    outcome: Outcome
    run: str
    """Id of the confirming run; empty where there is none."""
    reason: str = ""
    """Why it was not measured."""
    suspects: tuple[Suspect, ...]


_entry = TypeAdapter(Entry)


def read(path: Path) -> tuple[Entry, ...]:
    """All entries, oldest first; none where there is no such file.

    Raises UsageError for a line that is no entry, or of a newer version, with its number.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror or error}.") from error
    return _entries(path, text)


def append(path: Path, entry: Entry) -> Entry:
    """Add an entry, on disk when this returns; returns the one that the ledger has.

    That is an older one where this nomination was entered before with the same run: then nothing is added. Raises
    MachineError when the file cannot be written, and UsageError as `read` does.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            text = path.read_bytes()
            for known in _entries(path, text):
                if (known.nomination, known.run) == (entry.nomination, entry.run):
                    return known
            _write(descriptor, _entry.dump_json(entry) + b"\n", text.rfind(b"\n") + 1)
        finally:
            os.close(descriptor)
        store.sync(path.parent)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror or error}. "
                           "Free some space (or mend the cause) and start again.") from error
    return entry


def _write(descriptor: int, line: bytes, end: int) -> None:
    """Write a line at `end`, or leave nothing of it."""
    os.ftruncate(descriptor, end)
    try:
        written = 0
        while written < len(line):
            written += os.pwrite(descriptor, line[written:], end + written)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _entries(path: Path, text: bytes) -> tuple[Entry, ...]:
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    return tuple(_read(path, number, line) for number, line in enumerate(lines, start=1))


def _read(path: Path, number: int, line: bytes) -> Entry:
    try:
        schema = json.loads(line)["schema"]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path}:{number} is no nomination. Remove the line to read the others.") from error
    if schema != SCHEMA:
        raise UsageError(f"{path}:{number} is of version {schema!r}; this Lockstep reads {SCHEMA!r}. "
                         "Use the Lockstep that wrote it.")
    try:
        return _entry.validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{path}:{number} is no nomination: {where}: {problem['msg']}. "
                         "Remove the line to read the others.") from error
