"""How a search for the commit that changed a benchmark decides, so that its error over all steps is known.

The change is taken to be a step: some commits are like the good end, the others like the bad one, and head ÷ good end
is 1 for the former and e^c for the latter. Everything below is for c > 0, slower; for faster, signs are turned.

1. *The threshold* h is fixed before the first step, by duels of both ends: half of the estimated c, or the near end of
   its interval where that is nearer to 0. It is above 0 always, and above c with probability `ENDS` at most.
2. *A step* measures a commit against the good end, in a number of blocks that is fixed beforehand. It is bad where its
   interval is above h, good where the interval is below h, and undecided otherwise. While 0 < h <= c, a good commit is
   called bad only if the interval lies wholly above its truth, 0, and a bad one good only if it lies wholly below c: in
   either case one end of it is on the wrong side of the truth.
3. *The errors add up* (union bound): `ENDS`, and `STEPS` divided among all steps (`error`), make `TOTAL`. So the search
   of a benchmark ends in a wrong commit with probability `TOTAL` at most, however the steps depend on each other, and
   whichever commits are looked at.

That holds for one step in the range. Where there are several, the search still ends where the level crosses h, since it
keeps a commit below h and a descendant above it. What it ends in is then measured afresh against its parent, which is
no part of this error and lets hardly any wrong commit pass.

Rejected: a search by Bayes' rule (Waeber, Frazier & Henderson 2013, and the noisy bisection of others). It takes the
probability that a step errs as known and equal, looks at a commit again and again with few blocks, and most of a duel's
price is its build; and its answer depends on what was believed of commits before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from runner.stats.decide import LAYOUTS, LOOKS, WEIGHTS, at_look
from runner.stats.paired import Array, Estimate, degrees, interval, unit_se

TOTAL = 0.05
"""Probability that the search of one benchmark ends in a wrong commit, at most."""
ENDS = 0.025
"""Part of it: that the threshold is above the change. Half for the first duel of the ends, half for the second."""
STEPS = TOTAL - ENDS
"""Part of it: that a step errs."""
MISS = 0.1
"""Probability with which a step may be undecided, if the spread is what it was seen to be."""
AGAIN = 3
"""Times as many blocks, at least, as were not enough, where a commit is looked at a second time."""


class Side(Enum):
    """What a step says of a commit."""

    GOOD = "good"
    BAD = "bad"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of each commit: on which side of the threshold is it?"""

    sign: int
    """1: the bad end is slower (or more), -1: it is faster."""
    threshold: float
    """Log of the ratio to the good end, by its size: above 0; infinite where only what has no ratio at all is bad."""
    spread: float
    """Standard deviation of a block's log ratio, as it was seen between the ends."""


def first(estimate: Estimate) -> Question | None:
    """The question after the first duel of the ends, which went on until it was settled.

    None: they have to be measured a second time, by `ends_again`, because the interval is too wide: its near end is
    nearer to 0 than half of the estimate. `estimate` is that of a look of `decide.judge`.

    Raises ValueError for an estimate that is not of a look.
    """
    if estimate.n not in LOOKS:
        raise ValueError(f"{estimate.n} blocks are not a look")
    # One-sided, half of the looks' errors add up to TOTAL / 2; a part of that is used.
    error = ENDS / 2 * WEIGHTS[LOOKS.index(estimate.n)]
    size = abs(estimate.mean)
    near = size - half(estimate, error)
    return _question(estimate, size / 2) if near >= size / 2 else None


def exact(estimate: Estimate) -> Question:
    """The question where numbers repeat themselves to the digit, and their ratio is known: half of the change."""
    return _question(estimate, abs(estimate.mean) / 2)


def ends_again(estimate: Estimate, sign: int) -> Question | None:
    """The question after a second duel of the ends, whose number of blocks was fixed; None: the change is not seen
    again, in the direction of `sign`."""
    near = sign * estimate.mean - half(estimate, ENDS / 2)
    return _question(estimate, min(abs(estimate.mean) / 2, near)) if near > 0 else None


def _question(estimate: Estimate, threshold: float) -> Question:
    return Question(sign=1 if estimate.mean > 0 else -1, threshold=threshold, spread=spread(estimate))


def spread(estimate: Estimate) -> float:
    """Standard deviation of one block's log ratio, from the standard error of many."""
    return estimate.se / unit_se(estimate.n)


def half(estimate: Estimate, error: float) -> float:
    """Half the width of the interval whose ends are each on the wrong side of the truth with probability `error`."""
    return estimate.mean - interval(estimate, 2 * error)[0]


def error(step: int, commits: int) -> float:
    """Probability with which a step may err, of a search that begins with so many candidates; steps count from 1.

    All steps together err with probability `STEPS` at most, however many there are. As many as bisection takes, and as
    many again for commits that are looked at twice, have equal parts; each further one has half of the one before.

    Raises ValueError for a step below 1 and for less than one commit.
    """
    if step < 1 or commits < 1:
        raise ValueError(f"there is no step {step} among {commits} commits")
    usual = 2 * (commits - 1).bit_length()
    part = STEPS / (usual + 1)
    return part if step <= usual else part / 2 ** (step - usual)


def blocks(spread: float, distance: float, error: float) -> int:
    """Blocks after which a commit that is so far from the threshold is probably on one side of it: one of `LOOKS`.

    Where not even the last of them is enough, it is that one.
    """
    if spread == 0 or math.isinf(distance):
        return LOOKS[0]
    for look in LOOKS[:-1]:
        unit = Estimate(mean=0.0, se=1.0, df=degrees(min(look, LAYOUTS)), n=look)
        width = half(unit, error) + half(unit, MISS)
        if width * spread * unit_se(look) <= distance:
            return look
    return LOOKS[-1]


def more(done: int) -> int | None:
    """Blocks for a second look at a commit that was undecided after `done`; None: it would not be worth it."""
    if done >= LOOKS[-1]:
        return None
    return next((look for look in LOOKS if look >= AGAIN * done), LOOKS[-1])


def estimate_of(log_ratios: Array) -> Estimate | None:
    """The estimate of a duel with a fixed number of blocks; None for fewer than the first look has.

    A duel that a budget has ended early is taken up to the last look that it reached.
    """
    reached = [look for look in LOOKS if look <= log_ratios.size]
    return at_look(log_ratios, reached[-1]) if reached else None


def side(estimate: Estimate, question: Question, error: float) -> Side:
    """On which side of the threshold a commit is, wrongly with probability `error` at most while 0 < h <= c."""
    level, width = question.sign * estimate.mean, half(estimate, error)
    if level - width > question.threshold:
        return Side.BAD
    return Side.GOOD if level + width < question.threshold else Side.UNDECIDED
