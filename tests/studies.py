"""What the programs share that measure or simulate for long, store what they have, and make a page of it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from runner.errors import LockstepError, UsageError
from runner.storage.store import write_whole


class Study(Protocol):
    """What is stored as one file."""

    @property
    def schema(self) -> str: ...


T = TypeVar("T", bound=Study)


def say(text: str) -> None:
    """Tell it on standard error, with the time of day."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def run(name: str, main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with its code, or an error's after its words; SIGTERM interrupts it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(main())
    except LockstepError as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def read(path: Path, adapter: TypeAdapter[T], schema: str, otherwise: str) -> T | None:
    """The study that is stored; None where nothing is.

    Raises UsageError for a file that is none, of which it says what it is `otherwise` ("no study of …"), and for one of
    another version.
    """
    if not path.exists():
        return None
    try:
        study = adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{path} is {otherwise}: {error.errors()[0]['msg']}.") from error
    if study.schema != schema:
        raise UsageError(f"{path} is of version {study.schema!r}; this reads {schema!r}.")
    return study


def write(path: Path, adapter: TypeAdapter[T], study: T, indent: int | None = None) -> None:
    """Write it whole; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, adapter.dump_json(study, indent=indent).decode() + "\n")
