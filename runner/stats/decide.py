"""The rule: log ratios in, verdict out. It says when to stop sampling, and what may be claimed.

One benchmark is judged at planned looks. The error .05 is divided among them, so that whatever makes
the sampling stop, a claim of a difference and one of sameness are each wrong with probability .05 at most (union
bound). Over a suite, differences are one family and claims of sameness another (`stats.claims`); in each the false
discovery rate is held at q, and every claim is shown with the interval at which it was made. docs/method.md has the
table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runner.model import Verdict
from runner.stats.claims import TOTAL, Differences, Place, Sameness, decide, family
from runner.stats.paired import Array, Estimate, degrees, interval, quantile, trimmed, unit_se

LOOKS = (6, 8, 12, 18, 26, 40, 80, 160)
"""Numbers of blocks at which a benchmark is judged."""
ALPHAS = (0.005, 0.005, 0.005, 0.005, 0.0075, 0.0075, 0.0075, 0.0075)
"""Error that each look may make, in each of the two claims; `TOTAL` in all."""
WEIGHTS = tuple(alpha / TOTAL for alpha in ALPHAS)
LAYOUTS = 40
"""Layouts of a run at most: blocks i, i + LAYOUTS and so on share one, and are one value where they are judged. A run
may have fewer: see `layouts_in_turn`."""
EXACT_BLOCKS = 3
"""Blocks in which a count must repeat itself to be compared as a number."""
FARTHEST = 4000
"""Blocks beyond which `needed` is not told: nobody will run them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the blocks so far say of one benchmark. Estimates and limits are natural logs of head ÷ base."""

    verdict: Verdict
    """FASTER, SLOWER, SAME or UNDECIDED: the others are not for numbers to say."""
    clear: bool
    """FASTER or SLOWER, and the whole interval is outside the margin."""
    tiny: bool
    """SAME, and yet 0 is outside the interval."""
    estimate: Estimate | None
    """None for fewer than two blocks, and for exact values of which one is not positive."""
    low: float | None
    high: float | None
    """Interval at the error of the look (of the first look when it has not been reached)."""
    look: int | None
    """Blocks that the judgement rests on; None below the first look."""
    p: float | None
    """Of the hypothesis of no difference, for all looks together; None below the first look, and when exact."""
    p_same: float | None
    """Of the hypothesis of a difference of the margin or more, likewise."""
    needed: int | None
    """UNDECIDED only: blocks in all that settle it if estimate and spread stay; None: over `FARTHEST`, or unknown."""
    settled: bool
    """Sampling stops here."""

    @property
    def exact(self) -> bool:
        """Whether counts were compared as numbers, without a test."""
        return self.look is not None and self.p is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteJudgement:
    """One benchmark's judgement among the others of its suite."""

    judgement: Judgement
    """Verdict, clear, tiny, interval and needed as the whole suite allows them; the rest as it was alone."""
    q: float | None
    """Benjamini-Hochberg adjusted `p`: the smallest false discovery rate at which a difference is reported."""


def judge(d: Array, margin: float, tests: int = 1, layouts: int = LAYOUTS) -> Judgement:
    """Judge one benchmark by its log ratios, in measured order, at the planned looks.

    The looks are taken in order up to the first that settles the benchmark, and later values are ignored: who samples
    on after that cannot change the verdict. What settles is SAME, FASTER or SLOWER where `Sameness` or `Differences`
    says that sampling may stop for it, and the last look.
    `margin` is the smallest change that matters, as a log: log1p(0.01) for 1 %. `tests` is the number of
    benchmarks that are judged together. It bears on stopping alone: what has stopped early is not taken back by
    `suite`, a difference never and sameness hardly ever. `layouts` is how many the blocks go through in turn: see
    `by_layout`.

    p is min(1, min over looks of p_k / w_k), which is valid under any stopping rule (union bound).

    Raises ValueError for values that are not finite or not 1-D, for a margin that is not above 0,
    and for tests below 1.
    """
    if d.ndim != 1 or not np.isfinite(d).all():
        raise ValueError("log ratios must be a 1-D array of finite values")
    if tests < 1:
        raise ValueError(f"tests must be 1 or more, not {tests}")
    if not (0 < margin < math.inf):
        raise ValueError(f"the margin must be above 0 and finite, not {margin}")
    if d.size < LOOKS[0]:
        return _early(d, margin, layouts)
    p = p_same = 1.0
    differences, sameness = Differences(margin), Sameness(margin)
    for look, alpha, weight in zip(LOOKS, ALPHAS, WEIGHTS, strict=True):
        estimate = at_look(d, look, layouts)
        p = min(p, differences.p(estimate) / weight)
        p_same = min(p_same, sameness.p(estimate) / weight)
        reading, low, high = decide(estimate, margin, alpha, alpha)
        claim = sameness if reading.verdict is Verdict.SAME else differences
        settled = look == LOOKS[-1] or claim.settles(estimate, alpha, tests)
        if settled or d.size < LOOKS[LOOKS.index(look) + 1]:
            break
    undecided = reading.verdict is Verdict.UNDECIDED
    return Judgement(
        verdict=reading.verdict, clear=reading.clear, tiny=reading.tiny, estimate=estimate, low=low, high=high,
        look=look, p=p, p_same=p_same, needed=_needed(estimate, margin, layouts) if undecided else None,
        settled=settled,
    )


