"""The file of a search, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_events import commit
from made_runs import MACHINE, arm, make_run, some_benchmarks
from samples import Quiet, manifest

from runner.cli.bisect import _exit_code
from runner.errors import UsageError
from runner.jobs import backfill
from runner.model import Commit, Role, Verdict
from runner.model import Purpose as Purpose_
from runner.report import bisect as report
from runner.storage import bisects, store
from runner.storage.bisects import Asked, Change, Duel, Finding, Purpose, Stored, Told

GOOD, BAD, CULPRIT = "a" * 40, "b" * 40, "c" * 40
ASKED = Asked(
    good="v1", bad="main", repository="/clones/some project", suite="/suite", pattern="json", configuration="pgo&lto",
    margin=0.01, budget=None, scope="auto", memory_limit=None, values="compare",
)
ENDS = Duel(purpose=Purpose.ENDS, base=GOOD, head=BAD, benchmarks=(), blocks=None, run="20250101T120000Z-ab12cd", told={
    "work.time_a": Told(word="slower", change=Change(ratio=1.05, low=1.04, high=1.06), left=9),
    "work.time_b": Told(word="same", change=Change(ratio=1.0, low=0.999, high=1.001), left=9),
    "work.time_c": Told(word="same", change=Change(ratio=1.0, low=0.999, high=1.001), left=9),
})
STEP = Duel(purpose=Purpose.STEP, base=GOOD, head=CULPRIT, benchmarks=("work.time_a",), blocks=6, told={
    "work.time_a": Told(word="bad", change=Change(ratio=1.051, low=1.04, high=1.062), left=1)})
COMMIT = Commit(hash=CULPRIT, date=1.7e9, subject="Do more \x1b[31mwork", repository="/clones/some project")
FOUND = Finding(
    benchmark="work.time_a", verdict=Verdict.SLOWER, whole=Change(ratio=1.05, low=1.04, high=1.06), commits=(COMMIT,),
    count=1, parent="d" * 40, change=Change(ratio=1.049, low=1.041, high=1.057),
)
SAME = Finding(benchmark="work.time_b", verdict=Verdict.SAME, reason="the ends are the same")


def stored(**changes: object) -> Stored:
    facts = {"id": "20250101T120000Z-000000", "created": 1.7e9, "asked": ASKED, "good": GOOD, "bad": BAD}
    return Stored(**(facts | changes))  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    some = stored(duels=(ENDS, STEP), findings=(FOUND, SAME))
    folder = bisects.create(tmp_path / "bisects", some)
    assert bisects.read(folder) == some
    bisects.write(folder, replace(some, duels=(ENDS,)))
    assert bisects.read(folder).duels == (ENDS,)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": "lockstep.bisect/9"}', '{"schema": "lockstep.bisect/1"}'])
def test_what_is_no_search_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / bisects.FILE).write_text(text)
    with pytest.raises(UsageError, match=str(tmp_path)):
        bisects.read(tmp_path)
    with pytest.raises(UsageError, match="is no search"):
        bisects.read(tmp_path / "nowhere")


def test_a_search_is_named_by_its_id_the_beginning_of_it_its_folder_or_last(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the newest are: none yet"):
        bisects.find(tmp_path, "last")
    first, second = (bisects.create(tmp_path, stored(id=f"2025010{n}T120000Z-000000")) for n in (1, 2))
    assert bisects.find(tmp_path, "last") == second
    assert bisects.find(tmp_path, "20250101") == first
    assert bisects.find(tmp_path, str(first)) == first
    with pytest.raises(UsageError, match="the beginning of 2 searches"):
        bisects.find(tmp_path, "2025")
    with pytest.raises(UsageError, match="there is no search 'x'"):
        bisects.find(tmp_path, "x")


def test_the_run_of_an_interrupted_duel_is_found_and_no_other(tmp_path: Path) -> None:
    some = stored(duels=(replace(ENDS, run="20250101T120000Z-000001"),))
    folder = bisects.create(tmp_path, some)
    for number, duel in enumerate((ENDS, STEP), start=1):
        store.create(folder / bisects.RUNS, manifest(
            id=f"20250101T120000Z-00000{number}", labels=dict(bisects.labels(duel))))
    found = bisects.unfinished(folder, some, STEP)
    assert found is not None
    assert found.name == "20250101T120000Z-000002"
    assert bisects.unfinished(folder, some, ENDS) is None
    assert bisects.unfinished(folder, some, replace(STEP, blocks=18)) is None
    bisects.discard(folder)
    assert folder.is_dir()


def test_a_search_in_which_nothing_was_measured_can_be_discarded(tmp_path: Path) -> None:
    folder = bisects.create(tmp_path, stored())
    bisects.discard(folder)
    assert not folder.exists()


def test_steps_in_words() -> None:
    assert list(report.lines(ENDS)) == [
        "bbbbbbbbbbbb against aaaaaaaaaaaa: work.time_a: 1.050 [1.040, 1.060], slower",
        "bbbbbbbbbbbb against aaaaaaaaaaaa: and 2 same",
    ]
    assert list(report.lines(STEP, "Do more")) == [
        "cccccccccccc (Do more): work.time_a: 1.051 [1.040, 1.062], bad; 1 commit left"]
    assert list(report.lines(replace(STEP, told={}, trouble="it does not build"))) == [
        "cccccccccccc: passed over: it does not build"]
    hung = Told(word="bad", change=Change(ratio=None, low=None, high=None), reason="does not end within its time limit",
                left=2)
    assert list(report.lines(replace(STEP, told={"work.time_a": hung}))) == [
        "cccccccccccc: work.time_a: no ratio, does not end within its time limit, bad; 2 commits left"]


def test_what_was_found_in_words() -> None:
    said = report.render(stored(duels=(ENDS, STEP), findings=(FOUND, SAME)), width=140)
    assert said.splitlines() == [
        "cccccccccccc 2023-11-14 Do more \N{REPLACEMENT CHARACTER}[31mwork",
        "  work.time_a: slower, 1.049 [1.041, 1.057] against its parent dddddddddddd, "
        "1.050 [1.040, 1.060] over the whole range",
        "  git -C '/clones/some project' show cccccccccccc",
        "work.time_b: the ends are the same",
    ]
    ranged = replace(FOUND, commits=(replace(COMMIT, hash=GOOD), COMMIT), count=7, change=None, reason="no build")
    said = report.render(stored(findings=(ranged,)), width=140)
    assert "by one of 7 commits" in said
    assert "not in one: no build" in said
    assert "… 5 before these" in said
    many = tuple(replace(SAME, benchmark=f"work.time_{n}") for n in range(20))
    assert "20 benchmarks were not searched for: 20 same" in report.render(stored(findings=many))
    assert "work.time_17" in report.render(stored(findings=many), verbose=True)
    assert "no benchmark" in report.render(stored(findings=()))


@pytest.mark.parametrize(("findings", "strict", "code"), [
    ((FOUND, SAME), False, 1), ((SAME,), True, 0), ((replace(FOUND, verdict=Verdict.FASTER),), True, 0),
    ((replace(FOUND, count=3),), True, 1), ((replace(FOUND, verdict=Verdict.FASTER, count=3),), True, 3),
    ((replace(SAME, verdict=Verdict.UNDECIDED),), True, 3), ((replace(SAME, verdict=Verdict.UNDECIDED),), False, 0),
    ((replace(SAME, verdict=Verdict.SLOWER),), False, 0), ((), True, 0),
])
def test_exit_codes(findings: tuple[Finding, ...], strict: bool, code: int) -> None:
    assert _exit_code(stored(findings=findings), strict=strict) == code


def test_two_commits_or_a_search_to_go_on_with_are_needed(lockstep: Callable[..., tuple[int, str, str]]) -> None:
    for words in (["bisect"], ["bisect", "v1"]):
        code, _, error = lockstep(*words)
        assert code == 2
        assert "two commits are needed" in error
    code, _, error = lockstep("bisect", "v1", "v2", "--resume", "last")
    assert code == 2
    assert "leave out GOOD and BAD" in error
    code, _, error = lockstep("bisect", "--resume", "last", "--budget", "1m", "-b", "json")
    assert code == 2
    assert "goes on with a search as it was begun; leave out -b and --budget." in error
    code, _, error = lockstep("bisect", "--resume", "last")
    assert code == 2
    assert "there is no search" in error
    code, _, error = lockstep("bisect", "v1", "v2", "--scope", "x")
    assert code == 2
    assert "--scope x" in error


def test_a_filling_takes_numbers_that_mean_something(lockstep: Callable[..., tuple[int, str, str]]) -> None:
    words = ("backfill", "a..b", "--anchor", "cpython@3.13.5", "--watch", "main")
    wrong = (("--every", 0, "1 or more"), ("--blocks", 5, "6 to 160"), ("--blocks", 161, "6 to 160"))
    for option, number, said in wrong:
        code, _, error = lockstep(*words, option, number)
        assert code == 2
        assert said in error


def test_what_a_history_has_is_found_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what is of another watch, anchor or machine, or of older code. Of two runs of one commit the newer one."""
    monkeypatch.setattr(backfill.machine, "describe", lambda: MACHINE)
    suite, role = some_benchmarks(2), Role(watch="main", configuration="pgo", purpose=Purpose_.BACKFILL)
    changes: list[dict[str, Any]] = [
        {}, {}, {"role": replace(role, purpose=Purpose_.ANCHOR)}, {"role": replace(role, purpose=Purpose_.PREVIOUS)},
        {"role": replace(role, watch="other")}, {"role": replace(role, configuration="")}, {"base": arm("another")},
        {"suite": "/other"}, {"role": None}, {"head": arm("night")}, {},
        {"machine": MACHINE | {"fingerprint": "f" * 16}}, {},
    ]
    older = [replace(suite[0], version="0"), suite[1]]
    made = [
        make_run(tmp_path / "runs", number, {10: suite[:1], 12: older}.get(number, suite), **{
            "role": role, "head": replace(arm("night"), commit=commit(max(number, 1))), "suite": "/suite", **own})
        for number, own in enumerate(changes)
    ]
    request = backfill.BackfillRequest(
        range="a..b", anchor="anchor", watch="main", configuration="pgo", out=tmp_path / "runs")
    session = backfill._Session(request, tmp_path, "/suite", arm("anchor"), Quiet())
    wanted = {(one.key, one.version) for one in suite}
    assert session._known(wanted) == {commit(1).hash: made[1], commit(2).hash: made[2]}
    assert session._known({(suite[0].key, suite[0].version)})[commit(10).hash] == made[10]
    assert session._known({(suite[1].key, suite[1].version)})[commit(12).hash] == made[12]
    assert backfill._Session(request, tmp_path, "/nowhere", arm("anchor"), Quiet())._known(wanted) == {}
