"""Byte copies of interpreters run as the originals do, whatever kind they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from bench import Bench

from runner import builds, suites
from runner.errors import UsageError
from runner.measuring.launch import Launch, bytecode, command
from runner.measuring.process import Worker
from runner.model import Arm, Interpreter

CODE = (
    "import sys, json, _json, site; "
    "print(json.dumps([sys.version, sys.base_prefix, json.__file__.count('json'), sys.flags.no_user_site]))"
)


def says(interpreter: Interpreter, code: str = CODE) -> str:
    return subprocess.run([interpreter.executable, "-s", "-c", code], capture_output=True, text=True, check=True).stdout


def resolved(spec: object) -> Interpreter:
    return builds.resolve(str(spec), progress=lambda phase: None)


@pytest.mark.parametrize("anew", ["copied", "linked"])
def test_the_process_of_another_copy_or_layout_compiles_nothing_that_the_first_has_not(
    tmp_path: Path, anew: str
) -> None:
    """Who compiles has its objects lie otherwise than all others, and may be slower for it by 5 %."""
    original = resolved("cpython@3.13.5")
    if anew == "copied":
        copier = builds.Copier(original)
        arms = [copier.copy(tmp_path / name) for name in ("one", "two", "six")]
    else:
        layouts = builds.Layouts(original, original)
        arms = [layouts.arms(seed)[Arm.BASE] for seed in (1, 2, 3)]
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "__init__.py").touch()
    (tmp_path / "suite" / "work.py").write_text(
        "import sysconfig\n\ndef time_it():\n    return sysconfig.get_config_vars()\n")
    (folder := tmp_path / "scratch").mkdir()
    suite = suites.open(str(tmp_path / "suite"))
    found = suites.select(*suites.discover(suite, original.executable, original.executable, {}), None).benchmarks
    request = {**suite.loader(folder)(found[0]), "do": "load", "call": True, "trial": False}
    code = bytecode(original, original, folder)[Arm.BASE]
    written = []
    for arm in arms:
        launch = Launch(arm=Arm.BASE, command=command(arm, code), env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, cpus=())
        with Worker(launch) as worker:
            worker.greet()
            assert worker.ask(request, 60.0)["value"].startswith("{")
        written.append({str(path) for path in folder.rglob("*.pyc")})
    assert any("work." in path for path in written[0]) and written[0] == written[1] == written[2]


@pytest.mark.parametrize("kind", ["build", "installed", "environment", "system"])
def test_a_copy_runs_as_the_original_does(tmp_path: Path, kind: str) -> None:
    if kind == "environment":
        venv.create(tmp_path / "env", symlinks=True, with_pip=False)
        site = next((tmp_path / "env").glob("lib/python*/site-packages"))
        (site / "a_package.py").write_text("WHERE = 'here'")
        (tmp_path / "env" / "marker").write_text("of the environment")
    spec = {
        "build": "cpython@3.13.5", "installed": Path(sys.base_prefix) / "bin" / "python3", "system": "/usr/bin/python3",
        "environment": tmp_path / "env/bin/python",
    }[kind]
    if not str(spec).startswith("cpython@") and not Path(spec).exists():
        pytest.skip(f"there is no {spec}")
    original = resolved(spec)
    copier = builds.Copier(original)
    one, other = copier.copy(tmp_path / "one"), copier.copy(tmp_path / "other")
    again = builds.copy_of(one, tmp_path / "again")  # the canary is a copy of a copy
    for copy in (one, other, again):
        assert says(copy) == says(original)
        assert copy.executable.read_bytes() == original.executable.read_bytes()
        assert not copy.executable.is_symlink()
        if kind == "environment":
            assert says(copy, "import a_package; print(a_package.WHERE)") == "here\n"
            assert says(copy, "import sys; print(open(sys.prefix + '/marker').read())") == "of the environment\n"
    shutil.rmtree(tmp_path / "one")
    assert says(original) and says(again), "a copy of a copy does not need the first"


def test_an_interpreter_that_does_not_work_elsewhere_is_refused(tmp_path: Path) -> None:
    """One that finds something beside itself, as a conda python finds its libraries."""
    real = resolved(sys.executable)
    wrapper = tmp_path / "bin" / "python"
    wrapper.parent.mkdir()
    (tmp_path / "beside").write_text("")
    wrapper.write_text(f'#!/bin/sh\n[ -e "$(dirname "$0")/../beside" ] || exit 9\nexec {real.executable} "$@"\n')
    wrapper.chmod(0o755)
    strange = Interpreter(
        spec="strange", executable=wrapper, version=real.version, implementation=real.implementation, sha256="0",
        facts={},
    )
    with pytest.raises(UsageError):
        builds.Copier(strange).copy(tmp_path / "copy")


def test_a_run_measures_copies_and_leaves_none_behind(bench: Bench) -> None:
    suite = Path(__file__).parent / "faults"
    killed = Path("/dev/shm") / "lockstep-session-killed"
    killed.mkdir(exist_ok=True)
    done = bench.run("ab", sys.executable, sys.executable, "--suite", suite, "-b", "healthy",
                     "--margin", "0.001%", "--budget", "12s")
    assert done.returncode in (0, 1), done.stderr
    manifest = json.loads(next(bench.out.glob("*/manifest.json")).read_text())
    assert manifest["copies"] is True and manifest["scope"] == "binary"
    assert "run from the files themselves" not in done.stdout
    blocks = bench.blocks()
    if max(block["seconds"] for block in blocks) < 0.028 * sum(block["seconds"] for block in blocks):
        # The canary has 3 % of the time: where else the machine does much, one block of it may be too dear.
        assert [block["kind"] for block in blocks].count("canary") >= 1
    assert not killed.exists(), "what a killed run has left behind is removed by the next"
