"""What to measure next: the policy. Pure: no clock, no files; one seed and the blocks so far determine every answer.

So a run that was killed goes on as if it had not been: the plan is told the stored blocks again. What is drawn at
random is in `draws`, where the run stands in `progress`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

from runner.measuring import draws
from runner.measuring.progress import Canary, Progress
from runner.model import Arm, Benchmark, Block, BlockKind, BlockSpec, Metric
from runner.stats.decide import LAYOUTS

UNKNOWN_COST = 0.2
"""Seconds a block is taken to cost before any was measured."""
CANARY_SHARE = 0.03
"""Share of the time that the canary may take."""

Wanted = tuple[Progress, BlockKind, int]
"""A block that is to be measured: whose it is, its kind, its index."""


class Plan:
    """The schedule: rounds in fresh random order, one block of each benchmark a round, until all are settled.

    With a budget, each round takes only the benchmarks that fit into what is left of it, those first that
    are cheapest to settle; so time goes where it decides most.

    Among them are blocks of the canary: a timed benchmark, base against a copy of base. They take `CANARY_SHARE` of the
    time at most, and end when the canary is settled.
    """

    def __init__(
        self, benchmarks: Sequence[Benchmark], *, seed: int, margin: float, budget: float | None,
        repeats: int | None = None, canary: bool = True, blocks: int | None = None,
    ) -> None:
        """`margin` is a fraction, `budget` in seconds; `repeats`: how many blocks of a benchmark share a layout, None
        in scope ``binary``; `blocks`: how many every benchmark gets, None: as many as it takes to settle it."""
        self._seed, self._budget, self._repeats = seed, budget, repeats
        self._blocks = blocks
        self._canary = Canary(math.log1p(margin)) if canary else None
        self.spent = 0.0
        """Seconds of machine time so far."""
        self.progress = {
            benchmark.key: Progress(benchmark, margin=math.log1p(margin), tests=len(benchmarks), fixed=blocks)
            for benchmark in benchmarks
        }
        self._numbers = {key: number for number, key in enumerate(self.progress)}
        self._session: str | None = None
        self._round = -1
        self._latest = 0
        """Index of the benchmarks' last block."""
        self._queue: deque[str] = deque()

    def begin(self, session: str) -> None:
        """A process goes on with the run, or begins it. What has failed in those before it is tried once more."""
        if self._session is not None and self._session != session:
            for progress in self.progress.values():
                if progress.failed:
                    progress.try_again()
        self._session = session

    def next(self) -> BlockSpec | None:
        """The next block to measure, or None when nothing is left to do or the budget is used up.

        Asked again before a block was observed, it gives the same answer.
        """
        wanted = self._wanted()
        return None if wanted is None else self._spec(*wanted)

    def observe(self, block: Block) -> None:
        """Take in a block: the one `next` asked for, or a stored one of the same run."""
        self.begin(block.session)
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
        progress.observe(block)
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
        unknown = self._typical_cost()
        rest = sum(p.blocks_to_go() * p.cost(unknown) for p in self.progress.values() if not p.settled)
        return rest if self._budget is None else min(rest, max(0.0, self._budget - self.spent))

    def _wanted(self) -> Wanted | None:
        wanted = None if self._out_of_budget() else self._wanted_of_benchmarks()
        canary = self._canary
        if wanted is None or canary is None or canary.progress is None or canary.ended:
            return wanted
        cost = canary.cost()
        due = canary.seconds + cost <= CANARY_SHARE * (self.spent + cost)
        return (canary.progress, BlockKind.CANARY, canary.blocks) if due else wanted

    def _wanted_of_benchmarks(self) -> Wanted | None:
        while True:
            while self._queue and self.progress[self._queue[0]].settled:
                self._queue.popleft()
            if self._queue:
                progress = self.progress[self._queue[0]]
                calibrated = progress.calibrated
                kind = BlockKind.SCORED if calibrated else BlockKind.CALIBRATION
                return progress, kind, len(progress.blocks) if calibrated else 0
            if not self._new_round():
                return None

    def _choose_canary(self, progress: Progress) -> None:
        """A block of a benchmark was measured: the first timed one of which the canary can pay a block is its own."""
        canary = self._canary
        if canary is None or canary.progress is not None or progress.benchmark.metric is not Metric.TIME:
            return
        if progress.cost(0.0) <= CANARY_SHARE * self.spent:
            canary.progress = progress

    def _out_of_budget(self) -> bool:
        return self._budget is not None and self.spent >= self._budget

    def _typical_cost(self) -> float:
        known = [p.cost(0.0) for p in self.progress.values() if p.blocks]
        return median(known) if known else UNKNOWN_COST

    def _new_round(self) -> bool:
        self._round += 1
        keys = list(self.progress)
        order = draws.order(self._seed, self._round, len(keys))
        active = [keys[i] for i in order if not self.progress[keys[i]].settled]
        chosen = active if self._budget is None else self._affordable(active, self._budget - self.spent)
        self._queue = deque(key for key in active if key in chosen)
        return bool(self._queue)

    def _affordable(self, active: list[str], left: float) -> set[str]:
        """Those that can be brought to their next useful look with what is left; the cheapest first."""
        unknown = self._typical_cost()

        def price(key: str) -> tuple[bool, float]:
            progress = self.progress[key]
            return progress.hopeless(), progress.blocks_to_go() * progress.cost(unknown)

        chosen: set[str] = set()
        for key in sorted(active, key=price):
            left -= price(key)[1]
            if left < 0 and chosen:
                break
            chosen.add(key)
        return chosen

    def layout(self, index: int) -> int | None:
        """Seed of the link order of blocks with this index, the same for every benchmark; None in scope ``binary``."""
        if self._repeats is None:
            return None
        # A known number of blocks goes through its layouts in turn, so that drift is not taken for their effect.
        number = index // self._repeats if self._blocks is None else index % max(1, self._blocks // self._repeats)
        return draws.layout(self._seed, number % LAYOUTS)

    def _spec(self, progress: Progress, kind: BlockKind, index: int) -> BlockSpec:
        benchmark, calibration = progress.benchmark, progress.calibration
        settings = calibration.settings if calibration is not None else None
        if kind is BlockKind.CANARY and settings is not None:
            settings = replace(settings, calls=dict.fromkeys(Arm, settings.calls[Arm.BASE]))
        return BlockSpec(
            benchmark=benchmark, kind=kind, index=index, round=self._round, settings=settings,
            extensions=calibration.extensions if calibration is not None else (),
            # The canary links nothing of its own: it runs in the layout that was measured last.
            layout=self.layout(self._latest if kind is BlockKind.CANARY else index),
            **draws.of_block(self._seed, self._numbers[benchmark.key], kind, index),
        )


def _told(benchmark: str, kind: BlockKind, index: int) -> str:
    return f"{benchmark} {kind.value} block {index}"
