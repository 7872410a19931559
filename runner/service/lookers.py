"""Processes that look at parcels, as `looking` has it: each at one at a time, so that one that dies or hangs takes
nothing else with it.

They are there for as long as the server is: to import what they need takes as long as to look at several runs.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import cache
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
_TOO_MUCH = Refusal(
    status=413, slug="memory", title="To look at this run takes too much memory.",
    detail="It takes more than `memory_limit` in [serve] of the server's lockstep.toml allows.")


class Lookers:
    """The processes of one server; each is started when it is needed for the first time."""

    def __init__(self, memory: int) -> None:
        """`memory`: bytes that looking at a parcel may take."""
        self._memory = memory
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._idle: list[ProcessPoolExecutor] = []
        """Of one process each."""

    async def look(self, place: Path, runs: Path, limits: Limits) -> Looked | Refusal:
        """As `looking.look`; what takes too much memory is refused.

        Raises BrokenExecutor where the process that looks has died, or has taken `LONGEST`. Where this is cancelled it
        is killed.
        """
        async with self._turn:
            process, found = self._asked(place, runs, limits)
            fit = True
            try:
                return await asyncio.wrap_future(found)
            except MemoryError:
                fit = False  # what it has taken it may not give back
                return _TOO_MUCH
            except BrokenExecutor:
                fit = False
                raise
            except asyncio.CancelledError:
                fit = False
                # A server that ends would wait for it, as long as that takes. Before 3.14 no public name does this.
                for one in process._processes.values():
                    one.kill()
                raise
            finally:
                if fit:
                    self._idle.append(process)
                else:
                    process.shutdown(wait=False)

    def _asked(self, place: Path, runs: Path, limits: Limits) -> tuple[ProcessPoolExecutor, Future[Looked | Refusal]]:
        """A process that looks from now on, and what will come of it."""
        # Not in a thread of its own: processes end with the thread that has started them.
        while True:
            process = self._idle.pop() if self._idle else shell.pool(1, fresh=True, nice=NICE)
            try:
                return process, process.submit(_look, self._memory, LONGEST, place, runs, limits)
            except BrokenExecutor:  # it has died while it had nothing to do
                process.shutdown(wait=False)

    def close(self) -> None:
        """End those that have nothing to do."""
        while self._idle:
            self._idle.pop().shutdown()


def _look(memory: int, longest: int, place: Path, runs: Path, limits: Limits) -> Looked | Refusal:
    """What the process does. Raises MemoryError where that takes more than `memory` bytes."""
    _hold_to(memory)
    signal.alarm(longest)  # which ends it, whatever it is at
    gc.disable()  # it would go through all blocks again and again, and they are in no circles
    try:
        return looking.look(place, runs, limits)
    except MemoryError:
        pass  # with it goes all that was held, so that there is room to say so
    finally:
        gc.enable()
        signal.alarm(0)
    raise MemoryError


def _hold_to(memory: int) -> None:
    """Have this process get no more memory than that beside what it had at first."""
    try:
        most = _own() + memory
    except OSError:
        return  # the limit is Linux's: elsewhere it holds nothing
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    # Not of its address space: libraries map much that they never write to.
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@cache
def _own() -> int:
    """Bytes that this process could write to when it was asked first: mostly the stacks of its libraries' threads, one
    for each CPU. Raises OSError where there is no Linux."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
