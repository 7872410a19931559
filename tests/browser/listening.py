"""A server that listens while a browser looks at it, without what works beside its handlers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from runner.service import app
from runner.service.server import Server


@contextmanager
def listening(held: Server) -> Iterator[str]:
    """Its address. The site is not made: it stays as it is."""
    engine = uvicorn.Server(uvicorn.Config(app.make(held), port=0, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        while not engine.started:
            thread.join(0.01)
            assert thread.is_alive()
        yield f"http://127.0.0.1:{engine.servers[0].sockets[0].getsockname()[1]}"
    finally:
        engine.should_exit = True
        thread.join()
