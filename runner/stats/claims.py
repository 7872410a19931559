"""The two claims that can be made of one benchmark, each with its test, its interval, and its family in a suite.

A claim stands at an error exactly where its interval at that error supports it: outside 0, or inside the margin.

Sources: Benjamini & Hochberg 1995; Benjamini & Yekutieli 2005 (intervals after selection); Schuirmann 1987 (two
one-sided tests); Hsu, Hwang, Liu & Ruberg 1994 (their interval).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.model import Verdict
from runner.stats.paired import Estimate, interval, p_outside, p_value

TOTAL = 0.05
"""Error of one benchmark's claims of a kind, over all looks together."""
PRECISE = 0.4
"""Half an interval's width, as a share of the margin, at which a difference is known well enough to stop."""
COARSE = 0.5
"""The same for a difference whose interval is beyond the margin, as a share of the difference itself."""
FEWEST_SAME = 8
"""Sampling stops for sameness at the error at which it stands if one in so many of its suite is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A row of the decision table."""

    verdict: Verdict
    clear: bool
    tiny: bool


def read(low: float, high: float, margin: float) -> Reading:
    """The decision table: what an interval on the log scale says, given a margin on the same scale."""
    apart = low > 0 or high < 0
    if -margin < low and high < margin:
        return Reading(verdict=Verdict.SAME, clear=False, tiny=apart)
    if not apart:
        return Reading(verdict=Verdict.UNDECIDED, clear=False, tiny=False)
    verdict = Verdict.SLOWER if low > 0 else Verdict.FASTER
    return Reading(verdict=verdict, clear=low >= margin or high <= -margin, tiny=False)


@dataclass(frozen=True, slots=True)
class Differences:
    """The claim that head differs from base: a two-sided test against 0."""

    margin: float

    def p(self, estimate: Estimate) -> float:
        """p-value of the hypothesis of no difference."""
        return p_value(estimate)

    def interval(self, estimate: Estimate, error: float) -> tuple[float, float]:
        """Without 0 exactly where `p` is below the error."""
        return interval(estimate, error)

    def settles(self, estimate: Estimate, error: float, tests: int) -> bool:
        """Whether sampling may stop for a difference.

        It has to be there at error / tests, which is what it will be shown at if it is the only one of its suite, so
        that the suite never takes it back. And it has to be clear there too, or known well enough at the error: to
        `PRECISE` of the margin, or beyond it and to `COARSE` of itself.
        """
        low, high = self.interval(estimate, error / tests)
        if not (low > 0 or high < 0):
            return False
        size, half = abs(estimate.mean), estimate.mean - self.interval(estimate, error)[0]
        known = half <= PRECISE * self.margin or half <= min(COARSE * size, size - self.margin)
        return known or low >= self.margin or high <= -self.margin


@dataclass(frozen=True, slots=True)
class Sameness:
    """The claim that the truth is inside the margin: one-sided tests against either end, the larger of their p-values.

    As the truth cannot be beyond both ends, each of them has the whole error.
    """

    margin: float

    def p(self, estimate: Estimate) -> float:
        """p-value of the hypothesis of a difference of the margin or more."""
        return p_outside(estimate, self.margin)

    def interval(self, estimate: Estimate, error: float) -> tuple[float, float]:
        """Inside the margin exactly where `p` is below the error; 0 is in it, always.

        The two one-sided bounds, stretched to 0. It holds the truth with probability 1 - error: a truth above 0 can
        only be above the upper bound, one below 0 only below the lower one (Hsu et al. 1994).
        """
        low, high = interval(estimate, 2 * error)
        return min(low, 0.0), max(high, 0.0)

    def settles(self, estimate: Estimate, error: float, tests: int) -> bool:
        """Whether sampling may stop for sameness: at a part of the error.

        So a suite takes it back only where it finds less than one in `FEWEST_SAME` to be the same.
        """
        return self.p(estimate) <= error / min(tests, FEWEST_SAME)


def decide(
    estimate: Estimate, margin: float, change: float, same: float | None
) -> tuple[Reading, float, float]:
    """What an estimate says where a difference may err with probability `change` and sameness with `same`; None: it is
    not to be claimed. Comes with the interval to show, and is what `read` says of that interval.

    Where the estimate supports both claims, the end towards 0 is that of the difference, and the other one that of
    sameness. Where it does not support the sameness that is asked about, the end that sticks out is shown.
    """
    low, high = Differences(margin).interval(estimate, change)
    if same is not None:
        least, most = Sameness(margin).interval(estimate, same)
        inside = -margin < least and most < margin
        if low > 0:
            high = most if inside else max(high, most)
        elif high < 0:
            low = least if inside else min(low, least)
        else:
            low, high = (least, most) if inside else (min(low, least), max(high, most))
    return read(low, high, margin), low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A benchmark's place in one family."""

    q: float | None
    """Adjusted p: the smallest false discovery rate at which the claim is made; None outside the family."""
    selected: bool
    share: float
    """Part of each look's error that this claim may use."""


def family(ps: Sequence[float | None], q: float) -> list[Place]:
    """Benjamini-Hochberg at q over those that have a p-value; the others are not in the family. Same order.

    With R of m selected, a selected claim may use q·R/m of the error, and another one q·(R + 1)/m: what it would have
    had to hold at.
    """
    tested = [p for p in ps if p is not None]
    controlled = iter(adjusted(tested))
    qs = [None if p is None else next(controlled) for p in ps]
    rejected = sum(1 for value in qs if value is not None and value <= q)
    scale = q / TOTAL / max(1, len(tested))
    places = []
    for value in qs:
        selected = value is not None and value <= q
        share = 1.0 if value is None else min(1.0, scale * (rejected if selected else rejected + 1))
        places.append(Place(q=value, selected=selected, share=share))
    return places


def adjusted(ps: Sequence[float]) -> list[float]:
    """The adjusted p-values of Benjamini & Hochberg, in the same order.

    `scipy.stats.false_discovery_control` has the same; that package takes as long to import as all else together.
    """
    order = np.argsort(ps)
    steps = np.asarray(ps, dtype=np.float64)[order] * (len(ps) / np.arange(1, len(ps) + 1))
    found = np.empty(len(ps))
    found[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return [float(one) for one in found]
