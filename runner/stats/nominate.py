"""Where a history suggests that a benchmark changed. It accuses; fresh blocks convict (`stats.confirm`).

A history is one point a night: a log ratio against one anchor, with the standard error that its blocks give it. Its
noise is more than that error: nights differ, neighbours in time resemble each other, and now and then one is far off.
So the variance of a point is that of the points about their levels (winsorised), joined with what the blocks say as if
that were `PRIOR` points; levels are midmeans; and the variance of a level of n points allows for the correlation of
neighbours. Three questions are asked:

- the newest nights, one to three of them, against the level before: each by its own interval;
- older places, which PELT finds (Killick, Fearnhead & Eckley 2012; `ruptures`). asv's search by absolute errors is the
  second opinion: without it a place needs evidence ten times as strong;
- the newest nights against the first ones: many small steps that no one of them would show.

The search over places is paid for: a change that k nights have shown may use a share of the error that falls with k,
and all shares add up to 1. Such a p-value is what one night may say: it is not corrected for being asked every night,
nor for noise that is worse than the above. Both cost fresh blocks, never a false claim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

import numpy as np
from scipy.special import stdtr

from runner.stats import steps
from runner.stats.paired import Array, trimmed

WINDOW = 100
"""Points that are searched, from the last."""
SIDE = 30
"""Points on each side of a change that are compared, at most: a machine may drift."""
RECENT = 3
"""Newest points that are asked about one by one, and tell nothing of the noise."""
PRICE = 3.0
"""What a change must save PELT in the sum of squares, in units of the noise, for each unit of log(points)."""
LIMIT = 0.02
"""p above which nothing is suggested."""
DOUBT = 6.0
"""By how much the sum of squares, in units of the noise, may rise where a change may still lie: 2 log 20, so that in
about 95 of 100 cases it lies there."""
ALONE = 10.0
"""By what the p of an older change is multiplied where only PELT sees it."""
PRIOR = 10.0
"""Points that what the blocks say of the noise counts for."""
FLOOR = 0.1
"""Part of the margin that no noise is below."""
LENT = 20.0
"""Points without correlation that an estimated correlation is mixed with: of few points it says little."""
MOST = 0.9
"""Correlation at most."""
NEW_SHARE = 0.4
"""Part of the error for a change that one night has shown, and for one that two have; the rest is for all others."""
DRIFTING = 0.2
"""Part of the error for a slow change."""
FEWEST = 4
"""Points of a level, but for one of the newest: from so many on it is a midmean, which one wild point does not move."""
NEWEST_SIDE = 10
"""Newest points by which a slow change is measured, at most."""
MIDMEAN = 1.2
"""Variance of a midmean of normal values ÷ that of their mean."""


class Kind(Enum):
    """What a history shows."""

    STEP = "step"
    NEWEST = "newest"
    """A step that only the newest point shows, or the comparison of its commit with the last one."""
    DRIFT = "drift"
    """Many small steps, or a slope: the newest points against the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A change that a history suggests. Points are counted from 0; sizes are natural logs."""

    kind: Kind
    before: int
    """The change lies after this point …"""
    at: int
    """… and not after this one."""
    place: int
    """The first point with it, most likely: after `before`, up to `at`. Of a drift, the last point."""
    size: float
    """Level after, less level before."""
    se: float
    p: float
    """Of the hypothesis of no change (drift: of none above the margin), for all places of tonight; at most `LIMIT`."""
    strength: int
    """Opinions: 2 where both searches see it, else 1."""


def nominate(
    log_ratios: Sequence[float] | Array, ses: Sequence[float] | Array, margin: float, known: Sequence[int] = ()
) -> tuple[Candidate, ...]:
    """The changes that a series of points suggests, in the order of their places.

    One point a commit, in the order of the graph; `ses` are standard errors, 0 or above; `margin` is a log. `known` are
    the points from which on the series has a new level, by changes that were proved: nothing before the last of them is
    suggested. A drift may be one of the steps once more. Raises ValueError for values that are not finite, and where
    the two are not as many.
    """
    y, se = np.asarray(log_ratios, dtype=float), np.asarray(ses, dtype=float)
    if y.ndim != 1 or y.shape != se.shape or not (np.isfinite(y).all() and np.isfinite(se).all()):
        raise ValueError("a history needs as many finite standard errors as it has finite log ratios")
    start, offset = max((0, *known)), max(0, y.size - WINDOW)
    if y.size - start < 2:
        return ()
    window = _window(y[offset:], se[offset:], margin, [place - offset for place in known if place > offset])
    found = [_moved(one, offset) for one in _seconded(window, [*_older(window), *_newest(window)])]
    found = [one for one in found if one.p <= LIMIT and abs(one.size) + 2 * one.se >= margin]
    found = _distinct(found)
    slow = _drift(y, se, start, window.noise, margin)
    if slow is not None and slow.p <= LIMIT:
        found.append(slow)
    return tuple(sorted(found, key=lambda one: one.place))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noise:
    """How the points of a series differ from their levels."""

    variance: float
    """Of a point about its level."""
    usual: float
    """Typical variance that the blocks say."""
    r: float
    """Correlation of neighbours."""
    df: float

    def points(self, ses: Array) -> Array:
        """Variances of points with these standard errors: more, where a point is less certain than others."""
        return self.variance + np.maximum(0.0, ses**2 - self.usual)

    def level(self, ses: Array) -> float:
        """Variance of the level of successive points with these standard errors."""
        n = ses.size
        own = self.variance + max(0.0, float(ses @ ses) / n - self.usual)
        return own * inflation(n, self.r) * (MIDMEAN if n >= FEWEST else 1.0) / n


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The newest points of a series, cut into levels."""

    y: Array
    se: Array
    start: int
    """Changes are looked for after this point: the first, or the last that a known change begins with."""
    breaks: tuple[int, ...]
    """First points of levels, as PELT finds them, after `start`."""
    noise: _Noise


