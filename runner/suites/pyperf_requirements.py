"""Third-party packages that pyperf scripts need: one folder for each set of them and each kind of interpreter.

A kind is what interpreters have in common that can load the same packages: two builds of one version of CPython have
the very same files, so that they differ in the builds alone. pip of Lockstep's own environment makes the folder with
the measured interpreter, which need not have pip.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from runner import config, shell
from runner.owned import owned
from runner.suites.pyperf_loaded import FAILED

FOLDER = "pyperf"
LAST = 8
"""Lines of what pip says that are told where it fails."""
TIME_LIMIT = 1800.0
"""Seconds for one set of packages: some are compiled."""


class InstallError(Exception):
    """A set of packages cannot be installed for an interpreter; the last lines of what pip said."""


def place(requirements: Path) -> Path:
    """The folder of a set of packages, which has a folder for each kind of interpreter. Raises OSError."""
    text = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    return config.caches()[-1] / FOLDER / text


def install(requirements: Path, executable: Path, kind: str, environment: Mapping[str, str]) -> None:
    """Make the folder for an interpreter of a kind where it is not there.

    Raises InstallError; what it says is then in a file beside the place, for workers (`pyperf_loaded.add`).
    """
    folder = place(requirements)
    if (folder / kind).is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    failed = folder / f"{kind}{FAILED}"
    failed.unlink(missing_ok=True)
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


