"""The command that sends runs to a server: `upload`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli.app import Color, Toml, command
from runner.cli.events import State
from runner.cli.printing import output
from runner.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.jobs.watched import Server

PATIENCE = 15.0
"""Seconds that a person waits for a server that is away."""


@command(examples="""\
lockstep upload last                     the newest run, to the server that lockstep.toml names
lockstep upload old/runs/*               those in another folder
lockstep upload --waiting                what could not be sent before
lockstep upload last --server https://lockstep.example.org""")
def upload(
    names: Annotated[list[str] | None, typer.Argument(
        metavar="[RUN]...", help="Ids of runs or beginnings of them, their folders, or `last`.", show_default=False,
    )] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="What waits, now.")] = False,
    address: Annotated[str | None, typer.Option(
        "--server", metavar="URL", help="Where to; by default what the configuration says.", show_default=False,
    )] = None,
    configuration: Toml = None,
    out: Annotated[Path | None, typer.Option(
        "--out", metavar="FOLDER", help="Folder of run folders; by default `runs` in the folder for state.",
    )] = None,
    state: State = None,
    color: Color = "auto",
) -> int:
    """Send runs to a Lockstep server. A run that it has already is left alone.

    The token is in the variable LOCKSTEP_TOKEN, or in the one that the configuration names. What cannot be sent waits,
    and goes with the next night or by --waiting.

    Exit code: 0 all were sent, 2 bad usage or input, 4 something waits.
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import upload as job
    from runner.jobs import watched

    service = watched.service(configuration)
    place = state or service.state
    if not names:
        count = len(job.opened(place).queue().letters)
        if not waiting:
            raise UsageError(
                f"nothing is to be sent: {_runs(count)} from before. Name a run (`lockstep runs` lists them), or say "
                "--waiting for those that wait.")
        if not count:
            output.line("nothing waits to be sent")
            return 0
    server, folders = server_of(service.server, address), _folders(out or place / "runs", names or ())
    with Terminal() as view:
        sent = job.send(server, place, job.UploadRequest(
            folders=folders, again=True, waiting=waiting, patience=PATIENCE, longest=math.inf, told=view.phase))
    for line in sent.delivered:
        output.line(f"sent to {line}")
    for problem in sent.problems:
        output.problem(f"problem: {problem}")
    if sent.waiting:
        output.problem(f"{_runs(sent.waiting)}; to try again: lockstep upload --waiting")
    return MachineError.exit_code if sent.waiting or sent.problems else 0


def _runs(count: int) -> str:
    return f"{count or 'no'} run{' waits' if count == 1 else 's wait'}"


def server_of(known: Server | None, address: str | None) -> Server:
    """Where to. Raises UsageError where nobody says it."""
    from pydantic import ValidationError

    from runner.jobs import watched

    if address is None:
        if known is None:
            raise UsageError(f"to which server? Say --server URL, or put it into {config.FILE}: [server] address = …")
        return known
    token = {} if known is None else {"token_from": known.token_from}
    try:
        return watched.Server.model_validate({"address": address, **token})
    except ValidationError as error:
        why = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--server: {why}.") from None


def _folders(root: Path, names: Sequence[str]) -> list[Path]:
    """The runs of these names, each once. Raises UsageError where one is none, or is not over."""
    from runner.storage import shelf, store

    found = list(dict.fromkeys(store.find(root, name) for name in names))
    for folder in found:
        if shelf.entry(folder).state is shelf.State.MEASURING:
            raise UsageError(f"{folder.name} is being measured just now; send it when it is over.")
    return found
