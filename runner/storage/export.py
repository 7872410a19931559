"""A run's measurements in other tools' formats.

pyperf: JSON 1.0 by pyperf's own writer, one file an arm; a block becomes a run, its slices the values.
csv, parquet: one table, a row a slice, by pandas.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyperf

from runner.errors import MachineError, UsageError
from runner.model import Arm, Benchmark, Block, Metric
from runner.stats.blocks import calls_of, scored
from runner.storage.store import Run

UNITS = {"s": "second", "bytes": "byte"}


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
        for arm, path in zip(Arm, paths, strict=True):
            pyperf_suite(run, arm).dump(str(path), replace=True)
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


def pyperf_suite(run: Run, arm: Arm) -> pyperf.BenchmarkSuite:
    """One arm as pyperf's suite. Values that pyperf cannot hold (zero or less) are left out."""
    interpreter = run.manifest.base if arm is Arm.BASE else run.manifest.head
    runs: dict[str, list[pyperf.Run]] = {}
    for benchmark, block in _scored(run):
        values = [value for value in per_call(benchmark, block, arm) if value > 0]
        metadata = {"name": benchmark.key, "unit": UNITS.get(benchmark.unit, "integer"),
                    "python_version": interpreter.version, "python_executable": str(interpreter.executable)}
        if values:
            runs.setdefault(benchmark.key, []).append(pyperf.Run(values, metadata=metadata, collect_metadata=False))
    if not runs:
        raise UsageError(f"{run.folder} holds no measured block yet; there is nothing to export.")
    return pyperf.BenchmarkSuite([pyperf.Benchmark(one) for one in runs.values()])


def per_call(benchmark: Benchmark, block: Block, arm: Arm) -> list[float]:
    """The block's values of one arm, per call, in the benchmark's unit, measured order."""
    values = block.base if arm is Arm.BASE else block.head
    if benchmark.metric is not Metric.TIME:
        return [float(value) for value in values]
    return [value / 1e9 / calls_of(block, arm) for value in values]


def _scored(run: Run) -> Iterator[tuple[Benchmark, Block]]:
    benchmarks = {benchmark.key: benchmark for benchmark in run.manifest.benchmarks}
    for block in scored(run.blocks):
        yield benchmarks[block.benchmark], block
