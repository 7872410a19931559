"""The two claims that can be made of one benchmark, each with its test, its interval, and its family in a suite.

A claim stands at an error exactly where its interval at that error supports it: outside 0, or inside the margin.

Sources: Benjamini & Hochberg 1995; Benjamini & Yekutieli 2005 (intervals after selection); Schuirmann 1987 (two
one-sided tests).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import false_discovery_control

from runner.model import Verdict
from runner.stats.paired import Estimate, interval, p_outside, p_value

TOTAL = 0.05
"""Error of one benchmark's claims of a kind, over all looks together."""


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

    def settles(self, estimate: Estimate, error: float, *, late: bool) -> bool:
        """Whether sampling may stop for a difference at this error: a clear one, or late any."""
        reading = read(*self.interval(estimate, error), self.margin)
        return reading.clear or (late and reading.verdict in (Verdict.FASTER, Verdict.SLOWER))


@dataclass(frozen=True, slots=True)
class Sameness:
    """The claim that the truth is inside the margin: the larger of two one-sided tests' p-values."""

    margin: float

    def p(self, estimate: Estimate) -> float:
        """p-value of the hypothesis of a difference of the margin or more."""
        return p_outside(estimate, self.margin)

    def interval(self, estimate: Estimate, error: float) -> tuple[float, float]:
        """Inside the margin exactly where `p` is below the error."""
        return interval(estimate, 2 * error)


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
    adjusted = iter(false_discovery_control(tested).tolist() if tested else ())
    qs = [None if p is None else float(next(adjusted)) for p in ps]
    rejected = sum(1 for value in qs if value is not None and value <= q)
    scale = q / TOTAL / max(1, len(tested))
    places = []
    for value in qs:
        selected = value is not None and value <= q
        share = 1.0 if value is None else min(1.0, scale * (rejected if selected else rejected + 1))
        places.append(Place(q=value, selected=selected, share=share))
    return places
