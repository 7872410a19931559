"""Location of a small paired sample: trimmed mean, its standard error, and what a t distribution says of it.

The sample is one log ratio per block. Ten per cent is trimmed at each end, so that a tenth of the blocks
may be spoilt without moving the estimate far, while the tails of the t statistic stay honest down to the
small p-values that a false-discovery procedure asks for (20 % trimming is too liberal there).

Sources: Tukey & McLaughlin 1963; Yuen 1974.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

# scipy.stats.t calls these two; its checks of arguments cost a hundred times what they do, and each look
# at each benchmark asks for several values.
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A location on the log scale, with the precision that the sample gives it."""

    mean: float
    """Trimmed mean of the log ratios."""
    se: float
    """Standard error of `mean`; 0 where the values that are kept are all the same."""
    df: float
    """Degrees of freedom of the t distribution of (mean - truth) / se."""
    n: int
    """Values in the sample, trimmed ones included."""


def cut(n: int) -> int:
    """Values trimmed at each end of a sample of n: floor(n / 10)."""
    return n // 10


def degrees(n: int) -> int:
    """Degrees of freedom of the trimmed mean of n values."""
    return n - 2 * cut(n) - 1


def unit_se(n: int) -> float:
    """Standard error of the trimmed mean of n values whose winsorised standard deviation is 1."""
    return _unit_se(n, cut(n))


def _unit_se(n: int, g: int) -> float:
    return 1 / ((1 - 2 * g / n) * math.sqrt(n))


def trimmed(d: Array, *, trim: bool = True) -> Estimate:
    """10 % trimmed mean of a 1-D sample, with the standard error of the winsorised sample; without `trim` the mean.

    With g values cut at each end, and s_w the ddof-1 standard deviation of the sample in which each of
    them is replaced by its nearest kept neighbour: se = s_w / ((1 - 2g/n) √n), df = n - 2g - 1.

    Raises ValueError for fewer than two values, and for values that are not finite.
    """
    n = d.size
    if d.ndim != 1 or n < 2:
        raise ValueError(f"a trimmed mean needs a 1-D sample of two values or more, not shape {d.shape}")
    if not np.isfinite(d).all():
        raise ValueError("a trimmed mean needs finite values")
    g = cut(n) if trim else 0
    values = np.sort(d).tolist()
    kept = values[g : n - g]
    if kept[0] == kept[-1]:
        # Not left to arithmetic: the sum of equal values, divided by their number, is not always the value.
        return Estimate(mean=kept[0], se=0.0, df=n - 2 * g - 1, n=n)
    # fsum rounds once, so that reversing every sign reverses the estimate to the last bit.
    winsorised = [*repeat(kept[0], g), *kept, *repeat(kept[-1], g)]
    centre = math.fsum(winsorised) / n
    deviation = math.sqrt(math.fsum((value - centre) ** 2 for value in winsorised) / (n - 1))
    return Estimate(mean=math.fsum(kept) / len(kept), se=deviation * _unit_se(n, g), df=n - 2 * g - 1, n=n)


def interval(estimate: Estimate, alpha: float) -> tuple[float, float]:
    """Two-sided confidence interval at level 1 - alpha, on the log scale; one point where se is 0."""
    half = _exceeded(float(estimate.df), alpha) * estimate.se
    return estimate.mean - half, estimate.mean + half


@lru_cache(maxsize=1 << 14)
def _exceeded(df: float, alpha: float) -> float:
    """`quantile` of one: a session asks for a few of them over and over."""
    return float(-stdtrit(df, alpha / 2))


def quantile(df: Array, alpha: Array) -> Array:
    """The t value that is exceeded on either side with probability alpha, elementwise."""
    return np.asarray(-stdtrit(df, alpha / 2), dtype=np.float64)


def p_value(estimate: Estimate, null: float = 0.0) -> float:
    """Two-sided p-value of the hypothesis that the truth is `null`; 1 or 0 where se is 0."""
    return min(1.0, 2 * _tail(-abs(estimate.mean - null), estimate))


def p_outside(estimate: Estimate, margin: float) -> float:
    """p-value of the hypothesis that the truth is not inside (-margin, margin), in [0, 1].

    The larger of the two one-sided tests' (Schuirmann 1987). It is below alpha / 2 exactly when the
    interval at level 1 - alpha is inside (-margin, margin).
    """
    return _tail(abs(estimate.mean) - margin, estimate)


def _tail(distance: float, estimate: Estimate) -> float:
    """Probability of a t value below distance / se. Without spread, 0 below zero, else 1."""
    if estimate.se == 0:
        return float(distance >= 0)
    return float(stdtr(estimate.df, distance / estimate.se))
