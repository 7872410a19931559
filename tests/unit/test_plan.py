"""Laws of the schedule, with a simulated executor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import answer, benchmark, block, manifest
from worlds import LAWS, World, place, worlds

from runner.judging.compare import report
from runner.measuring.plan import Plan
from runner.model import Block, BlockKind, BlockSpec, Cause, Metric
from runner.stats import blocks as reductions
from runner.stats.decide import LAYOUTS, LOOKS, Judgement
from runner.stats.paired import Array
from runner.storage import store


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
@given(worlds())
def test_asking_what_will_follow_changes_nothing(world: World) -> None:
    plan = world.plan()
    assert world.run(plan, lambda spec: plan.following()) == world.run(world.plan())


@LAWS
@given(worlds())
def test_what_is_to_follow_follows_but_where_a_block_has_changed_what_is_left(world: World) -> None:
    plan, guesses, specs = world.plan(), list[BlockSpec | None](), list[BlockSpec]()
    unsettled = list[set[str]]()

    def see(spec: BlockSpec) -> None:
        specs.append(spec)
        guesses.append(plan.following())
        unsettled.append({key for key, one in plan.progress.items() if not one.settled})

    blocks = world.run(plan, see)
    for number, (guess, then) in enumerate(zip(guesses, specs[1:], strict=False)):
        same = unsettled[number] == unsettled[number + 1] and then.kind is not BlockKind.CANARY
        if specs[number].kind is BlockKind.CALIBRATION:
            assert guess is None, "it is not known what it will choose"
        elif same and world.budget is None:
            assert guess == then
    assert len(blocks) == len(specs)


def test_the_last_one_of_a_suite_follows_on_itself() -> None:
    world = World(seed=5, spread=(0.05,), costs=(0.2,))
    plan, guesses, specs = world.plan(), list[BlockSpec | None](), list[BlockSpec]()

    def see(spec: BlockSpec) -> None:
        specs.append(spec)
        guesses.append(plan.following())

    world.run(plan, see)
    assert len(specs) > 100 and guesses[0] is None
    assert guesses[2:-1] == specs[3:] and [one.index for one in specs[2:]] == list(range(1, len(specs) - 1))


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

    def judging(d: Array, margin: float, tests: int = 1, layouts: int = LAYOUTS) -> Judgement:
        count["judged"] += 1
        return judge(d, margin, tests, layouts)

    monkeypatch.setattr(reductions, "_log_ratio", reducing)
    monkeypatch.setattr(reductions, "judge", judging)
    world.plan().replay(stored)
    assert count == {"reduced": 3 * LOOKS[-1], "judged": 3 * len(LOOKS)}


def test_what_settles_early_is_not_measured_further_and_what_is_noisy_gets_all_blocks() -> None:
    world = World(seed=3, spread=(0.0005, 0.2, 0.0005), costs=(0.1, 0.1, 0.1))
    plan = world.plan()
    world.run(plan)
    assert [len(one.blocks) for one in plan.progress.values()] == [LOOKS[0], LOOKS[-1], LOOKS[0]]


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


@pytest.mark.parametrize(("cause", "index", "tries"), [
    (Cause.KILLED, -1, 2), (Cause.KILLED, 0, 2), (Cause.REFUSED, 3, 2), (Cause.HUNG, 3, 2),
    (Cause.DISTURBED, 0, 2), (Cause.DISTURBED, 3, 2),
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


def test_a_run_that_is_resumed_does_not_try_what_was_skipped() -> None:
    world = World(seed=23, spread=(0.2,) * 2, costs=(0.1,) * 2)

    def session(name: str, stored: list[Block]) -> list[Block]:
        plan = world.plan()
        plan.replay(stored)
        plan.begin(name)
        blocks = []
        while (spec := plan.next()) is not None:
            skips = spec.benchmark.key == "work.bench_1" and Cause.SKIPPED
            blocks.append(replace(answer(spec, log_ratio=0.2 * (-1) ** spec.index, fails=skips), session=name))
            plan.observe(blocks[-1])
        assert plan.progress["work.bench_1"].settled and plan.progress["work.bench_1"].skipped
        return stored + blocks

    blocks = session("a", [])
    assert sum(block.benchmark == "work.bench_1" for block in blocks) == 1
    assert session("b", blocks) == blocks


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
