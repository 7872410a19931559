"""Blocks to arrays: what one block contributes to its benchmark's estimate, and the rule applied to blocks.

The reductions are those of docs/method.md section 3; the unit of replication is the block, whatever the
number of slices in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from runner.model import Arm, Block, BlockKind, Cause, Failure, Metric, Mode, Verdict
from runner.stats.decide import EXACT_BLOCKS, LAYOUTS, Judgement, judge, judge_exact
from runner.stats.paired import Array

NANOSECONDS = 1e-9


def scored(blocks: Sequence[Block]) -> list[Block]:
    """The blocks that count: neither calibrations, nor the canary's, nor failed ones; same order."""
    return [block for block in blocks if counts(block)]


def counts(block: Block) -> bool:
    """Whether it is one of the `scored`."""
    return block.kind is BlockKind.SCORED and block.failure is None


def of_canary(blocks: Sequence[Block]) -> list[Block]:
    """The canary's blocks, as scored ones: among themselves they are a benchmark's like any other; same order."""
    return [replace(block, kind=BlockKind.SCORED) for block in blocks if block.kind is BlockKind.CANARY]


def defect(metric: Metric, blocks: Sequence[Block]) -> str | None:
    """Why the scored blocks have no log ratios, in words; None when they have.

    Counts that are exact are compared as numbers, and need no log ratio: ask `judge_blocks` for those. Nor is it a
    defect of counts that they have no ratio: see `Evidence.no_ratio`.
    """
    return next((found for block in scored(blocks) if (found := _defect(metric, block)) is not None), None)


def _defect(metric: Metric, block: Block) -> str | None:
    for arm, numbers in (("base", block.base), ("head", block.head)):
        if not numbers:
            return f"block {block.index} has no counted value in {arm}"
        # One that is not finite makes the sum so: only then is it worth asking which.
        if math.isfinite(sum(numbers)) and min(numbers) > 0:
            continue
        for number in numbers:
            if not math.isfinite(number):
                return f"block {block.index} has a value in {arm} that is not a finite number"
            if number <= 0 and metric is not Metric.TRACK:
                return f"block {block.index} has the value {number:g} in {arm}: only values above 0 have a ratio"
    partners = metric is not Metric.TIME or block.settings.mode is not Mode.SHARED
    if partners and len(block.base) != len(block.head):
        return f"block {block.index} has {len(block.base)} values in base and {len(block.head)} in head"
    return None


def _no_ratio(metric: Metric, block: Block) -> tuple[float, float] | None:
    """The two counts of a block that has no ratio; None where it has one. That of equal ones is 1, of zeros too."""
    if metric is not Metric.TRACK:
        return None
    base, head = _value(metric, block, Arm.BASE), _value(metric, block, Arm.HEAD)
    return (base, head) if base != head and min(base, head) <= 0 else None


def calls_of(block: Block, arm: Arm) -> int:
    """Calls that one of the block's times stands for: those of a slice; 1 in `shared`, where they are per call."""
    return 1 if block.settings.mode is Mode.SHARED else block.settings.calls[arm]


def slice_seconds(block: Block) -> float:
    """Seconds of the timed block's slices, both arms together."""
    if block.settings.mode is not Mode.SHARED:
        return (sum(block.base) + sum(block.head)) * NANOSECONDS
    # There a value is one call of a lot of calls that were timed together.
    calls = block.settings.calls
    return (sum(block.base) * calls[Arm.BASE] + sum(block.head) * calls[Arm.HEAD]) * NANOSECONDS


def log_ratios(metric: Metric, blocks: Sequence[Block]) -> Array:
    """One natural log of head ÷ base per scored block, in measured order; read-only.

    Of time: median over the `pairs` of the log of the pair's ratio, per call. Memory and tracked values: log of the
    ratio of the one value, 0 where both are equal. Raises ValueError when there is a `defect`, and for counts of which
    there is no ratio.
    """
    problem = defect(metric, blocks)
    if problem is not None:
        raise ValueError(problem)
    return frozen([_log_ratio(metric, block) for block in scored(blocks)])


