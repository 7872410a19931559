"""What a browser is told with every answer: to run and load what this server has and nothing else, and to tell nobody.

Pages need no exception: they have no inline style and no inline script that is run (data in a `script` element of
another type is not). asv's own pages, below `ASV`, have both. An answer that has a policy of its own keeps it.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASV = "/asv/"
POLICY = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
    "font-src": "'self'", "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
"""Content-Security-Policy, level 3."""
OF_ASV = {**POLICY, "script-src": "'self' 'unsafe-inline'", "style-src": "'self' 'unsafe-inline'"}
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: the origin of a form would be `null` then, and tells whether it is one of ours.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
BY_DEFAULT = {"Cache-Control": "private, no-cache"}
"""Where an answer says nothing itself: nobody between keeps it, and a browser asks whether it still holds."""
HTTPS = {"Strict-Transport-Security": "max-age=31536000"}
"""Where a client has come by https, through a proxy that is believed: for a year, no other way."""


def policy(path: str) -> str:
    """The Content-Security-Policy of an address."""
    return "; ".join(f"{name} {value}" for name, value in (OF_ASV if path.startswith(ASV) else POLICY).items())


class Headed:
    """Adds the headers to every answer of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", policy(scope["path"]))
                headers.update(ALWAYS)
                for name, value in BY_DEFAULT.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.update(HTTPS)
            await send(message)

        await self._app(scope, receive, adding)
