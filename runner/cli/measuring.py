"""Commands that measure: `ab` and `resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from runner import config
from runner.cli.app import (
    INTERPRETER,
    Budget,
    Color,
    Cpus,
    Files,
    Held,
    Html,
    Json,
    Margin,
    Markdown,
    MemoryLimit,
    NoWait,
    Out,
    Pattern,
    Run,
    Strict,
    Suite,
    Values,
    Variables,
    Verbose,
    check_scope,
    check_values,
    close,
    command,
    record_measured,
    suite_of,
    variables,
)
from runner.cli.fleet import Address, Certificates, Patience, Replicate, close_fleet, fleet_of
from runner.errors import UsageError


@command(examples="""\
lockstep ab python3.12 ./python                              two interpreters
lockstep ab cpython@3.13.5 cpython@3.13.5+my.patch           a patch: both are built
lockstep ab git:~/cpython@main dir:~/cpython -b getvalue     main, and what is in your clone
lockstep ab a/bin/python b/bin/python --suite benchmarks     two environments, with your suite
lockstep ab python3.12 ./python --suite pyperformance        what pyperformance measures
lockstep ab python3.12 ./python --suite bm.py -- --size 9    a pyperf script, with its own option
lockstep ab python3.12 ./python --budget 5m --markdown report.md
lockstep ab python3.12 ./python --cpus 4-7                   beside runs that keep to other CPUs
lockstep ab python3.12 ./python --fleet tls://bench:8786 --certificates ~/fleet""")
def ab(
    base: Annotated[str, typer.Argument(
        metavar="BASE", help="What to compare with. " + INTERPRETER, show_default=False,
    )],
    head: Annotated[str, typer.Argument(
        metavar="HEAD", help="What is compared; named in the same ways.", show_default=False,
    )],
    own: Annotated[list[str] | None, typer.Argument(
        metavar="[-- OPTIONS]", help="Options of the pyperf script that --suite names.", show_default=False,
    )] = None,
    suite: Suite = None,
    pattern: Pattern = None,
    margin: Margin = "1%",
    budget: Budget = None,
    scope: Annotated[str, typer.Option(metavar="auto|binary|source", help="What the verdict is about.")] = "auto",
    mode: Annotated[
        str | None, typer.Option(metavar="turns|shared|adjacent", help="Force one mode; default: by calibration.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Repeat a schedule exactly.", min=0)] = None,
    memory_limit: MemoryLimit = None,
    values: Values = "compare",
    cpus: Cpus = None,
    no_verify: Annotated[bool, typer.Option(
        "--no-verify", help="Time builds that behave differently, too. Else they are looked at for a few seconds "
        "before io.BytesIO is measured (`lockstep verify`).")] = False,
    env: Variables = None,
    fleet: Address = None,
    certificates: Certificates = None,
    replicate: Replicate = 1,
    patience: Patience = "60s",
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    no_wait: NoWait = False,
    held: Held = False,
    record_: Annotated[bool, typer.Option("--record", help="Add both builds to asv's results at the end.")] = False,
    color: Color = "auto",
) -> int:
    """Compare two interpreters: BASE first, then HEAD.

    Exit code: 0 no regression, 1 a regression, 2 bad usage or input, 3 undecided, failed or only in one arm
    (with --strict), 4 the machine or a build failed, 70 a fault of Lockstep's own, 130 interrupted
    (`lockstep resume` goes on).
    """
    from runner import jobs, suites
    from runner.cli.terminal import Terminal

    if own and suite is None:
        raise typer.BadParameter(f"Got unexpected extra argument ({own[0]}): only a script of --suite takes options.")
    files = Files(json, markdown, html)
    files.check()
    check_scope(scope)
    if mode not in (None, "turns", "shared", "adjacent"):
        raise UsageError(f"--mode {mode}: it is turns, shared or adjacent.")
    check_values(values)
    request = jobs.AbRequest(
        base=base, head=head, suite=suites.joined(suite_of(suite), own or ()), pattern=pattern, margin=margin,
        budget=budget, scope=scope, out=out, seed=seed, mode=mode, memory_limit=memory_limit, values=values,
        environment=variables(env or ()), wait=not no_wait, held=held, verify=not no_verify,
    )
    if (measuring := fleet_of(fleet, certificates, replicate, patience, cpus)) is not None:
        if record_:
            raise UsageError("--record adds to the results of this machine, and a fleet has others.")
        from runner.fleet import session

        with Terminal() as view:
            fleeted = session.ab_on(request, measuring, view)
        return close_fleet(fleeted, verbose=verbose, strict=strict, files=files)
    if record_:
        from runner.jobs.record import check

        check([base, head])
    with Terminal() as view:
        finished = jobs.ab(request, view)
    code = close(finished, verbose=verbose, strict=strict, files=files)
    return record_measured(finished.folder, None, code) if record_ and not finished.interrupted else code


@command(examples="""\
lockstep resume                    the last run
lockstep resume 20261128T18        another, by the beginning of its id
lockstep resume last --fleet tls://bench:8786 --certificates ~/fleet   what a fleet has begun""")
def resume(
    run: Run = "last",
    fleet: Address = None,
    certificates: Certificates = None,
    patience: Patience = "60s",
    cpus: Cpus = None,
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    no_wait: NoWait = False,
    held: Held = False,
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
    if (measuring := fleet_of(fleet, certificates, 1, patience, cpus)) is not None:
        from runner.fleet import session

        with Terminal() as view:
            fleeted = session.resume(folder, measuring, view)
        return close_fleet(fleeted, verbose=verbose, strict=strict, files=files)
    with Terminal() as view:
        finished = jobs.resume(folder, view, wait=not no_wait, held=held)
    return close(finished, verbose=verbose, strict=strict, files=files)