def pairs(block: Block) -> tuple[Sequence[float], Sequence[float]]:
    """The block's slices of base and of head that share their moment: as many of each, in measured order.

    In `turns` and `adjacent` those of a cycle. In `shared` both arms filled one stretch of time, each with as many lots
    of calls as it managed: it is those at equal fractions of their number.
    """
    base, head = block.base, block.head
    n = min(len(base), len(head))
    if len(base) == len(head):
        return base, head
    return [base[(2 * i + 1) * len(base) // (2 * n)] for i in range(n)], [
        head[(2 * i + 1) * len(head) // (2 * n)] for i in range(n)]


def _log_ratio(metric: Metric, block: Block) -> float:
    if metric is not Metric.TIME:
        base, head = _value(metric, block, Arm.BASE), _value(metric, block, Arm.HEAD)
        return 0.0 if base == head else math.log(head) - math.log(base)
    # Of the pairs' ratios, not of the arms: a pair's slices share their moment, in every mode.
    # Not with arrays: for as few as a block has, those take longer.
    # Nor as the log of a quotient: with the arms exchanged that would not be the same number with the other sign.
    middle = median([math.log(head) - math.log(base) for base, head in zip(*pairs(block), strict=True)])
    calls = calls_of(block, Arm.HEAD), calls_of(block, Arm.BASE)
    return middle if calls[0] == calls[1] else middle - (math.log(calls[0]) - math.log(calls[1]))


def values(metric: Metric, blocks: Sequence[Block], arm: Arm) -> Array:
    """One arm's value per scored block, in measured order; read-only. Seconds per call for time.

    Median over the slices; memory and tracked values as they are. Raises ValueError for a block without values.
    """
    return frozen([_value(metric, block, arm) for block in scored(blocks)])


def _value(metric: Metric, block: Block, arm: Arm) -> float:
    numbers = block.base if arm is Arm.BASE else block.head
    if not numbers:
        raise ValueError(f"block {block.index} has no counted value in {arm.value}")
    value = float(median(numbers))
    if metric is not Metric.TIME:
        return value
    return value * NANOSECONDS / calls_of(block, arm)


class Evidence:
    """What one benchmark's blocks say, block by block: each is reduced once, when it comes."""

    def __init__(self, metric: Metric, layouts: int = LAYOUTS) -> None:
        """`layouts` is as in `judge`."""
        self._metric, self._layouts = metric, layouts
        self._ratios: list[float] = []
        self._counts: dict[Arm, list[float]] = {arm: [] for arm in Arm}
        """Of a tracked value, one per scored block."""
        self._counted = metric is Metric.TRACK
        self.defect: str | None = None
        """As `defect` of the blocks so far."""
        self.no_ratio: tuple[float, float] | None = None
        """Base's and head's count in the first block in which they differ and one is not above 0: there is no ratio,
        and nothing can be decided unless they are exact."""
        self.failure: Failure | None = None
        """Why it cannot go on. None also after a failure that may pass, while it is to be tried again."""
        self._failures = self._scored = 0

    def add(self, block: Block) -> None:
        """Take in the next block in measured order, of whatever kind; those that are not scored say nothing."""
        if block.failure is not None:
            self.failure = None if self._may_pass(block.failure) else block.failure
            self._failures += 1
            return
        self.failure = None
        if block.kind is not BlockKind.SCORED:
            return
        self._scored += 1
        self._counted = self._counted and bool(block.base) and bool(block.head)
        if self._counted:
            for arm in Arm:
                self._counts[arm].append(_value(self._metric, block, arm))
        if self.defect is None:
            self.defect = _defect(self._metric, block)
        if self.defect is None and self.no_ratio is None:
            self.no_ratio = _no_ratio(self._metric, block)
        if self.defect is None and self.no_ratio is None:
            self._ratios.append(_log_ratio(self._metric, block))

    def _may_pass(self, failure: Failure) -> bool:
        """Whether it is worth another try: one in all, and only of what need not happen again."""
        hung = failure.cause is Cause.HUNG and self._scored > 0
        return not self._failures and (hung or failure.cause in (Cause.KILLED, Cause.REFUSED, Cause.DISTURBED))

    def try_again(self) -> None:
        """Forget a failure that ended it. Another one ends it at once."""
        self.failure = None

    @property
    def ratios(self) -> Array:
        """One log ratio per scored block, as `log_ratios` has them; none where there is a `defect`, or no ratio."""
        return frozen([] if self.defect is not None or self.no_ratio is not None else self._ratios)

    def judge(self, margin: float, tests: int = 1) -> Judgement:
        """Judge what was added, as `judge_blocks` does."""
        if self.failure is None:
            if self._counted:
                exact = judge_exact(frozen(self._counts[Arm.BASE]), frozen(self._counts[Arm.HEAD]), margin)
                if exact is not None:
                    return exact
            if self.defect is None and self.no_ratio is None:
                return judge(self.ratios, margin, tests, self._layouts)
        # Counts without a ratio may yet turn out to be exact.
        maybe = self.failure is None and self.defect is None and self._scored < EXACT_BLOCKS
        return Judgement(
            verdict=Verdict.UNDECIDED, clear=False, tiny=False, estimate=None, low=None, high=None, look=None,
            p=None, p_same=None, needed=None, settled=not maybe,
        )


def evidence(metric: Metric, blocks: Iterable[Block], layouts: int = LAYOUTS) -> Evidence:
    """What these blocks of one benchmark say, in measured order; `layouts` is as in `judge`."""
    found = Evidence(metric, layouts)
    for block in blocks:
        found.add(block)
    return found


def judge_blocks(metric: Metric, blocks: Iterable[Block], margin: float, tests: int = 1) -> Judgement:
    """Judge one benchmark by its blocks, in measured order: the rule that stops and the rule that decides.

    `margin` (a log) and `tests` are as in `judge`. Calibrations are not scored. A tracked value is compared as a number
    where it is exact. Where no verdict can ever come (a failed block, a `defect`, counts without a ratio), the
    judgement is UNDECIDED and settled; the report says why.
    """
    return evidence(metric, blocks).judge(margin, tests)


def frozen(numbers: list[float]) -> Array:
    """A read-only array of these numbers."""
    array = np.array(numbers, dtype=np.float64)
    array.flags.writeable = False
    return array
