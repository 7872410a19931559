"""Series: what one benchmark was found to be, run by run, as far as those runs measured one thing.

A series is of one watch, configuration, suite, benchmark (in one version of its code), metric, machine and anchor.
Where one of these changes, or kernel or compiler do, a new *segment* begins: a `Series` of its own that says why. Only
another anchor can be got over, by a *bridge*: a run of the old anchor (base) against the new one (head).
docs/history.md has the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import NamedTuple, TypeVar

import pandas as pd

from runner.history.tables import table
from runner.model import Purpose
from runner.storage import index

T = TypeVar("T")

POINTS = ("", Purpose.ANCHOR.value, Purpose.BACKFILL.value)
"""Purposes of the runs that are points of a series; the first are runs that a user asked for."""
TYPES = {
    "run": "str", "purpose": "str", "created": "float64", "commit": "str", "position": "float64", "date": "float64",
    "subject": "str", "branch": "str", "log_ratio": "float64", "se": "float64", "counted": "int64", "blocks": "int64",
    "ratio": "float64", "low": "float64", "high": "float64", "verdict": "str", "base_value": "float64",
    "head_value": "float64", "bridged": "bool", "shared": "float64",
}
ROW = tuple(TYPES)
"""Columns of `Series.rows`: the fields of `Point`."""


class Point(NamedTuple):
    """One run in a series.

    ``log_ratio`` (natural, head ÷ anchor) and ``se`` are `stats.unselected`, on ``counted`` blocks; None where the
    benchmark was not measured: ``verdict`` says why. Where ``bridged``, both are made comparable with the other points:
    the bridge's log ratio was added, and its variance. ``shared`` is the bridge's part of ``se``, which is one and the
    same error in all points of that anchor. ``ratio``, ``low``, ``high`` and ``verdict`` are what the run's report
    says, against its own anchor and on ``blocks`` blocks. ``position`` is None where it is not known, ``date`` and
    ``created`` are seconds since the epoch.
    """

    run: str
    purpose: str
    created: float
    commit: str
    position: int | None
    date: float | None
    subject: str
    branch: str
    log_ratio: float | None
    se: float | None
    counted: int
    blocks: int
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str
    base_value: float | None
    head_value: float | None
    bridged: bool = False
    shared: float = 0.0


class Ground(NamedTuple):
    """On what a point was measured.

    It is the same in all points of a segment, but for the host, what base was called, and over a bridge the anchor.
    """

    version: str
    """Of the benchmark's code."""
    machine: str
    """Fingerprint."""
    kernel: str
    compiler: str
    """Of head."""
    host: str
    """What a machine is known by where its fingerprint changes; empty: not known."""
    base: str
    """Identity of the anchor."""
    base_spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesKey:
    """What makes the points of a series comparable."""

    watch: str
    """Empty: runs that a user asked for."""
    configuration: str
    suite: str
    """The folder's name."""
    benchmark: str
    """`Benchmark.key`."""
    version: str
    metric: str
    unit: str
    machine: str
    """Fingerprint."""
    anchor: str
    """Identity of base: of the oldest one, where others follow that are bridged."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One segment."""

    key: SeriesKey
    opened: str
    """Why it is a segment of its own, in words: ``another anchor: A → B``, ``new kernel: 6.1 → 6.12``, ``the
    benchmark's code changed``, ``another compiler: …``; several joined by semicolons. Empty for the first one."""
    points: tuple[Point, ...]
    """By position of the commit and then by time; where there is no watch, by time alone. One whose position is not
    known stands behind all that had been measured before it."""
    joined: tuple[tuple[int, str], ...]
    """Where another anchor begins, over a bridge: number of the point, and what happened, in words."""

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The points as a table: columns `ROW`, NaN where a point has None. It is dear where there are many series, and
        made for those alone who compute with it."""
        return table(self.points, TYPES)

    @property
    def measured(self) -> pd.DataFrame:
        """The rows that have a log ratio with its error."""
        found: pd.DataFrame = self.rows[self.rows["log_ratio"].notna() & self.rows["se"].notna()]
        return found


def of(
    file: index.Place, *, watch: str | None = None, configuration: str | None = None, benchmark: str | None = None,
    machine: str | None = None,
) -> list[Series]:
    """The segments of all series that are as asked for, from an index; None: any. ``""`` as `watch`: of no watch.

    By watch, configuration, suite and benchmark; then in the order in which they were opened. Raises MachineError where
    there is no index, or it cannot be used.
    """
    asked = {"watch": watch, "configuration": configuration, "key": benchmark, "machine": machine}
    where = {name: said for name, said in asked.items() if said is not None}
    with index.opened(file) as connection:
        found = index.rows(connection, (*_ABOUT, *_MEASURED), {**where, "purpose": (*POINTS, Purpose.BRIDGE.value)})
    segments = _segments([_Row._make((*row[:len(_ABOUT)], Point(*row[len(_ABOUT):]))) for row in found])
    return [_series(segment, why) for segment, why in _explained(segments)]


class _Row(NamedTuple):
    """A point and what it is of: what the slices below take is what a series, and a segment, has in common."""

    watch: str
    configuration: str
    suite: str
    key: str
    metric: str
    unit: str
    version: str
    machine: str
    kernel: str
    compiler: str
    host: str
    base: str
    base_spec: str
    head: str
    point: Point
    """With its ratio as it was measured: to `base`."""

    @property
    def line(self) -> tuple[str, ...]:
        """What segments that follow each other have in common."""
        return self[:6]

    @property
    def ground(self) -> Ground:
        return Ground(*(getattr(self, name) for name in Ground._fields))

    @property
    def bridgeable(self) -> tuple[str, ...]:
        """What a bridge and the rows that it connects have in common."""
        return self[:8]

    @property
    def family(self) -> tuple[str, ...]:
        """What the rows of a segment have in common, but for the anchor."""
        return self[:10]


_ABOUT, _MEASURED = _Row._fields[:-1], Point._fields[:-2]
"""What the index has of a row and of its point: all but the bridge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offset:
    """How to express a ratio to one anchor as one to another, the root."""

    root: str
    log_ratio: float = 0.0
    """Of this anchor ÷ root."""
    variance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    rows: Sequence[_Row]
    """In the order in which they were measured."""
    offsets: Mapping[str, _Offset]
    """Of each anchor of its rows, and maybe of others."""


