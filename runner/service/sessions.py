"""Who looks at pages: a session, which signing in with a token begins.

The browser keeps a random text in a cookie that no script and no other site gets (HttpOnly, SameSite=Strict); the
database keeps its hash. A session ends after `LENGTH`, when its person signs out, and when its token ends or is
revoked. What changes something is sent by a form, which has the session's second text in it (against forged requests),
from a page of this server.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

import sqlalchemy as sa
from fastapi import Depends, Form, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response

from runner.service import guard, server, showing, tables, tokens
from runner.service.guard import Caller
from runner.service.problems import Problem
from runner.service.server import Server
from runner.service.showing import Shown
from runner.service.tokens import Token

LENGTH = 7 * 86_400.0
"""Seconds."""
_TEXT = re.compile(r"[A-Za-z0-9_-]{43}")
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x7e]*")
_by_token = guard.needs("read")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(guard.bearer)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who has signed in."""

    token: Token
    csrf: str
    """What the forms of the session send along."""
    expires: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks at a page."""

    caller: Caller
    session: Session | None
    """None: nobody has signed in, and what is public is seen, or a program has sent a token."""

    @property
    def csrf(self) -> str:
        """What a form is to send as ``csrf``; empty where there can be no form."""
        return self.session.csrf if self.session else ""


def begin(here: Server, token: Token) -> str:
    """Begin a session; returns what the cookie holds. Sessions that have ended are forgotten meanwhile."""
    text, now = secrets.token_urlsafe(32), here.clock()
    with here.database.writing() as connection:
        connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.expires <= now))
        connection.execute(sa.insert(tables.sessions), {
            "hash": _hash(text), "token": token.id, "csrf": secrets.token_urlsafe(32), "created": now,
            "expires": now + LENGTH,
        })
    return text


def end(here: Server, text: str) -> None:
    """End the session of a cookie, if it is one's."""
    with here.database.writing() as connection:
        connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.hash == _hash(text)))


def cookie(here: Server) -> str:
    """Its name. Where all come by TLS it is one that a browser takes from this host alone, and by TLS."""
    return "__Host-lockstep" if secure(here) else "lockstep"


def secure(here: Server) -> bool:
    """Whether people come by TLS, as far as the configuration says."""
    return here.settings.serve.address.startswith("https:")


def of(request: Request) -> Session | None:
    """The session that a request belongs to."""
    here = server.of(request)
    text = request.cookies.get(cookie(here), "")
    if not _TEXT.fullmatch(text):
        return None
    with here.database.reading() as connection:
        of_session = tables.sessions.c.hash == _hash(text)
        row = connection.execute(sa.select(tables.sessions).where(of_session)).mappings().first()
        if row is None:
            return None
        of_token = tables.tokens.c.id == row["token"]
        token = tokens.read(connection.execute(sa.select(tables.tokens).where(of_token)).mappings().one())
    now = here.clock()
    if now >= row["expires"] or not token.good(now):
        return None
    return Session(token=token, csrf=row["csrf"], expires=row["expires"])


def reads(request: Request, given: Given) -> Caller:
    """A dependency of what programs and browsers read: who asks, by token or session. Raises Problem 401."""
    return _visitor(request, given).caller


def visits(request: Request, given: Given) -> Visitor:
    """A dependency of pages: who looks. A browser that may not is led to where one signs in."""
    try:
        return _visitor(request, given)
    except Problem as problem:
        if problem.status != 401 or not showing.wants_page(request):
            raise
        raise Shown(_to_sign_in(request)) from problem


def acts(scope: str) -> Callable[..., Visitor]:
    """A dependency of what a form is sent to: who has sent it, from a page of ours, and has the scope."""

    def visitor(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> Visitor:
        session = of(request)
        if session is None:
            raise Shown(showing.led("/login"))
        if not ours(request) or not hmac.compare_digest(session.csrf.encode(), csrf.encode(errors="replace")):
            raise Shown(showing.message(
                request, "That did not come from a page of this server.",
                "Go back, load the page again, and send it once more.", status=403))
        caller = Caller(token=session.token, address=guard.address_of(request.scope))
        try:
            return Visitor(caller=guard.admitted(request, caller, scope), session=session)
        except Problem as problem:
            raise Shown(showing.message(request, problem.title, problem.told, status=problem.status)) from problem

    return visitor


def ours(request: Request) -> bool:
    """Whether a request came from a page of this server, as far as the browser says."""
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True  # a browser of long ago, or none; what a form needs else it needs all the same
    try:
        # Empty for `null`, which a page that is shut up in a frame sends.
        place, known = urlsplit(origin).netloc, urlsplit(server.of(request).settings.serve.address).netloc
    except ValueError:
        return False
    return place != "" and place in (request.headers.get("host"), known)


def local(place: str) -> str:
    """An address of this server as it was given, or that of the first page where it is none."""
    return place if _LOCAL.fullmatch(place) else "/"


def _visitor(request: Request, given: HTTPAuthorizationCredentials | None) -> Visitor:
    session = of(request) if given is None else None
    if session is None:
        return Visitor(caller=_by_token(request, given), session=None)
    caller = Caller(token=session.token, address=guard.address_of(request.scope))
    return Visitor(caller=guard.admitted(request, caller, "read"), session=session)


def _to_sign_in(request: Request) -> Response:
    # Who follows a link from elsewhere comes without the cookie; the page then asks for itself.
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return showing.message(request, "One moment", "This page is being opened.", again=0)
    place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return showing.led(f"/login?next={quote(place, safe='')}")



def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
