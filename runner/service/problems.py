"""What a client is told when something is wrong: problem details for HTTP APIs (RFC 9457)."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.errors import LockstepError, UsageError
from runner.service.rates import TooMany

MEDIA = "application/problem+json"
SHOWN = 20
"""Of a request that is wrong in many places, so many are told."""
RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": {
    "description": "What is wrong, and what to do (RFC 9457).",
    "content": {MEDIA: {"schema": {
        "type": "object", "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "description": "Which kind of problem, for programs."},
            "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"},
        },
    }}},
}}
"""For OpenAPI: what any operation may answer."""
log = logging.getLogger("uvicorn.error")


class Problem(HTTPException):
    """Ends a request with an error of the client's: what is wrong, and what to do.

    `slug` names the kind of problem for programs and never changes; empty: the status says it all. `detail` is for
    people. It is an `HTTPException`, so that one that ends the reading of a body gets through the framework.
    """

    def __init__(
        self, status: int, slug: str, title: str, detail: str = "", *, headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(status, detail or title, dict(headers or {}))
        self.status, self.slug, self.title, self.told, self.extra = status, slug, title, detail, extra

    def answer(self) -> Response:
        kind = f"/problems/{self.slug}" if self.slug else "about:blank"
        content = {"type": kind, "title": self.title, "status": self.status, **self.extra}
        if self.told:
            content["detail"] = self.told
        # In ASCII: what a client has sent may come back in it, lone surrogates too.
        return Response(json.dumps(content), self.status, dict(self.headers or {}), MEDIA)


def too_many(error: TooMany) -> Problem:
    """For a client that asks more often than it may."""
    wait = max(1, math.ceil(error.wait))
    return Problem(
        429, "rate", "Too many requests.", f"Wait {wait} s, then go on more slowly.",
        headers={"Retry-After": str(wait)},
    )


def install(app: FastAPI) -> None:
    """Have every error of an application be a problem in these words."""

    @app.exception_handler(Problem)
    def _problem(request: Request, error: Problem) -> Response:
        return error.answer()

    @app.exception_handler(TooMany)
    def _too_many(request: Request, error: TooMany) -> Response:
        return too_many(error).answer()

    @app.exception_handler(LockstepError)
    def _of_ours(request: Request, error: LockstepError) -> Response:
        if isinstance(error, UsageError):
            return Problem(400, "refused", "That cannot be done.", str(error)).answer()
        log.error("%s %s: %s", request.method, request.url.path.encode("ascii", "backslashreplace").decode(), error)
        return Problem(
            503, "unavailable", "The server cannot do that now.", "Its log says why. Try again later.",
            headers={"Retry-After": "10"},
        ).answer()

    @app.exception_handler(HTTPException)
    def _of_framework(request: Request, error: HTTPException) -> Response:
        return Problem(error.status_code, "", str(error.detail), headers=error.headers).answer()

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        # Without the input, which may be secret, or no JSON.
        errors = [
            {"at": ".".join(map(str, one["loc"]))[:200], "why": one["msg"][:300]} for one in error.errors()[:SHOWN]
        ]
        return Problem(
            422, "invalid", "The request cannot be understood.",
            "; ".join(f"{one['at']}: {one['why']}" for one in errors), errors=errors,
        ).answer()


class Faults:
    """Whatever nobody has foreseen, as a problem too; its traceback goes to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise
            log.error("a fault of Lockstep's own", exc_info=error)
            problem = Problem(500, "fault", "A fault of Lockstep's own.", "The log has the traceback: report it.")
            await problem.answer()(scope, receive, send)
