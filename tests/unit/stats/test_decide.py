"""The decision table, the looks, and the laws that hold for one benchmark."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.model import Verdict
from runner.stats.claims import PRECISE, TOTAL, Differences, Sameness, decide, family, read
from runner.stats.decide import (
    ALPHAS,
    FARTHEST,
    LAYOUTS,
    LOOKS,
    WEIGHTS,
    Judgement,
    at_look,
    judge,
    judge_exact,
    layouts_in_turn,
)
from runner.stats.paired import Array, Estimate, interval, p_value, quantile, trimmed

MARGIN = math.log1p(0.01)
MIRROR = {Verdict.FASTER: Verdict.SLOWER, Verdict.SLOWER: Verdict.FASTER}


@st.composite
def runs(draw: st.DrawFn, least: int = 0, most: int = 85) -> Array:
    """Log ratios of one benchmark: any truth, any spread that matters, now and then a wild value."""
    n = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    truth = draw(st.sampled_from([0.0, 0.003, -0.008, 0.01, 0.015, -0.03, 0.2]))
    spread = draw(st.sampled_from([0.0, 1e-9, 0.002, 0.008, 0.015, 0.05]))
    wild = draw(st.sampled_from([0.0, 0.1]))
    return truth + spread * np.where(rng.random(n) < wild, 10, 1) * rng.normal(0, 1, n)


def test_the_looks_share_the_error() -> None:
    assert sum(ALPHAS) == pytest.approx(TOTAL)
    assert pytest.approx([alpha / TOTAL for alpha in ALPHAS]) == list(WEIGHTS)
    assert list(LOOKS) == sorted(LOOKS)


@pytest.mark.parametrize(("low", "high", "verdict", "clear", "tiny"), [
    (0.002, 0.030, Verdict.SLOWER, False, False),
    (-0.030, -0.002, Verdict.FASTER, False, False),
    (0.011, 0.030, Verdict.SLOWER, True, False),
    (-0.030, -0.011, Verdict.FASTER, True, False),
    (0.010, 0.030, Verdict.SLOWER, True, False),
    (-0.030, -0.010, Verdict.FASTER, True, False),
    (-0.005, 0.005, Verdict.SAME, False, False),
    (0.002, 0.005, Verdict.SAME, False, True),
    (-0.005, -0.002, Verdict.SAME, False, True),
    (0.000, 0.005, Verdict.SAME, False, False),
    (0.000, 0.010, Verdict.UNDECIDED, False, False),
    (-0.010, 0.000, Verdict.UNDECIDED, False, False),
    (-0.005, 0.030, Verdict.UNDECIDED, False, False),
    (-0.030, 0.030, Verdict.UNDECIDED, False, False),
])
def test_decision_table(low: float, high: float, verdict: Verdict, clear: bool, tiny: bool) -> None:
    reading = read(low, high, 0.010)
    assert (reading.verdict, reading.clear, reading.tiny) == (verdict, clear, tiny)


def test_below_the_first_look_there_is_an_interval_and_no_verdict() -> None:
    d = np.full(5, 0.5) + np.arange(5) * 1e-6
    judgement = judge(d, MARGIN)
    assert judgement.verdict is Verdict.UNDECIDED and not judgement.settled
    assert judgement.look is None and judgement.p is None
    assert (judgement.low, judgement.high) == interval(trimmed(d), ALPHAS[0])
    assert judgement.needed == 6
    for n in (0, 1):
        empty = judge(d[:n], MARGIN)
        assert empty.estimate is None and empty.low is None and empty.needed is None and not empty.settled


@given(runs(least=6), st.sampled_from([1, 60]))
def test_a_judgement_rests_on_a_planned_look(d: Array, tests: int) -> None:
    judgement = judge(d, MARGIN, tests)
    assert judgement.look in LOOKS and judgement.look <= d.size
    used = at_look(d, judgement.look)
    assert judgement.estimate == used
    alpha = ALPHAS[LOOKS.index(judgement.look)]
    reading, low, high = decide(used, MARGIN, alpha, alpha)
    assert (judgement.low, judgement.high) == (low, high)
    assert (judgement.verdict, judgement.clear, judgement.tiny) == (reading.verdict, reading.clear, reading.tiny)
    seen = LOOKS[: LOOKS.index(judgement.look) + 1]
    expected = min(1.0, *(p_value(at_look(d, n)) / w for n, w in zip(seen, WEIGHTS, strict=False)))
    assert judgement.p == expected
    if judgement.verdict in MIRROR:
        assert judgement.p <= TOTAL * (1 + 1e-6)
    if judgement.verdict is Verdict.SAME:
        assert judgement.p_same is not None and judgement.p_same <= TOTAL * (1 + 1e-6)
    if judgement.clear and tests == 1:
        assert judgement.verdict in MIRROR and judgement.settled
    if judgement.tiny:
        assert judgement.verdict is Verdict.SAME
    if not judgement.settled:
        assert d.size < LOOKS[LOOKS.index(judgement.look) + 1]
    if judgement.settled and judgement.look < LOOKS[-1] and judgement.verdict in MIRROR and not judgement.clear:
        low, high = interval(used, alpha)
        assert (high - low) / 2 <= PRECISE * MARGIN * (1 + 1e-9)


@pytest.mark.parametrize(("size", "half", "known"), [
    (0.8, 0.39, True), (0.8, 0.41, False),
    (1.2, 0.39, True), (1.2, 0.41, False),  # 0.41 is less than half of it, but the margin is inside
    (1.8, 0.79, True), (1.8, 0.81, False),
    (3.0, 1.49, True), (3.0, 1.51, False),  # beyond the margin, with more than half of it
    (4.0, 1.99, True), (4.0, 2.03, True),  # clear even as the only one of 60
])
def test_a_difference_ends_where_it_is_known_well_enough(size: float, half: float, known: bool) -> None:
    """Both in margins; `half` is of the interval at the look's error."""
    alpha, df = ALPHAS[-1], 1000
    se = half * MARGIN / float(quantile(np.array([df]), np.array([alpha]))[0])
    for sign in (1, -1):
        estimate = Estimate(mean=sign * size * MARGIN, se=se, df=df, n=df + 1)
        assert Differences(MARGIN).settles(estimate, alpha, 60) is known


