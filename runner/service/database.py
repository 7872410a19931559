"""The service's database: a SQLite file, or PostgreSQL by its URL; brought to the newest schema when it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from runner.errors import MachineError, UsageError

WAIT = 30.0
"""Seconds to wait for another writer of a SQLite file."""


class Database:
    """A database that was opened. All work is done inside `reading` or `writing`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the database. Raises MachineError where it cannot be used."""
        with _words(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, kept as a whole when the block ends, and not at all where it raises.

        In SQLite there is one at a time. In PostgreSQL there are many, each serializable. Raises MachineError.
        """
        options = {"writes": True} if self.dialect == "sqlite" else {"isolation_level": "SERIALIZABLE"}
        with _words(), self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def opened(url: str) -> Database:
    """Open a database, which is made where it is a SQLite file and is not there, and bring it to the newest schema.

    Raises UsageError for a URL of another kind, and MachineError where it cannot be used, or is of a newer Lockstep.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise UsageError("that is no URL of a database; give sqlite:////PATH or postgresql://USER@HOST/NAME") from error
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed, connect_args={"timeout": WAIT, "check_same_thread": False})
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    elif parsed.get_backend_name() == "postgresql":
        engine = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=10)
    else:
        raise UsageError(f"the service keeps its database in SQLite or PostgreSQL, not in {parsed.get_backend_name()}")
    database = Database(engine)
    migrate(database)
    return database


def of_file(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def migrate(database: Database) -> None:
    """Bring a database to the newest schema. Raises MachineError where it is of a newer Lockstep."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.writing() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
        if now is not None and now not in known:
            raise MachineError(f"the database is of version {now}, made by a newer Lockstep. Use that one.")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    # We begin transactions ourselves: the module would begin them late, and not around what changes the schema.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and then writes may find that another has written; one that says so at once waits.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _words() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        # Without the statement and its values, which may be secret.
        raise MachineError(f"the service's database cannot be used: {str(error.orig).strip()}") from error
