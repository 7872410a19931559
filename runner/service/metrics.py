"""What a server counts of itself, for Prometheus. Labels are addresses as the API writes them, never as they came: what
a client sends is in none of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import version

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.service import tables
from runner.service.database import Database

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNKNOWN = "other"
STEPS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
"""Seconds."""


class Metrics:
    """The counters of an application."""

    def __init__(self, database: Database) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Info("lockstep", "What is served.", registry=self._registry).info({"version": version("lockstep")})
        self._registry.register(_Queue(database))
        self._requests = Counter(
            "lockstep_requests", "Requests that were answered.", ("method", "route", "status"), registry=self._registry)
        self._seconds = Histogram(
            "lockstep_request_seconds", "From a request's head to the end of its answer.", ("route",), buckets=STEPS,
            registry=self._registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in METHODS else UNKNOWN, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format. Raises MachineError where the database cannot be used."""
        return generate_latest(self._registry)


class _Queue(Collector):
    """Requests for comparisons, by state: asked for when they are read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        state = tables.requests.c.state
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(state, sa.func.count()).group_by(state)).all()
        family = self._family()
        for name, count in rows:
            family.add_metric([name], count)
        yield family

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily("lockstep_comparisons", "Comparisons that were asked for.", labels=["state"])


class Counted:
    """Counts each request of an application, whose state has `metrics`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.monotonic()
        try:
            await self._app(scope, receive, noting)
        finally:
            metrics: Metrics = scope["app"].state.metrics
            route = getattr(scope.get("route"), "path", "") or UNKNOWN
            metrics.count(scope["method"], route, status, time.monotonic() - begun)
