"""The pages that look across runs, of a watched branch, whose builds were made of commits."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import MACHINE, arm, make_charts, make_run, some_benchmarks
from test_history_pages import URL, known, made, publish

from runner import config
from runner.history import points
from runner.model import Purpose, Role
from runner.report import site, site_benchmarks, site_compare, site_releases


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "data")


def night(runs: Path, number: int, position: int, changed: float = 0.0, **more: Any) -> Path:
    watch, purpose = more.pop("watch", "main"), more.pop("purpose", Purpose.ANCHOR)
    role = Role(watch=watch, configuration="pgo&lto", purpose=purpose)
    head = replace(arm(f"git:r@{position}"), commit=made(position, f"Change {position}"))
    return make_run(runs, number, some_benchmarks(4), head=head, role=role, changed=changed, **more)


def test_the_course_is_in_the_order_of_the_graph_and_of_points_alone(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number, position in enumerate((1, 2, 9, 10, 5)):  # the last was filled in later
        night(runs, number, position, changed=0.03 if position >= 5 else 0.0)
    night(runs, 7, 10, purpose=Purpose.PREVIOUS, base=arm("night before"), changed=0.5)
    page = site_benchmarks.index(known(runs), url=URL)
    (spot,) = page.spots
    assert spot.title.startswith("main ?pgo&lto, suite suite, on Some CPU")
    assert spot.commit is not None and spot.commit.subject == "Change 10"
    assert spot.commit.link == f"https://example.org/commit/{made(10).hash}"
    cell = page.groups[0].rows[0].cells[0]
    assert cell is not None and cell.text.startswith("1.03")
    line = re.sub(r'<path class="one"[^>]*>', "", cell.course)
    heights = [float(y) for y in re.findall(r"[ML]\d+ ([\d.]+)", line)]
    assert len(heights) == 5 and min(heights[:2]) > max(heights[2:]), "higher is slower: from the third on"


def test_builds_are_called_by_their_commits_and_are_no_releases(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    night(runs, 1, 7)
    history = known(runs)
    assert list(site_compare.builds(history).values())[-1] == f"{made(7).hash[:10]} Change 7, 2023-11-21 (git:r@7)"
    assert site_releases.releases(history).tables == []
    listed = (publish(runs).folder / "runs" / "index.html").read_text()
    assert f"{made(7).hash[:10]} Change 7" in listed


def test_a_level_that_changes_has_its_range_of_commits(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number in range(8):
        night(runs, number, number if number < 4 else number + 5, changed=0.03 if number >= 4 else 0.0)
    page = next((publish(runs).folder / "benchmarks").glob("work.Case0.time_it-size-1KiB-*.html")).read_text()
    assert f"one of 6 commits after {made(3).hash[:10]} up to {made(9).hash[:10]} Change 9" in page


def test_another_watch_and_another_kernel_are_charts_of_their_own(tmp_path: Path) -> None:
    """A level that differs between them is no change at a commit."""
    runs = tmp_path / "runs"
    for number in range(4):
        night(runs, number, number)
        night(runs, 4 + number, number, changed=0.03, watch="3.14")
        night(runs, 8 + number, 4 + number, changed=0.03, machine={**MACHINE, "kernel": "6.12"})
    page = next((publish(runs).folder / "benchmarks").glob("work.Case0.time_it-size-1KiB-*.html")).read_text()
    where = "suite suite, against anchor on Some CPU (01234567)"
    assert [html.unescape(title) for title in re.findall(r'<h2 id="series-\d+">(.*?)</h2>', page)] == [
        f"main ?pgo&lto, {where}; new kernel: 6.1 → 6.12", f"3.14 ?pgo&lto, {where}", f"main ?pgo&lto, {where}"]
    assert "The level changes" not in page


def test_a_page_has_the_newest_series_and_of_older_ones_a_few_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "SERIES", 2)
    monkeypatch.setattr(site, "FEW", 1)
    runs = tmp_path / "runs"
    for number in range(6):
        night(runs, number, number, machine={**MACHINE, "kernel": f"6.{number // 2}"})
    folder = publish(runs).folder / "benchmarks"
    text = next(folder.glob("work.Case0.time_it-size-1KiB-*.html")).read_text()
    assert re.findall(r"new kernel: [^<]*(?=</h2>)", text) == ["new kernel: 6.1 → 6.2", "new kernel: 6.0 → 6.1"]
    assert re.findall(r"<summary>(\d of \d) runs", text) == ["2 of 2", "1 of 2"]
    assert "Left out: 1 older series." in text
    assert len(list(folder.glob("work.Case0.time_it-size-1KiB-*.[0-9].csv"))) == 2


def test_another_kernel_begins_a_course_and_a_mean_of_its_own(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for number in range(5):
        night(runs, number, number, machine={**MACHINE, "kernel": "6.1" if number < 3 else "6.12"})
    (group,) = site_benchmarks.index(known(runs), url="").groups
    cells = [*group.cells, *(cell for row in group.rows for cell in row.cells)]
    assert [cell.course.count("L") for cell in cells if cell is not None] == [1] * 5, "a line of the last two runs"


def test_how_far_two_watches_are_apart_is_not_how_far_runs_are(tmp_path: Path) -> None:
    """Against one anchor, their points alternate in the order of the graph."""
    runs = tmp_path / "runs"
    for position in range(5):
        night(runs, 2 * position, position)
        night(runs, 2 * position + 1, position, changed=0.2, watch="3.14")
    (place,) = site_compare.places(known(runs))
    assert [spread is not None and spread.tau < 0.02 for spread in place.spreads.values()] == [True] * 4


def test_a_chart_and_its_title_call_builds_by_their_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    make_charts(tmp_path, tmp_path / "xdg")
    runs, base = tmp_path / "runs", replace(arm("git:r@1"), commit=made(1, "Change 1"))
    for position in (2, 3):
        night(runs, position, position, base=base)
    page = next((publish(runs).folder / "benchmarks").glob("work.Case0.time_it-size-1KiB-*.html")).read_text()
    chart = re.search(r'<script type="application/json">(.*?)</script>', page)
    assert chart is not None
    assert json.loads(chart[1])["label"] == [f"{made(position).hash[:10]} Change {position}" for position in (2, 3)]
    assert f"against {made(1).hash[:10]} Change 1 on Some CPU" in page
    (spot,) = site_benchmarks.index(known(runs), url="").spots
    assert spot.anchor == f"{made(1).hash[:10]} Change 1"


def test_a_benchmarks_page_is_in_the_order_of_the_graph(tmp_path: Path) -> None:
    """What fills a history backwards is measured last, and is no improvement of today's."""
    runs = tmp_path / "runs"
    for number, position in enumerate((6, 7, 8, 9, 10, 1, 2, 3, 4, 5)):
        night(runs, number, position, changed=0.03 if position >= 6 else 0.0,
              purpose=Purpose.ANCHOR if position >= 6 else Purpose.BACKFILL)
    page = next((publish(runs).folder / "benchmarks").glob("work.Case0.time_it-size-1KiB-*.html")).read_text()
    assert f"The level changes at {made(6).hash[:10]} Change 6" in re.sub(r"<[^>]+>", "", page)
    assert "commits after" not in page
    labels = re.findall(r"[0-9a-f]{10} Change (\d+)</a>", page)
    assert labels[:10] == [str(position) for position in range(10, 0, -1)]


