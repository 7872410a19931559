"""The command that compares two commits of a project that asv benchmarks: `continuous`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.app import (
    Budget,
    Color,
    Configuration,
    Cpus,
    Files,
    Html,
    Json,
    Margin,
    Markdown,
    MemoryLimit,
    NoWait,
    Out,
    Pattern,
    Strict,
    Suite,
    Values,
    Variables,
    Verbose,
    check_values,
    close,
    command,
    record_measured,
    variables,
)
from runner.errors import UsageError


@command(examples="""\
lockstep continuous                       the last commit of the first branch against its parent
lockstep continuous main~5 main           two commits
lockstep continuous v1.0 main -b Parse    some of the benchmarks""")
def continuous(
    base: Annotated[
        str | None,
        typer.Argument(metavar="[BASE]", help="The commit to compare with; default: the parent of HEAD."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Argument(metavar="[HEAD]", help="The commit that is compared; default: asv's first branch. A single "
                       "commit is HEAD."),
    ] = None,
    configuration: Configuration = None,
    environment: Annotated[
        str | None, typer.Option("--env-name", metavar="NAME", help="An environment of asv's; default: the first of "
                                 "the matrix.")
    ] = None,
    suite: Suite = None,
    pattern: Pattern = None,
    margin: Margin = "1%",
    budget: Budget = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Repeat a schedule exactly.", min=0)] = None,
    memory_limit: MemoryLimit = None,
    values: Values = "compare",
    env: Variables = None,
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    cpus: Cpus = None,
    no_wait: NoWait = False,
    record_: Annotated[bool, typer.Option("--record", help="Add both commits to asv's results at the end.")] = False,
    color: Color = "auto",
) -> int:
    """Compare two commits of the project in this folder, as `asv continuous` does, with verdicts that hold.

    Both are built and installed as asv.conf.json says, each in an environment of its own that is kept, and measured
    against each other over the project's benchmarks.

    Exit code: 0 no regression, 1 a regression, 2 bad usage or input, 3 undecided, failed or only in one arm
    (with --strict), 4 the machine or a build failed, 70 a fault of Lockstep's own, 130 interrupted
    (`lockstep resume` goes on).
    """
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.jobs import continuous as job
    from runner.suites import asv_conf, asv_project

    files = Files(json, markdown, html)
    files.check()
    check_values(values)
    chosen = configuration or asv_conf.configuration(Path.cwd())
    if chosen is None:
        raise UsageError(f"{Path.cwd()} has no {asv_conf.NAMES[0]}; go to the project's folder, or name the file by "
                         "--config.")
    if head is None:
        base, head = None, base
    wanted = asv_project.Wanted(configuration=chosen, base=base, head=head, environment=environment)
    request = jobs.AbRequest(
        base="", head="", suite=suite, pattern=pattern, margin=margin, budget=budget, out=out, seed=seed,
        memory_limit=memory_limit, values=values, environment=variables(env or ()), wait=not no_wait,
    )
    with Terminal() as view:
        finished = job.continuous(wanted, request, view)
    code = close(finished, verbose=verbose, strict=strict, files=files)
    return record_measured(finished.folder, chosen, code) if record_ and not finished.interrupted else code
