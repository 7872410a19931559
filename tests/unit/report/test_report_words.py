from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import report_samples as samples

from runner.judging import guards
from runner.judging.report import Mean
from runner.model import Difference, Notice, Verdict
from runner.report import notices, words
from runner.report.sections import sections
from runner.stats.decide import LOOKS


def test_the_headline_counts_every_benchmark_once() -> None:
    first, second = words.headline(samples.report())
    assert first == (
        "head is faster in 2 of 18, slower in 3, same within ±1 % in 2, undecided in 1, not reached in 1, failed in 1, "
        "skipped in 6, 1 only in base, 1 only in head")
    assert second.endswith("memory and counts: less in 3 of 7, more in 2, same in 1, undecided in 1")


def test_the_headline_of_no_benchmarks_and_of_counts_alone() -> None:
    nothing = samples.report([], mean=None)
    assert words.headline(nothing) == (
        "head uses less in 0 of 0, more in 0, same within ±1 % in 0, undecided in 0",
        "no timing has enough blocks for a ratio, so there is no mean")
    counts = samples.report([samples.exact("a.track", Verdict.FASTER, 2, 1)], mean=None)
    assert words.headline(counts)[0].startswith("head uses less in 1 of 1")


def test_the_mean_is_mirrored_when_the_arms_are_swapped() -> None:
    slower = words.headline(samples.report([], mean=Mean(ratio=1.25, low=1.2, high=1.3, count=1)))[1]
    faster = words.headline(samples.report([], mean=Mean(ratio=1 / 1.25, low=1 / 1.3, high=1 / 1.2, count=1)))[1]
    assert slower == "geometric mean 1.25x slower [1.20x, 1.30x] over 1 timing"
    assert faster == slower.replace("slower", "faster")


def test_a_mean_has_as_many_decimals_as_its_interval_wants() -> None:
    def said(ratio: float, low: float, high: float) -> str:
        return words.headline(samples.report([], mean=Mean(ratio=ratio, low=low, high=high, count=2)))[1]

    assert "mean 1.0003x slower [1.0001x, 1.0005x] over" in said(1.0003, 1.0001, 1.0005)
    assert "mean 1.303x slower [1.300x, 1.306x] over" in said(1.303, 1.3, 1.306)


def test_a_mean_whose_interval_covers_one_shows_no_difference() -> None:
    text = words.headline(samples.report([], mean=Mean(ratio=1.001, low=0.998, high=1.004, count=3)))[1]
    assert "no difference shown" in text


def test_verdicts_in_words() -> None:
    said = {c.name: words.verdict(c) for c in samples.every_kind()}
    assert said["construct.FromBytes.time_construct"] == "2,042x faster"
    assert said["write_after_share.AfterGetvalue.time_append_one_byte"] == "1.030x slower"
    assert said["getvalue.Repeated.time_getvalue"] == "1.013x slower (not clear)"
    assert said["construct.Empty.time_construct"] == "same (tiny but real)"
    assert said["construct.track_allocated"] == "139,811x less"
    assert said["construct.track_one_more"] == "1 B more"
    assert said["getvalue.track_allocated"] == "more, from 0 B"
    assert said["getvalue.track_freed"] == "less, down to 0 B"
    assert said["memory.peakmem_construct"] == "1.92x less"
    assert said["pickling.Big.time_dumps"] == "undecided"
    assert said["pickling.Small.time_loads"] == "not reached"
    assert said["getvalue.track_misses"] == "undecided"
    assert said["seek.Abstract.time_seek"] == "skipped"
    assert said["getvalue.Old.time_peek"] == "only in base" and said["getvalue.New.time_getbuffer"] == "only in head"


def test_why_it_was_not_compared() -> None:
    said = {c.name: words.failure(c) for c in samples.every_kind()}
    assert said["seek.Far.time_seek"] == "not for files of `this` size"
    assert said["seek.Abstract.time_seek"] == "no reason given"
    assert said["getvalue.Old.time_peek"] == "head skips it: gone | <b>for</b> good"
    assert said["getvalue.New.time_getbuffer"] == "base does not have it"


