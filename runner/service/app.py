"""The application: what each address does is in a module of its own, with a `router`."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware

from runner.service import api_audit, api_runs, health, problems
from runner.service.audit import Audited
from runner.service.headers import Headed
from runner.service.limits import Limited, Limits
from runner.service.metrics import Counted, Metrics
from runner.service.server import Server

AROUND = (Headed, Counted, problems.Faults, Limited, Audited)
"""What every request goes through, outermost first."""


def make(server: Server) -> FastAPI:
    """The ASGI application of a server that is held."""
    app = bare(server)
    for module in (health, api_audit, api_runs):
        app.include_router(module.router)
    return app


def bare(server: Server) -> FastAPI:
    """An application without addresses, but with all that goes around them."""
    app = FastAPI(
        title="Lockstep", version=version("lockstep"), summary="What machines measured, and what is to be compared.",
        docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json", responses=problems.RESPONSES,
        middleware=[Middleware(one) for one in AROUND],
    )
    app.state.server = server
    app.state.limits = Limits(server.settings.serve)
    app.state.metrics = Metrics(server.database)
    problems.install(app)
    return app
