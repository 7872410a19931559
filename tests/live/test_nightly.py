"""Nights on a small project: what each is about, what it says, and that a kill at any moment changes nothing."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import ended, wait_until
from watched_project import SUITE, Watched

from runner.model import Purpose
from runner.storage import store
from runner.storage.nights import Outcome

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def test_a_week_of_nights(tmp_path: Path) -> None:
    """The first, a broken build, a regression, another anchor, a branch overwritten and gone."""
    project = Watched(folder=tmp_path).begin()
    begun = project.git("rev-parse", "HEAD")

    said = project.night()
    (first,) = project.nights()
    assert first.outcome is Outcome.DONE and first.previous is None and first.ended is not None
    report = (tmp_path / "state/nights" / first.id / "report.md").read_text()
    assert "main: " in said and "Begin" in said
    assert "no change confirmed" in report and "not finished" not in report
    assert project.history() == [("anchor", "Begin", "Begin", 6)]
    (run,) = project.runs().values()
    commit = run.manifest.head.commit
    assert commit is not None and run.manifest.role is not None
    assert (commit.hash, commit.subject, commit.branch, commit.position) == (begun, "Begin", "main", 1)
    assert (run.manifest.role.night, run.manifest.blocks) == (first.id, 6)
    assert first.measured[0].run == run.manifest.id and first.measured[0].round_seconds > 0
    assert (tmp_path / "state/site/index.html").is_file()

    project.commit("Break", b_c="int broken;\n")
    said = project.night(codes=[4])
    broken = project.nights()[-1]
    assert broken.outcome is Outcome.BROKEN and "does not build" in said and "int broken" in broken.broken
    assert "int broken" in (tmp_path / "state/nights" / broken.id / "report.md").read_text()
    assert "nothing new" in project.night(), "it is told once"
    assert len(project.runs()) == 1

    project.commit("Mend", b_c='#include "b.h"\nint b;\n')
    project.commit("Slow down", planted="1.00")
    project.commit("Comment", a_c="/* a */ int a;\n")
    project.night(codes=[0, 1])  # with a history, it confirms
    last = project.nights()[-1]
    assert last.previous is not None and (last.previous.hash, last.between) == (begun, 4)
    assert project.history()[1:] == [("anchor", "Begin", "Comment", 6), ("previous", "Begin", "Comment", -1)]
    assert all(dict(one.counts)["slower"] == 1 for one in last.measured), "each of both runs sees it"
    numbers = {run.manifest.seed for run in project.runs().values()}
    assert len(numbers) == len(project.runs()), "each run has a seed of its own"

    project.watch(anchor=project.git("rev-parse", "HEAD~1"))
    project.commit("After the new anchor", a_c="/* b */ int a;\n")
    project.night(codes=[0, 1])
    assert [one[:3] for one in project.history()[3:]] == [
        ("bridge", "Begin", "Slow down"), ("anchor", "Slow down", "After the new anchor"),
        ("previous", "Comment", "After the new anchor")]
    assert "the anchor is another one" in " ".join(project.nights()[-1].notes)

    project.git("reset", "--quiet", "--hard", begun)
    said = project.night(codes=[4])
    assert "main of" in said and "was overwritten" in said and "After the new anchor" in said
    assert project.nights()[-1].outcome is Outcome.UNCHANGED and len(project.history()) == 6

    project.git("branch", "--move", "main", "trunk")
    said = project.night(codes=[4])
    assert "has no branch main any more" in said and "is in trunk: was it renamed?" in said
    assert project.nights()[-1].outcome is Outcome.GONE and len(project.history()) == 6


def blocks(project: Watched, purpose: Purpose) -> int:
    """Whole lines of blocks on disk of the runs for a purpose."""
    count = 0
    for file in (project.state / "runs").glob(f"*/{store.MANIFEST}"):
        role = store.read_manifest(file.parent).role
        if role is not None and role.purpose is purpose:
            count += (file.parent / store.BLOCKS).read_bytes().count(b"\n")
    return count


def begun(project: Watched, step: str) -> bool:
    return any(night.step(step) is not None for night in project.nights() if night.ended is None)


def test_a_night_that_is_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    project = Watched(folder=tmp_path).begin()
    project.night()
    project.commit("Slow down", planted="1.00")
    moments: list[Callable[[], object]] = [
        lambda: begun(project, "build") and any((tmp_path / "cache/lockstep/scratch").iterdir()),
        lambda: blocks(project, Purpose.ANCHOR) >= 10,  # 7 of the first night, the calibration, and two more
        lambda: blocks(project, Purpose.PREVIOUS) >= 3,
        lambda: begun(project, "publish"),
    ]
    project.gate.touch()
    for number, moment in enumerate(moments):
        with ended(project.start()) as process:
            wait_until(lambda moment=moment, process=process: moment() or process.poll() is not None)
            assert process.poll() is None, (number, process.communicate())
            process.send_signal(signal.SIGKILL)
        project.gate.unlink(missing_ok=True)
        assert len(project.nights()) == 2 and project.nights()[-1].ended is None, number
    said = project.night(codes=[0, 1])
    assert "going on with night" in said
    _, night = project.nights()
    assert night.ended is not None and all(step.ended is not None for step in night.steps)
    assert project.history() == [
        ("anchor", "Begin", "Begin", 6), ("anchor", "Begin", "Slow down", 6), ("previous", "Begin", "Slow down", -1)]
    assert [one.run for one in night.measured] == list(project.runs())[1:]
    sessions = [len({block.session for block in run.blocks}) for run in list(project.runs().values())[1:]]
    assert max(sessions) >= 2, "a killed run was gone on with: of two one at least had not ended just then"


def test_a_run_that_cannot_be_gone_on_with_is_set_aside_and_measured_anew(tmp_path: Path) -> None:
    project = Watched(folder=tmp_path).begin()
    suite = tmp_path / "own" / SUITE.name
    shutil.copytree(SUITE, suite, ignore=shutil.ignore_patterns("__pycache__"))
    project.watch(suite=suite)
    with ended(project.start()) as process:
        wait_until(lambda: blocks(project, Purpose.ANCHOR) >= 3 or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGKILL)
    (killed,) = project.runs()
    (suite / "work.py").write_text((suite / "work.py").read_text() + "# edited\n")
    project.night()
    (night,) = project.nights()
    assert (project.state / "nights" / night.id / "set-aside" / killed / store.BLOCKS).is_file()
    assert killed not in project.runs() and project.history() == [("anchor", "Begin", "Begin", 6)]
    assert "work.py has changed" in " ".join(night.notes)


def test_a_repository_elsewhere_is_fetched_and_one_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    project = Watched(folder=tmp_path).begin()
    project.watch(repository="nowhere")
    said = project.night(codes=[4])
    assert "there is no folder" in said and "nowhere" in said
    assert project.nights()[-1].outcome is Outcome.FAILED
    project.watch(repository=f"file://{project.source}")
    project.commit("Break", b_c="int broken;\n")
    assert "(Break) does not build" in project.night(codes=[4])
    project.source.rename(tmp_path / "moved")
    assert "cannot fetch file://" in project.night(codes=[4])
    assert [night.outcome for night in project.nights()] == [Outcome.FAILED, Outcome.BROKEN, Outcome.FAILED]


def test_a_change_is_nominated_confirmed_and_told_once_and_ends_when_it_goes_away(tmp_path: Path) -> None:
    events = pytest.importorskip("runner.history.events")
    pytest.importorskip("runner.history.changes")
    pytest.importorskip("runner.history.series")
    project = Watched(folder=tmp_path).begin()
    project.night()
    project.commit("Comment", a_c="/* a */ int a;\n")
    project.night()
    slow = project.commit("Slow down", planted="1.00")
    said = project.night(codes=[1])
    assert "1 slower" in said
    (one,) = project.nights()[-1].confirmations or ()
    assert one.bad == slow and one.direction == "slower" and one.run in project.runs() and one.between == 1
    seeds = {run.manifest.seed for run in project.runs().values()}
    assert len(seeds) == len(project.runs()), "what convicts is measured by a schedule of its own"
    (event,) = events.read(project.state / "events")
    assert (event.bad.hash, event.bad.subject, event.direction) == (slow, "Slow down", "slower")
    assert event.state is events.State.NEW and [line.benchmark for line in event.benchmarks] == ["work.time_work"]
    assert event.benchmarks[0].low > 1.3 and event.run == one.run
    assert event.id in project.nights()[-1].events
    report = (project.state / "nights" / project.nights()[-1].id / "report.md").read_text()
    assert "Slower at" in report and "work.time_work" in report
    before = len(project.runs())
    assert "nothing new" in project.night() and len(project.runs()) == before
    project.commit("Comment again", a_c="/* b */ int a;\n")
    assert "no change confirmed" in project.night(), "it is told once"
    project.commit("Speed up", planted="0.00")
    project.night()
    (event,) = events.read(project.state / "events")
    assert event.state is events.State.FIXED
