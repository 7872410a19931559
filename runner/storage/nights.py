"""The nights of what is watched: `<id>/night.json`, written whole before and after every step; and who is at it.

Format history
--------------
lockstep.night/1  The first. `night.json` is a `Night`. Times are in seconds since the epoch. Fields may be added; none
                  is removed or changes its meaning within a version.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.model import Commit, Purpose
from runner.owned import held
from runner.storage import store

SCHEMA = "lockstep.night/1"
NAME = "night.json"
SHORT = 12
"""Digits of a commit in a night's id."""


class Outcome(Enum):
    """What a night has come to."""

    DONE = "done"
    """The newest commit was measured."""
    UNCHANGED = "unchanged"
    """There was nothing new."""
    BROKEN = "broken"
    """The newest commit does not build."""
    GONE = "gone"
    """The branch is not there."""
    FAILED = "failed"
    """It was given up, for the reason that `Night.problems` ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a night, as far as it has come."""

    name: str
    begun: float
    """When it was begun the last time: a night that was killed begins it again."""
    ended: float | None = None
    """None: it is under way, or was when the night ended."""
    seconds: float = 0.0
    """All that was spent on it, but for what a kill took."""
    problem: str = ""
    """Why it was left out or failed, in words; the night went on all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run of a night."""

    purpose: Purpose
    suite: str
    """As the configuration names it."""
    run: str
    """Id."""
    blocks: int | None
    """Blocks of every benchmark; None: as many as it took."""
    round_seconds: float
    """Seconds that a block of each benchmark takes, by this run."""
    counts: Mapping[str, int]
    """Benchmarks by state (`judging.report.STATES`)."""
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A benchmark of which a confirming run shows that it changed. Ratios are bad ÷ good: above 1 is slower."""

    benchmark: str
    """`Benchmark.key`."""
    ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A nominated change, and what measuring it afresh said."""

    suite: str
    """Its place."""
    kind: str
    """``step``, ``newest``, ``drift``."""
    direction: Literal["slower", "faster"]
    good: str
    """Full hash of the last commit without it."""
    bad: str
    """Full hash of the first commit with it."""
    benchmarks: tuple[str, ...]
    """Keys."""
    blocks: int | None = None
    """Blocks of each of them that its test needs; None: as many as it takes."""
    nomination: Mapping[str, Any]
    """As `history.changes` made it."""
    passed: str = ""
    """Why it could not be measured; empty: it was, or will be."""
    run: str | None = None
    """Id of the run that measured it; None: not yet."""
    command: str = ""
    """That repeats the run."""
    before: Commit | None = None
    after: Commit | None = None
    """The commits `good` and `bad`; None: not measured yet."""
    between: int = 1
    """Commits that may have brought it: those after `good` up to and with `bad`."""
    functions: tuple[str, ...] | None = None
    """Functions that do more or less, in words; None: not counted."""
    shown: tuple[Shown, ...] | None = None
    """What it confirmed, which may be nothing; None: not judged yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night of one watch in one configuration."""

    schema: str = SCHEMA
    id: str
    """Also the folder's name: UTC time, watch, commit, and the build options where there are any."""
    watch: str
    configuration: str
    """Build options as in a spec, without the question mark; empty for none."""
    repository: str
    branch: str
    machine: str
    """Fingerprint."""
    created: float
    ended: float | None = None
    """None: it is under way, or was interrupted."""
    outcome: Outcome = Outcome.DONE
    """What it has come to, or will where nothing happens."""
    commit: Commit | None = None
    """The newest; None where the branch is not there, or nobody could be asked."""
    previous: Commit | None = None
    """The last one before that was measured and is in its history; None: there is none."""
    between: int | None = None
    """Commits on the branch's line after `previous` up to `commit`."""
    anchor: str = ""
    """Spec of the pinned build."""
    anchor_identity: str = ""
    """Its key, once it is built."""
    alarm: str = ""
    """What has happened to the branch that should not: it is gone, or was overwritten."""
    broken: str = ""
    """Why the newest commit does not build, with the last lines of the log."""
    problems: tuple[str, ...] = ()
    """What kept it from going on, oldest first; it was begun again after each but the last of a failed night."""
    notes: tuple[str, ...] = ()
    """What a reader should know of it, one sentence each."""
    margin: float
    budget: float
    """Seconds."""
    steps: tuple[Step, ...] = ()
    measured: tuple[Measured, ...] = ()
    confirmations: tuple[Confirmation, ...] | None = None
    """What was nominated; None: it was not asked yet."""
    events: tuple[str, ...] = ()
    """Ids of the events that it made or changed."""

    @property
    def state(self) -> str:
        """An `Outcome`'s value, or ``unfinished``."""
        return "unfinished" if self.ended is None else self.outcome.value

    @property
    def seconds(self) -> float:
        """What it took, but for what kills took."""
        return sum(step.seconds for step in self.steps)

    def spent(self, now: float) -> float:
        """What it took until now (seconds since the epoch), the step that is under way included."""
        return self.seconds + sum(max(0.0, now - step.begun) for step in self.steps if step.ended is None)

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)

    def with_step(self, step: Step) -> Night:
        """The same with that step in the place of the one of its name, or behind the others."""
        if self.step(step.name) is None:
            return replace(self, steps=(*self.steps, step))
        return replace(self, steps=tuple(step if one.name == step.name else one for one in self.steps))