def inflation(n: int, r: float) -> float:
    """Variance of the mean of n neighbours ÷ what it would be without their correlation r, which fades as rᵏ."""
    return 1.0 if r == 0 else (1 + r) / (1 - r) - 2 * r * (1 - r**n) / (n * (1 - r) ** 2)


def share(nights: int) -> float:
    """Part of the error for a change that so many nights, 1 or more, have shown; all add up to 1."""
    return NEW_SHARE if nights <= 2 else (1 - 2 * NEW_SHARE) / ((nights - 2) * (nights - 1))


def _window(y: Array, se: Array, margin: float, known: Sequence[int]) -> _Window:
    start = max((0, *known))
    breaks = tuple(start + place for place in _pelt(y[start:], se[start:], margin))
    return _Window(y=y, se=se, start=start, breaks=breaks,
                   noise=_noise(y, se, sorted({0, *known, *breaks, y.size}), margin))


def _pelt(y: Array, se: Array, margin: float) -> list[int]:
    """First points of all levels but the first."""
    if y.size < 2 * FEWEST:
        return []
    between = 1.4826 * _median(np.abs(np.diff(y))) / math.sqrt(2)
    scale = max(between, _median(se), FLOOR * margin)
    import ruptures  # long to import, and most of what uses this module searches nothing

    search = ruptures.KernelCPD(kernel="linear", min_size=FEWEST).fit((y - _median(y))[:, None] / scale)
    return [int(place) for place in search.predict(pen=PRICE * math.log(y.size))[:-1]]


def _noise(y: Array, se: Array, edges: Sequence[int], margin: float) -> _Noise:
    """From the distances of points to their levels, which lie between the edges; the newest points left out."""
    usual = _median(se) ** 2
    prior = usual + (FLOOR * margin) ** 2
    rests = []
    for left, right in pairwise(edges):
        level = y[left : min(right, y.size - RECENT)]
        if level.size >= FEWEST:
            rests.append(level - _median(level))
    if not rests:
        return _Noise(variance=prior, usual=usual, r=0.0, df=PRIOR)
    rest = np.concatenate(rests)
    df = rest.size - len(rests)
    estimate = trimmed(rest)
    observed = estimate.se**2 * rest.size * (rest.size - 1) / df
    return _Noise(variance=(PRIOR * prior + df * observed) / (PRIOR + df), usual=usual, df=PRIOR + df,
                  r=_correlation(rests, 3 * math.sqrt(observed)))


def _correlation(rests: Sequence[Array], most: float) -> float:
    """Of neighbours within their levels, in [0, MOST]; what is farther than `most` counts as that far."""
    products = squares = 0.0
    links = points = 0
    for rest in rests:
        near = np.clip(rest, -most, most)
        products, squares = products + float(near[1:] @ near[:-1]), squares + float(near @ near)
        links, points = links + near.size - 1, points + near.size
    if squares == 0:
        return 0.0
    # Distances to a level that was fitted to them are correlated by -1/n without any cause.
    raw = products / links / (squares / points) + 1 / points
    return min(MOST, max(0.0, raw * points / (points + LENT)))


