"""Channels against real servers that fail in every way: each state is told once, no secret gets out, nothing raises."""

from __future__ import annotations

import email
import hashlib
import hmac
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from bench import LOCKSTEP, TIME_LIMIT
from pydantic import TypeAdapter
from servers import TOKEN, Fault, GitHub, MailServer, Web, nobody, serving

from runner import alerts
from runner.alerts.github import marker
from runner.alerts.message import Message
from runner.alerts.settings import Channels
from runner.history import events
from runner.history.events import Affected, Entry, Event, State
from runner.jobs import alert, watched
from runner.model import Commit
from runner.report import events as report
from runner.sending import limits
from runner.sending.delivery import Sent

NOW = 1_800_000_000.0
PASSWORD = "plantedPassword42"
SECRETS = {"LOCKSTEP_GITHUB_TOKEN": TOKEN, "LOCKSTEP_SMTP_PASSWORD": PASSWORD, "LOCKSTEP_KEY": "plantedKey77"}
LIMIT = 1.0
"""Seconds for a server that is to say nothing. One that answers has as many as the machine takes."""


@pytest.fixture(autouse=True)
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = "hang" in request.node.name or "drip" in request.node.name
    monkeypatch.setattr(limits, "LIMIT", LIMIT if silent else TIME_LIMIT)


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub) as server:
        yield server


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web) as server:
        yield server


@pytest.fixture
def post() -> Iterator[MailServer]:
    with serving(MailServer) as server:
        yield server


