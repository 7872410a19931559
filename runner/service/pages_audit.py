"""Who did what, for whoever looks after the server: ``/audit``."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards import live_pages
from dashboards.live_records import AuditPage
from runner.service import audit, guard, server, sessions, showing
from runner.service.audit import Noted
from runner.service.problems import Problem
from runner.service.sessions import Visitor
from runner.service.showing import Shown

router = APIRouter(include_in_schema=False)
SHOWN = 200
"""Entries of a page."""


@router.get("/audit")
def page(
    request: Request, visitor: Annotated[Visitor, Depends(sessions.visits)],
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """A page of it, newest first; `before`: of entries before this number."""
    if visitor.caller.token is None:
        raise Shown(showing.led("/login?next=/audit"))
    try:
        guard.permitted(visitor.caller, "admin")
    except Problem as problem:
        raise Shown(showing.message(request, problem.title, problem.told, status=problem.status)) from problem
    found = audit.newest(server.of(request).database, before=before, limit=SHOWN)
    older = f"audit?before={found[-1].number}" if len(found) == SHOWN else ""
    return showing.page(live_pages.audit(AuditPage(rows=list(map(_row, found)), older=older)))


def _row(noted: Noted) -> tuple[str, str, str, str, str, str]:
    one = noted.entry
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.time))
    who = f"{one.name} ({one.token})" if one.token else one.name
    return when, who, one.address, one.action, one.subject, one.outcome
