"""What an interpreter says of itself: it is run once, with a short script that any Python can read."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import config, shell
from runner.builds import modules, packages
from runner.errors import MachineError, UsageError
from runner.owned import owned

START_LIMIT = 10.0
"""Seconds that an interpreter may take to start and answer."""
OLDEST = (3, 8)

# It must reach its print in Python 2 too, so that an old Python is called old and not broken. With -c the current
# folder comes first on sys.path, and nothing in it is to be imported.
_SCRIPT = (packages.SCRIPT + modules.SCRIPT).replace("%", "%%") + """
import sys
if sys.path and sys.path[0] == "":
    del sys.path[0]
facts = {}
answer = {"version_info": list(sys.version_info[:2]), "executable": sys.executable, "facts": facts}
if sys.version_info >= (3, 8):
    import os, platform, sysconfig
    answer["version"] = platform.python_version()
    answer["implementation"] = sys.implementation.name
    for name in %r:
        value = sysconfig.get_config_var(name)
        if value is not None:
            facts[name] = str(value)
    facts["compiler"] = platform.python_compiler()
    facts["platform"] = sysconfig.get_platform()
    facts["gil"] = str(getattr(sys, "_is_gil_enabled", lambda: True)())
    jit = getattr(sys, "_jit", None)
    if jit is not None:
        facts["jit"] = str(bool(jit.is_enabled()))
    else:
        # Before 3.14 it does not say, but does what it was configured for unless PYTHON_JIT says otherwise.
        words = facts.get("CONFIG_ARGS", "").replace("'", "").split()
        built = [word.partition("=")[2] or "yes" for word in words if word.startswith("--enable-experimental-jit")]
        asked = os.environ.get("PYTHON_JIT", "") if not sys.flags.ignore_environment else ""
        on = bool(built) and built[-1] in ("yes", "yes-off") and (asked != "0" if asked else built[-1] == "yes")
        facts["jit"] = str(on)
    try:
        answer["packages"] = packages()
    except Exception:
        answer["packages"] = None
    try:
        answer["modules"] = modules()
    except Exception:
        answer["modules"] = None
    options = dict((name, str(getattr(sys.flags, name))) for name in dir(sys.flags)
                   if name[0] != "_" and isinstance(getattr(sys.flags, name), int) and name[:2] != "n_")
    for name, value in getattr(sys, "_xoptions", {}).items():
        options["-X " + name] = str(value)
    for name in sys.warnoptions:
        options["-W " + name] = "True"
    answer["options"] = options
    answer["environment"] = dict(os.environ)
    answer["prefixes"] = [sys.prefix, sys.base_prefix]
    answer["parent"] = os.getppid()
    try:
        answer["program"] = os.readlink("/proc/self/exe")
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            files = set(line.split(None, 5)[-1].rstrip("\\n") for line in maps if "/libpython" in line)
        answer["libraries"] = sorted(files)
    except OSError:
        answer["program"], answer["libraries"] = None, []
    answer["libdirs"] = [sysconfig.get_config_var(name) for name in ("LIBDIR", "MULTIARCH")]
import json
sys.stdout.write("\\n%s" + json.dumps(answer) + "\\n")
"""
_MARK = "lockstep-answer:"
VARIABLES = (
    "CONFIG_ARGS", "CC", "OPT", "CFLAGS", "PY_CFLAGS", "PY_CFLAGS_NODIST", "LDFLAGS", "PY_LDFLAGS_NODIST",
    "Py_DEBUG", "Py_GIL_DISABLED", "Py_ENABLE_SHARED", "Py_TRACE_REFS", "Py_STATS", "WITH_PYMALLOC",
    "WITH_MIMALLOC", "WITH_FREELISTS", "WITH_DOC_STRINGS", "WITH_DTRACE", "WITH_VALGRIND",
    "USE_COMPUTED_GOTOS", "SOABI", "EXTRA_CFLAGS",
)
"""sysconfig variables that can bear on speed."""
_FATAL = (
    "Fatal Python error", "Traceback (most recent call last)", "error while loading shared libraries",
    "Library not loaded", "ModuleNotFoundError", "ImportError",
)
_LIBRARY = re.compile(r"libpython\d+\.\d+\w*\.(so|dylib)")
"""What holds the interpreter's code. Not libpython3.so, which holds none."""
_PRINTED = "printed at start"
_MACHINES = {3: "x86 with 32 bits", 40: "ARM with 32 bits", 62: "x86_64", 183: "aarch64", 21: "ppc64", 22: "s390x",
             243: "RISC-V", 258: "LoongArch"}
"""``e_machine`` of an ELF file (elf.h), for those that a person may meet."""


class SilentError(UsageError):
    """A program ended without an answer; carries what it said instead."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one interpreter said."""

    executable: str
    """Its own idea of where it is: ``sys.executable``."""
    version: str
    implementation: str
    facts: Mapping[str, str]
    packages: Mapping[str, str] | None
    """As `packages.SCRIPT` finds them; None where they cannot be listed."""
    modules: Mapping[str, str] | None
    """As `modules.SCRIPT` finds them; None where they cannot be listed."""
    program: Path | None
    """The file that runs; None where the system does not tell."""
    library: Path | None
    """The libpython that it has loaded; None where its code is in the executable, or the system does not tell."""
    options: Mapping[str, str]
    """Flags and options that it runs with: ``{"optimize": "1", "-X utf8": "1"}``."""
    environment: Mapping[str, str]
    prefixes: tuple[str, str]
    """Of the environment and of the installation: ``sys.prefix`` and ``sys.base_prefix``."""
    child: bool
    """It is a process of its own and not the one that was started, which waits for it."""


