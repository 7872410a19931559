"""A second executable of one interpreter, in a folder of its own, that runs with the first one's library.

Where the pages of a file lie in physical memory is decided when the file is first read or written, stays so for as
long as it is cached, and bears on speed: byte copies of one executable differ by up to 4 %, each of them
reproducibly (docs/decisions/0007). Hence copies: a new one is a new draw.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from runner import shell
from runner.builds.asking import ask, library_in
from runner.builds.releases import sha256_of
from runner.errors import MachineError, UsageError
from runner.model import Interpreter

_MARK = "lockstep-places:"
_ASK = f"""
import json, sys
try:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        files = sorted(set(line.split(None, 5)[-1].rstrip("\\n") for line in maps if "/libpython" in line))
except OSError:
    files = []
print("\\n{_MARK}" + json.dumps([sys.base_prefix, sys.prefix, sys._base_executable, files]))
"""
_PLACE = "pybuilddir.txt"
"""Beside the executable, it tells CPython that it has not been installed, and where its extension modules are."""


def extensions(tree: Path) -> Path:
    """Where a build tree has its extension modules."""
    return tree / (tree / _PLACE).read_text(encoding="utf-8").strip()


def plant(tree: Path, folder: Path, executable: str) -> None:
    """Make `folder` look to an interpreter as its build tree does.

    All is links but the executable, which is missing. The extension modules are links one by one, so that
    some can be replaced. `tree` may be a folder that was made by this function.
    """
    folder.mkdir(parents=True)
    shutil.copyfile(tree / _PLACE, folder / _PLACE)
    there, here = extensions(tree), extensions(folder)
    top = there.relative_to(tree).parts[0]
    _link((path for path in tree.iterdir() if path.name not in (executable, top, _PLACE)), folder)
    here.mkdir(parents=True)
    _link(there.iterdir(), here)


def _link(paths: Iterable[Path], folder: Path) -> None:
    for path in paths:
        # Not link upon link: a copy of a copy would follow a chain at every import.
        absolute = path.is_symlink() and path.readlink().is_absolute()
        (folder / path.name).symlink_to(path.readlink() if absolute else path)


class Copier:
    """Makes byte copies of one interpreter's executable."""

    def __init__(self, interpreter: Interpreter) -> None:
        """Raises UsageError for a wrapper, and for an interpreter that does not say where its library is."""
        if interpreter.starts is not None:
            raise UsageError(f"{interpreter.executable} is a wrapper; a copy of {interpreter.starts}, which it starts, "
                             "would not be started by it")
        self._interpreter = interpreter
        self._verified = interpreter.build is not None
        self._settings = ""
        self._prefix: Path | None = None
        self._library: Path | None = None
        self._level = False
        self.shared: Path | None = None
        """The libpython with the interpreter's code, where the copies load it too instead of one of their own."""
        if self._verified and not (interpreter.executable.parent / _PLACE).is_file():
            raise UsageError(f"{interpreter.executable.parent} has no {_PLACE}, by which a copy of {interpreter.spec} "
                             "would find its modules")
        if interpreter.build is None:
            self._settings, self._prefix, library = _environment(interpreter)
            if library is not None and b"$ORIGIN" in interpreter.executable.read_bytes():
                self._library = library
            self.shared = library if self._library is None else None

    @property
    def home(self) -> str:
        """Where the library is looked for; empty for a build of Lockstep's."""
        return next((line.partition("=")[2].strip() for line in self._settings.splitlines() if _is_home(line)), "")

    def level(self) -> None:
        """From now on find the library by way of a link in the copy's own folder.

        The paths that a process keeps are then as long as those of any other such copy, wherever the libraries are:
        what is allocated after them lies alike.
        """
        self._level = bool(self.home)

    def copy(self, folder: Path) -> Interpreter:
        """A byte copy in the new `folder`, which runs with the same library and packages.

        For a build of Lockstep's, a second build folder; for others a virtual environment with a copy instead of a
        link. An interpreter whose code is in libpython gets a copy of that too, where it looks for it from its own
        place ($ORIGIN). Raises UsageError where such a copy does not run as the original does, MachineError for a full
        disk.
        """
        try:
            executable = self._copy(folder)
        except OSError as error:
            raise MachineError(f"cannot copy {self._interpreter.executable} to {folder}: {error.strerror or error}; "
                               "free some space, or set TMPDIR to a folder on another disk") from error
        if not self._verified:
            self._verify(executable)
        return replace(self._interpreter, executable=executable)

    def _copy(self, folder: Path) -> Path:
        original = self._interpreter.executable
        if self._interpreter.build is not None:
            # Not the build's tree: what is copied may be one of its layouts, with extension modules of its own.
            plant(original.parent, folder, original.name)
            executable = folder / original.name
        else:
            executable = folder / "bin" / original.name
            executable.parent.mkdir(parents=True)
            settings = self._settings
            if self._level:
                home = Path(self.home)
                (folder / "home").symlink_to(home.parent)
                line = f"home = {folder / 'home' / home.name}"
                settings = "".join(f"{line if _is_home(one) else one}\n" for one in settings.splitlines())
                executable = executable.with_name("python")
            (folder / "pyvenv.cfg").write_text(settings, encoding="utf-8")
            if self._prefix is not None:
                _link((path for path in self._prefix.iterdir() if path.name not in ("bin", "pyvenv.cfg")), folder)
                inside = (path for path in original.parent.iterdir() if not path.name.startswith(("python", "pypy")))
                _link(inside, executable.parent)
        shutil.copy2(original, executable)
        if self._library is not None:
            library = _beside(original, self._library, executable)
            if library.is_relative_to(folder):
                _own(library.parent, folder)
                library.unlink(missing_ok=True)
                shutil.copy2(self._library, library)
        return executable

    def _verify(self, executable: Path) -> None:
        wanted = self._interpreter
        found = ask(wanted.spec, executable)
        if self._library is not None and (found.library is None or found.library.samefile(self._library)):
            raise UsageError(f"the code of {wanted.spec} is in {self._library}, which a copy of it loads too")
        if (found.version, found.implementation) != (wanted.version, wanted.implementation):
            raise UsageError(f"a copy of {wanted.executable} runs as {found.implementation} {found.version}, "
                             f"not as {wanted.implementation} {wanted.version}")
        self._verified = True


