"""What a server does for requests of itself: it loses leases that have run out, and answers where it was asked."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from runner.errors import LockstepError
from runner.jobs import comment as commenting
from runner.judging import statistics
from runner.report import addresses, markdown
from runner.service import audit, queue
from runner.service.api_requests import page
from runner.service.queue import LEASE, OPEN, Request, State, Tenure
from runner.service.server import Server
from runner.service.tables import leases, requests
from runner.storage import store

log = logging.getLogger(__name__)
PERIOD = 3.0
"""Seconds between two looks."""
AGAIN = 60.0
"""Seconds before a post that failed is tried again; each time twice as many."""
GIVEN_UP = 86_400.0
"""Seconds after a request's end in which it is tried to answer."""
FORGETTING = 86_400.0
"""Seconds between two times at which old entries of the audit log are removed."""


class Clerk:
    """Does what is to be done, a step at a time. What it has done is in the database, so that another goes on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._later: dict[str, tuple[float, float]] = {}
        """Requests whose post has failed: when it is tried again, and the pause before that."""
        self._forgot = -math.inf
        """When the audit log was last cut."""
        self._places: dict[str, str] = {}
        """Where each request was answered: others may write what our comment is known by, and it is not looked for."""

    def begin(self) -> None:
        """Make up for the time in which the server was away."""
        with self._server.database.writing() as connection:
            queue.prolong(connection, self._server.clock())

    def step(self) -> None:
        """Do all that is to be done now. Raises MachineError where the database cannot be used."""
        now, database = self._server.clock(), self._server.database
        if not 0 <= now - self._forgot < FORGETTING:
            audit.forget(database, now)
            self._forgot = now
        with database.reading() as connection:
            out = sa.or_(leases.c.expires <= now, leases.c.expires > now + LEASE)
            late = connection.execute(sa.select(leases.c.id).where(leases.c.state == Tenure.HELD, out)).first()
        if late is not None:
            with database.writing() as connection:
                queue.settle(connection, now)
        for one in self._untold():
            if now >= self._later.get(one.id, (now, 0.0))[0]:
                self._answer(one, now)

    def _untold(self) -> Sequence[Request]:
        """Requests of which nothing was answered yet, or not that they are over."""
        news = sa.or_(requests.c.told == "", sa.and_(requests.c.told == "open", requests.c.state.not_in(OPEN)))
        with self._server.database.reading() as connection:
            asked = sa.select(requests.c.id).where(requests.c.reply != "", news).order_by(requests.c.created)
            return [queue.find(connection, id) for id in connection.execute(asked).scalars().all()]

    def _answer(self, one: Request, now: float) -> None:
        hook, reply = self._server.settings.serve.github, one.reply
        if hook is None or reply is None:
            return
        where = hook.place(reply["repository"], reply["pull"])
        with self._server.database.reading() as connection:
            runs = [result.run for result in queue.results_of(connection, [one.id])[one.id]]
        try:
            self._places[one.id] = commenting.comment(
                text(self._server, one, runs), where, f"request/{one.id}", self._places.get(one.id, ""))
        # Whatever it is: it must not keep others from being answered.
        except Exception as error:
            log.warning("request %s: %s", one.id, error, exc_info=not isinstance(error, LockstepError))
            if one.finished is None or now - one.finished < GIVEN_UP:
                pause = min(2 * self._later.get(one.id, (0.0, AGAIN / 2))[1], 3600.0)
                self._later[one.id] = now + pause, pause
                return
        self._later.pop(one.id, None)
        if one.state.over:
            self._places.pop(one.id, None)
        with self._server.database.writing() as connection:
            told = "over" if one.state.over else "open"
            connection.execute(sa.update(requests).where(requests.c.id == one.id).values(told=told))

    def work(self, end: threading.Event) -> None:
        """Step by step, until the end. Whatever goes wrong in one step is logged, and the next one tries again."""
        begun = False
        while not end.wait(PERIOD if begun else 0.0):
            try:
                if not begun:
                    self.begin()
                    begun = True
                self.step()
            except Exception:
                log.exception("the server's own work on requests has failed")
                end.wait(PERIOD)


@contextmanager
def working(server: Server) -> Iterator[None]:
    """Within, a thread does what is to be done."""
    end = threading.Event()
    thread = threading.Thread(target=Clerk(server).work, args=(end,), name="requests", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(PERIOD)


def text(server: Server, one: Request, runs: Sequence[str]) -> str:
    """What is answered where a request was made, in Markdown."""
    wanted = f"{markdown.code(one.wanted.base)} → {markdown.code(one.wanted.head)}"
    known = bool(server.settings.serve.address)
    more = f"\n\n[The request]({page(server, one.id)})" if known else ""
    if one.state is State.WAITING or one.state is State.RUNNING:
        return f"Lockstep will compare {wanted} when a machine is free. The answer replaces this comment.{more}\n"
    if one.state is State.CANCELLED:
        return f"{wanted}: the request was cancelled.{more}\n"
    if one.state is State.FAILED:
        return f"**{wanted} could not be compared.**\n\n{markdown.fence(one.problem)}{more}\n"
    parts = []
    for run in runs:
        if not (server.settings.runs / run / store.MANIFEST).is_file():
            parts.append(f"Run {run} was removed.")
            continue
        try:
            parts.append(markdown.render(statistics.report_of(server.settings.runs / run)).rstrip())
        except Exception as error:  # every number in it is another's
            parts.append(_unreadable(server.settings.runs / run, error))
        if known:
            root = f"{server.settings.serve.address.rstrip('/')}/"
            parts.append(f"[The whole run]({addresses.run(run, root)})")
    return "\n\n".join(parts) + more + "\n"

def _unreadable(folder: Path, error: Exception) -> str:
    log.warning("the report of %s cannot be made: %s", folder, error)  # with paths, which are nobody else's business
    return f"The report of run {folder.name} cannot be made; the log of the server says why."

