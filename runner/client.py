"""A client of a Lockstep server: uploads runs, reads what the server keeps, asks for comparisons, takes them on.

    client = Client("https://lockstep.example.org", token)
    print(client.upload(Path("data/runs/20261128T182707Z-e6513a")).fresh)

Each method is one request and keeps nothing: two threads may share a client. Where there is no answer in time, or one
that says no, it raises `Failed`: with `refused`, trying again at once is of no use. Where the server said why that is a
`Refused`. No word of either holds the token.

Its records have what is read of a server's answers and no more: the server may be older than this client, or newer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter, ValidationError

from runner.sending import Failed, secrets, web
from runner.storage import parcel

SLOWEST = 256 << 10
"""Bytes that are sent in a second at least: what takes longer has failed."""
PAGE = 200
"""Rows that are asked for at once."""
LEASE = 120.0
"""Seconds for which a server gives a machine a request, from when the machine was heard of last."""
LONGEST = 1000
"""Characters of what a server says that are repeated."""
T = TypeVar("T")


class Refused(Failed):
    """The server said no, and why (RFC 9457)."""

    def __init__(self, why: str, *, status: int, slug: str, wait: float, refused: bool) -> None:
        super().__init__(why, wait=wait, refused=refused)
        self.status = status
        """Of HTTP."""
        self.slug = slug
        """Names the kind of problem, for programs; empty where the server named none."""

    @property
    def closed(self) -> bool:
        """Whether it is the token: then nothing of the kind would be done in its name."""
        return self.status == 401 or self.slug in ("scope", "no-machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A run that the server has."""

    id: str
    digest: str
    """Of its contents, as the server has them now."""
    fresh: bool
    """Whether the server has more of it than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What one arm of a run was."""

    spec: str
    version: str
    identity: str
    """Tells builds apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that the server has, without its benchmarks."""

    id: str
    created: float
    """Seconds since the epoch."""
    watch: str
    """This and the next two are empty where a person asked for it."""
    configuration: str
    purpose: str
    suite: str
    machine: str
    """Fingerprint."""
    base: Build
    head: Build
    scope: str
    margin: float
    """As a fraction."""
    complete: bool
    counts: Mapping[str, int]
    """Benchmarks by verdict, or ``not reached``."""
    page: str
    """Where people see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run in a history. Ratios are against the segment's anchor; None where there is none."""

    run: str
    created: float
    commit: str
    position: int | None
    """Number on the line of first parents."""
    verdict: str
    ratio: float | None
    low: float | None
    high: float | None
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a benchmark's history on one machine, under one kernel and compiler."""

    watch: str
    configuration: str
    suite: str
    benchmark: str
    machine: str
    anchor: str
    opened: str
    """Why it is a segment of its own; empty for the first one."""
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A comparison that somebody asks for. What it may name is the server's to say."""

    base: str
    """The build to compare with: ``cpython@3.13.5``, or ``git:URL@REF`` of a repository that the server lists."""
    head: str
    suite: str = "bytesio"
    """As ``--suite``."""
    select: str = ""
    """Parts of benchmarks' names, with ``|`` between them; empty: all benchmarks."""
    margin: str = "1%"
    budget: str = "10m"
    """Of measuring, building not included."""
    machine: str = ""
    """Name of the one machine that may measure it; empty: any."""
    priority: int = 0
    """Among the requests of one person, the larger goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Wanted):
    """A comparison that was asked for, as the server has it. Times are in seconds since the epoch."""

    id: str
    state: str
    """``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``."""
    page: str
    """Where people see it: an address, or a path where the server does not know its own."""
    created: float = 0.0
    finished: float | None = None
    """None: it is not over."""
    person: str = ""
    """Who has asked."""
    measuring: str = ""
    """The machine that has it, or had it last; empty: none had it yet."""
    note: str = ""
    """What that machine is doing, in its words."""
    problem: str = ""
    """Why it failed."""
    runs: tuple[str, ...] = ()
    """Ids of the runs that answer it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request that is this machine's until the lease ends."""

    lease: str
    expires: float
    """Seconds since the epoch, by the server's clock: `Client.heartbeat` puts it off."""
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heart-beat is told."""

    expires: float
    """As of a `Claim`."""
    cancelled: bool
    """Nobody waits for it any more, or another machine has it: stop."""


class Client:
    """A server, and who asks."""

    def __init__(self, address: str, token: str) -> None:
        """`address` is where the server's pages are; `token` as ``lockstep token create`` shows it, empty where reading
        needs none. Raises ValueError for an address that is none, or would send the token in the open."""
        self.address = web.address(address).rstrip("/")
        self._token = token

    def upload(self, folder: Path) -> Uploaded:
        """Send a run folder. The same contents sent again, after an answer that got lost, are one run.

        Raises UsageError for a folder that is no run, and Failed.
        """
        try:
            with tempfile.TemporaryFile(prefix="lockstep-parcel-") as file:
                packed = parcel.pack(folder, file)
                file.seek(0)
                body = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                answer = self._ask("POST", "runs", body=file, more=packed.size / SLOWEST, headers={
                    "Content-Type": parcel.MEDIA, "Content-Length": str(packed.size),
                    "Idempotency-Key": f'"{packed.digest}"',
                    "Content-Digest": f"sha-256=:{base64.b64encode(body).decode()}:",
                })
        except OSError as error:
            raise Failed(f"{folder} cannot be packed: {error.strerror or error}") from error
        return self._read(Uploaded, answer)

    def rows(self, what: str, **which: str | float | None) -> Iterator[Mapping[str, Any]]:
        """All that the server has of ``machines``, ``benchmarks`` or ``events``, page by page, in its order.
        `which` are filters; they, and the fields, are in its OpenAPI document. Raises Failed, also in mid-way."""
        after = ""
        while True:
            found = self._read(dict, self._call("GET", what, query={**which, "limit": PAGE, "after": after or None}))
            rows = found.get(what)
            if not isinstance(rows, list):
                raise self._other(f"no list of {what}")
            yield from rows
            if not (after := str(found.get("next") or "")):
                return

    def runs(self, **which: str | float | None) -> Iterator[Run]:
        """The runs that the server has, newest first; see `rows`."""
        return (self._as(Run, row) for row in self.rows("runs", **which))

    def series(self, benchmark: str, **which: str | float | None) -> Iterator[Segment]:
        """The histories of a benchmark, by its key; see `rows`."""
        return (self._as(Segment, row) for row in self.rows("series", benchmark=benchmark, **which))

    def request(self, wanted: Wanted, key: str = "") -> Request:
        """Ask for a comparison; with a `key`, asking again is asking once. Raises Failed: `Refused` says what the
        server does not allow."""
        headers = {"Idempotency-Key": key} if key else None
        return self._read(Request, self._call("POST", "requests", content=asdict(wanted), headers=headers))

    def requests(self, state: str | None = None) -> Iterator[Request]:
        """The requests in a state, or all, newest first; see `rows`."""
        return (self._as(Request, row) for row in self.rows("requests", state=state))

    def look(self, id: str) -> Request:
        """A request as it is now. Raises Failed."""
        return self._read(Request, self._call("GET", f"requests/{quote(id, safe='')}"))

    def cancel(self, id: str) -> Request:
        """Take a request back; a machine that is at it stops. Raises Failed."""
        return self._read(Request, self._call("DELETE", f"requests/{quote(id, safe='')}"))

    def claim(self, facts: Mapping[str, str | int | float | bool | None]) -> Claim | None:
        """Take the request that is next for a machine; None: there is none. What the machine had is given up. `facts`
        are the machine's (`machine.describe`). Raises Failed."""
        answer = self._call("POST", "claims", content={"facts": dict(facts)})
        return None if answer.status == 204 else self._read(Claim, answer)

    def heartbeat(self, lease: str, note: str = "") -> Beat:
        """Say that a request is still worked on, and how far it is. Raises Failed."""
        return self._read(Beat, self._call("POST", f"claims/{quote(lease, safe='')}/heartbeat", content={"note": note}))

    def end(
        self, lease: str, state: Literal["done", "failed", "returned"], *, runs: Sequence[str] = (), problem: str = ""
    ) -> Request:
        """Say what came of a request: ``done``, with ids of runs that were uploaded; ``failed``, and why; ``returned``,
        for another machine to take. Said twice is said once. Raises Failed."""
        return self._read(Request, self._call(
            "POST", f"claims/{quote(lease, safe='')}/end",
            content={"state": state, "runs": list(runs), "problem": problem}))

    def _call(
        self, method: str, path: str, *, query: Mapping[str, str | float | None] | None = None,
        content: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None,
    ) -> web.Answer:
        asked = urlencode({name: value for name, value in (query or {}).items() if value is not None})
        path = f"{path}?{asked}" if asked else path
        if content is None:
            return self._ask(method, path, headers=headers or {})
        body = json.dumps(content, allow_nan=False).encode()
        return self._ask(method, path, headers={"Content-Type": "application/json", **(headers or {})}, body=body)

    def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | IO[bytes] | None = None,
        more: float = 0.0,
    ) -> web.Answer:
        """Send a request, and return its answer if that is a success; `body` and `more` as in `web.request`."""
        given = {"Accept": "application/json", **headers}
        if self._token:
            given["Authorization"] = f"Bearer {self._token}"
        answer = web.request(method, f"{self.address}/api/v1/{path}", body=body, headers=given, more=more)
        if 200 <= answer.status < 300:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: web.Answer) -> Refused:
        """What a server says that does not do what it was asked."""
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        said = said if isinstance(said, dict) else {}
        words = " ".join(str(said[name]) for name in ("title", "detail") if said.get(name))
        if 300 <= answer.status < 400:
            words = "the address is another one now; name that"
        told = secrets.without(words, [self._token])[:LONGEST]
        return Refused(
            f"the server answered {answer.status}{f': {told}' if told else ''}", status=answer.status,
            slug=str(said.get("type", "")).rpartition("/problems/")[2][:100], wait=answer.wait,
            refused=answer.status < 500 and answer.status not in web.BUSY)

    def _read(self, kind: type[T], answer: web.Answer) -> T:
        return self._as(kind, answer.json())

    def _as(self, kind: type[T], said: Any) -> T:
        try:
            found: T = _adapters[kind].validate_python(said)
        except ValidationError as error:
            raise self._other(str(error.errors(include_input=False)[0]["msg"])) from None
        return found

    def _other(self, why: str) -> Failed:
        return Failed(f"the server answers something that a Lockstep server does not ({why}); is {self.address} one, "
                      "and of this version?", refused=True)


_adapters: Mapping[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (Uploaded, Run, Segment, Request, Claim, Beat, dict)
}