@given(runs(least=6, most=40), st.sampled_from([1, 60]), st.lists(st.floats(-5, 5), max_size=40))
def test_who_samples_on_after_the_rule_has_stopped_changes_nothing(d: Array, tests: int, more: list[float]) -> None:
    judgement = judge(d, MARGIN, tests)
    assume(judgement.settled)
    assert judge(np.concatenate([d, more]), MARGIN, tests) == judgement


@given(runs(least=6), st.integers(2, 200))
def test_in_company_sampling_never_stops_sooner(d: Array, tests: int) -> None:
    alone, among = judge(d, MARGIN), judge(d, MARGIN, tests)
    assert alone.look is not None and among.look is not None
    assert among.look >= alone.look
    if alone.look == among.look:
        assert replace(among, settled=alone.settled) == alone


@given(runs(), st.sampled_from([0.001, MARGIN, 0.1]), st.sampled_from([1, 20]))
def test_swapping_the_arms_mirrors_everything(d: Array, margin: float, tests: int) -> None:
    one, other = judge(d, margin, tests), judge(-d, margin, tests)
    flipped = None if other.estimate is None else replace(other.estimate, mean=-other.estimate.mean)
    low, high = (None, None) if other.low is None or other.high is None else (-other.high, -other.low)
    assert one == replace(
        other, verdict=MIRROR.get(other.verdict, other.verdict), estimate=flipped, low=low, high=high
    )


estimates = st.builds(
    Estimate, mean=st.floats(-0.03, 0.03), se=st.sampled_from([0.0, 1e-4, 0.001, 0.003, 0.01]),
    df=st.integers(3, 31), n=st.just(40))
errors = st.sampled_from([0.05, 0.01, 0.005, 0.005 / 60])


@given(estimates, errors, errors)
def test_a_claim_stands_where_its_interval_supports_it(estimate: Estimate, change: float, same: float) -> None:
    differences, sameness = Differences(MARGIN), Sameness(MARGIN)
    low, high = differences.interval(estimate, change)
    differs = low > 0 or high < 0
    assert differs == (differences.p(estimate) < change) or abs(differences.p(estimate) / change - 1) < 1e-6
    least, most = sameness.interval(estimate, same)
    inside = least > -MARGIN and most < MARGIN
    assert least <= 0 <= most
    assert inside == (sameness.p(estimate) < same) or abs(sameness.p(estimate) / same - 1) < 1e-6
    reading, *shown = decide(estimate, MARGIN, change, same)
    assert reading == read(shown[0], shown[1], MARGIN)
    assert shown[0] <= estimate.mean <= shown[1]
    assert (reading.verdict is Verdict.SAME) == inside
    assert (reading.verdict in MIRROR or reading.tiny) == differs
    # Not asked about sameness, only what a difference is shown at matters.
    assert decide(estimate, MARGIN, change, None)[1:] == (low, high)


