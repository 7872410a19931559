"""A night that is killed at random moments, and begun again each time, against one that is left alone."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nights import session
from nights.session import Point, Watching
from runner.model import Purpose

POINTS = (Purpose.ANCHOR.value, Purpose.PREVIOUS.value, Purpose.BRIDGE.value)
"""Purposes of runs that follow from the commits alone; what is confirmed follows from measured values too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What became of the kills."""

    moments: Sequence[tuple[float, str]]
    """Seconds after the command's start, and the step that was under way."""
    trials: int
    """Nights that were killed at least once."""
    wrong: Sequence[str]
    """In what they ended otherwise than the night that was left alone; empty: in nothing."""


def trials(template: Watching, folder: Path, kills: int, seed: int, told: Callable[[str], None]) -> Killed:
    """Kill nights that begin as the template stands, until it was done so many times."""
    draw = random.Random(seed)
    alone = _copy(template, folder / "alone")
    wall = alone.night()[1]
    wanted = _ends(alone)
    told(f"left alone, the night takes {wall:.0f} s")
    moments: list[tuple[float, str]] = []
    wrong: list[str] = []
    count = 0
    while len(moments) < kills:
        count += 1
        one = _copy(template, folder / f"killed-{count}")
        whole = True
        while True:
            seconds, step = _strike(one, draw.uniform(0, wall) if len(moments) < kills else None)
            if not step:
                break
            whole = False
            moments.append((seconds, step))
            told(f"kill {len(moments)}: {step}, {seconds:.1f} s after the start")
        # The one that was left alone may have waited for others on the machine.
        wall = min(wall, seconds) if whole else wall
        try:
            found = _ends(one)
            wrong += [f"night {count}: {what} is {found[what]}, and {wanted[what]} without"
                      for what in wanted if found[what] != wanted[what]]
        except (ValueError, AssertionError) as error:
            wrong.append(f"night {count}: {error}")
    return Killed(moments=moments, trials=count, wrong=wrong)


def _strike(one: Watching, after: float | None) -> tuple[float, str]:
    """Start the night, and kill it after so many seconds; returns those that it took, and the step that was under way,
    empty where it ended by itself. Raises RuntimeError."""
    begun = time.monotonic()
    with (one.folder / "said").open("a") as said:
        process = one.start(stdout=said, stderr=said)
        try:
            code = process.wait(after)
        except subprocess.TimeoutExpired:
            session.kill(process)
            return time.monotonic() - begun, _under_way(one)
    if code not in (0, 1):
        raise RuntimeError(f"a night ended with exit code {code}: {(one.folder / 'said').read_text()[-2000:]}")
    return time.monotonic() - begun, ""


def _under_way(one: Watching) -> str:
    last = one.nights()[-1]
    steps = [step.name for step in last.steps if step.ended is None]
    return "before the night was on record" if last.ended is not None else steps[0] if steps else "between two steps"


def _ends(one: Watching) -> Mapping[str, object]:
    """How a state ends, as far as it follows from the commits."""
    last = one.nights()[-1]
    points: list[Point] = sorted(point for point in session.history(one) if point[0] in POINTS)
    return {
        "the history": points, "the number of nights": len(one.nights()), "the last night": last.state,
        "steps that are not over": [step.name for step in last.steps if step.ended is None],
        "runs of the last night": sorted(run.purpose.value for run in last.measured if run.purpose.value in POINTS),
        "events": sorted(file.name for file in (one.state / "events").glob("*.json")),
    }


def _copy(template: Watching, folder: Path) -> Watching:
    shutil.copytree(template.folder, folder)
    one = Watching(folder=folder, environment=template.environment)
    one.file.write_text(one.file.read_text().replace(str(template.state), str(one.state)))
    return one
