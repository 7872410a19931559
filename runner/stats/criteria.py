"""What a calibration must show before the verdicts on a machine can be trusted, and whether it does.

How many comparisons decide a demand, which ones, and by what rule, is fixed before any is made: the first so many in
measured order. Until all of them are there, nothing is said of it but how many there are; what is measured afterwards
is in the tables and changes no demand. Otherwise a collection that grows, and is looked at whenever it has, would be
held against each demand until it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from runner.model import Mode
from runner.stats.audit import PARTS, SUITES, AaAudit, Kind, Rate, Sample, rate, size
from runner.stats.power import AGREEING_SIZES, agreements, found, plain, truths

SLOWDOWNS = 20
"""Planted slowdowns of one size by which it is decided what is found."""
INTERVALS = 100
"""Intervals of known truth by which coverage is decided."""
TRUTH_RUNS = 24
"""Runs that tell the truth that they are held against."""
AGREEING = 20
"""Comparisons of each size, in each of two modes, by which it is decided whether they agree."""
ALLOWED = 0.05
"""Share of false changes among comparisons that are judged alone."""
ALLOWED_SUITES = 1 / 40
COVERAGE = (0.93, 0.99)
POWER = ((0.02, 0.95, 10), (0.01, 0.90, 30))
"""Planted share, part of them to be found, and seconds of machine time for it."""


class State(Enum):
    PASS = "pass"
    FAIL = "fail"
    NOT_ENOUGH = "not yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One demand and what became of it."""

    kind: str
    """``false changes``, ``wrong suites``, ``coverage``, ``found``, ``agreement`` or ``broken rule``."""
    about: str
    """Which stratum, size, mode or rule; empty where there is only one."""
    state: State
    rate: Rate | None
    """What was counted; None for what is not a rate, and until all of it is there."""
    there: int
    """Comparisons (runs, intervals) so far, `needed` at most."""
    needed: int
    """Those by which it is decided."""
    where: str = ""
    """Broken rules only: the stratum in which it is furthest above what is allowed."""


def criteria(
    aa: AaAudit, samples: Sequence[Sample], margin: float, binary_only: bool
) -> tuple[Criterion, ...]:
    """Hold the audit and the planted samples, in measured order, against every demand, at a margin given as a log.

    `binary_only` leaves out what needs builds of Lockstep's own. What a slowdown costs to find is asked of the mode
    that short calls get, `turns`, on the quiet machine.
    """
    return (
        *_false_changes(aa, binary_only), *_broken(aa), _coverage(samples), *_power(samples),
        *_agreement(samples, margin),
    )


def _false_changes(aa: AaAudit, binary_only: bool) -> Iterator[Criterion]:
    by_name = {one.name: one for one in aa.decisive}
    # Not above 5 %, as far as the numbers can tell: the exact interval of the true rate reaches down to 5 %.
    for name in PARTS:
        if name == "layouts" and binary_only:
            continue
        counted = by_name[name].rule if name in by_name else rate(())
        yield _criterion("false changes", name, counted, size(name), lambda counted: counted.low <= ALLOWED)
    suites = by_name["all"].suites if "all" in by_name else rate(())
    yield _criterion("wrong suites", "", suites, SUITES, lambda counted: counted.share <= ALLOWED_SUITES)


def _broken(aa: AaAudit) -> Iterator[Criterion]:
    # The audit has to be able to fail: held against the same demands, each of these must miss one of them.
    strata = {one.name: one.broken for one in aa.decisive}
    for name in strata.get("all", {}):
        held = {
            where: _criterion(
                "broken rule", name, rates[name], size(where), lambda counted: counted.low > ALLOWED, where)
            for where, rates in strata.items()
        }
        missed = [where for where, one in held.items() if one.state is State.PASS]
        yield held[max(missed, key=lambda where: strata[where][name].low, default="all")]


def _coverage(samples: Sequence[Sample]) -> Criterion:
    """Of the 95 % interval that nothing has selected or widened; it may be as far off as its own interval allows."""
    telling = [sample for sample in samples if sample.stratum.kind is Kind.TRUTH]
    runs = list(dict.fromkeys(sample.run for sample in telling))[:TRUTH_RUNS]
    # A truth that further runs still move would change what was counted.
    known = truths([s for s in telling if s.run in runs]) if len(runs) == TRUTH_RUNS else ()
    truth = {one.benchmark: one for one in known if one.enough}
    held = [plain(s, truth[s.benchmark]) for s in samples if s.stratum.kind is Kind.PLANTED and s.benchmark in truth]
    low, high = COVERAGE
    return _criterion(
        "coverage", "", rate(held[:INTERVALS]), INTERVALS, lambda counted: counted.high >= low and counted.low <= high)


def _power(samples: Sequence[Sample]) -> Iterator[Criterion]:
    for share, least, seconds in POWER:
        counted = rate(found(sample, seconds) for sample in _planted(samples, share, Mode.TURNS, SLOWDOWNS))
        yield _criterion(
            "found", f"{100 * share:g} % within {seconds} s", counted, SLOWDOWNS, partial(_at_least, least))


def _planted(samples: Sequence[Sample], share: float, mode: Mode, count: int) -> list[Sample]:
    """The first so many planted slowdowns of a size and mode on the quiet machine."""
    there = [
        s for s in samples
        if s.stratum.kind is Kind.PLANTED and s.size == share and s.stratum.mode is mode and not s.stratum.neighbour
    ]
    return there[:count]


def _at_least(least: float, counted: Rate) -> bool:
    return counted.share >= least


def _agreement(samples: Sequence[Sample], margin: float) -> Iterator[Criterion]:
    for mode in (Mode.SHARED, Mode.ADJACENT):
        compared = [
            _planted(samples, share, one, AGREEING) for share in AGREEING_SIZES for one in (mode, Mode.TURNS)
        ]
        there = min(map(len, compared))
        state = State.NOT_ENOUGH
        if there == AGREEING:
            lines = agreements([sample for part in compared for sample in part], margin)
            state = State.FAIL if any(line.disagrees for line in lines) else State.PASS
        yield Criterion(
            kind="agreement", about=mode.value, state=state, rate=None, there=there, needed=AGREEING)


def _criterion(
    kind: str, about: str, counted: Rate, needed: int, holds: Callable[[Rate], bool], where: str = ""
) -> Criterion:
    """Decided where all that it needs is there."""
    full = counted.of >= needed
    state = State.NOT_ENOUGH if not full else State.PASS if holds(counted) else State.FAIL
    return Criterion(
        kind=kind, about=about, state=state, rate=counted if full else None, there=counted.of, needed=needed,
        where=where if full else "",
    )
