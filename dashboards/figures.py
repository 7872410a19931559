"""Figures as SVG that belongs inside an HTML page. They take frames and arrays, and know nothing of a run.

Colours are CSS variables, so that a page's light and dark themes apply to its figures; the fallbacks are from
Okabe and Ito's palette, which colour-blind readers can tell apart. Shapes say the same as colours.
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.typing import RcKeyType

from dashboards.strips import Array, cut, within_sight

# matplotlib knows no CSS variables: it draws in stand-ins, and `_inline` puts the variables in their place.
INK, FAINT, BAND, FASTER, SLOWER, OTHER, BASE, HEAD = (f"#0102{i:02x}" for i in range(8))
_VARIABLES = {
    INK: "var(--ink, #222)", FAINT: "var(--faint, #888)", BAND: "var(--band, #999)",
    FASTER: "var(--faster, #0072b2)", SLOWER: "var(--slower, #d55e00)", OTHER: "var(--faint, #888)",
    BASE: "var(--base, #0072b2)", HEAD: "var(--head, #d55e00)",
}
_RC: dict[RcKeyType, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "lockstep", "text.parse_math": False, "font.size": 9,
    "text.color": INK, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlesize": 9, "axes.titlelocation": "left", "axes.unicode_minus": True,
}
_LOOKS = {"faster": (FASTER, "<", FASTER), "slower": (SLOWER, ">", SLOWER), "same": (OTHER, "s", OTHER),
          "undecided": (OTHER, "o", "none")}
_LABEL = 58
_NEAR = 5  # the forest's first panel reaches this many margins to each side
_WIDE = 3.0  # from this ratio between largest and smallest on, an axis is logarithmic


def forest(frame: pd.DataFrame, *, margin: float, name: str) -> str:
    """One line a row with its ratio and interval, first row on top.

    `frame` has the columns ``label``, ``link`` (where a click on the label leads), ``ratio``, ``low``, ``high``
    (head ÷ base, all above 0) and ``verdict`` (faster, slower, same, undecided). `margin` is a fraction, drawn
    as a band. No single axis shows both 1 % and 1000x: there is a panel near 1, in percent, with an arrow at its
    edge for what is outside, and where something is, a panel with all ratios on a logarithmic axis. `name`
    makes the ids unique on the page.
    """
    rows = len(frame)
    width, height = 9.2, 0.85 + 0.19 * rows
    numbers = frame[["ratio", "low", "high"]].to_numpy(dtype=float)
    labels = [cut(str(label), _LABEL) for label in frame["label"]]
    left = min(0.5, 0.02 + max(map(len, labels), default=0) * 0.075 / width)
    bottom, tall = 0.55 / height, 1 - 0.85 / height
    far = bool(np.abs(np.log(numbers[:, 0])).max(initial=0) > _NEAR * margin)
    with rc_context(_RC):
        figure = Figure(figsize=(width, height))
        share = (0.985 - left - 0.03) / 2 if far else 0.97 - left
        near = figure.add_axes((left, bottom, share, tall))
        _near_one(near, numbers, list(frame["verdict"]), margin)
        near.set_yticks(range(rows), labels, fontsize=8)
        for text, link in zip(near.get_yticklabels(), frame["link"], strict=True):
            text.set_url(str(link))
        if far:
            whole = figure.add_axes((left + share + 0.03, bottom, share, tall))
            _all_ratios(whole, numbers, list(frame["verdict"]))
            whole.set_yticks([])
        for axes in figure.axes:
            axes.set_ylim(rows - 0.4, -0.6)
            axes.tick_params(axis="y", length=0)
            axes.tick_params(axis="x", labeltop=rows > 20)
            axes.spines["left"].set_visible(False)
            axes.grid(axis="x", color=BAND, alpha=0.35, linewidth=0.5)
            axes.set_axisbelow(True)
        return _inline(figure, name=name, title=f"Ratio and interval of {rows} benchmarks")


def _near_one(axes: Axes, numbers: Array, verdicts: Sequence[str], margin: float) -> None:
    percents = 100 * (numbers - 1)
    edge = 100 * _NEAR * margin
    axes.axvspan(-100 * margin / (1 + margin), 100 * margin, color=BAND, alpha=0.25, linewidth=0)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    for y, (percent, verdict) in enumerate(zip(percents, verdicts, strict=True)):
        color, marker, face = _LOOKS[verdict]
        axes.plot(np.clip(percent[1:], -2 * edge, 2 * edge), [y, y], color=color, linewidth=1.6)
        if abs(percent[0]) > edge:
            outward = CARETLEFT if percent[0] < 0 else CARETRIGHT
            at = math.copysign(0.99 * edge, percent[0])
            axes.plot(at, y, marker=outward, color=color, markersize=5, clip_on=False)
        else:
            axes.plot(percent[0], y, marker=marker, color=color, markerfacecolor=face, markersize=4.5)
    axes.set_xlim(-edge, edge)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+g} %".replace("-", "−") if x else "0"))
    axes.set_xlabel("head − base: less is left, more is right")


def _all_ratios(axes: Axes, numbers: Array, verdicts: Sequence[str]) -> None:
    # The interval of very few blocks can reach anywhere; the axis is for the estimates.
    smallest, largest = min(1.0, numbers[:, 0].min()), max(1.0, numbers[:, 0].max())
    air = (largest / smallest) ** 0.06
    axes.set_xscale("log")
    axes.axvline(1, color=FAINT, linewidth=0.8)
    for y, (number, verdict) in enumerate(zip(numbers, verdicts, strict=True)):
        color, marker, face = _LOOKS[verdict]
        ends = np.clip(number[1:], smallest / air**2, largest * air**2)
        axes.plot(ends, [y, y], color=color, linewidth=1.6)
        axes.plot(number[0], y, marker=marker, color=color, markerfacecolor=face, markersize=4.5)
    axes.set_xlim(smallest / air, largest * air)
    _few_log_ticks(axes, "x", math.log10(largest / smallest))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}" if x >= 0.5 else f"1/{1 / x:,.0f}"))
    axes.set_xlabel("head ÷ base, logarithmic")


def duel(
    blocks: pd.DataFrame, *, low: float | None, high: float | None, margin: float, unit: str, name: str,
) -> str:
    """One benchmark's blocks: the ratio over time on the left, each arm's value per call on the right.

    `blocks` has a row a block in measured order with ``started`` (seconds since the run's first block),
    ``log_ratio``, ``base`` and ``head`` (values per call in `unit`). `low` and `high` bound the interval of the
    ratio, `margin` is a fraction; all three are drawn where they fall inside the picture. `name` makes the ids
    unique on the page.
    """
    with rc_context(_RC):
        figure = Figure(figsize=(9.2, 2.3))
        over_time = figure.add_axes((0.075, 0.21, 0.43, 0.67))
        values = figure.add_axes((0.585, 0.21, 0.385, 0.67))
        _over_time(over_time, blocks, low, high, margin)
        _values(values, blocks, unit)
        return _inline(figure, name=name, title=f"Ratio over time and value per call, {len(blocks)} blocks")


def _over_time(axes: Axes, blocks: pd.DataFrame, low: float | None, high: float | None, margin: float) -> None:
    started = blocks["started"].to_numpy(dtype=float)
    ratios = np.exp(blocks["log_ratio"].to_numpy(dtype=float))
    seen = within_sight(ratios, low, high)
    if max(seen) < 1.15 and min(seen) > 0.87:
        seen += [1 - margin, 1 + margin]
    bottom, top = min(seen), max(seen)
    wide = top / bottom > _WIDE
    pad = (top / bottom) ** 0.08 if wide else 0.08 * (top - bottom) or 0.001 * top
    if wide:
        axes.set_yscale("log")
        _few_log_ticks(axes, "y", math.log10(top / bottom))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylim(bottom / pad if wide else bottom - pad, top * pad if wide else top + pad)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.3g}" if wide or top < 0.1 else f"{y:.4g}"))
    if low is not None and high is not None:
        axes.axhspan(low, high, color=BAND, alpha=0.3, linewidth=0)
    for line, style in ((1.0, "-"), (1 + margin, ":"), (1 / (1 + margin), ":")):
        if axes.get_ylim()[0] <= line <= axes.get_ylim()[1]:
            axes.axhline(line, color=FAINT, linewidth=0.8, linestyle=style)
    axes.plot(started, ratios, "o", color=INK, markersize=3.2)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _room(axes, started)
    axes.set_xlabel("seconds since the run began")
    axes.set_title("head ÷ base, each block")


def _values(axes: Axes, blocks: pd.DataFrame, unit: str) -> None:
    arms: Sequence[tuple[str, str, str, float]] = (("base", "o", BASE, 1.0), ("head", "^", HEAD, 0.0))
    everything = blocks[["base", "head"]].to_numpy(dtype=float)
    wide = bool(everything.min() > 0 and everything.max() / everything.min() > _WIDE)
    factor, prefix = _scale(float(everything.max()), unit)
    if wide:
        axes.set_xscale("log")
        _few_log_ticks(axes, "x", math.log10(everything.max() / everything.min()))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _scaled(x / factor, unit)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.5g}"))
    # Height within a row is measured order, first block on top: a drift shows as a slope, and points do not hide
    # each other, without the randomness of jitter.
    spread = np.linspace(0.27, -0.27, len(blocks)) if len(blocks) > 1 else np.zeros(1)
    for arm, marker, color, row in arms:
        scaled = blocks[arm].to_numpy(dtype=float) * factor
        axes.plot(scaled, row + spread, marker, color=color, markersize=3.2)
        axes.plot([np.median(scaled)] * 2, [row - 0.38, row + 0.38], color=color, linewidth=1.4)
    axes.set_ylim(-0.5, 1.5)
    axes.set_yticks([1, 0], ["base", "head"])
    axes.tick_params(axis="y", length=0)
    if not wide:
        _room(axes, everything.ravel() * factor)
    axes.set_xlabel("value per call" if wide else f"{prefix} per call")
    axes.set_title("value per call, each block; lines are medians")


def _few_log_ticks(axes: Axes, which: str, decades: float) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if decades < 1.5 else (1.0,), numticks=5))
    axis.set_minor_locator(NullLocator())


def _room(axes: Axes, values: Array) -> None:
    """Limits with some air, also where all values are one."""
    low, high = float(values.min()), float(values.max())
    air = 0.04 * (high - low) or 0.01 * abs(high) or 1.0
    axes.set_xlim(low - air, high + air)


def _scale(largest: float, unit: str) -> tuple[float, str]:
    """What to multiply values by, and the unit's name after that."""
    if unit in ("s", "seconds"):
        for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
            if largest * factor >= 1:
                return factor, name
        return 1e9, "ns"
    if unit == "bytes":
        for power, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
            if largest >= 2**power:
                return 2.0**-power, name
    return 1.0, unit


def _scaled(value: float, unit: str) -> str:
    factor, name = _scale(value, unit)
    return f"{value * factor:.3g} {name}"


def _inline(figure: Figure, *, name: str, title: str) -> str:
    """The figure as an ``<svg>`` element that may stand beside others on one page.

    What matplotlib puts around it for a file of its own (XML header, metadata, a style sheet, which would apply to
    the whole page) is cut off; ids that nothing refers to are dropped and the others begin with `name`.
    """
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    stream = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser draws the text, with fonts of its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue()
    box = re.search(r'viewBox="([^"]*)"', svg)
    body = svg[svg.index("</defs>") + len("</defs>") : svg.rindex("</svg>")]
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:<use [^>]*href="|url\()#([\w.-]+)', body))
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name, used), body)
    body = re.sub(r">\s*\n\s*<", "><", body)
    # What is in an image is hidden from screen readers; links must not be.
    role = "group" if "<a " in body else "img"
    title = html.escape(title)
    return f'<svg viewBox="{box[1] if box else ""}" role="{role}" aria-label="{title}">{body.strip()}</svg>'


def _tag(tag: str, name: str, used: set[str]) -> str:
    """One tag of the figure's SVG with the page's ids and colours, and without what only costs room."""
    tag = re.sub(r" font-family: [^;\"]*;?", "", tag.replace("xlink:href", "href"))
    tag = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r'(<use [^>]*href="|url\()#([\w.-]+)', lambda m: f"{m[1]}#{name}-{m[2]}", tag)
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    for stand_in, variable in _VARIABLES.items():
        tag = tag.replace(stand_in, variable)
    return re.sub(r"\s+", " ", tag)
