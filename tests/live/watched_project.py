"""A project whose commits build in milliseconds and can be measured, and what watches it."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench import LOCKSTEP, TIME_LIMIT, ended
from fake_source import MEASURABLE, plant

from runner.model import Purpose
from runner.storage import nights, store
from runner.storage.nights import Night

SUITE = Path(__file__).parent / "nightly_suite"
CONFIGURATION = """
state = "state"

[[watch]]
name = "main"
repository = "{repository}"
branch = "main"
anchor = "{anchor}"
suites = [{{ place = "{suite}", select = "time_work" }}]
margin = "30%"
budget = "40s"
blocks = 6
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A folder with a repository, a configuration that watches it, and a cache and state of its own."""

    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def gate(self) -> Path:
        """While this file is there, compiling waits."""
        return self.folder / "gate"

    def begin(self) -> Watched:
        """Make the repository with one commit, which has the tag ``v1``, and watch it."""
        wait = f"while test -f {self.gate}; do sleep 0.1; done"
        plant(self.source, configure=MEASURABLE.replace("test ! -f slow || sleep 60", wait), planted="0.00")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("Begin")
        self.git("tag", "v1")
        self.watch()
        return self

    def watch(self, *, repository: str = "source", anchor: str = "v1", suite: Path = SUITE) -> None:
        self.file.write_text(CONFIGURATION.format(repository=repository, anchor=anchor, suite=suite))

    @property
    def file(self) -> Path:
        return self.folder / "lockstep.toml"

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        ran = subprocess.run(["git", *identity, *words], cwd=self.source, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def commit(self, message: str, **files: str) -> str:
        """Commit contents by name (``a_c`` for a.c); returns the hash."""
        for name, text in files.items():
            (self.source / name.replace("_", ".")).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start a night; the caller ends it."""
        for name in ("tmp", "home"):
            (self.folder / name).mkdir(exist_ok=True)
        own = {"TMPDIR": "tmp", "HOME": "home", "XDG_CACHE_HOME": "cache"}
        return subprocess.Popen(
            [LOCKSTEP, "nightly", "--config", self.file, *map(str, words)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "COLUMNS": "120", **{name: str(self.folder / place) for name, place in own.items()}},
        )

    def night(self, *words: object, codes: Collection[int] = (0,)) -> str:
        """Have a night; returns what it said."""
        with ended(self.start(*words)) as process:
            out, error = process.communicate(timeout=TIME_LIMIT)
        assert process.returncode in codes, f"{process.returncode}\n{out}\n{error}"
        assert "Traceback" not in error
        return out + error

    def nights(self) -> list[Night]:
        return nights.read(self.state / "nights")

    def runs(self) -> dict[str, store.Run]:
        """The runs by their ids, oldest first."""
        return {file.parent.name: store.read(file.parent)
                for file in sorted((self.state / "runs").glob(f"*/{store.MANIFEST}"))}

    def history(self) -> list[tuple[str, str, str, int]]:
        """What the runs are but those that confirm, oldest first: purpose, both commits, scored blocks (-1: as many as
        it took). Which changes are nominated follows from measured values, these follow from the commits alone."""
        found = []
        for run in self.runs().values():
            role, base, head = run.manifest.role, run.manifest.base.commit, run.manifest.head.commit
            assert role is not None and base is not None and head is not None
            scored = len(scored_once(run))
            if role.purpose is Purpose.CONFIRM:
                continue
            known = -1 if run.manifest.blocks is None else scored
            found.append((role.purpose.value, base.subject, head.subject, known))
        return found


def scored_once(run: store.Run) -> list[tuple[str, str, int]]:
    """Kind, benchmark and index of each block, in measured order; fails where one was measured twice."""
    blocks = [(block.kind.value, block.benchmark, block.index) for block in run.blocks]
    twice = [block for block, count in Counter(blocks).items() if count > 1]
    assert not twice, f"{run.folder.name} has {twice} twice"
    return [block for block in blocks if block[0] == "scored"]
