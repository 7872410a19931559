"""The application: what each address does is in a module of its own, with a `router`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware

from runner.service import (
    answers,
    api_audit,
    api_read,
    api_requests,
    api_runs,
    api_triage,
    health,
    login,
    pages_audit,
    pages_machines,
    pages_requests,
    problems,
    showing,
    site_files,
    triage,
    webhook,
)
from runner.service.audit import Audited
from runner.service.headers import Headed
from runner.service.limits import Limited, Limits
from runner.service.lookers import Lookers
from runner.service.metrics import Counted, Metrics
from runner.service.server import Server

AROUND = (Headed, Counted, problems.Faults, Limited, Audited)
"""What every request goes through, outermost first."""
ROUTED = (
    health, api_audit, api_runs, api_read, api_requests, api_triage, webhook, login, triage, pages_machines,
    pages_requests, pages_audit, site_files,
)
"""The modules of all addresses; files last, for theirs may be any."""


def make(server: Server) -> FastAPI:
    """The ASGI application of a server that is held."""
    app = bare(server)
    showing.install(app)
    for module in ROUTED:
        app.include_router(module.router)
    return app


def bare(server: Server) -> FastAPI:
    """An application without addresses, but with all that goes around them."""
    app = FastAPI(
        title="Lockstep", version=version("lockstep"), summary="What machines measured, and what is to be compared.",
        docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json", responses=problems.RESPONSES,
        middleware=[Middleware(one) for one in AROUND], lifespan=_working,
    )
    app.state.server = server
    app.state.limits = Limits(server.settings.serve)
    app.state.lookers = Lookers(server.settings.serve.memory_limit)
    app.state.metrics = Metrics(server.database)
    app.state.turns = defaultdict(asyncio.Lock)
    problems.install(app)
    return app


@asynccontextmanager
async def _working(app: FastAPI) -> AsyncIterator[None]:
    """What works beside the handlers, from before the first request to behind the last."""
    with closing(app.state.lookers), app.state.server.site.working(), answers.working(app.state.server):
        yield