def layouts_in_turn(repeats: int | None, blocks: int | None) -> int:
    """How many layouts the blocks of a benchmark go through in turn: 2 to `LAYOUTS`.

    `repeats`: how many of the `blocks` share a layout. `LAYOUTS` where one of the two is None, or each block has a
    layout of its own. Never 1: of the spread of a single value nothing is known.
    """
    if repeats is None or repeats < 2 or blocks is None:
        return LAYOUTS
    return min(LAYOUTS, max(2, blocks // repeats))


def at_look(d: Array, look: int, layouts: int = LAYOUTS) -> Estimate:
    """What a look judges: the first `look` of the log ratios, as `by_layout` takes them."""
    return by_layout(d[:look], layouts)


def by_layout(d: Array, layouts: int = LAYOUTS) -> Estimate:
    """The estimate of log ratios of which i and i + `layouts` share a layout; its `n` is how many they are.

    Where they are more than `layouts`, those of a layout are one value, their mean: what the layout does is in all of
    them, so that they are not independent ones. (Where layouts are not varied, it costs some degrees of freedom.)
    Raises ValueError as `trimmed` does.
    """
    if d.size <= layouts:
        return trimmed(d)
    layout = np.arange(d.size) % layouts
    means = np.bincount(layout, weights=d) / np.bincount(layout)
    return replace(trimmed(means), n=d.size)


def _early(d: Array, margin: float, layouts: int) -> Judgement:
    estimate = trimmed(d) if d.size >= 2 else None
    low, high = (None, None) if estimate is None else interval(estimate, ALPHAS[0])
    return Judgement(
        verdict=Verdict.UNDECIDED, clear=False, tiny=False, estimate=estimate, low=low, high=high, look=None,
        p=None, p_same=None, needed=None if estimate is None else _needed(estimate, margin, layouts), settled=False,
    )


def judge_exact(base: Array, head: Array, margin: float) -> Judgement | None:
    """Compare counts as numbers, without a test; None where they are not exact.

    `base` and `head` are one value per block. They are exact when there are at least three, and each arm
    repeats one value to the digit. Any difference is reported, and is clear when it is not inside the
    margin (always, where one of the values is not positive and there is no ratio).
    """
    if base.size < EXACT_BLOCKS or np.ptp(base) != 0 or np.ptp(head) != 0:
        return None
    before, after = float(base[0]), float(head[0])
    verdict = Verdict.SAME if after == before else Verdict.FASTER if after < before else Verdict.SLOWER
    ratio = _log(after, before) if before > 0 and after > 0 else None
    estimate = None if ratio is None else Estimate(mean=ratio, se=0.0, df=base.size - 1, n=base.size)
    return Judgement(
        verdict=verdict, clear=after != before and (ratio is None or abs(ratio) >= margin), tiny=False,
        estimate=estimate, low=ratio, high=ratio, look=base.size, p=None, p_same=None, needed=None, settled=True,
    )


def _log(after: float, before: float) -> float:
    """Log of the ratio of two positive numbers, also where that itself is none that a computer has."""
    ratio = after / before
    return math.log(ratio) if 0 < ratio < math.inf else math.log(after) - math.log(before)


def suite(
    ds: Sequence[Array], margin: float, q: float = 0.05, tests: int | None = None
) -> list[SuiteJudgement]:
    """Judge the benchmarks of a suite together, each by its log ratios as in `judge`; same order.

    `tests` is what the sampling was told (see `judge`); by default the number of benchmarks given. In each
    of two families, of all benchmarks that reached a look, Benjamini-Hochberg at q selects R of m.

    Differences (by p). A selected one is shown with its interval at error a_k·R/m, which holds the false
    coverage rate of selected intervals at q, and stands if the decision table says the same of that
    wider interval. One that was not selected is shown at a_k·(R + 1)/m, the error at which it would have had to hold:
    there its interval at every look contains 0.

    Sameness (by p_same) in the same way. A benchmark that is clearly different is no candidate and not in this family:
    otherwise a suite in which much changed could hardly say of anything that it is the same. The price is
    small: of benchmarks that are off by just the margin, under one in forty is clear, so what remains is as good as the
    whole. Those that are not judged SAME take part with p = 1.

    What was SAME and different at once may lose either claim: without sameness it is FASTER or SLOWER, without the
    difference it is no longer tiny, without both it is UNDECIDED.

    What was UNDECIDED alone stays so. Raises ValueError as `judge` does, and for q outside (0, .05]: the
    looks divide .05 among them.
    """
    # A larger q would select differences by a p that the intervals of the looks do not exclude.
    if not (0 < q <= TOTAL):
        raise ValueError(f"q must be above 0 and at most {TOTAL}, not {q}")
    alone = [judge(d, margin, max(1, len(ds)) if tests is None else tests) for d in ds]
    return together(alone, margin, q)


def judge_estimate(estimate: Estimate, margin: float) -> Judgement:
    """Judge a benchmark by an estimate that is looked at once, with all of the error: no look decided when to stop.

    `look` is the number of blocks; more blocks of the same runs would not help, so that `needed` is None.
    """
    reading, low, high = decide(estimate, margin, TOTAL, TOTAL)
    return Judgement(
        verdict=reading.verdict, clear=reading.clear, tiny=reading.tiny, estimate=estimate, low=low, high=high,
        look=estimate.n, p=Differences(margin).p(estimate), p_same=Sameness(margin).p(estimate), needed=None,
        settled=True,
    )


def together(
    alone: Sequence[Judgement], margin: float, q: float = TOTAL, *, once: bool = False, layouts: int = LAYOUTS
) -> list[SuiteJudgement]:
    """What a suite allows of the judgements of its benchmarks, as `suite` says; same order.

    `once` says that they are of `judge_estimate` and not of `judge`; `layouts` is what `judge` was told.
    """
    changes = family([judgement.p for judgement in alone], q)
    sames = family([_p_of_sameness(judgement) for judgement in alone], q)
    return [_among(*each, margin, layouts, once=once) for each in zip(alone, changes, sames, strict=True)]


def _p_of_sameness(alone: Judgement) -> float | None:
    """p in the family of sameness; None for those that are not in it, 1 for those that claim nothing."""
    if alone.clear:
        return None
    return alone.p_same if alone.verdict is Verdict.SAME or alone.p_same is None else 1.0


def _among(
    alone: Judgement, change: Place, same: Place, margin: float, layouts: int, *, once: bool
) -> SuiteJudgement:
    """What is left of one benchmark's judgement, given its places in the two families."""
    if alone.look is None or alone.estimate is None:
        return SuiteJudgement(judgement=alone, q=None)
    error = TOTAL if once else ALPHAS[LOOKS.index(alone.look)]
    share = 1.0 if alone.verdict is Verdict.UNDECIDED and not change.selected else change.share
    claimed = error * same.share if alone.verdict is Verdict.SAME else None
    reading, low, high = decide(alone.estimate, margin, error * share, claimed)
    undecided = reading.verdict is Verdict.UNDECIDED and not once
    judgement = replace(
        alone, verdict=reading.verdict, clear=reading.clear, tiny=reading.tiny, low=low, high=high,
        needed=_needed(alone.estimate, margin, layouts, change.share, same.share) if undecided else None,
    )
    return SuiteJudgement(judgement=judgement, q=change.q)


def _needed(estimate: Estimate, margin: float, layouts: int, change: float = 1.0, same: float = 1.0) -> int | None:
    """Smallest number of blocks at which the estimate, with its present spread, would be a verdict.

    A planned look that is still to come, or any number after the last look, at the last look's error;
    None beyond `FARTHEST`, and where a run has fewer layouts and all were seen: more blocks of these leave what they do
    as it is. `change` and `same` are the shares of the error that the two claims may use.
    """
    deviation = estimate.se / unit_se(estimate.n)
    sizes, widths = _widths(change)
    found = abs(estimate.mean) > deviation * widths
    # One-sided, each with the whole error.
    found |= abs(estimate.mean) + deviation * _widths(2 * same)[1] < margin
    found &= sizes > estimate.n
    if layouts < LAYOUTS:
        found &= sizes <= layouts
    return int(sizes[np.argmax(found)]) if found.any() else None


@lru_cache(maxsize=256)
def _widths(share: float) -> tuple[NDArray[np.int64], Array]:
    """Numbers of blocks at which a verdict can fall, and half a two-sided interval's width there for a spread of 1."""
    sizes, units = _sizes()
    df = np.array([float(degrees(min(n, LAYOUTS))) for n in LOOKS])
    exceeded = quantile(df, share * np.array(ALPHAS))
    # Behind the last look neither the error nor the degrees of freedom change.
    return sizes, np.concatenate([exceeded, np.full(sizes.size - exceeded.size, exceeded[-1])]) * units


@lru_cache(maxsize=1)
def _sizes() -> tuple[NDArray[np.int64], Array]:
    """Numbers of blocks at which a verdict can fall, and the `unit_se` of each."""
    sizes = np.array([*LOOKS, *range(LOOKS[-1] + 1, FARTHEST + 1)])
    return sizes, np.array([unit_se(n) for n in sizes.tolist()])
