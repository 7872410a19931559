"""The whole suite in one picture: a row for benchmarks that share a name, a column for each value of a parameter.

Every format that has room for it draws the same `Picture`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashboards import axis
from dashboards.records import Cell, Picture, PictureRow, PictureTable
from runner.judging.report import NOT_REACHED, Report
from runner.model import Metric, Verdict
from runner.report import words

ROWS, COLUMNS = 100, 30
"""Most rows of a picture on a page, and benchmarks of a row."""
MARKS = {
    Verdict.FASTER.value: "▼", Verdict.SLOWER.value: "▲", Verdict.SAME.value: "=", Verdict.UNDECIDED.value: "?",
    NOT_REACHED: "…", Verdict.FAILED.value: "✕", Verdict.SKIPPED.value: "–", Verdict.ONLY_IN_BASE.value: "b",
    Verdict.ONLY_IN_HEAD.value: "h",
}
"""State to its mark."""
CHANGED = (Verdict.FASTER.value, Verdict.SLOWER.value)
_SIZE = re.compile(r"([+-]?\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?) ?(?:([kKMGT])(i?))?[bB]?")
_POWERS = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One benchmark of a run, wherever its result is from."""

    key: str
    name: str
    params: Mapping[str, str]
    timed: bool
    state: str
    """One of `judging.report.STATES`."""
    ratio: float | None
    base: float | None
    head: float | None
    words: str
    """Its verdict."""
    link: str

    @property
    def changed(self) -> bool:
        return self.state in CHANGED

    @property
    def factor(self) -> float:
        """How many times more the larger side has; infinite from or to zero, 1 where nothing is known."""
        if self.ratio is None:
            return math.inf if self.changed else 1.0
        return math.inf if self.ratio <= 0 else max(self.ratio, 1 / self.ratio)


def items(report: Report, links: Mapping[str, str] | None = None) -> list[Item]:
    """A report's benchmarks, in suite order; `links` leads from the page to each, by key."""
    return [
        Item(key=key, name=one.name, params=one.params, timed=one.metric is Metric.TIME, state=one.state,
             ratio=one.ratio, base=one.base_value, head=one.head_value, words=words.verdict(one),
             link=(links or {}).get(key, ""))
        for one in report.comparisons for key in (one.key,)
    ]


Row = tuple[str, str, list[Item]]
"""Benchmarks that differ in one parameter only: its name, what they have in common, and they themselves."""


def rows(found: Iterable[Item]) -> list[Row]:
    """Benchmarks in rows.

    Of several parameters it is the one that most benchmarks vary. The name is empty for what has none; then the row is
    one benchmark. Rows and what is in them keep their order, values are ascending where they are numbers or sizes.
    """
    found = list(found)
    values: dict[tuple[str, str], set[str]] = {}
    for item in found:
        for parameter, value in item.params.items():
            values.setdefault((item.name, parameter), set()).add(value)
    usage = Counter(parameter for item in found for parameter in item.params if len(values[item.name, parameter]) > 1)
    made: dict[tuple[str, str, int], dict[str, Item]] = {}
    for item in found:
        varied = max(item.params, key=lambda parameter: (
            len(values[item.name, parameter]) > 1, usage[parameter]), default="")
        parameter = varied if varied and usage[varied] else ""
        label, value, number = _label(item, parameter), item.params.get(parameter, ""), 0
        # Benchmarks whose parameters read alike have a row each.
        while value in made.get((parameter, label, number), ()):
            number += 1
        made.setdefault((parameter, label, number), {})[value] = item
    return [(parameter, f"{label} ({number + 1})" if number else label, _ascending(of.values(), parameter))
            for (parameter, label, number), of in made.items()]


def _label(item: Item, parameter: str) -> str:
    if not parameter:
        return item.key
    rest = ", ".join(f"{name}={value}" for name, value in item.params.items() if name != parameter)
    return f"{item.name}({rest})" if rest else item.name


def _ascending(of: Iterable[Item], parameter: str) -> list[Item]:
    return sorted(of, key=lambda item: magnitude(item.params.get(parameter, "")) or 0.0)


def magnitude(value: str) -> float | None:
    """What a parameter's value counts, where it is a number or a size: ``4KiB`` is 4096; else None."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        return None
    number, prefix, binary = match.groups()
    return float(number.replace("_", "")) * float((1024 if binary else 1000) ** _POWERS.get(prefix or "", 0))


def picture(whole: Sequence[Row], *, most: int = ROWS) -> Picture:
    """Lay benchmarks out, at most `most` rows: those in which something changed or failed go before the others."""
    every = [(parameter, label, of[:COLUMNS]) for parameter, label, of in whole]
    chosen = every
    if len(every) > most:
        telling = (*CHANGED, Verdict.FAILED.value)
        ranked = sorted(range(len(every)), key=lambda i: not any(one.state in telling for one in every[i][2]))
        chosen = [every[i] for i in sorted(ranked[:most])]
    left = sum(len(of) for _, _, of in whole) - sum(len(of) for _, _, of in chosen)
    tables: list[_Table] = []
    for parameter, label, of in chosen:
        own = [item.params[parameter] for item in of] if parameter else []
        table = next((one for one in tables if one.takes(parameter, own)), None)
        if table is None:
            table = _Table(parameter=parameter, values={}, rows=[])
            tables.append(table)
        table.values.update(dict.fromkeys(own))
        table.rows.append((label, of))
    return Picture(
        tables=[table.drawn() for table in sorted(tables, key=lambda one: not one.parameter)],
        rest=f"{left} more benchmarks are not in this picture" if left else "",
    )


@dataclass(slots=True, kw_only=True)
class _Table:
    parameter: str
    values: dict[str, None]
    """In the order of the first of each."""
    rows: list[tuple[str, list[Item]]]

    def takes(self, parameter: str, values: Sequence[str]) -> bool:
        """Whether a row belongs here: it has one value, or shares at least half of its values, or of the table's."""
        shared = len(set(values) & self.values.keys())
        few = len(set(values)) == 1 or len(self.values) == 1
        return parameter == self.parameter and (few or 2 * shared >= min(len(set(values)), len(self.values)))

    def drawn(self) -> PictureTable:
        sizes = [magnitude(value) for value in self.values]
        columns = list(self.values)
        if None not in sizes:
            columns.sort(key=lambda value: magnitude(value) or 0.0)
        return PictureTable(parameter=self.parameter, columns=columns, rows=[
            PictureRow(label=label, cells=_cells(self.parameter, columns, of)) for label, of in self.rows])


def _cells(parameter: str, columns: Sequence[str], of: Sequence[Item]) -> list[Cell | None]:
    if not parameter:
        return [_cell(of[0])]
    by_value = {item.params[parameter]: _cell(item) for item in of}
    return [by_value.get(value) for value in columns]


def _cell(item: Item) -> Cell:
    return Cell(
        mark=MARKS.get(item.state, ""), size=short(item.factor) if item.changed else "", state=item.state,
        depth=axis.depth(item.factor) if item.changed else 0, told=f"{item.key}: {item.words}", link=item.link,
    )


def short(factor: float) -> str:
    """A change in at most five letters: ``1.03x``, ``2.5x``, ``17x``, ``84kx``; ``∞`` from or to zero."""
    if math.isinf(factor):
        return "∞"
    if factor < 1.005:  # to be told elsewhere, to more digits
        return ""
    if factor < 9.95:
        return f"{factor:.{2 if factor < 1.995 else 1}f}x"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if factor >= size:
            return f"{factor / size:.0f}{letter}x"
    return f"{factor:.0f}x"
