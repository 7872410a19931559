"""From a run's blocks to its report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from runner.judging import compare
from runner.judging.compare import judged, report
from runner.judging.report import STATES, Comparison, Report
from runner.model import (
    Arm,
    Benchmark,
    Block,
    BlockKind,
    Cause,
    Failure,
    Interpreter,
    Metric,
    Mode,
    Notice,
    Settings,
    Verdict,
)
from runner.report import as_html, as_json, markdown, words
from runner.report import text as text_report
from runner.stats.decide import ALPHAS, LAYOUTS, LOOKS, at_look, judge, suite
from runner.stats.paired import interval
from runner.storage import store

START = 1_800_000_000.0
TURNS = Settings(mode=Mode.TURNS, calls={Arm.BASE: 100, Arm.HEAD: 100}, cycles=6, window=0.0, warmup=2)
SINGLE = Settings(mode=Mode.ADJACENT, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=1, window=0.0, warmup=0)
UNITS = {Metric.TIME: "s", Metric.PEAK_MEMORY: "bytes", Metric.TRACK: "bytes"}


def benchmark(name: str, metric: Metric = Metric.TIME, **params: str) -> Benchmark:
    return Benchmark(
        name=name, params=params, index=(0,) * len(params), metric=metric, unit=UNITS[metric], version="1", timeout=60.0
    )


def interpreter(spec: str) -> Interpreter:
    return Interpreter(
        spec=spec, executable=Path("/opt") / spec, version="3.13.5", implementation="cpython", sha256="0" * 64, facts={}
    )


def manifest(benchmarks: list[Benchmark], **changes: Any) -> store.Manifest:
    facts: dict[str, Any] = {
        "id": "20270115T080000Z-abcdef", "created": START, "command": "lockstep ab old new --seed 7",
        "base": interpreter("old"), "head": interpreter("new"), "differences": (), "suite": "/suite",
        "benchmarks": tuple(benchmarks), "missing": (), "scope": "binary", "margin": 0.01, "budget": None, "seed": 7,
        "memory_limit": 2**32, "settings": {}, "worker_cpu": 1, "machine": {"cores": 2}, "versions": {}, "notices": (),
    }
    return store.Manifest(**(facts | changes))


def timed(
    key: str, ratios: list[float], *, settings: Settings = TURNS, slices: int = 6, nanoseconds: float = 2e6,
    readings: Mapping[str, float] | None = None,
) -> list[Block]:
    """Blocks in which every cycle of block i has the ratio ratios[i]; half of each block's second is slices."""
    return [
        Block(
            benchmark=key, index=i, settings=settings, started=START + i, seconds=1.0,
            base=(nanoseconds,) * slices, head=(nanoseconds * ratio,) * slices, first=Arm.BASE, order="bh" * 3,
            readings=readings or {},
        )
        for i, ratio in enumerate(ratios)
    ]


def single(key: str, base: list[float], head: list[float]) -> list[Block]:
    return [
        Block(
            benchmark=key, index=i, settings=SINGLE, started=START + i, seconds=1.0, base=(b,), head=(h,),
            first=Arm.BASE,
        )
        for i, (b, h) in enumerate(zip(base, head, strict=True))
    ]


def reported(benchmarks: list[Benchmark], blocks: list[Block], *, complete: bool = True, **changes: Any) -> Report:
    run = store.Run(folder=Path("runs/r"), manifest=manifest(benchmarks, **changes), blocks=tuple(blocks), torn=False)
    return report(run, complete=complete)


def only(metric: Metric, blocks: list[Block]) -> Comparison:
    [comparison] = reported([benchmark("b", metric)], blocks).comparisons
    return comparison


def noisy(truth: float, n: int, seed: int, spread: float = 0.01) -> list[float]:
    return [truth * math.exp(x) for x in np.random.default_rng(seed).normal(0, spread, n)]


def kinds(notices: Any) -> list[str]:
    return [notice.kind for notice in notices]


def test_a_timed_benchmark_gets_its_line() -> None:
    ratios = noisy(1.05, 14, 1)
    found = only(Metric.TIME, timed("b", ratios))
    alone = judge(np.log(ratios), math.log1p(0.01))
    assert (found.verdict, found.clear, found.exact, found.failure) == (Verdict.SLOWER, True, False, None)
    assert alone.estimate is not None and alone.low is not None and alone.high is not None
    assert found.ratio == pytest.approx(math.exp(alone.estimate.mean))
    assert (found.low, found.high) == pytest.approx((math.exp(alone.low), math.exp(alone.high)))
    assert found.low < 1.05 < found.high
    assert found.base_value == pytest.approx(2e-3 / 100)
    assert found.head_value == pytest.approx(2e-3 / 100 * np.median(ratios))
    assert (found.blocks, found.p, found.q) == (alone.look, pytest.approx(alone.p), pytest.approx(alone.p))
    assert (found.mode, found.settings, found.machine_seconds) == (Mode.TURNS, TURNS, 14.0)
    assert found.log_ratios == pytest.approx(np.log(ratios))
    assert found.started.tolist() == list(range(14))
    assert not any(a.flags.writeable for a in (found.log_ratios, found.base_values, found.head_values, found.started))


