"""The program as `pip install` makes it: a wheel, in an environment with nothing else, run from another folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment with the wheel and what it asks for, and a user's folders."""

    wheel: Path
    bin: Path
    home: Path

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the user's home, far from any checkout."""
        program, *rest = map(str, words)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XDG_"))}
        return subprocess.run(
            [self.bin / program, *rest], cwd=self.home, capture_output=True, text=True, check=False, timeout=300,
            env={**environment, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache")},
        )

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "lockstep"


def ran(cwd: Path, *words: object, **variables: object) -> None:
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, cwd=cwd,
                          env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.splitlines()
    for file in files:
        if (ROOT / file).is_file():
            (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / "source" / file)
    # From a folder in which nothing of ours can be imported by chance.
    ran(folder, sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "dist", folder / "source")
    (wheel,) = (folder / "dist").glob("*.whl")
    shutil.rmtree(folder / "source")
    # By the lines with which a job of GitLab's installs it.
    lines = yaml.safe_load((ROOT / "deploy" / "gitlab-ci.yml").read_text())[".lockstep"]["before_script"]
    script = "\n".join(lines).replace("/tmp/lockstep-venv", str(folder / "env"))
    assert str(folder / "env") in script
    # Of all that is installed a part is imported, and compiled then.
    ran(folder, "bash", "-eo", "pipefail", "-c", script, LOCKSTEP_SOURCE=wheel, PIP_CONSTRAINT=ROOT / "constraints.txt",
        PIP_COMPILE="no", PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (folder / "home").mkdir()
    return Installed(wheel=wheel, bin=folder / "env" / "bin", home=folder / "home")


def test_the_wheel_has_one_name_at_the_top(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"lockstep_ab", next(top for top in tops if top.endswith(".dist-info"))}
    # A folder `benchmarks` is there, and it is pyperformance's.
    for name in ("runner", "benchmarks.construct", "dashboards", "data", "lockstep"):
        assert "ModuleNotFoundError" in installed.run("python", "-c", f"import {name}").stderr, name


def test_what_another_package_calls_runner_is_not_taken_for_ours(installed: Installed) -> None:
    other = next(installed.bin.parent.glob("lib/python3*/site-packages")) / "runner"
    other.mkdir()
    (other / "__init__.py").write_text("raise SystemExit('somebody else')")
    try:
        done = installed.run("lockstep", "--version")
        assert done.returncode == 0 and done.stdout.startswith("lockstep "), done.stderr
        assert installed.run("python", "-m", "lockstep_ab", "--version").stdout == done.stdout
    finally:
        shutil.rmtree(other)


def test_the_main_job_from_another_folder(installed: Installed) -> None:
    python = installed.bin / "python"
    done = installed.run(
        "lockstep", "ab", python, python, "-b", "construct.Empty", "--budget", "10s", "--margin", "30%")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "construct.Empty.time_construct" in done.stdout or "Same within" in done.stdout
    (run,) = (installed.state / "runs").iterdir()
    assert (run / "report.html").is_file()
    shown = installed.run("lockstep", "show", "--json", "-")
    assert json.loads(shown.stdout)["run"] == run.name
    assert run.name in installed.run("lockstep", "runs").stdout
    assert installed.run("lockstep", "export", "last", "--format", "pyperf", "--to", "out").returncode == 0
    done = installed.run("lockstep", "publish")
    assert done.returncode == 0, done.stderr
    assert (installed.state / "site" / "index.html").is_file()
    assert "pyperf" in (installed.state / "site" / "trust.html").read_text(), "the comparison with other tools"


def test_data_of_builds_is_there(installed: Installed) -> None:
    done = installed.run("lockstep", "build", "cpython@3.1.99")
    assert done.returncode == 2 and "3.13.5" in done.stderr, done.stderr
    done = installed.run("lockstep", "build", "cpython@3.13.5+misspelt")
    assert done.returncode == 2 and "nocow" in done.stderr, done.stderr
    assert "no builds yet" in installed.run("lockstep", "build", "--list").stdout


def test_asv_finds_its_builds(installed: Installed) -> None:
    code = (
        "import asv.environment\n"
        "from asv.plugin_manager import plugin_manager\n"
        "plugin_manager.import_plugin('.lockstep_ab.asv_plugin')\n"
        "print(asv.environment.get_environment_class_by_name('lockstep').tool_name)\n"
        "from importlib.metadata import entry_points\n"
        "(found,) = entry_points(group='asv.environment_backends')\n"
        "print(found.load().Build.__name__)\n"
    )
    done = installed.run("python", "-c", code)
    assert done.stdout.split() == ["lockstep", "Build"], done.stderr


def test_programs_have_the_client(installed: Installed) -> None:
    code = "from lockstep_ab.client import Client; print(Client('https://example.org/', '').address)"
    done = installed.run("python", "-c", code)
    assert done.stdout == "https://example.org\n", done.stderr


def test_an_installation_that_is_not_whole_is_no_verdict(installed: Installed) -> None:
    package = next(installed.bin.parent.glob("lib/python3*/site-packages")) / "typer"
    package.rename(package.with_name("typer_away"))
    try:
        done = installed.run("lockstep", "--version")
        assert done.returncode == os.EX_SOFTWARE and "installation is not whole" in done.stderr
    finally:
        package.with_name("typer_away").rename(package)
