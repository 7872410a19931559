"""Measuring: one process for each subject, all pinned to one CPU, of which one at a time works."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil

from bpo22003.records import REFERENCE, WORKLOADS, Block, Subject
from runner import config, shell
from runner.errors import MachineError, UsageError

WORKER = Path(__file__).with_name("worker.py")
KINDS = (REFERENCE, "io.BytesIO")
LINES = 54_471
SLICE = 0.01
"""Seconds of calls in one turn, about."""
CYCLES = 12
MOST = 1 << 24
"""Calls in one turn at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a subject is had."""

    python: Path
    subject: Subject


def found(folder: Path) -> list[Path]:
    """The newest interpreter of each minor version that a folder of pyenv's holds; [] where there is none."""
    newest: dict[tuple[int, ...], tuple[int, Path]] = {}
    for python in folder.glob("*/bin/python"):
        numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", python.parents[1].name)
        if numbers is not None:
            *minor, patch = map(int, numbers.groups())
            newest[tuple(minor)] = max(newest.get(tuple(minor), (-1, python)), (patch, python))
    return [python for _, (_, python) in sorted(newest.items())]


def places(pythons: Sequence[Path]) -> list[Place]:
    """The subjects of these interpreters, in the order of their versions, the reference first.

    Raises UsageError where an interpreter cannot be run, is there twice, or none has cStringIO.
    """
    there: list[Place] = []
    for python in pythons:
        subject = _described(python, "io.BytesIO")
        there.append(Place(python=python, subject=subject))
        if subject.version.startswith("2."):
            there.append(Place(python=python, subject=_described(python, REFERENCE)))
    there.sort(key=_order)
    if len({_order(place) for place in there}) < len(there):
        raise UsageError("two of the interpreters are of one version: " + ", ".join(map(str, pythons)))
    if not there or there[0].subject.kind != REFERENCE:
        raise UsageError("the line begins with cStringIO, and no interpreter here is Python 2.7. Name one by --python.")
    return there


def _order(place: Place) -> tuple[bool, tuple[int, ...]]:
    return place.subject.kind != REFERENCE, tuple(int(part) for part in place.subject.minor.split("."))


def _described(python: Path, kind: str) -> Subject:
    try:
        done = shell.run([python, "-s", WORKER, kind], env=config.environment(), timeout=60, apart=True)
    except MachineError as error:
        raise UsageError(str(error)) from error
    if done.code != 0:
        raise UsageError(f"{python} cannot be measured: it ended with exit code {done.code}.")
    return _subject(json.loads(done.output), python)


def _subject(told: Mapping[str, Any], python: Path) -> Subject:
    if told["lines"] != LINES:
        raise UsageError(f"{python} reads {told['lines']} lines where there are {LINES}: its {told['kind']} is broken.")
    return Subject(kind=told["kind"], version=told["version"], compiler=told["compiler"],
                   options=tuple(told["options"]), shares=told["shares"])


class Worker:
    """A subject's process; it ends with this context, and when this program is gone."""

    def __init__(self, place: Place, cpu: int | None) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [place.python, "-s", WORKER, place.subject.kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=config.environment(), start_new_session=True,
        )
        if cpu is not None:
            psutil.Process(self.process.pid).cpu_affinity([cpu])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def hello(self) -> None:
        """Wait until it is ready. Raises MachineError where it is no longer what it was."""
        if _subject(json.loads(self._line()), self.place.python) != self.place.subject:
            raise MachineError(f"{self.place.python} is not the interpreter that it was when this began.")

    def seconds(self, workload: str, calls: int) -> float:
        """What so many calls take."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{workload} {calls}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # told by what is not answered
        return float(self._line())

    def calls(self, workload: str) -> int:
        """How many calls take about `SLICE`; finding that out warms it up."""
        calls = 1
        while (taken := self.seconds(workload, calls)) < SLICE / 2 and calls < MOST:
            calls = min(MOST, max(2 * calls, int(calls * SLICE / max(taken, 1e-6))))
        return calls

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise MachineError(f"{self.place.python} has ended while it was measured, with exit code "
                               f"{self.process.wait()}.")
        return line


def block(places: Sequence[Place], cpu: int | None, seed: int, *, cycles: int = CYCLES) -> Block:
    """Start every subject anew and let them take turns, in another order in each cycle.

    Raises MachineError where a process ends meanwhile.
    """
    draw = random.Random(seed)
    started = time.time()
    seconds, log_ratios = {}, {}
    with ExitStack() as stack:
        workers: dict[int, Worker] = {}
        for at in draw.sample(range(len(places)), len(places)):
            workers[at] = stack.enter_context(Worker(places[at], cpu))
        for worker in workers.values():
            worker.hello()
        for workload in WORKLOADS:
            calls = [workers[at].calls(workload) for at in range(len(places))]
            taken = np.empty((cycles, len(places)))
            for cycle in taken:
                for at in draw.sample(range(len(places)), len(places)):
                    cycle[at] = workers[at].seconds(workload, calls[at]) / calls[at]
            logs = np.log(taken)
            seconds[workload] = tuple(np.median(taken, axis=0).tolist())
            log_ratios[workload] = tuple(np.median(logs - logs[:, :1], axis=0).tolist())
    return Block(started=started, cycles=cycles, seconds=seconds, log_ratios=log_ratios)


def here() -> Path:
    """Where pyenv has its interpreters."""
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
