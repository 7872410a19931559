"""Imported results: what is kept, what is refused, the series they are points of, and the page that shows them."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_files import HOST, results, written
from made_runs import make_runs
from test_pages import Quiet

from runner import config, jobs
from runner.history import imported
from runner.history import runs as history
from runner.history import series as paired
from runner.report import site_imported
from runner.storage import imports
from runner.storage.imports import Imported

Lockstep = Callable[..., tuple[int, str, str]]
SUITE = {"go": 1.5e-3, "chaos": 2.5e-6}


def point(number: int, benchmarks: dict[str, float] = SUITE, **changes: Any) -> Imported:
    facts: dict[str, Any] = {
        "id": f"2026112{number}T000000Z-00000{number}", "imported": 1.8e9, "build": f"3.13.{number}", "machine": "box",
        "files": (results(benchmarks, seed=number + 1, started=1.7e9 + 86_400 * number),)}
    return Imported(**(facts | changes))


# --- Kept

def test_what_is_kept_is_read_back_in_the_order_of_measuring(tmp_path: Path) -> None:
    kept = [point(2), point(0, build="µ <b>"), point(1, files=(replace(point(1).files[0], metadata={}),))]
    for one in kept:
        imports.add(tmp_path / "imports", one)
    assert imports.read(tmp_path / "imports").imports == (kept[1], kept[2], kept[0])
    assert imports.read(tmp_path / "nowhere") == imports.Found(imports=(), problems=())
    assert set(imports.known(kept)) == {f"{number:064x}" for number in (1, 2, 3)}


def test_without_a_date_it_counts_from_when_it_was_imported() -> None:
    processes = tuple(replace(one, started=None) for one in point(0).files[0].benchmarks[0].processes)
    bench = replace(point(0).files[0].benchmarks[0], processes=processes)
    assert point(0, files=(replace(point(0).files[0], benchmarks=(bench,)),)).started == 1.8e9
    assert point(0).started == 1.7e9


@pytest.mark.parametrize(("change", "told"), [
    (lambda content: content[:100], "Invalid JSON"), (lambda content: "{}", "Field required"),
    (lambda content: content.replace("lockstep.import/1", "lockstep.import/9"), "lockstep.import/9"),
    (lambda content: re.sub(r'"values":\[[^]]*\]', '"values":[0.0]', content), "above 0"),
    (lambda content: re.sub(r'"values":\[[^]]*\]', '"values":[]', content), "without values"),
    (lambda content: re.sub(r'"values":\[[^]]*\]', '"values":[NaN]', content), "a"),
])
def test_a_broken_file_takes_nothing_else_away(tmp_path: Path, change: Callable[[str], str], told: str) -> None:
    path = imports.add(tmp_path, point(0))
    imports.add(tmp_path, point(1))
    path.write_text(change(path.read_text()))
    found = imports.read(tmp_path)
    assert [one.build for one in found.imports] == ["3.13.1"]
    (problem,) = found.problems
    assert problem.startswith(f"{path} cannot be read as imported results: ") and told in problem


# --- Series

def test_a_series_is_of_one_machine_and_one_version_of_the_benchmarks() -> None:
    newer = {**HOST, "performance_version": "1.15.0"}
    kept = [point(0), point(1, machine="other"), point(2), point(3, files=(results(SUITE, seed=9, metadata=newer),))]
    found = imported.series(kept)
    assert [(one.machine, one.version, [own.build for own in one.imports]) for one in found] == [
        ("other", "1.14.0", ["3.13.1"]), ("box", "1.14.0", ["3.13.0", "3.13.2"]), ("box", "1.15.0", ["3.13.3"])]
    assert imported.before(kept[2], kept) == kept[0]
    assert [imported.before(one, kept) for one in (kept[0], kept[1], kept[3])] == [None] * 3


def test_courses_say_where_something_is_missing() -> None:
    kept = [point(0), point(1, {"go": 1.5e-3}), point(2, {"new": 1.0, "go": 1.65e-3})]
    (one,) = imported.series(kept)
    courses = {course.name: course for course in one.courses()}
    assert list(courses) == ["new", "go", "chaos"], "the newest first"
    assert [bool(there) for there in np.isfinite(courses["chaos"].logs)] == [True, False, False]
    assert np.exp(courses["go"].logs) == pytest.approx([1.5e-3, 1.5e-3, 1.65e-3], rel=0.01)
    assert courses["go"].ratios[-1] == pytest.approx(1.1, rel=0.01)
    assert courses["new"].ratios[-1] == 1.0 and math.isnan(courses["new"].ratios[0])


def test_nothing_imported_is_in_a_paired_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "STATE", tmp_path)
    make_runs(tmp_path / "runs", 2, 2)
    before = history.read(tmp_path / "runs", tmp_path / "index")
    imports.add(config.imports_folder(None), point(0, {one.key: 1e-3 for one in before.benchmarks}))
    after = history.read(tmp_path / "runs", tmp_path / "index")
    assert after.rows.equals(before.rows) and after.runs == before.runs and not after.problems
    assert {str(run) for one in paired.of(tmp_path / "index") for run in one.rows["run"]} == {
        entry.id for entry in before.runs}


# --- The command

def test_import_keeps_a_file_and_compares_it_with_the_one_before(lockstep: Lockstep, tmp_path: Path) -> None:
    first = written(tmp_path / "3.13.0.json.gz", results(SUITE, seed=1))
    code, out, error = lockstep("import", first, "--commit", "0123ABCDEF")
    assert (code, error) == (0, "") and "imported 3.13.0 on box, the first of its series: " in out
    (kept,) = imports.read(config.imports_folder(None)).imports
    assert (kept.build, kept.commit, kept.machine, kept.version) == ("3.13.0", "0123abcdef", "box", "1.14.0")
    assert out.split()[-1] == str(config.STATE / "imports" / f"{kept.id}.json")
    second = written(tmp_path / "b.json", results({**SUITE, "go": 1.8e-3}, seed=2, started=1.8e9))
    code, out, _ = lockstep("import", second, "--build", "  3.13.1  rc ", "-v")
    assert code == 0 and re.search(r"go +1\.50 ms +1\.80 ms .*1\.20x slower", out) and "Not paired" in out
    assert re.search(r"^base +3\.13\.0 ", out, re.MULTILINE) and "imported 3.13.1 rc on box: " in out
    early = written(tmp_path / "early.json", results(SUITE, seed=3, started=1.0e9))
    assert "the first of its series" in lockstep("import", early)[1], "in the order of measuring"


def test_several_files_of_a_build_are_one_point(lockstep: Lockstep, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{number}.json", results({name: 1.0}, seed=number))
             for number, name in enumerate(("go", "chaos", "go"))]
    code, _, error = lockstep("import", *files[:2])
    assert code == 2 and "of which build are these files? Say it by --build NAME" in error
    assert lockstep("import", *files, "--build", "main", "--machine", "the box")[0] == 0
    (kept,) = imports.read(config.imports_folder(None)).imports
    assert [len(one.benchmarks) for one in kept.files] == [1, 1, 1] and kept.machine == "the box"


def test_what_must_not_be_imported_is_refused(lockstep: Lockstep, tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", results(SUITE, seed=1))
    other = written(tmp_path / "other.json", results(SUITE, seed=2, metadata={**HOST, "python_version": "3.14.0"}))
    host = written(tmp_path / "host.json", results(SUITE, seed=3, metadata={**HOST, "hostname": "5f3a"}))
    copy = tmp_path / "copy.json"
    copy.write_bytes(one.read_bytes())
    packed = tmp_path / "packed.json.gz"
    packed.write_bytes(gzip.compress(one.read_bytes()))
    (tmp_path / "none.json").write_text("{}")
    for words, told in (
        ((one, other, "--build", "b"), "one.json and other.json differ in python_version: 3.13.0 (64-bit) and 3.14.0."),
        ((one, host, "--build", "b"), "differ in hostname: box and 5f3a"),
        ((one, copy, "--build", "b"), "one.json and copy.json are the same file"),
        ((one, packed, "--build", "b"), "one.json and packed.json.gz are the same file"),
        ((one, "--commit", "main"), "--commit main: that is no hash of a commit"),
        ((tmp_path / "none.json",), "cannot be read as a result file of pyperf"),
        ((tmp_path / "nowhere.json",), "No such file"),
    ):
        code, out, error = lockstep("import", *words)
        assert (code, out) == (2, "") and told in error, words
    assert not (config.STATE / "imports").exists(), "nothing was kept"
    assert lockstep("import", one, host, "--build", "b", "--machine", "container")[0] == 0
    for again in (copy, packed):
        code, _, error = lockstep("import", again)
        assert code == 2 and "is imported already, as b: " in error and "Remove that file" in error


def test_compare_refuses_what_cannot_be_compared(lockstep: Lockstep, tmp_path: Path) -> None:
    one = written(tmp_path / "one.json", results({"a": 1.0}, seed=1))
    other = written(tmp_path / "o,ther.json", results({"b": 1.0}, seed=2))
    newer = written(tmp_path / "newer.json", results({"a": 1.0}, seed=3, metadata={**HOST, "python_version": "3.14"}))
    packed = tmp_path / "packed.json.gz"
    packed.write_bytes(gzip.compress(one.read_bytes()))
    for words, told in (
        ((f"{one},{newer}", other), "newer.json differ in python_version: 3.13.0 (64-bit) and 3.14. The files of one"),
        ((one, packed), "one.json is there twice, by one name or two"),
        ((one, other), "have no benchmark in common"), ((one, one), "one.json is there twice"),
        ((one, f"{one},{tmp_path / 'two.json'}"), "two.json cannot be read"), ((one, "python3"), "-o FILE.json"),
    ):
        code, out, error = lockstep("compare", *words)
        assert (code, out) == (2, "") and told in error, words


# --- The page

def publish(folder: Path) -> jobs.Published:
    request = jobs.PublishRequest(out=folder / "site", runs=folder / "runs", state=folder, commit_url="https://x/{hash}")
    return jobs.publish(request, Quiet())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path)
    make_runs(tmp_path / "runs", 1, 2)
    return tmp_path


def test_the_site_has_a_page_of_what_was_imported(place: Path) -> None:
    publish(place)
    assert not (place / "site" / "imported.html").exists()
    assert "imported.html" not in (place / "site" / "index.html").read_text()
    for one in (point(0), point(1, {"go": 1.65e-3, "<b>": 1.0}, commit="0123abcdef012"), point(2, {"go": 2e-3})):
        imports.add(place / "imports", one)
    (place / "imports" / "broken.json").write_text("{")
    published = publish(place)
    assert any("broken.json" in problem for problem in published.problems)
    text = (place / "site" / "imported.html").read_text()
    assert 'href="imported.html"' in (place / "site" / "index.html").read_text()
    assert "Not paired" in text and "broken.json" in text and "box, benchmarks of version 1.14.0" in text
    assert '<a href="https://x/0123abcdef012"><code>0123abcdef</code></a>' in text
    assert "<b>" not in text.replace("&lt;b&gt;", "") and "1.33x slower" in text and "1.21x slower" in text
    places = [text.index(f'<th scope="row">3.13.{number}<') for number in (2, 1, 0)]
    assert places == sorted(places), "newest first"


def test_a_page_of_one_import_compares_nothing() -> None:
    record = site_imported.page(imports.Found(imports=(point(0, machine=""),), problems=()), url="")
    (series,) = record.series
    assert series.title == "a machine without a name, benchmarks of version 1.14.0" and not series.against
    assert [(row.name, row.value[:2], row.compared) for row in series.rows] == [("go", "1.", []), ("chaos", "2.", [])]
    two = site_imported.page(imports.Found(imports=(point(0), point(1)), problems=()), url="")
    assert two.series[0].against == ["first"]
    assert json.loads(json.dumps(two.series[0].rows[0].value)).endswith("ms")
