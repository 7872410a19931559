"""The command line. The only place that reads argv, prints, and exits; one file for a group of commands."""

from __future__ import annotations

import signal
import sys

from rich.console import Console

# Importing a file registers its commands.
from runner.cli import calibrate, combine, continuous, explain, machine, measuring, publish, reading  # noqa: F401
from runner.cli.app import app
from runner.errors import LockstepError


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    error = Console(stderr=True)
    try:
        code = app(standalone_mode=False)
    except LockstepError as problem:
        error.print(f"lockstep: {problem}", markup=False, highlight=False, soft_wrap=True)
        code = problem.exit_code
    except Exception as problem:
        if not hasattr(problem, "exit_code") or not hasattr(problem, "show"):
            raise
        problem.show()  # one of click's own: a wrong option, a missing argument
        code = problem.exit_code
    sys.exit(code if isinstance(code, int) else 0)
