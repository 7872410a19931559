"""The command that lists runs and removes them: `runs`."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner import config
from runner.cli import targets
from runner.cli.app import Color, Out, Pattern, command, name_of
from runner.cli.printing import output
from runner.errors import MachineError, UsageError

if TYPE_CHECKING:
    from runner.storage.shelf import Entry

STATES = ("measuring", "complete", "interrupted", "unreadable")
DAY = 86_400.0


def date_of(value: str) -> float:
    """Seconds since the epoch of a day's beginning (UTC), or of so many days ago: ``30d``."""
    if match := re.fullmatch(r"(\d{1,6})d", value.strip()):
        return time.time() - DAY * int(match[1])
    try:
        return datetime.strptime(value.strip(), "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        pass
    raise typer.BadParameter(f"{value!r} is not a day; write for example 2026-11-28, or 30d for 30 days ago.")


@command(examples="""\
lockstep runs                                      all, oldest first
lockstep runs --with 3.13 -b Founding --since 7d   of an interpreter, with a benchmark, this week
lockstep runs --json - | jq -r '.runs[].id'        for a script
lockstep runs --state interrupted --remove         remove some, after a question
lockstep runs --before 90d --remove --yes          remove old ones without""")
def runs(
    names: Annotated[list[str] | None, typer.Argument(
        metavar="[RUN]...", help="Only these: ids or beginnings of them, folders, or `last`.", show_default=False,
    )] = None,
    interpreter: Annotated[
        str | None, typer.Option("--with", metavar="TEXT", help="Only runs of an interpreter so named or versioned.")
    ] = None,
    pattern: Pattern = None,
    since: Annotated[
        Any, typer.Option(parser=date_of, metavar="DAY", help="Only runs of this day or later: 2026-11-28, or 7d.")
    ] = None,
    before: Annotated[Any, typer.Option(parser=date_of, metavar="DAY", help="Only runs before this day.")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"Only runs that are {', '.join(STATES[:-1])} or {STATES[-1]}.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the runs that are listed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --remove: do not ask.")] = False,
    out: Out = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the list as JSON; - is standard output.")
    ] = None,
    color: Color = "auto",
) -> int:
    """List the runs that are stored, or remove some.

    A run that is being measured is never removed.
    """
    from runner.report import runs as report
    from runner.storage import shelf, store

    if state is not None and state not in STATES:
        raise UsageError(f"--state {state}: it is {', '.join(STATES[:-1])} or {STATES[-1]}.")
    chosen = (names, interpreter, pattern, since, before, state)
    if remove and all(one is None or one == [] for one in chosen):
        raise UsageError("--remove of which? Name runs, or choose by --with, -b, --since, --before or --state.")
    targets.check([("--json", json)])
    root = config.runs_folder(out)
    entries = [shelf.entry(store.find(root, name)) for name in dict.fromkeys(names)] if names else shelf.look(root)
    wanted = _filter(interpreter, pattern, since, before, state)
    entries = [entry for entry in entries if wanted(entry)]
    if json is not None:
        targets.write(json, report.json(entries))
    if json is None or remove:
        output.whole(report, entries)
    if remove and entries:
        return _remove(entries, yes=yes)
    if entries and json is None:
        output.next(f"lockstep show {name_of(entries[-1].folder)}", "the newest of these")
    return 0


def _filter(
    interpreter: str | None, pattern: str | None, since: float | None, before: float | None, state: str | None
) -> Callable[[Entry], bool]:
    """Raises UsageError for a pattern that is none."""
    try:
        named = re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"-b {pattern}: that is no regular expression: {error}.") from error

    def wanted(entry: Entry) -> bool:
        created = entry.created
        return (
            (interpreter is None or any(interpreter in one for one in (entry.base, entry.head, *entry.versions)))
            and (pattern is None or any(named.search(one) for one in entry.benchmarks))
            and (since is None or (created is not None and created >= since))
            and (before is None or (created is not None and created < before))
            and (state is None or entry.state.value == state)
        )

    return wanted


def _remove(entries: Sequence[Entry], *, yes: bool) -> int:
    from runner.storage import shelf

    measured = [entry.id for entry in entries if entry.state is shelf.State.MEASURING]
    if measured:
        raise MachineError(f"{', '.join(measured)}: being measured just now. Nothing was removed; choose others.")
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError(f"nobody can be asked here; to remove these {len(entries)} runs, add --yes.")
        sys.stderr.write(f"Remove {'this run' if len(entries) == 1 else f'these {len(entries)} runs'}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            output.problem("nothing was removed")
            return 0
    for entry in entries:
        shelf.remove(entry.folder)
        output.line(f"removed {shlex.quote(entry.id)}")
    return 0
