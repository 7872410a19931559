"""A report for the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from runner.judging.report import Comparison, Report
from runner.model import Verdict
from runner.report import grouped, notices, picture, quantities, reasons, text_picture, words
from runner.report.printable import printable
from runner.report.reasons import Reason
from runner.report.sections import sections

STYLES = {
    Verdict.FASTER: "green", Verdict.SLOWER: "bold red", Verdict.SAME: "", Verdict.UNDECIDED: "yellow",
    Verdict.FAILED: "bold magenta", Verdict.SKIPPED: "", Verdict.ONLY_IN_BASE: "", Verdict.ONLY_IN_HEAD: "",
}
_SIDES: tuple[JustifyMethod, ...] = ("right", "right", "left", "left")
_INDENT = (0, 0, 0, 2)
_NAME = 38


def render(report: Report, *, verbose: bool = False, width: int = 100, color: bool = False) -> str:
    """The report as text that is at most `width` columns wide, with ANSI colours if `color`.

    `verbose` also lists the benchmarks that stayed the same, failures in full, and every benchmark's notices.
    """
    return print_to_text(_parts(report, verbose, width), width=width, color=color)


def print_to_text(parts: Sequence[RenderableType], *, width: int, color: bool) -> str:
    """What rich would print, as a string that depends on nothing but its arguments.

    A `Text` with `no_wrap` keeps its lines whole, however wide. Whatever the parts hold, the only escape sequences are
    those of their styles.
    """
    stream = io.StringIO()
    console = Console(
        # The height is of no use but for this: without it, rich asks TERM for the width.
        file=stream, width=width, height=100, force_terminal=color, color_system="standard" if color else None,
        no_color=not color, markup=False, highlight=False, emoji=False, legacy_windows=False,
    )
    for part in parts:
        whole = isinstance(part, Text) and bool(part.no_wrap)
        options = console.options.update(no_wrap=True, overflow="ignore") if whole else console.options
        told = Segments([Segment(printable(text), style) for text, style, control in console.render(part, options)
                         if not control])
        console.print(told, soft_wrap=whole, end="")
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n")) + "\n"


def _parts(report: Report, verbose: bool, width: int) -> list[RenderableType]:
    found = sections(report)
    parts: list[RenderableType] = [*_heading(report), Text()]
    parts += [Padding(Text(line, style="bold"), _INDENT) for line in words.headline(report)]
    rows = picture.rows(picture.items(report))
    parts += text_picture.parts(picture.picture(rows, most=text_picture.ROWS), width)
    if found.changed:
        title = f"Changed ({len(found.changed)})"
        many = len(found.changed) > text_picture.FEW
        if many:
            groups = text_picture.grouped(grouped.changes(rows))
            parts += _section(title if verbose else f"{title}: -v lists each with its interval", Group(*groups))
        if verbose or not many:
            parts += [Text()] if many else [Text(), Text(title, style="bold")]
            parts.append(_comparisons(found.changed, width))
            if any(not c.clear and not c.exact for c in found.changed):
                parts.append(Text(words.NOT_CLEAR, style="dim"))
    if found.undecided:
        parts += _section(f"Undecided ({len(found.undecided)})", _undecided(found.undecided, width))
    if found.failed:
        content = _failed(reasons.grouped(found.failed, report.suite, exactly=verbose), width, verbose)
        parts += _section(f"Failed ({len(found.failed)})", content)
    if found.same:
        parts += _same(report, found.same, width, verbose)
    if found.not_reached:
        parts += _not_reached(found.not_reached, width, verbose)
    for title, why in reasons.not_compared(report, exactly=verbose):
        if why[0].about[0].verdict is not Verdict.FAILED:
            parts += [Text(), Text(title, style="bold"), *_omitted(why, verbose)]
    parts += [Text(), *_after(report, verbose)]
    return parts


def _heading(report: Report) -> list[RenderableType]:
    rows = [("base", words.arm(report.base)), ("head", words.arm(report.head))]
    asked = [words.difference(d, limit=60) for d in report.differences if d.asked]
    if asked:
        rows.append(("differ", "; ".join(asked)))
    rows += [("machine", words.machine(report.machine)), ("run", f"{report.run}, {words.effort(report)}")]
    if report.calibration is not None:
        rows.append(("known", words.calibration(report.calibration)))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(name, clean(text))
    warnings = [n for n in notices.warnings(report) if n.kind == "unasked-difference"]
    return [grid, *(warning(notices.sentence(notice)) for notice in warnings)]


def _section(title: str, content: RenderableType) -> list[RenderableType]:
    return [Text(), Text(title, style="bold"), content]


def _comparisons(comparisons: Sequence[Comparison], width: int) -> RenderableType:
    rows = [Row(c.key, (*words.values(c), words.ratio(c), words.verdict(c)), STYLES[c.verdict]) for c in comparisons]
    return rows_table("verdict", rows, width)


def _undecided(comparisons: Sequence[Comparison], width: int) -> RenderableType:
    style = STYLES[Verdict.UNDECIDED]
    rows = [Row(c.key, (*words.values(c), words.ratio(c), words.to_settle(c)), style) for c in comparisons]
    return rows_table("to settle it", rows, width)


class Row(NamedTuple):
    name: str
    cells: tuple[str, str, str, str]
    style: str
    """Of the last cell."""


def rows_table(last: str, rows: Sequence[Row], width: int) -> RenderableType:
    """A row a benchmark; where names would have less than `_NAME` columns, names have lines of their own."""
    names = ("base", "head", "ratio", last)
    sizes = [max(len(cells[i]) for cells in (names, *(row.cells for row in rows))) for i in range(4)]
    sizes[3] = min(sizes[3], max(14, width // 4))
    room = width - sum(sizes) - 2 * len(sizes)
    if room < min(_NAME, max(len(row.name) for row in rows)):
        return _stacked(names, rows, sizes, width)
    table = plain_table()
    table.add_column("benchmark", max_width=room, no_wrap=True)
    for name, side in zip(names, _SIDES, strict=True):
        table.add_column(name, justify=side, no_wrap=name != last, max_width=sizes[3] if name == last else None)
    for row in rows:
        table.add_row(fold(row.name, room), *map(clean, row.cells[:3]), clean(row.cells[3], row.style))
    return table


def _stacked(names: Sequence[str], rows: Sequence[Row], sizes: Sequence[int], width: int) -> RenderableType:
    heading = _numbers(names, "bold", sizes)
    parts: list[RenderableType] = [Text("benchmark", style="bold"), Padding(heading, _INDENT), Rule(style="")]
    for row in rows:
        parts += [fold(row.name, width), Padding(_numbers(row.cells, row.style, sizes), _INDENT)]
    return Group(*parts)


def _numbers(cells: Sequence[str], style: str, sizes: Sequence[int]) -> Table:
    """One row's numbers, in columns that are as wide as in every other row."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for side, size in zip(_SIDES[:3], sizes[:3], strict=True):
        grid.add_column(justify=side, width=size, no_wrap=True)
    grid.add_column()
    grid.add_row(*map(clean, cells[:3]), clean(cells[3], style))
    return grid


