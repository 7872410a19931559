"""Where things are, and what the program takes from its environment. Nothing else reads environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with `benchmarks/` and `data/`."""


def runs_folder(out: Path | None) -> Path:
    """Where run folders go: what ``--out`` says, else `data/runs` of the project."""
    return out if out is not None else ROOT / "data" / "runs"


def calibration_folder(out: Path | None, fingerprint: str) -> Path:
    """Where the calibration of a machine lies: a folder in what ``--out`` says, else in `data/calibration`."""
    return (out if out is not None else ROOT / "data" / "calibration") / fingerprint


def environment(allowed: Sequence[str]) -> Mapping[str, str]:
    """The part of the environment that a measured process may see."""
    return {name: os.environ[name] for name in allowed if name in os.environ}


def unsteered() -> dict[str, str]:
    """The caller's environment without what steers Python: that belongs to the interpreter that runs Lockstep."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
