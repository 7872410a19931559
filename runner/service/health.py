"""Whether the server works, and what it counts of itself."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from runner.service import server
from runner.service.guard import Caller, needs
from runner.service.metrics import Metrics

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A server that answers."""

    status: str
    database: str


@router.get("/healthz", summary="Whether the server works")
def healthz(request: Request) -> Health:
    """Answers 200 where the database can be read. It needs no token, and says nothing else."""
    here = server.of(request)
    with here.database.reading() as connection:
        connection.execute(sa.select(1))
    return Health(status="ok", database=here.database.dialect)


@router.get("/metrics", summary="What the server counts of itself, for Prometheus", response_class=Response, responses={
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def metrics(request: Request, caller: Annotated[Caller, Depends(needs("read"))]) -> Response:
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(), media_type=CONTENT_TYPE_LATEST)
