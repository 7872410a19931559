"""The index of a folder of runs. Rows go in and come out; what they mean is not known here.

It is made from the run folders alone, and can be made anew from them (`lockstep reindex`). It is a file,
`history.sqlite`, or is in a PostgreSQL database: `index_sqlite` and `index_postgres` open it, `index_schema` says what
it is made of, and all that is asked of it is here, once for both (docs/decisions/0024).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

from runner.errors import MachineError
from runner.storage import index_schema, index_sqlite
from runner.storage.index_schema import Connection

UnusableError = index_schema.UnusableError
MIGRATIONS = index_schema.MIGRATIONS

Place = Path | str
"""Where an index is: a file, or the URL of a PostgreSQL database (``postgresql://USER@HOST/NAME``)."""

AT_ONCE = 500
"""Runs that are asked for by name in one query: neither engine takes any number of them."""
Where = Mapping[str, str | Sequence[str]]
"""Columns by name, each with the text that it is to have, or with those of which it is to have one."""
LONGEST = 2000
"""Bytes that the texts by which a row is found have together: an index of PostgreSQL's takes some 2700 of a row."""
TEXT, ENTRY = 4096, 1 << 18
"""Bytes of any other text of a run, and of its entry: lists and pages have them, again and again."""
LARGEST = 1 << 31
"""Whole numbers are smaller: PostgreSQL's INTEGER ends there."""


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


def unkept(row: Run | Point) -> str:
    """Why a row cannot be kept, in words; empty: it can. What one engine cannot keep, no index keeps."""
    looked_up: tuple[str, ...]
    numbers: tuple[int, ...]
    if isinstance(row, Run):
        looked_up, numbers = (row.machine, row.watch, row.commit), (row.position or 0,)
        texts = tuple(text for text in astuple(row) if isinstance(text, str))
        if len(row.entry) > ENTRY or any(_size(text) > TEXT for text in texts if text is not row.entry):
            return f"one of its texts has more than {TEXT} bytes, or all of them have more than {ENTRY}"
    else:
        looked_up, numbers = (row.key, row.name, row.version, row.unit), (row.place, row.blocks, row.counted)
        texts = looked_up
        if _size(row.reason) > TEXT:
            return f"why it failed is told in more than {TEXT} bytes"
    if any("\0" in text for text in texts):
        return "one of its texts has a NUL in it"
    if sum(map(_size, looked_up)) > LONGEST:
        return f"what it is found by has more than {LONGEST} bytes"
    if any(abs(number) >= LARGEST for number in numbers):
        return f"one of its numbers is {LARGEST} or more"
    return ""


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


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


class _Engine(Protocol):
    """What keeps an index."""

    def opened(self, place: Any, /, *, make: bool) -> AbstractContextManager[Connection]: ...

    def keeping(self, place: Any, /) -> AbstractContextManager[None]: ...

    def discard(self, place: Any, /) -> None: ...


def _engine(place: Place) -> _Engine:
    if isinstance(place, Path):
        return index_sqlite
    try:
        from runner.storage import index_postgres
    except ModuleNotFoundError as error:
        raise MachineError(
            f"an index in a PostgreSQL database needs the package {error.name}. Install Lockstep with its "
            "extra `service` (in a clone: pip install '.[service]')."
        ) from error
    return index_postgres


def opened(place: Place, *, make: bool = False) -> AbstractContextManager[Connection]:
    """The index, brought to the newest version, and closed at the end. `make`: make an empty one where none is.

    Raises UnusableError where it is damaged or of a newer version, and MachineError where there is none, it cannot be
    written, or another process writes for longer than `index_schema.WAIT`; both also for what is done with it inside.
    Raises UsageError for a URL that is none.
    """
    return _engine(place).opened(place, make=make)


def keeping(place: Place) -> AbstractContextManager[None]:
    """Within, this process is ready to open an index again and again. One caller at a time."""
    return _engine(place).keeping(place)


def writing(connection: Connection) -> AbstractContextManager[None]:
    """What is written inside is there as a whole, or not at all where an exception or a kill ends it."""
    return connection.writing()


def reading(connection: Connection) -> AbstractContextManager[None]:
    """What is read inside is of one moment."""
    return connection.reading()


def discard(place: Place) -> None:
    """Remove an index of no use. Nobody may have it open."""
    _engine(place).discard(place)


def check(connection: Connection) -> None:
    """Ends the `opened` around it by UnusableError where a file is damaged, as far as can be seen without comparing
    every row."""
    connection.check()


def put(connection: Connection, run: Run, points: Sequence[Point]) -> None:
    """Write a run with its points, in the place of what there was of it; inside of `writing`."""
    remove(connection, [run.id])
    connection.insert("runs", (*_RUN, "mark"), [(*_run(run), _mark(run))])
    (number,) = connection.execute("SELECT number FROM runs WHERE id = ?", (run.id,)).fetchone()
    numbers = _numbers(connection, points)
    connection.insert("points", ("benchmark", "run", *_POINT), (
        (numbers[_benchmark(point)], number, *_point(point)) for point in points))
    connection.execute(_COUNTED, (number, run.created, run.id))


def remove(connection: Connection, ids: Iterable[str]) -> None:
    """Forget runs, with their points; inside of `writing`."""
    for id in ids:
        found = connection.execute("SELECT number, mark, purpose FROM runs WHERE id = ?", (id,)).fetchone()
        if found is None:
            continue
        number, mark, purpose = found
        connection.execute(
            "UPDATE known SET points = points - 1, mark = mark - ? WHERE purpose = ? AND benchmark IN ("
            "  SELECT benchmark FROM points WHERE run = ?)", (mark, purpose, number))
        connection.execute("DELETE FROM points WHERE run = ?", (number,))
        connection.execute("DELETE FROM known WHERE last = ? AND points = 0", (number,))
        connection.execute(_BEFORE, (number,))
        connection.execute("DELETE FROM runs WHERE number = ?", (number,))


def tidy(connection: Connection) -> None:
    """Forget benchmarks of which no run is left; inside of `writing`."""
    connection.execute(
        "DELETE FROM benchmarks WHERE NOT EXISTS (SELECT 1 FROM known WHERE known.benchmark = benchmarks.number)")


def age(connection: Connection) -> None:
    """Take the stamps of all runs away, as if all had changed; inside of `writing`."""
    connection.execute("UPDATE runs SET stamp = ''")


def stamps(connection: Connection) -> dict[str, str]:
    """Every run's stamp, by its id."""
    return dict(connection.execute("SELECT id, stamp FROM runs"))


def entries(connection: Connection, ids: Sequence[str] | None = None) -> list[str]:
    """The entries of some runs, oldest first; by default every run's."""
    if ids is None:
        return [entry for (entry,) in connection.execute("SELECT entry FROM runs ORDER BY created, id")]
    found: list[tuple[float, str, str]] = []
    for begin in range(0, len(ids), AT_ONCE):
        some = ids[begin : begin + AT_ONCE]
        found += connection.execute(
            f"SELECT created, id, entry FROM runs WHERE id IN ({', '.join('?' * len(some))})", some)
    return [entry for _, _, entry in sorted(found)]


def benchmarks(connection: Connection, purposes: Sequence[str] = ()) -> list[Known]:
    """All benchmarks that some run has, by key. Runs of these purposes go before others where the last one is told."""
    found: dict[str, list[_Part]] = {}
    for key, name, purpose, points, mark, created, last in connection.execute(
        "SELECT b.key, b.name, k.purpose, k.points, k.mark, r.created, r.id FROM known k"
        " JOIN benchmarks b ON b.number = k.benchmark JOIN runs r ON r.number = k.last"
    ):
        found.setdefault(key, []).append(_Part(
            rank=(purpose in purposes, created, last), name=name, points=points, mark=mark))
    return [_known(key, parts) for key, parts in sorted(found.items())]


def versions(connection: Connection, ids: Sequence[str]) -> set[tuple[str, str, str, str]]:
    """Key, version, metric and unit of every benchmark that one of some runs has."""
    found: set[tuple[str, str, str, str]] = set()
    for begin in range(0, len(ids), AT_ONCE):
        some = ids[begin : begin + AT_ONCE]
        found.update(connection.execute(
            'SELECT "key", "version", "metric", "unit" FROM benchmarks WHERE number IN ('
            "  SELECT p.benchmark FROM points p JOIN runs r ON r.number = p.run"
            f"  WHERE r.id IN ({', '.join('?' * len(some))}))", some))
    return found


def rows(connection: Connection, columns: Sequence[str], where: Where) -> list[tuple[Any, ...]]:
    """Columns of the points that are as `where` says: oldest run first, within a run in its order.

    Columns are named as the fields of `Run` and `Point` are, and the run's id is ``run``. Flags are 0 or 1.
    """
    wanted, given = ["p.benchmark = b.number AND p.run = r.number"], list[str]()
    for name, said in where.items():
        texts = [said] if isinstance(said, str) else list(said)
        if not texts:
            return []
        wanted.append(f"{_WHERE_IS[name]} IN ({', '.join('?' * len(texts))})")
        given += texts
    chosen = ", ".join(_WHERE_IS[name] for name in columns)
    return connection.execute(
        f"SELECT {chosen} FROM {_search(where)} WHERE {' AND '.join(wanted)} ORDER BY r.created, r.id, p.place", given,
    ).fetchall()


def _search(where: Where) -> str:
    """The tables in the order in which SQLite is to search them: it takes CROSS JOIN at its word. PostgreSQL chooses an
    order by itself."""
    if "run" in where:
        return "runs r CROSS JOIN points p CROSS JOIN benchmarks b"
    if "machine" in where and "key" in where:
        # Of a benchmark's points one machine's are few, where there are many machines: each is looked up by itself.
        return "benchmarks b CROSS JOIN runs r CROSS JOIN points p"
    return "benchmarks b CROSS JOIN points p CROSS JOIN runs r"


def dump(connection: Connection) -> Iterator[tuple[Any, ...]]:
    """All that there is, in an order that does not depend on how it came: equal indexes have equal dumps."""
    runs = ", ".join(f'r."{name}"' for name in (*_RUN, "mark"))
    yield from connection.execute(f"SELECT {runs} FROM runs r ORDER BY r.id")
    benchmark = ", ".join(f'b."{name}"' for name in _BENCHMARK)
    points = ", ".join(f'p."{name}"' for name in _POINT)
    yield from connection.execute(
        f"SELECT r.id, {benchmark}, {points} FROM points p JOIN runs r ON r.number = p.run"
        " JOIN benchmarks b ON b.number = p.benchmark ORDER BY r.id, p.place")
    yield from connection.execute(f"SELECT {benchmark} FROM benchmarks b ORDER BY {benchmark}")
    yield from connection.execute(
        f"SELECT {benchmark}, k.purpose, k.points, k.mark, r.id FROM known k JOIN runs r ON r.number = k.last"
        f" JOIN benchmarks b ON b.number = k.benchmark ORDER BY {benchmark}, k.purpose")


_COUNTED = """
INSERT INTO known (benchmark, purpose, points, mark, last)
SELECT p.benchmark, r.purpose, 1, r.mark, r.number FROM runs r JOIN points p ON p.run = r.number WHERE r.number = ?
ON CONFLICT (benchmark, purpose) DO UPDATE SET
    points = known.points + 1, mark = known.mark + excluded.mark,
    last = CASE WHEN EXISTS (SELECT 1 FROM runs o WHERE o.number = known.last AND (o.created, o.id) < (?, ?))
                THEN excluded.last ELSE known.last END
"""
"""Count a run that is new in `known`, by its number; its time and its id say whether it is the newest."""
_BEFORE = """
UPDATE known SET last = (
    SELECT r.number FROM runs r WHERE r.purpose = known.purpose AND EXISTS (
        SELECT 1 FROM points p WHERE p.benchmark = known.benchmark AND p.run = r.number)
    ORDER BY r.created DESC, r.id DESC LIMIT 1)
WHERE last = ?
"""
"""Where a run was the last one, look for the one before; its own points are gone."""
_run, _benchmark, _point = attrgetter(*_RUN), attrgetter(*_BENCHMARK), attrgetter(*_POINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What there is of one version of a benchmark for one purpose."""

    rank: tuple[bool, float, str]
    """Of its last run, whose id it ends with: the largest is told of."""
    name: str
    points: int
    mark: int


def _known(key: str, parts: Sequence[_Part]) -> Known:
    first, points = max(parts, key=lambda part: part.rank), sum(part.points for part in parts)
    return Known(key=key, name=first.name, points=points, last=first.rank[-1],
                 stamp=f"{sum(part.mark for part in parts):x}.{points}")


def _mark(run: Run) -> int:
    """40 bits of a hash of id and stamp: a million of them have a sum that SQLite can hold."""
    return int.from_bytes(hashlib.sha256(f"{run.id} {run.stamp}".encode()).digest()[:5])


def _numbers(connection: Connection, points: Sequence[Point]) -> dict[tuple[str, ...], int]:
    """The numbers of the benchmarks of some points, and maybe of others; those that have none get one."""
    query = f"""SELECT {', '.join(f'"{name}"' for name in _BENCHMARK)}, number FROM benchmarks"""
    known = {row[:-1]: row[-1] for row in connection.execute(query)}
    if new := [one for one in dict.fromkeys(map(_benchmark, points)) if one not in known]:
        connection.insert("benchmarks", _BENCHMARK, new)
        known = {row[:-1]: row[-1] for row in connection.execute(query)}
    return known
