"""Results of other programs in, verdicts out: as well as data allow that were not measured in pairs.

The claims, their two families and the false discovery rate are those of every report (`stats.claims`); the estimate is
`stats.unpaired`. Nothing here was sampled until it was settled, so that each benchmark is looked at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from runner.judging.compare import exp, mean_in_ratios
from runner.judging.report import Comparison, Mean
from runner.model import Failure, Metric, Verdict
from runner.stats.blocks import frozen
from runner.stats.claims import TOTAL
from runner.stats.decide import Judgement, judge_estimate, judge_exact, together
from runner.stats.paired import Array, Estimate, interval
from runner.stats.unpaired import FEWEST, difference, mean_of, replicates
from runner.storage import pyperf_json
from runner.storage.pyperf_json import Metadata, Results, Sampled

METRICS = {"s": Metric.TIME, "bytes": Metric.PEAK_MEMORY}
"""What a benchmark measures, by its unit; any other is a tracked value."""
ALIKE = (
    "hostname", "cpu_model_name", "cpu_count", "cpu_config", "platform", "aslr", "timer", "pyperf_version",
    "performance_version",
)
"""What both sides should agree in, in pyperf's words: else the ratio is about that too."""
NO_SPREAD = "its values are the same to the digit in all processes, so that nothing is known of their error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One build's files."""

    name: str
    """What the user calls it, or the files' names."""
    files: tuple[Results, ...]
    """At least one."""

    @property
    def metadata(self) -> Metadata:
        """What all files agree in."""
        first, *others = (file.metadata for file in self.files)
        return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired:
    """What two builds' files say of each other."""

    base: Side
    head: Side
    margin: float
    """As a fraction."""
    comparisons: tuple[Comparison, ...]
    """In base's order, then what only head has. `blocks` are the fewest replicates of a side."""
    by_file: frozenset[str]
    """Names of the benchmarks whose replicates are files: what a session has in common is in their intervals."""
    mean: Mean | None
    """Over the timings that have an estimate; None without any."""
    differences: Mapping[str, tuple[str, str]]
    """What base and head say of `ALIKE` where that is not the same; empty where one says nothing."""

    def count(self, verdict: Verdict) -> int:
        """Number of benchmarks with this verdict."""
        return sum(1 for one in self.comparisons if one.verdict is verdict)


