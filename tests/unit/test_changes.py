"""From histories to nominations, and from fresh runs to outcomes; runs that no process ever made."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from samples import benchmark, block, interpreter, manifest

from runner.errors import UsageError
from runner.history import changes
from runner.history.changes import Nomination
from runner.judging import compare
from runner.judging.report import Report
from runner.model import Arm, Commit, Interpreter, Verdict
from runner.stats.nominate import Kind
from runner.stats.paired import Array
from runner.storage import ledger, store

MARGIN = 0.01
NIGHTS = 30
SPREAD = 0.003
NUMBER = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    watch: str = "main"
    configuration: str = ""
    machine: str = "f"
    suite: str = "suite"
    benchmark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    key: Key
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two commits that are compared."""

    good: str
    bad: str


def commit(night: int) -> str:
    return f"{night:040d}"


def series(name: str, levels: Array, seed: int, **changes: str) -> Series:
    rng = np.random.default_rng(seed)
    nights = np.arange(levels.size)
    return Series(key=Key(benchmark=name, **changes), rows=pd.DataFrame({
        "commit": [commit(night) for night in nights], "position": 100 + nights.astype(float),
        "created": 1.8e9 + 86_400.0 * nights, "log_ratio": levels + rng.normal(0, SPREAD, levels.size),
        "se": np.full(levels.size, SPREAD), "counted": np.full(levels.size, 20), "shared": np.zeros(levels.size),
    }))


def stepped(night: int, size: float, nights: int = NIGHTS) -> Array:
    return np.where(np.arange(nights) >= night, math.log1p(size), 0.0)


def suite(steps: Mapping[str, Array], nights: int = NIGHTS) -> list[Series]:
    """Six benchmarks, of which some have levels of their own."""
    names = [f"work.time_{letter}" for letter in "abcdef"]
    return [series(name, steps.get(name, np.zeros(nights)), seed) for seed, name in enumerate(names)]


def arm(hash: str) -> Interpreter:
    return replace(interpreter(), commit=Commit(hash=hash, date=0.0, subject="s", repository="r"))


def report(
    folder: Path, nomination: Nomination | Pair, truths: Mapping[str, float], *, blocks: int = 80, **changes: object
) -> Report:
    """The report of a run of the nomination's commits, with the log ratios that `truths` say."""
    rng = np.random.default_rng(11)
    benchmarks = [benchmark(name) for name in truths]
    place = store.create(folder, manifest(benchmarks, **{
        "id": f"20270101T000000Z-{next(NUMBER):06x}", "base": arm(nomination.good), "head": arm(nomination.bad),
        "blocks": blocks, "created": 1.8e9 + 86_400 * 40, **changes}))
    with store.appending(place) as append:
        for index, (name, truth) in itertools.product(range(blocks), truths.items()):
            head = round(2e9 * math.exp(truth + rng.normal(0, 0.01)))
            append(block(name, index, base=(2_000_000_000,), head=(head,), order="b" if index % 2 else "h",
                         first=Arm.BASE if index % 2 else Arm.HEAD))
    return compare.report(store.read(place), with_noise=False)


def test_what_moves_at_one_commit_is_one_nomination(tmp_path: Path) -> None:
    found = changes.nominate(suite({"work.time_b": stepped(20, 0.03), "work.time_d": stepped(20, 0.02)}),
                             tmp_path / ledger.NAME, MARGIN)
    assert len(found) == 1
    assert (found[0].good, found[0].bad, found[0].positions) == (commit(19), commit(20), (119.0, 120.0))
    assert (found[0].kind, found[0].direction, found[0].newest) == (Kind.STEP, "slower", commit(29))
    assert {key for key, _, _ in found[0].benchmarks} == {"work.time_b", "work.time_d"}
    assert {one.key: one.size for one in found[0].benchmarks}["work.time_b"] == pytest.approx(0.03, abs=0.004)


def test_the_newest_night_is_asked(tmp_path: Path) -> None:
    found, = changes.nominate(suite({"work.time_a": stepped(29, -0.04)}), tmp_path / ledger.NAME, MARGIN)
    assert (found.kind, found.direction, found.good, found.bad) == (Kind.NEWEST, "faster", commit(28), commit(29))


def test_other_commits_and_other_directions_are_other_nominations(tmp_path: Path) -> None:
    found = changes.nominate(
        suite({"work.time_a": stepped(12, 0.03), "work.time_b": stepped(22, 0.03), "work.time_c": stepped(22, -0.03)}),
        tmp_path / ledger.NAME, MARGIN)
    assert {(one.bad, one.direction) for one in found} == {
        (commit(12), "slower"), (commit(22), "slower"), (commit(22), "faster")}
    assert len({one.id for one in found}) == 3
    # Each is a test of its own, and what comes later may spend less.
    assert [one.level for one in found] == sorted((one.level for one in found), reverse=True)


