"""One sitting: compare, explain, measure beside pyperf; each step is stored as it ends, and the next one goes on."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from rivals.answers import failed
from rivals.tools import Commands, ToolError, tidy
from studies import View, check_machine, rows

from pyperformance_study import beside, records
from pyperformance_study.parts import BESIDE, FUNCTION, PAIRS, VERSIONS, Part, chosen, parts, suite
from pyperformance_study.records import Beside, Explained, Measured, Side, Study
from runner import builds, config, jobs, machine
from runner.errors import LockstepError, UsageError
from runner.jobs.ab import AbRequest, Finished
from runner.jobs.explain import ExplainRequest
from runner.judging import explanation
from runner.judging.report import Report
from runner.model import Verdict
from runner.storage import store
from runner.suites import pyperf, pyperf_scripts

STAGES = ("equal", "nocow", "versions", "dict", "explain", "pyperf")
"""What is done, in this order. The first is two parts."""
TOOLS = ("lockstep", "pyperf", "pyperformance")
EXPLAINING, UNDER_PYPERF = 120.0, 90.0
"""Seconds that explaining a benchmark, and a script beside pyperf, are taken to need before one was done: it is not
begun with less."""
PATIENCE = 900.0
"""Seconds after which pyperf's commands for one script count as failed."""


class TimeUp(Exception):
    """The sitting's time is used up; the text says before or in what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asks of a sitting."""

    data: Path
    runs: Path | None
    """Where run folders go; None: where those of `lockstep ab` go."""
    seconds: float
    """For the whole sitting, builds included."""
    budget: float | None
    """Seconds of each comparison that is begun; None: until all is settled."""
    stages: Sequence[str] = STAGES
    only: Sequence[str] = ()
    """Names of scripts that are taken; none: all."""
    versions: Sequence[str] = VERSIONS
    """The two interpreters of the part `versions`."""
    explained: int = 5
    """Benchmarks that are explained."""
    processes: int | None = None
    """For pyperf; None: its own number."""


