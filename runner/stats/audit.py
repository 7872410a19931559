"""The audit of the rule by comparisons of known truth: how often it is wrong, how much it finds, and how soon.

Two kinds of comparison have a known truth. In an A/A comparison there is nothing to find; in a planted one, one arm
does a stated share more of the same work (`stats.power`). The rule is held against both, and three broken rules beside.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.special import betaincinv

from runner.model import Block, Metric, Mode, Verdict
from runner.stats.blocks import judge_blocks, log_ratios
from runner.stats.broken import BROKEN
from runner.stats.claims import TOTAL
from runner.stats.decide import LOOKS, judge
from runner.stats.paired import Array, p_value, trimmed

BINS = 10
"""Of the histogram of p-values."""
CHANGES = (Verdict.FASTER, Verdict.SLOWER)
COMPARISONS = 400
"""A/A comparisons by which the demands on all of them together are decided."""
IN_STRATUM = 100
"""The same for one stratum: at none of so many the true rate is below 3.6 %."""
SUITES = 40
"""Runs by which the demand on reports is decided."""


class Kind(Enum):
    """What is known of a comparison."""

    AA = "aa"
    """There is nothing to find."""
    PLANTED = "planted"
    """Head does a stated share more."""
    TRUTH = "truth"
    """The same, for the pooled measurement that says what share of the time that is."""


class Pair(Enum):
    """What the two arms of a comparison are."""

    COPIES = "copies"
    """Byte copies of one file."""
    LAYOUTS = "layouts"
    """One source and the same with a function that nothing calls, at scope source."""
    LAYOUTS_BINARY = "layouts-binary"
    """Two fixed layouts of one source, at scope binary: their difference is real, and not the source's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """The circumstances of a comparison."""

    kind: Kind
    pair: Pair
    mode: Mode
    neighbour: bool
    """Another process of ours worked in bursts on the machine meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One benchmark of one finished run of known truth."""

    run: str
    stratum: Stratum
    benchmark: str
    """`Benchmark.key`."""
    size: float | None
    """The planted share by its name, 0.02 for 2 %; None in an A/A comparison."""
    blocks: tuple[Block, ...]
    """The scored ones, in measured order: at least as many as the first look needs."""
    verdict: Verdict
    """What the run's report says, the whole suite considered."""
    low: float
    high: float
    """The interval that the report shows, as logs."""
    seconds: float
    """Machine time that it took."""

    @property
    def d(self) -> Array:
        """The blocks' log ratios."""
        return log_ratios(Metric.TIME, self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many of so many, with the exact 95 % interval of the share (Clopper & Pearson 1934)."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """0 of 0 is 0."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseChanges:
    """How often a change was called where there is none."""

    name: str
    """Of the stratum: ``all``, ``copies``, ``quiet``, ``turns`` and so on."""
    rule: Rate
    """Comparisons that the rule calls faster or slower, each judged alone."""
    tested: Rate
    """Comparisons whose p is at most .05: what the margin forgives included."""
    undecided: Rate
    """Comparisons of which nothing was claimed when their budget ended, or at the last look."""
    suites: Rate
    """Runs whose report calls anything faster or slower."""
    broken: Mapping[str, Rate]
    """What rules that are known to be wrong say of the same blocks, by their names in `stats.broken`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutFloor:
    """How far two layouts of one source differ: what scope binary cannot know."""

    benchmark: str
    """``all`` for all of them together."""
    deviation: float
    """Standard deviation of one layout's log time."""
    comparisons: int
    changes: Rate
    """Comparisons that are called faster or slower. No fault of the rule: the two files do differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AaAudit:
    """The part of the audit in which there is nothing to find."""

    strata: tuple[FalseChanges, ...]
    """The whole first, then its parts; those without a comparison are left out."""
    decisive: tuple[FalseChanges, ...]
    """The same of the comparisons by which the demands are decided: the first ones in measured order, as many as was
    fixed beforehand (`size`), or as many as there are yet."""
    histogram: tuple[int, ...]
    """Of the p-values at the first look, which nothing has selected: flat, if the test is right."""
    canary: Rate
    """Stretches cut from the canaries of normal runs that the rule calls faster or slower."""
    floor: tuple[LayoutFloor, ...]


def exact_interval(count: int, of: int) -> tuple[float, float]:
    """95 % interval of the share that `count` of `of` are a sample of; (0, 1) of none.

    Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    if of == 0:
        return 0.0, 1.0
    low = float(betaincinv(count, of - count + 1, 0.025)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, of - count, 0.975)) if count < of else 1.0
    return low, high


def rate(hits: Iterable[bool]) -> Rate:
    """Count the hits."""
    found = list(hits)
    low, high = exact_interval(sum(found), len(found))
    return Rate(count=sum(found), of=len(found), low=low, high=high)


