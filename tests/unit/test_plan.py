"""Laws of the schedule, with a simulated executor."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import TURNS, answer, benchmark, block, manifest

from runner.judging.compare import report
from runner.measuring.plan import CALIBRATION, CANARY_EVERY, Plan
from runner.model import Arm, Benchmark, Block, BlockSpec, Metric
from runner.stats.blocks import judge_blocks
from runner.stats.decide import LAYOUTS, LOOKS
from runner.storage import store


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A simulated suite: its truth is fixed by the seed, so the same spec always gives the same block."""

    seed: int
    budget: float | None = None
    spread: tuple[float, ...] = (0.002, 0.01, 0.05)
    """Standard deviation of the log ratio, one for each benchmark."""
    costs: tuple[float, ...] = (0.2, 0.5, 1.0)
    failing: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """(benchmark, index) of the blocks that fail."""
    metrics: tuple[Metric, ...] = ()
    canary: bool = False
    repeats: int | None = None

    @property
    def benchmarks(self) -> list[Benchmark]:
        metrics = self.metrics or (Metric.TIME,) * len(self.spread)
        return [benchmark(f"work.bench_{n}", metric) for n, metric in enumerate(metrics)]

    def plan(self) -> Plan:
        return Plan(
            self.benchmarks, seed=self.seed, margin=0.01, budget=self.budget, repeats=self.repeats, canary=self.canary
        )

    def measure(self, spec: BlockSpec) -> Block:
        number = int(spec.benchmark.name.rpartition("_")[2])
        rng = np.random.default_rng([self.seed, number, spec.index + 1, spec.canary])
        return answer(
            spec, log_ratio=float(rng.normal(0, self.spread[number])),
            seconds=float(self.costs[number] * rng.uniform(0.8, 1.2)), fails=(number, spec.index) in self.failing,
        )

    def run(self, plan: Plan, see: Callable[[BlockSpec], None] = lambda spec: None) -> list[Block]:
        """Measure until the plan wants nothing more."""
        blocks = []
        while (spec := plan.next()) is not None:
            see(spec)
            blocks.append(self.measure(spec))
            plan.observe(blocks[-1])
        return blocks


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(1, 6))
    some = st.floats(0.0005, 0.08)
    failing = draw(st.frozensets(st.tuples(st.integers(0, count - 1), st.integers(-1, 12)), max_size=3))
    return World(
        seed=draw(st.integers(0, 2**31)), spread=tuple(draw(some) for _ in range(count)),
        costs=tuple(draw(st.floats(0.05, 3.0)) for _ in range(count)), failing=failing,
        budget=draw(st.none() | st.floats(0.1, 60.0)),
        metrics=tuple(draw(st.sampled_from(Metric)) for _ in range(count)),
        canary=draw(st.booleans()), repeats=draw(st.none() | st.integers(1, 6)),
    )


LAWS = settings(max_examples=15, deadline=None)


@LAWS
@given(worlds())
def test_the_same_seed_gives_the_same_schedule(world: World) -> None:
    one: list[BlockSpec] = []
    other: list[BlockSpec] = []
    assert world.run(world.plan(), one.append) == world.run(world.plan(), other.append)
    assert one == other


def test_another_seed_gives_another_schedule() -> None:
    one: list[BlockSpec] = []
    other: list[BlockSpec] = []
    World(seed=1).run(World(seed=1).plan(), one.append)
    World(seed=2).run(World(seed=2).plan(), other.append)
    assert [spec.benchmark.key for spec in one] != [spec.benchmark.key for spec in other]
    assert one[0].hash_seed != other[0].hash_seed and one[0].order != other[0].order


@LAWS
@given(worlds(), st.data())
def test_a_run_killed_at_any_point_goes_on_as_if_it_had_not_been(world: World, data: st.DataObject) -> None:
    seen: list[BlockSpec] = []
    blocks = world.run(world.plan(), seen.append)
    cut = data.draw(st.integers(0, len(blocks)))
    resumed, rest = world.plan(), list[BlockSpec]()
    resumed.replay(blocks[:cut])
    assert blocks[:cut] + world.run(resumed, rest.append) == blocks
    assert rest == seen[cut:]
    assert resumed.spent == sum(block.seconds for block in blocks)


