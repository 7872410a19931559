"""The build cache as a table for the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from rich.table import Table

from runner.builds.cache import Entry
from runner.builds.pruning import Pruned
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
        label = clean(entry.label) if entry.usable else f"{clean(entry.label)} (not usable)"
        table.add_row(label, entry.key[:12], quantities.value(float(entry.size), "bytes"),
                      _age(now - entry.created), _age(now - entry.used))
    return print_to_text([table], width=width, color=color)


def pruned(done: Pruned, *, dry_run: bool = False) -> Iterator[str]:
    """What went, or would go, one line each with its size and last use; and what that frees."""
    now = time.time()
    for item in done.gone:
        yield (f"{'would remove' if dry_run else 'removed'} {item.kind}: {item.label}, "
               f"{quantities.value(float(item.size), 'bytes')}, used {_age(now - item.used)}")
    freed = sum(item.size for item in done.gone)
    yield (f"{'would free' if dry_run else 'freed'} {quantities.value(float(freed), 'bytes')}; "
           f"{quantities.value(float(done.kept), 'bytes')} {'would stay' if dry_run else 'stay'}")


def _age(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "just now"
