"""The command that proves the verdicts on this machine: `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli import targets
from runner.cli.app import INTERPRETER, Color, NoWait, command
from runner.cli.printing import output
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.jobs import CalibrateRequest

QUICK = 3.0
"""Minutes of a quick calibration."""


@command(examples="""\
lockstep calibrate --minutes 60               measure for an hour, and add it to what is stored
lockstep calibrate --report                   what is known of this machine
lockstep calibrate --parallel --minutes 10    whether runs on different CPUs disturb each other""")
def calibrate(
    interpreter: Annotated[
        str, typer.Argument(metavar="INTERPRETER", help="What to calibrate with. " + INTERPRETER)
    ] = "cpython@3.13.5",
    minutes: Annotated[
        float, typer.Option(metavar="NUMBER", min=0.0, help="Minutes of measuring to add to what is stored.")
    ] = 20.0,
    quick: Annotated[bool, typer.Option("--quick", help=f"As --minutes {QUICK:g}.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Measure nothing; show what is stored.")] = False,
    parallel: Annotated[bool, typer.Option(
        "--parallel", help="See instead how many runs with --cpus do not disturb each other.")] = False,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the tables to this file; in a page with markers, between them."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(
            metavar="FOLDER", help=f"Folder for calibrations; by default {config.calibrations_folder(None)}.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Of the order of the kinds of comparison.", min=0)
    ] = None,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """Prove on this machine that verdicts are right, by comparisons of known truth.

    Measures the interpreter against itself and against planted slowdowns, and adds to what is stored of this machine:
    again and again is better. Afterwards every report says how often verdicts are wrong here, and how soon changes are
    found.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.report import calibration as tables

    targets.check([("--markdown", markdown)])
    request = jobs.CalibrateRequest(
        interpreter=interpreter, minutes=QUICK if quick else minutes, out=out, seed=seed, wait=not no_wait)
    if parallel:
        if markdown is not None:
            raise UsageError("--markdown is for the tables of a calibration; --parallel has none for a page.")
        return _parallel(request, measure=not report)
    with Terminal() as view:
        if report:
            view.phase("auditing what is stored")
            done = jobs.calibrated(out)
        else:
            done = jobs.calibrate(request, view)
    summary = done.summary
    output.whole(tables, summary, folder=str(done.folder))
    if markdown is not None:
        page = markdown.read_text(encoding="utf-8") if markdown.is_file() else None
        targets.write(markdown, tables.into(page, summary))
    if done.interrupted:
        output.line("interrupted; what was measured is kept, and the next `lockstep calibrate` goes on with it")
        return 130
    output.next("lockstep ab BASE HEAD", "its report says how often verdicts are wrong here")
    return 0


def _parallel(request: CalibrateRequest, *, measure: bool) -> int:
    from runner.cli.terminal import Terminal
    from runner.jobs import parallel as job
    from runner.report import parallel as report

    with Terminal() as view:
        done = job.parallel_runs(request, view) if measure else job.paralleled(request.out)
    output.whole(report, done.finding, folder=str(done.folder))
    if done.interrupted:
        output.line("interrupted; what was measured is kept, and the next `lockstep calibrate --parallel` adds to it")
        return 130
    return 0
