"""Requests as people and machines have them: over HTTP, on pages, and what the server does of itself."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from made_runs import make_run, some_benchmarks
from made_server import BROWSER, NOW, Client, Here, serving

from runner import config
from runner.service import answers, audit, queue
from runner.service.queue import LEASE
from runner.storage import origin, parcel
from runner.storage.origin import Origin

HERE = "https://github.com/python/cpython"
HOSTILE = '<script>alert("x")</script>&lt;\'"'
ASKED = {
    "base": "cpython@3.13.5+nocow", "head": "cpython@3.13.5", "suite": "consumers", "margin": "2%", "budget": "90s",
}
AS_JSON = {"content-type": "application/json"}


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(kw_only=True)
class World:
    """A server, and those who have to do with it."""

    here: Here
    clock: Clock
    ada: Client
    bob: Client
    bench: Client
    """A machine."""

    def ask(self, **changes: Any) -> dict[str, Any]:
        return ok(self.ada.post("/api/v1/requests", json={**ASKED, **changes}), 201)

    def claim(self) -> dict[str, Any]:
        return ok(self.bench.post("/api/v1/claims", json={"facts": {"cpu": "Some CPU", "cores": 2}}))

    def beat(self, lease: str, note: str = "") -> dict[str, Any]:
        return ok(self.bench.post(f"/api/v1/claims/{lease}/heartbeat", json={"note": note}))

    def end(self, lease: str, state: str = "done", **more: Any) -> dict[str, Any]:
        return ok(self.bench.post(f"/api/v1/claims/{lease}/end", json={"state": state, **more}))

    def run(self) -> str:
        """The id of a run that was received."""
        return make_run(self.here.data / "runs", 1, some_benchmarks(8), changed=0.1).name

    def browser(self, name: str, *scopes: str) -> Client:
        """Somebody who has signed in."""
        client = Client(app=self.here.app)
        answer = client.post("/login", data={"token": self.here.token(name, *scopes)})
        assert answer.status_code == 303
        return client


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")
    clock = Clock()
    with serving(tmp_path / "data", clock, repositories=[HERE], address="http://testserver") as here:
        yield World(here=here, clock=clock, **{
            name: Client(app=here.app, token=here.token(name, scope, machine=scope == "submit"))
            for name, scope in (("ada", "request"), ("bob", "request"), ("bench", "submit"))})


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int, slug: str) -> str:
    """What a problem says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["type"] == f"/problems/{slug}" and said["status"] == status
    return str(said.get("detail", ""))


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def test_a_request_from_asking_to_its_runs(world: World) -> None:
    answer = world.ada.post("/api/v1/requests", json=ASKED)
    asked = ok(answer, 201)
    assert answer.headers["location"] == f"/api/v1/requests/{asked['id']}"
    assert asked["page"] == f"http://testserver/requests/{asked['id']}" and asked["person"] == "ada"
    assert {name: asked[name] for name in ASKED} == ASKED
    assert (asked["state"], asked["runs"], asked["machine"], asked["priority"]) == ("waiting", [], "", 0)
    claimed = world.claim()
    assert claimed["request"]["id"] == asked["id"] and claimed["expires"] == NOW + LEASE
    world.clock.now += 60
    assert world.beat(claimed["lease"], "building") == {"expires": NOW + 60 + LEASE, "cancelled": False}
    seen = ok(world.bob.get(f"/api/v1/requests/{asked['id']}"))
    assert (seen["state"], seen["note"], seen["measuring"]) == ("running", "building", "bench")
    run = world.run()
    done = world.end(claimed["lease"], runs=[run])
    assert done["state"] == "done" and done["runs"] == [run] and done["finished"] == NOW + 60
    assert world.end(claimed["lease"], "failed", problem="again") == done
    assert world.bench.post("/api/v1/claims", json={}).status_code == 204


def test_what_is_left_out_is_as_documented(world: World) -> None:
    asked = ok(world.ada.post("/api/v1/requests", json={"base": "cpython@3.13.5", "head": f"git:{HERE}@main"}), 201)
    assert [asked[name] for name in ("suite", "select", "margin", "budget")] == ["bytesio", "", "1%", "10m"]


