"""How much more the blocks of a benchmark scatter beside other runs than alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runner.stats.paired import Array, interval, trimmed

ERROR = 0.05
"""Of the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The standard deviation of a block beside others ÷ that alone, in a typical benchmark, with its 95 % interval."""

    times: float
    low: float
    high: float


def growth(alone: Mapping[str, Sequence[Array]], beside: Mapping[str, Sequence[Array]]) -> Growth | None:
    """What the log ratios of equals say, which are given by benchmark, an array for each run; None for too few.

    A benchmark's variance is pooled over its runs, so that what makes runs differ is not in it. The benchmarks differ
    in what they ask of the machine, so they are the sample: the trimmed mean of the logs of their ratios and its
    interval (`stats.paired`). One that does not vary is left out; three are needed.
    """
    logs = [
        0.5 * math.log(other / own)
        for own, other in ((_variance(alone[name]), _variance(beside[name])) for name in sorted(alone.keys() & beside))
        if own > 0 and other > 0
    ]
    if len(logs) < 3:
        return None
    estimate = trimmed(np.array(logs))
    low, high = interval(estimate, ERROR)
    return Growth(times=math.exp(estimate.mean), low=math.exp(low), high=math.exp(high))


def _variance(runs: Sequence[Array]) -> float:
    """Pooled over runs, ddof 1 in each; 0 where none has two values."""
    freedom = sum(run.size - 1 for run in runs if run.size > 1)
    return sum(float(run.var()) * run.size for run in runs if run.size > 1) / freedom if freedom else 0.0
