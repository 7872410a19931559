"""How connections are served: by uvicorn, with a patience that ends.

Uvicorn waits for as long as a client likes: for its request, and for it to read an answer. Here a connection is closed
whose request is not there after `HEAD`, or that does not read an answer for `READING`. Where there are too many, the
one that has asked nothing for longest makes room. How slowly a body may come is `limits`'.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0
"""Seconds within which the head of a request is to be there, from the connection's begin or the head's first byte."""
READING = 60.0
"""Seconds within which a client is to read what lies ready for it: at most some 64 KiB, and what the kernel holds."""
IDLE = 5
"""Seconds for which a connection is kept after an answer, for another request."""
ENDING = 10
"""Seconds for which requests that are under way are waited for at the end."""
MOST = 1000
"""Connections at one time."""
FILES = 4096
"""Files that we ask to have open at one time."""


class Patient(H11Protocol):
    """A connection that is closed where its client keeps us waiting."""

    most = MOST

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._since = 0.0
        """When it last sent anything, by the loop's clock."""
        self._head = _Deadline(self, HEAD)
        self._full = _Deadline(self, READING)
        """Nothing more is written until the client reads."""
        self._rest = _Deadline(self, READING)
        """An answer was written, and lies here still."""

    @property
    def idle(self) -> bool:
        """Whether it asks nothing at the moment."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._head.start()
        if len(self.connections) > self.most:
            idle = [one for one in self.connections if isinstance(one, Patient) and one.idle]  # this one is
            oldest = min(idle, key=lambda one: one._since)
            self.connections.discard(oldest)  # what is aborted is lost a little later
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._since = self.loop.time()
        self._rest.stop()
        super().data_received(data)
        if self.idle:
            self._head.start()
        else:
            self._head.stop()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._rest.start()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._full.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._full.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        for deadline in (self._head, self._full, self._rest):
            deadline.stop()
        super().connection_lost(exc)


class _Deadline:
    """After so many seconds from its start a connection is broken off, unless it was stopped before."""

    def __init__(self, connection: Patient, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Does nothing where it runs already."""
        if self._timer is None:
            self._timer = self._connection.loop.call_later(self._seconds, self._connection.transport.abort)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Serving(uvicorn.Server):
    """A server that says when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()


def server(app: Any, proxies: Sequence[str], ready: Callable[[], None] = lambda: None) -> Serving:
    """A server of an ASGI application; it is still to be run, with sockets that listen.

    `proxies` are believed when they say for whom they ask, and whether by https. `ready` is called when it serves.
    """
    most = min(MOST, _files() // 2)
    return Serving(uvicorn.Config(
        app, http=type("Patient", (Patient,), {"most": most}), ws="none", loop="asyncio", lifespan="on",
        log_level="warning", access_log=False, server_header=False, timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=ENDING, proxy_headers=True, forwarded_allow_ips=list(proxies),
    ), ready)


def serve(app: Any, listening: socket.socket, proxies: Sequence[str], ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, and answer what is under way then. Raises KeyboardInterrupt where a signal comes
    before `ready` was called."""
    one = server(app, proxies, ready)
    try:
        one.run(sockets=[listening])
    except KeyboardInterrupt:
        if not one.started:
            raise
        # The signal that has ended it: uvicorn passes it on when all is done.


def _files() -> int:
    """How many files this process may have open, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= FILES:
        return FILES
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
