"""What to measure next: the policy. Pure: no clock, no files; one seed and the blocks so far determine every answer.

So a run that was killed goes on as if it had not been: the plan is told the stored blocks again. What is drawn at
random is in `draws`, where the run stands in `progress`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from runner.measuring import draws
from runner.measuring.progress import Canary, Progress
from runner.model import Arm, Benchmark, Block, BlockKind, BlockSpec, Metric
from runner.stats.decide import LAYOUTS, LOOKS, layouts_in_turn

UNKNOWN_COST = 0.2
"""Seconds a block is taken to cost before any was measured."""
USUAL, SUPPOSED = LOOKS[2], 10
"""Blocks that a benchmark is supposed to take before any was settled, and how many benchmarks that counts as: those
that are settled first need the fewest (docs/decisions/0032)."""
FAR = 2.0
"""Times what is left of a budget from which on a benchmark of known cost has to wait for those of unknown cost."""
CANARY_SHARE = 0.03
"""Share of the time that the canary may take."""

Wanted = tuple[Progress, BlockKind, int]
"""A block that is to be measured: whose it is, its kind, its index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a budget is good for, as far as costs are known."""

    within: int
    """Benchmarks that will probably be settled when it ends, those included that are."""
    whole: float
    """Seconds that all would take, those included that were spent."""


class Standing(Protocol):
    """Where a run stands, for those who watch it: of one machine a `Plan`, of a fleet its `deal.Deal`."""

    @property
    def progress(self) -> Mapping[str, Progress]: ...

    def seconds_left(self) -> float: ...

    def outlook(self) -> Outlook | None: ...


class Plan:
    """The schedule: rounds in fresh random order, one block of each benchmark a round, until all are settled.

    With a budget, a round takes only benchmarks that can be settled together with what is left of it, those first that
    are cheapest to settle. One without blocks is begun only if there is room for all of it beside those that were
    begun, by what blocks were seen to cost so far: a budget that is too short for all settles some, and not none.

    Among them are blocks of the canary: a timed benchmark, base against a copy of base. They take `CANARY_SHARE` of the
    time at most, and end when the canary is settled.

    A plan may be of a *hand*: a part of the suite, which stays on one machine of a fleet (`deal`). Its blocks are drawn
    as those of the whole are, and visited in the same order, without those of other hands. Where another machine goes
    on with it, what was not settled begins anew, since the ratio may be another there.
    """

    def __init__(
        self, benchmarks: Sequence[Benchmark], *, seed: int, margin: float, budget: float | None,
        repeats: int | None = None, canary: bool = True, blocks: int | None = None, hand: Collection[str] | None = None,
    ) -> None:
        """`margin` is a fraction, `budget` in seconds; `repeats`: how many blocks of a benchmark share a layout, None
        in scope ``binary``; `blocks`: how many every benchmark gets, None: as many as it takes to settle it;
        `hand`: keys of the benchmarks that are this plan's, None: all."""
        self._seed, self._budget, self._repeats = seed, budget, repeats
        self._blocks, self._margin = blocks, math.log1p(margin)
        self._canary = Canary(self._margin) if canary else None
        self.spent = 0.0
        """Seconds of machine time so far."""
        layouts = layouts_in_turn(repeats, blocks)
        self.progress = {
            benchmark.key: Progress(
                benchmark, margin=self._margin, tests=len(benchmarks), fixed=blocks, layouts=layouts)
            for benchmark in benchmarks if hand is None or benchmark.key in hand
        }
        keys = dict.fromkeys(benchmark.key for benchmark in benchmarks)
        self._numbers = {key: number for number, key in enumerate(keys)}
        """Of all benchmarks of the run, other hands' too."""
        self._may_move = hand is not None
        self._session: str | None = None
        self._host: str | None = None
        self._round = -1
        self._latest = 0
        """Index of the benchmarks' last block."""
        self._queue: deque[Progress] = deque()
        self._promises: dict[Progress, float] = {}
        self._promised = 0.0
        """Seconds of the budget that are set aside for those that a round has begun, and their sum."""
        self._anyway: Progress | None = None
        """What is measured although nothing can be settled with what is left of the budget."""
        self._costs, self._known = 0.0, 0
        """Sum of what a block of each benchmark costs, and the number of those of which that is known."""
        self._taken = self._settled = 0
        """Blocks of the benchmarks that are settled, and their number; without tracked values and those that failed."""

    def begin(self, session: str, host: str = "") -> None:
        """A process goes on with the run, or begins it. What has failed in those before it is tried once more; what was
        skipped is not. On another host, what is not settled of a hand begins anew."""
        if self._session is not None and self._session != session:
            for progress in self.progress.values():
                if progress.failed and not progress.skipped:
                    progress.try_again()
        if self._may_move and self._host not in (None, host):
            self._move()
        self._session, self._host = session, host

    def next(self) -> BlockSpec | None:
        """The next block to measure, or None when nothing is left to do or the budget is used up.

        Asked again before a block was observed, it gives the same answer.
        """
        wanted = self._wanted()
        return None if wanted is None else self._spec(*wanted, self._round)

    def following(self) -> BlockSpec | None:
        """The block that `next` will probably give once the one that it gives now was observed; None where that is not
        known. What it depends on may turn out otherwise: what is settled by then, and what is left of a budget."""
        wanted = self._wanted()
        if wanted is None or wanted[1] is BlockKind.CALIBRATION:
            return None
        current = wanted[0] if wanted[1] is BlockKind.SCORED else None
        if (wanted[0].cost or 0.0) >= self._left():
            return None  # this block is the last
        queued = islice(self._queue, 0 if current is None else 1, None)
        round, then = self._round, next((one for one in queued if not one.settled), None)
        if then is None:
            round += 1
            then = next(iter(self._active(round)[0]), None)
        if then is None:
            return None
        if not then.calibrated:
            return self._spec(then, BlockKind.CALIBRATION, 0, round)
        return self._spec(then, BlockKind.SCORED, len(then.blocks) + (then is current), round)

    def observe(self, block: Block) -> None:
        """Take in a block: the one `next` asked for, or a stored one of the same run."""
        self.begin(block.session, block.host)
        found = self._wanted()
        wanted = None if found is None else (found[0].benchmark.key, *found[1:])
        if wanted != (block.benchmark, block.kind, block.index):
            raise ValueError(f"the plan asked for {_told(*wanted) if wanted else 'nothing more'}, "
                             f"not for {_told(block.benchmark, block.kind, block.index)}")
        self.spent += block.seconds
        if block.kind is BlockKind.CANARY:
            assert self._canary is not None
            self._canary.observe(block)
            return
        self._latest = block.index
        progress = self.progress[block.benchmark]
        before, was_settled = progress.cost, progress.settled
        progress.observe(block)
        if progress.cost is not None:
            self._costs += progress.cost - (before or 0.0)
            self._known += before is None
        # A count takes three blocks, whatever the timings take.
        counts = progress.benchmark.metric is Metric.TRACK
        if progress.settled and not (progress.failed or was_settled or counts):
            self._taken += len(progress.blocks)
            self._settled += 1
        if progress in self._promises:
            self._promise(progress)
        if block.kind is BlockKind.SCORED and block.failure is None:
            self._choose_canary(progress)
        if block.kind is not BlockKind.CALIBRATION or block.failure is not None:
            self._queue.popleft()

    def replay(self, blocks: Iterable[Block]) -> None:
        """Take in the stored blocks of a run that is to be continued."""
        for block in blocks:
            self.observe(block)

    def seconds_left(self) -> float:
        """Machine time that the rest will probably take."""
        rest = sum(self._price(one) for one in self.progress.values() if not one.settled)
        return rest if self._budget is None else min(rest, self._left())

    def outlook(self) -> Outlook | None:
        """How much of the suite the budget will probably settle; None without one, and before a block was measured."""
        if self._budget is None or not self._known:
            return None
        unsettled = [one for one in self.progress.values() if not one.settled]
        return Outlook(
            within=len(self.progress) - len(unsettled) + len(self._affordable(unsettled)),
            whole=self.spent + sum(map(self._price, unsettled)),
        )

    def _wanted(self) -> Wanted | None:
        wanted = self._wanted_of_benchmarks() if self._left() > 0 else None
        canary = self._canary
        if wanted is None or canary is None or canary.progress is None or canary.ended:
            return wanted
        cost = canary.cost()
        due = canary.seconds + cost <= CANARY_SHARE * (self.spent + cost)
        return (canary.progress, BlockKind.CANARY, canary.blocks) if due else wanted

    def _wanted_of_benchmarks(self) -> Wanted | None:
        while True:
            while self._queue and not self._goes_on(self._queue[0]):
                self._queue.popleft()
            if self._queue:
                progress = self._queue[0]
                if not progress.calibrated:
                    return progress, BlockKind.CALIBRATION, 0
                return progress, BlockKind.SCORED, len(progress.blocks)
            if not self._new_round():
                return None

    def _choose_canary(self, progress: Progress) -> None:
        """A block of a benchmark was measured: the first timed one of which the canary can pay a block is its own."""
        canary = self._canary
        if canary is None or canary.progress is not None or progress.benchmark.metric is not Metric.TIME:
            return
        if progress.cost is not None and progress.cost <= CANARY_SHARE * self.spent:
            canary.progress = progress

    def _left(self) -> float:
        """Seconds that are left of the budget."""
        return math.inf if self._budget is None else max(0.0, self._budget - self.spent)

    def _price(self, progress: Progress) -> float:
        """Seconds until a benchmark is settled, by its own costs, or by those of the others."""
        usual = round((self._taken + USUAL * SUPPOSED) / (self._settled + SUPPOSED))
        cost = progress.cost
        if cost is None:
            cost = self._costs / self._known if self._known else UNKNOWN_COST
        return (progress.blocks_to_go(usual) + (not progress.calibrated)) * cost

    def _new_round(self) -> bool:
        self._round += 1
        active, self._anyway = self._active(self._round)
        if self._budget is not None:
            self._promises = {one: self._price(one) for one in active if one.blocks}
            self._promised = sum(self._promises.values())
        self._queue = deque(active)
        return bool(self._queue)

    def _active(self, round: int) -> tuple[list[Progress], Progress | None]:
        """What a round that begins now takes, in its order, and what of that it takes anyway: see `_anyway`."""
        everything = [self.progress.get(key) for key in self._numbers]
        order = draws.order(self._seed, round, len(everything))
        active = [one for i in order if (one := everything[i]) is not None and not one.settled]
        if self._budget is None:
            return active, None
        chosen = self._affordable(active)
        anyway = None if chosen or not active else self._least_far(active)
        return [one for one in active if one in chosen or one is anyway], anyway

    def _affordable(self, active: Iterable[Progress]) -> set[Progress]:
        """Those that can be settled together with what is left of the budget: the cheapest."""
        left, chosen = self._left(), set[Progress]()
        for progress in sorted(active, key=lambda one: (one.hopeless(), self._price(one))):
            left -= self._price(progress)
            if left < 0:
                break
            chosen.add(progress)
        return chosen

    def _least_far(self, active: Iterable[Progress]) -> Progress:
        """The one to measure where none can be settled, by what is known: costs may turn out lower."""
        def far(one: Progress) -> tuple[bool, bool, float]:
            price = self._price(one)
            return one.cost is not None and price > FAR * self._left(), one.hopeless(), price

        return min(active, key=far)

    def _goes_on(self, progress: Progress) -> bool:
        """Whether the next of a round is to be measured. One without blocks must fit beside what was promised."""
        if progress.settled:
            return False
        if self._budget is None or progress.blocks or progress is self._anyway:
            return True
        self._promise(progress)
        if self._promised <= self._left():
            return True
        self._promised -= self._promises.pop(progress)
        return False

    def _promise(self, progress: Progress) -> None:
        """Set aside what it takes to settle a benchmark, in place of what was set aside for it."""
        price = 0.0 if progress.settled else self._price(progress)
        self._promised += price - self._promises.get(progress, 0.0)
        self._promises[progress] = price

    def _move(self) -> None:
        """Another machine goes on: the blocks of what is settled stand, those of the rest count no longer."""
        for progress in self.progress.values():
            if progress.settled:
                continue
            if progress.cost is not None:
                self._costs -= progress.cost
                self._known -= 1
            progress.begin_anew()
            if progress in self._promises:
                self._promise(progress)
        if self._canary is not None:
            self._canary = Canary(self._margin)

    def layout(self, index: int) -> int | None:
        """Seed of the link order of blocks with this index, the same for every benchmark; None in scope ``binary``."""
        if self._repeats is None:
            return None
        # A known number of blocks goes through its layouts in turn, so that drift is not taken for their effect.
        if self._blocks is None:
            return draws.layout(self._seed, index // self._repeats % LAYOUTS)
        return draws.layout(self._seed, index % min(LAYOUTS, max(1, self._blocks // self._repeats)))

    def _spec(self, progress: Progress, kind: BlockKind, index: int, round: int) -> BlockSpec:
        benchmark, calibration = progress.benchmark, progress.calibration
        # The canary links nothing of its own: it runs in the layout that was measured last.
        place = self._latest if kind is BlockKind.CANARY else index
        settings = calibration.settings if calibration is not None else None
        if kind is BlockKind.CANARY and settings is not None:
            settings = replace(settings, calls=dict.fromkeys(Arm, settings.calls[Arm.BASE]))
        return BlockSpec(
            benchmark=benchmark, kind=kind, index=index, round=round, settings=settings,
            extensions=calibration.extensions if calibration is not None else (),
            layout=self.layout(place),
            next_layout=self.layout(place + (self._repeats or 0 if self._blocks is None else 1)),
            **draws.of_block(self._seed, self._numbers[benchmark.key], kind, index),
        )


def _told(benchmark: str, kind: BlockKind, index: int) -> str:
    return f"{benchmark} {kind.value} block {index}"
