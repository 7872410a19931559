"""`history.sqlite`: the index of a folder of runs. Rows go in and come out; what they mean is not known here.

It is made from the run folders alone, and can be made anew from them (`lockstep reindex`). Whoever reads sees what was
there before somebody's transaction, or all of it (SQLite's write-ahead log, which lies beside the file while it is
open).

Versions of the schema (``PRAGMA user_version``)
------------------------------------------------
1  `runs`, `benchmarks`, `points`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from runner.errors import MachineError

WAIT = 60.0
"""Seconds to wait for another process that writes."""

_LATER = 1e12
"""Seconds: more than lie between any two runs."""

Where = Mapping[str, str | Sequence[str]]
"""Columns by name, each with the text that it is to have, or with those of which it is to have one."""


class UnusableError(MachineError):
    """What is there is no index that this version can use. It can be made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A row of `runs`. Texts are empty, and numbers None, where there is nothing to say."""

    id: str
    stamp: str
    """Changes whenever what the row is made from does."""
    created: float
    """Seconds since the epoch."""
    watch: str
    configuration: str
    purpose: str
    night: str
    suite: str
    """The folder's name."""
    machine: str
    """Its fingerprint."""
    host: str
    kernel: str
    compiler: str
    """Of head."""
    base: str
    """Identity of the interpreter's content, as `head`."""
    base_spec: str
    head: str
    head_spec: str
    commit: str
    """Of head: full hash."""
    date: float | None
    """Seconds since the epoch."""
    subject: str
    branch: str
    position: int | None
    entry: str
    """What else there is to say of the run, in the caller's own format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a run says of one benchmark: the key to a row of `benchmarks`, and one of `points`. None: no such number."""

    key: str
    name: str
    version: str
    metric: str
    unit: str
    place: int
    """Its place in the run, from 0."""
    verdict: str
    reason: str
    ratio: float | None
    low: float | None
    high: float | None
    base_value: float | None
    head_value: float | None
    seconds: float
    blocks: int
    clear: bool
    exact: bool
    log_ratio: float | None
    se: float | None
    counted: int
    """Blocks that `log_ratio` and `se` are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is of one benchmark, whatever its version."""

    key: str
    name: str
    points: int
    last: str
    """Id of the newest run that has it, of those that go before others if one does."""
    stamp: str
    """Changes whenever one of its points does."""