def judge(base: Side, head: Side, margin: float) -> Unpaired:
    """Judge every benchmark that both sides have; `margin` as a fraction.

    The replicates are processes; where each side has `stats.unpaired.FEWEST` files or more with the benchmark, files.
    Raises UsageError where a side counts a benchmark in two units.
    """
    ours, theirs = ({one.name: one for one in pyperf_json.together(side.files)} for side in (base, head))
    pairs = [_pair(one.name, one.unit, base, head) for one in ours.values() if _alike(one, theirs)]
    compared = _together(pairs, math.log1p(margin))
    lines = [compared.get(one.name) or _not_compared(one, theirs.get(one.name)) for one in ours.values()]
    lines += [_without(one, Verdict.ONLY_IN_HEAD) for one in theirs.values() if one.name not in ours]
    return Unpaired(
        base=base, head=head, margin=margin, comparisons=tuple(lines),
        by_file=frozenset(pair.name for pair in pairs if pair.by_file), mean=_mean(pairs, base, head),
        differences=_differences(base.metadata, head.metadata),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One benchmark of both sides."""

    name: str
    unit: str
    by_file: bool
    base: Array
    head: Array
    """Logs, one a replicate."""
    constant: tuple[float, float] | None
    """The one value of each side, where neither has another."""

    @property
    def timed(self) -> bool:
        return self.unit == "s"

    @property
    def estimate(self) -> Estimate | None:
        """None where there are too few replicates."""
        return difference(self.base, self.head) if min(self.base.size, self.head.size) >= FEWEST else None


def _alike(one: Sampled, others: Mapping[str, Sampled]) -> bool:
    return one.name in others and others[one.name].unit == one.unit


def _pair(name: str, unit: str, base: Side, head: Side) -> _Pair:
    ours, theirs = (
        [[np.array(process.values) for process in one.processes]
         for file in side.files for one in file.benchmarks if one.name == name] for side in (base, head)
    )
    by_file = min(len(ours), len(theirs)) >= FEWEST
    seen, also = ({float(value) for file in side for values in file for value in values} for side in (ours, theirs))
    return _Pair(
        name=name, unit=unit, by_file=by_file, base=replicates(ours, by_file=by_file),
        head=replicates(theirs, by_file=by_file),
        constant=(seen.pop(), also.pop()) if len(seen) == len(also) == 1 else None)


def _together(pairs: Sequence[_Pair], margin: float) -> dict[str, Comparison]:
    """A line for each, by name, as the whole suite allows."""
    alone = {pair.name: _alone(pair, margin) for pair in pairs}
    # What is exact needs no test, and of too few replicates there is none: neither is in a family.
    tested = [name for name, judged in alone.items() if judged.p is not None]
    among = dict(zip(tested, together([alone[name] for name in tested], margin, once=True), strict=True))
    return {
        pair.name: _line(pair, among[pair.name].judgement, among[pair.name].q) if pair.name in among
        else _line(pair, alone[pair.name], None)
        for pair in pairs
    }


def _alone(pair: _Pair, margin: float) -> Judgement:
    estimate = pair.estimate
    if estimate is not None and estimate.se > 0:
        return judge_estimate(estimate, margin)
    if estimate is not None and not pair.timed:
        # Those that were trimmed away may be others: two counts of twenty.
        constant = pair.constant or _medians(pair)
        base, head = (np.full(pair.base.size, value) for value in constant)
        exact = judge_exact(base, head, margin)
        if exact is not None:
            return exact
    return Judgement(
        verdict=Verdict.UNDECIDED, clear=False, tiny=False, estimate=None, low=None, high=None, look=None, p=None,
        p_same=None, needed=None, settled=True)


def _medians(pair: _Pair) -> tuple[float, float]:
    return exp(float(np.median(pair.base))), exp(float(np.median(pair.head)))


def _line(pair: _Pair, judged: Judgement, q: float | None) -> Comparison:
    ratio, low, high = _ratios(judged)
    unjudged = judged.look is None and pair.estimate is not None
    base, head = pair.constant or _medians(pair)
    return replace(
        _empty(pair.name, pair.unit), verdict=Verdict.FAILED if unjudged else judged.verdict, clear=judged.clear,
        tiny=judged.tiny, exact=judged.exact, ratio=ratio, low=low, high=high, base_value=base, head_value=head,
        blocks=min(pair.base.size, pair.head.size), reached=judged.look is not None or unjudged, p=judged.p, q=q,
        failure=Failure(reason=NO_SPREAD, arm=None) if unjudged else None,
        base_values=frozen(np.exp(pair.base).tolist()), head_values=frozen(np.exp(pair.head).tolist()),
    )


def _ratios(judged: Judgement) -> tuple[float | None, float | None, float | None]:
    if judged.look is None or judged.estimate is None or judged.low is None or judged.high is None:
        return None, None, None
    return exp(judged.estimate.mean), exp(judged.low), exp(judged.high)


def _not_compared(one: Sampled, other: Sampled | None) -> Comparison:
    if other is None:
        return _without(one, Verdict.ONLY_IN_BASE)
    units = f"base counts it in {one.unit or 'numbers'}, head in {other.unit or 'numbers'}"
    return _without(one, Verdict.FAILED, units)


def _without(one: Sampled, verdict: Verdict, reason: str = "") -> Comparison:
    return replace(
        _empty(one.name, one.unit), verdict=verdict, failure=Failure(reason=reason or verdict.value, arm=None))


def _empty(name: str, unit: str) -> Comparison:
    none = frozen([])
    return Comparison(
        name=name, params={}, metric=METRICS.get(unit, Metric.TRACK), unit=unit, verdict=Verdict.UNDECIDED, clear=False,
        tiny=False, exact=False, ratio=None, low=None, high=None, base_value=None, head_value=None, blocks=0,
        reached=True, needed=None, p=None, q=None, mode=None, settings=None, machine_seconds=0.0, failure=None,
        notices=(), log_ratios=none, base_values=none, head_values=none, started=none)


def _mean(pairs: Sequence[_Pair], base: Side, head: Side) -> Mean | None:
    """The geometric mean over the timings.

    Where files are the replicates, benchmarks of one file have a session in common: a file's mean is a value then, over
    the benchmarks that all files hold.
    """
    timed = [pair for pair in pairs if pair.timed and pair.estimate is not None]
    if any(pair.by_file for pair in timed):
        counts = len(base.files), len(head.files)
        timed = [pair for pair in timed if pair.by_file and (pair.base.size, pair.head.size) == counts]
        whole = None if not timed else difference(
            np.mean([pair.base for pair in timed], axis=0), np.mean([pair.head for pair in timed], axis=0))
    else:
        whole = mean_of([pair.estimate for pair in timed if pair.estimate is not None])
    return None if whole is None else mean_in_ratios(whole, interval(whole, TOTAL), len(timed))


def _differences(base: Metadata, head: Metadata) -> dict[str, tuple[str, str]]:
    found = {name: (str(base.get(name, "")), str(head.get(name, ""))) for name in ALIKE}
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}
