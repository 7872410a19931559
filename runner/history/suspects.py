"""What the histories of many benchmarks suggest together, and the comparison of the newest commit with the last one:
suspects, chosen among all and grouped by commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from runner.stats.claims import adjusted
from runner.stats.nominate import Candidate, Kind, nominate
from runner.stats.paired import Array, unit_se
from runner.storage.ledger import Entry, Suspect

SUSPICION = 0.5
"""False discovery rate of what one night suggests: every second suspect may be innocent."""
TRIES = 2
"""How often a benchmark is measured for a change at one place."""
AGAIN = 1e-3
"""By what the p of a suggestion must have fallen since it was not confirmed, to be measured once more."""
EXACT = 1e-9
"""Standard error, on the log scale, below which a point counts as this good."""

Direction = Literal["slower", "faster"]
Known = Sequence[tuple[Entry, Suspect]]
"""What the ledger has of one benchmark, oldest first."""


class Key(Protocol):
    """What a series is of."""

    @property
    def watch(self) -> str: ...
    @property
    def configuration(self) -> str: ...
    @property
    def machine(self) -> str: ...
    @property
    def suite(self) -> str: ...
    @property
    def benchmark(self) -> str: ...


class Series(Protocol):
    """A history of one benchmark on one machine, against one anchor, as `history.series` has it.

    Of its rows are read: commit, position, created, log_ratio, se, counted, shared.
    """

    @property
    def key(self) -> Key: ...
    @property
    def rows(self) -> pd.DataFrame: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The points of a series, one a commit, in the order of the graph."""

    suite: str
    benchmark: str
    commits: Sequence[str]
    order: Array
    """Ascending: positions on the line of first parents, or times where those are not known."""
    log_ratios: Array
    ses: Array
    spread: float
    """Standard deviation of a block (winsorised, as `paired.trimmed` has it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """A benchmark of which a comparison of two commits, made as `lockstep ab` does, says that it changed."""

    suite: str
    benchmark: str
    good: str
    """Hash of the commit that was base, which the history has, too."""
    bad: str
    """Of head."""
    size: float
    """Natural log of after ÷ before."""
    p: float
    """Of the hypothesis of no change, over all looks."""
    spread: float
    """As `Line.spread`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected:
    """What one line suggests, in the order that all lines share."""

    line: Line
    candidate: Candidate
    low: float
    """The change lies after this …"""
    high: float
    """… and not after this …"""
    likely: float
    """… most likely here."""
    good: str
    """Hash of the commit at `low`."""
    bad: str
    """At `high`."""

    @property
    def direction(self) -> Direction:
        return "slower" if self.candidate.size > 0 else "faster"

    @property
    def drifts(self) -> bool:
        return self.candidate.kind is Kind.DRIFT


@dataclass(slots=True, kw_only=True)
class Group:
    """Suspects whose changes may be one: the range that they share, with every most likely place in it."""

    low: float
    high: float
    first: float
    """Earliest of the likely places."""
    last: float
    good: str
    bad: str
    members: list[Suspected] = field(default_factory=list)

    def takes(self, one: Suspected) -> bool:
        low, high = max(self.low, one.low), min(self.high, one.high)
        return low < min(self.first, one.likely) and max(self.last, one.likely) <= high

    def add(self, one: Suspected) -> None:
        if one.low > self.low:
            self.low, self.good = one.low, one.good
        if one.high < self.high:
            self.high, self.bad = one.high, one.bad
        self.first, self.last = min(self.first, one.likely), max(self.last, one.likely)
        self.members.append(one)


def lines_of(series: Sequence[Series], branch: Collection[str] | None = None) -> list[Line]:
    """The lines of series that share their nights, without those that have no point; all in one order.

    Rows of commits that are not among those of the `branch` are no points; None: all count. Where the position of any
    commit is known, rows of which it is not are none either.
    """
    tables = [(one.key, usable(one.rows)) for one in series]
    if branch is not None:
        tables = [(key, rows[rows["commit"].isin(branch)]) for key, rows in tables]
    by = "position" if any(rows["position"].notna().any() for _, rows in tables) else "created"
    placed = [(key, rows[rows[by].notna()]) for key, rows in tables]
    return [_line(key, rows, by) for key, rows in placed if not rows.empty]


