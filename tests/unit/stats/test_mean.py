"""The geometric mean over a suite against simulated truth: stopping by the rule, and what a round has in common."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from runner.stats.decide import ALPHAS, LAYOUTS, LOOKS, at_look, judge
from runner.stats.mean import mean_interval, mean_of
from runner.stats.paired import Array, Estimate, interval, trimmed

MARGIN = math.log1p(0.01)


def runs(count: int, truth: float, common: float, times: int) -> list[list[Array]]:
    """Runs of a suite in which every benchmark differs by `truth`, up to the look at which the rule stops each.

    `common` is the standard deviation of what all benchmarks of an index share; i and i + LAYOUTS share it too.
    """
    rng = np.random.default_rng(70)
    found = []
    for _ in range(times):
        shared = np.tile(common * rng.normal(size=LAYOUTS), LOOKS[-1] // LAYOUTS)
        spreads = 0.007 * np.exp(rng.normal(0, 0.6, (count, 1)))
        ds = truth + shared + spreads * rng.normal(size=(count, LOOKS[-1]))
        found.append([d[: judge(d, MARGIN, count).look] for d in ds])
    return found


made = cache(runs)


def of_estimates(ds: list[Array]) -> tuple[float, float]:
    """What was done before: the mean of the benchmarks' own estimates, with its error from theirs."""
    own = [trimmed(d) for d in ds]
    variances = np.array([one.se**2 for one in own]) / len(own) ** 2
    df = float(variances.sum() ** 2 / np.sum(variances**2 / [one.df for one in own]))
    mean, se = float(np.mean([one.mean for one in own])), math.sqrt(variances.sum())
    return interval(Estimate(mean=mean, se=se, df=df, n=len(own)), 0.05)


@pytest.mark.parametrize(("count", "truth", "common"), [
    (1, 0.005, 0.0), (10, 0.01, 0.0), (30, 0.005, 0.0), (30, 0.0, 0.005), (30, 0.005, 0.005),
])
def test_the_interval_holds_the_mean(count: int, truth: float, common: float) -> None:
    times = max(60, 300 // count)
    held = []
    for ds in made(count, truth, common, times):
        mean = mean_of(ds)
        assert mean is not None
        low, high = mean_interval(mean)
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / times)


@pytest.mark.parametrize(("truth", "common"), [(0.005, 0.0), (0.0, 0.005)])
def test_audit_sees_the_mean_of_the_estimates(truth: float, common: float) -> None:
    """It is off by what stopping selects in each, and does not know what all have in common."""
    held = [low <= truth <= high for low, high in map(of_estimates, made(30, truth, common, 60))]
    assert np.mean(held) < 0.8


def test_it_is_the_mean_over_the_blocks_that_all_have() -> None:
    rng = np.random.default_rng(71)
    ds = [rng.normal(0.1 * i, 0.01, n) for i, n in enumerate((12, 8, 160))]
    mean = mean_of(ds)
    assert mean is not None and mean == trimmed(np.mean([d[:8] for d in ds], axis=0))
    assert mean_interval(mean) == interval(mean, ALPHAS[1])
    assert mean_interval(trimmed(ds[0][:6])) == interval(trimmed(ds[0][:6]), 0.05)
    # Nothing is lost in the order of the benchmarks, and one is its own mean.
    turned = mean_of(ds[::-1])
    assert turned is not None and (turned.mean, turned.se) == pytest.approx((mean.mean, mean.se))
    assert mean_of([ds[2][:7]]) == trimmed(ds[2][:6])


def test_it_is_judged_by_the_layouts_that_the_blocks_go_through() -> None:
    rng = np.random.default_rng(72)
    layouts = np.tile(rng.normal(0, 0.02, 6), 6)
    ds = [layouts + rng.normal(0, 0.005, 36) for _ in range(3)]
    mean = mean_of(ds, 6)
    assert mean is not None and mean == at_look(np.mean([d[:26] for d in ds], axis=0), 26, 6)
    assert (mean.n, mean.df) == (26, 5)


def test_too_little_has_no_mean() -> None:
    assert mean_of([]) is None
    with pytest.raises(ValueError, match="6 blocks or more, not 5"):
        mean_of([np.zeros(8), np.zeros(5)])
