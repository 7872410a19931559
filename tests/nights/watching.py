"""The commands as a user starts them, each with a log; and what they leave on disk."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nights import commits
from nights.commits import Made
from runner import shell
from runner.errors import MachineError
from runner.storage import bisects, nights, store
from runner.storage.bisects import Stored
from runner.storage.nights import Night

LOCKSTEP = Path(sys.executable).with_name("lockstep")
SUITE = Path(__file__).parent / "suite"
BLOCKS = 12
"""Of every benchmark in the history: a standard error of some 0.15 %."""
CONFIGURATION = """\
state = "{state}"

[[watch]]
name = "main"
repository = "{repository}"
branch = "main"
anchor = "{anchor}"
suites = [{{ place = "{suite}" }}]
margin = "1%"
budget = "{budget:g}s"
blocks = {blocks}
"""
PATIENCE = 60.0
"""Seconds that a command may take to end when it is asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A command that has ended."""

    code: int
    text: str
    """What it printed, standard error included."""
    seconds: float


def start(words: tuple[object, ...], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `lockstep`; what it prints is added to the log. It is asked to end when this program ends, however."""
    parent = os.getpid()
    with log.open("ab") as sink:
        return subprocess.Popen(
            [LOCKSTEP, *map(str, words)], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
            env={**os.environ, **environment}, preexec_fn=lambda: shell.end_with(parent, signal.SIGTERM),
        )


def run(words: tuple[object, ...], log: Path, environment: Mapping[str, str] | None = None) -> Said:
    """Run `lockstep` to its end. When this is interrupted, so is the command, which keeps what it has."""
    before, begun = log.stat().st_size if log.exists() else 0, time.monotonic()
    process = start(words, log, environment or {})
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    with log.open("rb") as stream:
        stream.seek(before)
        text = stream.read().decode("utf-8", "replace")
    return Said(code=code, text=text, seconds=time.monotonic() - begun)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """A configuration with a state of its own."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "lockstep.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "said"

    @property
    def words(self) -> tuple[object, ...]:
        """The command that has a night."""
        return "nightly", "--config", self.file

    def night(self) -> Said:
        """Have a night, or go on with one. Raises MachineError where the command fails otherwise than a night may."""
        said = run(self.words, self.log, self.environment)
        if said.code not in (0, 1, 4):
            raise MachineError(f"a night ended with exit code {said.code} ({self.log}):\n{said.text[-3000:]}")
        return said

    def nights(self) -> list[Night]:
        """Oldest first."""
        return nights.read(self.state / "nights")


def watching(folder: Path, made: Made, *, budget: float) -> Watching:
    """Watch the repository, from a new state or from the one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    one = Watching(folder=folder)
    one.file.write_text(CONFIGURATION.format(
        state=one.state, repository=made.folder, anchor=commits.BASE, suite=SUITE, budget=budget, blocks=BLOCKS))
    return one


def benchmarks() -> list[str]:
    """Keys of the suite's benchmarks."""
    return [f"work.{name}" for name in re.findall(r"^def (time_\w+)", (SUITE / "work.py").read_text(), re.MULTILINE)]


def build(made: Made, commit: str, log: Path) -> Said:
    """Build a commit as a night would, unless it is in the cache."""
    return run(("build", f"git:{made.folder}@{commit}"), log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that has ended."""

    stored: Stored
    said: Said
    whole: bool
    """One command had all of it."""


def search(made: Made, benchmark: str, out: Path, *, budget: float) -> Search:
    """Search all eight for what changed a benchmark; one that was interrupted in that folder is gone on with.

    Raises MachineError where the search fails.
    """
    out.mkdir(parents=True, exist_ok=True)
    log, begun = out / "said", any(out.glob(f"*/{bisects.FILE}"))
    words: tuple[object, ...] = ("--resume", "last") if begun else (
        commits.BASE, commits.ALL, "-b", f"{benchmark}$", "--repo", made.folder, "--suite", SUITE,
        "--budget", f"{budget:g}s")
    said = run(("bisect", *words, "--out", out), log)
    if said.code not in (0, 1):
        raise MachineError(f"the search for {benchmark} ended with exit code {said.code} ({log}):\n{said.text[-3000:]}")
    return Search(stored=bisects.read(bisects.find(out, "last")), said=said, whole=not begun)


Point = tuple[str, str, str, int]
"""A run of a history: purpose, base's and head's commit, and scored blocks where their number is fixed, else -1."""


def history(one: Watching) -> list[Point]:
    """What the history holds, without what a measurement says. Raises ValueError where a block is there twice."""
    found = []
    for file in sorted((one.state / "runs").glob(f"*/{store.MANIFEST}")):
        run = store.read(file.parent)
        manifest, blocks = run.manifest, [(block.kind, block.benchmark, block.index) for block in run.blocks]
        if len(set(blocks)) < len(blocks):
            raise ValueError(f"{file.parent.name} has a block twice")
        if manifest.role is None or manifest.base.commit is None or manifest.head.commit is None:
            raise ValueError(f"{file.parent.name} does not say what it is for, or of which commits")
        scored = sum(block.kind.value == "scored" for block in run.blocks)
        found.append((manifest.role.purpose.value, manifest.base.commit.hash, manifest.head.commit.hash,
                      -1 if manifest.blocks is None else scored))
    return found
