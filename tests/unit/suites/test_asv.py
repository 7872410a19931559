"""Selection and the reading of what discovery wrote: no processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner.errors import UsageError
from runner.model import Arm, Benchmark, Metric
from runner.suites import asv, discovery


def benchmark(name: str, *params: str, index: int = 0, unit: str = "s") -> Benchmark:
    return Benchmark(
        name=name, params={f"param{i}": value for i, value in enumerate(params, 1)}, index=(index,) * len(params),
        metric=Metric.TIME, unit=unit, version="1", timeout=60.0,
    )


def found(*benchmarks: Benchmark, problems: tuple[str, ...] = ()) -> asv.Found:
    return asv.Found(benchmarks=benchmarks, problems=problems)


def record(**changed: Any) -> dict[str, Any]:
    return {
        "benchmark": {
            "name": "m.C.time_x", "param_names": ["size", "kind"], "params": [["0B", "4KiB"], ["a", "b"]],
            "indexes": [[0, 0], [0, 1], [1, 0], [1, 1]], "metric": "time", "unit": "s", "version": "1",
            "timeout": 60.0, "number": None, "record": {"name": "m.C.time_x"}, "place": "m.py:1", "doc": "",
            **changed,
        }
    }


A, B, C = benchmark("m.A.time_a"), benchmark("m.B.time_b", "4KiB"), benchmark("n.C.track_c")


class TestSelect:
    def test_no_pattern_takes_all_in_the_order_of_base(self) -> None:
        chosen = asv.select(found(C, A, B), found(A, B, C), None)
        assert chosen.benchmarks == (C, A, B)
        assert chosen.missing == ()

    def test_what_one_arm_lacks_is_missing_and_names_the_arm_that_has_it(self) -> None:
        chosen = asv.select(found(A, B), found(B, C), None)
        assert chosen.benchmarks == (B,)
        assert chosen.missing == ((A, Arm.BASE), (C, Arm.HEAD))

    def test_swapping_the_arms_swaps_the_missing_and_keeps_the_chosen(self) -> None:
        one, other = asv.select(found(A, B), found(B, C), None), asv.select(found(B, C), found(A, B), None)
        assert one.benchmarks == other.benchmarks
        assert {(b.key, arm) for b, arm in one.missing} == {(b.key, arm.other) for b, arm in other.missing}

    def test_the_pattern_is_searched_in_the_key_with_case(self) -> None:
        there = found(A, B, C)
        assert asv.select(there, there, r"time_\w").benchmarks == (A, B)
        assert asv.select(there, there, r"param1=4KiB\)$").benchmarks == (B,)
        assert asv.select(there, there, r"\.A\.").benchmarks == (A,)
        with pytest.raises(UsageError):
            asv.select(there, there, "TIME_A")

    def test_the_pattern_applies_to_the_missing_too(self) -> None:
        assert asv.select(found(A, B), found(B, C), "m").missing == ((A, Arm.BASE),)

    def test_arms_that_place_a_parameter_differently_do_not_have_the_same_benchmark(self) -> None:
        here, there = benchmark("m.time_x", "4KiB", index=0), benchmark("m.time_x", "4KiB", index=1)
        chosen = asv.select(found(here), found(there), None)
        assert chosen.benchmarks == ()
        assert chosen.missing == ((here, Arm.BASE), (there, Arm.HEAD))

    def test_a_broken_expression_is_told_with_its_quoted_form(self) -> None:
        with pytest.raises(UsageError, match=re.escape(repr(re.escape("time(")))):
            asv.select(found(A), found(A), "time(")

    @pytest.mark.parametrize("typed", ["TIME_B", "time_bb", "B.tme_b"])
    def test_no_match_lists_near_names(self, typed: str) -> None:
        with pytest.raises(UsageError, match=r"Near it: .*m\.B\.time_b"):
            asv.select(found(A, B, C), found(A, B, C), typed)

    def test_no_match_and_nothing_near_lists_some(self) -> None:
        with pytest.raises(UsageError, match=r"for example: m\.A\.time_a, m\.B\.time_b"):
            asv.select(found(A, B), found(), "qqqqqqq")

    def test_an_empty_suite_tells_its_problems_once(self) -> None:
        empty = found(problems=("s/x.py:1: no",))
        with pytest.raises(UsageError) as raised:
            asv.select(empty, empty, None)
        assert str(raised.value).count("s/x.py:1: no") == 1


class TestParse:
    def test_one_benchmark_for_each_combination(self) -> None:
        benchmarks = asv.parse([record()]).benchmarks
        assert [b.key for b in benchmarks] == [
            "m.C.time_x(size=0B, kind=a)", "m.C.time_x(size=0B, kind=b)",
            "m.C.time_x(size=4KiB, kind=a)", "m.C.time_x(size=4KiB, kind=b)",
        ]
        assert [b.index for b in benchmarks] == [(0, 0), (0, 1), (1, 0), (1, 1)]

    def test_no_parameters_make_one_benchmark(self) -> None:
        (only,) = asv.parse([record(param_names=[], params=[], indexes=[[]], number=5)]).benchmarks
        assert (only.key, only.index, only.number) == ("m.C.time_x", (), 5)

    def test_keys_are_distinct_and_a_second_one_is_told(self) -> None:
        twice = asv.parse([record(), record()])
        assert len(twice.benchmarks) == 4
        assert "m.C.time_x(size=0B, kind=a) is there twice" in twice.problems[0]

    def test_a_problem_told_twice_is_one(self) -> None:
        assert asv.parse([{"problem": "x"}, {"problem": "x"}, {"done": True}]).problems == ("x",)


class TestPrinted:
    def test_strings_lose_their_quotes(self) -> None:
        assert discovery.printed(["4KiB", 3, None], ["'4KiB'", "3", "None"]) == ["4KiB", "3", "None"]

    def test_unless_two_values_would_look_alike(self) -> None:
        assert discovery.printed(["1", 1], ["'1'", "1"]) == ["'1'", "1"]


class TestSuiteFolder:
    @pytest.mark.parametrize("name", [None, "bytesio"])
    def test_the_projects_own(self, name: str | None) -> None:
        folder = asv.suite_folder(name)
        assert folder.name == "benchmarks"
        assert (folder / "construct.py").is_file()

    def test_a_folder_is_itself(self, tmp_path: Path) -> None:
        folder = tmp_path / "suite"
        folder.mkdir()
        (folder / "x.py").touch()
        assert asv.suite_folder(str(folder)) == folder

    def test_what_is_refused_and_why(self, tmp_path: Path) -> None:
        for name in ("empty", "json", "my-suite"):
            (tmp_path / name).mkdir()
        for path in ("json/x.py", "my-suite/x.py", "file.py"):
            (tmp_path / path).touch()
        for name, reason in {
            "nowhere": "does not exist", "file.py": "is a file", "empty": "no Python files",
            "json": "called 'json'", "my-suite": "called 'my-suite'",
        }.items():
            with pytest.raises(UsageError, match=reason):
                asv.suite_folder(str(tmp_path / name))
