"""A real server that is killed, cut off and out of room while runs are sent: what it has said it keeps, it keeps."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from bench import LOCKSTEP, ended, wait_until

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_runs import MACHINE
from parcels import members, of_members, some_run

from runner import config
from runner.history import runs as history
from runner.service import database, lookers, looking, tokens
from runner.service.lookers import Lookers
from runner.service.looking import Looked, Refusal
from runner.storage import origin, parcel, store
from runner.storage.parcel import Limits

KILLS = 20
STAGES = (6, 12, 18)
"""Blocks that a run has when it is sent, and sent again."""
MEMORY = 256 << 20
"""Bytes that looking at a run may take."""
PATIENCE = 300.0
"""Seconds for a server to start, and for a request."""
STARTING = """
import json, os, sys
import lockstep_ab
from runner import cli
from runner.service import app, connections, server
for line in sys.stdin:
    if os.fork() == 0:
        os.setsid()
        sys.argv = json.loads(line)
        cli.main()
    os.wait()
    print("over", flush=True)
"""
"""A process that has imported what a server does, which takes seconds, and becomes one for each line that it reads: the
next one when the one before has ended."""
ENDING = """
import asyncio, os, sys
from pathlib import Path
import lockstep_ab
from runner.service import looking
from runner.service.lookers import Lookers
from runner.storage.parcel import Limits
async def end(place):
    global kept  # until the process has ended: who looks would read the end of it before
    os.mkfifo(place / looking.BODY)
    task = asyncio.create_task(Lookers(1 << 30).look(place, place / "runs", Limits()))
    kept = await asyncio.to_thread((place / looking.BODY).open, "wb")
    task.cancel()
    await asyncio.wait([task])
    print("cancelled", flush=True)
