"""What is known of runs, benchmarks and machines, as the API says it, and as tables of one row for each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from runner.history import series as history_series
from runner.history.runs import Entry, Side
from runner.history.series import Point, Series
from runner.history.tables import table
from runner.judging.report import STATES
from runner.report import addresses, notices, site
from runner.service.api_records import (
    BenchmarkRecord,
    BuildRecord,
    CommitRecord,
    ComparedRecord,
    JoinedRecord,
    MachineRecord,
    MeanRecord,
    PointRecord,
    ResultRecord,
    RunRecord,
    SeriesRecord,
)
from runner.storage.index import Known

_BUILD = {
    "spec": "str", "version": "str", "identity": "str", "compiler": "str", "commit_hash": "str",
    "commit_subject": "str", "commit_date": "float64", "commit_branch": "str", "commit_position": "float64",
}
RUN: Mapping[str, str] = {
    "id": "str", "created": "float64", "watch": "str", "configuration": "str", "purpose": "str", "suite": "str",
    "machine": "str", **{f"{arm}_{name}": kind for arm in ("base", "head") for name, kind in _BUILD.items()},
    "scope": "str", "margin": "float64", "seconds": "float64", "complete": "bool",
    **{f"counts_{state.replace(' ', '_')}": "int64" for state in STATES},
    "mean_ratio": "float64", "mean_low": "float64", "mean_high": "float64", "mean_count": "float64", "page": "str",
}
"""Columns of tables, each with its type, as `history.tables.table` takes them; of records their fields, those of a
record in a field behind its name."""
RESULT: Mapping[str, str] = {
    "benchmark": "str", "name": "str", "version": "str", "metric": "str", "unit": "str", "verdict": "str",
    "ratio": "float64", "low": "float64", "high": "float64", "base_value": "float64", "head_value": "float64",
    "blocks": "int64", "clear": "bool", "exact": "bool", "reason": "str", "page": "str",
}
MACHINE: Mapping[str, str] = {
    "machine": "str", "host": "str", "name": "str", "runs": "int64", "first": "float64", "last": "float64",
    "run": "str",
}
BENCHMARK: Mapping[str, str] = {"benchmark": "str", "name": "str", "runs": "int64", "last": "str", "page": "str"}
SERIES: Mapping[str, str] = {
    "segment": "int64", "watch": "str", "configuration": "str", "suite": "str", "benchmark": "str", "version": "str",
    "metric": "str", "unit": "str", "machine": "str", "anchor": "str", "opened": "str", **history_series.TYPES,
}
"""A row a point, those of a segment together."""
EVENT: Mapping[str, str] = {
    "id": "str", "state": "str", "direction": "str", "kind": "str", "watch": "str", "configuration": "str",
    "machine": "str", "suite": "str", "good_hash": "str", "good_subject": "str", "bad_hash": "str",
    "bad_subject": "str", "between": "int64", "run": "str", "opened": "float64", "command": "str",
}
COMPARED: Mapping[str, str] = {
    "benchmark": "str", "ratio": "float64", "low": "float64", "high": "float64", "state": "str", "words": "str",
    "page": "str",
}


def rows(records: Iterable[Any], types: Mapping[str, str]) -> pd.DataFrame:
    """Records, or mappings like them, as a table: a row each."""
    flat = [_flat(one if isinstance(one, Mapping) else asdict(one)) for one in records]
    return table([[_cell(one.get(name), kind) for name, kind in types.items()] for one in flat], types)


def run(entry: Entry) -> RunRecord:
    """A run without its benchmarks."""
    role, mean = entry.role, entry.mean
    return RunRecord(
        id=entry.id, created=entry.created, watch=role.watch if role else "",
        configuration=role.configuration if role else "", purpose=role.purpose.value if role else "",
        suite=Path(entry.suite).name, machine=str(entry.machine.get("fingerprint") or ""), base=_build(entry.base),
        head=_build(entry.head), scope=entry.scope, margin=entry.margin, seconds=entry.seconds,
        complete=entry.complete, counts=entry.counts, warnings=tuple(map(notices.sentence, entry.notices)),
        mean=None if mean is None else MeanRecord(ratio=mean[0], low=mean[1], high=mean[2], count=mean[3]),
        page=f"/{addresses.run(entry.id, '')}",
    )


def results(found: pd.DataFrame) -> tuple[ResultRecord, ...]:
    """What runs say of benchmarks: rows of `History`, in their order."""
    same = ("name", "version", "metric", "unit", "verdict", "blocks", "clear", "exact", "reason")
    numbers = ("ratio", "low", "high", "base_value", "head_value")
    made = []
    for row in found.to_dict("records"):
        own: dict[str, Any] = {name: row[name] for name in same}
        own |= {name: _number(row[name]) for name in numbers}
        key = str(row["key"])
        made.append(ResultRecord(benchmark=key, page=f"/{addresses.benchmark(key, '')}", **own))
    return tuple(made)


def machines(runs: Iterable[Entry]) -> list[MachineRecord]:
    """The machines of some runs, which come oldest first: that with the newest run first."""
    found = site.newest_first(runs, lambda entry: str(entry.machine.get("fingerprint") or ""))
    return [
        MachineRecord(
            machine=machine, host=str(own[-1].machine.get("host") or ""), name=site.machine_name(own[-1].machine),
            runs=len(own), first=own[0].created, last=own[-1].created, run=own[-1].id, facts=own[-1].machine,
            warnings=tuple(site.warnings(own[-1])))
        for machine, own in found.items()
    ]


def benchmark(known: Known) -> BenchmarkRecord:
    """What there is of a benchmark."""
    return BenchmarkRecord(
        benchmark=known.key, name=known.name, runs=known.points, last=known.last,
        page=f"/{addresses.benchmark(known.key, '')}")


def series(one: Series) -> SeriesRecord:
    """A segment with its points."""
    return SeriesRecord(
        **asdict(one.key), opened=one.opened,
        joined=tuple(JoinedRecord(point=point, why=why) for point, why in one.joined),
        points=tuple(map(_point, one.points)),
    )


def points(segments: Sequence[tuple[int, SeriesRecord]]) -> pd.DataFrame:
    """Segments, each with its number, as a table of their points: columns `SERIES`."""
    found = []
    for number, segment in segments:
        own = {name: getattr(segment, name) for name in SERIES if hasattr(segment, name)}
        found += [{**own, **asdict(point), "segment": number} for point in segment.points]
    return rows(found, SERIES)


def compared(key: str, state: str, words: str, numbers: Sequence[float | None]) -> ComparedRecord:
    """One benchmark of two builds; `numbers` are its ratio and the interval's ends."""
    ratio, low, high = (None if one is None else _number(one) for one in numbers)
    return ComparedRecord(benchmark=key, ratio=ratio, low=low, high=high, state=state, words=words,
                          page=f"/{addresses.benchmark(key, '')}")


def _build(side: Side) -> BuildRecord:
    made = side.commit
    return BuildRecord(
        spec=side.spec, version=side.version, identity=side.identity, compiler=side.compiler,
        commit=None if made is None else CommitRecord(
            hash=made.hash, subject=made.subject, date=made.date, branch=made.branch, position=made.position))


def _point(point: Point) -> PointRecord:
    known: dict[str, Any] = {
        name: _number(one) if isinstance(one, float) else one for name, one in point._asdict().items()}
    return PointRecord(**known)


def _flat(thing: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in thing.items():
        if isinstance(value, Mapping):
            found |= {f"{name}_{inner}".replace(" ", "_"): one for inner, one in _flat(value).items()}
        else:
            found[name] = value
    return found


def _cell(value: Any, kind: str) -> Any:
    if value is not None or kind == "float64":
        return value
    return "" if kind == "str" else 0


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
