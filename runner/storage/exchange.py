"""One folder in the place of another, when it is whole and on disk."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path


def exchange(new: Path, there: Path) -> None:
    """Put the folder `new` into the place of `there`, and what was there, if anything was, into that of `new`.

    Both are on one disk. Whoever looks finds the old folder or the new one, where the system can do that (Linux; not on
    every disk). Where it cannot, there is a moment without either, and the old one is removed. Raises OSError; then
    the old one is in its place.
    """
    if not there.exists():
        new.rename(there)
        return
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, both = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if swap is not None and swap(here, os.fsencode(new), here, os.fsencode(there), both) == 0:
        return
    aside = new.with_name(new.name + ".old")
    there.rename(aside)
    try:
        new.rename(there)
    except OSError:
        aside.rename(there)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def flush(folder: Path) -> None:
    """Make durable all that was written to the disk of a folder, by whomever. Raises OSError where that fails."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # Linux has it
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)
