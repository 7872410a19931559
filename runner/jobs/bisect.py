"""The order of steps of `lockstep bisect`: a duel, what it says, the next duel; each is on disk before the next begins.

What is to be measured next, and what follows from it, is decided in `judging.search`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner import builds, config, machine, paths, suites
from runner.builds import ancestry, commits, history
from runner.errors import BuildError, LockstepError, UsageError
from runner.jobs import continuing
from runner.jobs.ab import AbRequest, Finished, View, compare_arms, go_on
from runner.judging import compare, search
from runner.judging.search import Level, Search, Step, Track
from runner.measuring.plan import Standing
from runner.measuring.progress import Progress
from runner.model import Purpose, Role
from runner.report import as_json
from runner.report import bisect as report
from runner.storage import bisects, store
from runner.storage.bisects import Asked, Change, Duel, Finding, Stored, Told

ENDS = (bisects.Purpose.ENDS, bisects.Purpose.ENDS_AGAIN)
MOST = 20
"""Commits of a finding that are described."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectRequest:
    """A search as the user asked for it."""

    good: str
    bad: str
    """Branches, tags or hashes; the older one is good, whichever is faster."""
    repository: str = "."
    """A folder."""
    pattern: str | None = None
    suite: str | None = None
    configuration: str = ""
    """Build options as in a spec, without the question mark: ``pgo&lto``."""
    margin: float = 0.01
    """As a fraction: the smallest change of the ends that is searched for."""
    budget: float | None = None
    """Seconds of measuring for each duel; None: as long as it takes."""
    scope: str = "auto"
    memory_limit: int | None = None
    values: str = "compare"
    environment: Mapping[str, str] = field(default_factory=dict)
    out: Path | None = None
    """Folder of searches; None: the state's."""
    watch: str = ""
    """Name of what is watched, where it is for that."""
    wait: bool = True
    """Wait for another run on this machine to end, or refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisected:
    """A search that has ended, or was interrupted."""

    folder: Path
    stored: Stored
    interrupted: bool


def bisect(request: BisectRequest, view: View) -> Bisected:
    """Search a range of commits for those that changed the benchmarks.

    Raises UsageError, BuildError or MachineError where the ends cannot be measured; what cannot be measured in between
    is passed over. An interruption is told in what comes back.
    """
    folder = begin(request, view)
    try:
        return go_on_with(folder, view, wait=request.wait)
    except LockstepError:
        bisects.discard(folder)
        if folder.is_dir():
            view.say(f"what was measured is kept: lockstep bisect --resume {folder.name} goes on")
        raise


def begin(request: BisectRequest, view: View) -> Path:
    """Make the folder of a search, after looking at all that can be looked at before anything is built.

    Raises UsageError for commits between which nothing can be searched, a suite that is none, and the like.
    """
    machine.supported()
    suite = suites.open(request.suite)
    repository = whole(request.repository)
    good, bad = (
        commits.find(builds.of_commit(repository, ref), str(repository), ref, view.phase).commit
        for ref in (request.good, request.bad)
    )
    ancestry.between(repository, good, bad)  # before anything is built
    now = time.time()
    stored = Stored(
        id=store.new_id(now), created=now, good=good, bad=bad,
        asked=Asked(
            good=request.good, bad=request.bad, repository=str(repository), suite=suite.place, pattern=request.pattern,
            configuration=request.configuration, margin=request.margin, budget=request.budget, scope=request.scope,
            memory_limit=request.memory_limit, values=request.values, environment=request.environment,
            watch=request.watch,
        ))
    # Refuses build options that are none.
    builds.parse(builds.of_commit(repository, good, options=request.configuration))
    return bisects.create(config.bisects_folder(request.out), stored)


def whole(place: str) -> Path:
    """The clone that a user names, absolute. Raises UsageError for what is no folder, no repository, or shallow."""
    folder = paths.expanded(place)
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder}. Commits are searched in a clone on this machine: name its "
                         "folder by --repo")
    return history.fetch(place, lambda _: None)


def go_on_with(folder: Path, view: View, *, wait: bool = True) -> Bisected:
    """Go on with a search that was interrupted; no duel that was measured is measured again, and no block of one.

    Raises as `bisect` does, and UsageError where suite, machine or builds are not what was measured before.
    """
    with machine.alone(wait=wait, told=view.say):
        return work(folder, view)


def work(folder: Path, view: View) -> Bisected:
    """Go on with a search, or begin it; the caller has the machine for itself (`machine.alone`). Raises as `bisect`."""
    stored = bisects.read(folder)
    if stored.findings is not None:
        return Bisected(folder=folder, stored=stored, interrupted=False)
    return _Session(folder, stored, view).work()


class _Session:
    """One process's part of a search."""

    def __init__(self, folder: Path, stored: Stored, view: View) -> None:
        self._folder, self._stored, self._view = folder, stored, view
        self._asked, self._repository = stored.asked, Path(stored.asked.repository)
        self._search = Search(ancestry.between(self._repository, stored.good, stored.bad))
        for duel in stored.duels:
            self._search.observe(duel, self._levels(duel))

    def work(self) -> Bisected:
        interrupted = False
        try:
            if self._first is not None and self._search.next() is not None:
                continuing.check(self._first, self._view.phase)
            while (wanted := self._search.next()) is not None:
                duel = self._measure(wanted)
                if duel is None:
                    interrupted = True
                    break
                self._take(duel)
        except KeyboardInterrupt:
            interrupted = True
        if not interrupted:
            self._stored = replace(self._stored, findings=self._findings())
            bisects.write(self._folder, self._stored)
        return Bisected(folder=self._folder, stored=self._stored, interrupted=interrupted)

    @property
    def _first(self) -> store.Manifest | None:
        """Of the first duel: suite, machine and scope of all; None before it was measured."""
        run = next((duel.run for duel in self._stored.duels if duel.run), None)
        return None if run is None else store.read_manifest(self._folder / bisects.RUNS / run)

    def _levels(self, duel: Duel) -> Mapping[str, Level]:
        return search.levels(store.read(self._folder / bisects.RUNS / duel.run)) if duel.run else {}

    def _take(self, duel: Duel) -> None:
        """A duel is over: put it on disk, and say what it says."""
        number = len(self._search.steps)
        self._search.observe(duel, self._levels(duel))
        steps = self._search.steps[number:]
        duel = replace(duel, told={step.benchmark: _told(duel, step) for step in steps})
        self._stored = replace(self._stored, duels=(*self._stored.duels, duel))
        bisects.write(self._folder, self._stored)
        commit = history.describe(self._repository, duel.head, place=self._asked.repository)
        for line in report.lines(duel, commit.subject):
            self._view.say(line)

    def _measure(self, wanted: Duel) -> Duel | None:
        """Build and measure a duel; None: it was interrupted. One that cannot be is returned with its trouble."""
        if self._first is not None:
            continuing.check_suite(self._first)
        view = _Within(self._view, report.heading(wanted, len(self._stored.duels)))
        begun = bisects.unfinished(self._folder, self._stored, wanted)
        if begun is not None:
            try:
                return self._finished(wanted, go_on(begun, view))
            except UsageError as problem:
                self._view.say(f"the duel that was interrupted is measured anew: {problem}")
        specs = [builds.of_commit(self._repository, commit, options=self._asked.configuration)
                 for commit in (wanted.base, wanted.head)]
        environment = config.environment(self._asked.environment)
        if wanted.base == self._stored.good:
            # That this one cannot be built is no fault of the head's.
            builds.resolve(specs[0], progress=view.phase, environment=environment)
        try:
            base, head = builds.resolve_all(specs, progress=view.phase, environment=environment)
            finished = compare_arms(self._request(wanted, specs), base, head, view, bisects.labels(wanted))
        except (BuildError, UsageError) as problem:
            if wanted.purpose in ENDS:
                raise
            return replace(wanted, trouble=str(problem).partition("\n")[0].rstrip(":"))
        return self._finished(wanted, finished)

    def _request(self, wanted: Duel, specs: Sequence[str]) -> AbRequest:
        asked = self._asked
        # All in the scope of the first: what a layout does is not to be taken for a commit's doing.
        scope = asked.scope if self._first is None else self._first.scope
        keys = "|".join(re.escape(key) for key in wanted.benchmarks)
        return AbRequest(
            base=specs[0], head=specs[1], suite=asked.suite,
            pattern=f"^(?:{keys})$" if keys else asked.pattern, margin=asked.margin, budget=asked.budget,
            scope=scope, out=self._folder / bisects.RUNS, memory_limit=asked.memory_limit, values=asked.values,
            blocks=wanted.blocks, environment=asked.environment,
            role=Role(watch=asked.watch, configuration=asked.configuration, purpose=Purpose.BISECT),
        )

    def _finished(self, wanted: Duel, finished: Finished) -> Duel | None:
        if finished.interrupted:
            return None
        store.write_whole(finished.folder / store.REPORT, as_json.render(finished.report))
        return replace(wanted, run=finished.folder.name)

    def _findings(self) -> tuple[Finding, ...]:
        tracks = self._search.tracks
        assert tracks is not None
        return tuple(self._finding(track) for track in tracks.values())

    def _finding(self, track: Track) -> Finding:
        finding = Finding(benchmark=track.benchmark, verdict=track.verdict, whole=_change(track.whole),
                          reason=track.reason, remark=track.remark)
        if track.question is None:
            return finding
        left = self._search.left(track)
        one = len(left) == 1
        if one and track.reason:
            left = self._search.graph.commits  # what it ended in has not made the change: it may be any of them
        described = tuple(
            history.describe(self._repository, commit, place=self._asked.repository) for commit in left[-MOST:])
        finding = replace(finding, commits=described, count=len(left))
        if not one or track.last is None or track.last.trouble:
            return finding
        return replace(finding, parent=self._search.graph.parents[track.bad][0], change=_change(track.last))


