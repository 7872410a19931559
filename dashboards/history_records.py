"""What the pages show that look across runs, builds and benchmarks: texts and numbers, ready for their templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitLine:
    """A commit as every page shows it."""

    hash: str
    short: str
    subject: str
    day: str
    """``2026-11-28``, the committer's."""
    link: str
    """Where it can be looked at; empty where nobody said where that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The commits that may have made a change."""

    good: CommitLine
    """The last one without it."""
    bad: CommitLine
    """The first one with it."""
    between: int
    """Commits after `good` up to and with `bad`; 1: it was `bad`; 0: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a course was measured: a watched branch and configuration, or runs made by hand; on one machine."""

    title: str
    anchor: str
    """What it is measured against; where that has changed, the newest."""
    newest: str
    """The newest build, in words."""
    commit: CommitLine | None
    """Of the newest build."""
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is known of one benchmark, or of the mean of a group, at one spot."""

    text: str
    state: str
    """The newest verdict; of a mean empty."""
    course: Markup
    """A sparkline of the ratio through the runs; empty where there is one run only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One benchmark of the index."""

    label: str
    """Its key without its group's name."""
    link: str
    cells: Sequence[Cell | None]
    """One for each spot; None where it was not measured there."""
    changed: bool
    """Its newest verdict at some spot is faster or slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexGroup:
    """The benchmarks of one class, or the functions of one module."""

    name: str
    cells: Sequence[Cell | None]
    """Their geometric mean at each spot."""
    rows: Sequence[IndexRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPage:
    """All benchmarks."""

    spots: Sequence[Spot]
    groups: Sequence[IndexGroup]
    total: int
    more: int
    """Spots that have no column: the benchmarks' own pages have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One benchmark of two builds."""

    key: str
    link: str
    ratio: str
    state: str
    """``slower``, ``faster``, ``same`` or ``undecided``."""
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """Any two builds. The table is of two that were chosen for the reader; a script puts others in their place."""

    base: str
    """What is compared with, in words; empty where there are no two builds."""
    head: str
    how: str
    """How the table came about, in words."""
    summary: str
    rows: Sequence[ComparedRow]
    command: str
    first: tuple[str, str]
    """The two builds' ids: what the script begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One event in a list."""

    title: str
    link: str
    range: Range
    direction: str
    """``slower`` or ``faster``."""
    largest: str
    """The largest change among its benchmarks, in words."""
    size: str
    """That change as a number, for sorting."""
    state: str
    where: str
    opened: str
    sort: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsPage:
    """Regressions and improvements."""

    groups: Sequence[tuple[str, str, Sequence[EventLine]]]
    """Id, title and events of each."""
    notes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedLine:
    """A benchmark that an event is about."""

    key: str
    link: str
    ratio: str
    sort: str
    p: str
    state: str
    words: str
    run: str
    """Id of the run that confirmed it."""
    run_link: str
    """Empty where that run has no page."""
    gone: str
    """When and where it went away, in words; empty while it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """One event."""

    id: str
    title: str
    direction: str
    state: str
    range: Range
    facts: Sequence[tuple[str, str]]
    run: str
    run_link: str
    """Of the run that confirmed it; empty where that has no page."""
    benchmarks: Sequence[AffectedLine]
    functions: Sequence[str]
    said: Sequence[tuple[str, str, str, str]]
    """When, which state, who, and the note; oldest first."""
    command: str
    log: str
    """The command that lists the commits of the range."""
    triage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCell:
    """One version against one base."""

    time: str
    time_state: str
    """``faster``, ``slower`` or empty."""
    memory: str
    memory_state: str
    link: str
    how: str
    """Empty for a run of the two; else how it was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTable:
    """Versions against bases, with one suite on one machine."""

    title: str
    bases: Sequence[str]
    rows: Sequence[tuple[str, Sequence[ReleaseCell | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasesPage:
    """Releases against each other."""

    tables: Sequence[ReleaseTable]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthTable:
    """A part of the health page."""

    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    none: str
    """What to say where there is no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPage:
    """How the machinery is, as of one moment."""

    made: str
    problems: Sequence[str]
    facts: Sequence[tuple[str, str]]
    tables: Sequence[HealthTable]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPoint:
    """One import: a point of a series that is not paired."""

    build: str
    commit: str
    """As it is shown; empty where none was named."""
    link: str
    """Where the commit can be looked at; may be empty."""
    facts: Sequence[str]
    """What else there is to say, in the columns of `ImportedSeries.columns`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRow:
    """One benchmark of such a series."""

    name: str
    value: str
    """Of the newest import."""
    compared: Sequence[tuple[str, str, str]]
    """Against the first and against the one before: ratio with interval, verdict, and its state for the colour."""
    course: Markup
    """May be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSeries:
    """What was imported of several builds on one machine."""

    title: str
    columns: Sequence[str]
    points: Sequence[ImportedPoint]
    """Newest first."""
    against: Sequence[str]
    """What each of `ImportedRow.compared` is against; empty where there is one import."""
    rows: Sequence[ImportedRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPage:
    """Results of other programs."""

    notes: Sequence[Markup]
    problems: Sequence[str]
    series: Sequence[ImportedSeries]
    """That with the newest import first."""
