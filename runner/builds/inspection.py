"""Ready-made interpreters: what a path or a command means, and how a file that starts an interpreter is taken.

Such a file is a *shim*, where it adds nothing to what it starts but a version manager's own variables: it is replaced
by what it starts. Or it is a *wrapper*, whose variables and options are the point: it is run as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from runner import config, paths
from runner.builds.asking import Answer, SilentError, ask, is_script
from runner.builds.releases import sha256_of
from runner.errors import UsageError
from runner.model import Interpreter

_MANAGERS = ("pyenv", "asdf", "mise", "rtx")
"""Programs that keep several versions and put a shim for each command on PATH."""
_THEIRS = re.compile(rf"_*({'|'.join(_MANAGERS)})_".upper())
"""How the names of their variables begin."""
_SEED = "1"
_LONGEST = 60
"""Characters of a variable's value that are shown."""


def locate(spec: str) -> Path:
    """The file that a path or a command on PATH means; of an environment's folder, its python.

    Raises UsageError where there is none.
    """
    path = _inside(Path.cwd() / paths.expanded(spec))
    found = None if "/" in spec else shutil.which(spec)
    # A folder of that name does not hide a command; a file does, and so does an environment.
    if "/" in spec or (os.path.exists(path) and not (path.is_dir() and found)):
        return path
    if found is None:
        raise UsageError(
            f"there is no interpreter {spec}: it is neither a path nor a command on PATH."
            " A build is named like cpython@3.13.5, git:DIR@REF, dir:TREE or tar:FILE"
        )
    return Path.cwd() / found


def _inside(path: Path) -> Path:
    # Never resolve(): a venv's python is a link, and must stay one.
    python = path / "bin" / "python"
    environment = os.path.isfile(path / "pyvenv.cfg") or os.path.isdir(path / "conda-meta")
    return python if environment and os.path.exists(python) else path


def inspect(spec: str, executable: Path, *, environment: Mapping[str, str] | None = None) -> Interpreter:
    """Run an interpreter once and collect version, implementation and facts.

    `environment` is what a measured process gets of variables (None: the caller's without those that steer Python). A
    shim is replaced by the interpreter that it starts from the current folder; a wrapper and a symbolic link, such as
    a virtual environment's python, are kept as they are.

    Raises UsageError where the file is missing, a folder, not executable, not Python, older than 3.8, dies or hangs at
    start-up, or loads another libpython than its own; where a shim has no version to start; and for a wrapper that
    cannot be measured as it is.
    """
    _check(spec, executable)
    if not is_script(executable) and _manager(executable) is None:
        answer = ask(spec, executable, environment=environment)
        if not _starts_another(executable, answer):
            return _interpreter(spec, executable, answer)
    started = _ask_here(spec, executable, environment)
    target = _target(executable, started)
    if target is None:  # nothing tells what it has started
        return _wrapper(spec, executable, ask(spec, executable, environment=environment), None)
    plain = ask(spec, target, environment=environment, here=True)
    if _is_shim(executable, started, plain):
        return inspect(spec, target, environment=environment)
    measured = _ask_wrapper(spec, executable, environment)
    if _target(executable, measured) != target:
        raise UsageError(
            f"{spec} starts {target} from here, and {_target(executable, measured)} from where benchmarks are run, "
            f"which is another folder. {_missed(executable, environment)}"
        )
    return _wrapper(spec, executable, measured, ask(spec, target, environment=_with_seed(environment)))


def _check(spec: str, executable: Path) -> None:
    if os.path.islink(executable) and not os.path.exists(executable):
        there = executable.readlink()
        raise UsageError(f"{spec} is a link to {there}, which {paths.why_not(executable.parent / there)}")
    if not os.path.exists(executable):
        raise UsageError(f"{spec} {paths.why_not(executable)}; give the path of a Python interpreter")
    if executable.is_dir():
        hint = f"; to build the source in it, write dir:{spec}" if (executable / "configure").is_file() else ""
        python = next((one for one in (executable / "bin/python", executable / "bin/python3") if one.exists()), None)
        raise UsageError(f"{spec} is a directory, not an interpreter{f'; did you mean {python}?' if python else hint}")
    if not executable.is_file():
        raise UsageError(f"{spec} is no file; give the path of a Python interpreter")
    if not os.access(executable, os.X_OK):
        raise UsageError(f"{spec} is not executable; make it so with: chmod +x {shlex.quote(str(executable))}")
    if not os.access(executable, os.R_OK):
        raise UsageError(f"{spec} cannot be read, and what is measured is known by its content")


def _interpreter(spec: str, executable: Path, answer: Answer) -> Interpreter:
    return Interpreter(
        spec=spec, executable=executable, version=answer.version, implementation=answer.implementation,
        sha256=sha256_of(executable), facts=answer.facts, packages=answer.packages,
        modules=answer.modules,
    )


def _starts_another(executable: Path, answer: Answer) -> bool:
    return answer.program is not None and answer.program.exists() and not answer.program.samefile(executable)


def _target(executable: Path, answer: Answer) -> Path | None:
    """What a file has started, by the name that it goes by; None where the system does not tell."""
    named = Path(answer.executable) if answer.executable else None
    if named is None or not named.exists() or named.samefile(executable):
        return answer.program
    # By its own name where that is what runs: a virtual environment's link is to stay one.
    return named if answer.program is None or answer.program.samefile(named) else answer.program


