"""pyperf's result files: what `pyperf` and `pyperformance` have measured, and what `lockstep export` writes.

Format history (pyperf's): ``version`` "1.0" since pyperf 1.0, before that 5 and 6, which can be read too. pyperf's own
classes read and write them; this module says what is taken from a file and what goes into one. A pyperf *run* is a
process here: a run is a whole comparison. Its warm-ups, and runs that only calibrate, are passed over.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyperf

from runner.errors import MachineError, UsageError

ONE_BUILD = ("python_version", "python_implementation", "performance_version")
"""What the files of one build agree in, in pyperf's words."""
UNITS = {"s": "second", "bytes": "byte"}
"""Our units by pyperf's; what else is counted is its ``integer``, and has no unit here."""
UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, zlib.error, RecursionError,
)
"""What pyperf's classes raise for a file that is not one of theirs, is torn, or is of another version."""

Metadata = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What one process measured of one benchmark."""

    values: tuple[float, ...]
    """Per call, in the benchmark's unit, measured order; at least one, all finite and above 0."""
    started: float | None = None
    """Seconds since the epoch. A file tells the time of its machine's clock and no zone: it is read as UTC."""
    loops: int | None = None
    """Calls that a value is the mean of; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One benchmark of a file."""

    name: str
    unit: str
    """``s``, ``bytes``, or empty for any other number."""
    processes: tuple[Process, ...]
    """At least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What is in a file."""

    benchmarks: tuple[Sampled, ...]
    """Each name once; at least one."""
    metadata: Metadata = field(default_factory=dict)
    """What all processes of all benchmarks agree in: ``hostname``, ``python_version`` and so on, in pyperf's words."""
    name: str = ""
    """The file's name, without its folder."""
    sha256: str = ""
    """Of the file's bytes, uncompressed."""

    @property
    def started(self) -> float | None:
        """When the first process began, as far as any says so."""
        known = (process.started for one in self.benchmarks for process in one.processes)
        return min((moment for moment in known if moment is not None), default=None)


def read(path: Path) -> Results:
    """Read a file of pyperf's, compressed or not.

    Raises UsageError for what is none, for a value that is not finite, and for a benchmark that was only calibrated.
    """
    try:
        suite = pyperf.BenchmarkSuite.load(str(path.absolute()))  # else it takes - for standard input
        # Of the same bytes, unless somebody writes meanwhile; compressed anew they are the same results.
        with (gzip.open if path.name.endswith(".gz") else open)(path, "rb") as stream:
            digest = hashlib.sha256(stream.read()).hexdigest()
        found = tuple(_sampled(one) for one in suite.get_benchmarks())
        return Results(
            benchmarks=found, name=path.name, sha256=digest,
            metadata={name: value for name, value in suite.get_metadata().items()
                      if isinstance(value, str | int | float)})
    except UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}"
        raise UsageError(f"{path} cannot be read as a result file of pyperf: {reason or type(error).__name__}. "
                         "It is what `pyperf` and `pyperformance run` write by -o FILE.json.") from error


def check_alike(files: Sequence[Results], metadata: Sequence[str], otherwise: str) -> None:
    """Raises UsageError, whose last sentence is `otherwise`, where files do not agree in these metadata."""
    first, *others = files
    for other in others:
        for name in metadata:
            mine, its = first.metadata.get(name), other.metadata.get(name)
            if mine != its:
                raise UsageError(f"{first.name} and {other.name} differ in {name}: {mine or 'unknown'} and "
                                 f"{its or 'unknown'}. {otherwise}")


def _sampled(one: Any) -> Sampled:
    measured = [run for run in one.get_runs() if run.values]
    name = str(one.get_name())
    if not measured:
        raise ValueError(f"benchmark {name} was calibrated and not measured")
    if not all(math.isfinite(value) for run in measured for value in run.values):
        raise ValueError(f"benchmark {name} has a value that is not finite")
    unit = next((ours for ours, theirs in UNITS.items() if theirs == one.get_unit()), "")
    return Sampled(name=name, unit=unit, processes=tuple(map(_process, measured)))


def _process(run: Any) -> Process:
    said = run.get_metadata()
    date, loops = said.get("date"), said.get("loops")
    return Process(
        values=tuple(float(value) for value in run.values), started=None if date is None else _moment(date),
        loops=loops if isinstance(loops, int) else None)


def _moment(date: str) -> float:
    moment = datetime.datetime.fromisoformat(date)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)).timestamp()


def write(path: Path, results: Results) -> None:
    """Write a file; one that is there is replaced. `name` and `sha256` of the results do not matter.

    Raises ValueError for what pyperf cannot hold, such as a value of 0, and MachineError where it cannot be written.
    """
    suite = pyperf.BenchmarkSuite([_benchmark(one, results.metadata) for one in results.benchmarks])
    try:
        suite.dump(str(path), replace=True)
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror or error}. Choose another place.") from error


def _benchmark(one: Sampled, metadata: Metadata) -> Any:
    return pyperf.Benchmark([
        pyperf.Run(process.values, collect_metadata=False, metadata={
            **{name: " ".join(value.split()) if isinstance(value, str) else value for name, value in metadata.items()},
            "name": one.name, "unit": UNITS.get(one.unit, "integer"),
            **({} if process.loops is None else {"loops": process.loops}),
            **({} if process.started is None else {"date": _date(process.started)})})
        for process in one.processes
    ])


def _date(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).replace(tzinfo=None).isoformat(" ")


def together(files: Sequence[Results]) -> tuple[Sampled, ...]:
    """The benchmarks of all files, the processes of each one after the other, in the order of their first appearance.

    Raises UsageError for one that is counted in different units.
    """
    found: dict[str, Sampled] = {}
    for one in (one for file in files for one in file.benchmarks):
        known = found.get(one.name)
        if known is not None and known.unit != one.unit:
            raise UsageError(f"benchmark {one.name} is counted in {known.unit or 'numbers'} in one file and in "
                             f"{one.unit or 'numbers'} in another; they are not of one build's benchmark.")
        before = () if known is None else known.processes
        found[one.name] = Sampled(name=one.name, unit=one.unit, processes=(*before, *one.processes))
    return tuple(found.values())