def _segments(found: Iterable[_Row]) -> list[_Segment]:
    """`found` are points and bridges, oldest first."""
    families: dict[tuple[str, ...], list[_Row]] = {}
    bridges: dict[tuple[str, ...], list[_Row]] = {}
    for row in found:
        if row.point.purpose == Purpose.BRIDGE.value:
            bridges.setdefault(row.bridgeable, []).append(row)
        else:
            families.setdefault(row.family, []).append(row)
    segments = []
    for own in families.values():
        offsets = _offsets([row.base for row in own], bridges.get(own[0].bridgeable, ()))
        by_root: dict[str, list[_Row]] = {}
        for row in own:
            by_root.setdefault(offsets[row.base].root, []).append(row)
        segments += [_Segment(rows=rows, offsets=offsets) for rows in by_root.values()]
    return segments


def _offsets(anchors: Iterable[str], bridges: Iterable[_Row]) -> dict[str, _Offset]:
    """For each anchor, over as few bridges as can be, the way to the first one that it is connected with."""
    steps: dict[str, dict[str, tuple[float, float]]] = {}
    for bridge in bridges:  # oldest first: of a pair that was measured again, the newest counts
        log_ratio, se = bridge.point.log_ratio, bridge.point.se
        if log_ratio is not None and se is not None:
            steps.setdefault(bridge.base, {})[bridge.head] = log_ratio, se**2
            steps.setdefault(bridge.head, {})[bridge.base] = -log_ratio, se**2
    found: dict[str, _Offset] = {}
    for root in anchors:
        if root in found:
            continue
        found[root] = _Offset(root=root)
        reached = [root]
        for here in reached:
            for there, (further, variance) in steps.get(here, {}).items():
                if there not in found:
                    found[there] = _Offset(
                        root=root, log_ratio=found[here].log_ratio + further,
                        variance=found[here].variance + variance)
                    reached.append(there)
    return found


