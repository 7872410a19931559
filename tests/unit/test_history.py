"""All runs as one table: what is kept is what would be read anew, and what cannot be read is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_runs import make_run, make_runs, some_benchmarks, spoil
from samples import benchmark

from runner.history import runs as history
from runner.history.runs import History
from runner.judging.report import Report
from runner.model import Arm, Cause, Failure, Verdict
from runner.storage import store


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make_runs(tmp_path / "runs", 4, 10)
    return tmp_path / "runs"


def read(runs: Path, **options: object) -> History:
    return history.read(runs, runs.parent / "cache", **options)  # type: ignore[arg-type]


def test_every_run_has_a_row_for_every_benchmark(runs: Path) -> None:
    found = read(runs)
    assert [entry.head.spec for entry in found.runs] == [f"night-{number}" for number in range(4)]
    assert found.problems == () and len(found.fresh) == 4
    assert list(found.rows.columns) == list(history.ROW)
    assert found.rows.groupby("run", sort=False).size().tolist() == [10] * 4
    slower = found.rows[found.rows["verdict"] == Verdict.SLOWER.value]
    assert [(row["run"], row["key"]) for _, row in slower.iterrows()] == [
        (entry.id, "work.Case0.time_it(size=1KiB)") for entry in found.runs[2:]]
    assert found.runs[3].counts["slower"] == 1 and found.runs[3].counts["same"] == 9
    assert found.runs[0].mean is not None and abs(found.runs[0].mean[0] - 1) < 0.002


def test_states_are_told_apart(runs: Path) -> None:
    place = make_run(runs, 9, some_benchmarks(4), missing=(store.Missing(benchmark=benchmark(), present=Arm.BASE),))
    first, second, third = (one.key for one in some_benchmarks(3))
    skip = Failure(reason="not here", arm=None, cause=Cause.SKIPPED)
    spoil(place, {first: skip, second: replace(skip, arm=Arm.BASE), third: 2})
    found = read(runs)
    own = found.rows[found.rows["run"] == place.name]
    assert list(zip(own["verdict"], own["reason"], strict=True)) == [
        ("skipped", "not here"), ("only in head", "not here"), ("not reached", ""), ("same", ""), ("only in base", "")]
    counts = found.runs[-1].counts
    assert {state: count for state, count in counts.items() if count} == dict.fromkeys(own["verdict"], 1)
    assert counts["undecided"] == 0


def test_what_is_kept_is_what_would_be_read_anew(runs: Path) -> None:
    first = read(runs)
    again = read(runs)
    assert again.fresh == () and again.runs == first.runs
    pd.testing.assert_frame_equal(again.rows, first.rows)
    make_run(runs, 7, some_benchmarks(10))
    more = read(runs)
    assert len(more.fresh) == 1 and len(more.runs) == 5
    shutil.rmtree(runs.parent / "cache")
    anew = read(runs)
    assert len(anew.fresh) == 5 and anew.runs == more.runs
    pd.testing.assert_frame_equal(anew.rows, more.rows)


def test_a_run_that_went_on_is_read_again_and_one_that_is_gone_is_forgotten(runs: Path) -> None:
    read(runs)
    places = sorted(runs.iterdir())
    blocks = places[1] / store.BLOCKS
    lines = blocks.read_text().splitlines(keepends=True)
    blocks.write_text("".join(lines[:-1]))
    shutil.rmtree(places[0])
    found = read(runs)
    assert found.fresh == (places[1].name,) and len(found.runs) == 3
    assert not found.runs[0].complete
    assert set(found.rows["run"]) == {place.name for place in places[1:]}
    with blocks.open("a") as stream:
        stream.write(lines[-1])
    again = read(runs)
    assert again.fresh == (places[1].name,) and again.runs[0].complete


def test_other_code_of_the_rule_or_its_words_reads_everything_anew(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path(history.__file__).parents[1]
    for place in ("stats/decide.py", "stats/blocks.py", "judging/compare.py", "judging/guards.py", "storage/store.py"):
        assert any(here / place == one or here / place in one.glob("*.py") for one in history.RULE), place
    rule = shutil.copytree(here / "stats", tmp_path / "stats")
    monkeypatch.setattr(history, "RULE", (rule, *history.RULE[1:]))
    read(runs)
    assert read(runs).fresh == ()
    code = (rule / "blocks.py").read_text()
    (rule / "blocks.py").write_text(code.replace("has no counted value", "counted nothing"))
    assert len(read(runs).fresh) == 4


def test_what_cannot_be_read_is_named_and_the_rest_is_there(runs: Path) -> None:
    first, second, third, _ = sorted(runs.iterdir())
    (first / store.MANIFEST).write_text("{")
    (second / store.BLOCKS).unlink()
    shutil.copytree(third, runs / "copy")
    (runs / "notes.txt").write_text("not a run")
    (runs / "empty").mkdir()
    found = read(runs)
    assert len(found.runs) == 2 and len(found.problems) == 4
    for name in (first.name, second.name, "copy", "empty"):
        assert any(problem.startswith(name) for problem in found.problems), name
    shutil.rmtree(runs.parent / "cache")
    (runs.parent / "cache").mkdir()
    (runs.parent / "cache" / "runs.json").write_text('{"version": 99}')
    assert len(read(runs).runs) == 2


def test_runs_of_a_larger_measurement_are_passed_over(runs: Path) -> None:
    make_run(runs, 9, some_benchmarks(2), labels={"kind": "a/a"})
    found = read(runs)
    assert len(found.runs) == 4 and found.problems == ()


def test_a_visit_is_paid_once_to_every_run(runs: Path) -> None:
    seen: list[str] = []

    def visit(report: Report) -> None:
        seen.append(report.run)

    names = sorted(place.name for place in runs.iterdir())
    read(runs, visit=visit)
    assert sorted(seen) == names
    read(runs, visit=visit, visited=names[1:])
    assert seen[4:] == names[:1]


def test_many_runs_are_read_by_several_processes(tmp_path: Path) -> None:
    make_runs(tmp_path / "runs", history.ALONE + 2, 3)
    found = read(tmp_path / "runs")
    told = json.loads((tmp_path / "cache" / "runs.json").read_text())
    assert len(found.runs) == len(told["runs"]) == history.ALONE + 2
    shutil.rmtree(tmp_path / "cache")
    places = sorted((tmp_path / "runs").iterdir())
    rule = history._rule()
    alone = [history._one(None, (place, history._stamp(place, rule) or "")) for place in places]
    assert [one[0] for one in alone if isinstance(one, tuple)] == list(found.runs)
