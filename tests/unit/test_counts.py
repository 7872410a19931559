"""How many calls are counted, and what is made of the counts of several seeds."""

from __future__ import annotations

import math

import pytest
from samples import benchmark

from runner.measuring.callgrind import Function, Profile
from runner.measuring.counts import LONG, MOST_CALLS, WORTH, Instructions, _calls, _changes, _Count, _per_call
from runner.model import Arm

F, G = Function(name="f", object=""), Function(name="g", object="libc.so.6")
UNNAMED = Function(name="", object="libc.so.6", caller="h")


@pytest.mark.parametrize("instructions", [1.0, 1e3, 1e5, 3e6, WORTH, LONG - 1])
def test_a_call_is_counted_as_the_difference_of_twice_as_many(instructions: float) -> None:
    few, many = _calls(benchmark(), instructions)
    assert many == 2 * few and 1 <= few <= MOST_CALLS
    assert few * instructions <= max(WORTH, instructions)


def test_a_long_call_is_counted_alone() -> None:
    assert _calls(benchmark(), LONG) == (0, 1)


def test_a_benchmark_that_states_a_number_gets_that_many_after_one_setup() -> None:
    assert _calls(benchmark(number=7), 100.0) == (0, 7)


def test_what_both_counts_have_in_common_cancels() -> None:
    """Such as the marks themselves, and what the first call of a slice costs more."""
    few = Profile(total=1100, functions={F: 1000, G: 100}, callers={})
    many = Profile(total=1900, functions={F: 1800, G: 100}, callers={G: "f"})
    count = _per_call(few, many, 8)
    assert (count.total, count.functions, count.callers) == (100.0, {F: 100.0, G: 0.0}, {G: "f"})


def count(functions: dict[Function, float], callers: dict[Function, str] | None = None) -> _Count:
    return _Count(total=sum(functions.values()), functions=functions, callers=callers or {})


def test_changes_are_means_over_the_seeds_largest_first_and_equal_ones_are_left_out() -> None:
    found = [
        {Arm.BASE: count({F: 10.0, G: 900.0, UNNAMED: 5.0}, {G: "f"}), Arm.HEAD: count({F: 14.0, UNNAMED: 5.0})},
        {Arm.BASE: count({F: 10.0, G: 700.0, UNNAMED: 5.0}, {G: "f"}), Arm.HEAD: count({F: 16.0, UNNAMED: 5.0})},
    ]
    changes = _changes(found)
    assert [(one.function, one.base, one.head) for one in changes] == [(G, 800.0, 0.0), (F, 10.0, 15.0)]
    assert [one.caller for one in changes] == ["f", ""]


def test_the_caller_is_that_of_the_arm_that_executes_more() -> None:
    found = [{Arm.BASE: count({G: 1.0}, {G: "rarely"}), Arm.HEAD: count({G: 50.0}, {G: "much"})}]
    assert [one.caller for one in _changes(found)] == ["much"]


def test_the_ratio_is_of_the_means() -> None:
    one = Instructions(seeds=(1, 2), base=(100.0, 300.0), head=(300.0, 500.0), calls=1, exact=True, changes=())
    assert one.log_ratio == pytest.approx(math.log(2))
