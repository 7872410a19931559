"""Blocks in, report out: the only place where a run's blocks become verdicts."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from runner import shell
from runner.judging import guards, machines
from runner.judging.report import Comparison, Mean, Report
from runner.model import (
    Arm,
    Benchmark,
    Block,
    BlockKind,
    Cause,
    Failure,
    Interpreter,
    Metric,
    Notice,
    Verdict,
)
from runner.stats.blocks import counts, evidence, frozen, scored, slice_seconds, values
from runner.stats.decide import LAYOUTS, Judgement, layouts_in_turn, together
from runner.stats.mean import mean_interval, mean_of
from runner.stats.paired import Array, Estimate
from runner.stats.variance import noise
from runner.storage.store import Lines, Manifest, Missing, Run, read

HIGH_STEAL = 0.05
"""Mean share of the CPU's time lost to other guests above which a benchmark gets a notice."""
FEW_CYCLES = 4
"""Cycles (calls in `shared`) below which a block's value is hardly better than a single measurement."""
MANY = 50_000
"""Blocks of a run from which on several processes judge its benchmarks: below, to start them costs more."""
CHUNK = 50
"""Benchmarks that such a process takes at a time: few enough that what they have to say is soon taken in."""


def report(run: Run, *, complete: bool | None = None, with_noise: bool = True) -> Report:
    """Judge a run's blocks and gather all that a rendering needs, from the run folder alone.

    `complete` says that the schedule has no further block: all is settled, or the budget is used up; None: as the
    blocks say. The plan is not asked, so that what was measured under an older rule can be read all the same.
    `with_noise` False leaves out where the noise comes from, which takes longer than all the rest.
    Every benchmark of the manifest gets a line, measured or not; those that one arm lacks come last. The
    false discovery rate is held over all benchmarks of the run that need a test, whatever their metric.
    """
    manifest = run.manifest
    margin, layouts = math.log1p(manifest.margin), layouts_of(manifest)
    begun = run.blocks[0].started if run.blocks else manifest.created
    places = run.places()
    timed = sum(benchmark.metric is Metric.TIME for benchmark in manifest.benchmarks)
    tasks = [
        _Task(benchmark=benchmark, places=places.pop(benchmark.key, ()), timed=timed)
        for benchmark in manifest.benchmarks
    ]
    # Of all blocks, in measured order.
    started, lengths = np.zeros(len(run.blocks)), np.zeros(len(run.blocks))
    canary: dict[int, Block] = {}
    drafts: list[_Draft] = []
    spent: dict[str, float] = {}
    hosts: dict[int, str] = {}
    for task, found in zip(tasks, _found(run, tasks, begun, with_noise=with_noise), strict=True):
        where = list(task.places)
        started[where], lengths[where] = found.started, found.lengths
        if manifest.fleet is not None:
            hosts |= dict(zip(where, found.hosts, strict=True))
        spent[task.benchmark.key] = float(found.lengths.sum())
        canary |= found.canary
        drafts.append(found.draft)
    for place in (place for strange in places.values() for place in strange):
        started[place], lengths[place] = run.blocks[place].started, run.blocks[place].seconds
    cases = _among([draft.case for draft in drafts], margin, layouts)
    comparisons = [
        *(_claimed(draft.line, case) for draft, case in zip(drafts, cases, strict=True)),
        *(absent(missing) for missing in manifest.missing),
    ]
    seconds = machines.seconds(manifest, started, lengths, hosts)
    done = _complete(manifest, drafts, spent) if complete is None else complete
    measured = sum(draft.measured for draft in drafts)
    arms = _arms()
    alarms = guards.of_run(
        [draft.row for draft in drafts if draft.row is not None], np.cumsum(lengths) - lengths,
        [canary[place] for place in sorted(canary)], margin)
    return Report(
        run=manifest.id, folder=str(run.folder), suite=manifest.suite,
        base=arms.dump_python(manifest.base, mode="json"), head=arms.dump_python(manifest.head, mode="json"),
        differences=manifest.differences, machine=machines.facts(manifest),
        scope=manifest.scope, addresses=manifest.addresses, margin=manifest.margin,
        seed=manifest.seed, command=manifest.command, started=manifest.created, seconds=seconds,
        measured_share=measured / seconds if seconds > 0 else 0.0, complete=done,
        comparisons=comparisons, mean=_mean(cases, layouts), calibration=manifest.calibration,
        notices=tuple(_run_notices(run, cases, comparisons, done, alarms)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One of a run's benchmarks, and where its blocks are among the run's, the canary's under it too."""

    benchmark: Benchmark
    places: Sequence[int]
    timed: int
    """Timed benchmarks that the run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What there is to say of a benchmark before the others are known."""

    draft: _Draft
    canary: Mapping[int, Block]
    """Its blocks that are the canary's, by their places."""
    started: Array
    """When its blocks began, in the order of the task's places; seconds since the epoch."""
    lengths: Array
    """Seconds that they took."""
    hosts: Sequence[str]
    """Who measured them; empty where it was one machine."""


def _found(run: Run, tasks: Sequence[_Task], begun: float, *, with_noise: bool) -> Iterator[_Found]:
    """What there is to say of each benchmark, in their order; of a large run by all CPUs."""
    if len(run.blocks) < MANY or not isinstance(run.blocks, Lines):
        yield from (_look_at(run, task, begun, with_noise=with_noise) for task in tasks)
        return
    processes = shell.cpus()
    look = partial(_look_anew, run.folder, begun, with_noise)
    with shell.pool(processes) as pool:
        yield from pool.map(look, tasks, chunksize=max(1, min(CHUNK, len(tasks) // processes)))


def _look_anew(folder: Path, begun: float, with_noise: bool, task: _Task) -> _Found:
    return _look_at(_opened(folder), task, begun, with_noise=with_noise)


@cache
def _arms() -> TypeAdapter[Interpreter]:
    return TypeAdapter(Interpreter)  # to make one takes as long as a dozen benchmarks


@cache
def _opened(folder: Path) -> Run:
    """A run, read once in each process."""
    return read(folder, lazily=True)


def _look_at(run: Run, task: _Task, begun: float, *, with_noise: bool) -> _Found:
    own: dict[int, Block] = {}
    canary: dict[int, Block] = {}
    blocks = [run.blocks[place] for place in task.places]
    for place, block in zip(task.places, blocks, strict=True):
        (canary if block.kind is BlockKind.CANARY else own)[place] = block
    return _Found(
        draft=_draft(task, run.standing(own), begun, run.manifest, with_noise=with_noise),
        canary=run.standing(canary), started=frozen([block.started for block in blocks]),
        lengths=frozen([block.seconds for block in blocks]),
        hosts=[] if run.manifest.fleet is None else [sys.intern(block.host) for block in blocks],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """One benchmark judged alone. It holds none of the blocks, which may be too many for the memory."""

    case: Case
    line: Comparison
    measured: float
    """Seconds of timed slices in scored blocks; memory and tracked values have none."""
    row: guards.Row | None
    """None where the guards of the whole run have nothing to look at."""


def _draft(
    task: _Task, own: Mapping[int, Block], begun: float, manifest: Manifest, *, with_noise: bool
) -> _Draft:
    """`own` are all of the benchmark's blocks, by their places among the run's, in measured order."""
    benchmark, blocks = task.benchmark, list(own.values())
    case = _case(benchmark, blocks, manifest)
    counted = scored(blocks)
    timed = benchmark.metric is Metric.TIME
    guarded = timed and case.failure is None and case.ratios.size > 0
    where = [place for place, block in own.items() if counts(block)]
    return _Draft(
        case=replace(case, blocks=()),
        line=line(
            case, begun, tuple(_notices(case, manifest, task.timed)), with_noise=with_noise,
            host=blocks[-1].host if manifest.fleet is not None and blocks else ""),
        measured=sum(map(slice_seconds, counted)) if timed else 0.0,
        row=guards.row(counted, where, case.ratios) if guarded else None,
    )


def _complete(manifest: Manifest, drafts: Sequence[_Draft], spent: Mapping[str, float]) -> bool:
    """`spent` are the seconds of each benchmark's blocks, the canary's included."""
    by_key = {draft.case.benchmark.key: draft for draft in drafts}
    # What a machine of a fleet is given is a run of its own, with its share of the budget.
    hands = (tuple(by_key),) if manifest.fleet is None else manifest.fleet.hands

    def enough(hand: Sequence[str]) -> bool:
        if manifest.budget is not None and sum(spent.get(key, 0.0) for key in hand) >= manifest.budget / len(hands):
            return True
        return all(_has_enough(by_key[key].case, manifest.blocks) for key in hand)

    return all(map(enough, hands))


def _has_ended(case: Case, fixed: int | None) -> bool:
    """Whether no further block of it is wanted; `fixed`: blocks to measure whatever they say."""
    return case.settled if fixed is None else case.failure is not None or case.scored >= fixed


def _has_enough(case: Case, fixed: int | None) -> bool:
    """Whether nothing more has to be measured of it: it has ended, or is a difference that is there.

    How well a difference has to be known before its sampling ends is not the same in all versions, and what an older
    one ended was not interrupted.
    """
    there = fixed is None and case.judgement.verdict in (Verdict.FASTER, Verdict.SLOWER)
    return there or _has_ended(case, fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One benchmark of the manifest on its way to a line."""

    benchmark: Benchmark
    blocks: Sequence[Block]
    """All of its blocks, calibrations and failed ones too; not the canary's."""
    ratios: Array
    """Log ratios of the scored blocks; empty where those have none."""
    scored: int
    """Number of scored blocks."""
    failure: Failure | None
    judgement: Judgement
    settled: bool
    """No further block is wanted: settled alone, or failed."""
    no_ratio: tuple[float, float] | None = None
    """Values of base and head, in one block, of which there is no ratio: nothing can be decided."""
    q: float | None = None


def judged(run: Run) -> list[Case]:
    """Every benchmark of the manifest, in its order, judged alone, at the look at which its sampling stopped."""
    blocks = run.by_benchmark()
    return [_case(benchmark, blocks[benchmark.key], run.manifest) for benchmark in run.manifest.benchmarks]


def layouts_of(manifest: Manifest) -> int:
    """How many layouts the blocks of each benchmark go through in turn, as they are judged (`layouts_in_turn`)."""
    return layouts_in_turn(manifest.repeats if manifest.scope == "source" else None, manifest.blocks)


def _case(benchmark: Benchmark, blocks: Sequence[Block], manifest: Manifest) -> Case:
    said = evidence(benchmark.metric, blocks, layouts_of(manifest))
    # All of the suite, as the schedule counts them: who is failed or exact was not known when sampling stopped.
    tests = max(1, len(manifest.benchmarks))
    judgement, failure = said.judge(math.log1p(manifest.margin), tests), said.failure
    if failure is None and said.defect is not None and not judgement.exact:
        failure = Failure(reason=said.defect, arm=None)
    return Case(
        benchmark=benchmark, blocks=blocks, failure=failure, judgement=judgement, scored=len(scored(blocks)),
        ratios=said.ratios, settled=failure is not None or judgement.settled,
        no_ratio=None if failure is not None or judgement.exact else said.no_ratio,
    )


def _among(cases: Sequence[Case], margin: float, layouts: int = LAYOUTS) -> list[Case]:
    """The same cases, each judged alone as one of so many, in the same order: with the judgements that the suite as a
    whole allows, as `stats.decide.suite` does."""
    tested = [case.failure is None and not case.judgement.exact for case in cases]
    among = iter(together([case.judgement for case in itertools.compress(cases, tested)], margin, layouts=layouts))
    return [
        replace(case, judgement=found.judgement, q=found.q) if is_tested and (found := next(among)) else case
        for case, is_tested in zip(cases, tested, strict=True)
    ]


def line(
    case: Case, begun: float, notices: tuple[Notice, ...], *, with_noise: bool = True, host: str = ""
) -> Comparison:
    """One benchmark's line. `begun` is the moment, in seconds since the epoch, from which its blocks' times count;
    `host` is as in `Comparison`."""
    benchmark = case.benchmark
    counted = scored(case.blocks)
    whole = all(block.base and block.head for block in counted)
    base, head = (values(benchmark.metric, counted if whole else (), arm) for arm in Arm)
    failed = case.failure is not None
    # Of the first block that was measured; a calibration that failed had not chosen its settings yet.
    measured = [block for block in case.blocks if block.failure is None]
    settings = measured[0].settings if measured and benchmark.metric is Metric.TIME else None
    return Comparison(
        name=benchmark.name, params=benchmark.params, twin=benchmark.twin, metric=benchmark.metric,
        unit=benchmark.unit,
        **_claims(case, base, head),
        base_value=_middle(base), head_value=_middle(head),
        mode=settings.mode if settings else None, settings=settings,
        machine_seconds=sum((block.seconds for block in case.blocks), 0.0), failure=case.failure,
        notices=notices,
        log_ratios=case.ratios, base_values=base, head_values=head,
        started=frozen([block.started - begun for block in counted]),
        noise=noise(counted) if with_noise and benchmark.metric is Metric.TIME and not failed else None,
        host=host,
    )


def _middle(numbers: Array) -> float | None:
    """Their median: NaN where one of them is, None where there are none."""
    # numpy's takes ten times as long for as few as blocks are.
    found = numbers.tolist()
    return None if not found else math.nan if any(map(math.isnan, found)) else median(found)


def _claims(case: Case, base: Array, head: Array) -> dict[str, Any]:
    """The fields of a `Comparison` that follow from the judgement; of both arms' values, one a scored block."""
    judgement, failed = case.judgement, case.failure is not None
    verdict = judgement.verdict if case.failure is None else _without(case.failure)
    exact = judgement.exact and not failed
    ratio, low, high = _ratios(judgement, base, head, exact=exact)
    return {
        "verdict": verdict, "clear": judgement.clear and not failed,
        "tiny": judgement.tiny and not failed, "exact": exact, "ratio": ratio, "low": low, "high": high,
        "blocks": judgement.look or case.scored,
        "reached": failed or case.no_ratio is not None or judgement.look is not None,
        "needed": None if failed else judgement.needed, "p": judgement.p, "q": case.q,
    }


def _without(failure: Failure) -> Verdict:
    """What is said of a benchmark that was not measured in both arms."""
    if failure.cause is not Cause.SKIPPED:
        return Verdict.FAILED
    return Verdict.SKIPPED if failure.arm is None else Verdict.only_in(failure.arm.other)


def _claimed(draft: Comparison, case: Case) -> Comparison:
    """The same line with what the suite as a whole allows to say."""
    return replace(draft, **_claims(case, draft.base_values, draft.head_values))


def _ratios(
    judgement: Judgement, base: Array, head: Array, *, exact: bool
) -> tuple[float | None, float | None, float | None]:
    """Ratio with its interval, from the first look on. A count that fell to 0 has a ratio, 0, though it has no log."""
    estimate = judgement.estimate
    if judgement.look is None or estimate is None or judgement.low is None or judgement.high is None:
        fell = exact and base[0] > 0 and head[0] == 0
        return (0.0, 0.0, 0.0) if fell else (None, None, None)
    return exp(estimate.mean), exp(judgement.low), exp(judgement.high)


def exp(log_ratio: float) -> float:
    """The ratio whose log this is, or a very large one."""
    # The interval of a few blocks that are far apart can be wider than the numbers that a computer has.
    return math.exp(min(log_ratio, 700.0))


def absent(missing: Missing) -> Comparison:
    """The line of a benchmark that one arm lacks."""
    none, benchmark, verdict = frozen([]), missing.benchmark, Verdict.only_in(missing.present)
    return Comparison(
        name=benchmark.name, params=benchmark.params, twin=benchmark.twin, metric=benchmark.metric,
        unit=benchmark.unit, verdict=verdict, clear=False, tiny=False, exact=False, ratio=None, low=None, high=None,
        base_value=None, head_value=None, blocks=0, reached=True, needed=None, p=None, q=None, mode=None, settings=None,
        machine_seconds=0.0, failure=Failure(reason=verdict.value, arm=None), notices=(),
        log_ratios=none, base_values=none, head_values=none, started=none,
    )


def _notices(case: Case, manifest: Manifest, timed: int) -> Iterator[Notice]:
    """What a reader should know of one benchmark's blocks; `timed` as in `_Task`."""
    counted = scored(case.blocks)
    failures = [block.failure for block in case.blocks if block.failure is not None]
    passed = [failure for failure in failures if failure is not case.failure]
    if passed:
        where = f"{passed[-1].arm.value}: " if passed[-1].arm is not None else ""
        yield Notice(kind="tried-again", numbers={"times": len(passed), "reason": where + passed[-1].reason})
    for arm in Arm:
        name = f"gil_{arm.value}"
        if any(block.readings.get(name) for block in counted):
            yield Notice(kind="gil", numbers={"arm": arm.value})
    steal = [block.readings["steal"] for block in counted if "steal" in block.readings]
    if steal and (share := fmean(steal)) > HIGH_STEAL:
        yield Notice(kind="steal", numbers={"share": share})
    if case.judgement.exact and case.failure is None:
        base, head = (float(values(case.benchmark.metric, counted, arm)[0]) for arm in Arm)
        if base == 0 and head != 0:
            yield Notice(kind="from-zero", numbers={"base": base, "head": head})
    if case.no_ratio is not None:
        yield no_ratio(case.no_ratio)
    if case.benchmark.metric is not Metric.TIME or not counted:
        return
    cycles = float(median([min(len(block.base), len(block.head)) for block in counted]))
    if cycles < FEW_CYCLES:
        yield Notice(kind="few-cycles", numbers={"cycles": cycles})
    calls = counted[0].settings.calls
    if calls[Arm.BASE] != calls[Arm.HEAD]:
        yield Notice(kind="unequal-calls", numbers={"base": calls[Arm.BASE], "head": calls[Arm.HEAD]})
    if unsteady := next((block.unsteady for block in case.blocks if block.unsteady), ""):
        yield Notice(kind="unsteady-values", numbers={"between": unsteady})
    if uncovered := sorted({name for block in case.blocks for name in block.uncovered}):
        yield Notice(kind="extensions", numbers={"names": ", ".join(uncovered)})
    if case.failure is None:
        yield from guards.of_benchmark(counted, case.ratios, math.log1p(manifest.margin), timed)


def no_ratio(counts: tuple[float, float]) -> Notice:
    """Why counts that are not exact cannot be decided: base's and head's in a block in which they have no ratio."""
    base, head = counts
    return Notice(kind="no-ratio", numbers={"base": base, "head": head})


def _run_notices(
    run: Run, cases: Sequence[Case], comparisons: Sequence[Comparison], complete: bool, alarms: Iterable[Notice]
) -> Iterator[Notice]:
    yield from run.manifest.notices
    if run.manifest.fleet is not None:
        yield from machines.notices(run.manifest.fleet, comparisons)
    if run.manifest.scope == "binary":
        yield Notice(kind="layout")
    if run.torn:
        yield Notice(kind="torn-line")
    yield from alarms
    total = len(cases)
    # Those of both arms come first among the lines. What no budget would settle is none of its.
    lacking = [comparison for case, comparison in zip(cases, comparisons, strict=False)
               if not _has_ended(case, run.manifest.blocks)]
    if not complete:
        resume = f"lockstep resume {run.folder}"
        yield Notice(kind="interrupted", numbers={"done": total - len(lacking), "total": total, "resume": resume})
    elif lacking and run.manifest.budget is not None:
        away = sum(not comparison.reached for comparison in lacking)
        undecided = sum(comparison.verdict is Verdict.UNDECIDED for comparison in lacking)
        if undecided:
            yield Notice(kind="budget", numbers={"undecided": undecided - away, "not_reached": away})


def _mean(cases: Sequence[Case], layouts: int) -> Mean | None:
    timed = timings(cases)
    whole = mean_of(timed, layouts)
    return None if whole is None else mean_in_ratios(whole, mean_interval(whole), len(timed))


def mean_in_ratios(whole: Estimate, limits: tuple[float, float], count: int) -> Mean:
    """A mean over so many benchmarks, with the limits of its interval, as it is shown."""
    low, high = limits
    return Mean(ratio=exp(whole.mean), low=exp(low), high=exp(high), count=count)


def timings(cases: Sequence[Case]) -> list[Array]:
    """Log ratios of the timed benchmarks that reached a look and did not fail, up to that look."""
    return [
        case.ratios[: case.judgement.look] for case in cases
        if case.benchmark.metric is Metric.TIME and case.failure is None and case.judgement.look is not None
    ]

