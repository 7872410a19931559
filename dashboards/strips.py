"""Strip charts as SVG that belongs inside an HTML page: a benchmark's ratios, run by run or block by block.

Written as text, for a night makes two hundred of them: matplotlib, which draws the figures of the reports, takes 0.1 s
for each (docs/decisions/0012). Shapes and colours are those of `figures.forest`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH, HEIGHT = 920, 215
LEFT, RIGHT, TOP, BOTTOM = 66, 912, 8, 180
"""Edges of the part with the points, in the units of the picture."""
TICKS = 5
LABELS, LONGEST = 5, 22
"""Runs that are named below the axis, and the letters of a name."""
SHAPES = {
    "faster": "m3-4v8l-7-4z", "slower": "m-3-4v8l7-4z", "same": "m-2.5-2.5h5v5h-5z",
    "undecided": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
}
"""Verdict to its shape, drawn from the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """From the numbers of an axis to places in the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, numbers: Array) -> Array:
        share = (np.clip(numbers, self.low, self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def history(points: pd.DataFrame, *, margin: float, changes: Sequence[int]) -> str:
    """One benchmark's ratio to its anchor through its runs, oldest first.

    `points` has a row a run with ``ratio``, ``low``, ``high`` (head ÷ base, above 0), ``verdict`` and ``label`` (of the
    build), evenly spaced: what matters is what came after what. `margin` is a fraction, drawn as a band; `changes` are
    the rows before which the level changed, drawn as lines.
    """
    percent = 100 * (points[["ratio", "low", "high"]].to_numpy(dtype=float) - 1)
    # The interval of very few blocks can reach anywhere; the axis is for the estimates.
    y = _vertical(min(-150 * margin, percent[:, 0].min()), max(150 * margin, percent[:, 0].max()))
    x = _Scale(low=-0.6, high=len(points) - 0.4, start=LEFT, end=RIGHT)
    at = np.arange(len(points), dtype=float)
    parts = [
        _band(y, -100 * margin / (1 + margin), 100 * margin), _ticks(y, lambda number: f"{number:+.6g} %"),
        _line("one", y, 0.0), _bars(x(at), y(percent[:, 1]), y(percent[:, 2])),
        *_shapes(x(at), y(percent[:, 0]), points["verdict"].to_numpy()),
        *(f'<path class="step" d="M{place:.1f} {TOP}V{BOTTOM}"/>' for place in x(np.array(changes, dtype=float) - 0.5)),
        *_names(x(at), list(points["label"])),
    ]
    return _picture(parts, f"Ratio to the anchor in {len(points)} runs")


def blocks(points: pd.DataFrame, *, low: float | None, high: float | None, margin: float) -> str:
    """One benchmark's blocks in one run: the ratio over time, and at the right edge how it is distributed.

    `points` has a row a block with ``started`` (seconds since the run's first block) and ``log_ratio``. `low` and
    `high` bound the interval of the ratio, drawn as a band; `margin` is a fraction, drawn dotted to either side of 1.
    """
    started = points["started"].to_numpy(dtype=float)
    ratios = np.exp(points["log_ratio"].to_numpy(dtype=float))
    seen = within_sight(ratios, low, high)
    y = _vertical(min(seen), max(seen))
    x = _Scale(low=min(0.0, started.min()), high=max(started.max(), 1e-9), start=LEFT + 8, end=RIGHT - 30)
    seconds = _round_numbers(x.low, x.high)
    parts = [
        _band(y, low, high) if low is not None and high is not None else "", _ticks(y, lambda number: f"{number:.6g}"),
        *(_line(kind, y, place) for kind, place in (("one", 1.0), ("margin", 1 + margin), ("margin", 1 / (1 + margin)))
          if y.low < place < y.high),
        *_shapes(x(started), y(ratios), np.full(len(ratios), "same")),
        f'<path class="interval" d="{"".join(f"M{RIGHT - 14} {place:.1f}h14" for place in y(ratios))}"/>',
        *(f'<text x="{place:.1f}" y="{BOTTOM + 17}" text-anchor="middle">{number:.6g} s</text>'
          for place, number in zip(x(np.array(seconds)), seconds, strict=True)),
    ]
    return _picture(parts, f"Ratio of {len(points)} blocks over the run's time")


def within_sight(ratios: Array, low: float | None, high: float | None) -> list[float]:
    """What an axis of blocks has to show: their ratios, and the interval's bounds as far as those are near.

    The interval of very few blocks can reach anywhere; the axis is for the blocks.
    """
    span = max(1.02, ratios.max() / ratios.min())
    nearby = (ratios.min() / span**2, ratios.max() * span**2)
    return [*ratios, *(float(np.clip(bound, *nearby)) for bound in (low, high) if bound is not None)]


def cut(text: str, most: int) -> str:
    """One line of at most `most` characters; what is left out is in the middle, where names differ least."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most // 2]}…{flat[-(most // 2 - 1) :]}"


def _vertical(low: float, high: float) -> _Scale:
    room = 0.12 * (high - low) or 0.01 * abs(high) or 1.0
    return _Scale(low=low - room, high=high + room, start=BOTTOM, end=TOP)


def _round_numbers(low: float, high: float) -> list[float]:
    """About `TICKS` numbers between these, 1, 2 or 5 times a power of ten apart."""
    least = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * least)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _ticks(y: _Scale, text: Callable[[float], str]) -> str:
    numbers = _round_numbers(y.low, y.high)
    texts = [text(number).replace("-", "\N{MINUS SIGN}") if number else "0" for number in numbers]
    return "".join(
        f'<text x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{told}</text>'
        for told, place in zip(texts, y(np.array(numbers)), strict=True)
    )


def _line(kind: str, y: _Scale, number: float) -> str:
    return f'<path class="{kind}" d="M{LEFT} {float(y(np.array(number))):.1f}H{RIGHT}"/>'


def _band(y: _Scale, low: float, high: float) -> str:
    bottom, top = y(np.array([low, high]))
    return f'<rect class="band" x="{LEFT}" y="{top:.1f}" width="{RIGHT - LEFT}" height="{bottom - top:.1f}"/>'


def _bars(x: Array, bottom: Array, top: Array) -> str:
    lines = "".join(f"M{at:.1f} {one:.1f}V{other:.1f}" for at, one, other in zip(x, bottom, top, strict=True))
    return f'<path class="interval" d="{lines}"/>'


def _shapes(x: Array, y: Array, verdicts: NDArray[np.object_]) -> list[str]:
    found = []
    for verdict, shape in SHAPES.items():
        those = verdicts == verdict
        if those.any():
            drawn = "".join(f"M{at:.1f} {of:.1f}{shape}" for at, of in zip(x[those], y[those], strict=True))
            found.append(f'<path class="{verdict}" d="{drawn}"/>')
    return found


def _names(x: Array, labels: Sequence[str]) -> list[str]:
    shown = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), LABELS)).round().astype(int))
    anchors = {0: "start", len(labels) - 1: "end"} if len(labels) > 1 else {}
    return [
        f'<text x="{x[i]:.1f}" y="{BOTTOM + 17}" text-anchor="{anchors.get(i, "middle")}">'
        f"{html.escape(cut(str(labels[i]), LONGEST))}</text>" for i in shown
    ]


def _picture(parts: Sequence[str], title: str) -> str:
    return f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
