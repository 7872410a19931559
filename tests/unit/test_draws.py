"""What is drawn at random for a block: balanced, in range, and its own."""

from __future__ import annotations

import pytest
from worlds import World, place

from runner.measuring.plan import Plan
from runner.model import Arm, BlockKind, BlockSpec
from runner.stats.decide import LAYOUTS, LOOKS, layouts_in_turn


def test_who_starts_first_is_balanced_at_every_look() -> None:
    for seed in range(20):
        firsts: list[Arm] = []
        world = World(seed=seed, spread=(0.2,), costs=(0.1,))
        world.run(world.plan(), lambda spec, to=firsts: to.append(spec.first))  # type: ignore[misc]
        scored = firsts[1:]  # the calibration comes first
        for look in LOOKS:
            assert scored[:look].count(Arm.BASE) == look // 2
    assert {tuple(_firsts(seed)) for seed in range(8)} != {tuple(_firsts(0))}, "which is first is random"


def _firsts(seed: int) -> list[Arm]:
    seen: list[Arm] = []
    world = World(seed=seed, spread=(0.2,), costs=(0.1,))
    world.run(world.plan(), lambda spec: seen.append(spec.first))
    return seen


def test_who_goes_first_in_a_cycle_is_balanced_and_random_inside_blocks() -> None:
    specs: list[BlockSpec] = []
    world = World(seed=11, spread=(0.2,) * 3)
    world.run(world.plan(), specs.append)
    for spec in specs:
        assert set(spec.order) == {"b", "h"} and len(spec.order) == 40
        for end in range(0, 41, 4):
            assert spec.order[:end].count("b") == end // 2
        for end in range(0, 41, 2):
            assert abs(spec.order[:end].count("b") - end // 2) <= 1
    assert len({spec.order for spec in specs}) == len(specs)
    starts = [spec.order[0] for spec in specs]
    assert 0.3 < starts.count("b") / len(starts) < 0.7


def test_what_is_drawn_for_a_block_is_in_range_and_varies() -> None:
    specs: list[BlockSpec] = []
    world = World(seed=12, spread=(0.2,) * 3)
    world.run(world.plan(), specs.append)
    assert all(0 < spec.hash_seed < 2**32 and 0 <= spec.padding < 4096 and spec.directory for spec in specs)
    assert len({spec.hash_seed for spec in specs}) == len(specs)
    assert len({spec.address for spec in specs}) > 0.9 * len(specs)
    assert 0 <= min(spec.address for spec in specs) < 9000 and 56000 < max(spec.address for spec in specs) < 65536
    assert min(spec.padding for spec in specs) < 600 and max(spec.padding for spec in specs) > 3500
    assert len({spec.directory for spec in specs}) > 30


def test_what_is_drawn_depends_on_seed_benchmark_and_index_alone() -> None:
    """A benchmark that fails in between does not change what the others are given."""
    one: dict[tuple[str, int], BlockSpec] = {}
    other: dict[tuple[str, int], BlockSpec] = {}
    world = World(seed=13)
    world.run(world.plan(), lambda spec: one.update({(spec.benchmark.key, place(spec)): spec}))
    broken = World(seed=13, failing=frozenset({(1, 0)}))
    broken.run(broken.plan(), lambda spec: other.update({(spec.benchmark.key, place(spec)): spec}))
    assert len(other) < len(one)
    assert all(one[key] == spec for key, spec in other.items())


@pytest.mark.parametrize("repeats", [1, 6])
def test_blocks_of_one_index_share_a_layout_and_a_run_has_at_most_forty(repeats: int) -> None:
    world = World(seed=5, spread=(0.05,) * 4, costs=(0.2,) * 4, canary=True, repeats=repeats)
    seen: list[BlockSpec] = []
    world.run(world.plan(), seen.append)
    layouts: dict[int, set[int | None]] = {}
    for spec in (spec for spec in seen if spec.kind is not BlockKind.CANARY):
        layouts.setdefault(spec.index // repeats % LAYOUTS, set()).add(spec.layout)
    assert all(len(found) == 1 for found in layouts.values())
    assert any(spec.kind is BlockKind.CANARY for spec in seen)
    assert len({spec.layout for spec in seen}) == len(layouts) == min(LAYOUTS, -(-LOOKS[-1] // repeats))


def test_scope_binary_has_no_layout() -> None:
    spec = World(seed=5).plan().next()
    assert spec is not None and spec.layout is None


def test_a_number_of_blocks_goes_through_its_layouts_in_turn() -> None:
    """So that each layout is measured early and late, and drift does not look like an effect of layout."""
    plan = Plan((), seed=3, margin=0.01, budget=None, repeats=6, blocks=36)
    seeds = [plan.layout(index) for index in range(36)]
    assert len(set(seeds)) == 6
    assert seeds == seeds[:6] * 6
    assert layouts_in_turn(6, 36) == 6, "they are judged as they are drawn"
    many = Plan((), seed=3, margin=0.01, budget=None, repeats=2, blocks=100)
    assert [many.layout(index) for index in range(100)] == [many.layout(index % LAYOUTS) for index in range(100)]
    assert layouts_in_turn(2, 100) == LAYOUTS
    free = Plan((), seed=3, margin=0.01, budget=None, repeats=6)
    assert [free.layout(index) for index in range(12)] == [seeds[0]] * 6 + [seeds[1]] * 6
