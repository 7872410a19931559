"""What the histories of a watched branch suggest, and what a fresh comparison makes of it.

`nominate` reads histories, and what the comparison of the newest commit with the last one says; `judge` the report of a
comparison of the two commits that a nomination names. Between them stands the measurement, with seeds and blocks of its
own: nothing that is suggested is ever claimed by itself. Both use the ledger (`storage.ledger`): what it explains is
not suggested again, and it alone gives the levels.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runner.errors import UsageError
from runner.history.suspects import (
    Direct,
    Direction,
    Group,
    Line,
    Series,
    Suspected,
    grouped,
    lines_of,
    members_of,
    of_direct,
    of_line,
    selected,
    usable,
)
from runner.judging.report import Comparison, Report
from runner.model import Verdict
from runner.stats import confirm, online
from runner.stats.decide import LOOKS
from runner.stats.nominate import Kind
from runner.stats.paired import Array, trimmed, unit_se
from runner.storage import ledger as storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is watched, and where: the levels of its tests come from its own entries of the ledger alone."""

    watch: str
    configuration: str
    machine: str


class Suspect(NamedTuple):
    """One benchmark of a nomination."""

    key: str
    size: float
    """Natural log of after ÷ before, as the history has it, or the comparison that suggested it."""
    p: float
    """Of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nomination:
    """A change that is suggested: benchmarks that moved in one direction in one range of commits."""

    id: str
    """The same whenever the same is suggested at the same newest commit."""
    watch: str
    configuration: str
    machine: str
    suite: str
    kind: Kind
    direction: Direction
    good: str
    """Hash of the last commit before the change: base of the comparison that confirms it."""
    bad: str
    """Hash of the first commit that has it for certain: head of that comparison."""
    positions: tuple[float, float]
    """Of both, in the order of the history."""
    benchmarks: tuple[Suspect, ...]
    """The strongest first."""
    newest: str
    """Hash of the newest commit of the histories: what has the same one is of one batch."""
    level: float
    """The error that its test may make, if those nominated with it and before it are judged before it."""
    blocks: int
    """Blocks a benchmark that would confirm a third of what the history shows, or the margin if that is more."""

    @property
    def place(self) -> Place:
        return Place(watch=self.watch, configuration=self.configuration, machine=self.machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A benchmark that changed. Ratios are after ÷ before."""

    benchmark: str
    ratio: float
    low: float
    high: float
    """Interval at the error of the test, so that it excludes 1: far wider than one at 5 %."""
    p: float
    """Of the fresh blocks alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a nomination."""

    confirmed: bool
    benchmarks: tuple[Confirmed, ...]
    """Those that changed; none where it is not confirmed."""
    acquitted: tuple[str, ...]
    """Keys of the others."""
    p: float
    """Of the hypothesis that none changed."""
    level: float
    """What p had to be at most."""
    run: str


def nominate(
    series: Sequence[Series], ledger: Path, margin: float, against_previous: Sequence[Report] = (),
    branch: Collection[str] | None = None,
) -> list[Nomination]:
    """What the histories of one watch, configuration and machine suggest, the strongest first.

    `against_previous` are reports of the newest commit against the last one: what they call changed is suggested too.
    `branch` are the hashes on its line of first parents, None: all. What is not on it any more, since the branch was
    overwritten, or has become the second parent of a merge, is no point: its position says nothing among the others.
    `ledger` is the file, which need not be there; `margin` is a fraction. A series of fewer than two commits suggests
    nothing. Raises ValueError for series of several watches, configurations or machines, and as `ledger.read` does.
    """
    places = {Place(watch=one.key.watch, configuration=one.key.configuration, machine=one.key.machine)
              for one in series}
    if len(places) > 1:
        raise ValueError(f"histories of one watch, configuration and machine are wanted, not of {len(places)}")
    lines = lines_of(series, branch)
    if not lines:
        return []
    now = max(float(rows["created"].max()) for one in series if not (rows := usable(one.rows)).empty)
    direct = [one for report in against_previous for one in _direct(report)]
    return suggested(lines, places.pop(), storage.read(ledger), margin, now, direct, branch)