def _is_shim(executable: Path, started: Answer, plain: Answer) -> bool:
    """Whether a file adds nothing of its own to the interpreter that it starts."""
    options, variables = _added(started, plain)
    theirs = {name for name in variables if _THEIRS.match(name)}
    if theirs or executable.parent.name == "shims":
        theirs.add("PATH")
    return not options and variables.keys() <= theirs and started.prefixes == plain.prefixes


def _added(started: Answer, plain: Answer) -> tuple[dict[str, str], dict[str, str | None]]:
    """Options and variables in which a wrapped interpreter differs from one that is started by itself.

    A variable that is taken away is None.
    """
    def changed(name: str, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
        return one.get(name) != other.get(name)

    options = {name: started.options.get(name, "none") for name in {**plain.options, **started.options}
               if changed(name, started.options, plain.options)}
    variables = {name: started.environment.get(name) for name in {**plain.environment, **started.environment}
                 if name not in config.SHELL and changed(name, started.environment, plain.environment)}
    return options, variables


def _with_seed(environment: Mapping[str, str] | None) -> dict[str, str]:
    """What a measured process gets has a hash seed."""
    return {**(config.environment() if environment is None else environment), "PYTHONHASHSEED": _SEED}


def _ask_wrapper(spec: str, executable: Path, environment: Mapping[str, str] | None) -> Answer:
    """Start a wrapper as a measured process is started. Raises UsageError where it cannot be one."""
    try:
        answer = ask(spec, executable, environment=_with_seed(environment))
    except UsageError as error:
        raise UsageError(
            f"{spec} starts an interpreter from here, but not from where benchmarks are run, which is another folder. "
            f"{_missed(executable, environment)}. {error}"
        ) from error
    if answer.child:
        raise UsageError(
            f"{spec} starts its interpreter as a child and waits for it, so that the child would be measured and not "
            "pinned to its CPU. Let the script become the interpreter: exec before the command, os.execv in Python"
        )
    if "PYTHONHASHSEED" not in answer.environment or answer.options.get("ignore_environment", "0") != "0":
        raise UsageError(
            f"{spec} keeps PYTHONHASHSEED from its interpreter (by -E, -I or env -i), which is drawn for each block, "
            "the same for both arms. Leave that out of it"
        )
    return answer


def _missed(wrapper: Path, environment: Mapping[str, str] | None) -> str:
    """What to do where a wrapper starts something else, or nothing, with `environment` from another folder."""
    given = config.environment() if environment is None else environment
    read = re.findall(r"\$\{?(\w+)", wrapper.read_bytes()[:1 << 16].decode("utf-8", "replace"))
    missed = sorted({name for name in read if name in os.environ and name not in given})
    passed = f", or pass on what it reads: {' '.join(f'--env {name}' for name in missed)}" if missed else ""
    return f"Name the interpreter in it by its full path{passed}"


def _wrapper(spec: str, executable: Path, answer: Answer, plain: Answer | None) -> Interpreter:
    found = _interpreter(spec, executable, answer)
    target = _target(executable, answer)
    if plain is None or target is None:
        return found
    options, variables = _added(answer, plain)
    told = {
        "wrapper's options": ", ".join(f"{name}={value}" for name, value in sorted(options.items())),
        "wrapper's variables": ", ".join(_shown(name, value) for name, value in sorted(variables.items())),
    }
    both = f"{found.sha256} {sha256_of(target)}".encode()
    return replace(
        found, starts=target, sha256=hashlib.sha256(both).hexdigest(),
        facts={**found.facts, **{name: text for name, text in told.items() if text}},
    )


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return f"{name} unset"
    return f"{name}={value if len(value) <= _LONGEST else value[:_LONGEST - 1] + '…'}"


def _manager(executable: Path) -> str | None:
    """The version manager that a shim belongs to; None for what is no shim by its look."""
    own = executable.resolve().name
    if own in _MANAGERS:
        return own
    if not is_script(executable):
        return None
    with executable.open("rb") as file:
        text = file.read(4096).decode("utf-8", "replace")
    if executable.parent.name == "shims":
        return next((name for name in _MANAGERS if re.search(rf"\b{name}\b", f"{executable}\n{text}")), None)
    # Not by the name alone: a wrapper may start an interpreter that a manager has installed.
    return next((name for name in _MANAGERS if re.search(rf"\b{name}[\"']?\s+exec\b", text)), None)


def _ask_here(spec: str, executable: Path, environment: Mapping[str, str] | None) -> Answer:
    """Start a shim or wrapper in the current folder, with the variables of a measured process.

    Raises UsageError; a shim's has the remedy.
    """
    try:
        return ask(spec, executable, environment=environment, here=True)
    except SilentError as error:
        manager = _manager(executable)
        if manager is None:
            raise
        raise UsageError(f"{spec} is a shim of {manager}, {executable}, and starts no interpreter from here. "
                         f"{_remedy(manager, executable, error.said)}. It said:\n{error.said}") from error


def _remedy(manager: str, shim: Path, said: str) -> str:
    """What to do where a version manager has no version chosen for a command; `said` names those that it has."""
    listed = {"pyenv": r"(?m)^\s+(\d\S*)$", "asdf": r"(?m)^python (\S+)$"}.get(manager, r"\bpython@(\S+)")
    versions = re.findall(listed, said)
    version = versions[-1] if versions else "VERSION"
    choose = {
        "pyenv": f"pyenv global {version}", "asdf": f'echo "python {version}" >> ~/.tool-versions',
    }.get(manager, f"{manager} use -g python@{version}")
    full = shim.parent.parent / ("installs/python" if manager != "pyenv" else "versions") / version / "bin" / shim.name
    return f"Give the full path{f', {full}' if full.exists() else ''}, or choose a version: {choose}"
