"""Ready-made interpreters: what is wrong with each bad one, and those that must be used as they are."""

from __future__ import annotations

import os
import resource
import sys
import venv
from pathlib import Path

import pytest

from runner import builds
from runner.builds import asking
from runner.errors import UsageError

PYTHON = os.path.realpath(sys.executable)


def resolve(spec: str | Path) -> builds.Interpreter:
    return builds.resolve(str(spec), progress=lambda _: None)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/gone does not exist"):
        resolve(tmp_path / "gone")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(UsageError, match="is a link to gone, which does not exist"):
        resolve(tmp_path / "link")
    with pytest.raises(UsageError, match="no interpreter python-of-nobody: it is neither a path nor a command"):
        resolve("python-of-nobody")


def test_what_was_measured_has_to_be_what_it_was(tmp_path: Path) -> None:
    measured = builds.copy_of(resolve(PYTHON), tmp_path / "copy")
    builds.check(measured, progress=lambda _: None)
    with measured.executable.open("ab") as stream:
        stream.write(b"\0")  # it runs all the same
    with pytest.raises(UsageError, match="has changed since it was measured"):
        builds.check(measured, progress=lambda _: None)
    measured.executable.unlink()
    with pytest.raises(UsageError, match="is gone or cannot be run"):
        builds.check(measured, progress=lambda _: None)


def test_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"is a directory, not an interpreter$"):
        resolve(tmp_path)
    (tmp_path / "installed" / "bin").mkdir(parents=True)
    (tmp_path / "installed" / "bin" / "python3").symlink_to(PYTHON)
    with pytest.raises(UsageError, match=r"not an interpreter; did you mean .*/installed/bin/python3\?$"):
        resolve(tmp_path / "installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-command").mkdir()
    script(tmp_path / "installed" / "a-command", f'exec {PYTHON} "$@"')
    monkeypatch.setenv("PATH", str(tmp_path / "installed"), prepend=os.pathsep)
    assert resolve("a-command").executable == Path(PYTHON), "a folder does not hide a command"
    (tmp_path / "configure").touch()
    with pytest.raises(UsageError, match=f"to build the source in it, write dir:{tmp_path}"):
        resolve(tmp_path)


def test_a_file_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("x")
    with pytest.raises(UsageError, match=r"is not executable; make it so with: chmod \+x"):
        resolve(tmp_path / "python")


def test_a_program_that_is_not_python(tmp_path: Path) -> None:
    for program in ("/bin/cat", "/bin/true"):
        with pytest.raises(UsageError, match=r"is not a Python interpreter: .* exit code"):
            resolve(program)
    here = Path(PYTHON).read_bytes()[:64]
    other = bytes([183 if here[18] != 183 else 62, 0])
    for content, said in (
        (b"\x7fELFnoise", "is not a program that this machine can run"), (here[:18] + other + here[20:], "it is for "),
        (b'exec python3 "$@"\n', "its first line does not say what runs it"),
        (b"#!/nowhere/sh\n", "its first line names /nowhere/sh, which does not exist"),
        (b"#!/bin/sh\r\n", "ends as in Windows"),
    ):
        (tmp_path / "noise").write_bytes(content)
        (tmp_path / "noise").chmod(0o755)
        with pytest.raises(UsageError, match=said):
            resolve(tmp_path / "noise")


def test_an_old_python(tmp_path: Path) -> None:
    # No such Python is at hand: this one gives a Python 2 or 3.7's answer to the same script.
    for version in ("2, 7", "3, 7"):
        old = script(
            tmp_path / "old",
            f'for code; do :; done; exec {PYTHON} -c "import sys; sys.version_info = ({version})\n$code"',
        )
        with pytest.raises(UsageError, match=rf"is Python {version.replace(', ', '.')}; Lockstep needs 3\.8"):
            resolve(old)


