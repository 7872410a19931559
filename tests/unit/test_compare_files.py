"""Result files of other programs against each other: known truths, what cannot be judged, and what is said of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from made_files import HOST, results

from runner.errors import UsageError
from runner.judging.report import NOT_REACHED
from runner.judging.unpaired import Side, Unpaired, judge
from runner.model import Metric, Verdict
from runner.report import files as report
from runner.storage import pyperf_says
from runner.storage.pyperf_json import Process, Results, Sampled
from runner.storage.pyperf_says import Said

SUITE = {f"bench{number:02d}": 1e-3 * (number + 1) for number in range(30)}


def compared(base: Results | list[Results], head: Results | list[Results], margin: float = 0.01) -> Unpaired:
    sides = [tuple(one) if isinstance(one, list) else (one,) for one in (base, head)]
    return judge(Side(name="old.json", files=sides[0]), Side(name="new.json", files=sides[1]), margin)


def verdicts(found: Unpaired) -> dict[str, Verdict]:
    return {one.name: one.verdict for one in found.comparisons}


def counts(name: str, *values: float, unit: str = "bytes") -> Results:
    return Results(metadata=HOST, benchmarks=(
        Sampled(name=name, unit=unit, processes=tuple(Process(values=(value,)) for value in values)),))


def test_planted_changes_are_found_and_the_rest_is_the_same() -> None:
    planted = {"bench03": 1.05, "bench07": 0.9, "bench11": 1.02}
    head = {name: typical * planted.get(name, 1.0) for name, typical in SUITE.items()}
    found = compared(results(SUITE, seed=1), results(head, seed=2))
    said = verdicts(found)
    assert [name for name, verdict in said.items() if verdict is Verdict.SLOWER] == ["bench03", "bench11"]
    assert [name for name, verdict in said.items() if verdict is Verdict.FASTER] == ["bench07"]
    assert found.count(Verdict.SAME) == 27
    assert {(one.metric, one.blocks) for one in found.comparisons} == {(Metric.TIME, 20)}
    missed = [one.name for one in found.comparisons if one.low is None or one.high is None or not (
        one.low <= planted.get(one.name, 1.0) <= one.high)]
    assert len(missed) <= 1
    assert found.mean is not None and found.mean.count == 30
    assert found.mean.low < 1 - 0.03 / 30 < found.mean.high


def test_of_equals_few_suites_have_any_change() -> None:
    """The false discovery rate is held over the suite: at most one report in twenty."""
    wrong = sum(
        any(one.verdict in (Verdict.FASTER, Verdict.SLOWER) for one in compared(
            results(SUITE, seed=2 * seed, processes=6), results(SUITE, seed=2 * seed + 1, processes=6)).comparisons)
        for seed in range(60))
    assert wrong <= 7


def test_what_a_session_has_in_common_is_taken_for_a_change_unless_there_are_several() -> None:
    """What the sentence warns of, and what three files of each side do about it."""
    shifted = compared(results(SUITE, seed=1), results(SUITE, seed=2, session=0.03))
    assert shifted.count(Verdict.SLOWER) == 30 and not shifted.by_file
    sessions = [0.0, 0.03, -0.03, 0.01, -0.02, 0.02]
    files = [results(SUITE, seed=10 + number, session=one) for number, one in enumerate(sessions)]
    found = compared(files[:3], files[3:])
    assert found.by_file == set(SUITE)
    assert found.count(Verdict.SLOWER) == found.count(Verdict.FASTER) == 0
    assert {one.blocks for one in found.comparisons} == {3}
    assert found.mean is not None and found.mean.low < 1 < found.mean.high
    assert found.mean.high / found.mean.low > 1.03, "what all benchmarks of a file have in common is not averaged out"
    assert not compared(files[:2], files[2:4]).by_file, "two say next to nothing of how sessions vary"


def test_the_mean_by_files_is_over_what_all_files_hold() -> None:
    files = [results(SUITE, seed=20 + number) for number in range(6)]
    files[1] = replace(files[1], benchmarks=files[1].benchmarks[:-1])
    found = compared(files[:3], files[3:])
    assert found.mean is not None and found.mean.count == 29
    assert found.by_file == set(SUITE) - {"bench29"}


def test_what_only_one_side_has_is_listed() -> None:
    found = compared(results({"a": 1e-3, "b": 1e-3}, seed=1), results({"c": 1e-3, "b": 1e-3}, seed=2))
    assert verdicts(found) == {
        "a": Verdict.ONLY_IN_BASE, "b": found.comparisons[1].verdict, "c": Verdict.ONLY_IN_HEAD}
    assert [one.name for one in found.comparisons] == ["a", "b", "c"]


@pytest.mark.parametrize(("base", "head"), [(2, 20), (20, 1)])
def test_too_few_processes_are_not_judged(base: int, head: int) -> None:
    (one,) = compared(
        results({"a": 1e-3}, seed=1, processes=base), results({"a": 2e-3}, seed=2, processes=head)).comparisons
    assert (one.verdict, one.state, one.ratio, one.blocks) == (Verdict.UNDECIDED, NOT_REACHED, None, min(base, head))
    assert one.base_value == pytest.approx(1e-3, rel=0.02)


def test_counts_that_repeat_themselves_are_compared_as_numbers() -> None:
    (one,) = compared(counts("a", 4096, 4096, 4096), counts("a", 4097, 4097, 4097)).comparisons
    assert (one.verdict, one.exact, one.base_value, one.head_value) == (Verdict.SLOWER, True, 4096, 4097)
    (one,) = compared(counts("a", 4096, 4096, 4096), counts("a", 4096, 4096, 4096)).comparisons
    assert (one.verdict, one.exact) == (Verdict.SAME, True)
    (one,) = compared(counts("a", 4096, 4096), counts("a", 4097, 4097)).comparisons
    assert one.state == NOT_REACHED


def test_counts_of_which_a_few_are_others_are_compared_as_numbers() -> None:
    """Two in twenty are trimmed away on either side; what is left does not vary, and is no failure for it."""
    base = counts("peak", *[1000000.0] * 18, *[1004096.0] * 2)
    for head, verdict in ((1200000.0, Verdict.SLOWER), (1000000.0, Verdict.SAME), (900000.0, Verdict.FASTER)):
        (one,) = compared(base, counts("peak", *[head] * 19, 1234567.0)).comparisons
        assert (one.verdict, one.exact) == (verdict, True)
        assert one.ratio == pytest.approx(head / 1e6)


def test_files_that_lockstep_wrote_are_told_from_others() -> None:
    run = {**HOST, "lockstep_run": "20261130T005818Z-17c438"}
    sides = [results(SUITE, seed=seed, metadata=run) for seed in (1, 2)]
    first, *_ = report.sentences(compared(*sides), {})
    assert "lockstep show 20261130T005818Z-17c438" in first and "one after the other" not in first
    mixed = compared(sides[0], results(SUITE, seed=3))
    assert report.NOT_PAIRED in report.sentences(mixed, {})[0]


def test_a_side_of_several_machines_is_told() -> None:
    other = results(SUITE, seed=2, metadata={**HOST, "hostname": "other"})
    said = report.sentences(compared([results(SUITE, seed=1), other], results(SUITE, seed=3)), {})
    assert any(text.startswith("base is of several machines, box, other") for text in said)
    assert not any("machines" in text for text in report.sentences(compared(
        results(SUITE, seed=1), results(SUITE, seed=3)), {}))


def test_times_that_do_not_vary_are_no_measurements() -> None:
    (one,) = compared(counts("a", *[1e-3] * 5, unit="s"), counts("a", *[2e-3] * 5, unit="s")).comparisons
    assert one.verdict is Verdict.FAILED and one.failure is not None and "the same to the digit" in one.failure.reason
    (one,) = compared(counts("a", *[1e-3] * 5, unit="s"), results({"a": 1e-3}, seed=1)).comparisons
    assert one.verdict is not Verdict.FAILED, "one side varies"


def test_different_units_are_not_compared() -> None:
    found = compared(counts("a", 1, 2, 3), counts("a", 1, 2, 3, unit="s"))
    (one,) = found.comparisons
    assert one.verdict is Verdict.FAILED and one.failure is not None
    assert one.failure.reason == "base counts it in bytes, head in s"
    with pytest.raises(UsageError, match="is counted in"):
        compared([counts("a", 1, 2, 3), counts("a", 1, 2, 3, unit="s")], counts("a", 1, 2, 3))


def test_what_differs_beside_the_build_is_said() -> None:
    other = {**HOST, "hostname": "other box", "python_version": "3.14.0"}
    del other["performance_version"]
    found = compared(results({"a": 1e-3}, seed=1), results({"a": 1e-3}, seed=2, metadata=other))
    assert found.differences == {"hostname": ("box", "other box"), "performance_version": ("1.14.0", "")}
    first, *others = report.sentences(found, {})
    assert first.startswith("Not paired")
    assert others == [
        "base and head differ in hostname, so that the ratios are about that too: box → other box",
        "base and head differ in performance version, so that the ratios are about that too: 1.14.0 → unknown"]


# --- The words

PRINTED = """\
go
==

