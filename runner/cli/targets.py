"""Files that a user names for a report: looked at before anything is measured, written to as a shell would."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from runner import paths
from runner.cli.printing import output
from runner.errors import MachineError, UsageError
from runner.storage import store

STDOUT = Path("-")
"""A target that stands for standard output."""
_RUN = re.compile(r"last|\d{8}T\d{6}Z(-[0-9a-f]*)?")


def check(named: Iterable[tuple[str, Path | None]]) -> None:
    """See that the targets of these options can be written; text goes to standard error if one is standard output.

    Raises UsageError for one that is no place for a file, and where two are the same; MachineError where it must not be
    written.
    """
    seen: dict[str, str] = {}
    for option, path in named:
        if path is None:
            continue
        if _is_stream(path, 1):
            path, output.aside = STDOUT, True
        else:
            _check(option, path)
        place = os.path.realpath(path) if path != STDOUT else str(STDOUT)
        if place in seen and place != os.devnull:
            what = "standard output" if path == STDOUT else str(path)
            raise UsageError(f"{seen[place]} and {option} both go to {what}: give each a place of its own.")
        seen[place] = option


def write(path: Path, text: str) -> None:
    """Write a target. A new file is there whole or not at all; what is there already is written into and not replaced,
    so that a link, a device, a pipe, and an owner and mode stay what they are.

    Raises MachineError where that is not possible, as for a full disk. A pipe that nobody reads any more is none.
    """
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        if _is_stream(path, descriptor):
            stream.write(text)
            stream.flush()
            return
    there = path if os.path.exists(path) else Path(os.path.realpath(path))
    if not os.path.exists(there):
        store.write_whole(there, text)
        return
    try:
        there.write_text(text, encoding="utf-8", errors="replace")
    except BrokenPipeError:
        return
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror or error}.") from error


def _check(option: str, path: Path) -> None:
    exists = os.path.exists(path)
    there = path if exists else Path(os.path.realpath(path))
    folder = there.parent
    if _RUN.fullmatch(str(path)) and not exists:
        raise UsageError(f"{option} {path}: that names a run; {option} takes a file to write, or - (standard output).")
    if os.path.isdir(there):
        raise UsageError(f"{option} {path}: that is a folder. Name a file in it.")
    if os.path.exists(there):
        if not os.access(there, os.W_OK):
            raise MachineError(f"{option} {path}: it must not be written. Name another file.")
    elif not os.path.isdir(folder):
        why = paths.why_not(folder)
        if why != "does not exist":
            raise MachineError(f"{option} {path}: {folder} {why}. Name another folder.")
        raise UsageError(f"{option} {path}: there is no folder {folder}. Make it first: mkdir -p {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        raise MachineError(f"{option} {path}: nothing can be written in {folder}. Name another folder.")


def _is_stream(path: Path, descriptor: int) -> bool:
    """Whether a path is what a standard stream goes to: ``-``, /dev/stdout, or the same file by its name."""
    if path == STDOUT:
        return descriptor == 1
    try:
        there, ours = path.stat(), os.fstat(descriptor)
        nowhere = Path(os.devnull).stat()
    except OSError:
        return False
    return os.path.samestat(there, ours) and not (stat.S_ISCHR(there.st_mode) and there.st_rdev == nowhere.st_rdev)
