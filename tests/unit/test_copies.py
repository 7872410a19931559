"""Copies of the arms: new ones for every round, few at a time, in memory where that is possible."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.builds import Copier
from runner.errors import MachineError
from runner.measuring.copies import Copies, memory
from runner.model import Arm, Build, Interpreter


@pytest.fixture
def build(tmp_path: Path) -> Interpreter:
    """A folder that has what a build tree has, with a text in the place of the executable."""
    tree = tmp_path / "tree"
    (tree / "build/lib.some").mkdir(parents=True)
    (tree / "Lib").mkdir()
    (tree / "pybuilddir.txt").write_text("build/lib.some")
    (tree / "build/lib.some/_one.so").write_text("extension")
    (tree / "python").write_text("the executable")
    made = Build(
        key="k", tree=tree, source="s", source_hash="h", edits=(), edits_hash="", flags=(), compiler="gcc",
    )
    return Interpreter(
        spec="s", executable=tree / "python", version="3.13.5", implementation="cpython", sha256="0", facts={},
        build=made,
    )


def copies_of(interpreter: Interpreter, folder: Path) -> Copies:
    folder.mkdir()
    return Copies(dict.fromkeys(Arm, interpreter), folder)


def test_all_benchmarks_of_a_round_share_a_pair_of_copies_and_the_next_round_has_another(
    build: Interpreter, tmp_path: Path
) -> None:
    copies = copies_of(build, tmp_path / "memory")
    first, again = (copies.of_round(0, Arm.BASE) for _ in range(2))
    assert first == again
    second = copies.of_round(1, Arm.HEAD)
    files = [one[arm].executable for one in (first, second) for arm in Arm]
    assert len(set(files)) == len({file.stat().st_ino for file in files}) == 4
    for file in files:
        assert file.read_text() == "the executable" and not file.is_symlink()
        assert (file.parent / "build/lib.some/_one.so").read_text() == "extension"
    # Both arms' paths are equally long, so no padding has to make up for them.
    assert len({len(str(file)) for file in files}) == 1


def test_a_pair_that_could_not_be_made_leaves_nothing_and_is_not_taken_for_the_one_before(
    build: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = copies_of(build, tmp_path / "memory")
    first = copies.of_round(0, Arm.BASE)
    there = set((tmp_path / "memory").iterdir())

    def full(copier: Copier, place: Path) -> Interpreter:
        place.mkdir()
        (place / "half").touch()
        raise MachineError("no space is left")

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(MachineError):
            patch.setattr(Copier, "copy", full)
            copies.of_round(1, Arm.BASE)
        assert set((tmp_path / "memory").iterdir()) == there
    assert copies.of_round(1, Arm.BASE) != first


def test_few_copies_are_there_at_a_time_and_the_one_that_is_used_is(build: Interpreter, tmp_path: Path) -> None:
    copies = copies_of(build, tmp_path / "memory")
    gone = []
    for index in range(40):
        before = set((tmp_path / "memory").iterdir())
        pair = copies.of_round(index, Arm.BASE if index % 3 else Arm.HEAD)
        assert all(one.executable.is_file() for one in pair.values())
        after = set((tmp_path / "memory").iterdir())
        gone.append(len(before - after))
        assert len(after) <= 2 * Copies.KEPT
    assert sum(gone) == 2 * (40 - Copies.KEPT)


def test_the_canary_is_two_copies_of_what_runs_as_base(build: Interpreter, tmp_path: Path) -> None:
    copies = copies_of(build, tmp_path / "memory")
    base = copies.of_round(0, Arm.BASE)[Arm.BASE]
    canary = copies.of_canary(base)
    assert len({base.executable, *(one.executable for one in canary.values())}) == 3
    assert len({len(str(one.executable)) for one in canary.values()}) == 1
    assert all(one.executable.read_bytes() == base.executable.read_bytes() for one in canary.values())
    assert copies.of_canary(base) == canary
    assert copies.of_canary(copies.of_round(1, Arm.BASE)[Arm.BASE]) != canary
    for index in range(2, 20):
        last = copies.of_canary(copies.of_round(index, Arm.BASE)[Arm.BASE])
        assert all(one.executable.is_file() for one in last.values())
    assert len(list((tmp_path / "memory").glob("copy-*"))) == 2 * Copies.KEPT


def test_copies_lie_in_memory_where_programs_may_be_run(tmp_path: Path) -> None:
    with memory(tmp_path) as folder:
        room = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize >= 1 << 30
        assert (folder.parent == tmp_path) == room
    assert not folder.exists()
    with memory(tmp_path / "missing") as folder:
        assert folder.is_dir() and folder.parent != tmp_path / "missing"