def _explained(segments: Iterable[_Segment]) -> list[tuple[_Segment, str]]:
    """Each segment with why it was opened, those of a line together, oldest first."""
    found = []
    ordered = sorted(segments, key=lambda one: (one.rows[0].line, one.rows[0].point.created, one.rows[0].point.run))
    for _, line in groupby(ordered, key=lambda one: one.rows[0].line):
        before: list[tuple[Ground, Ground]] = []
        for segment in line:
            first, last = segment.rows[0].ground, segment.rows[-1].ground
            found.append((segment, opened(first, before)))
            before.append((first, last))
    return found


def opened(first: Ground, before: Sequence[tuple[Ground, Ground]]) -> str:
    """Why a segment was opened, as `Series.opened` says it; `first` is its first point's ground.

    `before` has the grounds of the first and the last point, in measured order, of each segment that was opened before
    it in the same watch, configuration and suite; oldest first.
    """
    # The same machine, or what has become of it.
    other = [end for begin, end in before if first.host and begin.host == first.host]
    same = [end for begin, end in before if begin.machine == first.machine]
    earlier = (same or other)[-1:]
    return _reason(earlier[0], first) if earlier else ""


def _reason(before: Ground, after: Ground) -> str:
    """What is another in a segment's first point than in the last point of the one before it."""
    reasons = []
    if before.version != after.version:
        reasons.append("the benchmark's code changed")
    if before.machine != after.machine:
        reasons.append(f"the machine changed: {before.machine[:8]} → {after.machine[:8]}")
    if before.kernel != after.kernel:
        reasons.append(f"new kernel: {before.kernel or 'unknown'} → {after.kernel or 'unknown'}")
    if before.compiler != after.compiler:
        reasons.append(f"another compiler: {before.compiler or 'unknown'} → {after.compiler or 'unknown'}")
    if before.base != after.base and (before.base_spec != after.base_spec or not reasons):
        reasons.append(_anchor(before, after))
    return "; ".join(reasons)


def _anchor(before: Ground, after: Ground) -> str:
    if before.base_spec != after.base_spec:
        return f"another anchor: {before.base_spec} → {after.base_spec}"
    return f"another anchor: {after.base_spec} is no longer the same build"


def _series(segment: _Segment, why: str) -> Series:
    rows, offsets, first = _ordered(segment.rows), segment.offsets, segment.rows[0]
    root = offsets[first.base].root
    return Series(
        key=SeriesKey(
            watch=first.watch, configuration=first.configuration, suite=first.suite, benchmark=first.key,
            version=first.version, metric=first.metric, unit=first.unit, machine=first.machine, anchor=root),
        opened=why, points=tuple(_point(row, offsets[row.base]) for row in rows),
        joined=tuple(_joined(segment.rows, rows)),
    )


def _point(row: _Row, away: _Offset) -> Point:
    """A row's, with its ratio as one to the root."""
    if row.base == away.root:
        return row.point
    shared, (log_ratio, se) = math.sqrt(away.variance), (row.point.log_ratio, row.point.se)
    return row.point._replace(
        log_ratio=None if log_ratio is None else log_ratio + away.log_ratio,
        se=None if se is None else math.hypot(se, shared), bridged=True, shared=shared)


def by_position(measured: Iterable[T], position: Callable[[T], int | None]) -> list[T]:
    """What comes in the order of measuring, in that of the graph: what has no position stands behind all that had been
    measured before it."""
    highest, placed = -math.inf, list[tuple[float, T]]()
    for one in measured:
        known = position(one)
        place = highest if known is None else known
        highest = max(highest, place)
        placed.append((place, one))
    placed.sort(key=lambda one: one[0])  # stable: of one commit, in the order in which it was measured
    return [one for _, one in placed]


def _ordered(rows: Sequence[_Row]) -> list[_Row]:
    """Rows in measured order, by the positions of their commits where they are a watch's."""
    return by_position(rows, lambda row: row.point.position if rows[0].watch else None)


def _joined(measured: Sequence[_Row], ordered: Sequence[_Row]) -> Iterable[tuple[int, str]]:
    """Where each further anchor begins among the ordered rows, with the words for it."""
    firsts = {row.base: row.ground for row in reversed(measured)}
    anchors = list(dict.fromkeys(row.base for row in measured))
    for before, after in pairwise(anchors):
        place = next(number for number, row in enumerate(ordered) if row.base == after)
        yield place, f"{_anchor(firsts[before], firsts[after])}, measured against each other"
