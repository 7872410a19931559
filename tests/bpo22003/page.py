"""A study → docs/bpo-22003.md and the figure in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from studies import origin

from bpo22003 import telco
from bpo22003.records import REFERENCE, WORKLOADS, Study, Subject
from bpo22003.telco import Telco
from dashboards import figures
from dashboards.drawing import quantity
from runner.stats import paired

LINE = ("2.7", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
"""The versions that the line is about."""
ERROR = 0.05
NAMES = {REFERENCE: "cStringIO", "io.BytesIO": "BytesIO"}
TITLES = {
    "founding": "54 471 lines of 77 bytes: len(list(BytesIO(data)))",
    "construct": "construction from 4 MiB: BytesIO(data)",
}
HEADS = {"founding": "54 471 lines", "construct": "construction"}

INTRODUCTION = """\
# bpo-22003: the line from cStringIO to today

[bpo-22003](https://bugs.python.org/issue22003) was opened because `io.BytesIO` was slower than Python 2's `cStringIO`:
where the one held on to the string that it was given, the other copied it. Since Python 3.5 `BytesIO` shares as well,
until somebody writes. What two builds of one version say of that change by itself is in the README and in
[the suite](benchmarks.md); this page follows what users of Python have had, version after version. `make bpo22003`
makes it from `data/evidence/bpo22003.json`.
"""

METHOD = """\
All interpreters run at the same time, pinned to one CPU, and take turns of about 10 ms in random order; a cycle is one
turn of each, and a ratio compares the turns of one cycle. A block is fresh processes of all, with {cycles} cycles of
each workload, and gives the median of its ratios; the table has the trimmed mean of the blocks and its 95 % interval
([method.md](method.md#the-estimate)), each interval by itself. That a buffer *shares* its bytes is not measured but
counted: they have one reference more."""

LIMITS = """\
What it is not: these are ready-made interpreters, {builds}. A ratio between two of them is about all that their
versions and builds differ in, and not about `BytesIO` alone: a step from one version to the next may be the list, the
lines, or the memory allocator. For a change by itself, compare two builds of one source: `make ab`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One subject in one workload."""

    seconds: float
    """Of a call: the median of the blocks."""
    ratio: float
    """To the reference, with the ends of its interval."""
    low: float
    high: float


def cells(study: Study, workload: str) -> list[Cell]:
    """For each subject. Raises ValueError for fewer than two blocks."""
    seconds = np.array([block.seconds[workload] for block in study.blocks])
    logs = np.array([block.log_ratios[workload] for block in study.blocks])
    if len(logs) < 2:
        raise ValueError("an interval needs two blocks")
    found = []
    for at in range(len(study.subjects)):
        estimate = paired.trimmed(logs[:, at])
        low, high = paired.interval(estimate, ERROR)
        found.append(Cell(seconds=float(np.median(seconds[:, at])), ratio=math.exp(estimate.mean), low=math.exp(low),
                          high=math.exp(high)))
    return found


def render(study: Study, picture: str, known: Telco | None = None) -> str:
    """The page; `picture` is the figure's address, as seen from it, `known` what is known of telco. Raises ValueError
    for fewer than two blocks."""
    columns = {workload: cells(study, workload) for workload in WORKLOADS}
    head = ["", "version", "shares", *(f"{HEADS[workload]}{more}" for workload in WORKLOADS
                                      for more in (": time", f" ÷ {NAMES[REFERENCE]}"))]
    rows = [
        [NAMES[subject.kind], subject.version, "yes" if subject.shares else "no",
         *(text for workload in WORKLOADS for text in _texts(columns[workload][at], at == 0))]
        for at, subject in enumerate(study.subjects)
    ]
    table = ["| " + " | ".join(line) + " |" for line in (head, ["---", *["--:"] * (len(head) - 1)], *rows)]
    image = f"![{HEADS['founding']} and {HEADS['construct']}, in ratios to {NAMES[REFERENCE]}]({picture})"
    said = _said(study, columns["construct"])
    cycles = " or ".join(dict.fromkeys(str(block.cycles) for block in study.blocks))
    return "\n\n".join([
        INTRODUCTION.rstrip(), image, "\n".join(table), *(["\n".join(said)] if said else []), _where(study),
        METHOD.format(cycles=cycles), LIMITS.format(builds=_builds(study.subjects)),
        *([] if known is None else [telco.section(known).rstrip()]),
    ]) + "\n"


def figure(study: Study) -> Figure:
    """Both workloads, a line for each kind of buffer. Raises ValueError for fewer than two blocks."""
    panels: dict[str, dict[str, list[figures.Mark]]] = {}
    for workload in WORKLOADS:
        lines = panels.setdefault(TITLES[workload], {})
        for subject, cell in zip(study.subjects, cells(study, workload), strict=True):
            lines.setdefault(NAMES[subject.kind], []).append(
                figures.Mark(version=subject.minor, ratio=cell.ratio, low=cell.low, high=cell.high))
    return figures.versions(panels, title="bpo-22003: time ÷ that of cStringIO in 2.7; less is faster")


def _texts(cell: Cell, reference: bool) -> tuple[str, str]:
    factor, unit = quantity(cell.seconds, "s")
    return (f"{_number(cell.seconds / factor)} {unit}",
            "1" if reference else f"{_number(cell.ratio)} [{_number(cell.low)}, {_number(cell.high)}]")


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def _said(study: Study, construct: Sequence[Cell]) -> list[str]:
    """Where sharing began, by what was counted."""
    line = [(subject, cell) for subject, cell in zip(study.subjects, construct, strict=True)
            if subject.kind != REFERENCE]
    steps = [(one, other) for one, other in pairwise(line) if one[0].shares != other[0].shares]
    return [
        f"Between {before.minor} and {after.minor} `BytesIO` {'begins' if after.shares else 'ceases'} to share: "
        f"construction goes from {_number(then.ratio)} times that of `cStringIO` to {_number(now.ratio)} times."
        for (before, then), (after, now) in steps
    ]


def _where(study: Study) -> str:
    there = {subject.minor for subject in study.subjects}
    missing = [version for version in LINE if version not in there]
    lacking = f" Not measured: {', '.join(missing)}." if missing else ""
    return f"{origin([block.started for block in study.blocks], study.machine)}: {len(study.blocks)} blocks.{lacking}"


def _builds(subjects: Sequence[Subject]) -> str:
    compilers = dict.fromkeys(subject.compiler for subject in subjects)
    trained = [subject.minor for subject in subjects if "--enable-optimizations" in subject.options]
    how = f"with profiles (PGO) {', '.join(dict.fromkeys(trained))}" if trained else "none of them with a profile (PGO)"
    return f"compiled by {' and '.join(compilers)}, {how}"
