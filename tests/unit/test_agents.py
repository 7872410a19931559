"""What an agent takes on and refuses, what it keeps of that, and what it shows to the code of strangers."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import arm, make_run, some_benchmarks

from runner import config
from runner.cage import Cage
from runner.client import Beat, Refused
from runner.errors import MachineError, UsageError
from runner.jobs import agent as job
from runner.jobs import errand as work
from runner.model import Purpose, Role
from runner.sending import Failed
from runner.storage import errands, store
from runner.storage.errands import Errand, State

ERRAND = Errand(
    server="https://lockstep.example.org", request="5b1e", lease="l1", taken=1.8e9, base="cpython@3.13.5+nocow",
    head="cpython@3.13.5", suite="bytesio", select=None, margin="1%", budget="10m",
)
RUN = "20261128T182707Z-e6513a"

# --- What a request may name


@pytest.mark.parametrize(("text", "strange"), [
    ("cpython@3.13.5", False), ("cpython@3.13.5+nocow", False), ("cpython@3.13.5+nocow?pgo&lto", False),
    ("git:https://github.com/python/cpython@main", True), ("git:http://127.0.0.1:8000/a@main", True),
])
def test_what_strangers_have_a_hand_in(text: str, strange: bool) -> None:
    assert work.strange(text) is strange


@pytest.mark.parametrize(("change", "why"), [
    ({"head": "dir:/root/cpython"}, "of one machine alone"),
    ({"suite": "/root/benchmarks"}, "suite: a request names bytesio, consumers, pyperformance, or some"),
    ({"suite": "consumers|pyperformance"}, "suite: a request names"),
    ({"suite": "pyperformance --help"}, "suite: it has a character"),
    ({"select": "(a+)+$"}, "select: write parts"), ({"margin": "90%"}, "margin: 0.9 is not between"),
    ({"base": "cpython@3.13.5?configure=CC=/tmp/cc"}, "of the options of a build"),
    ({"budget": "long"}, "is not a time"),
    ({"head": "git:https://example.org/a@main"}, "builds releases only"),
])
def test_a_request_that_is_refused_has_failed_in_words(tmp_path: Path, change: dict[str, str], why: str) -> None:
    errand = replace(ERRAND, **change)
    errands.write(tmp_path, errand)
    done = work.measured(errand, work.Ways(top=tmp_path, untrusted="refuse"), lambda note: None)
    assert done.state is State.FAILED and done.run == "" and why in done.problem


# --- What is kept of a request


def test_an_errand_is_read_as_it_was_written(tmp_path: Path) -> None:
    done = replace(ERRAND, select="construct|getvalue", state=State.MEASURED)
    for number in range(3):
        errands.write(tmp_path, replace(done, request=f"r{number}"))
    folders = errands.all_of(tmp_path)
    assert [folder.name for folder in folders] == ["r0", "r1", "r2"]
    assert errands.read(folders[1]) == replace(done, request="r1")
    errands.remove(tmp_path, errands.read(folders[1]))
    assert [folder.name for folder in errands.all_of(tmp_path)] == ["r0", "r2"]
    assert not folders[1].exists()


@given(st.text())
def test_the_id_of_a_request_names_a_folder_and_leads_nowhere_else(id: str) -> None:
    try:
        folder = errands.folder_of(Path("/errands"), id)
    except UsageError:
        return
    assert folder.parent == Path("/errands") and folder.name == id and folder.resolve() == folder


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "/etc", "-x", "a\n", "é", "x" * 65])
def test_what_is_no_id(id: str) -> None:
    with pytest.raises(UsageError, match="no id of a request"):
        errands.folder_of(Path("/errands"), id)


@pytest.mark.parametrize("change", [{"schema": "lockstep.errand/2"}, {"request": "other"}, {"state": "lost"}])
def test_what_is_no_errand_is_said(tmp_path: Path, change: dict[str, str]) -> None:
    errands.write(tmp_path, ERRAND)
    file = tmp_path / ERRAND.request / errands.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match=r"remove .*5b1e"):
        errands.read(file.parent)


def run_folder(top: Path, name: str = RUN) -> Path:
    run = top / ERRAND.request / errands.WORK / errands.RUNS / name
    run.mkdir(parents=True)
    for file in (store.MANIFEST, store.BLOCKS):
        (run / file).write_text("{}\n")
    return run


def test_the_newest_run_counts(tmp_path: Path) -> None:
    errands.write(tmp_path, ERRAND)
    assert errands.run_of(tmp_path / ERRAND.request) is None
    run_folder(tmp_path)
    newest = run_folder(tmp_path, "20261129T000000Z-000000")
    (newest.parent / "20261130T000000Z-000000").mkdir()  # without a manifest: it was not begun
    assert errands.run_of(tmp_path / ERRAND.request) == newest.name


def test_a_run_is_taken_out_of_reach(tmp_path: Path) -> None:
    errands.write(tmp_path, ERRAND)
    run = run_folder(tmp_path)
    (run / "report.html").write_text("<script>")
    for _ in range(2):
        taken = errands.take_out(tmp_path / ERRAND.request, RUN)
    assert taken == tmp_path / ERRAND.request / errands.RUN / RUN
    assert sorted(path.name for path in taken.iterdir()) == [store.BLOCKS, store.MANIFEST]


@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "pipe", "large"])
def test_what_leads_elsewhere_is_not_taken_out(tmp_path: Path, kind: str) -> None:
    plant(tmp_path, kind)
    assert errands.run_of(tmp_path / ERRAND.request) == RUN
    with pytest.raises(UsageError, match="is not as Lockstep leaves one"):
        errands.take_out(tmp_path / ERRAND.request, RUN)


@pytest.mark.parametrize("kind", ["linked manifest", "linked folder", "linked runs", "name"])
def test_a_run_that_leads_elsewhere_is_none(tmp_path: Path, kind: str) -> None:
    plant(tmp_path, kind)
    assert errands.run_of(tmp_path / ERRAND.request) is None
    with pytest.raises((UsageError, MachineError)):
        errands.take_out(tmp_path / ERRAND.request, RUN)


def plant(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    run = run_folder(tmp_path)
    match kind:
        case "link":
            (run / store.LAYOUTS).symlink_to(secret)
        case "hard link":
            (run / store.LAYOUTS).hardlink_to(secret)
        case "folder":
            (run / store.LAYOUTS).mkdir()
        case "pipe":
            os.mkfifo(run / store.LAYOUTS)
        case "large":
            with (run / store.LAYOUTS).open("wb") as file:
                file.truncate(errands.LARGEST + 1)
        case "linked manifest":
            (run / store.MANIFEST).unlink()
            (run / store.MANIFEST).symlink_to(secret)
        case "linked folder":
            run.rename(tmp_path / "elsewhere")
            run.symlink_to(tmp_path / "elsewhere")
        case "linked runs":
            run.parent.rename(tmp_path / "elsewhere")
            run.parent.symlink_to(tmp_path / "elsewhere")
        case "name":
            run.rename(run.with_name("20261128T182707Z-e6513a-more"))


# --- What comes back


def test_a_run_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    """Strangers' code could write where it was measured: it says what it likes of itself, and nothing of others."""
    asked = {"base": arm(ERRAND.base), "head": arm(ERRAND.head)}
    role = Role(watch="main", configuration="", purpose=Purpose.ANCHOR)
    work.check(make_run(tmp_path, 1, some_benchmarks(1), **asked), ERRAND)
    changes: list[dict[str, Any]] = [
        {"role": role}, {"labels": {"kind": "aa"}}, {"head": arm("cpython@3.13.5+nocow")},
        {"base": arm("cpython@3.14.0")}, {"head": arm("/usr/bin/python3")}, {"head": arm("cpython@3.13.5?pgo")},
        {"head": arm("cpython@")},
    ]
    for number, change in enumerate(changes, start=2):
        with pytest.raises(UsageError, match="not the one that was asked for"):
            work.check(make_run(tmp_path, number, some_benchmarks(1), **{**asked, **change}), ERRAND)
    other = make_run(tmp_path, 20, some_benchmarks(1), **asked)
    with pytest.raises(UsageError, match="says that it is another"):
        work.check(other.rename(other.with_name(RUN)), ERRAND)
    for text in ("{}", "[" * 100_000, ""):
        (tmp_path / RUN / store.MANIFEST).write_text(text)
        with pytest.raises(UsageError):
            work.check(tmp_path / RUN, ERRAND)


