"""The modules in C that CPython's tests use and our builds lack, built beside a build."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from runner import shell
from runner.errors import listed
from runner.model import Interpreter

LIMIT = 600.0
"""Seconds for a compiler."""
ASK = (
    "import importlib.util, json, sys, sysconfig; "
    "print('lockstep', json.dumps([{n: sysconfig.get_config_var(n) for n in "
    "('CC', 'CFLAGS', 'CCSHARED', 'EXT_SUFFIX')}, [n for n in sys.argv[1:] if importlib.util.find_spec(n) is None]]))"
)
_SETUP = re.compile(r"(?m)^(?:#|@\w+@)?(_test\w+|_ctypes_test|_?xx\w+)[ \t]+(\S.*)$")
_IMPORTED = re.compile(r"(?m)^\s*(?:from test\.(\w+) import|import test\.(\w+)|from test import (\w+))")


def sources(setup: str) -> dict[str, tuple[str, ...]]:
    """For each test module its files, relative to ``Modules``, as ``Modules/Setup.stdlib.in`` lists them."""
    return {name: tuple(word for word in files.split() if word.endswith(".c")) for name, files in _SETUP.findall(setup)}


def wanted(library: Path, tests: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those of the known modules that these tests name, or that modules name which they import from ``test``.

    `library`: the folder of CPython's tests.
    """
    found: set[str] = set()
    for name in tests:
        text = _of_module(library, name)
        beside = {part for parts in _IMPORTED.findall(text) for part in parts if part} - {"support"}
        for one in (text, *(_of_module(library, part) for part in sorted(beside))):
            found.update(module for module in known if re.search(rf"\b{module}\b", one))
    return sorted(found)


def build(interpreter: Interpreter, tests: Sequence[str], folder: Path) -> list[str]:
    """Build what these tests need, and a build of ours lacks, into `folder`. What comes back: what could not be built,
    in words; the tests that need it are then skipped by themselves."""
    made = interpreter.build
    setup = None if made is None else made.tree / "Modules" / "Setup.stdlib.in"
    if made is None or setup is None or not setup.is_file():
        return []
    tree = made.tree
    known = sources(_text(setup))
    names = wanted(tree / "Lib" / "test", tests, list(known))
    told = shell.run([interpreter.executable, "-s", "-c", ASK, *names], timeout=LIMIT)
    line = next((line for line in told.output.splitlines() if line.startswith("lockstep ")), None)
    if line is None:
        return [f"{interpreter.spec} does not say how extensions are compiled, for {listed(names)}"] * bool(names)
    variables, missing = json.loads(line.partition(" ")[2])
    problems = []
    for name in missing:
        # Unoptimised: they are helpers, and compile four times as fast.
        command = [
            *shlex.split(variables["CC"]), *shlex.split(variables["CFLAGS"] or ""), "-O0", "-w",
            *shlex.split(variables["CCSHARED"] or ""), "-shared", "-I.", "-IInclude", "-IInclude/internal",
            "-IInclude/internal/mimalloc", *(f"Modules/{file}" for file in known[name]),
            "-o", str(folder / f"{name}{variables['EXT_SUFFIX']}"),
        ]
        done = shell.run(command, cwd=tree, timeout=LIMIT)
        if done.code:
            last = (done.output.strip().splitlines() or [f"exit code {done.code}"])[-1]
            problems.append(f"{name} could not be built for {interpreter.spec}: {last}")
    return problems


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _of_module(library: Path, name: str) -> str:
    """The source of a module of tests; of a package, of all that is in it."""
    place = library.joinpath(*name.split("."))
    return _text(place.with_name(f"{place.name}.py")) + "".join(map(_text, sorted(place.rglob("*.py"))))