def test_runs_made_by_hand_are_in_the_order_of_measuring(tmp_path: Path) -> None:
    """A build of a commit has a position, and is not the newest for that."""
    runs, suite = tmp_path / "runs", some_benchmarks(4)
    make_run(runs, 1, suite, head=replace(arm("git:r@9"), commit=made(9, "Change 9")), changed=0.5)
    for number in (2, 3):
        make_run(runs, number, suite, head=arm(f"build-{number}"))
    (spot,) = site_benchmarks.index(known(runs), url="").spots
    assert spot.newest == "build-3"
    there = points.in_order(known(runs).runs)
    assert [entry.head.spec for entry in there] == ["git:r@9", "build-2", "build-3"]


def test_a_ratio_to_another_base_is_not_under_this_ones_name(tmp_path: Path) -> None:
    runs, suite = tmp_path / "runs", some_benchmarks(4)
    make_run(runs, 1, suite, base=arm("old"), changed=dict.fromkeys([one.key for one in suite], 0.5))
    make_run(runs, 2, suite[:1], base=arm("new"))
    page = site_benchmarks.index(known(runs), url="")
    assert page.spots[0].anchor == "new"
    assert [row.cells[0] is not None for row in page.groups[0].rows] == [True, False, False, False]
    mean = page.groups[0].cells[0]
    assert mean is not None and abs(float(mean.text) - 1) < 0.01