REFUSED: list[dict[str, str]] = [
    {"base": "python3"}, {"head": "git:https://evil.example/x@main"}, {"suite": "/srv"}, {"select": "(a+)+"},
    {"margin": "0"}, {"margin": "9" * 250}, {"margin": "1%%"}, {"budget": "1"}, {"budget": "9" * 250 + "h"},
    {"budget": "1.1.1s"}, {"machine": "nosuch"}, {"base": "\0"}, {"machine": "\0"},
]


def test_what_the_policy_refuses_is_said(world: World) -> None:
    for change in REFUSED:
        (field,) = change
        said = problem(world.ada.post("/api/v1/requests", json={**ASKED, **change}), 422, "policy")
        assert said.startswith(f"{field}: ")
    assert ok(world.ada.get("/api/v1/requests"))["requests"] == []


NONE: list[dict[str, Any]] = [
    {"base": 1}, {"base": None}, {"priority": 1.5}, {"priority": 10**30}, {"priority": True}, {"margin": 0.01},
    {"seed": 1}, {"base": "a" * 301}, {"head": "\ud800"}, {"machine": "a" * 61},
]


def test_what_is_no_request_is_said(world: World) -> None:
    for change in NONE:
        answer = world.ada.post("/api/v1/requests", content=json.dumps({**ASKED, **change}), headers=AS_JSON)
        assert problem(answer, 422, "invalid")


def test_what_is_no_json_is_said(world: World) -> None:
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"base": ' + b"9" * 5000 + b"}", b"NaN"):
        for client, place in ((world.ada, "requests"), (world.bench, "claims")):
            answer = client.post(f"/api/v1/{place}", content=body, headers=AS_JSON)
            assert 400 <= answer.status_code < 500


def test_who_may_what(world: World) -> None:
    reader, nobody = world.here.reader(), Client(app=world.here.app)
    id = world.ask()["id"]
    for client, status in ((nobody, 401), (reader, 403), (world.bench, 403)):
        assert client.post("/api/v1/requests", json=ASKED).status_code == status
        assert client("DELETE", f"/api/v1/requests/{id}").status_code == status
    for client, status in ((nobody, 401), (reader, 403), (world.ada, 403)):
        assert client.post("/api/v1/claims", json={}).status_code == status
    person = Client(app=world.here.app, token=world.here.token("eve", "submit"))
    assert "--machine" in problem(person.post("/api/v1/claims", json={}), 403, "no-machine"), "no run"
    assert nobody.get("/api/v1/requests").status_code == 401
    assert ok(reader.get(f"/api/v1/requests/{id}"))["id"] == id


def test_a_key_asks_once(world: World) -> None:
    key = {"Idempotency-Key": "my key"}
    first = ok(world.ada.post("/api/v1/requests", json=ASKED, headers=key), 201)
    assert ok(world.ada.post("/api/v1/requests", json=ASKED, headers=key)) == first
    other = world.ada.post("/api/v1/requests", json={**ASKED, "margin": "3%"}, headers=key)
    assert first["id"] in problem(other, 409, "key")
    assert ok(world.bob.post("/api/v1/requests", json=ASKED, headers=key), 201)["id"] != first["id"]


