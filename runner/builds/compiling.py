"""configure and make, in a tree of ours. Knows nothing of caches or of what is measured."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from runner import shell
from runner.builds.cache import Progress
from runner.builds.spec import BuildSpec
from runner.errors import BuildError, MachineError

# Only what a benchmarked interpreter needs; nothing links against libpython.a. The prefix keeps the
# packages and .pth files of an installed Python of the same version, in /usr/local, out of the build.
_ALWAYS = (
    "--prefix=/nonexistent", "--disable-test-modules", "--without-ensurepip", "--without-static-libpython",
)
_UNCOMPILED = r"(^|/)(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|site-packages)/"
_COMPILERS = ("gcc", "cc", "clang")  # the order in which configure looks for one


def flags(spec: BuildSpec) -> tuple[str, ...]:
    """The arguments for configure. Optimisation stays CPython's own (-O3); the user's come last and win.

    Raises MachineError where there is no compiler.
    """
    chosen = [*_ALWAYS]
    chosen += ["--enable-optimizations"] if spec.pgo else []
    chosen += ["--with-lto"] if spec.lto else []
    chosen += ["--with-pydebug"] if spec.debug else []
    given = {argument.partition("=")[0] for argument in spec.configure}
    if "CC" not in given:
        # Said out loud, so that what is hashed as the compiler is what configure takes.
        compiler = next((name for name in _COMPILERS if shutil.which(name)), None)
        if compiler is None:
            raise MachineError("there is no C compiler; install one (Debian: apt install build-essential)")
        chosen.append(f"CC={compiler}")
    if "CFLAGS" not in given:
        # Debug information is a quarter of the time and most of the size of a tree.
        chosen.append("CFLAGS=-g1" if spec.debug else "CFLAGS=-g0")
    return (*chosen, *spec.configure)


def environment() -> dict[str, str]:
    """What configure and make see of the environment: nothing that could change the build unseen, such as CFLAGS."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C"}


def configure(tree: Path, flags: Sequence[str], label: str, log: Path, progress: Progress) -> None:
    """Run configure in a fresh tree. Raises BuildError."""
    progress(f"configuring {label}")
    _run(["./configure", *flags], tree, f"configuring {label}", log)


def make(tree: Path, spec: BuildSpec, label: str, log: Path, progress: Progress) -> Path:
    """Compile the interpreter and its extension modules; in a copied tree, what has changed. Returns the interpreter.

    Raises BuildError, and MachineError where there is no make.
    """
    if shutil.which("make") is None:
        raise MachineError("there is no make; install it (Debian: apt install make)")
    text = (tree / "Makefile").read_text(encoding="utf-8", errors="replace")
    suffix = re.search(r"^BUILDEXE=\s*(\S*)$", text, re.MULTILINE)
    executable = tree / f"python{suffix[1] if suffix else ''}"
    # Training hangs on the default target; the others make only what is needed.
    targets = ["all"] if spec.trained else [executable.name, "sharedmods"]
    doing = "compiling and training" if spec.trained else "compiling"
    progress(f"{doing} {label}")
    _run(["make", f"-j{shell.cpus()}", *targets], tree, f"compiling {label}", log)
    if not executable.is_file():
        raise BuildError(f"compiling {label} ended well and yet made no {executable.name}; the log is {log}")
    return executable


def run_make(tree: Path, words: Sequence[str], doing: str, log: Path) -> None:
    """Run make for some targets in a configured tree. Raises BuildError, and MachineError where there is no make."""
    _run(["make", *words], tree, doing, log)


def precompile(tree: Path, final: Path, executable: Path, label: str, log: Path, progress: Progress) -> None:
    """Compile the standard library's modules, so that no measured process has to.

    The names in them are those that the files will have in the folder `final`: where they differ from
    the real ones, each import corrects every code object, in a moved or copied tree only. Hence also
    -f: what was copied from another tree is compiled again. Raises BuildError.
    """
    progress(f"compiling the standard library of {label}")
    folders = [Path("Lib")]
    if (tree / "pybuilddir.txt").is_file():  # where sysconfig's data are
        folders.append(Path((tree / "pybuilddir.txt").read_text(encoding="utf-8").strip()))
    for folder in folders:
        if (tree / folder).is_dir():
            _run(
                [executable, "-E", "-S", "-m", "compileall", "-q", "-f", "-j", str(shell.cpus()),
                 "-x", _UNCOMPILED, "-d", final / folder, folder],
                tree, f"compiling the standard library of {label}", log,
            )


def copy(source: Path, target: Path) -> None:
    """Copy a built tree with its modification times, sharing blocks where the file system can. Raises BuildError."""
    if sys.platform != "linux":
        shutil.copytree(source, target, symlinks=True)
        return
    result = shell.run(["cp", "-a", "--reflink=auto", source, target], env=environment())
    if result.code:
        raise BuildError(f"cannot copy {source}: {result.output.strip()}")


_CONFIGURED = re.compile(r"(^|/)(configure|configure\.ac|Makefile\S*|Setup\S*|config\.\w+|makesetup|\S+\.(in|m4|mk))$")


def is_incremental(spec: BuildSpec, files: Iterable[str]) -> bool:
    """Whether edits to these files can start from a copy of the unedited build.

    Not where configure has to run again, nor where training belongs to the edited program.
    """
    return not spec.trained and not any(map(is_configuration, files))


def is_configuration(file: str) -> bool:
    """Whether configure reads a file, or makes something of it."""
    return _CONFIGURED.search(file) is not None


def touch_includers(tree: Path, files: Iterable[str]) -> None:
    """Make make compile every .c file that includes one of these, directly or not.

    CPython's Makefile knows the common headers only. Matching by bare name takes in too much at
    worst; the compiler's own dependency files would need a flag of ours in every build.
    """
    wanted = {PurePosixPath(file).name for file in files if not file.endswith((".py", ".rst", ".txt"))}
    if not wanted:
        return
    includes: dict[Path, set[str]] = {}
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name not in ("Lib", "Doc", "build")]
        for name in names:
            if name.endswith((".c", ".h", ".inc")):
                path = Path(folder, name)
                found = re.findall(rb'^\s*#\s*include\s+["<]([^">]+)', path.read_bytes(), re.MULTILINE)
                includes[path] = {PurePosixPath(os.fsdecode(text)).name for text in found}
    reached = set(wanted)
    while True:
        more = {path.name for path, included in includes.items() if included & reached} - reached
        if not more:
            break
        # A .c file is an end of the chain, unless another file includes it by name.
        reached |= more
    for path, included in includes.items():
        if path.suffix == ".c" and included & reached:
            path.touch()


def _run(command: Sequence[str | Path], tree: Path, doing: str, log: Path) -> None:
    result = shell.run(command, cwd=tree, env=environment(), log=log)
    if result.code:
        words = f"signal {-result.code}" if result.code < 0 else f"exit code {result.code}"
        raise BuildError(f"{doing} failed: {Path(command[0]).name} ended with {words}")
