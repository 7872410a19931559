"""The application: what each address does is in a module of its own, with a `router`."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from runner.service import api_health, api_runs, problems
from runner.service.server import Server


def make(server: Server) -> FastAPI:
    """The ASGI application of a server that is held."""
    app = FastAPI(
        title="Lockstep", version=version("lockstep"), summary="What machines measured, and what is to be compared.",
        docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json",
    )
    app.state.server = server
    problems.install(app)
    for module in (api_health, api_runs):
        app.include_router(module.router)
    return app
