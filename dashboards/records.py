"""What the pages show: texts and numbers, ready to be put into their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A ratio with its interval as places on a common axis, per cent of its width: 50 is no difference."""

    low: float
    at: float
    high: float
    beyond: int
    """-1 or 1 where the ratio is beyond the axis on that side; else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One benchmark of a run, or one run of a benchmark: a row of a table."""

    label: str
    link: str
    state: str
    """Its verdict, or not reached."""
    words: str
    base: str
    head: str
    ratio: str
    sort: Mapping[str, str]
    """Column to the number that it is sorted by; empty where there is no number, which sorts last."""
    bar: Bar | None
    notes: Sequence[str]
    """Warnings, and why it was not compared."""
    command: str
    """Repeats this row."""
    when: str = ""
    size: float | None = None
    """How large its change is, in per cent of the smaller side; None where it has no ratio."""
    metric: str = ""
    suite: str = ""
    machine: str = ""
    """What the table may be filtered by; empty where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One benchmark in the picture of a suite."""

    mark: str
    """Of its state."""
    size: str
    """Of its change, in a few letters; empty where nothing changed."""
    state: str
    depth: int
    """Of its colour: 1 to 5 for a change, 0 for none."""
    told: str
    """Its name and verdict."""
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRow:
    """Benchmarks that differ in one parameter only."""

    label: str
    cells: Sequence[Cell | None]
    """One for each column; None where there is no such benchmark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTable:
    """Rows that share a parameter, or have none: then each has one cell, and there is no column."""

    parameter: str
    columns: Sequence[str]
    rows: Sequence[PictureRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A whole suite."""

    tables: Sequence[PictureTable]
    rest: str
    """What is not in it, in words; empty where it is whole."""

    @property
    def telling(self) -> bool:
        """Whether it says more than a list: some row has several benchmarks."""
        return any(sum(cell is not None for cell in row.cells) > 1 for table in self.tables for row in table.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One line of what changed: benchmarks of one name."""

    label: str
    link: str
    count: str
    """``4 of 6``; empty for a single benchmark."""
    where: str
    """Values of the parameter; empty for all."""
    range: str
    """From the smallest change to the largest, in words."""
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Lines that say one thing."""

    title: str
    state: str
    """``faster`` or ``slower``."""
    count: int
    """Benchmarks."""
    members: Sequence[Member]
    more: int = 0
    """Lines that are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Something that a table can be filtered by: rows have it as ``data-NAME``."""

    name: str
    label: str
    values: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was found out about one benchmark by explaining it."""

    label: str
    link: str
    text: str
    notes: Sequence[str]
    work: Sequence[tuple[str, str, str, str]]
    """What, in base, in head, difference."""
    functions: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompared:
    """Why some benchmarks of a run were not compared."""

    title: str
    """What they are, and how many: ``Skipped (12)``."""
    reasons: Sequence[tuple[str, str, Markup | str]]
    """Each in words, the place in the benchmark's code (may be empty), and the first few benchmarks by name."""
    rest: str
    """How many more reasons there are, in words; empty where these are all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One run: the comparison page."""

    id: str
    title: str
    arms: Sequence[tuple[str, str]]
    """Name and description of each arm."""
    headline: tuple[str, str]
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    more_warnings: Sequence[str]
    """Those of which there are many of one kind."""
    counts: Sequence[tuple[str, int]]
    """Benchmarks in each state."""
    lines: Sequence[Line]
    not_compared: Sequence[NotCompared]
    command: str
    reach: tuple[str, str]
    """What the ends of the bars' axis are: ``1/10``, ``10x``."""
    picture: Picture
    changes: Sequence[Change]
    choices: Sequence[Choice]
    forest: Markup
    """Empty where no benchmark has an interval."""
    margin: str
    notes: Sequence[str]
    """What words of the table mean."""
    explained: Sequence[Told] = ()
    report: str = ""
    """Address of the run's own report, where it is beside; empty where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One benchmark in the report of a run."""

    id: str
    key: str
    state: str
    words: str
    figure: Markup
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    reason: str
    detail: str
    noise_sd: str
    """The standard deviation of a slice, in words."""
    noise: Sequence[tuple[str, str, str]]
    """For each source of noise its name, its share in per cent, and that share in words with its interval."""
    told: Told | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """A run's own report: its page, with a section for each benchmark, in one file."""

    run: RunPage
    sections: Sequence[Section]
    folder: str
    seed: int
    setting: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """Title and facts of each arm and of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One run in a list of runs."""

    id: str
    when: str
    sort: str
    """Seconds since the epoch."""
    base: str
    head: str
    suite: str
    machine: str
    counts: Sequence[tuple[str, int]]
    mean: str
    state: str
    """Empty, or why its result is not whole."""
    mean_sort: str = ""
    changed: str = ""
    """Benchmarks that are faster or slower: what verdicts are sorted by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCard:
    """One machine, by its fingerprint."""

    name: str
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One comparison at a glance."""

    title: str
    link: str
    headline: str
    picture: Picture
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The first page."""

    glances: Sequence[Glance]
    """The newest comparison of each suite, base and machine; newest first."""
    latest: Sequence[RunLine]
    changed: Sequence[Line]
    reach: tuple[str, str]
    """Of the bars of `changed`."""
    choices: Sequence[Choice]
    attention: Sequence[tuple[str, str]]
    """What needs a look, each with where it leads (empty: nowhere)."""
    machines: Sequence[MachineCard]
    runs: int
    asv: bool
    """asv's pages are beside."""
    imported: bool = False
    """The page of imported results is beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The list of all runs."""

    lines: Sequence[RunLine]
    choices: Sequence[Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One benchmark against one anchor on one machine, with one kernel and compiler, in one version of its code; of one
    watch in one configuration, or of runs that somebody made."""

    title: str
    """With why it begins anew, where it does."""
    figure: Markup
    lines: Sequence[Line]
    """Newest first; not all where there are many."""
    total: int
    csv: str
    note: str
    """What a reader must know of it; empty: nothing."""
    changes: Sequence[tuple[str, str]]
    """Runs from which on the level is another one, oldest first, each with its address."""
    chart: Mapping[str, Any] = field(default_factory=dict)
    """The figure as data, for readers with scripts: what `assets/chart.js` takes; empty where there is none."""
    reach: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPage:
    """One benchmark through all runs."""

    key: str
    slug: str
    doc: str
    place: str
    """File and line of its code when it was last measured; empty where that was not recorded."""
    code: str
    series: Sequence[Series]
    """Newest first."""
    older: int
    """Series that are left out."""
    blocks: Markup
    """Of the last run."""
    last: str
    """What the last run said, in words."""
    noise: Sequence[tuple[str, str, str]]
    """For each source of noise its name, its share in per cent, and that share in words."""
    noise_sd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Why the verdicts can be believed."""

    calibrations: Sequence[tuple[str, Markup]]
    """Machine and tables."""
    canary: Sequence[Sequence[str]]
    """Machine, runs with a canary, runs in which it spoke, share of those."""
    suspicions: str
    """What became of the changes that histories suggested; empty where they suggested none."""
    evidence: Markup