def _told(duel: Duel, step: Step) -> Told:
    level = step.level
    change = _change(level)
    if level.trouble:
        return Told(word="passed over", reason=level.trouble, left=step.left)
    reason = "does not end within its time limit" if level.hung else ""
    if duel.purpose is bisects.Purpose.STEP:
        word = "undecided" if step.side is None else step.side.value
    elif level.endless:
        word = "slower" if level.endless > 0 else "faster"
    elif duel.purpose is bisects.Purpose.ENDS:
        word = level.verdict.value
    else:
        low, high = level.limits or (0.0, 0.0)
        word = "slower" if low > 0 else "faster" if high < 0 else "not seen"
    return Told(word=word, change=change, reason=reason, left=step.left)


def _change(level: Level) -> Change | None:
    """A level in ratios; None where nothing was compared."""
    if level.endless:
        return Change(ratio=None, low=None, high=None)
    if level.estimate is None:
        return None
    low, high = level.limits or (level.estimate.mean, level.estimate.mean)
    return Change(ratio=compare.exp(level.estimate.mean), low=compare.exp(low), high=compare.exp(high))


class _Within:
    """The view of a duel inside a search: its phases under a heading, and its lines from the first block on.

    What is said before is about the two builds, and would be said at each step.
    """

    def __init__(self, view: View, heading: str) -> None:
        self._view, self._heading = view, heading
        self._measuring = False

    def phase(self, text: str) -> None:
        self._view.phase(f"{self._heading}: {text}")

    def say(self, text: str) -> None:
        if self._measuring:
            self._view.say(text)

    def measured(self, plan: Standing, progress: Progress) -> None:
        self._measuring = True
        self._view.measured(plan, progress)
