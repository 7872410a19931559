"""What a suite's folder holds, by content; and whether an edit has changed it since.

The folder is watched and not copied (docs/decisions/0017): what a benchmark reaches by a relative path, such as
``../data``, stays where it is.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from runner.errors import UsageError

CODE = (".py", ".so", ".pyd")
"""Ends of the names of files that may be imported."""

State = tuple[int, int, int, int]


class Watched:
    """A suite's folder as it was when this was made. Raises UsageError for a file that cannot be read.

    `files` is the hash of every file's content by its path below the folder: of all that a benchmark may import or
    read. Hidden files, bytecode in ``__pycache__`` and editors' backups (``~``) are left out; links are followed, but
    not to a folder that holds the suite. `names` are the files and folders in it that are the suite; the
    empty one is the folder itself.
    """

    def __init__(self, folder: Path, names: Sequence[str] = ("",)) -> None:
        self._folder = folder
        # The state first: what is edited between the two is seen as edited, not as what was there.
        self._states = {name: _state(state) for name, state in _walk(folder, names)}
        self.files: Mapping[str, str] = {name: _hash(folder / name) for name in self._states}

    def only(self, names: Collection[str]) -> None:
        """Watch these alone from now on: others may be data that benchmarks have written in an earlier session."""
        self._states = {name: state for name, state in self._states.items() if name in names}

    def edited(self) -> list[str]:
        """Return what is not as it was, in words, a line a file; costs a few microseconds a file.

        Files that came later do not count: benchmarks may write data of their own, and none was imported.
        """
        found = []
        for name, before in self._states.items():
            path = f"{self._folder}/{name}"  # between two blocks: making a Path takes longer than looking
            try:
                now = _state(os.stat(path))  # noqa: PTH116
                if now == before:
                    continue
                if _hash(Path(path)) == self.files[name]:
                    self._states[name] = now
                    continue
                found.append(f"{name} has changed")
            except (OSError, UsageError):
                found.append(f"{name} is gone")
        return found


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return how two states of `Watched.files` differ, in words, a line a file.

    New files count where they may be imported; others may be data that benchmarks have written.
    """
    return [
        *(f"{name} has changed" for name in sorted(then.keys() & now.keys()) if then[name] != now[name]),
        *(f"{name} is gone" for name in sorted(then.keys() - now.keys())),
        *(f"{name} is new" for name in sorted(now.keys() - then.keys()) if name.endswith(CODE)),
    ]


def _walk(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    """The path below the folder, with the state, of every ordinary file that counts, in a fixed order."""
    for name in names:
        if (folder / name).is_file():
            yield name, (folder / name).stat()
    # A folder that is reached twice counts once: a link may lead back.
    seen = {_place(path.stat()) for path in (folder, *folder.resolve().parents)}
    waiting = [name for name in names if not (folder / name).is_file()]
    while waiting:
        below = waiting.pop()
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except OSError as error:
            raise UsageError(f"{folder / below} cannot be read: {error.strerror}") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith("~") or entry.name == "__pycache__":
                continue
            try:
                state = entry.stat()
            except OSError:
                continue  # a link that leads nowhere
            name = f"{below}/{entry.name}" if below else entry.name
            if stat.S_ISREG(state.st_mode):
                yield name, state
            elif stat.S_ISDIR(state.st_mode) and _place(state) not in seen:
                seen.add(_place(state))
                waiting.append(name)


def _place(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino


def _state(state: os.stat_result) -> State:
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UsageError(f"{path}, a file of the suite, cannot be read: {error.strerror}") from error
