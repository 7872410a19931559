"""What counts and times together say, in plain words, in JSON and on the page."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import report_samples as samples

from runner.judging.explanation import Explanation, Reading, Spread, explained
from runner.judging.report import Comparison
from runner.measuring.callgrind import Function
from runner.measuring.counts import Allocated, Change, Counts, Instructions
from runner.model import Arm, Block, Metric, Notice, Verdict
from runner.report import as_html, explain
from runner.stats.variance import Noise, Range, noise

MEMCPY = Change(
    function=Function(name="__memcpy_avx", object="libc.so.6"), caller="PyBytes_FromStringAndSize", base=4e6, head=12.0)
OWN = Change(function=Function(name="bytesio_init", object=""), caller="", base=100.0, head=99.5)
UNNAMED = Change(
    function=Function(name="", object="libz.so.1", caller="inflate"), caller="inflate", base=0.0, head=1.0)


def instructions(base: float, head: float, **changes: Any) -> Instructions:
    facts: dict[str, Any] = {
        "seeds": (1, 2), "base": (base, base), "head": (head, head), "calls": 5, "exact": True, "changes": (),
    }
    return Instructions(**(facts | changes))


def counts(base: float = 1000.0, head: float = 1000.0, **changes: Any) -> Counts:
    allocated = Allocated(seeds=(1,), base=(4096,), head=(176,))
    return Counts(instructions=instructions(base, head, **changes), allocated=allocated, problems=())


def verdict(which: Verdict, ratio: float = 1.0, **changes: Any) -> Comparison:
    return replace(samples.measured("construct.time_it", which, ratio, 1e-4), **changes)


def spread(size: float, high: float = 0.04) -> Spread:
    return Spread(spread=Range(value=math.log1p(size), low=0.0, high=math.log1p(high)), run="20250101T120000Z-ab12cd")


def told(
    comparison: Comparison, counted: Counts | None, *, scope: str = "binary", layouts: bool = True,
    spread: Spread | None = None,
) -> str:
    one = explained(comparison, counted, spread)
    report = replace(samples.report([comparison]), scope=scope)
    return explain.paragraph(one, Explanation(
        report=report, explained=(one,), problems=(), layouts_possible=layouts))


@pytest.mark.parametrize(("which", "ratio", "head", "reading"), [
    (Verdict.SAME, 1.0, 1000.0, Reading.NOTHING),
    (Verdict.SAME, 1.0, 1000.9, Reading.NOTHING),
    (Verdict.SAME, 1.0, 1020.0, Reading.HIDDEN),
    (Verdict.SLOWER, 1.02, 1000.5, Reading.ELSEWHERE),
    (Verdict.FASTER, 0.98, 999.5, Reading.ELSEWHERE),
    (Verdict.SLOWER, 1.02, 1030.0, Reading.WORK),
    (Verdict.FASTER, 0.5, 400.0, Reading.WORK),
    (Verdict.SLOWER, 1.02, 970.0, Reading.AGAINST),
    (Verdict.UNDECIDED, 1.005, 1000.0, Reading.OPEN),
    (Verdict.FAILED, 1.0, 1000.0, Reading.NOT_TIMED),
])
def test_the_table_of_readings(which: Verdict, ratio: float, head: float, reading: Reading) -> None:
    assert explained(verdict(which, ratio), counts(head=head), None).reading is reading


def test_what_is_no_time_or_was_not_counted_is_not_read() -> None:
    memory = verdict(Verdict.FASTER, 0.5, metric=Metric.PEAK_MEMORY)
    assert explained(memory, counts(), None).reading is Reading.NOT_TIMED
    missing = Counts(instructions=None, allocated=None, problems=())
    for nothing in (None, missing):
        assert explained(verdict(Verdict.SLOWER, 1.1), nothing, None).reading is Reading.NOT_COUNTED


def test_equal_work_inside_the_layout_spread() -> None:
    assert told(verdict(Verdict.SLOWER, 1.018), counts(), spread=spread(0.021)) == (
        "Head executes 0.0 % more instructions here, and it is 1.8 % slower. The 1.8 % at scope binary is inside this "
        "benchmark's layout spread of 2.1 % (run 20250101T120000Z-ab12cd): layout alone can do that.")


def test_equal_work_beyond_the_layout_spread() -> None:
    text = told(verdict(Verdict.SLOWER, 1.05), counts(), spread=spread(0.021))
    assert "The 5.0 % at scope binary is more than this benchmark's layout spread of 2.1 %" in text


def test_a_spread_that_is_not_well_known_is_not_relied_on() -> None:
    text = told(verdict(Verdict.SLOWER, 1.05), counts(), spread=spread(0.0, high=0.3))
    assert "more than this benchmark's layout spread of 0.0 %" in text and "may be up to 30.0 %" in text
    assert "layout alone may do that" in text


def test_equal_work_without_a_known_spread_says_how_to_get_one() -> None:
    text = told(verdict(Verdict.FASTER, 0.97), counts())
    assert "3.1 % faster" in text and "--scope source" in text
    assert "--scope source" not in told(verdict(Verdict.FASTER, 0.97), counts(), layouts=False)


def test_in_scope_source_it_is_not_layout() -> None:
    text = told(verdict(Verdict.SLOWER, 1.02), counts(), scope="source", spread=spread(0.021))
    assert "not the luck of one layout" in text and "spread" not in text


def test_time_goes_with_work_and_the_largest_part_is_named() -> None:
    text = told(verdict(Verdict.FASTER, 0.04), counts(4e6, 5e3, changes=(MEMCPY, OWN)))
    assert text == (
        "Head executes 1/800 as many instructions here, and it is 25.0x faster: the time goes with the work, mostly in "
        "__memcpy_avx (libc.so.6), called from PyBytes_FromStringAndSize.")


def test_a_function_that_only_has_another_name_is_not_where_the_work_went() -> None:
    """It is gone under one name and there under another; the rest is a hundredth of either."""
    old = replace(OWN, function=replace(OWN.function, name="old"), base=1e6, head=0.0)
    new = replace(OWN, function=replace(OWN.function, name="new"), base=0.0, head=9.9e5)
    text = told(verdict(Verdict.FASTER, 0.9), counts(2e6, 1.99e6, changes=(old, new)))
    assert "the time goes with the work." in text


def test_a_library_that_kept_its_layout_is_named() -> None:
    kept = Notice(kind="extensions", numbers={"names": "_pickle.so"})
    c = replace(verdict(Verdict.SLOWER, 1.02), notices=(kept,))
    assert "not the luck of one layout but that of _pickle.so, which were not" in told(c, counts(), scope="source")


def test_more_work_in_the_same_time() -> None:
    assert told(verdict(Verdict.SAME), counts(head=1015.0)) == (
        "Head executes 1.5 % more instructions here, and yet the time is the same within ±1 %: what was added or saved "
        "is too cheap to show.")


def test_an_undecided_time_stays_undecided_whatever_was_counted() -> None:
    text = told(verdict(Verdict.UNDECIDED, 1.004, needed=40), counts(head=1500.0))
    assert "50.0 % more" in text and "undecided" in text and "Counts cannot decide it" in text


def test_doubts_are_told() -> None:
    assert "do not repeat themselves" in told(verdict(Verdict.SAME), counts(exact=False))
    long = replace(counts(), instructions=replace(instructions(1.0, 1.0), seeds=(1,), base=(1.0,), head=(1.0,)))
    assert "one hash seed" in told(verdict(Verdict.SAME), long)
    varied = replace(counts(), instructions=replace(instructions(1000.0, 1000.0), head=(1000.0, 1040.0)))
    assert "from +0.0 % to +4.0 %" in told(verdict(Verdict.SAME), varied)
    problem = Counts(instructions=None, allocated=None, problems=("instructions: base hangs",))
    assert "Not counted: instructions: base hangs." in told(verdict(Verdict.SAME), problem)


@pytest.mark.parametrize(("change", "text"), [
    (MEMCPY, "__memcpy_avx (libc.so.6), called from PyBytes_FromStringAndSize"), (OWN, "bytesio_init"),
    (UNNAMED, "functions without a name (libz.so.1), called from inflate"),
])
def test_functions_are_named(change: Change, text: str) -> None:
    assert explain.function(change) == text


def some_noise(seed: int = 1) -> Noise:
    rng = np.random.default_rng(seed)
    arms = rng.normal(0, 0.01, (36, 2, 1)) + rng.normal(0, 0.01, (6, 1, 1))[np.arange(36) % 6]
    slices = 1e6 * np.exp(arms + rng.normal(0, 0.02, (36, 2, 10)))
    found = noise([
        Block(benchmark="b", index=i, settings=samples.SETTINGS, started=0.0, seconds=0.3, base=tuple(base),
              head=tuple(head), first=Arm.BASE, layout=i % 6) for i, (base, head) in enumerate(slices.tolist())
    ])
    assert found is not None
    return found


def whole(**changes: Any) -> Explanation:
    quiet = verdict(Verdict.SLOWER, 1.02, noise=some_noise(), **changes)
    one = explained(quiet, counts(changes=(MEMCPY, OWN, UNNAMED)), spread(0.03))
    return Explanation(
        report=samples.report([quiet]), explained=(one,), problems=("no valgrind",), layouts_possible=True)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_text_keeps_to_its_width_and_has_all_parts(width: int) -> None:
    text = explain.render(whole(), width=width)
    assert max(map(len, text.splitlines())) <= width
    for part in ("layout", "time", "process", "rest", "Layout spread: ", "Pairing", "instructions", "no valgrind",
                 "bytes allocated at the peak", "bytesio_init", "−3,999,988", "−0.5", "+1"):
        assert part in text, part
    assert "\x1b" not in text and "\x1b" in explain.render(whole(), width=width, color=True)


def test_the_json_is_strict_and_complete() -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(name)

    content = json.loads(explain.json(whole()), parse_constant=refuse)
    (row,) = content["benchmarks"]
    assert content["schema"] == "lockstep.explain/1"
    assert row["reading"] == "elsewhere" and "layout spread" in row["text"]
    assert sum(part["share"]["value"] for part in row["noise"]["components"]) == pytest.approx(1)
    assert [one["name"] for one in row["instructions"]["functions"]] == ["__memcpy_avx", "bytesio_init", ""]
    assert row["allocated"]["head"] == [176]
    assert row["layout_spread"]["run"] == "20250101T120000Z-ab12cd"


def test_the_page_draws_the_noise_of_every_benchmark_in_little_room() -> None:
    plain = verdict(Verdict.SAME)
    before = as_html.render(samples.report([plain]))
    page = as_html.render(samples.report([replace(plain, noise=some_noise())]))
    drawn = page.count('<rect class="') - before.count('<rect class="')
    assert page.count('<i class="') == drawn == 4 and "noise of a slice" in page
    assert len(page) - len(before) < 900


def test_the_page_has_the_explanation_where_there_is_one() -> None:
    explanation = whole()
    page = as_html.render(explanation.report, explanation)
    assert "layout spread of 3.0 %" in page and "PyBytes_FromStringAndSize" in page and "−3,999,988" in page
    assert "PyBytes_FromStringAndSize" not in as_html.render(explanation.report)


def test_hostile_names_are_shown_as_text() -> None:
    bad = replace(MEMCPY, function=Function(name=samples.HOSTILE, object=""), caller="")
    quiet = verdict(Verdict.FASTER, 0.5)
    one = explained(quiet, counts(4e6, 5e3, changes=(bad,)), None)
    explanation = Explanation(report=samples.report([quiet]), explained=(one,), problems=(), layouts_possible=False)
    assert samples.HOSTILE not in as_html.render(explanation.report, explanation)
