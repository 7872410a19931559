"""Laws of how a suite is dealt to the machines of a fleet: a simulated suite, and machines that answer in any order."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import benchmark, block, manifest
from worlds import LAWS, World, worlds

from runner.judging.compare import report
from runner.measuring.deal import AHEAD, LEAST, Deal, Hands, Place, hands
from runner.measuring.plan import Plan
from runner.model import Block, BlockKind, BlockSpec, Cache
from runner.storage import store

Stored = list[tuple[Place, Block]]


@dataclass(slots=True)
class Fleet:
    """Simulated machines, of which any may answer next."""

    world: World
    hosts: Sequence[str]
    random: Random
    replicates: int = 1
    hands: Hands = ()
    stored: Stored = field(default_factory=list)
    lost: int = 0
    """Blocks that were under way when a machine, or all, was lost."""

    def __post_init__(self) -> None:
        budget = self.world.budget is not None
        self.hands = hands(self.world.benchmarks, seed=self.world.seed, hosts=len(self.hosts), budget=budget)

    def plan(self, place: Place) -> Plan:
        world = self.world
        return Plan(
            world.benchmarks, seed=world.seed, margin=0.01, repeats=world.repeats, hand=self.hands[place.hand],
            budget=None if world.budget is None else world.budget / len(self.hands), canary=world.canary,
        )

    def deal(self) -> Deal:
        """As one that goes on with what is stored."""
        made = Deal(self.hands, self.plan, replicates=self.replicates, apart=self.world.budget is None)
        for replicate in range(self.replicates):
            made.replay(replicate, [block for place, block in self.stored if place.replicate == replicate])
        return made

    def measure(self, session: str, *, until: float = math.inf, dies: Mapping[int, str] | None = None) -> Deal:
        """Go on until so many blocks are stored; `dies`: a machine that is gone for good at so many blocks."""
        deal, here = self.deal(), list(self.hosts)
        dying = dict(dies or {})
        under: dict[tuple[str, int], tuple[Place, BlockSpec]] = {}
        while not deal.ended and len(self.stored) < until:
            for count in [count for count in dying if count <= len(self.stored)]:
                gone = dying.pop(count)
                here.remove(gone)
                for key in [key for key in under if key[0] == gone]:
                    deal.lay_down(under.pop(key)[0])
                    self.lost += 1
                deal.gone(gone)
            for lane in range(AHEAD):
                for host in here:
                    while (host, lane) not in under and (taken := deal.take(host, f"{session}-{host}")) is not None:
                        if (wanted := deal.next(taken)) is not None:
                            under[host, lane] = taken, wanted
            key = self.random.choice(sorted(under))
            place, spec = under.pop(key)
            found = replace(self.world.measure(spec), host=key[0], session=f"{session}-{key[0]}")
            deal.observe(place, found)
            self.stored.append((place, found))
            if (more := deal.next(place)) is not None:
                under[key] = place, more
        self.lost += len(under)
        return deal

    def run(self, replicate: int = 0) -> store.Run:
        world = self.world
        shared = store.Fleet(
            address="tcp://127.0.0.1:1", hands=self.hands, hosts={host: {"cpu": "some"} for host in self.hosts},
            runs=("r",), request={})
        made = manifest(world.benchmarks, seed=world.seed, budget=world.budget, margin=0.01, fleet=shared)
        blocks = tuple(block for place, block in self.stored if place.replicate == replicate)
        return store.Run(folder=Path("runs/r"), manifest=made, blocks=blocks, torn=False)


def by_benchmark(blocks: Sequence[Block]) -> dict[str, list[Block]]:
    """The blocks of each benchmark in their order, without who has measured them."""
    found = defaultdict(list)
    for one in blocks:
        found[one.benchmark].append(replace(one, host="", session=""))
    return found


fleets = st.builds(
    Fleet, world=worlds(), hosts=st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]), random=st.randoms())


@LAWS
@given(fleets)
def test_a_fleet_measures_the_blocks_that_one_machine_would(fleet: Fleet) -> None:
    """Benchmark by benchmark, and in whatever order the machines answer: so the verdicts are one machine's."""
    fleet.world = replace(fleet.world, budget=None, canary=False)
    fleet.__post_init__()
    deal = fleet.measure("s")
    assert deal.ended
    alone = fleet.world.run(fleet.world.plan())
    assert by_benchmark([block for _, block in fleet.stored]) == by_benchmark(alone)
    hosts = defaultdict(set)
    for _, found in fleet.stored:
        hosts[found.benchmark].add(found.host)
    assert all(len(own) == 1 for own in hosts.values()), "a benchmark stays on one machine"


