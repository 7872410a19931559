"""Runs that are sent: each is kept once, whole and with its origin, whatever is sent, how often and in which order."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import MACHINE, arm, make_charts, make_run, some_benchmarks
from parcels import HOST, altered, members, of_members, packed, some_run
from samples import Quiet
from test_nights import night, work
from test_store import full_disk

from runner import config, jobs
from runner.errors import MachineError, UsageError
from runner.fleet import session
from runner.fleet.link import Door
from runner.history import runs as history
from runner.jobs import night_measure
from runner.jobs import publish_apart as apart
from runner.jobs import record as recording
from runner.jobs.night_measure import Wanted
from runner.judging import statistics
from runner.model import Commit, Purpose, Role
from runner.owned import owned
from runner.service import api_runs, app, database, looking, reception, server, tokens
from runner.service.guard import Caller
from runner.service.looking import Looked, Refusal
from runner.service.problems import Problem
from runner.service.reception import Received
from runner.service.server import Server
from runner.service.settings import Settings
from runner.storage import index, origin, parcel, shelf, store
from runner.storage.origin import Origin
from runner.storage.parcel import Limits

explaining = importlib.import_module("runner.jobs.explain")  # `jobs.explain` is the function, as `jobs.publish` is
publishing = importlib.import_module("runner.jobs.publish")
NOW = 1.7e9 + 30 * 86_400
COMMIT = Commit(hash="1a2b" * 10, date=1.7e9, subject="s", repository="r", branch="main", position=7)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A server, and machines that send to it."""

    server: Server
    clock: Clock

    @property
    def runs(self) -> Path:
        return self.server.settings.runs

    def token(self, name: str = "bench1", *, machine: bool = True, host: str = "") -> Caller:
        token, _ = tokens.create(self.server.database, name, ["submit"], NOW, machine=machine, host=host)
        return Caller(token=token, address="")

    def receive(self, data: bytes | Path, caller: Caller, key: str = "") -> Received:
        done = self.send(packed(data) if isinstance(data, Path) else data, caller, key)
        self.whole()
        return done

    def send(self, data: bytes, caller: Caller, key: str = "") -> Received:
        token = reception.machine(caller)
        with owned("parcel-", self.server.settings.incoming) as place:
            (place / looking.BODY).write_bytes(data)
            looked = looking.look(place, self.runs, reception.limits(self.server))
            return reception.receive(self.server, looked, key, token)

    def refused(self, data: bytes | Path, caller: Caller, key: str = "") -> Problem:
        before = {path.name: parcel.contents(path) for path in self.runs.iterdir()}
        with pytest.raises(Problem) as told:
            self.receive(data, caller, key)
        self.whole()
        assert {path.name: parcel.contents(path) for path in self.runs.iterdir()} == before
        assert str(self.server.settings.data) not in f"{told.value.title} {told.value.detail}"
        return told.value

    def whole(self) -> None:
        """Every run is what its origin says, and nothing lies about."""
        assert list(self.server.settings.incoming.iterdir()) == []
        for path in self.runs.iterdir():
            said = origin.read(path)
            assert store.ID.fullmatch(path.name) and (said is None or parcel.contents(path) == said.contents)

    def index(self) -> dict[str, str]:
        with index.opened(config.index_file(self.runs)) as connection:
            return index.stamps(connection)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database without rows: to bring a new one to the newest schema takes longer than most of these tests."""
    file = tmp_path_factory.mktemp("database") / "service.sqlite"
    database.opened(database.of_file(file)).close()
    return file.read_bytes()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bytes) -> Iterator[Here]:
    monkeypatch.setattr(config, "STATE", tmp_path / "state")
    data = tmp_path / "data"
    (data / "service").mkdir(parents=True)
    (data / "service" / "service.sqlite").write_bytes(empty)
    settings = Settings(data=data, database=database.of_file(data / "service" / "service.sqlite"))
    clock = Clock()
    with server.holding(settings, clock) as held:
        yield Here(server=held, clock=clock)


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """A run on the machine that measured it."""
    return some_run(tmp_path / "there")


def first_blocks(run: Path, count: int) -> bytes:
    """The parcel of a run as it was after so many blocks."""
    files = members(run)
    files[store.BLOCKS] = b"".join(files[store.BLOCKS].splitlines(keepends=True)[:count])
    files.pop("explanation.json", None)
    return of_members(files)


def test_a_run_is_kept_once_and_with_its_origin(here: Here, sent: Path) -> None:
    caller = here.token()
    done = here.receive(sent, caller, "k")
    assert done == Received(id=sent.name, digest=parcel.contents(sent).digest, fresh=True)
    place = here.runs / sent.name
    assert {path.name for path in place.iterdir()} == {*members(sent), origin.FILE, store.REPORT}
    assert members(place) == members(sent)
    listed = shelf.entry(place)
    assert listed.state is shelf.State.COMPLETE and listed.counts is not None
    said = origin.read(place)
    assert said is not None and caller.token is not None
    assert (said.machine, said.token, said.key, said.received) == ("bench1", caller.token.id, "k", NOW)
    assert said.digest == done.digest and said.contents == parcel.contents(sent)
    for key in ("k", "another", ""):
        assert here.receive(sent, caller, key) == replace(done, fresh=False)
    assert members(place) == members(sent) and origin.read(place) == said


def test_what_was_kept_is_in_the_index_at_once_as_if_it_had_been_found(here: Here, sent: Path) -> None:
    here.receive(sent, here.token())
    before = here.index()
    assert list(before) == [sent.name]
    found = history.read(here.runs, config.index_file(here.runs))
    assert found.fresh == () and found.problems == () and here.index() == before
    assert [entry.id for entry in found.runs] == [sent.name]
    assert list(found.rows["key"]) == [one.key for one in some_benchmarks(3)]


def test_the_same_run_at_once_from_many_is_one(here: Here, sent: Path) -> None:
    caller, data = here.token(), packed(sent)
    done, gate = list[Received](), threading.Barrier(6)

    def one(number: int) -> None:
        gate.wait()
        done.append(here.send(data, caller, f"k{number % 2}"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    here.whole()
    assert sorted(one.fresh for one in done) == [False] * 5 + [True]
    assert {one.digest for one in done} == {parcel.contents(sent).digest} and len(list(here.runs.iterdir())) == 1


def test_a_key_has_one_content_for_each_token(here: Here, sent: Path, tmp_path: Path) -> None:
    caller = here.token()
    other = some_run(tmp_path / "there", 2)
    here.receive(sent, caller, "k")
    told = here.refused(other, caller, "k")
    assert (told.status, told.slug) == (422, "key-used") and "'k'" in told.detail
    assert here.receive(other, caller, "l").fresh
    second = here.token()  # the machine's next token
    assert here.receive(some_run(tmp_path / "there", 3), second, "k").fresh


@pytest.mark.parametrize("order", [(3, 6, 18), (18, 6, 3), (6, 18, 3), (6, 3, 6, 18, 18, 3), (0, 18)])
def test_a_run_that_has_grown_is_one_run_in_whatever_order_it_comes(
    here: Here, sent: Path, order: tuple[int, ...]
) -> None:
    caller, most = here.token(), -1
    for count in order:
        done = here.receive(first_blocks(sent, count), caller)
        assert done.fresh == (count > most)
        most = max(most, count)
        place = here.runs / sent.name
        assert len(store.read(place).blocks) == most and done.digest == parcel.contents(place).digest
        assert history.read(here.runs, config.index_file(here.runs)).fresh == ()
    assert [path.name for path in here.runs.iterdir()] == [sent.name]


def test_an_explanation_that_came_later_stays(here: Here, sent: Path) -> None:
    caller = here.token()
    assert here.receive(first_blocks(sent, 18), caller).fresh
    assert here.receive(sent, caller).fresh
    assert not here.receive(first_blocks(sent, 18), caller).fresh
    assert (here.runs / sent.name / "explanation.json").exists()


@pytest.mark.parametrize("change", ["blocks", "manifest", "layouts", "order"])
def test_another_run_of_the_same_id_is_refused(here: Here, sent: Path, change: str) -> None:
    caller = here.token()
    here.receive(sent, caller)
    files = members(sent)
    lines = files[store.BLOCKS].splitlines(keepends=True)
    if change == "blocks":
        files[store.BLOCKS] = b"".join([*lines[:-1], lines[-1].replace(b'"seconds":0.15', b'"seconds":0.16')])
    elif change == "manifest":
        files[store.MANIFEST] = files[store.MANIFEST].replace(b'"seed": 1', b'"seed": 2')
    elif change == "layouts":
        files[store.LAYOUTS] = files[store.LAYOUTS].replace(b"4096", b"4097")
    else:
        files[store.BLOCKS] = b"".join([lines[1], lines[0], *lines[2:]])
    assert files != members(sent)
    told = here.refused(of_members(files), caller)
    assert (told.status, told.slug) == (409, "other-content") and sent.name in told.detail


def test_what_the_server_has_removed_is_known_all_the_same(here: Here, sent: Path) -> None:
    """`lockstep gc` on the server: the same run again is the same run, and one that has grown brings its blocks."""
    caller, place = here.token(), here.runs / sent.name
    here.receive(first_blocks(sent, 12), caller)
    statistics.keep(place)
    assert not here.send(first_blocks(sent, 12), caller).fresh
    with pytest.raises(Problem, match="neither the beginning"):
        here.send(first_blocks(sent, 6), caller)
    assert not store.has_blocks(place)
    assert here.receive(sent, caller).fresh and members(place) == members(sent)


def test_what_another_process_is_at_is_not_exchanged(here: Here, sent: Path) -> None:
    """`lockstep gc` on the server would put what it has read of the old run into the place of the new one's blocks."""
    caller = here.token()
    here.receive(first_blocks(sent, 12), caller)
    with shelf.held(here.runs / sent.name) as ours, pytest.raises(MachineError, match="in use by another process"):
        assert ours
        here.send(packed(sent), caller)
    here.whole()
    assert here.receive(sent, caller).fresh


