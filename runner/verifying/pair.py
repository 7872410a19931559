"""Two interpreters that are asked the same sequences of statements, and where their answers differ."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any

from runner.errors import MachineError
from runner.model import Interpreter
from runner.verifying import starting

INSIDE = Path(__file__).with_name("inside.py")
LIMIT = 60.0
"""Seconds for an answer; a sequence that does not end is ended inside, after ten."""
NOTHING = "nothing"
"""What an arm says of a place that only the other one came to."""

Answer = tuple[tuple[int | str, str], ...]
"""What came of a sequence: places and texts, in order (see `inside`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The first thing in which two answers differ."""

    place: int | str
    """The number of a statement, or a name that it made, as in an `Answer`."""
    base: str
    head: str


def first_difference(base: Answer, head: Answer) -> Point | None:
    """Where two answers differ first; None: they are equal."""
    for one, other in zip_longest(base, head):
        if one != other:
            place = (one or other)[0]
            if one is not None and other is not None and one[0] != other[0]:
                # One of them has ended here: what became of it belongs to the place that the other one came to.
                place = other[0] if one[0] == "end" else one[0]
            return Point(place=place, base=NOTHING if one is None else one[1],
                         head=NOTHING if other is None else other[1])
    return None


class Pair:
    """Both interpreters, started and ready; they end with the context."""

    def __init__(
        self, base: Interpreter, head: Interpreter, *, classes: str, environment: Mapping[str, str], folder: Path
    ) -> None:
        """`classes`: source text of what statements may use beside modules; `folder`: an empty one, to run in.

        Raises MachineError where one cannot be started.
        """
        self._ends = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._processes = [
                stack.enter_context(_Process(interpreter, classes, environment, folder)) for interpreter in (base, head)
            ]
            self.modules = frozenset[str].intersection(*(frozenset(map(str, one.receive())) for one in self._processes))
            self._ends = stack.pop_all()
        self.interpreters = base, head
        self.environment, self.folder = environment, folder

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ends.close()

    def answers(self, statements: Sequence[str]) -> tuple[Answer, Answer]:
        """What comes of a sequence in base and in head. Raises MachineError where one cannot answer any more."""
        for process in self._processes:
            process.send(statements)
        base, head = (tuple((place, str(text)) for place, text in process.receive()) for process in self._processes)
        return base, head


class _Process:
    """An interpreter with `inside` running in it."""

    def __init__(self, interpreter: Interpreter, classes: str, environment: Mapping[str, str], folder: Path) -> None:
        self._name = interpreter.spec
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `__exit__`)
        self._unread = b""
        try:
            self._process = starting.start(
                interpreter, INSIDE, [classes], options=["-B"], cwd=folder, env={**environment, "PYTHONHASHSEED": "0"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            )
        except MachineError:
            self._errors.close()
            raise

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        starting.end(self._process)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def send(self, statements: Sequence[str]) -> None:
        assert self._process.stdin is not None
        data = memoryview(json.dumps(list(statements)).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):  # its end is told by `receive`, with the reason
            while data:
                data = data[self._process.stdin.write(data) or 0:]

    def receive(self) -> list[Any]:
        assert self._process.stdout is not None
        parts = [self._unread]
        while b"\n" not in parts[-1]:
            ready = select.select([self._process.stdout], [], [], LIMIT)[0]
            part = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            if not part:
                raise MachineError(f"{self._name} {self._trouble(hangs=not ready)}")
            parts.append(part)
        line, _, self._unread = b"".join(parts).partition(b"\n")
        found = json.loads(line)
        assert isinstance(found, list)
        return found

    def _trouble(self, *, hangs: bool) -> str:
        if hangs:
            return f"did not answer within {LIMIT:g} s, while its behaviour was looked at."
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-5:]
        return "ended while its behaviour was looked at" + (":\n" + "\n".join(lines) if lines else ".")
