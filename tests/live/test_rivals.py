"""Each tool of `make rivals` that is installed answers, in one tiny run; nothing is claimed of its size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bench import TIME_LIMIT

from runner import machine

sys.path.insert(0, str(Path(__file__).parents[1]))

from rivals import truth
from rivals.arms import SUITE, Arms, make
from rivals.records import Place
from rivals.tools import Busy, Commands, Task, Tool, every

SHARE = 0.05

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Arms:
    return make(tmp_path_factory.mktemp("rivals"), sys.executable)


@pytest.mark.parametrize("tool", every(), ids=lambda tool: tool.name)
def test_a_tool_answers(tool: Tool, arms: Arms, tmp_path: Path) -> None:
    if reason := tool.missing():
        pytest.skip(reason)
    commands = Commands(limit=TIME_LIMIT)
    tool.prepare(arms)
    details = {"loops": 4} if tool.name == "pyperf-alternating" else {}
    # Ours ends when it has an answer, and in the least of budgets a busy machine measures too few blocks for a ratio.
    size = 120 if tool.name == "lockstep" else tool.trials[0]
    task = Task(arms=arms, share=SHARE, workload="time_copy", size=size, folder=tmp_path, details=details)
    while True:
        try:
            answers, used = tool.measure(task, commands)
            break
        except Busy:
            with machine.alone(wait=True, told=print):
                commands.start()
    assert tuple(answer.rule for answer in answers) == tool.rules
    assert all(answer.ratio is not None and 0.2 < answer.ratio < 5 for answer in answers)
    assert 0 < used <= task.size
    assert commands.done


def test_environments_differ_in_the_share_alone(arms: Arms) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import work; print(len(work.TIMES))"
    pythons = [arms.base, *(arms.head(share) for share in (0.0, 0.01, 0.02, SHARE))]
    portions = [subprocess.run([python, "-c", code, SUITE], capture_output=True, text=True, check=True).stdout.strip()
                for python in pythons]
    assert portions == ["1000", "1000", "1010", "1020", "1050"]
    assert len({len(str(python)) for python in pythons}) == 1


def test_the_truth_is_about_the_planted_share(arms: Arms) -> None:
    place = Place(started=0.0, machine={}, versions={})
    found = {line.share: line for line in truth.measure(arms, "time_loop", place, processes=4, cycles=150)}
    assert set(found) == {0.01, 0.02, SHARE}
    assert 0.02 < found[SHARE].log_ratio < 0.09
