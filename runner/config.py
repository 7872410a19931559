"""Where things are, and what the program takes from its environment. Nothing else reads environment variables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with `benchmarks/` and `data/`."""


def runs_folder(out: Path | None) -> Path:
    """Where run folders go: what ``--out`` says, else `data/runs` of the project."""
    return out if out is not None else ROOT / "data" / "runs"


def calibration_folder(out: Path | None, fingerprint: str) -> Path:
    """Where the calibration of a machine lies: a folder in what ``--out`` says, else in `data/calibration`."""
    return (out if out is not None else ROOT / "data" / "calibration") / fingerprint


def caches() -> tuple[Path, ...]:
    """The folders of the cache, which need not exist: all are looked through, and what is made goes into the last.

    One, the user's, where it can be written. Where it cannot (another user's, or on a disk that is mounted read-only),
    a second: the one that the user has when XDG_CACHE_HOME names none, or one in the folder for temporary files.
    """
    first = platformdirs.user_cache_path("lockstep")
    if writable(first):
        return (first,)
    usual = Path("~/.cache/lockstep").expanduser()
    if usual != first and writable(usual):
        return first, usual
    return first, Path(tempfile.gettempdir()) / f"lockstep-cache-{os.geteuid()}"


def writable(folder: Path) -> bool:
    """Whether this process may write into a folder, which is made where it is missing."""
    # Not exists(), which raises where a folder above may not be searched.
    there = next((path for path in (folder, *folder.parents) if os.access(path, os.F_OK)), folder)
    return os.access(there, os.W_OK | os.X_OK) and there.is_dir()


def environment(allowed: Sequence[str]) -> Mapping[str, str]:
    """The part of the environment that a measured process may see."""
    return {name: os.environ[name] for name in allowed if name in os.environ}
