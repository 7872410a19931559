"""What programs say of events: `POST /api/v1/events/ID/entries`. It is written as `lockstep triage` writes it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from runner.errors import UsageError
from runner.history.events import State
from runner.service import api_read, server, triage
from runner.service.guard import Caller, needs
from runner.service.problems import Problem

router = APIRouter(prefix="/api/v1", tags=["triage"])


class Saying(BaseModel):
    """What is said of an event: a state, a note, or both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: str = Field("", max_length=triage.STATE, description=(
        f"What it is from now on: {', '.join(state.value for state in State)}. Empty: what it is."))
    note: str = Field("", max_length=triage.NOTE, description="Text; no markup.")


@router.post("/events/{id}/entries", status_code=201, summary="Say something of an event")
def say(
    id: str, saying: Saying, request: Request, caller: Annotated[Caller, Depends(needs("triage"))]
) -> dict[str, Any]:
    """In the name of the token; the channels are told. Answers the event as it is now (lockstep.events/1). Said twice
    it is two entries, if it has a note."""
    here = server.of(request)
    event = api_read.event_of(api_read.every(here), id)
    try:
        found = triage.write(here, event, saying.state, saying.note, caller.name)
    except UsageError as error:
        raise Problem(422, "triage", "This cannot be said of it.", str(error)) from error
    return api_read.told(found, here)
