"""What a report says, as records: all that a rendering needs, and nothing of how it was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import PlainValidator

from runner.model import Difference, Failure, Metric, Mode, Notice, Settings, Verdict, key_of
from runner.stats.blocks import frozen
from runner.stats.paired import Array
from runner.stats.variance import Noise

COMPARED = (Verdict.FASTER, Verdict.SLOWER, Verdict.SAME, Verdict.UNDECIDED)
"""Verdicts of what was measured in both arms, or is to be."""
NOT_REACHED = "not reached"
"""What is said of a benchmark that is undecided because measuring ended before its first look."""
STATES = (*(verdict.value for verdict in COMPARED), NOT_REACHED,
          *(verdict.value for verdict in Verdict if verdict not in COMPARED))
"""What a benchmark may be, in the order in which every format counts them: its verdict, or not reached."""
Numbers = Annotated[Array, PlainValidator(frozen)]
"""One number a block, read-only. From a file they come as a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One benchmark's line in a report. Ratios are head ÷ base of the metric: above 1 is slower (or more)."""

    name: str
    params: Mapping[str, str]
    metric: Metric
    unit: str
    verdict: Verdict
    clear: bool
    """The whole interval is outside the margin."""
    tiny: bool
    """Inside the margin, and yet 1 is outside the interval: a real difference too small to care about."""
    exact: bool
    """A count that repeated itself to the digit in each arm: compared as a number, without a test."""
    ratio: float | None
    low: float | None
    high: float | None
    """Estimate and interval of the ratio; None where there is none (not compared, `too_few`, or from or to zero)."""
    base_value: float | None
    head_value: float | None
    """Median over blocks of the value per call, in `unit`."""
    blocks: int
    """Blocks that the verdict rests on."""
    reached: bool
    """False for what is undecided because it was not measured up to its first look, or at all."""
    needed: int | None
    """For undecided: blocks in all that would probably settle it, None where that cannot be said."""
    p: float | None
    q: float | None
    mode: Mode | None
    settings: Settings | None
    machine_seconds: float
    failure: Failure | None
    """Why it was not compared."""
    notices: tuple[Notice, ...]
    log_ratios: Numbers
    """Per block, measured order; natural log of head ÷ base. Read-only, like the three below."""
    base_values: Numbers
    head_values: Numbers
    """Per block, value per call in `unit`."""
    started: Numbers
    """Per block, seconds since the run's first block."""
    noise: Noise | None = None
    """Where the noise of a timed benchmark comes from; None where its blocks cannot tell."""
    twin: int | None = None
    """As `Benchmark.twin`."""
    host: str = ""
    """The machine of a fleet that has measured it, or several where runs were combined; empty where one machine has
    measured all."""

    @property
    def too_few(self) -> bool:
        """Undecided because there are fewer blocks than a first look needs: nothing is said of the ratio."""
        return not self.reached

    @property
    def measured(self) -> int:
        """Scored blocks that there are: those too that came after the look which `blocks` is."""
        return max(self.blocks, self.started.size)

    @property
    def compared(self) -> bool:
        """Measured in both arms, or to be measured: its verdict is one of `COMPARED`."""
        return self.verdict in COMPARED

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return self.verdict.value if self.reached else NOT_REACHED

    @property
    def key(self) -> str:
        return key_of(self.name, self.params, self.twin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """Geometric mean over the timed benchmarks that reached a look, from the blocks that all of them have."""

    ratio: float
    low: float
    high: float
    count: int


class Judged(Protocol):
    """What is told in the same words wherever benchmarks were judged together: by a run, or from files of others."""

    @property
    def comparisons(self) -> Sequence[Comparison]: ...

    @property
    def margin(self) -> float:
        """As a fraction."""

    @property
    def mean(self) -> Mean | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a rendering needs. Made from a run folder alone."""

    run: str
    """The run folder's name."""
    folder: str
    suite: str
    """The suite's folder, absolute."""
    base: Mapping[str, Any]
    head: Mapping[str, Any]
    """Each arm as in the manifest: spec, version, executable, sha256, build (or None), facts."""
    differences: Sequence[Difference]
    machine: Mapping[str, Any]
    """As in the manifest: cpu, kernel, cores, pinned (CPU number or None), isolated, …"""
    scope: str
    """``binary`` or ``source``."""
    addresses: bool
    """Addresses were drawn for each block, the same for both arms."""
    margin: float
    """As a fraction: 0.01 is 1 %."""
    seed: int
    command: str
    """A command line that repeats this run."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    """Wall time spent measuring, over all sessions of the run; of a fleet, the sum of its machines'."""
    measured_share: float
    """Share of `seconds` that was measured slices."""
    complete: bool
    """False for an interrupted run, which can be resumed."""
    comparisons: Sequence[Comparison]
    """In suite order."""
    mean: Mean | None
    notices: Sequence[Notice]
    calibration: Mapping[str, int | float | str] | None = None
    """What was known of verdicts on this machine when the run began; None: `lockstep calibrate` had not been run."""

    def count(self, verdict: Verdict) -> int:
        """Number of benchmarks with this verdict."""
        return sum(1 for comparison in self.comparisons if comparison.verdict is verdict)

    @property
    def not_reached(self) -> int:
        """Number of the undecided benchmarks that were not measured up to their first look."""
        return sum(1 for comparison in self.comparisons if not comparison.reached)

    @property
    def states(self) -> dict[str, int]:
        """How many benchmarks are in each state, in the order of `STATES`."""
        count = Counter(comparison.state for comparison in self.comparisons)
        return {state: count[state] for state in STATES}
