"""A calibration of a few seconds: interrupted, continued, shown."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from bench import LOCKSTEP, TIME_LIMIT, wait_until

from runner import config
from runner.jobs.calibrate import SUITE, Calibrated, CalibrateRequest, calibrate, next_stratum, wanted
from runner.jobs.parallel import levels, parallel_runs, sets_of
from runner.judging import calibration, parallel
from runner.machine import topology
from runner.machine.neighbour import neighbour
from runner.measuring.plan import Plan
from runner.measuring.progress import Progress
from runner.model import Mode
from runner.stats.audit import Kind
from runner.storage import store

pytestmark = pytest.mark.alone


class Impatient:
    """A view that ends the measuring after so many blocks, as a user does who presses Ctrl-C."""

    def __init__(self, blocks: float = float("inf")) -> None:
        self.left = blocks
        self.said: list[str] = []

    def phase(self, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)

    def measured(self, plan: Plan, progress: Progress) -> None:
        self.left -= 1
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calibration's own suite, but with one planted share, so large that the first look is enough."""
    folder = tmp_path_factory.mktemp("suite") / "tiny"
    folder.mkdir()
    source = (SUITE / "planted.py").read_text()
    few = source.replace('params = ("0.5", "1", "2", "5")', 'params = ("25",)')
    few = re.sub(r"\nclass (Objects|Strings|Json)\(Planted\):\n.*?(?=\n\nclass)", "", few, flags=re.DOTALL)
    assert few.count("def time_") == 2
    (folder / "planted.py").write_text(few)
    (folder / "__init__.py").touch()
    return folder


def seed_of(kind: Kind, mode: Mode, near: bool) -> int:
    """A seed with which a new calibration of a ready-made interpreter begins there."""
    everything = wanted(layouts=False)
    for seed in range(1000):
        first = next_stratum(everything, {}, random.Random(seed))
        if (first.kind, first.mode, first.neighbour) == (kind, mode, near):
            return seed
    raise AssertionError("no such stratum")


def neighbours() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "neighbour.py" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> tuple[Path, Calibrated]:
    out = tmp_path_factory.mktemp("calibration")
    request = CalibrateRequest(
        interpreter=sys.executable, minutes=0.0, out=out, seed=seed_of(Kind.PLANTED, Mode.TURNS, True), suite=tiny,
    )
    return out, calibrate(request, Impatient(6))


def test_an_interruption_keeps_what_was_measured_and_leaves_nothing_behind(
    interrupted: tuple[Path, Calibrated], tiny: Path
) -> None:
    out, done = interrupted
    assert done.interrupted and (done.summary.runs, done.summary.unfinished) == (0, 1)
    (stored,) = calibration.read(done.folder)
    assert stored.stratum.neighbour and len(stored.run.blocks) == 6
    assert not (done.folder / calibration.COPIES).exists()
    assert neighbours() == []

    view = Impatient()
    again = calibrate(CalibrateRequest(interpreter=sys.executable, minutes=0.0, out=out, suite=tiny), view)
    assert not again.interrupted and (again.summary.runs, again.summary.unfinished) == (1, 0)
    (finished,) = calibration.read(done.folder)
    assert finished.run.blocks[:6] == stored.run.blocks
    assert any(line.startswith("going on with") for line in view.said)
    assert not (done.folder / calibration.COPIES).exists()
    (line,) = again.summary.planted
    assert (line.size, line.found.count, line.found.of, line.reversed.count) == (0.25, 2, 2, 0)
    assert store.read(finished.run.folder).manifest.labels["kind"] == "planted"

    page = out / "page.md"
    page.write_text("before\n<!-- calibration:begin -->\n<!-- calibration:end -->\nafter\n")
    shown = subprocess.run(
        [LOCKSTEP, "calibrate", "--report", "--out", out, "--markdown", page], capture_output=True, text=True,
        timeout=TIME_LIMIT, check=True,
    )
    assert "Planted slowdowns" in shown.stdout and str(again.folder) in shown.stdout
    assert "| 25 % | turns | neighbour | 100 % [16, 100]" in page.read_text()
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")


def test_equals_are_measured_alone_and_beside_others_on_other_cpus(tmp_path: Path) -> None:
    sets = sets_of(topology())
    if len(sets) < 2:
        pytest.skip("there is one core")
    suite = tmp_path / "few"
    suite.mkdir()
    (suite / "aa.py").write_text(
        "lockstep_setup = 'once'\n\ndef time_sum():\n    return sum(range(3000))\n\ndef time_sort():\n"
        "    return sorted(range(1000), key=lambda number: -number)[0]\n\ndef time_join():\n"
        "    return len('-'.join(map(str, range(500))))\n")
    request = CalibrateRequest(
        interpreter=sys.executable, minutes=0.0, out=tmp_path / "calibration", suite=suite, seed=1)
    before = os.sched_getaffinity(0)
    stopped = parallel_runs(request, Impatient(4))
    assert stopped.interrupted and stopped.finding.levels == ()
    for _ in levels(len(sets)):
        done = parallel_runs(request, Impatient())
        assert not done.interrupted and neighbours() == []
        assert os.sched_getaffinity(0) == before and config.cpus() is None
        assert not (done.folder / calibration.COPIES).exists()
    assert [(level.at_once, level.runs) for level in done.finding.levels] == [(one, 1) for one in levels(len(sets))]
    assert done.finding.most == 1 and parallel.read(done.folder) == done.finding
    for path in (done.folder / parallel.RUNS).iterdir():
        (kept,) = [one.numbers["cpus"] for one in store.read_manifest(path).notices if one.kind == "confined"]
        assert kept in sets
    shown = subprocess.run(
        [LOCKSTEP, "calibrate", "--parallel", "--report", "--out", tmp_path / "calibration"], capture_output=True,
        text=True, timeout=TIME_LIMIT, check=True,
    )
    assert "Too little was measured of 2 runs at once: 1 of 3" in shown.stdout
    assert calibration.read(done.folder) == [], "these are no part of the calibration of the verdicts"


def test_a_neighbour_works_in_bursts_and_ends_with_its_context() -> None:
    begun = time.monotonic()
    with neighbour(3) as process:
        here = psutil.Process(process.pid)
        wait_until(lambda: sum(here.cpu_times()[:2]) > 0.5)
        assert sum(here.cpu_times()[:2]) < 1.2 * (time.monotonic() - begun) + 0.1
    assert process.returncode is not None


def test_a_neighbour_ends_when_nobody_is_there_any_more() -> None:
    with neighbour(4) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=TIME_LIMIT) == 0
