"""asv's results folder: what Lockstep has measured, added to what is there.

Format history (asv's): benchmarks.json version 2, MACHINE/machine.json version 1, MACHINE/COMMIT-ENVIRONMENT.json
version 2, as asv 0.6 writes them. asv's own classes read, merge and write them; this module says what goes in, and
puts each file in place whole.
"""

from __future__ import annotations

import datetime
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from asv import util
from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.machine import Machine, MachineCollection
from asv.results import Results, get_filename
from asv.runner import BenchmarkResult

from runner.errors import UsageError
from runner.owned import owned
from runner.storage import store

VARIANT, OPTIONS = "variant", "options"
"""What the matrix of asv.conf.json may ask of a build."""
UNREADABLE = (util.UserError, OSError, ValueError, TypeError, LookupError, AttributeError)
"""What asv's classes raise for a file that is not one of theirs, is torn, or is of another version."""

Record = Mapping[str, Any]
"""A benchmark as asv_runner describes it: name, params, param_names, type, unit, version and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Where the results of one build belong: together with the machine, asv's name for a line in a graph."""

    commit: str
    """Full hash."""
    date: int
    """Of the commit, milliseconds since the epoch."""
    environment: str
    """asv's name of the environment."""
    python: str
    requirements: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What was measured of one combination of parameters."""

    index: tuple[int, ...]
    """Position of each parameter's value in the record's lists; () without parameters."""
    samples: tuple[float, ...]
    """One value a block: seconds per call, or what the benchmark counts; empty where it failed or was skipped."""
    calls: int | None
    """Calls that a sample rests on; None for what is no time, of which asv keeps one number."""
    skipped: bool = False
    """By its author, in this build or in the one that it was compared with: not applicable, which is no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that one run measured of one benchmark in one build."""

    record: Record
    values: tuple[Value, ...]
    started: float
    """Seconds since the epoch."""
    seconds: float
    """Machine time."""


def machine_of(facts: Mapping[str, Any], here: bool) -> dict[str, str]:
    """asv's description of a machine, with the name under which `asv run` files its results.

    `here`: it is this machine; another one's name is not known, and it gets one of its fingerprint.
    """
    if here:
        name = Machine.get_unique_machine_name()
        try:
            known = MachineCollection.load(name)
        except util.UserError:
            known = Machine.get_defaults()
        return {key: str(value) for key, value in known.items() if key != "version"}
    return {
        "machine": f"lockstep-{facts.get('fingerprint')}", "os": str(facts.get("os")), "arch": str(facts.get("arch")),
        "cpu": str(facts.get("cpu")), "num_cpu": str(facts.get("threads")), "ram": str(facts.get("memory")),
    }


def own_name(folder: Path, machine: Mapping[str, str], fingerprint: str) -> dict[str, str]:
    """The machine's description under a name that no other machine has in this folder.

    A machine of the same name with another CPU is another machine: the one that comes second gets a name of its own.
    """
    known = _load(folder / machine["machine"] / "machine.json", Machine.api_version)
    differs = known is not None and any(
        known.get(field) != machine.get(field) for field in ("cpu", "arch", "num_cpu")
    )
    return {**machine, "machine": f"{machine['machine']}-{fingerprint[:8]}"} if differs else dict(machine)


def add(folder: Path, machine: Mapping[str, str], series: Series, measured: Sequence[Measured]) -> Path:
    """Add one build's results to its file and return the file's path; the machine's file is made if it is missing.

    What is there of other benchmarks, and of other parameters of these, stays, unless it is of another version of the
    benchmark. Raises UsageError for a file that asv cannot read, which is left as it is, and MachineError
    when nothing can be written.
    """
    place = folder / machine["machine"] / "machine.json"
    if _load(place, Machine.api_version) is None:
        _write(place, {**machine, "version": Machine.api_version})
    results = Results(
        {**machine, "python": series.python, **series.requirements}, dict(series.requirements), series.commit,
        series.date, series.python, series.environment, {},
    )
    file: str = get_filename(machine["machine"], series.commit, series.environment)
    path = folder / file
    try:
        results.load_data(str(folder))
    except UNREADABLE as error:
        raise UsageError(
            f"{path} is not a result file of asv's: {error}. It was left as it is; move it away."
        ) from error
    for one in measured:
        _add(results, one)
    with owned("lockstep-results-") as scratch:
        results.save(str(scratch))
        store.write_whole(path, (scratch / file).read_text(encoding="utf-8"))
    return path


def folder_of(configuration: Path) -> Path:
    """The results folder that an asv.conf.json names. Raises UsageError for a file that is none."""
    try:
        named: str = Config.load(str(configuration)).results_dir
    except (util.UserError, OSError, ValueError) as error:
        raise UsageError(f"{configuration} is no configuration of asv's: {error}") from error
    return (configuration.resolve().parent / named).resolve()


def check(folder: Path) -> tuple[Sequence[Path], Sequence[str]]:
    """The files of a results folder that asv can read; and the others, each with the reason."""
    readable, problems = list(folder.glob("benchmarks.json")), list[str]()
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = [path for path in sorted(place.glob("*.json")) if path.name != "machine.json"]
        try:
            machine = util.load_json(str(place / "machine.json"), Machine.api_version)["machine"]
        except UNREADABLE as error:
            if files:
                problems.append(f"{place.name} ({len(files)} files): its machine.json is none of asv's: {_said(error)}")
            continue
        readable.append(place / "machine.json")
        for file in files:
            try:
                Results.load(str(file), machine_name=machine)
            except UNREADABLE as error:
                problems.append(f"{place.name}/{file.name}: {_said(error)}")
            else:
                readable.append(file)
    return readable, problems


def describe(folder: Path, records: Sequence[Record]) -> Path:
    """Put the benchmarks into benchmarks.json, beside what is there; return its path.

    Raises UsageError for a file that asv cannot read, which is left as it is.
    """
    path = folder / "benchmarks.json"
    known = _load(path, Benchmarks.api_version) or {}
    _write(path, {**known, **{record["name"]: dict(record) for record in records}, "version": Benchmarks.api_version})
    return path


def _add(results: Results, one: Measured) -> None:
    combinations = list(itertools.product(*(range(len(values)) for values in one.record["params"])))
    there = {value.index: value for value in one.values}
    chosen = [there.get(index) for index in combinations]
    # NaN is what `asv run` stores for what was skipped or not asked for; a failure is None.
    plain = [math.nan if value is None or value.skipped else _middle(value) for value in chosen]
    timed = [value if value is not None and value.calls is not None and value.samples else None for value in chosen]
    results.add_result(
        dict(one.record),
        BenchmarkResult(
            result=plain, samples=[None if value is None else list(value.samples) for value in timed],
            number=[None if value is None else value.calls for value in timed],
            errcode=0, stderr="", profile=None,
        ),
        started_at=datetime.datetime.fromtimestamp(one.started, datetime.UTC),
        duration=one.seconds, record_samples=True,
        selected_idx={place for place, value in enumerate(chosen) if value is not None},
    )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, (util.UserError, OSError)) else f"{type(error).__name__}: {error}"


def _middle(value: Value) -> float | None:
    return median(value.samples) if value.samples else None


def _load(path: Path, version: int) -> dict[str, Any] | None:
    """A file of asv's; None where there is none."""
    try:
        content = util.load_json(str(path), version)
    except FileNotFoundError:
        return None
    except (util.UserError, OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is not a file of asv's: {error}. It was left as it is; move it away.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a file of asv's: it holds no object. It was left as it is; move it away.")
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_whole(path, json.dumps(content, indent=4, sort_keys=True) + "\n")
