"""What fresh blocks say of changes that a history suggests: the only evidence that convicts.

The samples are of a comparison of its own, of the last commit before the change with the first after it; its seeds
and blocks have no part in the history. A sample may have been looked at while it grew: its p-value is that of `decide`
over all looks, but no look ends it, so that all blocks count.

The suspects of one nomination are one test of a stream (`stats.online`), at one level: it claims something where the
procedure of Benjamini and Hochberg at that level selects a suspect. It does so exactly where Simes' p-value is below
the level, which is valid where the suspects' noise is independent or positively dependent (Sarkar 1998), as it is in
blocks of one session. A selected suspect is shown with its interval at level · selected ÷ suspects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.model import Verdict
from runner.stats.claims import TOTAL, Differences, Sameness, adjusted, read
from runner.stats.decide import LAYOUTS, LOOKS, WEIGHTS, at_look
from runner.stats.paired import Array, Estimate, degrees, p_value, quantile, unit_se


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What fresh blocks say of one suspect. Estimate and limits are natural logs of after ÷ before."""

    confirmed: bool
    """It changed, in the direction that was suggested, and not only by what does not matter."""
    same: bool
    """What did not change by the margin: at the error `TOTAL`, for this suspect alone."""
    p: float
    """Of the hypothesis of no change, over all looks; 1 where blocks are too few, or tell of the other direction."""
    mean: float | None
    low: float | None
    high: float | None
    """Estimate and interval; None where the blocks are too few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    p: float
    estimate: Estimate
    weight: float
    """Share of the error of the look at which p was smallest."""


def confirm(samples: Sequence[Array], direction: int, margin: float, level: float) -> list[Finding]:
    """Judge the suspects of one nomination by their log ratios of after ÷ before, in measured order; same order.

    `direction` is 1 where they are suspected of being slower (or more), else -1; `margin` is a log. A sample below the
    first look, and one without any value, can confirm nothing. Raises ValueError for values that are not finite.
    """
    looked = [_looked(sample) if sample.size >= LOOKS[0] else None for sample in samples]
    ps = [1.0 if one is None or one.estimate.mean * direction <= 0 else min(1.0, one.p) for one in looked]
    selected = [q <= level for q in adjusted(ps)]
    count = sum(selected)
    return [
        _finding(sample, one, p, margin, level * min(1.0, (count + (not chosen)) / len(ps)), chosen=chosen)
        for sample, one, p, chosen in zip(samples, looked, ps, selected, strict=True)
    ]


def simes(ps: Sequence[float]) -> float:
    """p-value of the hypothesis that no suspect changed: it is below a level exactly where one is selected at it."""
    return min(adjusted(ps), default=1.0)


def _looked(sample: Array) -> _Looked:
    found = []
    for look, weight in zip(LOOKS, WEIGHTS, strict=True):
        if look <= sample.size:
            estimate = at_look(sample, look)
            found.append(_Looked(p=p_value(estimate) / weight, estimate=estimate, weight=weight))
    # Of equals the last: it knows most.
    return min(reversed(found), key=lambda one: one.p)


def _finding(sample: Array, one: _Looked | None, p: float, margin: float, error: float, *, chosen: bool) -> Finding:
    if one is None:
        return Finding(confirmed=False, same=False, p=1.0, mean=None, low=None, high=None)
    low, high = Differences(margin).interval(one.estimate, error * one.weight)
    changed = read(low, high, margin).verdict in (Verdict.FASTER, Verdict.SLOWER)
    whole = at_look(sample, max(look for look in LOOKS if look <= sample.size))
    inside = Sameness(margin).p(whole) <= TOTAL
    confirmed = chosen and changed
    return Finding(confirmed=confirmed, same=inside and not confirmed, p=p, mean=one.estimate.mean, low=low, high=high)


def blocks_for(spread: float, size: float, level: float, suspects: int) -> int:
    """Blocks at which a change of that size would be confirmed if it is the only one: a look, at most the last.

    `spread` is the standard deviation of a block (winsorised, as `paired.trimmed` has it), `size` a log above 0.
    """
    for look, weight in zip(LOOKS, WEIGHTS, strict=True):
        values = min(look, LAYOUTS)
        error = spread * math.sqrt(values / look) * unit_se(values)
        wide = quantile(np.array([float(degrees(values))]), np.array([level * weight / suspects]))
        if float(wide[0]) * error <= size:
            return look
    return LOOKS[-1]
