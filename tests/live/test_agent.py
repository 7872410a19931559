"""Agents that take requests of a real server, and what happens to both on the way."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from bench import LOCKSTEP, TIME_LIMIT, lives, wait_until
from fake_source import MEASURABLE
from requested import Service, blocks_of, published, repository, serving, wait_for_blocks

from runner import cage
from runner.builds import commits
from runner.errors import BuildError, MachineError, UsageError
from runner.jobs import agent as job
from runner.jobs import errand as work
from runner.machine import addresses
from runner.storage import errands, store
from runner.storage.errands import Errand, State

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_runs import make_run, some_benchmarks

BASE, HEAD = "cpython@3.13.5+nocow", "cpython@3.13.5"
TWO = "Copy.time_copy.*KiB"
"""Benchmarks of a run that is not over before it is killed."""
Started = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture
def service(server: Service, tmp_path: Path) -> Iterator[Service]:
    """The server of all tests that let it run, where nothing waits."""
    with lent(server, tmp_path) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    """One that a test may stop."""
    with serving(tmp_path / "service") as found:
        yield found


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Path, str]]:
    """A server that allows requests for one repository; that, and its address. A build of its branch `spy` fails where
    it finds more than it should."""
    folder = tmp_path_factory.mktemp("listed")
    source = folder / "git" / "source"
    repository(source)
    with published(folder / "git") as address:
        url = f"{address}/source"
        with serving(folder / "service", url) as service:
            git(source, "checkout", "--quiet", "-b", "spy")
            (source / "configure").write_text(spying(service))
            git(source, "add", "--all")
            git(source, "commit", "--quiet", "-m", "Spy")
            git(source, "checkout", "--quiet", "main")
            yield service, source, url


@pytest.fixture
def sources(listed: tuple[Service, Path, str], tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A server that allows requests for one repository, and its address."""
    with lent(listed[0], tmp_path) as service:
        yield service, listed[2]


@contextmanager
def lent(server: Service, folder: Path) -> Iterator[Service]:
    """A server with a folder for the agents of one test, whose requests are over at its end."""
    service = server.lent(folder / "agents")
    person = service.person()
    try:
        yield service
    finally:
        for left in person.requests("waiting"):
            person.cancel(left.id)


