"""One request over HTTP, with a limit for all of it, by the standard library: certificates as on this system, and
proxies too, but for what is on this machine.

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
from typing import IO, Any
from urllib.parse import urlsplit

from runner.sending import Failed, limits
from runner.sending.limits import Watch

LARGEST = 32 << 20
"""Bytes of an answer: a hundred issues with the longest text that GitHub takes have 26 MB."""
AGENT = "lockstep"
BLOCK = 1 << 16
"""Bytes of a file that are sent at once."""
BUSY = (408, 425, 429)
"""What a server answers that may take the same request later."""
LONGEST = 86_400.0
"""Seconds that a server may make us wait."""
HERE = ("localhost", "127.0.0.1", "::1")
"""Hosts to which a secret may go without encryption: it leaves no machine."""


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


def address(text: str) -> str:
    """The same, if it is one that may be sent to. Raises ValueError, which does not repeat it: it may be secret."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("that is no address; it looks like https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not host or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("that is no address; it looks like https://HOST/PATH")
    if parts.scheme == "http" and host not in HERE:
        raise ValueError("http sends everything in the open; use https")
    if parts.username or parts.password or parts.fragment:
        raise ValueError("no user, password or fragment belongs into it: secrets stand in variables")
    return text


def request(
    method: str, address: str, *, body: bytes | IO[bytes] | None = None, headers: Mapping[str, str], more: float = 0.0
) -> Answer:
    """Send one request and read the whole answer. A file as `body` is sent from where it stands, and its length must be
    among `headers`. Raises Failed where there is no answer within `limits.LIMIT` + `more` seconds."""
    limit = limits.LIMIT + more
    watch = Watch(limit)
    why = ""
    try:
        # What may go unencrypted to this machine must not go to a proxy elsewhere.
        proxies = urllib.request.ProxyHandler({} if urlsplit(address).hostname in HERE else None)
        opener = urllib.request.build_opener(proxies, _AsItIs, _Plain(watch), _Secure(watch))
        opener.addheaders = []
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


class _Connection(http.client.HTTPConnection):
    def __init__(self, watch: Watch, host: str, **options: Any) -> None:
        super().__init__(host, blocksize=BLOCK, **options)
        self._watch, self._left = watch, False

    def connect(self) -> None:
        self._watch.hold(lambda: self.sock)  # while it is made: of two, first the plain one, then that of TLS
        super().connect()
        made = self.sock
        # The connection forgets its socket with the head of the answer; what reads the rest has it still.
        self._watch.hold(lambda: made)

    def send(self, data: Any) -> None:
        """A server may answer and leave before it has read all: then its answer says why, and no error of ours."""
        if self.sock is None:
            self.connect()
        if not self._left:
            try:
                super().send(data)
            except (BrokenPipeError, ConnectionResetError):
                self._left = True


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    pass


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(partial(_Connection, self._watch), req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(partial(_SecureConnection, self._watch), req, context=ssl.create_default_context())
