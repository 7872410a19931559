"""`lockstep events`, `triage` and `status` in this process, where no channel is configured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_events import NOW, affected, entry, event

from runner.history import events
from runner.history.events import State

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for state with two events, of which one is over."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "state"
    events.write(folder / "events", event(affected("x.time_x")))
    over = events.said(event(affected("y.time_y"), good=20, bad=21, watch="other"), entry(State.FIXED))
    events.write(folder / "events", over)
    return folder


def test_events_are_listed(lockstep: Run, state: Path, tmp_path: Path) -> None:
    code, out, error = lockstep("events")
    assert (code, error) == (0, "") and "main-000000000b-slower" in out and "1 event" in out
    assert "2 events" in lockstep("events", "--all")[1]
    assert "no such events" in lockstep("events", "--watch", "other")[1]
    assert "other-0000000015" in lockstep("events", "--all", "-b", "time_y")[1]
    assert "To measure it again" in lockstep("events", "0000000015")[1]
    code, out, _ = lockstep("events", "--all", "--json", "-", "--atom", tmp_path / "feed.xml")
    assert [one["state"] for one in json.loads(out)["events"]] == ["new", "fixed"]
    assert (tmp_path / "feed.xml").read_text().count("<entry>") == 3


def test_what_a_person_says_is_written_down(lockstep: Run, state: Path) -> None:
    code, out, error = lockstep("triage", "000000000b", "wont-fix", "--note", "meant", "--who", "ada")
    assert (code, error) == (0, "") and out.startswith("wont-fix: main: 1 benchmark slower")
    assert "no such events" in lockstep("events")[1]
    assert "ada: meant" in lockstep("events", "000000000b")[1]
    assert "meant" in (state / "events.md").read_text()
    assert lockstep("triage", "000000000b", "--note", "really")[0] == 0
    (one,) = (it for it in events.read(state / "events") if it.watch == "main")
    assert [said.note for said in one.entries] == ["meant", "really"] and one.entries[1].who
    assert one.entries[0].when <= one.entries[1].when


@pytest.mark.parametrize(("words", "told"), [
    (("triage", "000000000b", "broken"), "'broken' is no state of an event; it is one of: new, confirmed"),
    (("triage", "000000000b"), "is new already; say --note TEXT"),
    (("triage", "nothing", "fixed"), "there is no event 'nothing'"),
    (("triage", "000000000b", "fixed", "--who", ""), "who says so"),
    (("events", "nothing"), "there is no event 'nothing'"),
    (("status", "--config", "nowhere.toml"), "nowhere.toml cannot be read"),
])
def test_what_is_wrong_is_said(lockstep: Run, state: Path, words: tuple[str, ...], told: str) -> None:
    code, out, error = lockstep(*words)
    assert code == 2 and told in error and out == ""


NIGHT: dict[str, Any] = {
    "schema": "lockstep.night/1", "id": "n1", "watch": "main", "configuration": "", "created": NOW, "ended": NOW + 60,
    "repository": "r", "branch": "main", "machine": "m", "margin": 0.01, "budget": 60.0,
    "outcome": "broken", "alarm": "", "broken": "a.c does not compile\nmore", "problems": [],
    "steps": [{"name": "build", "begun": NOW, "ended": NOW + 9, "seconds": 9.0, "problem": ""}],
    "measured": [{"purpose": "anchor", "suite": "s", "run": "r1", "blocks": 6, "round_seconds": 1.0, "scope": "source",
                  "counts": {"same": 3, "undecided": 1}}],
}


def test_status(lockstep: Run, state: Path) -> None:
    for name, night in {"n1": NIGHT, "n2": {**NIGHT, "id": "n2", "ended": None}, "n3": {}}.items():
        (state / "nights" / name).mkdir(parents=True)
        (state / "nights" / name / "night.json").write_text(json.dumps(night))
    code, out, error = lockstep("status")
    assert (code, error) == (0, "")
    for words in ("a.c does not compile", "unfinished", "25 %", "1 new, 1 fixed", "n3/night.json is no night",
                  "Lockstep"):
        assert words in out, out
    assert "more" not in out and lockstep("status", "--strict")[0] == 3
    assert json.loads(lockstep("status", "--json", "-")[1])["schema"] == "lockstep.health/1"


def test_status_of_nothing_is_good(lockstep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = lockstep("status", "--strict")
    assert code == 0 and "no nights yet" in out
