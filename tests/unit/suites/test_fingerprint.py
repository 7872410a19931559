"""A suite is what its files hold: every edit that can matter is seen, and nothing else is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.suites.fingerprint import Watched, differences


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "suite"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "work.py").write_text("def time_it(): pass\n")
    (folder / "sub" / "deep" / "data.bin").write_bytes(bytes(range(256)))
    (folder.parent / "shared").mkdir()
    (folder.parent / "shared" / "tools.py").write_text("TOOL = 1\n")
    (folder / "shared").symlink_to("../shared", target_is_directory=True)
    (folder / "tools.py").symlink_to("../shared/tools.py")
    return folder


def rewrite(path: Path, text: str) -> None:
    """As editors do it: another file in the old one's place, of equal size and time."""
    before = path.stat()
    beside = path.with_name("new")
    beside.write_text(text)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(path)


@pytest.mark.parametrize(("edit", "said"), [
    (lambda suite: (suite / "work.py").write_text("def time_it(): 1\n"), ["work.py has changed"]),
    (lambda suite: rewrite(suite / "work.py", "def time_it(): 1+1 \n"), ["work.py has changed"]),
    (lambda suite: (suite / "sub/deep/data.bin").write_bytes(bytes(range(255, -1, -1))),
     ["sub/deep/data.bin has changed"]),
    (lambda suite: (suite.parent / "shared/tools.py").write_text("TOOL = 2\n"),
     ["shared/tools.py has changed", "tools.py has changed"]),
    (lambda suite: (suite / "work.py").unlink(), ["work.py is gone"]),
])
def test_an_edit_is_seen_at_once_and_when_the_run_goes_on(
    suite: Path, edit: Callable[[Path], object], said: list[str]
) -> None:
    before = Watched(suite)
    assert before.edited() == [] and Watched(suite).files == before.files
    edit(suite)
    assert sorted(before.edited()) == said
    after = Watched(suite)
    assert differences(before.files, after.files) == said
    assert after.files != before.files


def test_it_is_of_the_content_and_not_of_the_place(suite: Path, tmp_path: Path) -> None:
    shutil.copytree(suite, tmp_path / "other")
    assert Watched(tmp_path / "other").files == Watched(suite).files


def test_what_cannot_matter_is_no_edit(suite: Path) -> None:
    before = Watched(suite)
    (suite / "__pycache__").mkdir()
    (suite / "__pycache__" / "work.cpython-313.pyc").write_bytes(b"bytecode")
    (suite / ".work.py.swp").touch()
    (suite / "work.py~").touch()
    (suite / "work.py").touch()
    rewrite(suite / "__init__.py", "")
    after = Watched(suite)
    assert before.edited() == [] and after.files == before.files
    assert differences(before.files, after.files) == []


def test_data_that_benchmarks_write_is_no_edit_and_new_code_is_one_for_the_next_session(suite: Path) -> None:
    before = Watched(suite)
    (suite / "made.txt").write_text("by a benchmark")
    (suite / "sub" / "more.py").touch()
    assert before.edited() == []
    later = Watched(suite)
    assert differences(before.files, later.files) == ["sub/more.py is new"]
    later.only(before.files)
    (suite / "made.txt").write_text("by a benchmark, once more")
    assert later.edited() == []
    (suite / "work.py").write_text("")
    assert later.edited() == ["work.py has changed"]


def test_links_that_lead_back_or_nowhere_do_no_harm(suite: Path) -> None:
    (suite / "sub" / "up").symlink_to("../..", target_is_directory=True)
    (suite / "sub" / "self").symlink_to(".", target_is_directory=True)
    (suite / "nowhere").symlink_to("missing")
    os.mkfifo(suite / "pipe")
    assert sorted(Watched(suite).files) == [
        "__init__.py", "shared/tools.py", "sub/deep/data.bin", "tools.py", "work.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named(suite: Path) -> None:
    (suite / "work.py").chmod(0)
    with pytest.raises(UsageError, match=r"work\.py, a file of the suite, cannot be read: Permission denied"):
        Watched(suite)

