"""What the guards find in a run's blocks, as notices: only where there is something to say (docs/method.md)."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

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
SWITCHES = tuple(f"switches_{arm.value}" for arm in Arm)
READINGS: Mapping[str, Callable[[Block], float]] = {
    "steal": lambda block: block.readings.get("steal", math.nan),
    "load": lambda block: block.readings.get("load", math.nan),
    # Per second, so that long and short blocks of a benchmark are alike.
    "switches": lambda block: sum(block.readings.get(name, math.nan) for name in SWITCHES) / block.seconds,
}
TESTS = 2 * len(READINGS) + 1
"""Tests of the readings: shift and spread for each of them, and spread in the course of the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the guards of a whole run need of one benchmark's scored blocks, in measured order; one value a block."""

    index: NDArray[np.int64]
    places: NDArray[np.int64]
    """Among all blocks of the run."""
    ratios: Array
    first: Array
    """1 where base was started first, -1 where head was."""
    readings: Mapping[str, Array]
    """By the names of `READINGS`; NaN: not read."""


def row(blocks: Sequence[Block], places: Sequence[int], ratios: Array) -> Row:
    """The row of a timed benchmark: its scored blocks, their places among the run's blocks, and their log ratios."""
    return Row(
        index=np.array([block.index for block in blocks], dtype=np.int64), places=np.array(places, dtype=np.int64),
        ratios=ratios, first=frozen([1.0 if block.first is Arm.BASE else -1.0 for block in blocks]),
        readings={name: frozen([of(block) for block in blocks]) for name, of in READINGS.items()},
    )


def of_run(rows: Sequence[Row], clock: Array, canary: Sequence[Block], margin: float) -> Iterator[Notice]:
    """Notices about a whole run: order effect, drift, disturbed blocks, canary.

    `rows` are the timed benchmarks', without those that failed; `clock` is the machine time before each of the run's
    blocks, in seconds; `canary` the canary's blocks. `margin` is a log; what moves a ratio by less than half of it is
    not said.
    """
    # One benchmark's on one machine; in a fleet, several machines have one each.
    measured = dict.fromkeys(block.benchmark for block in canary)
    for key in measured:
        yield from _canary([block for block in canary if block.benchmark == key], margin, len(measured))
    if not rows:
        return
    panel = _panels(rows)
    d = panel([row.ratios for row in rows])
    when = panel([clock[row.places] for row in rows])
    yield from _order(d, panel([row.first for row in rows]), margin)
    drift = guards.drift(d, when)
    if drift is not None and drift.p <= ALARM and abs(drift.size) >= margin / 2:
        yield Notice(kind="drift", numbers={"change": math.expm1(drift.size)})
    readings = {name: panel([row.readings[name] for row in rows]) for name in READINGS}
    yield from _disturbed(d, readings, when, margin)


def of_benchmark(blocks: Sequence[Block], ratios: Array, margin: float, tests: int) -> Iterator[Notice]:
    """Notices about one timed benchmark, of `tests` in its run: shape, and order of the cycles.

    `blocks` are the scored ones, `ratios` their log ratios.
    """
    enough = [min(len(block.base), len(block.head)) >= LEAST_VALUES for block in blocks]
    usable, d = list(itertools.compress(blocks, enough)), ratios[enough]
    minima = [math.log(min(block.head) / min(block.base)) - _calls(block) for block in usable]
    shape = guards.consistent(frozen(minima) - d)
    middle = median(d.tolist()) if d.size else 0.0  # numpy's takes as long as all else here
    # Beside a change of many times the margin, a disagreement of a tenth of it is no other story.
    if shape is not None and shape.p <= ALARM / tests and abs(shape.size) > max(margin, abs(middle) / 10):
        yield Notice(kind="shape", numbers={"typical": math.exp(middle), "fastest": math.exp(middle + shape.size)})
    # An arm that goes on from its own last slice finds its caches warm, so that an effect of the order is common. It
    # cancels in a balanced order, and is nothing to say then.
    letters = "".join(block.order for block in usable)
    share = letters.count("b") / len(letters) if letters else 0.5
    if abs(share - 0.5) < LOPSIDED:
        return
    order = guards.consistent(_cycle_orders(usable))
    if order is not None and order.p <= ALARM / tests and abs(order.size) > margin:
        yield Notice(kind="cycle-order", numbers={
            "change": math.expm1(abs(order.size)), "share": share, "bias": math.expm1(order.size * (share - 0.5))})


def _canary(own: Sequence[Block], margin: float, tests: int) -> Iterator[Notice]:
    """Base against its own copy, judged as a benchmark is: one of so many."""
    failed = next((block.failure for block in own if block.failure is not None), None)
    if failed is not None:
        yield Notice(kind="canary-failed", numbers={"reason": failed.reason})
        return
    found = judge_blocks(Metric.TIME, of_canary(own), margin, tests)
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


def _panels(rows: Sequence[Row]) -> Callable[[Sequence[Array]], Array]:
    """What makes panels of these rows, of which there is at least one: a row a benchmark, a column an index that a
    block has, ascending; NaN where there is no block. It takes the values of each, in the order of `rows`."""
    # A column for each index up to the largest would be as many as a stranger's run says.
    known, column = np.unique(np.concatenate([row.index for row in rows]), return_inverse=True)
    line = np.repeat(np.arange(len(rows)), [row.index.size for row in rows])
    shape = len(rows), known.size

    def panel(values: Sequence[Array]) -> Array:
        made = np.full(shape, np.nan)
        made[line, column] = np.concatenate(values)
        return made

    return panel


def _cycle_orders(blocks: Sequence[Block]) -> Array:
    """What a block's log ratio is larger by in cycles where base went first, for each block.

    Of blocks that have cycles, and enough of either order.
    """
    paired = [block for block in blocks
              if block.settings.mode is not Mode.SHARED and len(block.order) == len(block.base) == len(block.head)]
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, block in enumerate(paired):
        by_length[len(block.order)].append(place)
    found = np.full(len(paired), np.nan)
    # All blocks of a length at once: one by one takes longer than all the rest of a report.
    for places in by_length.values():
        own = [paired[place] for place in places]
        ratios = np.log(np.array([block.head for block in own], float) / np.array([block.base for block in own], float))
        base_first = np.array([list(block.order) for block in own]) == "b"
        few = np.minimum(base_first.sum(axis=1), (~base_first).sum(axis=1)) < LEAST_VALUES
        difference = guards.medians(np.where(base_first, ratios, np.nan)) - guards.medians(
            np.where(base_first, np.nan, ratios))
        found[places] = np.where(few, np.nan, difference)
    return frozen(found[np.isfinite(found)])


def _calls(block: Block) -> float:
    """What the log of two values' ratio is larger by than that of their values per call."""
    base, head = calls_of(block, Arm.BASE), calls_of(block, Arm.HEAD)
    return 0.0 if base == head else math.log(head / base)
