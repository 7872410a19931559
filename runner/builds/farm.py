"""A second executable of one interpreter, in a folder of its own, that runs with the first one's library."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from runner import shell
from runner.builds.inspection import inspect
from runner.builds.releases import sha256_of
from runner.errors import UsageError
from runner.model import Interpreter

_ASK = "import json, sys; print(json.dumps([sys.base_prefix, sys.prefix, sys._base_executable]))"


def plant(tree: Path, folder: Path) -> Path:
    """Make `folder` look to an interpreter as the build tree does; returns where its extension modules are linked.

    CPython knows by `pybuilddir.txt` beside the executable that it has not been installed, and finds its
    library from there. The extension modules are links one by one, so that some can be replaced.
    """
    folder.mkdir(parents=True)
    for name in ("Lib", "Modules"):
        (folder / name).symlink_to(tree / name)
    place = (tree / "pybuilddir.txt").read_text(encoding="utf-8").strip()
    (folder / "pybuilddir.txt").write_text(place, encoding="utf-8")
    extensions = folder / place
    extensions.mkdir(parents=True)
    for file in (tree / place).iterdir():
        (extensions / file.name).symlink_to(file.resolve())
    return extensions


def copy_of(interpreter: Interpreter, folder: Path) -> Interpreter:
    """A byte copy of the interpreter's executable in the new `folder`, which runs with the same library.

    For a build of Lockstep's, a second build folder; for others, a virtual environment with a copy instead of a
    link, and with the packages of the original. Raises UsageError where such a copy does not run.
    """
    if interpreter.build is not None:
        executable = folder / interpreter.executable.name
        # Not the build's tree: what is copied may be one of its layouts, with extension modules of its own.
        plant(interpreter.executable.parent, folder)
        shutil.copy2(interpreter.executable, executable)
    else:
        executable = _environment(interpreter, folder)
        found = inspect(interpreter.spec, executable)
        if found.version != interpreter.version:
            raise UsageError(f"a copy of {interpreter.executable} runs as Python {found.version}, "
                             f"not {interpreter.version}")
    return replace(interpreter, executable=executable, sha256=sha256_of(executable))


def _environment(interpreter: Interpreter, folder: Path) -> Path:
    result = shell.run([interpreter.executable, "-s", "-c", _ASK], timeout=10)
    try:
        base_prefix, prefix, executable = json.loads(result.output.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise UsageError(f"{interpreter.spec} does not say where its library is: {result.output.strip()}") from error
    copy = folder / "bin" / interpreter.executable.name
    copy.parent.mkdir(parents=True)
    shutil.copy2(interpreter.executable.resolve(), copy)
    home = f"home = {Path(executable or interpreter.executable).parent}\n"
    if prefix != base_prefix:
        for name in ("lib", "lib64"):
            if (Path(prefix) / name).exists():
                (folder / name).symlink_to(Path(prefix) / name)
        settings = (Path(prefix) / "pyvenv.cfg").read_text(encoding="utf-8")
    else:
        settings = home + "include-system-site-packages = true\n"
    (folder / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    return copy