asyncio.run(end(Path(sys.argv[1])))
"""
"""A process that comes to its end while one that it has started reads a pipe into which nobody writes."""


@dataclass(kw_only=True)
class Served:
    """A folder that `lockstep serve` has, as often as it is started."""

    data: Path
    url: str = ""
    """Of the database; empty: its usual one."""
    address: str = ""
    """Of the server that runs, or ran last."""
    process: subprocess.Popen[str] | None = None
    words: tuple[str, ...] = ()
    """What it is started by."""

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    def token(self, name: str) -> str:
        """The token of a machine."""
        opened = database.opened(self.url or database.of_file(self.data / "service" / "service.sqlite"))
        try:
            return tokens.create(opened, name, ["submit"], time.time(), machine=True)[1]
        finally:
            opened.close()

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """Start a server, which answers inside, and is killed at the end."""
        with self._process([*self.words, *self._command]) as process:
            self._await(process)
            yield process

    @contextmanager
    def starting(self) -> Iterator[Callable[[], psutil.Process]]:
        """What starts a server, which answers then, again and again: the next one when the one before was killed."""
        with self._process([sys.executable, "-c", STARTING]) as process:
            before: list[psutil.Process] = []

            def start() -> psutil.Process:
                assert process.stdin is not None and process.stdout is not None
                assert not before or process.stdout.readline() == "over\n"
                process.stdin.write(json.dumps(self._command) + "\n")
                process.stdin.flush()
                self._await(process)
                before[:] = psutil.Process(process.pid).children()
                (server,) = before
                return server

            try:
                yield start
            finally:
                for server in psutil.Process(process.pid).children():
                    server.kill()

    @property
    def _command(self) -> list[str]:
        words = [str(LOCKSTEP), "serve", "--port", "0", "--data", str(self.data)]
        return [*words, *(["--database", self.url] if self.url else [])]

    @contextmanager
    def _process(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        with (self.data.parent / "server.log").open("a") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                       cwd=self.data.parent, start_new_session=True)
        with ended(process):
            yield process

    def _await(self, process: subprocess.Popen[str]) -> None:
        """Wait until it serves."""
        assert process.stdout is not None
        said = ""
        while "serving" not in said:
            said = process.stdout.readline()
            assert said not in ("", "over\n"), (self.data.parent / "server.log").read_text()
        self.address = said.split(" at ")[1].strip()


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(data=tmp_path / "data")


def machine(folder: Path, number: int) -> tuple[str, dict[str, bytes]]:
    """The id of a run of a machine, and its files."""
    run = some_run(folder, number, machine={**MACHINE, "host": f"{number:016x}"})
    return run.name, members(run)


def stage(id: str, files: Mapping[str, bytes], number: int, blocks: int) -> tuple[str, bytes]:
    """The id of another run like it, and its parcel when it had so many blocks."""
    name = f"{id[:17]}{number:06x}"
    lines = files[store.BLOCKS].splitlines(keepends=True)
    found = {**files, store.MANIFEST: files[store.MANIFEST].replace(id.encode(), name.encode()),
             store.BLOCKS: b"".join(lines[:blocks])}
    if blocks < len(lines):
        found.pop("explanation.json", None)
    return name, of_members(found)


def headers(token: str, body: bytes) -> dict[str, str]:
    sha = hashlib.sha256(body).digest()
    return {"Authorization": f"Bearer {token}", "Content-Type": parcel.MEDIA, "Idempotency-Key": sha.hex(),
            "Content-Digest": f"sha-256=:{base64.b64encode(sha).decode()}:"}


def post(served: Served, token: str, body: bytes) -> httpx.Response:
    return httpx.post(
        f"{served.address}/api/v1/runs", content=body, headers=headers(token, body), timeout=PATIENCE)


def check(runs: Path) -> dict[str, int]:
    """See that each run is whole, and that there is nothing else; how many blocks each has."""
    found = {}
    for path in runs.iterdir():
        assert store.ID.fullmatch(path.name), path
        said = origin.read(path)
        assert said is not None and said.contents == parcel.contents(path), path
        assert {one.name for one in path.iterdir()} == {*said.contents.parts, origin.FILE, store.REPORT}, path
        found[path.name] = (path / store.BLOCKS).read_bytes().count(b"\n")
        assert found[path.name] in STAGES, path
    return found


@dataclass(kw_only=True)
class Load:
    """Machines that send their runs, each as it grows, until they are told to end; what they were told is noted."""

    served: Served
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[str, int] = field(default_factory=dict)
    """Blocks of each run that the server has said it has."""
    fresh: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often it has said that a content was new."""
    answers: int = 0
    cut: int = 0
    """Requests that a kill ended when they had begun."""
    faults: list[str] = field(default_factory=list)

    def send(self, token: str, id: str, files: Mapping[str, bytes], seed: int) -> None:
        """What one client does, in a thread of its own."""
        dice, number = random.Random(seed), 0
        try:
            with httpx.Client(timeout=PATIENCE) as client:
                while not self.over.is_set():
                    number += 1
                    blocks = list(STAGES)
                    if dice.random() < 0.5:
                        blocks.insert(dice.randrange(1, 4), dice.choice(STAGES))  # late, twice, or too early
                    for count in blocks:
                        self._one(client, token, count, *stage(id, files, number, count))
        except BaseException as error:
            self.faults.append(repr(error))
            raise

    def _one(self, client: httpx.Client, token: str, count: int, name: str, body: bytes) -> None:
        """Send one parcel until the server has answered."""
        while True:
            try:
                answer = client.post(f"{self.served.address}/api/v1/runs", content=body, headers=headers(token, body))
            except httpx.TransportError as error:
                with self.lock:
                    self.cut += not isinstance(error, httpx.ConnectError)
                time.sleep(0.05)
                continue
            if answer.status_code == 429:
                time.sleep(0.2)
                continue
            break
        with self.lock:
            self.answers += 1
            if answer.status_code not in (200, 201):
                self.faults.append(f"{name}: {answer.status_code} {answer.text}")
                return
            said = answer.json()
            assert said["id"] == name and said["fresh"] == (answer.status_code == 201)
            self.kept[name] = max(self.kept.get(name, 0), count)
            self.fresh[name, count] += said["fresh"]


