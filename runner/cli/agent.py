"""The command of a machine that works for a server: `agent`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli.app import Color, Toml, command
from runner.cli.printing import output
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.client import Client


@command(examples="""\
lockstep agent --server https://lockstep.example.org    until Ctrl-C
lockstep agent --once                                   one request, of the server that lockstep.toml names
lockstep agent --untrusted refuse                       releases only, nothing from repositories""")
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
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """Take requests from a server, build and measure what they ask for, and upload the runs.

    The token, with the scope submit, is in the variable LOCKSTEP_TOKEN, or in the one that the configuration names.

    Exit code: 0 with --once, 2 the server does not let us in, 4 the machine cannot do it, or, with --once, the server
    is away, 130 interrupted: the next one goes on where this one was.
    """
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
    from runner.cli.upload import _server
    from runner.client import Client
    from runner.jobs import watched
    from runner.sending import Failed, secrets

    server = _server(watched.service(configuration).server, address)
    try:
        return Client(server.address, secrets.get(config.secret, server.token))
    except Failed as error:
        raise UsageError(f"{error}: put the machine's token there, as `lockstep token create NAME --machine --scope "
                         "submit` on the server has shown it.") from error
