"""`lockstep continuous` on a small project, with virtual environments of asv's; and `lockstep ab` in its folder."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import venv
from pathlib import Path
from typing import Any

import pytest
from bench import TIME_LIMIT, wait_until
from small_project import BENCHMARKS, CONFIGURATION, INSTALL, Project, make

from runner.suites import asv_project

PAGE = Path(__file__).parents[2] / "docs" / "asv-projects.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("home") / "project")


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {one["name"] + "".join(one["params"].values()): one["verdict"] for one in report["benchmarks"]}


@pytest.fixture(scope="module")
def regression(project: Project) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    return project.continuous("v1.0", "main~1", "--record")


@pytest.mark.alone
def test_more_work_is_a_regression(
    project: Project, regression: tuple[subprocess.CompletedProcess[str], dict[str, Any]]
) -> None:
    done, report = regression
    assert done.returncode == 1, done.stdout
    found = {one["name"] + "".join(one["params"].values()): one for one in report["benchmarks"]}
    for key in ("work.Total.time_total1000", "work.Total.time_total3000"):
        assert found[key]["verdict"] == "slower" and 1.01 < found[key]["ratio"] < 1.15
    # Of equal code one verdict in some hundred is wrong, and the ratio next to 1 all the same.
    assert 0.95 < found["work.time_count"]["ratio"] < 1.05
    hashes = project.git("rev-parse", "v1.0", "main~1").split()
    assert [report["base"]["installed"]["commit"], report["head"]["installed"]["commit"]] == hashes
    assert [report["base"]["spec"], report["head"]["spec"]] == [f"small@{one[:8]}" for one in hashes]
    differences = {one["what"]: one for one in report["differences"]}
    assert differences.keys() == {"commit"} and differences["commit"]["asked"]
    assert not [one for one in report["warnings"] if one["kind"] in ("same-file", "same-content")]
    assert f"continuous --config {project.folder / 'asv.conf.json'}" in report["command"]
    # Folders of equal length, so that the paths in both arms' memory are too.
    assert len(report["base"]["executable"]) == len(report["head"]["executable"])


@pytest.mark.alone
@pytest.mark.usefixtures("regression")
def test_its_results_are_in_the_projects_store(project: Project) -> None:
    files = {path.name for path in (project.folder / ".asv" / "results").glob("*/*.json")} - {"machine.json"}
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert files == {f"{project.git('rev-parse', name)[:8]}-virtualenv-py{python}.json" for name in ("v1.0", "main~1")}
    compared = project.run("asv", "compare", "v1.0", "main~1")
    assert compared.returncode == 0, compared.stderr
    # Whether asv calls it a change, it decides in its own way.
    assert re.search(r"s +\| *~?1\.\d+ +\| work.Total.time_total\(3000\)", compared.stdout), compared.stdout


@pytest.mark.alone
def test_the_other_way_round_it_is_none_and_nothing_is_installed_again(
    project: Project, regression: tuple[subprocess.CompletedProcess[str], dict[str, Any]]
) -> None:
    assert "Installing small" in regression[0].stderr or "Creating virtualenv" in regression[0].stderr
    before = project.environments()
    done, report = project.continuous("main~1", "v1.0", "-b", "3000")
    assert done.returncode == 0, done.stderr
    assert verdicts(report) == {"work.Total.time_total3000": "faster"}
    assert project.environments() == before and len(before) == 2
    assert "Creating" not in done.stderr and "nstalling" not in done.stderr


@pytest.mark.alone
def test_equal_code_is_the_same_and_one_commit_is_compared_with_its_parent(project: Project) -> None:
    done, report = project.continuous("main", "--margin", "5%", "-b", "Total")
    assert done.returncode == 0, done.stdout
    assert set(verdicts(report).values()) == {"same"}
    assert report["base"]["installed"]["commit"] == project.git("rev-parse", "main~1")


def test_the_benchmarks_are_those_of_the_working_tree_and_the_code_is_not(project: Project) -> None:
    code, suite = project.folder / "small" / "__init__.py", project.folder / "benchmarks" / "work.py"
    before = code.read_text(), suite.read_text()
    try:
        code.write_text("raise SystemExit('the working tree was measured')\n")
        suite.write_text(before[1] + "\n\ndef track_two():\n    return small.count('a b')\n")
        done, report = project.continuous("v1.0", "main~1", "-b", "track_two")
    finally:
        code.write_text(before[0])
        suite.write_text(before[1])
    assert done.returncode == 0, done.stderr
    assert verdicts(report) == {"work.track_two": "same"}
    assert "not committed, and so in neither arm: small/__init__.py (only the benchmarks" in done.stderr


@pytest.mark.alone
def test_ab_takes_the_projects_benchmarks_and_a_virtual_environments_folder(
    project: Project, regression: tuple[subprocess.CompletedProcess[str], dict[str, Any]]
) -> None:
    arms = [Path(regression[1][arm]["executable"]).parents[1] for arm in ("base", "head")]
    report = project.folder.parent / "ab.json"
    done = project.run("ab", *arms, "-b", "3000", "--json", report)
    assert done.returncode == 1, done.stderr
    assert f"names: {project.folder / 'benchmarks'}" in done.stderr
    assert verdicts(json.loads(report.read_text())) == {"work.Total.time_total3000": "slower"}
    # From elsewhere it is Lockstep's own suite, as ever.
    other = project.run("ab", *arms, "-b", "Total", folder=project.folder.parent)
    assert other.returncode == 2 and "No benchmark matches 'Total'" in other.stderr


def refused(project: Project, *words: object, code: int = 2, folder: Path | None = None) -> str:
    done = project.run("continuous", *words, folder=folder)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def configured(project: Project, folder: Path, **changes: object) -> Path:
    """The project's configuration with changes, in a folder beside it or in another one."""
    text = re.sub(r"//.*", "", CONFIGURATION).replace(",\n}", "\n}")
    path = folder / "asv.other.json"
    path.write_text(json.dumps({**json.loads(text), "repo": str(project.folder), **changes}))
    (folder / "benchmarks").mkdir(exist_ok=True)
    (folder / "benchmarks" / "work.py").write_text(BENCHMARKS)
    (folder / "install.py").write_text(INSTALL)
    return path


