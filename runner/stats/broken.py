"""Rules that are known to be wrong, for the audit of the one that is used: it must tell them apart.

Each takes the blocks of one benchmark in which there is nothing to find, and says whether it would call it a change.
They are what people do when the block is not the unit, when base is measured before head, and when a sample is looked
at until it shows something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import ttest_1samp, ttest_ind

from runner.model import Arm, Block, Metric, Mode
from runner.stats.blocks import calls_of, log_ratios, values
from runner.stats.decide import LOOKS, at_look
from runner.stats.paired import Array, interval

ERROR = 0.05
"""What each of them promises."""


def pooled(blocks: Sequence[Block]) -> bool:
    """Every slice of the first look's blocks counts as independent of every other: a t-test at 5 %.

    In `turns` a one-sample test of the cycles' log ratios; in the other modes, where slices have no partner,
    Welch's test of the two arms' logs.
    """
    first = blocks[: LOOKS[0]]
    if first[0].settings.mode is Mode.TURNS:
        cycles = np.concatenate([_slices(block, Arm.HEAD) - _slices(block, Arm.BASE) for block in first])
        return _significant(ttest_1samp(cycles, 0))
    arms = [np.concatenate([_slices(block, arm) for block in first]) for arm in Arm]
    return _significant(ttest_ind(*arms, equal_var=False))


def in_sequence(blocks: Sequence[Block]) -> bool:
    """Base wholly before head: base's values in the first half of the blocks against head's in the second, Welch."""
    half = len(blocks) // 2
    before = np.log(values(Metric.TIME, blocks[:half], Arm.BASE))
    after = np.log(values(Metric.TIME, blocks[half:], Arm.HEAD))
    return _significant(ttest_ind(before, after, equal_var=False))


def peeking(blocks: Sequence[Block]) -> bool:
    """A 95 % interval at every look, and the first one that excludes 0 ends the search."""
    d = log_ratios(Metric.TIME, blocks)
    intervals = (interval(at_look(d, look), ERROR) for look in LOOKS if look <= d.size)
    return any(low > 0 or high < 0 for low, high in intervals)


BROKEN: Mapping[str, Callable[[Sequence[Block]], bool]] = {
    "pooled": pooled, "in sequence": in_sequence, "peeking": peeking,
}


def _slices(block: Block, arm: Arm) -> Array:
    """Logs of the block's slices in one arm, per call."""
    numbers = block.base if arm is Arm.BASE else block.head
    return np.log(np.array(numbers, dtype=np.float64)) - math.log(calls_of(block, arm))


def _significant(result: object) -> bool:
    # nan where nothing varies at all: no difference, or one without a test.
    return float(result.pvalue) < ERROR  # type: ignore[attr-defined]
