"""The queue in databases as a server has them, with machines and people that come at one moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from bench import together

from runner.jobs.policy import Wanted
from runner.service import database, queue, tables
from runner.service.database import Database
from runner.service.problems import Problem
from runner.service.queue import LEASE, Asker, State, Tenure

WANTED = Wanted(base="cpython@3.13.5+nocow", head="cpython@3.13.5")
RUN = "20261129T000000Z-abcdef"


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    of_file = request.param == "sqlite"
    made = database.opened(
        database.of_file(tmp_path / "s.sqlite") if of_file else request.getfixturevalue("postgres").database("queue"))
    yield made
    made.close()


def test_each_request_is_one_machines(opened: Database) -> None:
    people, machines, each = 3, 6, 5
    asked: list[str] = []

    def ask(number: int) -> None:
        for _ in range(each):
            with opened.writing() as connection:
                asked.append(queue.submit(connection, WANTED, Asker(person=f"p{number}"), time.time())[0].id)

    def work(number: int) -> None:
        name = f"m{number}"
        while True:
            with opened.writing() as connection:
                found = queue.claim(connection, name, name, {"cpu": "x"}, time.time())
            if found is None:
                return
            with opened.writing() as connection:
                assert queue.beat(connection, found[0].id, name, "at it", time.time())[1] is False
            with opened.writing() as connection:
                queue.end(connection, found[0].id, name, Tenure.DONE, [RUN], "", time.time())

    together(people, ask)
    together(machines, work)
    with opened.reading() as connection:
        assert {one.id for one in queue.listed(connection, [State.DONE], 100)} == set(asked)
        leases = connection.execute(sa.select(tables.leases.c.request, tables.leases.c.state)).all()
    assert Counter(request for request, _ in leases) == Counter(asked) and {state for _, state in leases} == {"done"}


def test_a_key_that_comes_many_times_at_once_asks_once(opened: Database) -> None:
    fresh: list[bool] = []

    def ask(number: int) -> None:
        with opened.writing() as connection:
            fresh.append(queue.submit(connection, WANTED, Asker(person="ada"), time.time(), "github/x/1")[1])

    together(8, ask)
    assert sorted(fresh) == [False] * 7 + [True]


def test_a_result_that_comes_many_times_and_late_is_kept_once(opened: Database) -> None:
    with opened.writing() as connection:
        id = queue.submit(connection, WANTED, Asker(person="ada"), 0.0)[0].id
        late = queue.claim(connection, "m1", "m1", {}, 0.0)
        other = queue.claim(connection, "m2", "m2", {}, LEASE)
    assert late is not None and other is not None and other[1].id == id
    ends = [("m1", late[0].id), ("m2", other[0].id)] * 4

    def end(number: int) -> None:
        name, lease = ends[number]
        with opened.writing() as connection:
            queue.end(connection, lease, name, Tenure.DONE, [f"{RUN[:-1]}{name[1]}"], "", LEASE + 1)

    together(len(ends), end)
    with opened.reading() as connection:
        assert len(queue.results_of(connection, [id])[id]) == 1
        assert queue.find(connection, id).state is State.DONE


def test_what_a_database_cannot_keep_is_refused(opened: Database) -> None:
    """The rules of one machine and one request are the database's own too."""
    with opened.writing() as connection:
        queue.submit(connection, WANTED, Asker(person="ada"), 0.0)
        found = queue.claim(connection, "m1", "m1", {}, 0.0)
        assert found is not None
    for second in ({"request": found[1].id, "token": "m2"}, {"request": found[1].id, "token": "m1"}):
        row = {"id": "second", "machine": "m", "facts": "{}", "begun": 0.0, "expires": 1.0, "state": "held", "note": ""}
        with pytest.raises(sa.exc.IntegrityError), opened.writing() as connection:
            connection.execute(sa.insert(tables.leases).values(**row, **second))
    with opened.writing() as connection, pytest.raises(Problem):
        queue.find(connection, "nosuch")