def test_a_quiet_suite_suggests_nothing(tmp_path: Path) -> None:
    assert changes.nominate(suite({}), tmp_path / ledger.NAME, MARGIN) == []


def test_the_same_history_gives_the_same_nomination(tmp_path: Path) -> None:
    again = [changes.nominate(suite({"work.time_a": stepped(20, 0.03)}), tmp_path / ledger.NAME, MARGIN)
             for _ in range(2)]
    assert again[0] == again[1]


def test_a_fresh_run_confirms_and_the_ledger_explains(tmp_path: Path) -> None:
    path, levels = tmp_path / ledger.NAME, {"work.time_a": stepped(29, 0.04)}
    nomination, = changes.nominate(suite(levels), path, MARGIN)
    fresh = report(tmp_path / "runs", nomination, {"work.time_a": math.log1p(0.04)})
    outcome = changes.judge(nomination, fresh, path)
    assert outcome.confirmed
    assert (outcome.acquitted, outcome.run, outcome.level) == ((), fresh.run, nomination.level)
    changed, = outcome.benchmarks
    assert 1 < changed.low < changed.ratio < changed.high
    assert changed.ratio == pytest.approx(1.04, abs=0.01)
    assert changed.p < outcome.level
    # The same once more, as after a kill.
    assert changes.judge(nomination, fresh, path) == outcome
    assert len(ledger.read(path)) == 1
    later = {"work.time_a": stepped(29, 0.04, 34)}
    assert changes.nominate(suite(later, 34), path, MARGIN) == []
    gone = {"work.time_a": stepped(29, 0.04, 34) - stepped(33, 0.04, 34)}
    back, = changes.nominate(suite(gone, 34), path, MARGIN)
    assert (back.good, back.bad, back.direction) == (commit(32), commit(33), "faster")


def test_what_fresh_blocks_deny_is_not_suggested_again(tmp_path: Path) -> None:
    path, levels = tmp_path / ledger.NAME, {"work.time_a": stepped(29, 0.04)}
    nomination, = changes.nominate(suite(levels), path, MARGIN)
    outcome = changes.judge(nomination, report(tmp_path / "runs", nomination, {"work.time_a": 0.0}), path)
    assert (outcome.confirmed, outcome.benchmarks, outcome.acquitted) == (False, (), ("work.time_a",))
    assert ledger.read(path)[0].suspects[0].said == "same"
    assert changes.nominate(suite(levels), path, MARGIN) == []


def test_what_could_not_be_measured_is_suggested_again_and_is_no_test(tmp_path: Path) -> None:
    path, levels = tmp_path / ledger.NAME, suite({"work.time_a": stepped(25, 0.03)})
    nomination, = changes.nominate(levels, path, MARGIN)
    changes.pass_over(nomination, "the build failed", path, 1.8e9)
    assert ledger.read(path)[0].outcome == "not measured"
    assert changes.nominate(levels, path, MARGIN) == [nomination]
    few = report(tmp_path / "runs", nomination, {"work.time_a": 0.03}, blocks=4)
    assert not changes.judge(nomination, few, path).confirmed
    assert changes.nominate(levels, path, MARGIN) == [nomination]


def test_each_year_and_each_place_is_a_stream_of_its_own(tmp_path: Path) -> None:
    path, levels = tmp_path / ledger.NAME, suite({"work.time_a": stepped(25, 0.03)})
    first, = changes.nominate(levels, path, MARGIN)
    entry = ledger.Entry(
        nomination="x", when=1.8e9, watch="main", configuration="", machine="f", suite="/other", kind="step",
        direction="slower", good="a", bad="b", positions=(1.0, 2.0), newest="c", p=1.0, level=1e-3,
        outcome="not confirmed", run="r", suspects=())
    ledger.append(path, replace(entry, nomination="y", machine="other"))
    ledger.append(path, replace(entry, nomination="z", when=1.7e9))
    assert changes.nominate(levels, path, MARGIN)[0].level == first.level
    ledger.append(path, entry)
    assert changes.nominate(levels, path, MARGIN)[0].level < first.level


def test_a_report_of_other_commits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ledger.NAME
    nomination, = changes.nominate(suite({"work.time_a": stepped(25, 0.03)}), path, MARGIN)
    other = report(tmp_path / "runs", nomination, {"work.time_a": 0.0}, blocks=8, base=arm("e" * 40))
    with pytest.raises(UsageError, match="has commit eeeeeeeeee as its base"):
        changes.judge(nomination, other, path)
    assert ledger.read(path) == ()


def test_a_run_that_was_interrupted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ledger.NAME
    nomination, = changes.nominate(suite({"work.time_a": stepped(25, 0.03)}), path, MARGIN)
    fresh = report(tmp_path / "runs", nomination, {"work.time_a": 0.0}, blocks=8)
    with pytest.raises(UsageError, match="lockstep resume"):
        changes.judge(nomination, replace(fresh, complete=False), path)


