"""The commands of a server: `serve`, and `token create`, `list` and `revoke`."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner import config
from runner.cli.app import Color, Toml, app, budget_of, command, needs
from runner.cli.commands import Command, Commands
from runner.cli.printing import output
from runner.errors import MachineError

if TYPE_CHECKING:
    from runner.service.database import Database
    from runner.service.settings import Settings
    from runner.service.tokens import Token

PORT = 8822
Data = Annotated[Path | None, typer.Option(
    "--data", metavar="FOLDER", help=f"Folder of runs, site and service; by default {config.STATE}.", file_okay=False,
)]
Url = Annotated[str | None, typer.Option(
    "--database", metavar="URL", help="PostgreSQL's URL; by default what the configuration says, else a SQLite file.",
)]

tokens = typer.Typer(
    name="token", cls=Commands, no_args_is_help=True, rich_markup_mode=None, help="Make, list and end tokens.",
    epilog="""\
lockstep token create ada --scope request,triage
lockstep token list""")
app.add_typer(tokens)


@command(examples="""\
lockstep serve                                    on this machine alone, until Ctrl-C
lockstep serve --host 0.0.0.0 --port 80           for all who reach it; put TLS in front of it
lockstep serve --public                           reading needs no token""")
def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Where to listen; 0: any.")] = PORT,
    data: Data = None,
    database: Url = None,
    public: Annotated[bool | None, typer.Option(
        "--public/--private", help="Whether all may read; by default what the configuration says, else private.",
        show_default=False)] = None,
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """Serve what machines upload, to people and programs."""
    settings = settings_of(data, database, configuration, public=public)
    from runner.service import app as application
    from runner.service import connections, server

    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise MachineError(f"cannot listen at {host} port {port}: {error.strerror}. Give another --port.") from error
    with listening, server.holding(settings) as held:
        _first(held.database)
        name, number = listening.getsockname()[:2]
        if not ipaddress.ip_address(name).is_loopback:
            output.problem("other machines reach this: put TLS in front, or tokens can be read on their way")
        place = f"http://{f'[{name}]' if ':' in name else name}:{number}"
        connections.serve(
            application.make(held), listening, settings.serve.proxies,
            lambda: output.line(f"serving {settings.data} at {place}"),
        )
    output.line("ended")
    return 0


def token_command(name: str, examples: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a function as a command below `token`."""
    return tokens.command(name=name, cls=Command, epilog=examples)


@token_command("create", """\
lockstep token create ada --scope request,triage
lockstep token create bench1 --machine --scope submit --expires 365d""")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the person or machine.", show_default=False)],
    scope: Annotated[str, typer.Option(
        metavar="SCOPES", help="read, submit, request, triage, admin; several with commas.")] = "read",
    machine: Annotated[bool, typer.Option("--machine", help="It is a machine's.")] = False,
    host: Annotated[str, typer.Option(
        metavar="HASH", help="The machine's `host` as its manifests have it; by default that of its first run.",
        show_default=False)] = "",
    expires: Annotated[Any, typer.Option(
        parser=budget_of, metavar="TIME", help="How long it counts, such as 90d; by default until it is revoked.",
        show_default=False)] = None,
    data: Data = None,
    database: Url = None,
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """Make a token, and show it this once."""
    settings, now = settings_of(data, database, configuration), time.time()
    from runner.service import tokens as store

    with database_of(settings) as opened:
        _, text = store.create(
            opened, name, [one for one in scope.replace(",", " ").split() if one], now, machine=machine, host=host,
            expires=None if expires is None else now + expires,
        )
    output.line(text)
    output.problem("This is shown once. Whoever has it is let in: keep it as you keep a password.")
    return 0


@token_command("list", """\
lockstep token list""")
def list_(
    data: Data = None, database: Url = None, configuration: Toml = None, color: Color = "auto",
) -> int:
    """List all tokens, without what lets anybody in."""
    settings = settings_of(data, database, configuration)
    from runner.service import tokens as store

    with database_of(settings) as opened:
        found = store.listed(opened)
    for token in found:
        output.line(_told(token, time.time()))
    if not found:
        output.line("there are none; `lockstep token create` makes one")
    return 0


@token_command("revoke", """\
lockstep token revoke 1f2e3d4c""")
def revoke(
    id: Annotated[str, typer.Argument(
        metavar="TOKEN", help="Its eight digits: `lockstep token list` shows them.", show_default=False)],
    data: Data = None,
    database: Url = None,
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """End a token at once and for good."""
    settings = settings_of(data, database, configuration)
    from runner.service import tokens as store

    with database_of(settings) as opened:
        output.line(_told(store.revoke(opened, id, time.time()), time.time()))
    return 0


def settings_of(data: Path | None, url: str | None, toml: Path | None, *, public: bool | None = None) -> Settings:
    """What options and a configuration say of a server. Raises UsageError, also where the extra is not installed: so
    each command calls this before it imports anything of the service."""
    needs("fastapi", "service", "a server")
    from runner.jobs import watched
    from runner.service import settings

    said = watched.service(toml)
    return settings.made(data or said.state, said.serve, url, toml, public=public)


@contextmanager
def database_of(settings: Settings) -> Iterator[Database]:
    """The database of a server, which may run meanwhile."""
    from runner.service import database

    opened = database.opened(settings.database)
    try:
        yield opened
    finally:
        opened.close()


def _first(database: Database) -> None:
    """Where nobody could be let in, make a token for whoever starts the server, and show it this once."""
    from runner.service import tokens as store

    if not store.listed(database):
        _, text = store.create(database, "admin", store.SCOPES, time.time())
        output.line(f"the first token, for all that there is; it is shown once: {text}")


def _told(token: Token, now: float) -> str:
    state = "" if token.good(now) else "  revoked" if token.revoked is not None else "  expired"
    until = "" if token.expires is None else f"  until {datetime.fromtimestamp(token.expires, UTC):%Y-%m-%d}"
    kind = "machine" if token.machine else "person"
    used = "never used" if token.used is None else f"used {datetime.fromtimestamp(token.used, UTC):%Y-%m-%d}"
    return f"{token.id}  {token.name}  {kind}  {' '.join(sorted(token.scopes))}  {used}{until}{state}"
