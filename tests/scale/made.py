"""Fills an index with rows, by the engine's own means: no run folder is made, and no row passes through Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from made_rows import a_point, a_run

from runner.storage import index
from runner.storage.index import Place, Point, Run
from scale.records import NIGHTS, Size

TOGETHER = 1_000_000
"""Rows that are written in one transaction."""
_POINTS = """
INSERT INTO points (
    benchmark, run, place, verdict, reason, ratio, low, high, base_value, head_value, seconds, blocks, clear, exact,
    log_ratio, se, counted)
SELECT b, r, b, CASE WHEN x > 0.0485 THEN 'slower' WHEN x < -0.0485 THEN 'faster' ELSE 'same' END, '', 1 + x, 0.99 + x,
       1.01 + x, 0.001 + x / 100, 0.001 + x / 101, 2.5 + x, 6, 0, 0, x, 0.002 + x / 102, 6
FROM (SELECT b.number AS b, r.number AS r,
             CAST((CAST(b.number AS BIGINT) * 7919 + CAST(r.number AS BIGINT) * 104729) % 1000003 AS DOUBLE PRECISION)
             / 10000030 - 0.05 AS x
      FROM runs r CROSS JOIN benchmarks b WHERE r.number BETWEEN ? AND ?) made
ORDER BY r, b
"""
"""A point for every benchmark in some runs: in the order in which nights write them, 3 % of them changed."""


def a_machines_run(entry: str, night: int, machine: int) -> Run:
    """The run of a machine in a night; `entry` is what there is to say of it beside."""
    return replace(
        a_run(night), id=f"{night:04}-{machine:04}", created=1.7e9 + 86_400 * night + machine, machine=f"m{machine}",
        suite="benchmarks", entry=entry)


def a_runs_points(benchmarks: int) -> list[Point]:
    """What a run says of all benchmarks."""
    return [a_point(key(number), number) for number in range(benchmarks)]


def key(number: int) -> str:
    """A benchmark's."""
    return f"work.Case{number // 4}.time_it(size={4 ** (number % 4)}KiB)"


def fill(place: Place, size: Size, entry: str) -> None:
    """Make an index of that size."""
    run, benchmark = attrgetter(*index._RUN), attrgetter(*index._BENCHMARK)
    with index.opened(place, make=True) as connection:
        with index.writing(connection):
            connection.insert("benchmarks", index._BENCHMARK, map(benchmark, a_runs_points(size.benchmarks)))
            runs = (
                a_machines_run(entry, night, machine) for night in range(NIGHTS) for machine in range(size.machines))
            connection.insert("runs", (*index._RUN, "mark"), ((*run(one), index._mark(one)) for one in runs))
        for first, last in _stretches(size.machines * NIGHTS, max(1, TOGETHER // size.benchmarks)):
            with index.writing(connection):
                connection.execute(_POINTS, (first, last))
        with index.writing(connection):
            for statement in _known():
                connection.execute(statement)


def _stretches(count: int, together: int) -> Sequence[tuple[int, int]]:
    """The numbers from 1 to `count` in stretches, each with its first and its last."""
    return [(first, min(first + together - 1, count)) for first in range(1, count + 1, together)]


def _known() -> list[str]:
    """What fills the table `known` from the points: as the migration does that made it."""
    found = [one for one in index.MIGRATIONS[1] if "known" in one and "CREATE" not in one]
    assert len(found) == 2
    return found
