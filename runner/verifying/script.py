"""A program that shows a difference, to be run by either interpreter."""

from __future__ import annotations

import re

from runner import shell
from runner.verifying.pair import Pair
from runner.verifying.search import Found
from runner.verifying.sequences import CLASSES

LIMIT = 30.0
"""Seconds for it to run."""
SHOWN = 200
"""Characters of what an arm says."""
_MODULES = ("array", "contextlib", "copy", "io", "mmap", "numpy", "os", "pickle", "tempfile")
_MADE = re.compile(r"(\w+) = ")


def script(found: Found) -> str:
    """Source text: what is needed to come to the difference, and then a line that prints it, if it can be printed."""
    lines = [
        f"with contextlib.suppress(Exception):\n    {statement.text}" if number in found.raising else statement.text
        for number, statement in enumerate(found.statements)
    ]
    place = found.point.place
    if isinstance(place, int):
        lines[place:] = _last(found.statements[place].text)
    elif place.isidentifier() and place != "end":
        lines.append(f"print({_contents(place)})")
    lines += [f"# base: {_shown(found.point.base)}", f"# head: {_shown(found.point.head)}"]
    body = "\n".join(lines) + "\n"
    classes = [part for part in CLASSES.split("\n\n\n") if f"{part[6:].partition('(')[0]}(" in body]
    whole = "\n\n\n".join([*(part.strip() for part in classes), body])
    imports = [f"import {name}" for name in _MODULES if re.search(rf"\b{name}\.", whole)]
    return "\n".join(imports) + ("\n\n\n" if classes else "\n\n") + whole


def alone(text: str, pair: Pair) -> bool:
    """Whether a script, as a program of its own, does something else in the two interpreters."""
    file = pair.folder / "script.py"
    file.write_text(text, encoding="utf-8")
    try:
        ends = [
            shell.run([interpreter.executable, "-B", "-s", file], env={**pair.environment, "PYTHONHASHSEED": "0"},
                      cwd=pair.folder, timeout=LIMIT)
            for interpreter in pair.interpreters
        ]
    finally:
        file.unlink()
    return ends[0] != ends[1]


def _last(text: str) -> list[str]:
    """The statement whose outcome differs, so that the outcome is seen."""
    made = _MADE.match(text)
    if made is not None:
        return [text, f"print({_contents(made[1])})"]
    return [text if text.startswith("del ") or " = " in text else f"print({text})"]


def _contents(name: str) -> str:
    if name.startswith("stream"):
        return f"{name}.tell(), {name}.getvalue()"
    return name if name.startswith("value") else f"bytes({name})"


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
