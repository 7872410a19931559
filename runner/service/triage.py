"""Where people say what an event is: ``/triage/ID``. What they say is written as `lockstep triage` writes it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from dashboards import live_pages
from runner.errors import LockstepError
from runner.history import events
from runner.history.events import Event
from runner.jobs.triage import Asked, state_of
from runner.jobs.triage import triage as say
from runner.report import site_live
from runner.service import server, sessions, showing
from runner.service.server import Server
from runner.service.sessions import Visitor
from runner.service.showing import Shown

router = APIRouter(include_in_schema=False)
STATE, NOTE = 40, 2000
"""Characters of what is said."""


@router.get("/triage/{id}")
def page(request: Request, id: str, visitor: Annotated[Visitor, Depends(sessions.visits)]) -> Response:
    """What was said of an event, and a form where more may be said."""
    return showing.page(_page(_found(request, id), visitor))


@router.post("/triage/{id}")
def triage(
    request: Request, id: str, visitor: Annotated[Visitor, Depends(sessions.acts("triage"))],
    state: Annotated[str, Form(max_length=STATE)] = "", note: Annotated[str, Form(max_length=NOTE)] = "",
) -> Response:
    """Write down what a person says of an event, and tell the channels."""
    here = server.of(request)
    event = _found(request, id)
    try:
        write(here, event, state, note, visitor.caller.name)
    except LockstepError as error:
        return showing.page(_page(event, visitor, problem=str(error), note=note), 422)
    return showing.led(str(request.url.path))


def write(here: Server, event: Event, state: str, note: str, who: str) -> Event:
    """Write down what somebody says of an event, and have channels and pages know; returns it as it is now. `state` is
    a word, empty: what it is. Raises as `jobs.triage.triage` does."""
    asked = Asked(name=event.id, state=state_of(state) if state else None, note=note, who=who)
    found, _ = say(asked, here.site.channels, here.site.state)
    here.site.changed()
    return found


def _page(event: Event, visitor: Visitor, *, problem: str = "", note: str = "") -> str:
    csrf, why = visitor.csrf, ""
    if not csrf:
        why = "Sign in (Account, above) with a token of scope triage to say something."
    elif not visitor.caller.may("triage"):
        csrf, why = "", "Your token may not do that: it needs scope triage."
    return live_pages.triage(site_live.triage_page(event, csrf, why=why, problem=problem, note=note))


def _found(request: Request, id: str) -> Event:
    """The event of this very id. Ends the request where there is none, or events cannot be read."""
    try:
        found = {event.id: event for event in events.read(server.of(request).site.events)}
    except LockstepError as error:
        raise Shown(showing.message(request, "The events cannot be read.", str(error), status=503)) from error
    if id not in found:
        raise Shown(showing.message(request, "There is no such event.", "Changes lists all of them.", status=404))
    return found[id]