def test_the_calibration_is_paid_for_but_not_scored() -> None:
    blocks = timed("b", [1.0] * 8)
    calibration = replace(blocks[0], kind=BlockKind.CALIBRATION, base=(), head=(), started=START - 5)
    found = only(Metric.TIME, [calibration, *blocks])
    assert (found.verdict, found.blocks, found.machine_seconds) == (Verdict.SAME, 6, 9.0)
    assert found.started.tolist() == [5.0 + i for i in range(8)]


def test_swapping_the_arms_mirrors_the_line() -> None:
    ratios = noisy(1.03, 24, 2)
    one = only(Metric.TIME, timed("b", ratios))
    other = only(Metric.TIME, [replace(b, base=b.head, head=b.base) for b in timed("b", ratios)])
    assert (one.verdict, other.verdict) == (Verdict.SLOWER, Verdict.FASTER)
    assert (other.ratio, other.low, other.high) == pytest.approx((1 / one.ratio, 1 / one.high, 1 / one.low))
    assert (one.clear, one.p) == (other.clear, other.p)


def test_fewer_blocks_than_a_look_give_neither_ratio_nor_verdict() -> None:
    """Of two or three blocks the interval would go from nothing to everything, and look like a finding."""
    found = only(Metric.TIME, timed("b", noisy(1.5, 5, 3)))
    assert (found.verdict, found.blocks, found.p, found.q) == (Verdict.UNDECIDED, 5, None, None)
    assert (found.ratio, found.low, found.high, found.needed, found.too_few) == (None, None, None, 6, True)
    assert found.log_ratios.size == 5 and found.base_value is not None
    whole = reported([benchmark("b")], timed("b", [1e-9, 1e9]))
    assert whole.mean is None
    listed, page = (text_report.render(whole), markdown.render(whole)), as_html.render(whole)
    assert all("e+42" not in text for text in (*listed, page))
    assert all("not reached" in text.lower() for text in listed), "named there, without any figure"
    assert words.TOO_FEW in page
    [shown] = json.loads(as_json.render(whole))["benchmarks"]
    assert [shown[key] for key in ("ratio", "low", "high", "reason")] == [None, None, None, words.TOO_FEW]
    assert not only(Metric.TIME, timed("b", noisy(1.5, 6, 3))).too_few
    never = only(Metric.TIME, [])
    assert (never.verdict, never.ratio, never.blocks, never.base_value) == (Verdict.UNDECIDED, None, 0, None)
    once = only(Metric.TIME, timed("b", [1.5]))
    assert (once.verdict, once.ratio, once.blocks) == (Verdict.UNDECIDED, None, 1)
    assert once.base_value is not None


def test_blocks_far_apart_still_give_finite_numbers() -> None:
    found = only(Metric.TIME, timed("b", [1e-9, 1e9] * 3))
    assert found.high is not None and math.isfinite(found.high)


def test_failure_ends_it() -> None:
    failure = Failure(reason="raised ValueError: no", arm=Arm.HEAD, detail="Traceback …")
    good = timed("b", [2.0] * 9)
    bad = replace(good[-1], base=(), head=(), failure=failure)
    found = only(Metric.TIME, [*good[:8], bad])
    assert (found.verdict, found.failure, found.clear) == (Verdict.FAILED, failure, False)
    assert found.log_ratios.size == 8 and found.machine_seconds == 9.0
    calibration = only(Metric.TIME, [replace(bad, kind=BlockKind.CALIBRATION)])
    assert (calibration.verdict, calibration.failure, calibration.settings) == (Verdict.FAILED, failure, None)


def test_a_benchmark_of_one_arm_comes_last_and_says_so() -> None:
    lost = store.Missing(benchmark=benchmark("new_one", size="4KiB"), present=Arm.HEAD)
    found = reported([benchmark("b")], timed("b", [1.0] * 8), missing=(lost,))
    assert [c.key for c in found.comparisons] == ["b", "new_one(size=4KiB)"]
    line = found.comparisons[1]
    assert line.verdict is Verdict.ONLY_IN_HEAD and line.failure is not None and line.failure.reason == "only in head"
    assert (found.count(Verdict.FAILED), found.count(Verdict.ONLY_IN_HEAD)) == (0, 1)


