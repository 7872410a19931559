"""Laws of the schedule, with a simulated executor."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import TURNS, answer, benchmark, block, manifest

from runner.judging.compare import report
from runner.measuring.plan import CANARY_SHARE, Plan
from runner.model import Arm, Benchmark, Block, BlockKind, BlockSpec, Cause, Metric
from runner.stats import blocks as reductions
from runner.stats.blocks import judge_blocks, of_canary, scored
from runner.stats.decide import LAYOUTS, LOOKS, Judgement
from runner.stats.paired import Array
from runner.storage import store


def place(spec: BlockSpec) -> int:
    return -1 if spec.kind is BlockKind.CALIBRATION else spec.index


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A simulated suite: its truth is fixed by the seed, so the same spec always gives the same block."""

    seed: int
    budget: float | None = None
    spread: tuple[float, ...] = (0.002, 0.01, 0.05)
    """Standard deviation of the log ratio, one for each benchmark."""
    costs: tuple[float, ...] = (0.2, 0.5, 1.0)
    failing: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """(benchmark, index) of the blocks that fail; -1 for a calibration."""
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
        rng = np.random.default_rng([self.seed, number, place(spec) + 1, spec.kind is BlockKind.CANARY])
        return answer(
            spec, log_ratio=float(rng.normal(0, self.spread[number])),
            seconds=float(self.costs[number] * rng.uniform(0.8, 1.2)), fails=(number, place(spec)) in self.failing,
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
    assert found.complete == (wanted is None)


@LAWS
@given(worlds())
def test_every_benchmark_runs_until_it_is_settled_or_has_failed_and_no_further(world: World) -> None:
    plan = world.plan()
    settled: set[str] = set()

    def see(spec: BlockSpec) -> None:
        assert spec.kind is BlockKind.CANARY or spec.benchmark.key not in settled
        settled.update(key for key, one in plan.progress.items() if one.settled)
        assert spec.kind is BlockKind.CANARY or spec.benchmark.key not in settled

    blocks = world.run(plan, see)
    if world.budget is None:
        assert all(one.settled for one in plan.progress.values())
    for key, one in plan.progress.items():
        mine = [block for block in blocks if block.benchmark == key and block.kind is not BlockKind.CANARY]
        indexes = [block.index for block in mine if block.kind is BlockKind.SCORED]
        assert indexes == list(range(len(indexes)))
        assert all(block.failure is None for block in mine[:-1]), "a failed benchmark is never asked again"
        assert one.failed == bool(mine and mine[-1].failure is not None)
        calibrated = [block for block in mine if block.kind is BlockKind.CALIBRATION]
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


def test_a_stored_run_is_taken_in_with_each_block_reduced_once_and_judged_at_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It took a time that grew with the square of the blocks, and tens of minutes for a million of them."""
    world = World(seed=4, spread=(1.0,) * 3, costs=(0.1,) * 3)
    stored = world.run(world.plan())
    count, reduce, judge = Counter[str](), reductions._log_ratio, reductions.judge

    def reducing(metric: Metric, block: Block) -> float:
        count["reduced"] += 1
        return reduce(metric, block)

    def judging(d: Array, margin: float, tests: int = 1) -> Judgement:
        count["judged"] += 1
        return judge(d, margin, tests)

    monkeypatch.setattr(reductions, "_log_ratio", reducing)
    monkeypatch.setattr(reductions, "judge", judging)
    world.plan().replay(stored)
    assert count == {"reduced": 3 * LOOKS[-1], "judged": 3 * len(LOOKS)}


def test_what_settles_early_is_not_measured_further_and_what_is_noisy_gets_all_blocks() -> None:
    world = World(seed=3, spread=(0.0005, 0.2, 0.0005), costs=(0.1, 0.1, 0.1))
    plan = world.plan()
    world.run(plan)
    assert [len(one.blocks) for one in plan.progress.values()] == [8, LOOKS[-1], 8]


def test_a_benchmark_is_spread_over_the_whole_session() -> None:
    """A round has one block of each benchmark, in a fresh random order."""
    count = 7
    world = World(seed=5, spread=(0.2,) * count, costs=(0.1,) * count)
    blocks = [block for block in world.run(world.plan()) if block.kind is BlockKind.SCORED]
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
    for _ in range(3):
        spec = plan.next()
        assert spec is not None
        plan.observe(world.measure(spec))
    early = plan.outlook()
    assert early is not None and 4 <= early.within <= 8
    assert early.whole == pytest.approx(50 * (1 + LOOKS[0]), rel=0.3)
    world.run(plan)
    late = plan.outlook()
    settled = sum(one.settled for one in plan.progress.values())
    assert late is not None and late.within == settled
    assert abs(early.within - settled) <= 2
    without = replace(world, budget=None).plan()
    without.observe(world.measure(spec if (spec := without.next()) is not None else pytest.fail()))
    assert without.outlook() is None


@pytest.mark.parametrize("seed", [1, 7, 10, 18])
def test_the_hopeless_get_what_the_others_leave(seed: int) -> None:
    """Once 8 blocks have shown that the last look will not settle it, even a cheap benchmark waits for the others."""
    world = World(seed=seed, budget=18.5, spread=(1.0, 0.007, 0.007), costs=(0.1, 0.6, 0.6))
    plan = world.plan()
    blocks = world.run(plan)
    first = [block for block in scored(blocks) if block.benchmark == "work.bench_0"][: LOOKS[0]]
    needed = judge_blocks(Metric.TIME, first, 0.01, 1).needed
    assert needed is None or needed > LOOKS[-1], "what these seeds were chosen for"
    later = [block.benchmark for block in blocks if block.index >= 8]
    assert set(later[:6]) <= {"work.bench_1", "work.bench_2"}
    assert any(one.settled for one in plan.progress.values())


@pytest.mark.parametrize(("cause", "index", "tries"), [
    (Cause.KILLED, -1, 2), (Cause.KILLED, 0, 2), (Cause.REFUSED, 3, 2), (Cause.HUNG, 3, 2),
    (Cause.HUNG, 0, 1), (Cause.HUNG, -1, 1), (Cause.OTHER, 3, 1), (Cause.OTHER, -1, 1),
])
def test_a_failure_that_may_pass_is_tried_again_once(cause: Cause, index: int, tries: int) -> None:
    world = World(seed=21, spread=(0.2,) * 3, costs=(0.1,) * 3)
    for failing in (1, tries):
        plan, seen = world.plan(), list[BlockSpec]()
        while (spec := plan.next()) is not None:
            mine = spec.benchmark.key == "work.bench_1" and place(spec) == index
            seen += [replace(spec, round=0)] * mine
            fails = mine and len(seen) <= failing
            plan.observe(answer(spec, log_ratio=0.2 * (-1) ** spec.index, fails=fails and cause))
        assert len(seen) == tries and all(spec == seen[0] for spec in seen), "the same draws: it may depend on them"
        one = plan.progress["work.bench_1"]
        assert one.failed == (failing == tries)
        assert len(one.blocks) == (max(0, index) if one.failed else LOOKS[-1])
        assert len(plan.progress["work.bench_0"].blocks) == LOOKS[-1]


def test_a_run_that_is_resumed_tries_what_has_failed_once_more() -> None:
    world = World(seed=22, spread=(0.2,) * 2, costs=(0.1,) * 2)

    def session(name: str, stored: list[Block], *, works: bool) -> tuple[Plan, list[Block]]:
        plan = world.plan()
        plan.replay(stored)
        plan.begin(name)
        blocks = []
        while (spec := plan.next()) is not None:
            fails = not works and spec.benchmark.key == "work.bench_1" and place(spec) == 2
            blocks.append(replace(answer(spec, log_ratio=0.2 * (-1) ** spec.index, fails=fails), session=name))
            plan.observe(blocks[-1])
        return plan, stored + blocks

    plan, blocks = session("a", [], works=False)
    assert plan.progress["work.bench_1"].failed and len(blocks) == 2 + LOOKS[-1] + 2 + 1
    plan, more = session("b", blocks, works=False)
    assert plan.progress["work.bench_1"].failed and len(more) == len(blocks) + 1
    plan, all_of_it = session("c", more, works=True)
    assert not plan.progress["work.bench_1"].failed
    assert [len(one.blocks) for one in plan.progress.values()] == [LOOKS[-1]] * 2
    again, nothing = session("c", all_of_it, works=True)
    assert nothing == all_of_it and again.spent == plan.spent


def test_a_block_that_was_not_asked_for_is_refused() -> None:
    plan = World(seed=16, spread=(0.1,)).plan()
    with pytest.raises(ValueError, match=r"asked for work\.bench_0 calibration block 0, not for .* scored block 0"):
        plan.observe(block("work.bench_0", 0))
    with pytest.raises(ValueError, match=r"not for other\.time_it calibration block 0"):
        plan.observe(block("other.time_it", kind=BlockKind.CALIBRATION))
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
            noise = float(np.random.default_rng(place(spec) + 1).normal(0, 0.02)) if number else 0.0
            plan.observe(answer(spec, log_ratio=0.06 + noise if number else 0.0))
        counts.append(len(plan.progress["work.bench_0"].blocks))
    assert counts[0] < counts[1]


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
    world = World(seed=3, spread=(0.0,) * 20, costs=(0.2,) * 20, canary=True)
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


def test_a_number_of_blocks_is_measured_whatever_they_say() -> None:
    """Not fewer for what is settled soon, not more for what is not; and a failed one is left alone as ever."""
    names = ["steady.time", "wild.time", "broken.time"]
    plan = Plan([benchmark(name) for name in names], seed=3, margin=0.01, budget=None, canary=False, blocks=24)
    done = Counter[str]()
    while (spec := plan.next()) is not None:
        key = spec.benchmark.key
        size = 0.0 if key == "steady.time" else 0.5 * (-1) ** spec.index
        plan.observe(answer(spec, log_ratio=size, fails=key == "broken.time"))
        done[key] += spec.kind is BlockKind.SCORED
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
