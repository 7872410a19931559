"""Runs on their way to a server that fails in every way: each is there once, none is lost, no token gets out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bench import LOCKSTEP, TIME_LIMIT, ended
from servers import LST, Fault, Reception, Web, nobody, serving
from watched_project import Watched

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_runs import MACHINE, make_run, some_benchmarks

from runner.client import Client, Refused
from runner.jobs import upload
from runner.jobs.upload import UploadRequest
from runner.jobs.watched import Server
from runner.sending import Failed, limits, spool, web
from runner.sending.delivery import Sent
from runner.storage import origin, parcel, store
from runner.storage.nights import Outcome

LIMIT = 1.0
"""Seconds for a server that is to say nothing. One that answers has as many as the machine takes."""

SILENT = ("hang", "drip")

FAULTS: dict[str, Fault] = {
    "500": ("status", (500, {})), "503": ("status", (503, {})), "429": ("status", (429, {})), "hang": ("hang", None),
    "drop": ("drop", None), "drip": ("drip", None), "lost": ("lost", None), "tear": ("tear", None),
    "early": ("early", 503),
}


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = any(kind in request.node.name for kind in SILENT)
    monkeypatch.setattr(limits, "LIMIT", LIMIT if silent else TIME_LIMIT)
    monkeypatch.setattr(spool, "FIRST", 0.05)
    monkeypatch.setenv("LOCKSTEP_TOKEN", LST)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Reception]:
    with serving(lambda: Reception(tmp_path / "there")) as reception:
        yield reception


@dataclass(slots=True)
class Machine:
    """One that has measured."""

    folder: Path
    server: Web | SimpleNamespace
    said: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, number: int = 1) -> Path:
        return make_run(self.state / "runs", number, some_benchmarks(2), machine={**MACHINE, "host": "5eed" * 4})

    def send(self, *folders: Path, patience: float = TIME_LIMIT, **more: Any) -> Sent:
        sent = upload.send(Server(address=self.server.address), self.state, UploadRequest(
            folders=folders, patience=patience, **more))
        self.said += [*sent.delivered, *sent.problems]
        return sent

    def leaks(self) -> list[str]:
        """Files and sentences that hold the token."""
        files = {str(path): path.read_text() for path in self.state.rglob("*.json*")}
        return [where for where, text in [*files.items(), *((said, said) for said in self.said)] if LST in text]


@pytest.fixture
def machine(tmp_path: Path, server: Reception) -> Machine:
    return Machine(tmp_path, server)


def there(server: Reception) -> dict[str, str]:
    """The runs of a server, each with the digest of what it holds."""
    return {place.name: parcel.contents(place).digest for place in sorted(server.runs.iterdir())}


def here(*folders: Path) -> dict[str, str]:
    return {place.name: parcel.contents(place).digest for place in folders}


# Once


def test_a_run_is_sent_whole_and_once(machine: Machine, server: Reception) -> None:
    one, two = machine.run(1), machine.run(2)
    sent = machine.send(one, two)
    assert sent.problems == () and sent.waiting == 0 and there(server) == here(one, two)
    assert sorted(sent.delivered) == [
        f"server: run {run.name} ({server.address}/runs/{run.name}.html)" for run in (one, two)]
    assert machine.send(one, two) == Sent(delivered=(), problems=(), waiting=0)
    assert len(server.asked) == 2, "what has a receipt is not even asked for"
    (line,) = machine.send(one, again=True).delivered
    assert line.endswith(".html, which it had)") and there(server) == here(one, two)
    assert machine.leaks() == []


def test_a_run_that_has_grown_is_sent_again(machine: Machine, server: Reception) -> None:
    run = machine.run()
    blocks = (run / store.BLOCKS).read_bytes()
    (run / store.BLOCKS).write_bytes(blocks[: len(blocks) // 2])
    assert machine.send(run).delivered
    (run / store.BLOCKS).write_bytes(blocks)
    assert machine.send(run).delivered and there(server) == here(run)
    assert not machine.send(run).delivered


@pytest.mark.parametrize("kind", FAULTS)
def test_whatever_fails_there_is_one_run_in_the_end(
    machine: Machine, server: Reception, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lost` and `tear` have taken it, and we cannot know."""
    run = machine.run()
    fault, what = FAULTS[kind]
    if fault in SILENT:  # the next request has all the time that it takes
        what = partial(monkeypatch.setattr, limits, "LIMIT", TIME_LIMIT)
    server.faults.append((fault, what))
    sent = machine.send(run)
    assert sent.problems == () and sent.waiting == 0 and len(sent.delivered) == 1
    assert there(server) == here(run)
    first, second = server.asked
    assert second.headers["idempotency-key"] == first.headers["idempotency-key"]
    assert second.body == first.body or kind == "early"
    assert ("which it had" in sent.delivered[0]) is (kind in ("lost", "tear"))
    assert machine.leaks() == []


