"""What is told to whom, and when: the table of channels, and the spool. No network: what has no secret fails before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from made_events import NOW, alarm, entry, event

from runner import alerts
from runner.alerts import FRESH, github, mail, opened, webhook
from runner.alerts.message import Message
from runner.alerts.settings import Channels
from runner.errors import UsageError
from runner.history import events
from runner.history.events import State
from runner.jobs import watched
from runner.report import events as report
from runner.sending import Failed, secrets
from runner.sending.delivery import Sent
from runner.sending.spool import GIVEN_UP, LONGEST, pause

EVENT = event(opened=NOW)
NEW = report.message(EVENT, None)
FIXED = report.message(events.said(EVENT, entry(State.FIXED)), None)
MAIL = {"server": "127.0.0.1", "sender": "a@example.org", "to": ["b@example.org"]}


def channels(**tables: Any) -> Channels:
    return Channels.model_validate(tables)


ONE = channels(github={"repository": "o/r"})


@dataclass(slots=True)
class Time:
    now: float = NOW + 200
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def send(
    spool: Path, table: Channels, *messages: Message, time: Time | None = None, patience: float = 60.0
) -> Sent:
    """Without any secret."""
    clock = time or Time()
    return alerts.send(spool, table, messages, lambda name: None, patience=patience, clock=clock, sleep=clock.sleep)


# The table


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lockstep.toml"
    path.write_text("""
        [channels]
        events = "bench/events"
        site = "https://example.org/bench/"
        [[channels.github]]
        repository = "python/cpython"
        [[channels.github]]
        name = "commits"
        repository = "python/cpython"
        post = "commit"
        states = ["new", "fixed", "false alarm"]
        [channels.mail]
        server = "mail.example.org"
        sender = "bench@example.org"
        to = ["team@example.org"]
        """)
    table = watched.service(path).channels
    assert [channel.name for channel in table.every] == ["github", "commits", "mail"]
    assert table.events == tmp_path / "bench" / "events" and table.site == "https://example.org/bench"
    path.write_text("[[watch]]\nname = 'x'\n")
    assert watched.service(path).channels.every == (), "what is watched is of no interest here"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"github": {"repository": "cpython"}}, r"github\[0\]\.repository: String should match"),
    ({"github": {"repository": "o/r", "token_from": "ghp_plantedSecret"}}, "begins with LOCKSTEP_"),
    ({"github": {"repository": "o/r", "token_from": "GITHUB_TOKEN"}}, "what is measured does not see those"),
    ({"github": {"repository": "o/r", "token": "plantedSecret"}},
     r"channels\.github\[0\]\.token: there is no such key; there are: name"),
    ({"github": {"repository": "o/r", "address": "http://example.org"}}, "sends everything in the open"),
    ({"github": {"repository": "o/r", "post": "pull"}}, "belong together"),
    ({"github": {"repository": "o/r", "pull": 3}}, "belong together"),
    ({"webhook": {}}, "one of address and address_from"),
    ({"webhook": {"address": "https://ada:plantedSecret@example.org"}}, "no user, password or fragment"),
    ({"webhook": {"address": "plantedSecret"}}, "that is no address"),
    ({"webhook": {"address": "https://x:99999999/plantedSecret"}}, "that is no address"),
    ({"mail": {**MAIL, "to": []}}, r"mail\[0\]\.to: "),
    ({"mail": {**MAIL, "to": ["plantedSecret"]}}, "that is no mail address"),
    ({"mail": {**MAIL, "sender": "a@b\r\nBcc: c@d"}}, "that is no mail address"),
    ({"mail": {**MAIL, "server": "example.org", "user": "ada", "security": "none"}}, "password in the open"),
    ({"github": [{"repository": "o/r"}, {"repository": "o/s"}]}, "more than one channel is called github"),
    ({"github": {"repository": "o/r", "states": ["broken"]}}, r"states\[0\]: Input should be 'new'"),
    ({"slack": {}}, r"channels\.slack: there is no such key; there are: github, webhook"),
]


@pytest.mark.parametrize(("table", "told"), WRONG)
def test_what_is_wrong_is_named_and_not_repeated(tmp_path: Path, table: dict[str, Any], told: str) -> None:
    """It may be a secret in the wrong place."""
    path = tmp_path / "lockstep.toml"
    path.write_text(f"channels = {toml(table)}\n")
    with pytest.raises(UsageError, match=told) as refusal:
        watched.service(path)
    assert str(path) in str(refusal.value) and "planted" not in str(refusal.value)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value) if isinstance(value, int) else '"' + value.replace("\r", "\\r").replace("\n", "\\n") + '"'


def test_who_wants_what() -> None:
    faster = report.message(event(direction="faster"), None)
    acknowledged = report.message(events.said(EVENT, entry(State.ACKNOWLEDGED)), None)
    every = (NEW, FIXED, acknowledged, faster, alarm())

    def wanted(**table: Any) -> list[bool]:
        (channel,) = channels(github={"repository": "o/r", **table}).every
        return [channel.wants(message) for message in every]

    assert wanted() == [True, True, False, True, True]
    assert wanted(watches=["other"]) == [False] * 5
    assert wanted(watches=["main"], directions=["slower"]) == [True, True, False, False, True]
    assert wanted(states=["acknowledged"], alarms=False) == [False, False, True, False, False]
    assert wanted(post="commit") == [True, True, False, True, False], "this alarm is about no commit"


# The spool


def test_what_fails_waits_and_is_said(tmp_path: Path) -> None:
    sent = send(tmp_path, ONE, NEW)
    assert sent.delivered == () and sent.waiting == 1
    assert "github: “main: 1 benchmark slower, 1.20x, since 000000000b” could not be delivered" in sent.problems[0]
    assert "LOCKSTEP_GITHUB_TOKEN is not set" in sent.problems[0] and "waits" in sent.problems[0]
    assert send(tmp_path, ONE).problems == (), "it is not due"
    (letter,) = opened(tmp_path).queue().letters
    assert letter.tries == 1 and letter.problem


def test_what_was_delivered_is_not_put_again(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.put("c", NEW, NOW) and not spool.put("c", NEW, NOW + 1) and spool.put("d", NEW, NOW)
    letter = next(one for one in spool.queue().letters if one.channel == "c")
    tried = spool.begun(letter, NOW)
    assert tried is not None and tried.tries == 1 and tried.next > NOW
    spool.delivered(tried, "issues/1", NOW)
    assert not spool.put("c", NEW, NOW) and spool.put("c", FIXED, NOW)
    assert spool.place("c", NEW.thread) == "issues/1" and spool.place("d", NEW.thread) == ""
    assert spool.knows("d", NEW.thread) and not spool.knows("e", NEW.thread)


def test_a_crash_between_receipt_and_letter_delivers_nothing_again(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.put("c", NEW, NOW)
    (letter,) = spool.queue().letters
    (path,) = (tmp_path / "waiting").iterdir()
    text = path.read_text()
    spool.delivered(letter, "x", NOW)
    path.write_text(text)
    assert spool.queue().letters == () and spool.begun(letter, NOW) is None
    assert not path.exists()


def test_pauses_double_up_to_a_quarter_of_a_day() -> None:
    assert [pause(number) for number in (1, 2, 3)] == [5.0, 10.0, 20.0]
    assert pause(14) == pause(1000) == LONGEST < 86_400


def test_a_letter_is_given_up_after_a_month_and_that_is_said(tmp_path: Path) -> None:
    time = Time()
    send(tmp_path, ONE, NEW, time=time)
    time.now += GIVEN_UP + 1
    (problem,) = send(tmp_path, ONE, time=time).problems
    assert problem.endswith("It was given up after 30 days")
    queue = opened(tmp_path).queue()
    assert (queue.letters, queue.dropped) == ((), 1)
    assert send(tmp_path, ONE, NEW).waiting == 0, "and it does not come back"


def test_old_states_are_no_news_for_a_new_channel(tmp_path: Path) -> None:
    assert send(tmp_path, ONE, replace(NEW, created=NOW - FRESH)).waiting == 0
    assert send(tmp_path, ONE, NEW).waiting == 1


def test_a_channel_that_left_the_table_is_named(tmp_path: Path) -> None:
    send(tmp_path, ONE, NEW)
    sent = send(tmp_path, channels())
    assert sent.waiting == 1 and sent.problems == (
        "what waits for github is not delivered: no channel is called so any more",)


def test_a_clock_that_was_far_ahead_keeps_nothing_for_years(tmp_path: Path) -> None:
    ahead = Time(now=NOW + 1e9)
    send(tmp_path, ONE, replace(NEW, created=ahead.now), time=ahead)
    assert opened(tmp_path).queue().letters[0].next > NOW + 9e8
    assert "is not set" in send(tmp_path, ONE).problems[0]


def test_a_disk_that_takes_nothing_fails_no_night(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sent = send(tmp_path / "file" / "spool", ONE, NEW)
    assert "alerts cannot be kept, and are not delivered" in sent.problems[0]


def test_a_damaged_letter_keeps_no_other(tmp_path: Path) -> None:
    send(tmp_path, ONE, NEW)
    (tmp_path / "waiting" / "x.json").write_text("{")
    sent = send(tmp_path, ONE)
    assert sent.waiting == 1 and "x.json cannot be read" in sent.problems[0]


def test_a_fault_of_our_own_is_a_problem_of_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> str:
        raise RuntimeError("plantedSecret")

    monkeypatch.setattr(mail, "deliver", broken)
    sent = send(tmp_path, channels(github={"repository": "o/r"}, mail=MAIL), NEW)
    assert len(sent.problems) == 2 and "planted" not in str(sent.problems)
    assert "a fault of Lockstep's own, RuntimeError in test_alerts.py" in str(sent.problems)


# What channels send


def test_a_post_is_cut_at_its_end_and_keeps_its_marker() -> None:
    long = replace(NEW, markdown="line\n" * 30_000)
    text = github.body(long)
    assert len(text) < 65_000 and text.startswith(github.marker(NEW.thread)) and text.endswith("too long for a post.*")


def test_the_same_message_is_the_same_bytes() -> None:
    (channel,) = channels(mail=MAIL).mail
    assert bytes(mail.write(channel, NEW)) == bytes(mail.write(channel, NEW))
    assert webhook.body(NEW) == webhook.body(NEW)
    assert mail.write(channel, NEW)["Message-ID"] != mail.write(channel, FIXED)["Message-ID"]


def test_a_title_cannot_add_a_header() -> None:
    (channel,) = channels(mail=MAIL).mail
    mails = mail.write(channel, replace(NEW, title="a\r\nBcc: c@example.org"))
    assert mails["Bcc"] is None and "\nBcc" not in str(mails["Subject"])


@pytest.mark.parametrize("value", [None, "", "  ", "a b", "a\nb", "é"])
def test_a_variable_that_holds_no_secret_is_named(value: str | None) -> None:
    with pytest.raises(Failed, match="LOCKSTEP_X") as refusal:
        secrets.get(lambda name: value, "LOCKSTEP_X")
    assert not value or value.strip() == "" or value not in str(refusal.value).replace("variable", "")


def test_secrets_become_stars_however_they_are_written() -> None:
    secret = "ab/cd+ef=="
    words = f"1 {secret} 2 ab%2Fcd%2Bef%3D%3D 3 YWIvY2QrZWY9PQ== 4"
    assert secrets.without(words, [secret]) == "1 *** 2 *** 3 *** 4"
    address = "https://example.org/services/T0/xyzw?key=12345"
    words = f"no {address} at /services/T0/xyzw, xyzw, key=12345"
    assert secrets.without(words, [address]) == "no *** at ***, ***, ***"


def test_a_comment_needs_a_text_a_pull_request_and_a_token(
    lockstep: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCKSTEP_GITHUB_TOKEN", raising=False)
    (tmp_path / "report.md").write_text("words")
    place = ("--repository", "owner/project", "--pull", 7)
    for words, code, said in (
        ((tmp_path / "nowhere.md", *place), 2, "nowhere.md cannot be read"),
        ((tmp_path / "report.md", "--repository", "project", "--pull", 7), 2, "--repository: String should match"),
        ((tmp_path / "report.md", *place[:3], 0), 2, "--pull: Input should be greater than 0"),
        ((tmp_path / "report.md", *place, "--address", "http://example.org"), 2, "--address: http sends everything"),
        ((tmp_path / "report.md", *place), 4, "project: the variable LOCKSTEP_GITHUB_TOKEN is not set."),
    ):
        found, out, error = lockstep("comment", *words)
        assert (found, out) == (code, "") and said in error
