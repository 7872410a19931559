"""One sitting: prepare, measure in random order until the time is used up, store every run as it ends."""

from __future__ import annotations

import contextlib
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rivals import answers, order, records, truth
from rivals.arms import Arms, make
from rivals.records import Cell, Line, Measurement, Place, Trial
from rivals.tools import Busy, Commands, Task, Tool, ToolError, tidy
from runner import machine
from runner.errors import LockstepError

FAILURES = (ToolError, ValueError, KeyError, LockstepError, OSError)
"""What a tool's run may end with, and is scored: KeyError and ValueError come of output that is not as expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asks of a sitting."""

    data: Path
    seconds: float
    python: str
    seed: int
    budgets: Sequence[int]


class Session:
    """The environments and what is known so far; `say` gets one line for each thing that is done."""

    def __init__(self, settings: Settings, tools: Sequence[Tool], folder: Path, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.end = time.monotonic() + settings.seconds
        self.all = tools
        self.tools = {tool.name: tool for tool in tools if tool.missing() is None}
        for tool in tools:
            if reason := tool.missing():
                say(f"without {tool.name}: {reason}")
        self.folder = folder
        (folder / "runs").mkdir()
        self.facts = machine.describe()
        self.arms: Arms = make(folder / "arms", settings.python)
        self.versions = {"python": self.arms.version, "driver": platform.python_version(),
                         **{tool.program: tool.version() for tool in self.tools.values()}}
        self.lines: list[Line] = [
            line for line in records.read(settings.data)
            if line.place.machine.get("fingerprint") == self.facts.get("fingerprint")
        ]
        for tool in self.tools.values():
            say(f"preparing {tool.name}")
            tool.prepare(self.arms)

    def run(self) -> None:
        """Trials and truth first, where they are not stored; then measurements while the next one fits."""
        self._trials()
        for workload in truth.unknown(records.truths(self.lines)):
            self.say(f"truth of {workload}")
            with machine.alone(wait=True, told=self.say):
                for line in truth.measure(self.arms, workload, self._place()):
                    self._store(line)
        while True:
            done = order.done(records.measurements(self.lines))
            missing = [tool.name for tool in self.all if tool.name not in self.tools]
            round, left = order.pending([tool.name for tool in self.all], self.settings.seed, done, without=missing,
                                        budgets=self.settings.budgets)
            found = order.fitting(left, self.end - time.monotonic())
            if found is None:
                self.say(f"time is used up; {len(left)} of round {round + 1} are left")
                return
            self._score(round, *found)

    def _trials(self) -> None:
        stored = records.trials(self.lines)
        sizes = ((tool.name, tool.trials) for tool in self.tools.values())
        for name, workload, size in order.trials_wanted(sizes, stored):
            tool = self.tools[name]
            known = self._details(name, workload)
            cell = Cell(tool=name, share=0.0, budget=100, workload=workload)
            commands = Commands(limit=300)
            try:
                details = known if known is not None else tool.learn(self._task(cell, 0, {}), commands)
                _, used, wall = self._measure(tool, self._task(cell, size, details), commands)
            except FAILURES as problem:
                # Its runs are made all the same, at the smallest size, and scored.
                self.say(f"trial of {name}, {workload}, size {size} failed: {problem}")
                continue
            self.say(f"trial of {name}, {workload}, size {size}: {wall:.1f} s")
            self._store(Trial(tool=name, workload=workload, size=size, used=used, wall=wall, details=details,
                              place=self._place()))

    def _score(self, round: int, position: int, cell: Cell) -> None:
        tool = self.tools[cell.tool]
        size = order.size(order.costs(self.lines, cell.tool, cell.workload), cell.budget, tool.trials[0])
        task = self._task(cell, size, self._details(cell.tool, cell.workload) or {})
        log_ratio, error = truth.pooled(records.truths(self.lines))[cell.workload, cell.share]
        commands = Commands(limit=3 * cell.budget + 60)
        line = Measurement(
            cell=cell, round=round, position=position, seed=self.settings.seed, size=size, used=0.0, wall=0.0,
            answers=(), truth=log_ratio, truth_error=error, commands={}, failure=None, place=self._place(),
        )
        try:
            found, used, wall = self._measure(tool, task, commands)
            line = replace(line, used=used, wall=wall, answers=found)
        except FAILURES as problem:
            line = replace(line, wall=commands.wall, answers=answers.failed(tool.rules),
                           failure=tidy(f"{type(problem).__name__}: {problem}"[:600], self.folder))
        except KeyboardInterrupt:
            self._store(replace(line, wall=commands.wall, failure="interrupted by hand"))
            raise
        done_commands = Counter(tidy(command, self.folder) for command in commands.done)
        self._store(replace(line, commands=dict(done_commands)))
        told = ", ".join(f"{answer.rule}: {answer.said.value}" + (f" {answer.ratio:.4f}" if answer.ratio else "")
                         for answer in line.answers)
        self.say(f"{cell.budget} s, {cell.workload} +{cell.share:.0%}: {told} ({line.wall:.1f} s)")

    def _measure(self, tool: Tool, task: Task, commands: Commands) -> tuple[tuple[records.Answer, ...], float, float]:
        """Answers, size used and seconds taken, with the machine to ourselves.

        Lockstep takes the machine's lock by itself and would wait for ours for ever, so it is asked not to wait, and
        asked again if somebody else came first: it has not begun to measure then.
        """
        while True:
            lock = contextlib.nullcontext() if tool.locks else machine.alone(wait=True, told=self.say)
            try:
                with lock:
                    commands.start()
                    found, used = tool.measure(task, commands)
                    return found, used, commands.wall
            except Busy:
                with machine.alone(wait=True, told=self.say):
                    pass

    def _details(self, tool: str, workload: str) -> Mapping[str, int] | None:
        """What the tool's first trial has learned; None before it."""
        return next((line.details for line in records.trials(self.lines)
                     if (line.tool, line.workload) == (tool, workload)), None)

    def _task(self, cell: Cell, size: int, details: Mapping[str, int]) -> Task:
        return Task(arms=self.arms, share=cell.share, workload=cell.workload, size=size, details=details,
                    folder=Path(tempfile.mkdtemp(dir=self.folder / "runs")))

    def _place(self) -> Place:
        return Place(started=time.time(), machine=self.facts, versions=self.versions)

    def _store(self, line: Line) -> None:
        records.append(self.settings.data, line)
        self.lines.append(line)
