"""Two samples that were not measured together: against scipy's slow twins, by laws, and held against a known truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from runner.stats.paired import Array, Estimate, interval, p_value
from runner.stats.unpaired import FEWEST, difference, mean_of, replicates

numbers = st.floats(-8, 8).map(lambda x: round(x, 6) + 0.0)
samples = st.lists(numbers, min_size=FEWEST, max_size=40).map(lambda values: np.array(values))


@pytest.mark.parametrize("sizes", [(3, 3), (3, 9), (9, 8), (5, 40), (100, 9)])
def test_where_one_side_is_below_ten_it_is_welchs_test(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    base, head = rng.normal(0, 1, sizes[0]), rng.normal(0.5, 3, sizes[1])
    expected = stats.ttest_ind(head, base, equal_var=False)
    found = difference(base, head)
    assert p_value(found) == pytest.approx(float(expected.pvalue), rel=1e-9)
    bounds = expected.confidence_interval(0.95)
    assert interval(found, 0.05) == pytest.approx((float(bounds.low), float(bounds.high)), rel=1e-9)
    assert found.n == sum(sizes)


@pytest.mark.parametrize("sizes", [(20, 20), (20, 40), (31, 12)])
def test_from_ten_on_it_is_yuens(sizes: tuple[int, int]) -> None:
    """Up to how the winsorised variance is divided: his by h(h - 1)/(n - 1), ours by h²/n, as everywhere here."""
    rng = np.random.default_rng(sum(sizes))
    base, head = rng.standard_t(3, sizes[0]), rng.standard_t(3, sizes[1]) + 0.4
    found = difference(base, head)
    assert found.mean == pytest.approx(float(stats.trim_mean(head, 0.1) - stats.trim_mean(base, 0.1)), rel=1e-9)
    expected = stats.ttest_ind(head, base, equal_var=False, trim=0.1)
    assert found.mean / found.se == pytest.approx(float(expected.statistic), rel=0.03)
    assert found.df == pytest.approx(float(expected.df), rel=0.03)


@given(samples, samples)
def test_swapping_the_sides_flips_the_sign(base: Array, head: Array) -> None:
    one, other = difference(base, head), difference(head, base)
    assert (one.mean, one.n) == (-other.mean, other.n)
    assert (one.se, one.df) == pytest.approx((other.se, other.df))


@given(samples, samples, st.floats(-3, 3))
def test_a_factor_is_added_and_the_order_is_nothing(base: Array, head: Array, factor: float) -> None:
    found, shuffled = difference(base, head), np.random.default_rng(1).permutation(head)
    moved = difference(base, shuffled + factor)
    assert moved.mean == pytest.approx(found.mean + factor, abs=1e-9)
    assert moved.se == pytest.approx(found.se, abs=1e-9)


@given(samples, samples)
def test_degrees_of_freedom_lie_between_the_smaller_sides_and_both_together(base: Array, head: Array) -> None:
    found = difference(base, head)
    trim = min(base.size, head.size) >= 10
    own = [n - 2 * (n // 10) * trim - 1 for n in (base.size, head.size)]
    least, both = min(own), sum(own)
    assert least - 1e-9 <= found.df <= both + 1e-9


def test_an_error_so_small_that_its_fourth_power_is_none_has_degrees_of_freedom() -> None:
    base = np.array([0.0, 1e-120, 2e-120])
    found = difference(base, base + 0.0)
    assert found.se > 0 and found.df == pytest.approx(4)


def test_too_few_are_refused() -> None:
    few, enough = np.array([0.0, 1.0]), np.array([0.0, 1.0, 2.0])
    for base, head in ((few, enough), (enough, few)):
        with pytest.raises(ValueError, match="3 replicates or more"):
            difference(base, head)


def wrong(rule: Callable[[np.random.Generator], Estimate], times: int = 1500) -> float:
    """Share of differences that a rule claims at 5 % where there are none."""
    rng = np.random.default_rng(2026)
    return float(np.mean([p_value(rule(rng)) < 0.05 for _ in range(times)]))


@pytest.mark.parametrize(("base", "head"), [(20, 20), (20, 5), (5, 6), (40, 12)])
@pytest.mark.parametrize("noise", [
    lambda rng, n: rng.normal(0, 0.01, n), lambda rng, n: 0.01 * rng.standard_t(3, n),
    lambda rng, n: 0.01 * rng.gamma(4.0, size=n),
], ids=["normal", "heavy tails", "skewed"])
def test_equals_are_called_different_as_seldom_as_it_says(
    base: int, head: int, noise: Callable[[np.random.Generator, int], Array]
) -> None:
    assert 0.02 < wrong(lambda rng: difference(noise(rng, base), noise(rng, head))) < 0.075


def test_one_side_may_be_ten_times_as_noisy() -> None:
    assert 0.03 < wrong(lambda rng: difference(rng.normal(0, 0.1, 6), rng.normal(0, 0.01, 20))) < 0.07


def session(rng: np.random.Generator) -> list[Array]:
    """A file: ten processes of three values, and what the machine did meanwhile, which they all have in common."""
    meanwhile = rng.normal(0, 0.02)
    return [np.exp(meanwhile + rng.normal(0, 0.005) + rng.normal(0, 0.005, 3)) for _ in range(10)]


def test_where_sessions_differ_files_are_the_replicates_and_processes_would_be_wrong() -> None:
    def judged(rng: np.random.Generator, *, by_file: bool) -> Estimate:
        base, head = ([session(rng) for _ in range(4)] for _ in range(2))
        return difference(*(replicates(files, by_file=by_file) for files in (base, head)))

    assert wrong(lambda rng: judged(rng, by_file=True), 400) < 0.08
    assert wrong(lambda rng: judged(rng, by_file=False), 400) > 0.25, "the rule that is known to be wrong"


def test_a_process_with_more_values_counts_no_more() -> None:
    found = replicates([[np.array([1.0, 4.0]), np.array([2.0] * 50)], [np.array([8.0])]], by_file=False)
    assert found == pytest.approx(np.log([2.0, 2.0, 8.0]))
    files = replicates([[np.array([1.0]), np.array([4.0])], [np.array([8.0])]], by_file=True)
    assert files == pytest.approx(np.log([2.0, 8.0]))


@pytest.mark.parametrize("values", [[], [0.0], [-1.0], [math.nan], [math.inf]])
@pytest.mark.parametrize("by_file", [True, False])
def test_what_has_no_log_is_refused(values: list[float], by_file: bool) -> None:
    with pytest.raises(ValueError, match="finite and above 0"):
        replicates([[np.array([1.0]), np.array(values)]], by_file=by_file)
    with pytest.raises(ValueError, match="no process"):
        replicates([[]], by_file=by_file)


estimates = st.builds(
    Estimate, mean=st.floats(-1, 1), se=st.floats(1e-6, 1), df=st.floats(1, 40), n=st.integers(6, 80))


@given(st.lists(estimates, min_size=1, max_size=12))
def test_the_mean_of_a_suite_is_known_better_than_its_worst_benchmark(suite: list[Estimate]) -> None:
    found = mean_of(suite)
    assert found is not None
    assert found.mean == pytest.approx(sum(one.mean for one in suite) / len(suite), abs=1e-12)
    assert found.se <= max(one.se for one in suite) + 1e-12
    assert min(one.df for one in suite) - 1e-6 <= found.df <= sum(one.df for one in suite) + 1e-6
    assert mean_of([]) is None


@given(estimates, st.integers(2, 9))
def test_the_mean_of_equals_is_as_good_as_its_number_says(one: Estimate, count: int) -> None:
    assume(one.se > 1e-5)
    found = mean_of([replace(one)] * count)
    assert found is not None and found.se == pytest.approx(one.se / math.sqrt(count))
