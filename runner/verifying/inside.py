"""Run by an interpreter under test: sequences of statements, each in a process of its own, and what came of each.

Its first line of output is JSON: the modules that it has. Then a request is a line of JSON, the statements, and its
reply a line of JSON: pairs of a place and a text, in order. A place is the number of a statement, from 0; behind them
come the names that the statements have made, as they are at the end; what was printed to standard error; and, where the
process did not come to its end, why. What it is started with: classes that the statements may use, as source text.

Standard library only; Python 3.8 and later.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import re
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

MODULES = ("array", "copy", "io", "mmap", "numpy", "os", "pickle", "tempfile")
"""Under these names statements find them."""
LIMIT = 10
"""Seconds for a sequence."""
MEMORY = 2 << 30
"""Bytes of address space for a sequence: one that never ends is not to take all that there is."""
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
PLAIN = (type(None), bool, int, float, str, bytes, bytearray)


def main() -> None:
    there = {name: module for name in MODULES for module in [_module(name)] if module is not None}
    names = sorted(there)
    there["__name__"] = "__main__"
    exec(sys.argv[1], there)
    _limit_memory()
    replies = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    _write(replies, names)
    gc.freeze()  # so that a fork does not copy what a collection would touch
    for line in sys.stdin.buffer:
        _write(replies, _in_a_fork(json.loads(line), there))


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception:
        return None


def _limit_memory() -> None:
    resource = _module("resource")
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY if most < 0 else min(MEMORY, most), most))


def _write(descriptor: int, what: object) -> None:
    data = json.dumps(what).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data):]


def _in_a_fork(statements: list[str], there: dict[str, Any]) -> list[Any]:
    # So that a sequence finds everything as the one before did, whatever that one has broken.
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            signal.alarm(LIMIT)
            _run(statements, there, lambda place, text: _write(writing, [place, text]))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, "rb") as stream:
        told = [json.loads(line) for line in stream if line.endswith(b"\n")]
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        late = number == signal.SIGALRM
        told.append(["end", f"does not end within {LIMIT} s" if late else f"killed by {_signal(number)}"])
    elif os.WEXITSTATUS(status):
        told.append(["end", f"ended with exit code {os.WEXITSTATUS(status)}"])
    return told


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _run(statements: list[str], there: dict[str, Any], tell: Callable[[Any, str], None]) -> None:
    sys.stderr = printed = io.StringIO()
    module = types.ModuleType("__main__")  # where pickle looks for the classes
    sys.modules["__main__"] = module
    space = module.__dict__
    space.update(there)
    before = set(space)
    kept: list[Any] = []  # a constant lives as long as its code does: to the end, as in a script
    for number, statement in enumerate(statements):
        tell(number, _outcome(statement, space, kept))
    made = [name for name in space if name not in before]
    # Streams last: to look at their contents may change how they hold them.
    for name in sorted(made, key=lambda name: isinstance(space[name], io.BytesIO)):
        tell(name, _attempt(look, space[name]))
    tell("standard error", ADDRESS.sub("0x...", printed.getvalue()))


def _outcome(statement: str, space: dict[str, Any], kept: list[Any]) -> str:
    try:
        try:
            code = compile(statement, "<statement>", "eval")
        except SyntaxError:
            code = compile(statement, "<statement>", "exec")
        kept.append(code)
        value = eval(code, space)
        name = statement.partition(" = ")[0]
        return show(space[name] if name.isidentifier() and name in space else value)
    except Exception as error:
        return raised(error)


def _attempt(function: Callable[[Any], str], value: Any) -> str:
    try:
        return function(value)
    except Exception as error:
        return raised(error)


def raised(error: Exception) -> str:
    return f"raises {type(error).__name__}: {ADDRESS.sub('0x...', str(error))}"


def show(value: Any) -> str:
    """A text that is the same in all processes. It leaves the value, and how it holds its memory, as it is."""
    kind = type(value).__name__
    if isinstance(value, io.BytesIO):
        return f"{kind} closed" if value.closed else f"{kind} at {value.tell()}"
    if isinstance(value, memoryview):
        try:
            return f"memoryview {value.tobytes()!r}" + " read-only" * value.readonly
        except ValueError:
            return "memoryview released"
    if isinstance(value, (list, tuple)):
        return f"{kind} of {[show(one) for one in value]}"
    if isinstance(value, PLAIN):
        return repr(value) if type(value) in PLAIN else f"{kind} {value!r}"
    if kind in ("array", "ndarray"):
        return f"{kind} {value.tolist()!r}"
    return kind


def look(value: Any) -> str:
    """What `show` says, and the contents."""
    if isinstance(value, io.BytesIO) and not value.closed:
        return f"{show(value)}, {value.getvalue()!r}"
    if type(value).__name__ == "mmap":
        return f"mmap {value[:]!r}"
    return show(value)