def test_what_a_removal_that_was_killed_has_left_is_no_run(here: Here, sent: Path) -> None:
    caller = here.token()
    here.receive(sent, caller)
    (here.runs / sent.name / store.MANIFEST).unlink()
    assert here.receive(sent, caller).fresh and members(here.runs / sent.name) == members(sent)


def test_a_run_of_this_machine_is_never_replaced(here: Here, sent: Path) -> None:
    caller = here.token()
    own = some_run(here.runs)
    (own / "report.json").write_text("{}")
    assert not here.receive(sent, caller).fresh
    assert origin.read(own) is None and (own / "report.json").exists()
    with (sent / store.BLOCKS).open("ab") as stream:
        stream.write((sent / store.BLOCKS).read_bytes().splitlines(keepends=True)[-1])
    assert here.refused(sent, caller).slug == "other-content"


def test_a_run_without_blocks_can_be_sent(here: Here, sent: Path) -> None:
    statistics.keep(sent)
    caller = here.token()
    assert here.receive(sent, caller).fresh and not here.receive(sent, caller).fresh
    assert [entry.id for entry in history.read(here.runs, config.index_file(here.runs)).runs] == [sent.name]


@pytest.mark.parametrize("change", [
    {"run": "20231116T221320Z-000002"}, {"started": 1.0}, {"suite": "/other"}, {"machine": {"fingerprint": "another"}},
])
def test_statistics_of_another_run_are_refused(here: Here, sent: Path, change: dict[str, Any]) -> None:
    statistics.keep(sent)
    files = members(sent)
    said = json.loads(files[store.STATISTICS])
    said["report"].update(change)
    told = here.refused(of_members({**files, store.STATISTICS: json.dumps(said).encode()}), here.token())
    assert (told.status, told.slug) == (422, "other-statistics")


