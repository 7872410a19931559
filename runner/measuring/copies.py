"""Byte copies of the arms, and the folders that a session works in."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from runner import builds
from runner.errors import MachineError
from runner.model import Arm, Interpreter
from runner.owned import owned

MEMORY = 1 << 30
"""Bytes that must be free in memory for copies of interpreters to be kept there."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the workers' working directories, removed at the end. Raises MachineError."""
    with _folder(None) as folder:
        yield folder


def fresh(folder: Path) -> Path:
    """Make a new and empty folder, and return it. What is there already is removed, or put aside.

    A benchmark, or a process that it left behind, may have made what cannot be removed. Raises MachineError.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            folder.rename(tempfile.mkdtemp(prefix="left-", dir=folder.parent))
        folder.mkdir()
    except OSError as error:
        raise MachineError(
            f"cannot make the working directory {folder}: {error.strerror}. Is the temporary folder full, or was it "
            "removed? What was measured is safe: `lockstep resume` goes on."
        ) from error
    return folder


@contextmanager
def _folder(place: Path | None) -> Iterator[Path]:
    # What a killed run has left is memory or disk that nobody would ever free: `owned` removes it.
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(owned("lockstep-session-", place))
        except OSError as error:
            where = place or tempfile.gettempdir()
            raise MachineError(f"cannot make a folder in {where}: {error.strerror}; free some space there, or set "
                               "TMPDIR to a folder that can be written.") from error
        yield folder


@contextmanager
def memory(place: Path = Path("/dev/shm")) -> Iterator[Path]:
    """A folder for copies of interpreters, removed at the end: in memory, where programs may be run from there.

    On a disk, writing the copies back goes on for seconds and disturbs what is measured meanwhile; and the benchmarks'
    own folders stay on the disk, where their users expect them. Raises MachineError.
    """
    usable = place.is_dir() and os.access(place, os.W_OK)
    if usable:
        state = os.statvfs(place)
        usable = not state.f_flag & os.ST_NOEXEC and state.f_bavail * state.f_frsize >= MEMORY
    with _folder(place if usable else None) as folder:
        yield folder


class Copies:
    """Byte copies of the arms, new ones for every round.

    Where a file's pages lie in physical memory bears on speed and lasts for as long as the file is cached. A new
    copy draws it anew, like a layout: one pair serves all benchmarks of a round.
    """

    KEPT = 6
    """Pairs that are there at a time. Memory that is freed is given out again at once, so the pair that goes is not the
    last one, and which it is varies."""

    def __init__(self, arms: Mapping[Arm, Interpreter], folder: Path) -> None:
        """The copies go into `folder`, which its owner removes."""
        self._arms, self._folder = arms, folder
        self._copiers: dict[Arm, builds.Copier] = {}
        self._round: int | None = None
        self._pairs: list[dict[Arm, Interpreter]] = []
        self._canaries: dict[Path, dict[Arm, Interpreter]] = {}
        self._made = 0

    def of_round(self, round: int, first: Arm) -> dict[Arm, Interpreter]:
        """The pair for the blocks of a round, ready to be changed; `first` is copied first."""
        if self._round != round:
            if len(self._pairs) >= self.KEPT:
                self._drop(*self._pairs.pop(self._made % (self.KEPT - 1)).values())
            pair = {arm: self._copy(self._copier(arm), arm.value) for arm in (first, first.other)}
            self._pairs.append({arm: pair[arm] for arm in Arm})
            self._round = round  # last: one that could not be made is tried again, and not taken for the one before
        return dict(self._pairs[-1])

    def of_canary(self, base: Interpreter) -> dict[Arm, Interpreter]:
        """Two copies of what runs as base, by equally long paths: a longer one moves what is allocated after it."""
        if base.executable not in self._canaries:
            if len(self._canaries) >= self.KEPT:
                oldest = next(iter(self._canaries))
                self._drop(*self._canaries.pop(oldest).values())
            copier = builds.Copier(base)
            self._canaries[base.executable] = {arm: self._copy(copier, "copy") for arm in Arm}
        return dict(self._canaries[base.executable])

    def _copier(self, arm: Arm) -> builds.Copier:
        if not self._copiers:
            self._copiers = {arm: builds.Copier(interpreter) for arm, interpreter in self._arms.items()}
            homes = {(len(copier.home), len(self._arms[arm].executable.name)) for arm, copier in self._copiers.items()}
            if len(homes) > 1:
                for copier in self._copiers.values():
                    copier.level()
        return self._copiers[arm]

    def _copy(self, copier: builds.Copier, name: str) -> Interpreter:
        self._made += 1
        place = self._folder / f"{name}-{self._made:04d}"
        try:
            return copier.copy(place)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def _drop(self, *copies: Interpreter) -> None:
        for interpreter in copies:
            folder = next(path for path in interpreter.executable.parents if path.parent == self._folder)
            shutil.rmtree(folder, ignore_errors=True)
