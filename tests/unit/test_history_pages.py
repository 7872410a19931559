"""The pages that look across runs, builds and benchmarks."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import MACHINE, arm, make_run, make_runs, some_benchmarks, spoil
from samples import Quiet, benchmark
from test_pages import HOSTILE, all_pages

from dashboards import sparklines
from dashboards.history_records import IndexPage
from runner import config, jobs
from runner.errors import UsageError
from runner.history import events as events_of
from runner.history import runs as history
from runner.history.events import Affected, Entry, Event, State
from runner.history.runs import History
from runner.model import Benchmark, Commit, Metric
from runner.report import addresses, commits, site, site_benchmarks, site_compare, site_events, site_releases
from runner.report.quantities import ratio
from runner.stats import indirect

URL = "https://example.org/commit/{hash}"
KEY = "work.Case0.time_it(size=1KiB)"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "data")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make_runs(tmp_path / "runs", 4, 12)
    return tmp_path / "runs"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Two runs of two benchmarks: publishing these takes no time to speak of."""
    make_runs(tmp_path / "runs", 2, 2)
    return tmp_path / "runs"


def known(runs: Path) -> History:
    return history.read(runs, runs.parent / "cache")


def publish(runs: Path, **options: Any) -> jobs.Published:
    request = jobs.PublishRequest(out=runs.parent / "site", runs=runs, state=runs.parent / "state", **options)
    return jobs.publish(request, Quiet())


def made(number: int, subject: str = "Make it so") -> Commit:
    return Commit(hash=f"{number:040x}"[::-1], date=1.7e9 + 86_400 * number, subject=subject, repository="r",
                  position=number)


def event(run: str, **changes: Any) -> Event:
    facts: dict[str, Any] = {
        "watch": "main", "configuration": "", "machine": str(MACHINE["fingerprint"]), "suite": "/suite",
        "direction": "slower", "kind": "step", "good": made(6), "bad": made(7), "between": 1, "run": run,
        "benchmarks": (Affected(benchmark=KEY, ratio=1.03, low=1.02, high=1.04, p=1e-6, run=run),),
        "command": "lockstep ab git:r@a git:r@b", "opened": 1.7e9,
    }
    return Event(**(facts | changes))


