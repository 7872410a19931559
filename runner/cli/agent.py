"""The command of a machine that works for a server, or in a fleet: `agent`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli import fleet
from runner.cli.app import Color, Cpus, Toml, command
from runner.cli.printing import output
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.client import Client


@command(examples="""\
lockstep agent --server https://lockstep.example.org    until Ctrl-C
lockstep agent --once                                   one request, of the configured server
lockstep agent --untrusted refuse                       releases only, nothing from repositories
lockstep agent --dask tls://bench:8786 --certificates ~/fleet    one machine of a fleet
lockstep agent --dask tcp://127.0.0.1:8786              on the scheduler's own machine""")
def agent(
    server: Annotated[str | None, typer.Option(
        "--server", metavar="URL", help="Whose requests; by default what the configuration says.", show_default=False,
    )] = None,
    once: Annotated[bool, typer.Option("--once", help="Take one request if there is one, and end.")] = False,
    untrusted: Annotated[str, typer.Option(
        metavar="refuse|sandbox|unsafe", help="What to do with code from repositories: refuse it, run it kept apart "
        "(bubblewrap), or run it as it is, with all that you may do.")] = "sandbox",
    folder: Annotated[Path | None, typer.Option(
        "--folder", metavar="FOLDER", help=f"What was taken on, until it is answered; by default "
        f"{config.agent_folder(None)}.", show_default=False, file_okay=False)] = None,
    dask: Annotated[str | None, typer.Option(
        "--dask", metavar="ADDRESS", help="Measure for a fleet, and for no server: the address of its scheduler, "
        "tls://HOST:8786, or tcp:// on one machine.", show_default=False)] = None,
    certificates: fleet.Certificates = None,
    name: Annotated[str | None, typer.Option(
        metavar="NAME", help="What this machine is called in the fleet and in its blocks; default: its host name.",
        show_default=False)] = None,
    configuration: Toml = None,
    cpus: Cpus = None,
    color: Color = "auto",
) -> int:
    """Take requests from a server, build and measure what they ask for, and upload the runs.

    The token, with the scope submit, is in the variable LOCKSTEP_TOKEN, or in the one that the configuration names.
    With --dask it measures for `lockstep ab --fleet` instead: whoever may speak to the scheduler runs programs here.

    Exit code: 0 with --once, 2 the server does not let us in, 4 the machine cannot do it, or, with --once, the server
    is away, 130 interrupted: the next one goes on where this one was.
    """
    if dask is not None:
        if server is not None or once:
            raise UsageError("--dask is for a fleet, and --server and --once are for a server: give one of them.")
        return fleet.measure_for(dask, certificates, name)
    return take(server, configuration, once=once, untrusted=untrusted, folder=folder)


def take(
    address: str | None, configuration: Path | None, *, once: bool, untrusted: str, folder: Path | None
) -> int:
    """Be an agent of a server; returns the exit code."""
    from runner.cli.terminal import Terminal
    from runner.jobs import agent as job

    request = job.AgentRequest(
        client=_client(address, configuration), folder=config.agent_folder(folder), untrusted=untrusted, once=once)
    try:
        with Terminal() as view:
            answered = job.agent(request, view.say)
    except KeyboardInterrupt:
        output.problem("interrupted; the next `lockstep agent` goes on with what was begun")
        return 130
    output.line(f"answered {answered} request{'' if answered == 1 else 's'}")
    return 0


def _client(address: str | None, configuration: Path | None) -> Client:
    """A client of the server that is asked for. Raises UsageError where nobody names it, or there is no token."""
    from runner.cli.upload import server_of
    from runner.client import Client
    from runner.jobs import watched
    from runner.sending import Failed, secrets

    server = server_of(watched.service(configuration).server, address)
    try:
        return Client(server.address, secrets.get(config.secret, server.token_from))
    except Failed as error:
        raise UsageError(f"{error}: put the machine's token there, as `lockstep token create NAME --machine --scope "
                         "submit` on the server has shown it.") from error