@dataclass(slots=True)
class Time:
    """A clock that goes on only while somebody sleeps."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass(slots=True)
class Service:
    """Somebody who sends."""

    spool: Path
    channels: Channels
    time: Time = field(default_factory=Time)
    secrets: dict[str, str] = field(default_factory=lambda: dict(SECRETS))
    said: list[str] = field(default_factory=list)

    def send(self, *messages: Message, patience: float = 60.0) -> Sent:
        sent = alerts.send(self.spool, self.channels, messages, self.secrets.get, patience=patience, clock=self.time,
                           sleep=self.time.sleep)
        self.said += [*sent.delivered, *sent.problems]
        return sent

    def leaks(self) -> list[str]:
        """Files and sentences that hold a secret."""
        files = {str(path): path.read_text() for path in self.spool.rglob("*") if path.is_file()}
        return [where for where, text in [*files.items(), *((said, said) for said in self.said)]
                if any(secret in text for secret in self.secrets.values())]


def channels(**tables: Any) -> Channels:
    return Channels.model_validate(tables)


def on_github(server: GitHub, **more: Any) -> Channels:
    return channels(github={"repository": "owner/project", "address": server.address, **more})


def to_web(server: Web, **more: Any) -> Channels:
    return channels(webhook={"address": f"{server.address}/hook", **more})


def to_post(server: MailServer, /, **more: Any) -> Channels:
    return channels(mail={"server": "127.0.0.1", "port": server.port, "security": "none", "sender": "bench@example.org",
                          "to": ["ada@example.org", "bob@example.org"], **more})


def commit(number: int) -> Commit:
    hash = f"{number:010x}" * 4
    return Commit(hash=hash, date=NOW - 5000, subject="Do @less #1 <b>", repository="r", position=number)


EVENT = Event(
    watch="main", configuration="", machine="m", suite="s", direction="slower", kind="newest", good=commit(1),
    bad=commit(2), between=1, run="20270115T080000Z-000000", command="lockstep ab git:r@1 git:r@2 -b x",
    opened=NOW - 60,
    benchmarks=(Affected(benchmark="x.time_it(n=1)", ratio=1.2, low=1.19, high=1.21, p=1e-9, run="r"),),
)


def said(*states: State) -> Message:
    entries = tuple(Entry(when=NOW - 50 + number, state=state, who="ada") for number, state in enumerate(states))
    return report.message(replace(EVENT, entries=entries), "https://example.org/site")


NEW, FIXED = said(), said(State.FIXED)

FAULTS: dict[str, Fault] = {
    "500": ("status", (500, {})), "502": ("status", (502, {})), "429": ("status", (429, {"Retry-After": "7"})),
    "limit": ("status", (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()))})),
    "hang": ("hang", None), "drop": ("drop", None), "drip": ("drip", None), "lost": ("lost", None),
    "tear": ("tear", None),
}


# GitHub


def test_an_issue_is_made_once_then_edited_and_closed(tmp_path: Path, github: GitHub) -> None:
    service = Service(tmp_path, on_github(github, labels=["performance"]))
    sent = service.send(NEW)
    assert sent.problems == () and sent.waiting == 0
    (issue,) = github.issues
    assert issue["title"] == "main: 1 benchmark slower, 1.20x, since 0000000002"
    assert issue["labels"] == ["performance"] and issue["state"] == "open"
    assert issue["body"].startswith(marker(NEW.thread)) and "`x.time_it(n=1)`" in issue["body"]
    asked = len(github.asked)
    assert service.send(NEW) == Sent(delivered=(), problems=(), waiting=0)
    assert len(github.asked) == asked, "what has a receipt is not even asked for"
    service.send(FIXED)
    (issue,) = github.issues
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert issue["title"].startswith("fixed: ") and issue["body"].startswith(marker(NEW.thread))
    service.send(said(State.FIXED, State.CONFIRMED))
    assert len(github.issues) == 1 and github.issues[0]["state"] == "open"
    assert service.leaks() == []


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("at", [0, 1])
def test_whatever_fails_there_is_one_issue_in_the_end(tmp_path: Path, github: GitHub, kind: str, at: int) -> None:
    """Asking what is there fails, or making the issue does; `lost` and `tear` have made it, and we cannot know."""
    github.faults.extend([("", None)] * at + [FAULTS[kind]])
    service = Service(tmp_path, on_github(github))
    sent = service.send(NEW)
    assert [line.partition(":")[0] for line in sent.delivered] == ["github"] and sent.problems == ()
    assert len(github.issues) == 1
    assert service.leaks() == []


@pytest.mark.parametrize("kind", FAULTS)
def test_an_edit_that_fails_is_done_later(tmp_path: Path, github: GitHub, kind: str) -> None:
    service = Service(tmp_path, on_github(github))
    service.send(NEW)
    github.faults.append(FAULTS[kind])
    assert service.send(FIXED).problems == ()
    (issue,) = github.issues
    assert issue["state"] == "closed"


def test_what_a_server_asks_to_wait_is_waited(tmp_path: Path, github: GitHub) -> None:
    github.faults.append(("status", (429, {"Retry-After": "3600"})))
    service = Service(tmp_path, on_github(github))
    sent = service.send(NEW)
    assert sent.waiting == 1 and "may be tried again from" in sent.problems[0]
    service.time.now += 3000
    assert service.send(NEW).waiting == 1 and len(github.asked) == 1
    service.time.now += 601
    assert service.send(NEW).waiting == 0 and len(github.issues) == 1


def test_a_token_without_the_right_says_what_could_not_be_posted(tmp_path: Path, github: GitHub) -> None:
    github.may_write = False
    service = Service(tmp_path, on_github(github))
    (problem,) = service.send(NEW).problems
    assert "“main: 1 benchmark slower" in problem and "LOCKSTEP_GITHUB_TOKEN may not post" in problem
    assert "issues=write" in problem and "waits" in problem
    assert github.made == 1, "a refusal is not tried again at once"
    github.may_write = True
    service.time.now += 3601
    assert service.send().delivered and len(github.issues) == 1
    assert service.leaks() == []


@pytest.mark.parametrize(("secrets", "told"), [
    ({}, "LOCKSTEP_GITHUB_TOKEN is not set"), ({"LOCKSTEP_GITHUB_TOKEN": "ghp_oldSecret99"}, "is not valid"),
    ({"LOCKSTEP_GITHUB_TOKEN": "two\nplantedLines"}, "no secret of one word"),
])
def test_a_token_that_is_none_is_named_by_its_variable(
    tmp_path: Path, github: GitHub, secrets: dict[str, str], told: str
) -> None:
    service = Service(tmp_path, on_github(github), secrets=secrets)
    sent = service.send(NEW)
    assert told in sent.problems[0] and sent.waiting == 1
    assert service.leaks() == [] and not any("planted" in line for line in service.said)


def test_a_server_that_repeats_the_token_is_not_repeated(tmp_path: Path, github: GitHub) -> None:
    github.faults.append(("status", (422, {})))
    service = Service(tmp_path, on_github(github))
    (problem,) = service.send(NEW).problems
    assert "planted 422; you sent Bearer ***" in problem and service.leaks() == []


def test_no_redirection_is_followed(tmp_path: Path, github: GitHub, web: Web) -> None:
    """It would take the token to another host."""
    github.faults.append(("status", (301, {"Location": f"{web.address}/repos/new/name/issues"})))
    service = Service(tmp_path, on_github(github))
    assert "owner/project has moved" in service.send(NEW).problems[0]
    assert web.asked == []


def test_our_issue_is_found_when_the_spool_is_lost(tmp_path: Path, github: GitHub) -> None:
    Service(tmp_path / "old", on_github(github)).send(NEW)
    github.issues[:0] = [{"number": 500 + n, "body": None, "place": f"issues/{500 + n}"} for n in range(120)]
    Service(tmp_path / "new", on_github(github)).send(FIXED)
    assert len(github.issues) == 121 and github.issues[-1]["state"] == "closed", "it is on the second page"


def test_an_issue_that_was_deleted_is_made_anew_for_a_new_state(tmp_path: Path, github: GitHub) -> None:
    service = Service(tmp_path, on_github(github))
    service.send(NEW)
    github.issues.clear()
    service.send(FIXED)
    assert [issue["state"] for issue in github.issues] == ["closed"]


@pytest.mark.parametrize(("table", "place"), [
    ({"post": "commit"}, f"commits/{EVENT.bad.hash}/comments"), ({"post": "pull", "pull": 7}, "issues/7/comments"),
])
def test_a_comment_is_edited_in_place(tmp_path: Path, github: GitHub, table: dict[str, Any], place: str) -> None:
    service = Service(tmp_path, on_github(github, **table))
    github.faults.extend([("", None), ("lost", None)])
    service.send(NEW)
    service.send(FIXED)
    assert service.send(NEW, FIXED).problems == ()
    (comment,) = github.comments[place]
    assert github.issues == [] and "fixed" in comment["body"] and "title" not in comment


def test_a_post_stays_true_where_the_event_changes_and_its_state_does_not(tmp_path: Path, github: GitHub) -> None:
    service = Service(tmp_path, on_github(github))
    service.send(NEW)
    wider = replace(EVENT, benchmarks=(*EVENT.benchmarks, replace(EVENT.benchmarks[0], benchmark="y.time_y")))
    service.send(report.message(wider, None))
    service.send(report.message(replace(wider, entries=(Entry(when=NOW, state=State.ACKNOWLEDGED, who="ada"),)), None))
    (issue,) = github.issues
    assert "y.time_y" in issue["body"] and issue["title"].startswith("acknowledged: ")


# Anything over HTTP


def test_a_webhook_gets_json_that_is_signed(tmp_path: Path, web: Web) -> None:
    service = Service(tmp_path, to_web(web, key_from="LOCKSTEP_KEY"))
    service.send(NEW)
    (asked,) = web.asked
    content = json.loads(asked.body)
    assert asked.path == "/hook" and asked.headers["content-type"].startswith("application/json")
    assert content["schema"] == "lockstep.alert/1" and content["event"]["id"] == EVENT.id and content["state"] == "new"
    assert content["event"]["benchmarks"][0]["ratio"] == 1.2
    digest = hmac.new(b"plantedKey77", asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["x-lockstep-signature"] == f"sha256={digest}" and service.leaks() == []


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind != "limit"])
def test_a_webhook_that_fails_is_tried_again_with_the_same_key_and_body(tmp_path: Path, web: Web, kind: str) -> None:
    web.faults.append(FAULTS[kind])
    service = Service(tmp_path, to_web(web))
    assert service.send(NEW).problems == ()
    first, second = web.asked
    assert (first.headers["idempotency-key"], first.body) == (second.headers["idempotency-key"], second.body)
    service.send(FIXED)
    assert web.asked[2].headers["idempotency-key"] != first.headers["idempotency-key"]


def test_an_address_that_is_secret_is_in_no_words(tmp_path: Path, web: Web) -> None:
    address = f"{web.address}/services/T000/plantedPath?key=plantedQuery"
    table = channels(webhook={"address_from": "LOCKSTEP_HOOK"})
    service = Service(tmp_path, table, secrets={"LOCKSTEP_HOOK": address})
    web.faults.extend([("status", (404, {}))])
    service.send(NEW)
    service.secrets["LOCKSTEP_HOOK"] = "http://127.0.0.1:1/plantedPath"
    service.time.now += 3601
    service.send()
    service.secrets["LOCKSTEP_HOOK"] = "ftp://plantedHost/x"
    service.time.now += 7200
    service.send()
    assert len(service.said) == 3
    assert not any("planted" in line for line in service.said)
    assert not any("planted" in path.read_text() for path in tmp_path.rglob("*.json"))
    service.secrets["LOCKSTEP_HOOK"] = address
    service.time.now += 90_000
    assert service.send().delivered and web.asked[-1].path.startswith("/services/T000/plantedPath?key=")


def test_nobody_listens(tmp_path: Path) -> None:
    with nobody() as port:
        table = channels(webhook={"address": f"http://127.0.0.1:{port}/hook"})
        sent = Service(tmp_path, table).send(NEW, FIXED)
    assert sent.waiting == 2 and len(sent.problems) == 1 and "no connection" in sent.problems[0]


# Mail


def test_a_mail_is_taken(tmp_path: Path, post: MailServer) -> None:
    service = Service(tmp_path, to_post(post))
    service.send(NEW)
    service.send(NEW, FIXED)
    first, second = (email.message_from_string(taken.text) for taken in post.post.taken)
    assert first["Subject"] == "main: 1 benchmark slower, 1.20x, since 0000000002"
    assert first["Message-ID"] != second["Message-ID"] and first["References"] == second["References"]
    assert first["Auto-Submitted"] == "auto-generated"
    assert "x.time_it(n=1)" in str(first.get_payload(decode=True))
    assert post.post.taken[0].to == ("ada@example.org", "bob@example.org")


@pytest.mark.parametrize("fault", ["hang", "drop", "drip", "451", "550"])
def test_a_mail_that_was_not_taken_is_sent_again(tmp_path: Path, post: MailServer, fault: str) -> None:
    post.post.faults.append(fault)
    service = Service(tmp_path, to_post(post))
    sent = service.send(NEW)
    assert (sent.waiting == 1) is (fault == "550"), "what was refused for good is not tried again at once"
    service.time.now += 3601
    assert service.send().problems == ()
    assert len(post.post.taken) == 1


def test_a_mail_whose_answer_was_lost_has_the_same_id_again(tmp_path: Path, post: MailServer) -> None:
    post.post.faults.append("lost")
    Service(tmp_path, to_post(post)).send(NEW)
    first, second = post.post.taken
    assert first.text == second.text


def test_whom_the_server_does_not_know_keeps_nobody_from_reading(tmp_path: Path, post: MailServer) -> None:
    post.post.nobody = ("bob@example.org",)
    service = Service(tmp_path, to_post(post))
    (line,) = service.send(NEW).delivered
    assert "taken for ada@example.org; refused for bob@example.org" in line
    assert service.send(NEW) == Sent(delivered=(), problems=(), waiting=0) and len(post.post.taken) == 1


@pytest.mark.parametrize("password", [PASSWORD, "another"])
def test_a_password_is_in_no_words(tmp_path: Path, post: MailServer, password: str) -> None:
    post.post.password = password
    service = Service(tmp_path, to_post(post, user="ada"))
    sent = service.send(NEW)
    assert bool(sent.delivered) is (password == PASSWORD)
    assert sent.delivered or "does not accept user and password (535)" in sent.problems[0]
    assert service.leaks() == []


# Encryption


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificate can be made here: {error}")
    return folder


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return made


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_server_whose_certificate_is_trusted_gets_a_token(
    tmp_path: Path, github: GitHub, certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    github.socket = context(certificate).wrap_socket(github.socket, server_side=True)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    table = on_github(github, address=github.address.replace("http:", "https:"))
    sent = Service(tmp_path, table).send(NEW, patience=0)
    assert (len(github.issues) == 1) is trusted
    assert trusted or ("certificate is not trusted" in sent.problems[0] and github.asked == [])


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_mail_server_whose_certificate_is_trusted_gets_a_password(
    tmp_path: Path, post: MailServer, certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    post.post.tls, post.post.password = context(certificate), PASSWORD
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    table = to_post(post, server="localhost", security="starttls", user="ada")
    sent = Service(tmp_path, table).send(NEW, patience=0)
    assert (len(post.post.taken) == 1) is trusted
    assert trusted or "certificate is not trusted" in sent.problems[0]


def test_a_mail_server_without_encryption_gets_nothing_where_it_is_asked_for(tmp_path: Path, post: MailServer) -> None:
    post.post.password = PASSWORD
    sent = Service(tmp_path, to_post(post, security="starttls", user="ada")).send(NEW)
    assert "lacks what is asked for" in sent.problems[0] and post.post.taken == []


# Crashes, and several at once


SENDER = """
import sys, time
from pathlib import Path
from runner import alerts
from runner.alerts.message import Message
from runner.alerts.settings import Channels
from pydantic import TypeAdapter
channels = Channels.model_validate_json(sys.argv[2])
message = TypeAdapter(Message).validate_json(sys.argv[3])
print("ready", flush=True)
sys.stdin.read(1)
alerts.send(Path(sys.argv[1]), channels, [message], {"LOCKSTEP_GITHUB_TOKEN": sys.argv[4]}.get, clock=lambda: 1.8e9)
"""


def killed(spool: Path, table: Channels, server: Web) -> None:
    """Send in a process that dies the moment the server has done what was asked, and has not answered."""
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, spool, table.model_dump_json(exclude_none=True),
         TypeAdapter(Message).dump_json(NEW).decode(), TOKEN],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        assert process.stdout.readline() == b"ready\n"
        kind = 1 if isinstance(server, GitHub) else 0  # GitHub is asked first what is there
        server.faults.extend([("", None)] * kind + [("then", lambda: process.send_signal(signal.SIGKILL))])
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(TIME_LIMIT) == -signal.SIGKILL


def test_a_kill_between_an_issue_and_its_receipt_makes_no_second_issue(tmp_path: Path, github: GitHub) -> None:
    killed(tmp_path, on_github(github), github)
    assert len(github.issues) == 1
    service = Service(tmp_path, on_github(github))
    assert service.send(NEW).waiting == 0
    assert len(github.issues) == 1 and github.made == 1
    assert service.send(NEW, FIXED).waiting == 0
    assert len(github.issues) == 1 and github.issues[0]["state"] == "closed"


def test_a_kill_between_a_post_and_its_receipt_sends_what_the_receiver_knows(tmp_path: Path, web: Web) -> None:
    killed(tmp_path, to_web(web), web)
    Service(tmp_path, to_web(web)).send(NEW)
    first, second = web.asked
    assert (first.headers["idempotency-key"], first.body) == (second.headers["idempotency-key"], second.body)


def test_two_that_send_at_once_send_once(tmp_path: Path, web: Web) -> None:
    there, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        there.set()
        go_on.wait(TIME_LIMIT)

    web.faults.append(("then", wait))
    first = threading.Thread(target=Service(tmp_path, to_web(web)).send, args=(NEW,), kwargs={"patience": 0})
    first.start()
    assert there.wait(TIME_LIMIT)
    second = Service(tmp_path, to_web(web)).send(NEW)
    assert second.problems == ("another process delivers alerts just now, and these too",) and len(web.asked) == 1
    go_on.set()
    first.join()


# All of it


def test_one_channel_that_hangs_keeps_no_other_and_no_night(tmp_path: Path, github: GitHub, web: Web) -> None:
    table = Channels(github=on_github(github).github, webhook=to_web(web).webhook)
    web.faults.extend([("hang", None)] * 50)
    service = Service(tmp_path, table)
    sent = service.send(NEW, FIXED)
    assert [line.partition(":")[0] for line in sent.delivered] == ["github", "github"]
    assert sent.waiting == 2 and len(sent.problems) == 1 and "webhook" in sent.problems[0]
    assert len(web.asked) <= 6, "pauses become longer"


def test_a_night_is_told_by_the_same_words_everywhere(
    tmp_path: Path, github: GitHub, web: Web, post: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the configuration's text to all servers and the file, by the environment."""
    monkeypatch.setenv("LOCKSTEP_GITHUB_TOKEN", TOKEN)
    (tmp_path / "lockstep.toml").write_text(f"""
        [channels]
        events = "events"
        [[channels.github]]
        repository = "owner/project"
        address = "{github.address}"
        [channels.webhook]
        address = "{web.address}"
        [channels.mail]
        server = "127.0.0.1"
        port = {post.port}
        security = "none"
        sender = "bench@example.org"
        to = ["ada@example.org"]
        """)
    table = watched.service(tmp_path / "lockstep.toml").channels
    now = time.time()
    events.write(tmp_path / "events", replace(EVENT, id="", opened=now))
    alarm = Message(
        key="night/n1", thread="night/n1", watch="main", kind="alarm", state="alarm", began=now, created=now,
        title="main: does not build", markdown="- `a.c:1: error`", text="a.c:1: error\n", data={"night": "n1"},
    )
    for _ in range(2):
        sent = alert.tell(table, tmp_path / "state", alarms=[alarm], patience=0)
        assert sent.problems == () and sent.waiting == 0
    assert [issue["title"] for issue in github.issues] == ["main: does not build", NEW.title]
    assert len(web.asked) == 2 and len(post.post.taken) == 2
    assert "x.time_it" in (tmp_path / "state" / "events.md").read_text()
    assert not any(TOKEN in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def commands(folder: Path, *lines: Sequence[str]) -> list[subprocess.CompletedProcess[str]]:
    return [subprocess.run(
        [str(LOCKSTEP), *words], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "LOCKSTEP_GITHUB_TOKEN": TOKEN}, timeout=TIME_LIMIT,
    ) for words in lines]


def test_triage_closes_the_issue(tmp_path: Path, github: GitHub) -> None:
    (tmp_path / "lockstep.toml").write_text(f"""
        state = "state"
        [channels.github]
        repository = "owner/project"
        address = "{github.address}"
        """)
    events.write(tmp_path / "state" / "events", replace(EVENT, id="", opened=time.time() - 5))
    sent, fixed = commands(
        tmp_path, ("events", "--send"), ("triage", "0000000002", "fixed", "--note", "gh-1", "--who", "ada"))
    assert sent.returncode == fixed.returncode == 0, (sent.stderr, fixed.stderr)
    assert "told github" in sent.stdout and "told github" in fixed.stdout
    (issue,) = github.issues
    assert issue["state"] == "closed" and "gh-1" in issue["body"]