class TestIndex:
    def page(self, runs: Path) -> IndexPage:
        return site_benchmarks.index(known(runs), url="")

    def test_every_benchmark_is_in_the_group_of_its_class_in_the_order_of_people(self, runs: Path) -> None:
        page = self.page(runs)
        assert [group.name for group in page.groups] == ["work.Case0", "work.Case1", "work.Case2"]
        assert [row.label for row in page.groups[0].rows] == [f"time_it(size={size}KiB)" for size in (1, 4, 16, 64)]
        assert page.total == 12 and page.more == 0
        (spot,) = page.spots
        assert spot.newest == "night-3" and spot.anchor == "anchor" and "Some CPU (01234567)" in spot.title

    def test_a_row_has_the_newest_ratio_and_its_course_and_a_group_the_mean(self, runs: Path) -> None:
        page, rows = self.page(runs), known(runs).rows
        changed = page.groups[0].rows[0].cells[0]
        newest = rows[rows["key"] == KEY].iloc[-1]
        assert changed is not None and changed.text == ratio(newest["ratio"]) and changed.state == "slower"
        assert changed.course.count("L") == 3, "four runs"
        assert [row.changed for row in page.groups[0].rows] == [True, False, False, False]
        own = rows[(rows["run"] == newest["run"]) & rows["key"].str.startswith("work.Case0.")]["ratio"]
        mean = page.groups[0].cells[0]
        assert mean is not None and mean.text == ratio(math.exp(float(np.log(own).mean())))

    def test_a_mean_moves_because_a_benchmark_did_and_not_because_another_set_was_measured(self, runs: Path) -> None:
        (before,) = self.page(runs).groups[0].cells
        assert before is not None
        make_run(runs, 9, [one for one in some_benchmarks(12) if one.key != KEY], changed=0.0)
        after = self.page(runs).groups[0].cells[0]
        assert after is not None
        low, high = (float(one.text) for one in (before, after))
        assert abs(low - high) < 0.002, "the slow one still counts, with its last value"

    def test_counts_have_a_mean_of_their_own_and_a_failure_says_so(self, runs: Path) -> None:
        memory = benchmark("work.Case0.peakmem_it", Metric.PEAK_MEMORY)
        make_run(runs, 9, [*some_benchmarks(12), memory])
        page = self.page(runs)
        mean = page.groups[0].cells[0]
        assert mean is not None and "; memory and counts " in mean.text

    def test_machines_have_columns_and_the_page_stays_small(self, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(5):
            make_run(runs, 10 + number, some_benchmarks(2), machine={**MACHINE, "fingerprint": f"{number}" * 16})
        page = self.page(runs)
        assert [spot.title[-9:-1] for spot in page.spots] == ["44444444", "33333333", "22222222"] and page.more == 3
        assert page.groups[2].rows[0].cells == [None, None, None]
        monkeypatch.setattr(site_benchmarks, "CELLS", 24)
        assert len(self.page(runs).spots) == 2

    def test_another_anchor_begins_a_course_of_its_own(self, runs: Path) -> None:
        make_run(runs, 9, some_benchmarks(12), base=arm("another anchor"), changed=0.5)
        cell = self.page(runs).groups[0].rows[0].cells[0]
        assert cell is not None and cell.course == ""


def test_a_sparkline_is_within_its_picture_and_nothing_without_a_course() -> None:
    assert sparklines.course(np.array([1.0]), 0.01) == "" == sparklines.course(np.array([np.nan, 1.0]), 0.01)
    for ratios in ([1.0, 1.0], [1.0, 1.03, np.nan, 1.03], [1 / 283, 1 / 280], [1e-6, 1e6], [1.0] * 500):
        drawn = sparklines.course(np.array(ratios), 0.01)
        numbers = [float(y) for y in re.findall(r"[ML]\d+ ([\d.]+)", drawn.replace('class="one" d="M0', "one"))]
        assert all(0 <= y <= sparklines.HEIGHT for y in numbers) and len(numbers) <= sparklines.LONGEST
    assert 'class="one"' in sparklines.course(np.array([1.0, 1.03]), 0.01)
    assert 'class="one"' not in sparklines.course(np.array([1 / 283, 1 / 280]), 0.01)


class TestCompare:
    def test_through_the_anchor_both_errors_and_the_spread_between_runs_count(self, runs: Path) -> None:
        history = known(runs)
        (place,) = site_compare.places(history)
        assert [entry.head.spec for entry in place.runs] == [f"night-{n}" for n in range(4)]
        page = site_compare.page([place], history, site_compare.builds(history))
        assert (page.base, page.head) == ("night-2 (3.13.5)", "night-3 (3.13.5)")
        assert page.command == "lockstep ab night-2 night-3 --suite /suite"
        assert len(page.rows) == 12 and sum(row.state == "undecided" for row in page.rows) < 12
        rows = history.rows.set_index(["run", "key"])
        runs_of = [entry.id for entry in place.runs]
        for row in page.rows:
            width = [math.log(float(x)) for x in re.findall(r"[\d.]+", row.ratio)]
            direct = rows.loc[(runs_of[3], row.key)]
            assert width[2] - width[1] > 0.5 * math.log(direct["high"] / direct["low"])
            assert width[1] - 1e-3 <= width[0] <= width[2] + 1e-3

    def test_a_change_that_stands_out_looks_so_and_swapped_the_other_way_round(self, tmp_path: Path) -> None:
        for number in range(12):
            make_run(tmp_path / "runs", number, some_benchmarks(20), changed=0.2 if number == 11 else 0.0)
        history = known(tmp_path / "runs")
        (place,) = site_compare.places(history)
        first, *_, last = (entry.id for entry in place.runs)
        there, back = (site_compare._rows(history, place, *pair) for pair in ((first, last), (last, first)))
        assert [row.state for row in there[:3]] == ["slower", "slower", "same"]
        assert [row.state for row in back[:3]] == ["faster", "faster", "same"]
        assert {row.words for row in there} == {"looks slower", "looks the same"}

    def test_another_machine_suite_or_anchor_is_no_common_ground(self, runs: Path) -> None:
        make_run(runs, 7, some_benchmarks(1), machine={**MACHINE, "fingerprint": "f" * 16})
        make_run(runs, 8, some_benchmarks(1), base=arm("another"))
        make_run(runs, 9, some_benchmarks(1), suite="/other")
        history = known(runs)
        found = site_compare.places(history)
        assert [len(place.runs) for place in found] == [1, 5, 1]
        page = site_compare.page(found, history, site_compare.builds(history))
        assert (page.base, page.head) == ("night-2 (3.13.5)", "night-3 (3.13.5)"), "the newest with one anchor"

    def test_a_run_of_some_benchmarks_stands_in_the_place_of_none_of_the_suite(self, few: Path) -> None:
        part = make_run(few, 9, some_benchmarks(1), head=arm("night-1")).name
        history = known(few)
        first, whole = (entry.id for entry in history.runs if entry.id != part)
        (place,) = site_compare.places(history)
        assert [line.id for line in site.overview(history, asv=False).latest] == [whole, first]
        there = site_compare._newest_two(place)
        assert there is not None and [entry.id for entry in there[1:]] == [first, whole]
        ends = [entry.head.identity for entry in history.runs[:2]]
        assert [entry.id for _, entry in site_compare.way(place.runs, *ends)] == [first, whole]
        shared = dict(site_compare.shared([place], history, site_compare.builds(history)))
        assert [run[0] for run in shared["builds"]["runs"]] == [whole, first, part], "as the page's script takes them"

    def test_a_run_of_some_benchmarks_of_a_build_that_was_made_anew_is_not_the_latest_of_its_name(
        self, few: Path
    ) -> None:
        whole = make_run(few, 8, some_benchmarks(2), head=arm("./python")).name
        make_run(few, 9, some_benchmarks(1), head=replace(arm("./python"), sha256="f" * 64))
        history = known(few)
        assert [line.id for line in site.overview(history, asv=False).latest] == [
            whole, *(entry.id for entry in reversed(history.runs[:2]))]

    def test_the_other_way_round_is_another_pair_of_the_overview(self, few: Path) -> None:
        part = make_run(few, 9, some_benchmarks(1), base=arm("night-1"), head=arm("anchor")).name
        history = known(few)
        assert [line.id for line in site.overview(history, asv=False).latest] == [
            part, *(entry.id for entry in reversed(history.runs[:2]))]

    def test_a_run_that_was_interrupted_comes_behind_a_complete_one(self, few: Path) -> None:
        suite = some_benchmarks(2)
        torn = make_run(few, 9, suite, head=arm("night-1"))
        spoil(torn, {suite[1].key: 3})
        history = known(few)
        first, whole, last = history.runs
        assert (last.id, last.complete, whole.complete) == (torn.name, False, True)
        (place,) = site_compare.places(history)
        ends = first.head.identity, whole.head.identity
        assert [entry.id for _, entry in site_compare.way(place.runs, *ends)] == [first.id, whole.id]
        shared = dict(site_compare.shared([place], history, site_compare.builds(history)))
        assert [run[0] for run in shared["builds"]["runs"]] == [whole.id, first.id, last.id]

    def test_where_there_is_no_other_a_run_of_some_benchmarks_is_the_latest(self, few: Path) -> None:
        part = make_run(few, 9, some_benchmarks(1), head=arm("night-9")).name
        assert site.overview(known(few), asv=False).latest[0].id == part

    def test_too_few_runs_to_know_their_spread_are_said(self, tmp_path: Path) -> None:
        make_runs(tmp_path / "runs", 2, 3)
        history = known(tmp_path / "runs")
        (place,) = site_compare.places(history)
        assert "may still be too narrow" in site_compare.how(place, "it")
        many = replace(place, spreads={"0": indirect.Spread(tau=0.0, df=9.0)})
        assert "too narrow" not in site_compare.how(many, "it")

    def test_a_benchmark_that_no_new_point_has_is_one_of_the_table_and_is_lent_what_others_know(
        self, runs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = [benchmark("work.time_old"), benchmark("work.peakmem_old", Metric.PEAK_MEMORY)]
        make_run(runs, 9, [*some_benchmarks(12), *gone], created=1e9)
        monkeypatch.setattr(site_compare, "NEWEST", 4)
        (place,) = site_compare.places(known(runs))
        assert len(place.spreads) == 14 and site_compare._share(place) == site_compare.ALPHA / 14
        assert list(place.spreads.values()).count(None) == 1, "of memory there is no new point to learn from"
        assert "not known yet for 1 of 14 benchmarks" in site_compare.how(place, "it")

    def test_what_lies_beside_is_what_the_page_says(self, runs: Path) -> None:
        folder = publish(runs).folder / "compare"
        told = {path.stem: loaded(path) for path in folder.glob("*.js")}
        builds = told["builds"]
        labels = [label for _, label, *_ in builds["builds"]]
        assert labels[-1] == "night-3 (3.13.5)" and len(labels) == len(set(labels)) == 5
        (place,) = builds["places"]
        history = known(runs)
        assert [run[0] for run in builds["runs"]] == [entry.id for entry in reversed(history.runs)]
        content = told[f"place-{place['id']}"]
        assert content["each"][9] == pytest.approx(indirect.quantiles(0.05)[9], abs=1e-4)
        assert content["all"][9] > content["each"][9]
        rows = told[f"run-{history.runs[0].id}"]
        assert set(rows) == set(content["spreads"]) and len(rows) == 12
        own = history.rows[history.rows["run"] == history.runs[0].id].set_index("key")
        for mark, (timed, log, se, df, at, _, _, verdict) in rows.items():
            key, slug = told["benchmarks"][mark[: site_compare.KEY]]
            assert slug == addresses.slug(key)
            assert (at, verdict) == (pytest.approx(own.loc[key, "ratio"], rel=1e-4), own.loc[key, "verdict"])
            assert log == pytest.approx(math.log(at), abs=1e-4) and (0 < se < 0.01, df, timed) == (True, 5.0, 1)

    def test_blocks_that_share_layouts_have_the_degrees_of_freedom_of_these(self, few: Path) -> None:
        place = make_run(few, 9, some_benchmarks(2), scope="source", repeats=2, blocks=6)
        [(_, rows)] = site_compare.of_runs(known(few), [place.name])
        assert [df for _, _, _, df, *_ in rows.values()] == [2.0, 2.0]

    def test_only_the_files_of_new_runs_are_written(self, few: Path) -> None:
        runs = few
        folder = publish(runs).folder / "compare"
        before = {path.name: path.stat().st_ino for path in folder.glob("run-*.js")}
        make_run(runs, 9, some_benchmarks(2))
        publish(runs)
        after = {path.name: path.stat().st_ino for path in folder.glob("run-*.js")}
        assert len(after) == 3 and {name: after[name] for name in before} == before

    def test_a_name_cannot_end_the_script_that_it_is_in(self, few: Path) -> None:
        runs = few
        evil = "work.time_</script><script>alert(1)</script>\u2028"
        make_run(runs, 9, [benchmark(evil)])
        file = publish(runs).folder / "compare" / "benchmarks.js"
        assert "<" not in file.read_text() and "\u2028" not in file.read_text()
        assert evil in [key for key, _ in loaded(file).values()]

    def test_a_projects_commits_are_measured_by_continuous(self) -> None:
        assert site_compare._told("a" * 40, "project@main") == ("a" * 40, "continuous")
        assert site_compare._told("a" * 32, "git:~/c python@main") == ("'git:~/c python@main'", "ab")


def loaded(path: Path) -> Any:
    """What a file gives the page."""
    name, _, rest = path.read_text().removeprefix("lockstepData(").partition(",")
    assert json.loads(name) == path.stem
    return json.loads(rest.removesuffix(");\n"))


class TestEvents:
    def test_events_have_pages_that_say_what_is_known(self, few: Path) -> None:
        id = known(few).runs[-1].id
        one = event(id, functions=("dict_lookup +12 %",), entries=(
            Entry(when=1.7e9, state=State.ACKNOWLEDGED, who="Ada", note="mine"),))
        events_of.write(few.parent / "state" / "events", one)
        done = publish(few, commit_url=URL)
        text = (done.folder / "events" / f"{one.id}.html").read_text()
        assert f'href="https://example.org/commit/{one.bad.hash}"' in text and "Make it so" in text
        assert f'href="../runs/{id}.html"' in text and "1.030 [1.020, 1.040]" in text
        assert "1.030x slower" in text and "dict_lookup +12 %" in text and "Ada: mine" in text
        assert f'href="../benchmarks/{addresses.slug(KEY)}.html"' in text and "lockstep triage" in text
        listed = (done.folder / "events" / "index.html").read_text()
        assert f'href="{one.id}.html"' in listed and "acknowledged" in listed

    def test_regressions_improvements_and_what_is_over_stand_apart(self, few: Path) -> None:
        folder = few.parent / "state" / "events"
        over = Entry(when=1.7e9, state=State.FIXED, who="Ada")
        for one in (event("x"), event("x", direction="faster", bad=made(8)), event("x", bad=made(9), entries=(over,))):
            events_of.write(folder, one)
        text = (publish(few).folder / "events" / "index.html").read_text()
        parts = re.split(r'<h2 id="(?:regressions|improvements|closed)">', text)[1:]
        assert [part.count("<tr>") - 1 for part in parts] == [1, 1, 1]
        assert [part.partition(" (1)<")[0] for part in parts] == ["Regressions", "Improvements", "Closed"]

    def test_a_range_is_said_as_one(self, few: Path) -> None:
        one = event("x", good=made(3), bad=made(7), between=4)
        events_of.write(few.parent / "state" / "events", one)
        text = (publish(few).folder / "events" / f"{one.id}.html").read_text()
        assert "one of 4 commits after" in text
        assert f"git log --oneline {one.good.hash[:10]}..{one.bad.hash[:10]}" in text

    def test_the_feed_leads_to_the_pages(self, few: Path) -> None:
        one = event("x")
        events_of.write(few.parent / "state" / "events", one)
        site = publish(few).folder
        feed = ElementTree.parse(site / "feed.xml").getroot()
        links = [link.get("href") for link in feed.iter("{http://www.w3.org/2005/Atom}link")]
        assert f"events/{one.id}.html" in links and all((site / str(link)).is_file() for link in links)

    def test_an_event_that_cannot_be_read_takes_no_page_away(self, few: Path) -> None:
        folder = few.parent / "state" / "events"
        one = event("x")
        events_of.write(folder, one)
        feed = (publish(few).folder / "feed.xml").read_bytes()
        (folder / "broken.json").write_text("{")
        done = publish(few)
        assert any("broken.json is no event" in problem for problem in done.problems)
        assert (done.folder / "events" / f"{one.id}.html").is_file() and (done.folder / "feed.xml").read_bytes() == feed
        assert "could not be read" in (done.folder / "events" / "index.html").read_text()
        (folder / "broken.json").unlink()
        assert "could not be read" not in (publish(few).folder / "events" / "index.html").read_text()

    def test_what_is_foreign_in_them_is_text(self, few: Path) -> None:
        one = event("x", watch=HOSTILE, bad=made(7, HOSTILE), command=HOSTILE, functions=(HOSTILE,), suite=HOSTILE,
                    benchmarks=(Affected(benchmark=HOSTILE, ratio=1.1, low=1.0, high=1.2, p=0.01, run="<b>"),),
                    entries=(Entry(when=1.7e9, state=State.NEW, who=HOSTILE, note=HOSTILE),))
        events_of.write(few.parent / "state" / "events", one)
        folder = publish(few, commit_url=URL).folder
        for page in all_pages(folder):
            text = page.path.read_text()
            assert '<script>alert("x")' not in text and "<b>" not in text
        assert (folder / "events" / f"{one.id}.html").read_text().count("alert(&#34;x&#34;)") >= 6
    def test_what_was_suspected_and_not_confirmed_is_counted(self) -> None:
        assert site_events.suspicions([]) == ""
        assert site_events.suspicions(["confirmed"]).startswith("Histories have suggested 1 change: 1 confirmed. ")
        said = site_events.suspicions(["not confirmed", "confirmed", "not confirmed"])
        assert said.startswith("Histories have suggested 3 changes: 1 confirmed, 2 not confirmed. ")


class TestReleases:
    def run(self, runs: Path, number: int, base: str, head: str, changed: Any = 0.0, **more: Any) -> None:
        def release(version: str) -> Any:
            return replace(arm(f"cpython@{version}"), version=version)

        suite: list[Benchmark] = more.pop("suite", [benchmark(f"m.time_{n}") for n in range(3)])
        memory = benchmark("m.peakmem_it", Metric.PEAK_MEMORY)
        make_run(runs, number, [*suite, memory], base=release(base), head=release(head), changed=changed, **more)

    def test_versions_stand_against_bases_by_runs_or_through_a_third(self, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        self.run(runs, 1, "3.10.4", "3.13.5", 0.3)
        self.run(runs, 2, "3.10.4", "3.14.0rc1", 0.6)
        self.run(runs, 3, "3.13.5", "3.12.1")
        (table,) = site_releases.releases(known(runs)).tables
        assert table.bases == ["cpython@3.10.4", "cpython@3.13.5"]
        assert [name for name, _ in table.rows] == ["cpython@3.14.0rc1", "cpython@3.13.5", "cpython@3.12.1"]
        newest, older, oldest = (cells for _, cells in table.rows)
        assert newest[0] is not None and newest[0].how == "" and newest[0].time_state == "slower"
        assert newest[1] is not None and newest[1].how == "through cpython@3.10.4"
        assert newest[1].time.endswith("slower")
        assert older[1] is None, "itself"
        assert oldest[0] is None, "no run has both, and no third was measured against both"
        assert all(cell is None or cell.memory.endswith("the same") or "x" in cell.memory for cell in newest)

    def test_a_mean_of_other_benchmarks_is_not_taken_for_one_of_these(self, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        self.run(runs, 1, "3.10.4", "3.13.5")
        self.run(runs, 2, "3.10.4", "3.14.0", suite=[benchmark("m.time_other")])
        self.run(runs, 3, "3.13.5", "3.12.1")
        (table,) = site_releases.releases(known(runs)).tables
        cell = dict(table.rows)["cpython@3.14.0"][1]
        assert cell is not None and cell.time == "–" and cell.memory != "–"

    def test_a_run_of_one_benchmark_is_not_taken_for_the_suite(self, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        suite = [benchmark(f"m.time_{n}") for n in range(6)]
        self.run(runs, 1, "3.13.5", "3.14.0", suite=suite, changed=dict.fromkeys([one.key for one in suite], 0.3))
        self.run(runs, 2, "3.13.5", "3.14.0", suite=suite[:1])
        (table,) = site_releases.releases(known(runs)).tables
        cell = dict(table.rows)["cpython@3.14.0"][0]
        assert cell is not None and cell.time == "1.35x slower"

    def test_peaks_of_other_benchmarks_are_not_compared_through_a_third(self, tmp_path: Path) -> None:
        runs, more = tmp_path / "runs", benchmark("m.peakmem_more", Metric.PEAK_MEMORY)
        suite = [benchmark(f"m.time_{n}") for n in range(3)]
        self.run(runs, 1, "3.10.4", "3.13.5", suite=[*suite, more])
        self.run(runs, 2, "3.10.4", "3.14.0", suite=suite)
        self.run(runs, 3, "3.13.5", "3.12.1")
        (table,) = site_releases.releases(known(runs)).tables
        cell = dict(table.rows)["cpython@3.14.0"][1]
        assert cell is not None and cell.time != "–" and cell.memory == "–"

    def test_an_interpreter_that_was_replaced_under_its_name_is_another_one(self, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        for number, (version, head) in enumerate([("3.13.5", "3.14.0"), ("3.13.7", "3.12.1")]):
            make_run(runs, number, some_benchmarks(4), base=replace(arm("/usr/bin/python3"), version=version),
                     head=replace(arm(f"cpython@{head}"), version=head))
        (table,) = site_releases.releases(known(runs)).tables
        assert (table.bases, [name for name, _ in table.rows]) == (["3.13.7, /usr/bin/python3"], ["cpython@3.12.1"])

    def test_what_stands_between_two_releases_is_none(self, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        self.run(runs, 1, "3.10.4", "3.15.0a2+")
        assert site_releases.releases(known(runs)).tables == []
        self.run(runs, 2, "3.13.5", "3.13.5")
        assert site_releases.releases(known(runs)).tables == [], "nor are two builds of one"

    def test_one_the_other_way_round_is_inverted(self, tmp_path: Path) -> None:
        runs = tmp_path / "runs"
        self.run(runs, 1, "3.10.4", "3.13.5", 0.3)
        self.run(runs, 2, "3.13.5", "3.9.1")
        self.run(runs, 3, "3.9.1", "3.10.4")
        (table,) = site_releases.releases(known(runs)).tables
        cells = dict(zip(table.bases, dict(table.rows)["cpython@3.10.4"], strict=True))
        turned = cells["cpython@3.13.5"]
        assert turned is not None and turned.how == "measured the other way round" and turned.time_state == "faster"

    def test_it_is_the_interval_that_says_whether_there_is_a_difference(self, few: Path) -> None:
        entry = known(few).runs[0]

        def cell(mean: site_releases.Mean) -> tuple[str, str, str]:
            found = site_releases._made(mean, 1e-4, entry, "")
            assert found is not None
            return found.time, found.time_state, found.memory

        assert cell((1.0003, 0.95, 1.05, 4)) == ("no difference shown (1.0003)", "", "the same")
        words, state, _ = cell((1.0003, 1.0001, 1.0005, 4))
        assert words.endswith("x slower") and state == "slower"


class TestCommits:
    def test_an_address_leads_to_the_commit_and_nowhere_else(self) -> None:
        assert commits.check("") == "" and commits.check(URL) == URL
        for wrong in ("javascript:{hash}", "https://example.org/commit/", "example.org/{hash}"):
            with pytest.raises(UsageError, match="no address of commits"):
                commits.check(wrong)
        one = commits.line(made(7), URL)
        assert one.link == f"https://example.org/commit/{made(7).hash}" and one.short == made(7).hash[:10]
        assert one.day == "2023-11-21" and commits.line(made(7), "").link == ""

    def test_in_a_sentence_it_is_text(self) -> None:
        said = commits.linked(commits.line(made(7, HOSTILE), URL))
        assert "&lt;script&gt;" in said and "<script" not in said and 'href="https://example.org/commit/' in said
        assert "href" not in commits.linked(commits.line(made(7), ""))

    def test_a_wrong_address_is_refused_before_anything_is_written(self, few: Path) -> None:
        with pytest.raises(UsageError):
            publish(few, commit_url="ftp://x/{hash}")
        assert not (few.parent / "site").exists()

    def test_the_commits_of_a_run_are_on_its_page_and_a_new_address_makes_it_anew(self, few: Path) -> None:
        place = make_run(few, 9, some_benchmarks(1), head=replace(arm("git:r@main"), commit=made(7)))
        page = publish(few).folder / "runs" / f"{place.name}.html"
        assert "head&#39;s commit" in page.read_text() and "Make it so" in page.read_text()
        assert "example.org" not in page.read_text()
        publish(few, commit_url=URL)
        assert f'href="https://example.org/commit/{made(7).hash}"' in page.read_text()


def test_a_build_is_called_by_what_was_typed(few: Path) -> None:
    one = known(few).runs[0].head
    assert commits.label(one) == "night-0" == commits.step(one, one)


def test_health_says_what_each_machine_has_done(few: Path) -> None:
    text = (publish(few).folder / "health.html").read_text()
    assert "Some CPU (01234567)" in text and "There is no night yet" in text
    assert re.search(r"\d+ of 4 \(", text)


def test_digits_that_are_none_are_letters(few: Path) -> None:
    """One benchmark of such a name would keep everybody's pages from being made."""
    names = [f"work.time_{name}" for name in ("10²", "²", "9", "٣", "x½", "size=16KiB", "size=4KiB")]
    make_run(few, 9, [benchmark(name) for name in names], machine=MACHINE)
    page = site_benchmarks.index(known(few), url="")
    assert {row.label for group in page.groups for row in group.rows} >= {name.removeprefix("work.") for name in names}
    assert sorted(names, key=site_benchmarks._natural)[:3] == ["work.time_٣", "work.time_9", "work.time_10²"]


def test_means_of_which_there_is_no_log_say_nothing_of_another_pair() -> None:
    whole = (1.1, 1.0, 1.2, 4)
    for mean in ((1.0, 0.0, 2.0, 4), (0.0, 0.0, 0.0, 4), (1e308, 1e-300, math.inf, 4)):
        assert site_releases._turned(mean, -1) is None and site_releases._turned(mean, 1) == mean
        assert site_releases._through(mean, whole) is site_releases._through(whole, mean) is None
    small, large = (1e-300, 1e-300, 1e-300, 4), (1e300, 1e300, 1e300, 4)
    assert site_releases._through(small, large) == (math.inf, math.inf, math.inf, 4)
    assert site_releases._said(0.0, ("less", "more")) == "infx less"
