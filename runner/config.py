"""Where things are, and what the program takes from its environment. Nothing else reads environment variables."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
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
FILE = "lockstep.toml"
"""What is watched, and how, by default: a file of the folder where a command is given."""
OURS = "LOCKSTEP_"
CPUS = f"{OURS}CPUS"
"""The variable that says which CPUs a process is to keep to, with all that it starts."""
DRAWN = ("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH")
"""Variables that a measured process gets from Lockstep itself; so are all whose name begins with `OURS`."""
SHELL = ("_", "PWD", "OLDPWD", "SHLVL")
"""What a shell says of itself, and would not be true of a measured process."""


def runs_folder(out: Path | None) -> Path:
    """Where run folders go: what ``--out`` says, else `runs` of `STATE`."""
    return out if out is not None else STATE / "runs"


def index_file(out: Path | None) -> Path:
    """The index of the runs that ``--out`` names: `history.sqlite` of `STATE`; of others a file beside their folder, or
    in `STATE` where that cannot be written."""
    runs = runs_folder(out).absolute()
    if runs == runs_folder(None).absolute():
        return STATE / "history.sqlite"
    if writable(runs.parent):
        return runs.with_name(f"{runs.name}.sqlite")
    return STATE / f"{runs.name}-{hashlib.sha256(os.fsencode(runs)).hexdigest()[:8]}.sqlite"


def bisects_folder(out: Path | None) -> Path:
    """Where the searches of `lockstep bisect` go: what ``--out`` says, else `bisects` of `STATE`."""
    return out if out is not None else STATE / "bisects"


def imports_folder(out: Path | None) -> Path:
    """Where imported results go: what ``--out`` says, else `imports` of `STATE`."""
    return out if out is not None else STATE / "imports"


def agent_folder(folder: Path | None) -> Path:
    """Where `lockstep agent` has what it took on: what ``--folder`` says, absolute, else `agent` of `STATE`."""
    return folder.absolute() if folder is not None else STATE / "agent"


def calibrations_folder(out: Path | None) -> Path:
    """Where the calibrations of all machines lie: what ``--out`` says, else `calibration` of `STATE`."""
    return out if out is not None else STATE / "calibration"


def calibration_folder(out: Path | None, fingerprint: str) -> Path:
    """Where the calibration of a machine lies: a folder in that of all."""
    return calibrations_folder(out) / fingerprint


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


def cpus() -> str | None:
    """The CPUs that this process is to keep to, as somebody wrote them (`amounts.cpus`); None: it may have them all."""
    return os.environ.get(CPUS) or None


def keep_to(cpus: str) -> None:
    """Have this process, and those of ours that it starts, keep to these CPUs from now on."""
    os.environ[CPUS] = cpus


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


def secret(name: str) -> str | None:
    """The value of a variable that a configuration names for a token or a password; None where it is not set or empty.

    Only names that begin with `OURS` are asked for: what is measured sees none of those.
    """
    return os.environ.get(name) or None
