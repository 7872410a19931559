"""How a returned value is told to the parent: equal in both arms if the values are."""

from __future__ import annotations

import enum
import gc
import io
import json
import math
import re
import sys
import textwrap
import tracemalloc
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.measuring.worker import (
    LEAVES,
    SHORT,
    Ballast,
    Loader,
    NotApplicable,
    Refused,
    Server,
    _number,
    _undoing,
    describe,
)
from runner.suites import asv_loaded

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8)
plain = st.recursive(
    hashable, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4), max_leaves=12
)


def again(value: Any) -> Any:
    """An equal value, made anew, with sets and dictionaries filled in the other order."""
    match value:
        case dict():
            return {again(key): again(inner) for key, inner in reversed(value.items())}
        case frozenset():
            return frozenset(again(inner) for inner in sorted(value, key=repr, reverse=True))
        case tuple() | list():
            return type(value)(again(inner) for inner in value)
        case bytes():
            return bytes(bytearray(value))
        case _:
            return value


@given(plain)
def test_equal_values_have_equal_texts(value: object) -> None:
    assert describe(again(value)) == describe(value)


@given(plain)
def test_the_text_is_short_and_can_be_written_anywhere(value: object) -> None:
    text = describe(value)
    assert len(text) <= SHORT + 60
    text.replace("…", "").encode("ascii")
    assert text.isprintable()


@given(scalars, scalars)
def test_unequal_values_have_unequal_texts(one: object, other: object) -> None:
    if type(one) is not type(other) or (one != other and not (one != one and other != other)):
        assert describe(one) != describe(other)


def test_sets_are_without_order() -> None:
    # 0 and 8 collide in a table of eight: the order of insertion shows in repr.
    assert repr({0, 8}) != repr({8, 0})
    assert describe({0, 8}) == describe({8, 0}) == "{0, 8}"
    assert describe(({0, 8},)) == describe(({8, 0},))
    assert describe({1: 2, 3: 4}) == describe({3: 4, 1: 2})
    assert describe([1, 2]) != describe([2, 1])


class Address:
    pass


class Point(NamedTuple):
    x: int


class Color(enum.IntEnum):
    RED = 1


def test_objects_are_told_by_type_alone() -> None:
    """Their text may hold an address, which differs without meaning anything."""
    assert describe(Address()) == describe(Address()) == "<Address>"
    assert describe([Address()]) == "[<Address>]"
    assert describe(Color.RED) == "<Color>", "its text differs between versions of Python"
    assert describe(Point(1)) == "<Point>"
    assert describe(bytearray(b"x")) == "<bytearray>"
    assert describe(object) == "<type>"


def test_deep_and_cyclic_values_end() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    assert describe(cyclic) == "[[[<list>]]]"
    assert describe([[[[1]]]]) == "[[[<list>]]]"


@pytest.mark.parametrize("unit", ["x", b"x", [1], "\udc80", "ü"])
def test_long_values_are_cut_short_and_still_told_apart(unit: Any) -> None:
    one = unit * 100_000
    text = describe(one)
    assert len(text) < SHORT and "… (length " in text
    assert describe(unit * 100_000) == text
    assert describe(one[:-1]) != text


def test_a_difference_in_the_middle_of_a_long_value_is_seen() -> None:
    assert describe(b"a" * 500 + b"b" + b"a" * 500) != describe(b"a" * 501 + b"b" + b"a" * 499)


def test_lone_surrogates_are_written_out() -> None:
    assert describe("\udc80") == "'\\udc80'"


def test_huge_integers_need_no_decimal_digits() -> None:
    """Versions of Python differ in how many they are willing to write."""
    assert describe(10**5000).startswith("0x")
    assert describe([10**5000]) == describe([10**5000])
    assert describe([10**5000]) != describe([10**5000 + 1])
    assert describe(10**30) == str(10**30)


