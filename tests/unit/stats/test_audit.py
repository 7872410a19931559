"""The audit, audited: on simulated truth it passes the rule, and fails what is wrong in a known way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, ttest_1samp, ttest_ind

from runner.model import Arm, Block, Metric, Mode, Settings, Verdict
from runner.stats import audit, broken
from runner.stats.audit import AaAudit, Kind, Pair, Rate, Sample, Stratum, audit_aa, rate
from runner.stats.blocks import Evidence
from runner.stats.criteria import Criterion, State, criteria
from runner.stats.decide import LOOKS, suite
from runner.stats.paired import trimmed
from runner.stats.power import Truth, agreements, audit_planted, holds, truths

MARGIN = math.log1p(0.01)
QUIET = Stratum(kind=Kind.AA, pair=Pair.COPIES, mode=Mode.TURNS, neighbour=False)
PLANTED = replace(QUIET, kind=Kind.PLANTED)
TRUTH = replace(QUIET, kind=Kind.TRUTH)
CYCLES = 10
SECONDS = 0.12


def blocks(
    rng: np.random.Generator, truth: float, mode: Mode, spread: float, drift: float
) -> Callable[[int], Block]:
    """Any of a benchmark's: each has its own luck (`spread`), its slices have 2 % more, and the machine drifts."""
    settings = Settings(mode=mode, calls=dict.fromkeys(Arm, 10), cycles=CYCLES, window=0.0, warmup=0)
    count = LOOKS[-1]
    moment = 14.5 + np.linspace(0, drift, count)
    luck = rng.normal(0, spread / math.sqrt(2), (2, count))
    noise = rng.normal(0, 0.02, (2, CYCLES, count))
    base, head = np.exp(np.array([[[0.0]], [[truth]]]) + noise + luck[:, None, :] + moment).transpose(0, 2, 1)
    return lambda index: Block(
        benchmark="b", index=index, settings=settings, started=float(index), seconds=SECONDS,
        base=tuple(base[index].tolist()), head=tuple(head[index].tolist()), first=Arm.BASE, order="b" * CYCLES,
    )


def sampled(rng: np.random.Generator, truth: float, *, stratum: Stratum = QUIET, size: float | None = None,
            run: str = "run", name: str = "b", spread: float = 0.03, drift: float = 0.0) -> Sample:
    """One benchmark of a run of ten, sampled until the rule is content."""
    block, there = blocks(rng, truth, stratum.mode, spread, drift), list[Block]()
    evidence = Evidence(Metric.TIME)
    for look in LOOKS:
        for index in range(len(there), look):
            there.append(block(index))
            evidence.add(there[-1])
        judgement = evidence.judge(MARGIN, 10)
        if judgement.settled:
            break
    assert judgement.low is not None and judgement.high is not None
    return Sample(
        run=run, stratum=stratum, benchmark=name, size=size, blocks=tuple(there), verdict=judgement.verdict,
        low=judgement.low, high=judgement.high, seconds=sum(block.seconds for block in there),
    )


def runs_of_ten(rng: np.random.Generator, count: int) -> list[Sample]:
    """A/A runs as a calibration makes them, the suite's verdicts included; half of them drift."""
    found = []
    for number in range(count):
        drift = 0.08 if number % 2 else 0.0
        ten = [sampled(rng, 0.0, run=f"r{number}", name=f"b{i}", drift=drift, spread=0.012) for i in range(10)]
        among = suite([s.d for s in ten], MARGIN)
        found += [replace(s, verdict=one.judgement.verdict) for s, one in zip(ten, among, strict=True)]
    return found


@pytest.fixture(scope="module")
def nothing() -> list[Sample]:
    return runs_of_ten(np.random.default_rng(3), 42)


@pytest.fixture(scope="module")
def audited(nothing: list[Sample]) -> AaAudit:
    return audit_aa(nothing, MARGIN)


EMPTY = audit_aa([], MARGIN)


def verdicts(found: Sequence[Criterion], kind: str) -> dict[str, State]:
    return {one.about: one.state for one in found if one.kind == kind}


