"""The order of steps of `lockstep backfill`: older commits against a history's anchor, each a run of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner import builds, config, machine, suites
from runner.builds import commits, history
from runner.builds.spec import Origin
from runner.errors import BuildError, UsageError
from runner.history.series import POINTS
from runner.jobs.ab import AbRequest, Finished, View, compare_arms, go_on, save
from runner.jobs.bisect import whole
from runner.model import Interpreter, Purpose, Role
from runner.stats.decide import LOOKS
from runner.storage import shelf, store
from runner.storage.store import Manifest

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
    anchor = _with_options(request.anchor, request.configuration)
    builds.parse(_with_options(f"git:{repository}@{wanted[-1]}", request.configuration))
    with machine.alone(wait=request.wait, told=view.say):
        base = builds.resolve(anchor, progress=view.phase, environment=config.environment(request.environment))
        view.phase("finding the benchmarks")
        found = suites.discover(suite, base.executable, base.executable, config.environment(request.environment))
        keys = {benchmark.key for benchmark in suites.select(*found, request.pattern).benchmarks}
        return _Session(request, repository, suite.place, base, view).work(wanted, keys)


def commits_of(repository: Path, range: str, every: int, view: View) -> tuple[str, ...]:
    """Full hashes on the line of first parents, every so many, oldest first; the newest is one of them.

    Raises UsageError for what is no range, and for one without commits.
    """
    ends = re.fullmatch(r"(?P<older>[^.].*?)\.\.(?P<newer>[^.].*)", range)
    if ends is None:
        raise UsageError(f"{range!r} is not a range of commits; write OLDER..NEWER, such as v3.13.0..main")
    older, newer = (
        commits.find(f"git:{repository}@{ref}", str(repository), ref, view.phase).commit for ref in ends.groups()
    )
    found = history.line(repository, older, newer)
    if not found:
        raise UsageError(f"{range} has no commits: both ends are {newer[:12]}")
    return tuple(found[::-1][::every][::-1])


def _with_options(spec: str, configuration: str) -> str:
    """A build's spec with these options; an interpreter that is there already stays as it is. Raises UsageError."""
    if not configuration or builds.parse(spec) is None:
        return spec
    if "?" in spec:
        raise UsageError(f"{spec} has build options, and --configuration {configuration} has some too; write them "
                         "once, in --configuration")
    return f"{spec}?{configuration}"


class _Session:
    """One process's part of the filling."""

    def __init__(
        self, request: BackfillRequest, repository: Path, suite: str, base: Interpreter, view: View
    ) -> None:
        self._request, self._repository, self._suite, self._base = request, repository, suite, base
        self._view = view
        self._role = Role(watch=request.watch, configuration=request.configuration, purpose=Purpose.BACKFILL)

    def work(self, wanted: tuple[str, ...], keys: set[str]) -> Backfilled:
        """Measure those of the commits that have no run with all of these benchmarks."""
        known = self._known(keys)
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
        spec = _with_options(f"git:{self._repository}@{commit}", request.configuration)
        head = builds.resolve(spec, progress=self._view.phase)
        return compare_arms(AbRequest(
            base=self._base.spec, head=spec, suite=self._suite, pattern=request.pattern, margin=request.margin,
            scope=request.scope, out=request.out, memory_limit=request.memory_limit, values=request.values,
            blocks=request.blocks, environment=request.environment, role=self._role,
        ), self._base, head, self._view)

    def _known(self, keys: set[str]) -> Mapping[str, Path]:
        """Runs that are points of this history and have all of these benchmarks, by commit; the newest of each."""
        found: dict[str, Path] = {}
        for path in sorted(config.runs_folder(self._request.out).glob(f"*/{store.MANIFEST}")):
            try:
                manifest = store.read_manifest(path.parent)
            except UsageError:
                continue
            if self._is_point(manifest) and keys <= _benchmarks(manifest):
                commit = _commit_of(manifest.head)
                if commit is not None:
                    found[commit] = path.parent
        return found

    def _is_point(self, manifest: Manifest) -> bool:
        role = manifest.role
        return (
            role is not None and role.purpose.value in POINTS and role.watch == self._role.watch
            and role.configuration == self._role.configuration and manifest.suite == self._suite
            and manifest.base.identity == self._base.identity
        )


def _benchmarks(manifest: Manifest) -> set[str]:
    return {one.key for one in manifest.benchmarks} | {missing.benchmark.key for missing in manifest.missing}


def _commit_of(arm: Interpreter) -> str | None:
    """Full hash of the commit that an arm was built from; None where it was built from none."""
    if arm.commit is not None:
        return arm.commit.hash
    spec = builds.parse(arm.spec)
    return spec.ref if spec is not None and spec.origin is Origin.GIT else None
