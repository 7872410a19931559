"""valgrind's callgrind: how a worker is put under it, and what its files say.

A worker under callgrind calls `getppid` before and after what is to be counted; at each of these marks callgrind
writes a file with what was executed since the last one. So the start of the interpreter, the import and the set-up are
in files that nobody reads.

Format: https://valgrind.org/docs/manual/cl-format.html (version 1). Of its lines those that give a function's own cost
and its calls are read; names and positions may be compressed.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner import shell
from runner.errors import MachineError

MARK = "getppid"
"""The function of libc that is called at a mark: exported, so that it has a name in stripped libraries too."""
UNNAMED = re.compile(r"0x[0-9a-f]+( .*)?|\?\?\?")
ADDED = re.compile(r"(\.(constprop|isra|part|cold|lto_priv)(\.\d+)*)*('\d+)?$")
"""What is added to a function's name: by a compiler to copies and pieces of it, and by callgrind to calls of itself."""
LIBRARIES = ("libpython", "libpypy")
"""How the names of libraries begin that hold an interpreter."""
_SECONDS = 10.0
_SPEC = re.compile(r"(c?(?:fn|ob|fl|fi|fe))=(?:\((\d+)\))?\s*(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the measured process, by names that mean the same in another build."""

    name: str
    """As in the symbol table, static functions too, without what a compiler adds to copies and pieces of it; empty for
    one that has no name there."""
    object: str
    """File that holds it, such as ``libc.so.6``; empty for the interpreter itself."""
    caller: str = ""
    """Only for one without a name: the nearest function of the interpreter that has one and called it, by
    instructions the most. All such functions of an object count as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Instructions executed between two marks."""

    total: int
    functions: Mapping[Function, int]
    """Each function's own instructions, without those of what it calls. They add up to `total`."""
    callers: Mapping[Function, str]
    """For named functions of libraries, the nearest function of the interpreter that has a name and called them."""


def find() -> str | None:
    """Path of valgrind; None where there is none."""
    return shutil.which("valgrind")


def prefix(valgrind: str, out: Path) -> tuple[str, ...]:
    """The words to put before a command so that it runs under callgrind and writes `out`.1, `out`.2, … at its marks.

    Addresses are not randomised, where the kernel allows a process to ask for that.
    """
    words = (
        valgrind, "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={MARK}", "--dump-line=no",
        "--separate-threads=no", "--error-limit=no",
        "--vgdb=no",  # else its pipes stay in the temporary folder of each process that is killed
        "-q", "--",
    )
    setarch = shutil.which("setarch")
    if setarch is None:
        return words
    try:
        allowed = shell.run([setarch, "-R", "true"], timeout=_SECONDS).code == 0
    except MachineError:
        return words
    return (setarch, "-R", *words) if allowed else words


def read(out: Path, marks: int, executable: Path) -> list[Profile]:
    """What was counted between the marks: from the first to the second, from the third to the fourth and so on.

    Raises MachineError when there are not as many files as `marks`: the process has called `getppid` itself, or not
    through libc.
    """
    found = sorted((path for path in out.parent.glob(f"{out.name}.*") if path.suffix[1:].isdigit()),
                   key=lambda path: int(path.suffix[1:]))
    if len(found) != marks:
        raise MachineError(f"callgrind wrote {len(found)} parts instead of {marks}: the benchmark calls {MARK} itself, "
                           "or the interpreter does not call the one of libc. Its instructions cannot be counted.")
    inside = [path for place, path in enumerate(found) if place % 2]
    try:
        return [parse(path.read_text("utf-8", "replace").splitlines(), executable) for path in inside]
    except (OSError, ValueError) as error:
        raise MachineError(f"what callgrind wrote cannot be read: {error}") from error


def parse(lines: Iterable[str], executable: Path) -> Profile:
    """The profile that a callgrind file holds; only its first event (instructions) is read.

    `executable` tells the interpreter's own functions from those of libraries. Raises ValueError for a line that is
    none of the format's.
    """
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        try:
            reader.take(line.strip())
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(f"line {number} is not one of callgrind's: {line.strip()[:80]!r}") from error
    # A shared interpreter keeps its functions in a library of its own.
    own = {str(executable), str(executable.resolve())}
    interpreter = {place for place in reader.objects if place in own or Path(place).name.startswith(LIBRARIES)}
    functions: dict[Function, int] = defaultdict(int)
    callers: dict[Function, str] = {}
    for (place, name), cost in reader.costs.items():
        caller = _caller((place, name), reader.callers, interpreter)
        named = UNNAMED.fullmatch(name) is None
        ours = place in interpreter
        function = Function(
            name=name if named else "", object="" if ours else Path(place).name, caller="" if named else caller)
        functions[function] += cost
        if named and not ours and caller:
            callers[function] = caller
    return Profile(total=sum(functions.values()), functions=dict(functions), callers=callers)


_Place = tuple[str, str]
"""Object and name of a function, as callgrind has them."""


class _Reader:
    """Reads line by line; afterwards holds each function's own cost, and who called it at what cost."""

    def __init__(self) -> None:
        self.costs: dict[_Place, int] = defaultdict(int)
        self.callers: dict[_Place, dict[_Place, int]] = defaultdict(lambda: defaultdict(int))
        self.objects: set[str] = set()
        self._names: dict[tuple[str, str], str] = {}
        self._columns = 1
        self._object = self._name = self._called_object = self._called = ""
        self._call = False

    def take(self, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if line[0] in "0123456789+-*":
            self._cost(line.split())
        elif match := _SPEC.fullmatch(line):
            text = self._full(match[1], match[2], match[3])
            self._spec(match[1], ADDED.sub("", text) if match[1].endswith("fn") else text)
        elif line.startswith("calls="):
            self._call = True
        elif line.startswith(("jump=", "jcnd=")):
            pass  # its own line only: no cost follows
        elif line.startswith("positions:"):
            self._columns = len(line.split()) - 1
        elif ":" not in line.split()[0] and not line.startswith(("jfi=", "jfn=")):
            raise ValueError(line)

    def _cost(self, words: list[str]) -> None:
        # A line of positions alone stands behind a jump; a cost of 0 may be left out.
        cost = int(words[self._columns]) if len(words) > self._columns else 0
        if self._call:
            callee = (self._called_object or self._object, self._called)
            self.callers[callee][self._object, self._name] += cost
            self._called_object = ""
            self._call = False
        else:
            self.costs[self._object, self._name] += cost

    def _full(self, kind: str, number: str | None, text: str) -> str:
        if number is None:
            return text
        # Names of functions, objects and files are numbered apart.
        family = kind.removeprefix("c")[:2]
        key = ("fl" if family in ("fi", "fe") else family, number)
        if text:
            self._names[key] = text
        return self._names[key]

    def _spec(self, kind: str, text: str) -> None:
        if kind == "ob":
            self._object = text
            self.objects.add(text)
        elif kind == "fn":
            self._name = text
        elif kind == "cob":
            self._called_object = text
            self.objects.add(text)
        elif kind == "cfn":
            self._called = text


def _caller(start: _Place, callers: Mapping[_Place, Mapping[_Place, int]], interpreter: set[str]) -> str:
    """Up the heaviest calls to the first function of the interpreter that has a name; empty where there is none."""
    seen = {start}
    here = start
    while above := {one: cost for one, cost in callers.get(here, {}).items() if one not in seen}:
        # By name too, so that equal costs do not depend on the file's order.
        here = max(above, key=lambda one: (above[one], one))
        if here[0] in interpreter and UNNAMED.fullmatch(here[1]) is None:
            return here[1]
        seen.add(here)
    return ""
