"""Commands that read runs: `show` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runner import config
from runner.cli.app import (
    Configuration,
    Html,
    Json,
    Markdown,
    Out,
    Run,
    Strict,
    Verbose,
    app,
    present,
    record,
)


@app.command()
def show(
    run: Run = "last",
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
) -> int:
    """Show the report of a run again, made anew from its folder."""
    from runner import jobs
    from runner.storage import store

    folder = store.find(config.runs_folder(out), run)
    report = jobs.report_of(folder, with_noise=html is not None)  # the page alone shows it
    return present(report, verbose=verbose, strict=strict, files=(json, markdown, html))


@app.command(name="export")
def export_(
    run: Run,
    format: Annotated[str, typer.Option(metavar="pyperf|csv|parquet|asv", help="The format to write.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the files; not for asv.", file_okay=False)] = Path(),
    configuration: Configuration = None,
    out: Out = None,
) -> int:
    """Write a run's measurements for other tools.

    `pyperf` writes one file an arm (`pyperf compare_to BASE HEAD` reads them); `csv` and `parquet` one table
    with a row for every measured slice; `asv` adds both builds to the results folder that asv.conf.json names, for
    `asv show`, `asv compare` and `asv publish`.
    """
    from runner.storage import export, store

    if format == "asv":
        record(store.find(config.runs_folder(out), run), configuration)
        return 0
    for path in export.write(store.read(store.find(config.runs_folder(out), run)), format, to):
        Console().print(str(path), soft_wrap=True, highlight=False)
    return 0
