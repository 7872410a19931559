"""The picture of a suite, and what changed in groups, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from dashboards.records import Cell, Change, Picture, PictureTable
from runner.model import Verdict
from runner.report.picture import MARKS
from runner.report.printable import printable

ROWS = 60
"""Most rows of a picture."""
LEAST, LONGEST = 12, 44
"""Letters that a row's name has room for; what is left out is in the middle."""
FEW = 12
"""Changes that are shown one by one; more are grouped."""
MEMBERS = 12
"""Lines of a group that are shown."""
_STYLES = {
    Verdict.FASTER.value: "green", Verdict.SLOWER.value: "bold red", Verdict.UNDECIDED.value: "yellow",
    Verdict.FAILED.value: "bold magenta",
}
_WORDS = {
    Verdict.FASTER.value: "faster or less", Verdict.SLOWER.value: "slower or more", Verdict.SAME.value: "same",
    Verdict.UNDECIDED.value: "undecided",
}


def parts(one: Picture, width: int) -> list[RenderableType]:
    """A picture in lines of at most `width` columns; nothing where it says no more than a list.

    A row has its benchmarks' marks with the size of the change, in columns under the parameter's values; where these
    are too many for the width, the marks alone.
    """
    if not one.telling:
        return []
    found: list[RenderableType] = []
    seen: set[str] = set()
    for table in one.tables:
        found += _table(table, width)
        seen |= {cell.state for row in table.rows for cell in row.cells if cell is not None}
    if one.rest:
        found.append(Text(one.rest, style="dim"))
    key = ", ".join(f"{mark} {_WORDS.get(state, state)}" for state, mark in MARKS.items() if state in seen)
    return [*found, Padding(Text(key, style="dim"), (0, 0, 0, 2))]


def _table(table: PictureTable, width: int) -> list[RenderableType]:
    columns = [printable(" ".join(column.split())) for column in table.columns] or [""]
    modules = list(dict.fromkeys(_split(row.label)[0] for row in table.rows))
    ordered = sorted(table.rows, key=lambda row: modules.index(_split(row.label)[0]))
    texts = [[_text(cell) for cell in row.cells] for row in ordered]
    names = [_split(row.label) for row in ordered]
    sizes = [max(cell_len(column), *(cell_len(row[i]) for row in texts)) for i, column in enumerate(columns)]
    room = max(LEAST, min(LONGEST, max(cell_len(name) for _, name in names)))
    room = min(room, max(LEAST, width - 4 - sum(size + 1 for size in sizes)))
    parameter = printable(table.parameter)
    if 4 + room + sum(size + 1 for size in sizes) > width:  # marks alone
        parameter = f"{parameter} {columns[0]} … {columns[-1]}" if parameter else ""
        most = max(1, (width - 4 - room) // 2)
        texts, columns = [[text[:1] for text in row[:most]] for row in texts], []
        sizes = [1] * most
    lines: list[RenderableType] = [Text()]
    if parameter:
        heading = [(column, "bold") for column in columns]
        lines.append(_line(f"  {_cut(parameter, room + 2 if columns else width - 2)}", room, heading, sizes, "bold"))
    module = ""
    for (first, name), row, shown in zip(names, ordered, texts, strict=True):
        if first != module:
            module = first
            lines.append(Text(f"  {_cut(module, width - 2)}", style="dim"))
        styles = ["" if cell is None else _STYLES.get(cell.state, "") for cell in row.cells]
        lines.append(_line(f"    {_cut(name, room)}", room, list(zip(shown, styles, strict=False)), sizes))
    return lines


def _line(begin: str, room: int, cells: Sequence[tuple[str, str]], sizes: Sequence[int], style: str = "") -> Text:
    """A row: its beginning, filled up to the room of names, and each cell with its style, filled up to its size."""
    line = Text(begin + " " * (room + 4 - cell_len(begin)), style=style)
    for (text, look), size in zip(cells, sizes, strict=False):
        line.append(" ")
        line.append(text + " " * (size - cell_len(text)), style=look)
    line.rstrip()
    return line


def _text(cell: Cell | None) -> str:
    return "" if cell is None else f"{cell.mark}{cell.size}"


def _split(label: str) -> tuple[str, str]:
    """A row's module, empty where it is in none, and its name below that."""
    name, bracket, params = printable(" ".join(label.split())).partition("(")
    module, dot, rest = name.partition(".")
    return (module, rest + bracket + params) if dot else ("", name + bracket + params)


def _cut(text: str, most: int) -> str:
    if cell_len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[: most - 1 - half]}…{text[len(text) - half :]}"


def grouped(changes: Sequence[Change]) -> list[RenderableType]:
    """What changed, a line for benchmarks of one name."""
    found: list[RenderableType] = []
    for change in changes:
        title = Text(f"{change.title} ({change.count})", style=_STYLES[change.state])
        found.append(Padding(title, (0, 0, 0, 2)))
        for one in change.members[:MEMBERS]:
            where = f", {one.where}" if one.where else ""
            count = f": {one.count}{where}" if one.count else ""
            words = printable(" ".join(f"{one.label}{count}: {one.range}".split()))
            found.append(Padding(Text(words), (0, 0, 0, 4)))
        more = len(change.members) + change.more - MEMBERS
        if more > 0:
            found.append(Padding(Text(f"and {more} more lines: -v lists them"), (0, 0, 0, 4)))
    return found
