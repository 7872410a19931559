"""All runs of a folder as one table, from which overviews and histories are made.

A run is read and judged once; what was found is kept in `CACHE`, a row a benchmark, and made anew when the run's files
or the rule have changed.

Format of the cache, version 3: `runs.json` is `_Cached`, `rows.parquet` has the columns of `ROW` and a row for each
benchmark of each run. Since version 3 ``verdict`` is the benchmark's state: *not reached* was an undecided one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from runner import model, shell, stats
from runner.errors import LockstepError
from runner.judging import compare
from runner.judging.report import Comparison, Report
from runner.model import Interpreter, Notice
from runner.storage import store

VERSION = 3
ALONE = 8
"""Runs that are read by this process alone: starting others costs more."""
TEXTS = ("run", "key", "name", "version", "metric", "unit", "verdict", "reason")
NUMBERS = ("ratio", "low", "high", "base_value", "head_value", "seconds")
ROW = (*TEXTS, *NUMBERS, "blocks", "clear", "exact", "created")
"""Columns: texts, numbers (NaN: none), blocks, two flags, and the run's time in seconds since the epoch."""
RULE = (
    Path(stats.__file__).parent, Path(compare.__file__).parent, Path(store.__file__), Path(model.__file__),
    Path(__file__),
)
"""Files, and folders of files, whose code decides what a row holds: the rule, its guards, their words, and how a run
is read."""