@LAWS
@given(worlds(), st.data())
def test_the_blocks_alone_say_whether_the_plan_wants_more(world: World, data: st.DataObject) -> None:
    """A report of them may be asked for when the plan would not know them: it was another rule's."""
    blocks = world.run(world.plan())
    cut = data.draw(st.integers(max(0, len(blocks) - 3), len(blocks)))
    plan = world.plan()
    plan.replay(blocks[:cut])
    wanted = plan.next()
    made = manifest(world.benchmarks, seed=world.seed, budget=world.budget, margin=0.01)
    found = report(store.Run(folder=Path("runs/r"), manifest=made, blocks=tuple(blocks[:cut]), torn=False))
    assert found.complete == (wanted is None or (wanted.canary and all(one.settled for one in plan.progress.values())))


@LAWS
@given(worlds())
def test_every_benchmark_runs_until_it_is_settled_or_has_failed_and_no_further(world: World) -> None:
    plan = world.plan()
    settled: set[str] = set()

    def see(spec: BlockSpec) -> None:
        assert spec.canary or spec.benchmark.key not in settled
        settled.update(key for key, one in plan.progress.items() if one.settled)
        assert spec.canary or spec.benchmark.key not in settled

    blocks = world.run(plan, see)
    if world.budget is None:
        assert all(one.settled for one in plan.progress.values())
    for key, one in plan.progress.items():
        mine = [block for block in blocks if block.benchmark == key and not block.canary]
        indexes = [block.index for block in mine if block.index >= 0]
        assert indexes == list(range(len(indexes)))
        assert all(block.failure is None for block in mine[:-1]), "a failed benchmark is never asked again"
        assert one.failed == bool(mine and mine[-1].failure is not None)
        calibrated = [block for block in mine if block.index == CALIBRATION]
        assert len(calibrated) <= (one.benchmark.metric is Metric.TIME)
        if one.settled and not one.failed and one.benchmark.metric is not Metric.TRACK:
            assert len(one.blocks) in LOOKS
            assert one.judgement is not None and one.judgement.settled


@LAWS
@given(worlds())
def test_next_is_idempotent(world: World) -> None:
    plan = world.plan()
    while (spec := plan.next()) is not None:
        assert plan.next() == spec
        plan.observe(world.measure(spec))
    assert plan.next() is None


@LAWS
@given(worlds())
def test_a_budget_is_exceeded_by_less_than_one_block(world: World) -> None:
    plan = world.plan()
    blocks = world.run(plan)
    if world.budget is not None and blocks:
        assert plan.spent - blocks[-1].seconds < world.budget
        assert plan.seconds_left() >= 0
        assert plan.spent >= world.budget or all(one.settled for one in plan.progress.values())


def test_what_settles_early_is_not_measured_further_and_what_is_noisy_gets_all_blocks() -> None:
    world = World(seed=3, spread=(0.0005, 0.2, 0.0005), costs=(0.1, 0.1, 0.1))
    plan = world.plan()
    world.run(plan)
    assert [len(one.blocks) for one in plan.progress.values()] == [LOOKS[0], LOOKS[-1], LOOKS[0]]


def test_a_benchmark_is_spread_over_the_whole_session() -> None:
    """A round has one block of each benchmark, in a fresh random order."""
    count = 7
    world = World(seed=5, spread=(0.2,) * count, costs=(0.1,) * count)
    blocks = [block for block in world.run(world.plan()) if block.index != CALIBRATION]
    rounds = [[block.benchmark for block in blocks[i : i + count]] for i in range(0, len(blocks), count)]
    assert all(len(set(one)) == count for one in rounds)
    assert len({tuple(one) for one in rounds}) > 140
    places = Counter((one.index("work.bench_0")) for one in rounds)
    assert len(places) == count and max(places.values()) < 40


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
    assert min(spec.padding for spec in specs) < 600 and max(spec.padding for spec in specs) > 3500
    assert len({spec.directory for spec in specs}) > 30


