"""The command that looks behind a verdict: `explain`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runner.cli.app import INTERPRETER, NoWait, Out, Pattern, Suite, app, check_scope, print_whole, suite_of
from runner.errors import UsageError


@app.command()
def explain(
    base: Annotated[str, typer.Argument(
        metavar="RUN|BASE", show_default=False,
        help="Alone, a finished run: its id or the beginning of it, its folder, or `last`. With HEAD, what to compare "
        "with. " + INTERPRETER,
    )],
    head: Annotated[str | None, typer.Argument(
        metavar="[HEAD]", help="What is compared; the two are measured anew.", show_default=False,
    )] = None,
    suite: Suite = None,
    pattern: Pattern = None,
    scope: Annotated[str, typer.Option(metavar="auto|binary|source", help="With HEAD: as in `ab`.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="With HEAD: repeat a schedule exactly.", min=0)] = None,
    out: Out = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the explanation as JSON to this file too.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the run's report, with the explanation in it, as HTML.")
    ] = None,
    no_wait: NoWait = False,
) -> int:
    """Say where a benchmark's noise comes from, and what each arm does in a call.

    Noise: layout, process, time and the rest, and what would buy precision most cheaply. Work: instructions by function
    (needs valgrind) and bytes allocated, exact and beside the time: they do not change a verdict. Exit code 0, whatever
    is found; 130 when it was interrupted.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.report import explain as report
    from runner.storage import store

    check_scope(scope)
    if head is None and (suite is not None or seed is not None or scope != "auto"):
        raise UsageError("--suite, --scope and --seed are for a new run, of BASE and HEAD; a finished run has its own.")
    request = jobs.ExplainRequest(
        base=base, head=head, suite=suite_of(suite) if head else suite, pattern=pattern, scope=scope, out=out,
        seed=seed, wait=not no_wait,
    )
    with Terminal() as view:
        done = jobs.explain(request, view)
    print_whole(report, done.explanation)
    with Terminal() as view:
        view.phase("writing the report")
        if done.finished is not None:
            jobs.save(done.finished)
        if json is not None:
            store.write_whole(json, report.json(done.explanation))
        if html is not None:
            from runner.report import as_html

            store.write_whole(html, as_html.render(done.explanation.report, done.explanation))
    if done.finished is not None and done.finished.interrupted:
        folder = shlex.quote(str(done.finished.folder))
        Console().print(f"interrupted; go on with: lockstep resume {folder}", soft_wrap=True, highlight=False)
    return 130 if done.interrupted else 0
