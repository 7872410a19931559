"""Where things are, and what the program takes from its environment. Nothing else reads environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
"""The folder with `benchmarks/` and `data/`: a checkout, or what was installed of it."""
CHECKOUT = (ROOT / "pyproject.toml").is_file()
"""Whether `ROOT` is a checkout. What was installed may belong to another user, and is replaced by the next install."""
STATE = ROOT / "data" if CHECKOUT else platformdirs.user_state_path("lockstep")
"""Where what was measured is kept: runs, calibrations, the site. `data/` of a checkout, else XDG's folder for state."""
SOURCE = (ROOT / ".asv" if CHECKOUT else STATE) / "source"
"""Where `lockstep source-repo` puts its repository."""


def runs_folder(out: Path | None) -> Path:
    """Where run folders go: what ``--out`` says, else `runs` of `STATE`."""
    return out if out is not None else STATE / "runs"


def calibrations_folder(out: Path | None) -> Path:
    """Where the calibrations of all machines lie: what ``--out`` says, else `calibration` of `STATE`."""
    return out if out is not None else STATE / "calibration"


def calibration_folder(out: Path | None, fingerprint: str) -> Path:
    """Where the calibration of a machine lies: a folder in that of all."""
    return calibrations_folder(out) / fingerprint


def asv_configuration() -> Path:
    """asv's configuration where none is named: a checkout's own, else that of the folder where the user is."""
    return (ROOT if CHECKOUT else Path.cwd()) / "asv.conf.json"


def environment(allowed: Sequence[str]) -> Mapping[str, str]:
    """The part of the environment that a measured process may see."""
    return {name: os.environ[name] for name in allowed if name in os.environ}


def debugging() -> bool:
    """Whether a crash shows its traceback: LOCKSTEP_DEBUG is set, and is not 0."""
    return os.environ.get("LOCKSTEP_DEBUG", "0") not in ("", "0")


def columns() -> int | None:
    """What COLUMNS says of the terminal's width; None where it says nothing."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 6 and int(said) else None


def colored(terminal: bool) -> bool:
    """Whether to write colours where the user does not say so: what NO_COLOR, FORCE_COLOR and TERM say, in this order.

    See no-color.org and force-color.org. `terminal`: it goes to one.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0", "false"):
        return True
    return terminal and not dumb()


def dumb() -> bool:
    """Whether the terminal, if there is one, can only write lines."""
    return os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")