def ask(
    spec: str, executable: Path, *, environment: Mapping[str, str] | None = None, here: bool = False
) -> Answer:
    """Run the script in an interpreter; in an empty folder, or, with `here`, in the current one.

    `environment` is all that it sees of variables; None: the caller's, without those that steer Python.

    Raises UsageError where there is no answer, where it is too old, or where it has loaded a libpython that is not its
    own.
    """
    script = _SCRIPT % (VARIABLES, _MARK)
    with ExitStack() as stack:
        folder = None if here else stack.enter_context(owned("lockstep-ask-"))
        try:
            # -B: nothing is written into the interpreter's folders.
            result = shell.run([executable, "-B", "-s", "-c", script], cwd=folder, timeout=START_LIMIT,
                               env=config.environment() if environment is None else environment)
        except MachineError as error:
            raise UsageError(f"{spec} is not a program that this machine can run: {_why(executable, error)}") from error
    if result.timed_out:
        raise UsageError(f"{spec} hangs at start-up: no answer within {START_LIMIT:g} s")
    lines = result.output.splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith(_MARK)), None)
    if at is None:
        raise SilentError(_no_answer(spec, executable, result), result.output.strip())
    answer = json.loads(lines[at].removeprefix(_MARK))
    major, minor = answer["version_info"]
    if (major, minor) < OLDEST:
        raise UsageError(f"{spec} is Python {major}.{minor}; Lockstep needs {OLDEST[0]}.{OLDEST[1]} or later")
    printed = " ".join(line for line in lines[:at] if line.strip())
    return Answer(
        executable=answer["executable"] or "", version=answer["version"], implementation=answer["implementation"],
        facts={**answer["facts"], **({_PRINTED: printed[:200]} if printed else {})}, packages=answer["packages"],
        modules=answer["modules"],
        program=None if answer["program"] is None else Path(answer["program"]),
        library=_own_library(spec, executable, answer), options=answer["options"], environment=answer["environment"],
        prefixes=(answer["prefixes"][0], answer["prefixes"][1]), child=answer["parent"] != os.getpid(),
    )


def _own_library(spec: str, executable: Path, answer: Mapping[str, Any]) -> Path | None:
    """The libpython that it has loaded. Raises UsageError where that is another one than the one that belongs to it."""
    loaded = library_in(answer["libraries"])
    if loaded is None:
        return None
    folder = Path(answer["program"]).parent
    libdir, multiarch = answer["libdirs"]
    base = Path(answer["prefixes"][1])
    # As from near to far: beside it, as in a build's tree; in its prefix, wherever that was moved to; as configured.
    places = [folder, folder.parent / "lib", base / "lib", *([Path(libdir)] if libdir else [])]
    places += [place / multiarch for place in places[1:] if multiarch]
    own = next((place / loaded.name for place in places if (place / loaded.name).exists()), None)
    if loaded.is_relative_to(base) if own is None else _alike(own, loaded):
        return loaded
    if own is None:
        raise UsageError(f"{spec} loads {loaded}, which lies outside of its own folders, {base} and {folder}: what "
                         "would be measured is that library's code. Give the interpreter that it belongs to")
    raise UsageError(
        f"{spec} loads {loaded}, and not its own library, {own}: what would be measured is the code of the first. Set "
        f"LD_LIBRARY_PATH={own.parent}, or link the interpreter with LDFLAGS=-Wl,-rpath,{own.parent}"
    )


def library_in(files: Iterable[str]) -> Path | None:
    """The libpython among the files that a process has mapped; None where there is none."""
    return next((Path(name) for name in files if _LIBRARY.match(Path(name).name)), None)


def _alike(one: Path, other: Path) -> bool:
    return one.samefile(other) or filecmp.cmp(one, other, shallow=False)


def _why(executable: Path, error: MachineError) -> str:
    """Why the system does not run a file that is there, in words."""
    cause = error.__cause__
    code = cause.errno if isinstance(cause, OSError) else None
    with executable.open("rb") as file:
        head = file.read(256)
    if head.startswith(b"#!"):
        first = head[2:].split(b"\n")[0].decode("utf-8", "replace")
        if first.endswith("\r"):
            return "its first line ends as in Windows; write it with the line ends of Unix"
        if code == errno.ENOENT:
            return f"its first line names {first.strip()}, which does not exist"
    elif head.startswith(b"\x7fELF"):
        here, there = _machine(Path(sys.executable).read_bytes()[:20]), _machine(head)
        if code == errno.ENOEXEC and there != here:
            return f"it is for {there}, and this machine is {platform.machine()}"
        if code == errno.ENOENT:
            return "the loader that it names does not exist here; is it for another system, such as one with musl?"
    elif code == errno.ENOEXEC:
        return "it is no executable, and its first line does not say what runs it, as #!/bin/sh does"
    return str(error)


def _machine(head: bytes) -> str:
    if len(head) < 20 or not head.startswith(b"\x7fELF"):
        return "another system"
    number = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
    return _MACHINES.get(number, f"another architecture (ELF machine {number})")


def _no_answer(spec: str, executable: Path, result: shell.Result) -> str:
    tail = "\n".join(result.output.strip().splitlines()[-5:])
    said = f". It said:\n{tail}" if tail else " and said nothing"
    if result.code < 0:
        return f"{spec} dies at start-up by signal {-result.code}{said}"
    if any(sign in result.output for sign in _FATAL):
        return f"{spec} dies at start-up with exit code {result.code}{said}"
    hint = '\nDoes the script hand on its arguments, as in: exec python3 "$@"' if is_script(executable) else ""
    return (f"{spec} is not a Python interpreter: asked for its version, it ended with exit code {result.code}{said}"
            f"{hint}")


def is_script(executable: Path) -> bool:
    """Whether another program runs it, which its first line names."""
    with executable.open("rb") as file:
        return file.read(2) == b"#!"