@LAWS
@given(fleets, st.data())
def test_a_fleet_s_run_killed_at_any_point_goes_on_as_if_it_had_not_been(fleet: Fleet, data: st.DataObject) -> None:
    fleet.world = replace(fleet.world, failing=frozenset())  # what has failed is tried once more by who goes on
    whole = Fleet(world=fleet.world, hosts=fleet.hosts, random=Random(1))
    whole.measure("s")
    cut = data.draw(st.integers(0, len(whole.stored)))
    fleet.measure("s", until=cut)
    fleet.measure("t")
    if fleet.world.budget is None and not fleet.world.canary:
        assert by_benchmark([b for _, b in fleet.stored]) == by_benchmark([b for _, b in whole.stored])
    asked = Counter((b.benchmark, b.kind, b.index) for _, b in fleet.stored)
    assert max(asked.values(), default=1) == 1, "nothing that is stored is measured again"
    assert fleet.deal().ended


@LAWS
@given(fleets, st.data())
def test_a_hand_s_blocks_follow_from_its_own_blocks_alone(fleet: Fleet, data: st.DataObject) -> None:
    """With a budget and a canary too: however those of other hands come between them."""
    fleet.measure("s")
    shuffled = sorted(fleet.stored, key=lambda one: one[0].hand, reverse=data.draw(st.booleans()))
    again = Fleet(world=fleet.world, hosts=fleet.hosts, random=Random(2), stored=shuffled)
    assert again.deal().ended or any(found.failure for _, found in shuffled), "what has failed is tried once more"


@LAWS
@given(fleets, st.data())
def test_a_machine_that_is_lost_costs_what_it_had_not_settled_and_no_verdict(
    fleet: Fleet, data: st.DataObject
) -> None:
    fleet.world = replace(fleet.world, budget=None, canary=False)
    fleet.hosts = ("a", "b", "c")
    fleet.__post_init__()
    dies = {data.draw(st.integers(0, 20)): "b", data.draw(st.integers(21, 40)): "a"}
    assert fleet.measure("s", dies=dies).ended
    found, alone = report(fleet.run()), fleet.world.run(fleet.world.plan())
    made = manifest(fleet.world.benchmarks, seed=fleet.world.seed, margin=0.01)
    of_one = report(store.Run(folder=Path("runs/r"), manifest=made, blocks=tuple(alone), torn=False))
    told = [(one.verdict, one.ratio, one.low, one.high, one.blocks) for one in found.comparisons]
    assert told == [(one.verdict, one.ratio, one.low, one.high, one.blocks) for one in of_one.comparisons]
    assert all(one.host in fleet.hosts for one in found.comparisons)
    assert found.complete
    # Whoever goes on finds it ended, but for what has failed, which is tried once more.
    if not fleet.world.failing:
        assert fleet.deal().ended


def test_a_machine_that_comes_back_to_what_another_was_at_begins_it_anew() -> None:
    world = World(seed=8, spread=(0.01, 0.05), costs=(0.1, 0.1))
    fleet = Fleet(world=world, hosts=("a", "b"), random=Random(3))
    fleet.hands = (("work.bench_0", "work.bench_1"),)
    deal = fleet.deal()

    def measure(host: str, count: int) -> None:
        place = deal.take(host, f"s-{host}-{count}")
        assert place is not None
        for _ in range(count):
            spec = deal.next(place)
            assert spec is not None
            deal.observe(place, found := replace(world.measure(spec), host=host, session=f"s-{host}-{count}"))
            fleet.stored.append((place, found))
        deal.lay_down(place)

    measure("a", 6)
    assert deal.take("b", "s") is None, "a may come back"
    deal.gone("a")
    measure("b", 3)
    assert deal.take("a", "s") is None, "it is b's now"
    deal.back("a")
    deal.gone("b")
    measure("a", 5)
    again = Fleet(world=world, hosts=("a", "b"), random=Random(4), hands=fleet.hands, stored=fleet.stored)
    again.hands = fleet.hands
    again.measure("t")
    last = [one for _, one in again.stored if one.benchmark == "work.bench_1" and one.kind is BlockKind.SCORED]
    found = next(one for one in report(again.run()).comparisons if one.key == "work.bench_1")
    begun = max(number for number, one in enumerate(last) if one.index == 0)
    assert len(found.log_ratios) == len(last) - begun and found.host == "a"