def test_no_change_lies_between_two_runs_of_one_commit(tmp_path: Path) -> None:
    rows = suite({"work.time_a": stepped(28, 0.05)})
    twice = rows[0].rows.copy()
    twice.loc[29, ["commit", "position"]] = twice.loc[28, ["commit", "position"]].to_numpy()
    rows[0] = Series(key=rows[0].key, rows=twice)
    rows[1:] = [Series(key=one.key, rows=one.rows.iloc[:29]) for one in rows[1:]]
    found, = changes.nominate(rows, tmp_path / ledger.NAME, MARGIN)
    assert (found.good, found.bad) == (commit(27), commit(28))


def test_where_positions_are_not_known_runs_are_in_the_order_of_their_time(tmp_path: Path) -> None:
    rows = [Series(key=one.key, rows=one.rows.assign(position=np.nan))
            for one in suite({"work.time_a": stepped(20, 0.04)})]
    found, = changes.nominate(rows, tmp_path / ledger.NAME, MARGIN)
    assert (found.good, found.bad) == (commit(19), commit(20))


def test_rows_without_a_ratio_are_no_points(tmp_path: Path) -> None:
    rows = suite({"work.time_a": stepped(20, 0.04)})
    rows[0].rows.loc[[3, 19], "log_ratio"] = np.nan
    rows[1].rows.loc[:, "se"] = np.nan
    found, = changes.nominate(rows, tmp_path / ledger.NAME, MARGIN)
    assert (found.good, found.bad) == (commit(18), commit(20))


@pytest.mark.parametrize("of", [[], [series("work.time_a", np.zeros(1), 1)], [series("work.time_a", np.zeros(0), 1)]])
def test_there_may_be_nothing_to_ask(tmp_path: Path, of: Sequence[Series]) -> None:
    assert changes.nominate(of, tmp_path / ledger.NAME, MARGIN) == []


def test_several_machines_are_refused(tmp_path: Path) -> None:
    rows = [series("work.time_a", np.zeros(9), 1), series("work.time_a", np.zeros(9), 2, machine="other")]
    with pytest.raises(ValueError, match="not of 2"):
        changes.nominate(rows, tmp_path / ledger.NAME, MARGIN)


def test_the_error_of_a_bridge_moves_no_row_against_another(tmp_path: Path) -> None:
    rows = suite({"work.time_a": stepped(25, 0.02)})
    wide = rows[0].rows.assign(shared=0.05, se=np.hypot(SPREAD, 0.05))
    bridged = [Series(key=rows[0].key, rows=wide), *rows[1:]]
    there, same = (changes.nominate(one, tmp_path / ledger.NAME, MARGIN)[0] for one in (rows, bridged))
    assert (there.good, there.bad, there.blocks) == (same.good, same.bad, same.blocks)


def test_a_step_is_not_a_drift_beside(tmp_path: Path) -> None:
    found = changes.nominate(suite({"work.time_a": stepped(15, 0.04)}), tmp_path / ledger.NAME, MARGIN)
    assert [one.kind for one in found] == [Kind.STEP]


def test_what_was_denied_as_a_step_and_stays_comes_once_more_as_a_drift(tmp_path: Path) -> None:
    path = tmp_path / ledger.NAME
    step, = changes.nominate(suite({"work.time_a": stepped(29, 0.04)}), path, MARGIN)
    changes.judge(step, report(tmp_path / "runs", step, {"work.time_a": 0.0}), path)
    later = suite({"work.time_a": stepped(29, 0.04, 50)}, 50)
    drift, = changes.nominate(later, path, MARGIN)
    assert (drift.kind, drift.bad) == (Kind.DRIFT, commit(49))
    changes.judge(drift, report(tmp_path / "runs", drift, {"work.time_a": 0.0}), path)
    assert changes.nominate(suite({"work.time_a": stepped(29, 0.04, 60)}, 60), path, MARGIN) == []


def test_small_steps_are_one_drift(tmp_path: Path) -> None:
    levels = np.concatenate([np.zeros(20), np.linspace(0, math.log1p(0.05), 60)])
    found = changes.nominate(suite({"work.time_a": levels}, 80), tmp_path / ledger.NAME, MARGIN)
    assert Kind.DRIFT in {one.kind for one in found}
    assert all(one.direction == "slower" for one in found)


def against(folder: Path, truths: Mapping[str, float], good: int = 28, bad: int = 29) -> Report:
    """The report of the newest commit against the last one."""
    rows = suite({})
    pair = Pair(good=commit(good), bad=commit(bad))
    return report(folder, pair, {one.key.benchmark: truths.get(one.key.benchmark, 0.0) for one in rows}, blocks=12,
                  suite="/suite")


