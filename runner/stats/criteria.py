"""What a calibration must show before the verdicts on a machine can be trusted, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from runner.model import Mode
from runner.stats.audit import PARTS, AaAudit, Rate, rate
from runner.stats.power import AGREEING_SIZES, Agreement, Planted

COMPARISONS = 400
"""A/A comparisons in all below which nothing is said of the rate over all."""
IN_STRATUM = 100
"""The same for one stratum: at none of so many the true rate is below 3.6 %."""
SUITES = 40
"""Runs below which nothing is said of the rate after the false discovery rate is held."""
SLOWDOWNS = 20
"""Planted slowdowns of one size below which nothing is said of what is found."""
INTERVALS = 100
"""Intervals of known truth below which nothing is said of their coverage."""
ALLOWED = 0.05
"""Share of false changes among comparisons that are judged alone."""
ALLOWED_SUITES = 1 / 40
COVERAGE = (0.93, 0.99)
POWER = ((0.02, 0.95, 10), (0.01, 0.90, 30))
"""Planted share, part of them to be found, and seconds of machine time for it."""


class State(Enum):
    PASS = "pass"
    FAIL = "fail"
    NOT_ENOUGH = "not enough data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One demand and what became of it."""

    kind: str
    """``false changes``, ``wrong suites``, ``coverage``, ``found``, ``agreement`` or ``broken rule``."""
    about: str
    """Which stratum, size, mode or rule; empty where there is only one."""
    state: State
    rate: Rate | None
    """What was counted; None for what is not a rate."""
    needed: int
    """Comparisons (runs, intervals) below which there is not enough data."""
    where: str = ""
    """Broken rules only: the stratum in which it is furthest above what is allowed."""


def criteria(
    aa: AaAudit, planted: Sequence[Planted], agreements: Sequence[Agreement], binary_only: bool
) -> tuple[Criterion, ...]:
    """Hold the audit against every demand. `binary_only` leaves out what needs builds of Lockstep's own.

    What a slowdown costs to find is asked of the mode that short calls get, `turns`, on the quiet machine.
    """
    return (
        *_false_changes(aa, binary_only), *_broken(aa), _coverage(planted), *_power(planted), *_agreement(agreements),
    )


def _false_changes(aa: AaAudit, binary_only: bool) -> Iterator[Criterion]:
    by_name = {one.name: one for one in aa.strata}
    # Not above 5 %, as far as the numbers can tell: the interval of the true rate reaches down to 5 %.
    for name in PARTS:
        if name == "layouts" and binary_only:
            continue
        counted = by_name[name].rule if name in by_name else rate(())
        yield _criterion("false changes", name, counted, _needed(name), lambda counted: counted.low <= ALLOWED)
    suites = by_name["all"].suites if "all" in by_name else rate(())
    yield _criterion("wrong suites", "", suites, SUITES, lambda counted: counted.share <= ALLOWED_SUITES)


def _broken(aa: AaAudit) -> Iterator[Criterion]:
    # The audit has to be able to fail: held against the same demands, each of these must miss one of them.
    strata = {one.name: one.broken for one in aa.strata}
    for name in strata.get("all", {}):
        held = {
            where: _criterion(
                "broken rule", name, rates[name], _needed(where), lambda counted: counted.low > ALLOWED, where)
            for where, rates in strata.items()
        }
        missed = [where for where, one in held.items() if one.state is State.PASS]
        yield held[max(missed, key=lambda where: strata[where][name].low, default="all")]


def _needed(stratum: str) -> int:
    return COMPARISONS if stratum == "all" else IN_STRATUM


def _coverage(planted: Sequence[Planted]) -> Criterion:
    """Of the 95 % interval that nothing has selected or widened; it may be as far off as its own interval allows."""
    of = sum(line.plain.of for line in planted)
    count = sum(line.plain.count for line in planted)
    counted = rate([True] * count + [False] * (of - count))
    low, high = COVERAGE
    return _criterion("coverage", "", counted, INTERVALS, lambda counted: counted.high >= low and counted.low <= high)


def _power(planted: Sequence[Planted]) -> Iterator[Criterion]:
    for size, least, seconds in POWER:
        there = [p for p in planted if p.size == size and p.mode is Mode.TURNS and not p.neighbour]
        rates = [p.within_10 if seconds == 10 else p.within_30 for p in there]
        counted = rates[0] if rates else rate(())
        yield _criterion("found", f"{100 * size:g} % within {seconds} s", counted, SLOWDOWNS, partial(_at_least, least))


def _at_least(least: float, counted: Rate) -> bool:
    return counted.share >= least


def _agreement(agreements: Sequence[Agreement]) -> Iterator[Criterion]:
    for mode in (Mode.SHARED, Mode.ADJACENT):
        there = [one for one in agreements if one.mode is mode]
        state = State.FAIL if any(one.disagrees for one in there) else State.PASS
        if len(there) < len(AGREEING_SIZES):
            state = State.NOT_ENOUGH
        yield Criterion(kind="agreement", about=mode.value, state=state, rate=None, needed=len(AGREEING_SIZES))


def _criterion(
    kind: str, about: str, counted: Rate, needed: int, holds: Callable[[Rate], bool], where: str = ""
) -> Criterion:
    state = State.PASS if holds(counted) else State.FAIL
    return Criterion(
        kind=kind, about=about, state=State.NOT_ENOUGH if counted.of < needed else state, rate=counted, needed=needed,
        where=where,
    )
