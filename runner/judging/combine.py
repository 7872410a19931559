"""Several runs of one comparison in, one report out: other days, other machines of one kind (docs/method.md)."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from runner.builds import packages
from runner.errors import UsageError, listed
from runner.judging import compare
from runner.judging.compare import Case, no_ratio
from runner.judging.report import Mean, Report
from runner.model import Benchmark, Cause, Failure, Interpreter, Metric, Notice, Verdict
from runner.stats.blocks import judge_blocks, scored
from runner.stats.claims import TOTAL
from runner.stats.combine import LEAST_SUITE, Combined, combine, contradiction
from runner.stats.decide import Judgement, judge_estimate, together
from runner.stats.mean import mean_of
from runner.stats.paired import Estimate, interval
from runner.storage.store import Manifest, Run
from runner.suites import fingerprint

ALARM = 0.01
"""Error over a whole report of each of two claims: that runs differ in truth, and that one contradicts the others."""
NAMED = 3
"""Benchmarks that a refusal names."""
OF_ONE = ("layout", "interrupted", "budget", "no-ratio")
"""Notices of a run that are not repeated: said anew of the whole, or no longer true of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run that is combined with others, and its own report."""

    run: Run
    report: Report

    @property
    def id(self) -> str:
        return self.run.manifest.id


def combined(sources: Sequence[Source]) -> Report:
    """One report of all runs, in which every benchmark is judged by its estimates in the runs.

    Raises UsageError where the runs are not independent ones of one comparison: fewer than two, one of them twice, two
    of one seed, other builds, benchmarks, scope, margin, or version of the run folder.
    """
    check([source.run for source in sources])
    manifest = sources[0].run.manifest
    margin = math.log1p(manifest.margin)
    judged = {source.id: {case.benchmark.key: case for case in compare.judged(source.run)} for source in sources}
    repeated = [
        _Repeated(benchmark=one, cases={id: cases[one.key] for id, cases in judged.items()}, margin=margin)
        for one in manifest.benchmarks
    ]
    results = _results(repeated)
    lines = _together(repeated, results, margin)
    begun = min(source.run.manifest.created for source in sources)
    against = _contradictions(repeated, len(results))
    notices = {source.id: {one.key: one.notices for one in source.report.comparisons} for source in sources}
    comparisons = [
        # Where the noise of several runs comes from is not what the components of one run's blocks say.
        compare.line(case, begun, (
            *_gathered({id: of[one.benchmark.key] for id, of in notices.items()}, but=OF_ONE),
            *_notices(one, results.get(one.benchmark.key), margin, len(results)),
            *against.get(one.benchmark.key, ())), with_noise=False)
        for case, one in zip(lines, repeated, strict=True)
    ]
    by_key = _hosts(sources)
    comparisons = [replace(one, host=", ".join(by_key[one.key])) for one in comparisons]
    seconds = sum(source.report.seconds for source in sources)
    measured = sum(source.report.seconds * source.report.measured_share for source in sources)
    absent = sources[0].report.comparisons[len(comparisons) :]
    return replace(
        sources[0].report, run=" + ".join(source.id for source in sources),
        folder=", ".join(source.report.folder for source in sources),
        machine=merged([source.report.machine for source in sources]),
        command=shlex.join(["lockstep", "combine", *(source.id for source in sources)]), started=begun,
        seconds=seconds, measured_share=measured / seconds if seconds > 0 else 0.0,
        complete=all(source.report.complete for source in sources), comparisons=[*comparisons, *absent],
        mean=_mean(repeated, [compare.layouts_of(source.run.manifest) for source in sources]), notices=(
            _summary(sources, results, margin), *_contradicting(against), *_run_notices(sources)),
    )


def _hosts(sources: Sequence[Source]) -> dict[str, list[str]]:
    """The machines of a fleet that have measured each benchmark, in the order of the runs."""
    found: dict[str, list[str]] = {}
    for source in sources:
        for one in source.report.comparisons:
            found.setdefault(one.key, []).extend([one.host] if one.host else [])
    return found


def check(runs: Sequence[Run]) -> None:
    """Raise UsageError, which says why, where runs cannot be combined."""
    if len(runs) < 2:
        raise UsageError("one run is no repetition; name two runs or more (`lockstep show RUN` shows one).")
    manifests = [run.manifest for run in runs]
    for id, count in Counter(manifest.id for manifest in manifests).items():
        if count > 1:
            raise UsageError(f"run {id} was named {count} times, but it measured once; name each run once.")
    first = manifests[0]
    arms = _identity(first.base), _identity(first.head)
    for other in manifests[1:]:
        pair = f"runs {first.id} and {other.id}"
        if other.schema != first.schema:
            raise UsageError(f"{pair} were written by different versions of Lockstep ({first.schema}, {other.schema}) "
                             "and were not measured alike; combine runs of one version.")
        theirs = _identity(other.base), _identity(other.head)
        if (theirs != arms and theirs == arms[::-1]) or _exchanged(first, other):
            raise UsageError(f"{pair} have base and head swapped: {first.base.spec} is base in the first and head in "
                             "the second. Repeat one of them with the arms in the other's order.")
        for name, one, two, mine, its in (
            ("base", first.base, other.base, arms[0], theirs[0]), ("head", first.head, other.head, arms[1], theirs[1]),
        ):
            if mine != its:
                raise UsageError(f"{pair} measured different builds as {name}: {one.spec} ({_short(mine)}) and "
                                 f"{two.spec} ({_short(its)}); combine runs of the same two builds.")
        _check_suite(pair, _versions(first.benchmarks), _versions(other.benchmarks))
        if {missing.benchmark.key for missing in first.missing} != {missing.benchmark.key for missing in other.missing}:
            raise UsageError(f"{pair} lack different benchmarks in one arm; were they measured with the same packages?")
        if other.scope != first.scope:
            raise UsageError(f"{pair} have different scopes, {first.scope} and {other.scope}: their verdicts are about "
                             "different things. Repeat one of them with the other's --scope.")
        if other.given != first.given:
            raise UsageError(f"{pair} were measured with different variables: {_given(first.given)} and "
                             f"{_given(other.given)}. Repeat one of them with the other's --env.")
        if other.margin != first.margin:
            raise UsageError(f"{pair} have different margins, {first.margin * 100:g} % and {other.margin * 100:g} %, "
                             "which decided when they stopped. Repeat one of them with the other's --margin.")
    by_seed: dict[int, str] = {}
    for manifest in manifests:
        earlier = by_seed.setdefault(manifest.seed, manifest.id)
        if earlier != manifest.id:
            raise UsageError(f"runs {earlier} and {manifest.id} have one seed, {manifest.seed}: layouts, hash seeds "
                             "and addresses are the same in both, so that they do not repeat each other. Repeat one of "
                             "them without --seed.")


def _exchanged(first: Manifest, other: Manifest) -> bool:
    """Whether the arms have each other's packages: two virtual environments of one interpreter are told apart by these
    alone."""
    mine, its = (first.base.packages, first.head.packages), (other.base.packages, other.head.packages)
    alike = _identity(first.base) == _identity(first.head)
    return alike and None not in mine and mine[0] != mine[1] and its == mine[::-1]


def _given(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(variables.items())) or "none"


def _check_suite(pair: str, mine: Mapping[str, str], its: Mapping[str, str]) -> None:
    for what, keys in (
        ("only the first has", mine.keys() - its.keys()), ("only the second has", its.keys() - mine.keys()),
        ("different versions have", {key for key in mine.keys() & its.keys() if mine[key] != its[key]}),
    ):
        if keys:
            raise UsageError(f"{pair} measured different benchmarks: {what} {listed(sorted(keys), NAMED)}. "
                             "Combine runs of one suite, with the same -b.")


def _unlike(sources: Sequence[Source]) -> Iterator[Notice]:
    """What is not alike in the runs and does not keep them from being combined: each against the first."""
    first, *others = (source.run.manifest for source in sources)
    for other in others:
        found: list[tuple[str, str, str]] = []
        for arm, mine, its in (("base", first.base, other.base), ("head", first.head, other.head)):
            if mine.build is not None and its.build is not None and mine.build.compiler != its.build.compiler:
                found.append((f"the compiler of {arm}", mine.build.compiler, its.build.compiler))
            if mine.packages is not None and its.packages is not None and mine.packages != its.packages:
                found.append((f"the packages of {arm}", *packages.differences(mine.packages, its.packages)))
        for name in sorted({*first.settings, *other.settings}):
            one, two = (str(settings.get(name, "default")) for settings in (first.settings, other.settings))
            if one != two:
                found.append((f"--{name.replace('_', '-')}", one, two))
        if first.suite_files and other.suite_files:
            unlike = fingerprint.differences(first.suite_files, other.suite_files)
            if unlike:
                found.append(("the suite's files", "", listed(unlike)))
        for what, of_first, of_other in found:
            yield Notice(kind="unlike-runs", numbers={
                "first": first.id, "second": other.id, "what": what, "one": of_first, "other": of_other})


def _versions(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    return {benchmark.key: benchmark.version for benchmark in benchmarks}


def _identity(arm: Interpreter) -> tuple[str, ...]:
    """What makes an interpreter the same one elsewhere: what a build is made of, or a ready-made file's content."""
    build = arm.build
    if build is None:
        return (arm.sha256,) if arm.installed is None else (arm.installed.commit, arm.sha256)
    layout = () if build.layout is None else (f"layout={build.layout}",)
    return build.source_hash, build.edits_hash, *build.flags, *layout


