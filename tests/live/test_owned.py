"""Folders of living processes are nobody else's to remove, wherever those processes live; those of dead ones are."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from bench import TIME_LIMIT, ended, wait_until

import runner.owned
from runner.builds.inspection import ask
from runner.jobs.publish import _beside
from runner.measuring.copies import memory
from runner.owned import LOCK, owned

MEMORY = """
import sys, time
from pathlib import Path
from runner.measuring.copies import memory
with memory(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    time.sleep(float(sys.argv[2]))
"""
SITE = """
import sys, time
from pathlib import Path
from runner.jobs.publish import _beside
with _beside(Path(sys.argv[1]) / "site") as new:
    print(new, flush=True)
    time.sleep(float(sys.argv[2]))
"""
MANY = """
import sys
from pathlib import Path
from runner.owned import owned
for _ in range(200):
    with owned("some-", Path(sys.argv[1])) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").write_text("still here")
        assert (folder / "a" / "b").read_text() == "still here"
"""
ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child")


@contextlib.contextmanager
def holding(script: str, place: Path, before: Sequence[str] = ()) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    command = [*before, sys.executable, "-c", script, str(place), "60"]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip()), process


def may_unshare() -> bool:
    try:
        return subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("script", [MEMORY, SITE])
def test_what_lives_in_another_pid_namespace_lives(tmp_path: Path, script: str) -> None:
    if not may_unshare():
        pytest.skip("this user may make no PID namespace: unshare --pid --fork is refused, or missing")
    with holding(script, tmp_path) as (ours, _), holding(script, tmp_path, ELSEWHERE) as (theirs, _):
        assert ours != theirs
        assert ours.is_dir() and theirs.is_dir(), "neither sees the other's pid, and neither takes it for dead"
        with memory(tmp_path), _beside(tmp_path / "site"):
            assert ours.is_dir() and theirs.is_dir()


@pytest.mark.parametrize("script", [MEMORY, SITE])
def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path: Path, script: str) -> None:
    with holding(script, tmp_path) as (killed, process), holding(script, tmp_path) as (living, _):
        (killed / "full").mkdir()
        (killed / "full" / "of copies").write_text("x")
        process.kill()
        process.wait()
        assert killed.is_dir()
        with memory(tmp_path), _beside(tmp_path / "site"):
            assert not killed.exists()
            assert living.is_dir()


def test_one_that_died_before_it_had_its_lock_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / "some-early").mkdir()
    (tmp_path / "other-early").mkdir()
    with owned("some-", tmp_path):
        assert not (tmp_path / "some-early").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other-early"]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "some-link").symlink_to(tmp_path / "precious", target_is_directory=True)
    with owned("some-", tmp_path):
        pass
    assert (tmp_path / "precious").is_dir() and not (tmp_path / "precious" / LOCK).exists()


def test_one_whose_lock_was_made_anew_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process opens a folder's lock, another removes that, and the owner makes one before the folder goes."""
    opened = runner.owned._open
    (tmp_path / "removed").touch()
    with owned("some-", tmp_path) as living:
        monkeypatch.setattr(runner.owned, "_open", lambda folder: (
            os.open(tmp_path / "removed", os.O_RDWR) if folder == living else opened(folder)))
        with owned("some-", tmp_path):
            assert (living / LOCK).is_file()


def test_many_at_once_never_take_a_living_one(tmp_path: Path) -> None:
    """Each sees the others' folders between their making and their locking, thousands of times."""
    processes = [subprocess.Popen([sys.executable, "-c", MANY, str(tmp_path)], text=True) for _ in range(4)]
    for process in processes:
        with ended(process):
            assert process.wait(TIME_LIMIT) == 0
    assert not list(tmp_path.iterdir())


def test_threads_of_one_process_do_not_take_each_others(tmp_path: Path) -> None:
    with owned("some-", tmp_path) as first:
        found: list[bool] = []

        def other() -> None:
            with owned("some-", tmp_path):
                found.append(first.is_dir())

        thread = threading.Thread(target=other)
        thread.start()
        wait_until(lambda: not thread.is_alive())
        assert found == [True]


ASK = """
import sys
from pathlib import Path
from runner.builds.inspection import ask
ask("slow", Path(sys.argv[1]) / "slow")
"""


def test_an_interpreter_that_was_asked_by_a_killed_process_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "slow").write_text(f"#!/bin/sh\npwd > {tmp_path}/where\nexec sleep 30\n")
    (tmp_path / "slow").chmod(0o755)
    with ended(subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path)])) as process:
        wait_until(lambda: (tmp_path / "where").exists() and (tmp_path / "where").read_text().endswith("\n"))
        process.kill()
        process.wait()
    left = Path((tmp_path / "where").read_text().strip())
    assert left.parent == tmp_path / "tmp" and left.is_dir()
    ask("python", Path(sys.executable))
    assert list((tmp_path / "tmp").iterdir()) == []
