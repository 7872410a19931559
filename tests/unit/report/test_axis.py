"""The axis of ratios: per cent near 1, logarithmic beyond, a change and its reverse alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import axis
from dashboards.axis import Axis

NEAR = 0.01
ratios = st.floats(1e-8, 1e8)
margins = st.sampled_from([0.0, 0.001, 0.01, 0.05])


@given(ratios, ratios)
def test_larger_ratios_lie_further(one: float, other: float) -> None:
    first, second = axis.place([one, other], NEAR)
    assert (first < second) == (one < other) or math.isclose(one, other, rel_tol=1e-12)


@given(ratios)
def test_a_change_and_its_reverse_are_as_far_from_1(ratio: float) -> None:
    there, back = axis.place([ratio, 1 / ratio], NEAR)
    assert there == pytest.approx(-back, rel=1e-6, abs=1e-9)


@given(ratios)
def test_places_lead_back_to_ratios(ratio: float) -> None:
    assert float(axis.ratio(axis.place(ratio, NEAR), NEAR)) == pytest.approx(ratio, rel=1e-9)


def test_near_1_each_per_cent_is_as_wide_and_far_away_each_tenfold() -> None:
    near = np.diff(axis.place([1.0, 1.0025, 1.005], NEAR))
    assert near[1] == pytest.approx(near[0], rel=0.1)
    far = np.diff(axis.place([100.0, 1000.0, 10_000.0], NEAR))
    assert far[1] == pytest.approx(far[0], rel=0.01) and far[0] == pytest.approx(math.log(10), rel=0.01)


def test_zero_and_infinity_are_at_the_ends() -> None:
    assert list(axis.place([0.0, math.inf], NEAR)) == [-math.inf, math.inf]
    assert list(axis.around([2.0], NEAR)([0.0, 1.0, math.inf])) == [0.0, 0.5, 1.0]


@given(st.lists(st.one_of(st.none(), st.just(0.0), ratios), max_size=8), margins)
def test_an_axis_around_1_has_room_for_all(found: list[float | None], margin: float) -> None:
    one = axis.around(found, margin)
    assert float(one(1.0)) == pytest.approx(0.5)
    assert all(one.beyond(ratio) == 0 for ratio in found if ratio)
    assert one.high >= 1 + 5 * margin


def test_no_axis_is_without_end() -> None:
    one = axis.around([1e300, 1e-300], NEAR)
    assert one.beyond(1e300) == 1 and one.beyond(1e-300) == -1 and one.high < 1e10


@given(st.lists(ratios, min_size=1, max_size=8), margins)
def test_an_axis_through_a_history_shows_all_of_it(found: list[float], margin: float) -> None:
    one = axis.through(found, margin)
    assert all(one.low < ratio < one.high for ratio in found)


def test_a_history_far_from_1_is_seen_from_near() -> None:
    one = axis.through([1 / 2042, 1 / 2000, 1 / 1980], NEAR)
    assert one.high < 1 / 1000, "1 is not in sight"
    assert np.ptp(one([1 / 2042, 1 / 1980])) > 0.5
    assert axis.through([0.95, 0.97], NEAR).high > 1


@given(st.lists(ratios, min_size=1, max_size=4), margins, st.integers(4, 10))
def test_ticks_are_within_ascending_and_few(found: list[float], margin: float, most: int) -> None:
    for one in (axis.around(found, margin), axis.through(found, margin)):
        ticks = one.ticks(most)
        numbers = [number for number, _ in ticks]
        assert 2 <= len(ticks) <= 2 * most and numbers == sorted(numbers)
        assert all(one.low <= number <= one.high for number in numbers)
        assert len({text for _, text in ticks}) == len(ticks)


@pytest.mark.parametrize(("ratio", "text"), [
    (1.0, "0 %"), (1.01, "+1 %"), (0.9, "−10 %"), (1.5, "+50 %"), (2.0, "2x"), (0.5, "1/2"), (1e-3, "1/1,000"),
    (1e5, "100,000x"), (1e9, "1e9x"), (1.0005, "+0.05 %"),
])
def test_labels(ratio: float, text: str) -> None:
    assert axis.label(ratio) == text


def test_marks_say_where_they_are() -> None:
    found = list(axis.marks())
    assert found[0] == (1.0, "0 %") and len({text for _, text in found}) >= len(found) - 2
    assert all(text == axis.label(ratio) for ratio, text in found)


@pytest.mark.parametrize(("ratio", "depth"), [
    (1.01, 1), (0.97, 1), (1.06, 2), (0.7, 3), (2.5, 4), (1 / 9.9, 4), (10.5, 5), (0.0, 5)])
def test_the_deeper_the_larger(ratio: float, depth: int) -> None:
    assert axis.depth(ratio) == depth


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_round_numbers_are_round_and_within(low: float, span: float) -> None:
    high = low + span
    if high - low < 1e-9 * abs(high):
        return  # the doubles between them are too few
    numbers = axis.round_numbers(low, high, 5)
    assert 1 <= len(numbers) <= 7
    assert all(low - 1e-9 * span <= number <= high + 1e-9 * span for number in numbers)
    steps = np.diff(numbers)
    if len(steps):
        mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
        assert mantissa == pytest.approx(round(mantissa), rel=1e-3) and round(mantissa) in (1, 2, 5, 10)


def test_an_axis_is_of_two_ratios() -> None:
    one = Axis(low=0.5, high=2.0, near=NEAR)
    assert list(one([0.5, 1.0, 2.0])) == pytest.approx([0.0, 0.5, 1.0])


@pytest.mark.parametrize("ratios", [
    [1e20], [1e20, 1e30], [math.inf], [math.inf] * 3, [1e-20] * 2, [1e-300], [1e12, 1.0],
])
def test_what_lies_beyond_the_farthest_mark_has_an_axis_all_the_same(ratios: list[float]) -> None:
    found = axis.through(ratios, 0.01)
    assert 0 < found.low < found.high < math.inf
    assert np.isfinite(found(ratios)).all() and len(found.ticks(6)) >= 1