def _median(values: Array) -> float:
    # numpy's own takes ten times as long for so few, and is asked for in every night of every series.
    ordered, half = np.sort(values), values.size // 2
    return float(ordered[half] if values.size % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _level(values: Array) -> float:
    """Midmean: the mean without a quarter at each end; of fewer than four the mean."""
    cut = values.size // 4
    return float(np.sort(values)[cut : values.size - cut].sum()) / (values.size - 2 * cut)


def _older(window: _Window) -> Iterator[Candidate]:
    """The changes that PELT finds."""
    edges = [window.start, *window.breaks, window.y.size]
    for number, place in enumerate(window.breaks):
        left, right = max(edges[number], place - SIDE), min(edges[number + 2], place + SIDE)
        found = _change(window, left, place, right)
        if found is not None:
            yield found


def _newest(window: _Window) -> Iterator[Candidate]:
    """The strongest of the changes that begin with one of the newest points."""
    n = window.y.size
    # A level that began only just may be what is asked about.
    left = max([window.start, *(place for place in window.breaks if n - place >= RECENT + FEWEST)])
    asked = [_change(window, max(left, place - SIDE), place, n) for place in range(max(left + 1, n - RECENT), n)]
    found = [one for one in asked if one is not None]
    if found:
        yield min(found, key=lambda one: one.p)


def _change(window: _Window, left: int, place: int, right: int) -> Candidate | None:
    """The levels of [left, place) and [place, right) compared, and where between them the change may lie; None: no
    change that is worth a suspicion."""
    y, se, noise = window.y, window.se, window.noise
    before, after = _level(y[left:place]), _level(y[place:right])
    error = math.sqrt(noise.level(se[left:place]) + noise.level(se[place:right]))
    p = 2 * float(stdtr(noise.df, -abs(after - before) / error)) / share(y.size - place)
    if p > LIMIT:
        return None
    # How much nearer each point is to the level before: its sum up to a place is what a change there costs.
    nearer = ((y[left:right] - before) ** 2 - (y[left:right] - after) ** 2) / noise.points(se[left:right])
    costs = np.cumsum(nearer[:-1]) * ((1 - noise.r) / (1 + noise.r))
    likely = left + 1 + int(np.argmin(costs))
    possible = left + 1 + np.flatnonzero(costs <= costs.min() + DOUBT)
    return Candidate(
        kind=Kind.NEWEST if likely == y.size - 1 else Kind.STEP, before=int(possible[0]) - 1, at=int(possible[-1]),
        place=likely, size=after - before, se=error, p=p, strength=1,
    )


def _seconded(window: _Window, found: Sequence[Candidate]) -> Iterator[Candidate]:
    """The candidates with what the second opinion makes of them: of the newest points it is not asked."""
    n = window.y.size
    places: list[int] | None = None
    for one in found:
        if n - one.place <= RECENT:
            yield one
            continue
        if places is None:
            noise = np.sqrt(window.noise.points(window.se[window.start :]))
            ends, _ = steps.levels(window.y[window.start :], noise)
            places = [window.start + end for end in ends[:-1]]
        if any(one.before <= place <= one.at + 1 for place in places):
            yield replace(one, strength=2)
        else:
            yield replace(one, p=min(1.0, one.p * ALONE))


def _distinct(found: Sequence[Candidate]) -> list[Candidate]:
    """Without those that are a stronger one once more: in its direction, most likely within its range."""
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda one: one.p):
        if not any(other.before < one.place <= other.at and one.size * other.size > 0 for other in kept):
            kept.append(one)
    return kept


def _drift(y: Array, se: Array, start: int, noise: _Noise, margin: float) -> Candidate | None:
    """The newest points against the first ones since the last known change; None where they are too few."""
    side = min(SIDE, (y.size - start) // 3)
    if side < FEWEST:
        return None
    first, newest = slice(start, start + side), slice(y.size - min(side, NEWEST_SIDE), y.size)
    size = _level(y[newest]) - _level(y[first])
    error = math.sqrt(noise.level(se[first]) + noise.level(se[newest]))
    p = float(stdtr(noise.df, (margin - abs(size)) / error)) / DRIFTING
    return Candidate(kind=Kind.DRIFT, before=start + side - 1, at=y.size - 1, place=y.size - 1, size=size, se=error,
                     p=min(1.0, p), strength=1)


def _moved(one: Candidate, offset: int) -> Candidate:
    return replace(one, before=one.before + offset, at=one.at + offset, place=one.place + offset)
