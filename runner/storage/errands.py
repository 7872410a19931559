"""What an agent has taken on: a folder for each request, which outlives the agent.

    REQUEST/errand.json   what is asked, under which lease, and how far it is
    REQUEST/log           what the commands have printed that build and measure
    REQUEST/work/         all that these write: `runs` and, where they are kept apart, a home of their own
    REQUEST/run/RUN/      the run when it is done, for the server

Format history
--------------
lockstep.errand/1  `errand.json` is an `Errand`.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.storage import store

SCHEMA = "lockstep.errand/1"
FILE, LOG, WORK, RUNS, RUN = "errand.json", "log", "work", "runs", "run"
LARGEST = 1 << 30
"""Bytes of a file of a run."""
DOCUMENT = 64 << 20
"""Bytes of its manifest, which is read in one piece. A server takes no larger one."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class State(Enum):
    """How far an errand is."""

    TAKEN = "taken"
    """It is measured, or was when the agent ended."""
    MEASURED = "measured"
    """There is a run, which the server is to get."""
    FAILED = "failed"
    """There is a reason, which the server is to hear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A request that an agent has taken on."""

    schema: str = SCHEMA
    server: str
    """Address."""
    request: str
    """The request's id; also the folder's name."""
    lease: str
    """The newest one; empty: it was given back."""
    taken: float
    """When, in seconds since the epoch."""
    base: str
    head: str
    suite: str
    select: str | None
    """Regular expression; None: all benchmarks."""
    margin: str
    budget: str
    """Both as a command line takes them."""
    state: State = State.TAKEN
    run: str = ""
    """Id of the run that was measured."""
    problem: str = ""
    """Why it failed."""


_adapter = TypeAdapter(Errand)


def folder_of(top: Path, request: str) -> Path:
    """The folder of a request. Raises UsageError for an id that is none: it names a folder."""
    if not _ID.fullmatch(request):
        raise UsageError(f"{request[:80]!r} is no id of a request")
    return top / request


def write(top: Path, errand: Errand) -> None:
    """Put an errand on disk; it is there when this returns. Raises MachineError where it cannot be written."""
    folder = folder_of(top, errand.request)
    try:
        (folder / WORK / RUNS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make {error.filename}: {error.strerror}") from error
    store.write_whole(folder / FILE, _adapter.dump_json(errand, indent=1).decode() + "\n")


def read(folder: Path) -> Errand:
    """An errand. Raises UsageError where the folder has none that this version reads."""
    try:
        found = _adapter.validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(f"{folder / FILE} is no errand of an agent; remove {folder} if it is no use") from error
    if found.schema != SCHEMA or found.request != folder.name:
        raise UsageError(f"{folder / FILE} is of another version, or was moved here; remove {folder} if it is no use")
    return found


def all_of(top: Path) -> list[Path]:
    """The folders of all errands, oldest first by when they were last written."""
    found = [path for path in top.iterdir() if (path / FILE).is_file()] if top.is_dir() else []
    return sorted(found, key=lambda path: ((path / FILE).stat().st_mtime, path.name))


def remove(top: Path, errand: Errand) -> None:
    """Forget an errand, with all that was made for it. What cannot be removed is left."""
    folder = folder_of(top, errand.request)
    (folder / FILE).unlink(missing_ok=True)  # first: half of a folder is no errand
    clear(folder)


def clear(folder: Path) -> None:
    """Remove a folder into which strangers wrote, who may have taken our rights in it away; they must have ended. What
    cannot be removed is left."""
    shutil.rmtree(folder, ignore_errors=True)
    _open_up(folder)
    for top, names, _ in os.walk(folder):
        for name in names:
            _open_up(Path(top) / name)  # before the walk comes to it
    shutil.rmtree(folder, ignore_errors=True)


def _open_up(folder: Path) -> None:
    if not folder.is_symlink():
        with suppress(OSError):
            folder.chmod(0o700)


def run_of(folder: Path) -> str | None:
    """The id of the run that was begun for an errand, the newest if there are several; None: there is none."""
    try:
        with _opened(folder / WORK, RUNS) as runs:
            names = sorted(filter(store.ID.fullmatch, os.listdir(runs)), reverse=True)  # noqa: PTH208 - of a descriptor
    except OSError:
        return None
    return next((name for name in names if manifest(folder, name) is not None), None)


def manifest(folder: Path, run: str) -> bytes | None:
    """A run's manifest, which a stranger may have written, and be writing; None: there is none."""
    try:
        with _opened(folder / WORK, RUNS, run) as top, _file(top, store.MANIFEST) as file:
            return file.read()
    except OSError:
        return None


def take_out(folder: Path, run: str) -> Path:
    """Copy a run from where strangers write to where they do not, and return the copy; it is on disk.

    Only files that are files count, and no links: those would lead to what is ours. Raises UsageError where there is
    something else, or too much, MachineError where the disk is full.
    """
    target = folder / RUN / run
    shutil.rmtree(folder / RUN, ignore_errors=True)
    try:
        target.mkdir(parents=True)
        with _opened(folder / WORK, RUNS, run) as top:
            for name in sorted({store.MANIFEST, store.BLOCKS, store.LAYOUTS} & set(os.listdir(top))):  # noqa: PTH208
                with _file(top, name) as source, (target / name).open("xb") as copy:
                    shutil.copyfileobj(source, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
    except _StrangeError as error:
        raise UsageError(f"the run {run} is not as Lockstep leaves one: {error}") from error
    except OSError as error:
        raise MachineError(f"cannot copy the run {run}: {error.strerror or error}") from error
    return target


class _StrangeError(OSError):
    """Something is there that Lockstep does not make."""


@contextmanager
def _opened(folder: Path, *names: str) -> Iterator[int]:
    """A descriptor of a folder inside others, none of which is a link. Raises OSError."""
    with ExitStack() as stack:
        top = _kept(stack, os.open(folder, _FOLDER))
        for name in names:
            top = _kept(stack, os.open(name, _FOLDER, dir_fd=top))
        yield top


def _kept(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


@contextmanager
def _file(top: int, name: str) -> Iterator[BinaryIO]:
    """A file of a folder, to read. Raises OSError for a link to one, a pipe and the like, and one that is too large."""
    with ExitStack() as stack:
        try:
            # A pipe would make us wait for its other end.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=top)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise _StrangeError(error.errno, f"{name} is a link, or no file") from error
            raise
        state = os.fstat(_kept(stack, descriptor))
        if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1:
            raise _StrangeError(errno.EPERM, f"{name} is a link, or no file")
        largest = DOCUMENT if name == store.MANIFEST else LARGEST
        if state.st_size > largest:
            raise _StrangeError(errno.EFBIG, f"{name} has more than {largest >> 20} MiB")
        yield stack.enter_context(os.fdopen(descriptor, "rb", closefd=False))
