"""The axis of ratios: per cent near 1, logarithmic beyond. Every figure, bar and colour has its places from here.

A ratio's *excess* is what the larger side has more than the smaller one, with the sign of the change: +0.03 for 1.03,
+1 for 2, −1 for 1/2. Its place is asinh(excess ÷ near). Up to `near` that is as good as straight, so that each per cent
is as wide as the next; far beyond it is the logarithm, so that each tenfold is as wide as the next. A change and its
reverse are as far from 1, on either side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

NEAREST = 1e-4
"""Least that `near` is, as a fraction: a margin may be 0."""
FARTHEST = 1e9
"""Largest change that an axis reaches to; beyond it there is an arrow."""
REACH = 5
"""Margins that a symmetric axis reaches to at least."""
DEPTHS = (0.05, 0.25, 1.0, 9.0)
"""Excess from which on a change has the next deeper colour: 5 %, 25 %, 2x, 10x."""
FEW = 3
"""Round changes that an axis shows at least; where there are fewer, it counts in steps of its own."""


def place(ratios: ArrayLike, near: float) -> Array:
    """Places of ratios (head ÷ base, not below 0) on an axis without ends.

    0 at 1, above it for ratios above 1; infinite for 0 and infinity, NaN for NaN.
    """
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.log(np.asarray(ratios, dtype=float))
        return np.asarray(np.sign(logs) * np.arcsinh(np.expm1(np.abs(logs)) / near))


def ratio(places: ArrayLike, near: float) -> Array:
    """The ratios at places: the reverse of `place`."""
    found = np.asarray(places, dtype=float)
    return np.asarray(np.exp(np.sign(found) * np.log1p(near * np.sinh(np.abs(found)))))


def excess(number: float) -> float:
    """By how much the larger side of a ratio is larger, as a fraction without its sign; infinite for 0."""
    return math.inf if number <= 0 else max(number, 1 / number) - 1


def depth(number: float) -> int:
    """How deep a change's colour is: 1 to 5, by `DEPTHS`."""
    return 1 + sum(excess(number) >= bound for bound in DEPTHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A stretch of the axis between two ratios."""

    low: float
    high: float
    near: float
    """Fraction up to which it counts in per cent."""

    def __call__(self, ratios: ArrayLike) -> Array:
        """Places between the ends as shares of the axis: 0 at `low`, 1 at `high`; what is beyond lies on the end."""
        first, last = place([self.low, self.high], self.near)
        return np.asarray((np.clip(place(ratios, self.near), first, last) - first) / (last - first))

    def beyond(self, number: float) -> int:
        """−1 or 1 where a ratio is beyond the axis on that side; else 0."""
        return int(number > self.high) - int(number < self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Ratios to be marked, with their texts, ascending: the roundest first, at most about `most`."""
        found: list[tuple[float, str]] = []
        taken: list[float] = []
        inside = [mark for mark in marks() if self.low <= mark[0] <= self.high]
        shares = self([number for number, _ in inside]).tolist()
        for (number, text), share in zip(inside, shares, strict=True):
            if all(abs(share - other) > 0.8 / most for other in taken):
                found.append((number, text))
                taken.append(share)
        return sorted(found) if len(found) >= FEW else self._own(most)

    def _own(self, most: int) -> list[tuple[float, str]]:
        """Where an axis is narrow, and far from 1 or very near it: in even steps of the ratio, or of its inverse."""
        steps = max(most, 2 * FEW)
        if self.high < 0.5:
            numbers = [1 / number for number in round_numbers(1 / self.high, 1 / self.low, steps)]
        elif self.low > 2:
            numbers = round_numbers(self.low, self.high, steps)
        else:
            low, high = 100 * (self.low - 1), 100 * (self.high - 1)
            numbers = [1 + number / 100 for number in round_numbers(low, high, steps)]
        return [(number, label(number)) for number in sorted(numbers) if self.low <= number <= self.high]


def around(ratios: Iterable[float | None], margin: float) -> Axis:
    """An axis with 1 in its middle that has room for all these ratios (None and 0 are passed over).

    `margin` is a fraction; the axis reaches `REACH` of it at least, and `FARTHEST` at most.
    """
    near = max(margin, NEAREST)
    found = [abs(math.log(number)) for number in ratios if number is not None and 0 < number < math.inf]
    reach = min(max([REACH * math.log1p(near), *found]), math.log(FARTHEST))
    high = float(ratio(1.03 * place(math.exp(reach), near), near))
    return Axis(low=1 / high, high=high, near=near)


def through(ratios: ArrayLike, margin: float) -> Axis:
    """An axis for a history of ratios (above 0): as narrow as they are; with 1 where that is not far from them.

    `margin` is a fraction: three of it are seen at least.
    """
    near = max(margin, NEAREST)
    logs = np.log(np.asarray(ratios, dtype=float))
    low, high = float(logs.min()), float(logs.max())
    least = 3 * math.log1p(near)
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    if max(low, -high) <= 2 * (high - low):
        low, high = min(low, -least / 2), max(high, least / 2)
    limit = math.log(FARTHEST) + 1
    low, high = (float(end) for end in np.clip([low, high], -limit, limit))
    if high - low < least:  # all of them lie beyond
        low, high = (high - least, high) if high > 0 else (low, low + least)
    ends = place(np.exp([low, high]), near)
    air = 0.08 * float(ends[1] - ends[0])
    first, last = ratio([ends[0] - air, ends[1] + air], near)
    return Axis(low=float(first), high=float(last), near=near)


@cache
def marks() -> tuple[tuple[float, str], ...]:
    """Round changes with their texts, the roundest first, on both sides of 1: tenfolds, 10 %, 1 %, 2x, the rest."""
    found = [(1.0, label(1.0))]
    first = [*(10.0**power for power in range(1, 10)), 0.1, 0.01, 1.0, 0.001, 0.0001]
    for size in (*first, *(factor * 10.0**power for power in range(-4, 9) for factor in (2, 5))):
        # A change by 2x and more is as many times less on the other side; a smaller one as many per cent less.
        more, less = (size, 1 / size) if size >= 2 else (1 + size, 1 - size if size < 0.5 else 0.5)
        found.append((more, label(more)))
        if size != 0.5:  # 50 % less is 1/2, which stands there already
            found.append((less, label(less)))
    return tuple(found)


def label(number: float) -> str:
    """A ratio as an axis writes it: ``+1 %``, ``−10 %``, ``2x``, ``1/1,000``."""
    if number == 1:
        return "0 %"
    if 0.5 < number < 2:
        return f"{100 * (number - 1):+.6g} %".replace("-", "\N{MINUS SIGN}")
    return f"{_times(number)}x" if number > 1 else f"1/{_times(1 / number)}"


def _times(number: float) -> str:
    if number >= 1e7:
        return f"{number:.6g}".replace("e+0", "e")
    return f"{number:,.10g}" if number >= 1000 else f"{number:.6g}"


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """About `most` numbers between these, 1, 2 or 5 times a power of ten apart."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * least)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
