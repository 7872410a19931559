"""The command `combine`."""

from __future__ import annotations

from typing import Annotated

import typer

from runner import config
from runner.cli.app import Color, Files, Html, Json, Markdown, Out, Strict, Verbose, command, present


@command(examples="""\
lockstep combine 20261127 20261128            two runs by the beginnings of their ids
lockstep combine last ci-runs/*               the last run here, and some from other machines""")
def combine(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Runs by id or the beginning of it, by folder, or `last`.",
                       show_default=False),
    ],
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    color: Color = "auto",
) -> int:
    """Make one report of several runs of one comparison: other days, other machines of one kind.

    Exit code as of `ab`. Runs of different builds, benchmarks, scopes, margins or variables
    are refused, and so are runs of one seed.
    """
    from runner import jobs
    from runner.storage import store

    files = Files(json, markdown, html)
    files.check()
    root = config.runs_folder(out)
    report = jobs.combined([store.find(root, run) for run in runs])
    return present(report, verbose=verbose, strict=strict, files=files)
