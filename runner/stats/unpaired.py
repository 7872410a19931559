"""Two samples that were not measured together: the difference of their locations, and what is known of it.

What two builds have in common in a block cancels in a pair. Here nothing cancels: the error of either sample is in the
difference. The variances need not be alike (Welch). Where both samples are large enough each location is a trimmed mean
(`stats.paired`), so that a tenth of the processes may be spoilt; where one is not, both are plain means, since of a
skewed distribution the two are different locations.

A sample has one value a replicate: what repeats the whole measurement. Values within a process are no replicates, for
all of them share its addresses and its hash seed; and processes of one session share what the machine did then.

Sources: Welch 1938, 1947; Satterthwaite 1946; Yuen 1974.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from runner.stats.paired import Array, Estimate, cut, trimmed

FEWEST = 3
"""Replicates on each side at least: fewer say next to nothing of how they vary."""


def replicates(files: Sequence[Sequence[Array]], *, by_file: bool) -> Array:
    """One log a replicate of one benchmark, in the order given: of a file (`by_file`), or of a process.

    `files` are files, each of processes, each of values above 0. A process is the mean of the logs of its values, so
    that one with more of them counts no more than another; a file is the mean of its processes.
    Raises ValueError for values that are not finite and above 0, and for a process or a file that has none.
    """
    found = [np.array([_log_mean(values) for values in processes], dtype=np.float64) for processes in files]
    if not all(one.size for one in found):
        raise ValueError("a file has no process of this benchmark")
    if by_file:
        return np.array([math.fsum(one) / one.size for one in found])
    return np.concatenate(found)


def _log_mean(values: Array) -> float:
    if not values.size or not np.isfinite(values).all() or not (values > 0).all():
        raise ValueError("a process needs values that are finite and above 0")
    return math.fsum(np.log(values)) / values.size


def difference(base: Array, head: Array) -> Estimate:
    """Location of `head` less that of `base`, one log a replicate, as an estimate of the log ratio head ÷ base.

    With v = se² of either mean: se² = v_b + v_h, df = (v_b + v_h)² / (v_b² / df_b + v_h² / df_h). `n` counts
    the replicates of both sides. Without spread on both sides, df is the smaller one, and se is 0.
    Raises ValueError for fewer than `FEWEST` replicates on a side, and for values that are not finite.
    """
    if min(base.size, head.size) < FEWEST:
        raise ValueError(f"a difference needs {FEWEST} replicates or more on each side")
    trim = cut(min(base.size, head.size)) > 0
    one, other = trimmed(base, trim=trim), trimmed(head, trim=trim)
    return Estimate(
        mean=other.mean - one.mean, se=math.hypot(one.se, other.se), df=_freedom([one, other]), n=one.n + other.n)


def mean_of(differences: Sequence[Estimate]) -> Estimate | None:
    """Mean over benchmarks of their log ratios, whose errors are independent of each other; None without any.

    The benchmarks are fixed: how much they differ is no error. `n` is the fewest replicates of any.
    """
    if not differences:
        return None
    count = len(differences)
    return Estimate(
        mean=math.fsum(one.mean for one in differences) / count,
        se=math.hypot(*(one.se for one in differences)) / count,
        df=_freedom(differences), n=min(one.n for one in differences))


def _freedom(summed: Sequence[Estimate]) -> float:
    """Degrees of freedom of a sum or a difference of independent estimates (Satterthwaite)."""
    total = math.hypot(*(one.se for one in summed))
    if total == 0:
        return min(one.df for one in summed)
    # Shares, since the fourth power of a small error may be 0.
    return 1 / math.fsum((one.se / total) ** 4 / one.df for one in summed)
