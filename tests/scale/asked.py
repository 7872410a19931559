"""What is asked of an index, and how long it takes."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from runner.history import runs, series
from runner.history.series import POINTS
from runner.model import Verdict
from runner.storage import index
from runner.storage.index import Connection, Place
from scale.made import a_machines_run, a_runs_points, key
from scale.records import NIGHTS, Size, Took

TIMES = 50
"""How often each quick question is asked."""
PAIRS = 20
"""Comparisons that an overview shows."""
CHANGED = (Verdict.FASTER.value, Verdict.SLOWER.value)
QUESTIONS = {
    "series": "a series: one benchmark on one machine, as `history.series` gives it",
    "rows": "the same, rows alone",
    "overview": f"overview: all benchmarks, and what changed in the {PAIRS} newest runs",
    "benchmark": "all rows of a benchmark, on all machines",
    "run": "all rows of a run",
    "put": "a new run is written, with all its benchmarks",
    "remove": "the newest run is removed",
    "runs": "all runs, as publishing reads them",
}


def ask(place: Place, size: Size, entry: str, plans: bool) -> tuple[dict[str, Took], dict[str, tuple[str, ...]]]:
    """Ask all `QUESTIONS`: how long each took, and the engine's plans for the first of them."""
    luck = random.Random(size.rows)
    newest = [f"{NIGHTS - 1:04}-{machine:04}" for machine in range(max(0, size.machines - PAIRS), size.machines)]

    def one() -> dict[str, str]:
        return {"key": key(luck.randrange(size.benchmarks)), "machine": f"m{luck.randrange(size.machines)}"}

    def whole() -> int:
        asked = one()
        found = series.of(place, watch="main", configuration="", benchmark=asked["key"], machine=asked["machine"])
        return sum(len(segment.rows) for segment in found)

    with index.opened(place) as connection:
        def overview() -> int:
            return len(index.benchmarks(connection, POINTS)) + len(
                index.rows(connection, runs.ROW, {"run": newest, "verdict": CHANGED}))

        took = {
            "series": timed(whole, TIMES),
            "rows": timed(lambda: len(_series(connection, one())), TIMES),
            "overview": timed(overview, 20),
            "benchmark": timed(lambda: len(index.rows(connection, runs.ROW, {"key": one()["key"]})), 5),
            "run": timed(lambda: len(index.rows(connection, runs.ROW, {"run": luck.choice(newest)})), 10),
            "runs": timed(lambda: len([runs._entry.validate_json(text) for text in index.entries(connection)]), 1),
        }
        fresh = iter(range(10))
        took["put"] = timed(lambda: _put(connection, size, entry, next(fresh)), 10)
        gone = iter(range(9, -1, -1))
        took["remove"] = timed(lambda: _remove(connection, size, next(gone)), 10)
        return took, _plans(connection, one(), newest) if plans else {}


def timed(what: Callable[[], int], times: int) -> Took:
    """Do it so often; it says how many rows there were."""
    seconds, rows = [], 0
    for _ in range(times):
        begun = time.perf_counter()
        rows = what()
        seconds.append(time.perf_counter() - begun)
    return Took(median=statistics.median(seconds), worst=max(seconds), times=times, rows=rows)


def _series(connection: Connection, asked: Mapping[str, str]) -> list[Any]:
    where = {**asked, "watch": "main", "configuration": "", "purpose": (*POINTS, "bridge")}
    return index.rows(connection, series._Row._fields, where)


def _put(connection: Connection, size: Size, entry: str, number: int) -> int:
    points = a_runs_points(size.benchmarks)
    with index.writing(connection):
        index.put(connection, a_machines_run(entry, NIGHTS, number), points)
    return len(points)


def _remove(connection: Connection, size: Size, number: int) -> int:
    with index.writing(connection):
        index.remove(connection, [f"{NIGHTS:04}-{number:04}"])
    return size.benchmarks


class _Explained:
    """A connection of which a question gets the engine's plan, and no answer."""

    def __init__(self, connection: Connection, words: str) -> None:
        self._connection, self._words, self.plan = connection, words, list[str]()

    def execute(self, query: str, given: Sequence[Any] = (), /) -> Any:
        found = self._connection.execute(f"{self._words} {query}", given).fetchall()
        self.plan += [str(row[-1]) for row in found]
        return _Empty()


class _Empty:
    def fetchall(self) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def _plans(connection: Connection, asked: Mapping[str, str], newest: Sequence[str]) -> dict[str, tuple[str, ...]]:
    words = "EXPLAIN QUERY PLAN" if "sqlite" in type(connection).__module__ else "EXPLAIN (COSTS OFF)"
    plans = {}
    for question, ask_it in (
        ("rows", lambda connection: _series(connection, asked)),
        ("overview", lambda connection: (
            index.benchmarks(connection), index.rows(connection, ("run",), {"run": newest[:3], "verdict": CHANGED}))),
        ("benchmark", lambda connection: index.rows(connection, ("run",), {"key": asked["key"]})),
    ):
        explained: Any = _Explained(connection, words)
        ask_it(explained)
        plans[question] = tuple(explained.plan)
    return plans


@contextmanager
def told(what: str) -> Iterator[dict[str, float]]:
    """How long something took, as ``seconds`` of what is yielded, when it has ended."""
    begun, found = time.perf_counter(), dict[str, float]()
    yield found
    found["seconds"] = time.perf_counter() - begun
