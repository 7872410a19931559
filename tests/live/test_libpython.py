"""Interpreters whose code is in a library: it must be their own, and copies of them have a copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runner import builds
from runner.errors import UsageError
from runner.jobs.ab import _copied
from runner.model import Interpreter


def of_system() -> Path | None:
    """A shared libpython that one of the system's packages has, with its standard library."""
    for library in sorted(Path("/usr/lib").glob("*/libpython3.*.so.1.0")):
        version = library.name.removeprefix("libpython").partition(".so")[0]
        if Path(f"/usr/lib/python{version}/os.py").is_file():
            return library
    return None


SYSTEM = of_system()
MAIN = "extern int Py_BytesMain(int, char **); int main(int n, char **words) { return Py_BytesMain(n, words); }"
LOADED = (
    "import sys, json; print(sys.prefix != sys.base_prefix, json.__file__.count('json'), sys.version); "
    "print({line.split(None, 5)[-1].strip() for line in open('/proc/self/maps') if 'libpython' in line}.pop())"
)

pytestmark = pytest.mark.skipif(SYSTEM is None or shutil.which("cc") is None,
                                reason="there is no shared libpython, or no C compiler")


def installed(prefix: Path, rpath: str = "", *, more: bytes = b"") -> Path:
    """An installation whose executable holds nothing but `main`; its library has `more` behind it."""
    assert SYSTEM is not None
    version = SYSTEM.name.removeprefix("libpython").partition(".so")[0]
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    (prefix / "lib" / f"python{version}").symlink_to(f"/usr/lib/python{version}")
    (prefix / "lib" / SYSTEM.name).write_bytes(SYSTEM.read_bytes() + more)
    (prefix / "main.c").write_text(MAIN)
    executable = prefix / "bin" / f"python{version}"
    words = ["cc", prefix / "main.c", "-o", executable, SYSTEM, *([f"-Wl,-rpath,{rpath}"] if rpath else [])]
    subprocess.run(words, check=True)
    return executable


def resolve(executable: Path) -> Interpreter:
    return builds.resolve(str(executable), progress=lambda _: None)


def loaded(interpreter: Interpreter) -> tuple[str, Path]:
    said = subprocess.run([interpreter.executable, "-s", "-c", LOADED], capture_output=True, text=True, check=True)
    what, library = said.stdout.splitlines()
    return what, Path(library)


def test_one_that_loads_the_systems_library_is_refused(tmp_path: Path) -> None:
    """Configured with --enable-shared, installed where the loader does not look."""
    python = installed(tmp_path / "opt", more=b"\0")
    with pytest.raises(UsageError, match=rf"loads .*{SYSTEM.name if SYSTEM else ''}, and not its own library, "
                                         rf"{tmp_path}/opt/lib/.*LD_LIBRARY_PATH={tmp_path}/opt/lib, or link"):
        resolve(python)


def test_it_runs_with_its_own_where_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = installed(tmp_path / "opt", more=b"\0")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "opt" / "lib"))
    found = resolve(python)
    assert loaded(found)[1] == tmp_path / "opt" / "lib" / str(SYSTEM and SYSTEM.name)
    monkeypatch.delenv("LD_LIBRARY_PATH")
    with pytest.raises(UsageError, match="and not its own library"):
        builds.check(found, progress=lambda _: None)


@pytest.mark.parametrize("kind", ["installed", "environment", "level"])
def test_a_copy_of_one_that_looks_beside_itself_has_a_library_of_its_own(tmp_path: Path, kind: str) -> None:
    """As uv's and python-build-standalone's are linked, wherever they are moved to."""
    python = installed(tmp_path / "first", "$ORIGIN/../lib", more=b"\0")
    (tmp_path / "first").rename(tmp_path / "moved é here")
    python = tmp_path / "moved é here" / "bin" / python.name
    if kind != "installed":
        subprocess.run([python, "-m", "venv", "--without-pip", "--symlinks", tmp_path / "env"], check=True)
        python = tmp_path / "env" / "bin" / "python"
    before = {path: os.lstat(path).st_mtime_ns for path in tmp_path.rglob("*")}
    original = resolve(python)
    copier = builds.Copier(original)
    if kind == "level":
        copier.level()
    one = copier.copy(tmp_path / "one")
    again = builds.copy_of(one, tmp_path / "again")  # as the canary's are
    for copy, folder in ((one, "one"), (again, "again")):
        what, library = loaded(copy)
        assert what.partition(" ")[2] == loaded(original)[0].partition(" ")[2]
        assert library.is_relative_to(tmp_path / folder) and not library.is_symlink()
        assert library.read_bytes() == loaded(original)[1].read_bytes()
    assert {path: os.lstat(path).st_mtime_ns for path in before} == before, "nothing is put beside the original"


def test_a_copy_that_loads_the_originals_library_is_said_to(tmp_path: Path) -> None:
    """As pyenv's are linked: with the path of their own installation."""
    python = resolve(installed(tmp_path / "opt", str(tmp_path / "opt" / "lib"), more=b"\0"))
    copier = builds.Copier(python)
    library = loaded(python)[1]
    assert copier.shared == library == loaded(copier.copy(tmp_path / "copy"))[1]
    copied, [notice] = _copied(python, python)
    assert copied and (notice.kind, notice.numbers) == ("uncopied-library", {"libraries": str(library)})
    beside = resolve(installed(tmp_path / "first", "$ORIGIN/../lib"))
    assert builds.Copier(beside).shared is None and _copied(beside, beside) == (True, [])


def test_an_interpreter_without_a_library_needs_none(tmp_path: Path) -> None:
    copier = builds.Copier(resolve(Path("/usr/bin/python3")))
    copier.copy(tmp_path / "copy")
    assert copier.shared is None and list((tmp_path / "copy").rglob("libpython*")) == []
