"""Names of parameters: distinct, fit to be printed, and the same in every process; and asv_runner's reading of them."""

from __future__ import annotations

import functools
import random
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from asv_runner.benchmarks import _base
from hypothesis import given
from hypothesis import strategies as st

from runner.suites import asv_params
from runner.suites.asv_params import contents, find, lists, names, numbered


class Quiet:
    """Reads like another, and like a string."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "quiet"


TEXT = st.text(st.characters(codec=None) | st.sampled_from("\n\r\x1b\u2028\u202e\udc80'\"\\, =()01"), max_size=120)
PLAIN = st.one_of(TEXT, st.integers(), st.floats(), st.none(), st.booleans(), st.binary(max_size=9),
                  st.just("quiet"), st.just("quiet (0)"), st.builds(Quiet, st.integers(0, 3)))
SETS = st.frozensets(st.integers() | st.text(max_size=3), max_size=4)
VALUES = st.lists(PLAIN | st.tuples(PLAIN, PLAIN) | SETS, max_size=6)


@given(VALUES)
def test_names_are_distinct_short_and_fit_to_be_printed(values: list[Any]) -> None:
    told = names(values)
    assert len(set(told)) == len(told) == len(values)
    for name in told:
        name.encode()  # a file takes it
        assert not {unicodedata.category(c) for c in name} & {"Cc", "Cs", "Zl", "Zp"}, ascii(name)
        assert len(name) <= 6 * asv_params.LONGEST + 40


@given(VALUES)
def test_each_value_is_found_by_its_name(values: list[Any]) -> None:
    for value, name in zip(values, names(values), strict=True):
        assert find(values, name) is value


@given(st.lists(PLAIN, max_size=6, unique_by=repr), st.randoms())
def test_a_value_is_found_in_whatever_order_they_come(values: list[Any], order: random.Random) -> None:
    told = dict(zip(names(values), values, strict=True))
    shuffled = list(values)
    order.shuffle(shuffled)
    assert all(find(shuffled, name) is value for name, value in told.items())


@given(VALUES)
def test_numbers_are_given_as_asv_gives_them(values: list[Any]) -> None:
    odd = [value for value in values if isinstance(value, Quiet)] + [None, None, 1.0, 2.0]
    assert names(odd) == _base._unique_param_ids([odd])[0]


def test_a_number_never_makes_a_name_that_is_there() -> None:
    assert numbered(["x", "x", "x (0)", "y"]) == ["x (1)", "x (2)", "x (0)", "y"]
    assert names([Quiet(1), Quiet(2), "quiet", "quiet (0)"]) == ["quiet (0)", "quiet (1)", "'quiet'", "'quiet (0)'"]


def test_strings_lose_their_quotes_unless_two_values_would_look_alike() -> None:
    assert names(["4KiB", 3, None]) == ["4KiB", "3", "None"]
    assert names(["1", 1, "a"]) == ["'1'", "1", "'a'"]
    assert names(["\n", "\r\n", "", None]) == ["\\n", "\\r\\n", "", "None"]
    assert names(["\n", "\\n"]) == ["'\\n'", "'\\\\n'"]


@pytest.mark.parametrize("make", [
    lambda: functools.partial(names, [functools.partial(len)]), lambda: object().__str__,
    lambda: (object(), [object()]), lambda: {"key": (object(), names)}, lambda: (one for one in ()), lambda: [].append,
    lambda: lambda: None,
])  # fmt: skip
def test_an_address_is_in_no_name(make: Callable[[], Any]) -> None:
    here = make()
    assert " at 0x" in repr(here) or isinstance(here, tuple)
    assert names([here]) == names([make()])
    assert "0x" not in names([here])[0]


def test_text_that_looks_like_an_address_is_left_alone_in_a_string() -> None:
    assert names(["meet at 0x10"]) == ["meet at 0x10"]


def test_sets_are_sorted_wherever_they_are() -> None:
    assert names([{"b", "a", "c"}, frozenset("ba"), [{2, 1}], {"k": {"b", "a"}}, set(), frozenset()]) == [
        "{'a', 'b', 'c'}", "frozenset({'a', 'b'})", "[{1, 2}]", "{'k': {'a', 'b'}}", "set()", "frozenset()"]


def test_what_differs_between_versions_and_places_is_left_out() -> None:
    """numpy 2 names the type in a number's text; a module's text has its path."""
    assert names([np.float64(1.5), np.int32(7), np.str_("a"), [np.float32(0.1)], np.bool_(True)]) == [
        "1.5", "7", "a", "[0.1]", "True"]
    assert names([sys, unicodedata]) == ["<module 'sys'>", "<module 'unicodedata'>"]


def test_a_long_name_is_cut_and_has_a_checksum() -> None:
    values = ["x" * 100_000, "x" * 100_000 + "y", b"y" * 1_000_000, list(range(20_000)), "short"]
    told = names(values)
    assert all(len(name) < 110 for name in told) and told[-1] == "short"
    assert told[0].startswith("x" * 60 + "… (100000 characters, crc ")
    assert [find(values, name) for name in told] == values


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(LookupError, match=r"no parameter 1000 in this process, but 5, 6$"):
        find([5, 6], "1000")
    with pytest.raises(LookupError, match="none at all"):
        find([], "1000")


def test_what_reads_alike_is_found_by_what_it_holds() -> None:
    """As in a set of objects, whose order is that of their addresses."""
    values = [Quiet(1), Quiet(2), lambda: 1,
              lambda: 2, None]
    for name, content in zip(names(values), contents(values), strict=True):
        found = find(values[::-1], name, content)
        assert found is next(one for one in values if find(values, name) is one)
    assert contents(values)[-1] is None
    with pytest.raises(LookupError):
        find([Quiet(1), Quiet(3)], "quiet (1)", contents(values)[1])


@pytest.mark.parametrize("make", [
    list, tuple, lambda: [1, 2], lambda: ([1, 2], [3]), lambda: [(1, 2), [3]], lambda: "ab", lambda: range(3),
    lambda: {"a": 1, "b": 2}, lambda: {"a": 1}.keys(), lambda: (n for n in (1, 2)), lambda: np.arange(3),
    lambda: ([1], range(2)), lambda: (range(2), [1]), lambda: [[]], lambda: ([], [1]), lambda: [None],
    lambda: ["a", [1]], lambda: ([1], np.arange(2)), lambda: map(str, (1, 2)),
])  # fmt: skip
def test_parameters_are_read_as_asv_reads_them(make: Callable[[], Any]) -> None:
    assert lists(make()) == _base._validate_params(make(), [], "name")[0]
