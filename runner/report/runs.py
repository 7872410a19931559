"""A list of runs for the terminal and for programs.

Format history of the JSON
--------------------------
lockstep.runs/1  The first. Keys may be added; none is removed or changes its meaning within a version.
"""

from __future__ import annotations

import json as json_
import time
from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from runner.report.text import clean, plain_table, print_to_text
from runner.storage.shelf import Entry, State

SCHEMA = "lockstep.runs/1"
_STYLES = {State.MEASURING: "green", State.COMPLETE: "", State.INTERRUPTED: "yellow", State.UNREADABLE: "bold magenta"}


def render(entries: Sequence[Entry], *, width: int = 100, color: bool = False) -> str:
    """A row a run, in the order given; or a line that says none."""
    if not entries:
        return "no such runs\n"
    table = plain_table()
    for name in ("run", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("base → head", "verdicts"):
        table.add_column(name, overflow="fold")
    for one in entries:
        pair = one.problem if one.state is State.UNREADABLE else f"{one.base} → {one.head}"
        table.add_row(clean(one.id), clean(one.state.value, _STYLES[one.state]), clean(pair), clean(verdicts(one)))
    parts: list[RenderableType] = [table, Text(f"{len(entries)} run{'s' * (len(entries) != 1)}", style="dim")]
    return print_to_text(parts, width=width, color=color)


def verdicts(one: Entry) -> str:
    """``2 slower, 95 same``; where there is no report, how many benchmarks there are."""
    if one.counts is None:
        return f"of {len(one.benchmarks)}" if one.benchmarks else ""
    return ", ".join(f"{count} {verdict}" for verdict, count in one.counts.items() if count)


def json(entries: Sequence[Entry]) -> str:
    """The list as JSON, in the order given. Times are UTC."""
    content = {"schema": SCHEMA, "runs": [{
        "id": one.id, "folder": str(one.folder), "state": one.state.value,
        "created": None if one.created is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.created)),
        "base": one.base, "head": one.head, "versions": one.versions, "suite": one.suite,
        "benchmarks": one.benchmarks, "verdicts": one.counts, "problem": one.problem,
    } for one in entries]}
    return json_.dumps(content, indent=1, ensure_ascii=False) + "\n"
