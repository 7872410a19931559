"""The command that makes the site: `publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runner.cli.app import Configuration, app


@app.command()
def publish(
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of the site (default: data/site).", file_okay=False)
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Folder of the runs (default: data/runs).", file_okay=False)
    ] = None,
    configuration: Configuration = None,
    no_asv: Annotated[bool, typer.Option("--no-asv", help="Leave asv's own pages out.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make every page anew, not only what has changed.")] = False,
) -> int:
    """Make a site of all runs: overview, comparisons, histories of benchmarks, and why to trust them.

    It is a folder of static pages: open its index.html, or copy it to any web server. asv's own pages are beside, made
    to work without internet access.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.jobs import record

    request = jobs.PublishRequest(
        out=to, runs=runs, configuration=None if no_asv else record.configuration(configuration), fresh=fresh,
    )
    with Terminal() as view:
        done = jobs.publish(request, view)
    out = Console()
    for problem in done.problems:
        out.print(f"problem: {problem}", soft_wrap=True, highlight=False, markup=False)
    left = f", {len(done.problems)} problems" * bool(done.problems)
    out.print(f"{done.runs} runs of {done.benchmarks} benchmarks, {done.made} pages made anew{left}", highlight=False)
    out.print(f"page: {done.folder / 'index.html'}", soft_wrap=True, highlight=False)
    return 0
