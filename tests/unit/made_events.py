"""Events for tests."""

from __future__ import annotations

from typing import Any

from runner.alerts.message import Message
from runner.history.events import Affected, Entry, Event, State
from runner.model import Commit

NOW = 1_800_000_000.0


def commit(number: int, **more: Any) -> Commit:
    """The commit at a position: its hash begins with the position's ten digits."""
    given = {"date": NOW - 1e6 + number, "subject": f"Change {number}", "repository": "r", "branch": "main",
             "position": number, **more}
    return Commit(hash=f"{number:010x}" * 4, **given)


def affected(name: str, ratio: float = 1.2, **more: Any) -> Affected:
    """A benchmark whose ratio is known to 1 %."""
    given = {"low": ratio * 0.99, "high": ratio * 1.01, "p": 1e-9, "run": "confirming", **more}
    return Affected(benchmark=name, ratio=ratio, **given)


def event(*benchmarks: Affected, good: int = 10, bad: int = 11, **more: Any) -> Event:
    """A slowdown between two positions of one watch."""
    given = {
        "watch": "main", "configuration": "", "machine": "m", "suite": "s", "direction": "slower", "kind": "newest",
        "good": commit(good), "bad": commit(bad), "between": bad - good, "run": "confirming",
        "benchmarks": benchmarks or (affected("a"),), "command": "lockstep ab git:r@10 git:r@11 -b a",
        "opened": NOW + bad, **more,
    }
    return Event(**given)


def entry(state: State, when: float = NOW + 100, who: str = "ada", note: str = "") -> Entry:
    return Entry(when=when, state=state, who=who, note=note)


def alarm(night: str = "n1") -> Message:
    """Word of a night that could not do its work."""
    return Message(
        key=f"night/{night}", thread=f"night/{night}", watch="main", kind="alarm", state="alarm", began=NOW,
        created=NOW, title="main: does not build", markdown="- `a.c:1: error`\n", text="a.c:1: error\n",
        data={"night": night},
    )
