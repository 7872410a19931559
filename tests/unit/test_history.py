"""All runs as one table: what is kept is what would be read anew, and what cannot be read is said."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_rows import dump
from made_runs import arm, make_run, make_runs, some_benchmarks, spoil
from samples import benchmark

from runner.errors import MachineError
from runner.history import runs as history
from runner.history.runs import History
from runner.judging import compare
from runner.judging.report import Report
from runner.model import Arm, Cause, Commit, Failure, Installed, Purpose, Role, Verdict
from runner.stats.decide import LAYOUTS, LOOKS, by_layout
from runner.stats.paired import trimmed
from runner.storage import index, store


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make_runs(tmp_path / "runs", 4, 10)
    return tmp_path / "runs"


def read(runs: Path, **options: object) -> History:
    return history.read(runs, runs.parent / "index", **options)  # type: ignore[arg-type]


def entries(file: Path) -> list[str]:
    with index.opened(file) as connection:
        return index.entries(connection)


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


def test_what_was_known_before_is_not_read_again(runs: Path) -> None:
    before = read(runs).runs
    place = runs.parent / "index"
    for gone in before[1:3]:
        shutil.rmtree(runs / gone.id)
    make_run(runs, 2, some_benchmarks(9))  # another one of the same name
    late, early = make_run(runs, 7, some_benchmarks(10)).name, make_run(runs, 8, some_benchmarks(2), created=1e9).name
    read(runs)
    found = history.indexed(place, before)
    assert found == history.indexed(place)
    assert [entry.id for entry in found.runs] == [early, before[0].id, before[2].id, before[3].id, late]
    assert [entry for entry in found.runs if any(entry is one for one in before)] == [before[0], before[3]]
    with index.opened(place) as connection, index.writing(connection):
        connection.execute("UPDATE runs SET entry = 'none' WHERE id = ?", (before[0].id,))
    assert history.indexed(place, before) == found
    with pytest.raises(MachineError, match="holds a run that cannot be read"):
        history.indexed(place)


def test_what_is_only_visited_is_not_written_again(runs: Path) -> None:
    """Whoever writes keeps others who do from it."""
    def numbers() -> list[object]:
        with index.opened(runs.parent / "index") as connection:
            return connection.execute("SELECT id, number FROM runs ORDER BY id").fetchall()

    entries = read(runs).runs
    before, met = numbers(), list[str]()
    found = read(runs, visit=lambda report: met.append(report.run), visited={entries[0].id: entries[0].stamp})
    assert met == list(found.fresh) == [entry.id for entry in entries[1:]]
    assert numbers() == before
    make_run(runs, 7, some_benchmarks(10))
    assert len(read(runs, visit=lambda report: None).fresh) == 5
    assert numbers()[:-1] == before and len(numbers()) == 5


def test_what_is_kept_is_what_would_be_read_anew(runs: Path) -> None:
    first = read(runs)
    again = read(runs)
    assert again.fresh == () and again.runs == first.runs
    pd.testing.assert_frame_equal(again.rows, first.rows)
    make_run(runs, 7, some_benchmarks(10))
    more = read(runs)
    assert len(more.fresh) == 1 and len(more.runs) == 5
    index.discard(runs.parent / "index")
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
    rule = shutil.copytree(here / "stats", tmp_path / "stats", ignore=shutil.ignore_patterns("__pycache__"))
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
    stamps = {entry.id: entry.stamp for entry in read(runs).runs}
    read(runs, visit=visit, visited={name: stamps[name] for name in names[1:]})
    assert seen[4:] == names[:1]
    blocks = runs / names[2] / store.BLOCKS
    blocks.write_bytes(b"".join(blocks.read_bytes().splitlines(keepends=True)[:-1]))
    assert read(runs).fresh == (names[2],), "somebody else has brought the index up to date"
    read(runs, visit=visit, visited=stamps)
    assert seen[5:] == [names[2]]


def test_many_runs_are_read_by_several_processes(tmp_path: Path) -> None:
    make_runs(tmp_path / "runs", history.ALONE + 2, 3)
    found = read(tmp_path / "runs")
    places = sorted((tmp_path / "runs").iterdir())
    rule = history._rule()
    alone = [history._one(None, (place, history._stamp(place, rule) or "")) for place in places]
    assert len(found.runs) == history.ALONE + 2
    assert [one[0].entry for one in alone if isinstance(one, tuple)] == entries(tmp_path / "index")


COMMIT = Commit(hash="c0ffee" * 6 + "cafe", date=1.65e9, subject="Make it faster", repository="~/cpython",
                branch="main", position=120_000)
ROLE = Role(watch="main", configuration="pgo&lto", purpose=Purpose.ANCHOR, night="20231120T000000Z-main-c0ffee")


def test_rows_say_which_commit_and_what_for(runs: Path) -> None:
    place = make_run(runs, 9, some_benchmarks(2), head=replace(arm("git:cpython@main"), commit=COMMIT), role=ROLE)
    found = read(runs)
    own, others = found.of_runs([place.name]), found.of_runs([entry.id for entry in found.runs[:-1]])
    said = own[["commit", "date", "subject", "branch", "position", "watch", "configuration", "purpose"]]
    assert said.to_numpy().tolist() == [
        [COMMIT.hash, 1.65e9, "Make it faster", "main", 120_000, "main", "pgo&lto", "anchor"]] * 2
    assert found.runs[-1].role == ROLE and found.runs[-1].head.commit == COMMIT
    assert (others[["commit", "subject", "branch", "watch", "configuration", "purpose"]] == "").all(axis=None)
    assert others[["date", "position"]].isna().all(axis=None) and found.runs[0].role is None


def test_a_commit_that_was_installed_is_a_commit(runs: Path) -> None:
    installed = Installed(project="p", commit="ab" * 20, name="main", configuration=Path("/p/asv.conf.json"),
                          environment="virtualenv", python="3.12", requirements={})
    place = make_run(runs, 9, some_benchmarks(1), head=replace(arm("p@abab"), installed=installed))
    assert read(runs).of_runs([place.name])["commit"].tolist() == ["ab" * 20]


def test_a_row_has_an_estimate_that_stopping_has_not_picked(runs: Path) -> None:
    many = make_run(runs, 8, some_benchmarks(2), blocks=LOOKS[0])
    found = read(runs)
    report = compare.report(store.read(many))
    for (_, row), one in zip(found.of_runs([many.name]).iterrows(), report.comparisons, strict=True):
        estimate = trimmed(one.log_ratios)
        assert (row["log_ratio"], row["se"], row["counted"]) == (estimate.mean, estimate.se, LOOKS[0])
    spoil(many, {some_benchmarks(2)[0].key: Failure(reason="no", arm=None)})
    failed, good = (row for _, row in read(runs).of_runs([many.name]).iterrows())
    assert np.isnan(failed["log_ratio"]) and failed["counted"] == 0 and good["counted"] == LOOKS[0]


def test_a_row_of_blocks_that_share_layouts_has_one_value_for_each_of_these(runs: Path) -> None:
    place = make_run(runs, 8, some_benchmarks(2), scope="source", repeats=2, blocks=LOOKS[0])
    found = read(runs)
    report = compare.report(store.read(place))
    for (_, row), one in zip(found.of_runs([place.name]).iterrows(), report.comparisons, strict=True):
        estimate = by_layout(one.log_ratios, 3)
        assert (row["log_ratio"], row["se"], row["counted"]) == (estimate.mean, estimate.se, LOOKS[0])
    assert [entry.layouts for entry in found.runs] == [LAYOUTS] * 4 + [3]


def test_what_is_asked_for_is_what_all_rows_hold(runs: Path) -> None:
    found = read(runs)
    rows, ids = found.rows, [entry.id for entry in found.runs[1:3]]

    def expected(chosen: pd.Series[bool]) -> pd.DataFrame:
        return rows[chosen].reset_index(drop=True)

    key = some_benchmarks(4)[3].key
    pd.testing.assert_frame_equal(found.of_benchmark(key), expected(rows["key"] == key))
    pd.testing.assert_frame_equal(found.of_runs(ids), expected(rows["run"].isin(ids)))
    changed = rows["run"].isin(ids) & rows["verdict"].isin(["faster", "slower"])
    pd.testing.assert_frame_equal(found.changed(ids), expected(changed))
    assert len(found.changed(ids)) == 1
    assert list(found.of_benchmark("none").columns) == list(history.ROW) and found.of_benchmark("none").empty
    assert [(one.key, one.points, one.last) for one in found.benchmarks] == sorted(
        (one.key, 4, found.runs[-1].id) for one in some_benchmarks(10))
    make_run(runs, 9, some_benchmarks(1))
    read(runs)
    pd.testing.assert_frame_equal(found.rows, rows)  # as it was when it was read


def test_what_is_no_point_of_a_series_goes_behind_what_is(runs: Path) -> None:
    make_run(runs, 8, some_benchmarks(1), role=replace(ROLE, purpose=Purpose.CONFIRM))
    lone = make_run(runs, 9, [benchmark("alone.time_it")], role=replace(ROLE, purpose=Purpose.CONFIRM))
    found = read(runs)
    last = {one.key: (one.points, one.last) for one in found.benchmarks}
    key = some_benchmarks(1)[0].key
    assert last[key] == (5, found.runs[3].id) and last["alone.time_it"] == (1, lone.name)
    assert len(found.of_benchmark(key)) == 5 and len(found.of_benchmark(key, points=True)) == 4
    assert len(found.of_benchmark("alone.time_it", points=True)) == 1


def test_the_newest_of_a_watch_is_one_run_and_of_a_pair_too(runs: Path) -> None:
    for number in range(20, 24):
        make_run(runs, number, some_benchmarks(1), role=ROLE)
    make_run(runs, 30, some_benchmarks(1), role=replace(ROLE, purpose=Purpose.PREVIOUS))
    make_run(runs, 31, some_benchmarks(1), head=arm("night-2"))
    found = read(runs)
    assert [entry.id[-6:] for entry in found.newest()] == [
        f"{number:06x}" for number in (31, 30, 23, 3, 1, 0)]


def test_a_nul_is_no_text_of_an_index(runs: Path) -> None:
    named = make_run(runs, 9, [benchmark("work.time_it", params={"size": "a\0b"})])
    failed = make_run(runs, 10, some_benchmarks(2))
    spoil(failed, {some_benchmarks(1)[0].key: Failure(reason="raised ValueError: a\0b", arm=Arm.HEAD)})
    found = read(runs)
    assert [problem for problem in found.problems if "NUL" in problem and problem.startswith(named.name)]
    assert len(found.runs) == 5 and named.name not in {entry.id for entry in found.runs}
    assert found.of_runs([failed.name])["reason"].iloc[0] == "raised ValueError: a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(("what", "why"), [
    ({"benchmarks": [benchmark("work.time_it", params={"size": "".join(map(chr, range(0x4E00, 0x4E00 + 700)))})]},
     "more than 2000 bytes"),
    ({"role": replace(ROLE, watch="".join(map(chr, range(0x4E00, 0x4E00 + 700))))}, "more than 2000 bytes"),
    ({"head": replace(arm("x"), commit=Commit(
        hash="1a" * 20, date=1.7e9, subject="s", repository="r", position=2**31))}, "one of its numbers"),
])
def test_what_one_kind_of_index_cannot_keep_none_keeps(runs: Path, what: dict[str, Any], why: str) -> None:
    """PostgreSQL's have rows of 2,704 bytes and numbers of 32 bits: one run would keep all others out of the index."""
    strange = make_run(runs, 9, what.pop("benchmarks", some_benchmarks(1)), **what)
    found = read(runs)
    assert [problem for problem in found.problems if why in problem and problem.startswith(strange.name)]
    assert len(found.runs) == 4