def test_a_server_that_is_killed_loses_nothing_and_keeps_nothing_twice(served: Served, tmp_path: Path) -> None:
    """20 kills at random moments while four clients send, of which two send the same."""
    dice, load = random.Random(20), Load(served=served)
    made = {number: machine(tmp_path / "there", number) for number in (1, 2, 3)}
    given = {number: served.token(f"bench{number}") for number in made}
    clients = [
        threading.Thread(target=load.send, args=(given[number], *made[number], seed))
        for seed, number in enumerate((1, 1, 2, 3))
    ]
    with served.starting() as start:
        for kill in range(KILLS):
            server = start()
            if kill == 0:
                for client in clients:
                    client.start()
            with load.lock:
                before = load.answers
            end = time.monotonic() + PATIENCE
            while load.answers == before and not load.faults:
                assert time.monotonic() < end, "no answer to anybody"
                time.sleep(0.002)
            time.sleep(dice.uniform(0.0, 0.5))
            helpers = server.children(recursive=True)
            server.kill()
            server.wait(PATIENCE)
            assert psutil.wait_procs(helpers, PATIENCE)[1] == [], "what it has started ends with it"
            with load.lock:
                said = dict(load.kept)
            there = check(served.runs)
            assert load.faults == []
            for name, blocks in said.items():
                assert there[name] >= blocks, f"after kill {kill}, {name} has lost what was acknowledged"
        start()
        load.over.set()
        for client in clients:
            client.join(2 * PATIENCE)
            assert not client.is_alive()
        id, files = made[1]
        name, body = stage(id, files, 1, STAGES[-1])
        answer = post(served, given[1], body)
        assert answer.status_code == 200 and load.kept[name] == STAGES[-1]
        left = list((served.data / "service" / "incoming").iterdir())
        assert left == [], "what a kill leaves is removed by the next upload"
    # How many a kill cuts is a matter of luck. That none of 20 cut any, with four that send all the time, is none.
    assert load.faults == [] and load.cut > 0
    there = check(served.runs)
    assert there == load.kept == dict.fromkeys(there, STAGES[-1]), "every run was sent to its end"
    assert max(load.fresh.values()) == 1, "a content is new once"
    found = history.read(served.runs, config.index_file(served.runs))
    assert found.problems == () and sorted(entry.id for entry in found.runs) == sorted(there)
    print(f"{load.answers} answers, {load.cut} requests cut off, {len(there)} runs")


def spawned(parent: int | None = None) -> list[psutil.Process]:
    """Those that a process (None: this one) has started to look at runs, or to make the site."""
    found = []
    for one in psutil.Process(parent).children():
        with suppress(psutil.Error):  # it has ended meanwhile
            if "spawn_main" in " ".join(one.cmdline()):
                found.append(one)
    return found


