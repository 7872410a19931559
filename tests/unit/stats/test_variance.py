"""Variance components against simulated truth: each planted, the intervals' coverage, and the laws of the advice."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from runner.model import Arm, Block, Mode, Settings
from runner.stats.variance import Layouts, Means, Noise, Source, limits, noise

TURNS = Settings(mode=Mode.TURNS, calls={Arm.BASE: 100, Arm.HEAD: 100}, cycles=10, window=0.0, warmup=2)
TRUTH = {Source.LAYOUT: 0.010, Source.TIME: 0.008, Source.PROCESS: 0.006, Source.REST: 0.015}


def block(index: int, **changes: Any) -> Block:
    facts: dict[str, Any] = {
        "benchmark": "work.time_it", "index": index, "settings": TURNS, "started": 1.7e9 + index, "seconds": 0.25,
        "base": (2_000_000, 2_100_000), "head": (2_200_000, 2_050_000), "first": Arm.BASE, "order": "bh",
    }
    return Block(**(facts | changes))


def simulated(
    seed: int, sd: dict[Source, float], *, layouts: int = 6, per_layout: int = 6, cycles: int = 10,
    mode: Mode = Mode.TURNS, one_each: bool = False,
) -> list[Block]:
    """Blocks of known truth. Layout is half common to the arms; in `turns`, so is half of time's variance a cycle's."""
    rng = np.random.default_rng(seed)
    effects = {source: sd.get(source, 0.0) for source in Source}
    places = {number: rng.normal(0, effects[Source.LAYOUT], 3) for number in range(layouts)}
    blocks = []
    for index in range(layouts * per_layout):
        number = index if one_each else index % layouts
        common, *own = places.get(number, rng.normal(0, effects[Source.LAYOUT], 3))
        shares = (0.5, 0.5) if mode is Mode.TURNS else (1.0, 0.0)
        moment = rng.normal(0, effects[Source.TIME] * math.sqrt(shares[0]))
        moments = rng.normal(0, effects[Source.TIME] * math.sqrt(shares[1]), cycles)
        arms = []
        for arm in (0, 1):
            layout = math.sqrt(0.5) * (common + own[arm])
            process = rng.normal(0, effects[Source.PROCESS])
            count = cycles if mode is Mode.TURNS else cycles - 3 + int(rng.integers(7))
            drawn = rng.normal(0, effects[Source.REST], count)
            if mode is Mode.TURNS:
                drawn += moments
            arms.append(tuple((2e6 * (1 + 0.02 * arm) * np.exp(layout + moment + process + drawn)).tolist()))
        settings = replace(TURNS, mode=mode)
        layout_of = number if layouts > 1 or one_each else None
        blocks.append(block(index=index, base=arms[0], head=arms[1], settings=settings, layout=layout_of))
    return blocks


def found(blocks: list[Block], link: float = 0.0) -> Noise:
    result = noise(blocks, link=link)
    assert result is not None
    return result


@cache
def true(seed: int, mode: Mode = Mode.TURNS) -> tuple[Noise, float]:
    """What is found in blocks of the usual truth, and their mean log ratio."""
    blocks = simulated(seed, TRUTH, mode=mode)
    return found(blocks), fmean(fmean(np.log(b.head)) - fmean(np.log(b.base)) for b in blocks)


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize("mode", [Mode.TURNS, Mode.SHARED])
def test_a_planted_component_is_found_where_it_was_planted(source: Source, mode: Mode) -> None:
    """One large component among small ones: on average its share is the true one."""
    sd = dict.fromkeys(Source, 0.002) | {source: 0.02}
    shares = []
    for seed in range(30):
        component = found(simulated(seed, sd, mode=mode)).of(source)
        assert component is not None
        shares.append(component.share.value)
    assert fmean(shares) > 0.87


@pytest.mark.parametrize("mode", [Mode.TURNS, Mode.SHARED])
def test_the_variances_are_right_on_average_and_covered(mode: Mode) -> None:
    """Mean of 250 estimated variances within 8 %, and the intervals of sd and share hold the truth in about 95 %."""
    total = sum(sd**2 for sd in TRUTH.values())
    results = [true(seed, mode)[0] for seed in range(250)]
    for source, sd in TRUTH.items():
        components = [component for one in results if (component := one.of(source)) is not None]
        assert len(components) == 250
        assert fmean(c.sd.value**2 for c in components) == pytest.approx(sd**2, rel=0.08), source
        covered = fmean(c.sd.low <= sd <= c.sd.high for c in components)
        assert 0.92 <= covered <= 0.985, (source, covered)
        covered = fmean(c.share.low <= sd**2 / total <= c.share.high for c in components)
        assert 0.92 <= covered <= 0.99, (source, covered)


def test_a_few_interrupted_slices_do_not_hide_the_rest() -> None:
    """One slice in fifty takes five times as long. The components are those of the others, and it is said how many."""
    results = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 1])
        blocks = [
            replace(one, base=tuple(np.where(rng.random(20) < 0.02, 5, 1) * one.base),
                    head=tuple(np.where(rng.random(20) < 0.02, 5, 1) * one.head))
            for one in simulated(seed, TRUTH, cycles=20)
        ]
        results.append(found(blocks))
    for source, sd in TRUTH.items():
        components = [component for one in results if (component := one.of(source)) is not None]
        # Unclipped, the rest would be 150 times as large, and the others would be lost in its interval.
        assert 0.8 < fmean(c.sd.value**2 for c in components) / sd**2 < (2 if source is Source.REST else 1.3), source
    assert 0.03 < fmean(one.clipped for one in results) < 0.05, "a slice is in u and in w"


def test_a_component_that_is_not_there_is_zero_and_said_so() -> None:
    """Without a process effect, about half of the estimates are below 0; the interval starts at 0 in nearly all."""
    sd = TRUTH | {Source.PROCESS: 0.0}
    components = [found(simulated(seed, sd)).of(Source.PROCESS) for seed in range(120)]
    negative = [c for c in components if c is not None and c.negative]
    assert 0.3 < len(negative) / 120 < 0.7
    assert all(c.sd.value == 0 and c.share.value == 0 for c in negative)
    assert fmean(c is not None and c.sd.low == 0 for c in components) > 0.95


def test_the_shares_add_up_to_one() -> None:
    for seed in range(30):
        assert sum(c.share.value for c in true(seed)[0].components) == pytest.approx(1)


def test_a_layout_for_each_block_cannot_be_told_from_the_process() -> None:
    merged = found(simulated(1, TRUTH, layouts=36, per_layout=1, one_each=True))
    assert merged.layouts is Layouts.MERGED
    assert merged.of(Source.LAYOUT) is None and merged.spread is None
    process = merged.of(Source.PROCESS)
    assert process is not None
    # Its own part of layout is in it: half of layout's variance.
    assert process.sd.low < math.sqrt(0.5 * 0.010**2 + 0.006**2) < process.sd.high


def test_without_layouts_nothing_is_said_of_them() -> None:
    one = found(simulated(2, TRUTH, layouts=1, per_layout=24))
    assert (one.layouts, one.of(Source.LAYOUT), one.numbers[:2]) == (Layouts.ONE, None, (1, 24))
    assert {way.means for way in one.ways} == {Means.CYCLES, Means.BLOCKS}


def test_the_gain_of_pairing_is_that_of_the_correlation_and_covered() -> None:
    sd = {Source.TIME: 0.02, Source.PROCESS: 0.01, Source.REST: 0.01}
    # Of blocks' means: half of time's variance and the other half over 10 cycles are common.
    common, own = 0.02**2 * (0.5 + 0.5 / 10), 0.01**2 + 0.01**2 / 10
    truth = 1 / (1 - common / (common + own))
    results = [found(simulated(seed, sd, layouts=1, per_layout=24)).pairing for seed in range(200)]
    assert float(np.median([one.value for one in results])) == pytest.approx(truth, rel=0.1)
    assert 0.92 <= fmean(one.low <= truth <= one.high for one in results) <= 0.98


def test_swapping_the_arms_changes_nothing() -> None:
    blocks = simulated(3, TRUTH)
    swapped = [replace(one, base=one.head, head=one.base) for one in blocks]
    before, after = found(blocks), found(swapped)
    for one, other in zip(before.components, after.components, strict=True):
        assert one.sd.value == pytest.approx(other.sd.value, rel=1e-9)
    assert before.se == pytest.approx(after.se, rel=1e-9)


def test_the_standard_error_is_that_of_the_mean_log_ratio() -> None:
    results = [(one.se, mean) for one, mean in (true(seed) for seed in range(200))]
    spread = float(np.std([mean for _, mean in results], ddof=1))
    assert math.sqrt(fmean(se**2 for se, _ in results)) == pytest.approx(spread, rel=0.12)


@pytest.mark.parametrize(("source", "best"), [
    (Source.REST, Means.CYCLES), (Source.PROCESS, Means.BLOCKS), (Source.LAYOUT, Means.LAYOUTS),
])
def test_the_advice_is_to_buy_more_of_what_is_noisy(source: Source, best: Means) -> None:
    """Cycles where start-up is dear and slices differ; blocks for processes; layouts for layout."""
    sd = dict.fromkeys(Source, 0.0005) | {source: 0.03}
    ways = found(simulated(4, sd), link=0.1).ways
    assert ways[0].means is best
    assert [way.yields for way in ways] == sorted((way.yields for way in ways), reverse=True)


def test_the_advice_keeps_its_promise() -> None:
    """One per cent more time in blocks lowers the variance by what was said: 1 % where blocks are all there is."""
    sd = {Source.PROCESS: 0.01, Source.REST: 0.001}
    (blocks,) = [way for way in found(simulated(5, sd, layouts=1, per_layout=24)).ways if way.means is Means.BLOCKS]
    assert blocks.seconds == pytest.approx(0.25)
    assert blocks.yields == pytest.approx(0.01, rel=1e-6)


def test_an_interval_of_one_mean_square_is_exact() -> None:
    """Then it is the chi-squared interval of a variance."""
    from scipy.stats import chi2

    low, high = limits(np.array([2.0, 0.0]), np.array([3.0, 5.0]), (11, 4))
    assert low == pytest.approx(2 * 3 * 11 / chi2.ppf(0.975, 11))
    assert high == pytest.approx(2 * 3 * 11 / chi2.ppf(0.025, 11))


def test_an_interval_of_a_difference_touches_zero_where_the_f_test_does() -> None:
    from scipy.stats import f

    ratio = float(f.ppf(0.975, 7, 30))
    low, _ = limits(np.array([1.0, -1.0]), np.array([ratio, 1.0]), (7, 30))
    assert low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("blocks", [
    [], [block(index=i) for i in range(3)], [block(index=i, base=(1,), head=(1,)) for i in range(8)],
    [block(index=i, base=(5, 5), head=(5, 5)) for i in range(8)], [block(index=i, base=(0, 5)) for i in range(8)],
    [block(index=i, base=()) for i in range(8)],
], ids=["none", "few", "single values", "no variance", "zero", "empty"])
def test_where_there_is_nothing_to_tell_it_tells_nothing(blocks: list[Block]) -> None:
    assert noise(blocks) is None
