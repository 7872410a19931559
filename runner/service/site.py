"""The published site of a server, and the index behind it: both are brought up to date soon after something changed.

Publishing takes seconds of a CPU. A process of its own does it, in which everything else goes before, so that pages
are served as quickly meanwhile; it ends with the server.
"""

from __future__ import annotations

import heapq
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from runner import jobs, shell
from runner.errors import LockstepError
from runner.jobs import watched
from runner.jobs.alert import places
from runner.service.records import Records
from runner.service.settings import Settings

QUIET, MOST = 2.0, 30.0
"""Seconds without a change after which the site is made, and after which it is made where changes do not end."""
LOOK = 30.0
"""Seconds between two looks for what others than this server have changed: a night, `lockstep triage`."""
AGAIN = 60.0
"""Seconds after which it is tried again where it failed."""
ENDING = 15.0
"""Seconds within which a server that was asked to end has come to that."""
NICE = 15
"""What is added to the niceness of the process: the more, the more others go before it."""
NEWEST = 20
"""Runs whose folders are looked at: one that is being measured changes when it ends."""
_ASKED = (-signal.SIGTERM, -signal.SIGINT)
"""Exit codes of a process that was asked to end."""
_log = logging.getLogger("lockstep.site")


class Site:
    """The pages of a server's data. Nothing happens before `working`."""

    def __init__(self, settings: Settings) -> None:
        """Raises UsageError where the configuration cannot be read."""
        said = watched.service(settings.toml)
        self.folder = settings.site
        self.channels, self.state = said.channels, settings.data
        """How people are told of events, and where those are, as `jobs.alert.places` takes both."""
        self.events = places(said.channels, settings.data).events
        self.records = Records(settings.index)
        self.problem = ""
        """Why the site could not be made the last time, in words; empty: it could."""
        self._request = jobs.PublishRequest(
            out=settings.site, runs=settings.runs, index=settings.index, state=settings.data, channels=said.channels,
            commit_url=said.site.commit_url, served=True,
        )
        self._wake = threading.Condition()
        self._first: float | None = None
        """Since when something has changed that the site does not show; None: nothing has."""
        self._last = 0.0
        self._seen: object = None
        self._ours: int | None = None
        """Inode of the site that was made last: a night on this machine may put its own in the place."""
        self._ended = False
        self._process: multiprocessing.process.BaseProcess | None = None
        self._told: tuple[str, ...] = ()

    def changed(self) -> None:
        """Have the site and the index brought up to date soon; returns at once."""
        with self._wake:
            self._last = time.monotonic()
            self._first = self._last if self._first is None else self._first
            self._wake.notify()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Make the site at once, and again after each change, until the block ends; what is under way then is killed,
        and the site is as it was before."""
        thread = threading.Thread(target=self._work, name="site", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._wake:
                self._ended = True
                self._wake.notify()
                if self._process is not None:
                    self._process.kill()
            thread.join()

    def _work(self) -> None:
        with self._wake:
            self._first = self._last = time.monotonic() - MOST
        while self._due():
            self._make()

    def _due(self) -> bool:
        """Wait until the site is to be made; False: the server ends."""
        with self._wake:
            while not self._ended:
                now = time.monotonic()
                if self._first is None:
                    if _mark(self.state, self.events) != self._seen or _inode(self.folder) != self._ours:
                        self._first = self._last = now
                    else:
                        self._wake.wait(LOOK)
                elif (left := min(self._last + QUIET, self._first + MOST) - now) > 0:
                    self._wake.wait(left)
                else:
                    # What changes from here on is for the next time.
                    self._first, self._seen = None, _mark(self.state, self.events)
                    return True
            return False

    def _make(self) -> None:
        found = self._published()
        with self._wake:
            if self._ended:  # and with it what was under way
                return
        self.problem = found if isinstance(found, str) else ""
        self._ours = self._ours if self.problem else _inode(self.folder)
        problems = (found,) if isinstance(found, str) else found.problems
        for problem in problems:
            if problem not in self._told:
                _log.warning("the site: %s", problem)
        self._told = problems
        if self.problem:
            with self._wake:
                self._first = self._last = time.monotonic() + AGAIN

    def _published(self) -> jobs.Published | str:
        """Publish once, in a process of its own; what it says, or why there is nothing, in words."""
        context = multiprocessing.get_context("spawn")  # a fork would have the locks of all our threads as they are
        here, there = context.Pipe(duplex=False)
        with here:
            process = context.Process(target=_publish, args=(there, os.getpid(), self._request), name="site")
            with there:
                try:
                    process.start()
                except OSError as error:
                    return f"no process can be started: {error}"
            with self._wake:
                self._process = process
                if self._ended:
                    process.kill()
            found: jobs.Published | str = ""
            with suppress(EOFError, OSError):
                found = here.recv()
            process.join()
            with self._wake:
                self._process = None
                if not found and process.exitcode in _ASKED:
                    # A signal to all processes of a server asks this one too; the server is about to say that it ends.
                    self._wake.wait_for(lambda: self._ended, ENDING)
        return found or f"the process that makes it ended with code {process.exitcode}"


def _publish(answer: Connection, parent: int, request: jobs.PublishRequest) -> None:
    """What the process does."""
    shell.end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    os.nice(NICE)
    try:
        answer.send(jobs.publish(request, _Quiet()))
    except LockstepError as error:
        answer.send(str(error))


class _Quiet:
    """A view that nobody sees."""

    def phase(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...
    def measured(self, plan: object, progress: object) -> None: ...


def _mark(data: Path, events: Path) -> object:
    """Changes whenever a run, night, event or import comes, goes or is written, or one of the newest runs ends."""
    runs = data / "runs"
    looked_at = [runs, events, data / "nights", data / "imports"]
    with suppress(OSError):
        looked_at += heapq.nlargest(NEWEST, runs.iterdir())
    return tuple(map(_modified, looked_at))


def _inode(place: Path) -> int:
    try:
        return place.stat().st_ino
    except OSError:
        return 0


def _modified(place: Path) -> int:
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return 0
