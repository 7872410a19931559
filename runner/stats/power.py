"""What the rule makes of planted slowdowns: how many it finds, how soon, and whether its intervals hold the truth."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from runner.model import Mode, Verdict
from runner.stats.audit import Kind, Rate, Sample, rate
from runner.stats.claims import TOTAL
from runner.stats.decide import LOOKS
from runner.stats.paired import Array, Estimate, interval, trimmed

ENOUGH = 1e-3
"""Standard error of a truth (a log) above which it is not one yet."""
AGREEING_SIZES = (0.02, 0.05)
"""Planted shares by which the modes are compared."""
CONTRADICTION = 0.001
"""p of the fit below which the sizes of a workload are not taken together."""
FEWEST_RUNS = 3
"""Runs from which on the spread between them is taken into account."""
ERRORS = 3.0
"""Standard errors by which a mode must differ from `turns`, besides half the margin, to disagree with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a planted share of work is in time, from the long quiet measurement."""

    benchmark: str
    size: float
    mean: float
    """Log of head ÷ base; from all sizes of the workload, where they fit together (`truths`)."""
    se: float
    alone: float
    """The same from the blocks of this size alone: their trimmed mean."""
    alone_se: float
    blocks: int
    """Of this size."""

    @property
    def enough(self) -> bool:
        return self.se < ENOUGH


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What became of the planted slowdowns of one size in one stratum."""

    size: float
    mode: Mode
    neighbour: bool
    found: Rate
    """Called slower."""
    reversed: Rate
    """Called faster."""
    same: Rate
    """Called the same, which is right for what is smaller than the margin."""
    shown: Rate
    """Intervals, as the report shows them, that hold the truth; only where there is enough of it."""
    plain: Rate
    """95 % intervals of the first look's blocks that hold the truth: nothing has selected or widened them."""
    within_10: Rate
    within_30: Rate
    """Found within so many seconds of machine time."""
    seconds: float
    slow_seconds: float
    """Median and 90th percentile of the machine time until sampling stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One mode's reading of a planted slowdown beside that of `turns`, over the workloads that both have measured."""

    size: float
    mode: Mode
    mean: float
    """Log of head ÷ base, mean over the workloads; each is the trimmed mean of its blocks."""
    difference: float
    """From the same in `turns`."""
    se: float
    """Of the difference."""
    workloads: int
    disagrees: bool
    """By more than half the margin, and by more than `ERRORS` standard errors."""


def truths(samples: Sequence[Sample]) -> tuple[Truth, ...]:
    """Pool the blocks of each benchmark of the truth runs, and the sizes of each workload.

    A call is a fixed part and N equal portions, so a share x of more portions makes it 1 + c x times as long, with one
    c for all sizes of a workload (its name without the parameters): the mean of what each size says of c, weighted by
    1 / se². Where they contradict each other (chi-square, p below `CONTRADICTION`), each size stands for itself.
    """
    pooled = _pooled([sample for sample in samples if sample.stratum.kind is Kind.TRUTH])
    workloads: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for benchmark, size in pooled:
        workloads[benchmark.partition("(")[0]].append((benchmark, size))
    known: list[Truth] = []
    for keys in workloads.values():
        known += _fitted([(benchmark, size, pooled[benchmark, size]) for benchmark, size in keys])
    return tuple(known)


def _fitted(measured: Sequence[tuple[str, float, Estimate]]) -> list[Truth]:
    """The truths of one workload's sizes."""
    sizes = np.array([size for _, size, _ in measured])
    means = np.array([estimate.mean for _, _, estimate in measured])
    ses = np.array([estimate.se for _, _, estimate in measured])
    own = list(zip(means.tolist(), ses.tolist(), strict=True))
    fitted = own
    if len(measured) > 1 and ses.min() > 0:
        c, errors = np.expm1(means) / sizes, ses * np.exp(means) / sizes
        mean, se = float(np.average(c, weights=errors**-2)), float(np.sum(errors**-2)) ** -0.5
        if chdtrc(len(measured) - 1, np.sum(((c - mean) / errors) ** 2)) >= CONTRADICTION:
            fitted = [(math.log1p(mean * size), se * size / (1 + mean * size)) for size in sizes.tolist()]
    return [
        Truth(benchmark=name, size=size, mean=at[0], se=at[1], alone=alone.mean, alone_se=alone.se, blocks=alone.n)
        for (name, size, alone), at in zip(measured, fitted, strict=True)
    ]


