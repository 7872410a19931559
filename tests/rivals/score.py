"""Measurements → how often each tool was right. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rivals.arms import SHARES
from rivals.records import Answer, Measurement, Said
from runner.stats.audit import exact_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval; (0, 1) of none."""
        return exact_interval(self.count, self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One rule of one tool at one budget, over all started runs that the user did not interrupt."""

    rule: str
    budget: int
    false: Share
    """A change was claimed, of the A/A runs."""
    found: Mapping[float, Share]
    """Slower was claimed, of the runs with a planted share."""
    wrong: Share
    """Faster was claimed, of all runs with a planted share."""
    error: float | None
    """Root-mean-square error of the log ratio, of all runs that gave a ratio; None where none did."""
    median: float | None
    """Median of the absolute errors, likewise: one run that is far off does not move it."""
    errors: int
    """How many did."""
    wall: float
    """Seconds from start to verdict, median."""
    failed: Share
    """Ended without an answer; they stay in the denominators of the others."""


def scores(lines: Sequence[Measurement], rules: Sequence[str]) -> list[Score]:
    """One for every budget and rule that was measured, budgets ascending, rules as given."""
    budgets = sorted({line.cell.budget for line in lines})
    found = []
    for budget in budgets:
        for rule in rules:
            own = [(line, answer) for line in lines if line.cell.budget == budget
                   for answer in line.answers if answer.rule == rule]
            if own:
                found.append(_score(rule, budget, own))
    return found


def _score(rule: str, budget: int, own: Sequence[tuple[Measurement, Answer]]) -> Score:
    same = [answer.said for line, answer in own if not line.cell.share]
    planted = {share: [answer.said for line, answer in own if line.cell.share == share] for share in SHARES if share}
    all_planted = [said for group in planted.values() for said in group]
    misses = [math.log(answer.ratio) - line.truth for line, answer in own if answer.ratio is not None]
    return Score(
        rule=rule, budget=budget,
        false=Share(count=same.count(Said.SLOWER) + same.count(Said.FASTER), of=len(same)),
        found={share: Share(count=group.count(Said.SLOWER), of=len(group)) for share, group in planted.items()},
        wrong=Share(count=all_planted.count(Said.FASTER), of=len(all_planted)),
        error=math.sqrt(float(np.mean(np.square(misses)))) if misses else None, errors=len(misses),
        median=float(np.median(np.abs(misses))) if misses else None,
        wall=float(np.median([line.wall for line, _ in own])),
        failed=Share(count=sum(answer.said is Said.FAILED for _, answer in own), of=len(own)),
    )
