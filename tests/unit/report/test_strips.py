"""Strip charts: what is drawn is where the numbers say."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import strips

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
    kinds = list(strips.SHAPES)
    svg = strips.history(runs(ratios, [kinds[(i + step) % 4] for i in range(len(ratios))]), margin=MARGIN, changes=())
    found = sorted(point for kind in kinds for point in drawn(svg, kind))
    assert len(found) == len(ratios)
    assert all(strips.TOP <= y <= strips.BOTTOM and strips.LEFT <= x <= strips.RIGHT for x, y in found)
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


def test_names_are_text_and_few() -> None:
    svg = strips.history(runs([1.0] * 90), margin=MARGIN, changes=())
    named = [one.text for one in ElementTree.fromstring(svg).iter("text") if "night" in (one.text or "")]
    assert len(named) == strips.LABELS and named[0] == "<night 0>" and named[-1] == "<night 89>"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_round_numbers_are_round_and_within(low: float, span: float) -> None:
    high = low + span
    if high - low < 1e-9 * abs(high):
        return  # the doubles between them are too few
    numbers = strips._round_numbers(low, high)
    assert 1 <= len(numbers) <= strips.TICKS + 2
    assert all(low - 1e-9 * span <= number <= high + 1e-9 * span for number in numbers)
    steps = np.diff(numbers)
    if len(steps):
        mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
        assert mantissa == pytest.approx(round(mantissa), rel=1e-3) and round(mantissa) in (1, 2, 5, 10)


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
