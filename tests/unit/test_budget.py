"""What a budget is spent on."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from samples import TURNS, answer, benchmark, block
from worlds import LAWS, World, worlds

from runner.measuring.plan import USUAL, Plan
from runner.measuring.progress import Progress
from runner.model import BlockKind, BlockSpec, Metric, Verdict
from runner.stats.blocks import judge_blocks, scored
from runner.stats.decide import LOOKS


@LAWS
@given(worlds())
def test_a_budget_is_exceeded_by_less_than_one_block(world: World) -> None:
    plan = world.plan()
    blocks = world.run(plan)
    if world.budget is not None and blocks:
        assert plan.spent - blocks[-1].seconds < world.budget
        assert plan.seconds_left() >= 0
        assert plan.spent >= world.budget or all(one.settled for one in plan.progress.values())


@LAWS
@given(worlds())
def test_nothing_follows_the_last_block_of_a_budget(world: World) -> None:
    """What was begun then would be started, set up, and waited for, in vain."""
    plan, asked = world.plan(), list[tuple[float, bool]]()

    def see(spec: BlockSpec) -> None:
        cost = plan.progress[spec.benchmark.key].cost
        if world.budget is not None and cost is not None and spec.kind is BlockKind.SCORED:
            asked.append((world.budget - plan.spent - cost, plan.following() is not None))

    world.run(plan, see)
    assert not any(follows for left, follows in asked if left <= 0)


def test_the_cheap_ones_come_first_when_the_budget_is_short() -> None:
    world = World(seed=14, budget=30.0, spread=(0.0005,) * 6, costs=(0.1, 5.0, 0.1, 5.0, 0.1, 0.1))
    plan = world.plan()
    world.run(plan)
    done = {key: len(one.blocks) for key, one in plan.progress.items()}
    assert all(plan.progress[f"work.bench_{cheap}"].settled for cheap in (0, 2, 4, 5))
    assert max(done["work.bench_1"], done["work.bench_3"]) < 8
    assert 30.0 <= plan.spent < 36.1


def dear_suite(seed: int, budget: float, *, typical: float = 2.0) -> tuple[Plan, dict[str, float]]:
    """A run of 313 benchmarks of which a block costs seconds, and what was spent on each."""
    rng = np.random.default_rng(seed)
    costs = typical * np.exp(rng.normal(0, 0.6, 313))
    spread = np.where(rng.random(313) < 0.2, 0.03, 0.003)
    world = World(seed=seed, budget=budget, spread=tuple(spread), costs=tuple(costs), canary=True)
    plan, spent = world.plan(), Counter[str]()
    for one in world.run(plan):
        spent[one.benchmark] += one.seconds
    return plan, spent


def test_a_budget_that_cannot_settle_the_suite_settles_some_of_it() -> None:
    """A first round over a public suite of 313 benchmarks with dear set-ups used up a minute: no verdict at all."""
    settled = share = 0.0
    for seed in range(8):
        plan, spent = dear_suite(seed, 60.0)
        done = [key for key, one in plan.progress.items() if one.settled]
        assert len(spent) <= 9, "few are begun"
        settled += len(done) / 8
        share += sum(spent[key] for key in done) / plan.spent / 8
    assert settled > 1.5
    assert share > 0.4
    plan, spent = dear_suite(1, 600.0)
    done = [key for key, one in plan.progress.items() if one.settled]
    assert len(done) >= 15 and sum(spent[key] for key in done) > 0.6 * plan.spent


def test_a_budget_does_not_begin_what_it_cannot_bring_to_an_end() -> None:
    """Noise as in pyperformance: half of it needs more than twelve blocks. All were begun, and few were settled."""
    settled = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        costs, spread = 2.0 * np.exp(rng.normal(0, 0.6, 313)), 0.006 * np.exp(rng.normal(0, 0.6, 313))
        plan = (world := World(seed=seed, budget=600.0, spread=tuple(spread), costs=tuple(costs), canary=True)).plan()
        world.run(plan)
        settled += sum(one.settled for one in plan.progress.values()) / 4
    assert settled > 15, "19; it was 9"


def test_one_dear_benchmark_does_not_keep_the_others_from_being_tried() -> None:
    """Costs are not known before a benchmark was tried; here the first that is tried could never be settled."""
    for seed in range(8):
        first = World(seed=seed, spread=(0.002,) * 8, budget=30.0).plan().next()
        assert first is not None
        dear = int(first.benchmark.name[-1])
        costs = tuple(12.0 if number == dear else 0.3 for number in range(8))
        plan = (world := World(seed=seed, spread=(0.002,) * 8, budget=30.0, costs=costs)).plan()
        world.run(plan)
        assert sum(one.settled for one in plan.progress.values()) >= 5


def test_a_budget_says_from_the_first_blocks_on_how_much_it_can_settle() -> None:
    world = World(seed=2, budget=60.0, spread=(0.002,) * 50, costs=(1.0,) * 50)
    plan = world.plan()
    assert plan.outlook() is None
    seen = []
    for _ in range(3):
        spec = plan.next()
        assert spec is not None
        seen.append(world.measure(spec))
        plan.observe(seen[-1])
    early = plan.outlook()
    assert early is not None
    # A calibration and the usual blocks, each at what the dearest or the cheapest block so far has cost.
    dear, cheap = ((1 + USUAL) * of(block.seconds for block in seen) for of in (max, min))
    assert 60 // dear <= early.within <= 60 // cheap
    assert 50 * cheap <= early.whole <= 50 * dear
    world.run(plan)
    late = plan.outlook()
    settled = sum(one.settled for one in plan.progress.values())
    assert late is not None and late.within == settled
    assert early.within <= settled <= 2 * early.within, "these are quieter than the usual"
    without = replace(world, budget=None).plan()
    without.observe(world.measure(spec if (spec := without.next()) is not None else pytest.fail()))
    assert without.outlook() is None


def test_a_block_is_expected_to_last_as_long_as_its_calibration_and_its_window() -> None:
    whole = []
    for window in (0.0, 2.5):
        plan = World(seed=2, budget=60.0, spread=(0.002,), costs=(1.0,)).plan()
        spec = plan.next()
        assert spec is not None
        plan.observe(answer(spec, log_ratio=0.0, seconds=0.5, settings=replace(TURNS, window=window)))
        outlook = plan.outlook()
        assert outlook is not None
        whole.append(outlook.whole)
    assert whole == pytest.approx([0.5 + USUAL * 0.5, 0.5 + USUAL * 3.0])


def test_a_block_of_which_the_stretch_is_known_is_expected_to_last_as_long_as_its_start_and_that() -> None:
    """Its calibration may have made many more calls."""
    plan = World(seed=2, budget=60.0, spread=(0.002,), costs=(1.0,)).plan()
    spec = plan.next()
    assert spec is not None
    calibration = answer(spec, log_ratio=0.0, seconds=9.0, settings=replace(TURNS, window=2.0, stretch=2.5))
    plan.observe(replace(calibration, readings={**calibration.readings, "start": 0.5}))
    outlook = plan.outlook()
    assert outlook is not None and outlook.whole == pytest.approx(9.0 + USUAL * 3.0)


@pytest.mark.parametrize("seed", [1, 5, 12, 14])
def test_the_hopeless_get_what_the_others_leave(seed: int) -> None:
    """Once the first look has shown that the last will not settle it, even a cheap benchmark waits for the others."""
    world = World(seed=seed, budget=18.5, spread=(1.0, 0.007, 0.007), costs=(0.1, 0.6, 0.6))
    plan = world.plan()
    blocks = world.run(plan)
    first = [block for block in scored(blocks) if block.benchmark == "work.bench_0"][: LOOKS[0]]
    needed = judge_blocks(Metric.TIME, first, 0.01, 1).needed
    assert needed is None or needed > LOOKS[-1], "what these seeds were chosen for"
    later = [block.benchmark for block in blocks if block.index >= LOOKS[0]]
    assert set(later[:6]) <= {"work.bench_1", "work.bench_2"}
    assert any(one.settled for one in plan.progress.values())


def test_what_has_a_verdict_and_is_not_settled_yet_comes_before_what_has_none() -> None:
    """Alone it is the same; a suite of sixty might take that back. It was held to be hopeless, and waited for all."""
    found = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        made = Progress(benchmark(), margin=math.log1p(0.01), tests=60)
        for index in range(LOOKS[0]):
            made.observe(block(index=index, base=(10**9,), head=(round(10**9 * math.exp(rng.normal(0, 0.004))),)))
        if made.looked is not None and made.looked.verdict is Verdict.SAME and not made.settled:
            found.append((made.hopeless(), made.blocks_to_go()))
    assert len(found) > 20
    assert set(found) == {(False, LOOKS[1] - LOOKS[0])}
