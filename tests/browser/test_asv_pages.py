"""asv's own pages, published and made to work offline: a graph is drawn, and nothing is asked of anyone else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import ARTIFACTS, Sight
from samples import Quiet


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from made_runs import make_asv_project

    from runner import jobs

    folder = tmp_path_factory.mktemp("asv")
    done = jobs.publish(
        jobs.PublishRequest(out=folder / "site", runs=folder / "runs", configuration=make_asv_project(folder)), Quiet())
    assert done.problems == ()
    return done.folder / "asv"


def test_a_graph_is_drawn_without_anyone_else(sight: Sight, html: Path, served: Any) -> None:
    page = sight.show(f"{served(html)}/index.html#work.time_it")
    page.wait_for_selector("canvas.flot-base")
    drawn = page.evaluate("""() => {
      const canvas = document.querySelector("canvas.flot-base");
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const colours = new Set();
      for (let i = 0; i < pixels.length; i += 4)
        if (pixels[i + 3]) colours.add(`${pixels[i]},${pixels[i + 1]},${pixels[i + 2]}`);
      return colours.size;
    }""")
    assert drawn > 3, "a grid and at least one line"
    assert (sight.strangers(), sight.errors) == ([], [])
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "asv-graph.png")


def test_the_grid_and_the_list_are_shown(sight: Sight, html: Path, served: Any) -> None:
    address = served(html)
    page = sight.show(f"{address}/index.html")
    page.wait_for_selector("text='time_it'")  # below its module's name
    page.goto(f"{address}/index.html#/summarylist")
    page.wait_for_selector("table >> text=work.time_it")
    assert (sight.strangers(), sight.errors) == ([], [])
