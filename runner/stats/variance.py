"""Where a benchmark's noise comes from: the variance of a slice's log time, by source, and what would lower it.

The model of one slice, in block j of layout l, cycle k, in either arm:

    log t = μ(arm) + layout(l) + time(j, k) + process(arm, j) + rest(arm, j, k)

*Time* is what both arms of a block have in common: the moment of the machine, and what was drawn for both. *Process*
is what each of the two fresh processes has of its own, *rest* what its slices have. So the two arms' half sum and half
difference, u = (base + head)/√2 and w = (head − base)/√2, hold all that there is to know: what is in u and not in w is
common. Each of them is analysed as nested data (layouts > blocks > cycles) in closed form, and every component is a
linear combination of the independent mean squares, from which intervals follow (modified large sample).

Sources: Searle, Casella & McCulloch 1992 (nested ANOVA); Burdick & Graybill 1992, ch. 3, and Ting, Burdick, Graybill,
Jeyaratnam & Lu 1990 (intervals of combinations of mean squares); Thomas & Hultquist 1978 (unequal numbers: unweighted
means).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from statistics import median

import numpy as np
from scipy.special import chdtri, fdtri

from runner.model import Block
from runner.stats.blocks import pairs, scored, slice_seconds
from runner.stats.paired import Array

ERROR = 0.05
"""Error of each interval."""
PAIR = 1.96 * math.sqrt(2)
"""Standard deviations of one layout within which two layouts differ, in 95 of 100 pairs: each has luck of its own."""
FEWEST = 4
"""Blocks below which nothing is said: with fewer, an interval reaches over several powers of ten."""

FAR = 4.0
"""Standard deviations (1.4826 median absolute deviations) of a block's slices from their median. A slice that was
interrupted can take ten times as long, and a few of those would be all that is seen."""


class Source(Enum):
    """What makes slices of one benchmark differ."""

    LAYOUT = "layout"
    TIME = "time"
    PROCESS = "process"
    REST = "rest"


class Layouts(Enum):
    """What the blocks can tell of code layout."""

    ONE = "one"
    """All blocks have one layout: it adds nothing to their noise, and its effect cannot be seen."""
    MERGED = "merged"
    """Each block has a layout of its own: its effect is inside *process* (and *time*) and cannot be told apart."""
    APART = "apart"
    """Several layouts with several blocks each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One source's part in the variance of a single slice of one arm."""

    source: Source
    sd: Range
    """Standard deviation of log time: 0.01 is about 1 %. Not below 0."""
    share: Range
    """Of the variance of a slice, in [0, 1]; the shares of all sources add up to 1."""
    negative: bool
    """The variance was estimated below 0, as happens where it is small, and is set to 0."""


class Means(Enum):
    """What more of could be bought."""

    CYCLES = "cycles"
    BLOCKS = "blocks"
    LAYOUTS = "layouts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What one per cent more measuring time would buy, spent in one way."""

    means: Means
    seconds: float
    """What one more costs: a cycle in every block, a block, or a layout with as many blocks as the others have."""
    yields: float
    """Part of the estimate's variance that one per cent more time takes off: at most 0.01, but for cycles that are
    cheap beside what a block costs in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Where one benchmark's noise comes from."""

    components: tuple[Component, ...]
    """Always all that the blocks can tell apart, in the order of `Source`; LAYOUT only where it is apart."""
    layouts: Layouts
    sd: float
    """Standard deviation of a slice's log time, of one arm, all sources together."""
    pairing: Range
    """How many times as many blocks unpaired arms would need: 1 / (1 − corr), over blocks within a layout."""
    se: float
    """Standard error of the log ratio that these components lead to (of its plain mean over blocks)."""
    ways: tuple[Way, ...]
    """What would buy precision, most for the time first."""
    clipped: float
    """Share of the slices that were too far out, by more than `FAR`, and count as that far out."""
    numbers: tuple[int, int, float]
    """Layouts, blocks, and slices of an arm in a block (harmonic mean)."""

    def of(self, source: Source) -> Component | None:
        """The source's component; None where it cannot be told apart."""
        return next((one for one in self.components if one.source is source), None)

    @property
    def spread(self) -> Range | None:
        """How far two layouts of one source differ: in 95 of 100 pairs of layouts, the log ratio is inside ±this.

        `PAIR` times the standard deviation of layout. None where layout was not varied, or is not apart.
        """
        layout = self.of(Source.LAYOUT)
        if layout is None:
            return None
        return Range(value=PAIR * layout.sd.value, low=PAIR * layout.sd.low, high=PAIR * layout.sd.high)


