"""The index as a file of SQLite's. Whoever reads sees what was there before somebody's transaction, or all of it
(SQLite's write-ahead log, which lies beside the file while it is open)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from runner.errors import MachineError
from runner.storage.index_schema import MIGRATIONS, WAIT, UnusableError, missing, newer


class File(sqlite3.Connection):
    """An open index (`index_schema.Connection`)."""

    def insert(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        columns = ", ".join(f'"{name}"' for name in names)
        self.executemany(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})", rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.in_transaction:  # a full disk has ended it already
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        self.execute("BEGIN")
        try:
            yield
        finally:
            if self.in_transaction:
                self.execute("ROLLBACK")

    def check(self) -> None:
        (found,) = self.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)


@contextmanager
def opened(path: Path, *, make: bool) -> Iterator[File]:
    """As `index.opened`."""
    if not make and not path.is_file():
        raise missing(str(path))
    if make:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(f"cannot make {path.parent} for the index: {error.strerror or error}.") from error
    try:
        # No transactions but those of `writing` and `reading`.
        with closing(sqlite3.connect(path, timeout=WAIT, isolation_level=None, factory=File)) as connection:
            if _version(connection, path) < len(MIGRATIONS):
                connection.execute("PRAGMA journal_mode = WAL")
                with connection.writing():
                    # Asked again: another process may have done it meanwhile.
                    for migration in MIGRATIONS[_version(connection, path):]:
                        for statement in migration:
                            connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            # What is lost with the machine's power is made again: the run folders have it.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA cache_size = -64000")  # KiB: 64 MB, where they are needed
            yield connection
    except sqlite3.OperationalError as error:
        raise MachineError(f"the index {path} cannot be used: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise UnusableError(f"the index {path} is damaged: {error}. `lockstep reindex` makes it anew.") from error


def keeping(_: Path) -> AbstractContextManager[None]:
    """As `index.keeping`: a file is opened in no time."""
    return nullcontext()


def discard(path: Path) -> None:
    """As `index.discard`; with what SQLite left beside it."""
    for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
        path.with_name(name).unlink(missing_ok=True)


def _version(connection: File, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise newer(str(path), version)
    return version
