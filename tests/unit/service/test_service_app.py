"""What every request goes through: who is let in, what is limited, what is told, what is noted and counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from asking import ask
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.responses import Response

from runner.errors import BuildError, MachineError, UsageError
from runner.jobs.watched import Serve
from runner.service import api_audit, audit, guard, headers, health, limits, server, settings, tables, tokens
from runner.service import app as application
from runner.service.guard import Caller, needs
from runner.service.limits import Limits
from runner.service.problems import Problem
from runner.service.rates import TooMany
from runner.service.server import Server


class Body(BaseModel):
    size: int


@pytest.fixture
def app(here: Server) -> FastAPI:
    """An application with a few addresses, which do what handlers do."""
    return probed(here)


def probed(here: Server) -> FastAPI:
    app = application.bare(here)
    for module in (health, api_audit):
        app.include_router(module.router)

    @app.get("/probe/read")
    def read(caller: Annotated[Caller, Depends(needs("read"))]) -> str:
        return caller.name

    @app.post("/probe/submit/{name}")
    def submit(name: str, request: Request, caller: Annotated[Caller, Depends(needs("submit"))]) -> str:
        request.state.subject = f"probe {name}"
        return caller.name

    @app.post("/probe/beat")
    def beat(caller: Annotated[Caller, Depends(needs("submit", audited=False))]) -> str:
        return caller.name

    @app.post("/probe/body")
    def body(body: Body) -> int:
        return body.size

    @app.post("/api/v1/runs")
    async def stream(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.get("/probe/fails/{how}")
    def fails(how: str) -> None:
        raise {
            "usage": UsageError("say it otherwise"), "machine": MachineError("/srv: disk full"),
            "build": BuildError("no compiler"), "fault": ZeroDivisionError("secret"),
            "problem": Problem(418, "tea", "No."),
        }[how]

    @app.get("/probe/torn")
    def torn() -> StreamingResponse:
        def pieces() -> Any:
            yield b"begun"
            raise ZeroDivisionError

        return StreamingResponse(pieces())

    @app.get("/probe/own")
    def own() -> Response:
        return Response("x", headers={"Content-Security-Policy": "sandbox", "Cache-Control": "public, max-age=60"})

    @app.get("/asv/index.html")
    def asv() -> Response:
        return Response("x")

    return app


def token(here: Server, *scopes: str, name: str = "ada") -> str:
    return tokens.create(here.database, name, scopes, here.clock())[1]


def problem(answer: Any) -> tuple[int, str]:
    """Status and slug of what is a problem in every respect."""
    content = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert content["status"] == answer.status_code and content["title"]
    return answer.status_code, content["type"].removeprefix("/problems/")


def test_nobody_is_let_in_without_a_token(app: FastAPI, here: Server) -> None:
    for path in ("/probe/read", "/metrics", "/api/v1/audit"):
        for said in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}):
            answer = ask(app, "GET", path, headers=said)
            assert problem(answer) == (401, "token") and answer.headers["www-authenticate"] == "Bearer"
    assert ask(app, "GET", "/probe/read", token=token(here, "read")).json() == "ada"
    assert ask(app, "GET", "/healthz").json() == {"status": "ok", "database": "sqlite"}


def test_a_scope_is_needed(app: FastAPI, here: Server) -> None:
    assert problem(ask(app, "POST", "/probe/submit/a", token=token(here, "request"))) == (403, "scope")
    assert problem(ask(app, "GET", "/api/v1/audit", token=token(here, "submit", "request", "triage"))) == (403, "scope")
    assert ask(app, "POST", "/probe/submit/a", token=token(here, "submit")).status_code == 200
    assert ask(app, "POST", "/probe/submit/a", token=token(here, "admin")).status_code == 200, "an admin may all"


def test_what_is_public_is_read_without_a_token_and_not_written(tmp_path: Path) -> None:
    with server.holding(settings.made(tmp_path / "public", Serve(public=True))) as here:
        app = probed(here)
        assert ask(app, "GET", "/probe/read").json() == ""
        assert ask(app, "GET", "/metrics").status_code == 200
        assert problem(ask(app, "POST", "/probe/submit/a")) == (401, "token")
        assert problem(ask(app, "GET", "/api/v1/audit")) == (401, "token")
        assert problem(ask(app, "GET", "/probe/read", token="lst_nonsense")) == (401, "token"), "a wrong one is told"


@pytest.mark.parametrize(("how", "status", "slug"), [
    ("usage", 400, "refused"), ("machine", 503, "unavailable"), ("build", 503, "unavailable"), ("fault", 500, "fault"),
    ("problem", 418, "tea"),
])
def test_what_fails_is_a_problem_and_tells_no_secret(app: FastAPI, how: str, status: int, slug: str) -> None:
    answer = ask(app, "GET", f"/probe/fails/{how}")
    assert problem(answer) == (status, slug)
    assert "secret" not in answer.text and "/srv" not in answer.text
    assert ("say it otherwise" in answer.text) == (how == "usage")
    assert "content-security-policy" in answer.headers


def test_what_the_framework_refuses_is_a_problem_too(app: FastAPI) -> None:
    assert problem(ask(app, "GET", "/nowhere")) == (404, "about:blank")
    assert problem(ask(app, "PUT", "/healthz")) == (405, "about:blank")
    sent = {"Content-Type": "application/json"}
    for content in (b"{", b"[]", b'{"size": "x"}', b'{"size": 1e999}', b"[" * 100_000, b"1" * 5000, b"\xff",
                    b'"\\ud800"', b'{"\\ud800": 1}', b'{"size": "\\ud800"}', b'{"size": NaN}'):
        answer = ask(app, "POST", "/probe/body", content=content, headers=sent)
        assert problem(answer) in ((422, "invalid"), (400, "about:blank")), content[:20]
    assert len(ask(app, "POST", "/probe/body", content=b'{"size": "%s"}' % (b"x" * 10**6), headers=sent).content) < 2000


def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(app: FastAPI) -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(_sent(app, "/probe/torn"))


async def _sent(app: FastAPI, path: str) -> list[dict[str, Any]]:
    sent = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], "root_path": "",
        "client": ("192.0.2.1", 1), "server": ("localhost", 1),
    }, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/probe/read", "/probe/fails/fault", "/api/v1/openapi.json"])
def test_every_answer_has_the_headers(app: FastAPI, path: str) -> None:
    answer = ask(app, "GET", path)
    policy = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
    assert policy == headers.POLICY and "unsafe" not in str(policy)
    assert policy["frame-ancestors"] == "'none'" and policy["default-src"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "strict-transport-security" not in answer.headers, "by http a browser must not heed it"
    by_https = ask(app, "GET", path, scheme="https")
    assert by_https.headers["strict-transport-security"] == "max-age=31536000"


def test_an_answer_keeps_what_it_says_itself(app: FastAPI) -> None:
    answer = ask(app, "GET", "/probe/own")
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert "'unsafe-inline'" in ask(app, "GET", "/asv/index.html").headers["content-security-policy"]


def test_bodies_are_limited_however_they_come(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY", 1000)
    taken: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            taken.append(1)
            yield b" " * 100

    sent = {"Content-Type": "application/json"}
    fits = b'{"size": 1}' + b" " * 989
    assert len(fits) == 1000 and ask(app, "POST", "/probe/body", content=fits, headers=sent).json() == 1
    answer = ask(app, "POST", "/probe/body", content=fits + b" ", headers=sent)
    assert problem(answer) == (413, "too-large") and answer.json()["largest"] == 1000
    assert problem(ask(app, "POST", "/probe/body", content=pieces(), headers=sent)) == (413, "too-large")
    assert len(taken) == 11, "no more is read than what is too much"
    assert ask(app, "POST", "/api/v1/runs", content=b"x" * 5000).json() == 5000, "a run has another limit"


def test_a_run_has_the_limit_of_the_configuration(tmp_path: Path) -> None:
    with server.holding(settings.made(tmp_path / "small", Serve(largest_upload="1KiB"))) as here:
        app = probed(here)
        assert ask(app, "POST", "/api/v1/runs", content=b"x" * 1024).json() == 1024
        assert problem(ask(app, "POST", "/api/v1/runs", content=b"x" * 1025)) == (413, "too-large")


def test_a_body_that_stops_or_trickles_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SILENCE", 0.05)

    async def stops() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def trickles() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    for body in (stops, trickles):
        for path in ("/probe/body", "/api/v1/runs"):
            answer = ask(app, "POST", path, content=body(), headers={"Content-Type": "application/json"})
            assert problem(answer) == (408, "slow") and answer.headers["connection"] == "close"


def test_who_asks_too_often_waits_by_token_and_by_address(app: FastAPI, here: Server, clock: Any) -> None:
    app.state.limits = Limits(Serve(rate=1), clock)
    one, other = token(here, "read"), token(here, "read")
    answers = [ask(app, "GET", "/probe/read", token=one).status_code for _ in range(limits.BURST + 1)]
    assert answers == [200] * limits.BURST + [429]
    clock.now += 0.5
    late = ask(app, "GET", "/probe/read", token=one)
    assert problem(late) == (429, "rate") and late.headers["retry-after"] == "1"
    clock.now += 0.5
    assert ask(app, "GET", "/probe/read", token=one).status_code == 200
    assert ask(app, "GET", "/probe/read", token=other).status_code == 200
    answers = [ask(app, "GET", "/healthz", address="198.51.100.7").status_code for _ in range(41)]
    assert answers == [200] * limits.SHARED * limits.BURST + [429]
    assert ask(app, "GET", "/healthz", address="198.51.100.8").status_code == 200
    answers = [ask(app, "GET", "/healthz", address=f"2001:db8::{number:x}").status_code for number in range(41)]
    assert answers[-1] == 429, "addresses of one network are one"
    answers = [ask(app, "GET", "/healthz", address=f"::ffff:198.51.100.{last}").status_code for last in range(9, 50)]
    assert answers == [200] * 41, "those of IPv4 are not, however they are written"


@pytest.mark.parametrize(("came", "counted"), [
    ("::ffff:198.51.100.7", "198.51.100.7"), ("fe80::1%eth0", "fe80::1"), ("2001:DB8::1", "2001:db8::1"),
    ("198.51.100.7", "198.51.100.7"), ("unix:", ""), ("", ""),
])
def test_an_address_is_written_in_one_way(came: str, counted: str) -> None:
    assert guard.address_of({"client": (came, 1)}) == counted
    assert guard.address_of({"client": None}) == ""


@pytest.mark.parametrize("host", ["[", "evil.example", "evil.example:x", "a b", "", "//", "[::1"])
def test_whatever_host_is_named_it_is_not_believed(app: FastAPI, host: str) -> None:
    for path in ("/nowhere", "/probe/read", "/probe/fails/machine", "/api/v1/audit"):
        answer = ask(app, "GET", path, headers={"Host": host})
        assert answer.status_code in (401, 404, 503) and "evil" not in f"{answer.text}{answer.headers}"


def test_an_address_has_so_many_requests_at_once(here: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AT_ONCE", 2)
    one = Limits(Serve())
    with one.asking("192.0.2.1"), one.asking("192.0.2.1"):
        with pytest.raises(TooMany), one.asking("192.0.2.1"):
            pass
        with one.asking("192.0.2.2"):
            pass
    with one.asking("192.0.2.1"):
        pass


def test_writes_and_refusals_are_noted(app: FastAPI, here: Server) -> None:
    of_ada, of_bench = token(here, "read"), token(here, "submit", name="bench1")
    before = len(audit.newest(here.database))
    ask(app, "POST", "/probe/submit/%00%E2%80%AEx", token=of_bench, address="2001:db8::1")
    ask(app, "POST", "/probe/submit/b", token=of_ada)
    ask(app, "GET", "/api/v1/audit", token=of_ada)
    for quiet in (("GET", "/probe/read", of_ada), ("POST", "/probe/beat", of_bench), ("POST", "/probe/submit/c", "")):
        ask(app, quiet[0], quiet[1], token=quiet[2])
    noted = [one.entry for one in audit.newest(here.database)][:-before]
    assert [(one.name, one.action, one.subject, one.outcome) for one in reversed(noted)] == [
        ("bench1", "POST /probe/submit/{name}", "probe \ufffd\ufffdx", "200"),
        ("ada", "POST /probe/submit/{name}", "/probe/submit/b", "403"),
        ("ada", "GET /api/v1/audit", "/api/v1/audit", "403"),
    ]
    assert noted[-1].address == "2001:db8::1" and noted[-1].time == here.clock()


def test_the_log_is_read_page_by_page(app: FastAPI, here: Server, clock: Any) -> None:
    admin = token(here, "admin")
    for number in range(5):
        ask(app, "POST", f"/probe/submit/{number}", token=admin)
    seen, before = [], None
    while True:
        page = ask(app, "GET", f"/api/v1/audit?limit=2{f'&before={before}' if before else ''}", token=admin).json()
        seen += [one["entry"]["subject"] for one in page["entries"]]
        before = page["before"]
        if before is None:
            break
    assert seen[:5] == [f"probe {number}" for number in (4, 3, 2, 1, 0)] and len(seen) == 6
    clock.now += audit.KEPT + 1
    audit.forget(here.database, clock())
    assert audit.newest(here.database) == ()


def test_a_write_that_cannot_be_noted_is_not_said_to_be_done(app: FastAPI, here: Server) -> None:
    text = token(here, "submit")
    with here.database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE audit RENAME TO gone"))
    assert ask(app, "POST", "/probe/submit/a", token=text).status_code >= 500


def test_what_is_counted_has_no_label_of_the_client(app: FastAPI, here: Server) -> None:
    text = token(here, "read", "submit")
    with here.database.writing() as connection:
        row = {column.name: "" for column in tables.requests.columns if isinstance(column.type, sa.Text)}
        row |= {"id": "r1", "key": None, "state": "waiting", "created": 0.0, "margin": 0.01, "budget": 60.0,
                "priority": 0}
        connection.execute(sa.insert(tables.requests), row)
    for method, path in (("GET", "/probe/read"), ("POST", "/probe/submit/hunter2"), ("GET", "/nowhere/hunter2"),
                         ("HUNTER2", "/probe/read"), ("GET", "/probe/fails/fault")):
        ask(app, method, path, token=text, headers={"User-Agent": "hunter2", "X-Hunter2": "hunter2"})
    answer = ask(app, "GET", "/metrics?hunter2=1", token=text)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'lockstep_requests_total{method="POST",route="/probe/submit/{name}",status="200"} 1.0' in lines
    assert 'lockstep_requests_total{method="GET",route="/probe/fails/{how}",status="500"} 1.0' in lines
    assert any(line.startswith('lockstep_requests_total{method="GET",route="other",status="404"}') for line in lines)
    assert 'lockstep_comparisons{state="waiting"} 1.0' in lines
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)
    said = answer.text.lower()
    assert "hunter2" not in said and text.lower() not in said and "lst_" not in said and "ada" not in said.split('"')


def test_openapi_says_what_may_be_answered(app: FastAPI) -> None:
    document = ask(app, "GET", "/api/v1/openapi.json").json()
    assert json.dumps(document)
    for path, operations in document["paths"].items():
        if not path.startswith("/probe"):
            for operation in operations.values():
                assert "application/problem+json" in operation["responses"]["4XX"]["content"], path
