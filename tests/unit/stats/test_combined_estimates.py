"""Several runs of one comparison on simulated truth: coverage, errors of both kinds, a planted contradiction."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from runner.model import Verdict
from runner.stats.combine import Combined, combine, contradiction
from runner.stats.decide import LOOKS, at_look, judge, judge_estimate, together
from runner.stats.paired import Array, Estimate, interval, trimmed

MARGIN = math.log1p(0.01)


def estimate(mean: float, se: float = 0.003, *, df: float = 7, n: int = 8) -> Estimate:
    return Estimate(mean=mean, se=se, df=df, n=n)


def measured(rng: np.random.Generator, truth: float, spread: float = 0.015) -> Estimate:
    """What a run finds that was stopped at some look."""
    look = int(rng.choice(LOOKS))
    return at_look(truth + rng.normal(0, spread, look), look)


def stopped(rng: np.random.Generator, truth: float, tests: int, spread: float = 0.015) -> Estimate:
    """What a run finds that the rule has stopped."""
    d = truth + rng.normal(0, spread, LOOKS[-1])
    return at_look(d, next(n for n in LOOKS if judge(d[:n], MARGIN, tests).settled))


def deviations(rng: np.random.Generator, kind: str, count: int, runs: int) -> Array:
    """By how much each run's truth differs from the benchmark's."""
    each = rng.normal(size=(count, runs))
    if kind == "alike":
        return 0.01 * each
    if kind == "unlike":
        return 0.01 * each / np.sqrt(rng.chisquare(4, (count, 1)) / 4)
    if kind == "half":
        return 0.02 * each * (np.arange(count) % 2)[:, None]
    if kind == "together":
        return np.tile(0.01 * rng.normal(size=runs), (count, 1))
    return np.zeros((count, runs))


def covered(results: list[Combined], truths: Array, alpha: float = 0.05) -> Iterator[bool]:
    for result, truth in zip(results, truths, strict=True):
        low, high = interval(result.estimate, alpha)
        yield bool(low <= truth <= high)


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize(("kind", "least"), [
    ("none", 0.94), ("alike", 0.94), ("unlike", 0.92), ("half", 0.91), ("together", 0.8),
])
def test_intervals_cover_the_truth_over_a_suite(kind: str, least: float, runs: int) -> None:
    rng = np.random.default_rng(60)
    found, strict = [], []
    # What a suite has in common in a run is one draw, however many benchmarks there are.
    for _ in range(24 if kind == "together" else 8):
        truths = rng.choice([0.0, 0.012, 0.03], 40)
        between = deviations(rng, kind, 40, runs)
        results = combine([
            [measured(rng, truth + one) for one in row] for truth, row in zip(truths, between, strict=True)])
        found += covered(results, truths)
        strict += covered(results, truths, 0.001)
    assert least <= np.mean(found) <= 0.995
    # Where all deviate together, the suite is one draw in each of 24 sessions.
    assert np.mean(strict) >= (0.94 if kind == "together" else 0.98)


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("tau", [0.0, 0.01])
def test_intervals_cover_the_truth_of_a_lone_benchmark(tau: float, runs: int) -> None:
    rng = np.random.default_rng(61)
    found: list[bool] = []
    for _ in range(200):
        found += covered(combine([[measured(rng, rng.normal(0, tau) + 0.02) for _ in range(runs)]]), np.array([0.02]))
    assert np.mean(found) >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / 200)


def test_runs_that_stopped_when_it_was_clear_do_not_exaggerate() -> None:
    """Each by itself lies a little too far from 0; three of them together must still hold the truth."""
    rng = np.random.default_rng(62)
    found: list[bool] = []
    for _ in range(4):
        truths = rng.choice([0.0, 0.012, 0.03], 40)
        found += covered(combine([[stopped(rng, truth, 40) for _ in range(3)] for truth in truths]), truths)
    assert np.mean(found) >= 0.93


@pytest.mark.parametrize(("runs", "least"), [(2, 0.6), (3, 0.9)])
def test_a_suite_finds_a_lone_change_in_few_runs(runs: int, least: float) -> None:
    """Of 3 %, among 40 benchmarks. Without the suite, t has one degree of freedom in two runs, and finds nothing."""
    rng = np.random.default_rng(63)
    found = []
    for _ in range(15):
        suite = [[measured(rng, 0.03 * (i == 0), 0.01) for _ in range(runs)] for i in range(40)]
        judged = together([judge_estimate(one.estimate, MARGIN) for one in combine(suite)], MARGIN, once=True)
        found.append(judged[0].judgement.verdict is Verdict.SLOWER)
    assert np.mean(found) >= least
    assert combine(suite[:1])[0].estimate.df == runs - 1


def test_a_suite_holds_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(64)
    shares = []
    for _ in range(12):
        truths = np.array([0.0] * 36 + [0.015, -0.02, 0.03, 0.05])
        between = deviations(rng, "alike", 40, 3)
        results = combine([
            [measured(rng, truth + one) for one in row] for truth, row in zip(truths, between, strict=True)])
        judged = together([judge_estimate(result.estimate, MARGIN) for result in results], MARGIN, once=True)
        claimed = np.array([one.judgement.verdict in (Verdict.SLOWER, Verdict.FASTER) for one in judged])
        shares.append((claimed & (truths == 0)).sum() / max(1, claimed.sum()))
    assert np.mean(shares) <= 0.05


def test_audit_sees_blocks_of_all_runs_thrown_together() -> None:
    """The rejected way: one trimmed mean of all blocks, as if a run were nothing."""
    rng = np.random.default_rng(65)
    found = []
    for _ in range(300):
        blocks = np.concatenate([0.01 * rng.normal() + rng.normal(0, 0.015, 24) for _ in range(3)])
        low, high = interval(trimmed(blocks), 0.05)
        found.append(low <= 0 <= high)
    assert np.mean(found) < 0.8


def test_alike_runs_are_combined_by_their_precision() -> None:
    """No spread beyond the errors: inverse variances, as the method of Hartung and Knapp with q at least 1 has it."""
    [found] = combine([[estimate(0.020, 0.001), estimate(0.0215, 0.002), estimate(0.019, 0.004)]])
    w = 1 / np.array([0.001, 0.002, 0.004]) ** 2
    assert found.estimate.mean == pytest.approx(np.average([0.020, 0.0215, 0.019], weights=w))
    assert found.estimate.se == pytest.approx(1 / math.sqrt(w.sum()))
    assert (found.estimate.df, found.estimate.n, found.own_tau, found.i2, found.scale) == (2, 24, 0.0, 0.0, 1.0)


def test_spread_between_runs_is_found() -> None:
    """With errors that are nothing beside it, τ is the standard deviation of the runs, and the interval that of t."""
    y = [0.01, 0.03, 0.08]
    [found] = combine([[estimate(mean, 1e-7) for mean in y]])
    assert found.own_tau == pytest.approx(np.std(y, ddof=1), rel=1e-4)
    assert found.estimate.mean == pytest.approx(np.mean(y))
    assert interval(found.estimate, 0.05) == pytest.approx(tuple(stats.ttest_1samp(y, 0).confidence_interval(0.95)))
    assert found.i2 == pytest.approx(1, abs=1e-6) and found.p < 1e-6


def test_equality_of_two_runs_is_the_test_of_welch() -> None:
    rng = np.random.default_rng(66)
    one, two = rng.normal(0, 0.01, 8), rng.normal(0.01, 0.03, 9)  # fewer than ten: nothing is trimmed
    [found] = combine([[trimmed(one), trimmed(two)]])
    assert found.p == pytest.approx(stats.ttest_ind(one, two, equal_var=False).pvalue)


def test_equality_holds_its_level() -> None:
    rng = np.random.default_rng(67)
    results = combine([[measured(rng, 0.02) for _ in range(3)] for _ in range(500)])
    for level in (0.05, 0.01):
        assert np.mean([one.p <= level for one in results]) <= level + 4 * math.sqrt(level / 500)


def test_without_any_error() -> None:
    [same] = combine([[estimate(0.01, 0.0), estimate(0.01, 0.0)]])
    assert (same.estimate.mean, same.estimate.se, same.own_tau, same.p) == (0.01, 0.0, 0.0, 1.0)
    [differing] = combine([[estimate(0.0, 0.0), estimate(0.1, 0.0)]])
    low, high = interval(differing.estimate, 0.05)
    assert low < 0 < 0.1 < high and differing.p < 1e-9


def test_swapping_the_arms_mirrors() -> None:
    rng = np.random.default_rng(68)
    suite = [[measured(rng, 0.01) for _ in range(3)] for _ in range(12)]
    mirrored = [[estimate(-e.mean, e.se, df=e.df, n=e.n) for e in row] for row in suite]
    for one, other in zip(combine(suite), combine(mirrored), strict=True):
        assert other.estimate.mean == pytest.approx(-one.estimate.mean)
        assert (other.estimate.se, other.p) == pytest.approx((one.estimate.se, one.p))


def test_one_run_is_refused() -> None:
    with pytest.raises(ValueError, match="two runs"):
        combine([[estimate(0.0)]])
    assert combine([]) == []


def left_out(suite: list[list[Estimate]], run: int) -> list[float]:
    others = combine([[e for i, e in enumerate(row) if i != run] for row in suite])
    return [contradiction(row[run], result) for row, result in zip(suite, others, strict=True)]


def test_a_run_that_contradicts_the_others_is_found() -> None:
    rng = np.random.default_rng(69)
    suite = [[measured(rng, 0.0 if run != 2 or number else 0.06, 0.01) for run in range(4)] for number in range(30)]
    ps = np.array([left_out(suite, run) for run in range(4)])
    assert np.argwhere(ps <= 0.01 / ps.size).tolist() == [[2, 0]]


@pytest.mark.parametrize("kind", ["none", "alike"])
def test_runs_that_agree_do_not_contradict(kind: str) -> None:
    rng = np.random.default_rng(70)
    alarms = []
    for _ in range(12):
        between = deviations(rng, kind, 20, 3)
        suite = [[measured(rng, one) for one in row] for row in between]
        alarms.append(any(p <= 0.01 / 60 for run in range(3) for p in left_out(suite, run)))
    assert sum(alarms) <= 1


def test_judging_an_estimate_is_the_decision_table() -> None:
    found = judge_estimate(estimate(0.05, 0.003, df=9, n=30), MARGIN)
    assert (found.verdict, found.clear, found.look, found.settled) == (Verdict.SLOWER, True, 30, True)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 9, 0.05, 0.003))
    assert found.p == pytest.approx(2 * stats.t.sf(0.05 / 0.003, 9))
    assert judge_estimate(estimate(0.001, 0.001), MARGIN).verdict is Verdict.SAME
    assert judge_estimate(estimate(0.01, 0.01), MARGIN).verdict is Verdict.UNDECIDED
    [alone] = together([found], MARGIN, once=True)
    assert (alone.judgement, alone.q) == (found, found.p)
