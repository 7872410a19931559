"""What the guards find in a run's blocks, as notices: only where there is something to say (docs/method.md)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

import numpy as np

from runner.model import Arm, Block, Metric, Mode, Notice, Verdict
from runner.stats import guards
from runner.stats.blocks import calls_of, frozen, judge_blocks, of_canary
from runner.stats.guards import ALARM, Finding
from runner.stats.paired import Array

LEAST_SPREAD = 1.5
"""Ratio of two spreads below which blocks are not said to scatter more."""
LEAST_VALUES = 4
"""Values of each arm that a block needs for its minima, and for its cycles of either order, to say anything."""
LOPSIDED = 0.1
"""How far base's share of first places may be from a half."""
READINGS: Mapping[str, Callable[[Block], float]] = {
    "steal": lambda block: block.readings.get("steal", math.nan),
    "load": lambda block: block.readings.get("load", math.nan),
    # Per second, so that long and short blocks of a benchmark are alike.
    "switches": lambda block: sum(block.readings.get(f"switches_{arm.value}", math.nan) for arm in Arm) / block.seconds,
}
TESTS = 2 * len(READINGS) + 1
"""Tests of the readings: shift and spread for each of them, and spread in the course of the session."""


def of_run(
    blocks: Sequence[Block], timed: Sequence[tuple[Sequence[Block], Array]], margin: float
) -> Iterator[Notice]:
    """Notices about a whole run: order effect, drift, disturbed blocks, canary.

    `blocks` are all of the run in measured order, the canary's too; `timed` those that are scored with their log
    ratios, benchmark by benchmark, without those that failed. `margin` is a log; what moves a ratio by less than half
    of it is not said.
    """
    yield from _canary(blocks, margin)
    if not timed:
        return
    seconds = np.cumsum([0.0, *(block.seconds for block in blocks)]).tolist()
    clock = {id(block): before for block, before in zip(blocks, seconds, strict=False)}
    benchmarks = [own for own, _ in timed]
    d = _panel(benchmarks, lambda block: 0.0)
    for row, (own, ratios) in zip(d, timed, strict=True):
        row[[block.index for block in own]] = ratios
    when = _panel(benchmarks, lambda block: clock[id(block)])
    yield from _order(d, _panel(benchmarks, lambda block: 1.0 if block.first is Arm.BASE else -1.0), margin)
    drift = guards.drift(d, when)
    if drift is not None and drift.p <= ALARM and abs(drift.size) >= margin / 2:
        yield Notice(kind="drift", numbers={"change": math.expm1(drift.size)})
    yield from _disturbed(d, {name: _panel(benchmarks, of) for name, of in READINGS.items()}, when, margin)


def of_benchmark(blocks: Sequence[Block], ratios: Array, margin: float, tests: int) -> Iterator[Notice]:
    """Notices about one timed benchmark, of `tests` in its run: shape, and order of the cycles.

    `blocks` are the scored ones, `ratios` their log ratios.
    """
    enough = [min(len(block.base), len(block.head)) >= LEAST_VALUES for block in blocks]
    usable, d = list(itertools.compress(blocks, enough)), ratios[enough]
    minima = [math.log(min(block.head) / min(block.base)) - _calls(block) for block in usable]
    shape = guards.consistent(frozen(minima) - d)
    middle = float(np.median(d)) if d.size else 0.0
    # Beside a change of many times the margin, a disagreement of a tenth of it is no other story.
    if shape is not None and shape.p <= ALARM / tests and abs(shape.size) > max(margin, abs(middle) / 10):
        yield Notice(kind="shape", numbers={"typical": math.exp(middle), "fastest": math.exp(middle + shape.size)})
    # An arm that goes on from its own last slice finds its caches warm, so that an effect of the order is common. It
    # cancels in a balanced order, and is nothing to say then.
    order = guards.consistent(frozen([found for block in usable if (found := _cycle_order(block)) is not None]))
    letters = "".join(block.order for block in usable)
    share = letters.count("b") / len(letters) if letters else 0.5
    lopsided = abs(share - 0.5) >= LOPSIDED
    if lopsided and order is not None and order.p <= ALARM / tests and abs(order.size) > margin:
        yield Notice(kind="cycle-order", numbers={
            "change": math.expm1(abs(order.size)), "share": share, "bias": math.expm1(order.size * (share - 0.5))})


