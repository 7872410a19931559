"""Paths that a user names and this program cannot have: in folders that may not be searched, of nobody, too long."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import config, paths, suites
from runner.builds import cache, commits, inspection, planning, sources
from runner.builds.spec import parse
from runner.cli import targets
from runner.cli.files import paths_of
from runner.errors import LockstepError, UsageError
from runner.machine import tools


def quiet(_: str) -> None:
    pass


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing may be looked at, as it is for whoever may not search it; root always may."""
    folder = tmp_path / "closed"
    folder.mkdir()

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(path: Any, *words: Any, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike) and str(path).startswith(f"{folder}{os.sep}"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *words, **options)
        return asked

    for name in ("stat", "lstat", "listdir", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(PermissionError):
        (folder / "x").is_file()
    return folder


def source(text: str) -> None:
    spec = parse(text)
    assert spec is not None
    sources.find(spec, planning.DATA / "sources.toml", quiet)


@pytest.mark.parametrize("named", [
    lambda place: inspection.inspect(f"{place}/venv", inspection.locate(f"{place}/venv")),
    lambda place: inspection.inspect(f"{place}/bin/python", inspection.locate(f"{place}/bin/python")),
    lambda place: source(f"dir:{place}/cpython"),
    lambda place: source(f"tar:{place}/cpython.tar.xz"),
    lambda place: commits.find("git:it@main", f"{place}/cpython", "main", quiet),
    lambda place: suites.open(f"{place}/bench"),
    lambda place: targets.check([("--json", place / "below" / "report.json")]),
])
def test_what_may_not_be_looked_at_is_refused_in_words(named: Callable[[Path], None], closed: Path) -> None:
    with pytest.raises(LockstepError, match="Permission denied"):
        named(closed)


def test_a_cache_that_may_not_be_searched_is_passed_over(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other" / "builds").mkdir(parents=True)
    monkeypatch.setattr(config, "caches", lambda: (closed / "lockstep", tmp_path / "other"))
    assert cache.kept("builds") == [tmp_path / "other" / "builds"]
    assert tools.disk(closed / "lockstep").value.endswith(f"free for {closed / 'lockstep'}")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configure").touch()

    def unreadable(*_: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "secret.c")

    monkeypatch.setattr(sources, "content_hash", unreadable)
    with pytest.raises(UsageError, match=r"secret\.c cannot be read: Permission denied"):
        source(f"dir:{tmp_path}")


def test_the_home_of_nobody_is_a_path_that_does_not_exist() -> None:
    assert paths.expanded("~nobody-here/python") == Path("~nobody-here/python")
    assert paths.expanded("~/x") == Path.home() / "x"
    assert parse("~nobody-here/python") is None
    for named in (
        lambda: inspection.inspect("it", inspection.locate("~nobody-here/python")),
        lambda: source("dir:~nobody-here/cpython"),
        lambda: commits.find("git:it@main", "~nobody-here/cpython", "main", quiet),
        lambda: suites.open("~nobody-here/bench"),
    ):
        with pytest.raises(UsageError, match="does not exist"):
            named()


def test_many_names_together_may_be_longer_than_one(tmp_path: Path) -> None:
    assert len(paths_of(",".join(["session-00.json"] * 300))) == 300
    many = "pyperformance:" + ",".join(["telco"] * 60)
    assert suites.beside(tmp_path, many) == many


def test_why_nothing_is_found(closed: Path, tmp_path: Path) -> None:
    assert paths.why_not(tmp_path / "gone") == paths.why_not(tmp_path / "gone" / "below") == "does not exist"
    assert paths.why_not(closed / "x") == "cannot be looked at: Permission denied"
