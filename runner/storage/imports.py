"""Imported results: what another program has measured of one build, and not in pairs. A file each, `ID.json`.

Format history
--------------
lockstep.import/1  The first: an `Imported`. Files are only ever added; removing one takes the point away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError
from runner.storage import store
from runner.storage.pyperf_json import Results

SCHEMA = "lockstep.import/1"
FOLDER = "imports"
"""In the folder for state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The results of one build, as one point of a history."""

    schema: str = SCHEMA
    id: str
    """As of a run: UTC time and six random digits."""
    imported: float
    """Seconds since the epoch."""
    build: str
    """What the user calls it."""
    commit: str = ""
    """Of the build: hash, or the beginning of one; empty where none was named."""
    machine: str
    """What the user calls it, or the host's name in the files; empty where these do not say."""
    files: tuple[Results, ...]

    @property
    def started(self) -> float:
        """When it was measured, as far as the files say; else when it was imported."""
        known = [file.started for file in self.files if file.started is not None]
        return min(known, default=self.imported)

    @property
    def version(self) -> str:
        """Of the benchmarks, as ``pyperformance`` tells it; empty where the files say nothing, or not the same."""
        said = {str(file.metadata.get("performance_version", "")) for file in self.files}
        return said.pop() if len(said) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is in a folder of imported results."""

    imports: tuple[Imported, ...]
    """In the order in which they were measured."""
    problems: tuple[str, ...]
    """Files that cannot be read, each with the reason."""


_adapter = TypeAdapter(Imported)


def add(folder: Path, one: Imported) -> Path:
    """Write it, and return the file's path. Raises MachineError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.strerror or error}.") from error
    path = folder / f"{one.id}.json"
    store.write_whole(path, _adapter.dump_json(one).decode() + "\n")
    return path


def read(folder: Path) -> Found:
    """All of them; none where there is no folder. What cannot be read is a problem, and no error."""
    found, problems = list[Imported](), list[str]()
    for path in sorted(folder.glob("*.json")):
        try:
            one = _adapter.validate_json(path.read_bytes())
            _check(one)
        except (OSError, ValueError) as error:
            problems.append(f"{path} cannot be read as imported results: {_reason(error)}")
        else:
            found.append(one)
    return Found(imports=tuple(sorted(found, key=lambda one: (one.started, one.id))), problems=tuple(problems))


def _check(one: Imported) -> None:
    """Raises ValueError where a file was changed by hand, or by a later version."""
    if one.schema != SCHEMA:
        raise ValueError(f"it is of version {one.schema!r}, and this Lockstep reads {SCHEMA!r}")
    benchmarks = [sampled for file in one.files for sampled in file.benchmarks]
    processes = [process for sampled in benchmarks for process in sampled.processes]
    if not benchmarks or not all(sampled.processes for sampled in benchmarks) or not all(
        process.values and all(0 < value < math.inf for value in process.values) for process in processes
    ):
        raise ValueError("it has a benchmark without values, or values that are not finite and above 0")


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return ": ".join(part for part in (".".join(map(str, first["loc"])), first["msg"]) if part)


def known(imports: Sequence[Imported]) -> dict[str, Imported]:
    """Which import has a file, by its hash."""
    return {file.sha256: one for one in imports for file in one.files}