_RUN = tuple(field.name for field in fields(Run))
_BENCHMARK = ("key", "name", "version", "metric", "unit")
_POINT = tuple(field.name for field in fields(Point) if field.name not in _BENCHMARK)
_WHERE_IS = {
    "run": "r.id", **{name: f'r."{name}"' for name in _RUN if name != "id"},
    **{name: f'b."{name}"' for name in _BENCHMARK}, **{name: f'p."{name}"' for name in _POINT},
}
"""The columns that `rows` can be asked for."""
_SCHEMA = (
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


def _first(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first,)
"""The n-th makes version n of what version n - 1 was. One that has been released is never changed."""


@contextmanager
def opened(path: Path, *, make: bool = False) -> Iterator[sqlite3.Connection]:
    """The index, brought to the newest version, and closed at the end. `make`: make an empty one where none is.

    Raises UnusableError where it is damaged or of a newer version, and MachineError where there is none, it cannot be
    written, or another process writes for longer than `WAIT`; both also for what is done with it inside.
    """
    if not make and not path.is_file():
        raise MachineError(f"there is no index {path}; `lockstep reindex` makes it from the run folders.")
    if make:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(f"cannot make {path.parent} for the index: {error.strerror or error}.") from error
    try:
        # No transactions but those of `writing`.
        with closing(sqlite3.connect(path, timeout=WAIT, isolation_level=None)) as connection:
            if _version(connection, path) < len(MIGRATIONS):
                connection.execute("PRAGMA journal_mode = WAL")
                with writing(connection):
                    # Asked again: another process may have done it meanwhile.
                    for migrate in MIGRATIONS[_version(connection, path):]:
                        migrate(connection)
                    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            # What is lost with the machine's power is made again: the run folders have it.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA cache_size = -64000")  # KiB: 64 MB, where they are needed
            yield connection
    except sqlite3.OperationalError as error:
        raise MachineError(f"the index {path} cannot be used: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise UnusableError(f"the index {path} is damaged: {error}. `lockstep reindex` makes it anew.") from error


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """What is written inside is there as a whole, or not at all where an exception or a kill ends it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def reading(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def discard(path: Path) -> None:
    """Remove an index of no use, with what SQLite left beside it. Nobody may have it open."""
    for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
        path.with_name(name).unlink(missing_ok=True)


def check(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged, as far as can be seen without comparing every row."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def put(connection: sqlite3.Connection, run: Run, points: Sequence[Point]) -> None:
    """Write a run with its points, in the place of what there was of it; inside of `writing`."""
    remove(connection, [run.id])
    number = connection.execute(_INSERT_RUN, (*_run(run), _mark(run))).lastrowid
    numbers = _numbers(connection, points)
    connection.executemany(
        _INSERT_POINT, ((numbers[_benchmark(point)], number, *_point(point)) for point in points))


def remove(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Forget runs, with their points; inside of `writing`."""
    for id in ids:
        connection.execute("DELETE FROM points WHERE run = (SELECT number FROM runs WHERE id = ?)", (id,))
        connection.execute("DELETE FROM runs WHERE id = ?", (id,))


def tidy(connection: sqlite3.Connection) -> None:
    """Forget benchmarks of which no run is left; inside of `writing`."""
    connection.execute(
        "DELETE FROM benchmarks WHERE NOT EXISTS (SELECT 1 FROM points WHERE points.benchmark = benchmarks.number)")


def age(connection: sqlite3.Connection) -> None:
    """Take the stamps of all runs away, as if all had changed; inside of `writing`."""
    connection.execute("UPDATE runs SET stamp = ''")


def stamps(connection: sqlite3.Connection) -> dict[str, str]:
    """Every run's stamp, by its id."""
    return dict(connection.execute("SELECT id, stamp FROM runs"))


def entries(connection: sqlite3.Connection) -> list[str]:
    """Every run's entry, oldest first."""
    return [entry for (entry,) in connection.execute("SELECT entry FROM runs ORDER BY created, id")]


def benchmarks(connection: sqlite3.Connection, purposes: Sequence[str] = ()) -> list[Known]:
    """All benchmarks that some run has, by key. Runs of these purposes go before others where the last one is told."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    marks = ", ".join("?" * len(purposes))
    # SQLite gives, beside a maximum, the other columns of the row that has it. What is looked up a million times is
    # made small first.
    for row in connection.execute(
        "WITH small AS MATERIALIZED ("
        f"  SELECT number, id, mark, created - CASE WHEN purpose IN ({marks}) THEN 0 ELSE {_LATER} END AS rank"
        "  FROM runs), found AS ("
        "  SELECT p.benchmark AS benchmark, count(*) AS points, sum(r.mark) AS mark, max(r.rank) AS rank, r.id AS last"
        "  FROM points p CROSS JOIN small r ON r.number = p.run GROUP BY p.benchmark"
        ") SELECT b.key, b.name, f.points, f.mark, f.rank, f.last FROM found f JOIN benchmarks b"
        " ON b.number = f.benchmark ORDER BY b.key, f.rank, f.last", list(purposes),
    ):
        found.setdefault(row[0], []).append(row)
    return [
        Known(key=key, name=own[-1][1], points=sum(row[2] for row in own), last=own[-1][5],
              stamp=f"{sum(row[3] for row in own):x}.{sum(row[2] for row in own)}")
        for key, own in found.items()
    ]


def rows(connection: sqlite3.Connection, columns: Sequence[str], where: Where) -> list[tuple[Any, ...]]:
    """Columns of the points that are as `where` says: oldest run first, within a run in its order.

    Columns are named as the fields of `Run` and `Point` are, and the run's id is ``run``. Flags are 0 or 1.
    """
    wanted, given = [], list[str]()
    for name, said in where.items():
        texts = [said] if isinstance(said, str) else list(said)
        wanted.append(f"{_WHERE_IS[name]} IN ({', '.join('?' * len(texts))})")
        given += texts
    # The order of a CROSS JOIN is the order of the search.
    tables = (
        "runs r CROSS JOIN points p ON p.run = r.number CROSS JOIN benchmarks b ON b.number = p.benchmark"
        if "run" in where else
        "benchmarks b CROSS JOIN points p ON p.benchmark = b.number CROSS JOIN runs r ON r.number = p.run"
    )
    chosen = ", ".join(_WHERE_IS[name] for name in columns)
    return connection.execute(
        f"SELECT {chosen} FROM {tables} WHERE {' AND '.join(wanted) or '1'} ORDER BY r.created, r.id, p.place", given,
    ).fetchall()


def dump(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """All that there is, in an order that does not depend on how it came: equal indexes have equal dumps."""
    runs = ", ".join(f'r."{name}"' for name in (*_RUN, "mark"))
    yield from connection.execute(f"SELECT {runs} FROM runs r ORDER BY r.id")
    points = ", ".join((*(f'b."{name}"' for name in _BENCHMARK), *(f'p."{name}"' for name in _POINT)))
    yield from connection.execute(
        f"SELECT r.id, {points} FROM points p JOIN runs r ON r.number = p.run"
        " JOIN benchmarks b ON b.number = p.benchmark ORDER BY r.id, p.place")
    names = ", ".join(f'"{name}"' for name in _BENCHMARK)
    yield from connection.execute(f"SELECT {names} FROM benchmarks ORDER BY {names}")


def _insert(table: str, names: Sequence[str]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"


_INSERT_RUN = _insert("runs", (*_RUN, "mark"))
_INSERT_POINT = _insert("points", ("benchmark", "run", *_POINT))
_run, _benchmark, _point = attrgetter(*_RUN), attrgetter(*_BENCHMARK), attrgetter(*_POINT)


def _mark(run: Run) -> int:
    """40 bits of a hash of id and stamp: a million of them have a sum that SQLite can hold."""
    return int.from_bytes(hashlib.sha256(f"{run.id} {run.stamp}".encode()).digest()[:5])


def _numbers(connection: sqlite3.Connection, points: Sequence[Point]) -> dict[tuple[str, ...], int]:
    """The numbers of the benchmarks of some points, and maybe of others; those that have none get one."""
    query = f"""SELECT {', '.join(f'"{name}"' for name in _BENCHMARK)}, number FROM benchmarks"""
    known = {row[:-1]: row[-1] for row in connection.execute(query)}
    if new := [one for one in dict.fromkeys(map(_benchmark, points)) if one not in known]:
        connection.executemany(_insert("benchmarks", _BENCHMARK), new)
        known = {row[:-1]: row[-1] for row in connection.execute(query)}
    return known


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise UnusableError(
            f"the index {path} is of version {version}; this Lockstep reads up to {len(MIGRATIONS)}. Use the Lockstep "
            "that made it, or make it anew for this one: `lockstep reindex`.")
    return version
