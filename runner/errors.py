"""Exceptions that reach the user, each with the exit code that ``cli.main`` returns for it.

A message says what happened, to what, and what to do next.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

FAULT = "a fault of Lockstep's own"
"""What `fault` begins with."""


class LockstepError(Exception):
    """Something the user must be told in words, not by a traceback."""

    exit_code: ClassVar[int] = 4


class UsageError(LockstepError):
    """The request or an input file is wrong: a bad path, name, option, variant, patch or result file."""

    exit_code: ClassVar[int] = 2


class MachineError(LockstepError):
    """The machine cannot do what was asked: disk full, no permission, another run in progress."""

    exit_code: ClassVar[int] = 4


class BuildError(LockstepError):
    """A source could not be had, or a build failed."""

    exit_code: ClassVar[int] = 4


def fault(error: BaseException) -> str:
    """A raised exception that nobody has foreseen, and where: ``a fault of Lockstep's own, KeyError in a.py:9``."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{FAULT}, {type(error).__name__} in {Path(where.filename).name}:{where.lineno}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few of what a message is about, and how many more there are: ``a, b and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
