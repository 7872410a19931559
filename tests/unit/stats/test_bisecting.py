"""How a search decides: its errors add up to what is promised, and a step errs no more often than its part."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.stats import bisecting
from runner.stats.bisecting import Question, Side
from runner.stats.decide import LOOKS, at_look, judge
from runner.stats.paired import Estimate, trimmed


@given(st.integers(1, 100_000))
def test_however_many_steps_there_are_their_errors_add_up_to_no_more_than_promised(commits: int) -> None:
    errors = [bisecting.error(step, commits) for step in range(1, 200)]
    assert math.fsum(errors) <= bisecting.STEPS + 1e-12
    assert all(later <= earlier for earlier, later in pairwise(errors))
    assert pytest.approx(bisecting.TOTAL) == bisecting.ENDS + bisecting.STEPS


def test_there_is_no_step_before_the_first() -> None:
    for step, commits in ((0, 8), (-1, 8), (1, 0)):
        with pytest.raises(ValueError, match="there is no step"):
            bisecting.error(step, commits)


@given(st.floats(1e-4, 0.05), st.floats(1e-3, 0.5), st.floats(1e-5, 0.02))
def test_blocks_are_a_look_and_the_more_the_harder(spread: float, distance: float, error: float) -> None:
    wanted = bisecting.blocks(spread, distance, error)
    assert wanted in LOOKS
    assert bisecting.blocks(2 * spread, distance, error) >= wanted
    assert bisecting.blocks(spread, 2 * distance, error) <= wanted
    assert bisecting.blocks(spread, distance, error / 2) >= wanted


def test_what_has_no_spread_or_no_ratio_takes_the_fewest_blocks() -> None:
    assert bisecting.blocks(0.0, 0.01, 1e-4) == LOOKS[0]
    assert bisecting.blocks(0.01, math.inf, 1e-4) == LOOKS[0]


def test_a_second_look_has_three_times_as_many_blocks_and_the_last_has_no_second() -> None:
    assert [bisecting.more(look) for look in LOOKS] == [18, 26, 40, 80, 80, 160, 160, None]


def test_numbers_below_the_first_look_are_no_estimate_and_a_budget_that_ends_early_leaves_a_look() -> None:
    values = np.linspace(0.0, 0.1, 45)
    assert bisecting.estimate_of(values[:5]) is None
    assert bisecting.estimate_of(values[:7]) == trimmed(values[:6])
    assert bisecting.estimate_of(values) == at_look(values, 40)


def test_turning_all_signs_turns_the_question_and_not_the_answer() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        ends, step = rng.normal(0.03, 0.01, 12), rng.normal(rng.choice([0.0, 0.03]), 0.01, 12)
        up, down = (bisecting.ends_again(at_look(sign * ends, 12), sign) for sign in (1, -1))
        assert (up is None) == (down is None)
        if up is None or down is None:
            continue
        assert (up.sign, down.sign) == (1, -1)
        assert up.threshold == down.threshold
        assert bisecting.side(trimmed(step), up, 0.001) is bisecting.side(trimmed(-step), down, 0.001)


def test_the_first_duel_is_enough_only_if_it_tells_half_of_the_change() -> None:
    precise, vague = (Estimate(mean=-0.05, se=se, df=5, n=6) for se in (0.001, 0.02))
    question = bisecting.first(precise)
    assert question is not None
    assert (question.sign, question.threshold) == (-1, 0.025)
    assert question.spread == pytest.approx(0.001 * math.sqrt(6))
    assert bisecting.first(vague) is None
    with pytest.raises(ValueError, match="not a look"):
        bisecting.first(Estimate(mean=0.05, se=0.001, df=5, n=7))


def test_a_second_duel_sees_the_change_again_or_does_not() -> None:
    sure, other, nothing = (Estimate(mean=mean, se=0.002, df=7, n=8) for mean in (0.05, -0.05, 0.001))
    question = bisecting.ends_again(sure, 1)
    assert question is not None
    assert question.threshold == 0.025
    assert bisecting.ends_again(other, 1) is None
    assert bisecting.ends_again(nothing, 1) is None
    near = bisecting.ends_again(Estimate(mean=0.05, se=0.012, df=7, n=8), 1)
    assert near is not None
    assert 0 < near.threshold < 0.025


def test_exact_counts_are_on_a_side_without_any_doubt() -> None:
    question = bisecting.exact(Estimate(mean=0.2, se=0.0, df=2, n=3))
    sides = [bisecting.side(Estimate(mean=mean, se=0.0, df=2, n=3), question, 1e-9) for mean in (0.0, 0.1, 0.2)]
    assert sides == [Side.GOOD, Side.UNDECIDED, Side.BAD]


NOISES = {
    "normal": lambda rng, size: rng.normal(0, 1, size),
    "t with 3 df": lambda rng, size: rng.standard_t(3, size) / math.sqrt(3),
    "a tenth six times as wild": lambda rng, size: rng.normal(0, 1, size) * np.where(rng.random(size) < 0.1, 6, 1),
}


@pytest.mark.parametrize("noise", NOISES)
def test_a_step_errs_no_more_often_than_its_part_of_the_error(noise: str) -> None:
    """At the worst place for it: a commit that is good, threshold 0; and one that is bad, threshold the change."""
    rng = np.random.default_rng(2)
    size, error, times = 0.02, 0.02, 1500
    for truth, threshold, wrong in ((0.0, 1e-12, Side.BAD), (size, size, Side.GOOD)):
        question = Question(sign=1, threshold=threshold, spread=0.01)
        errors = sum(
            bisecting.side(trimmed(truth + 0.01 * NOISES[noise](rng, 8)), question, error) is wrong
            for _ in range(times)
        )
        assert errors <= times * error + 3 * math.sqrt(times * error)


def test_the_threshold_is_above_the_change_no_more_often_than_promised() -> None:
    """Where the change is so small that only lucky runs find it, its estimate is too large: the near end is not."""
    rng = np.random.default_rng(3)
    found = above = 0
    for change in (0.004, 0.006, 0.01):
        for _ in range(400):
            judgement = judge(rng.normal(change, 0.01, 160), 0.01)
            estimate = judgement.estimate
            if estimate is None or judgement.low is None or judgement.low <= 0:
                continue
            found += 1
            question = bisecting.first(estimate)
            if question is None:
                n = bisecting.blocks(bisecting.spread(estimate), estimate.mean / 2, bisecting.ENDS / 2)
                question = bisecting.ends_again(at_look(rng.normal(change, 0.01, n), n), 1)
            above += question is not None and question.threshold > change
    assert found > 300
    assert above <= bisecting.ENDS * 1200 + 3 * math.sqrt(bisecting.ENDS * 1200)
