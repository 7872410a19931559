"""A small sitting of `make pyperformance`, cut short and gone on with; and a script under pyperf itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runner import builds
from runner.judging.report import STATES
from runner.suites import pyperf, pyperf_scripts

sys.path.insert(0, str(Path(__file__).parents[1]))

from pyperformance_study import beside, records
from pyperformance_study.parts import RELEASE, suite
from rivals.records import Said
from rivals.tools import Commands


def sitting(folder: Path, minutes: float) -> str:
    command = [
        sys.executable, "-m", "pyperformance_study", "--minutes", str(minutes), "--budget", "6s", "--stages", "nocow",
        "--only", "json_loads", "unpack_sequence", "--data", folder / "study.json", "--runs", folder / "runs",
        "--page", folder / "page.md", "--evidence", folder / "evidence.md",
    ]
    tests = Path(__file__).parents[1]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=folder,
                           env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"})
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_a_sitting_that_was_cut_short_is_gone_on_with_and_nothing_is_measured_twice(tmp_path: Path) -> None:
    # How far the first comes is the machine's doing: it may end before its first block, or with all of them.
    sitting(tmp_path, 0.05)
    assert "all of it is measured" in sitting(tmp_path, 20)
    study = records.read(tmp_path / "study.json")
    assert study is not None
    (one,) = study.measured
    assert one.complete and one.part == "nocow" and one.budget == 6.0 and one.tools["pyperf"]
    assert [row.benchmark for row in one.rows] == ["json_loads", "unpack_sequence"]
    assert {row.state for row in one.rows} <= set(STATES)
    assert [folder.name for folder in (tmp_path / "runs").glob("*/manifest.json")] == ["manifest.json"]
    assert (tmp_path / "runs" / one.run / "manifest.json").is_file()
    assert "Not over all scripts" in (tmp_path / "page.md").read_text("utf-8")
    assert "make pyperformance: begin" in (tmp_path / "evidence.md").read_text("utf-8")
    before = (tmp_path / "study.json").read_bytes()
    assert "nocow" not in sitting(tmp_path, 20)
    assert (tmp_path / "study.json").read_bytes() == before


def test_pyperf_answers_for_a_build_of_ours(tmp_path: Path) -> None:
    (script,) = pyperf_scripts.open(suite(["json_loads"])).scripts
    python = builds.resolve(RELEASE, progress=print).executable
    commands = Commands(limit=900)
    answer = beside.under_pyperf(script, (python, python), pyperf.link_pyperf(tmp_path), tmp_path, commands, 1)
    assert answer.said in (Said.SLOWER, Said.FASTER, Said.UNCHANGED)
    assert answer.ratio is not None and 0.1 < answer.ratio < 10
    assert len(commands.done) == 3 and "--processes 1" in commands.done[0]
