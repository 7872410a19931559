"""The order of steps of `lockstep backfill`: older commits against a history's anchor, each a run of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner import builds, config, machine, suites
from runner.builds import commits, history
from runner.errors import BuildError, UsageError
from runner.history import runs
from runner.history.runs import Entry
from runner.history.series import POINTS
from runner.jobs.ab import AbRequest, Finished, View, compare_arms, go_on, save
from runner.jobs.bisect import whole
from runner.model import Interpreter, Purpose, Role
from runner.stats.decide import LOOKS
from runner.storage import shelf

BLOCKS = LOOKS[0]
"""Blocks of every benchmark, where the user does not say how many: as few as are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """A history to be filled, as the user asked for it."""

    range: str
    """``OLDER..NEWER``."""
    anchor: str
    """An interpreter's name; a build gets the configuration too."""
    watch: str
    """Name of what is watched."""
    every: int = 1
    """Every so many commits of the line; the newest is one of them."""
    repository: str = "."
    """A folder."""
    pattern: str | None = None
    suite: str | None = None
    configuration: str = ""
    """Build options as in a spec, without the question mark."""
    edits: tuple[str, ...] = ()
    """Variants and patches that every commit gets, as `edits` of what is watched."""
    margin: float = 0.01
    """As a fraction."""
    blocks: int = BLOCKS
    """Of every benchmark, fixed, so that what a point of the history says was not selected by what was measured."""
    scope: str = "auto"
    memory_limit: int | None = None
    values: str = "compare"
    environment: Mapping[str, str] = field(default_factory=dict)
    out: Path | None = None
    """Folder of run folders; None: the usual one."""
    wait: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """What was done."""

    measured: tuple[Path, ...]
    """Run folders, oldest commit first."""
    there: int
    """Commits that the history had."""
    passed_over: Mapping[str, str]
    """Commits that could not be measured, with the reason."""
    left: int
    """Commits that were not come to."""
    interrupted: bool


def backfill(request: BackfillRequest, view: View) -> Backfilled:
    """Measure the commits of a range that a history lacks, oldest first.

    Raises UsageError, BuildError or MachineError where the range, the anchor or the machine cannot be used; a commit
    that cannot be measured is passed over. An interruption is told in what comes back.
    """
    machine.supported()
    suite = suites.open(request.suite)
    repository = whole(request.repository)
    wanted = commits_of(repository, request.range, request.every, view)
    anchor = _anchor(request)
    for edit in request.edits:
        builds.changes(edit)
    builds.parse(builds.of_commit(repository, wanted[-1], edits=request.edits, options=request.configuration))
    with machine.alone(wait=request.wait, told=view.say):
        base = builds.resolve(anchor, progress=view.phase, environment=config.environment(request.environment))
        view.phase("finding the benchmarks")
        found = suites.discover(suite, base.executable, base.executable, config.environment(request.environment))
        benchmarks = {(one.key, one.version) for one in suites.select(*found, request.pattern).benchmarks}
        return _Session(request, repository, suite.place, base, view).work(wanted, benchmarks)


def commits_of(repository: Path, range: str, every: int, view: View) -> tuple[str, ...]:
    """Full hashes on the line of first parents, every so many, oldest first; the newest is one of them.

    Raises UsageError for what is no range, and for one without commits.
    """
    ends = re.fullmatch(r"(?P<older>[^.].*?)\.\.(?P<newer>[^.].*)", range)
    if ends is None:
        raise UsageError(f"{range!r} is not a range of commits; write OLDER..NEWER, such as v3.13.0..main")
    older, newer = (
        commits.find(builds.of_commit(repository, ref), str(repository), ref, view.phase).commit
        for ref in ends.groups()
    )
    found = history.line(repository, older, newer)
    if not found:
        raise UsageError(f"{range} has no commits: both ends are {newer[:12]}")
    return tuple(found[::-1][::every][::-1])


def _anchor(request: BackfillRequest) -> str:
    """The anchor in the configuration; an interpreter that is there already stays as it is. Raises UsageError."""
    if not request.configuration or builds.parse(request.anchor) is None:
        return request.anchor
    if "?" in request.anchor:
        raise UsageError(f"{request.anchor} has build options, and --configuration {request.configuration} has some "
                         "too; write them once, in --configuration")
    return builds.with_options(request.anchor, request.configuration)


