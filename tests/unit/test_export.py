"""A run's numbers in other tools' formats, read back by those tools."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyperf
import pytest
from pyperf._utils import is_significant
from samples import benchmark, block, manifest

from runner.errors import MachineError, UsageError
from runner.model import Arm, Failure, Metric, Mode, Settings
from runner.storage import export
from runner.storage.export import both, frame, per_call
from runner.storage.store import Run

UNEQUAL = Settings(mode=Mode.TURNS, calls={Arm.BASE: 10, Arm.HEAD: 1000}, cycles=2, window=0.0, warmup=2)
SHARED = Settings(mode=Mode.SHARED, calls={Arm.BASE: 2, Arm.HEAD: 2}, cycles=6, window=0.5, warmup=1)
ONE = Settings(mode=Mode.ADJACENT, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=1, window=0.0, warmup=0)
TIME = benchmark("work.time_it", params={"size": "4KiB"})
LONG = benchmark("work.time_long")
PEAK = benchmark("memory.peakmem_it", Metric.PEAK_MEMORY)
TRACK = benchmark("memory.track_it", Metric.TRACK, unit="lines")
BROKEN = benchmark("work.time_broken")


@pytest.fixture
def run() -> Run:
    blocks = (
        block(TIME.key, -1, base=(), head=(), order=""),
        block(TIME.key, 0, settings=UNEQUAL, base=(2_000_000, 2_100_000), head=(2_000_000, 1_900_000)),
        block(LONG.key, 0, settings=SHARED, base=(150_000_000, 160_000_000, 155_000_000), head=(140_000_000,)),
        block(PEAK.key, 0, settings=ONE, base=(34_000_896,), head=(17_000_448,)),
        block(TRACK.key, 0, settings=ONE, base=(0,), head=(12.5,)),
        block(BROKEN.key, 0, failure=Failure(reason="raised ValueError", arm=Arm.HEAD)),
        block(TIME.key, 1, settings=UNEQUAL, base=(2_200_000, 2_300_000), head=(2_400_000, 2_500_000)),
    )
    return Run(folder=Path("/runs/x"), manifest=manifest([TIME, LONG, PEAK, TRACK, BROKEN]), blocks=blocks, torn=False)


def test_values_are_per_call_in_the_unit_in_measured_order(run: Run) -> None:
    _, turns, shared, peak, track, *_ = run.blocks
    assert per_call(TIME, turns, Arm.BASE) == pytest.approx([200e-6, 210e-6])
    assert per_call(TIME, turns, Arm.HEAD) == pytest.approx([2e-6, 1.9e-6])
    assert per_call(LONG, shared, Arm.BASE) == pytest.approx([0.15, 0.16, 0.155]), "a value is one call already"
    assert per_call(PEAK, peak, Arm.HEAD) == [17_000_448.0]
    assert per_call(TRACK, track, Arm.HEAD) == [12.5]


def test_the_table_has_a_row_for_every_scored_value(run: Run) -> None:
    table = frame(run)
    assert list(table.columns) == ["benchmark", "unit", "mode", "block", "cycle", "arm", "value"]
    assert len(table) == 4 + 4 + 4 + 2 + 2
    assert set(table["benchmark"]) == {TIME.key, LONG.key, PEAK.key, TRACK.key}, "neither calibrations nor failures"
    second = table[(table["benchmark"] == TIME.key) & (table["block"] == 1) & (table["arm"] == "head")]
    assert list(second["cycle"]) == [0, 1]
    assert list(second["value"]) == pytest.approx([2.4e-6, 2.5e-6])


def test_pyperf_reads_its_files_back(run: Run, tmp_path: Path) -> None:
    paths = export.write(run, "pyperf", tmp_path / "not" / "there yet")
    assert [path.name.rpartition("-")[2] for path in paths] == ["base.json", "head.json"]
    base, head = (pyperf.BenchmarkSuite.load(str(path)) for path in paths)
    assert base.get_benchmark_names() == head.get_benchmark_names() == [TIME.key, LONG.key, PEAK.key]
    timed = base.get_benchmark(TIME.key)
    assert timed.get_nrun() == 2
    assert timed.get_values() == pytest.approx([200e-6, 210e-6, 220e-6, 230e-6])
    assert timed.get_metadata()["python_executable"] == str(run.manifest.base.executable)
    assert [one.get_unit() for one in head] == ["second", "second", "byte"]
    assert timed.get_runs()[0].get_loops() == 10 and head.get_benchmark(TIME.key).get_runs()[0].get_loops() == 1000


def test_the_tables_read_back_are_the_table(run: Run, tmp_path: Path) -> None:
    (csv,) = export.write(run, "csv", tmp_path)
    (parquet,) = export.write(run, "parquet", tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(csv), frame(run), check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), frame(run))


def test_what_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no format 'excel'; write --format pyperf, csv, parquet or asv"):
        export.write(run, "excel", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot write to"):
        export.write(run, "csv", tmp_path / "file")
    empty = Run(folder=run.folder, manifest=run.manifest, blocks=run.blocks[:1], torn=False)
    with pytest.raises(UsageError, match="no measured block yet"):
        both(empty)
    assert frame(empty).empty


@pytest.mark.parametrize(("place", "said"), [
    ("/home/me/benchmarks", "benchmarks"), ("/home/me/my benchmarks", "my benchmarks"), ("/x y/bm.py", "bm.py"),
    ("pyperformance:telco", "pyperformance:telco"), ("/x/bm.py --file /data/in.json", "bm.py --file /data/in.json"),
    ("'/x/my bm.py' --size 9", "'my bm.py' --size 9"), ("it's", "it's"), ("", ""),
])
def test_a_suite_is_named_without_its_folder_and_with_its_options(place: str, said: str) -> None:
    assert export._suite(place) == said


def test_both_arms_have_the_same_numbers_of_values(run: Run) -> None:
    """Their t tests take nothing else: see what pyperf's is, and pyperformance's, which is its copy."""
    base, head = both(run)
    shapes = [[(one.name, [len(process.values) for process in one.processes]) for one in arm.benchmarks]
              for arm in (base, head)]
    assert shapes[0] == shapes[1] == [(TIME.key, [2, 2]), (LONG.key, [1]), (PEAK.key, [1])]
    assert base.benchmarks[1].processes[0].values == (0.15,), "the slices that came first"
    assert base.metadata["performance_version"] == head.metadata["performance_version"]


def test_a_zero_takes_the_value_of_the_other_arm_with_it(run: Run) -> None:
    blocks = tuple(block(TRACK.key, number, settings=ONE, base=(number % 2,), head=(3.0,)) for number in range(6))
    base, head = both(replace(run, blocks=blocks))
    assert [len(arm.benchmarks[0].processes) for arm in (base, head)] == [1, 1], "what is left repeats itself"
    varied = tuple(block(TRACK.key, number, settings=ONE, base=(number,), head=(3.0,)) for number in range(6))
    base, head = both(replace(run, blocks=varied))
    assert [len(arm.benchmarks[0].processes) for arm in (base, head)] == [5, 5]


def test_what_repeats_itself_to_the_digit_is_one_number(run: Run) -> None:
    """The tests of pyperf and pyperformance divide by the spread."""
    blocks = tuple(block(PEAK.key, number, settings=ONE, base=(4096,), head=(8192,)) for number in range(6))
    base, head = both(replace(run, blocks=blocks))
    assert [arm.benchmarks[0].processes[0].values for arm in (base, head)] == [(4096.0,), (8192.0,)]
    assert len(base.benchmarks[0].processes) == 1
    moved = (*blocks[:5], block(PEAK.key, 5, settings=ONE, base=(4096,), head=(8193,)))
    assert [len(arm.benchmarks[0].processes) for arm in both(replace(run, blocks=moved))] == [6, 6]


def test_pyperfs_own_test_takes_what_is_exported(run: Run, tmp_path: Path) -> None:
    base, head = (pyperf.BenchmarkSuite.load(str(path)) for path in export.write(run, "pyperf", tmp_path))
    ours, theirs = base.get_benchmark(TIME.key).get_values(), head.get_benchmark(TIME.key).get_values()
    assert is_significant(ours, theirs)[0]
