"""One sitting: build the designs, see what they share, verify and compare them; store each part as it ends."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter
from studies import View, check_machine, rows

from design_space import records
from design_space.designs import EVERY, RELEASE, SUITES, TODAY, WEIGHED, Design, Pair, pairs
from design_space.records import Compared, Hazard, Kind, Seen, Study, Verified
from runner import builds, config, jobs, machine, shell, suites
from runner.errors import LockstepError, UsageError
from runner.jobs.ab import AbRequest
from runner.jobs.verify import VerifyRequest, verify
from runner.judging.report import Report
from runner.suites import pyperf_requirements

PARTS = ("look", "verify", "compare")
"""What is done with each design, in this order."""
TESTS = ("test_memoryio",)
"""Of CPython's own, for `lockstep verify`."""
SOURCES = Path(__file__).with_name("sources.py")
PACKAGES = Path(__file__).with_name("requirements.txt")
"""What streams are made from too, where it can be installed for the builds."""
_kinds = TypeAdapter(dict[str, Kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asks of a sitting."""

    data: Path
    runs: Path | None
    """Where run folders go; None: where those of `lockstep ab` go."""
    seconds: float
    """For the whole sitting, builds included."""
    budget: float
    """Seconds of each comparison."""
    designs: Sequence[str]
    """Names of those that are measured."""
    parts: Sequence[str] = PARTS
    """What is done: some of `PARTS`."""
    suites: Sequence[str] = tuple(SUITES)
    pattern: str | None = None
    """Regular expression that benchmarks match, as with ``-b``."""


class Session:
    """What is known so far, and the rest of it to be measured; `say` gets one line for each thing that is done.

    What was measured of a design that has changed since is forgotten. Raises UsageError where what is stored was
    measured on another machine.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.end = time.monotonic() + settings.seconds
        here = machine.describe()
        self.study = current(records.read(settings.data) or Study(machine=here))
        check_machine(self.study.machine, here, settings.data)
        self._failed = False
        """Something could not be done, and was said."""
        self._folders: list[Path] | None = None

    def run(self) -> bool:
        """Do what is not stored, as long as there is time; returns whether all that was asked for is there now.

        What cannot be done of a design is said, and the rest goes on. Raises KeyboardInterrupt where a comparison is
        interrupted, which is then not stored.
        """
        steps = {"look": self._look_at_all, "verify": self._verify_all, "compare": self._compare_all}
        return all(steps[part]() for part in PARTS if part in self.settings.parts) and not self._failed

    @contextlib.contextmanager
    def _saying(self, what: str, design: Design) -> Iterator[None]:
        """Say what goes wrong in it, in place of ending."""
        try:
            yield
        except (LockstepError, OSError, ValueError) as problem:
            self.say(f"{what} {design.name} failed: {problem}")
            self._failed = True

    def _look_at_all(self) -> bool:
        stored = {one.design for one in self.study.seen}
        for design in EVERY:
            if self._wanted(design) and design.name not in stored:
                with self._saying("looking at", design):
                    self._store(seen=(*self.study.seen, self._look(design)))
        return True

    def _look(self, design: Design) -> Seen:
        self.say(f"{design.name}: what it shares")
        executable = builds.resolve(design.spec, progress=self.say).executable
        ended = shell.run([executable, "-B", "-E", "-s", SOURCES, *self._packages(executable)], timeout=120, apart=True)
        if ended.code:
            raise UsageError(f"{SOURCES.name} ended with exit code {ended.code} in {design.spec}:\n{ended.errors}")
        told = json.loads(ended.output)
        return Seen(design=design.name, digest=design.digest, size=told["size"], stale=told["stale"],
                    kinds=_kinds.validate_python(told["kinds"]))

    def _verify_all(self) -> bool:
        stored = {one.design for one in self.study.verified}
        for design in WEIGHED:
            if self._wanted(design) and design.name not in stored:
                if not self._time_for("verifying", design):
                    return False
                with self._saying("verifying", design):
                    self._store(verified=(*self.study.verified, self._verify(design)))
        return True

    def _verify(self, design: Design) -> Verified:
        self.say(f"{design.name}: lockstep verify")
        started = time.time()
        packages = self._packages(builds.resolve(TODAY.spec, progress=self.say).executable)
        found = verify(VerifyRequest(
            base=TODAY.spec, head=design.spec, tests=TESTS,
            environment={"PYTHONPATH": os.pathsep.join(map(str, packages))} if packages else {}), View(self.say))
        hazards = tuple(
            Hazard(what=one.what, script=one.script, base=one.base, head=one.head) for one in found.differences)
        return Verified(
            design=design.name, digests=(TODAY.digest, design.digest), started=started, hazards=hazards,
            seconds=found.searched.seconds, sequences=found.searched.sequences, kinds=found.searched.kinds,
            problems=found.problems)

    def _packages(self, executable: Path) -> list[Path]:
        """The folder with numpy for builds of the release; none where pip cannot make it, which is said once."""
        if self._folders is None:
            try:
                pyperf_requirements.install(PACKAGES, executable, RELEASE, config.environment({}))
                self._folders = [pyperf_requirements.place(PACKAGES) / RELEASE]
            except pyperf_requirements.InstallError as problem:
                self.say(f"without numpy: {problem}")
                self._folders = []
        return self._folders

    def _compare_all(self) -> bool:
        there = {suite for suite in self.settings.suites if self._is_there(suite)}
        for pair in pairs():
            names = pair.design.name, pair.against.name, pair.suite
            stored = [one for one in self.study.compared if (one.design, one.against, one.suite) == names]
            # Of other benchmarks, or with more time for what is open, it is another comparison.
            done = any(one.pattern == self.settings.pattern and (one.budget >= self.settings.budget or not one.open)
                       for one in stored)
            if pair.suite in there and self._wanted(pair.design) and not done:
                if not self._time_for("comparing", pair.design):
                    return False
                with self._saying("comparing", pair.design):
                    found = self._compare(pair)
                    self._store(compared=(*(one for one in self.study.compared if one not in stored), found))
        return True

    def _compare(self, pair: Pair) -> Compared:
        self.say(f"{pair.design.name} against {pair.against.name}, {pair.suite}")
        digests = pair.design.digest, pair.against.digest
        finished = jobs.ab(AbRequest(
            base=pair.against.spec, head=pair.design.spec, suite=SUITES[pair.suite], pattern=self.settings.pattern,
            budget=self.settings.budget, out=self.settings.runs,
        ), View(self.say))
        if finished.interrupted:
            raise KeyboardInterrupt
        return compared(pair, finished.report, self.settings, digests)

    def _time_for(self, what: str, design: Design) -> bool:
        if self.end - time.monotonic() < self.settings.budget:
            self.say(f"time is used up before {what} {design.name}")
            return False
        return True

    def _wanted(self, design: Design) -> bool:
        return design.name in self.settings.designs

    def _is_there(self, suite: str) -> bool:
        try:
            suites.open(SUITES[suite])
        except UsageError as problem:
            self.say(f"without the suite {suite}: {problem}")
            return False
        return True

    def _store(self, **changes: object) -> None:
        self.study = replace(self.study, **changes)
        records.write(self.settings.data, self.study)


def compared(pair: Pair, report: Report, settings: Settings, digests: tuple[str, str]) -> Compared:
    """What is kept of a run's report; `digests` are those of the sources before it began."""
    return Compared(
        design=pair.design.name, against=pair.against.name, digests=digests,
        suite=pair.suite, pattern=settings.pattern, budget=settings.budget, run=report.run,
        started=report.started, seconds=report.seconds, scope=report.scope,
        margin=report.margin, mean=report.mean,
        rows=rows(report),
    )


def current(study: Study) -> Study:
    """The study without what was measured of designs that have changed since."""
    digest = {one.name: one.digest for one in EVERY}
    return replace(
        study,
        compared=tuple(one for one in study.compared
                       if one.digests == (digest.get(one.design), digest.get(one.against))),
        seen=tuple(one for one in study.seen if one.digest == digest.get(one.design)),
        verified=tuple(one for one in study.verified if one.digests == (TODAY.digest, digest.get(one.design))),
    )
