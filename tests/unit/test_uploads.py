"""What waits to be sent to a server, and what the command line says of it; no network, since no token is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import make_run, some_benchmarks
from test_nights import MEASURED, work

from runner.client import Client
from runner.errors import UsageError
from runner.jobs import nightly, upload, watched
from runner.jobs.upload import UploadRequest
from runner.jobs.watched import Server
from runner.storage import shelf, store

Lockstep = Callable[..., tuple[int, str, str]]
SERVER = Server(address="https://lockstep.example.org")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token, and no configuration but the test's own."""
    monkeypatch.delenv("LOCKSTEP_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def run(state: Path) -> Path:
    return make_run(state / "runs", 1, some_benchmarks(1))


# What waits


def test_what_cannot_be_sent_waits_and_is_said(state: Path, run: Path) -> None:
    sent = upload.send(SERVER, state, UploadRequest(folders=[run]))
    assert (sent.delivered, sent.waiting) == ((), 1)
    assert f"server: “run {run.name}” could not be delivered: the variable LOCKSTEP_TOKEN is not set" in str(sent)
    assert upload.send(SERVER, state, UploadRequest(folders=[run])).problems == (), "it is not due"
    (letter,) = upload.opened(state).queue().letters
    assert (letter.tries, letter.message.folder) == (1, run.absolute())
    assert "is not set" in str(upload.send(SERVER, state, UploadRequest(waiting=True))), "a person may say when"
    assert "is not set" in str(upload.send(SERVER, state, UploadRequest(folders=[run], again=True)))
    assert len(upload.opened(state).queue().letters) == 1


def test_a_run_is_known_by_what_it_holds(state: Path, run: Path) -> None:
    upload.send(SERVER, state, UploadRequest(folders=[run]))
    (run / store.REPORT).write_text("{}")
    upload.send(SERVER, state, UploadRequest(folders=[run]))
    assert len(upload.opened(state).queue().letters) == 1, "reports are not sent"
    blocks = (run / store.BLOCKS).read_bytes()
    (run / store.BLOCKS).write_bytes(blocks + blocks.splitlines(keepends=True)[-1])
    upload.send(SERVER, state, UploadRequest(folders=[run]))
    upload.send(Server(address="https://other.example.org"), state, UploadRequest(folders=[run]))
    assert len({letter.message.key for letter in upload.opened(state).queue().letters}) == 3


def test_a_run_that_is_gone_is_given_up_and_that_is_said(state: Path, run: Path) -> None:
    upload.send(SERVER, state, UploadRequest(folders=[run]))
    shelf.remove(run)
    sent = upload.send(SERVER, state, UploadRequest())
    assert sent.problems == (f"run {run.name} is not sent: {run} is not there any more",) and sent.waiting == 0
    assert upload.send(SERVER, state, UploadRequest()).problems == ()
    with pytest.raises(UsageError, match="is not a run folder"):
        upload.send(SERVER, state, UploadRequest(folders=[run]))


def test_a_disk_that_takes_nothing_is_a_problem_and_no_error(state: Path, run: Path) -> None:
    (state / "spool").write_text("")
    sent = upload.send(SERVER, state, UploadRequest(folders=[run], again=True))
    assert "runs cannot be kept, and are not delivered" in str(sent.problems)


# A night


def test_a_night_goes_on_whatever_the_server_does(state: Path, run: Path) -> None:
    found = work(state)
    found.keep(measured=(replace(MEASURED, run=run.name),))
    nightly._do(found, "upload")
    step = found.night.step("upload")
    assert step is not None and step.ended is not None and step.problem == "", "no server is named"
    found.settings = found.settings.model_copy(update={"server": SERVER})
    nightly._do(found, "upload")
    step = found.night.step("upload")
    assert step is not None and step.ended is not None and "LOCKSTEP_TOKEN is not set" in step.problem
    assert [letter.message.run for letter in upload.opened(state).queue().letters] == [run.name]


# The configuration


def test_the_server_is_named_in_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "lockstep.toml"
    assert watched.service(None).server is None
    file.write_text('[server]\naddress = "https://lockstep.example.org/"\n')
    assert watched.service(file).server == SERVER
    for line, told in (
        ('address = "http://lockstep.example.org"', "2: server.address: http sends everything in the open"),
        ('address = "https://ada:planted@example.org"', "2: server.address: no user, password or fragment"),
        ('address = "https://x"\ntoken_from = "lst_planted"', "3: server.token_from: name an environment"),
        ('token_from = "LOCKSTEP_X"', "1: server.address: it is missing"),
        ('address = "https://x"\nsecret = "planted"', "no such key; there are: address, token_from"),
    ):
        file.write_text(f"[server]\n{line}\n")
        with pytest.raises(UsageError) as refusal:
            watched.service(file)
        assert told in str(refusal.value) and "planted" not in str(refusal.value)


# The command line


def test_the_command_says_what_it_lacks(lockstep: Lockstep, tmp_path: Path, state: Path, run: Path) -> None:
    for words, code, said in (
        ((), 2, "nothing is to be sent: no runs wait from before. Name a run"),
        (("last",), 2, "to which server? Say --server URL, or put it into lockstep.toml: [server]"),
        (("last", "--server", "http://example.org"), 2, "--server: http sends everything in the open"),
        (("last", "--server", "planted"), 2, "--server: that is no address"),
        (("nothing", "--server", SERVER.address), 2, "there is no run 'nothing' under"),
        (("last", "--server", SERVER.address), 4, "1 run waits; to try again: lockstep upload --waiting"),
        ((), 2, "nothing is to be sent: 1 run waits from before"),
        (("--waiting",), 2, "to which server?"),
        (("--waiting", "--server", SERVER.address), 4, "the variable LOCKSTEP_TOKEN is not set"),
    ):
        found, out, error = lockstep("upload", *words)
        assert (found, out) == (code, "") and said in error, (words, error)
        assert "planted" not in error


def test_nothing_that_waits_is_no_failure(lockstep: Lockstep) -> None:
    assert lockstep("upload", "--waiting") == (0, "nothing waits to be sent\n", "")


def test_a_run_that_is_being_measured_is_not_sent(lockstep: Lockstep, run: Path) -> None:
    with store.appending(run):
        code, _, error = lockstep("upload", run, "--server", SERVER.address)
    assert code == 2 and f"{run.name} is being measured just now" in error


def test_status_shows_what_waits(lockstep: Lockstep, state: Path, run: Path) -> None:
    assert lockstep("status", "--strict")[0] == 0
    upload.send(SERVER, state, UploadRequest(folders=[run]))
    code, out, _ = lockstep("status", "--strict")
    assert code == 3 and f"server: run {run.name}: the variable LOCKSTEP_TOKEN is not set" in out and "1 waiting" in out


# The client


@pytest.mark.parametrize("address", ["http://example.org", "example.org", "https://ada:x@example.org", ""])
def test_a_client_sends_no_token_in_the_open(address: str) -> None:
    with pytest.raises(ValueError, match=r"use https|no address|no user"):
        Client(address, "lst_planted")