@LAWS
@given(fleets)
def test_the_blocks_of_a_fleet_alone_say_whether_more_is_wanted(fleet: Fleet) -> None:
    fleet.measure("s")
    assert report(fleet.run()).complete
    if fleet.world.budget is not None:
        spent = sum(found.seconds for _, found in fleet.stored)
        dearest = max((found.seconds for _, found in fleet.stored), default=0.0)
        assert spent <= fleet.world.budget + len(fleet.hands) * dearest


@LAWS
@given(fleets, st.integers(1, 3))
def test_no_machine_measures_two_replicates_of_a_hand(fleet: Fleet, replicates: int) -> None:
    fleet.replicates = min(replicates, len(fleet.hosts))
    fleet.world = replace(fleet.world, budget=None)
    fleet.__post_init__()
    assert fleet.measure("s").ended
    where = defaultdict(set)
    for place, found in fleet.stored:
        where[found.benchmark, found.host].add(place.replicate)
    assert all(len(own) == 1 for own in where.values())
    whole = {found.benchmark for _, found in fleet.stored}
    assert {(key, r) for key in whole for r in range(fleet.replicates)} == {
        (found.benchmark, place.replicate) for place, found in fleet.stored}


@given(st.integers(1, 400), st.integers(1, 16), st.booleans(), st.integers(0, 99))
def test_hands_hold_every_benchmark_once_and_become_smaller(count: int, hosts: int, budget: bool, seed: int) -> None:
    suite = [benchmark(f"work.time_{number}") for number in range(count)]
    dealt = hands(suite, seed=seed, hosts=hosts, budget=budget)
    assert sorted(key for hand in dealt for key in hand) == sorted(one.key for one in suite)
    sizes = [len(hand) for hand in dealt]
    assert min(sizes) >= 1 and dealt == hands(suite, seed=seed, hosts=hosts, budget=budget)
    if budget:
        assert len(dealt) == min(count, hosts * AHEAD) and max(sizes) - min(sizes) <= 1
    else:
        assert sizes[:-1] == sorted(sizes[:-1], reverse=True)
        assert max(sizes) <= max(LEAST, math.ceil(count / (2 * hosts * AHEAD)))


def test_benchmarks_that_share_a_cache_stay_together() -> None:
    cache = Cache(key="work:3", timeout=60.0)
    suite = [benchmark(f"work.time_{n}", cache=cache if n % 3 == 0 else None) for n in range(60)]
    for budget in (False, True):
        dealt = hands(suite, seed=4, hosts=3, budget=budget)
        shared = {f"work.time_{n}" for n in range(0, 60, 3)}
        assert sum(bool(shared & set(hand)) for hand in dealt) == 1


def test_a_block_of_no_hand_is_refused() -> None:
    fleet = Fleet(world=World(seed=1, spread=(0.1,)), hosts=("a",), random=Random(1))
    with pytest.raises(ValueError, match="other is in no hand"):
        fleet.deal().replay(0, [block("other")])


def test_a_report_says_which_machine_has_measured_what() -> None:
    world = World(seed=5, spread=(0.001,) * 6, costs=(0.1,) * 6)
    fleet = Fleet(world=world, hosts=("a", "b"), random=Random(6))
    fleet.measure("s")
    found = report(fleet.run())
    told = {notice.numbers["host"]: notice.numbers for notice in found.notices if notice.kind == "host"}
    assert set(told) == {"a", "b"}
    assert sum(int(numbers["count"]) for numbers in told.values()) == 6
    for name, numbers in told.items():
        assert int(numbers["count"]) == sum(one.host == name for one in found.comparisons)
    of_a, of_b = (sum(b.seconds for _, b in fleet.stored if b.host == name) for name in ("a", "b"))
    assert found.seconds == pytest.approx(of_a + of_b), "of all machines together"
