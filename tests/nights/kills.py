"""A night that is killed at random moments, and begun again each time, against one that is left alone.

It is of the project of tests/live, whose commits build in no time: what a kill may break are the steps, and a build or
a block that takes longer is killed in no other way.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nights import watching
from nights.records import Kill, Trial
from nights.watching import Point, Watching
from runner.errors import LockstepError, MachineError
from runner.model import Purpose
from runner.storage.nights import Night

POINTS = (Purpose.ANCHOR.value, Purpose.PREVIOUS.value, Purpose.BRIDGE.value)
"""Purposes of runs that follow from the commits alone; what is confirmed follows from measured values too."""
OWN = "own"
"""Folder of a watching with temporary files, a home and a cache, so that each builds anew."""
LIMIT = 900.0
"""Seconds after which a night of the small project counts as hanging."""
STARTING = 4.0
"""Seconds from the start of a command to its first step, about."""
TICK = 0.2
"""Seconds between two looks at whether a command waits."""
STARTS = 3
"""Of a night that is killed no more, at most: one that has met a problem is gone on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """The night that was left alone."""

    wall: float
    ends: Mapping[str, object]


def stand_in(folder: Path) -> Watching:
    """A watch of the small project after its first night, with another one to come that finds a change."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
    from watched_project import Watched

    folder.mkdir(parents=True)
    project = Watched(folder=folder).begin()
    one = _small(folder / "watching")
    one.file.write_text(
        project.file.read_text().replace('"state"', f'"{one.state}"').replace('"source"', f'"{project.source}"'))
    one.night()
    project.commit("Slow down", planted="1.00")
    return one


def alone(template: Watching, folder: Path) -> Alone:
    """Have the night that all others are held against. Raises MachineError where it does not do its work."""
    one = copy(template, folder)
    said = one.night()
    night = one.nights()[-1]
    if night.state != "done":
        raise MachineError(f"the night that was left alone is {night.state}:\n{said.text[-2000:]}")
    # It may have waited for others on the machine, as none of the killed ones is let.
    return Alone(wall=min(said.seconds, night.seconds + STARTING), ends=ends(one))


def trial(
    template: Watching, folder: Path, alone: Alone, seed: int, kills: int, told: Callable[[str], None]
) -> Trial:
    """Have a night that begins as the template stands, killed at random moments, so many times at most."""
    draw, begun = random.Random(seed), time.monotonic()
    one = copy(template, folder)
    before = len(one.nights())
    done: list[Kill] = []
    wrong: list[str] = []
    try:
        while len(done) < kills and (kill := _strike(one, before, draw.uniform(0, alone.wall))) is not None:
            done.append(kill)
            told(f"killed {kill.seconds:.1f} s after the start: {kill.step}")
        _to_its_end(one, before)
        found = ends(one)
        wrong += [f"{what}: {found[what]}, and {alone.ends[what]} without"
                  for what in alone.ends if found[what] != alone.ends[what]]
    except (LockstepError, ValueError) as error:
        wrong.append(str(error))
    return Trial(seed=seed, seconds=time.monotonic() - begun, kills=tuple(done), wrong=tuple(wrong))


def _strike(one: Watching, before: int, after: float) -> Kill | None:
    """Start the night, and kill it after so many seconds, what it waits for others not counted; None where it had ended
    by then. Raises MachineError."""
    since, said, spent = time.time(), one.log.stat().st_size if one.log.exists() else 0, 0.0
    process = watching.start(one.words, one.log, one.environment)
    try:
        while spent < after and process.poll() is None:
            pause = min(TICK, after - spent)
            spent += 0.0 if waits(one.log.read_bytes()[said:].decode(errors="replace")) else pause
            time.sleep(pause)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)  # as a power cut would; what it has started ends by itself
            process.wait()
            step = under_way(one.nights(), before, since)
            return None if step is None else Kill(seconds=after, step=step)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode not in (0, 1, 4):
        raise MachineError(f"a night that was killed before ended with exit code {process.returncode}:\n{_last(one)}")
    return None


def waits(said: str) -> bool:
    """Whether the last line that a command has printed says that it waits for another run on the machine."""
    return said.rstrip("\n").rpartition("\n")[2].startswith("waiting for another ")


def _to_its_end(one: Watching, before: int) -> None:
    """Go on with the night until it has ended. Raises MachineError."""
    for _ in range(STARTS):
        if under_way(one.nights(), before, 0.0) is None:
            return
        process = watching.start(one.words, one.log, one.environment)
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise MachineError(f"a night hangs after it was killed: no end in {LIMIT:.0f} s") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if under_way(one.nights(), before, 0.0) is not None:
        raise MachineError(f"a night has no end after {STARTS} starts:\n{_last(one)}")


def under_way(nights: list[Night], before: int, since: float) -> str | None:
    """The step that a night is at, of a command that was started at `since`; None: the night has ended.

    `before`: nights that were there before it.
    """
    if len(nights) == before:
        return "before the night was on record"
    last = nights[-1]
    if last.ended is not None:
        return None
    open_ = [step for step in last.steps if step.ended is None]
    if any(step.begun < since for step in open_):
        return "before it went on"
    return open_[0].name if open_ else "between two steps"


def ends(one: Watching) -> Mapping[str, object]:
    """How a state ends, as far as it follows from the commits, and whether what follows from values fits together."""
    last = one.nights()[-1]
    points: list[Point] = sorted(point for point in watching.history(one) if point[0] in POINTS)
    confirmed = sorted({one.bad for one in last.confirmations or () if one.shown})
    return {
        "the history": points, "the number of nights": len(one.nights()), "the last night": last.state,
        "steps that are not over": [step.name for step in last.steps if step.ended is None],
        "steps with a problem": [step.name for step in last.steps if step.problem],
        "runs of the last night": sorted(run.purpose.value for run in last.measured if run.purpose.value in POINTS),
        "runs that are counted twice": len(last.measured) - len({run.run for run in last.measured}),
        "confirmed changes without their event":
            [bad for bad in confirmed if not any((one.state / "events").glob(f"*-{bad[:10]}-*.json"))],
        "the night names an event for what it confirmed": bool(last.events) == bool(confirmed),
    }


def copy(template: Watching, folder: Path) -> Watching:
    """A watching as the template stands, with a cache of its own that has nothing but what pages are made with."""
    shutil.copytree(template.folder, folder, ignore=shutil.ignore_patterns(OWN))
    one = _small(folder)
    vendor = Path("cache/lockstep/vendor")
    if (template.folder / OWN / vendor).is_dir():
        shutil.copytree(template.folder / OWN / vendor, folder / OWN / vendor)
    one.file.write_text(one.file.read_text().replace(str(template.state), str(one.state)))
    return one


def _small(folder: Path) -> Watching:
    own = {"TMPDIR": "tmp", "HOME": "home", "XDG_CACHE_HOME": "cache"}
    for place in own.values():
        (folder / OWN / place).mkdir(parents=True, exist_ok=True)
    return Watching(folder=folder, environment={name: str(folder / OWN / place) for name, place in own.items()})


def _last(one: Watching) -> str:
    """The last that its commands printed."""
    return one.log.read_text(errors="replace")[-2000:]
