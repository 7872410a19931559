"""What counts and times together say of one benchmark. Counts never change a verdict; they say where to look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from runner.judging.report import Comparison, Report
from runner.measuring.counts import Counts
from runner.model import Metric, Verdict
from runner.stats.variance import Range

EQUAL_WORK = 0.001
"""Log ratio of instructions up to which they count as equal: 0.1 %, far less than a time can show."""


class Reading(Enum):
    """What a time's verdict and the instructions say together."""

    NOT_TIMED = "not timed"
    """No time, or not compared."""
    NOT_COUNTED = "not counted"
    OPEN = "open"
    """The time is undecided."""
    NOTHING = "nothing"
    """Equal work in the same time."""
    HIDDEN = "hidden"
    """The work differs, and the time does not."""
    ELSEWHERE = "elsewhere"
    """Equal work, and the time differs: layout, caches, the kernel."""
    WORK = "work"
    """Both differ in one direction."""
    AGAINST = "against"
    """More work in less time, or less in more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far layouts of one source differ for a benchmark (`variance.Noise.spread`), and where that was measured."""

    spread: Range
    run: str
    """Id of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One benchmark's explanation."""

    comparison: Comparison
    counts: Counts | None
    """None where nothing was counted for it."""
    spread: Spread | None
    """From this run or an earlier one of the same benchmark on this machine."""
    reading: Reading

    @property
    def inside_spread(self) -> bool | None:
        """Whether the time's difference is one that two layouts of one source show; None where the spread is not known,
        or not well enough to say."""
        ratio = self.comparison.ratio
        if self.spread is None or not ratio or ratio <= 0:
            return None
        size, spread = abs(math.log(ratio)), self.spread.spread
        return True if size <= spread.value else False if size > spread.high else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that a rendering needs."""

    report: Report
    """Of the whole run."""
    explained: tuple[Explained, ...]
    """The benchmarks that were asked for, in the report's order."""
    problems: tuple[str, ...]
    """In words: why instructions are missing altogether, and what was left out."""
    layouts_possible: bool
    """Both arms are builds of Lockstep's, so that scope ``source`` can measure what layout does."""


def explained(comparison: Comparison, counts: Counts | None, spread: Spread | None) -> Explained:
    """Put together what is known of one benchmark, and read it."""
    return Explained(comparison=comparison, counts=counts, spread=spread, reading=read(comparison, counts))


def read(comparison: Comparison, counts: Counts | None) -> Reading:
    """The row of the table in docs/explaining.md that applies."""
    if comparison.metric is not Metric.TIME or not comparison.compared:
        return Reading.NOT_TIMED
    if counts is None or counts.instructions is None:
        return Reading.NOT_COUNTED
    if comparison.verdict is Verdict.UNDECIDED:
        return Reading.OPEN
    work = counts.instructions.log_ratio
    equal = abs(work) <= EQUAL_WORK
    if comparison.verdict is Verdict.SAME:
        return Reading.NOTHING if equal else Reading.HIDDEN
    if equal:
        return Reading.ELSEWHERE
    return Reading.WORK if (work > 0) == (comparison.verdict is Verdict.SLOWER) else Reading.AGAINST
