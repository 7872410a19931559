"""Requests over HTTP: people ask, look and cancel; machines claim one, say that they work, and end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from runner import amounts
from runner.errors import UsageError
from runner.jobs import policy
from runner.jobs.policy import LONGEST, Wanted
from runner.report.printable import printable
from runner.service import queue, reception, server, sessions
from runner.service.guard import Caller, needs
from runner.service.problems import Problem
from runner.service.queue import Asker, State, Tenure
from runner.service.server import Server
from runner.storage import origin, store

router = APIRouter(prefix="/api/v1", tags=["requests"])
NOTE = 300
"""Characters of a note that are kept."""
PROBLEM = 4000
"""Characters of a problem that are kept."""
Text = Annotated[str, Field(max_length=LONGEST)]
Run = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$")]
Name = Annotated[str, Field(max_length=60)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Asking(_Strict):
    """A comparison that is asked for."""

    base: Text = Field(description="The build to compare with: cpython@3.13.5, or git:URL@REF of a listed repository.")
    head: Text = Field(description="The build to compare.")
    suite: Text = "bytesio"
    select: Text = Field("", description="Parts of benchmarks' names, with | between them; empty: all benchmarks.")
    margin: Text = Field("1%", description="The smallest change that matters.")
    budget: Text = Field("10m", description="Time of measuring, building not included.")
    machine: Name = Field("", description="The one machine that may measure it; empty: any.")
    priority: int = Field(
        0, ge=policy.PRIORITIES[0], le=policy.PRIORITIES[1], description="Among one person's, the larger goes first.")


class Asked(BaseModel):
    """A request as it is now."""

    id: str
    page: str
    created: float
    person: str
    source: str
    base: str
    head: str
    suite: str
    select: str
    margin: str
    budget: str
    machine: str
    priority: int
    state: State
    finished: float | None
    problem: str
    measuring: str = Field(description="The machine that has it, or had it last; empty: none had it yet.")
    note: str = Field(description="What that machine was doing, in its own words.")
    runs: list[str]


class AskedList(BaseModel):
    """Requests, newest first."""

    requests: list[Asked]
    next: str | None = Field(description="What to give as `after` for those that follow; null: there are none.")


class Claiming(_Strict):
    """A machine that has nothing to do."""

    facts: dict[Name, Text | int | float | bool | None] = Field(default_factory=dict, max_length=60)


class Claimed(BaseModel):
    """A request that a machine has now."""

    lease: str
    expires: float = Field(description="Seconds since the epoch, on the server's clock.")
    request: Asked


class Beating(_Strict):
    """A machine that works."""

    note: Annotated[str, Field(max_length=PROBLEM)] = ""


class Beaten(BaseModel):
    """What a machine is told that works."""

    expires: float
    cancelled: bool = Field(description="Stop: nobody waits for this any more.")


class Ending(_Strict):
    """What a claim came to."""

    state: Literal["done", "failed", "returned"]
    runs: list[Run] = Field(default_factory=list, max_length=50, description="Runs that were uploaded before.")
    problem: Annotated[str, Field(max_length=100_000)] = ""


@router.post("/requests", status_code=201, response_model=Asked, summary="Ask for a comparison",
             responses={200: {"model": Asked, "description": "The same key has asked for the same before."}})
def ask(
    asking: Asking, request: Request, response: Response, caller: Annotated[Caller, Depends(needs("request"))],
    key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)] = None,
) -> Asked:
    """Puts a request into the queue. With an `Idempotency-Key`, asking again is asking once."""
    here = server.of(request)
    wanted = allowed({**asking.model_dump(), "priority": str(asking.priority)}, here)
    assert caller.token is not None
    asker = Asker(person=caller.name, token=caller.token.id)
    with here.database.writing() as connection:
        own = None if key is None else f"api/{caller.token.id}/{printable(key)}"
        found, fresh = queue.submit(connection, wanted, asker, here.clock(), own)
        told = answers(connection, here, [found])[0]
    request.state.subject = found.id
    if not fresh:
        response.status_code = 200
    response.headers["Location"] = f"/api/v1/requests/{found.id}"
    return told


@router.get("/requests", summary="Requests, newest first")
def asked(
    request: Request, caller: Annotated[Caller, Depends(sessions.reads)], state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50, after: Annotated[str | None, Query(max_length=60)] = None,
) -> AskedList:
    """All requests, or those in a state."""
    here = server.of(request)
    with here.database.reading() as connection:
        states = tuple(State) if state is None else (state,)
        found = queue.listed(connection, states, limit + 1, after)
        shown = answers(connection, here, found[:limit])
    return AskedList(requests=shown, next=found[limit - 1].id if len(found) > limit else None)


@router.get("/requests/{id}", summary="One request")
def one(id: str, request: Request, caller: Annotated[Caller, Depends(sessions.reads)]) -> Asked:
    """A request as it is now."""
    here = server.of(request)
    with here.database.reading() as connection:
        return answers(connection, here, [queue.find(connection, id)])[0]


def cancelled(connection: sa.Connection, here: Server, caller: Caller, id: str) -> queue.Request:
    """Cancel a request for a caller. Raises Problem where it is somebody else's, or over."""
    found = queue.find(connection, id)
    if not may_cancel(caller, found):
        raise Problem(403, "owner", "This request is somebody else's.", f"{found.person} has asked for it.")
    return queue.cancel(connection, id, here.clock())


