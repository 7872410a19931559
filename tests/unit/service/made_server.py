"""A server in this process, and whoever asks it: no network, and nothing that works beside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from samples import Quiet

from runner import config, jobs
from runner.history import runs as history
from runner.jobs.watched import Serve
from runner.service import app, server, settings, tokens
from runner.service.server import Server

NOW = 1_800_000_000.0
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass(kw_only=True)
class Client:
    """Somebody who asks, and keeps cookies."""

    app: FastAPI
    token: str = ""
    base: str = "http://testserver"
    cookies: Any = None

    def __call__(self, method: str, place: str, **options: Any) -> httpx.Response:
        """The answer; no redirection is followed."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base, cookies=self.cookies) as client:
                answer = await client.request(method, place, **{**options, "headers": {
                    **headers, **options.get("headers", {})}})
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())

    def get(self, place: str, **options: Any) -> httpx.Response:
        return self("GET", place, **options)

    def post(self, place: str, **options: Any) -> httpx.Response:
        return self("POST", place, **options)


@dataclass(kw_only=True)
class Here:
    """A server with its folder."""

    server: Server
    app: FastAPI
    data: Path

    def token(self, name: str = "ada", *scopes: str, **more: Any) -> str:
        """The text of a new token."""
        return tokens.create(self.server.database, name, scopes or ("read",), more.pop("now", NOW), **more)[1]

    def reader(self) -> Client:
        """Somebody who may read."""
        return Client(app=self.app, token=self.token())

    def index(self) -> history.History:
        """Bring the index up to date, as publishing does."""
        runs = self.data / "runs"
        return history.read(runs, config.index_file(runs))

    def publish(self) -> jobs.Published:
        """Make the site, as the process does that a server starts."""
        return jobs.publish(jobs.PublishRequest(
            out=self.data / "site", runs=self.data / "runs", state=self.data, served=True), Quiet())


@contextmanager
def serving(data: Path, clock: Callable[[], float] = lambda: NOW, **serve: Any) -> Iterator[Here]:
    """A server of a folder; `serve` are keys of ``[serve]``."""
    with ExitStack() as stack:
        held = stack.enter_context(server.holding(settings.made(data, Serve(**serve)), clock))
        yield Here(server=held, app=app.make(held), data=held.settings.data)