class _Session:
    """One process's part of the filling."""

    def __init__(
        self, request: BackfillRequest, repository: Path, suite: str, base: Interpreter, view: View
    ) -> None:
        self._request, self._repository, self._suite, self._base = request, repository, suite, base
        self._view, self._machine = view, str(machine.describe()["fingerprint"])
        self._role = Role(watch=request.watch, configuration=request.configuration, purpose=Purpose.BACKFILL)

    def work(self, wanted: tuple[str, ...], benchmarks: set[tuple[str, str]]) -> Backfilled:
        """Measure those of the commits that have no run with all of these benchmarks, given by key and version."""
        known = self._known(benchmarks)
        measured: list[Path] = []
        passed_over: dict[str, str] = {}
        there = 0
        interrupted = False
        for number, commit in enumerate(wanted):
            begun = known.get(commit)
            if begun is not None and shelf.entry(begun).state in (shelf.State.COMPLETE, shelf.State.MEASURING):
                there += 1
                continue
            told = history.describe(self._repository, commit, place=str(self._repository))
            self._view.say(f"{number + 1} of {len(wanted)}: {commit[:12]} {told.subject}")
            try:
                finished = self._measure(commit, begun)
            except KeyboardInterrupt:
                interrupted = True
                break
            except (BuildError, UsageError) as problem:
                passed_over[commit] = str(problem).partition("\n")[0].rstrip(":")
                self._view.say(f"{commit[:12]} is passed over: {passed_over[commit]}")
                continue
            save(finished)
            if finished.interrupted:
                interrupted = True
                break
            measured.append(finished.folder)
        return Backfilled(
            measured=tuple(measured), there=there, passed_over=passed_over, interrupted=interrupted,
            left=len(wanted) - len(measured) - there - len(passed_over),
        )

    def _measure(self, commit: str, begun: Path | None) -> Finished:
        if begun is not None:
            try:
                return go_on(begun, self._view)
            except UsageError as problem:
                self._view.say(f"{begun.name} cannot be gone on with, and the commit is measured anew: {problem}")
        request = self._request
        spec = builds.of_commit(self._repository, commit, edits=request.edits, options=request.configuration)
        head = builds.resolve(spec, progress=self._view.phase, environment=config.environment(request.environment))
        return compare_arms(AbRequest(
            base=self._base.spec, head=spec, suite=self._suite, pattern=request.pattern, margin=request.margin,
            scope=request.scope, out=request.out, memory_limit=request.memory_limit, values=request.values,
            blocks=request.blocks, environment=request.environment, role=self._role,
        ), self._base, head, self._view)

    def _known(self, benchmarks: set[tuple[str, str]]) -> Mapping[str, Path]:
        """Runs that are points of the series of all of these benchmarks, by commit; the newest of each."""
        out = self._request.out
        folder = config.runs_folder(out)
        found = runs.read(folder, config.index_file(out),
                          told=lambda done, of: self._view.phase(f"reading run {done} of {of}"))
        points = [entry for entry in found.runs if self._is_point(entry)]
        rows = found.of_runs([entry.id for entry in points])
        have: dict[str, set[tuple[str, str]]] = {entry.id: set() for entry in points}
        for run, key, version in zip(rows["run"], rows["key"], rows["version"], strict=True):
            have[run].add((key, version))
        return {entry.head.commit.hash: folder / entry.id for entry in points
                if entry.head.commit is not None and benchmarks <= have[entry.id]}

    def _is_point(self, entry: Entry) -> bool:
        role = entry.role
        return (
            role is not None and role.purpose.value in POINTS and role.watch == self._role.watch
            and role.configuration == self._role.configuration and entry.suite == self._suite
            and entry.machine.get("fingerprint") == self._machine
            and entry.base.identity == self._base.identity and _edits(entry.head.spec) == self._request.edits
        )


def _edits(spec: str) -> tuple[str, ...]:
    """What a build's name says of its edits; none where it cannot be read any more."""
    try:
        found = builds.parse(spec)
    except UsageError:
        return ()
    return () if found is None else found.edits
