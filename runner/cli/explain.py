"""The command that looks behind a verdict: `explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli import targets
from runner.cli.app import (
    INTERPRETER,
    Color,
    Cpus,
    NoWait,
    Out,
    Pattern,
    Suite,
    check_scope,
    command,
    name_of,
    suite_of,
)
from runner.cli.printing import output
from runner.errors import UsageError


@command(examples="""\
lockstep explain last -b Founding                       one benchmark of the last run
lockstep explain cpython@3.13.5 cpython@3.13.5+nocow    two builds, measured anew""")
def explain(
    base: Annotated[str, typer.Argument(
        metavar="RUN|BASE", show_default=False,
        help="Alone, a finished run: its id or the beginning of it, its folder, or `last`. With HEAD, what to compare "
        "with. " + INTERPRETER,
    )],
    head: Annotated[str | None, typer.Argument(
        metavar="HEAD", help="What is compared; the two are measured anew.", show_default=False,
    )] = None,
    suite: Suite = None,
    pattern: Pattern = None,
    scope: Annotated[str, typer.Option(metavar="auto|binary|source", help="With HEAD: as in `ab`.")] = "auto",
    seed: Annotated[int | None, typer.Option(
        metavar="NUMBER", help="With HEAD: repeat a schedule exactly.", min=0)] = None,
    out: Out = None,
    json: Annotated[Path | None, typer.Option(
        "--json", metavar="FILE", help="Write the explanation as JSON to this file too; - is standard output.")] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the run's report, with the explanation in it, as HTML."),
    ] = None,
    cpus: Cpus = None,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """Say where a benchmark's noise comes from, and what each arm does in a call.

    Noise: layout, process, time and the rest, and what would buy precision most cheaply. Work: instructions by function
    (needs valgrind) and bytes allocated, exact and beside the time: they do not change a verdict. Exit code 0, whatever
    is found; 130 when it was interrupted.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.report import explain as report

    targets.check([("--json", json), ("--html", html)])
    check_scope(scope)
    if head is None and (suite is not None or seed is not None or scope != "auto"):
        raise UsageError("--suite, --scope and --seed are for a new run, of BASE and HEAD; a finished run has its own.")
    request = jobs.ExplainRequest(
        base=base, head=head, suite=suite_of(suite) if head else suite, pattern=pattern, scope=scope, out=out,
        seed=seed, wait=not no_wait,
    )
    with Terminal() as view:
        done = jobs.explain(request, view)
    output.whole(report, done.explanation)
    with Terminal() as view:
        view.phase("writing the report")
        if done.finished is not None:
            jobs.save(done.finished)
        if json is not None:
            targets.write(json, report.json(done.explanation))
        if html is not None:
            from runner.report import as_html

            targets.write(html, as_html.render(done.explanation.report, done.explanation))
    if done.finished is not None and done.finished.interrupted:
        output.line(f"interrupted; go on with: lockstep resume {name_of(done.finished.folder)}")
    return 130 if done.interrupted else 0
