"""Whether the server works."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter, Request
from pydantic import BaseModel

from runner.service import server

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A server that answers."""

    status: str
    database: str


@router.get("/healthz", summary="Whether the server works")
def healthz(request: Request) -> Health:
    """Answers 200 where the database can be read."""
    here = server.of(request)
    with here.database.reading() as connection:
        connection.execute(sa.select(1))
    return Health(status="ok", database=here.database.dialect)
