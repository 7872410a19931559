"""What a history suggests: simulated histories of known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runner.stats.nominate import DOUBT, LIMIT, WINDOW, Candidate, Kind, inflation, nominate, share
from runner.stats.paired import Array

MARGIN = math.log1p(0.01)
SEEDS = range(40)


def points(levels: Array, sd: float, seed: int) -> tuple[Array, Array]:
    """A history with these levels (logs), whose standard errors are most of its noise."""
    rng = np.random.default_rng(seed)
    return levels + rng.normal(0, sd, levels.size), np.full(levels.size, 0.9 * sd)


def stepped(before: int, after: int, size: float) -> Array:
    return np.repeat([0.0, math.log1p(size)], [before, after])


def suggested(levels: Array, sd: float = 0.004) -> list[tuple[Candidate, ...]]:
    return [nominate(*points(levels, sd, seed), MARGIN) for seed in SEEDS]


@pytest.mark.parametrize("size", [0.03, -0.03])
def test_the_newest_night_speaks_for_itself(size: float) -> None:
    found = [one[-1] for one in suggested(stepped(30, 1, size)) if one]
    right = [one for one in found if one.before < 30 <= one.at and one.size * size > 0]
    assert len(right) >= 38
    assert sum(one.kind is Kind.NEWEST and one.before == 29 for one in right) >= 34


@pytest.mark.parametrize(("before", "after", "size", "sd"), [
    (30, 2, 0.02, 0.004), (8, 8, 0.03, 0.005), (60, 10, -0.02, 0.005), (150, 40, 0.015, 0.004), (40, 40, 0.01, 0.004),
])
def test_a_step_is_suggested_within_the_range_where_it_is(before: int, after: int, size: float, sd: float) -> None:
    right = 0
    for found in suggested(stepped(before, after, size), sd):
        steps = [one for one in found if one.kind is not Kind.DRIFT]
        of_step = [one for one in steps if one.before < before <= one.at and one.size * size > 0]
        right += len(of_step) == 1 and of_step[0].at - of_step[0].before <= 8
    assert right >= 34


def test_an_old_clear_step_is_seen_by_both_searches() -> None:
    assert all(found[0].strength == 2 and (found[0].before, found[0].place, found[0].at) == (29, 30, 30)
               for found in suggested(stepped(30, 30, 0.05), 0.003))


@pytest.mark.parametrize("nights", [2, 3, 8, 30, 90, 200])
def test_a_quiet_history_suggests_little(nights: int) -> None:
    found = [nominate(*points(np.zeros(nights), 0.005, seed), MARGIN) for seed in range(200)]
    assert sum(map(bool, found)) <= 200 * 2 * LIMIT + 4


def test_what_neighbours_share_is_allowed_for() -> None:
    count = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        y = rng.normal(0, 0.004, 90)
        for place in range(1, 90):
            y[place] = 0.5 * y[place - 1] + math.sqrt(0.75) * y[place]
        count += bool(nominate(y, np.full(90, 0.003), MARGIN))
    assert count <= 20


def test_one_night_that_stands_alone_is_no_step() -> None:
    levels = np.zeros(40)
    levels[20] = 0.06
    assert sum(map(bool, suggested(levels))) <= 4


def test_a_point_of_few_blocks_weighs_little() -> None:
    y, se = points(np.zeros(30), 0.004, 1)
    y[-1], se[-1] = 0.3, 0.2
    assert nominate(y, se, MARGIN) == ()


def test_what_is_known_is_not_suggested_again() -> None:
    levels = stepped(30, 20, 0.05)
    for seed in SEEDS:
        assert nominate(*points(levels, 0.004, seed), MARGIN)
    found = [nominate(*points(levels, 0.004, seed), MARGIN, known=(30,)) for seed in SEEDS]
    assert sum(map(bool, found)) <= 3
    back = np.concatenate([levels, np.zeros(2)])
    gone = [nominate(*points(back, 0.004, seed), MARGIN, known=(30,)) for seed in SEEDS]
    assert all(one and one[-1].before < 50 <= one[-1].at and one[-1].size < 0 for one in gone)


def test_small_steps_come_together_as_a_drift() -> None:
    levels = np.concatenate([np.zeros(30), np.linspace(0, math.log1p(0.05), 70)])
    drifts = [[one for one in found if one.kind is Kind.DRIFT] for found in suggested(levels)]
    assert sum(len(found) == 1 and found[0].size > 0.02 for found in drifts) >= 36
    assert all(one.at == 99 for found in drifts for one in found)


def test_a_drift_is_measured_from_the_first_night_however_long_ago() -> None:
    levels = np.linspace(0, math.log1p(0.04), 3 * WINDOW)
    found = [one for one in nominate(*points(levels, 0.003, 1), MARGIN) if one.kind is Kind.DRIFT]
    assert [(one.before, one.at) for one in found] == [(29, 3 * WINDOW - 1)]


def test_swapping_the_arms_flips_the_signs() -> None:
    y, se = points(stepped(40, 12, 0.02), 0.004, 3)
    there, back = nominate(y, se, MARGIN), nominate(-y, se, MARGIN)
    assert [(one.kind, one.before, one.place, one.at, one.strength) for one in there] == [
        (one.kind, one.before, one.place, one.at, one.strength) for one in back]
    assert [one.size for one in there] == pytest.approx([-one.size for one in back])
    assert [one.p for one in there] == pytest.approx([one.p for one in back])


def test_exact_counts_have_no_noise() -> None:
    y = np.repeat([0.0, 0.02], [20, 6])
    found = nominate(y, np.zeros(26), MARGIN)
    assert (found[0].before, found[0].place, found[0].at) == (19, 20, 20)


def test_what_cannot_matter_is_not_suggested() -> None:
    assert nominate(np.repeat([0.0, 0.003], [30, 30]), np.full(60, 1e-5), MARGIN) == ()


@pytest.mark.parametrize("nights", [0, 1])
def test_too_few_nights(nights: int) -> None:
    assert nominate(np.zeros(nights), np.zeros(nights), MARGIN) == ()


@pytest.mark.parametrize(("y", "se"), [([0.0, math.nan], [0.1, 0.1]), ([0.0, 0.0], [0.1]), ([0.0, 0.0], [math.inf, 1])])
def test_what_is_no_history(y: list[float], se: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        nominate(y, se, MARGIN)


def test_the_shares_of_the_error_add_up_to_all_of_it() -> None:
    assert sum(share(nights) for nights in range(1, 5000)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("n", "r"), [(1, 0.5), (2, 0.5), (10, 0.3), (30, 0.9), (7, 0.0)])
def test_the_variance_of_a_mean_of_neighbours(n: int, r: float) -> None:
    places = np.arange(n)
    assert inflation(n, r) == pytest.approx(float((r ** np.abs(places[:, None] - places)).sum()) / n)


def test_the_range_holds_the_place_as_often_as_it_says() -> None:
    """At a change of three times the noise: the doubt of 6 leaves out at most one in twenty, about."""
    assert pytest.approx(2 * math.log(20), abs=0.01) == DOUBT
    held = asked = 0
    for seed in range(300):
        for one in nominate(*points(stepped(30, 10, 0.012), 0.004, seed), MARGIN):
            if one.kind is not Kind.DRIFT and abs(one.place - 30) <= 5:
                asked += 1
                held += one.before < 30 <= one.at
    assert asked >= 250
    assert held / asked >= 0.9
