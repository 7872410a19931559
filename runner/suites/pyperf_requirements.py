"""Third-party packages that pyperf scripts need: one folder for each set of them and each kind of interpreter.

A kind is what interpreters have in common that can load the same packages: two builds of one version of CPython whose
objects are laid out alike have the very same files, so that they differ in the builds alone. pip of Lockstep's own
environment makes the folder with the measured interpreter, which need not have pip.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner import config, shell
from runner.owned import owned
from runner.suites.pyperf_loaded import FAILED

FOLDER = "pyperf"
LAST = 8
"""Lines of what pip says that are told where it fails."""
TIME_LIMIT = 1800.0
"""Seconds for one set of packages: some are compiled."""
_NAMES = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)", re.MULTILINE)
_SOURCE = re.compile(
    r"\s*(?P<editable>(?:-e|--editable)[\s=]+)?(?:[^\s@/\[]+(?:\[[^\]]*\])?\s*@\s*)?(?:file://)?(?P<path>[^\s\[;#]+)")


class InstallError(Exception):
    """A set of packages cannot be installed for an interpreter; the last lines of what pip said."""


def place(requirements: Path) -> Path:
    """The folder of a set of packages, which has a folder for each kind of interpreter. Raises OSError."""
    hashed = hashlib.sha256()
    for file in _files(requirements, set()):
        hashed.update(file.read_bytes())
    return config.caches()[-1] / FOLDER / hashed.hexdigest()[:16]


def _files(requirements: Path, seen: set[Path]) -> Iterator[Path]:
    """A file of requirements, and those that it names (``-r``, ``-c``), each once, in order."""
    file = requirements.resolve()
    if file in seen:
        return
    seen.add(file)
    yield file
    for match in _NAMES.finditer(file.read_text(encoding="utf-8", errors="replace")):
        named = file.parent / match[1]
        if "://" not in match[1] and named.is_file():  # pip says which is missing
            yield from _files(named, seen)


def mark(requirements: Path) -> None:
    """Note that packages are in use now: what no run has begun with for long is removed (`builds.pruning`)."""
    with contextlib.suppress(OSError):  # where nothing can be written, nothing is removed
        for made in place(requirements).iterdir():
            os.utime(made)


def _from_a_folder(requirements: Path) -> str | None:
    """The first line by which something is installed from a folder."""
    for file in _files(requirements, set()):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            found = _SOURCE.match(line)
            # pip takes a bare word for a name, but where it is editable.
            if found and (found["editable"] or "/" in found["path"] or found["path"].startswith(".")) and (
                    file.parent / found["path"]).is_dir():
                return line.strip()
    return None


def install(requirements: Path, executable: Path, kind: str, environment: Mapping[str, str]) -> None:
    """Make the folder for an interpreter of a kind where it is not there.

    Raises InstallError; what pip says is then in a file beside the place, for workers (`pyperf_loaded.add`).
    """
    try:
        _install(requirements, executable, kind, environment)
    except OSError as error:
        raise InstallError(f"{error.filename or requirements}: {error.strerror or error}") from error


def _install(requirements: Path, executable: Path, kind: str, environment: Mapping[str, str]) -> None:
    folder = place(requirements)
    if (folder / kind).is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    failed = folder / f"{kind}{FAILED}"
    failed.unlink(missing_ok=True)
    if (folder_named := _from_a_folder(requirements)) is not None:
        text = (f"{requirements} wants {folder_named}, a folder. What is installed is kept, and would not follow it: "
                "name a release, or a wheel")
        failed.write_text(text, encoding="utf-8")
        raise InstallError(text)
    with owned("making-", folder) as scratch:
        made = scratch / kind
        command: list[str | Path] = [
            sys.executable, "-m", "pip", "--python", executable.absolute(), "--disable-pip-version-check",
            "--no-input", "install", "--target", made, "--requirement", requirements,
        ]
        ended = shell.run(command, cwd=requirements.parent, env=dict(environment), timeout=TIME_LIMIT)
        if ended.code or ended.timed_out:
            said = [line for line in ended.output.splitlines() if line.strip()][-LAST:]
            why = f"pip did not end within {TIME_LIMIT:.0f} s" if ended.timed_out else "pip failed"
            text = "\n".join([why, *said])
            failed.write_text(text, encoding="utf-8")
            raise InstallError(text)
        made.mkdir(exist_ok=True)
        try:
            made.rename(folder / kind)
        except OSError:  # another process was first
            if not (folder / kind).is_dir():
                raise


