"""Blocks to arrays: what one block contributes to its benchmark's estimate, and the rule applied to blocks.

The reductions are those of docs/method.md section 3; the unit of replication is the block, whatever the
number of slices in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from runner.model import Arm, Block, Metric, Mode, Verdict
from runner.stats.decide import Judgement, judge, judge_exact
from runner.stats.paired import Array

NANOSECONDS = 1e-9


def scored(blocks: Sequence[Block]) -> list[Block]:
    """The blocks that count: neither calibrations nor failed ones; same order."""
    return [block for block in blocks if block.index >= 0 and block.failure is None]


def defect(metric: Metric, blocks: Sequence[Block]) -> str | None:
    """Why the scored blocks have no log ratios, in words; None when they have.

    Counts that are exact are compared as numbers, and need no log ratio: ask `judge_blocks` for those.
    """
    for block in scored(blocks):
        for arm, numbers in (("base", block.base), ("head", block.head)):
            if not numbers:
                return f"block {block.index} has no counted value in {arm}"
            # One that is not finite makes the sum so: only then is it worth asking which.
            if math.isfinite(sum(numbers)) and min(numbers) > 0:
                continue
            for number in numbers:
                if not math.isfinite(number):
                    return f"block {block.index} has a value in {arm} that is not a finite number"
                if number <= 0:
                    return f"block {block.index} has the value {number:g} in {arm}: only values above 0 have a ratio"
        paired = metric is not Metric.TIME or block.settings.mode is Mode.TURNS
        if paired and len(block.base) != len(block.head):
            return f"block {block.index} has {len(block.base)} values in base and {len(block.head)} in head"
    return None


def calls_of(block: Block, arm: Arm) -> int:
    """Calls that one of the block's times stands for: those of a slice; 1 in `shared`, where they are per call."""
    return 1 if block.settings.mode is Mode.SHARED else block.settings.calls[arm]


def slice_seconds(block: Block) -> float:
    """Seconds of the timed block's slices, both arms together."""
    if block.settings.mode is not Mode.SHARED:
        return (sum(block.base) + sum(block.head)) * NANOSECONDS
    # In `shared` a value is one call of a lot of calls that were timed together.
    lot = block.settings.calls
    return (sum(block.base) * lot[Arm.BASE] + sum(block.head) * lot[Arm.HEAD]) * NANOSECONDS


def log_ratios(metric: Metric, blocks: Sequence[Block]) -> Array:
    """One natural log of head ÷ base per scored block, in measured order; read-only.

    `turns`: median over the cycles of the log of the cycle's ratio, per call. `shared`: log of the ratio
    of mean CPU time per counted call. `adjacent`: log of the ratio of median times, per call. Memory and
    tracked values: log of the ratio of the one value. Raises ValueError when there is a `defect`.
    """
    found = reduced(metric, blocks)
    if found.problem is not None:
        raise ValueError(found.problem)
    return found.ratios


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """What the scored blocks of one benchmark come to."""

    problem: str | None
    """Their `defect`."""
    ratios: Array
    """Their `log_ratios`; empty where there is a problem."""


def reduced(metric: Metric, blocks: Sequence[Block]) -> Reduced:
    """Find out once what both `defect` and `log_ratios` say."""
    usable = scored(blocks)
    problem = defect(metric, usable)
    if problem is not None:
        return Reduced(problem=problem, ratios=frozen([]))
    stacked = _stacked(metric, usable)
    return Reduced(
        problem=None, ratios=frozen([_log_ratio(metric, block) for block in usable]) if stacked is None else stacked)


def _stacked(metric: Metric, blocks: Sequence[Block]) -> Array | None:
    """The log ratios of blocks in `turns` that have equally many cycles, all at once; None where they do not."""
    if metric is not Metric.TIME or not blocks:
        return None
    if any(block.settings.mode is not Mode.TURNS or len(block.base) != len(blocks[0].base) for block in blocks):
        return None
    base, head = (np.log(np.array(numbers, dtype=np.float64)) for numbers in zip(
        *((block.base, block.head) for block in blocks), strict=True))
    calls = [math.log(block.settings.calls[Arm.HEAD]) - math.log(block.settings.calls[Arm.BASE]) for block in blocks]
    return frozen(np.median(head - base, axis=1) - np.array(calls))


def _log_ratio(metric: Metric, block: Block) -> float:
    if metric is Metric.TIME and block.settings.mode is Mode.TURNS:
        # The median of the cycles' ratios, not the ratio of medians: a cycle's slices share their moment.
        # Not with arrays: for as few as a block has, those take longer.
        slices = median([math.log(head) - math.log(base) for base, head in zip(block.base, block.head, strict=True)])
        calls = block.settings.calls
        return slices - (math.log(calls[Arm.HEAD]) - math.log(calls[Arm.BASE]))
    return math.log(_value(metric, block, Arm.HEAD)) - math.log(_value(metric, block, Arm.BASE))


def values(metric: Metric, blocks: Sequence[Block], arm: Arm) -> Array:
    """One arm's value per scored block, in measured order; read-only. Seconds per call for time.

    Mean over the counted calls in `shared`, median over the slices otherwise; memory and tracked values as
    they are. Raises ValueError for a block without values.
    """
    return frozen([_value(metric, block, arm) for block in scored(blocks)])


def _value(metric: Metric, block: Block, arm: Arm) -> float:
    numbers = block.base if arm is Arm.BASE else block.head
    if not numbers:
        raise ValueError(f"block {block.index} has no counted value in {arm.value}")
    # Totals over calls, not medians, in `shared`: the median call misses what the scheduler did to the rest.
    shared = block.settings.mode is Mode.SHARED
    value = float(fmean(numbers) if shared else median(numbers))
    if metric is not Metric.TIME:
        return value
    return value * NANOSECONDS / calls_of(block, arm)


def judge_blocks(
    metric: Metric, blocks: Sequence[Block], margin: float, tests: int = 1, known: Reduced | None = None
) -> Judgement:
    """Judge one benchmark by its blocks, in measured order: the rule that stops and the rule that decides.

    `margin` (a log) and `tests` are as in `judge`. Calibrations are not scored. A tracked value is compared as a number
    where it is exact. Where no verdict can ever come (a failed block, a `defect`), the judgement is
    UNDECIDED and settled; the report says why. `known` is what `reduced` has found of these blocks already.
    """
    usable = scored(blocks)
    if not any(block.failure for block in blocks):
        if metric is Metric.TRACK and all(block.base and block.head for block in usable):
            exact = judge_exact(values(metric, usable, Arm.BASE), values(metric, usable, Arm.HEAD), margin)
            if exact is not None:
                return exact
        found = reduced(metric, usable) if known is None else known
        if found.problem is None:
            return judge(found.ratios, margin, tests)
    return Judgement(
        verdict=Verdict.UNDECIDED, clear=False, tiny=False, estimate=None, low=None, high=None, look=None,
        p=None, p_same=None, needed=None, settled=True,
    )


def frozen(numbers: list[float] | Array) -> Array:
    """A read-only array of these numbers."""
    array = np.array(numbers, dtype=np.float64)
    array.flags.writeable = False
    return array
