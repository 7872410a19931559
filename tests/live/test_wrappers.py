"""Files that start an interpreter: wrappers are run as they are, shims are replaced by what they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from bench import Bench

from runner import builds, config
from runner.errors import UsageError
from runner.machine import addresses
from runner.measuring.launch import ASK_STACK, PADDING, padded, surplus
from runner.model import Arm, Interpreter

PYTHON = os.path.realpath(sys.executable)
SUITE = Path(__file__).parent / "told"


def resolve(spec: str | Path) -> Interpreter:
    return builds.resolve(str(spec), progress=lambda _: None, environment=config.environment())


def script(path: Path, *lines: str, shell: str = "/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"#!{shell}", *lines]) + "\n")
    path.chmod(0o755)
    return path


def python_script(path: Path) -> Path:
    return script(
        path, "import os, sys", "os.environ['TOLD'] = '5'",
        f"os.execv({PYTHON!r}, ['python', '-O', *sys.argv[1:]])", shell=PYTHON,
    )


def test_a_wrapper_is_run_as_it_is_with_its_variables_and_options(tmp_path: Path) -> None:
    wrapper = script(tmp_path / "with space é" / "py thon", "export TOLD=3 PYTHONMALLOC=malloc",
                     f'exec {PYTHON} -O -X importtime "$@"')
    found = resolve(wrapper)
    assert (found.executable, found.starts) == (wrapper, Path(PYTHON))
    assert found.facts["wrapper's variables"] == "PYTHONMALLOC=malloc, TOLD=3"
    assert "optimize=1" in found.facts["wrapper's options"] and "-X importtime=True" in found.facts["wrapper's options"]
    plain = resolve(PYTHON)
    assert plain.starts is None and not any(name.startswith("wrapper") for name in plain.facts)
    told = {one.what: one for one in builds.differences(plain, found) if one.what.startswith("wrapper")}
    assert told.keys() == {"wrapper's variables", "wrapper's options"} and all(one.asked for one in told.values())
    of_python = resolve(python_script(tmp_path / "launch.py"))
    # Its name there may be another: python, python3.
    assert of_python.starts is not None and of_python.starts.samefile(PYTHON)
    assert of_python.facts["wrapper's options"] == "optimize=1"


def test_what_a_wrapper_starts_is_part_of_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(PYTHON)
    wrapper = script(tmp_path / "wrapper", f'TOLD=1 exec {tmp_path}/python "$@"')
    found = resolve(wrapper)
    assert found.starts == tmp_path / "python"
    builds.check(found, progress=lambda _: None)
    (tmp_path / "python").unlink()
    (tmp_path / "python").write_bytes(Path(PYTHON).read_bytes() + b"\0")
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(PYTHON).parent}\n")
    with pytest.raises(UsageError, match="has changed since it was measured"):
        builds.check(found, progress=lambda _: None)


def test_a_script_that_adds_nothing_is_replaced_by_what_it_starts(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    inside = tmp_path / "env" / "bin" / "python"
    found = resolve(script(tmp_path / "python3", f'exec {inside} "$@"'))
    assert (found.executable, found.starts) == (inside, None)


@pytest.mark.parametrize("manager", ["PYENV", "ASDF"])
def test_a_shim_is_resolved_from_the_folder_where_it_is_used(
    tmp_path: Path, manager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = script(
        tmp_path / "shims" / "python3", 'root="$(cat .python-version)" || exit 127',
        f'export {manager}_VERSION=3 PATH="$root:$PATH"', 'exec "$root/python3" "$@"',
    )
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / "python3").symlink_to(PYTHON)
    (tmp_path / ".python-version").write_text(str(tmp_path / "chosen"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(shim.parent), prepend=os.pathsep)
    found = resolve("python3")
    assert (found.spec, found.executable, found.starts) == ("python3", tmp_path / "chosen" / "python3", None)


def test_a_shim_without_a_version_is_told_with_the_remedy(tmp_path: Path) -> None:
    shim = script(
        tmp_path / "shims" / "python3.12", "# what pyenv's shims say",
        r"printf 'pyenv: python3.12: command not found\n\nThe command exists in these versions:\n  3.12.1\n' >&2",
        "exit 127",
    )
    with pytest.raises(UsageError, match=r"(?s)is a shim of pyenv, .*full path, or .* pyenv global 3\.12\.1.*3\.12\.1"):
        resolve(shim)
    with pytest.raises(UsageError, match=r"is not a Python interpreter"):
        resolve(script(tmp_path / "wrapper", f"# {tmp_path}/.pyenv/versions", "exit 3"))
    with pytest.raises(UsageError, match=r"is Python 2\.7; Lockstep needs 3\.8"):
        resolve(script(shim.parent / "python2", "# pyenv", "for code; do :; done",
                       f'exec {PYTHON} -c "import sys; sys.version_info = (2, 7)\n$code"'))
    there = script(tmp_path / "versions" / "3.12.1" / "bin" / "python3.12", "exit 1")
    with pytest.raises(UsageError, match=f"Give the full path, {there}, or"):
        resolve(shim)


@pytest.mark.parametrize(("lines", "message"), [
    ([f'{PYTHON} -O "$@"', "exit $?"], r"starts its interpreter as a child"),
    ([f'exec {PYTHON} -E -O "$@"'], "keeps PYTHONHASHSEED from its interpreter"),
    ([f'exec env -i TOLD=1 {PYTHON} "$@"'], "keeps PYTHONHASHSEED from its interpreter"),
    ([f"exec {PYTHON} --version"], r'hand on its arguments, as in: exec python3 "\$@"'),
    (['TOLD=1 exec ./python "$@"'], r"not from where benchmarks are run(?s:.)*full path"),
])
def test_a_wrapper_that_cannot_be_measured_as_it_is_is_refused(
    tmp_path: Path, lines: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").symlink_to(PYTHON)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        resolve(script(tmp_path / "wrapper", *lines))


def test_a_wrapper_sees_the_callers_variables_where_benchmarks_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        venv.create(tmp_path / name, symlinks=True, with_pip=False)
    wrapper = script(tmp_path / "wrapper", f'TOLD=1 exec "${{ITS_PYTHON:-{tmp_path}/there/bin/python}}" "$@"')
    assert resolve(wrapper).starts == tmp_path / "there/bin/python"
    monkeypatch.setenv("ITS_PYTHON", f"{tmp_path}/here/bin/python")
    assert resolve(wrapper).starts == tmp_path / "here/bin/python"


def held(interpreter: Interpreter, env: dict[str, str], cwd: Path) -> tuple[int, ...]:
    """What an interpreter has on its stack: bytes, and words."""
    command = [interpreter.executable, "-s", "-c", ASK_STACK]
    with addresses.drawn(None if addresses.refusal() else 7):
        said = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=True).stdout
    return tuple(int(word) for word in said.split()[-2:])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stack is told by Linux alone")
@pytest.mark.parametrize("kind", ["sh", "bash", "python"])
def test_both_arms_have_equal_stacks_whatever_a_wrapper_adds(tmp_path: Path, kind: str) -> None:
    name = tmp_path / "a longer name than that of the other"
    if kind == "python":
        wrapper = python_script(name)
    else:
        wrapper = script(name, "export TOLD=3 ANOTHER=one HOME=/", f'exec {PYTHON} -O "$@"', shell=f"/bin/{kind}")
    arms = {Arm.BASE: resolve(PYTHON), Arm.HEAD: resolve(wrapper)}
    env = {**config.environment(), "PYTHONHASHSEED": "11"}
    there = tmp_path / "another folder"
    there.mkdir()
    more = {arm: surplus(one, {**env, "PWD": str(tmp_path)}, tmp_path) for arm, one in arms.items()}
    assert more[Arm.BASE].bytes == more[Arm.BASE].words == 0 < more[Arm.HEAD].words
    commands = {arm: (str(one.executable), "-s", "-c", ASK_STACK) for arm, one in arms.items()}
    given = {**env, "PWD": str(there)}
    level = padded(commands, given, 100, more)
    assert held(arms[Arm.BASE], level[Arm.BASE], there) == held(arms[Arm.HEAD], level[Arm.HEAD], there)
    assert min(len(one[PADDING]) for one in level.values()) == 100
    unlevel = padded(commands, given, 100)
    assert held(arms[Arm.BASE], unlevel[Arm.BASE], there) != held(arms[Arm.HEAD], unlevel[Arm.HEAD], there)


def test_a_run_measures_a_wrapper_as_it_is_and_says_so(bench: Bench, tmp_path: Path) -> None:
    wrapper = script(tmp_path / "with space é" / "py thon.sh", "export TOLD=4", f'exec {PYTHON} -O "$@"')
    done = bench.run("ab", PYTHON, wrapper, "--suite", SUITE, "--margin", "50%", "--budget", "20s")
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(next(bench.out.glob("*/report.json")).read_text())
    values = {one["name"]: (one["base_value"], one["head_value"]) for one in report["benchmarks"]}
    assert values["told.track_told"] == (1, 4) and values["told.track_optimize"] == (1, 2)
    said = " ".join(done.stdout.split())
    assert "The head is a wrapper," in said and "optimize=1; TOLD=4" in said
    assert "new copies in every round" in said and "would not be started by it" in said
    assert all(block["failure"] is None for block in bench.blocks() if block["kind"] != "canary")
