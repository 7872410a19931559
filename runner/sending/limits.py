"""A limit for a whole conversation with a server: one that sends a byte now and then never reaches a socket's own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

LIMIT = 20.0
"""Seconds that a conversation may take."""


class Watch:
    """Within, a conversation: its socket is shut down when the time is over, so that whoever waits for it goes on.

    A name look-up before it takes as long as the system lets it.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        """Whether the time was over before the conversation was."""
        self._socket: Callable[[], socket.socket | None] = lambda: None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Watch:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()

    def hold(self, find: Callable[[], socket.socket | None]) -> None:
        """`find` gives the socket as it is when the time is over; None: there is none. Raises TimeoutError if it is."""
        self._socket = find
        if self.over:
            raise TimeoutError

    def _end(self) -> None:
        self.over = True
        held = self._socket()
        if held is not None:
            with contextlib.suppress(OSError):
                # The socket's own: TLS would first say goodbye, and wait.
                socket.socket.shutdown(held, socket.SHUT_RDWR)