def test_what_would_settle_it_is_in_blocks_and_in_seconds() -> None:
    # 40 blocks took 20 s, so 20 further ones take 10 s.
    c = samples.comparison("a", Verdict.UNDECIDED, blocks=40, machine_seconds=20.0, needed=60, ratio=1.0)
    assert words.to_settle(c) == "about 60 blocks in all, 10 s more"
    # 70 blocks took 70 s, though 40 of them were the last look.
    more = replace(c, machine_seconds=70.0, needed=80, log_ratios=np.zeros(70), started=np.arange(70.0))
    assert words.to_settle(more) == "about 80 blocks in all, 10 s more"
    assert words.to_settle(replace(more, needed=60)) == "70 blocks were not enough"
    few = samples.comparison("a", Verdict.UNDECIDED, blocks=5, reached=False)
    assert words.to_settle(few) == "cannot be said from 5 blocks"
    none = samples.comparison("a", Verdict.UNDECIDED, blocks=0, needed=8, reached=False)
    assert words.to_settle(none) == "8 blocks; none so far"
    assert words.to_settle(samples.comparison("a", Verdict.UNDECIDED)) == "cannot be settled: no ratio"


def test_a_gil_that_was_on_names_the_arm_and_what_may_have_done_it() -> None:
    assert notices.sentence(Notice(kind="gil", numbers={"arm": "head"})).startswith(
        "head is a build for running without the GIL, and ran with it: an extension module")


def test_an_unknown_notice_is_printed_with_its_numbers() -> None:
    flare = Notice(kind="solar-flare", numbers={"class": "X9", "n": 2})
    assert notices.sentence(flare) == "solar flare: class X9, n 2"
    assert notices.sentence(Notice(kind="solar-flare")) == "solar flare"


def test_a_notice_that_lacks_its_numbers_is_still_printed() -> None:
    assert notices.sentence(Notice(kind="steal", numbers={"cpu": 1})) == "steal: cpu 1"
    assert notices.sentence(Notice(kind="steal", numbers={"share": "much"})) == "steal: share much"


def test_a_difference_that_nobody_asked_for_is_one_warning_and_layout_is_left_to_the_scope() -> None:
    found = Difference(what="compiler", base="gcc 12", head="gcc 13", asked=False)
    same = Notice(kind="unasked-difference", numbers={"what": "compiler", "base": "gcc 12", "head": "gcc 13"})
    report = samples.report([], differences=(found,), notices=(Notice(kind="layout"), same))
    assert [n.kind for n in notices.warnings(report)] == ["unasked-difference"]
    assert "layout" in words.scope(report)


def test_notices_of_a_kind_are_one_line_that_owns_up_to_differing_figures() -> None:
    low, high = (Notice(kind="steal", numbers={"share": share}) for share in (0.06, 0.12))
    named = {"a": low, "b": high, "c": low}
    three = [samples.comparison(name, Verdict.SAME, notices=(notice,)) for name, notice in named.items()]
    [(sentence, about)] = notices.grouped(three, by_kind=True)
    assert "6 %" in sentence and sentence.endswith("(figures of the first)") and len(about) == 3
    assert [[c.name for c in about] for _, about in notices.grouped(three)] == [["a", "c"], ["b"]]
    [(sentence, _)] = notices.grouped(three[:1], by_kind=True)
    assert "figures" not in sentence
    unsteady = [Notice(kind="unsteady-values", numbers={"between": unit}) for unit in ("calls", "processes", "calls")]
    four = [samples.comparison(str(n), Verdict.SAME, notices=(notice,)) for n, notice in enumerate(unsteady)]
    told = {sentence[:36]: len(about) for sentence, about in notices.grouped(four, by_kind=True)}
    assert told == {"returns another value in every call,": 2, "returns another value in every proce": 1}


