"""A fault of Lockstep's own: one line for the user, and the traceback where it can be found."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from runner import config
from runner.cli.printing import output

FOLDER = "crashes"
"""In the folder for state."""


def crashed(problem: BaseException) -> int:
    """Tell of an exception that nobody has foreseen, keep its traceback, and return the exit code, EX_SOFTWARE.

    The traceback is shown with ``-v``, with LOCKSTEP_DEBUG set, and where it cannot be kept.
    """
    told = "".join(traceback.format_exception(problem))
    place = _keep(told)
    if place is None or config.debugging() or {"-v", "--verbose"} & set(sys.argv[1:]):
        output.problem(told.rstrip())
    what = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
    kept = "with the traceback above" if place is None else f"with {place}, which has the traceback"
    output.problem(f"lockstep: a fault of Lockstep's own ({what}). Please report it to the project's issues, {kept}.")
    return os.EX_SOFTWARE


def _keep(told: str) -> Path | None:
    """Where the traceback was written, with what is needed to understand it; None: nowhere."""
    folder = config.STATE / FOLDER
    about = (f"lockstep {version('lockstep')}, Python {platform.python_version()}, {platform.platform()}\n"
             f"{shlex.join(['lockstep', *sys.argv[1:]])}\n\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
        place.write_text(about + told, encoding="utf-8", errors="replace")
    except OSError:
        return None
    return place