class Session:
    """What is known so far, and the rest of it to be measured; `say` gets one line for each thing that is done.

    Raises UsageError where what is stored was measured on another machine.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.end = time.monotonic() + settings.seconds
        here = machine.describe()
        self.study = records.read(settings.data) or Study(machine=here)
        check_machine(self.study.machine, here, settings.data)
        self._parts = parts(settings.versions, settings.only)
        self._taken: dict[str, float] = {}
        """Seconds that the longest step of a kind took in this sitting."""

    def run(self) -> bool:
        """Do what is not stored, as long as there is time; returns whether all that was asked for is there now.

        What cannot be done here is said, and the rest goes on. Raises KeyboardInterrupt where the user interrupts; what
        was measured till then is stored.
        """
        steps = {"explain": self._explain_all, "pyperf": self._measure_beside}
        whole = True
        for stage in (stage for stage in STAGES if stage in self.settings.stages):
            try:
                whole &= steps[stage]() if stage in steps else self._compare_all(stage)
            except TimeUp as late:
                self.say(f"time is used up {late}")
                return False
            except LockstepError as problem:
                self.say(f"{stage} cannot be measured: {problem}")
                whole = False
        return whole

    def _compare_all(self, stage: str) -> bool:
        for part in self._parts:
            if part.name.partition("-")[0] == stage:
                self._compare(part)
        return True

    def _compare(self, part: Part) -> None:
        there = self._there(part)
        if there is not None and there.complete:
            return
        self._in_time(0.0, f"before {part.name}")
        self.say(f"{part.name}: {part.title}")
        view = View(self.say, until=self.end)
        finished = self._go_on(there, view) or jobs.ab(AbRequest(
            base=part.base, head=part.head, suite=part.suite, budget=self.settings.budget, out=self.settings.runs,
        ), view)
        found = measured(part, finished)
        others = (one for one in self.study.measured if one.part != part.name)
        self._store(measured=(*others, found))
        if finished.interrupted:
            if view.late:
                raise TimeUp(f"in {part.name}, after {found.seconds:.0f} s of measuring it")
            raise KeyboardInterrupt

    def _there(self, part: Part) -> Measured | None:
        """The run of a part that is stored. Raises UsageError where it is of other arms or another suite."""
        there = self.study.of(part.name)
        if there is not None and (there.arms, there.suite) != (part.arms, part.suite):
            raise UsageError(
                f"{self.settings.data} has {part.name} of {' and '.join(there.arms)} over {there.suite}, and "
                f"{' and '.join(part.arms)} over {part.suite} is asked for. Name another file with --data.")
        return there

    def _go_on(self, there: Measured | None, view: View) -> Finished | None:
        """Go on with a run that was interrupted; None where there is none, or it cannot be gone on with."""
        if there is None:
            return None
        folder = self._folder(there.run)
        if not (folder / store.MANIFEST).is_file():
            self.say(f"the folder of the run {there.run} is gone: it is begun anew")
            return None
        try:
            return jobs.resume(folder, view)
        except UsageError as problem:
            self.say(f"the run {there.run} cannot be gone on with, and is begun anew: {problem}")
            return None

    def _explain_all(self) -> bool:
        run = self.study.of("dict")
        if run is None or not run.complete:
            self.say("nothing is explained before the part dict is measured")
            return False
        done = {one.benchmark for one in self.study.explained if one.run == run.run}
        for name in found_slower(run)[: self.settings.explained]:
            if name not in done:
                self._explain(run, name)
        return True

    def _explain(self, run: Measured, name: str) -> None:
        self._in_time(self._taken.get("explain", EXPLAINING), f"before explaining {name}")
        self.say(f"explaining {name}")
        begun, started = time.monotonic(), time.time()
        request = ExplainRequest(base=str(self._folder(run.run)), pattern=f"^{re.escape(name)}$",
                                 out=self.settings.runs)
        finished = jobs.explain(request, View(self.say))
        if finished.interrupted:
            raise KeyboardInterrupt
        self._took("explain", begun)
        (one,) = finished.explanation.explained
        kept = tuple(other for other in self.study.explained if other.run == run.run)
        self._store(explained=(*kept, explained(one, run.run, started, finished.explanation.problems)))

    def _measure_beside(self) -> bool:
        scripts = chosen(BESIDE, self.settings.only)
        done = {(one.script, one.pair) for one in self.study.beside}
        for name in scripts:
            for pair in PAIRS:
                if (name, pair) not in done:
                    self._store(beside=(*self.study.beside, self._beside(name, pair)))
        return True

    def _beside(self, name: str, pair: str) -> Beside:
        self._in_time(self._taken.get("pyperf", UNDER_PYPERF), f"before {name} under pyperf")
        begun = time.monotonic()
        pythons = [one.executable for one in builds.resolve_all(
            list(PAIRS[pair]), progress=self.say, environment=config.environment())]
        # One lock for both: nobody else measures between the two.
        with machine.alone(wait=True, told=self.say):
            self.say(f"{name}, {pair}: under pyperf")
            theirs, failure = self._under_pyperf(name, pythons)
            if failure:
                self.say(f"{name}, {pair}: {failure}")
                ours, state, run = None, "", ""
            else:
                self.say(f"{name}, {pair}: in Lockstep, {theirs.wall:.0f} s")
                ours, state, run = self._in_lockstep(name, pair, theirs.wall)
        self._took("pyperf", begun)
        return Beside(script=name, pair=pair, processes=self.settings.processes, pyperf=theirs, lockstep=ours,
                      state=state, run=run, failure=failure)

    def _under_pyperf(self, name: str, pythons: Sequence[Path]) -> tuple[Side, str]:
        """What pyperf says, and why it gave no answer; empty where it did."""
        (script,) = pyperf_scripts.open(suite([name])).scripts
        commands, failure = Commands(limit=PATIENCE), ""
        with tempfile.TemporaryDirectory(prefix="pyperformance-") as made:
            folder = Path(made)
            library = pyperf.link_pyperf(folder)
            started = time.time()
            commands.start()
            try:
                answer = beside.under_pyperf(script, pythons, library, folder, commands, self.settings.processes)
            except (ToolError, ValueError, KeyError) as problem:  # a full disk is not its doing
                (answer,), failure = failed([beside.RULE]), tidy(f"{type(problem).__name__}: {problem}", folder)[:600]
            wall = commands.wall
        return Side(started=started, wall=wall, seconds=wall, answer=answer), failure

    def _in_lockstep(self, name: str, pair: str, budget: float) -> tuple[Side, str, str]:
        """What a run of so many seconds says, in its own word too, and the name of its folder; the caller has the
        machine for itself."""
        base, head = PAIRS[pair]
        started, clock = time.time(), time.monotonic()
        finished = jobs.ab(AbRequest(base=base, head=head, suite=suite([name]), budget=budget, held=True,
                                     out=self.settings.runs), View(self.say))
        if finished.interrupted:
            raise KeyboardInterrupt
        answer, state = beside.in_lockstep(finished.report)
        side = Side(started=started, wall=time.monotonic() - clock, seconds=finished.report.seconds, answer=answer)
        return side, state, finished.report.run

    def _folder(self, run: str) -> Path:
        return config.runs_folder(self.settings.runs) / run

    def _in_time(self, needed: float, what: str) -> None:
        """Raises TimeUp where less than so many seconds are left, or none."""
        if self.end - time.monotonic() <= needed:
            raise TimeUp(what)

    def _took(self, kind: str, begun: float) -> None:
        self._taken[kind] = max(self._taken.get(kind, 0.0), time.monotonic() - begun)

    def _store(self, **changes: object) -> None:
        self.study = replace(self.study, **changes)
        records.write(self.settings.data, self.study)


def measured(part: Part, finished: Finished) -> Measured:
    """What is kept of a run of a part."""
    report: Report = finished.report
    manifest = store.read_manifest(finished.folder)
    return Measured(
        part=part.name, arms=part.arms, versions=(manifest.base.version, manifest.head.version), suite=part.suite,
        run=report.run, budget=manifest.budget, started=report.started, seconds=report.seconds,
        share=report.measured_share, complete=not finished.interrupted, scope=report.scope, margin=report.margin,
        mean=report.mean, tools={name: manifest.versions[name] for name in TOOLS}, rows=rows(report),
    )


def found_slower(run: Measured) -> list[str]:
    """The benchmarks that a run calls slower, the shortest calls first: they are the quickest to count."""
    slower = [row for row in run.rows if row.state == Verdict.SLOWER.value]
    return [row.benchmark for row in sorted(slower, key=lambda row: row.base_value or 0.0)]


def explained(
    one: explanation.Explained, run: str, started: float, problems: Sequence[str]
) -> Explained:
    """What is kept of an explanation: what it says of the function that the variant makes slower."""
    counts = one.counts
    told = (*problems, *(() if counts is None else counts.problems))
    instructions = None if counts is None else counts.instructions
    if instructions is None:
        return Explained(benchmark=one.comparison.key, run=run, started=started, base=None, head=None, place=None,
                         more=None, first="", problems=told)
    # A compiler may add to a name: `_Py_dict_lookup.constprop.0`.
    place = next((number for number, change in enumerate(instructions.changes, start=1)
                  if not change.function.object and change.function.name.partition(".")[0] == FUNCTION), None)
    change = None if place is None else instructions.changes[place - 1]
    return Explained(
        benchmark=one.comparison.key, run=run, started=started, base=fmean(instructions.base),
        head=fmean(instructions.head), place=place, more=None if change is None else change.head - change.base,
        first=instructions.changes[0].function.name if instructions.changes else "", problems=told,
    )
