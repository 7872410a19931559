"""Servers for channels, on this machine: GitHub's REST API as far as it is used, one that takes JSON, one that takes
runs, one that takes mail. Each behaves badly when it is told to, once for each fault that it is given."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from runner.storage import parcel

TOKEN = "ghp_plantedSecret0123456789"
PATIENCE = 30.0
"""Seconds after which a server that hangs gives up: longer than any client here waits."""

Fault = tuple[str, Any]
"""``status`` and (number, headers); ``drop``, ``hang``, ``drip``, ``tear``: before anything happens. ``lost``: what was
asked for is done, and the connection ends without an answer; ``then``: it is done, and a function is called first.
``hang`` and ``drip`` may have a function too, which is called when the request has come. ``early`` and a number: an
answer before anything of the body was read, and the end of the connection."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Web(ThreadingHTTPServer):
    """Takes whatever is posted, and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.faults: deque[Fault] = deque()
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        """Do what is asked: status, headers and content of the answer."""
        return 200, {}, {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away is what is tested here


class _Handler(BaseHTTPRequestHandler):
    server: Web
    timeout = PATIENCE

    def _all(self) -> None:
        with self.server.lock:
            kind, what = self.server.faults.popleft() if self.server.faults else ("", None)
        length = int(self.headers.get("Content-Length", 0)) if kind != "early" else 0
        asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length))
        with self.server.lock:
            self.server.asked.append(asked)
        if kind in ("hang", "drip") and what is not None:
            what()
        if kind == "drop":
            self._end()
        elif kind == "hang":
            self._hang()
        elif kind == "drip":
            self._drip()
        elif kind == "early":
            self._send(what, {}, {"title": f"planted {what}", "detail": "It was not read."})
        elif kind == "status":
            status, headers = what
            self._send(status, headers, {"message": f"planted {status}; you sent {asked.headers.get('authorization')}"})
        else:
            with self.server.lock:
                found = self.server.answer(asked)
            if kind == "then":
                what()
            if kind in ("lost", "then"):
                self._end()
            else:
                self._send(*found, torn=kind == "tear")

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _all

    def _send(self, status: int, headers: dict[str, str], content: Any, *, torn: bool = False) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + 50 * torn))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _end(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _hang(self) -> None:
        self.connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            self.connection.recv(1)  # returns when the client leaves
        self.close_connection = True

    def _drip(self) -> None:
        """An answer of which a byte comes now and then, so that no single wait is long."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


