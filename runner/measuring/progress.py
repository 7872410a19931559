"""Where a run stands: what was measured of each benchmark, and of the canary. It decides nothing."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace

from runner.model import Benchmark, Block, BlockKind, Cause, Metric, Verdict
from runner.stats.blocks import Evidence
from runner.stats.decide import EXACT_BLOCKS, LAYOUTS, LOOKS, Judgement


class Progress:
    """Where one benchmark stands."""

    def __init__(
        self, benchmark: Benchmark, *, margin: float, tests: int, fixed: int | None = None, layouts: int = LAYOUTS
    ) -> None:
        """`margin` is a log, `tests` the number of benchmarks in the run; `fixed`: blocks to measure whatever they
        say, None: until it is settled; `layouts`: those that they go through in turn."""
        self.benchmark = benchmark
        self.fixed = fixed
        self._margin, self._tests, self._layouts = margin, tests, layouts
        self.begin_anew()

    def begin_anew(self) -> None:
        """As if nothing of it had been measured."""
        self.calibration: Block | None = None
        self.blocks: list[Block] = []
        """The scored ones."""
        self.looked: Judgement | None = None
        """At the last look; None before the first."""
        self.settled = False
        self._evidence = Evidence(self.benchmark.metric, self._layouts)
        self._latest: Judgement | None = None
        self._seconds: list[float] = []
        """Of the scored blocks, in ascending order."""

    @property
    def failed(self) -> bool:
        return self._evidence.failure is not None

    @property
    def skipped(self) -> bool:
        """Failed in name alone: it says that it does not apply."""
        failure = self._evidence.failure
        return failure is not None and failure.cause is Cause.SKIPPED

    @property
    def calibrated(self) -> bool:
        return self.calibration is not None or self.benchmark.metric is not Metric.TIME

    @property
    def judgement(self) -> Judgement | None:
        """Of the blocks so far, whether or not a look is due; None without any."""
        if self._latest is None and self.blocks:
            self._latest = self._evidence.judge(self._margin, self._tests)
        return self._latest

    def observe(self, block: Block) -> None:
        """A block of its own was measured. It is judged only where that can settle it: see `judge`."""
        self._evidence.add(block)
        self._latest = None
        if block.failure is None and block.kind is BlockKind.CALIBRATION:
            self.calibration = block
        elif block.failure is None:
            self.blocks.append(block)
            insort(self._seconds, _own_seconds(block))
            if self._due():
                self.looked = self.judgement
        enough = len(self.blocks) >= self.fixed if self.fixed is not None else (
            self.looked is not None and self.looked.settled)
        self.settled = self.failed or enough

    def try_again(self) -> None:
        """Measure it once more although it has failed; if it fails then, it stays so."""
        self._evidence.try_again()
        self._latest = None
        self.settled = False

    def _due(self) -> bool:
        done = len(self.blocks)
        exact = self.benchmark.metric is Metric.TRACK and done <= EXACT_BLOCKS
        hopeless = self._evidence.defect is not None or self._evidence.no_ratio is not None
        return exact or done in LOOKS or hopeless

    def blocks_to_go(self, usual: int = LOOKS[0]) -> int:
        """Blocks until the first look that will probably settle it; to the last look when none will.

        `usual`: blocks that benchmarks take, which it is supposed to need before its own first look.
        """
        done = len(self.blocks)
        if self.fixed is not None:
            return self.fixed - done
        if self.benchmark.metric is Metric.TRACK and done < EXACT_BLOCKS:
            return EXACT_BLOCKS - done
        needed = self._needed() if self.looked is not None else usual
        target = max(needed or LOOKS[-1], done + 1)
        return next((look for look in LOOKS if look >= target), LOOKS[-1]) - done

    def hopeless(self) -> bool:
        """Whether even the last look will probably leave it undecided."""
        needed = self._needed()
        return len(self.blocks) >= LOOKS[0] and (needed is None or needed > LOOKS[-1])

    def _needed(self) -> int | None:
        """Blocks in all that will probably settle it, as the last look says; None where it does not."""
        if self.looked is None or self.looked.verdict is Verdict.UNDECIDED:
            return None if self.looked is None else self.looked.needed
        # It has a verdict by itself, which the suite might take back or which is not precise yet: little is lacking.
        return len(self.blocks) + 1

    @property
    def cost(self) -> float | None:
        """Seconds that a block costs: the median of those measured. Before that what its calibration took, which starts
        as a block does, and the stretch that it chose where that is known; None before that too."""
        if self._seconds:
            return self._seconds[len(self._seconds) // 2]
        calibration = self.calibration
        if calibration is None:
            return None
        if calibration.settings.stretch and "start" in calibration.readings:
            return calibration.readings["start"] + calibration.settings.stretch
        return _own_seconds(calibration) + calibration.settings.window


def _own_seconds(block: Block) -> float:
    """What a block took, without what was made for all blocks of several benchmarks before it."""
    return block.seconds - block.readings.get("cache", 0.0)


class Canary:
    """Where the canary stands: hidden blocks of base against a byte copy of base."""

    def __init__(self, margin: float) -> None:
        """`margin` is a log."""
        self.progress: Progress | None = None
        """Of the benchmark that it measures, once it is chosen."""
        self.blocks = 0
        self.seconds = 0.0
        self.ended = False
        """It has failed, or is settled as a benchmark would be."""
        self._margin = margin
        self._evidence = Evidence(Metric.TIME)

    def observe(self, block: Block) -> None:
        """A block of its own was measured; one that failed is its last."""
        self.blocks += 1
        self.seconds += block.seconds
        self._evidence.add(replace(block, kind=BlockKind.SCORED))
        due = self.blocks in LOOKS or self._evidence.defect is not None
        self.ended = block.failure is not None or (due and self._evidence.judge(self._margin).settled)

    def cost(self) -> float:
        """Seconds that its next block will probably take."""
        assert self.progress is not None
        return self.seconds / self.blocks if self.blocks else self.progress.cost or 0.0