@pytest.mark.parametrize(("built", "same"), [
    ("git:https://example.org/a@" + "1a" * 20, True), ("git:https://example.org/a@main", True),
    ("git:https://example.org/b@" + "1a" * 20, False), ("git:https://example.org/a@main+nocow", False),
    ("cpython@3.13.5", False), ("dir:/a", False), ("git:https://example.org/a@main?debug", False),
])
def test_a_commit_comes_back_by_its_hash(tmp_path: Path, built: str, same: bool) -> None:
    run = make_run(tmp_path, 1, some_benchmarks(1), base=arm(ERRAND.base), head=arm(built))
    for asked, fits in (("main", same), ("1a" * 20, same and "1a1a" in built), ("2b" * 20, False)):
        errand = replace(ERRAND, head=f"git:https://example.org/a@{asked}")
        with contextlib.nullcontext() if fits else pytest.raises(UsageError, match="its head is"):
            work.check(run, errand)


def test_a_manifest_that_is_no_manifest_ends_no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errands.write(tmp_path, ERRAND)
    run = run_folder(tmp_path)
    working = work._Work(ERRAND, tmp_path / ERRAND.request, work.Ways(top=tmp_path), lambda note: None)
    monkeypatch.setattr(work.machine, "quiet", lambda pinning: pytest.fail("it is no CPU"))
    for text in ("[" * 100_000, '{"worker_cpu": ' + "[" * 100_000, '{"worker_cpu": [0]}', '{"worker_cpu": {}}',
                 '{"worker_cpu": "0"}', '{"worker_cpu": 1e9}', '{"worker_cpu": null}', "[]", "{}", "\0", "1" * 5000):
        (run / store.MANIFEST).write_text(text)
        with ExitStack() as stack:
            working._keep_off(stack)
    with (run / store.MANIFEST).open("wb") as file:
        file.truncate(errands.DOCUMENT + 1)
    assert errands.run_of(tmp_path / ERRAND.request) is None, "it is not read into memory"


