"""The commands about what was found, and about the service: `events`, `triage`, `status`."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli import targets
from runner.cli.app import Color, Toml, command
from runner.cli.printing import output

if TYPE_CHECKING:
    from runner.history.events import Event
    from runner.sending.delivery import Sent

State = Annotated[Path | None, typer.Option(
    "--state", metavar="FOLDER", help=f"Folder for state; by default what the configuration says, else {config.STATE}.",
    file_okay=False,
)]


@command(examples="""\
lockstep events                              those that are open
lockstep events cpython-main-0123456789      one, in full
lockstep events --all --json -               all, for a program
lockstep events --send                       deliver alerts that wait""")
def events(
    names: Annotated[list[str] | None, typer.Argument(
        metavar="[EVENT]...", help="Only these, in full: ids, or parts of them that no other event has.",
        show_default=False,
    )] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    watch: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this watch.")] = None,
    bench: Annotated[str | None, typer.Option(
        "-b", "--bench", metavar="TEXT", help="Only of benchmarks whose name has this in it.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Deliver the alerts that wait, and are due.")] = False,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write them as JSON; - is standard output.")
    ] = None,
    atom: Annotated[
        Path | None, typer.Option("--atom", metavar="FILE", help="Write them as an Atom feed; - is standard output.")
    ] = None,
    configuration: Toml = None,
    state: State = None,
    color: Color = "auto",
) -> int:
    """List confirmed changes, and what people said of them."""
    from runner.history import events as store
    from runner.jobs import alert, triage, watched
    from runner.report import events as report

    targets.check([("--json", json), ("--atom", atom)])
    service = watched.service(configuration)
    channels, place = service.channels, state or service.state
    if send:
        _tell(alert.tell(channels, place, patience=triage.PATIENCE))
    found: Sequence[Event] = store.read(alert.places(channels, place).events)
    chosen = [store.find(found, name) for name in dict.fromkeys(names or ())]
    listed = chosen or [
        event for event in found
        if (every or event.state.open) and watch in (None, event.watch)
        and (bench is None or any(bench in one.benchmark for one in event.benchmarks))
    ]
    for path, text in ((json, report.json), (atom, report.atom)):
        if path is not None:
            targets.write(path, text(listed, channels.site))
    if chosen:
        for event in chosen:
            output.line(report.text(event, channels.site).rstrip("\n"))
    elif not send and json is None and atom is None:
        output.whole(report, listed)
        if listed:
            output.next(f"lockstep events {listed[-1].id}", "the newest of these in full")
    return 0


@command(examples="""\
lockstep triage cpython-main-0123456789 acknowledged --note "gh-12345"
lockstep triage 0123456789 false-alarm --note "the machine was being updated" --who ada
lockstep triage 0123456789 --note "seen on 3.14 too"       a note alone""")
def triage(
    name: Annotated[str, typer.Argument(
        metavar="EVENT", help="An event's id, or a part of it that no other has: `lockstep events` lists them.",
        show_default=False,
    )],
    said: Annotated[str | None, typer.Argument(
        metavar="[STATE]", help="new, confirmed, acknowledged, fixed, wont-fix or false-alarm.", show_default=False,
    )] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why, or what is done about it.", show_default=False)] = "",
    who: Annotated[str | None, typer.Option(
        metavar="NAME", help="Who says so; by default who you are on this machine.", show_default=False)] = None,
    configuration: Toml = None,
    state: State = None,
    color: Color = "auto",
) -> int:
    """Say of an event what it is, and why. It is written into the event's file, and the channels are told."""
    from runner.jobs import triage as job
    from runner.jobs import watched
    from runner.report import events as report

    service = watched.service(configuration)
    asked = job.Asked(
        name=name, state=None if said is None else job.state_of(said), note=note,
        who=_person() if who is None else who,
    )
    event, sent = job.triage(asked, service.channels, state or service.state)
    output.line(report.title(event))
    _tell(sent)
    return 0


@command(examples="""\
lockstep status                   nights, disk, alerts that wait
lockstep status --json - | jq .good""")
def status(
    configuration: Toml = None,
    state: State = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON; - is standard output.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 when something wants a person.")] = False,
    color: Color = "auto",
) -> int:
    """Show how the nightly service is: last nights, missing ones, disk, alerts and runs that wait."""
    from runner.jobs import status as job
    from runner.jobs import watched
    from runner.report import health

    targets.check([("--json", json)])
    service = watched.service(configuration)
    found = job.status(service.channels, state or service.state)
    if json is not None:
        targets.write(json, health.json(found))
    if json is None:
        output.whole(health, found)
    return 3 if strict and not found.good else 0


def _tell(sent: Sent) -> None:
    for line in sent.delivered:
        output.line(f"told {line}")
    for problem in sent.problems:
        output.problem(f"problem: {problem}")


def _person() -> str:
    """Who runs this, by the system's name; empty where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
