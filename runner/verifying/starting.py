"""An interpreter whose behaviour is looked at, as a process of its own with a file of ours inside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from runner.errors import MachineError
from runner.model import Interpreter

START = "import sys; exec(compile(open(sys.argv.pop(1)).read(), {name!r}, 'exec')); main()"
"""Not as a script, whose folder would be where modules are looked for first."""


def start(
    interpreter: Interpreter, inside: Path, words: Sequence[str], *, options: Sequence[str], cwd: Path,
    env: Mapping[str, str], stdin: int, stdout: int | IO[Any], stderr: int | IO[Any],
) -> subprocess.Popen[bytes]:
    """Have it run the `main` of a file, with words as its arguments, in a session of its own; the caller has to `end`
    it. Raises MachineError where it cannot be started."""
    begin = [str(interpreter.executable), *options, "-s", "-c", START.format(name=inside.name), str(inside), *words]
    try:
        return subprocess.Popen(begin, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=dict(env), bufsize=0,
                                start_new_session=True)
    except OSError as error:
        raise MachineError(f"{interpreter.spec} could not be started: {error.strerror or error}") from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