def _canary(blocks: Sequence[Block], margin: float) -> Iterator[Notice]:
    """Base against its own copy, judged as a benchmark is."""
    own = of_canary(blocks)
    failed = next((block.failure for block in own if block.failure is not None), None)
    if failed is not None:
        yield Notice(kind="canary-failed", numbers={"reason": failed.reason})
        return
    found = judge_blocks(Metric.TIME, own, margin)
    if found.verdict in (Verdict.FASTER, Verdict.SLOWER):
        assert found.estimate is not None and found.low is not None and found.high is not None
        yield Notice(kind="canary", numbers={
            "benchmark": own[0].benchmark, "ratio": math.exp(found.estimate.mean), "low": math.exp(found.low),
            "high": math.exp(found.high), "blocks": found.estimate.n})


def _order(d: Array, first: Array, margin: float) -> Iterator[Notice]:
    found = guards.order_effect(d, first)
    if found is not None and found.p <= ALARM and abs(found.size) >= margin:
        share = float(np.nanmean(first)) / 2 + 0.5
        # Of the ratio, against one with both orders equally often.
        bias = math.expm1(found.size * (share - 0.5))
        yield Notice(kind="order-effect", numbers={"change": math.expm1(abs(found.size)), "share": share, "bias": bias})


def _disturbed(d: Array, readings: Mapping[str, Array], when: Array, margin: float) -> Iterator[Notice]:
    shifts = {name: guards.shift(d, reading) for name, reading in readings.items()}
    name, shift = _strongest(shifts)
    if shift is not None and shift.p <= ALARM / TESTS and abs(shift.size) >= margin / 2:
        yield Notice(kind="disturbed-ratios", numbers={"reading": name, "change": math.expm1(shift.size)})
    spreads = {name: guards.spread(d, reading) for name, reading in {**readings, "time": when}.items()}
    name, spread = _strongest(spreads)
    if spread is not None and spread.p <= ALARM / TESTS and spread.size >= LEAST_SPREAD:
        yield Notice(kind="disturbed-blocks", numbers={"reading": name, "times": spread.size})


def _strongest(findings: Mapping[str, Finding | None]) -> tuple[str, Finding | None]:
    return min(findings.items(), key=lambda item: item[1].p if item[1] is not None else 1.0)


def _panel(timed: Sequence[Sequence[Block]], of: Callable[[Block], float]) -> Array:
    """A row a benchmark, a column a block's index; NaN where there is no block."""
    panel = np.full((len(timed), max((block.index + 1 for own in timed for block in own), default=0)), np.nan)
    for row, own in zip(panel, timed, strict=True):
        for block in own:
            row[block.index] = of(block)
    return panel


def _cycle_order(block: Block) -> float | None:
    """What the log ratio is larger by in cycles where base went first; None for too few cycles of either order."""
    if block.settings.mode is Mode.SHARED or len(block.order) != len(block.base):
        return None
    ratios = {"b": list[float](), "h": list[float]()}
    for letter, base, head in zip(block.order, block.base, block.head, strict=True):
        ratios[letter].append(math.log(head / base))
    return median(ratios["b"]) - median(ratios["h"]) if min(map(len, ratios.values())) >= LEAST_VALUES else None


def _calls(block: Block) -> float:
    """What the log of two values' ratio is larger by than that of their values per call."""
    return math.log(calls_of(block, Arm.HEAD) / calls_of(block, Arm.BASE))
