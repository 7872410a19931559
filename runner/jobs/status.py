"""Recipe: look at nights, runs, events, disk and spool, and say how the service is."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runner.alerts.settings import Channels
from runner.alerts.spool import Spool
from runner.errors import LockstepError
from runner.history import events
from runner.jobs.alert import places
from runner.report import health
from runner.report.health import Health, Night, Waiting
from runner.storage import store

NIGHTS = 14
"""Nights that are shown."""
RUNS = 30
"""Runs whose canary is looked at."""


def status(channels: Channels, state: Path) -> Health:
    """How the service is whose folder for state this is. What cannot be read is a problem, and no error."""
    now = time.time()
    problems: list[str] = []
    nights = sorted(_nights(state / "nights", problems), key=lambda night: (night.created, night.id))
    last = tuple(reversed(nights[-NIGHTS:]))
    where = places(channels, state)
    try:
        count = Counter(event.state for event in events.read(where.events))
    except LockstepError as problem:
        problems.append(str(problem))
        count = Counter()
    queue = Spool(where.spool).queue()
    runs = sorted(path.parent for path in (state / "runs").glob(f"*/{store.MANIFEST}"))
    there = next(path for path in (state, *state.parents) if path.is_dir())
    return Health(
        now=now, nights=last, watched=health.watched(nights, now), undecided=health.undecided(last),
        canary=_canary(runs[-RUNS:]), events={one.value: count[one] for one in events.State}, runs=len(runs),
        used=_size(state), free=shutil.disk_usage(there).free,
        waiting=tuple(Waiting(channel=letter.channel, title=letter.message.title, since=letter.since,
                              tries=letter.tries, problem=letter.problem) for letter in queue.letters),
        dropped=queue.dropped, problems=(*problems, *queue.problems),
        versions={"Lockstep": version("lockstep"), "Python": platform.python_version(), "kernel": platform.release()},
    )


def _nights(folder: Path, problems: list[str]) -> Iterator[Night]:
    for path in sorted(folder.glob("*/night.json")):
        try:
            yield _night(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path} cannot be read, and is left out: {type(error).__name__}: {error}")


def _night(found: Mapping[str, Any]) -> Night:
    """Of night.json what is shown here."""
    counts: Counter[str] = Counter()
    for run in found.get("measured", ()):
        counts.update({str(name): int(number) for name, number in run["counts"].items()})
    why = next((str(found[name]) for name in ("alarm", "broken") if found.get(name)), "")
    why = why or (str(found["problems"][-1]) if found.get("problems") else "")
    steps = found.get("steps", ())
    why = why or next((f"{step['name']}: {step['problem']}" for step in reversed(steps) if step.get("problem")), "")
    return Night(
        id=str(found["id"]), watch=str(found["watch"]), configuration=str(found["configuration"]),
        created=float(found["created"]), state="unfinished" if found.get("ended") is None else str(found["outcome"]),
        seconds=sum(float(step.get("seconds", 0.0)) for step in steps), why=why.partition("\n")[0][:300],
        counts=dict(counts),
    )


def _canary(runs: list[Path]) -> tuple[int, int] | None:
    """In how many of these runs the canary spoke, and how many have a report."""
    reports = [report for run in runs if (report := _report(run / store.REPORT)) is not None]
    spoke = sum(any(isinstance(one, dict) and one.get("kind") == "canary" for one in report.get("warnings", ()))
                for report in reports)
    return (spoke, len(reports)) if reports else None


def _report(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _size(folder: Path) -> int:
    """Bytes that a folder takes on its disk, of links only the links."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_blocks * 512
            except OSError:
                continue  # removed meanwhile
    return total