def test_an_index_made_anew_is_the_same_whatever_was_there(runs: Path) -> None:
    file = runs.parent / "index"
    read(runs)
    make_run(runs, 9, some_benchmarks(4), role=ROLE)
    shutil.rmtree(min(runs.iterdir()))
    read(runs)
    grown = dump(file)
    done = history.reindex(runs, file)
    assert dump(file) == grown and len(done.fresh) == 4 and done.gone == ()
    file.write_bytes(b"no index" * 1000)
    with pytest.raises(MachineError, match="damaged"):
        read(runs)
    history.reindex(runs, file)
    assert dump(file) == grown
    history.reindex(runs, runs.parent / "elsewhere" / "index")
    assert dump(runs.parent / "elsewhere" / "index") == grown


def test_a_stop_in_the_middle_loses_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "TOGETHER", 1)
    monkeypatch.setattr(history, "ALONE", 100)
    one, seen = history._one, []

    def stops(*what: object) -> object:
        seen.append(what)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return one(*what)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(history, "_one", stops)
        with pytest.raises(KeyboardInterrupt):
            read(runs)
    found = read(runs)
    assert len(found.fresh) == 2 and len(found.runs) == 4


def test_what_one_interpreter_lacks_has_its_version_all_the_same(runs: Path) -> None:
    """Else it would seem to be another benchmark where both have it again."""
    there, missing = some_benchmarks(2)
    run = make_run(runs, 20, [there], missing=(store.Missing(benchmark=missing, present=Arm.BASE),))
    rows = read(runs).rows
    assert set(rows[rows["run"] == run.name]["version"]) == {"1"}