def test_a_clock_that_is_ahead_is_refused_but_for_some_minutes(here: Here, tmp_path: Path) -> None:
    caller = here.token()
    for number, ahead in enumerate((reception.AHEAD - 60, 86_400.0, 3.2e8)):
        run = some_run(tmp_path / "there", number, created=NOW + ahead)
        if not number:
            assert here.receive(run, caller).fresh
        else:
            told = here.refused(run, caller)
            assert (told.status, told.slug) == (422, "parcel-future") and "clock" in told.detail
    here.clock.now = NOW - 10 * 86_400.0
    assert here.refused(some_run(tmp_path / "there", 9, created=NOW - 86_400), caller).slug == "parcel-future"


def test_a_token_is_of_one_machine(here: Here, tmp_path: Path) -> None:
    there = tmp_path / "there"

    def of(host: str | None, number: int) -> Path:
        return some_run(there, number, machine={**MACHINE, "host": host})

    one, two = here.token("bench1"), here.token("bench2", host="b" * 16)
    told = here.refused(of("a" * 16, 1), two)
    assert (told.status, told.slug) == (403, "other-machine") and "b" * 16 in told.detail
    assert here.receive(of("a" * 16, 2), one).fresh, "the first run binds"
    assert here.refused(of("c" * 16, 3), one).slug == "other-machine"
    told = here.refused(of("a" * 16, 4), here.token("bench3"))
    assert told.slug == "other-machine" and "known as bench1" in told.detail
    assert here.refused(of("b" * 16, 5), here.token("bench3")).slug == "other-machine", "bound before it was used"
    assert here.receive(of("a" * 16, 6), here.token("bench1")).fresh, "the machine's next token"
    assert here.receive(of("b" * 16, 7), two).fresh
    for number, nothing in enumerate((None, "")):
        assert here.refused(of(nothing, 8 + number), one).slug == "no-host"
    assert {token.name: token.host for token in tokens.listed(here.server.database) if token.host} == {
        "bench1": "a" * 16, "bench2": "b" * 16}


