"""The reading of what discovery wrote, and what is a suite: no processes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from runner import suites
from runner.errors import UsageError
from runner.suites import asv


def record(**changed: Any) -> dict[str, Any]:
    return {
        "benchmark": {
            "name": "m.C.time_x", "attribute": "m:C.time_x",
            "param_names": ["size", "kind"], "params": [["0B", "4KiB"], ["a", "b"]],
            "contents": [[None, None], [None, None]],
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
        (only,) = asv.parse([record(param_names=[], params=[], contents=[], indexes=[[]], number=5)]).benchmarks
        assert (only.key, only.index, only.number) == ("m.C.time_x", (), 5)

    def test_combinations_that_read_alike_get_numbers(self) -> None:
        """In the order of their values, so that they have the same ones wherever the values come in another order."""
        params = [["a", "a, y=b"], ["b, y=c", "c"]]
        found = asv.parse([record(param_names=["x", "y"], params=params)]).benchmarks
        assert [(b.key, *b.params.values()) for b in found] == [
            ("m.C.time_x(x=a, y=b, y=c) (0)", "a", "b, y=c"), ("m.C.time_x(x=a, y=c)", "a", "c"),
            ("m.C.time_x(x=a, y=b, y=b, y=c)", "a, y=b", "b, y=c"), ("m.C.time_x(x=a, y=b, y=c) (1)", "a, y=b", "c"),
        ]
        backwards = asv.parse([record(param_names=["x", "y"], params=[one[::-1] for one in params])]).benchmarks
        assert {b.key: b.params for b in backwards} == {b.key: b.params for b in found}

    def test_what_shares_a_cache_has_the_longest_limit_for_making_it(self) -> None:
        told = [
            record(name=name, params=[], contents=[], param_names=[], indexes=[[]],
                   cache={"key": key, "timeout": limit})
            for name, key, limit in (("m.time_a", "m:1", 3.0), ("m.time_b", "m:1", 60.0), ("m.time_c", "m:9", 5.0))
        ]
        caches = [one.cache for one in asv.parse(told).benchmarks]
        assert [(cache.key, cache.timeout) for cache in caches if cache] == [("m:1", 60.0), ("m:1", 60.0), ("m:9", 5.0)]

    def test_problems_of_one_kind_are_one(self) -> None:
        def problem(what: str, why: str) -> dict[str, Any]:
            return {"problem": {"place": f"s/{what}.py:1", "what": what, "why": why}}

        many = [problem(f"m{i}", "is not measured: no") for i in range(500)]
        alone = problem("other", "could not be imported: no")
        assert asv.parse([*many, alone, alone, {"done": True}]).problems == (
            "m0 (s/m0.py:1), m1 (s/m1.py:1), m2 (s/m2.py:1) and 497 more are not measured: no",
            "s/other.py:1: other could not be imported: no",
        )


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
        for name in ("empty", "json", "my.suite"):
            (tmp_path / name).mkdir()
        for path in ("json/x.py", "my.suite/x.py", "file.txt"):
            (tmp_path / path).touch()
        for name, reason in {
            "nowhere": "does not exist", "file.txt": "is no pyperf script", "empty": "no Python files",
            "json": "called 'json'", "my.suite": "called 'my.suite'",
        }.items():
            with pytest.raises(UsageError, match=reason):
                suites.open(str(tmp_path / name))


def test_what_it_gives_a_worker_is_what_the_protocol_says(tmp_path: Path) -> None:
    """Literals, and a file with a function `load`."""
    told = suites.open(None).loader(tmp_path)(asv.parse([record()]).benchmarks[2])
    assert ast.literal_eval(repr(told)) == told
    assert (told["module"], told["attribute"], told["chosen"]) == ("m", "C.time_x", ["4KiB", "a"])
    assert "def load(" in Path(str(told["file"])).read_text()


def test_a_benchmark_of_an_older_run_is_refused_in_words(tmp_path: Path) -> None:
    (old, *_) = asv.parse([record(attribute="")]).benchmarks
    with pytest.raises(UsageError, match=r"where m\.C\.time_x is in the suite was not recorded"):
        suites.open(None).loader(tmp_path)(old)
