"""Two builds that were never measured against each other: the ratio between them by way of others, and how well it is
known.

Where A and B were both measured against an anchor, the log ratio of B to A is that of B to the anchor less that of A to
it; where the anchor has changed, a run of the old one against the new one lies between. The runs were made on different
days, and what a run adds to all its blocks is in no standard error. So the variance of a sum over k runs is

    se_1² + … + se_k² + k τ²

with τ the standard deviation between runs of a benchmark's true ratio (as in `stats.combine`). A direct comparison,
both arms alternating on one CPU, has one error and no τ.

τ is estimated from how a history goes from one run to the next: of two successive estimates that are not apart, the
difference has variance se_i² + se_j² + 2 τ². τ² is where the median of the squared differences, each in units of that
variance, is the median of chi squared with one degree of freedom (the equation of Paule and Mandel, with the median for
the mean, as in `stats.combine`): a history may change its level in less than half of its steps without being taken for
noise. Where builds differ in most steps, that is in τ, and intervals are too wide rather than too narrow.

The benchmarks of one metric lend each other their τ. One whose own histories are long enough to show that it varies
more has its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv

from runner.stats.decide import LAYOUTS
from runner.stats.paired import Array, Estimate, degrees, quantile
from runner.stats.paired import interval as exact_interval

LEAST = 8
"""Differences from which on τ can be estimated."""
EFFICIENCY = 0.37
"""What a median is worth as an estimate of a variance of normal values, beside their mean square."""
MOST = 120
"""Degrees of freedom beyond which a t quantile is taken to be that of this many."""
FLOOR = 1e-9
"""Standard error, on the log scale, below which an estimate counts as this good."""
LARGEST = 709.0
"""Of a log ratio, beyond which there is no such number."""
_MEDIAN = float(2 * gammaincinv(0.5, 0.5))
"""Of chi-squared with one degree of freedom."""

History = tuple[Array, Array]
"""Log ratios to one anchor, and their standard errors, in the order of the runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far the runs of one benchmark are apart, beyond what their blocks explain."""

    tau: float
    """Standard deviation, on the log scale."""
    df: float
    """Degrees of freedom with which its square is known."""


def ratio(log: float) -> float:
    """The ratio of a log ratio; infinite where it is too large to be a number."""
    return math.exp(log) if log < LARGEST else math.inf


def estimate(log_ratio: float, se: float, blocks: int, layouts: int = LAYOUTS) -> Estimate:
    """What one run says of one benchmark, as an estimate with the degrees of freedom of `decide.by_layout`."""
    return Estimate(mean=log_ratio, se=se, df=float(max(1, degrees(min(blocks, layouts)))), n=blocks)


def spreads(benchmarks: Sequence[Sequence[History]]) -> list[Spread | None]:
    """τ of each benchmark of one metric, in order, from its histories.

    Each is of one course: what separates series or segments (another watch, anchor or kernel) is no step from one run
    to the next.

    None where all of them together have fewer than `LEAST` differences: nothing is known of τ.
    """
    steps = [
        (_joined([np.diff(logs) ** 2 for logs, _ in own]), _joined([ses[1:] ** 2 + ses[:-1] ** 2 for _, ses in own]))
        for own in benchmarks
    ]
    squares, variances = (_joined([step[part] for step in steps]) for part in (0, 1))
    if squares.size < LEAST:
        return [None] * len(benchmarks)
    common = Spread(tau=_tau(squares, variances), df=EFFICIENCY * squares.size)
    found: list[Spread | None] = []
    for own_squares, errors in steps:
        tau = _tau(own_squares, errors) if own_squares.size >= LEAST else 0.0
        found.append(Spread(tau=tau, df=EFFICIENCY * own_squares.size) if tau > common.tau else common)
    return found


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate([*arrays, np.empty(0)])


def chain(steps: Sequence[tuple[int, Estimate]], spread: Spread | None) -> Estimate:
    """Log ratio of the last build to the first one, over runs from each to the next.

    A step is 1 and the run's estimate where it leads from base to head, and -1 where from head to base. `spread` None:
    as if runs did not differ, which a page has to say. Degrees of freedom by Satterthwaite. The way back has the other
    sign, and nothing else.
    """
    parts = [(one.se**2, one.df) for _, one in steps]
    if spread is not None:
        parts.append((len(steps) * spread.tau**2, spread.df))
    variance = math.fsum(part for part, _ in parts)
    loose = math.fsum(part**2 / df for part, df in parts)
    return Estimate(
        mean=math.fsum(sign * one.mean for sign, one in steps), se=math.sqrt(variance),
        df=variance**2 / loose if loose > 0 else min(one.df for _, one in steps), n=min(one.n for _, one in steps),
    )


def quantiles(alpha: float) -> list[float]:
    """The t values that are exceeded on either side with probability `alpha`, for 1 to `MOST` degrees of freedom.

    `interval` uses whole degrees of freedom, rounded down, so that a page can look these up and say the same.
    """
    df = np.arange(1, MOST + 1, dtype=float)
    return [float(one) for one in quantile(df, np.full(df.shape, alpha))]


def interval(estimate: Estimate, alpha: float) -> tuple[float, float]:
    """Two-sided interval at level 1 - alpha, on the log scale, with whole degrees of freedom."""
    return exact_interval(replace(estimate, df=float(math.floor(min(MOST, max(1.0, estimate.df))))), alpha)


def _tau(squares: Array, variances: Array) -> float:
    """τ from squared differences, and what their estimates' errors explain of each; 0 where those explain all.

    A square is above its place in chi squared, s / (e + 2 τ²) > m, as long as τ² < (s / m - e) / 2: the τ² at which
    half of them are is the median of the right sides.
    """
    explained = np.maximum(variances, 2 * FLOOR**2)
    return math.sqrt(max(0.0, float(np.median((squares / _MEDIAN - explained) / 2))))
