"""What the pages of the site show: texts and numbers, ready to be put into their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """Column to what it is sorted by; empty where there is no number, which sorts last."""
    bar: Bar | None
    notes: Sequence[str]
    """Warnings, and why it was not compared."""
    command: str
    """Repeats this row."""
    when: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCompared:
    """Why some benchmarks of a run were not compared."""

    title: str
    """What they are, and how many: ``Skipped (12)``."""
    reasons: Sequence[tuple[str, str, str]]
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
    axis: str
    """What the edges of the bars' axis are: ``±5 %``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One run in a list of runs."""

    id: str
    when: str
    sort: str
    base: str
    head: str
    suite: str
    machine: str
    counts: Sequence[tuple[str, int]]
    mean: str
    state: str
    """Empty, or why its result is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCard:
    """One machine, by its fingerprint."""

    name: str
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The first page."""

    latest: Sequence[RunLine]
    changed: Sequence[Line]
    attention: Sequence[tuple[str, str]]
    """What needs a look, each with where it leads (empty: nowhere)."""
    machines: Sequence[MachineCard]
    runs: int
    asv: bool
    """asv's pages are beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One benchmark against one anchor on one machine, in one version of its code."""

    title: str
    figure: Markup
    lines: Sequence[Line]
    """Newest first; not all where there are many."""
    total: int
    csv: str
    note: str
    """Why it begins or ends here; empty where it does not."""
    changes: Sequence[tuple[str, str]]
    """Runs from which on the level is another one, oldest first, each with its address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPage:
    """One benchmark through all runs."""

    key: str
    slug: str
    doc: str
    place: str
    """File and line of its code; empty where the suite is not at hand."""
    code: str
    series: Sequence[Series]
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
    evidence: Markup
