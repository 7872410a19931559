"""What the program writes on its two streams: any text, to any encoding, for a reader who may have left."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from runner import config
from runner.errors import MachineError
from runner.report.printable import printable

NARROWEST, WIDEST = 40, 140
"""Columns: in fewer, tables are torn; longer lines are hard to read."""
USUAL = 80
"""Columns where nothing says how many there are."""
ERROR = "standard error"
_SPELLINGS = {
    "×": "x", "÷": "/", "±": "+-", "−": "-", "–": "-", "─": "-", "━": "-", "→": "->", "…": "...", "·": "-", "µ": "u",
    "μ": "u", "≤": "<=", "≥": ">=", "τ": "tau", "“": '"', "”": '"', "’": "'", "⚠": "!", "°": "deg",
}
"""How our own words are written where an encoding lacks a character; others become question marks."""


def _spell(problem: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    missing = problem.object[problem.start : problem.end]
    return "".join(_SPELLINGS.get(one, "?") for one in missing), problem.end


codecs.register_error("lockstep", _spell)


class Stream:
    """A text stream that spells what its encoding lacks, and goes on in silence when nobody reads any more.

    Raises MachineError where it cannot be written for another reason, such as a full disk, and is silent from then on:
    what is measured is kept all the same. Standard error is silent at once: there is nowhere left to say it.
    """

    def __init__(self, stream: TextIO | None, name: str) -> None:
        """`stream` is None where the program was started without one."""
        self._stream: Any = open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: PTH123, SIM115
        self._name = name
        if hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(errors="lockstep")

    def write(self, text: str) -> int:
        with self._silent():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._silent():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _silent(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # What is buffered goes there too, now and when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError) and self._name != ERROR:
                raise MachineError(f"cannot write {self._name}: {error.strerror or error}.") from error


@contextmanager
def streams() -> Iterator[None]:
    """Within, both standard streams are `Stream`s, and what was set of `output` is as in the beginning."""
    output.when, output.aside = "auto", False
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, Stream(before[0], "standard output"))
    sys.stderr = cast(TextIO, Stream(before[1], ERROR))
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


class Output:
    """How text is shown, and the ways to write it."""

    when = "auto"
    """Colours: ``auto``, ``always`` or ``never``."""
    aside = False
    """A report was asked for on standard output: text goes to standard error."""

    @property
    def text(self) -> TextIO:
        """Where text goes."""
        return sys.stderr if self.aside else sys.stdout

    def colored(self, stream: TextIO) -> bool:
        return config.colored(stream.isatty()) if self.when == "auto" else self.when == "always"

    def width(self) -> int:
        """Columns of a report."""
        said = config.columns() or _columns() or USUAL
        return max(NARROWEST, min(WIDEST, said))

    def whole(self, renderer: Any, *what: object, **options: object) -> None:
        """Write what a module of `report` makes of something."""
        self.text.write(renderer.render(*what, width=self.width(), color=self.colored(self.text), **options))
        self.text.flush()

    def line(self, text: str) -> None:
        """A line of the result."""
        self.text.write(printable(text) + "\n")
        self.text.flush()

    def problem(self, text: str) -> None:
        """A line about what went wrong, or is going on: to standard error."""
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

    def next(self, command: str, why: str) -> None:
        """What a user probably wants to do now: for a person at a terminal, and in no log or pipe."""
        if sys.stdout.isatty() and sys.stderr.isatty():
            self.problem(f"next: {command}   # {why}")


output = Output()


def _columns() -> int | None:
    """Of the terminal that one of the standard streams is."""
    for descriptor in (1, 0, 2):
        try:
            found = os.get_terminal_size(descriptor).columns
        except OSError:
            continue
        if found:
            return found
    return None