SENDER = """
import sys
from pathlib import Path
from runner.jobs import upload
from runner.jobs.watched import Server
print("ready", flush=True)
sys.stdin.read(1)
upload.send(Server(address=sys.argv[1]), Path(sys.argv[2]), upload.UploadRequest(folders=[Path(sys.argv[3])]))
"""


def test_a_kill_between_a_run_and_its_receipt_leaves_one_run(machine: Machine, server: Reception) -> None:
    run = machine.run()
    with subprocess.Popen([sys.executable, "-c", SENDER, server.address, machine.state, run],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        server.faults.append(("then", lambda: process.send_signal(signal.SIGKILL)))
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(TIME_LIMIT) == -signal.SIGKILL
    assert there(server) == here(run)
    (line,) = machine.send(waiting=True).delivered
    assert "which it had" in line and there(server) == here(run)


def test_two_that_send_at_once_send_once(machine: Machine, server: Reception) -> None:
    run, begun, go_on = machine.run(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(TIME_LIMIT)

    server.faults.append(("then", wait))
    first = threading.Thread(target=machine.send, args=(run,), kwargs={"patience": 0.0})
    first.start()
    assert begun.wait(TIME_LIMIT)
    second = machine.send(run, patience=0.0)
    assert second.problems == ("another process delivers runs just now, and these too",) and len(server.asked) == 1
    go_on.set()
    first.join()


# Later


def test_a_server_that_is_away_is_asked_once_for_all(machine: Machine, tmp_path: Path) -> None:
    runs = [machine.run(number) for number in range(3)]
    with nobody() as port:
        gone = machine.server = SimpleNamespace(address=f"http://127.0.0.1:{port}")
        sent = machine.send(*runs, patience=0.0)
        assert sent.waiting == 3 and len(sent.problems) == 1 and "no connection" in sent.problems[0]
        with serving(lambda: Reception(tmp_path / "another")) as another:
            machine.server = another
            sent = machine.send(waiting=True, patience=0.0)
            assert sent.waiting == 3 and all(f"it is for {gone.address}, and" in problem for problem in sent.problems)
            assert another.asked == [], "the token is for the server that is named now"
            sent = machine.send(*runs)
            assert len(sent.delivered) == 3 and there(another) == here(*runs)


def test_what_a_server_asks_to_wait_is_waited(machine: Machine, server: Reception) -> None:
    server.faults.append(("status", (503, {"Retry-After": "3600"})))
    run = machine.run()
    sent = machine.send(run)
    assert sent.waiting == 1 and "may be tried again from" in sent.problems[0]
    assert machine.send(run).waiting == 1 and len(server.asked) == 1, "nor does a night try"
    assert machine.send(waiting=True).waiting == 0 and there(server) == here(run), "a person may"


def test_a_token_that_lets_nobody_in_is_tried_once_for_all(
    machine: Machine, server: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "lst_another"
    runs = [machine.run(number) for number in range(3)]
    sent = machine.send(*runs)
    assert len(server.asked) == 1 and sent.waiting == 3 and len(sent.problems) == 1
    assert "answered 401: Nobody is let in. You sent Bearer ***." in sent.problems[0]
    monkeypatch.delenv("LOCKSTEP_TOKEN")
    (problem,) = machine.send(waiting=True).problems
    assert "LOCKSTEP_TOKEN is not set" in problem and len(server.asked) == 1
    monkeypatch.setenv("LOCKSTEP_TOKEN", LST)
    server.token = LST
    assert machine.send(waiting=True).waiting == 0 and there(server) == here(*runs)
    assert machine.leaks() == []


def test_what_is_refused_keeps_no_other(machine: Machine, server: Reception) -> None:
    one, two = machine.run(1), machine.run(2)
    (server.runs / one.name).mkdir()
    for name in (store.MANIFEST, store.BLOCKS):
        (server.runs / one.name / name).write_bytes((two / name).read_bytes())
    sent = machine.send(one, two)
    assert sent.waiting == 1 and "answered 409: This run is here, and is another. Its blocks differ." in str(sent)
    assert parcel.contents(server.runs / two.name).digest == parcel.contents(two).digest


def test_no_redirection_is_followed(machine: Machine, server: Reception) -> None:
    with serving(Web) as other:
        server.faults.append(("status", (308, {"Location": f"{other.address}/api/v1/runs"})))
        assert "the address is another one now" in machine.send(machine.run()).problems[0]
        assert other.asked == []


# A request with a file


def test_a_server_that_refuses_before_it_has_read_all_is_heard(server: Reception) -> None:
    """What it has not read by then makes the pipe break."""
    size = 32 << 20
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        for _ in range(5):
            server.faults.append(("early", 413))
            file.seek(0)
            answer = web.request(
                "POST", f"{server.address}/x", body=file, headers={"Content-Length": str(size)}, more=20.0)
            assert answer.status == 413 and answer.json()["detail"] == "It was not read."
        assert file.tell() <= size


def test_a_file_is_sent_from_where_it_stands(server: Reception) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(300_000))
        file.seek(100_000)
        web.request("POST", f"{server.address}/x", body=file, headers={"Content-Length": "200000"})
        file.seek(100_000)
        assert server.asked[0].body == file.read()


def test_an_answer_of_another_server_is_none(machine: Machine) -> None:
    run = machine.run()
    with serving(Web) as other, pytest.raises(Failed, match="something that a Lockstep server does not"):
        Client(other.address, LST).upload(run)
    with serving(Web) as other:
        other.faults.append(("status", (403, {})))
        with pytest.raises(Refused) as refusal:
            Client(other.address, LST).upload(run)
    assert (refusal.value.status, refusal.value.slug, refusal.value.refused) == (403, "", True)


# The real server


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a server, and the token of a machine."""
    data = tmp_path / "served"
    made = subprocess.run(
        [LOCKSTEP, "token", "create", "bench1", "--machine", "--scope", "submit", "--data", data],
        capture_output=True, text=True, check=True, timeout=TIME_LIMIT)
    with ended(subprocess.Popen([LOCKSTEP, "serve", "--port", "0", "--data", data], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)) as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("serving ")), "")
        assert line, "it has ended"
        yield line.split()[-1], made.stdout.strip()


def test_the_real_server_takes_what_the_client_sends(
    machine: Machine, real: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, token = real
    runs = tmp_path / "served" / "runs"
    one, two = machine.run(1), machine.run(2)
    client = Client(address, token)
    assert client.upload(one).fresh and not client.upload(one).fresh
    assert here(runs / one.name) == here(one) and origin.read(runs / one.name) is not None
    with pytest.raises(Refused) as refusal:
        Client(address, LST).upload(two)
    assert refusal.value.closed and LST not in str(refusal.value)
    server = Server(address=address)
    assert "answered 401" in str(upload.send(server, machine.state, UploadRequest(folders=[one, two])).problems)
    monkeypatch.setenv("LOCKSTEP_TOKEN", token)
    sent = upload.send(server, machine.state, UploadRequest(waiting=True))
    assert sent.problems == () and sent.waiting == 0
    assert sorted("which it had" in line for line in sent.delivered) == [False, True]
    assert {place.name for place in runs.iterdir()} == {one.name, two.name}


# From the command line


def commands(folder: Path, *lines: tuple[object, ...]) -> list[subprocess.CompletedProcess[str]]:
    return [subprocess.run([LOCKSTEP, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False,
                           timeout=TIME_LIMIT) for words in lines]


def test_a_person_sends_runs(
    machine: Machine, server: Reception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machine.run(1), machine.run(2)
    (tmp_path / "lockstep.toml").write_text(f'state = "state"\n[server]\naddress = "{server.address}"\n')
    monkeypatch.delenv("LOCKSTEP_TOKEN")
    (refused,) = commands(tmp_path, ("upload", "last"))
    assert refused.returncode == 4 and "LOCKSTEP_TOKEN is not set" in refused.stderr
    assert "1 run waits; to try again: lockstep upload --waiting" in refused.stderr
    monkeypatch.setenv("LOCKSTEP_TOKEN", LST)
    waiting, named, again = commands(tmp_path, ("upload", "--waiting"), ("upload", one), ("upload", one.name))
    assert (waiting.returncode, named.returncode, again.returncode) == (0, 0, 0), (waiting, named, again)
    assert waiting.stdout == f"sent to server: run {two.name} ({server.address}/runs/{two.name}.html)\n"
    assert named.stdout == f"sent to server: run {one.name} ({server.address}/runs/{one.name}.html)\n"
    assert "which it had" in again.stdout and there(server) == here(one, two)


def test_a_night_sends_its_runs_and_fails_by_no_server(server: Reception, tmp_path: Path) -> None:
    project = Watched(folder=tmp_path).begin()
    project.file.write_text(f'{project.file.read_text()}\n[server]\naddress = "{server.address}"\n')
    server.faults.append(("status", (403, {})))
    said = project.night()
    (night,), (run,) = project.nights(), [project.state / "runs" / id for id in project.runs()]
    assert night.outcome is Outcome.DONE and "upload: server: “run " in said and "the server answered 403" in said
    (waiting,) = commands(tmp_path, ("upload", "--waiting"))
    assert waiting.returncode == 0 and there(server) == here(run)