def test_what_cannot_be_had_is_refused_in_words(project: Project, tmp_path: Path) -> None:
    assert "has no asv.conf.json" in refused(project, folder=tmp_path)
    assert "has no commit 'main~77'" in refused(project, "main~77", "main")
    assert "v1.0 has no parent to compare with" in refused(project, "v1.0")
    assert "is no repository that asv can use" in refused(
        project, "--config", configured(project, tmp_path, repo=str(tmp_path)))
    if shutil.which("uv") is None:
        assert "uv command not found" in refused(
            project, "--config", configured(project, tmp_path, environment_type="uv"))
    assert "asv installs nothing" in refused(
        project, "--config", configured(project, tmp_path, environment_type="existing"))
    told = refused(project, "--config", configured(project, tmp_path), "--env-name", "virtualenv-py2.1")
    assert "its environments are virtualenv-py" in told
    (tmp_path / "asv.other.json").write_text("{")
    assert "is no configuration of asv's" in refused(project, "--config", tmp_path / "asv.other.json")


def test_a_build_that_fails_says_what_it_said_last(project: Project, tmp_path: Path) -> None:
    failing = configured(project, tmp_path, install_command=[
        "python -c \"import sys; print('compiling'); sys.exit('small.c:7: error: no such thing')\""
    ])
    told = refused(project, "v1.0", "main", "--config", failing, code=4)
    assert re.search(r"small [0-9a-f]{8} cannot be installed in virtualenv-py", told)
    assert "ended with exit code 1. Its last lines:" in told and "small.c:7: error: no such thing" in told


def test_one_environment_of_a_matrix_is_taken_and_said(project: Project, tmp_path: Path) -> None:
    matrix = configured(project, tmp_path, matrix={"req": {"wheel": ["", "0.45.1"]}})
    done = project.run("continuous", "v1.0", "v1.0", "--config", matrix, "-b", "3000", "--margin", "30%")
    assert done.returncode == 0, done.stderr
    assert "the matrix has 2 environments; this is about virtualenv-py" in done.stderr
    assert "Base and head are the same file" in done.stdout


def commands() -> list[str]:
    return re.findall(r"^    ((?:lockstep|asv) .*)$", PAGE.read_text(), re.MULTILINE)


def test_there_are_commands_on_the_page() -> None:
    assert len(commands()) >= 5


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_runs(project: Project, command: str) -> None:
    """As it is written there, and shorter, in a project like the one that it is about."""
    if " old new" in command and not (project.folder / "new").exists():
        for name, tag in (("old", "v1.0"), ("new", "main")):
            venv.create(project.folder / name, symlinks=True)
            (site,) = (project.folder / name).glob("lib/python*/site-packages")
            (site / "small.py").write_text(project.git("show", f"{tag}:small/__init__.py"))
    words = shlex.split(command, comments=True)
    if words[1] in ("ab", "continuous") and words[0] != "asv":
        words += ["--margin", "30%", "--budget", "6s"]
    done = project.run(*(words if words[0] == "asv" else words[1:]))
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr


def test_one_run_installs_at_a_time(tmp_path: Path) -> None:
    """asv removes an environment that another process is making."""
    place, told, order = tmp_path / "env" / "lockstep", list[str](), list[str]()

    def other() -> None:
        with asv_project._alone(place, told.append):
            order.append("other")

    with asv_project._alone(place, told.append):
        thread = threading.Thread(target=other)
        thread.start()
        wait_until(lambda: bool(told))
        order.append("first")
    thread.join(TIME_LIMIT)
    assert order == ["first", "other"]
    assert told == ["waiting for another run that installs commits of this project"]
