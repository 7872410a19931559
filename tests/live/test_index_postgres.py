"""The index in a PostgreSQL database: what is said of a file holds there, and what only a server can do to it.

The database orders texts by a language, as most do: the index must not.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGQUIT
from typing import Any

import pandas as pd
import pytest
from bench import LOCKSTEP, TIME_LIMIT, lives, together, wait_until
from postgres import Server

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import made_rows
import test_index
from made_rows import a_point, a_run, dump, fill
from made_runs import make_run, make_runs, some_benchmarks

from runner.errors import MachineError, UsageError
from runner.history import runs as history
from runner.storage import index, index_postgres, index_schema


@dataclass(frozen=True)
class Databases:
    """Where indexes are kept: in databases."""

    server: Server

    def place(self, name: str) -> str:
        """Where one can be made."""
        return self.server.database(name, order="en-US")

    @contextmanager
    def past(self, name: str, version: int) -> Iterator[tuple[str, Any]]:
        """An index as the Lockstep of that version left it, and a connection to write into it what that one did."""
        made = self.place(name)
        with self.server.connect(name) as connection:
            if version:
                connection.execute(f"CREATE SCHEMA {index_postgres.SCHEMA}; SET search_path TO {index_postgres.SCHEMA}")
                connection.execute(f"CREATE TABLE schema_version AS SELECT {version} AS version")
                connection.execute("ALTER TABLE schema_version ALTER version SET NOT NULL")
            for migration in index.MIGRATIONS[:version]:
                for statement in migration:
                    connection.execute(index_postgres.translated(statement))
            yield made, connection

    def schema(self, place: str) -> list[Any]:
        """All that it is made of."""
        with index.opened(place) as connection:
            assert connection.execute("SELECT version FROM schema_version").fetchall() == [(len(index.MIGRATIONS),)]
            columns = connection.execute(
                "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text, collation_name::text"
                " FROM information_schema.columns WHERE table_schema = ? ORDER BY 1, 2", (index_postgres.SCHEMA,))
            indexes = connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE schemaname = ? ORDER BY 1", (index_postgres.SCHEMA,))
            return [*columns.fetchall(), *indexes.fetchall()]


@pytest.fixture
def engine(postgres: Server) -> Databases:
    return Databases(postgres)


@pytest.fixture
def place(engine: Databases) -> str:
    """An index of three runs with two benchmarks each."""
    return str(test_index.three_runs(engine.place("index")))


# They are this module's, too, with its own `engine`.
globals().update({
    name: law for name, law in vars(test_index).items()
    if name.startswith("test_") and law not in test_index.OF_FILES_ALONE
})


def test_both_engines_hold_the_same(engine: Databases, tmp_path: Path) -> None:
    runs = [(a_run(n, night="ÄÖ 'x\" \\N"), [a_point("b", log_ratio=n / 3), a_point("a\t1\n", 1, low=None)])
            for n in range(5)]
    places = [tmp_path / "file", engine.place("index")]
    for place in places:
        fill(place, runs)
        with index.opened(place) as connection, index.writing(connection):
            index.remove(connection, ["run-4", "run-0"])
    assert dump(places[0]) == dump(places[1])


def test_a_history_is_the_same_from_both(engine: Databases, tmp_path: Path) -> None:
    """Run folders are read, added to, removed and read anew."""
    folder = tmp_path / "runs"
    make_runs(folder, 4, 6)
    places = [tmp_path / "file", engine.place("index")]

    def both() -> history.History:
        first, second = (history.read(folder, place) for place in places)
        assert (first.runs, first.benchmarks, first.problems) == (second.runs, second.benchmarks, second.problems)
        assert first.fresh == second.fresh
        pd.testing.assert_frame_equal(first.rows, second.rows)
        key = some_benchmarks(1)[0].key
        pd.testing.assert_frame_equal(first.of_benchmark(key, points=True), second.of_benchmark(key, points=True))
        assert dump(places[0]) == dump(places[1])
        return second

    assert len(both().fresh) == 4
    for place in sorted(folder.iterdir())[1:3]:
        place.rename(tmp_path / place.name)
    make_run(folder, 7, some_benchmarks(3))
    assert len(both().fresh) == 1
    before = dump(places[1])
    history.reindex(folder, places[1])
    assert dump(places[1]) == before


def test_reindex_makes_it_as_users_ask_for_it(engine: Databases, tmp_path: Path) -> None:
    make_runs(tmp_path / "runs", 2, 3)
    place = engine.place("index")
    done = subprocess.run(
        [LOCKSTEP, "reindex", "--out", tmp_path / "runs", "--database", place], capture_output=True, text=True,
        check=False, timeout=TIME_LIMIT)
    assert (done.returncode, done.stdout) == (0, "2 runs\n"), done.stderr
    fill(tmp_path / "file", [])
    history.update(tmp_path / "runs", tmp_path / "file")
    assert dump(place) == dump(tmp_path / "file")


def test_many_at_once_make_one_index(engine: Databases) -> None:
    place = engine.place("index")
    together(8, lambda number: fill(
        place, [(a_run(number * 10 + n), [a_point("a"), a_point(f"own {number}", 1)]) for n in range(5)]))
    with index.opened(place) as connection:
        known = {one.key: one.points for one in index.benchmarks(connection)}
        assert known == {"a": 40, **{f"own {number}": 5 for number in range(8)}}
        assert len(index.rows(connection, ("run",), {})) == 80


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from made_rows import a_point, a_run
from runner.storage import index
with index.opened(sys.argv[2]) as connection, index.writing(connection):
    index.put(connection, a_run(1, stamp="new"), [a_point("c")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_is_killed_while_writing_leaves_all_as_it_was(engine: Databases, place: str) -> None:
    before = dump(place)
    made = Path(made_rows.__file__).parent
    done = subprocess.run([sys.executable, "-c", KILLED, made, place], check=False, timeout=TIME_LIMIT)
    assert done.returncode == -9
    assert dump(place) == before
    fill(place, [(a_run(1, stamp="new"), [a_point("c")])])  # nobody holds the lock any more


def test_a_server_that_goes_away_is_named_and_found_again(engine: Databases, place: str) -> None:
    try:
        with pytest.raises(MachineError, match=r"the index in database index on .* cannot be used: "), index.opened(
                place) as connection, index.writing(connection):
            index.put(connection, a_run(9), [a_point("a")])
            engine.server.stop(SIGQUIT)
            index.put(connection, a_run(8), [a_point("a")])
        with pytest.raises(MachineError, match="cannot be used: "), index.opened(place):
            pass
    finally:
        engine.server.start()
    fill(place, [(a_run(9), [a_point("a")])])


def test_connections_are_kept_for_the_next_where_that_is_asked_for(engine: Databases, place: str) -> None:
    def backend(connection: index_schema.Connection) -> int:
        assert index.stamps(connection).keys() == {"run-0", "run-1", "run-2"}
        return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])

    def ours(server: Any) -> int:
        said = server.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockstep'")
        return int(said.fetchone()[0])

    with engine.server.connect("postgres") as server:
        with index.keeping(place):
            with index.opened(place) as one, index.opened(place) as two:
                both = {backend(one), backend(two)}
                assert len(both) == 2
            with index.opened(place) as one, index.reading(one):
                kept = backend(one)
                assert kept in both
            with pytest.raises(KeyError), index.opened(place) as one:
                failed = backend(one)
                assert failed in both
                raise KeyError
            with index.opened(place) as one:
                left = backend(one)
                assert left in both - {failed}, "what failed is of no use to others"
            assert ours(server) >= 1
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lockstep'")
            with index.opened(place) as one:
                assert backend(one) not in both, "there is another one where it has gone away"
        wait_until(lambda: ours(server) == 0)
        with index.opened(place) as one:
            backend(one)
        wait_until(lambda: ours(server) == 0)


def test_what_is_no_index_is_said_without_secrets(engine: Databases, place: str) -> None:
    for address, words in (
        (place.replace("lockstep@/index", "lockstep:geheim@/nowhere"), 'database "nowhere" does not exist'),
        (place.replace("lockstep@", "nobody:geheim@"), 'role "nobody" does not exist'),
        (place.replace("host=", "host=/nowhere"), "cannot be used: connection"),
    ):
        with pytest.raises(MachineError, match=words) as told, index.opened(address, make=True):
            pass
        assert "geheim" not in str(told.value)
    for address in ("mysql://lockstep:geheim@host/index", "history.sqlite geheim"):
        with pytest.raises(UsageError, match="neither") as told, index.opened(address):
            pass
        assert "geheim" not in str(told.value)
    empty = engine.place("empty")
    with pytest.raises(MachineError, match=r"there is no index in database empty on .*; `lockstep reindex`"), (
            index.opened(empty)):
        pass
    with engine.server.connect("index") as connection:
        connection.execute(f"UPDATE {index_postgres.SCHEMA}.schema_version SET version = 99")
    with pytest.raises(index.UnusableError, match=r"is of version 99; this Lockstep reads up to \d"), (
            index.opened(place)):
        pass


def test_what_else_is_in_the_database_is_left_alone(engine: Databases, place: str) -> None:
    with engine.server.connect("index") as connection:
        connection.execute("CREATE TABLE runs (theirs TEXT); INSERT INTO runs VALUES ('their own')")
        fill(place, [(a_run(9), [a_point("a")])])
        index.discard(place)
        with pytest.raises(MachineError, match="there is no index"), index.opened(place):
            pass
        fill(place, [(a_run(1), [a_point("a")])])
        assert connection.execute("SELECT theirs FROM public.runs").fetchall() == [("their own",)]
        connection.execute(f"DROP TABLE {index_postgres.SCHEMA}.points")
    with pytest.raises(index.UnusableError, match=r"is damaged: .*points.* `lockstep reindex` makes it anew"), (
            index.opened(place)) as opened:
        index.rows(opened, ("run",), {})


def test_a_user_who_may_not_make_one_is_told(engine: Databases) -> None:
    place = engine.place("index")
    with engine.server.connect("postgres") as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(MachineError, match="permission denied for database index"), index.opened(
            place.replace("lockstep@", "guest@"), make=True):
        pass


def test_the_helper_ends_with_who_started_it() -> None:
    """A test that is killed leaves no server behind."""
    program = (
        "import os, signal, sys\nsys.path.insert(0, sys.argv[1])\nimport postgres\n"
        "with postgres.server() as server:\n"
        "    print(server.process.pid, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parents[1])], capture_output=True, text=True, check=False,
        timeout=TIME_LIMIT)
    pid = int(done.stdout)
    wait_until(lambda: not lives(pid))


def test_an_address_of_sqlalchemys_is_understood(engine: Databases, place: str) -> None:
    with index.opened(place.replace("postgresql://", "postgresql+psycopg://")) as connection:
        assert len(index.entries(connection)) == 3
