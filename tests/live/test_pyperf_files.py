"""Result files with the real pyperf: what it measures is read, what is exported it compares, and both are told."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import LOCKSTEP, TIME_LIMIT

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_files import results, written
from samples import benchmark, block, manifest

from runner.model import Arm, Metric, Mode, Settings
from runner.storage import export, pyperf_json, pyperf_says, store

SHARED = Settings(mode=Mode.SHARED, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=6, window=0.5, warmup=1)
ONE = Settings(mode=Mode.ADJACENT, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=1, window=0.0, warmup=0)
SUITE = {f"bench{number}": 1e-3 for number in range(4)}


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=TIME_LIMIT, check=False)


def pyperf(*words: object) -> str:
    done = run(sys.executable, "-m", "pyperf", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of pyperf's own, of one interpreter: two benchmarks, the second with twenty times the work in head."""
    folder = tmp_path_factory.mktemp("measured")
    files = folder / "base.json", folder / "head.json.gz"
    for file, count in zip(files, (200, 4000), strict=True):
        for name, statement in (("same", "sum(range(200))"), ("more", f"sum(range({count}))")):
            pyperf("timeit", "-q", "--copy-env", "-p", 5, "-n", 2, "-w", 1, "-l", 200, "--name", name,
                   "--append", folder / f"{file.name.split('.')[0]}.json", statement)
    plain = folder / "head.json"
    pyperf("convert", plain, "-o", files[1])
    return files


def test_files_of_pyperf_are_compared_beside_what_it_says(measured: tuple[Path, Path]) -> None:
    done = run(LOCKSTEP, "compare", *measured, "--json", "-", "--margin", "90%")
    content = json.loads(done.stdout)
    lines = {one["name"]: one for one in content["benchmarks"]}
    assert list(lines) == ["same", "more"] and not content["paired"]
    assert [one["replicates"] for one in lines.values()] == [5, 5]
    assert all(one["pyperf"]["change"] for one in lines.values())
    assert lines["more"]["ratio"] > 1.2 and lines["more"]["pyperf"]["change"].endswith("slower")
    assert content["base"]["metadata"]["python_version"] and content["base"]["files"][0]["name"] == "base.json"
    assert done.returncode == (1 if lines["more"]["verdict"] == "slower" else 0)
    assert "pyperf's" in done.stderr and "Not paired" in done.stderr, "text goes aside"


def test_files_of_pyperf_are_imported(measured: tuple[Path, Path], tmp_path: Path) -> None:
    for file, build in zip(measured, ("one", "other"), strict=True):
        done = run(LOCKSTEP, "import", file, "--build", build, "--out", tmp_path)
        assert done.returncode == 0, done.stderr
    assert "imported other on" in done.stdout and "more" in done.stdout
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_it_answers_for_each_benchmark_whatever_the_files_say_of_machines(tmp_path: Path) -> None:
    """Several files of a side, of hosts that differ, with numbers of values that do; one benchmark, and many."""
    base = [results(SUITE, seed=1), results(SUITE, seed=2, metadata={"hostname": "other"})]
    head = [results({**SUITE, "bench1": 2e-3}, seed=3), results(SUITE, seed=4, processes=7)]
    said = pyperf_says.compare_to(base[:1], head[:1])
    assert set(said) == set(SUITE) and said["bench1"].change == "2.00x slower" and said["bench1"].significant is True
    assert any(one.significant is False for one in said.values())
    said = pyperf_says.compare_to(base, head)
    assert {one.significant for one in said.values()} == {None}, "it takes equal numbers alone"
    alone = pyperf_says.compare_to([results({"µ: a -> b": 1.0}, seed=5)], [results({"µ: a -> b": 2.0}, seed=6)])
    assert alone["µ: a -> b"].change == "2.00x slower" and alone["µ: a -> b"].significant is True
    assert pyperf_says.compare_to(base, [results({"none": 1.0}, seed=7)]) == {}


def test_three_files_of_each_side_count_as_three_values(tmp_path: Path) -> None:
    sides = [[written(tmp_path / f"{seed}.json", results(SUITE, seed=seed, session=0.03 * (seed % 3)))
              for seed in seeds] for seeds in ((1, 2, 3), (4, 5, 6))]
    done = run(LOCKSTEP, "compare", *(",".join(map(str, side)) for side in sides), "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "A file counts as one value" in said and "slower in 0" in said
    done = run(LOCKSTEP, "compare", sides[0][0], sides[1][1])
    assert done.returncode == 1 and "A process counts as one value" in " ".join(done.stdout.split())


@pytest.fixture
def exported(tmp_path: Path) -> list[Path]:
    """A run with all that exports used to stumble over: one arm with more values, zeros, and counts that never vary."""
    turns, shared = benchmark("work.time_turns"), benchmark("work.time_shared")
    peak, track = benchmark("work.peakmem_it", Metric.PEAK_MEMORY), benchmark("work.track_it", Metric.TRACK, unit="n")
    folder = store.create(tmp_path / "runs", manifest([turns, shared, peak, track]))
    with store.appending(folder) as append:
        for number in range(6):
            step = 1000 * number
            append(block(turns.key, number, base=(2_000_000 + step, 2_010_000), head=(2_200_000 - step, 2_190_000)))
            longer = 150_000_000, 151_000_000 + step, 150_500_000
            append(block(shared.key, number, settings=SHARED, order="", base=longer, head=(149_000_000 + step,)))
            append(block(peak.key, number, settings=ONE, order="", base=(34_000_896,), head=(17_000_448,)))
            append(block(track.key, number, settings=ONE, order="", base=(number,), head=(5.5,)))
    return export.write(store.read(folder), "pyperf", tmp_path / "out")


def test_pyperf_and_pyperformance_read_what_is_exported(exported: list[Path]) -> None:
    for words in (("compare_to", "-v"), ("compare_to", "--table"), ("hist",), ("stats",), ("show",), ("dump",)):
        assert "work.time_turns" in pyperf(*words, *(exported if words[0] in ("compare_to", "hist") else exported[:1]))
    text = pyperf("compare_to", "-v", *exported)
    names = [one.name for one in pyperf_json.read(exported[0]).benchmarks]
    said = pyperf_says.read(text, names)
    assert set(said) == set(names) and len(names) == 4
    assert {name for name, one in said.items() if one.significant is None} == {"work.peakmem_it"}, "nothing to test"
    if importlib.util.find_spec("pyperformance") is None:
        pytest.skip("pyperformance is not installed")
    for style in ("normal", "table"):
        done = run(sys.executable, "-m", "pyperformance", "compare", "-O", style, *exported)
        assert done.returncode == 0 and "ERROR" not in done.stdout, done.stdout + done.stderr
        assert "work.time_turns" in done.stdout and "Significant" in done.stdout


def test_what_is_exported_can_be_compared_and_imported(exported: list[Path], tmp_path: Path) -> None:
    done = run(LOCKSTEP, "compare", *exported, "--json", "-")
    content = json.loads(done.stdout)
    lines = {one["name"]: one for one in content["benchmarks"]}
    assert lines["work.time_turns"]["verdict"] == "slower" and done.returncode == 1
    assert lines["work.peakmem_it"]["state"] == "not reached", "one number, of which nobody knows how it varies"
    done = run(LOCKSTEP, "import", exported[0], "--out", tmp_path / "imports")
    assert done.returncode == 0 and "the first of its series" in done.stdout
