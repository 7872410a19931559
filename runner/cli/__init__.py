"""The command line. The only place that reads argv, prints, and exits; one file for a group of commands."""

from __future__ import annotations

import signal
import sys

# Importing a file registers its commands.
from runner.cli import (  # noqa: F401
    agent,
    backup,
    bisect,
    calibrate,
    combine,
    comment,
    continuous,
    events,
    explain,
    files,
    machine,
    measuring,
    nightly,
    publish,
    reading,
    retention,
    runs,
    serve,
    upload,
    verify,
)
from runner.cli.app import app
from runner.cli.commands import Interrupted
from runner.cli.crash import crashed
from runner.cli.printing import output, streams
from runner.errors import LockstepError


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    with streams():
        code = _run()
    sys.exit(code)


def _run() -> int:
    """Run the command line and return its exit code; 70 for whatever nobody has foreseen."""
    try:
        code = app(prog_name="lockstep", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except LockstepError as problem:
        output.problem(f"lockstep: {problem}")
        return problem.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BaseException as problem:  # SystemExit too: a library that ends the program does not know our exit codes
        return _refused(problem) if hasattr(problem, "format_message") else crashed(problem)


def _refused(problem: BaseException) -> int:
    """Say what is wrong with the command line: the library's own words, without its frame. Returns 2."""
    context = getattr(problem, "ctx", None)
    message = problem.format_message()  # type: ignore[attr-defined]
    if type(problem).__name__ == "NoArgsIsHelpError":
        output.problem(message)
        return 2
    output.problem(f"lockstep: {message}")
    if context is not None:
        output.problem(context.get_usage())
    output.problem(f"For examples: {'lockstep' if context is None else context.command_path} -h")
    return 2