Mean +- std dev: [base] 1.00 ms +- 0.01 ms -> [head] 1.05 ms +- 0.01 ms: 1.05x slower
Significant (t=-12.34)

chaos: \u00b5
========

Mean +- std dev: [base] 2.00 us +- 0.01 us -> [head] 2.00 us +- 0.02 us: 1.00x faster
Not significant!

size
====

[base] 16.0 MiB -> [head] 8.0 MiB: 2.00x faster
ERROR when testing if values are significant
Significant

Geometric mean: 1.23x faster
"""
SAID = {
    "go": Said(change="1.05x slower", significant=True), "chaos: µ": Said(change="1.00x faster", significant=False),
    "size": Said(change="2.00x faster", significant=None),
}


def test_what_pyperf_prints_is_read() -> None:
    assert pyperf_says.read(PRINTED, ["go", "chaos: µ", "size"]) == SAID
    alone = "Mean +- std dev: [base] 1.00 ms +- 0.01 ms -> [head] 1.05 ms +- 0.01 ms: 1.05x slower\nNot significant!\n"
    assert pyperf_says.read(alone, ["go"]) == {"go": Said(change="1.05x slower", significant=False)}
    assert pyperf_says.read("ERROR: nothing\n", ["go"]) == {}
    assert pyperf_says.read("", ["go", "size"]) == {}


def test_the_text_has_both_verdicts_and_says_what_they_are_worth() -> None:
    head = {"bench00": 1.1e-3, "new": 1.0, **{name: SUITE[name] for name in list(SUITE)[2:]}}
    found = compared(results(SUITE, seed=1), results(head, seed=2))
    said = {"bench00": Said(change="1.10x slower", significant=True), "bench02": Said(change="1.00x slower",
                                                                                   significant=None)}
    for width in (40, 80, 120):
        text = report.render(found, said, width=width)
        assert max(map(len, text.splitlines())) <= width
    assert re.search(r"bench00 +1\.00 ms +1\.10 ms +1\.\d+ \[1\.\d+, 1\.\d+\] +1\.\d+x slower;", text)
    assert "pyperf does not test bench02" in text and "Not paired" in text and "lockstep ab" in text
    assert "Only in base (1)\n  bench01\n" in text and "Only in head (1)\n  new\n" in text
    assert "Same within ±1 % (28): -v lists them" in text and "bench05" not in text
    assert "bench05" in report.render(found, said, verbose=True)
    assert "\x1b" not in text and "\x1b" in report.render(found, said, color=True)
    assert "head is faster in 0 of 31, slower in 1" in text


def test_names_of_others_do_not_speak_to_the_terminal() -> None:
    name = "evil\x1b[2J\u202e"
    found = compared(results({name: 1e-3, "b": 1.0}, seed=1), results({name: 2e-3, "b": 1.0}, seed=2))
    only = compared(results({name: 1e-3, "b": 1.0}, seed=1, processes=2), results({"b": 1.0}, seed=2))
    for text in (report.render(found, {}, verbose=True), report.render(only, {}, verbose=True)):
        assert "\x1b" not in text and "\u202e" not in text and "evil" in text


def test_the_json_has_it_all() -> None:
    found = compared(results(SUITE, seed=1), results({**SUITE, "bench03": 5e-3}, seed=2))
    content = json.loads(report.json(found, {"bench03": Said(change="1.25x slower", significant=True)}))
    assert (content["schema"], content["paired"], content["margin"]) == ("lockstep.compared/1", False, 0.01)
    one = content["benchmarks"][3]
    assert (one["verdict"], one["replicates"], one["replicate"]) == ("slower", 20, "process")
    assert one["pyperf"] == {"change": "1.25x slower", "significant": True}
    assert one["low"] < one["ratio"] < one["high"] and one["q"] < 0.05
    assert content["benchmarks"][0]["pyperf"] is None
    assert content["summary"]["slower"] == 1 and content["summary"]["geometric_mean"]["benchmarks"] == 30
    assert content["base"]["files"][0]["sha256"] == f"{1:064x}"
