"""What programs say of events: as the form of the page and `lockstep triage` say it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import made_events
import pytest
from made_server import BROWSER, Client, Here, serving
from test_requests import ok, problem
from test_served_pages import signed_in

from runner import config
from runner.history import events
from runner.history.events import State
from runner.service import audit

HOSTILE = '<script>alert("x")</script>&lt;'
EVENT = made_events.event().id
PLACE = f"/api/v1/events/{EVENT}/entries"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """A server with one event."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")
    events.write(tmp_path / "data" / "events", made_events.event())
    with serving(tmp_path / "data") as found:
        yield found


@pytest.fixture
def ada(here: Here) -> Client:
    return Client(app=here.app, token=here.token("ada", "triage"))


def said(here: Here) -> list[tuple[State, str, str]]:
    (event,) = events.read(here.data / "events")
    return [(entry.state, entry.who, entry.note) for entry in event.entries]


def sent(client: Client, body: Any) -> httpx.Response:
    return client.post(PLACE, content=json.dumps(body), headers={"content-type": "application/json"})


def test_what_is_said_is_on_the_event_in_the_name_of_the_token(here: Here, ada: Client) -> None:
    assert here.server.site._first is None
    answer = ok(sent(ada, {"state": "false-alarm", "note": f" {HOSTILE}\n"}), 201)
    assert said(here) == [(State.FALSE_ALARM, "ada", HOSTILE)]
    assert (answer["state"], answer["entries"][0]["note"]) == ("false alarm", HOSTILE)
    assert answer == ok(ada.get(f"/api/v1/events/{EVENT}"))
    assert here.server.site._first is not None, "the site is to be made anew"
    assert ok(sent(ada, {"note": "and a note"}), 201)["entries"][1]["state"] == "false alarm"
    page = signed_in(here, "read").get(f"/triage/{EVENT}", headers=BROWSER).text
    assert HOSTILE not in page and "alert(&#34;x&#34;)" in page and "and a note" in page


def test_what_says_nothing_is_refused_in_words(here: Here, ada: Client) -> None:
    for body, words in (({}, "is new already"), ({"state": "new"}, "is new already"), ({"note": " "}, "is new already"),
                        ({"state": "gone"}, "'gone' is no state of an event; it is one of: new, confirmed")):
        assert words in problem(sent(ada, body), 422, "triage")
    for wrong in ({"state": 1}, {"state": None}, {"state": "x" * 41}, {"note": "x" * 2001}, {"note": "\ud800"},
                  {"state": "fixed", "who": "bob"}, [], "fixed"):
        assert problem(sent(ada, wrong), 422, "invalid")
    for other in ("none", EVENT[:-1], EVENT.upper()):
        answer = ada.post(f"/api/v1/events/{other}/entries", json={"state": "fixed"})
        assert other in problem(answer, 404, "event"), "a part of an id names none"
    assert said(here) == []
    (here.data / "events" / "x.json").write_text("{")
    assert "x.json" in problem(sent(ada, {"state": "fixed"}), 503, "events")


def test_it_takes_a_token_of_the_scope(here: Here, ada: Client) -> None:
    body = {"state": "fixed"}
    nobody = Client(app=here.app)
    assert problem(sent(nobody, body), 401, "token")
    assert problem(sent(signed_in(here, "triage"), body), 401, "token"), "a session is for forms"
    others = Client(app=here.app, token=here.token("bob", "submit", "request"))
    assert "this needs triage" in problem(sent(others, body), 403, "scope")
    assert said(here) == []
    ok(sent(Client(app=here.app, token=here.token("eve", "admin")), body), 201)
    assert said(here) == [(State.FIXED, "eve", "")]


def test_who_said_it_and_who_might_not_is_in_the_audit_log(here: Here, ada: Client) -> None:
    ok(sent(ada, {"state": "fixed"}), 201)
    sent(Client(app=here.app, token=here.token("bob", "request")), {"state": "new"})
    action = "POST /api/v1/events/{id}/entries"
    noted = [one.entry for one in audit.newest(here.server.database) if one.entry.action == action]
    assert [(one.name, one.subject, one.outcome) for one in noted] == [("bob", PLACE, "403"), ("ada", PLACE, "201")]


def test_it_is_described(ada: Client) -> None:
    document = ok(ada.get("/api/v1/openapi.json"))
    operation = document["paths"]["/api/v1/events/{id}/entries"]["post"]
    assert operation["tags"] == ["triage"] and set(operation["responses"]) == {"201", "4XX"}
    fields = document["components"]["schemas"]["Saying"]["properties"]
    assert all(state.value in fields["state"]["description"] for state in State)
    assert (fields["state"]["maxLength"], fields["note"]["maxLength"]) == (40, 2000)