def test_a_python_that_dies_at_start_up(tmp_path: Path) -> None:
    broken = script(tmp_path / "broken", f"PYTHONHOME={tmp_path}/nowhere exec {PYTHON} -c 1")
    with pytest.raises(UsageError, match=r"dies at start-up with exit code 1. It said:\n[^$]*encodings"):
        resolve(broken)
    with pytest.raises(UsageError, match="dies at start-up by signal 11 and said nothing"):
        resolve(script(tmp_path / "crash", "kill -SEGV $$"))


def test_a_python_that_hangs_at_start_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asking.START_LIMIT == 10
    monkeypatch.setattr(asking, "START_LIMIT", 0.5)
    with pytest.raises(UsageError, match=r"hangs at start-up: no answer within 0\.5 s"):
        resolve(script(tmp_path / "hang", "sleep 60"))


def site(folder: Path, code: str) -> Path:
    """An environment whose interpreter runs this at its start."""
    python, place = environment(folder)
    (place / "sitecustomize.py").write_text(code)
    return python


def test_what_an_interpreter_prints_at_its_start_is_part_of_it(tmp_path: Path) -> None:
    quiet, noisy = site(tmp_path / "quiet", "pass"), site(tmp_path / "noisy", "print('planted noise')")
    failing = site(tmp_path / "failing", "raise RuntimeError('planted')")
    assert "printed at start" not in resolve(quiet).facts
    assert resolve(noisy).facts["printed at start"] == "planted noise"
    assert "Error in sitecustomize" in resolve(failing).facts["printed at start"]
    (difference,) = builds.differences(resolve(quiet), resolve(failing))
    assert (difference.what, difference.base, difference.asked) == ("printed at start", "", False)


@pytest.mark.parametrize(("configured", "variable", "on"), [
    ("", None, False), ("", "1", False), ("--enable-experimental-jit", None, True),
    ("--enable-experimental-jit=yes", "0", False), ("--enable-experimental-jit=yes-off", None, False),
    ("--enable-experimental-jit=yes-off", "1", True), ("--enable-experimental-jit=interpreter", "1", False),
])
def test_a_jit_that_does_not_say_whether_it_is_on_does_what_it_was_configured_for(
    tmp_path: Path, configured: str, variable: str | None, on: bool
) -> None:
    """As in CPython 3.13; this one plays to have been configured so."""
    python = site(tmp_path / "env", f"import sys, sysconfig; sysconfig.get_config_vars()['CONFIG_ARGS'] = "
                                    f"\"'{configured}' 'CC=gcc'\"; vars(sys).pop('_jit', None)")
    given = {} if variable is None else {"PYTHON_JIT": variable}
    found = builds.resolve(str(python), progress=lambda _: None, environment=given)
    assert found.facts["jit"] == str(on)
    assert builds.resolve(str(python), progress=lambda _: None, environment={"PYTHON_GIL": "1"}).facts["gil"] == "True"


def test_the_folder_of_an_environment_means_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    (tmp_path / "conda" / "conda-meta").mkdir(parents=True)
    (tmp_path / "conda" / "bin").mkdir()
    (tmp_path / "conda" / "bin" / "python").symlink_to(PYTHON)
    monkeypatch.chdir(tmp_path)
    for name in ("env", "./env/", "conda"):
        found = resolve(name)
        assert (found.spec, found.executable) == (name, tmp_path / name / "bin" / "python")


def test_what_an_interpreter_says_is_collected() -> None:
    found = resolve(PYTHON)
    assert found.spec == PYTHON
    assert found.executable == Path(PYTHON)
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert found.implementation == "cpython"
    assert len(found.sha256) == 64
    assert found.build is None
    assert {"compiler", "platform", "CONFIG_ARGS"} <= found.facts.keys()
    assert builds.differences(found, found) == []


def test_a_command_is_found_on_path_and_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-python").symlink_to(PYTHON)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = resolve("my-python")
    assert (found.spec, found.executable) == ("my-python", tmp_path / "my-python")


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").symlink_to(PYTHON)
    monkeypatch.chdir(tmp_path)
    assert resolve("./python").executable == tmp_path / "python"
    assert resolve("./python").spec == "./python"


