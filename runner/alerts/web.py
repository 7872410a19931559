"""One request over HTTP, with a limit for all of it, by the standard library: proxies and certificates as on
this system.

No redirection is followed, since it would take a token to another host. Nothing that is raised holds the address or a
header: either may be secret.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from runner.alerts import limits
from runner.alerts.limits import Watch
from runner.alerts.message import Failed

LARGEST = 32 << 20
"""Bytes of an answer: a hundred issues with the longest text that GitHub takes have 26 MB."""
AGENT = "lockstep"
BUSY = (408, 425, 429)
"""What a server answers that may take the same request later."""
LONGEST = 86_400.0
"""Seconds that a server may make us wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said, whatever it was."""

    status: int
    headers: Mapping[str, str]
    """By name in small letters."""
    body: bytes

    def json(self) -> Any:
        """Raises Failed where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed(f"the server answered {self.status} with something that is no JSON") from None

    @property
    def wait(self) -> float:
        """Seconds for which the server wants no more requests; 0 where it says nothing."""
        said = self.headers.get("retry-after", "").strip()
        if said.isascii() and said.isdigit():
            return min(float(said[:9]), LONGEST)
        with contextlib.suppress(ValueError):
            return min(max(0.0, parsedate_to_datetime(said).timestamp() - time.time()), LONGEST)
        return 0.0


def request(method: str, address: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> Answer:
    """Send one request and read the whole answer. Raises Failed where there is none within `limits.LIMIT` seconds."""
    limit = limits.LIMIT
    watch = Watch(limit)
    opener = urllib.request.build_opener(_AsItIs, _Plain(watch), _Secure(watch))
    opener.addheaders = []
    why = ""
    try:
        asked = urllib.request.Request(address, data=body, method=method, headers={"User-Agent": AGENT, **headers})
        with watch, opener.open(asked, timeout=limit) as answer:
            content = answer.read(LARGEST + 1)
            torn = bool(answer.length)  # what the head promised and did not come; None where it promised nothing
            found = Answer(
                status=answer.status, body=content,
                headers={name.lower(): value for name, value in answer.headers.items()},
            )
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = _why(error)
    if watch.over:
        why = f"there was no whole answer within {limit:g} s"
    elif not why and len(content) > LARGEST:
        why = f"the answer has more than {LARGEST >> 20} MiB"
    elif not why and torn:
        why = "the connection ended before the answer did"
    if why:
        raise Failed(why)
    return found


def _why(error: BaseException) -> str:
    """What happened, in words that hold nothing of what was sent."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, socket.gaierror):
        return f"the server's name is not known: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        return f"no connection: {error.strerror}"
    if isinstance(error, (http.client.IncompleteRead, ConnectionError)):
        return "the connection ended before the answer did"
    return f"the request failed ({type(error).__name__})"


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Every answer is one: none is raised, none is followed."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        return response

    https_response = http_response


class _PlainConnection(http.client.HTTPConnection):
    def __init__(self, watch: Watch, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._watch = watch

    def connect(self) -> None:
        self._watch.hold(lambda: self.sock)
        super().connect()
        _keep(self._watch, self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, watch: Watch, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._watch = watch

    def connect(self) -> None:
        self._watch.hold(lambda: self.sock)  # while it is made: first the plain one, then that of TLS
        super().connect()
        _keep(self._watch, self.sock)


def _keep(watch: Watch, made: socket.socket) -> None:
    # The connection forgets its socket with the head of the answer; what reads the rest has it still.
    watch.hold(lambda: made)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(partial(_PlainConnection, self._watch), req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(partial(_SecureConnection, self._watch), req, context=ssl.create_default_context())
