"""A run's measurements in other tools' formats.

pyperf: a file an arm (`storage.pyperf_json`); a block becomes a process, its slices the values.
csv, parquet: one table, a row a slice, by pandas.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from runner.errors import MachineError, UsageError
from runner.model import Arm, Benchmark, Block, Metric
from runner.stats.blocks import calls_of, scored
from runner.storage import pyperf_json
from runner.storage.pyperf_json import Metadata, Process, Results, Sampled
from runner.storage.store import Run

MACHINE = {"host": "hostname", "cpu": "cpu_model_name", "threads": "cpu_count"}
"""What a manifest knows of the machine, and how pyperf calls it."""


def write(run: Run, format: str, folder: Path) -> list[Path]:
    """Write the files of one format into `folder`, which is made if need be; return their paths.

    Raises UsageError for an unknown format, MachineError when the files cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(run, format, folder / run.manifest.id)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MachineError(f"cannot write to {folder}: {reason}. Choose another folder by --to.") from error


def _write(run: Run, format: str, stem: Path) -> list[Path]:
    if format == "pyperf":
        paths = [Path(f"{stem}-{arm.value}.json") for arm in Arm]
        for path, results in zip(paths, both(run), strict=True):
            pyperf_json.write(path, results)
        return paths
    if format == "csv":
        frame(run).to_csv(f"{stem}.csv", index=False)
    elif format == "parquet":
        frame(run).to_parquet(f"{stem}.parquet", index=False)
    else:
        raise UsageError(f"there is no format {format!r}; write --format pyperf, csv, parquet or asv.")
    return [Path(f"{stem}.{format}")]


def frame(run: Run) -> pd.DataFrame:
    """All that was measured and is scored: benchmark, unit, mode, block, cycle, arm, value (per call, in the unit)."""
    rows = [
        (benchmark.key, benchmark.unit, block.settings.mode.value, block.index, cycle, arm.value, value)
        for benchmark, block in _scored(run) for arm in Arm
        for cycle, value in enumerate(per_call(benchmark, block, arm))
    ]
    return pd.DataFrame(rows, columns=["benchmark", "unit", "mode", "block", "cycle", "arm", "value"])


def both(run: Run) -> tuple[Results, Results]:
    """Both arms as pyperf's files have them, base first: the same benchmarks, with as many values in each process.

    pyperf's test, and pyperformance's, take nothing else. So of a block in which one arm has more slices, as in
    `shared`, its last ones are left out; and where a value is 0 or less, which pyperf cannot hold, the other arm's at
    the same place is left out too. What repeats itself to the digit in both arms is one number: one process with one
    value, since their tests divide by the spread.

    Raises UsageError where there is nothing to export.
    """
    blocks: dict[str, list[tuple[Benchmark, Block]]] = {}
    for benchmark, block in _scored(run):
        blocks.setdefault(benchmark.key, []).append((benchmark, block))
    sampled: list[tuple[Sampled, Sampled]] = []
    for own in blocks.values():
        base, head = _processes(own)
        if base:
            key, unit = own[0][0].key, own[0][0].unit
            unit = unit if unit in pyperf_json.UNITS else ""
            sampled.append((Sampled(name=key, unit=unit, processes=base), Sampled(name=key, unit=unit, processes=head)))
    if not sampled:
        raise UsageError(f"{run.folder} holds no measured block yet whose values are above 0; nothing can be exported.")
    base_of, head_of = zip(*sampled, strict=True)
    return (Results(benchmarks=base_of, metadata=_metadata(run, Arm.BASE)),
            Results(benchmarks=head_of, metadata=_metadata(run, Arm.HEAD)))


def _processes(blocks: Sequence[tuple[Benchmark, Block]]) -> tuple[tuple[Process, ...], tuple[Process, ...]]:
    """What a benchmark's blocks become, base first: as many processes in both arms, with as many values."""
    base: list[Process] = []
    head: list[Process] = []
    for benchmark, block in blocks:
        pairs = [pair for pair in zip(*(per_call(benchmark, block, arm) for arm in Arm), strict=False) if min(pair) > 0]
        if pairs:
            for arm, found, values in zip(Arm, (base, head), zip(*pairs, strict=True), strict=True):
                loops = calls_of(block, arm) if benchmark.metric is Metric.TIME else None
                found.append(Process(values=values, started=block.started, loops=loops))
    if all(len({value for one in found for value in one.values}) == 1 for found in (base, head)):
        base, head = ([Process(values=one[0].values[:1], started=one[0].started)] for one in (base, head))
    return tuple(base), tuple(head)


def _metadata(run: Run, arm: Arm) -> Metadata:
    manifest = run.manifest
    interpreter = manifest.base if arm is Arm.BASE else manifest.head
    known = {theirs: manifest.machine.get(ours) for ours, theirs in MACHINE.items()}
    return {
        "python_version": interpreter.version, "python_executable": str(interpreter.executable),
        "python_implementation": interpreter.implementation, "lockstep_run": manifest.id,
        # Without it `pyperformance compare` refuses; it holds files against each other that agree in it.
        "performance_version": f"Lockstep {manifest.versions.get('lockstep', '')}, suite {_suite(manifest.suite)}",
        **{name: value for name, value in known.items() if isinstance(value, str | int | float) and value},
    }


def _suite(place: str) -> str:
    """A suite without the folders that it is in; a script's options follow, as on a command line."""
    try:
        script, *options = shlex.split(place)
    except ValueError:  # blank, or quotation marks that do not end: a folder's name
        script, options = place, []
    # A folder of several words is no command line.
    return (shlex.join([Path(script).name, *options]) if any(word.startswith("-") for word in options)
            else Path(place).name)


def per_call(benchmark: Benchmark, block: Block, arm: Arm) -> list[float]:
    """The block's values of one arm, per call, in the benchmark's unit, measured order."""
    values = block.base if arm is Arm.BASE else block.head
    if benchmark.metric is not Metric.TIME:
        return [float(value) for value in values]
    return [value / 1e9 / calls_of(block, arm) for value in values]


def _scored(run: Run) -> Iterator[tuple[Benchmark, Block]]:
    benchmarks = {benchmark.key: benchmark for benchmark in run.manifest.benchmarks}
    for block in scored(run.counting()):
        yield benchmarks[block.benchmark], block