def _failed(why: Sequence[Reason], width: int, verbose: bool) -> RenderableType:
    """A line for each reason; below them, at full width, what does not fit in one, and where it comes from."""
    table = plain_table()
    room = min(max(len("benchmark"), *(len(one.names(1)) for one in why)), width // 2)
    table.add_column("benchmark", max_width=room, no_wrap=True, overflow="ellipsis")
    table.add_column("reason", max_width=max(1, width - room - 2), no_wrap=True, overflow="ellipsis")
    parts: list[RenderableType] = [table]
    style = STYLES[Verdict.FAILED]
    shown, rest = (why, "") if verbose else reasons.first(why)
    for one in shown:
        name = one.names(1)
        table.add_row(clean(" ".join(name.split())), clean(one.text, style))
        if one.place or one.detail or len(one.about) > 1 or len(name) > width // 2 or len(one.text) > width // 3:
            names = " ".join(one.names(None if verbose else reasons.NAMED).split())
            parts += [Text(), clean(names), Padding(clean(one.sentence, style), (0, 0, 0, 2))]
            if one.place:
                parts.append(Padding(clean(one.place), (0, 0, 0, 2)))
            if verbose and one.detail:
                parts.append(Padding(clean(one.detail, "dim"), (0, 0, 0, 4)))
    return Group(*parts, *_more(rest))


def _omitted(why: Sequence[Reason], verbose: bool) -> list[RenderableType]:
    shown, rest = (why, "") if verbose else reasons.first(why)
    texts = (f"{one.sentence}: {one.names(None if verbose else reasons.NAMED)}" for one in shown)
    return [*(Padding(clean(" ".join(text.split())), (0, 0, 0, 2)) for text in texts), *_more(rest)]


def _more(rest: str) -> list[RenderableType]:
    return [Padding(Text(f"and {rest}: -v lists them"), (0, 0, 0, 2))] if rest else []


def _same(report: Report, same: Sequence[Comparison], width: int, verbose: bool) -> list[RenderableType]:
    title = f"Same within ±{quantities.percent(report.margin)} ({len(same)})"
    if verbose:
        return _section(title, _comparisons(same, width))
    tiny = sum(c.tiny for c in same)
    real = f"{tiny} of them with a difference that is real but tiny; " if tiny else ""
    return [Text(), Text.assemble((title, "bold"), f": {real}-v lists them")]


def _not_reached(comparisons: Sequence[Comparison], width: int, verbose: bool) -> list[RenderableType]:
    title = f"Not reached ({len(comparisons)})"
    if verbose:
        return _section(title, _undecided(comparisons, width))
    names = clean(reasons.named(comparisons))
    return [Text(), Text.assemble((title, "bold"), ": measuring ended before the first look of ", names)]


def _after(report: Report, verbose: bool) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(words.scope(report), style="dim")]
    others = [n for n in notices.warnings(report) if n.kind != "unasked-difference"]
    shown, rest = notices.few(others, len(others) if verbose else notices.FEW)
    parts += [warning(sentence) for sentence in shown]
    if rest:
        parts.append(warning(f"{len(rest)} more of this kind: -v and the page have them all"))
    for sentence, about in notices.grouped(report.comparisons, by_kind=not verbose):
        names = reasons.named(about, None if verbose else reasons.NAMED)
        parts.append(warning(f"{names}: {sentence}"))
    parts.append(clean(f"Run folder: {report.folder}", "dim"))
    return parts


def warning(sentence: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="yellow", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("!", clean(" ".join(sentence.split())))
    return grid


def clean(text: str, style: str = "") -> Text:
    """Text of the run's, in which a benchmark's output cannot speak to the terminal. Here, it is laid out right too."""
    return Text(printable(text), style=style)


def plain_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")


def fold(name: str, width: int) -> Text:
    """A benchmark's name on as many lines as it needs, broken after dots and before its parameters."""
    pieces = re.findall(r"\([^,]*,?|\s?[^.(,]+[.,]?|.", " ".join(name.split()))
    width = max(width, 8)  # room for the indent and more, however narrow the terminal
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("  ")
            piece = piece.lstrip()
        while len(lines[-1]) + len(piece) > width:
            room = width - len(lines[-1])
            lines[-1] += piece[:room]
            piece = piece[room:]
            lines.append("  ")
        lines[-1] += piece
    return clean("\n".join(lines))
