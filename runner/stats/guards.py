"""Guards: signs that the machine or the schedule, and not the two builds, made a difference. Arrays in, findings out.

What all benchmarks of a run have in common (the order of the arms, the course of the session, the load of the
machine) is tested once, with the blocks of all of them pooled. A panel is a 2-D array, a row a benchmark and a column
a block's index, NaN where there is no block. Each row's values are replaced by centred ranks of unit variance, so that
no benchmark's scale and no wild block counts for more than its rank.

Two things make blocks less independent than they look, and feign a trend:

- Blocks of one index may share a layout of the code, and a moment of the session. So ranks are summed over the
  benchmarks before they are tested: the sample is one sum an index.
- Whether sampling goes on after a look depends on the blocks before it. What goes on was further from settled than it
  should be, and then moves back: all benchmarks in the same direction, where all differ alike. `STOPPING` is how far
  that goes at most, and is taken off before a trend of the ratios counts.

What belongs to one benchmark is tested on its blocks alone (`consistent`).

Sources: van Elteren 1960 (ranks within strata); Sen 1968 (median of slopes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtr

from runner.stats.decide import LOOKS
from runner.stats.paired import Array, p_value, trimmed

ALARM = 0.001
"""Error that each guard may make in a run, or in all benchmarks of a run together."""
LEAST = 4
"""Blocks below which a benchmark, and degrees of freedom below which a run is not tested."""
SLOPES = 2_000_000
"""Pairs of blocks, at most, whose slopes tell how large a drift is: all of a hundred benchmarks of 160 blocks."""
STOPPING = 0.6
"""What stopping at looks may add to the z of a benchmark: the mean of those that go on, after the worst of rules, is
0.57 standard errors from that of all (a quarter goes on after the first look, the trend is a step there)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a guard saw."""

    p: float
    """Two-sided p-value of the hypothesis that there is nothing to see."""
    size: float
    """How much, on the log scale, signed; for `spread` the ratio of two spreads."""


def order_effect(d: Array, first: Array) -> Finding | None:
    """Whether log ratios depend on the arm that was started first; None where one order alone was seen.

    `d` and `first` are panels; `first` is 1 where base was first and -1 where head was. `size` is what d is larger by
    where base was first: median over the benchmarks of the difference of means. Which arm is first is drawn for
    each block, and is balanced at each look, so that neither independence nor stopping matters: z = T / sd(T) over the
    permutations within the benchmarks.
    """
    scores = _scores(d)
    marks = _centred(np.where(np.isfinite(scores), first, np.nan))
    squares = np.nansum(marks**2, axis=1) * np.nansum(scores**2, axis=1)
    variance = float(np.sum(squares / np.maximum(np.isfinite(marks).sum(axis=1) - 1, 1)))
    if variance == 0:
        return None
    differences = _means(np.where(first > 0, d, np.nan)) - _means(np.where(first < 0, d, np.nan))
    z = float(np.nansum(marks * scores)) / math.sqrt(variance)
    return Finding(p=float(2 * ndtr(-abs(z))), size=float(np.median(differences[np.isfinite(differences)])))


def drift(d: Array, clock: Array) -> Finding | None:
    """Whether log ratios rise or fall in the course of the session; None for too few blocks.

    `clock` is a panel of machine seconds before each block. `size` is the change over the whole session: the median
    of the slopes between any two blocks of a benchmark, times the seconds from the first block to the last.
    """
    p = _trend(d, clock)
    if p is None:
        return None
    i, j = np.triu_indices(d.shape[1], 1)
    # Evenly spaced benchmarks where there are many: the median of so many slopes does not ask for more.
    some = slice(None, None, max(1, math.ceil(len(d) * i.size / SLOPES)))
    rise, run = d[some, j] - d[some, i], clock[some, j] - clock[some, i]
    usable = np.isfinite(rise) & (run > 0)
    if not usable.any():
        return None
    length = np.nanmax(clock) - np.nanmin(clock)
    return Finding(p=p, size=float(np.median(rise[usable] / run[usable]) * length))


def shift(d: Array, reading: Array) -> Finding | None:
    """Whether log ratios depend on a reading of the machine; None where it does not vary, or for too few blocks.

    `size` is what d is larger by in blocks with the higher readings: median over the benchmarks of the difference of
    means between the blocks whose reading is above and below the middle of the benchmark's range.
    """
    p = _trend(d, reading)
    high, low = (_means(half) for half in _halves(d, reading))
    differences = high - low
    known = np.isfinite(differences)
    return Finding(p=p, size=float(np.median(differences[known]))) if p is not None and known.any() else None


def spread(d: Array, reading: Array) -> Finding | None:
    """Whether log ratios scatter more, or less, where a reading of the machine is higher; None as in `shift`.

    Tests the distances from each benchmark's median. `size` is the median distance in blocks with the higher
    readings, divided by that in blocks with the lower ones: median over the benchmarks. What goes on after a look had
    scattered more, by far less than anyone would call a disturbance: nothing is taken off for stopping.
    """
    distances = np.abs(d - medians(d)[:, None])
    p = _trend(distances, reading, stopping=0.0)
    high, low = (medians(half) for half in _halves(distances, reading))
    known = np.isfinite(high) & (low > 0)
    return Finding(p=p, size=float(np.median(high[known] / low[known]))) if p is not None and known.any() else None


def consistent(x: Array) -> Finding | None:
    """Whether one benchmark's blocks agree that a quantity, one value a block, is not 0; None below the first look.

    `size` is the trimmed mean, `p` that of its t test.
    """
    if x.size < LOOKS[0]:
        return None
    estimate = trimmed(x)
    return Finding(p=p_value(estimate), size=estimate.mean)


def _trend(panel: Array, against: Array, stopping: float = STOPPING) -> float | None:
    """p of the regression of ranks on what they may depend on, both summed over the benchmarks; None where unknown."""
    scores = _scores(panel)
    both = np.isfinite(scores) & np.isfinite(against)
    count = both.sum(axis=0)
    used = count > 0
    df = int(used.sum()) - 2
    if df < LEAST:
        return None
    # Divided by the root of the number, so that each sum of independent scores has the same variance, 1.
    y, x = (
        np.nansum(_centred(np.where(both, one, np.nan)), axis=0)[used] / np.sqrt(count[used])
        for one in (scores, against)
    )
    length = math.sqrt(float(x @ x))
    if length == 0:
        return None
    z = float(x @ y) / length
    beyond = max(0.0, abs(z) - stopping * math.sqrt(both.any(axis=1).sum()))
    rest = math.sqrt(max(0.0, float(y @ y) - z * z) / df)
    if rest == 0:
        return float(beyond == 0)
    return float(2 * stdtr(df, -beyond / rest))


def _scores(panel: Array) -> Array:
    """Centred ranks of unit variance, row by row; NaN where there are too few values, or all are equal."""
    centred = _centred(_ranks(panel))
    n = np.isfinite(centred).sum(axis=1, keepdims=True)
    square = np.nansum(centred**2, axis=1, keepdims=True) / np.maximum(n, 1)
    usable = (n >= LEAST) & (square > 0)
    scores: Array = np.where(usable, centred / np.sqrt(np.where(usable, square, 1.0)), np.nan)
    return scores


def _ranks(panel: Array) -> Array:
    """Ranks of each row's values from 1 on, equal values sharing the mean of theirs; NaN where there is none."""
    order = np.argsort(panel, axis=1)  # NaN comes last, and none is equal to another
    ordered = np.take_along_axis(panel, order, axis=1)
    columns = np.arange(panel.shape[1])
    begins, ends = np.ones(panel.shape, bool), np.ones(panel.shape, bool)
    begins[:, 1:] = ends[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, columns, columns.size)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(panel.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=1)
    ranks[np.isnan(panel)] = np.nan
    return ranks


