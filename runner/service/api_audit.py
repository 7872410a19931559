"""The audit log, for whoever looks after the server."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from runner.service import audit, server
from runner.service.audit import Noted
from runner.service.guard import Caller, needs

router = APIRouter(prefix="/api/v1", tags=["audit"])


class Page(BaseModel):
    """Entries, newest first."""

    entries: list[Noted]
    before: int | None
    """Ask with this for older ones; null: there are none."""


@router.get("/audit", summary="Who did what, and who was refused; newest first")
def entries(
    request: Request, caller: Annotated[Caller, Depends(needs("admin"))],
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only entries before this number.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Page:
    found = audit.newest(server.of(request).database, before=before, limit=limit)
    return Page(entries=list(found), before=found[-1].number if len(found) == limit else None)
