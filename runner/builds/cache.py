"""The folders under the user's cache directory, locks, and the finished builds in them.

    downloads/        release tarballs
    apt/              package lists of our own
    git/              bare repositories of remote URLs
    trees/HASH.json   what a git tree is known to hold (see `trees`)
    builds/KEY/       tree/ (the build), build.json, build.log
    layouts/KEY/      the build in other link orders (see `layouts`)
    scratch/          what is being made, in folders that end with their process: renamed to its place at its very end
    locks/            KEY.lock, held while KEY is made
    logs/KEY.log      of the last build of KEY that failed
    pyperf/HASH/KIND  packages of pyperf scripts, for a kind of interpreter (see `suites.pyperf_requirements`)
    hypothesis/       constants that `lockstep verify` looks for differences with

Where this cannot be written there is a second one (`config.caches`). A build that a process uses is locked in shared
mode, by its build.json, for as long as the process lives; who removes it locks it alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner import config
from runner.builds import record
from runner.errors import LockstepError, MachineError, UsageError
from runner.owned import owned

Progress = Callable[[str], None]
"""Told each phase in words, again whenever it changes."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where a disk, or this user's share of it, is full."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What it says on disks that have no locks."""


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
    usable: bool
    """Whether this version of Lockstep, at this place, would take it."""


def home() -> Path:
    """The folder of the cache that what is made goes into; it need not exist."""
    return config.caches()[-1]


def unwritable() -> str | None:
    """What a user must know of a cache that is only read, in words; None: it can be written."""
    first, *others = config.caches()
    if not others:
        return None
    return (f"{first} cannot be written: the builds in it are used, and what is made now is kept in {others[-1]}. "
            "To keep it elsewhere, set XDG_CACHE_HOME.")


def folder(name: str) -> Path:
    """One of the cache's folders, made where it is missing. Raises MachineError where that is not possible."""
    top = home()
    path = top / name
    try:
        top.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # In the folder for temporary files, nobody else may put builds there that we would run.
            top.mkdir(mode=0o700 if len(config.caches()) > 1 else 0o777)
        if len(config.caches()) > 1 and not _is_ours(top):
            raise MachineError(f"{top} belongs to somebody else; set XDG_CACHE_HOME to a folder that can be written")
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"cannot make the cache folder {path}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return path


def kept(name: str) -> list[Path]:
    """The folders of one name that are there, in every cache."""
    first, *others = config.caches()
    return [path for top in (first, *filter(_is_ours, others)) if os.path.isdir(path := top / name)]


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        state = path.lstat()
        return stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid()
    return False


def problem(error: OSError) -> MachineError:
    """An error of the disk that the cache or the temporary folder lies on, with what helps."""
    return MachineError(full() if error.errno in FULL else f"the cache {home()}, or the folder for temporary files, "
                        f"cannot be used: {error}")


def full() -> str:
    """What a user must know where a disk is full."""
    return (f"the disk of the cache {home()}, or of the temporary folder {tempfile.gettempdir()}, is full; free some "
            "space (lockstep build --prune removes what was not used for long), or set XDG_CACHE_HOME, or TMPDIR, to "
            "a folder on another disk")


def says_full(text: str) -> bool:
    """Whether a program has ended because a disk was full, by what it printed in English."""
    return any(os.strerror(number) in text for number in FULL)


@contextmanager
def locked(name: str, progress: Progress, waiting: str) -> Iterator[None]:
    """Hold the lock `name`; `waiting` is told when another run has it. It ends with the process, however that ends."""
    path = folder("locks") / f"{name}.lock"
    lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if lock is None:
        progress(waiting)
        lock = _lock(path, fcntl.LOCK_EX)
    assert lock is not None
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def free(path: Path) -> Iterator[bool]:
    """Whether nobody holds the lock on a file; this process alone has it meanwhile.

    False too where it is gone, or on a disk that has no locks, where nobody can know.
    """
    try:
        lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB, os.O_RDWR)
    except OSError:
        lock = None
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def lock_file(name: str) -> Path:
    """The file whose lock is held while `name` is made."""
    path = folder("locks") / f"{name}.lock"
    with contextlib.suppress(OSError):  # a full disk: then nobody makes it either
        path.touch(exist_ok=True)
    return path


def _lock(path: Path, how: int, flags: int = os.O_RDWR | os.O_CREAT) -> int | None:
    """Open a file and lock it; None: another process has it. Raises FileNotFoundError, and OSError where it cannot."""
    while True:
        try:
            lock = os.open(path, flags | os.O_CLOEXEC, 0o666)
        except OSError as error:
            # Another user's, or on a disk that is only read: reading is enough for flock.
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, how)
            # Whoever had the lock may have removed the file, and others lock a new one.
            if os.path.samestat(path.stat(), os.fstat(lock)):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        except OSError:
            os.close(lock)
            raise
        os.close(lock)


class Use:
    """A file of the cache that is in use, and so is not removed, until this is closed or the process ends."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError where it is gone, OSError where it cannot be read."""
        try:
            lock = _lock(path, fcntl.LOCK_SH, os.O_RDONLY)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            # Nobody else can lock it alone either, and so nobody removes it.
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        assert lock is not None
        self.close = weakref.finalize(self, os.close, lock)


_used: dict[Path, Use] = {}
"""What this process uses as long as it lives, by the files that are locked for it."""


