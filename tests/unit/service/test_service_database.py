"""The service's database in SQLite: one writer, whole transactions, every past schema, one server."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from schemas import DIALECTS, GOLDEN, dump, fill, frozen, kept, restore

from runner.errors import MachineError, UsageError
from runner.jobs.watched import Serve
from runner.service import database, server, settings, tables
from runner.service.server import Server


@pytest.mark.parametrize("revision", database.revisions())
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_frozen_schema_is_what_its_migration_makes(dialect: str, revision: str) -> None:
    """What a migration has made is in databases that are in use: it does not change. For a new one, run pytest with
    GOLDEN=rewrite, and keep the file."""
    file = frozen(dialect, revision)
    if os.environ.get("GOLDEN") == "rewrite" and not file.exists():
        file.write_text(dump(dialect, revision), encoding="utf-8")
    assert file.read_text(encoding="utf-8").split() == dump(dialect, revision).split()


def test_no_frozen_schema_has_lost_its_migration() -> None:
    known = {frozen(dialect, revision) for dialect in DIALECTS for revision in database.revisions()}
    assert set(GOLDEN.glob("service-*.sql")) == known


@pytest.mark.parametrize("revision", database.revisions())
def test_a_database_of_every_past_version_becomes_todays(tmp_path: Path, revision: str) -> None:
    url = database.of_file(tmp_path / "old.sqlite")
    old = database.connected(url)
    with old.writing() as connection:
        restore(connection, revision)
        assert database.revision(connection) == revision
        rows = fill(connection)
    assert rows
    old.close()
    new = database.opened(url)
    with new.reading() as connection:
        assert database.revision(connection) == database.revisions()[-1]
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        assert kept(connection, rows)
    new.close()
    database.opened(url).close()


def test_a_database_of_a_newer_lockstep_is_left_alone(tmp_path: Path) -> None:
    url = database.of_file(tmp_path / "new.sqlite")
    opened = database.opened(url)
    with opened.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    opened.close()
    with pytest.raises(MachineError, match="version 9999, made by a newer Lockstep"):
        database.opened(url)


@pytest.mark.parametrize("url", [
    "", "nonsense", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:", "postgresql://a:b@c:port/d",
    "sqlite:///file:/tmp/x.sqlite?uri=true",
])
def test_what_is_no_database_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        database.connected(url)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"a run is no database" * 100)
    with pytest.raises(MachineError, match="not a database"):
        database.opened(database.of_file(tmp_path / "x.sqlite"))


def test_a_path_may_have_any_character(tmp_path: Path) -> None:
    place = tmp_path / "a b?c=%41#é" / "x.sqlite"
    database.opened(database.of_file(place)).close()
    assert place.is_file()


def test_what_raises_is_not_kept(here: Server) -> None:
    delivery = {"id": "a", "time": 1.0}
    with pytest.raises(ZeroDivisionError), here.database.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), delivery)
        raise ZeroDivisionError
    with here.database.writing() as connection:
        assert connection.execute(sa.select(tables.deliveries)).all() == []
        connection.execute(sa.insert(tables.deliveries), delivery)
    with pytest.raises(sa.exc.IntegrityError), here.database.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), delivery)


def test_a_reader_sees_one_state_and_a_writer_what_is_true_until_it_ends(here: Server) -> None:
    count = sa.select(sa.func.count()).select_from(tables.deliveries)
    with here.database.reading() as reader:
        assert reader.scalar(count) == 0
        with here.database.writing() as connection:
            connection.execute(sa.insert(tables.deliveries), {"id": "a", "time": 1.0})
        assert reader.scalar(count) == 0
    with here.database.reading() as reader:
        assert reader.scalar(count) == 1


def test_threads_that_read_and_then_write_lose_nothing(here: Server) -> None:
    with here.database.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), {"id": "a", "time": 0.0})

    def add() -> None:
        for _ in range(10):
            with here.database.writing() as connection:
                now = connection.scalar(sa.select(tables.deliveries.c.time))
                connection.execute(sa.update(tables.deliveries).values(time=now + 1))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with here.database.reading() as connection:
        assert connection.scalar(sa.select(tables.deliveries.c.time)) == 80


def test_a_writer_that_takes_too_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAIT", 0.05)
    opened = database.opened(database.of_file(tmp_path / "x.sqlite"))
    other = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(MachineError, match="locked"), opened.writing():
        pass
    with opened.reading() as connection:
        assert connection.execute(sa.select(tables.deliveries)).all() == [], "who only reads is not kept waiting"
    other.close()
    opened.close()


def test_one_server_has_a_folder_and_a_database(here: Server, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"another server has .*/data\."), server.holding(here.settings):
        pass
    elsewhere = settings.made(tmp_path / "elsewhere", Serve(), here.settings.database)
    with pytest.raises(MachineError, match="another server has this database"), server.holding(elsewhere):
        pass
    assert (here.settings.own.stat().st_mode & 0o777) == 0o700, "it is for its owner alone"


def test_a_link_to_a_database_is_that_database(here: Server, tmp_path: Path) -> None:
    (tmp_path / "link.sqlite").symlink_to(here.settings.own / "service.sqlite")
    (tmp_path / "folder").symlink_to(here.settings.own)
    for place in (tmp_path / "link.sqlite", tmp_path / "folder" / "service.sqlite"):
        elsewhere = settings.made(tmp_path / "elsewhere", Serve(), database.of_file(place))
        with pytest.raises(MachineError, match="another server has this database"), server.holding(elsewhere):
            pass


def test_a_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    opened = database.opened(database.of_file(tmp_path / "open" / "x.sqlite"))
    with opened.held(), opened.writing() as connection:
        connection.execute(sa.insert(tables.deliveries), {"id": "a", "time": 1.0})
        for place in (tmp_path / "open").iterdir():
            assert place.stat().st_mode & 0o077 == 0, place
    opened.close()


def test_what_a_statement_was_given_is_in_no_error(here: Server) -> None:
    """An error that nobody has foreseen goes to the log with all its words."""
    row = {"hash": "h", "token": "no such token", "csrf": "secret-of-a-form", "created": 1.0, "expires": 2.0}
    with pytest.raises(sa.exc.IntegrityError) as told, here.database.writing() as connection:
        connection.execute(sa.insert(tables.sessions), row)
    assert "INSERT" in str(told.value) and "secret-of-a-form" not in str(told.value)
