"""All machines, and the tokens by which they upload: ``/machines/``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards import live_pages
from runner.report import site_live
from runner.service import server, sessions, showing, tokens
from runner.service.server import Server
from runner.service.sessions import Visitor

router = APIRouter(include_in_schema=False)


@router.get("/machines/")
def page(request: Request, visitor: Annotated[Visitor, Depends(sessions.visits)]) -> Response:
    """The page."""
    here = server.of(request)
    runs = here.site.records.now().history.runs
    return showing.page(live_pages.machines(site_live.machines_page(runs, _hosts(here))))


def _hosts(here: Server) -> dict[str, list[str]]:
    """Names of the machines whose tokens count, by the host that each is bound to."""
    now, found = here.clock(), dict[str, list[str]]()
    for token in tokens.listed(here.database):
        if token.machine and token.good(now):
            found.setdefault(token.host, []).append(token.name)
    return found