def audit_planted(samples: Sequence[Sample], known: Sequence[Truth]) -> tuple[Planted, ...]:
    """Audit the planted comparisons among the samples: a line for each size, mode, and with and without a neighbour."""
    truth = {one.benchmark: one for one in known if one.enough}
    cells = itertools.product(sorted({s.size for s in samples if s.size is not None}), Mode, (False, True))
    lines = []
    for size, mode, neighbour in cells:
        there = [
            s for s in samples if s.stratum.kind is Kind.PLANTED and s.size == size
            and s.stratum.mode is mode and s.stratum.neighbour is neighbour
        ]
        if there:
            lines.append(_planted(size, there, truth))
    return tuple(lines)


def _planted(size: float, samples: Sequence[Sample], truth: Mapping[str, Truth]) -> Planted:
    known = [(sample, truth[sample.benchmark]) for sample in samples if sample.benchmark in truth]
    seconds = [sample.seconds for sample in samples]
    return Planted(
        size=size, mode=samples[0].stratum.mode, neighbour=samples[0].stratum.neighbour,
        found=rate(found(s) for s in samples), reversed=rate(s.verdict is Verdict.FASTER for s in samples),
        same=rate(s.verdict is Verdict.SAME for s in samples),
        shown=rate(holds(s.low, s.high, one) for s, one in known),
        plain=rate(plain(s, one) for s, one in known),
        within_10=rate(found(s, 10.0) for s in samples), within_30=rate(found(s, 30.0) for s in samples),
        seconds=float(np.median(seconds)), slow_seconds=float(np.quantile(seconds, 0.9)),
    )


def found(sample: Sample, within: float = math.inf) -> bool:
    """Whether a planted slowdown was called slower, in so many seconds of machine time."""
    return sample.verdict is Verdict.SLOWER and sample.seconds <= within


def plain(sample: Sample, truth: Truth) -> bool:
    """Whether the 95 % interval of the first look's blocks, which nothing has selected or widened, holds the truth."""
    return holds(*interval(trimmed(sample.d[: LOOKS[0]]), TOTAL), truth)


def holds(low: float, high: float, truth: Truth) -> bool:
    """Whether an interval (logs) holds the truth, which is itself known with an error.

    The two errors are independent, so the interval is widened to √(half² + (1.96 se)²) on either side. Rejected: to
    ask whether the two intervals overlap, which adds half-widths and so is too easily content.
    """
    half = math.hypot((high - low) / 2, 1.96 * truth.se)
    return abs(truth.mean - (high + low) / 2) <= half


def agreements(samples: Sequence[Sample], margin: float) -> tuple[Agreement, ...]:
    """Compare `shared` and `adjacent` with `turns` on the quiet planted comparisons, at a margin given as a log."""
    quiet = [s for s in samples if s.stratum.kind is Kind.PLANTED and not s.stratum.neighbour]
    lines = []
    for size, mode in itertools.product(AGREEING_SIZES, (Mode.SHARED, Mode.ADJACENT)):
        here = _pooled([s for s in quiet if s.size == size and s.stratum.mode is mode])
        turns = _pooled([s for s in quiet if s.size == size and s.stratum.mode is Mode.TURNS])
        common = [key for key in here if key in turns]
        if common:
            lines.append(_agreement(size, mode, [(here[key], turns[key]) for key in common], margin))
    return tuple(lines)


def _agreement(
    size: float, mode: Mode, pairs: Sequence[tuple[Estimate, Estimate]], margin: float
) -> Agreement:
    mean = math.fsum(here.mean for here, _ in pairs) / len(pairs)
    difference = math.fsum(here.mean - turns.mean for here, turns in pairs) / len(pairs)
    se = math.sqrt(math.fsum(here.se**2 + turns.se**2 for here, turns in pairs)) / len(pairs)
    return Agreement(
        size=size, mode=mode, mean=mean, difference=difference, se=se, workloads=len(pairs),
        disagrees=abs(difference) > margin / 2 and abs(difference) > ERRORS * se,
    )


def _pooled(samples: Sequence[Sample]) -> dict[tuple[str, float], Estimate]:
    """The estimate from all blocks of each benchmark, over the runs in order."""
    blocks: dict[tuple[str, float], list[Array]] = defaultdict(list)
    for sample in samples:
        if sample.size is not None:
            blocks[sample.benchmark, sample.size].append(sample.d)
    return {key: _over_runs(ds) for key, ds in blocks.items()}


def _over_runs(runs: Sequence[Array]) -> Estimate:
    """The trimmed mean of all blocks; its error is that of the blocks or that of the runs' means, the larger one.

    Every run has its own copies of the interpreter and its own hour, which its blocks share: what that does shows
    between runs alone, from `FEWEST_RUNS` on.
    """
    whole = trimmed(np.concatenate(runs))
    if len(runs) < FEWEST_RUNS:
        return whole
    between = float(np.std([np.mean(d) for d in runs], ddof=1)) / math.sqrt(len(runs))
    return whole if between <= whole.se else replace(whole, se=between, df=len(runs) - 1)
