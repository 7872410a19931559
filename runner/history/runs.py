"""All runs of a folder as one table, from which overviews and histories are made.

A run is read and judged once; what was found is kept in an index (`storage.index`), a row a benchmark, and made anew
when the run's files or the rule have changed. Who asks takes what is wanted from there: all rows of a year are too many
to hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from runner import model, shell, stats
from runner.errors import LockstepError, MachineError
from runner.history.series import POINTS
from runner.history.tables import table
from runner.judging import compare, statistics
from runner.judging.report import Comparison, Report
from runner.model import Commit, Interpreter, Notice, Role, Verdict
from runner.stats.decide import LAYOUTS
from runner.stats.unselected import unselected
from runner.storage import index, store
from runner.storage.index import Known, Point

VERSION = 4
"""Of what is found in a run: another one has all runs read again."""
ALONE = 8
"""Runs that are read by this process alone: starting others costs more."""
TOGETHER = 50
"""Runs that are written in one transaction."""
TEXTS = (
    "run", "key", "name", "version", "metric", "unit", "verdict", "reason", "watch", "configuration", "purpose",
    "commit", "subject", "branch",
)
NUMBERS = ("ratio", "low", "high", "base_value", "head_value", "seconds", "log_ratio", "se", "date", "position")
ROW = (*TEXTS, *NUMBERS, "blocks", "counted", "clear", "exact", "created")
"""Columns: texts (empty: nothing to say), numbers (NaN: none), numbers of blocks, two flags, and the run's time in
seconds since the epoch. ``commit``, ``subject``, ``branch``, ``date`` and ``position`` are of head's commit,
``log_ratio`` and ``se`` are `stats.unselected` and rest on ``counted`` blocks."""
TYPES = {
    name: "str" if name in TEXTS else "bool" if name in ("clear", "exact") else
    "int64" if name in ("blocks", "counted") else "float64" for name in ROW
}
RULE = (
    Path(stats.__file__).parent, Path(compare.__file__).parent, Path(store.__file__), Path(model.__file__),
    Path(__file__),
)
"""Files, and folders of files, whose code decides what a row holds: the rule, its guards, their words, and how a run
is read."""

Visit = Callable[[Report], None]
Told = Callable[[int, int], None]
"""Hears how many of the runs that are to be read are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One arm of a run."""

    spec: str
    version: str
    identity: str
    """Of its content: a build's key, or the executable's sha256."""
    compiler: str
    commit: Commit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run, without its benchmarks."""

    id: str
    stamp: str
    """Of the files that it was made from, and of the rule."""
    created: float
    """Seconds since the epoch."""
    role: Role | None
    suite: str
    base: Side
    head: Side
    machine: Mapping[str, str | int | float | bool | None]
    scope: str
    margin: float
    seconds: float
    complete: bool
    counts: Mapping[str, int]
    """Benchmarks by state (`judging.report.STATES`)."""
    mean: tuple[float, float, float, int] | None
    """Geometric mean of the timings' ratios, its interval, and their number."""
    notices: tuple[Notice, ...]
    layouts: int = LAYOUTS
    """Those that the blocks of each benchmark go through in turn, as they are judged."""

    @property
    def pair(self) -> tuple[str, str, str, str]:
        """What is compared, and where: runs that agree in it repeat each other."""
        return self.base.spec, self.head.spec, Path(self.suite).name, str(self.machine.get("fingerprint"))

    @property
    def line(self) -> tuple[str, ...]:
        """What the run is the latest news of: a watch in one configuration, for one purpose; else its `pair`."""
        if self.role is None:
            return self.pair
        return self.role.watch, self.role.configuration, self.role.purpose.value, *self.pair[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All runs of a folder at one moment. Rows are fetched from the index when they are asked for, every time."""

    file: index.Place
    """The index."""
    runs: tuple[Entry, ...]
    """Oldest first."""
    benchmarks: tuple[Known, ...]
    """All that some run has, by key: which run was the last one (of a series, if any is), and a stamp that changes with
    the rows."""
    problems: tuple[str, ...]
    """Folders that could not be read, each with the reason."""
    fresh: tuple[str, ...]
    """Ids of the runs that were not in the index as they are."""

    @property
    def rows(self) -> pd.DataFrame:
        """All rows: columns `ROW`, in the order of `runs`, within a run in suite order. A year's are a million."""
        return self._rows({})

    def of_benchmark(self, key: str, *, points: bool = False) -> pd.DataFrame:
        """The rows of one benchmark, oldest first; `points`: those of its series alone, if there are any."""
        rows = self._rows({"key": key, "purpose": POINTS}) if points else self._rows({"key": key})
        return self._rows({"key": key}) if points and rows.empty else rows

    def of_runs(self, ids: Collection[str]) -> pd.DataFrame:
        """The rows of some runs, oldest run first, within a run in suite order."""
        return self._rows({"run": sorted(ids)})

    def changed(self, ids: Collection[str]) -> pd.DataFrame:
        """The rows of some runs that are faster or slower."""
        return self._rows({"run": sorted(ids), "verdict": (Verdict.FASTER.value, Verdict.SLOWER.value)})

    def versions(self, ids: Collection[str]) -> set[tuple[str, str, str, str]]:
        """Key, version, metric and unit of every benchmark that one of some runs has."""
        with index.opened(self.file) as connection:
            return index.versions(connection, sorted(ids))

    def newest(self) -> tuple[Entry, ...]:
        """The newest run of each `Entry.line`, newest first."""
        latest = {entry.line: entry for entry in self.runs}
        return tuple(sorted(latest.values(), key=lambda entry: (entry.created, entry.id), reverse=True))

    def _rows(self, where: index.Where) -> pd.DataFrame:
        with index.opened(self.file) as connection:
            rows = index.rows(connection, ROW, where)
        # Not what another process has added since.
        known = {entry.id for entry in self.runs}
        return frame([row for row in rows if row[0] in known])


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What has become of an index."""

    fresh: tuple[str, ...]
    """Ids of the runs that were read."""
    gone: tuple[str, ...]
    """Ids of the runs that were forgotten."""
    problems: tuple[str, ...]
    """Folders that could not be read, each with the reason."""


_entry = TypeAdapter(Entry)


def read(
    folder: Path, file: index.Place, *, visit: Visit | None = None, visited: Mapping[str, str] | None = None,
    told: Told = lambda done, of: None,
) -> History:
    """Bring the index `file` up to date, as `update` does, and return what there is."""
    done = update(folder, file, visit=visit, visited=visited, told=told)
    return replace(indexed(file), problems=done.problems, fresh=done.fresh)


def indexed(file: index.Place, before: Sequence[Entry] = ()) -> History:
    """What an index says as it is: no run folder is looked at. Raises MachineError where it cannot be used.

    `before`: what it said of runs before; those that it says the same of are not read again.
    """
    with index.opened(file) as connection, index.reading(connection):
        known = tuple(index.benchmarks(connection, POINTS))
        stamps = index.stamps(connection) if before else {}
        same = [entry for entry in before if stamps.get(entry.id) == entry.stamp]
        other = sorted(stamps.keys() - {entry.id for entry in same}) if same else None
        try:
            new = [_entry.validate_json(text) for text in index.entries(connection, other)]
        except ValidationError as error:
            raise MachineError(
                f"the index {file} holds a run that cannot be read: {error}. `lockstep reindex` makes it anew."
            ) from error
    runs = tuple(sorted([*same, *new], key=lambda entry: (entry.created, entry.id))) if same else tuple(new)
    return History(file=file, runs=runs, benchmarks=known, problems=(), fresh=())


def update(
    folder: Path, file: index.Place, *, visit: Visit | None = None, visited: Mapping[str, str] | None = None,
    told: Told = lambda done, of: None,
) -> Updated:
    """Bring an index up to date with a folder of runs; one that is not there is made.

    Only what is new or has changed is read. `visit` is called with the report of each run that is read, maybe in
    another process; with it, a run is read again unless it was visited with the stamp that it has now: `visited` says
    which were, and with which stamps.

    What cannot be read is a problem and no error, and is not in the index. Runs that a larger measurement made for
    itself (`Manifest.labels`) are passed over. Killed in the middle, it goes on the next time with what is missing.
    Raises MachineError when the index cannot be written, and what `visit` raises.
    """
    rule, seen = _rule(), visited or {}
    # Not open while others share the work: a process that is forked must not inherit a connection.
    with index.opened(file, make=True) as connection:
        known = index.stamps(connection)
    kept: set[str] = set()
    problems: list[str] = []
    missing: list[tuple[Path, str]] = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not place.is_dir():
            continue
        stamp = _stamp(place, rule)
        if stamp is None:
            problems.append(f"{place.name} holds no run: {store.MANIFEST} or {store.BLOCKS} is missing")
        elif known.get(place.name) == stamp and (visit is None or seen.get(place.name) == stamp):
            kept.add(place.name)
        else:
            missing.append((place, stamp))
    fresh: list[str] = []
    waiting: list[Found] = []
    for number, outcome in enumerate(_all(missing, visit), start=1):
        told(number, len(missing))
        if isinstance(outcome, str):
            problems.append(outcome)
        elif outcome is not None:
            waiting.append(outcome)
        if len(waiting) >= TOGETHER or number == len(missing):
            fresh += [run.id for run, _ in waiting]
            # What was read to be visited may be there as it is: nobody else who writes need wait for that.
            if new := [found for found in waiting if known.get(found[0].id) != found[0].stamp]:
                put(file, new)
            waiting.clear()
    gone = sorted(known.keys() - kept - set(fresh))
    if fresh or gone:
        with index.opened(file) as connection, index.writing(connection):
            index.remove(connection, gone)
            index.tidy(connection)
    return Updated(fresh=tuple(fresh), gone=tuple(gone), problems=tuple(problems))


def reindex(folder: Path, file: index.Place, *, told: Told = lambda done, of: None) -> Updated:
    """Make an index anew from the run folders, whatever is there: what comes out is what it was made from alone.

    Who reads meanwhile finds the old rows or the new ones. Raises MachineError as `update` does.
    """
    try:
        with index.opened(file, make=True) as connection:
            index.check(connection)
            with index.writing(connection):
                index.age(connection)
    except index.UnusableError:
        index.discard(file)
    return update(folder, file, told=told)


def frame(rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Rows as a table with the columns of `ROW`, also when there are none."""
    return table(rows, TYPES)


def entry_of(report: Report, manifest: store.Manifest, stamp: str) -> Entry:
    """What a report says of a run as a whole."""
    mean = report.mean
    return Entry(
        id=report.run, stamp=stamp, created=report.started, role=manifest.role, suite=manifest.suite,
        base=_side(manifest.base), head=_side(manifest.head), machine=report.machine, scope=report.scope,
        margin=report.margin, seconds=report.seconds, complete=report.complete, counts=report.states,
        mean=None if mean is None else (mean.ratio, mean.low, mean.high, mean.count), notices=tuple(report.notices),
        layouts=compare.layouts_of(manifest),
    )


def points_of(report: Report, manifest: store.Manifest) -> list[Point]:
    """What a report says of each benchmark, in its order. Raises ValueError where no index keeps one (`index.unkept`).
    """
    there = (*manifest.benchmarks, *(one.benchmark for one in manifest.missing))
    versions = {benchmark.key: benchmark.version for benchmark in there}
    return [
        _point(one, place, versions.get(one.key, ""), manifest) for place, one in enumerate(report.comparisons)
    ]


def row_of(entry: Entry, head: Interpreter) -> index.Run:
    """A run as the index has it; `head` is its head, of which a row says more than an entry does. Raises ValueError
    where no index keeps it (`index.unkept`)."""
    role, commit, machine = entry.role, entry.head.commit, entry.machine
    installed = "" if head.installed is None else head.installed.commit
    row = index.Run(
        id=entry.id, stamp=entry.stamp, created=entry.created,
        watch="" if role is None else role.watch, configuration="" if role is None else role.configuration,
        purpose="" if role is None else role.purpose.value, night="" if role is None else role.night,
        suite=Path(entry.suite).name, machine=str(machine.get("fingerprint") or ""),
        host=str(machine.get("host") or ""), kernel=str(machine.get("kernel") or ""), compiler=entry.head.compiler,
        base=entry.base.identity, base_spec=entry.base.spec, head=entry.head.identity, head_spec=entry.head.spec,
        commit=installed if commit is None else commit.hash, date=None if commit is None else commit.date,
        subject="" if commit is None else commit.subject, branch="" if commit is None else commit.branch,
        position=None if commit is None else commit.position, entry=_entry.dump_json(entry).decode(),
    )
    if why := index.unkept(row):
        raise ValueError(f"no index keeps this run: {why}")
    return row


def _point(one: Comparison, place: int, version: str, manifest: store.Manifest) -> Point:
    counts = one.compared and one.failure is None
    estimate = unselected(
        one.log_ratios, manifest.blocks, exact=one.exact, layouts=compare.layouts_of(manifest)) if counts else None
    point = Point(
        key=one.key, name=one.name, version=version, metric=one.metric.value, unit=one.unit, place=place,
        verdict=one.state, reason=_reason(one), ratio=one.ratio, low=one.low, high=one.high,
        base_value=one.base_value, head_value=one.head_value, seconds=one.machine_seconds, blocks=one.blocks,
        clear=one.clear, exact=one.exact,
        log_ratio=None if estimate is None else estimate.mean, se=None if estimate is None else estimate.se,
        counted=0 if estimate is None else estimate.n,
    )
    if why := index.unkept(point):
        raise ValueError(f"no index keeps benchmark {one.key[:80]!r}: {why}")
    return point


def _reason(one: Comparison) -> str:
    """Why it was not compared, where its state does not say that."""
    said = "" if one.failure is None else one.failure.reason.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return "" if said == one.state else said


def _side(arm: Interpreter) -> Side:
    return Side(spec=arm.spec, version=arm.version, identity=arm.identity, compiler=arm.facts.get("compiler", ""),
                commit=arm.commit)


def _rule() -> str:
    """Hash of the code in `RULE`."""
    digest = hashlib.sha256()
    for place in RULE:
        for file in sorted(place.glob("*.py")) if place.is_dir() else (place,):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamp(place: Path, rule: str) -> str | None:
    """Changes whenever the run's files, or the rule that judges them, do; None where there is no run."""
    said = store.BLOCKS if store.has_blocks(place) else store.STATISTICS
    try:
        states = [(place / name).stat() for name in (store.MANIFEST, said)]
    except OSError:
        return None
    parts = [VERSION, rule, said, [(state.st_size, state.st_mtime_ns) for state in states]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


Found = tuple[index.Run, list[Point]]
"""A run as an index keeps it."""


def found_in(place: Path, run: store.Run | None = None) -> tuple[Report, Found]:
    """The report of one run, without its noise, and the run as an index keeps it; `run`: what the folder holds, where
    it was read already.

    Raises UsageError as `statistics.report_of` does, and whatever else a run may cause of which every number was made
    up.
    """
    manifest = store.read_manifest(place) if run is None else run.manifest
    return _found(place, manifest, _stamp(place, _rule()) or "", run)


def put(file: index.Place, found: Sequence[Found]) -> None:
    """Write runs into an index, which is made where it is not there. Raises MachineError as `update` does."""
    with index.opened(file, make=True) as connection, index.writing(connection):
        for run, points in found:
            index.put(connection, run, points)


def _all(missing: Sequence[tuple[Path, str]], visit: Visit | None) -> Iterator[Found | str | None]:
    if len(missing) <= ALONE:
        yield from map(partial(_one, visit), missing)
        return
    with shell.pool(shell.cpus()) as pool:
        yield from pool.map(partial(_one, visit), missing, chunksize=4)


def _one(visit: Visit | None, what: tuple[Path, str]) -> Found | str | None:
    """A run as the index keeps it; the problem, in words; None for a run that is none of the user's."""
    place, stamp = what
    try:
        manifest = store.read_manifest(place)
        if manifest.labels:
            return None
        if manifest.id != place.name:
            return f"{place.name} holds run {manifest.id}: a copy, or renamed; it counts under its own name only"
        report, found = _found(place, manifest, stamp)
    except (LockstepError, ValueError, OSError) as error:
        return f"{place.name}: {error}"
    except Exception as error:  # of numbers that are made up anything may come
        return f"{place.name}: {type(error).__name__}: {error}"
    if visit is not None:
        visit(report)
    return found


def _found(
    place: Path, manifest: store.Manifest, stamp: str, run: store.Run | None = None
) -> tuple[Report, Found]:
    report = (
        statistics.report_of(place, with_noise=False) if run is None else compare.report(run, with_noise=False))
    row = row_of(entry_of(report, manifest, stamp), manifest.head)
    _entry.validate_json(row.entry)  # what cannot be read back must not get into the index
    return report, (row, points_of(report, manifest))
