"""How a suite is dealt to the machines of a fleet, and which of them measures what next. Pure, as `plan` is.

The suite is cut into *hands*. A hand is measured on one machine, by a `Plan` of its own, as a run of its own would be:
what it asks for follows from the seed and its own blocks. How the blocks of different hands come between each other
does not matter, so that any number of them may be under way at a time, and a run that was killed goes on from what is
stored, whoever measures it (docs/decisions/0023).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.measuring import draws
from runner.measuring.plan import Outlook, Plan
from runner.measuring.progress import Progress
from runner.model import Benchmark, Block, BlockSpec

AHEAD = 2
"""Hands that a host has at a time: while the block of one is stored, and the next is thought of, it measures the
other's."""
LEAST = 4
"""Benchmarks of the smallest hands, where there are enough: those of a hand take turns, and so are spread over time."""

Hands = tuple[tuple[str, ...], ...]
"""Keys of the benchmarks of each hand."""


def hands(benchmarks: Sequence[Benchmark], *, seed: int, hosts: int, budget: bool) -> Hands:
    """Cut a suite into hands for so many hosts. Benchmarks that share a cache stay together.

    With a budget there are as many hands as places for them, alike in size: each has the time of its place. Without one
    they become smaller, half of what is left at a time (Hummel, Schonberg & Flynn 1992, factoring), so that no host
    waits long for another at the end.
    """
    places = hosts * AHEAD
    units = _units(benchmarks)
    drawn = [units[number] for number in draws.shuffled(seed, len(units))]
    if budget:
        dealt = [drawn[place::places] for place in range(places)]
        return tuple(tuple(key for unit in hand for key in unit) for hand in dealt if hand)
    least = max(1, min(LEAST, len(benchmarks) // (4 * places)))
    found: list[tuple[str, ...]] = []
    left = len(benchmarks)
    while drawn:
        size = max(least, math.ceil(left / (2 * places)))
        for _ in range(places):
            hand: list[str] = []
            while drawn and len(hand) < size:
                hand += drawn.pop(0)
            if hand:
                found.append(tuple(hand))
            left -= len(hand)
    return tuple(found)


def _units(benchmarks: Sequence[Benchmark]) -> list[list[str]]:
    shared: dict[str, list[str]] = {}
    for benchmark in benchmarks:
        name = f"cache {benchmark.cache.key}" if benchmark.cache is not None else f"alone {benchmark.key}"
        shared.setdefault(name, []).append(benchmark.key)
    return list(shared.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A hand of a replicate: what a host takes."""

    replicate: int
    hand: int


class Deal:
    """Which host measures what next. What a host has taken, it measures to its end before it takes more in its place.

    Of several replicates of one hand, no host measures two: a host's deviation is not seen by repeating it there.
    """

    def __init__(
        self, hands: Hands, make: Callable[[Place], Plan], *, replicates: int = 1, apart: bool = True
    ) -> None:
        """`make` gives a new plan of a place. `apart`: the last hands go to hosts that have none, since two end later
        on one host than on two; not so where budgets end all at one time."""
        self._make, self._replicates, self._apart = make, replicates, apart
        self._hand = {key: number for number, keys in enumerate(hands) for key in keys}
        places = [Place(replicate=r, hand=h) for h in range(len(hands)) for r in range(replicates)]
        self._plans = {place: make(place) for place in places}
        self._blocks: dict[Place, list[Block]] = {place: [] for place in places}
        self._hosts: dict[Place, list[str]] = {place: [] for place in places}
        """Who has taken it, or has measured blocks of it; the last one has it."""
        self._taken: set[Place] = set()
        self._ended: set[Place] = set()
        self._gone: set[str] = set()

    def replay(self, replicate: int, blocks: Iterable[Block]) -> None:
        """Take in the stored blocks of a replicate's run, which goes on.

        Raises ValueError for a block that its plan did not ask for.
        """
        for block in blocks:
            if block.benchmark not in self._hand:
                raise ValueError(f"{block.benchmark} is in no hand of this run")
            place = Place(replicate=replicate, hand=self._hand[block.benchmark])
            self._give(place, block.host)
            self.observe(place, block)
        for place, hosts in self._hosts.items():
            if place.replicate == replicate and hosts:
                # What has failed will be tried once more, as by any process that goes on with a run.
                self._plans[place].begin("the one that goes on", hosts[-1])
                if self._plans[place].next() is None:
                    self._ended.add(place)

    def take(self, host: str, session: str) -> Place | None:
        """A hand for a host that has room for one; None where there is none for it now.

        First what the host has begun, then what nobody has, then what a host that is gone has left.
        """
        free = [
            place for place in self._plans
            if place not in self._taken and place not in self._ended and self._may(place, host)
        ]
        busy = {self._hosts[place][-1] for place in self._taken}
        if self._apart and host in busy and len(free) < len(busy):
            return None

        def rank(place: Place) -> int:
            hosts = self._hosts[place]
            return 1 if not hosts else 0 if hosts[-1] == host else 2

        place = min(free, key=rank, default=None)  # the first of the lowest: large hands come first
        if place is None:
            return None
        # From its blocks: what the plan was asked before its machine was lost may have begun a round.
        plan = self._make(place)
        plan.replay(self._blocks[place])
        plan.begin(session, host)
        self._plans[place] = plan
        self._taken.add(place)
        self._give(place, host)
        return place

    def next(self, place: Place) -> BlockSpec | None:
        """The next block of a hand that was taken; None where it is at its end, and its host has room for another."""
        spec = self._plans[place].next()
        if spec is None:
            self._taken.discard(place)
            self._ended.add(place)
        return spec

    def observe(self, place: Place, block: Block) -> Progress:
        """Take in a block: the one that `next` gave for this place. Returns where its benchmark stands. Raises
        ValueError for another block."""
        plan = self._plans[place]
        plan.observe(block)
        self._blocks[place].append(block)
        return plan.progress[block.benchmark]

    def lay_down(self, place: Place) -> None:
        """Its host measures it no longer, and has lost the block that it was at."""
        self._taken.discard(place)

    def gone(self, host: str) -> None:
        """A host will not come back soon: others may go on with what it has begun."""
        self._gone.add(host)

    def back(self, host: str) -> None:
        """A host that was gone is there."""
        self._gone.discard(host)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to measure."""
        return len(self._ended) == len(self._plans)

    @property
    def progress(self) -> Mapping[str, Progress]:
        """Where each benchmark stands, by its key; those of a second replicate and so on with its number behind."""
        return {
            key if place.replicate == 0 else f"{key} ({place.replicate + 1})": progress
            for place, plan in self._plans.items() for key, progress in plan.progress.items()
        }

    def seconds_left(self) -> float:
        """Seconds until all is measured, probably: those of all machines, divided by the machines that are at work."""
        busy = len({self._hosts[place][-1] for place in self._taken}) or 1
        return sum(plan.seconds_left() for plan in self._plans.values()) / busy

    def outlook(self) -> Outlook | None:
        """As `Plan.outlook`, of all hands together; None before each has measured a block."""
        found = [one for plan in self._plans.values() if (one := plan.outlook()) is not None]
        if len(found) < len(self._plans):
            return None
        return Outlook(within=sum(one.within for one in found), whole=sum(one.whole for one in found))

    def _give(self, place: Place, host: str) -> None:
        if self._hosts[place][-1:] != [host]:
            self._hosts[place].append(host)

    def _may(self, place: Place, host: str) -> bool:
        """Whether a hand is for this host: it has it, or nobody does who may come back, and it has measured no other
        replicate of it."""
        hosts = self._hosts[place]
        if hosts and hosts[-1] == host:
            return True
        others = (Place(replicate=r, hand=place.hand) for r in range(self._replicates) if r != place.replicate)
        return (not hosts or hosts[-1] in self._gone) and not any(host in self._hosts[other] for other in others)