@given(estimates, st.floats(0.0005, 0.2), st.floats(1.01, 20), errors)
def test_a_wider_margin_keeps_sameness_and_a_narrower_one_keeps_clearness(
    estimate: Estimate, margin: float, by: float, error: float
) -> None:
    narrow, wide = decide(estimate, margin, error, error)[0], decide(estimate, margin * by, error, error)[0]
    if narrow.verdict is Verdict.SAME:
        assert wide.verdict is Verdict.SAME
    if wide.clear:
        assert narrow.clear


@given(estimates, errors, st.integers(1, 200))
def test_what_settles_is_there_at_the_suites_error(estimate: Estimate, error: float, tests: int) -> None:
    differences, sameness = Differences(MARGIN), Sameness(MARGIN)
    if differences.settles(estimate, error, tests):
        assert decide(estimate, MARGIN, error / tests * (1 + 1e-9), None)[0].verdict in (*MIRROR, Verdict.SAME)
        assert differences.settles(estimate, error, 1)
    if sameness.settles(estimate, error, tests):
        assert decide(estimate, MARGIN, error, error)[0].verdict is Verdict.SAME


def test_a_family_shares_the_error_by_what_it_selects() -> None:
    places = family([0.001, None, 0.02, 0.9, 0.03], 0.05)
    assert [place.selected for place in places] == [True, False, True, False, True]
    assert [place.share for place in places] == pytest.approx([3 / 4, 1, 3 / 4, 1, 3 / 4])
    assert places[1].q is None and places[0].q == pytest.approx(0.004)
    assert [place.share for place in family([0.001, 0.9, 0.9], 0.05)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert family([], 0.05) == []


@given(runs(least=6), st.sampled_from([0.5, 2.0, 8.0]))
def test_only_the_ratio_to_the_margin_matters(d: Array, scale: float) -> None:
    one, other = judge(d, MARGIN), judge(d * scale, MARGIN * scale)
    assert (one.verdict, one.clear, one.look, one.needed) == (other.verdict, other.clear, other.look, other.needed)


@given(st.floats(-0.05, 0.05), st.integers(6, 85))
def test_equal_values_settle_at_the_first_look(value: float, n: int) -> None:
    judgement = judge(np.full(n, value), MARGIN)
    assert judgement.look == 6
    assert judgement.low is not None and judgement.low == judgement.high == value
    expected = Verdict.SAME if abs(value) < MARGIN else Verdict.SLOWER if value > 0 else Verdict.FASTER
    assert judgement.verdict is expected and judgement.settled
    assert judgement.tiny == (value != 0 and expected is Verdict.SAME)


@pytest.mark.parametrize(("repeats", "blocks", "layouts"), [
    (None, 24, LAYOUTS), (1, None, LAYOUTS), (1, 36, LAYOUTS), (6, None, LAYOUTS),
    (6, 36, 6), (2, 100, LAYOUTS), (3, 100, 33), (36, 36, 2), (6, 3, 2),
])
def test_layouts_come_in_turn_where_several_blocks_share_one(
    repeats: int | None, blocks: int | None, layouts: int
) -> None:
    assert layouts_in_turn(repeats, blocks) == layouts


def test_blocks_of_few_layouts_are_judged_by_the_means_of_these() -> None:
    d = np.tile([-0.02, 0.0, 0.01, 0.03, 0.04, 0.06], 6) + np.random.default_rng(40).normal(0, 0.002, 36)
    few, many = judge(d, MARGIN, layouts=6), judge(d, MARGIN)
    assert few.estimate is not None and many.estimate is not None
    assert few.look == few.estimate.n == 26 and few.estimate.df == 5
    means = np.array([d[:26][layout::6].mean() for layout in range(6)])
    assert (few.estimate.mean, few.estimate.se) == pytest.approx((trimmed(means).mean, trimmed(means).se))
    assert many.estimate.df > 5 and few.p is not None and many.p is not None and few.p > many.p
    assert at_look(d, 6, 6) == at_look(d, 6), "a layout for each"


def slow_needed(judgement: Judgement, margin: float, layouts: int) -> int | None:
    """`needed` by trying every size on a made-up sample of that mean and spread, as the definition says."""
    estimate = judgement.estimate
    assert estimate is not None
    g = estimate.n // 10
    deviation = estimate.se * (1 - 2 * g / estimate.n) * math.sqrt(estimate.n)
    for n in (*LOOKS, *range(LOOKS[-1] + 1, FARTHEST + 1)):
        if layouts < LAYOUTS and n > layouts:
            return None
        g, values = n // 10, min(n, layouts)
        supposed = replace(
            estimate, se=deviation / ((1 - 2 * g / n) * math.sqrt(n)), df=values - 2 * (values // 10) - 1, n=n
        )
        alpha = ALPHAS[LOOKS.index(n)] if n in LOOKS else ALPHAS[-1]
        if n > estimate.n and decide(supposed, margin, alpha, alpha)[0].verdict is not Verdict.UNDECIDED:
            return n
    return None


@given(runs(least=2, most=41), st.sampled_from([LAYOUTS, 6]))
def test_needed_is_the_first_size_that_would_decide(d: Array, layouts: int) -> None:
    judgement = judge(d, MARGIN, layouts=layouts)
    if judgement.verdict is Verdict.UNDECIDED:
        assert judgement.needed == slow_needed(judgement, MARGIN, layouts)
    else:
        assert judgement.needed is None


def test_no_number_of_blocks_is_told_where_more_of_the_same_layouts_would_settle_nothing() -> None:
    """What layouts do in it stays, however many blocks there are of the six."""
    d = np.tile([-0.01, 0.0, 0.02, 0.03, 0.03, 0.05], 6) + np.random.default_rng(41).normal(0, 0.001, 36)
    few = judge(d, MARGIN, layouts=6)
    assert few.verdict is Verdict.UNDECIDED and few.needed is None


def test_needed_is_not_told_beyond_what_anybody_will_run() -> None:
    d = np.array([-3.0, 3.0] * 20)
    assert judge(d, MARGIN).needed is None


@pytest.mark.parametrize(("base", "head", "verdict", "clear", "ratio"), [
    (100, 100, Verdict.SAME, False, 0.0),
    (100_000, 100_001, Verdict.SLOWER, False, math.log(1.00001)),
    (100, 50, Verdict.FASTER, True, math.log(0.5)),
    (0, 0, Verdict.SAME, False, None),
    (0, 64, Verdict.SLOWER, True, None),
    (64, 0, Verdict.FASTER, True, None),
    (-3, -5, Verdict.FASTER, True, None),
])
def test_exact_counts_are_compared_as_numbers(
    base: float, head: float, verdict: Verdict, clear: bool, ratio: float | None
) -> None:
    judgement = judge_exact(np.full(3, float(base)), np.full(3, float(head)), MARGIN)
    assert judgement is not None
    assert (judgement.verdict, judgement.clear, judgement.settled, judgement.exact) == (verdict, clear, True, True)
    assert judgement.p is None and judgement.look == 3
    assert judgement.low == judgement.high == (None if ratio is None else pytest.approx(ratio))
    assert (judgement.estimate is None) == (ratio is None)


@pytest.mark.parametrize(("base", "head"), [
    ([1.0, 1.0], [2.0, 2.0]),
    ([1.0, 1.0, 1.0], [2.0, 2.0, 2.5]),
    ([1.0, 1.5, 1.0], [2.0, 2.0, 2.0]),
    ([1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 3.0]),
])
def test_counts_that_are_not_exact_are_left_to_the_rule(base: list[float], head: list[float]) -> None:
    assert judge_exact(np.array(base), np.array(head), MARGIN) is None


def test_refuses_what_cannot_be_judged() -> None:
    d = np.zeros(8)
    for margin in (0.0, -0.01, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin"):
            judge(d, margin)
    for bad in (np.array([0.0] * 7 + [math.nan]), np.array([math.inf]), np.zeros((8, 2))):
        with pytest.raises(ValueError, match="finite"):
            judge(bad, MARGIN)
    with pytest.raises(ValueError, match="tests"):
        judge(d, MARGIN, 0)