def test_of_what_no_server_took_the_newest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "REFUSED_ROOM", 250)
    for number, size in enumerate((100, 100, 100, 100)):
        run = tmp_path / f"r{number}"
        run.mkdir()
        (run / store.BLOCKS).write_bytes(b"x" * size)
        os.utime(run, (number, number))
    job.keep_newest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r2", "r3"]
    (tmp_path / "r3" / store.LAYOUTS).write_bytes(b"x" * 1000)
    job.keep_newest(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- What strangers' code is shown


def test_a_cage_shows_what_it_is_told_to_and_hides_the_rest(tmp_path: Path) -> None:
    for name in ("state", "state/runs", "cache", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "state" / "history.sqlite").touch()
    cage = Cage(
        program="/usr/bin/bwrap", work=tmp_path / "work", readable=(tmp_path / "state", tmp_path / "cache"),
        hidden=(tmp_path / "state" / "runs", tmp_path / "state" / "history.sqlite"),
    )
    words = cage.words(["python", "-c", "pass"], cwd=tmp_path / "work")
    text = " ".join(words)
    for flag in ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent"):
        assert flag in words
    assert f"--ro-bind {tmp_path}/state {tmp_path}/state" in text
    assert text.index(f"--tmpfs {tmp_path}/state/runs") > text.index(f"--ro-bind {tmp_path}/state ")
    assert f"--ro-bind /dev/null {tmp_path}/state/history.sqlite" in text
    assert [words[place + 1] for place, word in enumerate(words) if word == "--bind"] == [str(tmp_path / "work")]
    assert words[-4:] == ["--", "python", "-c", "pass"] and "setpriv" not in words


def test_root_gives_the_command_to_somebody_else(tmp_path: Path) -> None:
    cage = Cage(program="/usr/bin/bwrap", work=tmp_path, readable=(), guest=(994, 993))
    words = cage.words(["id"], cwd=tmp_path)
    assert words[-5:] == ["setpriv", "--reuid=994", "--regid=993", "--clear-groups", "id"]
    assert words.index("--") < words.index("setpriv")


def test_a_cage_has_few_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCKSTEP_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "CC", "HOME"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    seen = Cage(program="bwrap", work=tmp_path, readable=()).environment({"HOME": "/work/home"})
    assert "secret" not in seen.values() and seen["HOME"] == "/work/home" and seen["LC_TIME"] == "C.UTF-8"


def test_a_command_of_ours_does_not_see_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_TOKEN", "lst_secret")
    assert not [name for name in work._environment() if name.startswith(config.OURS)]


def test_tokens_and_others_repositories_are_where_strangers_do_not_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}
    monkeypatch.setattr(work.cage, "find", lambda place, **options: found.update(options))
    work.apart(tmp_path)
    assert {Path("/etc/lockstep"), config.caches()[-1] / "git"} <= set(found["hidden"])


def test_what_strangers_have_locked_is_removed_all_the_same(tmp_path: Path) -> None:
    errands.write(tmp_path, ERRAND)
    (tmp_path / "ours").mkdir(mode=0o755)
    place = tmp_path / ERRAND.request / errands.WORK / "a" / "b"
    place.mkdir(parents=True)
    (place / "file").touch()
    (place.parent / "link").symlink_to(tmp_path / "ours")
    for folder in (place, place.parent, place.parent.parent):
        folder.chmod(0)
    errands.remove(tmp_path, ERRAND)
    assert not (tmp_path / ERRAND.request).exists()
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o755, "what a link leads to stays as it is"


# --- What the server is told


