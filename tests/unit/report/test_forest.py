"""The forest plot: every ratio has a row, labels are links and text, and places are those of the axis."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from dashboards import axis
from dashboards.forest import Row, forest


def drawn(ratios: list[float], labels: list[str] | None = None) -> str:
    names = labels or [f"n{i}" for i in range(len(ratios))]
    return forest([Row(
        label=name, link=f"#b{i}", ratio=ratio, low=0.99 * ratio, high=1.01 * ratio,
        verdict="faster" if ratio < 0.99 else "slower" if ratio > 1.01 else "same",
    ) for i, (name, ratio) in enumerate(zip(names, ratios, strict=True))], margin=0.01)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def shapes(svg: str) -> list[tuple[float, float]]:
    paths = [one.get("d", "") for one in ElementTree.fromstring(svg).iter("path")
             if one.get("class") in ("faster", "slower", "same", "undecided")]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)", path)]


def test_one_axis_tells_9x_from_100_000x_and_one_per_cent_from_none() -> None:
    places = {y: x for x, y in shapes(drawn([1e-5, 1 / 9, 0.97, 1.0, 1.03, 28.0]))}
    xs = [places[y] for y in sorted(places)]
    assert xs == sorted(xs) and all(later - earlier > 8 for earlier, later in pairwise(xs))


@pytest.mark.parametrize("ratios", [[1.0], [1e-12, 1e12], [5e-324, 1.0], [1.0] * 40])
def test_any_ratios_can_be_drawn(ratios: list[float]) -> None:
    assert len(shapes(drawn(ratios))) == len(ratios)


def test_labels_are_links_and_text_as_it_is() -> None:
    hostile = "<script>alert('$x$ & \\n')</script> 1.23456"
    svg = drawn([1.0, 1.0, 1.0], [hostile, "line\nbreak", "日本"])
    assert {hostile, "line break", "日本"} <= set(texts(svg))
    assert 'href="#b0"' in svg and 'href="#b2"' in svg and 'role="group"' in svg


def test_a_long_label_keeps_both_ends() -> None:
    shown = next(text for text in texts(drawn([1.0], ["a" * 50 + "b" * 50])) if "…" in text)
    assert shown.startswith("aaa") and shown.endswith("bbb") and len(shown) <= 54


def test_the_axis_is_written_on_top_too_where_the_plot_is_long() -> None:
    zero = axis.label(1.0)
    assert texts(drawn([1.0] * 10)).count(zero) == 1 and texts(drawn([1.0] * 30)).count(zero) == 2
