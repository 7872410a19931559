"""Where the level of a history changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from asv.step_detect import solve_potts
from numpy.typing import NDArray

from runner.stats.paired import Array

NEWEST = 100
"""Runs that are searched, from the last: the search takes time that grows with the square of their number."""
SHORTEST = 2
"""Runs of one level: a run that stands alone is an exception, and no new level."""
PRICE = 2.0
"""What a level must save in the sum of absolute errors, in units of the noise, for each unit of log(runs)."""
FEWEST = 4
"""Runs of a level from which on its noise can be told."""
HALVES = 2.8
"""Standard errors in half an interval, about: the looks differ in their error, and the suite widens some."""


def changes(ratios: Sequence[float], lows: Sequence[float], highs: Sequence[float], margin: float) -> tuple[int, ...]:
    """The runs from which on a history of ratios has another level, as positions in it.

    The ratios and the bounds of their intervals are head ÷ base, above 0, oldest first. The levels are those that
    minimise the weighted absolute error and a price for each (the Potts functional, solved by asv as for its own
    histories; asv finds the price by an information criterion, which takes many a clear step of a short history for a
    drift, while here the intervals say how large the noise is). A change smaller than `margin`, a fraction, is none.
    """
    begin = max(0, len(ratios) - NEWEST)
    logs, low, high = (np.log(np.asarray(values[begin:], dtype=float)) for values in (ratios, lows, highs))
    if len(logs) < 2 * SHORTEST:
        return ()
    # Runs differ by more than their intervals say: by as much as one typically does from the next. Exact counts
    # have no noise at all, and a tenth of the margin is as little as matters.
    between = 1.4826 * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2)
    noise = np.maximum((high - low) / 2 / HALVES, max(between, math.log1p(margin) / 10))
    rights, values = levels(logs, noise)
    found, level = [], values[0]
    for left, value in zip(rights, values[1:], strict=False):
        if abs(value - level) > math.log1p(margin):
            found.append(begin + left)
            level = value
    return tuple(found)


def levels(logs: Array, noise: Array) -> tuple[list[int], list[float]]:
    """The levels of a history: where each ends (exclusive), and its value. `noise` is each run's standard error."""
    rights, values, _ = solve_potts(list(logs), list(1 / noise), PRICE * math.log(len(logs)), min_size=SHORTEST)
    return [int(right) for right in rights], [float(value) for value in values]


def bands(ratios: Sequence[float], changes: Sequence[int]) -> NDArray[np.float64]:
    """For each run of a history (ratios above 0, oldest first) two ratios: within them the runs of its level lie of
    their own accord, about 95 of 100.

    Two standard deviations to each side of the level's median, by the median absolute deviation, on the log scale.
    `changes` are the runs at which a level begins, as from `changes`. NaN for levels of fewer than `FEWEST` runs.
    """
    logs = np.log(np.asarray(ratios, dtype=float))
    found = np.full((len(logs), 2), math.nan)
    for start, end in pairwise([0, *changes, len(logs)]):
        own = logs[start:end]
        if len(own) >= FEWEST:
            level = float(np.median(own))
            spread = 2 * 1.4826 * float(np.median(np.abs(own - level)))
            with np.errstate(over="ignore"):
                found[start:end] = np.exp([level - spread, level + spread])
    return found
