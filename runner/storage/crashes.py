"""Tracebacks of faults of Lockstep's own: a file each, for whoever reports one."""

from __future__ import annotations

import os
import platform
import secrets
import time
import traceback
from importlib.metadata import version
from pathlib import Path

from runner import config

FOLDER = "crashes"
"""In the folder for state."""


def keep(problem: BaseException, during: str) -> Path | None:
    """Write a traceback into a file of its own, with what is needed to understand it; `during` is what was under way.

    What comes back is the file; None: it could not be written.
    """
    folder = config.STATE / FOLDER
    about = f"lockstep {version('lockstep')}, Python {platform.python_version()}, {platform.platform()}\n{during}\n\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        # One process may keep several in a second.
        place = folder / f"{moment}-{os.getpid()}-{secrets.token_hex(2)}.txt"
        place.write_text(about + "".join(traceback.format_exception(problem)), encoding="utf-8", errors="replace")
    except OSError:
        return None
    return place