def test_what_is_drawn_depends_on_seed_benchmark_and_index_alone() -> None:
    """A benchmark that fails in between does not change what the others are given."""
    one: dict[tuple[str, int], BlockSpec] = {}
    other: dict[tuple[str, int], BlockSpec] = {}
    world = World(seed=13)
    world.run(world.plan(), lambda spec: one.update({(spec.benchmark.key, spec.index): spec}))
    broken = World(seed=13, failing=frozenset({(1, 0)}))
    broken.run(broken.plan(), lambda spec: other.update({(spec.benchmark.key, spec.index): spec}))
    assert len(other) < len(one)
    assert all(one[key] == spec for key, spec in other.items())


def test_the_cheap_ones_come_first_when_the_budget_is_short() -> None:
    world = World(seed=14, budget=30.0, spread=(0.0005,) * 6, costs=(0.1, 5.0, 0.1, 5.0, 0.1, 0.1))
    plan = world.plan()
    world.run(plan)
    done = {key: len(one.blocks) for key, one in plan.progress.items()}
    assert all(plan.progress[f"work.bench_{cheap}"].settled for cheap in (0, 2, 4, 5))
    assert max(done["work.bench_1"], done["work.bench_3"]) < 8
    assert 30.0 <= plan.spent < 36.1


@pytest.mark.parametrize("seed", [1, 10, 12])
def test_the_hopeless_get_what_the_others_leave(seed: int) -> None:
    """Once the first look has shown that the last will not settle it, even a cheap benchmark waits for the others."""
    world = World(seed=seed, budget=18.5, spread=(1.0, 0.007, 0.007), costs=(0.1, 0.6, 0.6))
    plan = world.plan()
    blocks = world.run(plan)
    first = [block for block in blocks if block.benchmark == "work.bench_0" and block.index >= 0][: LOOKS[0]]
    needed = judge_blocks(Metric.TIME, first, 0.01, 1).needed
    assert needed is None or needed > LOOKS[-1], "what these seeds were chosen for"
    later = [block.benchmark for block in blocks if block.index >= LOOKS[0]]
    assert set(later[:6]) <= {"work.bench_1", "work.bench_2"}
    assert any(one.settled for one in plan.progress.values())


def test_a_block_that_was_not_asked_for_is_refused() -> None:
    plan = World(seed=16, spread=(0.1,)).plan()
    with pytest.raises(ValueError, match=r"asked for work\.bench_0 block -1, not for work\.bench_0 block 0"):
        plan.observe(block("work.bench_0", 0))
    with pytest.raises(ValueError, match=r"not for other\.time_it block -1"):
        plan.observe(block("other.time_it", -1))
    assert plan.spent == 0
    world = World(seed=16, spread=(0.1,), failing=frozenset({(0, -1)}))
    done = world.plan()
    blocks = world.run(done)
    with pytest.raises(ValueError, match="asked for nothing more"):
        done.observe(blocks[0])


def test_a_suite_is_settled_as_a_suite() -> None:
    """A difference settles a benchmark only if it is clear at an error divided by the benchmarks of the run."""
    counts = []
    for others in (0, 200):
        metrics = (Metric.TIME, *(Metric.TRACK,) * others)
        world = World(seed=17, spread=(0.02, *(0.0,) * others), costs=(0.1,) * (others + 1), metrics=metrics)
        plan = world.plan()
        while (spec := plan.next()) is not None:
            number = spec.benchmark.metric is Metric.TIME
            noise = float(np.random.default_rng(spec.index + 1).normal(0, 0.02)) if number else 0.0
            plan.observe(answer(spec, log_ratio=0.06 + noise if number else 0.0))
        counts.append(len(plan.progress["work.bench_0"].blocks))
    assert counts[0] < counts[1]