def noise(blocks: Sequence[Block], *, link: float = 0.0) -> Noise | None:
    """The components of one timed benchmark's noise, from its blocks in measured order.

    Calibrations and failed blocks do not count. `link` is what a new layout costs, in seconds. None where there is
    nothing to tell: fewer than `FEWEST` blocks, no block with two slices, values that are not above 0, or no variance.

    Numbers of pairs may differ between blocks, as they do in `shared`: blocks then count alike (unweighted means, with
    the harmonic mean of the numbers). Where the arms' own variances differ, it is their mean that comes back, and the
    intervals are approximate.
    """
    usable = scored(blocks)
    if len(usable) < FEWEST or any(not block.base or not block.head for block in usable):
        return None
    if any(min(*block.base, *block.head) <= 0 for block in usable):
        return None
    squares = _squares(usable)
    if squares is None or squares.total <= 0:
        return None
    return Noise(
        components=tuple(_component(source, squares) for source in squares.sources), layouts=squares.layouts,
        sd=math.sqrt(squares.total), pairing=_pairing(squares), se=math.sqrt(_variance(squares)),
        ways=_ways(squares, usable, link), clipped=squares.clipped,
        numbers=(squares.groups, len(usable), squares.cycles),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Squares:
    """The independent mean squares, and each source's variance as a combination of them."""

    values: Array
    """Mean squares of u and w: within blocks, of blocks' means, of layouts' means."""
    df: tuple[int, ...]
    weights: Mapping[Source, Array]
    """Coefficients of the mean squares whose sum is the source's variance."""
    layout_own: Array | None
    """Likewise, for the part of layout that the arms do not have in common."""
    block: tuple[int, int]
    """Where the mean squares of blocks' means are, of u and of w."""
    layouts: Layouts
    groups: int
    per_group: float
    """Blocks in a layout (harmonic mean)."""
    blocks: int
    cycles: float
    """Slices of an arm in a block (harmonic mean)."""
    clipped: float

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(source for source in Source if source in self.weights)

    def variance(self, source: Source) -> float:
        """Of a slice of one arm, at least 0."""
        return max(0.0, float(self.weights[source] @ self.values))

    @property
    def total(self) -> float:
        return sum(self.variance(source) for source in self.sources)


def _squares(blocks: Sequence[Block]) -> _Squares | None:
    rows, clipped = _rows(blocks)
    within = _within(rows)
    if within is None:
        return None
    cycles = len(rows) / sum(1 / u.size for u, _ in rows)
    uw = np.array([[u.mean(), w.mean()] for u, w in rows])
    groups = _groups(blocks)
    a, n = len(groups), len(blocks)
    apart = 2 <= a < n
    centres = np.array([uw[group].mean(axis=0) for group in groups]) if apart else uw.mean(axis=0, keepdims=True)
    inside = sum((((uw[group] - centre) ** 2).sum(axis=0) for group, centre in zip(groups, centres, strict=True)),
                 np.zeros(2)) if apart else ((uw - centres) ** 2).sum(axis=0)
    df_block = n - a if apart else n - 1
    per_group = a / sum(1 / len(group) for group in groups)
    values, df = within
    u_rest, w_rest = 0, 1
    values += list(inside / df_block)
    df += [df_block] * 2
    u_block, w_block = len(values) - 2, len(values) - 1
    if apart:
        values += list(centres.var(axis=0, ddof=1))
        df += [a - 1] * 2
    size = len(values)

    def combination(*terms: tuple[int, float]) -> Array:
        row = np.zeros(size)
        for place, weight in terms:
            row[place] += weight
        return row

    own = combination((w_block, 1.0), (w_rest, -1 / cycles))
    both = combination((u_block, 1.0), (u_rest, -1 / cycles))
    weights = {
        # Half of what u has more than w: the covariance of the arms, of blocks' means and then of slices in one cycle.
        Source.TIME: (both - own) / 2 + combination((u_rest, 0.5), (w_rest, -0.5)),
        Source.PROCESS: own,
        Source.REST: combination((w_rest, 1.0)),
    }
    layout_own = None
    if apart:
        layout_own = combination((size - 1, 1.0), (w_block, -1 / per_group))
        weights[Source.LAYOUT] = (layout_own + combination((size - 2, 1.0), (u_block, -1 / per_group))) / 2
    return _Squares(
        values=np.array(values), df=tuple(df), weights=weights, layout_own=layout_own, block=(u_block, w_block),
        layouts=Layouts.APART if apart else Layouts.ONE if a == 1 else Layouts.MERGED, groups=a, per_group=per_group,
        blocks=n, cycles=cycles, clipped=clipped,
    )


def _rows(blocks: Sequence[Block]) -> tuple[list[tuple[Array, Array]], float]:
    """The u and w of each block's pairs, and the share of them that was clipped."""
    logs = [[np.log(np.array(arm, dtype=np.float64)) for arm in pairs(block)] for block in blocks]
    rows = [((base + head) / math.sqrt(2), (head - base) / math.sqrt(2)) for base, head in logs]
    kept = [(_clipped(u), _clipped(w)) for u, w in rows]
    changed = sum(int((tame != wild).sum()) for one, other in zip(kept, rows, strict=True)
                  for tame, wild in zip(one, other, strict=True))
    return kept, changed / sum(2 * u.size for u, _ in rows)


def _clipped(row: Array) -> Array:
    """The row with what is further than `FAR` from its median put there: the estimate is a median, and so tames it."""
    # Not by arrays: for as few as a block has, those take ten times as long.
    values = row.tolist()
    centre = median(values)
    far = FAR * 1.4826 * median([abs(value - centre) for value in values])
    return np.clip(row, centre - far, centre + far) if far > 0 else row


def _within(rows: Sequence[tuple[Array, Array]]) -> tuple[list[float], list[int]] | None:
    """Mean squares of u and w within blocks with their degrees of freedom; None where no block has two pairs."""
    sums = [sum(float(((pair[place] - pair[place].mean()) ** 2).sum()) for pair in rows) for place in (0, 1)]
    df = sum(u.size - 1 for u, _ in rows)
    return ([one / df for one in sums], [df, df]) if df else None


def _groups(blocks: Sequence[Block]) -> list[list[int]]:
    """The blocks' positions by layout; one group where there are no layouts."""
    groups: dict[object, list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        groups[block.layout].append(place)
    return list(groups.values())


def _component(source: Source, squares: _Squares) -> Component:
    weights = squares.weights[source]
    estimate = float(weights @ squares.values)
    low, high = limits(weights, squares.values, squares.df)
    share = squares.variance(source) / squares.total
    whole = sum(squares.weights.values(), np.zeros(len(squares.values)))
    return Component(
        source=source, negative=estimate < 0,
        sd=Range(value=math.sqrt(max(0.0, estimate)), low=math.sqrt(max(0.0, low)), high=math.sqrt(max(0.0, high))),
        share=_share(share, weights, whole, squares),
    )


def _share(share: float, weights: Array, whole: Array, squares: _Squares) -> Range:
    """The shares that the data allow: those k for which the interval of (source − k · whole) holds 0 (as Fieller's)."""

    terms, all_terms = (weights * squares.values).tolist(), (whole * squares.values).tolist()

    def bound(k: float, sign: float) -> float:
        rest = [sign * (term - k * one) for term, one in zip(terms, all_terms, strict=True)]
        return sign * _upper(rest, squares.df)

    def root(sign: float) -> float:
        if bound(0.0, sign) <= 0:
            return 0.0
        if bound(1.0, sign) >= 0:
            return 1.0
        from scipy.optimize import brentq  # long to import, and not needed before there is something to report

        found: float = brentq(bound, 0.0, 1.0, args=(sign,), xtol=1e-3)
        return found

    return Range(value=share, low=min(root(-1.0), share), high=max(root(1.0), share))


def limits(weights: Array, squares: Array, df: Sequence[int]) -> tuple[float, float]:
    """95 % interval of Σ weights · (expected mean square), by the modified large sample method.

    `squares` are independent mean squares with `df` degrees of freedom; weights may be of either sign. Both ends are
    exact where only one weight is not 0, and may be below 0. Ting et al. 1990, without the terms between weights of
    one sign, which change little.
    """
    terms = (weights * squares).tolist()
    return -_upper([-term for term in terms], df), _upper(terms, df)


def _upper(terms: Sequence[float], df: Sequence[int]) -> float:
    """The upper end of the interval of the sum of these terms, each a mean square with its weight."""
    plus = [(term, n) for term, n in zip(terms, df, strict=True) if term > 0]
    minus = [(-term, n) for term, n in zip(terms, df, strict=True) if term < 0]
    distance = math.fsum((_up(n) * term) ** 2 for term, n in plus)
    distance += math.fsum((_down(n) * term) ** 2 for term, n in minus)
    distance += math.fsum(_cross(n, m) * one * other for one, n in plus for other, m in minus)
    return math.fsum(terms) + math.sqrt(max(0.0, distance))


@lru_cache(maxsize=4096)
def _up(n: int) -> float:
    """How far a mean square's expectation can lie above it, relative: n / χ²(ERROR/2) − 1."""
    return float(n / chdtri(n, 1 - ERROR / 2)) - 1


@lru_cache(maxsize=4096)
def _down(n: int) -> float:
    return 1 - float(n / chdtri(n, ERROR / 2))


@lru_cache(maxsize=65536)
def _cross(n: int, m: int) -> float:
    """What makes the upper end of a difference of two mean squares exact where the difference is 0."""
    f = float(fdtri(n, m, ERROR / 2))
    return ((1 - f) ** 2 - (_up(n) * f) ** 2 - _down(m) ** 2) / f


def _pairing(squares: _Squares) -> Range:
    u, w = squares.block
    n = squares.df[w]
    own = float(squares.values[w])
    if own <= 0:
        return Range(value=math.inf, low=math.inf, high=math.inf)
    ratio = float(squares.values[u]) / own

    def gain(one: float) -> float:
        # corr = (u − w) / (u + w), so 1 / (1 − corr) = (1 + u/w) / 2; u/w is an F ratio.
        return (1 + one) / 2

    f = float(fdtri(n, n, 1 - ERROR / 2))
    return Range(value=gain(ratio), low=gain(ratio / f), high=gain(ratio * f))


def _variance(squares: _Squares) -> float:
    """Of the mean log ratio: twice what one arm's process, rest and own part of layout leave in a mean."""
    layout = 0.0 if squares.layout_own is None else max(0.0, float(squares.layout_own @ squares.values))
    process, rest = squares.variance(Source.PROCESS), squares.variance(Source.REST)
    return 2 * (layout / squares.groups + process / squares.blocks + rest / (squares.blocks * squares.cycles))


def _ways(squares: _Squares, blocks: Sequence[Block], link: float) -> tuple[Way, ...]:
    """Derivatives of the variance by the time that is spent on more of each, in its own terms."""
    variance = _variance(squares)
    if variance <= 0:
        return ()
    n, c, a = squares.blocks, squares.cycles, squares.groups
    block = float(np.mean([one.seconds for one in blocks]))
    cycle = float(np.mean([slice_seconds(one) for one in blocks])) / c
    new_link = link if squares.layouts is Layouts.MERGED else 0.0
    spent = n * (block + new_link) + (a * link if squares.layouts is Layouts.APART else 0.0)
    process, rest = squares.variance(Source.PROCESS), squares.variance(Source.REST)
    inside = process + rest / c

    def way(means: Means, seconds: float, falls: float) -> Way:
        return Way(means=means, seconds=seconds, yields=0.01 * spent / seconds * falls / variance)

    found = [
        way(Means.CYCLES, n * cycle, 2 * rest / (n * c * c)),
        way(Means.BLOCKS, block + new_link, 2 * inside / n**2),
    ]
    if squares.layout_own is not None:
        price = squares.per_group * block + link
        # All of the variance falls with the number of layouts when each brings its own blocks.
        found.append(way(Means.LAYOUTS, price, variance / a))
    return tuple(sorted(found, key=lambda way: -way.yields))