@pytest.mark.parametrize(("arm", "verdict"), [
    (None, Verdict.SKIPPED), (Arm.HEAD, Verdict.ONLY_IN_BASE), (Arm.BASE, Verdict.ONLY_IN_HEAD),
])
def test_what_is_skipped_is_no_failure_and_moves_nothing(arm: Arm | None, verdict: Verdict) -> None:
    skip = Failure(reason="not here", arm=arm, cause=Cause.SKIPPED)
    skipped = replace(timed("b", [9.0])[0], kind=BlockKind.CALIBRATION, base=(), head=(), failure=skip)
    others = [*timed("a", noisy(1.05, 14, 1)), *timed("c", noisy(1.0, 14, 2))]
    with_it = reported([benchmark("a"), benchmark("b"), benchmark("c")], [*others, skipped])
    line = with_it.comparisons[1]
    assert (line.verdict, line.state, line.compared, line.reached) == (verdict, verdict.value, False, True)
    assert (line.ratio, line.failure, line.notices) == (None, skip, ())
    without = reported([benchmark("a"), benchmark("c")], others)
    assert with_it.mean == without.mean and with_it.mean is not None
    assert [c.q for c in with_it.comparisons] == [without.comparisons[0].q, None, without.comparisons[1].q]
    assert with_it.complete and with_it.states == {
        **dict.fromkeys(STATES, 0), **{c.state: 1 for c in with_it.comparisons}}


def test_exact_counts_have_no_test() -> None:
    less = only(Metric.TRACK, single("b", [1000] * 3, [999] * 3))
    assert (less.verdict, less.exact, less.clear, less.p, less.q) == (Verdict.FASTER, True, False, None, None)
    assert less.ratio == less.low == less.high == pytest.approx(0.999)
    assert (less.base_value, less.head_value, less.blocks, less.mode) == (1000, 999, 3, None)
    equal = only(Metric.TRACK, single("b", [0] * 3, [0] * 3))
    assert (equal.verdict, equal.ratio, equal.notices) == (Verdict.SAME, None, ())


def test_counts_from_and_to_zero() -> None:
    more = only(Metric.TRACK, single("b", [0] * 3, [64] * 3))
    assert (more.verdict, more.clear, more.ratio) == (Verdict.SLOWER, True, None)
    assert list(more.notices) == [Notice(kind="from-zero", numbers={"base": 0.0, "head": 64.0})]
    less = only(Metric.TRACK, single("b", [64] * 3, [0] * 3))
    assert (less.verdict, less.ratio, less.low, less.high, less.notices) == (Verdict.FASTER, 0.0, 0.0, 0.0, ())


@pytest.mark.parametrize("head", [[64, 64, 64], [64, -1, 64]])
def test_a_varying_count_that_has_no_ratio_is_undecided_in_words(head: list[float]) -> None:
    found = only(Metric.TRACK, single("b", [64, 0, 64], head))
    assert (found.verdict, found.failure, found.reached, found.too_few) == (Verdict.UNDECIDED, None, True, False)
    assert (found.ratio, found.needed, found.base_value, found.head_value) == (None, None, 64, 64)
    assert found.notices == (Notice(kind="no-ratio", numbers={"base": 0.0, "head": head[1]}),)
    assert found.log_ratios.size == 0 and found.base_values.tolist() == [64, 0, 64]


def test_equal_counts_of_a_block_have_the_ratio_one_zeros_too() -> None:
    base, head = [4, 0, 8, 0, 16, 0], [4, 0, 8, 0, 16, 0]
    found = only(Metric.TRACK, single("b", base, head))
    assert (found.verdict, found.exact, found.ratio, found.notices) == (Verdict.SAME, False, 1.0, ())
    assert found.log_ratios.tolist() == [0.0] * 6


def test_a_count_is_settled_when_it_is_exact_or_has_no_ratio_and_not_before() -> None:
    def settled(base: list[float], head: list[float]) -> bool:
        blocks = tuple(single("b", base, head))
        run = store.Run(folder=Path("r"), manifest=manifest([benchmark("b", Metric.TRACK)]), blocks=blocks, torn=False)
        return judged(run)[0].settled

    for count, done in ((1, False), (2, False), (3, True)):
        assert settled([0, 0, 0][:count], [5, 5, 5][:count]) is done
        assert settled([0, 1, 0][:count], [5, 0, 5][:count]) is done


@pytest.mark.parametrize(("base", "head", "verdict"), [
    (1e-300, 1e300, Verdict.SLOWER), (1e300, 1e-300, Verdict.FASTER), (-3, -3, Verdict.SAME),
    (-3, -5, Verdict.FASTER), (-3, 2, Verdict.SLOWER),
])
def test_any_two_numbers_can_be_compared(base: float, head: float, verdict: Verdict) -> None:
    found = only(Metric.TRACK, single("b", [base] * 3, [head] * 3))
    assert (found.verdict, found.failure) == (verdict, None)
    assert all(number is None or math.isfinite(number) for number in (found.ratio, found.low, found.high))


