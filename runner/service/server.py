"""What all handlers of a server share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from runner.errors import MachineError
from runner.owned import attempt
from runner.service import database, tokens
from runner.service.database import Database
from runner.service.settings import Settings
from runner.service.site import Site
from runner.storage import index


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that holds its data."""

    settings: Settings
    database: Database
    verify: tokens.Verifier
    site: Site
    """The pages, and what they are made of: whoever changes that says so, by `Site.changed`."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""


@contextmanager
def holding(settings: Settings, clock: Callable[[], float] = time.time) -> Iterator[Server]:
    """Open what a server has. Raises MachineError where another one has the folder, or it cannot be used."""
    with ExitStack() as stack:
        try:
            settings.runs.mkdir(parents=True, exist_ok=True)
            settings.own.mkdir(mode=0o700, exist_ok=True)  # it has what lets people in, if only as hashes
            settings.incoming.mkdir(exist_ok=True)
            free = stack.enter_context(attempt(settings.own))
        except OSError as error:
            raise MachineError(f"cannot use {settings.data}: {error.strerror}: {error.filename}.") from error
        if not free:
            raise MachineError(f"another server has {settings.data}. End it, or give this one another --data.")
        opened = database.opened(settings.database)
        stack.callback(opened.close)
        stack.enter_context(opened.held())
        stack.enter_context(index.keeping(settings.index))
        yield Server(
            settings=settings, database=opened, verify=tokens.Verifier(opened, clock), site=Site(settings), clock=clock)


def of(request: HTTPConnection) -> Server:
    """The server that a request came to."""
    found = request.app.state.server
    assert isinstance(found, Server)
    return found
