"""`lockstep combine` on real runs: two short ones of one comparison, and others that must be refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, Twins

SUITE = Path(__file__).parent / "faults"


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory, twins: Twins) -> Bench:
    """A bench with two runs of one comparison."""
    bench = Bench(folder=tmp_path_factory.mktemp("repeated"))
    for _ in range(2):
        done = bench.run("ab", *twins.pythons, "--suite", SUITE, "-b", "healthy.time_sum", "--margin", "30%")
        assert done.returncode == 0, done.stderr
    return bench


def test_two_runs_become_one_report(repeated: Bench) -> None:
    one, two = sorted(path.name for path in repeated.out.iterdir())
    target = repeated.folder / "combined.json"
    page, table = target.with_suffix(".html"), target.with_suffix(".md")
    done = repeated.run("combine", one, repeated.out / two, "-v", "--json", target, "--html", page, "--markdown", table)
    assert done.returncode == 0, done.stdout + done.stderr
    assert one in done.stdout and two in done.stdout and "Combined from 2 runs" in done.stdout
    report = json.loads(target.read_text())
    (row,) = report["benchmarks"]
    singles = [json.loads((repeated.out / name / "report.json").read_text())["benchmarks"][0] for name in (one, two)]
    assert row["verdict"] in ("same", "undecided")  # one benchmark in two runs: t has one degree of freedom
    assert row["blocks"] == sum(single["blocks"] for single in singles)
    low, high = sorted(single["ratio"] for single in singles)
    assert low <= row["ratio"] <= high
    assert report["warnings"][0]["kind"] == "combined"
    assert page.is_file() and table.is_file()


def test_what_cannot_be_combined_is_refused_in_words(
    repeated: Bench, finished: Bench, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    one, _ = sorted(path.name for path in repeated.out.iterdir())
    (other,) = finished.out.iterdir()
    for runs, message in (((one,), "one run is no repetition"), ((one, one), "was named 2 times"),
                          ((one, other), "different benchmarks: only the second has healthy.")):
        done = inside("combine", *runs, "--out", repeated.out)
        assert done.returncode == 2, done.stdout
        assert message in done.stderr
        assert "Traceback" not in done.stderr
