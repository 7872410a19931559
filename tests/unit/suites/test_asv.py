"""The reading of what discovery wrote, and what is a suite: no processes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from runner import suites
from runner.errors import UsageError
from runner.suites import asv, discovery


def record(**changed: Any) -> dict[str, Any]:
    return {
        "benchmark": {
            "name": "m.C.time_x", "param_names": ["size", "kind"], "params": [["0B", "4KiB"], ["a", "b"]],
            "indexes": [[0, 0], [0, 1], [1, 0], [1, 1]], "metric": "time", "unit": "s", "version": "1",
            "timeout": 60.0, "number": None, "form": "", "cache": None, "record": {"name": "m.C.time_x"},
            "place": "m.py:1", "doc": "", **changed,
        }
    }


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

    def test_what_shares_a_cache_has_the_longest_limit_for_making_it(self) -> None:
        told = [
            record(name=name, params=[], param_names=[], indexes=[[]], cache={"key": key, "timeout": limit})
            for name, key, limit in (("m.time_a", "m:1", 3.0), ("m.time_b", "m:1", 60.0), ("m.time_c", "m:9", 5.0))
        ]
        caches = [one.cache for one in asv.parse(told).benchmarks]
        assert [(cache.key, cache.timeout) for cache in caches if cache] == [("m:1", 60.0), ("m:1", 60.0), ("m:9", 5.0)]

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
        folder = Path(suites.open(name).place)
        assert folder.name == "benchmarks"
        assert (folder / "construct.py").is_file()

    def test_a_folder_is_itself(self, tmp_path: Path) -> None:
        folder = tmp_path / "suite"
        folder.mkdir()
        (folder / "x.py").touch()
        assert suites.open(str(folder)).place == str(folder)

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
                suites.open(str(tmp_path / name))


def test_what_it_gives_a_worker_is_what_the_protocol_says(tmp_path: Path) -> None:
    """Literals, and a file with a function `load`."""
    told = suites.open(None).loader(tmp_path)(asv.parse([record()]).benchmarks[2])
    assert ast.literal_eval(repr(told)) == told
    assert (told["module"], told["attribute"], told["index"]) == ("m", "C.time_x", [1, 0])
    assert "def load(" in Path(str(told["file"])).read_text()
