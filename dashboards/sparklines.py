"""The course of a ratio in the size of a word: SVG written as text, for an index holds hundreds of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dashboards import axis

Array = NDArray[np.float64]

WIDTH, HEIGHT, AIR = 96, 18, 3
LONGEST = 40
"""Runs that are drawn, from the last."""


def course(ratios: Array, margin: float) -> str:
    """Ratios (head ÷ base, above 0; NaN for none), oldest first, as a line; empty for fewer than two of them.

    `margin` is a fraction. The height is the line's own range and not that of its neighbours: it shows when something
    happened, and the number beside it how much. Where no difference lies within it, that is a line too. It says nothing
    that the number and the benchmark's page do not: screen readers pass over it.
    """
    drawn = ratios[np.isfinite(ratios)][-LONGEST:]
    if drawn.size < 2:
        return ""
    own = axis.through(drawn, margin)
    x = np.linspace(AIR, WIDTH - AIR, drawn.size).round().astype(int).tolist()
    y = (HEIGHT - AIR - (HEIGHT - 2 * AIR) * own([*drawn, 1.0])).round(1).tolist()
    line = "L".join(f"{at} {of:g}" for at, of in zip(x, y[:-1], strict=True))
    one = "" if own.beyond(1.0) else f'<path class="one" d="M0 {y[-1]:g}H{WIDTH}"/>'
    return (f'<svg class="course" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{one}<path d="M{line}"/>'
            f'<circle cx="{x[-1]}" cy="{y[-2]:g}" r="2"/></svg>')