def _centred(panel: Array) -> Array:
    n = np.isfinite(panel).sum(axis=1, keepdims=True)
    centred: Array = panel - np.nansum(panel, axis=1, keepdims=True) / np.maximum(n, 1)
    return centred


def _halves(values: Array, reading: Array) -> tuple[Array, Array]:
    """The values where the reading is above the middle of its row's range, and the others; each NaN elsewhere."""
    there = np.isfinite(values) & np.isfinite(reading)
    least = np.where(there, reading, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    most = np.where(there, reading, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    high = there & (reading - least > most - reading)
    return np.where(high, values, np.nan), np.where(there & ~high, values, np.nan)


def _means(panel: Array) -> Array:
    """Mean of each row's values; NaN where there are none."""
    n = np.isfinite(panel).sum(axis=1)
    means: Array = np.where(n > 0, np.nansum(panel, axis=1) / np.maximum(n, 1), np.nan)
    return means


def medians(panel: Array) -> Array:
    """Median of each row's values; NaN where there are none."""
    n = np.isfinite(panel).sum(axis=1)
    rows, ordered = np.arange(len(panel)), np.sort(panel, axis=1)  # NaN comes last
    medians: Array = (ordered[rows, np.maximum(n - 1, 0) // 2] + ordered[rows, n // 2 * (n > 0)]) / 2
    return medians
