"""Strip charts: what is drawn is where the numbers say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import drawing, strips

MARGIN = 0.01


def runs(ratios: list[float], verdicts: list[str] | None = None) -> pd.DataFrame:
    verdicts = verdicts or ["same"] * len(ratios)
    return pd.DataFrame({
        "ratio": ratios, "low": [0.99 * ratio for ratio in ratios], "high": [1.01 * ratio for ratio in ratios],
        "verdict": verdicts, "label": [f"<night {number}>" for number in range(len(ratios))],
    })


def drawn(svg: str, kind: str) -> list[tuple[float, float]]:
    """Where the shapes of one kind begin, in document order."""
    paths = [one.get("d", "") for one in ElementTree.fromstring(svg).iter("path") if one.get("class") == kind]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)", path)]


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=30), st.integers(0, 3))
def test_every_run_is_a_shape_and_higher_means_slower(ratios: list[float], step: int) -> None:
    kinds = list(drawing.SHAPES)
    svg = strips.history(runs(ratios, [kinds[(i + step) % 4] for i in range(len(ratios))]), margin=MARGIN, changes=())
    found = sorted(point for kind in kinds for point in drawn(svg, kind))
    frame = strips.WHOLE
    assert len(found) == len(ratios)
    assert all(frame.top <= y <= frame.bottom and frame.left <= x <= frame.right for x, y in found)
    for (_, y), (_, other), ratio, next_ratio in zip(found, found[1:], ratios, ratios[1:], strict=False):
        if ratio < next_ratio:
            assert other <= y


def test_a_change_is_drawn_between_its_runs() -> None:
    svg = strips.history(runs([1.0] * 4 + [1.1] * 4), margin=MARGIN, changes=(4,))
    places = [x for x, _ in drawn(svg, "same")]
    ((line, _),) = drawn(svg, "step")
    assert places[3] < line < places[4]


def test_the_interval_reaches_from_bound_to_bound() -> None:
    svg = strips.history(runs([1.0, 1.02]), margin=MARGIN, changes=())
    (path,) = (one for one in ElementTree.fromstring(svg).iter("path") if one.get("class") == "interval")
    first = re.match(r"M([\d.]+) ([\d.]+)V([\d.]+)", path.get("d", ""))
    assert first is not None
    (x, y), *_ = drawn(svg, "same")
    assert float(first[1]) == x and float(first[3]) < y < float(first[2])


def test_the_noise_is_two_lines_interrupted_where_it_is_not_known() -> None:
    noise = np.array([[0.99, 1.01]] * 4 + [[np.nan, np.nan]] * 2 + [[1.09, 1.11]] * 4)
    svg = strips.history(runs([1.0] * 4 + [1.05] * 2 + [1.1] * 4), margin=MARGIN, changes=(4, 6), noise=noise)
    edges = [one.get("d", "") for one in ElementTree.fromstring(svg).iter("path") if one.get("class") == "noise-edge"]
    assert [(path.count("M"), path.count("L")) for path in edges] == [(2, 6), (2, 6)]
    assert "noise-edge" not in strips.history(runs([1.0] * 4), margin=MARGIN, changes=(), noise=np.full((4, 2), np.nan))


def test_names_are_text_and_few() -> None:
    svg = strips.history(runs([1.0] * 90), margin=MARGIN, changes=())
    named = [one.text for one in ElementTree.fromstring(svg).iter("text") if "night" in (one.text or "")]
    assert len(named) == strips.LABELS and named[0] == "<night 0>" and named[-1] == "<night 89>"


def test_blocks_are_shapes_over_time_with_their_distribution_beside() -> None:
    points = pd.DataFrame({"started": [0.0, 10.0, 20.0], "log_ratio": [0.0, 0.01, 0.02]})
    svg = strips.blocks(points, low=1.005, high=1.015, margin=MARGIN)
    (one, two, three) = drawn(svg, "same")
    assert one[0] < two[0] < three[0] and one[1] > two[1] > three[1]
    rug = drawn(svg, "interval")
    assert [y for _, y in rug] == [y for _, y in (one, two, three)]
    assert "band" in svg and "20 s" in svg


def test_a_single_block_that_is_all_there_is() -> None:
    svg = strips.blocks(pd.DataFrame({"started": [0.0], "log_ratio": [0.0]}), low=None, high=None, margin=MARGIN)
    assert len(drawn(svg, "same")) == 1


def duel(ratio: float = 1.03, spread: float = 0.01, blocks: int = 14, **changes: object) -> str:
    random = np.random.default_rng(1)
    logs = np.log(ratio) + random.normal(0, spread, blocks)
    base = 1e-3 * np.exp(random.normal(0, 0.02, blocks))
    frame = pd.DataFrame({"started": np.arange(blocks) * 7.0, "log_ratio": logs, "base": base,
                          "head": base * np.exp(logs)})
    facts = {"low": ratio * 0.99, "high": ratio * 1.01, "margin": MARGIN, "unit": "s"} | changes
    return strips.duel(frame, **facts)  # type: ignore[arg-type]


def test_every_block_of_a_duel_is_a_point_in_both_panels_and_each_arm_has_a_median() -> None:
    for blocks in (2, 14, 160):
        svg = duel(blocks=blocks)
        assert len(drawn(svg, "same")) == len(drawn(svg, "dots base")) == len(drawn(svg, "dots head")) == blocks
        assert len(drawn(svg, "median base")) == len(drawn(svg, "median head")) == 1


@pytest.mark.parametrize(("ratio", "spread"), [(1.0, 0.0), (1e-6, 0.1), (1e6, 0.1), (1.0, 5.0), (0.3, 0.0)])
def test_any_ratio_and_any_spread_can_be_drawn(ratio: float, spread: float) -> None:
    for svg in (duel(ratio, spread), duel(ratio, spread, low=1e-300, high=1e300),
                duel(ratio, spread, low=None, high=None, unit="objects")):
        assert "nan" not in svg and "inf" not in svg
        ElementTree.fromstring(svg)


def test_values_are_told_in_their_unit() -> None:
    assert " ms<" in duel() and "µs" in duel(1e-3)
    assert " objects<" in duel(unit="objects")


def test_colours_and_fonts_are_the_pages() -> None:
    svg = duel()
    assert "#" not in svg and "font" not in svg and "style" not in svg
