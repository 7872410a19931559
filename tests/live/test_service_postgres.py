"""The service's database in PostgreSQL: the same as in SQLite, and what is only there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import postgres
import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from bench import together
from served import lockstep, serving

from runner.errors import MachineError, UsageError
from runner.jobs.watched import Serve
from runner.service import backup, database, server, settings, tables, tokens
from runner.service.database import Database

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "service"))
from schemas import fill, kept, restore, shape

Inside = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def url(postgres: postgres.Server) -> str:
    """An empty database."""
    return postgres.database("service")


@pytest.fixture
def opened(url: str) -> Iterator[Database]:
    made = database.opened(url)
    yield made
    made.close()


@pytest.mark.parametrize("revision", database.revisions())
def test_a_frozen_schema_is_what_its_migration_makes(postgres: postgres.Server, revision: str) -> None:
    shapes = []
    for name, make in (("frozen", restore), ("made", database.migrate)):
        opened = database.connected(postgres.database(name))
        with opened.writing() as connection:
            make(connection, revision)
            shapes.append(shape(connection))
        opened.close()
    assert shapes[0] == shapes[1] and len(shapes[0]) > 8


@pytest.mark.parametrize("revision", database.revisions())
def test_a_database_of_every_past_version_becomes_todays(url: str, revision: str) -> None:
    old = database.connected(url)
    with old.writing() as connection:
        restore(connection, revision)
        rows = fill(connection)
    old.close()
    new = database.opened(url)
    with new.reading() as connection:
        assert database.revision(connection) == database.revisions()[-1]
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        assert kept(connection, rows)
    new.close()


def test_many_servers_that_begin_at_once_make_the_schema_once(url: str) -> None:
    together(8, lambda _: database.opened(url).close())


def test_threads_that_read_and_then_write_lose_nothing_and_never_fail(opened: Database) -> None:
    """Reading first and writing by what was read: serializable transactions side by side would have to be repeated."""
    with opened.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), [{"id": "a", "time": 0.0}, {"id": "b", "time": 0.0}])
    time = tables.deliveries.c.time

    def add(_: int) -> None:
        for _ in range(25):
            with opened.writing() as connection:
                both = connection.scalar(sa.select(sa.func.sum(time)))
                connection.execute(sa.update(tables.deliveries).values(time=(both + 2) / 2))

    together(16, add)
    with opened.reading() as connection:
        assert connection.execute(sa.select(time)).scalars().all() == [16 * 25, 16 * 25]


def test_a_reader_sees_one_state_and_writes_nothing(opened: Database) -> None:
    count = sa.select(sa.func.count()).select_from(tables.deliveries)
    with opened.reading() as reader:
        assert reader.scalar(count) == 0
        with opened.writing() as connection:
            connection.execute(sa.insert(tables.deliveries), {"id": "a", "time": 1.0})
        assert reader.scalar(count) == 0
    with pytest.raises(sa.exc.SQLAlchemyError, match="read-only"), opened.reading() as reader:
        reader.execute(sa.insert(tables.deliveries), {"id": "b", "time": 1.0})


def test_what_a_database_cannot_keep_is_refused_in_words(opened: Database) -> None:
    with pytest.raises(UsageError, match="cannot keep"), opened.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), {"id": "a\0b", "time": 1.0})


def test_a_writer_that_takes_too_long_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = database.opened(url), database.opened(url)
    monkeypatch.setattr(database, "WAIT", 1)
    with one.writing(), pytest.raises(MachineError, match="cannot be used"), other.writing():
        pass
    with other.writing():
        pass
    one.close()
    other.close()


def test_one_server_has_a_database_and_its_lock_ends_with_it(url: str, inside: Inside, tmp_path: Path) -> None:
    with server.holding(settings.made(tmp_path / "a", Serve(), url)), \
            pytest.raises(MachineError, match="another server has this database"), \
            server.holding(settings.made(tmp_path / "b", Serve(), url)):
        pass
    with server.holding(settings.made(tmp_path / "b", Serve(), url)):
        pass
    with serving(tmp_path / "c", "--database", url) as one:
        second = inside("serve", "--port", "0", "--data", tmp_path / "d", "--database", url)
        assert second.returncode == 4 and "another server has this database" in second.stderr
        one.process.kill()
        one.process.wait(60)
        with serving(tmp_path / "d", "--database", url) as again:
            assert again.ask("GET", "/metrics", token=one.token).status_code == 200


def test_a_database_that_goes_away_is_a_503_and_comes_back(postgres: postgres.Server, url: str, tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--database", url) as one:
        assert one.ask("GET", "/metrics").status_code == 200
        postgres.stop(signal.SIGQUIT)
        try:
            for path in ("/healthz", "/metrics", "/api/v1/audit"):
                answer = one.ask("GET", path)
                assert answer.status_code == 503 and answer.json()["type"] == "/problems/unavailable"
                assert "socket" not in answer.text, "where it is, is nobody's business"
        finally:
            postgres.start()
        assert one.ask("GET", "/metrics").status_code == 200
        code, error = one.end()
    assert code == 0 and "the service's database cannot be used" in error


@pytest.mark.parametrize("url", ["postgresql://nobody@/nowhere?host=/nonexistent", "postgresql://a:hunter2@127.0.0.1:9/x"])
def test_a_database_that_is_not_there_is_said_without_the_password(url: str, inside: Inside, tmp_path: Path) -> None:
    done = inside("token", "list", "--data", tmp_path / "data", "--database", url)
    assert done.returncode == 4 and "the service's database cannot be used" in done.stderr
    assert "hunter2" not in done.stderr and len(done.stderr.splitlines()) < 10


def test_a_backup_goes_from_one_kind_of_database_to_the_other_and_back(
    postgres: postgres.Server, inside: Inside, tmp_path: Path
) -> None:
    run = tmp_path / "a" / "runs" / "20260101T000000Z-abcdef"
    run.mkdir(parents=True)
    (run / "manifest.json").write_text("{}")
    with serving(tmp_path / "a") as one:
        text = one.token
        done = lockstep("backup", tmp_path / "a.tar.gz", "--data", tmp_path / "a")
        assert done.returncode == 0 and "1 files" in done.stdout and "1 tokens" in done.stdout, done.stderr
    there = postgres.database("restored")
    done = lockstep("restore", tmp_path / "a.tar.gz", "--data", tmp_path / "b", "--database", there)
    assert done.returncode == 0, done.stderr
    with serving(tmp_path / "b", "--database", there) as one:
        assert one.ask("GET", "/metrics", token=text).status_code == 200
        made = inside("token", "create", "later", "--data", tmp_path / "b", "--database", there)
        assert made.returncode == 0, "numbers go on behind those that were restored"
        done = inside("backup", tmp_path / "b.tar.gz", "--data", tmp_path / "b", "--database", there)
        assert done.returncode == 0, done.stderr
        again = inside("restore", tmp_path / "a.tar.gz", "--data", tmp_path / "e", "--database", there)
        assert again.returncode == 4 and "another server has this database" in again.stderr
    again = inside("restore", tmp_path / "a.tar.gz", "--data", tmp_path / "e", "--database", there)
    assert again.returncode == 2 and "in use already" in again.stderr
    done = inside("restore", tmp_path / "b.tar.gz", "--data", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c" / "runs" / run.name / "manifest.json").read_text() == "{}"
    with serving(tmp_path / "c") as one:
        assert one.token == ""
        for known in (text, made.stdout.strip()):
            assert one.ask("GET", "/metrics", token=known).status_code == 200


def test_a_backup_is_of_one_state_while_others_write(opened: Database, url: str, tmp_path: Path) -> None:
    """Two rows that always change together are the same in every backup."""
    here = settings.made(tmp_path / "data", Serve(), url)
    with opened.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), {"id": "a", "time": 0.0})
    tokens.create(opened, "ada", ["read"], 0.0)
    done = threading.Event()

    def write() -> None:
        count = 0.0
        while not done.is_set():
            count += 1
            with opened.writing() as connection:
                connection.execute(sa.update(tables.deliveries).values(time=count))
                connection.execute(sa.update(tables.tokens).values(created=count))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            backup.backup(here, opened, tmp_path / f"{number}.tar.gz", 1.0)
    finally:
        done.set()
        thread.join()
    for number in range(5):
        new = settings.made(tmp_path / f"new-{number}", Serve())
        backup.restore(new, tmp_path / f"{number}.tar.gz")
        restored = database.opened(new.database)
        with restored.reading() as connection:
            assert connection.scalar(sa.select(tables.deliveries.c.time)) == connection.scalar(
                sa.select(tables.tokens.c.created))
        restored.close()


def test_nobody_else_is_kept_out_of_the_database(url: str) -> None:
    """Our locks are ours: another program may read while we write."""
    one = database.opened(url)
    with one.writing(), psycopg.connect(url) as other:
        assert other.execute("SELECT count(*) FROM tokens").fetchone() == (0,)
    one.close()
