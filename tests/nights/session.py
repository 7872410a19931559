"""Nights in a row, and searches, as a user starts them; and what they should have found."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nights import commits
from nights.commits import PLAN, Made, Planned
from runner.storage import nights, store
from runner.storage.nights import Night

LOCKSTEP = Path(sys.executable).with_name("lockstep")
SUITE = Path(__file__).parent / "suite"
CONFIGURATION = """\
state = "{state}"

[[watch]]
name = "main"
repository = "{repository}"
branch = "main"
anchor = "{anchor}"
suites = [{{ place = "{suite}" }}]
margin = "1%"
budget = "{budget}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A night, and whether it did what it should."""

    subject: str
    wall: float
    """Seconds, from the command's start to its end."""
    state: str
    nominated: int
    slower: Sequence[str]
    """Benchmarks that it confirmed to have become slower, in order of their names."""
    faster: Sequence[str]
    wrong: str
    """What is not as it should be; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """A configuration with a state of its own."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "lockstep.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def start(self, **options: Any) -> subprocess.Popen[str]:
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([LOCKSTEP, "nightly", "--config", self.file], text=True, start_new_session=True,
                                env={**os.environ, **self.environment}, **both)

    def night(self) -> tuple[Night, float, str]:
        """Have a night; returns it, its seconds and what it said."""
        begun = time.monotonic()
        process = self.start()
        out, error = process.communicate()
        if process.returncode not in (0, 1, 4):
            raise RuntimeError(f"a night ended with exit code {process.returncode}:\n{out}\n{error}")
        return self.nights()[-1], time.monotonic() - begun, out

    def nights(self) -> list[Night]:
        return nights.read(self.state / "nights")


def watching(folder: Path, made: Made, *, budget: str) -> Watching:
    """Watch the repository from a new state."""
    folder.mkdir(parents=True)
    one = Watching(folder=folder, environment={})
    one.file.write_text(CONFIGURATION.format(
        state=one.state, repository=made.folder, anchor=commits.BASE, suite=SUITE, budget=budget))
    return one


def in_a_row(one: Watching, made: Made, told: Callable[[str], None]) -> list[Row]:
    """A night of the commit before the eight, of each of the eight, and one without anything new."""
    rows = []
    for subject, commit, planned in [
        ("(the release)", made.base, None), *zip([one.subject for one in PLAN], made.commits, PLAN, strict=True),
        ("(nothing new)", made.commits[-1], None),
    ]:
        commits.move(made, commit)
        night, wall, said = one.night()
        rows.append(_row(subject, night, wall, said, planned, new=subject != "(nothing new)"))
        told(f"{subject}: {night.state}, {len(rows[-1].slower)} slower, {wall:.0f} s. {rows[-1].wrong}")
    return rows


def _row(subject: str, night: Night, wall: float, said: str, planned: Planned | None, *, new: bool) -> Row:
    found = {direction: sorted({
        line.benchmark for one in night.confirmations or () if one.direction == direction for line in one.shown or ()
    }) for direction in ("slower", "faster")}
    wrong = []
    state = "unchanged" if not new else "broken" if planned is not None and not planned.builds else "done"
    if night.state != state:
        wrong.append(f"it is {night.state}, not {state}")
    if state == "broken" and "does not build" not in said:
        wrong.append("it does not say that the commit does not build")
    if state == "unchanged" and (night.measured or night.events or "report:" in said):
        wrong.append("it is not silent")
    if night.commit is not None:
        wrong += [f"{one.direction} at {one.bad[:9]} and not at its commit" for one in night.confirmations or ()
                  if one.shown and one.bad != night.commit.hash]
    wanted = planned.slower if planned is not None and planned.builds else ""
    there = set(benchmarks())
    must, may = commits.names(wanted, list(there)), commits.names(planned.touched if planned else "", list(there))
    wrong += [f"{name} was missed" for name in sorted(must - set(found["slower"]))]
    wrong += [f"{name} did not become slower" for name in sorted(set(found["slower"]) - must - may)]
    wrong += [f"{name} did not become faster" for name in found["faster"]]
    return Row(subject=subject, wall=wall, state=night.state, nominated=len(night.confirmations or ()),
               slower=found["slower"], faster=found["faster"], wrong="; ".join(wrong))


def benchmarks() -> list[str]:
    """Keys of the suite's benchmarks."""
    return [f"work.{name}" for name in re.findall(r"^def (time_\w+)", (SUITE / "work.py").read_text(), re.MULTILINE)]


def bisect(made: Made, benchmark: str, out: Path, *, budget: str) -> tuple[list[str], float]:
    """Search all eight for what made a benchmark slower; returns the hashes of the commits of which one did it, and the
    seconds. Raises RuntimeError where the search fails."""
    begun = time.monotonic()
    done = subprocess.run(
        [LOCKSTEP, "bisect", commits.BASE, "all", "-b", f"{benchmark}$", "--repo", made.folder, "--suite", SUITE,
         "--budget", budget, "--out", out], capture_output=True, text=True, check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the search ended with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}")
    stored = json.loads(max(out.glob("*/bisect.json")).read_text())
    (finding,) = stored["findings"]
    return [commit["hash"] for commit in finding["commits"]], time.monotonic() - begun


def table(rows: Sequence[Row], budget: str) -> str:
    """The nights as Markdown."""
    lines = ["| night | state | nominated | slower | wall | right |", "|:--|:--|--:|:--|--:|:--|"]
    for row in rows:
        slower = ", ".join(name.removeprefix("work.time_") for name in row.slower) or "–"
        lines.append(f"| {row.subject} | {row.state} | {row.nominated} | {slower} | {row.wall:.0f} s of {budget} |"
                     f" {row.wrong or 'yes'} |")
    return "\n".join(lines)


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
        assert manifest.role is not None and manifest.base.commit is not None and manifest.head.commit is not None
        scored = sum(block.kind.value == "scored" for block in run.blocks)
        found.append((manifest.role.purpose.value, manifest.base.commit.hash, manifest.head.commit.hash,
                      -1 if manifest.blocks is None else scored))
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """End the command at once, as a power cut would; what it has started ends by itself."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
