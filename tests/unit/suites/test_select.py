"""Which benchmarks a run is about."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from runner.errors import UsageError
from runner.model import Arm, Benchmark, Metric
from runner.suites import Found, Suite, described, discover, select


def benchmark(name: str, *params: str, index: int = 0, unit: str = "s") -> Benchmark:
    return Benchmark(
        name=name, params={f"param{i}": value for i, value in enumerate(params, 1)}, index=(index,) * len(params),
        metric=Metric.TIME, unit=unit, version="1", timeout=60.0,
    )


def found(*benchmarks: Benchmark, problems: tuple[str, ...] = ()) -> Found:
    return Found(benchmarks=benchmarks, problems=problems)


A, B, C = benchmark("m.A.time_a"), benchmark("m.B.time_b", "4KiB"), benchmark("n.C.track_c")


class TestSelect:
    def test_no_pattern_takes_all_in_the_order_of_base(self) -> None:
        chosen = select(found(C, A, B), found(A, B, C), None)
        assert chosen.benchmarks == (C, A, B)
        assert chosen.missing == ()

    def test_what_one_arm_lacks_is_missing_and_names_the_arm_that_has_it(self) -> None:
        chosen = select(found(A, B), found(B, C), None)
        assert chosen.benchmarks == (B,)
        assert chosen.missing == ((A, Arm.BASE), (C, Arm.HEAD))

    def test_swapping_the_arms_swaps_the_missing_and_keeps_the_chosen(self) -> None:
        one, other = select(found(A, B), found(B, C), None), select(found(B, C), found(A, B), None)
        assert one.benchmarks == other.benchmarks
        assert {(b.key, arm) for b, arm in one.missing} == {(b.key, arm.other) for b, arm in other.missing}

    def test_the_pattern_is_searched_in_the_key_with_case(self) -> None:
        there = found(A, B, C)
        assert select(there, there, r"time_\w").benchmarks == (A, B)
        assert select(there, there, r"param1=4KiB\)$").benchmarks == (B,)
        assert select(there, there, r"\.A\.").benchmarks == (A,)
        with pytest.raises(UsageError):
            select(there, there, "TIME_A")

    def test_the_pattern_applies_to_the_missing_too(self) -> None:
        assert select(found(A, B), found(B, C), "m").missing == ((A, Arm.BASE),)

    def test_a_parameter_may_have_another_place_in_each_arm_and_is_found_by_its_name(self) -> None:
        here, there = benchmark("m.time_x", "4KiB", index=0), benchmark("m.time_x", "4KiB", index=1)
        chosen = select(found(here), found(there), None)
        assert chosen.benchmarks == (here,)
        assert chosen.missing == ()

    def test_one_name_for_two_things_is_not_compared(self) -> None:
        here, there = replace(A, attribute="b:work"), replace(A, attribute="a:work")
        chosen = select(found(here), found(there), None)
        assert (chosen.benchmarks, chosen.missing) == ((), ((here, Arm.BASE),)), "no index takes a key twice"

    def test_a_broken_expression_is_told_with_its_quoted_form(self) -> None:
        with pytest.raises(UsageError, match=re.escape(repr(re.escape("time(")))):
            select(found(A), found(A), "time(")

    @pytest.mark.parametrize("typed", ["TIME_B", "time_bb", "B.tme_b"])
    def test_no_match_lists_near_names(self, typed: str) -> None:
        with pytest.raises(UsageError, match=r"Near it: .*m\.B\.time_b"):
            select(found(A, B, C), found(A, B, C), typed)

    def test_no_match_and_nothing_near_lists_some(self) -> None:
        with pytest.raises(UsageError, match=r"for example: m\.A\.time_a, m\.B\.time_b"):
            select(found(A, B), found(), "qqqqqqq")

    def test_an_empty_suite_tells_its_problems_once(self) -> None:
        empty = found(problems=("s/x.py:1: no",))
        with pytest.raises(UsageError) as raised:
            select(empty, empty, None)
        assert str(raised.value).count("s/x.py:1: no") == 1


class Seen:
    """A suite of which two interpreters see what they are told."""

    def __init__(self, base: Found, head: Found) -> None:
        self.seen = {"base": base, "head": head}

    def discover(self, executable: Path, environment: object = None, *, hash_seed: int = 0) -> Found:
        return self.seen[str(executable)]


def test_what_one_interpreter_could_not_list_has_the_names_of_the_other() -> None:
    http, web, plain = (replace(benchmark(name), attribute=f"{script}:{name}") for name, script in (
        ("http", "fast"), ("web", "fast"), ("plain", "other")))
    stand_in = replace(benchmark("fast"), attribute="fast:fast")
    base = found(http, web, plain)
    head = replace(found(stand_in, plain), unlisted={"fast": "fast"})
    for one, other in ((base, head), (head, base)):
        seen = discover(cast(Suite, Seen(one, other)), Path("base"), Path("head"))
        chosen = select(*seen, None)
        assert {b.name for b in chosen.benchmarks} == {"http", "web", "plain"} and chosen.missing == ()
    both = discover(cast(Suite, Seen(head, head)), Path("base"), Path("head"))
    assert [b.name for b in select(*both, None).benchmarks] == ["fast", "plain"]


def test_what_the_chosen_say_of_themselves_is_kept_and_head_has_the_last_word() -> None:
    def saying(word: str, *benchmarks: Benchmark) -> Found:
        names = [one.name for one in benchmarks]
        return Found(
            benchmarks=benchmarks, problems=(), records={name: {"code": f"{word}()", "params": []} for name in names},
            places={name: {"doc": word, "place": "suite/m.py:3"} for name in names},
        )

    base, head = saying("old", A, C), saying("new", A, B)
    said = described(base, head, select(base, head, "A|C"))
    assert said == {
        A.name: {"doc": "new", "place": "suite/m.py:3", "code": "new()"},
        C.name: {"doc": "old", "place": "suite/m.py:3", "code": "old()"},
    }
