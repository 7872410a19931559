"""Commands for what is watched night by night: `nightly` and `config`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli.app import Color, Cpus, NoWait, command
from runner.cli.printing import output
from runner.errors import FAULT, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.jobs.watched import Nightly
    from runner.storage.nights import Night

Watching = Annotated[Path, typer.Option("--config", metavar="FILE", help="What is watched, and how.")]


@command(examples="""\
lockstep nightly                 what lockstep.toml in this folder watches
lockstep nightly --watch main    one of it
lockstep nightly --again         the newest commit once more""")
def nightly(
    file: Watching = Path(config.FILE),
    watch: Annotated[
        str | None, typer.Option("--watch", metavar="NAME", help="Only this one of what is watched.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure the newest commit although it was measured already.")
    ] = False,
    cpus: Cpus = None,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """Compare the newest commit of each watched branch with the last one and with a pinned build, and keep the history.

    What the history suggests is measured afresh before anybody is told. A night that was interrupted or killed is gone
    on with first. Without a new commit nothing is measured.

    Exit code: 0 no regression confirmed, 1 a regression, 2 bad usage or input, 4 a commit that does not build, a branch
    that is gone or was overwritten, or a fault of the machine or of Lockstep; 130 interrupted.
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import nightly as job
    from runner.jobs import watched

    settings = watched.read(file)
    try:
        with Terminal() as view:
            found = job.nightly(
                job.NightlyRequest(settings=settings, watch=watch, again=again, wait=not no_wait), view)
    except KeyboardInterrupt:
        output.problem(f"interrupted; go on with: lockstep nightly --config {file}")
        return 130
    _tell(settings, found)
    return exit_code(found)


def exit_code(found: Sequence[Night]) -> int:
    """1 for a confirmed regression, else 4 for a night that could not do its work or met a fault of ours, else 0."""
    from runner.report import night as report
    from runner.storage.nights import Outcome

    if any(map(report.slower, found)):
        return 1
    good = (Outcome.DONE, Outcome.UNCHANGED)
    bad = any(
        one.ended is None or one.outcome not in good or one.alarm
        or any(step.problem.startswith(FAULT) for step in one.steps) for one in found)
    return 4 if bad else 0


def _tell(settings: Nightly, found: Sequence[Night]) -> None:
    from runner.jobs import night_after
    from runner.report import night as report

    for one in found:
        output.line(report.headline(one))
        if one.ended is None:
            output.problem("the next `lockstep nightly` goes on with it")
        for step in one.steps:
            if step.problem and one.ended is not None:
                output.problem(f"{step.name}: {step.problem}")
        file = night_after.report_file(settings, one)
        if file.is_file():
            output.line(f"report: {file}")


@command("config", examples="""\
lockstep config --example | tee lockstep.toml    a beginning
lockstep config --check                           is it right?""")
def config_(
    check: Annotated[
        bool, typer.Option("--check", help="Say what is wrong with the file, and what it watches.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Print a file with all keys, and what they mean.")] = False,
    file: Watching = Path(config.FILE),
    color: Color = "auto",
) -> int:
    """Check the configuration of `lockstep nightly`, or print an example of one. Nothing is fetched or measured."""
    from runner.jobs import watched
    from runner.report import quantities

    if check == example:
        raise UsageError("say --check or --example.")
    if example:
        output.text.write(watched.EXAMPLE)
        return 0
    settings = watched.read(file)
    for watch in settings.watch:
        builds = ", ".join(options or "no options" for options in watch.configurations)
        output.line(f"{watch.name}: branch {watch.branch} of {watch.repository} against {watch.anchor};"
                    f" builds: {builds};"
                    f" suites: {', '.join(suite.place for suite in watch.suites)};"
                    f" {quantities.duration(watch.budget)} a night")
    output.line(f"{file} is right; what is measured is kept in {settings.state}")
    return 0
