"""What CI services run: the action's steps and GitLab's lines as those services run them, and their files by schema."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from bench import LOCKSTEP
from servers import TOKEN, GitHub, serving
from small_project import MODULE, Project, make

from runner.alerts.github import marker
from runner.cli import app
from runner.errors import MachineError
from runner.jobs import comment

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
NIGHTLY = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "deploy/gitlab-ci.yml").read_text())[".lockstep"]
PAGES = {"github": ROOT / "docs/github.md", "gitlab": ROOT / "docs/gitlab.md"}
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}


def examples(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", PAGES[page].read_text(), re.MULTILINE | re.DOTALL)


# --- The files

FILES = {
    "vendor.github-actions": [(ROOT / "action.yml").read_text()],
    "vendor.github-workflows": [(ROOT / ".github/workflows/nightly.yml").read_text(), *examples("github")],
    "vendor.gitlab-ci": [(ROOT / "deploy/gitlab-ci.yml").read_text(), *examples("gitlab")],
}
"""Texts by the name of their schema."""


@pytest.mark.parametrize("schema", FILES)
def test_files_are_what_their_service_takes(tmp_path: Path, schema: str) -> None:
    files = [tmp_path / f"{number}.yml" for number in range(len(FILES[schema]))]
    for file, text in zip(files, FILES[schema], strict=True):
        file.write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_examples() -> None:
    assert len(examples("github")) == len(examples("gitlab")) == 2


def test_every_input_is_used_told_and_declared() -> None:
    used = set(re.findall(r"\binputs\.([a-z-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    page = PAGES["github"].read_text()
    assert [name for name in used if f"`{name}`" not in page] == []
    for text in examples("github"):
        for job in yaml.safe_load(text)["jobs"].values():
            for step in job["steps"]:
                if "lockstep" in step["uses"]:
                    assert set(step.get("with", {})) <= used


def test_a_script_gets_the_variables_that_it_reads() -> None:
    text = (ROOT / "deploy" / "pull-request").read_text()
    given = {name for name in STEPS["Measure"]["env"] if name.startswith("LOCKSTEP_")}
    assert all(name in text for name in given)
    read = set(re.findall(r"\bLOCKSTEP_[A-Z]+\b", text))
    assert read - given <= {"LOCKSTEP_FOLDER"}


def test_a_script_with_an_expression_in_it_could_be_made_to_run_anything() -> None:
    """A branch may be called `$(rm -rf ~)`: what GitHub fills in goes through the environment."""
    steps = [*ACTION["runs"]["steps"], *NIGHTLY["jobs"]["night"]["steps"]]
    assert [step["name"] for step in steps if "${{" in step.get("run", "")] == []


def commands() -> list[str]:
    steps = [*ACTION["runs"]["steps"], *NIGHTLY["jobs"]["night"]["steps"]]
    scripts = [*(step.get("run", "") for step in steps), *GITLAB["script"]]
    scripts += [line for text in examples("gitlab") for job in yaml.safe_load(text).values()
                if isinstance(job, dict) for line in job.get("script", ())]
    scripts += re.findall(r"^ExecStart=(.*)$", (ROOT / "deploy/lockstep.service").read_text(), re.MULTILINE)
    return re.findall(r'(?:^|/|")(lockstep"? +(?:"\$LOCKSTEP_COMMAND"|[a-z]+\b).*)$', "\n".join(scripts), re.MULTILINE)


def test_there_are_commands_to_check() -> None:
    assert len(commands()) == 6


@pytest.mark.parametrize("text", commands())
def test_a_command_of_these_files_is_one_that_exists(text: str) -> None:
    words = shlex.split(re.sub(r"\$\{[^}]*\}", "", text).replace('lockstep"', "lockstep"))
    group = typer.main.get_command(app)
    for name in ("ab", "continuous") if words[1] == "$LOCKSTEP_COMMAND" else (words[1],):
        known = group.commands.get(name)  # type: ignore[attr-defined]
        if known is None and name == "nightly":
            pytest.skip("this version has no command `nightly` yet")
        options = {option for param in known.params for option in param.opts}
        assert {word for word in words[2:] if word.startswith("-")} <= options, name


# --- The action, step by step


COMMENTS = "issues/7/comments"
"""Where the server has those of the pull request."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    """With 130 comments of others on one pull request."""
    with serving(GitHub) as server:
        server.comments[COMMENTS] = [
            {"id": number, "place": f"issues/comments/{number}", "body": f"remark {number}" if number > 1000 else None}
            for number in range(1000, 1130)]
        yield server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose last commit does twice the work."""
    made = make(tmp_path_factory.mktemp("home") / "project")
    (made.folder / "small" / "__init__.py").write_text(MODULE.format(range="2 * n"))
    made.git("commit", "-q", "-a", "-m", "Twice the work")
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs steps of the action as GitHub does: each in a shell of its own, with what earlier ones have put out."""

    folder: Path
    known: dict[str, str]
    """What expressions give."""
    environment: Mapping[str, str]

    def filled(self, text: str) -> str:
        return re.sub(r"\$\{\{ *(.*?) *\}\}", lambda found: self.known.get(found[1], ""), text)

    def step(self, name: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        step = STEPS[name]
        script, output = self.folder / "script.sh", self.folder / "output"
        script.write_text(step["run"])
        output.write_text("")
        env = {**self.environment, **{key: self.filled(value) for key, value in step["env"].items()},
               "GITHUB_OUTPUT": str(output)}
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], cwd=cwd, env=env,
                              capture_output=True, text=True, check=False, timeout=600)
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            self.known[f"steps.{step.get('id', '')}.outputs.{key}"] = value
        return done


def a_job(folder: Path, home: Path, server: str, **inputs: str) -> Runner:
    folder.mkdir()
    (folder / "lockstep" / "bin").mkdir(parents=True)
    (folder / "lockstep" / "bin" / "lockstep").symlink_to(LOCKSTEP)
    known = {f"inputs.{name}": one["default"] for name, one in ACTION["inputs"].items()}
    known |= {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
    return Runner(folder=folder, known={**known, "github.event.pull_request.number": "7"}, environment={
        **os.environ, "RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_API_URL": server,
        "GITHUB_REPOSITORY": "owner/project", "GITHUB_STEP_SUMMARY": str(folder / "summary"), "HOME": str(home)})


def test_a_pull_request_is_measured_and_gets_one_comment(project: Project, github: GitHub, tmp_path: Path) -> None:
    here = a_job(tmp_path / "runner", project.folder.parent, github.address, bench="3000", margin="30%",
                  token=TOKEN, options=f"--out {tmp_path / 'runs'} --seed 4")
    for _ in ("made", "edited"):
        measured = here.step("Measure", project.folder)
        assert measured.returncode == 0, measured.stderr
        assert here.known["steps.measure.outputs.exit-code"] == "1", measured.stderr
        done = here.step("Comment", project.folder)
        assert done.stdout == "commented on pull request 7 of owner/project: issues/comments/101\n", done.stderr
        assert here.step("Verdict", project.folder).returncode == 1
        here.known["inputs.base"] = project.git("rev-parse", "HEAD^1")  # said this time, and found built
    assert len(github.comments[COMMENTS]) == 131
    body = github.comments[COMMENTS][-1]["body"]
    assert body.startswith(f"{marker('comment/report')}\n### Lockstep: ") and "slower" in body
    assert re.search(r"<sub>It took \d+ min \d\d s in all, on \d+ CPUs", body)
    folder = Path(here.known["steps.measure.outputs.folder"])
    assert {path.name for path in folder.iterdir()} == {"report.md", "report.json", "report.html", "comment.md"}
    commits = [json.loads((folder / "report.json").read_text())[arm]["installed"]["commit"] for arm in ("base", "head")]
    assert commits == [project.git("rev-parse", name) for name in ("HEAD^1", "HEAD")]
    assert (tmp_path / "runner" / "summary").read_text().count("### Lockstep: ") == 2
    here.known["inputs.fail-on-regression"] = "false"
    assert here.step("Verdict", project.folder).returncode == 0


@pytest.mark.parametrize(("said", "code"), [
    ({"command": "publish"}, "the command is ab or continuous"), ({"base": ""}, "has no commit HEAD^1"),
])
def test_what_cannot_be_compared_is_told_and_is_no_verdict(
    tmp_path: Path, said: Mapping[str, str], code: str
) -> None:
    """A checkout of one commit, as actions/checkout makes it where nobody says otherwise."""
    there = tmp_path / "checkout"
    there.mkdir()
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), (*identity, "commit", "-q", "--allow-empty", "-m", "only")):
        subprocess.run(("git", *words), cwd=there, check=True)
    here = a_job(tmp_path / "runner", tmp_path, "http://127.0.0.1:1", **said)
    measured = here.step("Measure", there)
    assert measured.returncode == 0 and code in measured.stderr
    assert here.step("Verdict", there).returncode == 2


def test_a_failure_without_a_report_is_said_in_the_comment(tmp_path: Path) -> None:
    there = tmp_path / "plain"
    there.mkdir()
    here = a_job(tmp_path / "runner", tmp_path, "http://127.0.0.1:1", base="a", head="b")
    measured = here.step("Measure", there)
    assert measured.returncode == 0 and "has no asv.conf.json" in measured.stderr
    assert here.known["steps.measure.outputs.exit-code"] == "2"
    told = (Path(here.known["steps.measure.outputs.folder"]) / "comment.md").read_text()
    assert "There is no report: it ended with exit code 2." in told
    assert here.step("Verdict", there).returncode == 2


def commented(here: Runner, folder: Path) -> subprocess.CompletedProcess[str]:
    """The step that comments, of a job that has measured."""
    (folder / "comment.md").write_text("### Words\n")
    here.known["steps.measure.outputs.folder"] = str(folder)
    return here.step("Comment", folder)


@pytest.mark.parametrize(("token", "status", "told"), [
    (TOKEN, 403, "cannot comment on pull request 7 of owner/project: GitHub answered 403"),
    (TOKEN, 302, "the repository owner/project has moved"), ("", 200, "LOCKSTEP_GITHUB_TOKEN is not set"),
    ("ghp_of_another", 200, "the token in LOCKSTEP_GITHUB_TOKEN is not valid"),
])
def test_a_comment_that_cannot_be_posted_costs_no_verdict(
    github: GitHub, tmp_path: Path, token: str, status: int, told: str
) -> None:
    if status != 200:
        github.faults.append(("status", (status, {"Location": f"{github.address}/repos/elsewhere"})))
    done = commented(a_job(tmp_path / "runner", tmp_path, github.address, token=token), tmp_path)
    assert done.returncode == 0 and told in done.stderr
    assert "::warning::Lockstep could not comment on pull request 7." in done.stdout
    assert not token or token not in done.stdout + done.stderr
    assert len(github.comments[COMMENTS]) == 130
    assert "elsewhere" not in " ".join(asked.path for asked in github.asked), "the token goes to no other address"


def test_what_fails_is_tried_again_and_an_answer_that_was_lost_makes_no_second_comment(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_GITHUB_TOKEN", TOKEN)
    monkeypatch.setattr(comment, "PAUSE", 0.01)
    # Two pages are searched before the comment is made.
    github.faults.extend([("status", (502, {})), ("", None), ("", None), ("lost", None)])
    assert comment.comment("words", comment.place("owner/project", 7, github.address), "report")
    assert len(github.comments[COMMENTS]) == 131 and github.asked[-1].method == "PATCH"
    github.faults.extend([("status", (503, {}))] * comment.TRIES)
    with pytest.raises(MachineError, match="GitHub answered 503"):
        comment.comment("words", comment.place("owner/project", 7, github.address), "report")


def test_each_name_has_a_comment_of_its_own_and_a_long_text_is_cut(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_GITHUB_TOKEN", TOKEN)
    where = comment.place("owner/project", 7, github.address)
    names = ("one", "one --> two", "one")
    places = [comment.comment("".join(f"{name} {number}\n" for number in range(20_000)), where, name) for name in names]
    assert places[0] == places[2] != places[1]
    bodies = [one["body"] for one in github.comments[COMMENTS][130:]]
    assert [body.partition("\n")[2].partition("\n")[0] for body in bodies] == ["one 0", "one --> two 0"]
    assert all(len(body) < 65_536 and body.endswith("too long for a post.*") for body in bodies)


# --- GitLab


def test_a_merge_request_is_measured(project: Project) -> None:
    """The lines of the job, in one shell that ends at the first failure."""
    commits = [project.git("rev-parse", name) for name in ("HEAD^1", "HEAD")]
    script = "\n".join(GITLAB["script"])
    variables = {**GITLAB["variables"], "CI_MERGE_REQUEST_DIFF_BASE_SHA": commits[0], "CI_COMMIT_SHA": commits[1],
                 "LOCKSTEP_OPTIONS": f"-b 3000 --margin 30% --out {project.folder.parent / 'gitlab'}"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=project.folder, capture_output=True, text=True, check=False,
        timeout=600, env={**os.environ, **variables, "HOME": str(project.folder.parent),
                          "PATH": f"{LOCKSTEP.parent}:{os.environ['PATH']}"})
    assert done.returncode == 1, done.stderr
    for name in GITLAB["artifacts"]["paths"]:
        assert (project.folder / name).stat().st_size > 0, name
