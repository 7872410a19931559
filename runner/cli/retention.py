"""Commands about what is kept of runs: `reindex` and `gc`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from runner import config
from runner.cli.app import Color, Out, Toml, command
from runner.cli.printing import output
from runner.cli.runs import date_of

MEBIBYTE = 1 << 20


@command(examples="""\
lockstep reindex    after run folders were copied here, or the index was damaged""")
def reindex(
    out: Out = None,
    database: Annotated[str | None, typer.Option(
        "--database", metavar="URL", show_default=False,
        help="The PostgreSQL database that a server has its index in; by default it is a file beside the runs.",
    )] = None,
    color: Color = "auto",
) -> int:
    """Make the index of all runs anew from the run folders.

    Whatever needs the index brings it up to date by itself; this makes it from nothing.
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import retention

    with Terminal() as view:
        place, done = retention.reindex(out, view, database)
    for problem in done.problems:
        output.line(f"problem: {problem}")
    # An address may have a password in it.
    output.line(f"{len(done.fresh)} runs{f': {place}' if isinstance(place, Path) else ''}")
    return 0


@command(examples="""\
lockstep gc                         what would go by lockstep.toml, or of 90 days ago
lockstep gc --before 30d --apply    remove what is older than 30""")
def gc(
    before: Annotated[Any, typer.Option(
        parser=date_of, metavar="DAY", show_default=False,
        help="Only of runs before this day: 2026-11-28, or 30d; by default as the configuration says, else 90d.",
    )] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it, instead of saying what would be removed.")] = False,
    out: Annotated[Path | None, typer.Option(
        "--out", metavar="FOLDER",
        help=f"Folder of run folders; by default what the configuration says, else {config.runs_folder(None)}.",
    )] = None,
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """Remove the raw blocks of old runs; what they said is kept for ever.

    Reports, histories and pages stay as they are. Such a run cannot be explained, exported or combined any more. Runs
    that an open event rests on keep their blocks. `lockstep nightly` does this for its own runs at the end of a night.
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import alert, retention, watched

    service = watched.service(configuration)
    if before is None:
        before = time.time() - service.retention.days * retention.DAY
    with Terminal() as view:
        done = retention.collect(
            out or service.runs, before=before, apply=apply, view=view,
            events=alert.places(service.channels, service.state).events)
    for old in done.runs:
        day = time.strftime("%Y-%m-%d", time.gmtime(old.created))
        output.line(f"{old.id}  {day}  {old.size / MEBIBYTE:8.1f} MiB")
    for reason in done.left:
        output.line(f"left: {reason}")
    freed = sum(old.size for old in done.runs) / MEBIBYTE
    output.line(f"{'removed' if apply else 'would remove'} the blocks of {len(done.runs)} runs, {freed:.1f} MiB")
    if done.runs and not apply:
        output.next("lockstep gc --apply", "remove them")
    return 0
