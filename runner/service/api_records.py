"""What the API answers: the words are those of docs/glossary.md.

Times are in seconds since the epoch, sizes in bytes, durations and timings in seconds; ratios are head ÷ base. A number
that is not known, or is not finite, is null; a text is empty where there is nothing to say. Fields may be added; none
is removed or changes its meaning within ``/api/v1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRecord:
    """What a build was made of."""

    hash: str
    subject: str
    date: float
    branch: str
    position: int | None
    """Its number on the line of first parents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """One arm of a run."""

    spec: str
    version: str
    identity: str
    compiler: str
    commit: CommitRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRecord:
    """Geometric mean of the ratios of a run's timings."""

    ratio: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, without its benchmarks."""

    id: str
    created: float
    watch: str
    configuration: str
    purpose: str
    """These three are empty where a person asked for it."""
    suite: str
    machine: str
    """Fingerprint."""
    base: BuildRecord
    head: BuildRecord
    scope: str
    margin: float
    seconds: float
    complete: bool
    counts: Mapping[str, int]
    """Benchmarks by verdict, or ``not reached``."""
    mean: MeanRecord | None
    warnings: tuple[str, ...]
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """What a run says of one benchmark."""

    benchmark: str
    """Its key."""
    name: str
    version: str
    metric: str
    unit: str
    verdict: str
    """Or ``not reached``."""
    ratio: float | None
    low: float | None
    high: float | None
    base_value: float | None
    head_value: float | None
    blocks: int
    clear: bool
    exact: bool
    reason: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRunRecord:
    """One run with its benchmarks."""

    run: RunRecord
    machine: Mapping[str, Any]
    """What was known of the machine."""
    benchmarks: tuple[ResultRecord, ...]
    """In the suite's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """Runs, newest first."""

    runs: tuple[RunRecord, ...]
    next: str | None
    """What to give as ``after``; null: this is the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord:
    """One machine, as its newest run knew it."""

    machine: str
    """Fingerprint: what tells series apart."""
    host: str
    """What it is the same machine by, where its fingerprint changes."""
    name: str
    runs: int
    first: float
    last: float
    """When its oldest and its newest run were made."""
    run: str
    """The newest one."""
    warnings: tuple[str, ...]
    """What that says against the machine."""
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineList:
    """Machines, that with the newest run first."""

    machines: tuple[MachineRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRecord:
    """One benchmark, whatever its version."""

    benchmark: str
    """Its key."""
    name: str
    runs: int
    last: str
    """The newest run that has it, points of histories first."""
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkList:
    """Benchmarks by key."""

    benchmarks: tuple[BenchmarkRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRecord:
    """One run in a series."""

    run: str
    purpose: str
    created: float
    commit: str
    position: int | None
    date: float | None
    subject: str
    branch: str
    verdict: str
    ratio: float | None
    low: float | None
    high: float | None
    blocks: int
    """What the run's report says, against its own anchor."""
    log_ratio: float | None
    se: float | None
    counted: int
    """What the series goes by: natural logarithm, standard error, and blocks that both rest on."""
    base_value: float | None
    head_value: float | None
    bridged: bool
    """Whether a bridge was gone over to make it comparable."""
    shared: float
    """The bridge's part of ``se``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedRecord:
    """Where another anchor begins in a series."""

    point: int
    """Its number, from 0."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecord:
    """One segment of a series."""

    watch: str
    configuration: str
    suite: str
    benchmark: str
    version: str
    metric: str
    unit: str
    machine: str
    anchor: str
    opened: str
    """Why it is a segment of its own; empty for the first one."""
    joined: tuple[JoinedRecord, ...]
    points: tuple[PointRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesList:
    """The segments of all series of a benchmark: by watch, configuration and suite, then as they were opened."""

    series: tuple[SeriesRecord, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventList:
    """Events, newest first: each as ``lockstep events --json`` has it (lockstep.events/1)."""

    events: tuple[Mapping[str, Any], ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRecord:
    """One benchmark of two builds."""

    benchmark: str
    ratio: float | None
    low: float | None
    high: float | None
    state: str
    """Of a run its verdict; through others ``slower``, ``faster``, ``same`` or ``undecided``, which are no verdicts."""
    words: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WayRecord:
    """A way to compare two builds."""

    way: str
    """What to give as ``way``."""
    suite: str
    machine: str
    runs: tuple[str, ...]
    """One: it compared the two; several: from base to head over others."""
    inverted: bool
    """Whether that one run had them the other way round: its ratios are inverted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRecord:
    """Two builds, compared the first way or the one that was asked for."""

    base: str
    head: str
    """What each is called."""
    base_identity: str
    head_identity: str
    ways: tuple[WayRecord, ...]
    """The best first: runs of the two, newest first, but interrupted ones behind the others, and those of some
    benchmarks behind all of the suite; then through others. Empty: they cannot be compared."""
    way: str
    how: str
    """In words; empty for a run of the two."""
    benchmarks: tuple[ComparedRecord, ...]
