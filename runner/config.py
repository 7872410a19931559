"""Where things are, and what the program takes from its environment. Nothing else reads environment variables."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder, with `benchmarks/` and `data/`."""
OURS = "LOCKSTEP_"
DRAWN = ("PYTHONHASHSEED", "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH")
"""Variables that a measured process gets from Lockstep itself; so are all whose name begins with `OURS`."""
SHELL = ("_", "PWD", "OLDPWD", "SHLVL")
"""What a shell says of itself, and would not be true of a measured process."""


def runs_folder(out: Path | None) -> Path:
    """Where run folders go: what ``--out`` says, else `data/runs` of the project."""
    return out if out is not None else ROOT / "data" / "runs"


def calibration_folder(out: Path | None, fingerprint: str) -> Path:
    """Where the calibration of a machine lies: a folder in what ``--out`` says, else in `data/calibration`."""
    return (out if out is not None else ROOT / "data" / "calibration") / fingerprint


def environment(given: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """What a measured process, and the one that lists benchmarks, sees of the environment: the same for both arms.

    All that the caller has but what steers the Python that runs Lockstep (``PYTHON…``), and `SHELL`. `given` is what
    the user passes on by name, and goes before that.
    """
    return {**{name: value for name, value in os.environ.items() if _passes(name)}, **(given or {})}


def dropped(given: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that begin with ``PYTHON``, are set, and are not passed on, in alphabetical order."""
    return tuple(sorted(name for name in os.environ if name.startswith("PYTHON") and name not in given))


def marks(id: str, variables: Mapping[str, str]) -> Mapping[str, str]:
    """Four digits of a hash of each variable's value: enough to see later that it is another one, too few to guess it.

    `id` is the run's: the same value has other digits in another run.
    """
    return {
        name: hashlib.sha256(os.fsencode(f"{id}\0{name}\0{value}")).hexdigest()[:4]
        for name, value in sorted(variables.items())
    }


def _passes(name: str) -> bool:
    return name.isprintable() and not name.startswith(("PYTHON", OURS)) and name not in SHELL
