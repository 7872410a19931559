"""Pages as answers: none of them is kept by anybody, for they say who looks."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from dashboards import live_pages
from dashboards.live_records import MessagePage


class Shown(Exception):
    """Ends a request with a page, or with the way to one."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def install(app: FastAPI) -> None:
    """Have `Shown` end requests of an application."""

    @app.exception_handler(Shown)
    def _shown(request: Request, shown: Shown) -> Response:
        return shown.response


def page(html: str, status: int = 200) -> HTMLResponse:
    """A page."""
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


def message(request: Request, title: str, text: str, *, status: int = 200, again: int | None = None) -> HTMLResponse:
    """A page that says one thing, at the address that was asked for; `again` as in `MessagePage`."""
    root = "../" * (request.url.path.count("/") - 1)
    return page(live_pages.message(MessagePage(title=title, text=text, again=again), root), status)


def led(place: str) -> RedirectResponse:
    """To another address of this server, by GET."""
    return RedirectResponse(place, 303, {"Cache-Control": "no-store"})


def wants_page(request: Request) -> bool:
    """Whether a person asks, by a browser, and no program."""
    return "text/html" in request.headers.get("accept", "")
