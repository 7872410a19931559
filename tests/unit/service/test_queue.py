"""The queue: what its steps promise, and that any order of them, whatever the clock says, keeps what the rules say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy.pool import StaticPool

from runner.jobs.policy import Wanted
from runner.service import queue, tables
from runner.service.problems import Problem
from runner.service.queue import DAY, LEASE, LOSSES, MOST, UNHEARD, Asker, State, Tenure

NOW = 1.8e9
ENGINE = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
RUNS = [f"20261129T0000{number:02}Z-00000{number:x}" for number in range(3)]


def opened() -> sa.Connection:
    """An empty database with the tokens of three machines, in a transaction that is given up in the end."""
    if not sa.inspect(ENGINE).has_table("requests"):
        tables.metadata.create_all(ENGINE)
    connection = ENGINE.connect()
    connection.begin()
    for name in ("m1", "m2", "m3"):
        connection.execute(sa.insert(tables.tokens).values(
            id=name, name=name, machine=True, scopes="read submit", hash="", created=0.0, expires=None, revoked=None,
            host="", used=None))
    return connection


@pytest.fixture
def here() -> Iterator[sa.Connection]:
    connection = opened()
    yield connection
    connection.rollback()
    connection.close()


def wanted(**changes: object) -> Wanted:
    return Wanted(**{"base": "cpython@3.13.5+nocow", "head": "cpython@3.13.5", **changes})  # type: ignore[arg-type]


def ask(here: sa.Connection, person: str = "ada", now: float = NOW, **changes: object) -> str:
    return queue.submit(here, wanted(**changes), Asker(person=person), now)[0].id


def claim(here: sa.Connection, machine: str = "m1", now: float = NOW) -> tuple[queue.Lease, queue.Request]:
    found = queue.claim(here, machine, machine, {"cpu": "x"}, now)
    assert found is not None
    return found


def state(here: sa.Connection, id: str) -> State:
    return queue.find(here, id).state


def runs(here: sa.Connection, id: str) -> list[str]:
    return [one.run for one in queue.results_of(here, [id])[id]]


def test_a_request_is_claimed_kept_and_done(here: sa.Connection) -> None:
    id = ask(here)
    assert state(here, id) is State.WAITING
    lease, request = claim(here)
    assert request.id == id and request.wanted == wanted() and request.state is State.RUNNING
    assert lease.expires == NOW + LEASE and lease.facts == {"cpu": "x"}
    held, cancelled = queue.beat(here, lease.id, "m1", "building", NOW + 100)
    assert (held.expires, held.note, cancelled) == (NOW + 100 + LEASE, "building", False)
    done = queue.end(here, lease.id, "m1", Tenure.DONE, [RUNS[0], RUNS[1], RUNS[0]], "", NOW + 200)
    assert done.state is State.DONE and done.finished == NOW + 200 and runs(here, id) == RUNS[:2]
    assert queue.claim(here, "m1", "m1", {}, NOW + 200) is None


def test_a_machine_that_is_not_heard_of_loses_its_request_to_another(here: sa.Connection) -> None:
    id = ask(here)
    lease, _ = claim(here, "m1")
    queue.beat(here, lease.id, "m1", "", NOW + 1)
    assert queue.claim(here, "m2", "m2", {}, NOW + 1 + LEASE - 0.1) is None
    other, request = claim(here, "m2", NOW + 1 + LEASE)
    assert request.id == id
    assert queue.beat(here, lease.id, "m1", "", NOW + 200)[1], "it is to stop"
    assert queue.beat(here, other.id, "m2", "", NOW + 200)[1] is False


def test_a_late_result_is_kept_and_kept_once(here: sa.Connection) -> None:
    id = ask(here)
    first, _ = claim(here, "m1")
    second, _ = claim(here, "m2", NOW + 200)
    late = queue.end(here, first.id, "m1", Tenure.DONE, [RUNS[0]], "", NOW + 250)
    assert late.state is State.DONE and late.finished == NOW + 250
    assert queue.beat(here, second.id, "m2", "", NOW + 260)[1], "the second machine is told to stop"
    again = queue.end(here, first.id, "m1", Tenure.DONE, [RUNS[1]], "", NOW + 270)
    other = queue.end(here, second.id, "m2", Tenure.DONE, [RUNS[2]], "", NOW + 280)
    assert again == other == late and runs(here, id) == [RUNS[0]]


def test_a_late_result_that_nobody_else_was_given_takes_the_request_out_of_the_queue(here: sa.Connection) -> None:
    id = ask(here)
    lease, _ = claim(here, "m1")
    queue.settle(here, NOW + 500)
    assert state(here, id) is State.WAITING
    queue.end(here, lease.id, "m1", Tenure.DONE, [RUNS[0]], "", NOW + 600)
    assert state(here, id) is State.DONE and queue.claim(here, "m2", "m2", {}, NOW + 600) is None


def test_a_late_failure_does_not_end_what_another_machine_is_at(here: sa.Connection) -> None:
    id = ask(here)
    first, _ = claim(here, "m1")
    second, _ = claim(here, "m2", NOW + 200)
    queue.end(here, first.id, "m1", Tenure.FAILED, [], "disk full", NOW + 210)
    assert state(here, id) is State.RUNNING
    queue.end(here, second.id, "m2", Tenure.FAILED, [], "no compiler", NOW + 220)
    assert state(here, id) is State.FAILED and queue.find(here, id).problem == "no compiler"


def test_a_lease_that_was_lost_is_held_again_while_nobody_has_the_request(here: sa.Connection) -> None:
    id = ask(here)
    lease, _ = claim(here, "m1")
    queue.settle(here, NOW + 500)
    held, cancelled = queue.beat(here, lease.id, "m1", "", NOW + 501)
    assert not cancelled and held.state is Tenure.HELD and state(here, id) is State.RUNNING
    assert queue.claim(here, "m2", "m2", {}, NOW + 502) is None


def test_a_machine_that_has_another_request_does_not_get_the_old_one_back(here: sa.Connection) -> None:
    first = ask(here)
    lease, _ = claim(here, "m1")
    queue.settle(here, NOW + 500)
    second = ask(here, "bob", NOW + 500)
    assert claim(here, "m1", NOW + 500)[1].id == second
    assert queue.beat(here, lease.id, "m1", "", NOW + 501)[1], "its older self is to stop"
    queue.end(here, lease.id, "m1", Tenure.RETURNED, [], "", NOW + 502)
    assert state(here, first) is State.WAITING and state(here, second) is State.RUNNING


def test_the_answer_to_a_claim_may_be_lost(here: sa.Connection) -> None:
    ask(here), ask(here)
    lease, request = claim(here)
    again, same = claim(here, now=NOW + 60)
    assert (again.id, same.id) == (lease.id, request.id) and again.expires == NOW + 60 + LEASE
    queue.beat(here, lease.id, "m1", "", NOW + 61)
    other, _ = claim(here, now=NOW + 62)
    assert other.id != lease.id, "it was heard of, and has begun anew: what it had is lost"
    assert len(queue.leases_of(here, [request.id])[request.id]) == 2


def test_a_machine_that_always_dies_before_it_is_heard_of_is_not_given_the_same_for_ever(here: sa.Connection) -> None:
    id = ask(here)
    for number in itertools.count():
        if queue.claim(here, "m1", "m1", {}, NOW + 60 * number) is None:
            break
    assert state(here, id) is State.FAILED and 60 * number <= LOSSES * (UNHEARD + 60)


def test_a_request_that_ends_three_machines_has_failed(here: sa.Connection) -> None:
    id = ask(here)
    for number in range(LOSSES):
        claim(here, f"m{number + 1}", NOW + 200 * number)
    queue.settle(here, NOW + 1000)
    assert state(here, id) is State.FAILED and "m3" in queue.find(here, id).problem


def test_a_machine_gives_a_request_back(here: sa.Connection) -> None:
    id = ask(here)
    for _ in range(LOSSES + 1):
        lease, _ = claim(here)
        queue.end(here, lease.id, "m1", Tenure.RETURNED, [], "", NOW)
    assert state(here, id) is State.WAITING


def test_a_request_is_cancelled(here: sa.Connection) -> None:
    waits, runs_ = ask(here, priority=-1), ask(here)
    lease, _ = claim(here)
    for id in (waits, runs_):
        assert queue.cancel(here, id, NOW + 1).state is State.CANCELLED
        assert queue.cancel(here, id, NOW + 9).finished == NOW + 1
    assert queue.beat(here, lease.id, "m1", "", NOW + 2)[1]
    assert queue.end(here, lease.id, "m1", Tenure.DONE, [RUNS[0]], "", NOW + 3).state is State.CANCELLED
    assert runs(here, runs_) == [] and queue.claim(here, "m1", "m1", {}, NOW + 4) is None
    done = ask(here)
    lease, _ = claim(here)
    queue.end(here, lease.id, "m1", Tenure.DONE, [RUNS[0]], "", NOW)
    with pytest.raises(Problem) as told:
        queue.cancel(here, done, NOW)
    assert told.value.status == 409


def test_turns_go_to_the_person_who_had_least(here: sa.Connection) -> None:
    hers = [ask(here, "ada", NOW + number) for number in range(3)]
    his = ask(here, "bob", NOW + 10)
    assert claim(here, "m1", NOW + 20)[1].id == hers[0]
    assert claim(here, "m2", NOW + 20)[1].id == his, "what ada's machine will take counts already"
    assert claim(here, "m3", NOW + 20)[1].id == hers[1], "both have one, and ada's is older"


def test_what_was_had_a_day_ago_is_forgotten(here: sa.Connection) -> None:
    ask(here, "ada")
    lease, _ = claim(here)
    queue.beat(here, lease.id, "m1", "", NOW + 100)
    queue.end(here, lease.id, "m1", Tenure.DONE, [RUNS[0]], "", NOW + 200)
    hers, his = ask(here, "ada", NOW + 300), ask(here, "bob", NOW + 301)
    assert next(iter(here.execute(queue._turns("m1", NOW + DAY - 1))))[0] == his
    assert next(iter(here.execute(queue._turns("m1", NOW + DAY + 1))))[0] == hers


def test_ones_own_priorities_order_ones_own_requests_only(here: sa.Connection) -> None:
    ask(here, "ada", NOW, budget=60.0)
    claim(here, "m1")
    low, high = ask(here, "ada", NOW + 1, priority=1), ask(here, "ada", NOW + 2, priority=10)
    his = ask(here, "bob", NOW + 3, priority=-10)
    assert [claim(here, machine, NOW + 4)[1].id for machine in ("m2", "m3")] == [his, high]
    assert state(here, low) is State.WAITING


def test_a_request_waits_for_its_machine(here: sa.Connection) -> None:
    id = ask(here, machine="m2")
    assert queue.claim(here, "m1", "m1", {}, NOW) is None
    assert claim(here, "m2")[1].id == id
    with pytest.raises(Problem, match="no machine is called"):
        ask(here, machine="m4")


def test_a_key_asks_once(here: sa.Connection) -> None:
    asker = Asker(person="ada")
    first, fresh = queue.submit(here, wanted(), asker, NOW, "k")
    again, same = queue.submit(here, wanted(), asker, NOW + 9, "k")
    assert fresh and not same and first == again
    with pytest.raises(Problem) as told:
        queue.submit(here, wanted(select="a"), asker, NOW, "k")
    assert told.value.status == 409


def test_a_person_has_so_many_open(here: sa.Connection) -> None:
    ids = [ask(here) for _ in range(MOST)]
    with pytest.raises(Problem) as told:
        ask(here)
    assert told.value.status == 429
    ask(here, "bob")
    queue.cancel(here, ids[0], NOW)
    ask(here)


def test_a_lease_is_its_tokens_alone(here: sa.Connection) -> None:
    ask(here)
    lease, _ = claim(here)
    for step in (
        lambda: queue.beat(here, lease.id, "m2", "", NOW), lambda: queue.beat(here, "nosuch", "m1", "", NOW),
        lambda: queue.end(here, lease.id, "m2", Tenure.FAILED, [], "", NOW),
    ):
        with pytest.raises(Problem) as told:
            step()
        assert told.value.status == 404


def test_lists_have_pages(here: sa.Connection) -> None:
    ids = [ask(here, now=NOW + number // 2) for number in range(7)]
    found: list[str] = []
    while page := queue.listed(here, tuple(State), 3, found[-1] if found else None):
        found += [one.id for one in page]
    assert sorted(found) == sorted(ids) and len(found) == 7
    assert [queue.find(here, id).created for id in found] == sorted((NOW + n // 2 for n in range(7)), reverse=True)
    queue.cancel(here, ids[0], NOW)
    assert [one.id for one in queue.listed(here, [State.CANCELLED], 9)] == [ids[0]]


def test_a_server_that_was_away_takes_no_machine_for_dead(here: sa.Connection) -> None:
    ask(here)
    claim(here)
    queue.prolong(here, NOW + 3600)
    assert queue.claim(here, "m2", "m2", {}, NOW + 3600 + LEASE - 1) is None
    assert queue.claim(here, "m2", "m2", {}, NOW + 3600 + LEASE) is not None


def test_a_clock_that_was_set_back_makes_no_lease_longer(here: sa.Connection) -> None:
    ask(here)
    claim(here)
    assert queue.claim(here, "m2", "m2", {}, NOW - 5000) is None
    assert queue.claim(here, "m2", "m2", {}, NOW - 5000 + LEASE) is not None


@dataclass
class Had:
    """A lease, as a plain rule book has it."""

    request: str
    machine: str
    begun: float
    expires: float
    heard: bool = False
    ended: float | None = None
    state: str = "held"


@dataclass
class Wish:
    """A request, likewise."""

    person: str
    wanted: Wanted
    created: float
    state: str = "waiting"
    runs: set[str] = field(default_factory=set)

    @property
    def over(self) -> bool:
        return self.state not in ("waiting", "running")


class Steps(RuleBasedStateMachine):
    """Persons, machines and a clock that jumps, in any order; the rules once more in plain words beside."""

    def __init__(self) -> None:
        super().__init__()
        self.here, self.now = opened(), NOW
        # What is drawn must not depend on chance that is not drawn: requests of one moment go by their ids.
        self.chance, numbers = queue.secrets, itertools.count()
        queue.secrets = SimpleNamespace(  # type: ignore[assignment]
            token_hex=lambda size: f"{next(numbers):0{2 * size}x}")
        self.wishes: dict[str, Wish] = {}
        self.had: dict[str, Had] = {}

    def teardown(self) -> None:
        queue.secrets = self.chance
        self.here.rollback()
        self.here.close()

    def held(self, **which: str) -> list[Had]:
        return [one for one in self.had.values()
                if one.state == "held" and all(getattr(one, name) == value for name, value in which.items())]

    def lose(self, lease: Had) -> None:
        lease.state, lease.ended = "lost", min(self.now, lease.expires)
        wish = self.wishes[lease.request]
        if wish.state == "running":
            lost = sum(one.request == lease.request and one.state == "lost" for one in self.had.values())
            wish.state = "failed" if lost >= LOSSES else "waiting"

    def settled(self) -> None:
        for lease in self.held():
            lease.expires = min(lease.expires, self.now + LEASE)
            if lease.expires <= self.now:
                self.lose(lease)

    def spent(self, person: str) -> float:
        recent = [one for one in self.had.values()
                  if self.wishes[one.request].person == person and one.begun > self.now - DAY]
        return sum(
            self.wishes[one.request].wanted.budget if one.ended is None else max(0.0, one.ended - one.begun)
            for one in recent)

    @rule(person=st.sampled_from(["ada", "bob", "eve"]), priority=st.integers(-1, 1),
          budget=st.sampled_from([60.0, 600.0]), machine=st.sampled_from(["", "", "m1"]))
    def ask(self, person: str, priority: int, budget: float, machine: str) -> None:
        asked = wanted(priority=priority, budget=budget, machine=machine)
        if sum(one.person == person and not one.over for one in self.wishes.values()) < MOST:
            found, _ = queue.submit(self.here, asked, Asker(person=person), self.now)
            self.wishes[found.id] = Wish(person, asked, self.now)

    @rule(machine=st.sampled_from(["m1", "m2", "m3"]))
    def claim(self, machine: str) -> None:
        found = queue.claim(self.here, machine, machine, {}, self.now)
        self.settled()
        for lease in self.held(machine=machine):
            if self.wishes[lease.request].over:
                lease.state, lease.ended = "returned", self.now
            elif not lease.heard and 0 <= self.now - lease.begun < UNHEARD:
                lease.expires = self.now + LEASE
                assert found is not None and self.had.get(found[0].id) is lease
                return
            else:
                self.lose(lease)
        order = sorted(
            (self.spent(one.person), -one.wanted.priority, one.created, id) for id, one in self.wishes.items()
            if one.state == "waiting" and one.wanted.machine in ("", machine))
        if not order:
            assert found is None
            return
        assert found is not None and found[1].id == order[0][3]
        self.wishes[found[1].id].state = "running"
        self.had[found[0].id] = Had(found[1].id, machine, self.now, self.now + LEASE)

    @precondition(lambda self: self.had)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.had)))
        lease = self.had[id]
        wish = self.wishes[lease.request]
        _, stop = queue.beat(self.here, id, lease.machine, "at it", self.now)
        if lease.state == "lost" and wish.state == "waiting" and not self.held(machine=lease.machine):
            lease.state, lease.ended, wish.state = "held", None, "running"
        if lease.state == "held" and not wish.over:
            assert not stop
            lease.heard, lease.expires = True, self.now + LEASE
        else:
            assert stop

    @precondition(lambda self: self.had)
    @rule(data=st.data(), outcome=st.sampled_from([Tenure.DONE, Tenure.FAILED, Tenure.RETURNED]),
          run=st.sampled_from(RUNS))
    def end(self, data: st.DataObject, outcome: Tenure, run: str) -> None:
        id = data.draw(st.sampled_from(sorted(self.had)))
        lease = self.had[id]
        wish = self.wishes[lease.request]
        queue.end(self.here, id, lease.machine, outcome, [run] if outcome is Tenure.DONE else [], "why", self.now)
        if lease.state not in ("held", "lost"):
            return
        lease.state, lease.ended = outcome.value, self.now if lease.ended is None else lease.ended
        elsewhere = bool(self.held(request=lease.request))
        if wish.over or (elsewhere and outcome is not Tenure.DONE):
            return
        wish.state = "waiting" if outcome is Tenure.RETURNED else outcome.value
        wish.runs |= {run} if outcome is Tenure.DONE else set()

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.wishes)))
        if self.wishes[id].over:
            return
        queue.cancel(self.here, id, self.now)
        self.wishes[id].state = "cancelled"

    @rule(seconds=st.sampled_from([1.0, 50.0, LEASE, 700.0, DAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([50.0, 5000.0]))
    def clock_is_set_back(self, seconds: float) -> None:
        self.now -= seconds

    @rule()
    def look(self) -> None:
        queue.settle(self.here, self.now)
        self.settled()

    @rule()
    def server_was_away(self) -> None:
        queue.prolong(self.here, self.now)
        for lease in self.held():
            lease.expires = self.now + LEASE

    @invariant()
    def both_agree(self) -> None:
        rows = self.here.execute(sa.select(tables.requests.c.id, tables.requests.c.state)).all()
        assert dict(map(tuple, rows)) == {id: one.state for id, one in self.wishes.items()}
        asked = sa.select(tables.leases.c.id, tables.leases.c.state, tables.leases.c.ended)
        assert {id: rest for id, *rest in self.here.execute(asked)} == {
            id: [one.state, one.ended] for id, one in self.had.items()}
        found = queue.results_of(self.here, list(self.wishes))
        assert {id: {one.run for one in those} for id, those in found.items()} == {
            id: one.runs for id, one in self.wishes.items()}

    @invariant()
    def a_request_runs_where_one_machine_has_it(self) -> None:
        for id, wish in self.wishes.items():
            held = len(self.held(request=id))
            assert held == 1 if wish.state == "running" else held == 0 or wish.over
            assert bool(wish.runs) == (wish.state == "done")
        for machine in ("m1", "m2", "m3"):
            assert len(self.held(machine=machine)) <= 1


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck))
