"""Rules that are known to be wrong, for the audit of the one that is used: it must tell them apart.

Each takes the blocks of one benchmark in which there is nothing to find, and says whether it would call it a change.
They are what people do when the block is not the unit, when base is measured before head, and when a sample is looked
at until it shows something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import stdtr

from runner.model import Arm, Block, Metric
from runner.stats.blocks import calls_of, log_ratios, pairs, values
from runner.stats.decide import LOOKS, at_look
from runner.stats.paired import Array, interval

ERROR = 0.05
"""What each of them promises."""


def pooled(blocks: Sequence[Block]) -> bool:
    """Every pair of the first look's blocks counts as independent of every other: a t-test of log ratios at 5 %."""
    ratios = np.concatenate([_ratios(block) for block in blocks[: LOOKS[0]]])
    return _significant(float(ratios.mean()), float(ratios.var(ddof=1)) / ratios.size, ratios.size - 1)


def in_sequence(blocks: Sequence[Block]) -> bool:
    """Base wholly before head: base's values in the first half of the blocks against head's in the second, Welch."""
    half = len(blocks) // 2
    before = np.log(values(Metric.TIME, blocks[:half], Arm.BASE))
    after = np.log(values(Metric.TIME, blocks[half:], Arm.HEAD))
    one, other = (float(part.var(ddof=1)) / part.size for part in (before, after))
    if one + other == 0:
        return False
    degrees = (one + other) ** 2 / (one**2 / (before.size - 1) + other**2 / (after.size - 1))
    return _significant(float(after.mean() - before.mean()), one + other, degrees)


def peeking(blocks: Sequence[Block]) -> bool:
    """A 95 % interval at every look, and the first one that excludes 0 ends the search."""
    d = log_ratios(Metric.TIME, blocks)
    intervals = (interval(at_look(d, look), ERROR) for look in LOOKS if look <= d.size)
    return any(low > 0 or high < 0 for low, high in intervals)


BROKEN: Mapping[str, Callable[[Sequence[Block]], bool]] = {
    "pooled": pooled, "in sequence": in_sequence, "peeking": peeking,
}


def _ratios(block: Block) -> Array:
    """Logs of head ÷ base of the block's pairs, per call."""
    base, head = (np.log(np.array(arm, dtype=np.float64)) for arm in pairs(block))
    per_call = math.log(calls_of(block, Arm.HEAD)) - math.log(calls_of(block, Arm.BASE))
    return np.asarray(head - base - per_call)


def _significant(mean: float, variance: float, degrees: float) -> bool:
    """Whether a t-test calls a mean another one than 0. Where nothing varies there is no test, and it does not."""
    return variance > 0 and 2 * float(stdtr(degrees, -abs(mean) / math.sqrt(variance))) < ERROR