def suggested(
    lines: Sequence[Line], place: Place, past: Sequence[storage.Entry], margin: float, now: float,
    direct: Sequence[Direct] = (), branch: Collection[str] | None = None,
) -> list[Nomination]:
    """`nominate` without files: `past` are the ledger's entries, `now` the time in seconds since the epoch."""
    newest = max(lines, key=lambda line: float(line.order[-1])).commits[-1] if lines else ""
    # What the newest commit does not have, nobody can measure there.
    there = {(line.suite, line.benchmark) for line in lines if newest in line.commits}
    asked = [line for line in lines if line.order.size > 1 and (line.suite, line.benchmark) in there]
    if not asked:
        return []
    own = [entry for entry in past if _place(entry) == place]
    known: dict[tuple[str, str], list[tuple[storage.Entry, storage.Suspect]]] = defaultdict(list)
    for entry in own:
        if branch is not None and entry.bad not in branch:
            continue  # its position is another commit's now
        for suspect in entry.suspects:
            known[entry.suite, suspect.benchmark].append((entry, suspect))
    # A benchmark is one hypothesis, and may have several segments.
    found: dict[tuple[str, str], list[Suspected]] = defaultdict(list)
    for line in asked:
        key = line.suite, line.benchmark
        found[key] += of_line(line, known[key], math.log1p(margin))
    order = {commit: float(at) for line in lines for commit, at in zip(line.commits, line.order, strict=True)}
    for one in direct:
        key = one.suite, one.benchmark
        suspected = of_direct(one, order, known[key], math.log1p(margin))
        if suspected is not None:
            found[key].append(suspected)
    groups = grouped(selected(list(found.values())))
    tests = _tests(own, now)
    return [
        _nomination(group, place, newest, online.level(tests, newest, ahead=ahead), math.log1p(margin))
        for ahead, group in enumerate(groups)
    ]


def judge(nomination: Nomination, report: Report, ledger: Path) -> Outcome:
    """Convict or acquit, by the report of a comparison of its two commits, and enter it in the ledger.

    The same once more changes nothing, and returns what was said. Raises UsageError for a report of other commits, and
    for one that is not complete; and as `ledger.append` does.
    """
    _check(nomination, report)
    past = storage.read(ledger)
    for entry in past:
        if (entry.nomination, entry.run) == (nomination.id, report.run):
            return _outcome(entry)
    fresh = {one.key: _sample(one) for one in report.comparisons}
    entry = weigh(nomination, fresh, report.margin, past, when=report.started, run=report.run)
    return _outcome(storage.append(ledger, entry))


def weigh(
    nomination: Nomination, fresh: Mapping[str, Array], margin: float, past: Sequence[storage.Entry], *, when: float,
    run: str,
) -> storage.Entry:
    """`judge` without files: what the fresh log ratios, by benchmark, say of a nomination, for the ledger."""
    own, none = [entry for entry in past if _place(entry) == nomination.place], np.empty(0)
    level = online.level(_tests(own, when), nomination.newest)
    samples = [fresh.get(one.key, none) for one in nomination.benchmarks]
    direction = 1 if nomination.direction == "slower" else -1
    findings = confirm.confirm(samples, direction, math.log1p(margin), level)
    if all(finding.mean is None for finding in findings):
        return _entry(nomination, when, "not measured", run=run, reason="no benchmark has blocks enough")
    confirmed = any(finding.confirmed for finding in findings)
    return _entry(
        nomination, when, "confirmed" if confirmed else "not confirmed", findings, run=run,
        p=confirm.simes([finding.p for finding in findings]), level=level)


def pass_over(nomination: Nomination, reason: str, ledger: Path, now: float) -> None:
    """Enter a nomination that could not be measured: it is counted, is no test, and may be suggested again."""
    storage.append(ledger, _entry(nomination, now, "not measured", reason=reason))


def _direct(report: Report) -> Iterator[Direct]:
    """What a comparison of two commits says has changed."""
    good, bad = (side["commit"]["hash"] if side.get("commit") else "" for side in (report.base, report.head))
    for one in report.comparisons:
        # From or to zero there is no ratio, and no fresh one could confirm it; nor one of a count below the margin,
        # of which any difference at all is called faster or slower.
        if one.verdict in (Verdict.FASTER, Verdict.SLOWER) and one.ratio and (one.clear or not one.exact):
            yield Direct(
                suite=Path(report.suite).name, benchmark=one.key, good=good, bad=bad, size=math.log(one.ratio),
                p=one.p or 0.0, spread=0.0 if one.exact else _spread(one.log_ratios))


def _spread(sample: Array) -> float:
    return trimmed(sample).se / unit_se(sample.size)