def test_a_machine_that_was_given_another_name_is_let_in_when_the_old_token_has_ended(here: Here, sent: Path) -> None:
    old = here.token("old")
    here.receive(sent, old)
    assert old.token is not None
    tokens.revoke(here.server.database, old.token.id, NOW)
    assert not here.receive(sent, here.token("new")).fresh
    told = here.refused(sent, old)
    assert told.status == 401, "revoked while it was sent"


def test_people_do_not_send_runs(here: Here, sent: Path) -> None:
    for caller in (here.token("ada", machine=False), Caller(token=None, address="")):
        told = here.refused(sent, caller)
        assert (told.status, told.slug) == (403, "no-machine") and "--machine" in told.detail


def test_a_commit_of_a_watch_is_of_one_branch(here: Here, tmp_path: Path) -> None:
    caller, there = here.token(), tmp_path / "there"

    def of(number: int, watch: str | None, branch: str, hash: str = COMMIT.hash) -> Path:
        role = None if watch is None else Role(watch=watch, configuration="", purpose=Purpose.ANCHOR, night="n")
        head = replace(arm("night-1"), commit=replace(COMMIT, branch=branch, hash=hash))
        return some_run(there, number, role=role, head=head)

    assert here.receive(of(1, "main", "main"), caller).fresh
    told = here.refused(of(2, "main", "3.14"), caller)
    assert (told.status, told.slug) == (409, "other-branch") and "'main'" in told.detail and "'3.14'" in told.detail
    for number, changes in enumerate((("main", "main"), ("main", ""), ("other", "3.14"), (None, "3.14")), start=3):
        assert here.receive(of(number, *changes), caller).fresh
    assert here.receive(of(8, "main", "3.14", "9f8e" * 10), caller).fresh
    assert here.refused(of(9, "main", "3.14"), caller).slug == "other-branch"


def test_a_wrong_branch_is_forgotten_with_its_run(here: Here, tmp_path: Path) -> None:
    caller = here.token()
    role = Role(watch="main", configuration="", purpose=Purpose.ANCHOR)
    wrong, right = (
        some_run(tmp_path / "there", number, role=role,
                 head=replace(arm("night-1"), commit=replace(COMMIT, branch=branch)))
        for number, branch in ((1, "mian"), (2, "main")))
    here.receive(wrong, caller)
    assert here.refused(right, caller).slug == "other-branch"
    shelf.remove(here.runs / wrong.name)
    assert here.receive(right, caller).fresh


def test_a_part_of_a_larger_measurement_is_refused(here: Here, tmp_path: Path) -> None:
    told = here.refused(some_run(tmp_path / "there", labels={"kind": "aa"}), here.token())
    assert (told.status, told.slug) == (422, "part")


def test_a_run_of_which_no_report_can_be_made_is_refused_in_words(here: Here, sent: Path) -> None:
    for margin in (b"-5.0", b"-1.0", b"1e308"):
        data = of_members({**members(sent), store.MANIFEST: members(sent)[store.MANIFEST].replace(
            b'"margin": 0.01', b'"margin": ' + margin)})
        try:
            here.receive(data, here.token())
        except Problem as told:
            assert (told.status, told.slug) == (422, "no-report") and told.detail
            break
    else:
        pytest.fail("every margin is taken")