def audit_aa(
    samples: Sequence[Sample], margin: float, canary: Mapping[str, Array] | None = None
) -> AaAudit:
    """Audit the rule, at a margin given as a log, on the A/A comparisons among the samples, in measured order.

    `canary` is a stream of log ratios by name, in measured order, over many runs. Each is cut into consecutive
    stretches, of which one ends where the rule settles it and the next begins there; a last one that has not
    ended is not counted.
    """
    nothing = [s for s in samples if s.stratum.kind is Kind.AA and s.stratum.pair is not Pair.LAYOUTS_BINARY]
    real = [s for s in samples if s.stratum.kind is Kind.AA and s.stratum.pair is Pair.LAYOUTS_BINARY]
    judged = [_judged(sample, margin) for sample in nothing]
    parts = {name: [one for one in judged if part(one.stratum)] for name, part in PARTS.items()}
    strata = [_false_changes(name, there) for name, there in parts.items()]
    decisive = [_false_changes(name, there, size(name), SUITES) for name, there in parts.items()]
    ps = [p_value(trimmed(s.d[: LOOKS[0]])) for s in nothing]
    stretches = [judgement for stream in (canary or {}).values() for judgement in _stretches(stream, margin)]
    return AaAudit(
        strata=tuple(one for one in strata if one.rule.of), decisive=tuple(one for one in decisive if one.rule.of),
        histogram=tuple(int(count) for count in np.histogram(ps, bins=BINS, range=(0.0, 1.0))[0]),
        canary=rate(stretches), floor=_floors(real, margin),
    )


def size(stratum: str) -> int:
    """Comparisons by which the demands on a stratum are decided."""
    return COMPARISONS if stratum == "all" else IN_STRATUM


PARTS: Mapping[str, Callable[[Stratum], bool]] = {
    "all": lambda s: True,
    "copies": lambda s: s.pair is Pair.COPIES,
    "layouts": lambda s: s.pair is Pair.LAYOUTS,
    "quiet": lambda s: not s.neighbour,
    "neighbour": lambda s: s.neighbour,
    **{mode.value: lambda s, mode=mode: s.mode is mode for mode in Mode},  # type: ignore[misc]
}
"""The strata of the table: the whole, then each way of dividing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What is said of one A/A comparison."""

    run: str
    stratum: Stratum
    rule: bool
    tested: bool
    undecided: bool
    reported: bool
    broken: Mapping[str, bool]


def _judged(sample: Sample, margin: float) -> _Judged:
    alone = judge_blocks(Metric.TIME, sample.blocks, margin)
    return _Judged(
        run=sample.run, stratum=sample.stratum, rule=alone.verdict in CHANGES,
        tested=alone.p is not None and alone.p <= TOTAL, undecided=alone.verdict is Verdict.UNDECIDED,
        reported=sample.verdict in CHANGES,
        broken={name: rule(sample.blocks) for name, rule in BROKEN.items()},
    )


def _false_changes(
    name: str, judged: Sequence[_Judged], comparisons: int | None = None, suites: int | None = None
) -> FalseChanges:
    """What the first so many comparisons and runs show; None: all."""
    runs: dict[str, bool] = defaultdict(bool)
    for one in judged:
        runs[one.run] |= one.reported
    first = judged[:comparisons]
    return FalseChanges(
        name=name, rule=rate(one.rule for one in first), tested=rate(one.tested for one in first),
        undecided=rate(one.undecided for one in first), suites=rate(list(runs.values())[:suites]),
        broken={called: rate(one.broken[called] for one in first) for called in BROKEN},
    )


def _stretches(stream: Array, margin: float) -> Iterable[bool]:
    """For each stretch that ended, whether the rule called it a change."""
    begin = 0
    while (judgement := judge(stream[begin : begin + LOOKS[-1]], margin)).settled:
        assert judgement.look is not None
        yield judgement.verdict in CHANGES
        begin += judgement.look


def _floors(samples: Sequence[Sample], margin: float) -> tuple[LayoutFloor, ...]:
    by_benchmark: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_benchmark["all"].append(sample)
        by_benchmark[sample.benchmark].append(sample)
    return tuple(_floor(name, there, margin) for name, there in by_benchmark.items())


def _floor(name: str, samples: Sequence[Sample], margin: float) -> LayoutFloor:
    """Two layouts differ by the difference of two draws, and the estimate of that has its own error besides."""
    alone = [judge_blocks(Metric.TIME, s.blocks, margin) for s in samples]
    estimates = [judgement.estimate for judgement in alone if judgement.estimate is not None]
    excess = math.fsum(e.mean**2 - e.se**2 for e in estimates) / len(estimates)
    return LayoutFloor(
        benchmark=name, deviation=math.sqrt(max(0.0, excess) / 2), comparisons=len(samples),
        changes=rate(judgement.verdict in CHANGES for judgement in alone),
    )
