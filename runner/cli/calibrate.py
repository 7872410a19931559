"""The command that proves the verdicts on this machine: `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runner.cli.app import INTERPRETER, NoWait, app, print_whole

QUICK = 3.0
"""Minutes of a quick calibration."""


@app.command()
def calibrate(
    interpreter: Annotated[str, typer.Argument(help="What to calibrate with. " + INTERPRETER)] = "cpython@3.13.5",
    minutes: Annotated[float, typer.Option(min=0.0, help="Minutes of measuring to add to what is stored.")] = 20.0,
    quick: Annotated[bool, typer.Option("--quick", help=f"As --minutes {QUICK:g}.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Measure nothing; show what is stored.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the tables to this file; in a page with markers, between them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for calibrations (default: the project's data/calibration).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the order of the kinds of comparison.", min=0)] = None,
    no_wait: NoWait = False,
) -> int:
    """Prove on this machine that verdicts are right, by comparisons of known truth.

    Measures the interpreter against itself and against planted slowdowns, and adds to what is stored of this machine:
    again and again is better. Afterwards every report says how often verdicts are wrong here, and how soon changes are
    found.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.report import calibration as tables
    from runner.storage import store

    with Terminal() as view:
        if report:
            view.phase("auditing what is stored")
            done = jobs.calibrated(out)
        else:
            done = jobs.calibrate(jobs.CalibrateRequest(
                interpreter=interpreter, minutes=QUICK if quick else minutes, out=out, seed=seed, wait=not no_wait,
            ), view)
    summary = done.summary
    print_whole(tables, summary, folder=str(done.folder))
    if markdown is not None:
        page = markdown.read_text(encoding="utf-8") if markdown.is_file() else None
        store.write_whole(markdown, tables.into(page, summary))
    if done.interrupted:
        Console().print("interrupted; what was measured is kept, and the next `lockstep calibrate` goes on with it",
                        markup=False, highlight=False, soft_wrap=True)
        return 130
    return 0
