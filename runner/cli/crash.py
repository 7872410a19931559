"""A fault of Lockstep's own: one line for the user, and the traceback where it can be found."""

from __future__ import annotations

import os
import shlex
import sys
import traceback

from runner import config
from runner.cli.printing import output
from runner.storage import crashes


def crashed(problem: BaseException) -> int:
    """Tell of an exception that nobody has foreseen, keep its traceback, and return the exit code, EX_SOFTWARE.

    The traceback is shown with ``-v``, with LOCKSTEP_DEBUG set, and where it cannot be kept.
    """
    place = crashes.keep(problem, shlex.join(["lockstep", *sys.argv[1:]]))
    if place is None or config.debugging() or {"-v", "--verbose"} & set(sys.argv[1:]):
        output.problem("".join(traceback.format_exception(problem)).rstrip())
    what = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
    kept = "with the traceback above" if place is None else f"with {place}, which has the traceback"
    output.problem(f"lockstep: a fault of Lockstep's own ({what}). Please report it to the project's issues, {kept}.")
    return os.EX_SOFTWARE
