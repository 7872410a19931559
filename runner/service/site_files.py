"""The published pages, at the addresses that they have on disk; and what all pages look by.

A page is as it was published: its answer says which one it is (ETag), so that a browser that has it is told just that.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from functools import cache
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards import history_pages, live_pages, pages, request_pages
from runner.service import server, sessions, showing
from runner.service.answering import headers_of, unchanged
from runner.service.problems import Problem
from runner.service.sessions import Visitor

router = APIRouter(include_in_schema=False)
KINDS = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".csv": "text/csv; charset=utf-8", ".xml": "application/atom+xml; charset=utf-8", ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""What may be asked for, by the end of its name; nothing else is served."""
OWN = (*pages.ASSETS, *history_pages.ASSETS, *live_pages.ASSETS, *request_pages.ASSETS)
"""Assets that come with Lockstep: they are there before any site is."""
REPORT = ".report.html"
"""A run's own report: one file with its scripts and styles inside."""
ALONE = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
)
"""Content-Security-Policy of such a report: it may do what it does from disk, and is a stranger to this server."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
Visit = Annotated[Visitor, Depends(sessions.visits)]


@router.api_route("/assets/{name}", methods=["GET", "HEAD"])
def asset(request: Request, name: str) -> Response:
    """What pages look by, and the scripts that they have: no secret, and seen by those who have yet to sign in."""
    if name in OWN:
        content, mark = _own(name)
        kind, headers = KINDS[Path(name).suffix], headers_of(mark, public=True)
        return unchanged(request, mark, public=True) or Response(content, headers=headers, media_type=kind)
    return _file(request, f"assets/{name}", public=True)


@router.api_route("/{place:path}", methods=["GET", "HEAD"])
def page(request: Request, place: str, visitor: Visit) -> Response:
    """A page of the site, or a file beside it."""
    return _file(request, place, public=server.of(request).settings.serve.public)


def _file(request: Request, place: str, *, public: bool) -> Response:
    parts = place.split("/")
    if parts[-1] == "":
        parts[-1] = "index.html"
    kind = KINDS.get(Path(parts[-1]).suffix)
    file = None
    if kind is not None and all(_NAME.fullmatch(part) and part.strip(".") for part in parts):
        file = _opened(server.of(request).settings.site.joinpath(*parts))
    if file is None:
        return _missing(request)
    with file:
        found = os.fstat(file.fileno())
        mark = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
        answer = unchanged(request, mark, public=public)
        if answer is None:
            answer = Response(file.read(), headers=headers_of(mark, public=public), media_type=kind)
    if parts[-1].endswith(REPORT):
        answer.headers["Content-Security-Policy"] = ALONE
    return answer


def _opened(path: Path) -> BinaryIO | None:
    """A file to read, and nothing that a link leads to; None where there is none. What is read is of one moment, though
    the site may be exchanged meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def _missing(request: Request) -> Response:
    if not showing.wants_page(request):
        raise Problem(404, "page", "There is no such page.", "The addresses of the API are in /api/v1/openapi.json.")
    if not server.of(request).settings.site.is_dir():
        return showing.message(
            request, "The pages are being made.", "This takes some seconds; the page asks again by itself.", again=3)
    return showing.message(
        request, "There is no such page.", "It may have gone with the run that it was about.", status=404)


@cache
def _own(name: str) -> tuple[bytes, str]:
    content = pages.asset(name).encode()
    return content, hashlib.sha256(content).hexdigest()[:20]