def test_constant_peak_memory_is_the_same_in_eight_blocks() -> None:
    found = only(Metric.PEAK_MEMORY, single("b", [4096.0] * 8, [4096.0] * 8))
    assert (found.verdict, found.ratio, found.low, found.high) == (Verdict.SAME, 1.0, 1.0, 1.0)
    assert (found.exact, found.mode, found.base_value) == (False, None, 4096)


def test_benchmarks_are_judged_as_a_family() -> None:
    """A difference that would pass alone is taken back among many unchanged ones."""
    names = [f"b{i}" for i in range(40)]
    blocks = [
        block for i, name in enumerate(names)
        for block in timed(name, noisy(1.011 if i == 0 else 1.0, 8, 100 + i, spread=0.006))
    ]
    alone = reported([benchmark("b0")], [b for b in blocks if b.benchmark == "b0"]).comparisons[0]
    among = reported([benchmark(name) for name in names], blocks).comparisons[0]
    assert alone.verdict is Verdict.SLOWER
    assert among.verdict is Verdict.UNDECIDED and among.q is not None and among.q > 0.05
    assert among.low is not None and alone.low is not None and among.low < 1 < alone.low


def test_the_verdict_rests_on_the_look_at_which_the_schedule_stopped() -> None:
    """The schedule asks more of a benchmark among many; the report must not judge it as if it were alone."""
    ratios = noisy(1.05, 14, 10, spread=0.012)
    alone = reported([benchmark("b0")], timed("b0", ratios)).comparisons[0]
    among = reported([benchmark(f"b{i}") for i in range(1000)], timed("b0", ratios)).comparisons[0]
    assert (alone.blocks, among.blocks) == (6, 8)


def test_values_are_medians_over_blocks() -> None:
    blocks = [
        replace(block, base=tuple(x * factor for x in block.base), head=tuple(x * factor for x in block.head))
        for block, factor in zip(timed("b", [2.0] * 8), [9, 1, 1, 2, 2, 3, 3, 3], strict=True)
    ]
    found = only(Metric.TIME, blocks)
    assert (found.base_value, found.head_value) == (pytest.approx(2.5 * 2e-5), pytest.approx(5 * 2e-5))


def test_failed_and_exact_benchmarks_are_not_in_the_family() -> None:
    failed = [replace(b, failure=Failure(reason="hung", arm=None)) for b in timed("f", [1.0])]
    blocks = [*timed("b", noisy(1.05, 14, 1)), *failed, *single("t", [1] * 3, [2] * 3)]
    found = reported([benchmark("b"), benchmark("f"), benchmark("t", Metric.TRACK)], blocks)
    assert [c.verdict for c in found.comparisons] == [Verdict.SLOWER, Verdict.FAILED, Verdict.SLOWER]
    assert found.comparisons[0].q == found.comparisons[0].p


def test_notices_of_a_benchmark() -> None:
    assert only(Metric.TIME, timed("b", [1.0] * 8, readings={"steal": 0.04})).notices == ()
    [steal] = only(Metric.TIME, timed("b", [1.0] * 8, readings={"steal": 0.08})).notices
    assert (steal.kind, steal.numbers["share"]) == ("steal", pytest.approx(0.08))
    [few] = only(Metric.TIME, timed("b", [1.0] * 8, slices=2)).notices
    assert few == Notice(kind="few-cycles", numbers={"cycles": 2.0})
    uneven = replace(TURNS, calls={Arm.BASE: 1, Arm.HEAD: 9000})
    assert kinds(only(Metric.TIME, timed("b", [1.0] * 8, settings=uneven)).notices) == ["unequal-calls"]


def test_a_gil_that_was_on_in_a_build_without_one_is_told() -> None:
    assert only(Metric.TIME, timed("b", [1.0] * 8, readings={"gil_base": 0, "gil_head": 0})).notices == ()
    [gil] = only(Metric.TIME, timed("b", [1.0] * 8, readings={"gil_base": 0, "gil_head": 1})).notices
    assert (gil.kind, dict(gil.numbers)) == ("gil", {"arm": "head"})


def test_geometric_mean_is_about_these_benchmarks() -> None:
    """Its interval comes from the estimates' errors; that the benchmarks differ from each other is no error."""
    one, two = noisy(0.5, 24, 5), noisy(2.0, 24, 6)
    blocks = [*timed("a", one), *timed("b", two), *single("m", [1.0] * 8, [9.0] * 8)]
    found = reported([benchmark("a"), benchmark("b"), benchmark("m", Metric.PEAK_MEMORY)], blocks)
    mean = found.mean
    assert mean is not None and mean.count == 2
    a, b = found.comparisons[:2]
    assert a.ratio is not None and b.ratio is not None and a.blocks == b.blocks
    assert mean.ratio == pytest.approx(math.sqrt(a.ratio * b.ratio))
    assert mean.low < 1 < mean.high and mean.high / mean.low < 1.03


