from __future__ import annotations

import json as standard
import math
from collections.abc import Callable
from typing import Any

import report_samples as samples

from runner.model import Verdict
from runner.report import as_json

# docs and other programs rely on these: none may go.
TOP = {"schema", "run", "base", "head", "machine", "scope", "margin", "benchmarks", "summary", "warnings"}
BENCHMARK = {
    "name", "params", "metric", "unit", "verdict", "clear", "ratio", "low", "high", "base_value", "head_value",
    "blocks", "p", "q", "mode", "machine_seconds", "reason", "warnings", "reached", "state",
}
SUMMARY = {
    "faster", "slower", "same", "undecided", "failed", "geometric_mean", "not_reached", "skipped", "only_in_base",
    "only_in_head",
}
STATES = {
    "faster", "slower", "same", "undecided", "not reached", "failed", "skipped", "only in base", "only in head",
}


def _strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return standard.loads(text, parse_constant=refuse)


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("report.json", as_json.render(samples.report()))


def test_every_key_of_the_schema_is_there() -> None:
    content = _strict(as_json.render(samples.report()))
    assert content["schema"] == "lockstep.report/1"
    assert content.keys() >= TOP
    assert content["summary"].keys() >= SUMMARY
    unreached = [b["verdict"] for b in content["benchmarks"] if not b["reached"]]
    assert unreached == ["undecided"] * content["summary"]["not_reached"] == ["undecided"]
    assert content["summary"]["undecided"] == sum(b["verdict"] == "undecided" for b in content["benchmarks"]) == 3
    assert len(content["benchmarks"]) == len(samples.every_kind())
    for benchmark in content["benchmarks"]:
        assert benchmark.keys() >= BENCHMARK
        assert benchmark["verdict"] in STATES - {"not reached"}
        assert benchmark["state"] == (benchmark["verdict"] if benchmark["reached"] else "not reached")
    assert {benchmark["state"] for benchmark in content["benchmarks"]} == STATES
    warnings = content["warnings"] + [w for b in content["benchmarks"] for w in b["warnings"]]
    assert warnings and all(w.keys() == {"kind", "numbers", "text"} for w in warnings)


def test_the_summary_adds_up() -> None:
    content = _strict(as_json.render(samples.report()))
    counts = [content["summary"][verdict.value.replace(" ", "_")] for verdict in Verdict]
    assert sum(counts) == len(content["benchmarks"])


def test_numbers_that_json_cannot_write_are_null() -> None:
    odd = samples.comparison("a", Verdict.UNDECIDED, ratio=math.nan, low=-math.inf, high=math.inf)
    content = _strict(as_json.render(samples.report([odd], mean=None)))
    assert [content["benchmarks"][0][key] for key in ("ratio", "low", "high")] == [None, None, None]
    assert content["summary"]["geometric_mean"] is None


def test_numbers_are_kept_to_the_last_digit() -> None:
    content = _strict(as_json.render(samples.report()))
    for shown, comparison in zip(content["benchmarks"], samples.every_kind(), strict=True):
        assert (shown["ratio"], shown["low"], shown["p"]) == (comparison.ratio, comparison.low, comparison.p)
