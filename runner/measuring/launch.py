"""How a measured process is started: its command, its environment, and equal stacks for both arms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import shell
from runner.model import Arm, Interpreter

WORKER = Path(__file__).with_name("worker.py")
# Loaded by path through the import system, so that its bytecode is cached; a script's never is. The folder is for its
# code alone: what it imports from the library would be compiled anew by the first process of every copy and layout,
# whose memory then lay otherwise than that of all others (docs/decisions/0030).
START = (
    "import sys; from importlib.machinery import SourceFileLoader; before, sys.pycache_prefix = sys.pycache_prefix, "
    "sys.argv[2]; code = SourceFileLoader('lockstep_worker', sys.argv[1]).get_code('lockstep_worker'); "
    "sys.pycache_prefix = before if sys.argv[3] == 'own' else sys.argv[2]; w = type(sys)('lockstep_worker'); "
    "exec(code, w.__dict__); w.main()"
)
ASK_LIBRARIES = (
    "import os, sysconfig; paths = sysconfig.get_paths(); "
    "[print('lockstep', os.path.realpath(paths[name])) for name in ('stdlib', 'purelib')]"
)
ASK_STACK = (
    "maps = open('/proc/self/maps').read().splitlines(); stat = open('/proc/self/stat').read().rpartition(')')[2]; "
    "end = [int(line.split()[0].partition('-')[2], 16) for line in maps if line.endswith('[stack]')][0]; "
    "read = lambda name: open('/proc/self/' + name, 'rb').read().count(bytes(1)); "
    "print('\\nlockstep', end - int(stat.split()[45]), read('cmdline') + read('environ'))"
)
"""Bytes from the first argument to the end of the stack (``arg_start`` is field 48 of proc(5)'s stat), and words."""
PADDING = "LOCKSTEP_PADDING"
START_LIMIT = 30.0
"""Seconds for the interpreter to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytecode:
    """Where a worker keeps what its interpreter compiles.

    An arm never runs what the other arm's compiler has made, and nothing is written beside the sources.
    """

    folder: Path
    """The arm's own; of equal length in both arms."""
    library: bool
    """It is for the interpreter's library and packages too: where the arms share these, and are different programs."""

    @property
    def environment(self) -> dict[str, str]:
        """What the worker's environment gets more."""
        return {"PYTHONPYCACHEPREFIX": str(self.folder)} if self.library else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All that a worker's start depends on."""

    arm: Arm
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    cpus: tuple[int, ...]
    """Where it may run while it loads; empty: anywhere."""
    address: int | None = None
    """Number of the addresses that it gets (`machine.addresses`); None: the kernel draws them."""
    inherited: tuple[int, ...] = ()
    """File descriptors that it keeps, under the same numbers."""
    memory: int | None = None
    """Bytes in memory that it may use; None: as many as there are."""


def bytecode(base: Interpreter, head: Interpreter, scratch: Path) -> dict[Arm, Bytecode]:
    """A folder for each arm, in `scratch`."""
    ours = base.build is not None and head.build is not None  # each has a library of its own, compiled with the build
    shared = not ours and base.sha256 != head.sha256 and bool(_libraries(base) & _libraries(head))
    return {arm: Bytecode(folder=scratch / f"bytecode-{arm.value}", library=shared) for arm in Arm}


def _libraries(interpreter: Interpreter) -> set[str]:
    """Folders of its library and its packages, symbolic links followed; empty where it does not tell."""
    told = shell.run([interpreter.executable, "-s", "-c", ASK_LIBRARIES], timeout=START_LIMIT)
    return {line.partition(" ")[2] for line in told.output.splitlines() if line.startswith("lockstep ")}


def command(interpreter: Interpreter, code: Bytecode) -> tuple[str, ...]:
    """The worker's argv. Never -I or -E: they would make PYTHONHASHSEED ignored."""
    safe = ("-P",) if _version(interpreter) >= (3, 11) else ()
    which = "all" if code.library else "own"
    return (str(interpreter.executable), "-s", *safe, "-c", START, str(WORKER), str(code.folder), which)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """What a wrapped interpreter has on its stack beyond what its wrapper was given; either may be below 0."""

    bytes: int = 0
    """Of argv, the environment and the executable's path."""
    words: int = 0
    """Of argv and the environment: each is a pointer there too."""


NO_SURPLUS: Mapping[Arm, Surplus] = {arm: Surplus() for arm in Arm}


def surplus(interpreter: Interpreter, env: Mapping[str, str], cwd: Path) -> Surplus:
    """What an interpreter's wrapper adds to `env` and to the words of its command; nothing where there is no wrapper.

    `env` must have all that a measured process gets, the padding apart, and PWD, which shells add.
    """
    if interpreter.starts is None:
        return Surplus()
    words = (str(interpreter.executable), "-s", "-c", ASK_STACK)
    told = shell.run(words, env=env, cwd=cwd, timeout=START_LIMIT)
    line = next((line for line in told.output.splitlines() if line.startswith("lockstep ")), None)
    if line is None:  # no such file system
        return Surplus()
    size, count = map(int, line.split()[1:])
    return Surplus(bytes=size - _on_stack(words) - _size_of(env), words=count - len(words) - len(env))


def _on_stack(words: Sequence[str]) -> int:
    """Bytes of argv and of the executable's path, a zero after each, and of the word of zeros at the stack's end."""
    return 8 + len(os.fsencode(words[0])) + 1 + sum(len(os.fsencode(word)) + 1 for word in words)


def _size_of(env: Mapping[str, str]) -> int:
    return sum(len(os.fsencode(f"{name}={value}")) + 1 for name, value in env.items())


def padded(
    arms: Mapping[Arm, Sequence[str]], env: Mapping[str, str], padding: int,
    surplus: Mapping[Arm, Surplus] = NO_SURPLUS,
) -> dict[Arm, dict[str, str]]:
    """The environment of each arm, such that all that the kernel puts on the stack has one total size.

    That is argv, the environment, and the executable's path a second time. The shorter arm gets more
    padding; `padding` (bytes, ≥ 0) is what the longer one gets. Where one arm's wrapper adds words (`surplus`), the
    other gets as many empty variables.
    """
    most = max(surplus[arm].words for arm in arms)
    empty = {arm: {f"{PADDING}_{number}": "" for number in range(most - surplus[arm].words)} for arm in arms}
    size = {arm: _on_stack(words) + surplus[arm].bytes + _size_of(empty[arm]) for arm, words in arms.items()}
    longest = max(size.values())
    return {arm: {**env, **empty[arm], PADDING: "x" * (padding + longest - size[arm])} for arm in arms}


def with_commands(arms: Mapping[Arm, Interpreter], env: Mapping[str, str]) -> dict[Arm, dict[str, str]]:
    """For arms that have two commits of a project installed: `PATH` with each environment's own commands first.

    As asv has it: a benchmark that runs a command of the project is to run that of its commit. Nothing where either is
    another interpreter, and where one path is longer, which would move what lies above it on the stack.
    """
    own = {arm: str(one.executable.parent) for arm, one in arms.items() if one.installed is not None}
    if len(own) < len(arms) or len(set(map(len, own.values()))) > 1:
        return {arm: {} for arm in arms}
    return {arm: {"PATH": os.pathsep.join((place, env.get("PATH", os.defpath)))} for arm, place in own.items()}


def _version(interpreter: Interpreter) -> tuple[int, int]:
    major, minor = interpreter.version.split(".")[:2]
    return int(major), int(minor)