def test_the_rule_passes_and_each_broken_rule_is_caught(audited: AaAudit) -> None:
    whole = audited.strata[0]
    assert (whole.name, whole.rule.of, whole.suites.of) == ("all", 420, 42)
    assert whole.rule.low <= 0.05 and whole.tested.low <= 0.05 and whole.suites.low <= 1 / 40
    assert {name: broken.low > 0.05 for name, broken in whole.broken.items()} == {
        "pooled": True, "in sequence": True, "peeking": True,
    }
    found = criteria(audited, (), MARGIN, True)
    assert set(verdicts(found, "broken rule").values()) == {State.PASS}
    assert verdicts(found, "false changes") == {
        "all": State.PASS, "copies": State.PASS, "quiet": State.PASS, "turns": State.PASS,
        "neighbour": State.NOT_ENOUGH, "shared": State.NOT_ENOUGH, "adjacent": State.NOT_ENOUGH,
    }


@pytest.mark.parametrize(("where", "count", "of", "state", "told"), [
    ("turns", 20, 120, State.PASS, "turns"),  # one demand that is missed is enough
    ("turns", 8, 120, State.FAIL, "all"),
    ("shared", 20, 60, State.FAIL, "all"),  # too few in that stratum to say so
])
def test_a_broken_rule_is_caught_by_the_demand_that_it_misses(
    audited: AaAudit, where: str, count: int, of: int, state: State, told: str
) -> None:
    def rates(hits: int, among: int) -> dict[str, Rate]:
        return {"pooled": rate([True] * hits + [False] * (among - hits))}

    whole = replace(audited.strata[0], broken=rates(24, 400))
    part = replace(audited.strata[0], name=where, broken=rates(count, of))
    found = criteria(replace(audited, decisive=(whole, part)), (), MARGIN, True)
    (one,) = [one for one in found if one.kind == "broken rule"]
    assert (one.state, one.where) == (state, told)


def test_the_broken_rules_are_the_tests_that_they_are_named_for(nothing: list[Sample]) -> None:
    for sample in nothing[:60]:
        base, head = (np.array([getattr(block, arm) for block in sample.blocks]) for arm in ("base", "head"))
        first, half = np.log(head / base)[: LOOKS[0]].ravel(), len(base) // 2
        assert broken.pooled(sample.blocks) == (ttest_1samp(first, 0).pvalue < 0.05)
        before, after = (np.log(np.median(part, axis=1)) for part in (base[:half], head[half:]))
        assert broken.in_sequence(sample.blocks) == (ttest_ind(before, after, equal_var=False).pvalue < 0.05)


def test_p_values_of_nothing_are_flat(audited: AaAudit) -> None:
    histogram = audited.histogram
    assert sum(histogram) == 420
    assert sum((count - 42) ** 2 / 42 for count in histogram) < 27.9  # chi-square with 9 df, 1 in 1000


def test_a_rule_that_is_wrong_everywhere_fails() -> None:
    rng = np.random.default_rng(4)
    # Something is there, and the labels say that nothing is.
    forty = [sampled(rng, 0.03, spread=0.01) for _ in range(40)]
    biased = [replace(s, run=f"r{i // 10}") for i, s in enumerate(forty * 10)]
    found = criteria(audit_aa(biased, MARGIN), (), MARGIN, True)
    assert verdicts(found, "false changes")["all"] is State.FAIL
    assert verdicts(found, "wrong suites") == {"": State.FAIL}


def test_too_little_is_no_verdict(nothing: list[Sample]) -> None:
    found = criteria(audit_aa(nothing[:50], MARGIN), (), MARGIN, False)
    assert {one.state for one in found} == {State.NOT_ENOUGH}
    assert "layouts" in verdicts(found, "false changes")
    assert all(one.rate is None and one.there < one.needed for one in found)
    assert {(one.about, one.there) for one in found if one.kind == "false changes"} >= {("all", 50), ("layouts", 0)}
    assert criteria(EMPTY, (), MARGIN, False)


