"""What changed, grouped: benchmarks of one name are one line, and lines that say one thing stand together.

The change of a row (`picture.rows`) *grows with* its parameter where the values are numbers or sizes, the largest at
least `SPAN` times the smallest that is above 0, and where the change is at least `LEAST` times at the largest value,
`GROWS` times what it is at the smallest, and at none more than `STEADY` times smaller than at the one before. A copy
that is not made any more looks like that. Everything else is grouped by the size of its largest change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dashboards.records import Change, Member
from runner.model import Verdict
from runner.report import quantities
from runner.report.picture import Item, Row, magnitude

SPAN, LEAST, GROWS, STEADY = 16.0, 10.0, 4.0, 1.1
LINES = 40
"""Most lines of a group."""
SIZES = ((math.inf, "from or to zero"), (10.0, "10x and more"), (2.0, "2x to 10x"), (1.1, "10 % to 2x"),
         (0.0, "less than 10 %"))
"""Least factor of a group, and its words; largest first."""
_SLOWER = Verdict.SLOWER.value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What one row says in one direction."""

    title: str
    rank: tuple[bool, bool, int]
    """Slower before faster, patterns before sizes, large before small."""
    member: Member
    count: int
    size: float


def changes(rows: Iterable[Row]) -> list[Change]:
    """What changed: for the worse first; of each, what grows differently, then by size, largest first."""
    groups: dict[tuple[tuple[bool, bool, int], str], list[_Line]] = {}
    for parameter, label, of in rows:
        for state in (_SLOWER, Verdict.FASTER.value):
            those = [item for item in of if item.state == state]
            if those:
                line = _line(parameter, label, of, those)
                groups.setdefault((line.rank, line.title), []).append(line)
    made = []
    for (rank, title), lines in sorted(groups.items()):
        lines.sort(key=lambda line: -line.size)
        made.append(Change(
            title=title, state=Verdict.FASTER.value if rank[0] else _SLOWER, count=sum(line.count for line in lines),
            members=[line.member for line in lines[:LINES]], more=max(0, len(lines) - LINES),
        ))
    return made


def _line(parameter: str, label: str, of: Sequence[Item], those: Sequence[Item]) -> _Line:
    faster = those[0].state != _SLOWER
    largest = max(those, key=lambda item: item.factor)
    if growing(parameter, of, those):
        title, rank = f"The larger {parameter}, the larger the {'gain' if faster else 'loss'}", (faster, False, 0)
    else:
        words = ("Faster" if faster else "Slower") if largest.timed else ("Less" if faster else "More")
        number = next(i for i, (least, _) in enumerate(SIZES) if largest.factor >= least)
        title, rank = f"{words}: {SIZES[number][1]}", (faster, True, number)
    return _Line(
        title=title, rank=rank, count=len(those), size=largest.factor,
        member=Member(
            label=those[0].key if len(of) == 1 else label,
            link=largest.link, count="" if len(of) == 1 else f"{len(those)} of {len(of)}",
            where="" if len(of) == 1 else _where(parameter, of, those), range=_range(those), state=those[0].state,
        ),
    )


def _where(parameter: str, of: Sequence[Item], those: Sequence[Item]) -> str:
    """Which of a row's values: ``size 64B to 16MiB``; empty for all."""
    if len(those) == len(of):
        return ""
    values = [item.params[parameter] for item in those]
    places = [place for place, item in enumerate(of) if item.state == those[0].state]
    if len(values) > 2 and places[-1] - places[0] == len(places) - 1:
        return f"{parameter} {values[0]} to {values[-1]}"
    return f"{parameter} {', '.join(values[:3])}{' …' if len(values) > 3 else ''}"


def _range(those: Sequence[Item]) -> str:
    """From the smallest change to the largest; in its own words where there is one, or all are tiny."""
    largest = max(those, key=lambda item: item.factor)
    if len(those) == 1 or largest.factor < 1.005:
        return largest.words
    factors = sorted(item.factor for item in those)
    low, high = ("∞" if math.isinf(factor) else quantities.factor(factor) for factor in (factors[0], factors[-1]))
    word = those[0].state if those[0].timed else "more" if those[0].state == _SLOWER else "less"
    return f"{low} {word}" if low == high else f"{low} to {high} {word}"


def growing(parameter: str, of: Sequence[Item], those: Sequence[Item]) -> bool:
    """Whether a row's change grows with its parameter, as told above; `those` are the benchmarks that changed so."""
    sizes = [size for item in of if parameter and (size := magnitude(item.params[parameter]))]
    if len(sizes) < 2 or sizes[-1] < SPAN * sizes[0] or of[-1] is not those[-1]:
        return False
    gains = [item.factor if item.state == those[0].state else 1.0 for item in of]
    ascending = all(after > before / STEADY for before, after in pairwise(gains))
    return ascending and gains[-1] == max(gains) and gains[-1] >= max(LEAST, GROWS * gains[0])
