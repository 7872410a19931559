"""What a client is told when something is wrong: problem details for HTTP APIs (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

MEDIA = "application/problem+json"


class Problem(Exception):
    """Ends a request with an error of the client's: what is wrong, and what to do.

    `slug` names the kind of problem for programs and never changes; `detail` is for people.
    """

    def __init__(
        self, status: int, slug: str, title: str, detail: str = "", *, headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or title)
        self.status, self.slug, self.title, self.detail = status, slug, title, detail
        self.headers, self.extra = dict(headers or {}), extra

    def answer(self) -> JSONResponse:
        content = {"type": f"/problems/{self.slug}", "title": self.title, "status": self.status, **self.extra}
        if self.detail:
            content["detail"] = self.detail
        return JSONResponse(content, self.status, self.headers, MEDIA)


def install(app: FastAPI) -> None:
    """Have every error of an application be a problem in these words."""

    @app.exception_handler(Problem)
    def _problem(request: Request, error: Problem) -> JSONResponse:
        return error.answer()

    @app.exception_handler(HTTPException)
    def _of_framework(request: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, "http", str(error.detail), headers=error.headers).answer()

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without the input, which may be secret, or no JSON.
        errors = [{"at": ".".join(map(str, one["loc"])), "why": one["msg"]} for one in error.errors()]
        return Problem(
            422, "invalid", "The request cannot be understood.",
            "; ".join(f"{one['at']}: {one['why']}" for one in errors), errors=errors,
        ).answer()
