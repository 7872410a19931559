"""What `runner.machine.doctor` found, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from runner.machine.doctor import Finding, State
from runner.report.text import plain_table, print_to_text

# The mark says it without colour.
_MARKS = {
    State.GOOD: ("ok", "green"), State.COULD_BE_BETTER: ("~", "yellow"), State.BAD: ("!!", "bold red"),
    State.UNKNOWN: ("?", "dim"),
}


def render(findings: Sequence[Finding], *, width: int = 100, color: bool = False) -> str:
    """A table of what was found, then what would improve it with the command for each, worst first."""
    parts: list[RenderableType] = [_table(findings), Text()]
    order = list(State)
    order.sort(key=(State.BAD, State.COULD_BE_BETTER, State.UNKNOWN, State.GOOD).index)
    better = sorted((f for f in findings if f.advice or f.command), key=lambda f: order.index(f.state))
    better = [f for f in better if f.state is not State.GOOD]
    if not better:
        parts.append(Text("Nothing here needs to be improved."))
        return print_to_text(parts, width=width, color=color)
    parts.append(Text("What it means, and what would improve it", style="bold"))
    for finding in better:
        parts += _advice(finding)
    return print_to_text(parts, width=width, color=color)


def _table(findings: Sequence[Finding]) -> Table:
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("value", overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.state]
        table.add_row(Text(mark, style=style), Text(finding.name), Text(finding.value))
    return table


def _advice(finding: Finding) -> list[RenderableType]:
    mark, style = _MARKS[finding.state]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style=style, no_wrap=True, min_width=2)
    grid.add_column(overflow="fold")
    grid.add_row(mark, Text.assemble((finding.name, "bold"), f": {finding.advice}" if finding.advice else ""))
    # Whole lines without wrapping: a command is copied.
    return [grid, *([Text(f"     {finding.command}", no_wrap=True)] if finding.command else [])]