def test_requests_are_listed_newest_first_page_by_page(world: World) -> None:
    ids = []
    for _ in range(5):
        world.clock.now += 1
        ids.append(world.ask()["id"])
    found, after = [], ""
    while True:
        page = ok(world.ada.get(f"/api/v1/requests?limit=2{after}"))
        found += [one["id"] for one in page["requests"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == ids[::-1]
    world.claim()
    assert [one["id"] for one in ok(world.ada.get("/api/v1/requests?state=running"))["requests"]] == ids[:1]
    assert problem(world.ada.get("/api/v1/requests?state=lost"), 422, "invalid")
    problem(world.ada.get("/api/v1/requests?after=nosuch"), 404, "request")


def test_only_ones_own_requests_are_cancelled(world: World) -> None:
    id = world.ask()["id"]
    lease = world.claim()["lease"]
    assert "ada" in problem(world.bob("DELETE", f"/api/v1/requests/{id}"), 403, "owner")
    assert ok(world.ada("DELETE", f"/api/v1/requests/{id}"))["state"] == "cancelled"
    assert world.beat(lease)["cancelled"]
    admin = Client(app=world.here.app, token=world.here.token("root", "admin"))
    other = world.ask()["id"]
    assert ok(admin("DELETE", f"/api/v1/requests/{other}"))["state"] == "cancelled"
    problem(admin("DELETE", "/api/v1/requests/nosuch"), 404, "request")


def test_nothing_is_done_without_a_run_that_is_here(world: World) -> None:
    world.ask()
    lease = world.claim()["lease"]
    end = f"/api/v1/claims/{lease}/end"
    problem(world.bench.post(end, json={"state": "done"}), 422, "runs")
    problem(world.bench.post(end, json={"state": "done", "runs": ["20261129T000000Z-abcdef"]}), 409, "run")
    for run in ("../service", "20261129T000000Z-abcdef/..", "", "x", "20261129T000000Z-abcdef\n"):
        problem(world.bench.post(end, json={"state": "done", "runs": [run]}), 422, "invalid")
    problem(world.bench.post(end, json={"state": "lost"}), 422, "invalid")
    run = world.run()
    folder = world.here.data / "runs" / run
    origin.write(folder, Origin(machine="other", token="00000000", key="k", received=NOW, digest="d",
                                contents=parcel.contents(folder)))
    assert "other" in problem(world.bench.post(end, json={"state": "done", "runs": [run]}), 409, "run")
    problem(world.bench.post("/api/v1/claims/nosuch/end", json={"state": "failed"}), 404, "lease")
    assert world.end(lease, "returned")["state"] == "waiting"


def test_the_server_loses_leases_by_itself_but_not_while_it_was_away(world: World) -> None:
    id, clerk = world.ask()["id"], answers.Clerk(world.here.server)
    world.claim()
    world.clock.now += 1000
    clerk.begin()
    clerk.step()
    assert ok(world.ada.get(f"/api/v1/requests/{id}"))["state"] == "running"
    world.clock.now += LEASE
    clerk.step()
    assert ok(world.ada.get(f"/api/v1/requests/{id}"))["state"] == "waiting"


def test_old_entries_of_the_audit_log_go_while_the_server_runs(world: World) -> None:
    world.ask()
    clerk, database = answers.Clerk(world.here.server), world.here.server.database
    clerk.step()
    assert audit.newest(database)
    world.clock.now += audit.KEPT + answers.FORGETTING
    clerk.step()
    assert audit.newest(database) == ()


def test_pages_say_what_there_is(world: World) -> None:
    ada = world.browser("ada", "request")
    id = world.ask()["id"]
    page = ada.get(f"/requests/{id}", headers=BROWSER)
    assert "It waits for a machine." in page.text and 'data-again="5"' in page.text
    lease = world.claim()["lease"]
    world.beat(lease, "round 3 of 12")
    assert "round 3 of 12" in ada.get(f"/requests/{id}", headers=BROWSER).text
    assert "on bench: round 3 of 12" in ada.get("/requests/", headers=BROWSER).text
    run = world.run()
    world.end(lease, runs=[run])
    assert "its page is being made" in ada.get(f"/requests/{id}", headers=BROWSER).text
    world.here.publish()
    page = ada.get(f"/requests/{id}", headers=BROWSER)
    assert f'href="../runs/{run}.html"' in page.text and "data-again" not in page.text
    assert "1 slower" in page.text and "geometric mean" in page.text
    assert ada.get("/requests/nosuch", headers=BROWSER).status_code == 404


def test_nobody_waits_for_the_page_of_a_run_that_was_removed(world: World) -> None:
    ada, id, run = world.browser("ada", "request"), world.ask()["id"], world.run()
    world.end(world.claim()["lease"], runs=[run])
    shutil.rmtree(world.here.data / "runs" / run)
    page = ada.get(f"/requests/{id}", headers=BROWSER)
    assert f"Run {run} was removed." in page.text and "data-again" not in page.text


def test_a_form_asks_and_asks_once(world: World) -> None:
    ada = world.browser("ada", "request")
    form = ada.get("/requests/new?head=cpython@3.11.2", headers=BROWSER)
    assert 'value="cpython@3.11.2"' in form.text and f"git:{HERE}@REF" in form.text and ">bench</option>" in form.text
    key = re.search(r'name="key" value="([0-9a-f]{16})"', form.text)
    assert key
    sent = {**ASKED, "select": "", "machine": "bench", "priority": "1", "csrf": csrf(form), "key": key[1]}
    led = [ada.post("/requests/", data=sent) for _ in range(2)]
    assert {one.status_code for one in led} == {303} and led[0].headers["location"] == led[1].headers["location"]
    (asked,) = ok(world.ada.get("/api/v1/requests"))["requests"]
    assert (asked["source"], asked["machine"], asked["priority"]) == ("form", "bench", 1)
    page = ada.get(led[0].headers["location"], headers=BROWSER)
    assert ada.post(f"/requests/{asked['id']}/cancel", data={"csrf": csrf(page)}).status_code == 303
    page = ada.get(led[0].headers["location"], headers=BROWSER)
    assert "It was cancelled" in page.text and "Cancel it" not in page.text


def test_what_a_form_is_refused_for_is_said_and_what_was_written_stays(world: World) -> None:
    ada = world.browser("ada", "request")
    sent = {**ASKED, "base": HOSTILE, "csrf": csrf(ada.get("/requests/new", headers=BROWSER))}
    for changes, field in (({}, "base"), ({"base": "cpython@3.13.5", "margin": "none"}, "margin"),
                           ({"base": "cpython@3.13.5", "priority": "much"}, "priority")):
        answer = ada.post("/requests/", data={**sent, **changes})
        assert answer.status_code == 422 and f"{field}: " in answer.text and "<script>alert" not in answer.text
    assert html.escape(HOSTILE, quote=False)[:20] in ada.post("/requests/", data=sent).text
    assert ok(world.ada.get("/api/v1/requests"))["requests"] == []


def test_who_may_not_ask_has_no_form(world: World) -> None:
    reader = world.browser("eve", "read")
    form = reader.get("/requests/new", headers=BROWSER)
    assert "<form" not in form.text and "needs scope request" in form.text
    token = csrf(reader.get("/login", headers=BROWSER))
    assert reader.post("/requests/", data={**ASKED, "csrf": token}, headers=BROWSER).status_code == 403
    nobody = Client(app=world.here.app)
    assert nobody.get("/requests/", headers=BROWSER).headers["location"].startswith("/login?next=")
    assert nobody.post("/requests/", data=ASKED).headers["location"] == "/login"
    assert ok(world.ada.get("/api/v1/requests"))["requests"] == []


def test_a_form_of_another_site_does_nothing(world: World) -> None:
    ada, id = world.browser("ada", "request"), world.ask()["id"]
    right = csrf(ada.get("/requests/new", headers=BROWSER))
    foreign: list[dict[str, str]] = [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]
    for headers in foreign:
        token = right if headers else "0" * len(right)
        for place in ("/requests/", f"/requests/{id}/cancel"):
            assert ada.post(place, data={**ASKED, "csrf": token}, headers=headers).status_code == 403
    assert [one["state"] for one in ok(world.ada.get("/api/v1/requests"))["requests"]] == ["waiting"]


def test_others_cannot_cancel_on_a_page_either(world: World) -> None:
    bob, id = world.browser("bob", "request"), world.ask()["id"]
    page = bob.get(f"/requests/{id}", headers=BROWSER)
    assert "Cancel it" not in page.text
    token = csrf(bob.get("/requests/new", headers=BROWSER))
    assert bob.post(f"/requests/{id}/cancel", data={"csrf": token}).status_code == 403
    assert ok(world.ada.get(f"/api/v1/requests/{id}"))["state"] == "waiting"


def test_html_in_every_field_is_text(world: World) -> None:
    id = world.ask()["id"]
    facts = {"cpu": HOSTILE, "os": HOSTILE, HOSTILE[:60]: HOSTILE}
    claimed = ok(world.bench.post("/api/v1/claims", json={"facts": facts}))
    world.beat(claimed["lease"], HOSTILE + "\x1b[31m\0\n")
    pages = ["/requests/", f"/requests/{id}"]
    ada = world.browser("ada", "request")
    seen = [ada.get(page, headers=BROWSER).text for page in pages]
    world.end(claimed["lease"], "failed", problem=HOSTILE * 3)
    seen += [ada.get(page, headers=BROWSER).text for page in pages]
    seen += [ada.get("/requests/new", params={name: HOSTILE}, headers=BROWSER).text for name in ASKED]
    for text in seen:
        assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "\x1b" not in text and "\0" not in text


def test_a_person_cannot_fill_the_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MOST", 3)
    for _ in range(3):
        world.ask()
    assert "3 requests" in problem(world.ada.post("/api/v1/requests", json=ASKED), 429, "queue")
    ok(world.bob.post("/api/v1/requests", json=ASKED), 201)
