from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from dashboards import figures


def _duel(ratio: float = 1.03, spread: float = 0.01, blocks: int = 14, **changes: object) -> str:
    random = np.random.default_rng(1)
    logs = np.log(ratio) + random.normal(0, spread, blocks)
    base = 1e-3 * np.exp(random.normal(0, 0.02, blocks))
    head = base * np.exp(logs)
    frame = pd.DataFrame({"started": np.arange(blocks) * 7.0, "log_ratio": logs, "base": base, "head": head})
    facts = {"low": ratio * 0.99, "high": ratio * 1.01, "margin": 0.01, "unit": "s", "name": "f"} | changes
    return figures.duel(frame, **facts)  # type: ignore[arg-type]


def _forest(ratios: list[float], labels: list[str] | None = None) -> str:
    frame = pd.DataFrame({
        "label": labels or [f"n{i}" for i in range(len(ratios))], "link": [f"#b{i}" for i in range(len(ratios))],
        "ratio": ratios, "low": [r * 0.99 for r in ratios], "high": [r * 1.01 for r in ratios],
        "verdict": ["faster" if r < 0.99 else "slower" if r > 1.01 else "same" for r in ratios]})
    return figures.forest(frame, margin=0.01, name="f")


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def test_every_block_is_a_point_in_both_panels() -> None:
    for blocks in (14, 40):  # more than there are ticks, which are drawn the same way
        uses = re.findall(r'<use href="#(f-m\w+)"', _duel(blocks=blocks))
        counts = sorted(uses.count(marker) for marker in set(uses))
        assert counts[-3:] == [blocks] * 3  # the ratio, base, head


@pytest.mark.parametrize(("ratio", "spread"), [(1.0, 0.0), (1e-6, 0.1), (1e6, 0.1), (1.0, 5.0), (0.3, 0.0)])
def test_any_ratio_and_any_spread_can_be_drawn(ratio: float, spread: float) -> None:
    ElementTree.fromstring(_duel(ratio, spread))
    ElementTree.fromstring(_duel(ratio, spread, low=1e-300, high=1e300))
    ElementTree.fromstring(_duel(ratio, spread, low=None, high=None, unit="objects"))


def test_ids_begin_with_the_figures_name() -> None:
    ids = re.findall(r' id="([^"]*)"', _duel(name="b7"))
    assert ids and all(name.startswith("b7-") for name in ids)


def test_colours_are_variables_and_fonts_are_the_pages() -> None:
    svg = _duel() + _forest([0.001, 1.0, 1.02])
    assert "#0102" not in svg and "font-family" not in svg
    assert not re.search(r"(?:fill|stroke): #", svg)


def test_a_second_panel_only_where_a_ratio_is_far_from_one() -> None:
    assert not any("logarithmic" in text for text in _texts(_forest([0.98, 1.0, 1.03])))
    assert any("logarithmic" in text for text in _texts(_forest([0.001, 1.0, 1.03])))


def test_labels_are_text_as_it_is() -> None:
    hostile = "<script>alert('$x$ & \\n')</script> 1.23456"
    svg = _forest([1.0, 1.0], [hostile, "line\nbreak"])
    assert hostile in _texts(svg) and "line break" in _texts(svg)


def test_a_long_label_keeps_both_ends() -> None:
    label = "a" * 50 + "b" * 50
    shown = next(text for text in _texts(_forest([1.0], [label])) if "…" in text)
    assert shown.startswith("aaa") and shown.endswith("bbb") and len(shown) <= 58


def test_labels_link_to_their_sections() -> None:
    svg = _forest([0.9, 1.0])
    assert 'href="#b0"' in svg and 'href="#b1"' in svg


def test_characters_missing_in_the_font_is_no_warning() -> None:
    assert "日本" in "".join(_texts(_forest([1.0], ["日本"])))
