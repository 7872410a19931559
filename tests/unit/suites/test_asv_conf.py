"""asv's configuration as people write it, and the environments of commits that are kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from asv.util import ProcessError

from runner.errors import UsageError
from runner.jobs import record as recording
from runner.suites import asv_conf, asv_project


@pytest.mark.parametrize("name", ["asv.conf.json", "asv.conf.jsonc"])
def test_the_benchmarks_of_a_configuration_with_comments_and_hanging_commas(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{\n// where\n"repo": "..", "version": 1, "benchmark_dir": "here/./bench", /**/\n}')
    found = asv_conf.configuration(tmp_path)
    assert found == tmp_path / name
    assert asv_conf.benchmark_dir(found) == tmp_path / "here" / "bench"


def test_without_a_word_about_them_they_are_in_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "asv.conf.json").write_text('{"version": 1, "repo": "."}')
    assert asv_conf.benchmark_dir(tmp_path / "asv.conf.json") == tmp_path / "benchmarks"


def test_no_configuration_and_two(tmp_path: Path) -> None:
    assert asv_conf.configuration(tmp_path) is None
    for name in asv_conf.NAMES:
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="has both"):
        asv_conf.configuration(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"version": 1}', '{"repo": "."}', '{"version": 99, "repo": "."}']
)
def test_what_is_no_configuration_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "asv.conf.json").write_text(text)
    with pytest.raises(UsageError, match=r"asv\.conf\.json is no configuration of asv's: ."):
        asv_conf.benchmark_dir(tmp_path / "asv.conf.json")


def test_variables_that_name_a_repository_are_none_of_asvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a hook of git's: its checkout of a commit would be one in the user's own tree."""
    (tmp_path / "asv.conf.json").write_text(json.dumps({"version": 1, "repo": "."}))
    monkeypatch.setenv("GIT_DIR", "/the/users/own")
    before = Path.cwd()
    with asv_project.inside(tmp_path / "asv.conf.json") as conf:
        assert conf.repo == "." and Path.cwd() == tmp_path and "GIT_DIR" not in os.environ
    assert os.environ["GIT_DIR"] == "/the/users/own" and Path.cwd() == before


def test_a_command_of_asvs_that_fails_is_told_of_with_its_last_words(tmp_path: Path) -> None:
    """Such as where a branch is configured that the clone lacks."""
    (tmp_path / "asv.conf.json").write_text(json.dumps({"version": 1, "repo": "."}))
    with pytest.raises(UsageError) as told, asv_project.inside(tmp_path / "asv.conf.json"):
        raise ProcessError(["git", "log", "nowhere", "--"], 128, "", "fatal: bad revision 'nowhere'\n")
    assert "asv.conf.json: `git log nowhere --` ended with exit code 128" in str(told.value)
    assert "bad revision 'nowhere'" in str(told.value)


def test_a_configuration_without_a_type_of_environment_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "asv.conf.json").write_text(json.dumps({"version": 1, "repo": ".", "pythons": ["3.11"]}))
    with pytest.raises(UsageError, match="Environment type must be specified"), asv_project.inside(
            tmp_path / "asv.conf.json") as conf:
        recording._environment(conf, "", "")


def test_the_environments_of_commits_that_were_used_last_are_kept(tmp_path: Path) -> None:
    for age in range(asv_project.KEPT + 4):
        (tmp_path / f"commit{age:02}" / "env").mkdir(parents=True)
        os.utime(tmp_path / f"commit{age:02}", (2e9 - age, 2e9 - age))
    asv_project._prune(tmp_path, {"commit13", "another"})
    kept = {f"commit{age:02}" for age in range(asv_project.KEPT)} | {"commit13"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    asv_project._prune(tmp_path / "nowhere", set())
