"""When the canary is measured, and in what."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from samples import TURNS, answer
from worlds import LAWS, World, worlds

from runner.measuring.plan import CANARY_SHARE
from runner.model import Arm, Block, BlockKind, BlockSpec, Metric
from runner.stats.blocks import judge_blocks, of_canary, scored
from runner.stats.decide import LOOKS


@LAWS
@given(worlds())
def test_the_canary_takes_a_small_share_of_the_time_and_belongs_to_no_benchmark(world: World) -> None:
    """Of the time, not of the blocks: a canary on a dear benchmark took an eighth of a run."""
    seen: list[BlockSpec] = []
    plan = replace(world, canary=True).plan()
    blocks = world.run(plan, seen.append)
    canary = [block for block in blocks if block.kind is BlockKind.CANARY]
    assert [block.index for block in canary] == list(range(len(canary)))
    assert len({block.benchmark for block in canary}) <= 1
    assert sum(len(one.blocks) for one in plan.progress.values()) == len(scored(blocks))
    # What it will cost is expected of what it has cost: costs differ by a half in these worlds.
    dearest = max((block.seconds for block in canary), default=0.0)
    spent = own = 0.0
    for one in blocks:
        spent += one.seconds
        own += one.seconds if one.kind is BlockKind.CANARY else 0.0
        assert own <= CANARY_SHARE * spent + dearest / 2
    # Its draws are its own: were they those of the benchmark's blocks, it would tell less.
    draws = {(spec.benchmark.key, spec.index, spec.kind): spec.hash_seed for spec in seen}
    assert all(seed != draws.get((key, index, BlockKind.SCORED)) for (key, index, kind), seed in draws.items()
               if kind is BlockKind.CANARY)


def canary_of(world: World, truth: float, noise: float) -> tuple[list[BlockSpec], list[Block]]:
    """All specs and blocks of a run whose canary reads `truth`, and in which nothing else is ever settled."""
    plan, rng = world.plan(), np.random.default_rng(8)
    specs, blocks = list[BlockSpec](), list[Block]()
    while (spec := plan.next()) is not None:
        own = truth + float(rng.normal(0, noise))
        specs.append(spec)
        blocks.append(answer(spec, seconds=0.2, log_ratio=(
            own if spec.kind is BlockKind.CANARY else 0.3 * (-1) ** spec.index)))
        plan.observe(blocks[-1])
    return specs, blocks


def test_the_canary_ends_when_it_is_settled_as_a_benchmark_would_be() -> None:
    world = World(seed=3, spread=(0.0,) * 8, costs=(0.2,) * 8, canary=True)
    for truth, noise in ((0.0, 0.002), (0.05, 0.002), (0.0, 0.3)):
        _, blocks = canary_of(world, truth, noise)
        own = of_canary(blocks)
        settled = judge_blocks(Metric.TIME, own, math.log1p(0.01)).settled
        share = sum(block.seconds for block in own) / sum(block.seconds for block in blocks)
        assert share <= CANARY_SHARE + 1e-3
        assert len(own) == LOOKS[0] if noise < 0.1 else share > 0.9 * CANARY_SHARE
        assert settled == (noise < 0.1)


def test_the_canary_runs_in_the_layout_or_the_copies_of_the_block_before_it() -> None:
    """So that nothing is linked or copied for its sake but the one copy that it is compared with."""
    specs, _ = canary_of(World(seed=3, spread=(0.0,) * 7, costs=(0.2,) * 7, canary=True, repeats=1), 0.0, 0.3)
    kinds = [spec.kind for spec in specs]
    assert kinds.count(BlockKind.CANARY) > 20
    for before, spec in pairwise(specs):
        if spec.kind is BlockKind.CANARY:
            assert spec.layout == before.layout
            assert spec.round - before.round in (0, 1)
    rounds = [spec.round for spec in specs]
    assert rounds == sorted(rounds), "copies of a round are not asked for again after the next one"


def test_the_canary_does_equal_numbers_of_calls_in_both_arms() -> None:
    world = World(seed=3, spread=(0.05,), costs=(0.2,), canary=True)
    plan, unequal = world.plan(), replace(TURNS, calls={Arm.BASE: 7, Arm.HEAD: 90})
    while (spec := plan.next()) is not None and spec.kind is not BlockKind.CANARY:
        plan.observe(answer(spec, log_ratio=math.log(90 / 7) + 0.1 * (-1) ** spec.index, settings=unequal))
    assert spec is not None and spec.settings is not None
    assert spec.settings.calls == {Arm.BASE: 7, Arm.HEAD: 7}


def test_a_canary_that_fails_is_not_measured_again_and_fails_no_benchmark() -> None:
    world = World(seed=3, spread=(0.05,) * 2, costs=(0.2,) * 2, canary=True)
    plan, failed = world.plan(), 0
    while (spec := plan.next()) is not None:
        block = answer(spec, log_ratio=0.1 * (-1) ** spec.index, fails=spec.kind is BlockKind.CANARY)
        failed += block.failure is not None
        plan.observe(block)
    assert failed == 1
    assert [len(one.blocks) for one in plan.progress.values()] == [LOOKS[-1]] * 2
