"""What to measure next. Pure: no clock, no files; one seed and the blocks so far determine every answer.

So a run that was killed goes on as if it had not been: the plan is told the stored blocks again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from runner.model import Arm, Benchmark, Block, BlockKind, BlockSpec, Metric
from runner.stats.blocks import judge_blocks
from runner.stats.decide import LAYOUTS, LOOKS, Judgement

UNKNOWN_COST = 0.2
"""Seconds a block is taken to cost before any was measured."""
CANARY_EVERY = 10
"""Scored blocks of benchmarks for each block of the canary."""
STREAMS = {BlockKind.SCORED: (1, 2), BlockKind.CANARY: (4, 6), BlockKind.CALIBRATION: (5, 7)}
"""Numbers of the random streams of each kind: what is drawn for a block, and which arm starts first."""
ORDER_LENGTH = 40
"""Cycles for which an order is drawn; longer blocks read it again from the start."""


class Progress:
    """Where one benchmark stands."""

    def __init__(self, benchmark: Benchmark, fixed: int | None = None) -> None:
        self.benchmark = benchmark
        self.fixed = fixed
        """Blocks to measure, whatever they say; None: until it is settled."""
        self.calibration: Block | None = None
        self.blocks: list[Block] = []
        self.failed = False
        self.judgement: Judgement | None = None

    @property
    def settled(self) -> bool:
        if self.fixed is not None:
            return self.failed or len(self.blocks) >= self.fixed
        return self.failed or (self.judgement is not None and self.judgement.settled)

    @property
    def calibrated(self) -> bool:
        return self.calibration is not None or self.benchmark.metric is not Metric.TIME

    def observe(self, block: Block, margin: float, tests: int) -> None:
        if block.failure is not None:
            self.failed = True
        elif block.kind is BlockKind.CALIBRATION:
            self.calibration = block
        else:
            self.blocks.append(block)
            self.judgement = judge_blocks(self.benchmark.metric, self.blocks, margin, tests)

    def blocks_to_go(self) -> int:
        """Blocks until the first look that will probably settle it; to the last look when none will."""
        done = len(self.blocks)
        if self.fixed is not None:
            return self.fixed - done
        if self.benchmark.metric is Metric.TRACK and done < 3:
            return 3 - done
        needed = self.judgement.needed if self.judgement is not None else None
        target = max(needed or LOOKS[0], done + 1)
        return next((look for look in LOOKS if look >= target), LOOKS[-1]) - done

    def hopeless(self) -> bool:
        """Whether even the last look will probably leave it undecided."""
        needed = self.judgement.needed if self.judgement is not None else None
        return len(self.blocks) >= LOOKS[0] and (needed is None or needed > LOOKS[-1])

    def cost(self, unknown: float) -> float:
        """Seconds that a block costs."""
        return median(block.seconds for block in self.blocks) if self.blocks else unknown


class Canary:
    """Where the canary stands: hidden blocks of base against a byte copy of base."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        """Of the benchmark that it measures, once it is chosen."""
        self.blocks = 0
        self._waited = 0
        self._failed = False

    @property
    def due(self) -> bool:
        return self.progress is not None and self._waited >= CANARY_EVERY and not self._failed

    def wait(self, progress: Progress, block: Block) -> None:
        """A block of a benchmark was measured."""
        if block.kind is BlockKind.CALIBRATION or block.failure is not None:
            return
        self._waited += 1
        chosen = self.progress is None and self._waited >= CANARY_EVERY
        if chosen and progress.benchmark.metric is Metric.TIME:
            self.progress = progress

    def observe(self, block: Block) -> None:
        """A block of its own was measured; one that failed is its last."""
        self.blocks += 1
        self._waited = 0
        self._failed = block.failure is not None


class Plan:
    """The schedule: rounds in fresh random order, one block of each benchmark a round, until all are settled.

    With a budget, each round takes only the benchmarks that fit into what is left of it, those first that
    are cheapest to settle; so time goes where it decides most.

    After every `CANARY_EVERY` blocks comes one of the canary: the timed benchmark that was measured when it first was
    due, base against a copy of base. It takes a tenth of the time, and a run of one benchmark has one too.
    """

    def __init__(
        self, benchmarks: Sequence[Benchmark], *, seed: int, margin: float, budget: float | None,
        repeats: int | None = None, canary: bool = True, blocks: int | None = None,
    ) -> None:
        """`margin` is a fraction, `budget` in seconds; `repeats`: how many blocks of a benchmark share a layout, None
        in scope ``binary``; `blocks`: how many every benchmark gets, None: as many as it takes to settle it."""
        self._seed, self._margin, self._budget, self._repeats = seed, math.log1p(margin), budget, repeats
        self._blocks = blocks
        self._canary = Canary() if canary else None
        self.spent = 0.0
        """Seconds of machine time so far."""
        self.progress = {benchmark.key: Progress(benchmark, blocks) for benchmark in benchmarks}
        self._numbers = {key: number for number, key in enumerate(self.progress)}
        self._round = -1
        self._queue: list[str] = []

    def next(self) -> BlockSpec | None:
        """The next block to measure, or None when nothing is left to do or the budget is used up.

        Asked again before a block was observed, it gives the same answer.
        """
        canary = self._canary
        if canary is not None and canary.due and not self._out_of_budget():
            assert canary.progress is not None
            return self._spec(canary.progress, canary=canary)
        while True:
            while self._queue and self.progress[self._queue[0]].settled:
                self._queue.pop(0)
            if self._out_of_budget():
                return None
            if self._queue:
                return self._spec(self.progress[self._queue[0]])
            if not self._new_round():
                return None

    def observe(self, block: Block) -> None:
        """Take in a block: the one `next` asked for, or a stored one of the same run."""
        spec = self.next()
        wanted = None if spec is None else (spec.benchmark.key, spec.kind, spec.index)
        if wanted != (block.benchmark, block.kind, block.index):
            raise ValueError(f"the plan asked for {_told(*wanted) if wanted else 'nothing more'}, "
                             f"not for {_told(block.benchmark, block.kind, block.index)}")
        self.spent += block.seconds
        if block.kind is BlockKind.CANARY:
            assert self._canary is not None
            self._canary.observe(block)
            return
        if self._canary is not None:
            self._canary.wait(self.progress[block.benchmark], block)
        self.progress[block.benchmark].observe(block, self._margin, len(self.progress))
        if block.kind is not BlockKind.CALIBRATION or block.failure is not None:
            self._queue.pop(0)

    def replay(self, blocks: Iterable[Block]) -> None:
        """Take in the stored blocks of a run that is to be continued."""
        for block in blocks:
            self.observe(block)

    def seconds_left(self) -> float:
        """Machine time that the rest will probably take."""
        unknown = self._typical_cost()
        rest = sum(p.blocks_to_go() * p.cost(unknown) for p in self.progress.values() if not p.settled)
        return rest if self._budget is None else min(rest, max(0.0, self._budget - self.spent))

    def _out_of_budget(self) -> bool:
        return self._budget is not None and self.spent >= self._budget

    def _typical_cost(self) -> float:
        known = [p.cost(0.0) for p in self.progress.values() if p.blocks]
        return median(known) if known else UNKNOWN_COST

    def _new_round(self) -> bool:
        self._round += 1
        keys = list(self.progress)
        order = np.random.default_rng([self._seed, 0, self._round]).permutation(len(keys))
        active = [keys[i] for i in order if not self.progress[keys[i]].settled]
        chosen = active if self._budget is None else self._affordable(active, self._budget - self.spent)
        self._queue = [key for key in active if key in chosen]
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
        return int(np.random.default_rng([self._seed, 3, number % LAYOUTS]).integers(2**32))

    def _spec(self, progress: Progress, canary: Canary | None = None) -> BlockSpec:
        benchmark = progress.benchmark
        if canary is not None:
            kind, index = BlockKind.CANARY, canary.blocks
        elif progress.calibrated:
            kind, index = BlockKind.SCORED, len(progress.blocks)
        else:
            kind, index = BlockKind.CALIBRATION, 0
        calibration = progress.calibration
        settings = calibration.settings if calibration is not None else None
        if canary is not None and settings is not None:
            settings = replace(settings, calls=dict.fromkeys(Arm, settings.calls[Arm.BASE]))
        # Depends on the seed, the benchmark and the block's index alone: not on what else was measured when.
        draws, coins = STREAMS[kind]
        rng = np.random.default_rng([self._seed, draws, self._numbers[benchmark.key], index + 1])
        letters = np.array(["b", "h"] * (ORDER_LENGTH // 2))
        # Who starts first is balanced within the pairs 0-1, 2-3, … (looks are even); which of the two it is, is random.
        pair = np.random.default_rng([self._seed, coins, self._numbers[benchmark.key], (index + 2) // 2])
        coin = int(pair.integers(2))
        return BlockSpec(
            benchmark=benchmark, kind=kind, index=index,
            settings=settings,
            extensions=calibration.extensions if calibration is not None else (),
            layout=self.layout(index),
            first=Arm.BASE if (index + coin) % 2 == 0 else Arm.HEAD,
            order="".join(_balanced(rng, letters)),
            hash_seed=int(rng.integers(1, 2**32)), padding=int(rng.integers(4096)),
            directory="w" * int(rng.integers(1, 64)), address=int(rng.integers(1 << 16)),
        )


def _told(benchmark: str, kind: BlockKind, index: int) -> str:
    return f"{benchmark} {kind.value} block {index}"


def _balanced(rng: np.random.Generator, letters: np.ndarray) -> list[str]:
    """Random order, balanced within every four cycles, so that any even number of them is nearly balanced."""
    quads = [rng.permutation(letters[:4]) for _ in range(len(letters) // 4)]
    return [str(letter) for letter in np.concatenate(quads)]
