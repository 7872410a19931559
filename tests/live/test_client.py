"""The client of a server: what it asks, what it makes of answers, and of refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from bench import TIME_LIMIT
from servers import LST, Asked, Web, serving

from runner.client import Beat, Client, Refused, Request, Wanted
from runner.sending import Failed, limits

WANTED = Wanted(base="cpython@3.13.5", head="cpython@3.13.5+nocow", select="Founding", budget="5m")
REQUEST = {
    "id": "0a1b2c3d4e", "page": "/requests/0a1b2c3d4e", "created": 1.8e9, "person": "ada", "source": "api",
    "base": WANTED.base, "head": WANTED.head, "suite": "bytesio", "select": "Founding", "margin": "1%", "budget": "5m",
    "machine": "", "priority": 0, "state": "waiting", "finished": None, "problem": "", "measuring": "", "note": "",
    "runs": ["20261128T182707Z-e6513a"], "later": "a field that this version does not know",
}


class Answering(Web):
    """Says what it was told to say, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.say: list[tuple[int, Any]] = []

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        status, content = self.say.pop(0)
        return status, {"Content-Type": "application/problem+json"} if status >= 400 else {}, content


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    monkeypatch.setattr(limits, "LIMIT", TIME_LIMIT)
    with serving(Answering) as found:
        yield found


@pytest.fixture
def client(server: Answering) -> Client:
    return Client(f"{server.address}/", LST)


def sent(server: Answering) -> tuple[str, str, Any]:
    """What was asked last."""
    asked = server.asked[-1]
    assert asked.headers["authorization"] == f"Bearer {LST}"
    return asked.method, asked.path.removeprefix("/api/v1/"), json.loads(asked.body) if asked.body else None


def test_people_ask_look_and_take_back(server: Answering, client: Client) -> None:
    server.say += [(201, REQUEST), (200, {**REQUEST, "state": "running", "note": "building"}), (200, REQUEST)]
    found = client.request(WANTED, key="once")
    assert isinstance(found, Request) and (found.id, found.state, found.budget) == ("0a1b2c3d4e", "waiting", "5m")
    assert found.runs == ("20261128T182707Z-e6513a",)
    assert sent(server) == ("POST", "requests", {
        "base": "cpython@3.13.5", "head": "cpython@3.13.5+nocow", "suite": "bytesio", "select": "Founding",
        "margin": "1%", "budget": "5m", "machine": "", "priority": 0})
    assert server.asked[-1].headers["idempotency-key"] == "once"
    assert client.look("a/b").note == "building" and sent(server) == ("GET", "requests/a%2Fb", None)
    client.cancel("0a1b2c3d4e")
    assert sent(server) == ("DELETE", "requests/0a1b2c3d4e", None)


def test_a_machine_claims_says_that_it_works_and_ends(server: Answering, client: Client) -> None:
    server.say += [
        (204, b""), (200, {"lease": "f00d", "expires": 1.8e9, "request": REQUEST}),
        (200, {"expires": 1.8e9 + 60, "cancelled": True}), (200, {**REQUEST, "state": "done"}),
    ]
    assert client.claim({"cpu": "A", "cores": 2, "governor": None}) is None
    assert sent(server) == ("POST", "claims", {"facts": {"cpu": "A", "cores": 2, "governor": None}})
    claim = client.claim({})
    assert claim is not None and (claim.lease, claim.request.head) == ("f00d", WANTED.head)
    assert client.heartbeat("f00d", "block 3") == Beat(expires=1.8e9 + 60, cancelled=True)
    assert sent(server) == ("POST", "claims/f00d/heartbeat", {"note": "block 3"})
    assert client.end("f00d", "done", runs=["20261128T182707Z-e6513a"]).state == "done"
    assert sent(server) == (
        "POST", "claims/f00d/end", {"state": "done", "runs": ["20261128T182707Z-e6513a"], "problem": ""})


RUN = {
    "id": "r1", "created": 1.8e9, "watch": "", "configuration": "", "purpose": "", "suite": "bytesio", "machine": "f",
    "base": {"spec": "a", "version": "3.13.5", "identity": "i", "compiler": "gcc", "commit": None},
    "head": {"spec": "b", "version": "3.13.5", "identity": "j", "compiler": "gcc", "commit": None},
    "scope": "source", "margin": 0.01, "seconds": 9.0, "complete": True, "counts": {"same": 3}, "mean": None,
    "warnings": [], "page": "runs/r1.html",
}


def test_lists_are_read_page_by_page(server: Answering, client: Client) -> None:
    server.say += [(200, {"runs": [RUN], "next": "a b"}), (200, {"runs": [{**RUN, "id": "r2"}], "next": None})]
    found = client.runs(watch="main")
    assert server.asked == [], "nothing is asked before somebody reads"
    assert [(run.id, run.head.spec) for run in found] == [("r1", "b"), ("r2", "b")]
    assert sent(server)[1] == "runs?watch=main&limit=200&after=a+b"
    point = {"run": "r1", "created": 1.8e9, "commit": "c", "position": None, "verdict": "slower", "ratio": 1.1,
             "low": 1.0, "high": None, "blocks": 6, "log_ratio": 0.1}
    segment = {"watch": "main", "configuration": "", "suite": "s", "benchmark": "b(n=1)", "machine": "f",
               "anchor": "v1", "opened": "", "points": [point], "joined": []}
    server.say += [(200, {"series": [segment], "next": None}), (200, {"requests": [REQUEST], "next": None})]
    assert [one.points[0].ratio for one in client.series("b(n=1)")] == [1.1]
    assert sent(server)[1] == "series?benchmark=b%28n%3D1%29&limit=200"
    assert [one.id for one in client.requests("waiting")] == ["0a1b2c3d4e"]
    assert sent(server)[1] == "requests?state=waiting&limit=200"


def test_a_token_for_this_machine_goes_to_no_proxy(
    server: Answering, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.say.append((200, REQUEST))
    with serving(Web) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        assert client.look("0a1b2c3d4e").id == "0a1b2c3d4e"
    assert sent(server) == ("GET", "requests/0a1b2c3d4e", None) and proxy.asked == []


def test_a_refusal_says_why_and_never_the_token(server: Answering, client: Client) -> None:
    problem = {"type": "/problems/policy", "title": "This is not allowed.", "status": 422, "detail": f"base: {LST}."}
    server.say += [(422, problem), (503, b"<html>"), (200, b"<html>"), (200, {"runs": 1}), (200, [])]
    with pytest.raises(Refused, match=r"the server answered 422: This is not allowed\. base: \*\*\*\.") as refusal:
        client.request(WANTED)
    assert (refusal.value.status, refusal.value.slug, refusal.value.refused) == (422, "policy", True)
    with pytest.raises(Refused) as refusal:
        client.request(WANTED)
    assert (str(refusal.value), refusal.value.refused) == ("the server answered 503", False)
    for _ in range(3):
        with pytest.raises(Failed, match=r"no JSON|does not \("):
            list(client.runs())
