"""The site's pages: what they say is shown as text, their links lead somewhere, and nothing comes from elsewhere."""

from __future__ import annotations

import html
import html.parser
import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from made_runs import CHARTS, MACHINE, arm, make_charts, make_run, make_runs, some_benchmarks, spoil
from samples import Quiet, benchmark

from runner import config, jobs
from runner.errors import MachineError
from runner.jobs import publish_apart as apart
from runner.model import Cause, Failure, Notice, key_of
from runner.report import site, site_benchmarks, site_compare, site_releases
from runner.storage import explanations, index, store
from runner.storage.explanations import Count, Kept

publishing = importlib.import_module("runner.jobs.publish")  # `jobs.publish` is the function
HOSTILE = '<script>alert("x")</script>&lt;'
VOID = {"meta", "link", "input", "br", "wbr", "path", "use", "hr"}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # No data of this machine: neither its runs nor its calibration.
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "no-npm"))
    make_charts(tmp_path, tmp_path / "cache")
    make_runs(tmp_path / "runs", 3, 8)
    return tmp_path / "runs"


def publish(runs: Path, **options: object) -> jobs.Published:
    return jobs.publish(jobs.PublishRequest(out=runs.parent / "site", runs=runs, **options), Quiet())  # type: ignore[arg-type]