def _short(identity: tuple[str, ...]) -> str:
    hashes = "+".join(part[:8] for part in identity[:2])
    return " ".join([hashes, *identity[2:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeated:
    """One benchmark in all runs."""

    benchmark: Benchmark
    cases: Mapping[str, Case]
    """By the run's id."""
    margin: float

    @property
    def exact(self) -> Judgement | None:
        """The judgement of a count that is the same number in all runs, or None."""
        if not all(case.judgement.exact for case in self.cases.values()):
            return None
        blocks = [block for case in self.cases.values() for block in case.blocks]
        whole = judge_blocks(self.benchmark.metric, blocks, self.margin)
        return whole if whole.exact else None

    @property
    def estimates(self) -> dict[str, Estimate]:
        """By the run's id, of the runs that reached a look; where sampling stopped there, at that look."""
        return {
            id: case.judgement.estimate for id, case in self.cases.items()
            if case.failure is None and case.judgement.look is not None and case.judgement.estimate is not None
        }

    @property
    def failure(self) -> Failure | None:
        """Of the first run in which it failed. One that some runs skip is judged by the others; one that all skip is
        skipped, or only in one arm where all say so."""
        skips = []
        for id, case in self.cases.items():
            if case.failure is not None and case.failure.cause is Cause.SKIPPED:
                skips.append(case.failure)
            elif case.failure is not None:
                return replace(case.failure, reason=f"{case.failure.reason} (run {id})")
        if len(skips) < len(self.cases):
            return None
        return skips[0] if len({skip.arm for skip in skips}) == 1 else replace(skips[0], arm=None)

    @property
    def no_ratio(self) -> tuple[float, float] | None:
        """Two counts of which there is no ratio: of a block, or of a run where each run has others, if exact ones."""
        found = next((case.no_ratio for case in self.cases.values() if case.no_ratio is not None), None)
        counted = all(case.judgement.exact for case in self.cases.values())
        if found is not None or not counted or self.exact is not None or len(self.estimates) == len(self.cases):
            return found
        blocks = (block for case in self.cases.values() if case.judgement.estimate is None
                  for block in scored(case.blocks) if block.base != block.head)
        return next(((float(block.base[0]), float(block.head[0])) for block in blocks), None)


def _results(repeated: Sequence[_Repeated], without: str | None = None) -> dict[str, Combined]:
    """The benchmarks that two runs or more have an estimate of, combined; by key. A run may be left out."""
    results: dict[str, Combined] = {}
    for timed in (True, False):  # what timings know of the spread between runs is of no use to memory and counts
        pooled = {}
        for one in repeated:
            if (one.benchmark.metric is Metric.TIME) is timed and one.failure is None and one.exact is None:
                estimates = [estimate for id, estimate in one.estimates.items() if id != without]
                if len(estimates) >= 2:
                    pooled[one.benchmark.key] = estimates
        results |= zip(pooled, combine(list(pooled.values())), strict=True)
    return results


def _together(repeated: Sequence[_Repeated], results: Mapping[str, Combined], margin: float) -> list[Case]:
    """One case for each benchmark, with the blocks of all runs and the judgement that the whole allows."""
    alone = [judge_estimate(result.estimate, margin) for result in results.values()]
    among = dict(zip(results, together(alone, margin, once=True), strict=True))
    cases = []
    for one in repeated:
        key = one.benchmark.key
        own = next(iter(one.cases.values()))
        case = replace(
            own, blocks=[block for case in one.cases.values() for block in case.blocks],
            scored=sum(case.scored for case in one.cases.values()),
            ratios=np.concatenate([case.ratios for case in one.cases.values()]), failure=one.failure,
            no_ratio=None if one.failure is not None else one.no_ratio,
        )
        if key in among:
            case = replace(case, judgement=among[key].judgement, q=among[key].q)
        else:
            case = replace(case, judgement=one.exact or _unjudged(own.judgement))
        cases.append(case)
    return cases


def _unjudged(judgement: Judgement) -> Judgement:
    """Of a benchmark that fewer than two runs have judged: no claim, and no interval."""
    return replace(judgement, verdict=Verdict.UNDECIDED, clear=False, tiny=False, estimate=None, low=None, high=None,
                   look=None, p=None, p_same=None, needed=None)


def _contradictions(repeated: Sequence[_Repeated], count: int) -> dict[str, list[Notice]]:
    """Runs that the others do not predict: each is left out in turn. Needs three, or it is one word against another."""
    found: dict[str, list[Notice]] = {}
    ids = list(repeated[0].cases) if repeated else []
    for id in ids:
        others = _results(repeated, without=id)
        for one in repeated:
            own, rest = one.estimates.get(id), others.get(one.benchmark.key)
            if own is not None and rest is not None and contradiction(own, rest) <= ALARM / (count * len(ids)):
                notice = Notice(kind="contradicting-run", numbers={
                    "run": id, "ratio": math.exp(own.mean), "others": math.exp(rest.estimate.mean)})
                found.setdefault(one.benchmark.key, []).append(notice)
    return found


def _contradicting(against: Mapping[str, Sequence[Notice]]) -> Iterator[Notice]:
    """The runs that contradict the others, told of the whole too: the most contradictory one first."""
    count = Counter(str(notice.numbers["run"]) for notices in against.values() for notice in notices)
    for run, benchmarks in count.most_common():
        yield Notice(kind="contradicting-runs", numbers={"run": run, "benchmarks": benchmarks})


def _differs(result: Combined, margin: float, count: int) -> bool:
    """Whether the runs differ in truth, by enough to matter."""
    return result.p <= ALARM / count and result.own_tau > margin / 2


def _notices(one: _Repeated, result: Combined | None, margin: float, count: int) -> Iterator[Notice]:
    if result is not None and _differs(result, margin, count):
        ratios = [estimate.mean for estimate in one.estimates.values()]
        yield Notice(kind="heterogeneous", numbers={
            "spread": math.expm1(result.own_tau), "share": result.i2, "p": result.p, "low": math.exp(min(ratios)),
            "high": math.exp(max(ratios))})
    judged = len(one.estimates)
    if one.failure is None and one.no_ratio is not None:
        yield no_ratio(one.no_ratio)
    elif one.failure is None and one.exact is None and judged < len(one.cases):
        yield Notice(kind="fewer-runs", numbers={"judged": judged, "runs": len(one.cases)})


def _summary(sources: Sequence[Source], results: Mapping[str, Combined], margin: float) -> Notice:
    taus = [result.tau if len(results) >= LEAST_SUITE else result.own_tau for result in results.values()]
    return Notice(kind="combined", numbers={
        "runs": ", ".join(source.id for source in sources), "count": len(sources), "benchmarks": len(results),
        "spread": math.expm1(float(np.median(taus))) if taus else 0.0,
        "heterogeneous": sum(_differs(result, margin, len(results)) for result in results.values())})


def _run_notices(sources: Sequence[Source]) -> Iterator[Notice]:
    for source in sources:
        for notice in source.report.notices:
            if notice.kind == "interrupted":
                done, total = notice.numbers["done"], notice.numbers["total"]
                yield Notice(kind="interrupted-run", numbers={"run": source.id, "done": done, "total": total})
    yield from _unlike(sources)
    if sources[0].run.manifest.scope == "binary":
        yield Notice(kind="layout")
    yield from _gathered({source.id: source.report.notices for source in sources}, but=OF_ONE)


def _gathered(by_run: Mapping[str, Sequence[Notice]], but: Sequence[str] = ()) -> Iterator[Notice]:
    """Notices of single runs: once where all runs have one, otherwise with the run's id."""
    sets = list(by_run.values())
    for id, notices in by_run.items():
        for notice in notices:
            if notice.kind in but:
                continue
            if not all(notice in others for others in sets):
                numbers: dict[str, float | int | str] = {**notice.numbers, "of_run": id}
                yield replace(notice, numbers=numbers)
            elif notices is sets[0]:
                yield notice


def merged(machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is alike as it is; otherwise what each run's machine says, in their order."""
    merged: dict[str, Any] = {}
    for key in dict.fromkeys(key for machine in machines for key in machine):
        values = [machine.get(key) for machine in machines]
        merged[key] = values[0] if all(value == values[0] for value in values) else " / ".join(map(str, values))
    return merged


def _mean(repeated: Sequence[_Repeated], layouts: Sequence[int]) -> Mean | None:
    """The geometric mean of each run over the timings that all of them have, combined like one benchmark's estimates.

    So its interval allows for what all benchmarks have in common in a run. `layouts` are those of each run.
    """
    timed = [one for one in repeated if one.benchmark.metric is Metric.TIME and one.failure is None]
    rows = [compare.timings(list(one.cases.values())) for one in timed if len(one.estimates) == len(one.cases)]
    means = [mean_of([row[run] for row in rows], count) for run, count in enumerate(layouts)]
    estimates = [mean for mean in means if mean is not None]
    if len(estimates) < 2:
        return None
    whole = combine([estimates])[0].estimate
    return compare.mean_in_ratios(whole, interval(whole, TOTAL), len(rows))
