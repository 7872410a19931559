"""The pages of requests: ``/requests/``, ``/requests/new`` and ``/requests/ID``."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from dashboards import request_pages
from dashboards.request_records import AskPage, Found, RequestLine, RequestPage, RequestsPage, Try
from runner import amounts
from runner.builds import planning, releases
from runner.errors import LockstepError
from runner.history.runs import Entry
from runner.jobs.policy import LONGEST
from runner.report import addresses, quantities, site
from runner.service import queue, server, sessions, showing
from runner.service.api_requests import allowed, cancelled, may_cancel
from runner.service.problems import Problem
from runner.service.queue import OPEN, Asker, Lease, State, Tenure
from runner.service.server import Server
from runner.service.sessions import Visitor
from runner.service.showing import Shown
from runner.storage import store
from runner.suites.asv import OWN
from runner.suites.pyperf_scripts import PYPERFORMANCE

router = APIRouter(include_in_schema=False)
OVER = 100
"""Requests that are over, in the list."""
MANY = 500
"""Requests that wait or run, in the list."""
AGAIN = 5
"""Seconds between two looks of a page whose request is not over."""
FIELDS = {
    "base": "", "head": "", "suite": next(iter(OWN)), "select": "", "margin": "1%", "budget": "10m", "machine": "",
    "priority": "0",
}
"""Of the form, with what stands in them first."""
Text = Annotated[str, Form(max_length=LONGEST)]


@router.get("/requests/")
def listed(request: Request, visitor: Annotated[Visitor, Depends(sessions.visits)]) -> Response:
    """All requests that are not over, and the last ones that are."""
    here = server.of(request)
    with here.database.reading() as connection:
        lines = [
            _lines(connection, queue.listed(connection, states, most))
            for states, most in ((OPEN, MANY), ([one for one in State if one.over], OVER))
        ]
    return showing.page(request_pages.requests(RequestsPage(open=lines[0], over=lines[1], why=_why(visitor))))


@router.get("/requests/new")
def form(request: Request, visitor: Annotated[Visitor, Depends(sessions.visits)]) -> Response:
    """The form; what stands behind the ? of its address stands in its fields."""
    values = {name: request.query_params.get(name, first)[:LONGEST] for name, first in FIELDS.items()}
    return showing.page(_form(server.of(request), visitor, values))


@router.post("/requests/")
def ask(
    request: Request, visitor: Annotated[Visitor, Depends(sessions.acts("request"))],
    base: Text = "", head: Text = "", suite: Text = "", select: Text = "", margin: Text = "", budget: Text = "",
    machine: Text = "", priority: Text = "0", key: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Put into the queue what the form says, and lead to its page."""
    here, caller = server.of(request), visitor.caller
    assert caller.token is not None
    values = {"base": base, "head": head, "suite": suite, "select": select, "margin": margin, "budget": budget,
              "machine": machine, "priority": priority}
    values = {name: text.strip() for name, text in values.items()}
    try:
        wanted = allowed(values, here)
        asker = Asker(person=caller.name, token=caller.token.id, source="form")
        own = f"form/{caller.token.id}/{key}" if re.fullmatch(r"[0-9a-f]{16}", key) else None
        with here.database.writing() as connection:
            found, _ = queue.submit(connection, wanted, asker, here.clock(), own)
    except Problem as problem:
        return showing.page(_form(here, visitor, values, problem.detail or problem.title), problem.status)
    request.state.subject = found.id
    return showing.led(f"/requests/{found.id}")


@router.get("/requests/{id}")
def one(id: str, request: Request, visitor: Annotated[Visitor, Depends(sessions.visits)]) -> Response:
    """A request as it is now."""
    here = server.of(request)
    with here.database.reading() as connection:
        try:
            found = queue.find(connection, id)
        except Problem as problem:
            raise Shown(showing.message(
                request, problem.title, "Requests lists all of them.", status=problem.status)) from problem
        return showing.page(request_pages.request(_page(connection, here, found, visitor)))


@router.post("/requests/{id}/cancel")
def cancel(
    id: str, request: Request, visitor: Annotated[Visitor, Depends(sessions.acts("request"))]
) -> Response:
    """Cancel a request, and lead to its page."""
    here = server.of(request)
    try:
        with here.database.writing() as connection:
            cancelled(connection, here, visitor.caller, id)
    except Problem as problem:
        raise Shown(showing.message(request, problem.title, problem.detail, status=problem.status)) from problem
    return showing.led(f"/requests/{id}")


def _why(visitor: Visitor) -> str:
    """Why somebody may not ask; empty: they may."""
    if not visitor.csrf:
        return "Sign in (Account, above) with a token of scope request to ask for a comparison."
    return "" if visitor.caller.may("request") else "Your token may not ask for comparisons: it needs scope request."


