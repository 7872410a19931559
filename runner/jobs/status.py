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

from runner import alerts
from runner.alerts.settings import Channels
from runner.errors import LockstepError, UsageError
from runner.history import events
from runner.jobs import upload
from runner.jobs.alert import places
from runner.report import health
from runner.report.health import Health, Night, Waiting
from runner.sending.spool import Queue, T
from runner.storage import nights, store

NIGHTS = 14
"""Nights that are shown."""
RUNS = 30
"""Runs whose canary is looked at."""


def status(channels: Channels, state: Path, night: nights.Night | None = None) -> Health:
    """How the service is whose folder for state this is. What cannot be read is a problem, and no error.

    `night` goes before what is on disk of it.
    """
    now = time.time()
    problems: list[str] = []
    known = sorted(_nights(state / "nights", night, problems), key=lambda night: (night.created, night.id))
    last = tuple(reversed(known[-NIGHTS:]))
    where = places(channels, state)
    try:
        count = Counter(event.state for event in events.read(where.events))
    except LockstepError as problem:
        problems.append(str(problem))
        count = Counter()
    told, sent = alerts.opened(where.spool).queue(), upload.opened(state).queue()
    runs = sorted(path.parent for path in (state / "runs").glob(f"*/{store.MANIFEST}"))
    there = next(path for path in (state, *state.parents) if path.is_dir())
    return Health(
        now=now, nights=last, watched=health.watched(known, now), undecided=health.undecided(last),
        canary=_canary(runs[-RUNS:]), events={one.value: count[one] for one in events.State}, runs=len(runs),
        used=_size(state), free=shutil.disk_usage(there).free,
        waiting=(*_waiting(told), *_waiting(sent)), dropped=told.dropped + sent.dropped,
        problems=(*problems, *told.problems, *sent.problems),
        versions={"Lockstep": version("lockstep"), "Python": platform.python_version(), "kernel": platform.release()},
    )


def _nights(folder: Path, given: nights.Night | None, problems: list[str]) -> Iterator[Night]:
    for path in sorted(folder.glob(f"*/{nights.NAME}")):
        try:
            yield _night(given if given is not None and path.parent.name == given.id else nights.read_one(path))
        except UsageError as error:
            problems.append(str(error))


def _waiting(queue: Queue[T]) -> Iterator[Waiting]:
    for letter in queue.letters:
        yield Waiting(channel=letter.channel, title=letter.message.title, since=letter.since, tries=letter.tries,
                      problem=letter.problem)


def _night(night: nights.Night) -> Night:
    """What is shown of it."""
    counts: Counter[str] = Counter()
    for run in night.measured:
        counts.update(run.counts)
    stumbled = [f"{step.name}: {step.problem}" for step in reversed(night.steps) if step.problem]
    why = next(filter(None, (night.alarm, night.broken, *night.problems[-1:], *stumbled)), "")
    return Night(
        id=night.id, watch=night.watch, configuration=night.configuration, created=night.created, state=night.state,
        seconds=night.seconds, why=why.partition("\n")[0][:300], counts=dict(counts),
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