def test_geometric_mean_of_one_is_its_own_interval() -> None:
    ratios = noisy(1.0, 14, 7)
    mean = reported([benchmark("a")], timed("a", ratios)).mean
    estimate = judge(np.log(ratios), math.log1p(0.01)).estimate
    assert estimate is not None and mean is not None
    level = 0.95 if estimate.n == 6 else 0.995
    expected = stats.t.interval(level, estimate.df, loc=estimate.mean, scale=estimate.se)
    assert (math.log(mean.low), math.log(mean.high)) == pytest.approx(expected)


def test_blocks_that_share_a_layout_are_judged_as_one_value() -> None:
    """Six layouts, which come in turn six times, as `lockstep explain` measures."""
    logs = np.tile([-0.02, 0.0, 0.01, 0.03, 0.04, 0.06], 6) + np.random.default_rng(41).normal(0, 0.002, 36)
    facts = manifest([benchmark("b")], scope="source", repeats=6, blocks=36)
    run = store.Run(
        folder=Path("runs/r"), manifest=facts, blocks=tuple(timed("b", np.exp(logs).tolist())), torn=False)
    [case], whole = judged(run), report(run)
    assert case.judgement.estimate is not None
    assert (case.judgement.look, case.judgement.estimate.n, case.judgement.estimate.df) == (26, 26, 5)
    expected = interval(at_look(logs, 26, 6), ALPHAS[LOOKS.index(26)])
    [found] = whole.comparisons
    assert found.low is not None and found.high is not None and found.verdict is Verdict.UNDECIDED
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(expected)
    assert whole.mean is not None
    assert (math.log(whole.mean.low), math.log(whole.mean.high)) == pytest.approx(expected)


def test_a_run_has_few_layouts_where_its_blocks_share_them() -> None:
    def layouts(**changes: Any) -> int:
        return compare.layouts_of(manifest([benchmark("b")], **changes))

    assert layouts(scope="source", repeats=6, blocks=36) == 6
    assert layouts(scope="binary", repeats=6, blocks=24) == layouts(scope="source", blocks=36) == LAYOUTS
    assert layouts(scope="source") == layouts() == LAYOUTS


def test_geometric_mean_without_spread_or_without_timings() -> None:
    mean = reported([benchmark("a")], timed("a", [2.0] * 8)).mean
    assert mean is not None and (mean.ratio, mean.low, mean.high) == pytest.approx((2.0, 2.0, 2.0))
    assert reported([benchmark("m", Metric.TRACK)], single("m", [1] * 3, [2] * 3)).mean is None
    assert reported([benchmark("a")], []).mean is None


def test_time_is_counted_without_pauses() -> None:
    blocks = timed("b", [1.0] * 8)
    # Six slices of 2 ms in each arm, in each block of a second; the last four blocks after a night's sleep.
    blocks = [replace(b, started=b.started + (30_000 if b.index >= 4 else 0) + 0.5 * b.index) for b in blocks]
    found = reported([benchmark("b")], blocks)
    assert found.seconds == pytest.approx(8 * 1.0 + 6 * 0.5)
    assert found.measured_share == pytest.approx(8 * 12 * 2e-3 / found.seconds)
    assert reported([benchmark("b")], []).measured_share == 0.0


def test_measured_share_counts_every_call_of_a_lot() -> None:
    shared = replace(TURNS, mode=Mode.SHARED, calls={Arm.BASE: 10, Arm.HEAD: 10})
    found = reported([benchmark("b")], timed("b", [1.0] * 8, settings=shared))
    assert found.measured_share == pytest.approx(12 * 10 * 2e-3)


def test_notices_of_the_run() -> None:
    one = [benchmark("b")]
    assert kinds(reported(one, timed("b", [1.0] * 8)).notices) == ["layout"]
    assert kinds(reported(one, timed("b", [1.0] * 8), scope="source").notices) == []
    given = (Notice(kind="same-file"),)
    assert kinds(reported(one, timed("b", [1.0] * 8), notices=given).notices) == ["same-file", "layout"]
    cut = reported([*one, benchmark("c")], timed("b", [1.0] * 8), complete=False)
    assert not cut.complete
    assert cut.notices[-1] == Notice(
        kind="interrupted", numbers={"done": 1, "total": 2, "resume": f"lockstep resume {cut.folder}"}
    )
    short = reported([*one, benchmark("c")], timed("b", [1.0] * 8), budget=5.0)
    assert short.notices[-1] == Notice(kind="budget", numbers={"undecided": 0, "not_reached": 1})


def known_less() -> list[float]:
    """A difference that is there, and known to less than the part of the margin to which sampling goes on."""
    return noisy(math.exp(0.009), 40, 3, 0.0106)


