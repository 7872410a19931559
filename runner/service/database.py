"""The service's database: a SQLite file, or PostgreSQL by its URL; brought to the newest schema when it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from runner.errors import MachineError, UsageError
from runner.owned import attempt

WAIT = 30.0
"""Seconds to wait for another writer."""
WRITER, SERVER = 0x6C6B73_01, 0x6C6B73_02
"""PostgreSQL's advisory locks that we take: of whoever writes, and of the one server. Nobody else takes them in a
database of our own."""


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
            if self.dialect == "postgresql":
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, kept as a whole when the block ends, and not at all where it raises.

        There is one at a time, in PostgreSQL as in SQLite, so that what it has read stays true until its end. Raises
        MachineError, after `WAIT` seconds of waiting for others too. Rejected: serializable transactions side by side.
        They fail now and then and must be done again, by every caller; and ours take milliseconds.
        """
        with _words(), self._engine.connect() as connection:
            if self.dialect == "sqlite":
                connection = connection.execution_options(writes=True)
            with connection.begin():
                if self.dialect == "postgresql":
                    connection.execute(sa.select(sa.func.set_config("lock_timeout", f"{WAIT:.0f}s", True)))
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITER)))
                yield connection

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, no other server has this database. Raises MachineError where one has it."""
        message = "another server has this database. End it, or give this one another --data and --database."
        if self.dialect == "sqlite":
            # Beside the file: whoever closes the file itself once more takes SQLite's own locks of it away. By
            # whatever links it was named, it has one place.
            place = Path(f"{Path(str(self._engine.url.database)).resolve()}.lock")
            place.touch(mode=0o600)
            with attempt(place) as free:
                if not free:
                    raise MachineError(message)
                yield
            return
        with _words(), self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(SERVER))):
                raise MachineError(message)
            try:
                yield
            finally:
                connection.invalidate()  # closed, and with it the lock is free

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def connected(url: str) -> Database:
    """A database as it is, of whatever schema; nothing is asked of it yet. A SQLite file is made when it is first used.

    Raises UsageError for a URL of another kind, MachineError where the folder of a SQLite file cannot be made.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise UsageError("that is no URL of a database; give sqlite:////PATH or postgresql://USER@HOST/NAME") from error
    # Enough for all threads of a server at once. What a statement was given may be secret, and goes into no log.
    options = {"pool_size": 5, "max_overflow": 40, "pool_timeout": WAIT, "hide_parameters": True}
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise UsageError("the service's database outlives its process: give sqlite:////PATH")
        if parsed.query:
            raise UsageError("the URL of a SQLite file ends with its path: give sqlite:////PATH")
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise MachineError(f"cannot make the folder of {parsed.database}: {error.strerror}") from error
        engine = sa.create_engine(
            parsed, poolclass=sa.QueuePool, connect_args={"timeout": WAIT, "check_same_thread": False}, **options)
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
    elif parsed.get_backend_name() == "postgresql":
        engine = sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **options)
    else:
        raise UsageError(f"the service keeps its database in SQLite or PostgreSQL, not in {parsed.get_backend_name()}")
    return Database(engine)


def opened(url: str) -> Database:
    """Open a database, which is made where it is a SQLite file and is not there, and bring it to the newest schema.

    Raises as `connected` does, and MachineError where it cannot be used, or is of a newer Lockstep.
    """
    database = connected(url)
    if database.dialect == "sqlite" and not (place := Path(str(database._engine.url.database))).exists():
        with suppress(OSError):  # SQLite says what is wrong
            place.touch(mode=0o600)  # it has what lets people in, if only as hashes
    try:
        with database.writing() as connection:
            migrate(connection)
    except sa.exc.DBAPIError as error:
        database.close()
        raise MachineError(f"the service's database cannot be used: {str(error.orig).strip()}") from error
    except BaseException:
        database.close()
        raise
    return database


def of_file(path: Path) -> str:
    """The URL of a SQLite file."""
    return sa.URL.create("sqlite", database=str(path.absolute())).render_as_string()


def revision(connection: sa.Connection) -> str | None:
    """The version that a database's schema is of; None: it has none, and was never used."""
    return MigrationContext.configure(connection).get_current_revision()


def revisions() -> tuple[str, ...]:
    """All versions that there ever were, oldest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())[::-1]


def migrate(connection: sa.Connection, to: str = "head") -> None:
    """Bring a database to a version, within a transaction of `writing`.

    Raises MachineError where it is of a newer Lockstep.
    """
    now = revision(connection)
    if now is not None and now not in revisions():
        raise MachineError(f"the database is of version {now}, made by a newer Lockstep. Use that one.")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


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
    except sa.exc.DataError as error:
        raise UsageError("that holds characters which a database cannot keep") from error
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        # Without the statement and its values, which may be secret.
        raise MachineError(f"the service's database cannot be used: {str(error.orig).strip()}") from error
    except sa.exc.TimeoutError as error:
        raise MachineError("the service's database is busy; try again later") from error
