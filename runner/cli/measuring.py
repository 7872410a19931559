"""Commands that measure: `ab` and `resume`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from runner import config
from runner.cli.app import (
    INTERPRETER,
    Color,
    Files,
    Html,
    Json,
    Markdown,
    NoWait,
    Out,
    Pattern,
    Run,
    Strict,
    Suite,
    Verbose,
    budget_of,
    check_scope,
    close,
    command,
    margin_of,
    record,
    size_of,
    variables,
)
from runner.errors import UsageError


@command(examples="""\
lockstep ab python3.12 ./python                              two interpreters
lockstep ab cpython@3.13.5 cpython@3.13.5+my.patch           a patch: both are built
lockstep ab git:~/cpython@main dir:~/cpython -b getvalue     main, and what is in your clone
lockstep ab a/bin/python b/bin/python --suite benchmarks     two environments, with your suite
lockstep ab python3.12 ./python --budget 5m --markdown report.md""")
def ab(
    base: Annotated[str, typer.Argument(
        metavar="BASE", help="What to compare with. " + INTERPRETER, show_default=False,
    )],
    head: Annotated[str, typer.Argument(
        metavar="HEAD", help="What is compared; named in the same ways.", show_default=False,
    )],
    suite: Suite = None,
    pattern: Pattern = None,
    margin: Annotated[
        Any, typer.Option(parser=margin_of, metavar="PERCENT", help="The smallest change that matters to you.")
    ] = "1%",
    budget: Annotated[
        Any, typer.Option(parser=budget_of, metavar="TIME", help="Time to measure: 10m; default: until settled.")
    ] = None,
    scope: Annotated[str, typer.Option(metavar="auto|binary|source", help="What the verdict is about.")] = "auto",
    mode: Annotated[
        str | None, typer.Option(metavar="turns|shared|adjacent", help="Force one mode; default: by calibration.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Repeat a schedule exactly.", min=0)] = None,
    memory_limit: Annotated[
        Any, typer.Option(parser=size_of, metavar="SIZE", help="Memory that a benchmark may use, such as 4GiB.")
    ] = None,
    values: Annotated[
        str, typer.Option(metavar="compare|ignore", help="What calls return in the two arms must be equal, or not.")
    ] = "compare",
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=VALUE]", help="Pass this variable on too, and record its value. All of yours are "
                     "passed on but those that begin with PYTHON. Repeatable."),
    ] = None,
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    no_wait: NoWait = False,
    record_: Annotated[bool, typer.Option("--record", help="Add both builds to asv's results at the end.")] = False,
    color: Color = "auto",
) -> int:
    """Compare two interpreters: BASE first, then HEAD.

    Exit code: 0 no regression, 1 a regression, 2 bad usage or input, 3 undecided (with --strict),
    4 the machine or a build failed, 70 a fault of Lockstep's own, 130 interrupted (`lockstep resume` goes on).
    """
    from runner import jobs
    from runner.cli.terminal import Terminal

    files = Files(json, markdown, html)
    files.check()
    check_scope(scope)
    if mode not in (None, "turns", "shared", "adjacent"):
        raise UsageError(f"--mode {mode}: it is turns, shared or adjacent.")
    if values not in ("compare", "ignore"):
        raise UsageError(f"--values {values}: it is compare or ignore.")
    request = jobs.AbRequest(
        base=base, head=head, suite=suite, pattern=pattern, margin=margin, budget=budget, scope=scope, out=out,
        seed=seed, mode=mode, memory_limit=memory_limit, values=values, environment=variables(env or ()),
        wait=not no_wait,
    )
    with Terminal() as view:
        finished = jobs.ab(request, view)
    code = close(finished, verbose=verbose, strict=strict, files=files)
    if record_ and not finished.interrupted:
        record(finished.folder, None)
    return code


@command(examples="""\
lockstep resume                    the last run
lockstep resume 20261128T18        another, by the beginning of its id""")
def resume(
    run: Run = "last",
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """Go on with a run that was interrupted or killed; nothing that it measured is measured again.

    What `--env` passed on is passed on again; of the other variables, those that the run began with, as they are now.
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.storage import store

    files = Files(json, markdown, html)
    files.check()
    folder = store.find(config.runs_folder(out), run)
    with Terminal() as view:
        finished = jobs.resume(folder, view, wait=not no_wait)
    return close(finished, verbose=verbose, strict=strict, files=files)