def test_the_python_of_a_virtual_environment_stays_one(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    found = resolve(tmp_path / "venv/bin/python")
    assert found.executable == tmp_path / "venv/bin/python"
    assert found.executable.is_symlink()


def test_files_beside_the_user_do_not_get_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert resolve(PYTHON).implementation == "cpython"
    assert list(tmp_path.glob("__pycache__")) == []


def planted(
    place: Path, name: str, version: str, *, record: str | None = "six.py,sha256=abc,1\n", head: str = ""
) -> None:
    folder = place / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n"
    (folder / "METADATA").write_text(head or said)
    if record is not None:
        (folder / "RECORD").write_text(record)


def environment(folder: Path) -> tuple[Path, Path]:
    venv.create(folder, symlinks=True, with_pip=False)
    return folder / "bin" / "python", next(folder.glob("lib/python*/site-packages"))


def test_installed_packages_are_part_of_an_interpreter(tmp_path: Path) -> None:
    python, place = environment(tmp_path / "one")
    planted(place, "Some-Thing", "1.0")
    planted(place, "pip", "25.0")
    planted(place, "bare", "2.0", record=None)
    planted(place, "broken", "3.0", head="\xff no headers")
    (place / "old.egg-info").write_text("Name: old\nVersion: 0.1\n")
    (place / "empty-1.dist-info").mkdir()
    found = resolve(python).packages
    assert found is not None
    assert found.keys() == {"some-thing", "bare", "broken-3.0.dist-info", "old", "empty-1.dist-info"}
    assert found["some-thing"].startswith("1.0 ") and len(found["some-thing"]) == len("1.0 01234567")
    assert (found["bare"], found["old"], found["empty-1.dist-info"]) == ("2.0", "0.1", "unreadable")


def test_environments_differ_in_packages_and_not_in_their_places(tmp_path: Path) -> None:
    pythons = []
    for name in ("one", "another-name"):
        python, place = environment(tmp_path / name)
        # A script's hash depends on the environment's path; bytecode on the moment.
        planted(place, "six", "1.16", record=f"six.py,sha256=abc,1\n../../../bin/six,sha256={name},9\n"
                f"__pycache__/six.cpython-311.pyc,,\nsix-1.16.dist-info/INSTALLER,sha256={name},4\n")
        pythons.append(python)
    one, other = (resolve(python) for python in pythons)
    assert one.packages == other.packages and len(one.packages or ()) == 1
    assert [d.what for d in builds.differences(one, other)] == []
    planted(place, "numpy", "2.1")
    (place / "six-1.16.dist-info" / "RECORD").write_text("six.py,sha256=def,1\n")
    (difference,) = builds.differences(one, resolve(pythons[1]))
    assert difference.what == "packages" and not difference.asked
    assert difference.base.startswith("numpy none, six 1.16 ") and difference.head.startswith("numpy 2.1, six 1.16 ")
    builds.check(one, progress=lambda _: None)
    with pytest.raises(UsageError, match=r"packages of .* have changed since it was measured, from numpy none, six"):
        builds.check(other, progress=lambda _: None)


def test_hundreds_of_packages_are_found_well_within_the_time_to_answer(tmp_path: Path) -> None:
    """Of CPU time, so that what else the machine does meanwhile is not in it: some tenths of a second."""
    python, place = environment(tmp_path / "many")
    record = "".join(f"package/module{number}.py,sha256={number:064x},1000\n" for number in range(200))
    rest = "Classifier: of no interest\n" * 50 + "\n" + "text\n" * 500
    for number in range(500):
        planted(place, f"package{number}", "1.0", record=record,
                head=f"Name: package{number}\nVersion: 1.0\n{rest}")
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = resolve(python).packages
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert found is not None and len(found) == 500
    assert ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < asking.START_LIMIT / 2