class Server:
    """As an agent's client: a server that has no request, and what it is told in order, each with its lease. To what
    `away` names it gives no answer."""

    address = ERRAND.server

    def __init__(self, *, stops: bool = False, away: Sequence[str] = ()) -> None:
        self.told: list[tuple[str, str]] = []
        self.away = away
        self._stops = stops

    def claim(self, facts: object) -> None:
        self._hear("claim", "")

    def heartbeat(self, lease: str, note: str = "") -> Beat:
        self._hear("beat", lease)
        return Beat(expires=1.8e9, cancelled=self._stops)

    def end(self, lease: str, state: str, *, runs: object = (), problem: str = "") -> None:
        self._hear(state, lease)

    def _hear(self, what: str, lease: str) -> None:
        self.told.append((what, lease))
        if what in self.away:
            raise Failed("no connection")


def an_agent(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> job._Agent:
    """One that works once, on a machine that is free."""
    monkeypatch.setattr(job.machine, "alone", lambda **how: contextlib.nullcontext())
    monkeypatch.setattr(job, "ROOM", 0)
    request = job.AgentRequest(
        client=server, folder=folder, untrusted="refuse", once=True)  # type: ignore[arg-type]
    return job._Agent(request, lambda text: None)


def test_an_agent_that_is_told_to_stop_ends_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told so too where the request waits for another machine, or has one."""
    errands.write(tmp_path, ERRAND)
    server = Server(stops=True)
    assert an_agent(server, tmp_path, monkeypatch).run() == 0
    assert server.told == [("beat", "l1"), ("returned", "l1"), ("claim", "")]
    assert errands.all_of(tmp_path) == []


def test_a_heart_beat_that_gets_lost_gives_away_nothing_that_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim would: a machine has one request at most."""
    errands.write(tmp_path, ERRAND)
    server = Server(away=["beat"])
    with pytest.raises(MachineError, match="no connection; trying again"):
        an_agent(server, tmp_path, monkeypatch).run()
    assert server.told == [("beat", "l1")] and errands.read(tmp_path / ERRAND.request) == ERRAND


@pytest.mark.parametrize("room", ["when what it was made in is gone", "never"])
def test_a_request_that_found_the_disk_full_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    errands.write(tmp_path, ERRAND)
    made_in = tmp_path / ERRAND.request / errands.WORK / errands.RUNS / RUN
    made_in.mkdir()
    writing = errands.write

    def write(top: Path, errand: Errand) -> None:
        if errand.state is State.FAILED and (room == "never" or made_in.exists()):
            raise MachineError("cannot write it: No space left on device")
        writing(top, errand)

    monkeypatch.setattr(errands, "write", write)
    monkeypatch.setattr(work, "measured", lambda errand, ways, watch: work.failed(errand, "the disk is full"))
    monkeypatch.setattr(job, "SHORTEST", 0.0)
    server = Server(away=["failed"])
    agent = an_agent(server, tmp_path, monkeypatch)
    with pytest.raises(MachineError, match="has not heard of 1 requests"):
        agent.run()
    server.away = []
    assert agent.run() == 1
    assert server.told == [("beat", "l1"), ("failed", "l1"), ("failed", "l1"), ("claim", "")]
    assert errands.all_of(tmp_path) == []


@pytest.mark.parametrize("state", [State.MEASURED, State.FAILED])
def test_nothing_is_taken_on_before_the_server_has_heard_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    """What was claimed was the same request again, or another one, in place of which this one would have been lost."""
    errands.write(tmp_path, replace(ERRAND, state=state))
    server = Server(away=["failed", "done"])
    with pytest.raises(MachineError, match="has not heard of 1 requests"):
        an_agent(server, tmp_path, monkeypatch).run()
    assert "claim" not in [what for what, _ in server.told]


# --- Patience


def test_a_server_that_is_away_is_asked_more_and_more_seldom() -> None:
    from runner.jobs.agent import LONGEST, SHORTEST, _Patience

    patience = _Patience()
    assert patience.ended() and not patience.worked()
    waits = []
    for _ in range(9):
        patience.failed(Failed("away"))
        waits.append(patience.seconds)
        assert not patience.ended()
    assert waits[:3] == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST] and waits[-1] == LONGEST
    assert patience.worked() and patience.ended() and patience.seconds == 0.0
    patience.failed(Failed("full", wait=77.0))
    assert math.isclose(patience.seconds, 77.0)


@pytest.mark.parametrize(("status", "slug", "closed"), [
    (401, "token", True), (403, "scope", True), (403, "no-machine", True), (403, "host", False), (404, "lease", False),
    (409, "run", False), (422, "parcel", False), (429, "rate", False), (503, "unavailable", False),
])
def test_where_it_is_the_token_an_agent_ends_and_keeps_what_it_has(status: int, slug: str, closed: bool) -> None:
    from runner.jobs.agent import _closed

    assert _closed(Refused("no", status=status, slug=slug, wait=0.0, refused=True)) is closed
    assert not _closed(Failed("away"))
