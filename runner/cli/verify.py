"""The command that looks at behaviour before anything is measured: `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from runner.cli import targets
from runner.cli.app import INTERPRETER, Color, Cpus, NoWait, Variables, budget_of, command, variables
from runner.cli.printing import output


def _time_of(value: str) -> float:
    return 0.0 if value == "none" else budget_of(value)


@command(examples="""\
lockstep verify cpython@3.13.5 cpython@3.13.5+my.patch         a patch of io.BytesIO
lockstep verify a/python b/python --tests test_io,test_zlib    other tests of CPython's
lockstep verify a/python b/python --tests none --time 10m      a longer search, alone
lockstep verify cpython@3.13.5 cpython@3.13.5+nocow --known 'test_cow_(write|truncate|setstate)$'""")
def verify(
    base: Annotated[str, typer.Argument(
        metavar="BASE", help="What to compare with. " + INTERPRETER, show_default=False,
    )],
    head: Annotated[str, typer.Argument(
        metavar="HEAD", help="What is compared; named in the same ways.", show_default=False,
    )],
    tests: Annotated[str | None, typer.Option(
        metavar="MODULES", help="Modules of CPython's tests, with commas between, or `none`; default: those for what "
        "io.BytesIO touches.", show_default=False)] = None,
    time: Annotated[Any, typer.Option(
        "--time", parser=_time_of, metavar="TIME", help="How long to search for differences, or `none`.")] = "60s",
    known: Annotated[str | None, typer.Option(
        metavar="REGEX", help="Tests that differ as they should: told, and no difference.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Repeat a search.", min=0)] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON too; - is standard output.")
    ] = None,
    env: Variables = None,
    cpus: Cpus = None,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """See whether two interpreters behave alike: CPython's own tests, and a search over operations on io.BytesIO.

    Exit code: 0 no difference found, 1 a difference, 2 bad usage or input, 4 the machine or a build failed, 70 a fault
    of Lockstep's own, 130 interrupted.
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import verify as job
    from runner.report import verify as report

    targets.check([("--json", json)])
    names = job.TESTS if tests is None else tuple(name for name in tests.replace(",", " ").split() if name != "none")
    request = job.VerifyRequest(
        base=base, head=head, tests=names, seconds=time, seed=seed, known=known, environment=variables(env or ()),
        wait=not no_wait,
    )
    with Terminal() as view:
        verified = job.verify(request, view)
    output.whole(report, verified)
    if json is not None:
        targets.write(json, report.json(verified))
    return 1 if verified.differences else 0
