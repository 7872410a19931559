"""What the commands that measure with a fleet share, and a machine of one."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.app import Files, budget_of, close, name_of, needs, present
from runner.cli.printing import output
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.fleet import Door
    from runner.fleet.session import Fleeted, FleetRequest

Address = Annotated[str | None, typer.Option(
    "--fleet", metavar="ADDRESS", help="Measure on the machines of a fleet, whose scheduler is at this address: "
    "`tls://HOST:8786`, or `tcp://127.0.0.1:8786` on one machine.",
)]
Certificates = Annotated[Path | None, typer.Option(
    "--certificates", metavar="FOLDER", help="Of a fleet, for tls://: ca.pem, cert.pem and key.pem.",
)]
Replicate = Annotated[int, typer.Option(
    "--replicate", metavar="NUMBER", min=1, help="Of a fleet: machines that measure each benchmark, judged together.",
)]
Patience = Annotated[Any, typer.Option(
    "--patience", parser=budget_of, metavar="TIME",
    help="Of a fleet: how long a machine that is away is waited for, before others begin anew what it had begun.",
)]


def _door(address: str, certificates: Path | None) -> Door:
    needs("distributed", "fleet", "a fleet")
    from runner.fleet import door

    return door(address, certificates)


def fleet_of(
    address: str | None, certificates: Path | None, replicates: int, patience: float, cpus: str | None
) -> FleetRequest | None:
    """The fleet that is to measure; None: this machine. Raises UsageError."""
    if address is None:
        if certificates is not None or replicates > 1:
            raise UsageError("--certificates and --replicate are of a fleet: --fleet ADDRESS names it.")
        return None
    if cpus is not None:
        raise UsageError("--cpus is of the machine that measures: give it to the agents of the fleet (`lockstep agent "
                         "--dask ADDRESS --cpus LIST`).")
    where = _door(address, certificates)
    from runner.fleet.session import FleetRequest

    return FleetRequest(door=where, replicates=replicates, patience=patience)


def close_fleet(done: Fleeted, *, verbose: bool, strict: bool, files: Files) -> int:
    """As `app.close`: of one run its report, of several what they say together."""
    if len(done.finished) == 1:
        return close(done.finished[0], verbose=verbose, strict=strict, files=files)
    from runner import jobs

    for one in done.finished:
        output.line(f"page: {jobs.save(one)}")
    if done.together is None:
        output.line(f"interrupted; go on with: lockstep resume {name_of(done.finished[0].folder)} --fleet ADDRESS")
        return 130
    return present(done.together, verbose=verbose, strict=strict, files=files)


def measure_for(address: str, certificates: Path | None, name: str | None) -> int:
    """Be one machine of a fleet until Ctrl-C; returns the exit code."""
    from runner import machine

    machine.supported()
    where = _door(address, certificates)
    from runner.fleet import serve_blocks
    from runner.fleet.bench import MachineBench

    try:
        serve_blocks(where, MachineBench(name or platform.node(), output.problem), output.problem)
    except KeyboardInterrupt:
        output.problem("this machine measures for the fleet no longer")
    return 130
