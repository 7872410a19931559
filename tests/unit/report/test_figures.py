from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import report_samples as samples

from dashboards import figures
from dashboards.axis import around
from dashboards.forest import Row
from runner.errors import MachineError, UsageError
from runner.report import as_figure

RATIOS = (1e-5, 0.5, 0.97, 1.0, 1.003, 1.4, 27.9)


def rows() -> list[Row]:
    verdicts = ["faster", "faster", "faster", "same", "undecided", "slower", "slower"]
    return [Row(label=f"time_{ratio:g}", link="", ratio=ratio, low=ratio / 1.01, high=ratio * 1.01, verdict=verdict)
            for ratio, verdict in zip(RATIOS, verdicts, strict=True)]


def test_each_ratio_is_where_the_axis_of_the_pages_has_it() -> None:
    (axes,) = figures.forest(rows(), margin=0.01, title="").axes
    box, scale = axes.get_window_extent(), around(RATIOS, 0.01)
    drawn = {y: axes.transData.transform((x, y))[0] for line in axes.lines if line.get_marker() in "<>so"
             for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    shares = [(drawn[y] - box.x0) / box.width for y in range(len(RATIOS))]
    assert np.allclose(shares, scale(RATIOS), atol=1e-6)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [text for _, text in scale.ticks(7)]


def test_an_interval_that_reaches_anywhere_is_cut_off_at_the_edge() -> None:
    wide = [Row(label="a", link="", ratio=1.0, low=0.0, high=float("inf"), verdict="undecided")]
    (axes,) = figures.forest(wide, margin=0.01, title="").axes
    (segment,) = [segment for lines in axes.collections for segment in lines.get_segments()]
    assert tuple(segment[:, 0]) == pytest.approx(axes.get_xlim())


@pytest.mark.parametrize("ending", figures.FORMATS)
def test_a_report_is_a_picture_that_is_the_same_every_time(tmp_path: Path, ending: str) -> None:
    files = [tmp_path / f"{number}{ending}" for number in (1, 2)]
    for file in files:
        as_figure.write(samples.report(), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second and len(first) > 5000
    if ending == ".svg":
        assert ElementTree.fromstring(first).tag.endswith("svg")


def test_what_cannot_be_drawn_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"forest\.jpg: its name has to end in one of \.pdf, \.png, \.svg"):
        as_figure.write(samples.report(), Path("forest.jpg"))
    with pytest.raises(UsageError, match="no ratio with an interval"):
        as_figure.write(samples.report([]), tmp_path / "forest.png")
    with pytest.raises(MachineError, match="No such file or directory"):
        as_figure.write(samples.report(), tmp_path / "none" / "forest.png")