def test_a_demand_is_decided_by_its_first_comparisons_and_not_again(
    nothing: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the collection goes on after that: looked at anew each time, a demand would pass at some time."""
    for name, enough in (("COMPARISONS", 40), ("IN_STRATUM", 20), ("SUITES", 4)):
        monkeypatch.setattr(audit, name, enough)
    once = audit_aa(nothing[:40], MARGIN)
    more = audit_aa([*nothing[:40], *(replace(s, run="late", verdict=Verdict.SLOWER) for s in nothing[:20])], MARGIN)
    assert more.strata[0].rule.of == 60 and more.decisive[0].rule.of == once.decisive[0].rule.of == 40
    assert more.strata[0].suites.count == once.strata[0].suites.count + 1
    assert more.decisive == once.decisive
    assert criteria(more, (), MARGIN, True) == criteria(once, (), MARGIN, True)


def test_what_is_planted_is_decided_once_too() -> None:
    rng = np.random.default_rng(37)
    truth, first = planted(rng, 0.0195, 120, TRUTH, spread=0.003), planted(rng, 0.0195, 100)
    late = [replace(s, run="late") for s in [*planted(rng, 0.06, 20), *planted(rng, 0.03, 10, TRUTH)]]

    def decided(there: Sequence[Sample]) -> list[Criterion]:
        return [one for one in criteria(EMPTY, there, MARGIN, True) if one.kind in ("coverage", "found")]

    states = {(one.kind, one.about): one.state for one in decided([*truth, *first])}
    assert states[("coverage", "")] is states[("found", "2 % within 10 s")] is State.PASS
    assert states[("found", "1 % within 30 s")] is State.NOT_ENOUGH
    assert decided([*truth, *first, *late]) == decided([*truth, *first])
    # Without all of the truth's runs, no interval counts; without one interval, the rate is not told.
    assert decided([*truth[:-5], *first])[0].there == 0
    short = decided([*truth, *first[:-1]])[0]
    assert (short.state, short.rate, short.there, short.needed) == (State.NOT_ENOUGH, None, 99, 100)


def of(d: Sequence[float]) -> Sample:
    """A sample with these log ratios, a cycle a block."""
    one = sampled(np.random.default_rng(0), 0.0)
    there = [
        replace(one.blocks[0], index=index, base=(1e6 + index,), head=((1e6 + index) * math.exp(value),), order="b")
        for index, value in enumerate(d)
    ]
    return replace(one, blocks=tuple(there))


def test_every_look_counts_and_the_histogram_takes_the_first() -> None:
    late = of([0.03, -0.03] * 4 + [0.04, 0.02] * 16)  # nothing at 8 blocks, a clear change at 40
    audited = audit_aa([late], MARGIN)
    assert audited.strata[0].rule.count == audited.strata[0].tested.count == 1
    assert audited.histogram == (0,) * 9 + (1,)
    tiny = of([0.003, 0.005] * 4)  # real, and forgiven by the margin
    audited = audit_aa([tiny], MARGIN)
    assert (audited.strata[0].rule.count, audited.strata[0].tested.count) == (0, 1)


def test_a_rate_has_its_exact_interval() -> None:
    found = rate([True] * 3 + [False] * 37)
    assert (found.count, found.of, found.share) == (3, 40, 0.075)
    assert (found.low, found.high) == pytest.approx((beta.ppf(0.025, 3, 38), beta.ppf(0.975, 4, 37)))
    assert (rate([]).share, rate([]).low, rate([]).high) == (0.0, 0.0, 1.0)


def test_canaries_are_cut_where_the_rule_settles_them() -> None:
    rng = np.random.default_rng(5)
    calm = rng.normal(0, 0.004, 83)  # the same at the first look of six, 13 times; five are left over
    wild = rng.normal(0, 0.05, 39)  # no look but the last would settle it
    audited = audit_aa([], MARGIN, {"calm": calm, "wild": wild, "clear": rng.normal(0.1, 0.004, 16)})
    assert (audited.canary.count, audited.canary.of) == (2, 15)


def test_the_spread_of_layouts_is_recovered() -> None:
    rng = np.random.default_rng(6)
    fixed = replace(QUIET, pair=Pair.LAYOUTS_BINARY)
    drawn = rng.normal(0, 0.01, (120, 2))
    there = [
        sampled(rng, float(b - a), stratum=fixed, name=f"b{i % 2}", spread=0.01) for i, (a, b) in enumerate(drawn)
    ]
    audited = audit_aa(there, MARGIN)
    assert audited.strata == ()  # their difference is real, so they are no test of the rule
    whole, *each = audited.floor
    assert (whole.benchmark, whole.comparisons, len(each)) == ("all", 120, 2)
    assert whole.deviation == pytest.approx(0.01, rel=0.2)
    assert whole.changes.share > 0.3


def test_layouts_that_do_not_matter_have_no_spread() -> None:
    rng = np.random.default_rng(7)
    fixed = replace(QUIET, pair=Pair.LAYOUTS_BINARY)
    audited = audit_aa([sampled(rng, 0.0, stratum=fixed, spread=0.03) for _ in range(60)], MARGIN)
    assert audited.floor[0].deviation < 0.0026  # 0.0035, were the estimates' own error taken for layout


def planted(
    rng: np.random.Generator, truth: float, count: int, stratum: Stratum = PLANTED, spread: float = 0.008
) -> list[Sample]:
    return [
        sampled(rng, truth, stratum=stratum, size=0.02, name=f"b{i % 5}", run=f"p{i // 5}", spread=spread)
        for i in range(count)
    ]


def test_the_truth_is_what_all_blocks_say_together() -> None:
    rng = np.random.default_rng(8)
    there = planted(rng, 0.017, 250, TRUTH)
    found = truths(there)
    assert [(one.benchmark, one.size) for one in found] == [(f"b{i}", 0.02) for i in range(5)]
    for one in found:
        assert one.blocks == sum(s.d.size for s in there if s.benchmark == one.benchmark)
        assert one.enough and abs(one.mean - 0.017) < 4 * one.se
    assert not any(one.enough for one in truths(there[:5]))


@pytest.mark.parametrize(("bend", "together"), [(0.0, True), (0.02, False)])
def test_the_sizes_of_a_workload_are_taken_together_unless_they_contradict(bend: float, together: bool) -> None:
    rng = np.random.default_rng(19)
    there = [
        sampled(rng, math.log1p(0.9 * size) + bend * (size == 0.05), stratum=TRUTH, size=size, run=f"r{i}",
                name=f"work.time_it(percent={100 * size:g})", spread=0.01)
        for i in range(12) for size in (0.005, 0.01, 0.02, 0.05)
    ]
    for one in truths(there):
        assert abs(one.alone - math.log1p(0.9 * one.size) - bend * (one.size == 0.05)) < 4 * one.alone_se
        if together:
            assert one.se < one.alone_se / (1.5 if one.size <= 0.01 else 1)
            assert abs(one.mean - math.log1p(0.9 * one.size)) < 4 * one.se
        else:
            assert (one.mean, one.se) == (one.alone, one.alone_se)


def test_what_the_blocks_of_a_run_share_is_part_of_the_error() -> None:
    rng = np.random.default_rng(18)
    drawn = rng.normal(0.02, 0.01, 30)
    there = [
        sampled(rng, float(truth), stratum=TRUTH, size=0.02, run=f"r{i}", spread=0.005) for i, truth in enumerate(drawn)
    ]
    (found,) = truths(there)
    assert found.se == pytest.approx(0.01 / math.sqrt(30), rel=0.3)
    assert not found.enough and abs(found.mean - 0.02) < 4 * found.se
    (two,) = truths(there[:2])
    assert two.se == trimmed(np.concatenate([one.d for one in there[:2]])).se  # too few runs to see it


def test_what_is_planted_is_found_and_its_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(9)
    there = planted(rng, 0.0195, 120)
    telling = planted(rng, 0.0195, 120, TRUTH, spread=0.003)
    truth = truths(telling)
    (line,) = audit_planted(there, truth)
    assert (line.size, line.mode, line.neighbour, line.found.of) == (0.02, Mode.TURNS, False, 120)
    assert line.found.share > 0.9 and line.reversed.count == 0
    assert line.plain.low <= 0.95 <= line.plain.high and line.shown.share >= 0.95
    assert LOOKS[0] * SECONDS <= line.seconds <= line.slow_seconds <= LOOKS[-2] * SECONDS + 1e-9
    assert line.within_30.count == line.found.count
    late = [replace(s, seconds=20.0) for s in there]
    (slow,) = audit_planted(late, truth)
    assert (slow.within_10.count, slow.within_30.count) == (0, line.found.count)
    assert verdicts(criteria(EMPTY, [*telling, *there], MARGIN, True), "coverage") == {"": State.PASS}
    assert verdicts(criteria(EMPTY, there, MARGIN, True), "found")["2 % within 10 s"] is State.PASS
    assert verdicts(criteria(EMPTY, late, MARGIN, True), "found")["2 % within 10 s"] is State.FAIL


def test_intervals_beside_the_truth_fail() -> None:
    rng = np.random.default_rng(10)
    there = [*planted(rng, 0.02, 120, TRUTH, spread=0.003), *planted(rng, 0.035, 100)]
    assert verdicts(criteria(EMPTY, there, MARGIN, True), "coverage") == {"": State.FAIL}


def test_without_enough_truth_nothing_is_said_of_coverage() -> None:
    rng = np.random.default_rng(11)
    (line,) = audit_planted(planted(rng, 0.02, 20), truths(planted(rng, 0.02, 5, TRUTH)))
    assert (line.found.of, line.shown.of, line.plain.of) == (20, 0, 0)


def test_wrong_signs_and_sameness_are_counted() -> None:
    one = planted(np.random.default_rng(12), 0.02, 1)[0]
    there = [replace(one, verdict=verdict) for verdict in Verdict]
    (line,) = audit_planted(there, ())
    assert (line.found.count, line.reversed.count, line.same.count, line.found.of) == (1, 1, 1, len(Verdict))


@pytest.mark.parametrize(("bias", "disagrees"), [(0.0, False), (0.003, False), (0.011, True), (-0.011, True)])
def test_a_planted_bias_of_one_mode_is_found(bias: float, disagrees: bool) -> None:
    rng = np.random.default_rng(13)
    there = [
        *planted(rng, 0.0195, 60), *planted(rng, 0.0195 + bias, 60, replace(PLANTED, mode=Mode.SHARED)),
        *planted(rng, 0.5, 40, replace(PLANTED, mode=Mode.SHARED, neighbour=True)),  # no part of it
        *planted(rng, 0.0195, 60, replace(PLANTED, mode=Mode.ADJACENT)),
    ]
    shared, adjacent = agreements(there, MARGIN)
    assert (shared.mode, shared.workloads, shared.size) == (Mode.SHARED, 5, 0.02)
    assert abs(shared.difference - bias) < 4 * shared.se < 0.01
    assert (shared.disagrees, adjacent.disagrees) == (disagrees, False)
    again = [*(replace(s, size=0.05) for s in there), *there]
    found = verdicts(criteria(EMPTY, again, MARGIN, True), "agreement")
    assert found == {"shared": State.FAIL if disagrees else State.PASS, "adjacent": State.PASS}


def test_a_mode_without_enough_data_does_not_disagree() -> None:
    rng = np.random.default_rng(14)
    wild = sampled(rng, 0.05, stratum=replace(PLANTED, mode=Mode.SHARED), size=0.02, spread=0.4)
    (line,) = agreements([*planted(rng, 0.02, 5), replace(wild, benchmark="b0")], MARGIN)
    assert line.workloads == 1 and not line.disagrees
    assert agreements(planted(rng, 0.02, 5), MARGIN) == ()


def test_an_interval_counts_the_error_of_the_truth() -> None:
    truth = Truth(benchmark="b", size=0.02, mean=0.02, se=0.0, alone=0.02, alone_se=0.0, blocks=100)
    assert holds(0.01, 0.03, truth) and holds(0.0199, 0.03, truth) and not holds(0.021, 0.03, truth)
    unsure = replace(truth, se=0.0009)
    half = math.hypot(0.0045, 1.96 * 0.0009)
    assert holds(0.0245 - 0.0045 - (half - 0.0045) + 1e-9, 0.029, unsure)
    assert not holds(0.0245 + 2 * half, 0.0245 + 2 * half + 0.009, unsure)
    # Alone, each of two such estimates is as far off as its own error says; coverage then is what it should be.
    rng = np.random.default_rng(15)
    covered = []
    for _ in range(2000):
        known = Truth(benchmark="b", size=0.02, mean=rng.normal(0, 9e-4), se=9e-4, alone=0.0, alone_se=1.0, blocks=100)
        mean = rng.normal(0, 2e-3)
        covered.append(holds(mean - 1.96 * 2e-3, mean + 1.96 * 2e-3, known))
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_broken_rules_find_what_is_there_in_every_mode() -> None:
    for mode in Mode:
        sample = sampled(np.random.default_rng(16), 0.1, stratum=replace(QUIET, mode=mode), spread=0.001)
        whole = audit_aa([sample], MARGIN).strata[0]
        assert [broken.count for broken in whole.broken.values()] == [1, 1, 1]


@pytest.mark.parametrize(("wrong", "state"), [(1, State.PASS), (2, State.FAIL)])
def test_one_wrong_report_in_forty_is_allowed(audited: AaAudit, wrong: int, state: State) -> None:
    counted = replace(audited.strata[0], suites=rate([True] * wrong + [False] * (40 - wrong)))
    found = criteria(replace(audited, decisive=(counted,)), (), MARGIN, True)
    assert verdicts(found, "wrong suites") == {"": state}


def test_the_whole_suite_is_what_makes_a_report_wrong(nothing: list[Sample]) -> None:
    calm = [replace(s, verdict=Verdict.UNDECIDED) for s in nothing[:30]]
    calm[0], calm[1] = replace(calm[0], verdict=Verdict.FASTER), replace(calm[1], verdict=Verdict.SLOWER)
    suites = audit_aa(calm, MARGIN).strata[0].suites
    assert (suites.count, suites.of) == (1, 3)