class Page(html.parser.HTMLParser):
    """What a page refers to, and whether its tags are closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == [], path

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            assert given["id"] not in self.ids, (self.path, given["id"])
            self.ids.add(str(given["id"]))
        self.links += [(tag, value) for name, value in attrs if name in ("href", "src", "action") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, self.path


def all_pages(site: Path) -> Iterator[Page]:
    yield from map(Page, sorted(site.rglob("*.html")))


def test_every_link_leads_to_something_that_is_there(runs: Path) -> None:
    done = publish(runs)
    assert (done.runs, done.benchmarks, done.problems) == (3, 8, ())
    site = {page.path: page for page in all_pages(done.folder)}
    # Overview, runs and trust; benchmarks, changes, compare, releases, health; each run; each benchmark.
    assert len(site) == 3 + 5 + 3 + 8
    for path, page in site.items():
        for tag, link in page.links:
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            assert not parts.scheme and not parts.netloc and not link.startswith("/"), (path, tag, link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), (path, link)
            if parts.fragment:
                assert parts.fragment in site[target].ids, (path, link)


def test_html_in_names_and_warnings_is_text(runs: Path) -> None:
    evil = benchmark(f"work.time_{HOSTILE}")
    make_run(runs, 9, [evil, *some_benchmarks(8)], head=arm(HOSTILE), suite=f"/suites/{HOSTILE}",
             machine={**MACHINE, "cpu": HOSTILE}, notices=(Notice(kind="suite-problem", numbers={"text": HOSTILE}),))
    (runs / "x<script>alert(2)<").mkdir()
    done = publish(runs)
    texts = [path.read_text() for path in done.folder.rglob("*.html")]
    assert sum("alert(&#34;x&#34;)" in text for text in texts) >= 4
    for page in all_pages(done.folder):  # a tag that was let through would not be closed, or be a script
        scripts = re.findall(r"<script\b[^>]*>", page.path.read_text())
        root = "" if page.path.parent == done.folder else "../"
        own = {"benchmarks/index.html": ["benchmarks.js"], "compare.html": ["numbers.js", "compare.js"]}
        place = page.path.relative_to(done.folder).as_posix()
        charts = ["uPlot.iife.min.js", "numbers.js", "chart.js"] if page.path.parent.name == "benchmarks" else []
        names = ["table.js", *own.get(place, charts)]
        assert [one for one in scripts if one != '<script type="application/json">'] == [
            f'<script src="{root}assets/{name}">' for name in names], page.path


def test_only_what_is_new_is_made(runs: Path) -> None:
    first = publish(runs)
    assert first.made == 3 + 8
    before = {path: path.stat().st_ino for path in first.folder.rglob("*.html")}
    assert publish(runs).made == 0
    after = {path: path.stat().st_ino for path in first.folder.rglob("*.html")}
    same = [path for path in before if before[path] == after[path]]
    assert {path.parent.name for path in same} == {"runs", "benchmarks"} and len(same) == 3 + 8
    make_run(runs, 9, some_benchmarks(2))
    assert publish(runs).made == 1 + 2
    shutil.rmtree(sorted(runs.iterdir())[0])
    third = publish(runs)
    assert third.runs == 3 and len(list((third.folder / "runs").glob("*.csv"))) == 3
    assert publish(runs, fresh=True).made == 3 + 8


def test_another_rule_of_what_a_series_is_makes_every_page_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing.history, "__file__", str(tmp_path / "runs.py"))
    (tmp_path / "series.py").write_text("# one rule\n")
    before = publishing._look("")
    (tmp_path / "series.py").write_text("# another\n")
    assert publishing._look("") != before


def test_the_same_runs_give_the_same_pages_however_they_came(runs: Path) -> None:
    def whole(site: Path) -> dict[Path, bytes]:
        # But for that of the moment: how the service is.
        places = (path for end in ("html", "js", "xml") for path in site.rglob(f"*.{end}") if path.stem != "health")
        return {path.relative_to(site): path.read_bytes() for path in places}

    publish(runs)
    make_run(runs, 9, some_benchmarks(8))
    grown = whole(publish(runs).folder)
    shutil.rmtree(runs.parent / "site")
    index.discard(runs.parent / "runs.sqlite")
    assert whole(publish(runs).folder) == grown


def test_a_failure_leaves_the_old_site(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = publish(runs).folder
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(publishing, "_others", full)
    make_run(runs, 9, some_benchmarks(8))
    with pytest.raises(MachineError, match="No space left on device"):
        publish(runs)
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    assert not list(runs.parent.glob(".site.*"))


def test_a_page_that_cannot_be_made_says_so_and_keeps_no_other(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a number of somebody's")

    whole = {path.name for path in publish(runs).folder.rglob("*.html")}
    with monkeypatch.context() as broken:
        for module, name in (
            (publishing, "run_page"), (publishing.site, "overview"), (publishing.site, "benchmark_page"),
            (site_benchmarks, "index"), (site_compare, "places"), (site_releases, "releases"),
        ):
            broken.setattr(module, name, fails)
        done = publish(runs, fresh=True)
    made = {path: path.read_text() for path in done.folder.rglob("*.html")}
    assert {path.name for path in made} == whole and done.problems == ()
    said = {path.relative_to(done.folder).as_posix() for path, text in made.items() if apart.TITLE in text}
    assert {"index.html", "compare.html", "releases.html", "benchmarks/index.html"} < said
    assert not {"runs/index.html", "trust.html", "health.html", "events/index.html"} & said
    assert len(said) == 4 + 3 + 8 and "ZeroDivisionError in test_pages.py" in made[done.folder / "index.html"]
    for path, text in made.items():
        assert "of somebody" not in text
        Page(path)
    assert not [path for path in publish(runs, fresh=True).folder.rglob("*.html") if apart.TITLE in path.read_text()]


def test_a_site_is_exchanged_where_the_system_cannot_do_it_at_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = publish(runs).folder
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    (site / "left over").touch()
    publish(runs)
    assert not (site / "left over").exists() and (site / "index.html").is_file()
    assert not list(runs.parent.glob(".site.*"))


def test_pages_that_are_still_right_are_taken_over_on_a_disk_without_links(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs.parent
    (folder / "asv.conf.json").write_text(json.dumps({"version": 1, "repo": ".", "results_dir": "results"}))
    (folder / "results" / "box").mkdir(parents=True)
    (folder / "results" / "box" / "0123abcd-env.json").write_text("{}")
    made_of = publishing._asv_made_of(folder / "asv.conf.json", folder / "results")
    old, new = folder / "old", folder / "new"
    (old / "asv" / "graphs").mkdir(parents=True)
    (old / "asv" / "graphs" / "a.json").write_text("[1]")
    new.mkdir()

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(publishing.os, "link", refused)
    request, problems = jobs.PublishRequest(configuration=folder / "asv.conf.json"), list[str]()
    assert made_of is not None
    assert publishing._asv(request, old, new, {"asv": made_of}, problems, Quiet()) == made_of
    assert (new / "asv" / "graphs" / "a.json").read_text() == "[1]" and problems == []


def test_another_machine_another_anchor_and_another_version_are_series_of_their_own(runs: Path) -> None:
    suite = some_benchmarks(1)
    make_run(runs, 7, suite, machine={**MACHINE, "fingerprint": "fedcba9876543210"})
    make_run(runs, 8, suite, base=arm("another anchor"))
    make_run(runs, 9, [benchmark("work.Case0.time_it", params={"size": "1KiB"}, index=(0,), version="2")])
    (page,) = (publish(runs).folder / "benchmarks").glob("work.Case0.time_it-size-1KiB-*.html")
    text = page.read_text()
    assert text.count('<h2 id="series-') == 4
    assert "fedcba98" in text and "against another anchor on" in text
    assert "results of another version measured something else" in text


def test_what_was_not_compared_is_grouped_and_each_state_is_filtered_by(runs: Path) -> None:
    suite = some_benchmarks(8)
    place = make_run(runs, 9, suite, suite="/nowhere/suite")
    traceback = 'Traceback (most recent call last):\n  File "/nowhere/suite/work.py", line 7, in time_it\nKeyError: 1'
    failed = [Failure(reason=f"raised KeyError: {n}", arm=None, detail=traceback) for n in range(4)]
    skipped = [Failure(reason="not here", arm=None, cause=Cause.SKIPPED)] * 2
    spoil(place, dict(zip((one.key for one in suite), [*failed, *skipped, 3, 3], strict=True)))
    text = (publish(runs).folder / "runs" / f"{place.name}.html").read_text()
    reasons = text.split('id="not-compared"')[1].split("</section>")[0]
    assert reasons.count("<li>") == 2 and "Failed (4)" in reasons and "Skipped (2)" in reasons
    assert "raised KeyError: 0 (text of the first)" in reasons and "work.py:7, in time_it" in reasons
    assert "and 1 more" in reasons
    assert re.findall(r'name="verdict" value="([\w-]+)" checked> <span[^>]*>[^<]*</span> (\d+)', text) == [
        ("not-reached", "2"), ("failed", "4"), ("skipped", "2")]
    assert text.count('<tr data-verdict="not-reached"') == 2


def test_publishing_runs_nothing_that_a_run_names_and_shows_what_was_recorded(runs: Path, tmp_path: Path) -> None:
    suite = tmp_path / "trap"
    suite.mkdir()
    (suite / "work.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nraise SystemExit\n")
    told = {"doc": "Says <b>what</b> it does.", "place": "trap/work.py:7", "code": "def time_it(self): sprung()"}
    made = some_benchmarks(1)
    make_run(runs, 9, made, suite=str(suite), described={made[0].name: told})
    done = publish(runs)
    text = next((done.folder / "benchmarks").glob("work.Case0.time_it-size-1KiB-*.html")).read_text()
    assert "Says &lt;b&gt;what&lt;/b&gt; it does." in text
    assert "trap/work.py:7" in text and "def time_it(self): sprung()" in text
    assert done.problems == () and not (tmp_path / "sprung").exists()
    other = next((done.folder / "benchmarks").glob("work.Case1.time_it-size-1KiB-*.html")).read_text()
    assert 'id="source"' not in other, "nothing was recorded of it"


def test_there_is_a_page_without_any_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "data")
    done = publish(tmp_path / "runs")
    assert "There is no run yet" in (done.folder / "index.html").read_text()


def test_what_needs_a_look_is_on_the_first_page(runs: Path) -> None:
    place = make_run(runs, 9, some_benchmarks(8), notices=(Notice(kind="steal", numbers={"share": 0.2}),))
    lines = (place / store.BLOCKS).read_text().splitlines(keepends=True)
    (place / store.BLOCKS).write_text("".join(lines[:-5]))
    (runs / "20250101T000000Z-broken").mkdir()
    text = (publish(runs).folder / "index.html").read_text()
    assert "interrupted" in text and "20250101T000000Z-broken holds no run" in text
    assert place.name in text


def test_charts_have_the_data_of_their_figures_and_what_draws_them_is_beside(runs: Path) -> None:
    done = publish(runs)
    for name, content in CHARTS.items():
        assert (done.folder / "assets" / name).read_text() == content
    for path in (done.folder / "benchmarks").glob("*time*.html"):
        text = path.read_text()
        (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text)
        data = json.loads(found)
        assert len(data["run"]) == 3 and all((done.folder / "runs" / f"{run}.html").is_file() for run in data["run"])
        columns = [data[name] for name in ("created", "ratio", "low", "high", "verdict", "label", "head")]
        assert {len(column) for column in (*columns, *data["noise"])} == {3}
        assert '<svg class="strip"' in text, "for readers without scripts"


def test_without_what_draws_charts_there_are_figures_and_it_says_so(runs: Path) -> None:
    shutil.rmtree(runs.parent / "cache")
    done = publish(runs)
    (problem,) = done.problems
    assert "histories are figures" in problem and "npm" in problem
    texts = [path.read_text() for path in (done.folder / "benchmarks").glob("*time*.html")]
    assert len(texts) == 8
    assert all("chart.js" not in text and "uPlot" not in text and '<svg class="strip"' in text for text in texts)
    make_charts(runs.parent, runs.parent / "cache")
    assert publish(runs).made == 3 + 8, "pages with charts are other pages"


def test_what_explain_found_and_the_runs_own_report_are_on_its_page(runs: Path) -> None:
    place = max(runs.iterdir())
    page = publish(runs).folder / "runs" / f"{place.name}.html"
    assert "Which functions do it" not in page.read_text() and ".report.html" not in page.read_text()
    key = some_benchmarks(1)[0].key
    explanations.add(place, [Kept(key=key, text=f"More work {HOSTILE}.", notes=(), work=(), functions=(
        Count(name=f"memcpy {HOSTILE}", base=1.0, head=5000.0),))])
    (place / "report.html").write_text("<!DOCTYPE html><title>own</title>")
    assert publish(runs).made == 1, "of a run that is as it was, with something new beside it"
    text = page.read_text()
    assert "Which functions do it" in text and html.escape(f"memcpy {HOSTILE}") in text.replace("&#34;", "&quot;")
    assert "+4,999" in text and f'href="{place.name}.report.html"' in text
    assert (page.parent / f"{place.name}.report.html").read_text() == "<!DOCTYPE html><title>own</title>"
    assert publish(runs).made == 0 and (page.parent / f"{place.name}.report.html").is_file()
    (place / "report.html").unlink()
    (place / explanations.FILE).write_text("{")
    publish(runs)
    text = page.read_text()
    assert "is not an explanation that Lockstep wrote" in text and ".report.html" not in text
    assert not (page.parent / f"{place.name}.report.html").exists()


def test_the_first_page_begins_with_the_suite_at_a_glance_and_what_changed(runs: Path) -> None:
    place = make_run(runs, 9, some_benchmarks(8), changed=0.2)
    text = (publish(runs).folder / "index.html").read_text()
    parts = ('<table class="picture">', "Slower: 10 % to 2x", 'id="changes"', 'id="pairs"')
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    glance = text[text.index('<table class="picture">') : text.index("</table>")]
    assert glance.count("<tr>") == 1 + 2 and glance.count("<td") == 8 and "▲1.22x" in glance
    assert f'href="runs/{place.name}.html"' in text


@pytest.mark.parametrize(("name", "params"), [
    ("a.time_it", {}), ("a.time_it", {"size": "4KiB"}), ("a.f(x)", {"size": "1, 2", "how": "(seek)"}),
    ("a.f", {"text": "x=1\n(2)"}),
])
def test_parameters_are_found_again_in_a_key(name: str, params: dict[str, str]) -> None:
    for twin in (None, 3):
        assert site.params_of(name, key_of(name, params, twin)) == params


def test_parameters_that_cannot_be_told_apart_are_none() -> None:
    assert site.params_of("a.f", "a.f(an odd name=1)") == {}
