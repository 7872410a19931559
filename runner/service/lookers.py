"""Processes that look at parcels, as `looking` has it: each at one at a time, so that one that dies or hangs takes
nothing else with it.

They are there for as long as the server is: to import what they need takes as long as to look at several runs.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path

from runner import shell
from runner.service import looking
from runner.service.looking import Looked, Refusal
from runner.storage.parcel import Limits

AT_ONCE = 2
"""Parcels that are looked at at one time."""
NICE = 5
"""What is added to the niceness of the processes: a page goes before a run, and a run before the site (`site.NICE`)."""
LONGEST = 3600
"""Seconds after which a process that looks at one and the same parcel is ended; the largest ones take minutes."""


class Lookers:
    """The processes of one server; each is started when it is needed for the first time."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._idle: list[Executor] = []
        """Of one process each."""

    async def look(self, place: Path, runs: Path, limits: Limits) -> Looked | Refusal:
        """As `looking.look`. Raises BrokenExecutor where the process that looks has died, or has taken `LONGEST`."""
        async with self._turn:
            process, found = self._asked(place, runs, limits)
            fit = True
            try:
                return await asyncio.wrap_future(found)
            except (BrokenExecutor, asyncio.CancelledError):
                fit = False
                raise
            finally:
                if fit:
                    self._idle.append(process)
                else:
                    process.shutdown(wait=False)

    def _asked(self, place: Path, runs: Path, limits: Limits) -> tuple[Executor, Future[Looked | Refusal]]:
        """A process that looks from now on, and what will come of it."""
        # Not in a thread of its own: processes end with the thread that has started them.
        while True:
            process = self._idle.pop() if self._idle else shell.pool(1, fresh=True, nice=NICE)
            try:
                return process, process.submit(_look, LONGEST, place, runs, limits)
            except BrokenExecutor:  # it has died while it had nothing to do
                process.shutdown(wait=False)

    def close(self) -> None:
        """End those that have nothing to do."""
        while self._idle:
            self._idle.pop().shutdown()


def _look(longest: int, place: Path, runs: Path, limits: Limits) -> Looked | Refusal:
    """What the process does."""
    signal.alarm(longest)  # which ends it, whatever it is at
    gc.disable()  # it would go through all blocks again and again, and they are in no circles
    try:
        return looking.look(place, runs, limits)
    finally:
        gc.enable()
        signal.alarm(0)
