"""Figures of one benchmark: its ratios run by run, or block by block with each arm's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dashboards import drawing
from dashboards.axis import Array, round_numbers, through
from dashboards.drawing import Frame, Ratios, Straight

if TYPE_CHECKING:
    import pandas as pd

WIDTH, HEIGHT = 920, 215
WHOLE = Frame(left=66, right=912, top=8, bottom=180)
LEFT, RIGHT = Frame(left=66, right=470, top=24, bottom=180), Frame(left=560, right=905, top=24, bottom=180)
"""The two panels of `duel`."""
LABELS, LONGEST = 5, 22
"""Runs that are named below the axis, and the letters of a name."""
WIDE = 3.0
"""From this ratio between largest and smallest on, an axis of values is logarithmic."""


def history(
    points: pd.DataFrame, *, margin: float, changes: Sequence[int], noise: Array | None = None
) -> str:
    """One benchmark's ratio to its anchor through its runs, oldest first.

    `points` has a row a run with ``ratio``, ``low``, ``high`` (head ÷ base, above 0), ``verdict`` and ``label`` (of the
    build), evenly spaced: what matters is what came after what. `margin` is a fraction, drawn as a band; `changes` are
    the rows before which the level changed, drawn as lines. `noise` has a row a run: the two ratios between which the
    benchmark lies of its own accord (NaN: not known), drawn as lines.
    """
    # The interval of very few blocks can reach anywhere; the axis is for the estimates.
    frame = WHOLE
    ratio, low, high = (points[name].to_numpy(dtype=float) for name in ("ratio", "low", "high"))
    y = Ratios(axis=through(ratio, margin), start=frame.bottom, end=frame.top)
    x = Straight(low=-0.6, high=len(points) - 0.4, start=frame.left, end=frame.right)
    at = x(np.arange(len(points)))
    parts = [
        drawing.band(frame, y, 1 / (1 + margin), 1 + margin), drawing.ratio_ticks(frame, y), _one(frame, y),
        drawing.upright("interval", at, y(low), y(high)),
        *(() if noise is None else _edges(at, y, noise, changes)),
        *drawing.shapes(at, y(ratio), points["verdict"].to_numpy(dtype=object)),
        *(f'<path class="step" d="M{place:.1f} {frame.top}V{frame.bottom}"/>'
          for place in x(np.array(changes, dtype=float) - 0.5)),
        *_names(frame, at, list(points["label"])),
    ]
    return _picture(parts, f"Ratio to the anchor in {len(points)} runs")


def _edges(at: Array, y: Ratios, noise: Array, changes: Sequence[int]) -> list[str]:
    """Both edges of the noise, run by run, interrupted where it is not known and where the level changes."""
    found = []
    for edge in noise.T:
        known = np.isfinite(edge)
        places = y(np.where(known, edge, 1.0))
        drawn = "".join(
            f"{'L' if number and known[number - 1] and number not in changes else 'M'}"
            f"{at[number]:.1f} {places[number]:.1f}"
            for number in np.flatnonzero(known)
        )
        found.append(f'<path class="noise-edge" d="{drawn}"/>' if drawn else "")
    return found


def blocks(points: Mapping[str, Array], *, low: float | None, high: float | None, margin: float) -> str:
    """One benchmark's blocks in one run: the ratio over time, and at the right edge how it is distributed.

    `points` has for each block ``started`` (seconds since the run's first block) and ``log_ratio``. `low` and
    `high` bound the interval of the ratio, drawn as a band; `margin` is a fraction, drawn dotted to either side of 1.
    """
    parts = _over_time(WHOLE, points, low, high, margin)
    return _picture(parts, f"Ratio of {len(points['started'])} blocks over the run's time")


def duel(
    points: Mapping[str, Array], *, low: float | None, high: float | None, margin: float, unit: str
) -> str:
    """One benchmark's blocks: the ratio over time as in `blocks`, and beside it each arm's value per call.

    `points` also has ``base`` and ``head``: values per call in `unit`.
    """
    parts = [
        drawing.text(LEFT.left, 14, "head ÷ base, each block", "start"),
        *_over_time(LEFT, points, low, high, margin),
        drawing.text(RIGHT.left, 14, "value per call, each block; lines are medians", "start"),
        *_values(RIGHT, points, unit),
    ]
    return _picture(parts, f"Ratio over time and value per call, {len(points['started'])} blocks")


def _over_time(
    frame: Frame, points: Mapping[str, Array], low: float | None, high: float | None, margin: float
) -> list[str]:
    started = np.asarray(points["started"], dtype=float)
    ratios = np.exp(np.asarray(points["log_ratio"], dtype=float))
    y = Ratios(axis=through(within_sight(ratios, low, high), margin), start=frame.bottom, end=frame.top)
    first, last = min(0.0, float(started.min())), max(float(started.max()), 1e-9)
    x = Straight(low=first, high=last, start=frame.left + 8, end=frame.right - 30)
    places = y(ratios)
    return [
        drawing.band(frame, y, low, high) if low is not None and high is not None else "",
        drawing.ratio_ticks(frame, y), _one(frame, y),
        *(drawing.across("margin", frame, float(y(place))) for place in (1 + margin, 1 / (1 + margin))
          if y.axis.low < place < y.axis.high),
        *drawing.shapes(x(started), places, np.full(len(ratios), "same", dtype=object)),
        f'<path class="interval" d="{"".join(f"M{frame.right - 14:g} {place:.1f}h14" for place in places)}"/>',
        drawing.under(frame, x, "s"),
    ]


def _values(frame: Frame, points: Mapping[str, Array], unit: str) -> list[str]:
    everything = np.column_stack((points["base"], points["head"])).astype(float)
    smallest, largest = float(everything.min()), float(everything.max())
    if smallest > 0 and largest / smallest > WIDE:
        low, high = smallest / 1.1, largest * 1.1
        x = Straight(low=float(np.log(low)), high=float(np.log(high)), start=frame.left, end=frame.right)
        ticks = [(float(np.log(number)), _told(number, unit)) for number in drawing.powers(low, high, 5)]
        values = np.log(everything)
    else:
        size, name = drawing.quantity(largest, unit)
        values = everything / size
        low, high = drawing.roomy(values)
        x = Straight(low=low, high=high, start=frame.left, end=frame.right)
        ticks = [(number, f"{number:.6g} {name}".rstrip()) for number in round_numbers(low, high, 4)]
    parts = [drawing.text(float(x(number)), frame.bottom + 17, words) for number, words in ticks]
    # Height within a row is measured order, first block on top: a drift shows as a slope, and points do not hide
    # each other, without the randomness of jitter.
    tall = (frame.bottom - frame.top) / 2
    for number, arm in enumerate(("base", "head")):
        middle = frame.top + tall * (number + 0.5)
        spread = np.linspace(-0.3, 0.3, len(everything)) if len(everything) > 1 else np.zeros(1)
        places = x(values[:, number])
        dots = "".join(f"M{at:.1f} {of:.1f}h0" for at, of in zip(places, middle + tall * spread, strict=True))
        median = float(x(np.median(values[:, number])))
        parts += [
            drawing.text(frame.left - 8, middle + 4, arm, "end"), f'<path class="dots {arm}" d="{dots}"/>',
            f'<path class="median {arm}" d="M{median:.1f} {middle - 0.4 * tall:.1f}v{0.8 * tall:.1f}"/>',
        ]
    return parts


def _told(number: float, unit: str) -> str:
    size, name = drawing.quantity(number, unit)
    return f"{number / size:.3g} {name}".rstrip()


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


def _one(frame: Frame, y: Ratios) -> str:
    """The line of no difference, where it is in sight."""
    return drawing.across("one", frame, float(y(1.0))) if y.axis.low <= 1 <= y.axis.high else ""


def _names(frame: Frame, x: Array, labels: Sequence[str]) -> list[str]:
    shown = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), LABELS)).round().astype(int))
    anchors = {0: "start", len(labels) - 1: "end"} if len(labels) > 1 else {}
    return [
        drawing.text(x[i], frame.bottom + 17, cut(str(labels[i]), LONGEST), anchors.get(int(i), "middle"))
        for i in shown
    ]


def _picture(parts: Sequence[str], title: str) -> str:
    return drawing.picture(parts, kind="strip", size=(WIDTH, HEIGHT), title=title)