def _beside(original: Path, library: Path, executable: Path) -> Path:
    """Where a copied executable has what its original has at `library`, if that is found from the executable."""
    place = os.path.relpath(library.resolve().parent, original.resolve().parent)
    return Path(os.path.normpath(executable.parent / place / library.name))


def copy_of(interpreter: Interpreter, folder: Path) -> Interpreter:
    """One byte copy of the interpreter's executable in the new `folder`; see `Copier`. Raises UsageError."""
    made = Copier(interpreter).copy(folder)
    return replace(made, sha256=sha256_of(made.executable))


def _own(place: Path, folder: Path) -> None:
    """Make `place`, in `folder`, a folder of its own: a link to a folder becomes one of links to what is in that."""
    for one in reversed([place, *place.parents]):
        if one.is_relative_to(folder) and one.is_symlink():
            there = one.readlink()
            one.unlink()
            one.mkdir()
            _link(there.iterdir(), one)
        one.mkdir(exist_ok=True)


def _is_home(line: str) -> bool:
    return line.partition("=")[0].strip().lower() == "home"


def _environment(interpreter: Interpreter) -> tuple[str, Path | None, Path | None]:
    """`pyvenv.cfg` of a copy, the original's prefix where that is a virtual environment, and its libpython if any."""
    result = shell.run([interpreter.executable, "-s", "-c", _ASK], timeout=10)
    try:
        told = next(line for line in result.output.splitlines() if line.startswith(_MARK))
        base_prefix, prefix, executable, files = json.loads(told.removeprefix(_MARK))
        library = library_in(files)
        if prefix != base_prefix:
            return (Path(prefix) / "pyvenv.cfg").read_text(encoding="utf-8"), Path(prefix), library
    except (ValueError, StopIteration, OSError) as error:
        raise UsageError(f"{interpreter.spec} does not say where its library is: {result.output.strip()}") from error
    home = Path(executable or interpreter.executable).parent
    return f"home = {home}\ninclude-system-site-packages = true\n", None, library
