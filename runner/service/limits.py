"""What one client may take of a server: so many requests, so many at once, so large a body, and that not too slowly.

How many connections there are, and how long one may be silent before it asks for anything, is `connections`'.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.jobs.watched import Serve
from runner.service import problems
from runner.service.guard import address_of
from runner.service.problems import Problem
from runner.service.rates import Rate, TooMany

BODY = 2 << 20
"""Bytes of a body, but for forms and `LARGE`: the framework reads it into memory before it asks who has sent it."""
FORM = 64 << 10
"""Bytes of a form; none of ours has half as many. The framework takes it apart before it asks who has sent it, and
nobody is answered meanwhile."""
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
LARGE = ("POST", "/api/v1/runs")
"""What takes a run, of `Serve.largest_upload`: its handler asks first, and then reads it piece by piece."""
BURST = 10
"""Seconds' worth of requests that may come at once."""
SHARED = 4
"""An address may be many machines: so many times what one token may ask for."""
AT_ONCE = 200
"""Requests of one address."""
SILENCE = 20.0
"""Seconds to wait for the next piece of a body."""
SLOWEST = 4096
"""Bytes a second that a body must come with on the average, after `SILENCE`."""


class Limits:
    """What an application counts."""

    def __init__(self, serve: Serve, clock: Callable[[], float] = time.monotonic) -> None:
        self.serve = serve
        self.tokens = Rate(serve.rate, BURST * serve.rate, clock)
        self.addresses = Rate(SHARED * serve.rate, BURST * SHARED * serve.rate, clock)
        self._at_once: Counter[str] = Counter()

    @contextmanager
    def asking(self, address: str) -> Iterator[None]:
        """Count a request of an address for as long as it lasts. Raises TooMany."""
        # Whoever has one address of IPv6 has all that begin with the same 64 bits.
        one = str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address
        self.addresses.take(one)
        if self._at_once[one] >= AT_ONCE:
            raise TooMany(1.0)
        self._at_once[one] += 1
        try:
            yield
        finally:
            self._at_once[one] -= 1
            if not self._at_once[one]:
                del self._at_once[one]


class Limited:
    """Keeps each request of an application, whose state has `limits`, within them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits: Limits = scope["app"].state.limits
        headers = Headers(scope=scope)
        most = limits.serve.largest_upload if (scope["method"], scope["path"]) == LARGE else _most(headers)
        try:
            with limits.asking(address_of(scope)):
                said = headers.get("content-length", "")
                if said.isascii() and said.isdigit() and int(said[:20]) > most:
                    raise _too_large(most)
                await self._app(scope, _Body(receive, most), send)
        except TooMany as error:
            await problems.too_many(error).answer()(scope, receive, send)
        except Problem as problem:
            await problem.answer()(scope, receive, send)


class _Body:
    """What a client sends. Raises Problem 413 and 408 where it is too much, or too slow.

    Only what is waited for counts: a handler may take its time.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._size, self._waited, self._whole = 0, 0.0, False

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()  # until the client leaves, however long that is
        begun = time.monotonic()
        try:
            async with asyncio.timeout(SILENCE):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow() from None
        self._waited += time.monotonic() - begun
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > self._most:
            raise _too_large(self._most)
        if not self._whole and self._waited > SILENCE and self._size < SLOWEST * self._waited:
            raise _too_slow()
        return message


def _most(headers: Headers) -> int:
    """How many bytes a body may have, by what its client says of it."""
    # Wherever it stands: the framework takes more for a form than a form's own type.
    kind = headers.get("content-type", "").lower()
    return FORM if any(form in kind for form in FORMS) else BODY


def _too_large(most: int) -> Problem:
    return Problem(413, "too-large", "This is too large.", f"At most {most} bytes are taken here.", largest=most)


def _too_slow() -> Problem:
    return Problem(
        408, "slow", "This came too slowly.",
        f"Send the next piece within {SILENCE:g} s, and {SLOWEST} bytes a second on the average.",
        headers={"Connection": "close"},
    )
