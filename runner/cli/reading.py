"""Commands that read runs: `show` and `export`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from runner import config
from runner.cli import targets
from runner.cli.app import (
    Color,
    Configuration,
    Files,
    Html,
    Json,
    Markdown,
    Out,
    Run,
    Strict,
    Verbose,
    command,
    present,
    record,
)
from runner.cli.printing import output


@command(examples="""\
lockstep show                      the last run
lockstep show last -v              with the benchmarks that are the same, and failures in full
lockstep show --json - | jq .summary
lockstep show --figure forest.png     ratios and intervals as a picture
lockstep show --color always | less -R""")
def show(
    run: Run = "last",
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    figure: Annotated[Path | None, typer.Option(
        "--figure", metavar="FILE", help="Draw ratios and intervals as a picture: a .png, .svg or .pdf.")] = None,
    strict: Strict = False,
    verbose: Verbose = False,
    color: Color = "auto",
) -> int:
    """Show the report of a run again, made anew from its folder."""
    from runner import jobs
    from runner.storage import store

    files = Files(json, markdown, html)
    files.check()
    if figure is not None:
        targets.check([("--figure", figure)])
    folder = store.find(config.runs_folder(out), run)
    report = jobs.report_of(folder, with_noise=html is not None)  # the page alone shows it
    if figure is not None:
        from runner.report import as_figure

        as_figure.write(report, figure)
    return present(report, verbose=verbose, strict=strict, files=files)


@command(name="export", examples="""\
lockstep export last --format pyperf                  and then: pyperf compare_to BASE HEAD
lockstep export last --format csv --to tables         a row for every measured slice
lockstep export last --format asv                     into asv's results""")
def export_(
    run: Run,
    format: Annotated[str, typer.Option(metavar="pyperf|csv|parquet|asv", help="The format to write.")],
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Folder for the files; not for asv.", file_okay=False)
    ] = Path(),
    configuration: Configuration = None,
    out: Out = None,
    color: Color = "auto",
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
    files = export.write(store.read(store.find(config.runs_folder(out), run)), format, to)
    for path in files:
        output.line(str(path))
    if format == "pyperf":
        output.next(f"pyperf compare_to {shlex.join(map(str, files))}", "the same measurements, judged by pyperf")
    return 0
