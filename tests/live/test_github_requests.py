"""GitHub's webhook against a server in GitHub's place: forged, replayed, reordered and late deliveries; what a comment
asks for, and how it is answered."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "service"))

from made_runs import make_run, some_benchmarks
from made_server import NOW, Client, Here, serving
from servers import TOKEN, Asked, GitHub
from servers import serving as forging

from runner import config
from runner.jobs import comment as commenting
from runner.service import answers, queue
from runner.service.queue import State, Tenure
from runner.service.server import Server

SECRET = "planted-webhook-secret"
URL = "https://github.com/owner/project"
BASE, HEAD = "b" * 40, "a" * 40
COMPARE = "@lockstep compare cpython@3.13.5+nocow cpython@3.13.5 suite=consumers budget=90s"


class Forge(GitHub):
    """Has pull request 7, from a fork that was pushed to a minute before `NOW`."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: float | None = NOW - 60
        self.full_name = "ada/project"

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], Any]:
        place = asked.path.partition("?")[0].removeprefix("/repos/owner/project/")
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, {"message": "Bad credentials"}
        if place == "pulls/7":
            fork = None if self.pushed is None else {"full_name": self.full_name, "pushed_at": moment(self.pushed)}
            return 200, {}, {"base": {"sha": "c" * 40}, "head": {"sha": HEAD, "repo": fork}}
        if place == f"compare/{'c' * 40}...{HEAD}":
            return 200, {}, {"merge_base_commit": {"sha": BASE}}
        return super().answer(asked)


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass(kw_only=True)
class World:
    """A server, and what is delivered to it."""

    here: Here
    forge: Forge
    client: Client
    delivered: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def comment(self, body: str = COMPARE, *, id: int = 99, pull: bool = True, login: str = "ada",
                at: float = NOW - 5, **changes: Any) -> bytes:
        """The body of a delivery."""
        user = {"login": login, "type": "User", "id": 1}
        return json.dumps({
            "action": "created", "sender": user, "comment": {
                "id": id, "body": body, "user": user, "created_at": moment(at), "author_association": "MEMBER"},
            "issue": {"number": 7, "title": "x", **({"pull_request": {"url": "x"}} if pull else {})},
            "repository": {"full_name": "owner/project", "html_url": URL, "clone_url": f"{URL}.git"}, **changes,
        }).encode()

    def deliver(self, body: bytes, *, id: str = "", event: str = "issue_comment", secret: str = SECRET) -> Any:
        """What is answered to a delivery that is signed."""
        headers = {
            "x-github-event": event, "x-github-delivery": id or f"d-{len(self.delivered)}",
            "x-hub-signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}",
            "content-type": "application/json",
        }
        self.delivered.append((body, headers))
        return self.post(body, headers)

    def post(self, body: bytes, headers: dict[str, str]) -> Any:
        answer = self.client.post("/hooks/github", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, body: bytes, **headers: str | bytes) -> httpx.Response:
        given = {"x-github-event": "issue_comment", "x-github-delivery": "x", **headers}
        answer = self.client.post("/hooks/github", content=body, headers=given)
        assert 400 <= answer.status_code < 500 and answer.headers["content-type"] == "application/problem+json"
        return answer

    def requests(self) -> list[queue.Request]:
        with self.here.server.database.reading() as connection:
            return queue.listed(connection, tuple(State), 100)

    @property
    def comments(self) -> list[str]:
        """What stands on the pull request."""
        return [one["body"] for one in self.forge.comments.get("issues/7/comments", [])]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")
    monkeypatch.setattr(commenting, "PAUSE", 0.01)
    monkeypatch.setenv("LOCKSTEP_GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("LOCKSTEP_GITHUB_SECRET", SECRET)
    with forging(Forge) as forge, serving(
        tmp_path / "data", repositories=[URL], address="https://lockstep.example.org", github={
            "secret_from": "LOCKSTEP_GITHUB_SECRET", "repositories": ["owner/project"], "allow": ["ada"],
            "address": forge.address}) as here:
        yield World(here=here, forge=forge, client=Client(app=here.app))


def test_a_comment_asks_and_is_answered_in_its_place(world: World) -> None:
    told = world.deliver(world.comment())
    (asked,) = world.requests()
    assert told == {"state": "accepted", "request": asked.id, "page": f"https://lockstep.example.org/requests/{asked.id}"}
    assert (asked.person, asked.source, asked.reply) == ("github:ada", "github", {
        "repository": "owner/project", "pull": 7})
    assert (asked.wanted.base, asked.wanted.suite, asked.wanted.budget) == ("cpython@3.13.5+nocow", "consumers", 90.0)
    clerk = answers.Clerk(world.here.server)
    clerk.step()
    clerk.step()
    assert len(world.comments) == 1 and "when a machine is free" in world.comments[0] and asked.id in world.comments[0]
    run = make_run(world.here.data / "runs", 1, some_benchmarks(8), changed=0.1).name
    with world.here.server.database.writing() as connection:
        claimed = queue.claim(connection, "m1", "m1", {}, NOW)
        assert claimed is not None
        queue.end(connection, claimed[0].id, "m1", Tenure.DONE, [run], "", NOW)
    clerk.step()
    assert len(world.comments) == 1 and f"https://lockstep.example.org/runs/{run}.html" in world.comments[0]
    assert "slower in 1" in world.comments[0]
    made = len(world.forge.asked)
    clerk.step()
    assert len(world.forge.asked) == made, "what was answered is not answered again"


def test_a_run_that_was_removed_is_told_so(world: World) -> None:
    world.deliver(world.comment())
    run = make_run(world.here.data / "runs", 1, some_benchmarks(2)).name
    with world.here.server.database.writing() as connection:
        claimed = queue.claim(connection, "m1", "m1", {}, NOW)
        assert claimed is not None
        queue.end(connection, claimed[0].id, "m1", Tenure.DONE, [run], "", NOW)
    shutil.rmtree(world.here.data / "runs" / run)
    answers.Clerk(world.here.server).step()
    assert f"Run {run} was removed." in world.comments[0] and f"runs/{run}.html" not in world.comments[0]


def test_the_answer_is_written_into_nobody_elses_comment(world: World) -> None:
    """What our comment is known by can be read by all, and copied into an older one."""
    world.deliver(world.comment())
    clerk = answers.Clerk(world.here.server)
    clerk.step()
    marker = world.comments[0].partition("\n")[0]
    world.forge.comments["issues/7/comments"].insert(0, {
        "id": 1, "place": "issues/comments/1", "body": f"{marker}\nmine"})
    (asked,) = world.requests()
    with world.here.server.database.writing() as connection:
        queue.cancel(connection, asked.id, NOW)
    clerk.step()
    assert world.comments[0] == f"{marker}\nmine" and "was cancelled" in world.comments[1] and len(world.comments) == 2


def test_one_answer_that_cannot_be_written_keeps_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        world.deliver(world.comment(id=number))
    spoiled, right = world.requests()
    written = answers.text

    def text(here: Server, one: queue.Request, runs: Sequence[str]) -> str:
        if one.id == spoiled.id:
            raise OverflowError
        return written(here, one, runs)

    monkeypatch.setattr(answers, "text", text)
    clerk = answers.Clerk(world.here.server)
    for _ in range(2):
        clerk.step()
    assert len(world.comments) == 1 and right.id in world.comments[0]


def test_a_pull_request_is_compared_with_where_it_parted(world: World) -> None:
    world.deliver(world.comment("@lockstep compare build=pgo&lto"))
    (asked,) = world.requests()
    assert (asked.wanted.base, asked.wanted.head) == (f"git:{URL}@{BASE}?pgo&lto", f"git:{URL}@{HEAD}?pgo&lto")
    world.deliver(world.comment("@lockstep compare main v3.13.0+nocow", id=100))
    assert [one.wanted.head for one in world.requests()].count(f"git:{URL}@v3.13.0+nocow") == 1


def test_a_branch_that_was_pushed_to_after_the_comment_is_not_built(world: World) -> None:
    world.forge.pushed = NOW - 1
    assert world.deliver(world.comment("@lockstep compare"))["state"] == "refused"
    assert world.requests() == [] and "pushed to after you asked" in world.comments[0]
    world.forge.full_name = "Owner/Project"  # its own branch: who may push there may merge too
    assert world.deliver(world.comment("@lockstep compare", id=100))["state"] == "accepted"
    world.forge.pushed = None  # the fork is gone: nobody pushes to it
    assert world.deliver(world.comment("@lockstep compare", id=101))["state"] == "accepted"


def test_what_is_not_allowed_is_answered_and_asks_for_nothing(world: World) -> None:
    for number, text in enumerate((
        "@lockstep compare /usr/bin/python3 main", "@lockstep compare main main+fix.patch", "@lockstep compare main",
        "@lockstep compare main git:ext::id@main", "@lockstep compare main --upload-pack=id",
        "@lockstep compare a b c=d",
        "@lockstep compare main v1 suite=/srv", "@lockstep compare main v1 machine=nosuch",
        "@lockstep compare main main?configure=CC=id", "@lockstep compare main v1 priority=x @everyone",
    )):
        told = world.deliver(world.comment(text, id=1000 + number))
        assert told["state"] == "refused" and told["why"]
        assert len(world.comments) == number + 1 and "does not compare this" in world.comments[-1]
    assert world.requests() == [] and not any("@everyone" in text for text in world.comments)


def test_an_issue_names_both_builds(world: World) -> None:
    assert world.deliver(world.comment("@lockstep compare", pull=False))["state"] == "refused"
    assert world.deliver(world.comment(pull=False, id=100))["state"] == "accepted"


def test_replayed_deliveries_ask_once(world: World) -> None:
    world.deliver(world.comment())
    body, headers = world.delivered[0]
    for id in ("d-0", "d-0", "another-id", "third"):  # the id is not signed: who replays may choose it
        assert world.post(body, {**headers, "x-github-delivery": id})["state"] == "ignored"
    edited = {**json.loads(body)["comment"], "body": "@lockstep compare main v1"}
    assert world.deliver(world.comment(comment=edited, action="created"))["state"] == "ignored"
    assert len(world.requests()) == 1


def test_deliveries_out_of_order_ask_as_they_would_in_order(world: World) -> None:
    first, second = world.comment(id=1, at=NOW - 100), world.comment(id=2, at=NOW - 50)
    edited = world.comment("@lockstep compare main v1", id=1, at=NOW - 100, action="edited")
    for body in (edited, second, first, edited):
        world.deliver(body)
    assert [one.wanted.base for one in world.requests()] == ["cpython@3.13.5+nocow"] * 2


def test_who_or_what_does_not_count(world: World) -> None:
    for body in (
        world.comment(login="eve"), world.comment(action="edited"), world.comment(action="deleted"),
        world.comment(at=NOW - 3700), world.comment(at=NOW + 400), world.comment("> @lockstep compare a b"),
        world.comment(repository={"full_name": "eve/project", "html_url": URL}),
        world.comment(sender={"login": "eve", "type": "User"}), world.comment(body=""),
    ):
        assert world.deliver(body)["state"] == "ignored"
    assert world.deliver(world.comment(), event="push")["state"] == "ignored"
    assert world.deliver(b'{"zen": "x"}', event="ping")["state"] == "ignored"
    assert world.requests() == [] and world.forge.asked == [], "nothing is answered to strangers"


def test_a_repository_that_may_not_be_built_is_told_so(world: World) -> None:
    body = world.comment(repository={"full_name": "owner/project", "html_url": "https://evil.example/owner/project"})
    assert "may not build this repository" in world.deliver(body)["why"]


def test_forged_deliveries_are_refused(world: World) -> None:
    body = world.comment()
    right = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    for signature in (
        "", "sha256=", f"sha256={'0' * 64}", right, f"sha1={right}", f"sha256={right[:-1]}", b"\xe9" * 71,
    ):
        assert world.refused(body, **{"x-hub-signature-256": signature}).status_code == 401
    assert world.refused(body).status_code == 401
    assert world.refused(body + b" ", **{"x-hub-signature-256": f"sha256={right}"}).status_code == 401
    sha1 = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    assert world.refused(body, **{"x-hub-signature": f"sha1={sha1}"}).status_code == 401
    for secret in ("", "wrong"):
        forged = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        assert world.refused(body, **{"x-hub-signature-256": f"sha256={forged}"}).status_code == 401
    assert world.requests() == []


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_secret_there_is_no_hook(world: World, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("LOCKSTEP_GITHUB_SECRET")
    else:
        monkeypatch.setenv("LOCKSTEP_GITHUB_SECRET", value)
    body = world.comment()
    signature = f"sha256={hmac.new((value or '').encode(), body, hashlib.sha256).hexdigest()}"
    assert world.refused(body, **{"x-hub-signature-256": signature}).status_code == 404


def test_a_github_that_is_away_costs_no_comment(world: World) -> None:
    world.forge.faults.append(("status", (500, {})))
    body = world.comment("@lockstep compare")
    headers = {
        "x-github-event": "issue_comment", "x-github-delivery": "d-9",
        "x-hub-signature-256": f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"}
    answer = world.client.post("/hooks/github", content=body, headers=headers)
    assert answer.status_code == 503 and TOKEN not in answer.text and world.requests() == []
    assert world.post(body, headers)["state"] == "accepted", "the same delivery, sent again by hand"


def test_an_answer_that_cannot_be_posted_is_posted_later(world: World) -> None:
    world.deliver(world.comment())
    clerk = answers.Clerk(world.here.server)
    world.forge.may_write = False
    clerk.step()
    asked = len(world.forge.asked)
    clerk.step()
    assert len(world.forge.asked) == asked and world.comments == [], "not at once"
    world.forge.may_write = True
    answers.Clerk(world.here.server).step()  # a server that was started anew
    assert len(world.comments) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["action", "comment", "issue", "repository", "sender", "id", "body", "user", "login"]), inner,
        max_size=6), max_leaves=12)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(what=st.one_of(st.binary(max_size=60), JSON.map(lambda found: json.dumps(found).encode())),
       event=st.sampled_from(["issue_comment", "ping", "", "é"]), id=st.sampled_from(["", "d", "x" * 100, "'; --"]))
def test_no_delivery_is_too_odd(world: World, what: bytes, event: str, id: str) -> None:
    headers = {
        "x-github-event": event.encode("latin-1"), "x-github-delivery": id,
        "x-hub-signature-256": f"sha256={hmac.new(SECRET.encode(), what, hashlib.sha256).hexdigest()}"}
    answer = world.client.post("/hooks/github", content=what, headers=headers)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    assert world.requests() == []
