"""The forest plot: the ratios of a whole run with their intervals, one below the other, on one axis."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dashboards import drawing
from dashboards.axis import Array, around
from dashboards.drawing import Frame, Ratios
from dashboards.strips import cut

WIDTH = 920
LABELS = 375
"""Width of the part with the names."""
ROW, EDGE = 17, 24
"""Height of a row, and of the axis above and below."""
LETTERS = 54
"""Most letters of a name."""
MARKS = 9
"""About as many places of the axis are marked."""


class Row(NamedTuple):
    """One benchmark."""

    label: str
    link: str
    """Where a click on the label leads."""
    ratio: float
    low: float
    high: float
    """Head ÷ base, above 0."""
    verdict: str
    """faster, slower, same or undecided."""


def forest(rows: Sequence[Row], *, margin: float) -> str:
    """One line a row with its ratio and interval, first row on top; `margin` is a fraction, drawn as a band."""
    place = Frame(left=LABELS, right=WIDTH - 36, top=EDGE, bottom=EDGE + ROW * max(len(rows), 1))
    # The interval of very few blocks can reach anywhere; the axis is for the estimates.
    x = Ratios(axis=around((row.ratio for row in rows), margin), start=place.left + 6, end=place.right)
    low, at, high = x(np.array([(row.low, row.ratio, row.high) for row in rows]).reshape(-1, 3)).T
    y: Array = np.asarray(place.top + ROW * (np.arange(len(rows)) + 0.5))
    left, right = x([1 / (1 + margin), 1 + margin])
    verdicts = np.array([row.verdict for row in rows], dtype=object)
    parts = [
        f'<rect class="band" x="{left:.1f}" y="{place.top}" width="{right - left:.1f}" '
        f'height="{place.bottom - place.top}"/>',
        *_axis(place, x, twice=len(rows) > 20), *_intervals(low, high, y, verdicts), *drawing.shapes(at, y, verdicts),
        *(f'<a href="{html.escape(row.link)}">'
          f'{drawing.text(place.left - 8, of + 4, cut(row.label, LETTERS), "end")}</a>'
          for row, of in zip(rows, y, strict=True)),
    ]
    return drawing.picture(parts, kind="strip forest", size=(WIDTH, place.bottom + EDGE), role="group",
                           title=f"Ratio and interval of {len(rows)} benchmarks")


def _axis(place: Frame, x: Ratios, *, twice: bool) -> list[str]:
    ticks = x.axis.ticks(MARKS)
    places = x([number for number, _ in ticks])
    parts = [f'<path class="grid" d="{"".join(f"M{at:.1f} {place.top}V{place.bottom}" for at in places)}"/>',
             f'<path class="one" d="M{float(x(1.0)):.1f} {place.top}V{place.bottom}"/>']
    for height in (place.bottom + 16, place.top - 8)[: 1 + twice]:
        parts += [drawing.text(at, height, words) for at, (_, words) in zip(places, ticks, strict=True)]
    return parts


def _intervals(low: Array, high: Array, y: Array, verdicts: NDArray[np.object_]) -> list[str]:
    found = []
    for verdict in drawing.SHAPES:
        those = verdicts == verdict
        if those.any():
            lines = "".join(f"M{a:.1f} {of:.1f}H{b:.1f}"
                            for a, b, of in zip(low[those], high[those], y[those], strict=True))
            found.append(f'<path class="interval {verdict}" d="{lines}"/>')
    return found
