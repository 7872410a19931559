"""What pages that look across runs, builds and benchmarks ask of a history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import pandas as pd

from runner.history.runs import Entry, History, Side
from runner.history.series import POINTS, by_position
from runner.model import Commit

ROW = ("run", "key", "version", "metric", "unit", "verdict", "ratio", "low", "high", "log_ratio", "se", "counted")
"""Columns of `of_runs`, as in `history.runs.ROW`. ``log_ratio`` and ``se`` are unselected: what is computed from them
needs no look's error."""
PART = 0.8
"""Share of the benchmarks of a suite that a run of it has at least: a suite changes, and a choice of benchmarks is far
less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where points have a common course: what is watched, how it is built, with which suite, on which machine."""

    watch: str
    """Empty: runs that a user asked for."""
    configuration: str
    suite: str
    """The folder's name."""
    machine: str
    """Fingerprint."""


def spot(entry: Entry) -> Spot:
    """Where a run is a point."""
    role = entry.role
    return Spot(
        watch="" if role is None else role.watch, configuration="" if role is None else role.configuration,
        suite=Path(entry.suite).name, machine=str(entry.machine.get("fingerprint") or ""))


def course(entry: Entry) -> str:
    """What the points of one course agree in, beside the benchmark and its code: their spot, the anchor, the kernel and
    head's compiler; one text of all."""
    kernel = str(entry.machine.get("kernel") or "")
    return "\0".join((*astuple(spot(entry)), entry.base.identity, kernel, entry.head.compiler))


def is_point(entry: Entry) -> bool:
    """Whether a run is a point of a history: one that a user asked for, or of a commit against the anchor."""
    return ("" if entry.role is None else entry.role.purpose.value) in POINTS


def _pair(entry: Entry) -> tuple[frozenset[str], str, str]:
    """Two builds, whichever is base, with a suite on a machine."""
    builds = frozenset((entry.base.identity, entry.head.identity))
    return builds, Path(entry.suite).name, str(entry.machine.get("fingerprint"))


def whole(entries: Sequence[Entry], pair: Callable[[Entry], Hashable] = _pair) -> list[Entry]:
    """Those of some runs that are of a suite, and not of a choice of its benchmarks, in their order.

    They have at least `PART` of the benchmarks of the fullest run of the same `pair`: what measures a few of them again
    says nothing of the others, and must not stand in the place of what does. A suite that shrinks by more than 20 %
    between two runs of one pair counts as such a choice.
    """
    most: dict[Hashable, int] = {}
    for entry in entries:
        most[pair(entry)] = max(_size(entry), most.get(pair(entry), 0))
    return [entry for entry in entries if _size(entry) >= PART * most[pair(entry)]]


def best_first(entries: Iterable[Entry]) -> list[Entry]:
    """Runs in the order in which one of them is taken: those of a suite before those of some of its benchmarks, then
    complete ones before interrupted ones, then the newest."""
    found = list(entries)
    of_suite = {entry.id for entry in whole(found)}
    return sorted(found, key=lambda entry: (entry.id in of_suite, entry.complete, entry.id), reverse=True)


def _size(entry: Entry) -> int:
    """Benchmarks that it was to measure, whatever became of them."""
    return sum(entry.counts.values())


def commit(side: Side) -> Commit | None:
    """What an arm was built from; None where it was built from no commit."""
    return side.commit


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Runs by the positions of head's commits, as in a series: one whose position is not known stands behind all that
    had been measured before it, and so do runs of no watch, of which the order is that of measuring."""
    def position(entry: Entry) -> int | None:
        made = None if entry.role is None else commit(entry.head)
        return None if made is None else made.position

    return by_position(sorted(entries, key=lambda one: (one.created, one.id)), position)


def names(known: History) -> dict[str, str]:
    """Each benchmark's name, without parameters, by its key."""
    return {one.key: one.name for one in known.benchmarks}


def of_runs(known: History, ids: Collection[str]) -> pd.DataFrame:
    """What some runs say of every benchmark: columns `ROW`, oldest run first, within a run in suite order."""
    return known.of_runs(ids)[list(ROW)]