@router.delete("/requests/{id}", summary="Cancel a request")
def cancel(id: str, request: Request, caller: Annotated[Caller, Depends(needs("request"))]) -> Asked:
    """Ends a request that waits or runs; a machine that has it stops. Only who has asked may do that, and an admin."""
    here = server.of(request)
    with here.database.writing() as connection:
        return answers(connection, here, [cancelled(connection, here, caller, id)])[0]


@router.post("/claims", response_model=Claimed, summary="Take the next request",
             responses={204: {"description": "There is nothing for this machine to do."}})
def claim(
    claiming: Claiming, request: Request, caller: Annotated[Caller, Depends(needs("submit", audited=False))]
) -> Any:
    """Gives a machine a request for two minutes. Each heart-beat puts the end off; without one, another machine may
    take the request. A machine has one request at most: what it had when it claims anew is given up."""
    here, token = server.of(request), reception.machine(caller)
    with here.database.writing() as connection:
        found = queue.claim(connection, token.id, caller.name, claiming.facts, here.clock())
        if found is None:
            return Response(status_code=204)
        lease, taken = found
        told = answers(connection, here, [taken])[0]
    return Claimed(lease=lease.id, expires=lease.expires, request=told)


@router.post("/claims/{lease}/heartbeat", summary="Say that a request is worked on")
def beat(
    lease: str, beating: Beating, request: Request, caller: Annotated[Caller, Depends(needs("submit", audited=False))]
) -> Beaten:
    """Keeps a request, with a note of what is done now."""
    here = server.of(request)
    assert caller.token is not None
    with here.database.writing() as connection:
        note = printable(beating.note)[:NOTE]
        held, cancelled = queue.beat(connection, lease, caller.token.id, note, here.clock())
    return Beaten(expires=held.expires, cancelled=cancelled)


@router.post("/claims/{lease}/end", summary="Say what a request came to")
def end(
    lease: str, ending: Ending, request: Request, caller: Annotated[Caller, Depends(needs("submit"))]
) -> Asked:
    """Ends a claim: `done`, with the runs that were uploaded; `failed`, with the problem; `returned`, for another
    machine to take. A result counts once, also where it comes after the lease."""
    if ending.state == "done" and not ending.runs:
        raise Problem(422, "runs", "Nothing was done without a run.", "Upload the run, and name it in `runs`.")
    here = server.of(request)
    assert caller.token is not None
    for run in ending.runs:
        _is_here(here.settings.runs / run, caller.token.id)
    with here.database.writing() as connection:
        ended = queue.end(
            connection, lease, caller.token.id, Tenure(ending.state), ending.runs, printable(ending.problem)[:PROBLEM],
            here.clock(),
        )
        return answers(connection, here, [ended])[0]


def allowed(words: Mapping[str, str], here: Server) -> Wanted:
    """What is wanted in these words, by the fields of `Wanted`, if the policy allows it. Raises Problem."""
    try:
        return policy.read(repositories=here.settings.serve.repositories, **words)
    except UsageError as error:
        raise Problem(422, "policy", "This is not allowed.", str(error)) from error


def may_cancel(caller: Caller, found: queue.Request) -> bool:
    """Whether somebody may cancel a request."""
    return caller.may("admin") or (caller.may("request") and caller.name == found.person)


def page(here: Server, id: str) -> str:
    """Where people find a request: an address where that of the server is known, else a path."""
    return f"{here.settings.serve.address.rstrip('/')}/requests/{id}"


def answers(connection: sa.Connection, here: Server, found: Sequence[queue.Request]) -> list[Asked]:
    """Requests as the API tells them."""
    ids = [one.id for one in found]
    tenures, runs = queue.leases_of(connection, ids), queue.results_of(connection, ids)
    told = []
    for one in found:
        last = tenures[one.id][-1] if tenures[one.id] else None
        wanted = one.wanted
        told.append(Asked(
            id=one.id, page=page(here, one.id), created=one.created, person=one.person, source=one.source,
            base=wanted.base, head=wanted.head, suite=wanted.suite, select=wanted.select,
            margin=amounts.as_margin(wanted.margin), budget=amounts.as_time(wanted.budget), machine=wanted.machine,
            priority=wanted.priority, state=one.state, finished=one.finished, problem=one.problem,
            measuring=last.machine if last else "", note=last.note if last else "",
            runs=[result.run for result in runs[one.id]],
        ))
    return told


def _is_here(folder: Path, token: str) -> None:
    if not (folder / store.MANIFEST).is_file():
        raise Problem(409, "run", "This run is not here.", f"Upload {folder.name} first, then say that it is done.")
    came = origin.read(folder)
    if came is not None and came.token != token:
        raise Problem(409, "run", "This run is another machine's.", f"{folder.name} was sent by {came.machine}.")
