"""Rows of an index that no run ever said, as many as a test or a measurement wants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.storage import index
from runner.storage.index import Point, Run


def a_run(number: int, **changes: Any) -> Run:
    """A night of a watch, the `number`-th of its folder."""
    facts: dict[str, Any] = {
        "id": f"run-{number}", "stamp": f"stamp-{number}", "created": 1e9 + number, "watch": "main",
        "configuration": "", "purpose": "anchor", "night": f"night-{number}", "suite": "benchmarks", "machine": "m",
        "host": "h", "kernel": "6.1", "compiler": "GCC 12", "base": "a", "base_spec": "anchor", "head": f"h{number}",
        "head_spec": f"head-{number}", "commit": f"{number:040x}", "date": 1e9, "subject": "Change", "branch": "main",
        "position": number, "entry": "{}",
    }
    return Run(**(facts | changes))


def a_point(key: str, place: int = 0, **changes: Any) -> Point:
    """What a run says of a benchmark: the same, 1 % slower."""
    facts: dict[str, Any] = {
        "key": key, "name": key, "version": "1", "metric": "time", "unit": "s", "place": place, "verdict": "same",
        "reason": "", "ratio": 1.01, "low": 1.0, "high": 1.02, "base_value": 1e-3, "head_value": 1.01e-3,
        "seconds": 2.5, "blocks": 6, "clear": False, "exact": False, "log_ratio": 0.01, "se": 0.002, "counted": 6,
    }
    return Point(**(facts | changes))


def fill(place: index.Place, runs: Iterable[tuple[Run, list[Point]]]) -> None:
    """Write runs into an index, which is made where it is not there."""
    with index.opened(place, make=True) as connection, index.writing(connection):
        for run, points in runs:
            index.put(connection, run, points)


def dump(place: index.Place) -> list[tuple[Any, ...]]:
    """All that an index holds."""
    with index.opened(place) as connection:
        return list(index.dump(connection))