def test_what_an_older_version_ended_was_not_interrupted() -> None:
    """A small difference ended sooner once: it is there, and less well known than it would have to be now."""
    run = store.Run(folder=Path("runs/r"), manifest=manifest([benchmark("b")], budget=None),
                    blocks=tuple(timed("b", known_less())), torn=False)
    (case,) = judged(run)
    assert case.judgement.verdict is Verdict.SLOWER and not case.settled
    assert report(run).complete and kinds(report(run).notices) == ["layout"]
    assert not report(replace(run, blocks=run.blocks[:3])).complete


def test_a_budget_is_not_blamed_for_what_it_would_not_settle() -> None:
    keys = ["last", "slower"]
    blocks = [*timed("last", noisy(1.0, LOOKS[-1], 60, 0.2)), *timed("slower", known_less())]
    found = reported([benchmark(key) for key in keys], blocks, budget=5.0)
    assert [c.verdict for c in found.comparisons] == [Verdict.UNDECIDED, Verdict.SLOWER]
    assert found.complete and "budget" not in kinds(found.notices)
    fixed = report(store.Run(
        folder=Path("runs/r"), manifest=manifest([benchmark("open")], budget=5.0, blocks=8),
        blocks=tuple(timed("open", noisy(1.0, 8, 60, 0.1))), torn=False))
    assert fixed.complete and "budget" not in kinds(fixed.notices)


def test_what_measuring_did_not_come_to_is_undecided_and_not_reached() -> None:
    """Of a suite of which a budget settled a part, "undecided in 312" told nothing."""
    keys = ["same", "open", "begun", "never", "bad"]
    blocks = [
        *timed("same", [1.0] * 8), *timed("open", noisy(1.0, 8, 60, 0.1)), *timed("begun", [1.0] * 5),
        replace(timed("bad", [1.0])[0], base=(), head=(), failure=Failure(reason="raised", arm=None)),
    ]
    found = reported([benchmark(key) for key in keys], blocks, budget=20.0)
    assert [c.verdict.value for c in found.comparisons] == ["same", "undecided", "undecided", "undecided", "failed"]
    assert [c.reached for c in found.comparisons] == [True, True, False, False, True]
    assert found.not_reached == 2 and found.count(Verdict.UNDECIDED) == 3
    assert found.notices[-1] == Notice(kind="budget", numbers={"undecided": 1, "not_reached": 2})


def test_a_report_is_made_from_the_folder_alone(tmp_path: Path) -> None:
    blocks = [*timed("b(size=4KiB)", noisy(1.0, 8, 9, 0.001)), *single("t", [1] * 3, [2] * 3)]
    wanted = manifest([benchmark("b", size="4KiB"), benchmark("t", Metric.TRACK)])
    folder = store.create(tmp_path, wanted)
    with store.appending(folder) as append:
        for block in blocks:
            append(block)
    with (folder / store.BLOCKS).open("a") as stream:
        stream.write('{"benchmark": "b(si')
    found = report(store.read(folder), complete=True)
    assert [c.verdict for c in found.comparisons] == [Verdict.SAME, Verdict.SLOWER]
    assert kinds(found.notices) == ["layout", "torn-line"]
    assert (found.run, found.seed, found.base["spec"], found.head["executable"]) == (wanted.id, 7, "old", "/opt/new")
    assert found.comparisons[0].params == {"size": "4KiB"}


# What the guards say.


def suite_of(
    rng: np.random.Generator, count: int = 40, *, n: int = 24, spread: float = 0.01, **changes: Any
) -> list[Block]:
    """Blocks of `count` unchanged benchmarks in rounds, as a session measures them: 8 to `n` blocks each."""
    blocks = [
        replace(block, **changes) for key in range(count)
        for block in timed(f"b{key}", np.exp(rng.normal(0, spread, rng.choice([8, 14, n]))).tolist())
    ]
    rounds = sorted(blocks, key=lambda block: block.index)
    # In each pair of a benchmark's blocks both arms are first once.
    return [
        replace(block, started=START + i, first=(Arm.BASE, Arm.HEAD)[(block.index + int(block.benchmark[1:])) % 2],
                readings={"steal": float(rng.uniform(0, 0.02)), "load": 1.0, "switches_base": 3, "switches_head": 3})
        for i, block in enumerate(rounds)
    ]


def told(blocks: list[Block], **changes: Any) -> list[Notice]:
    """What a report says of a whole run beside its scope."""
    names = list(dict.fromkeys(block.benchmark for block in blocks))
    found = reported([benchmark(name) for name in names], blocks, **changes)
    return [notice for notice in found.notices if notice.kind != "layout"]


def slower(block: Block, factor: float) -> Block:
    return replace(block, head=tuple(value * factor for value in block.head))


