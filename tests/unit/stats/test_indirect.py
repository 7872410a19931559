"""By way of others: the interval holds the truth as often as it says, however the machine was on the days between."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.stats import indirect
from runner.stats.indirect import Spread, chain, estimate, interval, quantiles, spreads
from runner.stats.paired import Array, Estimate, trimmed

estimates = st.builds(
    lambda log, se, blocks: estimate(log, se, blocks), st.floats(-2, 2), st.floats(0, 0.1), st.integers(2, 40))


def history(rng: np.random.Generator, truths: Array, tau: float, noise: float, blocks: int) -> tuple[Array, Array]:
    """A benchmark's estimates in one run for each truth, from blocks as `paired` makes them."""
    found = [trimmed(rng.normal(truth + rng.normal(0, tau), noise, blocks)) for truth in truths]
    return np.array([one.mean for one in found]), np.array([one.se for one in found])


@pytest.mark.parametrize("tau", [0.0, 0.002, 0.01])
def test_the_interval_of_several_days_holds_the_truth(tau: float) -> None:
    rng = np.random.default_rng(5)
    blocks, runs, held, of = 12, 20, 0, 0
    for _ in range(30):
        # A level changes once in each history: that is no noise.
        truths = [np.where(np.arange(runs) < rng.integers(1, runs), 0.0, 0.03) for _ in range(20)]
        suite = [history(rng, truth, tau, 0.004, blocks) for truth in truths]
        for truth, own, spread in zip(truths, suite, spreads([[one] for one in suite]), strict=True):
            way = rng.choice(runs, int(rng.integers(2, 4)), replace=False)
            steps = [(sign, estimate(own[0][k], own[1][k], blocks)) for k, sign in zip(way, (-1, 1, -1), strict=False)]
            low, high = interval(chain(steps, spread), 0.05)
            held += low <= sum(sign * truth[k] for k, sign in zip(way, (-1, 1, -1), strict=False)) <= high
            of += 1
    assert held / of > 0.93, held / of


def test_one_day_alone_would_be_too_sure() -> None:
    """What the spread between runs is for: without it, intervals of the same data hold the truth far too seldom."""
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        logs, ses = history(rng, np.zeros(2), 0.01, 0.004, 12)
        steps = [(sign, estimate(logs[k], ses[k], 12)) for k, sign in enumerate((-1, 1))]
        low, high = interval(chain(steps, None), 0.05)
        held += low <= 0 <= high
    assert held / 300 < 0.5


def test_tau_is_found_and_levels_are_no_noise() -> None:
    rng = np.random.default_rng(7)
    steps = np.cumsum(rng.choice([0.0, 0.05], 40, p=[0.8, 0.2]))
    quiet = [[history(rng, steps, 0.005, 0.002, 12)] for _ in range(30)]
    loud = [history(rng, steps[:20], 0.03, 0.002, 12), history(rng, steps[20:], 0.03, 0.002, 12)]
    found = spreads([*quiet, loud])
    assert all(one is not None and 0.003 < one.tau < 0.02 for one in found[:-1])
    assert found[-1] is not None and 0.015 < found[-1].tau < 0.08
    still = spreads([[history(rng, np.zeros(40), 0.0, 0.002, 12)] for _ in range(30)])
    assert all(one is not None and one.tau < 0.001 for one in still)


def test_too_short_a_history_says_nothing_and_an_exact_one_is_exact() -> None:
    short = [(np.array([0.1, 0.2]), np.array([0.01, 0.01]))]
    assert spreads([]) == [] and spreads([[], []]) == [None, None]
    assert spreads([short] * (indirect.LEAST - 1)) == [None] * (indirect.LEAST - 1)
    assert spreads([short] * indirect.LEAST)[0] is not None
    assert spreads([short * indirect.LEAST])[0] is not None, "of several anchors, each history has its own steps"
    exact = spreads([[(np.zeros(20), np.zeros(20))]])
    assert exact == [Spread(tau=0.0, df=indirect.EFFICIENCY * 19)]
    one = chain([(-1, estimate(0.0, 0.0, 3)), (1, estimate(0.1, 0.0, 3))], exact[0])
    assert interval(one, 0.05) == (0.1, 0.1)


@given(st.lists(st.tuples(st.sampled_from([-1, 1]), estimates), min_size=1, max_size=4), st.floats(0, 0.1))
def test_the_way_back_has_the_other_sign_and_nothing_else(steps: list[tuple[int, Estimate]], tau: float) -> None:
    spread = Spread(tau=tau, df=30.0)
    there, back = chain(steps, spread), chain([(-sign, one) for sign, one in reversed(steps)], spread)
    assert (there.mean, there.se) == (-back.mean, back.se) and there.df == pytest.approx(back.df)
    assert there.se >= max(one.se for _, one in steps) - 1e-12
    assert chain(steps, None).se <= there.se
    low, high = interval(there, 0.05)
    assert low <= there.mean <= high


def test_blocks_of_few_layouts_have_the_degrees_of_freedom_of_these() -> None:
    assert [estimate(0.0, 0.1, 36, layouts).df for layouts in (6, 2)] == [5, 1]


def test_a_page_that_looks_a_quantile_up_says_what_is_said_here() -> None:
    table = quantiles(0.05)
    assert len(table) == indirect.MOST and table == sorted(table, reverse=True)
    assert table[9] == pytest.approx(2.228139, abs=1e-5)
    for df in (1.0, 7.9, 119.0, 1e6, math.inf):
        one = Estimate(mean=0.0, se=1.0, df=df, n=12)
        assert interval(one, 0.05)[1] == pytest.approx(table[int(min(df, indirect.MOST)) - 1])


@given(st.floats(-1e4, 1e4))
def test_a_ratio_is_a_number_or_beyond_all_numbers(log: float) -> None:
    found = indirect.ratio(log)
    assert found == (math.exp(log) if log < indirect.LARGEST else math.inf)