def _nomination(group: Group, place: Place, newest: str, level: float, margin: float) -> Nomination:
    members = list(members_of(group))
    first, kinds = members[0], {one.candidate.kind for one in members}
    parts = (place.watch, place.configuration, place.machine, first.line.suite, first.direction, group.good, group.bad,
             newest, *sorted(one.line.benchmark for one in members))
    blocks = [
        confirm.blocks_for(one.line.spread, max(margin, abs(one.candidate.size) / 3), level, len(members))
        for one in members
    ]
    return Nomination(
        id=hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16], watch=place.watch,
        configuration=place.configuration, machine=place.machine, suite=first.line.suite,
        kind=kinds.pop() if len(kinds) == 1 else Kind.STEP, direction=first.direction, good=group.good, bad=group.bad,
        positions=(group.low, group.high), newest=newest, level=level, blocks=max(blocks),
        benchmarks=tuple(Suspect(one.line.benchmark, one.candidate.size, one.candidate.p) for one in members),
    )


def _check(nomination: Nomination, report: Report) -> None:
    for arm, side, wanted in (("base", report.base, nomination.good), ("head", report.head, nomination.bad)):
        commit = side.get("commit")
        if commit is not None and commit["hash"] != wanted:
            raise UsageError(f"run {report.run} has commit {commit['hash'][:10]} as its {arm}, and cannot confirm a "
                             f"change between {nomination.good[:10]} and {nomination.bad[:10]}. Compare these.")
    if not report.complete:
        raise UsageError(f"run {report.run} was interrupted, and can confirm nothing yet. "
                         f"Go on with it: lockstep resume {report.folder}")


def _sample(one: Comparison) -> Array:
    """Log ratios of a comparison's blocks; none where it failed."""
    if one.failure is not None:
        return np.empty(0)
    if one.exact:
        # It would repeat itself in every further block.
        return np.full(LOOKS[0], math.log(one.ratio)) if one.ratio else np.empty(0)
    return one.log_ratios


def _entry(
    nomination: Nomination, when: float, outcome: storage.Outcome, findings: Sequence[confirm.Finding] = (), *,
    run: str = "", p: float = 1.0, level: float = 0.0, reason: str = "",
) -> storage.Entry:
    """What the ledger keeps; without findings, of a nomination that was not measured."""
    suspects = tuple(
        storage.Suspect(benchmark=one.key, size=one.size, suggested=one.p, said=_said(finding), p=finding.p,
                        mean=finding.mean, low=finding.low, high=finding.high)
        for one, finding in zip(nomination.benchmarks, findings, strict=bool(findings))
    ) or tuple(
        storage.Suspect(benchmark=one.key, size=one.size, suggested=one.p, said="not measured")
        for one in nomination.benchmarks
    )
    return storage.Entry(
        nomination=nomination.id, when=when, watch=nomination.watch, configuration=nomination.configuration,
        machine=nomination.machine, suite=nomination.suite, kind=nomination.kind.value, direction=nomination.direction,
        good=nomination.good, bad=nomination.bad, positions=nomination.positions, newest=nomination.newest, p=p,
        level=level, outcome=outcome, run=run, reason=reason, suspects=suspects,
    )


def _said(finding: confirm.Finding) -> storage.Said:
    if finding.confirmed:
        return "confirmed"
    if finding.mean is None:
        return "not measured"
    return "same" if finding.same else "not confirmed"


def _outcome(entry: storage.Entry) -> Outcome:
    return Outcome(
        confirmed=entry.outcome == "confirmed", p=entry.p, level=entry.level, run=entry.run,
        acquitted=tuple(one.benchmark for one in entry.suspects if one.said != "confirmed"),
        benchmarks=tuple(
            Confirmed(benchmark=one.benchmark, ratio=_ratio(one.mean), low=_ratio(one.low), high=_ratio(one.high),
                      p=1.0 if one.p is None else one.p)
            for one in entry.suspects if one.said == "confirmed"
        ),
    )


def _ratio(log: float | None) -> float:
    return math.exp(min(log or 0.0, 700.0))


def _place(entry: storage.Entry) -> Place:
    return Place(watch=entry.watch, configuration=entry.configuration, machine=entry.machine)


def _tests(own: Sequence[storage.Entry], now: float) -> list[online.Trial]:
    """The tests of this calendar year (UTC), in order: each year is a stream of its own, known before it begins."""
    year = time.gmtime(now).tm_year
    return [
        online.Trial(batch=entry.newest, claimed=entry.outcome == "confirmed") for entry in own
        if entry.outcome != "not measured" and time.gmtime(entry.when).tm_year == year
    ]
