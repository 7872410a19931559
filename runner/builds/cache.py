"""The folders under the user's cache directory, locks, and the finished builds in them.

    downloads/        release tarballs
    apt/              package lists of our own
    git/              bare repositories of remote URLs
    trees/HASH.json   what a git tree is known to hold (see `trees`)
    builds/KEY/       tree/ (the build), build.json, build.log
    layouts/KEY/      the build in other link orders (see `layouts`)
    scratch/KEY.XXXX/ a build being made: renamed to builds/KEY at its very end
    locks/            KEY.lock, held while KEY is made
    logs/KEY.log      of the last build of KEY that failed
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from runner.builds import record
from runner.errors import LockstepError, MachineError, UsageError

Progress = Callable[[str], None]
"""Told each phase in words, again whenever it changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One finished build in the cache."""

    key: str
    label: str
    """The spec that it was first built for."""
    folder: Path
    size: int
    """Bytes on disk."""
    created: float
    used: float
    """When it was made and when it was last resolved; seconds since the epoch."""


def root() -> Path:
    """The cache folder of this user, which need not exist."""
    return platformdirs.user_cache_path("lockstep")


def folder(name: str) -> Path:
    """One of the cache's folders, made where it is missing. Raises MachineError where that is not possible."""
    path = root() / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"cannot make the cache folder {path}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return path


@contextmanager
def locked(name: str, progress: Progress, waiting: str) -> Iterator[None]:
    """Hold the lock `name`; `waiting` is told when another run has it. It ends with the process, however that ends."""
    with (folder("locks") / f"{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_free(name: str) -> bool:
    with (folder("locks") / f"{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def scratch(key: str) -> Iterator[Path]:
    """A new folder to build `key` in, on the cache's file system; gone at the end unless it was moved away.

    The caller holds the lock of `key`. Folders that killed builds left behind are removed first: those
    whose lock nobody holds. Each has a name of its own, because the make of a killed build may still
    be writing into the old one.
    """
    place = folder("scratch")
    for left in place.iterdir():
        owner = left.name.partition(".")[0]
        if owner == key or _is_free(owner):
            shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=place))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def load(key: str) -> record.Record | None:
    """The record of a finished build that is still whole, marked as used now; None where there is none.

    Whole is judged by the executable's size and modification time, which is what keeps this quick.
    """
    path = root() / "builds" / key / "build.json"
    found = record.read(path)
    if found is None:
        return None
    try:
        state = found.executable.stat()
    except OSError:
        return None
    if (state.st_size, state.st_mtime_ns) != (found.executable_size, found.executable_mtime_ns):
        return None
    os.utime(path)
    return found


def install(finished: Path, key: str) -> Path:
    """Move a finished build from its scratch folder into the cache, at once; returns the new folder.

    The caller holds the lock of `key`. What `load` found damaged there is removed.
    """
    target = folder("builds") / key
    if target.exists():
        discard(target)
    finished.rename(target)
    return target


def discard(path: Path) -> None:
    """Remove a build such that no moment leaves a half that looks whole. The caller holds its lock."""
    trash = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=folder("scratch")))
    path.rename(trash / "old")
    shutil.rmtree(trash, ignore_errors=True)


def cached() -> list[Entry]:
    """The finished builds, most recently used first."""
    found = []
    for path in (root() / "builds").glob("*/build.json"):
        try:
            known = record.read(path)
            used = path.stat().st_mtime
        except (LockstepError, OSError):
            known, used = None, 0.0
        found.append(Entry(
            key=path.parent.name, folder=path.parent, used=used,
            label=known.label if known else "(unreadable)",
            size=known.size if known else 0, created=known.created if known else 0.0,
        ))
    return sorted(found, key=lambda entry: -entry.used)


def remove(keys_or_labels: Sequence[str]) -> list[Entry]:
    """Remove builds by key (or its first 6 or more letters) or by label; returns what was removed.

    Raises UsageError for a name that fits nothing, before anything is removed, and MachineError for a
    build that another run is making just now.
    """
    entries = cached()
    chosen: dict[str, Entry] = {}
    for word in keys_or_labels:
        fits = [entry for entry in entries if _names(word, entry)]
        if not fits:
            there = ", ".join(f"{entry.label} ({entry.key[:12]})" for entry in entries) or "no build"
            raise UsageError(f"there is no cached build {word}; the cache has {there}")
        chosen.update((entry.key, entry) for entry in fits)
    for entry in chosen.values():
        if not _is_free(entry.key):
            raise MachineError(f"{entry.label} is being built by another run; remove it when that has ended")
        discard(entry.folder)
        shutil.rmtree(root() / "layouts" / entry.key, ignore_errors=True)
    return list(chosen.values())


def _names(word: str, entry: Entry) -> bool:
    return word == entry.label or (len(word) >= 6 and entry.key.startswith(word))


