"""The build cache as a table for the terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.table import Table

from runner.builds.cache import Entry
from runner.report import quantities
from runner.report.text import clean, print_to_text


def render(entries: Sequence[Entry], *, width: int = 100, color: bool = False) -> str:
    """One row a build, in the order given: what it was made for, key, size, age, last use; or a line that says none."""
    if not entries:
        return "no builds yet; make one with: lockstep build cpython@3.13.5\n"
    table = Table("build", "key", box=None, pad_edge=False)
    for heading in ("size", "made", "used"):
        table.add_column(heading, justify="right", no_wrap=True)
    now = time.time()
    for entry in entries:
        table.add_row(clean(entry.label), entry.key[:12], quantities.value(float(entry.size), "bytes"),
                      _age(now - entry.created), _age(now - entry.used))
    return print_to_text([table], width=width, color=color)


def _age(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "just now"