@pytest.mark.parametrize("room", [0.0, 0.2, 0.99])
def test_a_full_disk_leaves_all_as_it_was(here: Here, sent: Path, room: float) -> None:
    caller, data = here.token(), packed(sent)
    with full_disk(int(room * max(map(len, members(sent).values())))), pytest.raises((OSError, MachineError)):
        here.send(data, caller)
    here.whole()
    assert list(here.runs.iterdir()) == []
    assert here.receive(sent, caller).fresh


def test_what_a_killed_server_left_is_removed(here: Here, sent: Path) -> None:
    left = here.server.settings.incoming / "parcel-abcdefgh"
    left.mkdir()
    (left / "unpacked").mkdir()
    assert here.receive(sent, here.token()).fresh


# What follows the paths that a run names.

@pytest.fixture
def received(here: Here, sent: Path) -> Path:
    here.receive(sent, here.token())
    return here.runs / sent.name


WORDS = "was received from bench1 on 2023-12-14. The interpreters and the suite that it names are on that machine"


def test_a_received_run_is_not_gone_on_with(
    received: Path, lockstep: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, said = lockstep("resume", received.name, "--out", received.parent)
    assert code == 2 and WORDS in " ".join(said.split()) and "Resume it there" in said
    assert len(members(received)[store.BLOCKS].splitlines()) == 18


def test_a_received_run_of_a_fleet_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says that it was asked for would be asked of a fleet's machines: paths of interpreters and of a suite."""
    monkeypatch.setattr(session, "_connected", lambda door: pytest.fail("a machine was asked"))
    asked = session.FleetRequest(door=Door(address="tcp://127.0.0.1:8786", certificates=None))
    shared = store.Fleet(
        address=asked.door.address, hands=(), hosts={"bench1": {}}, runs=("../elsewhere",), request={"base": "/tmp/x"})
    run = some_run(tmp_path / "runs", fleet=shared)
    with pytest.raises(UsageError, match="which is no run"):
        session.resume(run, asked, Quiet())
    origin.write(run, Origin(
        machine="bench1", token="0" * 8, key="k", received=NOW, digest="d", contents=parcel.contents(run)))
    with pytest.raises(UsageError, match="was received from bench1"):
        session.resume(run, asked, Quiet())


def test_a_run_of_a_fleet_is_taken(here: Here, tmp_path: Path) -> None:
    """Each of its machines measures on a CPU of its own, so its report names none."""
    shared = store.Fleet(
        address="tcp://127.0.0.1:8786", hands=(), hosts={"bench1": {"pinned": 1}}, runs=(), request={})
    run = some_run(tmp_path / "there", fleet=shared, worker_cpu=None)
    assert here.receive(run, here.token()).fresh and (here.runs / run.name).is_dir()


def test_a_received_run_is_shown(received: Path, lockstep: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = lockstep("show", received.name, "--out", received.parent)
    assert code in (0, 1) and received.name in out


def test_the_work_of_a_received_run_is_not_counted(received: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("a path of a received run was followed")

    monkeypatch.setattr(explaining.suites, "open", never)
    monkeypatch.setattr(explaining.builds, "check", never)
    run, problems = store.read(received), list[str]()
    assert not explaining._count(run, list(run.manifest.benchmarks), {}, problems, Quiet())
    (problem,) = problems
    assert problem.startswith("Work was not counted: ") and WORDS in problem


def test_a_received_run_is_not_put_into_asvs_store(received: Path) -> None:
    with pytest.raises(UsageError, match="was received from bench1"):
        recording.record(received, None)


def test_a_night_never_takes_a_received_run_for_its_own(here: Here, tmp_path: Path) -> None:
    one = work(here.server.settings.data)
    wanted = Wanted(purpose=Purpose.ANCHOR, base=arm("night-1"), head=arm("night-1"), suite="s", pattern=None, blocks=6,
                    budget=1.0)
    role = Role(watch="main", configuration="", purpose=Purpose.ANCHOR, night=night().id)
    made = some_run(tmp_path / "there", role=role, seed=1, created=1.7e9 + 60)
    files = members(made)
    files[store.MANIFEST] = files[store.MANIFEST].replace(
        b'"seed": 1', f'"seed": {wanted.seed(night().id)}'.encode())
    here.receive(of_members(files), here.token())
    assert night_measure._begun(one, wanted) is None
    (here.runs / made.name / origin.FILE).unlink()
    assert night_measure._begun(one, wanted) == here.runs / made.name


# What is taken can be shown.

@pytest.mark.filterwarnings("ignore")  # as it is where the server runs
def test_whatever_is_taken_can_be_published(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run that the pages cannot bear would keep everybody's from being published."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_charts(tmp_path, tmp_path / "cache")
    monkeypatch.setattr(history, "ALONE", 10_000)  # no processes here
    monkeypatch.setattr(publishing, "TOGETHER", 10_000)
    made = make_run(tmp_path / "there", 1, some_benchmarks(2), machine={**MACHINE, "host": HOST}, role=Role(
        watch="main", configuration="", purpose=Purpose.ANCHOR), head=replace(arm("night-1"), commit=COMMIT))
    files, caller, numbers = members(made), here.token(), iter(range(1, 10_000))
    kept = list[str]()

    @settings(max_examples=settings().max_examples // 3, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def send(data: st.DataObject) -> None:
        id = f"{made.name[:17]}{next(numbers):06x}"
        found: Mapping[str, bytes] = data.draw(altered(
            {**files, store.MANIFEST: files[store.MANIFEST].replace(made.name.encode(), id.encode())}))
        try:
            kept.append(here.send(of_members(found), caller).id)
        except Problem as told:
            assert 400 <= told.status < 500 and told.detail

    # How many of the altered ones are taken is a matter of what is drawn: a floor for them would fail by chance.
    kept.append(here.send(of_members(files), caller).id)
    send()
    here.whole()
    assert {path.name for path in here.runs.iterdir()} == set(kept)
    done = jobs.publish(jobs.PublishRequest(out=tmp_path / "site", runs=here.runs, state=tmp_path / "state"), Quiet())
    assert not [path for path in done.folder.rglob("*.html") if apart.TITLE in path.read_text()]
    assert done.problems == () and done.runs == len(set(kept))


@pytest.mark.filterwarnings("ignore")
def test_a_history_beyond_the_farthest_mark_has_its_pages(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    for number in range(3):
        run = make_run(tmp_path / "there", number, some_benchmarks(1), changed=25.0, machine={**MACHINE, "host": HOST})
        here.receive(run, here.token())
    done = jobs.publish(jobs.PublishRequest(out=tmp_path / "site", runs=here.runs, state=tmp_path / "state"), Quiet())
    assert done.runs == 3
    assert not [path for path in done.folder.rglob("*.html") if apart.TITLE in path.read_text()]


# By HTTP.

class Threads:
    """What looks at parcels where no processes are to be."""

    async def look(self, place: Path, runs: Path, limits: Limits) -> Looked | Refusal:
        return await asyncio.to_thread(looking.look, place, runs, limits)


def post(server: Server, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str]) -> httpx.Response:
    """What the application answers; it raises what it does not answer."""
    made = app.make(server)
    made.state.lookers = Threads()

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=made)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/api/v1/runs", content=body, headers=headers)

    return asyncio.run(ask())


def headers(here: Here, body: bytes, **changes: str) -> dict[str, str]:
    _, text = tokens.create(here.server.database, "bench1", ["submit"], NOW, machine=True)
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    usual = {"Authorization": f"Bearer {text}", "Content-Type": parcel.MEDIA, "Idempotency-Key": '"k"',
             "Content-Digest": f"sha-256=:{sha}:"}
    return {**usual, **{name.replace("_", "-"): value for name, value in changes.items()}}


def test_a_run_is_sent_by_http(here: Here, sent: Path) -> None:
    body = packed(sent)
    for status, fresh in ((201, True), (200, False)):
        answer = post(here.server, body, headers(here, body))
        assert answer.status_code == status, answer.text
        assert answer.json() == {"id": sent.name, "digest": parcel.contents(sent).digest, "fresh": fresh}
    said = origin.read(here.runs / sent.name)
    assert said is not None and said.key == "k"
    here.whole()


@pytest.mark.parametrize(("changes", "status", "slug"), [
    ({"Authorization": ""}, 401, "token"), ({"Authorization": "Bearer lst_00000000_" + "x" * 43}, 401, "token"),
    ({"Content_Type": "application/json"}, 415, "type"), ({"Content_Type": "text/plain"}, 415, "type"),
    ({"Idempotency_Key": "x" * 300}, 400, "key"), ({"Idempotency_Key": "a b"}, 400, "key"),
    ({"Content_Digest": "sha-256=:AAAA:"}, 400, "digest"), ({"Content_Digest": "sha-256=x"}, 400, "digest"),
    ({"Content_Digest": f"sha-256=:{'A' * 43}=:"}, 422, "digest"),
])
def test_what_is_wrong_with_a_request_is_said(
    here: Here, sent: Path, changes: dict[str, str], status: int, slug: str
) -> None:
    body = packed(sent)
    answer = post(here.server, body, headers(here, body, **changes))
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["title"]
    assert list(here.runs.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "sha-512=:AAAA:", "unixsum=:AAA=:"])
def test_a_digest_that_we_do_not_know_is_passed_over(
    here: Here, sent: Path, digest: str
) -> None:
    body = packed(sent)
    assert post(here.server, body, headers(here, body, Content_Digest=digest)).status_code == 201


def test_one_who_may_only_read_sends_nothing(here: Here, sent: Path) -> None:
    _, text = tokens.create(here.server.database, "bench1", ["read", "request", "triage"], NOW, machine=True)
    body = packed(sent)
    answer = post(here.server, body, headers(here, body, Authorization=f"Bearer {text}"))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/scope")


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    here: Here, told: bool
) -> None:
    small = here.server.settings.serve.model_copy(update={"largest_upload": 3 << 20})
    strict, given = replace(here.server, settings=replace(here.server.settings, serve=small)), list[bytes]()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(64):
            given.append(b"x" * (1 << 20))
            yield given[-1]

    answer = post(strict, b"x" * (4 << 20) if told else body(), {**headers(here, b""), "Content-Digest": ""})
    assert len(given) == (0 if told else 4)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    here.whole()


@pytest.mark.parametrize(("body", "status"), [
    (b"", 422), (b"x", 422), (b"\x1f\x8b", 422), (b"\0" * 5_000_000, 422),
])
def test_a_body_that_is_no_parcel_is_a_problem(here: Here, body: bytes, status: int) -> None:
    answer = post(here.server, body, headers(here, body))
    assert answer.status_code == status and answer.json()["type"].startswith("/problems/parcel-")
    here.whole()


def test_a_disk_that_is_full_is_said_and_what_is_sent_again_is_kept(
    here: Here, sent: Path
) -> None:
    body, head = packed(sent), headers(here, packed(sent))
    with full_disk(3_000):
        answer = post(here.server, body, head)
    assert (answer.status_code, answer.json()["type"]) == (507, "/problems/disk-full")
    assert answer.headers["retry-after"] == api_runs.AGAIN
    here.whole()
    assert list(here.runs.iterdir()) == []
    assert post(here.server, body, head).status_code == 201


def test_one_machines_runs_leave_room_for_anothers(
    here: Here, sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that are looked at at one time, one machine that sends what takes long must not have both."""
    made, body = app.make(here.server), packed(sent)
    busy, most, looked = Counter[str](), Counter[str](), list[str]()

    async def looks(request: Request, place: Path) -> Refusal:
        name = request.state.audit.name
        busy[name] += 1
        most[name] = max(most[name], busy[name])
        while name == "slow" and "quick" not in looked:
            await asyncio.sleep(0)
        busy[name] -= 1
        looked.append(name)
        return Refusal(status=422, slug="x", title="x", detail="")

    monkeypatch.setattr(api_runs, "_looked", looks)
    heads = {name: f"Bearer {tokens.create(here.server.database, name, ['submit'], NOW, machine=True)[1]}"
             for name in ("slow", "quick")}

    async def ask() -> None:
        transport = httpx.ASGITransport(app=made)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await asyncio.gather(*(
                client.post("/api/v1/runs", content=body, headers={
                    "Authorization": heads[name], "Content-Type": parcel.MEDIA})
                for name in ("slow", "slow", "slow", "quick")))

    asyncio.run(asyncio.wait_for(ask(), 60))
    assert most == {"slow": 1, "quick": 1} and sorted(looked) == ["quick", "slow", "slow", "slow"]