def git(source: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout.strip()


def sandbox() -> None:
    """Skip where nothing can be kept apart."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap (Debian: apt-get install bubblewrap)")


def manifest(service: Service, id: str) -> store.Manifest:
    return store.read_manifest(service.folder / "data" / "runs" / id)


# --- From the request to the run


def test_a_request_ends_as_a_run_on_the_server(service: Service) -> None:
    id = service.ask(BASE, HEAD, suite="bytesio", select="FromBytes.time_construct.*1MiB", budget="10s")
    said = service.answer()
    found = service.look(id)
    assert (found.state, found.problem) == ("done", ""), said
    assert list(found.runs) == service.runs
    made = manifest(service, found.runs[0])
    assert (made.base.spec, made.head.spec, made.budget, made.margin) == (BASE, HEAD, 10.0, 0.3)
    assert [one.name for one in made.benchmarks] == ["construct.FromBytes.time_construct"]
    assert errands.all_of(service.agents / "bench1") == [], "nothing is kept of what was answered"
    assert not list((service.agents / "bench1").glob("*/*"))


def test_without_a_request_an_agent_that_works_once_ends(service: Service) -> None:
    assert "answered 0" in service.answer()


def test_the_command_does_it(service: Service, tmp_path: Path) -> None:
    id = service.ask(BASE, HEAD, select="no_such_benchmark")
    token = service.token("bench1", "submit", machine=True)
    words = [LOCKSTEP, "agent", "--server", service.address, "--once", "--untrusted", "refuse"]
    done = subprocess.run(
        [*words, "--folder", tmp_path / "own"], capture_output=True, text=True, check=False, timeout=TIME_LIMIT,
        env=service.environment(LOCKSTEP_TOKEN=token),
    )
    assert done.returncode == 0, done.stderr
    assert "answered 1 request" in done.stdout
    found = service.look(id)
    assert found.state == "failed" and "no_such_benchmark" in found.problem


def test_a_token_that_is_none_ends_the_command(service: Service, tmp_path: Path) -> None:
    words = [LOCKSTEP, "agent", "--server", service.address, "--once", "--folder", tmp_path / "own"]
    for token, why in (("", "lockstep token create"), ("lst_00000000_" + "x" * 43, "401"),
                       (service.token("ada", "request"), "403"),
                       (service.token("eve", "submit"), "--machine")):
        given = {"LOCKSTEP_TOKEN": token} if token else {}
        done = subprocess.run(words, capture_output=True, text=True, env=service.environment(**given), check=False,
                              timeout=TIME_LIMIT)
        assert done.returncode == 2 and why in done.stderr, done.stderr
        assert not token or token not in done.stdout + done.stderr


# --- What happens on the way


def test_a_cancelled_request_is_stopped(service: Service, background: Started) -> None:
    id = service.ask(BASE, HEAD, select="streams", budget="5m", margin="0.1%")  # many: it is not over before that
    process = background(service.agent())
    wait_for_blocks(service)
    service.person().cancel(id)
    said, _ = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 0 and f"request {id} was cancelled" in said
    assert service.look(id).state == "cancelled" and service.runs == []
    assert errands.all_of(service.agents / "bench1") == []


def test_a_killed_agent_goes_on_and_leaves_nobody(service: Service, background: Started) -> None:
    id = service.ask(BASE, HEAD, select=TWO)
    process = background(service.agent())
    wait_for_blocks(service, 3)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("lockstep_ab" in child.cmdline() for child in children)
    process.kill()
    wait_until(lambda: not any(lives(child.pid) for child in children))
    before = blocks_of(service)
    (begun,) = (service.agents / "bench1" / id / "work" / "runs").iterdir()
    said = service.answer()
    found = service.look(id)
    assert found.state == "done" and list(found.runs) == service.runs == [begun.name], said
    run = store.read(service.folder / "data" / "runs" / begun.name)
    assert len(run.blocks) >= before and len({block.session for block in run.blocks}) == 2


def test_a_stopped_agent_gives_back_and_goes_on_when_it_is_given_the_same(
    service: Service, background: Started
) -> None:
    id = service.ask(BASE, HEAD, select=TWO)
    process = background(service.agent(once=False))
    wait_for_blocks(service, 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIME_LIMIT)
    assert service.look(id).state == "waiting"
    (begun,) = (service.agents / "bench1" / id / "work" / "runs").iterdir()
    service.answer()
    assert list(service.look(id).runs) == [begun.name]
    assert len({block.session for block in store.read(service.folder / "data" / "runs" / begun.name).blocks}) == 2


def test_a_server_that_is_away_while_it_is_measured_gets_the_run_later(
    own: Service, background: Started
) -> None:
    id = own.ask(BASE, HEAD, select=TWO, budget="10s")
    process = background(own.agent(once=False))
    wait_for_blocks(own)
    own.stop()
    folder = own.agents / "bench1" / id
    wait_until(lambda: errands.read(folder).state is State.MEASURED)
    assert process.poll() is None
    own.start()
    wait_until(lambda: own.look(id).state == "done")
    assert list(own.look(id).runs) == own.runs and len(own.runs) == 1
    wait_until(lambda: not folder.exists())


def test_an_agent_that_works_once_keeps_what_a_server_that_is_away_should_get(
    own: Service, background: Started
) -> None:
    id = own.ask(BASE, HEAD, select=TWO, budget="10s")
    process = background(own.agent())
    wait_for_blocks(own)
    own.stop()
    said, _ = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 1 and "MachineError" in said and "go with the next" in said
    own.start()
    assert "answered 1" in own.answer()
    assert own.look(id).state == "done"


def test_nothing_is_taken_on_while_another_run_measures(service: Service, background: Started) -> None:
    id = service.ask(BASE, HEAD, select="no_such_benchmark")
    hold = "from runner import machine\nwith machine.alone(wait=True, told=print): print('held', flush=True); input()"
    holder = background(subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True, env=service.environment()))
    assert holder.stdout is not None
    while holder.stdout.readline() != "held\n":
        assert holder.poll() is None
    process = background(service.agent())
    assert process.stdout is not None
    assert any("waiting for another Lockstep run" in line for line in iter(process.stdout.readline, ""))
    assert service.look(id).state == "waiting" and process.poll() is None
    holder.communicate("\n", timeout=TIME_LIMIT)
    process.communicate(timeout=TIME_LIMIT)
    assert service.look(id).state == "failed"


def test_two_agents_have_no_folder_in_common(service: Service, background: Started) -> None:
    first = background(service.agent(once=False))
    assert first.stdout is not None and "taking requests" in first.stdout.readline()
    said, _ = service.agent().communicate(timeout=TIME_LIMIT)
    assert "another agent has" in said


# --- What the server says no to, with errands that were made by hand


def made(service: Service, **changes: object) -> Errand:
    service.token("bench1", "submit", machine=True)
    errand = Errand(
        server=service.address, request="r1", lease="none", taken=time.time(), base=BASE, head=HEAD, suite="bytesio",
        select=None, margin="1%", budget="10s", state=State.MEASURED, run="20261128T182707Z-e6513a",
    )
    errand = replace(errand, **changes)  # type: ignore[arg-type]
    errands.write(service.agents / "bench1", errand)
    return errand


def test_a_run_that_is_not_taken_is_kept_aside(service: Service) -> None:
    own = service.agents / "bench1"
    run = make_run(own / "r1" / "run", 1, some_benchmarks(2))  # which does not say where it was measured
    made(service, run=run.name)
    said = service.answer()
    assert f"the server did not take run {run.name}; it is kept in {own / 'refused'}" in said
    assert service.runs == [] and [folder.name for folder in own.iterdir()] == ["refused"]
    assert store.read_manifest(own / "refused" / run.name).id == run.name


def test_a_run_that_is_none_has_failed(service: Service) -> None:
    errand = made(service)
    run = service.agents / "bench1" / "r1" / "run" / errand.run
    run.mkdir(parents=True)
    for name in (store.MANIFEST, store.BLOCKS):
        (run / name).write_text("{}\n")
    said = service.answer()
    assert "answered 1" in said and "failed" in said and service.runs == []


def test_a_run_that_is_gone_has_failed(service: Service) -> None:
    made(service)
    assert "its run is gone" in service.answer()


def test_what_is_somebody_elses_is_left_alone_for_a_day(service: Service) -> None:
    fresh = made(service, state=State.TAKEN, run="")
    made(service, state=State.TAKEN, run="", request="r2", taken=time.time() - 2 * job.KEPT)
    made(service, state=State.TAKEN, run="", request="r3", server="https://elsewhere.example.org")
    for _ in range(2):
        service.answer()
    process = service.agent(once=False)
    wait_until(lambda: not (service.agents / "bench1" / "r2").exists())
    process.kill()
    process.communicate()
    left = {folder.name for folder in errands.all_of(service.agents / "bench1")}
    assert left == {fresh.request, "r3"}


# --- The code of strangers

SPYING = """
import json, os, socket, sys
holes = []
for place in {places!r}:
    if os.path.exists(place):
        holes.append("it sees " + place)
try:
    socket.create_connection({server!r}, 2)
    holes.append("it reaches the server")
except OSError:
    pass
if any("LOCKSTEP_TOKEN" in name for name in os.environ) or os.getuid() == 0:
    holes.append("it has a token, or is root")
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if b"LOCKSTEP_TOKEN" in open("/proc/" + pid + "/environ", "rb").read():
            holes.append("it sees the agent")
    except OSError:
        pass
if holes:
    sys.exit("; ".join(holes))
"""


def spying(service: Service) -> str:
    """A configure script that fails where it finds more than it should."""
    places = [service.folder / "data", service.folder / "lockstep.toml", Path("/root/.bashrc"), Path("/var/lib")]
    spy = SPYING.format(places=[str(place) for place in places], server=("127.0.0.1", service.port))
    return MEASURABLE.replace("#!/bin/sh\n", f"#!/bin/sh\n/usr/bin/env python3 - <<'SPY' || exit 1\n{spy}\nSPY\n", 1)


def test_commits_are_built_and_measured_where_they_reach_nothing(
    sources: tuple[Service, str], listed: tuple[Service, Path, str]
) -> None:
    sandbox()
    service, url = sources
    id = service.ask(f"git:{url}@v1", f"git:{url}@spy", suite="bytesio", select="time_getbuffer.*64B")
    said = service.answer(untrusted="sandbox")
    found = service.look(id)
    assert (found.state, found.problem) == ("done", ""), said
    made = manifest(service, found.runs[0])
    assert made.head.spec == f"git:{url}@{git(listed[1], 'rev-parse', 'spy')}"
    assert made.addresses is (addresses.refusal() is None), "addresses can be drawn in it as outside"
    assert made.machine["host"], "the token is bound to the machine, whose name is the same inside"
    assert not list((service.agents / "bench1").glob("*/*"))


class _Moved(http.server.BaseHTTPRequestHandler):
    """Leads to the same path of another server."""

    server: Any

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(301)
        self.send_header("Location", self.server.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_listed_address_leads_to_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository(tmp_path / "git" / "source")
    with published(tmp_path / "git") as address, http.server.HTTPServer(("127.0.0.1", 0), _Moved) as moved:
        moved.target = address  # type: ignore[attr-defined]
        thread = threading.Thread(target=moved.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{moved.server_address[1]}/source"
            with pytest.raises(BuildError, match="cannot fetch main from"):
                work._lend(f"git:{url}@main", tmp_path / "work")
            found = commits.find(url, url, "main", lambda text: None)
            assert found.branch == "main", "who builds for themselves is led there"
        finally:
            moved.shutdown()
            thread.join()


def test_the_same_script_finds_all_that_outside(sources: tuple[Service, str], tmp_path: Path) -> None:
    service, url = sources
    id = service.ask(f"git:{url}@v1", f"git:{url}@spy")
    service.answer(untrusted="unsafe", XDG_CACHE_HOME=str(tmp_path / "cache"))
    found = service.look(id)
    assert found.state == "failed" and "it reaches the server" in found.problem


def test_commits_are_refused_where_they_are_to_be(sources: tuple[Service, str]) -> None:
    service, url = sources
    id = service.ask(f"git:{url}@v1", f"git:{url}@main")
    service.answer(untrusted="refuse")
    found = service.look(id)
    assert found.state == "failed" and "builds releases only" in found.problem


def test_where_there_is_no_sandbox_commits_are_refused(sources: tuple[Service, str], tmp_path: Path) -> None:
    service, url = sources
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    id = service.ask(f"git:{url}@v1", f"git:{url}@main")
    said = service.answer(untrusted="sandbox", PATH=str(tmp_path / "bin"))
    assert "only releases are built here" in said and "apt-get install bubblewrap" in said
    assert service.look(id).state == "failed"


def test_a_killed_agent_goes_on_in_the_sandbox_too(sources: tuple[Service, str], background: Started) -> None:
    sandbox()
    service, url = sources
    id = service.ask(f"git:{url}@v1", f"git:{url}@main", select=TWO)
    process = background(service.agent(untrusted="sandbox"))
    wait_for_blocks(service, 3)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    wait_until(lambda: not any(lives(child.pid) for child in children))
    (begun,) = (service.agents / "bench1" / id / "work" / "runs").iterdir()
    service.answer(untrusted="sandbox")
    assert list(service.look(id).runs) == [begun.name]


# --- The cage itself


class Leaky(cage.Cage):
    """One with a hole."""

    __slots__ = ()
    left_out: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def words(self, command: object, *, cwd: Path) -> list[str]:
        words = super().words(command, cwd=cwd)  # type: ignore[arg-type]
        kept = [word for word in words if word not in self.left_out]
        return [kept[0], *kept[1 : kept.index("--remount-ro")], *self.more, *kept[kept.index("--remount-ro") :]]


@pytest.mark.parametrize(("left_out", "more", "hole"), [
    (("--unshare-net",), (), "it reaches this machine's own servers"),
    (("--unshare-pid",), (), "it sees the processes of others"),
    ((), ("--bind", "{top}/open", "{top}/open"), "it may write into {top}/open"),
    ((), ("--ro-bind", "{top}", "{top}"), "it reads files that it has no need of"),
    ((), ("--setenv", "LOCKSTEP_TOKEN", "lst_secret"), "it sees variables of Lockstep's own"),
    ((), ("--remount-ro", "/tmp"), "it cannot write into /tmp, as it must"),
])
def test_a_hole_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: tuple[str, ...], more: tuple[str, ...], hole: str
) -> None:
    sandbox()
    monkeypatch.setenv("LOCKSTEP_TOKEN", "lst_secret")
    tmp_path.chmod(0o755)
    for name in ("work", "open"):
        (tmp_path / name).mkdir()
    (tmp_path / "open").chmod(0o777)
    whole = cage.find(tmp_path / "work", (tmp_path / "open",))
    leaky = type("Planted", (Leaky,), {
        "__slots__": (), "left_out": left_out, "more": tuple(word.format(top=tmp_path) for word in more)})
    found = cage.holes(leaky(program=whole.program, work=whole.work, readable=whole.readable, guest=whole.guest))
    assert hole.format(top=tmp_path) in found, found


def test_where_nothing_can_be_kept_apart_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho bwrap: No permissions to create a new namespace >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(MachineError, match="nothing runs in it: bwrap: No permissions"):
        cage.find(tmp_path / "work", ())


def test_without_root_it_is_a_cage_too() -> None:
    """As the user nobody, with the system's Python: the test itself may run from a folder that nobody may read."""
    sandbox()
    import os
    import tempfile

    python = Path("/usr/bin/python3")
    if os.geteuid() != 0 or not python.exists():
        pytest.skip("needs root, to become somebody else, and a Python of the system's")
    with tempfile.TemporaryDirectory(prefix="cage-", dir="/tmp") as top:
        Path(top).chmod(0o755)
        work = Path(top) / "work"
        work.mkdir()
        os.chown(work, 65534, 65534)
        (Path(top) / "secret").write_text("secret\n")
        bare = cage.Cage(program=str(shutil.which("bwrap")), work=work, readable=())
        asked = {"pid": os.getpid(), "started": "0", "port": 1, "secret": f"{top}/secret", "root": True,
                 "work": str(work), "names": [], "places": ["/", "/usr", "/etc"]}
        command = bare.words([python, "-I", "-S", "-c", cage.HOLES, json.dumps(asked)], cwd=work)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command],
                              capture_output=True, text=True, check=False)
    if "namespace" in done.stderr:
        pytest.skip(f"this system lets no user make namespaces: {done.stderr.strip()}")
    assert done.stdout == "lockstep []\n", done.stdout + done.stderr


def test_an_unknown_way_with_strangers_is_refused(service: Service, tmp_path: Path) -> None:
    request = job.AgentRequest(client=service.person(), folder=tmp_path / "own", untrusted="maybe")
    with pytest.raises(UsageError, match="refuse, sandbox, unsafe"):
        job.agent(request, print)