def test_what_holds_much_is_looked_at_in_part() -> None:
    """Its text is never made as a whole, and few of its parts are looked at; its length counts."""
    many = list(range(3_000_000))
    tracemalloc.start()
    text = describe(many)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    calls: list[str] = []

    def see(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    sys.setprofile(see)
    try:
        describe(many)
    finally:
        sys.setprofile(None)
    assert 0 < calls.count("_text") < 10_000
    assert text.startswith("[0, 1, 2")
    assert describe(many[:-1]) != text
    assert describe([1, *many[1:]]) != text
    level: list[object] = [0]
    for _ in range(60):
        level = [level, level]
    assert len(describe(level)) < SHORT + 60
    # What is first in a set or a dictionary depends on how it was filled.
    big = set(range(LEAVES + 1))
    assert describe(big) == describe({*range(LEAVES, -1, -1)}) != describe(big - {5})
    assert describe(dict.fromkeys(big)) == describe(dict.fromkeys(sorted(big, reverse=True)))


@pytest.mark.parametrize("unit", ["x", b"x"])
def test_the_text_of_a_long_string_is_not_made(unit: Any) -> None:
    long = unit * 20_000_000
    tracemalloc.start()
    describe([long])
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


class Metres(float):
    """A number with a text of its own, as numpy.float64 has since numpy 2."""

    def __repr__(self) -> str:
        return f"Metres({float(self)})"


@pytest.mark.parametrize(("value", "number"), [
    (Metres(2.5), 2.5), (Color.RED, 1), (True, 1), (False, 0), (0, 0), (-3, -3), (0.5, 0.5),
    (np.float64(1.5), 1.5), (np.float32(0.25), 0.25), (np.int64(7), 7), (Decimal("1.5"), 1.5), (Fraction(3, 2), 1.5),
])
def test_any_number_is_told_as_a_plain_one(value: Any, number: float) -> None:
    told = _number(value)
    assert told == number and type(told) in (int, float)
    assert json.loads(repr(told)) == number


@pytest.mark.parametrize(("value", "named"), [
    (math.inf, "inf"), (Metres(-math.inf), "<Metres>"), (None, "None"),
    ("12", "'12'"), ((1, 2), "(1, 2)"), (10**400, "0x"), (10**5000, "0x"), (1j, "1j"),
    (Decimal("inf"), "<Decimal>"), ([1] * 5000, "[1, 1"),
], ids=lambda value: "huge" if isinstance(value, int) else None)
def test_what_is_no_finite_number_is_named(value: Any, named: str) -> None:
    with pytest.raises(Refused) as refused:
        _number(value)
    assert str(refused.value).startswith(f"returned {named}")
    assert str(refused.value).endswith(": a tracked value must be a finite number")
    assert len(str(refused.value)) < 350


@pytest.mark.parametrize("value", [math.nan, -math.nan, np.float64("nan"), Decimal("nan"), Metres("nan")])
def test_nan_does_not_apply(value: Any) -> None:
    """As asv has it: what was skipped is stored as NaN."""
    with pytest.raises(NotApplicable, match="returned nan"):
        _number(value)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """What a worker says of a benchmark: the source of a module that has `time_it`."""
    monkeypatch.setattr(Loader, "folder", str(tmp_path / "bytecode"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for name in ("path", "meta_path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))

    def load(source: str) -> dict[str, Any]:
        suite = tmp_path / f"suite_{uuid.uuid4().hex}"
        suite.mkdir()
        (suite / "work.py").write_text(textwrap.dedent(source))
        server = Server.__new__(Server)  # without the pipes, which would be this process's
        server.benchmark, server.where, server.file = None, "start", ""  # type: ignore[assignment]
        server.live = server.paused = server.stopping = False
        request = {"folder": str(suite), "module": "work", "attribute": "time_it", "chosen": [], "number": 0,
                   "path": [], "children": str(tmp_path), "cache": False, "form": "", "do": "load",
                   "file": str(Path(asv_loaded.__file__)), "call": True}
        try:
            reply = server.do_load(request)
        except BaseException as error:
            reply = server.failure(error)
        told: dict[str, Any] = json.loads(reply)
        return told

    return load


SKIPS: dict[str, tuple[str, dict[str, str]]] = {
    "in the set-up": ("""
        def setup():
            raise NotImplementedError("not for\\n  this")
        def time_it(): pass
        """, {"skipped": "not for this"}),
    "without a text": ("""
        def setup():
            raise NotImplementedError
        def time_it(): pass
        """, {"skipped": ""}),
    "the mark in the body": ("""
        from asv_runner.benchmarks.mark import SkipNotImplemented
        def time_it(): raise SkipNotImplemented("not here")
        """, {"skipped": "not here"}),
    "the mark in the set-up": ("""
        from asv_runner.benchmarks.mark import SkipNotImplemented
        def setup(): raise SkipNotImplemented("nor here")
        def time_it(): pass
        """, {"skipped": "nor here"}),
    "in the body": ("""
        def setup(): pass
        def time_it():
            raise NotImplementedError("forgotten")
        """, {"error": "NotImplementedError: forgotten", "where": "call"}),
    "another error in the set-up": ("""
        def setup(): raise ValueError("no")
        def time_it(): pass
        """, {"error": "ValueError: no", "where": "setup"}),
}


@pytest.mark.parametrize("kind", SKIPS)
def test_what_is_skipped_is_what_asv_skips(answer: Callable[[str], dict[str, Any]], kind: str) -> None:
    source, expected = SKIPS[kind]
    told = answer(source)
    assert {key: told[key] for key in told if key != "traceback"} == expected


def test_a_traceback_has_the_users_frames_alone(answer: Callable[[str], dict[str, Any]]) -> None:
    told = answer("""
        def inner():
            raise KeyError("x")
        def time_it():
            try:
                inner()
            except KeyError as error:
                raise ValueError("no") from error
        """)
    frames = re.findall(r'File "(.*)", line (\d+), in (\w+)', told["traceback"])
    assert [(Path(file).name, int(line), name) for file, line, name in frames if file != __file__] == [
        ("work.py", 6, "time_it"), ("work.py", 3, "inner"), ("work.py", 8, "time_it")]
    assert "The above exception was the direct cause" in told["traceback"]
    assert told["traceback"].endswith("ValueError: no\n")


def test_an_error_whose_text_fails_is_told_all_the_same(answer: Callable[[str], dict[str, Any]]) -> None:
    told = answer("""
        class Odd(Exception):
            def __str__(self): raise RuntimeError("in the text")
        def time_it(): raise Odd
        """)
    assert told["error"] == "Odd"


def test_ballast_moves_the_places_of_the_next_objects() -> None:
    ballast = Ballast(7)
    places: set[int] = set()
    for _ in range(20):
        ballast.shift()
        places.add(id(io.BytesIO()))
    assert len({id(io.BytesIO()) for _ in range(20)}) == 1
    # An allocator that is asked for the same again gives out the same place again; a few of twenty may still agree.
    assert len(places) >= 5


def test_ballast_is_the_same_for_equal_seeds() -> None:
    assert _sizes(12345) == _sizes(12345)
    assert _sizes(12345) != _sizes(54321)


def _sizes(seed: int) -> list[list[int]]:
    ballast = Ballast(seed)
    sizes = []
    for _ in range(5):
        ballast.shift()
        sizes.append([sys.getsizeof(held) for held in ballast.held])
    return sizes


@pytest.mark.parametrize("uncollected", [True, False])
def test_garbage_is_collected_while_a_call_is_counted_where_it_is_while_one_is_timed(uncollected: bool) -> None:
    seen: list[bool] = []
    server = Server.__new__(Server)
    server.paused = False
    server.benchmark = cast(Any, SimpleNamespace(
        renew=None, uncollected=uncollected, call=lambda: seen.append(gc.isenabled())))
    server.do_count({"warmup": 0, "calls": (1, 2)})
    server.do_allocated({})
    assert seen == [not uncollected] * 4
    server.resume()
    assert gc.isenabled()


def test_of_what_is_due_at_the_end_that_of_logging_undoes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(before: int, logging_before: bool, after: int | None, logging_after: bool) -> dict[str, int]:
        def has(count: int | None, logging: bool) -> None:
            atexit = SimpleNamespace() if count is None else SimpleNamespace(_ncallbacks=lambda: count)
            monkeypatch.setitem(sys.modules, "atexit", atexit)
            if logging:
                monkeypatch.setitem(sys.modules, "logging", SimpleNamespace())
            else:
                monkeypatch.delitem(sys.modules, "logging", raising=False)
            monkeypatch.delitem(sys.modules, "multiprocessing.resource_tracker", raising=False)

        server = Server.__new__(Server)
        has(before, logging_before)
        server.exits, server.live = _undoing() or 0, False
        has(after, logging_after)
        told: dict[str, int] = json.loads(server.do_end({}))
        monkeypatch.undo()
        return told

    assert ended(0, False, 0, False) == {"undone": 0, "more": 0}
    assert ended(0, False, 1, True) == {"undone": 0, "more": 1}
    assert ended(1, False, 2, True) == {"undone": 0, "more": 1}, "what the interpreter starts with has its own"
    assert ended(0, False, 2, True)["undone"] == ended(0, False, 1, False)["undone"] == 1
    assert ended(1, True, 1, True)["undone"] == 0
    assert ended(1, True, 2, True)["undone"] == 1, "logging was there before"
    assert ended(0, False, None, True) == {"undone": 1, "more": 1}, "nobody can say"
