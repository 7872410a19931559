"""Folders that live as long as the process that made them, however that ends.

Each holds a file `LOCK` that its owner has locked by flock(2): the kernel releases the lock when the owner ends, and
sees it across containers that share the disk. A folder whose lock can be taken is left over. Rejected: the owner's pid
in the folder's name, since a process in another PID namespace has a number that means nothing, or somebody else, here.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
"""In each folder; held by its owner."""


@contextmanager
def owned(prefix: str, place: Path | None = None) -> Iterator[Path]:
    """Make a new folder in `place` (None: the folder for temporary files) and remove it at the end.

    Those in `place` whose names begin with `prefix` and whose owners have ended are removed first; so a prefix belongs
    to one kind of folder. Raises OSError where a folder cannot be made.
    """
    folder, lock = _make(prefix, place)
    try:
        for left in folder.parent.glob(f"{glob.escape(prefix)}*"):
            _remove_if_left(left)
        yield folder
    finally:
        # Removed before the lock is released: nobody else can be removing it meanwhile.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(prefix: str, place: Path | None) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = -1
        try:
            lock = _open(folder)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat((folder / LOCK).stat(), os.fstat(lock)):
                return folder, lock
        except (FileNotFoundError, BlockingIOError):
            pass  # another process saw the folder before it was locked, took it for left over and removes it
        except OSError:
            if lock >= 0:
                # A disk without locks: nobody can take this one either, so that it is nobody's to remove.
                return folder, lock
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if lock >= 0:
            os.close(lock)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of this user's whose lock can be taken. One that cannot be looked at is left as it is."""
    with contextlib.suppress(OSError):
        state = folder.lstat()  # a link that somebody planted is not followed
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
            return
        lock = _open(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have removed this lock meanwhile, and the owner made the one that is there now.
            if os.path.samestat((folder / LOCK).lstat(), os.fstat(lock)):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextmanager
def attempt(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder that is there; False: another process does. Raises OSError where it cannot be
    opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


@contextmanager
def held(descriptor: int, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of an open file or folder, which is closed at the end. Where another has it, `waiting` is called,
    which may raise, and then this waits."""
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        if not free:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