def test_a_tenth_of_the_blocks_is_the_canarys_and_belongs_to_no_benchmark() -> None:
    world = World(seed=3, spread=(0.05,) * 5, costs=(0.2,) * 5, canary=True)
    seen: list[BlockSpec] = []
    plan = world.plan()
    blocks = world.run(plan, seen.append)
    canary = [block for block in blocks if block.canary]
    assert [block.index for block in canary] == list(range(len(canary)))
    assert len({block.benchmark for block in canary}) == 1
    others = sum(not block.canary and block.index >= 0 for block in blocks)
    assert len(canary) == others // CANARY_EVERY
    assert sum(len(one.blocks) for one in plan.progress.values()) == others
    # Its draws are its own: were they those of the benchmark's blocks, it would tell less.
    pairs = {(spec.benchmark.key, spec.index, spec.canary): spec.hash_seed for spec in seen}
    assert all(pairs[key, index, True] != pairs[key, index, False] for key, index, kind in pairs if kind)


def test_the_canary_does_equal_numbers_of_calls_in_both_arms() -> None:
    world = World(seed=3, spread=(0.05,), costs=(0.2,), canary=True)
    plan, unequal = world.plan(), replace(TURNS, calls={Arm.BASE: 7, Arm.HEAD: 90})
    for _ in range(CANARY_EVERY + 1):
        spec = plan.next()
        assert spec is not None and not spec.canary
        plan.observe(answer(spec, log_ratio=math.log(90 / 7) + 0.1 * (-1) ** spec.index, settings=unequal))
    spec = plan.next()
    assert spec is not None and spec.canary and spec.settings is not None
    assert spec.settings.calls == {Arm.BASE: 7, Arm.HEAD: 7}


def test_a_canary_that_fails_is_not_measured_again_and_fails_no_benchmark() -> None:
    world = World(seed=3, spread=(0.05,) * 2, costs=(0.2,) * 2, canary=True)
    plan, failed = world.plan(), 0
    while (spec := plan.next()) is not None:
        block = answer(spec, log_ratio=0.1 * (-1) ** spec.index, fails=spec.canary)
        failed += block.canary
        plan.observe(block)
    assert failed == 1
    assert [len(one.blocks) for one in plan.progress.values()] == [LOOKS[-1]] * 2


@pytest.mark.parametrize("repeats", [1, 6])
def test_blocks_of_one_index_share_a_layout_and_a_run_has_at_most_forty(repeats: int) -> None:
    world = World(seed=5, spread=(0.05,) * 4, costs=(0.2,) * 4, canary=True, repeats=repeats)
    seen: list[BlockSpec] = []
    world.run(world.plan(), seen.append)
    layouts: dict[int, set[int | None]] = {}
    for spec in seen:
        layouts.setdefault(max(spec.index, 0) // repeats % LAYOUTS, set()).add(spec.layout)
    assert all(len(found) == 1 for found in layouts.values())
    assert len({spec.layout for spec in seen}) == len(layouts) == min(LAYOUTS, -(-LOOKS[-1] // repeats))


def test_scope_binary_has_no_layout() -> None:
    spec = World(seed=5).plan().next()
    assert spec is not None and spec.layout is None


def test_a_number_of_blocks_is_measured_whatever_they_say() -> None:
    """Not fewer for what is settled soon, not more for what is not; and a failed one is left alone as ever."""
    names = ["steady.time", "wild.time", "broken.time"]
    plan = Plan([benchmark(name) for name in names], seed=3, margin=0.01, budget=None, canary=False, blocks=24)
    done = Counter[str]()
    while (spec := plan.next()) is not None:
        key = spec.benchmark.key
        size = 0.0 if key == "steady.time" else 0.5 * (-1) ** spec.index
        plan.observe(answer(spec, log_ratio=size, fails=key == "broken.time"))
        done[key] += spec.index >= 0
    assert (done["steady.time"], done["wild.time"]) == (24, 24)
    assert done["broken.time"] <= 1


def test_a_number_of_blocks_goes_through_its_layouts_in_turn() -> None:
    """So that each layout is measured early and late, and drift does not look like an effect of layout."""
    plan = Plan((), seed=3, margin=0.01, budget=None, repeats=6, blocks=36)
    seeds = [plan.layout(index) for index in range(36)]
    assert len(set(seeds)) == 6
    assert seeds == seeds[:6] * 6
    free = Plan((), seed=3, margin=0.01, budget=None, repeats=6)
    assert [free.layout(index) for index in range(12)] == [seeds[0]] * 6 + [seeds[1]] * 6
