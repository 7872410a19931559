"""What the index of runs says, for handlers: kept in memory for as long as it says the same.

The published pages are made from the same index, so that they and the API say the same numbers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from runner.history import runs
from runner.history.runs import Entry, History, Side
from runner.report import site_compare
from runner.service import as_records
from runner.service.api_records import MachineRecord
from runner.storage import index
from runner.storage.index import Place

PLACES = 8
"""Suites on a machine of which is kept how far their runs are apart: a record for each benchmark."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What it says at one moment, and what follows from that alone: made when somebody asks for it first, and kept."""

    state: str
    """Changes whenever a run comes, goes or is another."""
    history: History

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """All runs by id, oldest first."""
        return {entry.id: entry for entry in self.history.runs}

    @cached_property
    def machines(self) -> Sequence[MachineRecord]:
        """The machines, that with the newest run first."""
        return as_records.machines(self.history.runs)

    @cached_property
    def sides(self) -> Mapping[str, Side]:
        """The builds that were an arm of a run, by identity."""
        return {side.identity: side for entry in self.history.runs for side in (entry.base, entry.head)}

    @cached_property
    def shorts(self) -> Mapping[str, str]:
        """Their identities, by what they are called in addresses."""
        return {site_compare.short(identity): identity for identity in self.sides}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """What they are called, by identity."""
        return site_compare.builds(self.history)

    @cached_property
    def grouped(self) -> Mapping[tuple[str, str], Sequence[Entry]]:
        """All runs, oldest first, by suite and machine: that with the newest run first."""
        return site_compare.grouped(self.history)

    @cached_property
    def place(self) -> Callable[[tuple[str, str]], site_compare.Place]:
        """Tells one of `grouped` with how far its runs are apart; of the last `PLACES` it was asked for it knows."""
        return lru_cache(PLACES)(lambda where: site_compare.place_of(self.history, where, self.grouped[where]))


class Records:
    """The index of a folder of runs, which somebody else keeps up to date."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._found: Snapshot | None = None

    def now(self) -> Snapshot:
        """What it says; where there is none, it is made, and is empty. Raises MachineError where it cannot be used."""
        with index.opened(self._place, make=True) as connection:
            state = _state(index.stamps(connection))
        with self._lock:
            # What is read now may be newer than its state says: then it is read once more the next time.
            if self._found is None or self._found.state != state:
                before = () if self._found is None else self._found.history.runs
                self._found = Snapshot(state=state, history=runs.indexed(self._place, before))
            return self._found


def _state(stamps: Mapping[str, str]) -> str:
    return hashlib.sha256("\n".join(sorted(f"{id} {stamp}" for id, stamp in stamps.items())).encode()).hexdigest()[:20]
