"""What the figures are drawn with: SVG as text that belongs inside an HTML page.

Written as text, for a night makes hundreds of figures (docs/decisions/0012). Colours are the page's, by class, so that
its light and dark themes apply; shapes say the same as colours.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboards.axis import Array, Axis, round_numbers

SHAPES = {
    "faster": "m3-4v8l-7-4z", "slower": "m-3-4v8l7-4z", "same": "m-2.5-2.5h5v5h-5z",
    "undecided": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
}
"""Verdict to its shape, drawn from the middle."""
TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The part of a picture with the points, in the picture's units: y grows downwards."""

    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """From the numbers of an axis to places in the picture; what is beyond an end lies on it."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, numbers: ArrayLike) -> Array:
        share = (np.clip(np.asarray(numbers, dtype=float), self.low, self.high) - self.low) / (self.high - self.low)
        return np.asarray(self.start + share * (self.end - self.start))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """From ratios to places in the picture."""

    axis: Axis
    start: float
    end: float

    def __call__(self, ratios: ArrayLike) -> Array:
        return np.asarray(self.start + self.axis(ratios) * (self.end - self.start))


def picture(parts: Sequence[str], *, kind: str, size: tuple[float, float], title: str, role: str = "img") -> str:
    """The parts as one ``<svg>`` of a size in its own units; `kind` is its class, `title` what a screen reader says.

    What is in an image is hidden from screen readers; with links inside, its `role` is ``group``.
    """
    width, height = size
    return (f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="{role}" '
            f'aria-label="{html.escape(title)}">{"".join(parts)}</svg>')


def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    """One line of text; `anchor` is the side that lies at x: start, middle, end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def shapes(x: Array, y: Array, verdicts: NDArray[np.object_]) -> list[str]:
    """A shape for each point, one path for all of a verdict."""
    found = []
    for verdict, shape in SHAPES.items():
        those = verdicts == verdict
        if those.any():
            drawn = "".join(f"M{at:.1f} {of:.1f}{shape}" for at, of in zip(x[those], y[those], strict=True))
            found.append(f'<path class="{verdict}" d="{drawn}"/>')
    return found


def upright(kind: str, x: Array, bottom: Array, top: Array) -> str:
    """Vertical lines, one path."""
    lines = "".join(f"M{at:.1f} {one:.1f}V{other:.1f}" for at, one, other in zip(x, bottom, top, strict=True))
    return f'<path class="{kind}" d="{lines}"/>'


def across(kind: str, frame: Frame, y: float) -> str:
    """A horizontal line through the frame."""
    return f'<path class="{kind}" d="M{frame.left:g} {y:.1f}H{frame.right:g}"/>'


def band(frame: Frame, y: Ratios, low: float, high: float) -> str:
    """A horizontal band between two ratios."""
    bottom, top = y([low, high])
    return (f'<rect class="band" x="{frame.left:g}" y="{top:.1f}" width="{frame.right - frame.left:g}" '
            f'height="{bottom - top:.1f}"/>')


def ratio_ticks(frame: Frame, y: Ratios) -> str:
    """The texts of a vertical axis of ratios."""
    found = y.axis.ticks(TICKS)
    places = y([number for number, _ in found])
    return "".join(text(frame.left - 8, at + 4, words, "end") for at, (_, words) in zip(places, found, strict=True))


def under(frame: Frame, x: Straight, unit: str) -> str:
    """The texts of a horizontal axis in round numbers, each with its unit."""
    numbers = round_numbers(x.low, x.high, TICKS)
    return "".join(
        text(at, frame.bottom + 17, f"{number:.6g} {unit}".rstrip())
        for at, number in zip(x(numbers), numbers, strict=True)
    )


def quantity(number: float, unit: str) -> tuple[float, str]:
    """What to divide values as large as this by, and the unit's name after that: (1e-6, ``µs``)."""
    if unit in ("s", "seconds"):
        return next(((size, name) for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")) if number >= size),
                    (1e-9, "ns"))
    if unit == "bytes":
        return next(((2.0**power, name) for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB"))
                     if number >= 2**power), (1.0, "B"))
    return 1.0, unit


def roomy(values: Array) -> tuple[float, float]:
    """Ends of an axis with some air beside these values, also where all are one."""
    low, high = float(values.min()), float(values.max())
    air = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    return low - air, high + air


def powers(low: float, high: float, most: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) between two positive ones, about evenly on a logarithmic axis."""
    decades = math.log10(high / low)
    factors = (1, 2, 5) if decades < 1.5 else (1,)
    every = max(1, math.ceil(decades / most))
    return [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) if power % every == 0
        for factor in factors if low <= factor * 10.0**power <= high
    ]