Visit = Callable[[Report], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One arm of a run."""

    spec: str
    version: str
    identity: str
    """Of its content: a build's key, or the executable's sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run, without its benchmarks."""

    id: str
    stamp: str
    """Of the files that it was made from, and of the rule."""
    created: float
    """Seconds since the epoch."""
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

    @property
    def pair(self) -> tuple[str, str, str, str]:
        """What is compared, and where: runs that agree in it repeat each other."""
        return self.base.spec, self.head.spec, Path(self.suite).name, str(self.machine.get("fingerprint"))


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of all runs of a folder."""

    runs: tuple[Entry, ...]
    """Oldest first."""
    rows: pd.DataFrame
    """Columns `ROW`, in the order of `runs`, within a run in suite order."""
    problems: tuple[str, ...]
    """Folders that could not be read, each with the reason."""
    fresh: tuple[str, ...]
    """Ids of the runs that were not in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cached:
    version: int
    runs: tuple[Entry, ...]


_cached = TypeAdapter(_Cached)


def read(
    folder: Path, cache: Path, *, visit: Visit | None = None, visited: Collection[str] = (),
    told: Callable[[int, int], None] = lambda done, of: None,
) -> History:
    """Read all runs of a folder; `cache` is a folder of this module's own.

    `visit` is called with the report of each run that is read, maybe in another process; a run that is in the
    cache is read again only if it is not among those `visited` before. `told` hears how many of those to be read are
    done.

    What cannot be read is a problem and no error. Runs that a larger measurement made for itself (`Manifest.labels`)
    are passed over. Raises MachineError when the cache cannot be written, and what `visit` raises.
    """
    known, old = _load(cache)
    rule = _rule()
    found: dict[str, Entry] = {}
    problems: list[str] = []
    missing: list[tuple[Path, str]] = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not place.is_dir():
            continue
        stamp = _stamp(place, rule)
        if stamp is None:
            problems.append(f"{place.name} holds no run: {store.MANIFEST} or {store.BLOCKS} is missing")
        elif place.name in known and known[place.name].stamp == stamp and (visit is None or place.name in visited):
            found[place.name] = known[place.name]
        else:
            missing.append((place, stamp))
    fresh: dict[str, Sequence[Mapping[str, Any]]] = {}
    for number, outcome in enumerate(_all(missing, visit), start=1):
        told(number, len(missing))
        if isinstance(outcome, str):
            problems.append(outcome)
        elif outcome is not None:
            entry, rows = outcome
            found[entry.id], fresh[entry.id] = entry, rows
    runs = tuple(sorted(found.values(), key=lambda entry: (entry.created, entry.id)))
    kept = old[old["run"].isin([id for id in found if id not in fresh])]
    table = pd.concat([kept, frame([row for rows in fresh.values() for row in rows])], ignore_index=True)
    place_of = {entry.id: number for number, entry in enumerate(runs)}
    table = table.sort_values("run", key=lambda ids: ids.map(place_of), kind="stable", ignore_index=True)
    if fresh or len(found) != len(known):
        _save(cache, runs, table)
    return History(runs=runs, rows=table, problems=tuple(problems), fresh=tuple(fresh))


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with the columns of `ROW`, also when there are none."""
    table = pd.DataFrame(rows, columns=list(ROW))
    types = {**dict.fromkeys(TEXTS, "str"), **dict.fromkeys(NUMBERS, "float64"),
             "blocks": "int64", "clear": "bool", "exact": "bool", "created": "float64"}
    return table.astype(types)


def entry_of(report: Report, manifest: store.Manifest, stamp: str) -> Entry:
    """What a report says of a run as a whole."""
    mean = report.mean
    return Entry(
        id=report.run, stamp=stamp, created=report.started, suite=manifest.suite, base=_side(manifest.base),
        head=_side(manifest.head), machine=report.machine, scope=report.scope, margin=report.margin,
        seconds=report.seconds, complete=report.complete,
        counts=report.states,
        mean=None if mean is None else (mean.ratio, mean.low, mean.high, mean.count), notices=tuple(report.notices),
    )


def rows_of(report: Report, versions: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a report says of each benchmark; `versions` are the benchmarks', by key."""
    return [_row(one, report, versions.get(one.key, "")) for one in report.comparisons]


def _row(one: Comparison, report: Report, version: str) -> dict[str, Any]:
    return {
        "run": report.run, "key": one.key, "name": one.name, "version": version, "metric": one.metric.value,
        "unit": one.unit, "verdict": one.state, "reason": _reason(one),
        "ratio": one.ratio, "low": one.low, "high": one.high, "base_value": one.base_value,
        "head_value": one.head_value, "seconds": one.machine_seconds, "blocks": one.blocks, "clear": one.clear,
        "exact": one.exact, "created": report.started,
    }


def _reason(one: Comparison) -> str:
    """Why it was not compared, where its state does not say that."""
    said = "" if one.failure is None else one.failure.reason
    return "" if said == one.state else said


def _side(arm: Interpreter) -> Side:
    identity = arm.sha256 if arm.build is None else arm.build.key
    if arm.installed is not None:
        identity = arm.installed.commit
    return Side(spec=arm.spec, version=arm.version, identity=identity)


def _rule() -> str:
    """Hash of the code in `RULE`."""
    digest = hashlib.sha256()
    for place in RULE:
        for file in sorted(place.glob("*.py")) if place.is_dir() else (place,):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamp(place: Path, rule: str) -> str | None:
    """Changes whenever the run's files, or the rule that judges them, do; None where there is no run."""
    try:
        states = [(place / name).stat() for name in (store.MANIFEST, store.BLOCKS)]
    except OSError:
        return None
    parts = [VERSION, rule, [(state.st_size, state.st_mtime_ns) for state in states]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


Outcome = tuple[Entry, list[dict[str, Any]]] | str | None


def _all(missing: Sequence[tuple[Path, str]], visit: Visit | None) -> Iterator[Outcome]:
    if len(missing) <= ALONE:
        yield from map(partial(_one, visit), missing)
        return
    with shell.pool(os.cpu_count() or 1) as pool:
        yield from pool.map(partial(_one, visit), missing, chunksize=4)


def _one(visit: Visit | None, what: tuple[Path, str]) -> Outcome:
    """A run as the cache keeps it; the problem, in words; None for a run that is none of the user's."""
    place, stamp = what
    try:
        run = store.read(place)
        if run.manifest.labels:
            return None
        if run.manifest.id != place.name:
            return f"{place.name} holds run {run.manifest.id}: a copy, or renamed; it counts under its own name only"
        report = compare.report(run, with_noise=False)
    except (LockstepError, ValueError, OSError) as error:
        return f"{place.name}: {error}"
    if visit is not None:
        visit(report)
    versions = {benchmark.key: benchmark.version for benchmark in run.manifest.benchmarks}
    return entry_of(report, run.manifest, stamp), rows_of(report, versions)


def _load(cache: Path) -> tuple[dict[str, Entry], pd.DataFrame]:
    """What is kept, or nothing where it is missing, damaged or of another version: it can be made again."""
    try:
        kept = _cached.validate_json((cache / "runs.json").read_bytes())
        rows = pd.read_parquet(cache / "rows.parquet")
        if kept.version == VERSION and tuple(rows.columns) == ROW:
            return {entry.id: entry for entry in kept.runs}, rows
    except (OSError, ValueError, ValidationError):
        pass
    return {}, frame([])


def _save(cache: Path, runs: Sequence[Entry], rows: pd.DataFrame) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    beside = cache / f".rows.{secrets.token_hex(4)}"
    try:
        # The table first: its rows without an entry are ignored, an entry without rows would be a run without results.
        rows.to_parquet(beside, index=False)
        beside.replace(cache / "rows.parquet")
    finally:
        beside.unlink(missing_ok=True)
    store.write_whole(cache / "runs.json", _cached.dump_json(_Cached(version=VERSION, runs=tuple(runs))).decode())