def use(folder: Path, name: str = record.NAME) -> bool:
    """Mark a build's folder as used now, which keeps it from removal while this process lives; False: it is gone.

    `name` is the file that is locked for it.
    """
    path = folder / name
    if path in _used and not path.exists():
        release(folder, name)
    try:
        if path not in _used:
            _used[path] = Use(path)
    except OSError:
        return False
    with contextlib.suppress(OSError):  # somebody else's
        os.utime(path)
    return True


def release(folder: Path, name: str = record.NAME) -> None:
    """This process uses a build no longer."""
    used = _used.pop(folder / name, None)
    if used is not None:
        used.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder on the cache's file system; gone at the end, unless it was moved away by then.

    What killed processes have left is removed first. Each has a name of its own, because the make of a killed build may
    still be writing into the old one.
    """
    with owned(SCRATCH, folder("scratch")) as own:
        # One folder further down: what holds the lock, and nobody else may read, does not become a build.
        new = own / "new"
        new.mkdir()
        yield new


SCRATCH = "work-"
"""How the names of scratch folders begin."""


def load(key: str) -> record.Record | None:
    """The record of a finished build that is still whole, marked as used now; None where there is none.

    Whole is judged by the executable's size and modification time, by its place and by the libraries that its modules
    link, which is what keeps this quick. It is not removed while this process lives.
    """
    for builds in kept("builds"):
        build = builds / key
        if not use(build):
            continue
        found = _whole(build)
        if found is not None:
            return found
        release(build)
    return None


def _whole(build: Path) -> record.Record | None:
    found = record.read(build / record.NAME)
    if found is None:
        return None
    try:
        state = found.executable.stat()
    except OSError:
        return None
    same = (state.st_size, state.st_mtime_ns) == (found.executable_size, found.executable_mtime_ns)
    # Elsewhere, each import would correct the names in the compiled library, in this build and not in the next.
    same = same and found.place == str(build)
    linked = {path for paths in found.libraries.values() for path in paths if "/" in path}
    return found if same and all(Path(path).exists() for path in linked) else None


def install(finished: Path, key: str) -> Path:
    """Move a finished build from its scratch folder into the cache, at once; returns the new folder.

    The caller holds the lock of `key`. What `load` found damaged there is removed. Raises MachineError where another
    process uses that.
    """
    target = folder("builds") / key
    if target.exists():
        _remove(target)
    finished.rename(target)
    return target


def _remove(build: Path) -> None:
    """Remove a build that this process does not use. Raises MachineError where another does."""
    release(build)
    path = build / record.NAME
    with free(path) as unused:
        if path.exists() and not unused:
            raise MachineError(f"{build} is being used by another run; try again when that has ended")
        discard(build)


def discard(path: Path) -> None:
    """Remove what is in the cache such that no moment leaves a half that looks whole."""
    with scratch() as trash:
        path.rename(trash / "old")


def size(path: Path) -> int:
    """Bytes on disk of a file, or of all in a folder."""
    total = 0
    # Another process may remove any of it meanwhile, folders too, of which `rglob` makes an error.
    for one in (path, *(Path(top, name) for top, folders, files in os.walk(path) for name in (*folders, *files))):
        with contextlib.suppress(OSError):
            total += one.lstat().st_blocks * 512
    return total


def cached() -> list[Entry]:
    """The finished builds, most recently used first."""
    found = []
    for path in (path for builds in kept("builds") for path in builds.glob(f"*/{record.NAME}")):
        try:
            known, used = record.summary(path), path.stat().st_mtime
        except OSError:
            known, used = None, 0.0
        found.append(Entry(
            key=path.parent.name, folder=path.parent, used=used,
            label=known.label if known else "(unreadable)", size=known.size if known else 0,
            created=known.created if known else 0.0, usable=_usable(path.parent),
        ))
    return sorted(found, key=lambda entry: -entry.used)


def _usable(build: Path) -> bool:
    try:
        return _whole(build) is not None
    except LockstepError:
        return False


def remove(keys_or_labels: Sequence[str]) -> list[Entry]:
    """Remove builds by key (or its first 6 or more letters) or by label; returns what was removed.

    Raises UsageError for a name that fits nothing, before anything is removed, and MachineError for a
    build that another run is making or using just now, or that may not be removed.
    """
    entries = cached()
    chosen: dict[str, Entry] = {}
    for word in keys_or_labels:
        fits = [entry for entry in entries if _names(word, entry)]
        if not fits:
            there = ", ".join(f"{entry.label} ({entry.key[:12]})" for entry in entries) or "no build"
            raise UsageError(f"there is no cached build {word} (a name, or six letters or more of a key); "
                             f"the cache has {there}")
        chosen.update((entry.key, entry) for entry in fits)
    for entry in chosen.values():
        if not entry.folder.is_relative_to(home()):
            raise MachineError(f"{entry.label} is in {entry.folder.parent}, which cannot be written")
        with free(lock_file(entry.key)) as unmade:
            if not unmade:
                raise MachineError(f"{entry.label} is being built by another run; remove it when that has ended")
            _remove(entry.folder)
        shutil.rmtree(home() / "layouts" / entry.key, ignore_errors=True)
    return list(chosen.values())


def _names(word: str, entry: Entry) -> bool:
    return word == entry.label or (len(word) >= 6 and entry.key.startswith(word))
