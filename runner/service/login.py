"""Signing in with a token, and out: ``/login``, ``/logout``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from dashboards import live_pages
from dashboards.live_records import LoginPage
from runner.report.quantities import day
from runner.service import guard, server, sessions, showing
from runner.service.guard import Caller
from runner.service.sessions import Visitor

router = APIRouter(include_in_schema=False)
UNKNOWN = "This token is not known, or has ended."


@router.get("/login")
def page(request: Request, next: str = "/") -> Response:
    """Where one signs in, or sees who one is."""
    session = sessions.of(request)
    if session is None:
        return showing.page(live_pages.login(LoginPage(next=sessions.local(next))))
    facts = [("may", ", ".join(sorted(session.token.scopes))), ("session", f"until {day(session.expires)} UTC")]
    if session.token.expires is not None:
        facts.append(("token", f"until {day(session.token.expires)} UTC"))
    links = [("Audit log", "audit")] if "admin" in session.token.scopes else []
    return showing.page(live_pages.login(LoginPage(
        name=session.token.name, facts=facts, links=links, csrf=session.csrf)))


@router.post("/login")
def sign_in(
    request: Request, token: Annotated[str, Form(max_length=1000)] = "", next: Annotated[str, Form()] = "/",
) -> Response:
    """Begin a session."""
    here = server.of(request)
    if not sessions.ours(request):
        return showing.message(
            request, "That did not come from a page of this server.", "Open its own page to sign in.", status=403)
    address = guard.address_of(request.scope)
    found = here.verify(token.strip(), address)
    if found is None:
        return showing.page(live_pages.login(LoginPage(next=sessions.local(next), problem=UNKNOWN)), 401)
    guard.admitted(request, Caller(token=found, address=address), "read")
    answer = showing.led(sessions.local(next))
    answer.set_cookie(
        sessions.cookie(here), sessions.begin(here, found), max_age=int(sessions.LENGTH), httponly=True,
        samesite="strict", secure=sessions.secure(here),
    )
    return answer


@router.post("/logout")
def sign_out(request: Request, visitor: Annotated[Visitor, Depends(sessions.acts("read"))]) -> Response:
    """End the session."""
    here = server.of(request)
    sessions.end(here, request.cookies.get(sessions.cookie(here), ""))
    answer = showing.led("/login")
    answer.delete_cookie(
        sessions.cookie(here), httponly=True, samesite="strict", secure=sessions.secure(here))
    return answer