def test_guards_are_silent_on_clean_runs() -> None:
    rng = np.random.default_rng(50)
    for _ in range(12):
        blocks = suite_of(rng, 20)
        found = reported([benchmark(f"b{key}") for key in range(20)], blocks)
        assert kinds(found.notices) == ["layout"]
        assert not any(comparison.notices for comparison in found.comparisons)


def test_a_drifting_machine_is_told() -> None:
    blocks = suite_of(np.random.default_rng(51))
    drifting = [slower(block, 1 + 0.03 * i / len(blocks)) for i, block in enumerate(blocks)]
    [drift] = told(drifting)
    assert drift.kind == "drift" and drift.numbers["change"] == pytest.approx(0.03, abs=0.01)


def test_what_is_told_takes_no_more_where_a_block_says_that_it_is_the_billionth() -> None:
    """Which one it is may be what a stranger has written."""
    blocks = suite_of(np.random.default_rng(51))
    drifting = [slower(block, 1 + 0.03 * i / len(blocks)) for i, block in enumerate(blocks)]
    far = [replace(block, index=3 * block.index + 10**9) for block in drifting]
    assert told(far) == told(drifting)


def test_a_neighbour_that_starts_half_way_is_told() -> None:
    rng = np.random.default_rng(52)
    blocks = suite_of(rng)
    late = [
        block if i < len(blocks) / 2 else
        replace(slower(block, math.exp(rng.normal(0, 0.05))), readings={**block.readings, "steal": 0.1})
        for i, block in enumerate(blocks)
    ]
    [found] = told(late)
    assert found.kind == "disturbed-blocks" and found.numbers["reading"] == "steal"
    assert found.numbers["times"] > 2
    unfair = [
        block if i < len(blocks) / 2 else replace(slower(block, 1.03), readings={**block.readings, "steal": 0.1})
        for i, block in enumerate(blocks)
    ]
    shifts = {notice.kind: notice.numbers for notice in told(unfair)}
    assert shifts["disturbed-ratios"]["reading"] == "steal"
    assert shifts["disturbed-ratios"]["change"] == pytest.approx(0.03, abs=0.01)


def test_an_arm_that_is_first_too_often_is_told() -> None:
    rng = np.random.default_rng(53)
    blocks = [replace(block, first=Arm.BASE if rng.random() < 0.8 else Arm.HEAD) for block in suite_of(rng)]
    [order] = told([slower(block, 1.02 if block.first is Arm.BASE else 1.0) for block in blocks])
    assert order.kind == "order-effect"
    assert order.numbers["change"] == pytest.approx(0.02, abs=0.005)
    assert order.numbers["share"] == pytest.approx(0.8, abs=0.05)
    assert order.numbers["bias"] == pytest.approx(0.02 * 0.3, abs=0.003)


def cycled(rng: np.random.Generator, order: str, effect: float) -> list[Block]:
    """Blocks of 40 cycles in which the ratio is larger by `effect`, a log, where base went first."""
    first = np.array([1 if letter == "b" else -1 for letter in order])
    base, head = (2e6 * np.exp(rng.normal(0, 0.01, (14, 40)) + way * first * effect / 4) for way in (-1, 1))
    return [
        replace(block, base=tuple(b.tolist()), head=tuple(h.tolist()), order=order)
        for block, b, h in zip(timed("b", [1.0] * 14), base, head, strict=True)
    ]


def test_the_order_of_the_cycles_is_told_where_it_does_not_cancel() -> None:
    rng = np.random.default_rng(54)
    assert only(Metric.TIME, cycled(rng, "bhhb" * 10, 0.08)).notices == ()
    assert only(Metric.TIME, cycled(rng, "bbhb" * 10, 0.0)).notices == ()
    # Of the two kinds of cycles the median follows the majority, and so the minima disagree with it too.
    found, _ = sorted(only(Metric.TIME, cycled(rng, "bbhb" * 10, 0.08)).notices, key=lambda notice: notice.kind)
    assert found.kind == "cycle-order"
    assert found.numbers["change"] == pytest.approx(0.083, abs=0.01)
    assert (found.numbers["share"], found.numbers["bias"]) == (0.75, pytest.approx(0.02, abs=0.004))


def shaped(rng: np.random.Generator, slow_share: float) -> list[Block]:
    """Blocks in which a share of head's slices, and a tenth of base's, takes 10 % longer."""
    base, head = (
        2e6 * np.exp(rng.normal(0, 0.002, (14, 40))) * np.where(rng.random((14, 40)) < share, 1.1, 1.0)
        for share in (0.1, slow_share)
    )
    return [
        replace(block, base=tuple(b.tolist()), head=tuple(h.tolist()), order="bhhb" * 10)
        for block, b, h in zip(timed("b", [1.0] * 14), base, head, strict=True)
    ]