def test_what_is_cut_off_leaves_nothing_and_a_helper_that_dies_is_replaced(served: Served, tmp_path: Path) -> None:
    id, files = machine(tmp_path / "there", 1)
    name, body = stage(id, files, 1, STAGES[-1])
    token = served.token("bench1")
    with served.started() as process:
        place = urlsplit(served.address)
        assert place.hostname is not None and place.port is not None
        for cut in (0, 1, 1000, len(body) - 1):
            said = headers(token, body) | {"Host": place.hostname, "Content-Length": str(len(body))}
            text = "POST /api/v1/runs HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in said.items())
            with socket.create_connection((place.hostname, place.port), timeout=PATIENCE) as connection:
                connection.sendall(text.encode() + b"\r\n" + body[:cut])
        answer = post(served, token, body)
        assert answer.status_code == 201, answer.text
        helpers = spawned(process.pid)
        assert helpers
        for helper in helpers:  # as a kernel does that has no memory left
            with suppress(psutil.NoSuchProcess):  # what makes the site may have ended meanwhile
                helper.kill()
        statuses = [post(served, token, body).status_code for _ in range(3)]
        assert statuses[-1] == 200 and set(statuses) <= {200, 503}, "others look at the next ones"
    assert check(served.runs) == {name: STAGES[-1]}
    assert list((served.data / "service" / "incoming").iterdir()) == []
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_one_who_looks_and_dies_or_hangs_takes_nothing_else_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What never comes to an end is a pipe into which nobody writes."""
    id, files = machine(tmp_path / "there", 1)

    async def everything(made: Lookers) -> None:
        def beside(name: str) -> Path:
            (tmp_path / name).mkdir()
            return tmp_path / name

        async def fine(number: int) -> None:
            name, body = stage(id, files, number, STAGES[-1])
            place = beside(name)
            (place / looking.BODY).write_bytes(body)
            found = await made.look(place, tmp_path / "runs", Limits())
            assert isinstance(found, Looked) and found.folder == place / name

        async def endless(name: str) -> asyncio.Task[Looked | Refusal]:
            place = beside(name)
            os.mkfifo(place / looking.BODY)
            task = asyncio.create_task(made.look(place, tmp_path / "runs", Limits()))
            await asyncio.sleep(0)  # until it waits for what comes of it
            return task

        before = {one.pid for one in spawned()}
        dying = await endless("dying")
        (busy,) = (one for one in spawned() if one.pid not in before)
        await fine(1)
        await fine(2)
        assert not dying.done()
        busy.kill()
        with pytest.raises(BrokenExecutor):
            await dying
        monkeypatch.setattr(lookers, "LONGEST", 1)
        hanging = await endless("hanging")
        monkeypatch.undo()
        await fine(3)
        with pytest.raises(BrokenExecutor):
            await hanging
        await asyncio.gather(*(fine(number) for number in range(4, 8)))
        left = [one for one in spawned() if one.pid not in before]
        assert 0 < len(left) <= lookers.AT_ONCE
        assert {one.nice() for one in left} == {psutil.Process().nice() + lookers.NICE}, "pages go before"

    with closing(Lookers(MEMORY)) as made:
        asyncio.run(everything(made))


def test_a_server_that_ends_does_not_wait_for_one_who_looks(tmp_path: Path) -> None:
    with ended(subprocess.Popen(
        [sys.executable, "-c", ENDING, str(tmp_path)], stdout=subprocess.PIPE, text=True)) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "cancelled\n")


def test_one_that_takes_too_much_memory_is_refused_and_takes_nothing_else_with_it(tmp_path: Path) -> None:
    """Lists of nothing: for three bytes each, more than twenty times as many are taken."""
    id, files = machine(tmp_path / "there", 1)
    greedy = of_members({
        store.MANIFEST: files[store.MANIFEST], store.STATISTICS: b"[" + b"[]," * (MEMORY // 40) + b"[]]"})

    async def everything(made: Lookers) -> None:
        async def looked(name: str, body: bytes) -> Looked | Refusal:
            (tmp_path / name).mkdir()
            (tmp_path / name / looking.BODY).write_bytes(body)
            return await made.look(tmp_path / name, tmp_path / "runs", Limits(ratio=1 << 20))

        async def fine(number: int) -> None:
            assert isinstance(await looked(*stage(id, files, number, STAGES[-1])), Looked)

        async def too_much(name: str) -> None:
            found = await looked(name, greedy)
            assert isinstance(found, Refusal) and (found.status, found.slug) == (413, "memory")
            assert "memory_limit" in found.detail

        before = set(spawned())
        await fine(1)
        (first,) = set(spawned()) - before
        await too_much("alone")
        wait_until(lambda: not first.is_running())
        await asyncio.gather(fine(2), too_much("beside another"), fine(3))

    with closing(Lookers(MEMORY)) as made:
        asyncio.run(everything(made))


def test_a_disk_that_is_full_loses_nothing_and_takes_more_when_there_is_room(served: Served, tmp_path: Path) -> None:
    """The runs are on a disk of one megabyte."""
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no disk of its own can be made here: this user may not make namespaces")
    served.data.mkdir()
    served.url = database.of_file(tmp_path / "service.sqlite")
    served.words = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(served.data))
    id, files = machine(tmp_path / "there", 1)
    token, kept, statuses = served.token("bench1"), set[str](), Counter[int]()
    with served.started() as process:
        inside = Path(f"/proc/{process.pid}/root") / served.runs.relative_to("/")

        def send(number: int) -> int:
            name, body = stage(id, files, number, STAGES[-1])
            answer = post(served, token, body)
            if answer.status_code == 201:
                kept.add(name)
            else:
                assert (answer.status_code, answer.json()["type"]) == (507, "/problems/disk-full"), answer.text
            return answer.status_code

        for number in range(1, 200):
            statuses[send(number)] += 1
            if statuses[507] == 5:
                break
        assert set(statuses) == {201, 507} and statuses[201] > 3, statuses
        assert set(check(inside)) == kept
        assert list((inside.parent / "service" / "incoming").iterdir()) == []
        for name in sorted(kept)[1:]:
            shutil.rmtree(inside / name)
            kept.remove(name)
        # The site may be in the making, and need the room for a moment.
        wait_until(lambda: send(300) == 201, PATIENCE)
        assert set(check(inside)) == kept and len(kept) == 2
        assert os.statvfs(inside).f_blocks * os.statvfs(inside).f_frsize == 1 << 20
