"""Figures as files, for an issue, a paper or slides, by matplotlib. Pages draw theirs as text: docs/decisions/0012.

Colours are from Okabe and Ito's palette, which colour-blind readers can tell apart; shapes say the same as colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from dashboards.axis import Array, Axis, around, place, ratio, through
from dashboards.forest import Row
from dashboards.strips import cut

FORMATS = (".pdf", ".png", ".svg")
"""What a figure can be written as: endings of a file's name."""
LETTERS = 70
"""Most letters of a benchmark's name."""
ROW, PANEL, WIDTH, EDGE = 0.19, 2.2, 9.2, 1.0
"""Inches: height of a row and of a panel, width of the figure, height of title and axis."""
NEAR = 0.01
"""Fraction up to which an axis of `versions` counts in per cent."""
DOTS = 160
"""Of a PNG, per inch."""
_LOOKS = {
    "faster": ("#0072b2", "<"), "slower": ("#d55e00", ">"), "same": ("#777777", "s"), "undecided": ("#777777", "o"),
}
_LINES = (("#d55e00", "s"), ("#0072b2", "o"), ("#009e73", "^"))
"""Colour and shape of each line of `versions`."""
_RC: dict[RcKeyType, Any] = {
    "svg.hashsalt": "lockstep", "text.parse_math": False, "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "axes.titlesize": 9, "axes.titlelocation": "left",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A version's place in a line of `versions`."""

    version: str
    ratio: float
    """With the ends of its interval."""
    low: float
    high: float


def forest(rows: Sequence[Row], *, margin: float, title: str) -> Figure:
    """One line a row with its ratio and interval, first row on top, on the axis that pages have.

    `margin` is a fraction, drawn as a band. What an interval has beyond the axis is cut off. Raises ValueError for no
    rows.
    """
    if not rows:
        raise ValueError("a forest plot needs a row")
    height = EDGE + ROW * len(rows)
    scale = around((row.ratio for row in rows), margin)
    with rc_context(_RC):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.47, 0.55 / height, 0.5, 1 - EDGE / height))
        _axis(axes, scale, "x")
        axes.axvspan(1 / (1 + margin), 1 + margin, color="#999999", alpha=0.25, linewidth=0)
        axes.axvline(1, color="#777777", linewidth=0.8)
        for verdict, (color, marker) in _LOOKS.items():
            own = [(y, row) for y, row in enumerate(rows) if row.verdict == verdict]
            face = "none" if verdict == "undecided" else color
            low, high = (_within([getattr(row, end) for _, row in own], scale) for end in ("low", "high"))
            heights = [y for y, _ in own]
            axes.hlines(heights, low, high, color=color, linewidth=1.6)
            axes.plot([row.ratio for _, row in own], heights, marker, color=color, markerfacecolor=face, markersize=4.5)
        axes.set_yticks(range(len(rows)), [cut(row.label, LETTERS) for row in rows], fontsize=7)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("head ÷ base: less is left, more is right")
        figure.suptitle(title, x=0.01, y=1 - 0.12 / height, ha="left", va="top", fontsize=9)
    return figure


def versions(panels: Mapping[str, Mapping[str, Sequence[Mark]]], *, title: str) -> Figure:
    """Ratios through versions: a panel for each workload, by its title, in which each of up to three kinds has a line.

    Versions lie side by side in the order in which the panels first have them. Raises ValueError for no marks.
    """
    every = [mark for lines in panels.values() for marks in lines.values() for mark in marks]
    if not every:
        raise ValueError("a figure of versions needs a mark")
    places = {version: at for at, version in enumerate(dict.fromkeys(mark.version for mark in every))}
    height = EDGE + PANEL * len(panels)
    with rc_context(_RC):
        figure = Figure(figsize=(WIDTH, height))
        drawn = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for axes, (name, lines) in zip(drawn, panels.items(), strict=True):
            ends = [end for marks in lines.values() for mark in marks for end in (mark.low, mark.high)]
            _axis(axes, through(ends, NEAR), "y")
            axes.axhline(1, color="#777777", linewidth=0.8)
            for (kind, marks), (color, marker) in zip(lines.items(), _LINES, strict=False):
                at = [places[mark.version] for mark in marks]
                axes.vlines(at, [mark.low for mark in marks], [mark.high for mark in marks], color=color, linewidth=1.6)
                axes.plot(at, [mark.ratio for mark in marks], marker=marker, color=color, markersize=4.5, label=kind)
            axes.set_title(name)
        drawn[0].legend(frameon=False, fontsize=8)
        drawn[-1].set_xticks(list(places.values()), list(places))
        figure.suptitle(title, x=0.01, y=1 - 0.12 / height, ha="left", va="top", fontsize=9)
    return figure


def write(figure: Figure, file: Path) -> None:
    """Write a figure in the format that the file's name ends with, one of `FORMATS`. Raises OSError."""
    with rc_context(_RC):
        # Without the date: the same numbers are the same file.
        metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(file.suffix)
        figure.savefig(file, dpi=DOTS, metadata=metadata)


def _axis(axes: Axes, scale: Axis, of: Literal["x", "y"]) -> None:
    """Give the axis of ratios, which is one `of` the two, the places of `dashboards.axis`."""
    getattr(axes, f"set_{of}scale")("function", functions=(
        lambda numbers: place(np.maximum(numbers, 1 / 1e12), scale.near), lambda places: ratio(places, scale.near)))
    getattr(axes, f"set_{of}lim")(scale.low, scale.high)
    ticks = scale.ticks(7)
    drawn = axes.xaxis if of == "x" else axes.yaxis
    drawn.set_ticks([number for number, _ in ticks], [text for _, text in ticks])
    drawn.set_ticks([], minor=True)
    axes.grid(axis=of, color="#999999", alpha=0.35, linewidth=0.5)
    axes.set_axisbelow(True)


def _within(numbers: Sequence[float], scale: Axis) -> Array:
    return np.asarray(np.clip(np.asarray(numbers, dtype=float), scale.low, scale.high))
