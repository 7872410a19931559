"""`explanation.json` in a run's folder: what `lockstep explain` found out about its benchmarks, for the run's page.

Format history
--------------
lockstep.explanation/1  The first: `Explanations`. What is explained again takes the place of what was there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runner.errors import UsageError
from runner.storage import store

FILE = "explanation.json"
SCHEMA = "lockstep.explanation/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Something that is counted in a call of each arm."""

    name: str
    """What: ``instructions``; or a function's name, with what it belongs to."""
    base: float
    head: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of one benchmark's explanation."""

    key: str
    """`Benchmark.key`."""
    text: str
    notes: tuple[str, ...]
    """What the noise means for the next run, a sentence each."""
    work: tuple[Count, ...]
    """Totals of a call."""
    functions: tuple[Count, ...]
    """Own instructions of the functions in which they differ; the largest difference first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """The file."""

    schema: str = SCHEMA
    benchmarks: tuple[Kept, ...] = ()


_adapter = TypeAdapter(Explanations)


def read(folder: Path) -> tuple[Kept, ...]:
    """What is kept in a run's folder; nothing where nothing was explained.

    Raises UsageError for a file that is not one of ours, or of a later version.
    """
    place = folder / FILE
    try:
        found = _adapter.validate_json(place.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise UsageError(f"{place} is not an explanation that Lockstep wrote: {str(error).splitlines()[0]}") from error
    if found.schema != SCHEMA:
        raise UsageError(f"{place} has the format {found.schema}, and this version of Lockstep reads {SCHEMA}")
    return found.benchmarks


def add(folder: Path, fresh: Iterable[Kept]) -> None:
    """Keep explanations beside those of other benchmarks, in the place of older ones of the same.

    Raises MachineError when the file cannot be written, UsageError as `read` does.
    """
    kept = {one.key: one for one in (*read(folder), *fresh)}
    content = _adapter.dump_json(Explanations(benchmarks=tuple(kept.values())), indent=1)
    store.write_whole(folder / FILE, content.decode() + "\n")
