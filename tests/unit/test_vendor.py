"""Third-party files beside the pages: the right bytes, all of them or none, and nothing left that leads elsewhere."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from dashboards.pages import CHARTS
from runner import vendor
from runner.errors import BuildError, UsageError
from runner.vendor import Package

PAGE = """<html><head>
<script src="https://cdn.example/first.min.js" integrity="sha256-AAAA" crossorigin="anonymous" onerror="f()"></script>
<link rel="stylesheet" href="https://cdn.example/b/second.css" integrity="sha256-BBBB" crossorigin='anonymous'>
<script src="own.js"></script></head>
<body><a href="https://project.example/">the project</a></body></html>
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "no-npm"))
    folder = tmp_path / "cache" / "lockstep" / "vendor"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    return folder


def package(cache: Path, name: str, files: dict[str, str]) -> Package:
    """A package in the cache; `files`: name in the pages to content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for file, content in files.items():
            entry = tarfile.TarInfo(f"package/dist/{file}")
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    (cache / f"{name}-1.0.tgz").write_bytes(stream.getvalue())
    digest = base64.b64encode(hashlib.sha512(stream.getvalue()).digest()).decode()
    return Package(name=name, version="1.0", integrity=f"sha512-{digest}", files={f: f"dist/{f}" for f in files})


def test_pages_load_what_is_beside_them(cache: Path, pages: Path) -> None:
    one = package(cache, "one", {"first.min.js": "1", "unused.js": "0"})
    two = package(cache, "two", {"second.css": "2"})
    assert vendor.provide(pages, [one, two]) == ["first.min.js", "second.css"]
    text = (pages / "index.html").read_text()
    assert '<script src="vendor/first.min.js" onerror="f()">' in text
    assert '<link rel="stylesheet" href="vendor/second.css">' in text
    assert '<a href="https://project.example/">' in text, "what a reader may follow stays"
    assert (pages / "vendor" / "first.min.js").read_text() == "1"
    assert sorted(path.name for path in (pages / "vendor").iterdir()) == ["first.min.js", "second.css"]


def untouched(pages: Path) -> bool:
    return (pages / "index.html").read_text() == PAGE and [path.name for path in pages.iterdir()] == ["index.html"]


def test_a_package_that_is_not_what_it_was_is_refused(cache: Path, pages: Path) -> None:
    one, two = package(cache, "one", {"first.min.js": "1"}), package(cache, "two", {"second.css": "2"})
    (cache / "two-1.0.tgz").write_bytes(b"another")
    with pytest.raises(BuildError, match=r"two 1\.0 is not in .*npm, which gets it, is missing"):
        vendor.provide(pages, [one, two])
    assert untouched(pages)


def test_what_no_package_has_is_named(cache: Path, pages: Path) -> None:
    with pytest.raises(BuildError, match=r"no package is known to have second\.css"):
        vendor.provide(pages, [package(cache, "one", {"first.min.js": "1"})])
    assert untouched(pages)


def test_a_file_that_a_package_lacks_is_named(cache: Path, pages: Path) -> None:
    one, two = package(cache, "one", {"first.min.js": "1"}), package(cache, "two", {"other.css": "2"})
    wrong = Package(name="two", version="1.0", integrity=two.integrity, files={"second.css": "dist/second.css"})
    with pytest.raises(BuildError, match=r"two 1\.0 has no dist/second\.css"):
        vendor.provide(pages, [one, wrong])
    assert untouched(pages)


def test_the_projects_own_list_is_read() -> None:
    packages = vendor.read(Path(__file__).parents[2] / "data" / "vendor.toml")
    assert {one.name for one in packages} >= {"jquery", "flot", "bootstrap"}
    assert all(one.integrity.startswith("sha512-") for one in packages)


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vendor.toml").write_text("[[package]]\nname = 'x'\n")
    with pytest.raises(UsageError, match="does not list packages"):
        vendor.read(tmp_path / "vendor.toml")


def test_files_are_put_where_they_are_wanted_all_or_none(cache: Path, tmp_path: Path) -> None:
    one = package(cache, "one", {"chart.js": "1", "chart.css": "2"})
    vendor.put(tmp_path, [one], ["chart.js", "chart.css"])
    assert ((tmp_path / "chart.js").read_text(), (tmp_path / "chart.css").read_text()) == ("1", "2")
    (tmp_path / "empty").mkdir()
    for names, message in ((["chart.js", "other.js"], r"no package is known to have other\.js"),
                           (["chart.js", "lost.js"], r"one 1\.0 has no dist/lost\.js")):
        files = {**one.files, "lost.js": "dist/lost.js"}
        broken = Package(name="one", version="1.0", integrity=one.integrity, files=files)
        with pytest.raises(BuildError, match=message):
            vendor.put(tmp_path / "empty", [broken], names)
        assert list((tmp_path / "empty").iterdir()) == []


def test_what_our_own_charts_need_is_in_the_projects_list() -> None:
    packages = vendor.read(Path(__file__).parents[2] / "data" / "vendor.toml")
    assert set(CHARTS) <= {name for one in packages for name in one.files}
