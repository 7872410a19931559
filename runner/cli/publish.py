"""The command that makes the site: `publish`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from runner import config
from runner.cli.app import Color, Configuration, command
from runner.cli.printing import output


@command(examples="""\
lockstep publish                              all runs
lockstep publish --to public --no-asv         elsewhere, without asv's pages""")
def publish(
    to: Annotated[
        Path | None, typer.Option(
            "--to", metavar="FOLDER", help=f"Folder of the site; by default {config.STATE / 'site'}.", file_okay=False)
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(
            "--runs", metavar="FOLDER", help=f"Folder of the runs; by default {config.runs_folder(None)}.",
            file_okay=False,
        )
    ] = None,
    configuration: Configuration = None,
    no_asv: Annotated[bool, typer.Option("--no-asv", help="Leave asv's own pages out.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make every page anew, not only what has changed.")] = False,
    commit_url: Annotated[
        str, typer.Option(
            "--commit-url", metavar="URL", show_default=False,
            help="Where commits can be looked at: https://github.com/python/cpython/commit/{hash}.")
    ] = "",
    color: Color = "auto",
) -> int:
    """Make a site of all runs: comparisons, histories of benchmarks, what changed, any two builds, and why to trust it.

    It is a folder of static pages: open its index.html, or copy it to any web server. asv's own pages are beside, made
    to work without internet access.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.jobs import record

    if configuration is None and record.usual() is None:
        no_asv = True  # there is no asv project here
    request = jobs.PublishRequest(
        out=to, runs=runs, configuration=None if no_asv else record.configuration(configuration), fresh=fresh,
        commit_url=commit_url,
    )
    with Terminal() as view:
        done = jobs.publish(request, view)
    for problem in done.problems:
        output.line(f"problem: {problem}")
    left = f", {len(done.problems)} problems" * bool(done.problems)
    output.line(f"{done.runs} runs of {done.benchmarks} benchmarks, {done.made} pages made anew{left}")
    output.line(f"page: {done.folder / 'index.html'}")
    output.next(f"python3 -m http.server --directory {shlex.quote(str(done.folder))}", "to see it from elsewhere")
    return 0
