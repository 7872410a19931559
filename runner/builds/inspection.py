"""What an interpreter says of itself: it is run once, with a short script that any Python can read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner import shell
from runner.builds import modules, packages
from runner.builds.releases import sha256_of
from runner.errors import MachineError, UsageError
from runner.model import Interpreter
from runner.owned import owned

START_LIMIT = 10.0
"""Seconds that an interpreter may take to start and answer."""

# It must reach its print in Python 2 too, so that an old Python is called old and not broken.
_SCRIPT = (packages.SCRIPT + modules.SCRIPT).replace("%", "%%") + """
import sys
facts = {}
answer = {"version_info": list(sys.version_info[:2]), "executable": sys.executable, "facts": facts}
if sys.version_info >= (3, 8):
    import platform, sysconfig
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
    facts["jit"] = str(bool(jit and jit.is_enabled()))
    try:
        answer["packages"] = packages()
    except Exception:
        answer["packages"] = None
    try:
        answer["modules"] = modules()
    except Exception:
        answer["modules"] = None
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


def locate(spec: str) -> Path:
    """The file that a path or a command on PATH means. Raises UsageError where there is none."""
    path = Path(spec).expanduser()
    # Never resolve(): a venv's python is a link, and must stay one.
    if "/" in spec or path.exists():
        return Path.cwd() / path
    found = shutil.which(spec)
    if found is None:
        raise UsageError(
            f"there is no interpreter {spec}: it is neither a path nor a command on PATH."
            " A build is named like cpython@3.13.5, git:DIR@REF, dir:TREE or tar:FILE"
        )
    return Path.cwd() / found


def inspect(spec: str, executable: Path) -> Interpreter:
    """Run an interpreter once and collect version, implementation and facts.

    A script that starts the real interpreter, such as a pyenv shim, is replaced by the interpreter
    that it starts; a symbolic link, such as a virtual environment's python, is kept as it is.

    Raises UsageError where the file is missing, a folder, not executable, not Python, older than 3.8,
    or dies or hangs at start-up.
    """
    _check(spec, executable)
    answer = ask(spec, executable)
    if _is_script(executable) and answer.executable:
        executable = Path(answer.executable)
    return Interpreter(
        spec=spec, executable=executable, version=answer.version, implementation=answer.implementation,
        sha256=sha256_of(executable), facts=answer.facts, packages=answer.packages,
        modules=answer.modules,
    )


def _check(spec: str, executable: Path) -> None:
    if executable.is_symlink() and not executable.exists():
        raise UsageError(f"{spec} is a link to {executable.readlink()}, which does not exist")
    if not executable.exists():
        raise UsageError(f"{spec} does not exist; give the path of a Python interpreter")
    if executable.is_dir():
        hint = f"; to build the source in it, write dir:{spec}" if (executable / "configure").is_file() else ""
        raise UsageError(f"{spec} is a directory, not an interpreter{hint}")
    if not os.access(executable, os.X_OK):
        raise UsageError(f"{spec} is not executable; make it so with: chmod +x {executable}")


def _is_script(executable: Path) -> bool:
    with executable.open("rb") as file:
        return file.read(2) == b"#!"


def ask(spec: str, executable: Path) -> Answer:
    """Run the script in an interpreter. Raises UsageError where there is no answer, or it is too old."""
    script = _SCRIPT % (VARIABLES, _MARK)
    # -B: nothing is written into the interpreter's folders. An empty folder, because with -c the
    # current one comes first on sys.path; -I would do that too, but Python 2 does not know it.
    with owned("lockstep-ask-") as empty:
        try:
            result = shell.run(
                [executable, "-B", "-E", "-s", "-c", script], cwd=empty, timeout=START_LIMIT
            )
        except MachineError as error:
            raise UsageError(f"{spec} is not a program that this machine can run ({error})") from error
    if result.timed_out:
        raise UsageError(f"{spec} hangs at start-up: no answer within {START_LIMIT:g} s")
    line = next((line for line in result.output.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise UsageError(_no_answer(spec, result))
    answer = json.loads(line.removeprefix(_MARK))
    major, minor = answer["version_info"]
    if (major, minor) < (3, 8):
        raise UsageError(f"{spec} is Python {major}.{minor}; Lockstep needs 3.8 or later")
    return Answer(
        executable=answer["executable"], version=answer["version"], implementation=answer["implementation"],
        facts=answer["facts"], packages=answer["packages"], modules=answer["modules"],
    )


def _no_answer(spec: str, result: shell.Result) -> str:
    tail = "\n".join(result.output.strip().splitlines()[-5:])
    said = f". It said:\n{tail}" if tail else " and said nothing"
    if result.code < 0:
        return f"{spec} dies at start-up by signal {-result.code}{said}"
    if any(sign in result.output for sign in _FATAL):
        return f"{spec} dies at start-up with exit code {result.code}{said}"
    return f"{spec} is not a Python interpreter: asked for its version, it ended with exit code {result.code}{said}"
