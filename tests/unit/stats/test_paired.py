"""The trimmed mean against scipy's slow twin, and the laws of a location estimate."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import mstats

from runner.stats.paired import Array, Estimate, interval, p_outside, p_value, trimmed

numbers = st.floats(-8, 8).map(lambda x: round(x, 6) + 0.0)
samples = st.lists(numbers, min_size=2, max_size=45).map(lambda values: np.array(values))


@pytest.mark.parametrize("n", range(4, 61))
def test_agrees_with_scipy(n: int) -> None:
    d = np.random.default_rng(n).standard_t(3, n)
    limit = (n // 10 + 1e-9) / n
    low, high = mstats.trimmed_mean_ci(d, limits=(limit, limit), alpha=0.01)
    assert interval(trimmed(d), 0.01) == pytest.approx((float(low), float(high)), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.02, 0.05 / 60, 1e-9])
def test_interval_and_p_value_are_those_of_student(alpha: float) -> None:
    estimate = Estimate(mean=0.013, se=0.004, df=11, n=14)
    expected = stats.t.interval(1 - alpha, 11, loc=0.013, scale=0.004)
    assert interval(estimate, alpha) == pytest.approx(expected, rel=1e-6)
    for null in (0.0, 0.1):
        expected_p = 2 * stats.t.sf(abs(0.013 - null) / 0.004, 11)
        assert p_value(estimate, null) == pytest.approx(expected_p, rel=1e-9)


@given(samples, st.floats(1e-6, 0.5))
def test_p_value_and_interval_say_the_same(d: Array, alpha: float) -> None:
    estimate = trimmed(d)
    low, high = interval(estimate, alpha)
    p = p_value(estimate)
    assert 0 <= p <= 1
    if abs(p - alpha) > 1e-9:
        assert (p < alpha) == (low > 0 or high < 0)


@given(samples, st.floats(1e-6, 0.5), st.floats(0.001, 5))
def test_p_outside_and_interval_say_the_same(d: Array, alpha: float, margin: float) -> None:
    estimate = trimmed(d)
    low, high = interval(estimate, alpha)
    p = p_outside(estimate, margin)
    assert 0 <= p <= 1
    if abs(p - alpha / 2) > 1e-9:
        assert (p < alpha / 2) == (-margin < low and high < margin)


@given(samples)
def test_swapping_the_arms_flips_the_sign_to_the_last_bit(d: Array) -> None:
    one, other = trimmed(d), trimmed(-d)
    assert (one.mean, one.se, one.df, one.n) == (-other.mean, other.se, other.df, other.n)


@given(samples, st.randoms(use_true_random=False))
def test_order_does_not_matter(d: Array, random: Random) -> None:
    order = list(range(d.size))
    random.shuffle(order)
    assert trimmed(d) == trimmed(d[order])


@given(samples, st.floats(-3, 3), st.floats(0.01, 100))
def test_shift_moves_and_scale_stretches(d: Array, shift: float, scale: float) -> None:
    before, after = trimmed(d), trimmed(d * scale + shift)
    assert after.mean == pytest.approx(before.mean * scale + shift, rel=1e-9, abs=1e-9)
    assert after.se == pytest.approx(before.se * scale, rel=1e-6, abs=1e-9)


@given(samples)
def test_the_estimate_lies_among_the_values(d: Array) -> None:
    slack = 1e-12
    assert d.min() - slack <= trimmed(d).mean <= d.max() + slack


@given(numbers, st.integers(2, 45))
def test_equal_values_have_no_error(value: float, n: int) -> None:
    estimate = trimmed(np.full(n, value))
    assert (estimate.mean, estimate.se) == (value, 0.0)
    assert interval(estimate, 0.005) == (value, value)
    assert p_value(estimate) == (1.0 if value == 0 else 0.0)
    assert p_value(estimate, value) == 1.0
    assert p_outside(estimate, 1.0) == (0.0 if abs(value) < 1 else 1.0)


def test_a_tenth_of_wild_values_moves_little() -> None:
    d = np.random.default_rng(0).normal(0, 1, 20)
    wild = d.copy()
    wild[[3, 11]] = 1e6
    assert abs(trimmed(wild).mean - trimmed(d).mean) < 0.5


def test_the_callers_array_is_left_alone() -> None:
    d = np.array([3.0, 1.0, 2.0])
    d.flags.writeable = False
    trimmed(d)
    assert d.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("bad", [[], [1.0], [1.0, np.nan], [1.0, np.inf, 2.0], [[1.0, 2.0], [3.0, 4.0]]])
def test_refuses_what_has_no_estimate(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="trimmed mean needs"):
        trimmed(np.array(bad))