def test_a_change_of_shape_is_told() -> None:
    rng = np.random.default_rng(55)
    assert only(Metric.TIME, shaped(rng, 0.1)).notices == ()
    [found] = only(Metric.TIME, shaped(rng, 0.8)).notices
    assert found == Notice(kind="shape", numbers={
        "typical": pytest.approx(1.1, abs=0.01), "fastest": pytest.approx(1.0, abs=0.01)})


def test_a_plain_slowdown_is_no_change_of_shape() -> None:
    blocks = [slower(block, 1.2) for block in shaped(np.random.default_rng(56), 0.1)]
    assert only(Metric.TIME, blocks).notices == ()


def test_a_failure_that_passed_is_told_and_one_that_came_again_is_final() -> None:
    good = timed("b", noisy(1.0, 8, 59, 0.002))
    killed = Failure(reason="was killed by SIGKILL", arm=Arm.HEAD, cause=Cause.KILLED)
    bad = replace(good[3], base=(), head=(), failure=killed)
    once = only(Metric.TIME, [*good[:3], bad, *good[3:]])
    assert (once.verdict, once.failure, once.blocks) == (Verdict.SAME, None, 6)
    assert once.notices == (
        Notice(kind="tried-again", numbers={"times": 1, "reason": "head: was killed by SIGKILL"}),)
    last = replace(killed, reason="was killed again")
    twice = only(Metric.TIME, [*good[:3], bad, replace(bad, failure=last)])
    assert (twice.verdict, twice.failure) == (Verdict.FAILED, last)
    resumed = only(Metric.TIME, [*good[:3], replace(bad, failure=replace(killed, cause=Cause.OTHER)), *good[3:]])
    assert resumed.verdict is Verdict.SAME and [notice.kind for notice in resumed.notices] == ["tried-again"]


def test_the_canary_is_no_benchmark_of_the_run() -> None:
    own = timed("b", noisy(1.0, 8, 57, 0.002))
    canary = [replace(slower(block, 2.0), kind=BlockKind.CANARY, started=block.started + 0.5) for block in own]
    mixed = [block for pair in zip(own, canary, strict=True) for block in pair]
    with_it, without = (reported([benchmark("b")], blocks) for blocks in (mixed, own))
    assert with_it.comparisons[0].ratio == without.comparisons[0].ratio
    assert with_it.comparisons[0].blocks == without.comparisons[0].blocks == 6
    assert with_it.seconds > without.seconds, "its time was spent"


def test_a_canary_that_differs_is_told() -> None:
    def canaries(truth: float, n: int = 14) -> list[Notice]:
        own = [replace(block, kind=BlockKind.CANARY) for block in timed("b", noisy(truth, n, 58, 0.005))]
        return told([*timed("b", noisy(1.0, 8, 57, 0.002)), *own])

    assert canaries(1.0) == [] == canaries(1.05, n=5)
    [found] = canaries(1.05)
    assert found.kind == "canary" and found.numbers["benchmark"] == "b"
    assert found.numbers["low"] < 1.05 < found.numbers["high"]
    failure = Failure(reason="hung", arm=Arm.HEAD)
    failed = replace(timed("b", [1.0])[0], kind=BlockKind.CANARY, base=(), head=(), failure=failure)
    assert told([*timed("b", [1.0] * 8), failed]) == [Notice(kind="canary-failed", numbers={"reason": "hung"})]


def test_extensions_that_keep_their_layout_are_told() -> None:
    calibration = replace(
        timed("b", [1.0])[0], kind=BlockKind.CALIBRATION, base=(), head=(), uncovered=("_b.so", "_a.so"))
    found = only(Metric.TIME, [calibration, *timed("b", [1.0] * 8)])
    assert list(found.notices) == [Notice(kind="extensions", numbers={"names": "_a.so, _b.so"})]


def test_a_suite_is_judged_as_the_rule_has_it() -> None:
    """Each benchmark is judged alone, once; the suite is judged by that, as if by all of their ratios."""
    rng = np.random.default_rng(15)
    truths = {f"time_{number}": truth for number, truth in enumerate([0.0, 0.004, 0.011, 0.02, 0.1] * 6)}
    blocks = [
        block for name, truth in truths.items() for size in [int(rng.choice([3, 6, 8, 12]))]
        for block in timed(name, np.exp(truth + rng.normal(0, 0.005, size)).tolist())]
    run = store.Run(
        folder=Path("/runs/one"), manifest=manifest([benchmark(name) for name in truths]), blocks=tuple(blocks),
        torn=False)
    alone, margin = judged(run), math.log1p(0.01)
    whole = suite([case.ratios for case in alone], margin)
    assert [(case.judgement, case.q) for case in compare._among(alone, margin)] == [
        (one.judgement, one.q) for one in whole]