_night = TypeAdapter(Night)


def slug(configuration: str) -> str:
    """Build options as part of a file's name, which no other options have; empty for none."""
    if not configuration:
        return ""
    words = re.sub(r"[^A-Za-z0-9]+", "-", configuration).strip("-")[:30].strip("-")
    return f"{words}-{hashlib.sha256(configuration.encode()).hexdigest()[:8]}"


def new_id(folder: Path, watch: str, configuration: str, commit: str, now: float) -> str:
    """An id that no night of the folder has; of a night without a commit, `commit` is empty."""
    while True:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        parts = (moment, watch, commit[:SHORT] or "none", slug(configuration))
        id = "-".join(filter(None, parts))
        if not (folder / id).exists():
            return id
        now += 1


def write(folder: Path, night: Night) -> None:
    """Write a night whole, over what it was. Raises MachineError."""
    place = folder / night.id
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make {place}: {error.strerror or error}.") from error
    store.write_whole(place / NAME, _night.dump_json(night, indent=1).decode() + "\n")


def read(folder: Path, *, watch: str | None = None, configuration: str | None = None) -> list[Night]:
    """The nights of a folder, oldest first; those of a watch and configuration where these are given.

    Raises UsageError for a file that is no night, or of a newer version.
    """
    found = [read_one(path) for path in sorted(folder.glob(f"*/{NAME}"))]
    return sorted(
        (night for night in found
         if watch in (None, night.watch) and configuration in (None, night.configuration)),
        key=lambda night: (night.created, night.id),
    )


def read_one(path: Path) -> Night:
    """A night from its file. Raises UsageError as `read` does."""
    try:
        night = _night.validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        problem = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UsageError(f"{path} is no night: {problem}. Move its folder away to go on without it.") from error
    if night.schema != SCHEMA:
        raise UsageError(f"{path} is of version {night.schema!r}; this Lockstep reads {SCHEMA!r}.")
    return night


@contextmanager
def alone(
    folder: Path, watch: str, configuration: str, *, wait: bool, told: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lock of a watch and configuration: no other night of theirs is under way meanwhile.

    It ends with the process. While another has it this waits, after telling `told`, or raises MachineError if `wait` is
    False.
    """
    path = folder / f".{'-'.join(filter(None, (watch, slug(configuration))))}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise MachineError(f"cannot make {path}: {error.strerror or error}.") from error

    def waiting() -> None:
        what = f"another night of {watch}{f' with {configuration}' if configuration else ''} is under way"
        if not wait:
            raise MachineError(f"{what}. Wait until it has ended, and try again.")
        told(f"{what}: waiting for it to end")

    with held(descriptor, waiting):
        yield