def usable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are points: with a commit, a log ratio and a standard error."""
    numbers = rows[["log_ratio", "se", "created"]].to_numpy(dtype=float)
    there = np.isfinite(numbers).all(axis=1) & rows["commit"].notna().to_numpy() & (rows["commit"] != "").to_numpy()
    points: pd.DataFrame = rows.loc[there]
    return points


def _line(key: Key, rows: pd.DataFrame, by: str) -> Line:
    """Several points of one commit become one: no change lies between them."""
    rows = rows.sort_values([by, "created"], kind="stable")
    values, order = rows["log_ratio"].to_numpy(dtype=float), rows[by].to_numpy(dtype=float)
    # The error of a bridge is the same in all rows of its anchor, and moves none of them against the others.
    ses = np.sqrt(np.maximum(0.0, rows["se"].to_numpy(dtype=float) ** 2 - rows["shared"].to_numpy(dtype=float) ** 2))
    of_commit: dict[str, list[int]] = {}
    for number, commit in enumerate(rows["commit"].astype(str)):
        of_commit.setdefault(commit, []).append(number)
    weights = [1 / np.maximum(ses[own], EXACT) ** 2 for own in of_commit.values()]
    joined = [float(weight @ values[own] / weight.sum())
              for own, weight in zip(of_commit.values(), weights, strict=True)]
    spreads = [se / unit_se(int(count)) for se, count in zip(ses, rows["counted"], strict=True) if count >= 2]
    return Line(
        suite=key.suite, benchmark=key.benchmark, commits=tuple(of_commit),
        order=np.array([order[own[0]] for own in of_commit.values()]), log_ratios=np.array(joined),
        ses=np.array([float(weight.sum()) ** -0.5 for weight in weights]),
        spread=float(np.median(spreads)) if spreads else 0.0,
    )


def of_line(line: Line, own: Known, margin: float) -> list[Suspected]:
    """What a line suggests, and what the ledger has of its benchmark does not explain; `margin` is a log."""
    proved = [entry.positions for entry, asked in own if asked.said == "confirmed"]
    # What lies within the range of a proved change may be before it or after it.
    kept = np.ones(line.order.size, dtype=bool)
    for good, bad in proved:
        kept &= ~((line.order > good) & (line.order < bad))
    where = np.flatnonzero(kept)
    order = line.order[where]
    known = sorted({int(np.searchsorted(order, bad)) for _, bad in proved if order.size and bad <= order[-1]})
    found = []
    for one in nominate(line.log_ratios[where], line.ses[where], margin, known):
        suspected = Suspected(
            line=line, candidate=one, low=float(order[one.before]), high=float(order[one.at]),
            likely=float(order[one.place]), good=line.commits[where[one.before]], bad=line.commits[where[one.at]])
        if not _is_explained(suspected, own, margin):
            found.append(suspected)
    return [one for one in found if not one.drifts or not any(_makes(step.candidate, one.candidate) for step in found)]


def of_direct(one: Direct, order: Mapping[str, float], own: Known, margin: float) -> Suspected | None:
    """What a comparison of two commits suggests, unless the ledger explains it; `order` says where commits stand, own
    and `margin` are as in `of_line`. None also where one of both commits is not in that order.

    A history that began a few nights ago, or whose level was changed then, knows little of its own noise; two commits
    in one session need no history.
    """
    if one.good not in order or one.bad not in order:
        return None
    places = np.array([order[one.good], order[one.bad]])
    line = Line(suite=one.suite, benchmark=one.benchmark, commits=(one.good, one.bad), order=places,
                log_ratios=np.array([0.0, one.size]), ses=np.zeros(2), spread=one.spread)
    suspected = Suspected(
        line=line, low=float(places[0]), high=float(places[1]), likely=float(places[1]), good=one.good, bad=one.bad,
        candidate=Candidate(kind=Kind.NEWEST, before=0, at=1, place=1, size=one.size, se=0.0, p=one.p, strength=1))
    proved = any(
        asked.said == "confirmed" and entry.direction == suspected.direction
        and entry.positions[0] < suspected.likely <= entry.positions[1] for entry, asked in own)
    return None if proved or _is_explained(suspected, own, margin) else suspected


def _makes(step: Candidate, drift: Candidate) -> bool:
    """Whether a drift is mostly one step. A step that is explained makes none: then the drift is what is left of it."""
    same = step.kind is not Kind.DRIFT and step.size * drift.size > 0
    return same and abs(step.size) >= abs(drift.size) / 2


def _is_explained(one: Suspected, own: Known, margin: float) -> bool:
    """Whether fresh blocks have spoken against it already."""
    tries = [
        (entry, asked) for entry, asked in own
        if asked.said in ("same", "not confirmed") and entry.direction == one.direction
        and (entry.kind == Kind.DRIFT.value) == one.drifts
        and entry.positions[0] < one.likely and (one.drifts or one.likely <= entry.positions[1])
    ]
    if one.drifts:
        # Its range grows every night; it is another one when it is larger by what matters.
        return any(abs(one.candidate.size) < abs(asked.size) + margin for _, asked in tries)
    weaker = any(one.candidate.p > AGAIN * asked.suggested for _, asked in tries)
    return len(tries) >= TRIES or weaker or any(asked.said == "same" for _, asked in tries)


def selected(found: Sequence[Sequence[Suspected]]) -> list[Suspected]:
    """Those that stand when all lines are asked at once: Benjamini-Hochberg at `SUSPICION`, a line by its strongest."""
    best = [min((one.candidate.p for one in ones), default=1.0) for ones in found]
    cut = max((p for p, q in zip(best, adjusted(best), strict=True) if q <= SUSPICION), default=-1.0)
    return [one for ones in found for one in ones if one.candidate.p <= cut]


def grouped(found: Sequence[Suspected]) -> list[Group]:
    """Suspects that moved in one direction at one commit, together; a drift only with drifts of the same range.

    The strongest group first.
    """
    kinds: dict[tuple[object, ...], list[Group]] = defaultdict(list)
    for one in sorted(found, key=lambda one: (one.high, -one.low)):
        groups = kinds[one.line.suite, one.direction, (one.low, one.high) if one.drifts else None]
        group = next((group for group in groups if one.drifts or group.takes(one)), None)
        if group is None:
            group = Group(low=one.low, high=one.high, first=one.likely, last=one.likely, good=one.good, bad=one.bad)
            groups.append(group)
        group.add(one)
    groups = [group for groups in kinds.values() for group in groups]
    return sorted(groups, key=lambda group: (min(one.candidate.p for one in group.members), group.low))


def members_of(group: Group) -> Iterator[Suspected]:
    """Each benchmark of a group once, the strongest first: one that has two segments may be suspected twice."""
    seen: set[str] = set()
    for one in sorted(group.members, key=lambda one: (one.candidate.p, one.line.benchmark)):
        if one.line.benchmark not in seen:
            seen.add(one.line.benchmark)
            yield one