class GitHub(Web):
    """Issues, comments on commits and on pull requests of ``owner/project``."""

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.may_write = True
        self.issues: list[dict[str, Any]] = []
        self.comments: dict[str, list[dict[str, Any]]] = {}
        """By where they are listed."""
        self._last = 100

    @property
    def posts(self) -> list[dict[str, Any]]:
        return [*self.issues, *(one for those in self.comments.values() for one in those)]

    @property
    def made(self) -> int:
        """Requests that made something."""
        return sum(asked.method == "POST" for asked in self.asked)

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, {"message": "Bad credentials"}
        if not asked.headers.get("user-agent") or asked.headers.get("accept") != "application/vnd.github+json":
            return 400, {}, {"message": "no agent, or another format"}
        path, _, query = asked.path.partition("?")
        place = path.removeprefix("/repos/owner/project/")
        if place == path:
            return 404, {}, {"message": "Not Found"}
        if asked.method != "GET" and not self.may_write:
            return 403, {"X-Accepted-GitHub-Permissions": "issues=write"}, {
                "message": "Resource not accessible by integration"}
        if asked.method == "GET":
            return self._page(self._listed(place), query)
        content = json.loads(asked.body)
        if asked.method == "POST":
            return 201, {}, self._make(place, content)
        found = next((one for one in self.posts if one["place"] == place), None)
        if found is None:
            return 404, {}, {"message": "Not Found"}
        found |= content
        return 200, {}, found

    def _listed(self, place: str) -> list[dict[str, Any]]:
        return self.issues if place == "issues" else self.comments.setdefault(place, [])

    def _page(self, those: list[dict[str, Any]], query: str) -> tuple[int, dict[str, str], Any]:
        asked = dict(part.split("=") for part in query.split("&"))
        size, page = int(asked["per_page"]), int(asked["page"])
        return 200, {}, those[size * (page - 1) : size * page]

    def _make(self, place: str, content: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        made = {"id": self._last, **content}
        if place == "issues":
            made |= {"number": len(self.issues) + 1, "state": "open", "place": f"issues/{len(self.issues) + 1}"}
        else:
            kind = "comments" if re.match(r"commits/", place) else "issues/comments"
            made["place"] = f"{kind}/{self._last}"
        self._listed(place).append(made)
        return made


LST = "lst_0a1b2c3d_plantedSecretOfAMachine0123456789012345678901"


class Reception(Web):
    """A Lockstep server as far as a client uploads to it: takes parcels, and keeps each run once."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.token = LST
        self.runs = folder / "runs"
        self.runs.mkdir(parents=True)

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return self._problem(401, "token", "Nobody is let in.", f"You sent {asked.headers.get('authorization')}.")
        if (asked.method, asked.path) != ("POST", "/api/v1/runs"):
            return self._problem(404, "http", "Not Found", "")
        body = base64.b64encode(hashlib.sha256(asked.body).digest()).decode()
        key = asked.headers.get("idempotency-key", "")
        if asked.headers.get("content-digest") != f"sha-256=:{body}:" or asked.headers["content-type"] != parcel.MEDIA:
            return self._problem(400, "digest", "This is not what was sent.", "")
        with tempfile.TemporaryDirectory(dir=self.runs.parent) as beside:
            try:
                place = parcel.unpack(io.BytesIO(asked.body), Path(beside)).folder
            except parcel.ParcelError as error:
                return self._problem(422, error.reason, "This is no parcel.", str(error))
            contents, known = parcel.contents(place), self.runs / place.name
            said = {"id": place.name, "digest": contents.digest}
            if key != f'"{contents.digest}"':
                return self._problem(400, "key", "The key is another one.", "")
            if known.is_dir():
                before = parcel.contents(known)
                if before.digest == contents.digest:
                    return 200, {}, {**said, "fresh": False}
                if not all(parcel.starts_as(place, name, part) for name, part in before.parts.items()):
                    return self._problem(409, "other", "This run is here, and is another.", "Its blocks differ.")
                shutil.rmtree(known)
            place.rename(known)
        return 201, {}, {**said, "fresh": True}

    def _problem(self, status: int, slug: str, title: str, detail: str) -> tuple[int, dict[str, str], Any]:
        return status, {"Content-Type": "application/problem+json"}, {
            "type": f"/problems/{slug}", "title": title, "status": status, "detail": detail}


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that a server took."""

    sender: str
    to: tuple[str, ...]
    text: str


@dataclass(slots=True)
class Post:
    """What the mail server has, and how it is to behave."""

    taken: list[Taken] = field(default_factory=list)
    faults: deque[str] = field(default_factory=deque)
    """Of a conversation each: ``hang``, ``drop``, ``drip``; ``451``, ``550``: the answer to the mail; ``lost``: it
    takes the mail, and the connection ends without an answer."""
    nobody: tuple[str, ...] = ()
    """Whom it does not know."""
    password: str = ""
    """Without it nobody logs in; empty: nobody can."""
    tls: Any = None
    """An `ssl.SSLContext` for STARTTLS; None: it lacks that."""


class _Mail(socketserver.StreamRequestHandler):
    timeout = PATIENCE
    server: Any
    _to: list[str]
    _sender = ""

    def handle(self) -> None:
        post: Post = self.server.post
        fault = post.faults.popleft() if post.faults else ""
        if fault == "hang":
            self.rfile.read(1)
            return
        if fault == "drip":
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                self._say("220-wait")
                time.sleep(0.05)
            return
        if fault == "drop":
            return
        self._to = []
        self._say("220 ready")
        while line := self.rfile.readline():
            if not self._answer(line.decode().strip(), fault, post):
                return

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # what was wrapped is another socket than the one that the server closes

    def _answer(self, line: str, fault: str, post: Post) -> bool:
        word = line.split(" ")[0].upper()
        if word == "EHLO":
            extensions = [*(["STARTTLS"] if post.tls else []), *(["AUTH PLAIN"] if post.password else []), "8BITMIME"]
            self._say("\r\n".join(["250-here", *(f"250-{one}" for one in extensions[:-1]), f"250 {extensions[-1]}"]))
        elif word == "STARTTLS":
            self._say("220 go on")
            self.connection = post.tls.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        elif word == "AUTH":
            said = base64.b64decode(line.split(" ")[2]).decode()
            self._say("235 welcome" if said == f"\0ada\0{post.password}" else f"535 you said {said!r}")
        elif word == "MAIL":
            self._sender = line
            self._say("250 ok")
        elif word == "RCPT":
            to = line[line.index("<") + 1 : line.index(">")]
            if to in post.nobody:
                self._say("550 no such user")
            else:
                self._to.append(to)
                self._say("250 ok")
        elif word == "DATA":
            self._say("354 go on")
            lines = []
            while (one := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(one)
            if fault in ("451", "550"):
                self._say(f"{fault} not now")
                return True
            post.taken.append(Taken(self._sender, tuple(self._to), b"".join(lines).decode()))
            if fault == "lost":
                return False
            self._say("250 taken")
        elif word == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 ok")
        return True

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
        self.wfile.flush()


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.post = Post()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def nobody() -> Iterator[int]:
    """A port at which nobody listens, nor comes to: it is taken, and that is all."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


S = TypeVar("S", Web, GitHub, Reception, MailServer)


@contextmanager
def serving(make: Callable[[], S]) -> Iterator[S]:
    """A server of its own thread, until the end."""
    with make() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
