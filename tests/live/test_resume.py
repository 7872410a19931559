"""A run goes on only with what it began with: an edit of the suite, or another machine, is named and refused."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import TIME_LIMIT, Bench, Twins, wait_until

Background = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Inside = Callable[..., subprocess.CompletedProcess[str]]

WORK = """
from pathlib import Path
HERE = Path(__file__).parent
VALUES = (HERE / ".." / "data" / "values").read_text() + (HERE / "linked.txt").read_text()

def time_it():
    return sorted(VALUES * 100)

def time_reversed():
    return sorted(VALUES * 100, reverse=True)

def time_joined():
    return "".join(VALUES * 100)
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite inside a project, which reads a sibling folder's file by a relative path and another by a link."""
    folder = tmp_path / "project" / "planted"
    folder.mkdir(parents=True)
    (folder.parent / "data").mkdir()
    (folder.parent / "data" / "values").write_text("values")
    (folder.parent / "data" / "linked.txt").write_text("linked")
    (folder / "__init__.py").touch()
    (folder / "work.py").write_text(WORK)
    (folder / "linked.txt").symlink_to("../data/linked.txt")
    return folder


def endless(twins: Twins, suite: Path) -> list[object]:
    """What does not end by itself: equals may be called different, but hardly all three, and at the first look."""
    return ["ab", *twins.pythons, "--suite", suite, "--margin", "0.001%"]


def test_an_edit_in_mid_run_ends_it_with_words_and_nothing_after_it_is_kept(
    bench: Bench, twins: Twins, suite: Path, background: Background
) -> None:
    process = background(bench.start(*endless(twins, suite)))
    wait_until(lambda: len(bench.blocks()) >= 3)
    (suite / "work.py").write_text(WORK.replace("* 100", "* 101"))
    at_most = len(bench.blocks()) + 1  # one may have ended just before the edit
    out, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 130, error
    assert "the suite was edited while it was measured: work.py has changed" in error
    assert "work.time_it" in out and "Traceback" not in error
    assert 3 <= len(bench.blocks()) <= at_most
    assert all(block["failure"] is None for block in bench.blocks())
    refused = bench.run("resume")
    assert refused.returncode == 2
    said = " ".join(refused.stderr.split())
    assert "work.py has changed" in said and "Undo that, or start a new run: lockstep ab" in said
    (suite / "work.py").write_text(WORK)
    again = background(bench.start("resume"))
    before = len(bench.blocks())
    wait_until(lambda: len(bench.blocks()) >= before + 2)
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=TIME_LIMIT)
    assert again.returncode == 130


def test_an_interpreter_that_is_made_anew_in_mid_run_ends_it_with_words(
    bench: Bench, twins: Twins, suite: Path, background: Background
) -> None:
    wrappers = []
    for name, python in zip(("base", "head"), twins.pythons, strict=True):
        wrapper = bench.folder / name
        wrapper.write_text(f'#!/bin/sh\nexec {python} -X utf8 "$@"\n')
        wrapper.chmod(0o755)
        wrappers.append(wrapper)
    process = background(bench.start("ab", *wrappers, *endless(twins, suite)[3:]))
    wait_until(lambda: len(bench.blocks()) >= 3)
    wrappers[1].write_text(wrappers[1].read_text().replace("utf8", "utf8=1"))
    at_most = len(bench.blocks()) + 1
    _, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 130, error
    assert f"{wrappers[1]} was changed while it was measured" in " ".join(error.split())
    assert 3 <= len(bench.blocks()) <= at_most


def test_a_run_is_not_continued_on_another_machine_or_with_another_suite(
    bench: Bench, twins: Twins, suite: Path, inside: Inside
) -> None:
    done = bench.run("ab", *twins.pythons, "--suite", suite, "--budget", "1s")
    assert done.returncode in (0, 1), done.stderr
    (path,) = bench.out.glob("*/manifest.json")
    manifest = json.loads(path.read_text())
    assert sorted(manifest["suite_files"]) == ["__init__.py", "linked.txt", "work.py"]
    for fact, word in (("host", "host"), ("cpu", "processor"), ("kernel", "kernel")):
        other = {**manifest, "machine": {**manifest["machine"], fact: "another"}}
        path.write_text(json.dumps(other))
        refused = inside("resume", "--out", bench.out)
        assert refused.returncode == 2, fact
        said = " ".join(refused.stderr.split())
        assert f"it differs in {word} (there another, here {manifest['machine'][fact]})" in said
        assert f"lockstep combine {manifest['id']} last" in said
    older = {name: value for name, value in manifest.items() if name != "suite_files"}
    older["machine"] = {name: value for name, value in manifest["machine"].items() if name != "host"}
    path.write_text(json.dumps(older))
    assert bench.run("resume").returncode in (0, 1), "what an older version did not record is not compared"
    path.write_text(json.dumps(manifest))
    (suite.parent / "data" / "linked.txt").write_text("edited")
    refused = inside("resume", "--out", bench.out)
    assert refused.returncode == 2 and "linked.txt has changed" in " ".join(refused.stderr.split())
    (suite.parent / "data" / "linked.txt").write_text("linked")
    (suite / "helper.py").touch()
    refused = inside("resume", "--out", bench.out)
    assert refused.returncode == 2 and "helper.py is new" in " ".join(refused.stderr.split())
