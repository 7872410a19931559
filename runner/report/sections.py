"""The order in which every format shows a report's benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runner.judging.report import Comparison, Judged
from runner.model import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """A report's benchmarks by what a reader has to do about them."""

    changed: tuple[Comparison, ...]
    """Faster or slower, largest change first."""
    undecided: tuple[Comparison, ...]
    """Largest estimated change first; without those that were not reached."""
    failed: tuple[Comparison, ...]
    """In suite order, like `same`."""
    same: tuple[Comparison, ...]
    not_reached: tuple[Comparison, ...]
    """In suite order, like those that follow."""
    only_in_base: tuple[Comparison, ...]
    only_in_head: tuple[Comparison, ...]
    skipped: tuple[Comparison, ...]

    @property
    def all(self) -> tuple[Comparison, ...]:
        """Every benchmark, in the order of the sections."""
        compared = self.changed + self.undecided + self.failed + self.same + self.not_reached
        return compared + self.only_in_base + self.only_in_head + self.skipped


def sections(report: Judged) -> Sections:
    """Sort a report's benchmarks into its sections."""
    of = {verdict: [c for c in report.comparisons if c.verdict is verdict] for verdict in Verdict}
    return Sections(
        changed=tuple(sorted(of[Verdict.FASTER] + of[Verdict.SLOWER], key=_size, reverse=True)),
        undecided=tuple(sorted((c for c in of[Verdict.UNDECIDED] if c.reached), key=_size, reverse=True)),
        failed=tuple(of[Verdict.FAILED]),
        same=tuple(of[Verdict.SAME]), not_reached=tuple(c for c in report.comparisons if not c.reached),
        only_in_base=tuple(of[Verdict.ONLY_IN_BASE]), only_in_head=tuple(of[Verdict.ONLY_IN_HEAD]),
        skipped=tuple(of[Verdict.SKIPPED]),
    )


def _size(comparison: Comparison) -> float:
    """Size of a change, the same for 2x faster and 2x slower; infinite from or to zero, -1 where unknown."""
    if comparison.ratio is None:
        return math.inf if comparison.exact else -1.0
    return abs(math.log(comparison.ratio)) if comparison.ratio > 0 else math.inf