def _form(here: Server, visitor: Visitor, values: Mapping[str, str], problem: str = "") -> str:
    with here.database.reading() as connection:
        machines = queue.machines(connection, here.clock())
    known = releases.read(planning.DATA / "sources.toml").releases
    why = _why(visitor)
    return request_pages.ask(AskPage(
        values=values, suites=[*OWN, PYPERFORMANCE], machines=machines,
        builds=[f"cpython@{version}" for version in known], repositories=here.settings.serve.repositories,
        csrf="" if why else visitor.csrf, key=secrets.token_hex(8), why=why, problem=problem,
    ))


def _lines(connection: sa.Connection, found: list[queue.Request]) -> list[RequestLine]:
    tenures = queue.leases_of(connection, [one.id for one in found])
    return [
        RequestLine(
            id=one.id, base=one.wanted.base, head=one.wanted.head, suite=one.wanted.suite, person=one.person,
            state=one.state.value, note=_note(one, tenures[one.id]), when=f"{quantities.day(one.created)} UTC",
            sort=str(one.created),
        )
        for one in found
    ]


def _note(one: queue.Request, tenures: list[Lease]) -> str:
    if one.state is State.RUNNING and tenures:
        return f"on {tenures[-1].machine}{': ' * bool(tenures[-1].note)}{tenures[-1].note}"
    return one.problem.partition("\n")[0][:120]


def _page(connection: sa.Connection, here: Server, one: queue.Request, visitor: Visitor) -> RequestPage:
    tenures, results = queue.leases_of(connection, [one.id])[one.id], queue.results_of(connection, [one.id])[one.id]
    wanted = one.wanted
    found: list[Found] = []
    known = _entries(here) if results else {}
    for result in results:
        if not (here.settings.runs / result.run / store.MANIFEST).is_file():
            found.append(Found(run=result.run, link="", headline="", gone=True))
            continue
        link = addresses.run(result.run, "")
        made = (here.settings.site / link).is_file()
        headline = site.headline(known[result.run]) if result.run in known else ""
        found.append(Found(run=result.run, link=link if made else "", headline=headline))
    # What comes of a request that is done comes a little later, when the site is made with its run.
    waits = not one.state.over or any(not run.gone and not (run.link and run.headline) for run in found)
    return RequestPage(
        id=one.id, base=wanted.base, head=wanted.head, state=one.state.value, told=_told(one, tenures),
        problem=one.problem, found=found,
        facts=[
            ("base", wanted.base), ("head", wanted.head), ("suite", wanted.suite),
            ("benchmarks", wanted.select or "all"), ("margin", amounts.as_margin(wanted.margin)),
            ("budget", amounts.as_time(wanted.budget)), ("machine", wanted.machine or "any"),
            ("asked by", one.person), ("asked", f"{quantities.day(one.created)} UTC, by {one.source}"),
            ("priority", str(wanted.priority)),
        ],
        tries=[_try(lease) for lease in tenures],
        csrf=visitor.csrf if not one.state.over and may_cancel(visitor.caller, one) else "",
        again=AGAIN if waits else None,
    )


def _entries(here: Server) -> Mapping[str, Entry]:
    """The runs that the index has, by id; none where it cannot be read."""
    try:
        return here.site.records.now().entries
    except LockstepError:
        return {}


def _told(one: queue.Request, tenures: list[Lease]) -> str:
    when = "" if one.finished is None else f" on {quantities.day(one.finished)} UTC"
    if one.state is State.RUNNING and tenures:
        last = tenures[-1]
        return f"{last.machine} is at it since {quantities.day(last.begun)} UTC{': ' * bool(last.note)}{last.note}"
    return {
        State.WAITING: f"It waits for {one.wanted.machine or 'a machine'}.", State.DONE: f"Done{when}.",
        State.RUNNING: "A machine is at it.", State.FAILED: f"It failed{when}.",
        State.CANCELLED: f"It was cancelled{when}.",
    }[one.state]


_TENURES = {
    Tenure.HELD: "at it", Tenure.DONE: "done", Tenure.FAILED: "failed", Tenure.RETURNED: "gave it back",
    Tenure.LOST: "was not heard of any more",
}


def _try(lease: Lease) -> Try:
    about = [str(lease.facts[name]) for name in ("cpu", "os", "lockstep") if lease.facts.get(name)]
    return Try(
        machine=lease.machine, about=", ".join(about), begun=f"{quantities.day(lease.begun)} UTC",
        state=_TENURES[lease.state], note=lease.note,
    )