def young(nights: int = 3) -> list[Series]:
    """Histories that say little yet: of few nights, and noisy."""
    rows = suite({"work.time_a": stepped(nights - 1, 0.02, nights)}, nights)
    return [Series(key=one.key, rows=one.rows.assign(se=0.01)) for one in rows]


def test_the_newest_commit_against_the_last_one_is_asked_too(tmp_path: Path) -> None:
    path = tmp_path / ledger.NAME
    assert changes.nominate(young(), path, MARGIN) == []
    direct = against(tmp_path / "runs", {"work.time_a": 0.03, "work.time_b": -0.03}, 1, 2)
    slower, faster = sorted(changes.nominate(young(), path, MARGIN, [direct]), key=lambda one: one.direction,
                            reverse=True)
    for found, key in ((slower, "work.time_a"), (faster, "work.time_b")):
        assert (found.kind, found.good, found.bad, found.positions) == (
            Kind.NEWEST, commit(1), commit(2), (101.0, 102.0))
        assert [one.key for one in found.benchmarks] == [key]
        assert found.level > 0
    assert slower.direction == "slower" and slower.benchmarks[0].size == pytest.approx(0.03, abs=0.01)
    assert slower.blocks >= 6


def test_a_comparison_and_a_history_of_one_commit_are_one_nomination(tmp_path: Path) -> None:
    direct = against(tmp_path / "runs", {"work.time_a": 0.04, "work.time_b": 0.04})
    found, = changes.nominate(suite({"work.time_a": stepped(29, 0.04)}), tmp_path / ledger.NAME, MARGIN, [direct])
    assert (found.good, found.bad) == (commit(28), commit(29))
    assert {one.key for one in found.benchmarks} == {"work.time_a", "work.time_b"}


@pytest.mark.parametrize("truth", [0.03, 0.0])
def test_what_a_comparison_suggested_is_explained_by_fresh_blocks(tmp_path: Path, truth: float) -> None:
    path, direct = tmp_path / ledger.NAME, against(tmp_path / "runs", {"work.time_a": 0.03}, 1, 2)
    nomination, = changes.nominate(young(), path, MARGIN, [direct])
    outcome = changes.judge(nomination, report(tmp_path / "runs", nomination, {"work.time_a": truth}), path)
    assert outcome.confirmed == (truth > 0)
    assert changes.nominate(young(), path, MARGIN, [direct]) == []


def test_a_comparison_of_commits_that_no_history_has_suggests_nothing(tmp_path: Path) -> None:
    direct = against(tmp_path / "runs", {"work.time_a": 0.03}, 1, 77)
    assert changes.nominate(young(), tmp_path / ledger.NAME, MARGIN, [direct]) == []


def test_a_comparison_that_calls_nothing_changed_suggests_nothing(tmp_path: Path) -> None:
    assert changes.nominate(young(), tmp_path / ledger.NAME, MARGIN, [against(tmp_path / "runs", {}, 1, 2)]) == []


def test_each_segment_of_a_benchmark_is_asked(tmp_path: Path) -> None:
    """Another that was opened later, as by a backfill against another anchor, silences none."""
    long, flat = suite({"work.time_a": stepped(20, 0.04)}), suite({}, 12)
    found, = changes.nominate([*long, *flat], tmp_path / ledger.NAME, MARGIN)
    assert (found.good, found.bad) == (commit(19), commit(20))
    assert changes.nominate([*flat, *long], tmp_path / ledger.NAME, MARGIN) == [found]


def test_what_is_no_longer_on_the_branch_is_no_point(tmp_path: Path) -> None:
    path, rows = tmp_path / ledger.NAME, suite({"work.time_a": stepped(29, 0.04)})
    branch = {commit(night) for night in range(NIGHTS)}
    assert len(changes.nominate(rows, path, MARGIN, branch=branch)) == 1
    assert changes.nominate(rows, path, MARGIN, branch=branch - {commit(29)}) == []
    direct = against(tmp_path / "runs", {"work.time_a": 0.04})
    assert changes.nominate(rows, path, MARGIN, [direct], branch=branch - {commit(28)})[0].good == commit(27), (
        "the last commit has become a second parent, and has no place in the order")


@pytest.mark.parametrize(("size", "suggests"), [(1.001, False), (1.2, True)])
def test_of_a_count_only_what_matters_is_suggested(tmp_path: Path, size: float, suggests: bool) -> None:
    direct = against(tmp_path / "runs", {}, 1, 2)
    count = replace(direct.comparisons[0], verdict=Verdict.SLOWER, exact=True, ratio=size, clear=suggests, p=None)
    found = changes.nominate(young(), tmp_path / ledger.NAME, MARGIN, [replace(direct, comparisons=[count])])
    assert bool(found) is suggests
