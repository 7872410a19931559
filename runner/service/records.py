"""What the index of runs says, for handlers: kept in memory for as long as it says the same.

The published pages are made from the same index, so that they and the API say the same numbers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from runner.history import runs
from runner.history.runs import Entry, History
from runner.storage import index
from runner.storage.index import Place


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What it says at one moment."""

    state: str
    """Changes whenever a run comes, goes or is another."""
    history: History

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """All runs by id, oldest first."""
        return {entry.id: entry for entry in self.history.runs}


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
