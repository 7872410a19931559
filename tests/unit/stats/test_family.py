"""Laws of judging a suite together: what is shown is what was decided."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from runner.model import Verdict
from runner.stats.claims import read
from runner.stats.decide import ALPHAS, LOOKS, WEIGHTS, at_look, judge, suite
from runner.stats.paired import Array, interval, p_value

MARGIN = math.log1p(0.01)
CHANGED = (Verdict.FASTER, Verdict.SLOWER)


@st.composite
def suites(draw: st.DrawFn) -> list[Array]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Spread and truth are such that p-values fall on both sides of every bound.
    truth = draw(st.sampled_from([0.006, 0.012, 0.03]))
    ds = []
    for _ in range(draw(st.integers(1, 12))):
        n = int(rng.choice([0, 1, 5, 6, 7, 8, 12, 18, 26, 40, 43, 80, 83, 160, 163]))
        spread = rng.choice([0.0, 0.006, 0.015])
        ds.append(rng.choice([0.0, truth, -truth]) + rng.normal(0, spread, n))
    return ds


@given(suites(), st.sampled_from([1, None]))
def test_a_selected_difference_excludes_zero_at_the_look_where_p_was_attained(
    ds: list[Array], tests: int | None
) -> None:
    found = suite(ds, MARGIN, tests=tests)
    tested = [(d, s) for d, s in zip(ds, found, strict=True) if s.q is not None]
    rejected = sum(s.q <= 0.05 for _, s in tested)
    for d, s in tested:
        if s.q > 0.05:
            continue
        assert s.judgement.look is not None
        seen = LOOKS[: LOOKS.index(s.judgement.look) + 1]
        ps = [p_value(at_look(d, n)) / w for n, w in zip(seen, WEIGHTS, strict=False)]
        k = int(np.argmin(ps))
        # BH's bound itself belongs to the rejected; leave room for the last bit.
        low, high = interval(at_look(d, LOOKS[k]), ALPHAS[k] * rejected / len(tested) * (1 + 1e-6))
        assert low > 0 or high < 0


@given(suites(), st.sampled_from([1, None]))
def test_the_shown_interval_and_the_verdict_agree(ds: list[Array], tests: int | None) -> None:
    for found in suite(ds, MARGIN, tests=tests):
        shown = found.judgement
        if shown.look is None:
            assert shown.verdict is Verdict.UNDECIDED and found.q is None
            continue
        assert shown.low is not None and shown.high is not None
        reading = read(shown.low, shown.high, MARGIN)
        assert (shown.verdict, shown.clear, shown.tiny) == (reading.verdict, reading.clear, reading.tiny)
        if shown.verdict is not Verdict.UNDECIDED:
            assert shown.needed is None
        else:
            assert shown.needed is None or shown.needed > shown.look
        if shown.verdict in CHANGED or shown.tiny:
            assert found.q is not None and found.q <= 0.05


@given(suites())
def test_a_suite_only_takes_back(ds: list[Array]) -> None:
    for d, found in zip(ds, suite(ds, MARGIN), strict=True):
        alone = judge(d, MARGIN, len(ds))
        # Of claims, not of verdicts: what is the same and different at once may lose either.
        if found.judgement.verdict is Verdict.SAME:
            assert alone.verdict is Verdict.SAME
        if found.judgement.verdict in CHANGED:
            assert alone.tiny or alone.verdict is found.judgement.verdict
        assert (found.judgement.p, found.judgement.look) == (alone.p, alone.look)
        assert alone.clear or not found.judgement.clear
        assert alone.tiny or not found.judgement.tiny
        # The promise that `tests` makes: sampling that stopped for a difference did not stop too soon.
        if alone.verdict in CHANGED and alone.settled and alone.look != LOOKS[-1]:
            assert found.judgement.verdict is alone.verdict


@given(suites(), st.randoms(use_true_random=False))
def test_the_order_of_benchmarks_does_not_matter(ds: list[Array], random: Random) -> None:
    order = list(range(len(ds)))
    random.shuffle(order)
    found = suite(ds, MARGIN)
    assert suite([ds[i] for i in order], MARGIN) == [found[i] for i in order]


@given(suites())
def test_q_values_are_those_of_benjamini_and_hochberg(ds: list[Array]) -> None:
    found = suite(ds, MARGIN)
    ps = [s.judgement.p for s in found if s.judgement.p is not None]
    expected = false_discovery_control(ps).tolist() if ps else []
    assert [s.q for s in found if s.q is not None] == expected


@given(suites())
def test_one_benchmark_is_judged_as_if_alone(ds: list[Array]) -> None:
    for d in ds:
        [found] = suite([d], MARGIN)
        alone = judge(d, MARGIN)
        assert (found.judgement.low, found.judgement.high) == pytest.approx((alone.low, alone.high))
        assert (found.judgement.verdict, found.judgement.needed) == (alone.verdict, alone.needed)


def test_constant_values_everywhere() -> None:
    ds = [np.zeros(8), np.full(8, 0.3), np.full(8, 0.002), np.full(8, -0.3)]
    verdicts = [found.judgement.verdict for found in suite(ds, MARGIN)]
    assert verdicts == [Verdict.SAME, Verdict.SLOWER, Verdict.SAME, Verdict.FASTER]
    assert suite(ds, MARGIN)[2].judgement.tiny


def test_what_is_clearly_different_does_not_weigh_on_sameness() -> None:
    same = np.array([-0.004, 0.004] * 6)
    alone = judge(same, MARGIN, 60)
    assert alone.verdict is Verdict.SAME
    changed = [0.5 + 0.001 * np.arange(8) for _ in range(59)]
    shown = suite([same, *changed], MARGIN)[0].judgement
    assert (shown.verdict, shown.low, shown.high) == (Verdict.SAME, alone.low, alone.high)


def test_sameness_that_is_taken_back_is_not_a_difference() -> None:
    """Inside the margin by itself, and not shown to be among 19 that may have changed: its interval sticks out."""
    d = 0.004 + 0.0031 * np.array([-1.0, 1.0] * 3)
    ds = [d, *(0.0105 + 0.004 * np.array([-1.0, 1.0] * 4) for _ in range(19))]
    assert judge(d, MARGIN).verdict is Verdict.SAME and not judge(d, MARGIN).tiny
    shown = suite(ds, MARGIN)[0].judgement
    assert shown.low is not None and shown.high is not None
    assert shown.low <= 0 and shown.high > MARGIN
    assert (shown.verdict, shown.clear, shown.tiny, shown.needed) == (Verdict.UNDECIDED, False, False, 18)


def test_of_two_claims_one_may_be_taken_back() -> None:
    """Tiny but real by itself. The suite allows that it differs, and not that it is the same."""
    d = 0.0055 + 0.0016 * np.array([-1.0, 1.0] * 3)
    alone = judge(d, MARGIN)
    assert (alone.verdict, alone.tiny) == (Verdict.SAME, True)
    changed = [0.0105 + 0.002 * np.array([-1.0, 1.0] * 4) for _ in range(19)]
    shown = suite([d, *changed], MARGIN)[0].judgement
    assert shown.low is not None and shown.high is not None
    assert (shown.verdict, shown.clear) == (Verdict.SLOWER, False) and shown.low > 0 and shown.high > MARGIN
    same = [0.001 * np.array([-1.0, 1.0] * 3) for _ in range(19)]
    shown = suite([0.004 + 0.0018 * np.array([-1.0, 1.0] * 3), *same], MARGIN)[0].judgement
    assert (shown.verdict, shown.tiny) == (Verdict.SAME, False)


def test_a_smaller_q_asks_for_more() -> None:
    rng = np.random.default_rng(1)
    ds = [0.012 + rng.normal(0, 0.012, 14) for _ in range(30)]
    strict, usual = (sum(s.judgement.verdict in CHANGED for s in suite(ds, MARGIN, q)) for q in (1e-4, 0.05))
    assert strict < usual


def test_nothing_to_judge() -> None:
    assert suite([], MARGIN) == []


@pytest.mark.parametrize("q", [0.0, -0.1, 0.06, 1.0, math.nan])
def test_refuses_a_rate_that_the_looks_cannot_hold(q: float) -> None:
    with pytest.raises(ValueError, match="q must be"):
        suite([np.zeros(8)], MARGIN, q)