def test_sections_hold_every_benchmark_once_with_the_largest_change_first() -> None:
    report = samples.report()
    found = sections(report)
    assert sorted(c.key for c in found.all) == sorted(c.key for c in report.comparisons)
    finite = [c for c in found.changed if c.ratio]
    sizes = [max(c.ratio, 1 / c.ratio) for c in finite if c.ratio]
    assert sizes == sorted(sizes, reverse=True)
    assert {c.name for c in found.changed[:2]} == {"getvalue.track_allocated", "getvalue.track_freed"}


def test_an_arm_is_told_with_what_kind_of_build_it_is() -> None:
    def told(**facts: str) -> str:
        return words.arm({"spec": "./python", "version": "3.14.0", "implementation": "cpython", "facts": facts})

    jit = {"CONFIG_ARGS": "'--enable-experimental-jit=yes-off' 'CC=gcc'"}
    assert told() == told(gil="True", jit="False", Py_GIL_DISABLED="0") == "./python (CPython 3.14.0)"
    assert told(Py_GIL_DISABLED="1", gil="False") == "./python (CPython 3.14.0, free-threaded)"
    assert told(Py_GIL_DISABLED="1", gil="True") == "./python (CPython 3.14.0, free-threaded with the GIL on)"
    assert told(jit="True", **jit) == "./python (CPython 3.14.0, JIT on)"
    assert told(jit="False", **jit) == "./python (CPython 3.14.0, JIT off)"
    assert told(Py_DEBUG="1", gil="True", Py_GIL_DISABLED="1", jit="True").endswith(
        "3.14.0, debug, free-threaded with the GIL on, JIT on)")
    assert words.arm({"spec": "p", "version": "3"}) == "p (CPython 3)"


def test_the_machine_line_says_nothing_of_what_is_not_known() -> None:
    assert words.machine({"cpu": "X", "cores": 1}) == "X, 1 core"
    assert words.machine({"cpu": "X", "pinned": None}) == "X, not pinned to a CPU"
    assert words.machine({"cpu": "X", "pinned": 0}) == "X, measured on CPU 0"


def test_warm_up_is_counted_in_what_the_mode_repeats() -> None:
    assert words.settings(samples.SETTINGS).endswith("cycles of warm-up in each arm: 2")
    assert words.settings(samples.SHARED).endswith("lots of warm-up in each arm: 1")


def test_what_is_not_there_is_not_said() -> None:
    def budget(not_reached: int) -> str:
        return notices.sentence(Notice(kind="budget", numbers={"undecided": 2, "not_reached": not_reached}))

    assert f"ended with 2 undecided and 310 not reached (fewer than {LOOKS[0]} blocks each). Give" in budget(310)
    assert "ended with 2 undecided. Give" in budget(0)


@pytest.mark.parametrize(("kind", "number", "one", "more"), [
    ("tried-again", "times", "1 block failed and was tried", "3 blocks failed and were tried"),
    ("contradicting-runs", "benchmarks", "in 1 benchmark:", "in 3 benchmarks:"),
])
def test_one_is_not_told_as_several(kind: str, number: str, one: str, more: str) -> None:
    rest = {"reason": "head: hangs", "run": "x"}
    for count, part in ((1, one), (3, more)):
        assert part in notices.sentence(Notice(kind=kind, numbers={**rest, number: count}))


@pytest.mark.parametrize(("change", "text"), [(-0.012, "by −1.2 %"), (0.012, "by +1.2 %")])
def test_a_change_has_its_sign(change: float, text: str) -> None:
    assert text in notices.sentence(Notice(kind="drift", numbers={"change": change}))


@pytest.mark.parametrize("reading", [*guards.READINGS, "time"])
def test_every_reading_has_words(reading: str) -> None:
    blocks = notices.sentence(Notice(kind="disturbed-blocks", numbers={"reading": reading, "times": 2.0}))
    assert blocks.startswith("The blocks scatter 2.00x as much ")
    if reading != "time":
        ratios = notices.sentence(Notice(kind="disturbed-ratios", numbers={"reading": reading, "change": 0.1}))
        assert ratios.startswith("The ratios follow ")
