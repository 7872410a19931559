"""What the index is made of, whichever engine keeps it: a file of SQLite's, or tables in a PostgreSQL database.

Versions of the schema (a file: ``PRAGMA user_version``; PostgreSQL: table `schema_version`)
------------------------------------------------------------------------------------------
1  `runs`, `benchmarks`, `points`.
2  `known`: what there is of each benchmark for each purpose, so that nobody need look at all points for it; indexes by
   machine and by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from runner.errors import MachineError

WAIT = 60.0
"""Seconds to wait for another process that writes."""


class UnusableError(MachineError):
    """What is there is no index that this version can use. It can be made anew."""


class Cursor(Protocol):
    """What a query has found."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """An open index. Queries are in the SQL that both engines understand, with ``?`` where a value goes."""

    def execute(self, query: str, given: Sequence[Any] = ..., /) -> Cursor: ...

    def insert(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, whose values are texts, numbers, flags or None; inside of `writing`."""

    def writing(self) -> AbstractContextManager[None]:
        """What is written inside is there as a whole, or not at all where an exception or a kill ends it."""

    def reading(self) -> AbstractContextManager[None]:
        """What is read inside is of one moment."""

    def check(self) -> None:
        """Raises what the engine raises for damage, as far as it can be seen without comparing every row."""


_FIRST = (
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY, "id" TEXT NOT NULL UNIQUE, "stamp" TEXT NOT NULL, "mark" INTEGER NOT NULL,
        "created" REAL NOT NULL, "watch" TEXT NOT NULL, "configuration" TEXT NOT NULL, "purpose" TEXT NOT NULL,
        "night" TEXT NOT NULL, "suite" TEXT NOT NULL, "machine" TEXT NOT NULL, "host" TEXT NOT NULL,
        "kernel" TEXT NOT NULL, "compiler" TEXT NOT NULL, "base" TEXT NOT NULL, "base_spec" TEXT NOT NULL,
        "head" TEXT NOT NULL, "head_spec" TEXT NOT NULL, "commit" TEXT NOT NULL, "date" REAL, "subject" TEXT NOT NULL,
        "branch" TEXT NOT NULL, "position" INTEGER, "entry" TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE benchmarks (
        number INTEGER PRIMARY KEY, "key" TEXT NOT NULL, "name" TEXT NOT NULL, "version" TEXT NOT NULL,
        "metric" TEXT NOT NULL, "unit" TEXT NOT NULL, UNIQUE ("key", "name", "version", "metric", "unit")
    )
    """,
    # All of one benchmark lie together: what is asked for most often is a series.
    """
    CREATE TABLE points (
        benchmark INTEGER NOT NULL REFERENCES benchmarks, run INTEGER NOT NULL REFERENCES runs,
        "place" INTEGER NOT NULL, "verdict" TEXT NOT NULL, "reason" TEXT NOT NULL, "ratio" REAL, "low" REAL,
        "high" REAL, "base_value" REAL, "head_value" REAL, "seconds" REAL, "blocks" INTEGER NOT NULL,
        "clear" INTEGER NOT NULL, "exact" INTEGER NOT NULL, "log_ratio" REAL, "se" REAL, "counted" INTEGER NOT NULL,
        PRIMARY KEY (benchmark, run)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX points_of_run ON points (run)",
)
_SECOND = (
    "CREATE INDEX runs_of_machine ON runs (machine, watch)",
    "CREATE INDEX runs_in_time ON runs (purpose, created, id)",
    # `points` and `mark` are a number and a sum over the runs of the purpose that have the benchmark; `last` is the
    # newest of them.
    """
    CREATE TABLE known (
        benchmark INTEGER NOT NULL REFERENCES benchmarks, "purpose" TEXT NOT NULL, "points" INTEGER NOT NULL,
        "mark" INTEGER NOT NULL, last INTEGER NOT NULL REFERENCES runs, PRIMARY KEY (benchmark, purpose)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO known (benchmark, purpose, points, mark, last)
    SELECT p.benchmark, r.purpose, count(*), sum(r.mark), 0 FROM points p JOIN runs r ON r.number = p.run
    GROUP BY p.benchmark, r.purpose
    """,
    """
    UPDATE known SET last = (
        SELECT r.number FROM runs r WHERE r.purpose = known.purpose AND EXISTS (
            SELECT 1 FROM points p WHERE p.benchmark = known.benchmark AND p.run = r.number)
        ORDER BY r.created DESC, r.id DESC LIMIT 1)
    """,
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND)
"""The n-th makes version n of what version n - 1 was. One that has been released is never changed. The types are
SQLite's; `index_postgres` says what PostgreSQL calls them."""


def newer(shown: str, version: int) -> UnusableError:
    """What to raise for an index of a version that is not known here; `shown` says where it is."""
    return UnusableError(
        f"the index {shown} is of version {version}; this Lockstep reads up to {len(MIGRATIONS)}. Use the Lockstep "
        "that made it, or make it anew for this one: `lockstep reindex`.")


def missing(shown: str) -> MachineError:
    """What to raise where there is none."""
    return MachineError(f"there is no index {shown}; `lockstep reindex` makes it from the run folders.")
