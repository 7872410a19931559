"""Who did what, and who was refused: a row for each write, and for each refusal of somebody who is known.

Requests are noted by `Audited`, so that no handler can forget to; what no request did (a command of `lockstep token`)
says so by `note`. A row is on record before the client has its answer.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.errors import MachineError
from runner.report.printable import printable
from runner.service import tables
from runner.service.database import Database

KEPT = 400 * 86_400.0
"""Seconds for which a row is kept."""
LONGEST = 200
"""Characters of each field."""
HERE = "command line"
"""Who gives a command on the server itself."""
READING = ("GET", "HEAD", "OPTIONS")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was done, or refused."""

    time: float
    """Seconds since the epoch."""
    token: str = ""
    """Its id; empty: none was used."""
    name: str
    """Of the person or machine."""
    address: str = ""
    """Where it came from."""
    action: str
    subject: str
    outcome: str
    """``done``, or the status of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """An entry as it was found."""

    number: int
    """Later ones have larger numbers, whatever the clock said."""
    entry: Entry


def note(connection: sa.Connection, entry: Entry) -> None:
    """Add an entry to what a transaction writes. Fields are cut, and made printable: they may be foreign."""
    row = {key: printable(value)[:LONGEST] if isinstance(value, str) else value for key, value in asdict(entry).items()}
    connection.execute(sa.insert(tables.audit), row)


def newest(database: Database, *, before: int | None = None, limit: int = 100) -> tuple[Noted, ...]:
    """Entries, newest first; `before`: only those with smaller numbers."""
    query = sa.select(tables.audit).order_by(tables.audit.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(tables.audit.c.number < before)
    with database.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(Noted(number=row["number"], entry=_entry(row)) for row in rows)


def forget(database: Database, now: float) -> None:
    """Remove what is older than `KEPT`."""
    with database.writing() as connection:
        connection.execute(sa.delete(tables.audit).where(tables.audit.c.time < now - KEPT))


def _entry(row: sa.RowMapping) -> Entry:
    return Entry(**{key: value for key, value in row.items() if key != "number"})


class Audited:
    """Notes what an application did for callers that `guard` knows: it leaves a `guard.Caller` in the request's state
    under `audit`. A handler may leave there, under `subject`, what it was about; by default that is the address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry = self._of(scope, message["status"])
                if entry is not None:
                    await run_in_threadpool(self._note, scope["app"].state.server.database, entry)
            await send(message)

        await self._app(scope, receive, noting)

    def _of(self, scope: Scope, status: int) -> Entry | None:
        state = scope.get("state", {})
        caller = state.get("audit")
        if caller is None or caller.token is None or (scope["method"] in READING and status != 403):
            return None
        route = getattr(scope.get("route"), "path", "") or scope["path"]
        return Entry(
            time=scope["app"].state.server.clock(), token=caller.token.id, name=caller.name, address=caller.address,
            action=f"{scope['method']} {route}", subject=str(state.get("subject", scope["path"])), outcome=str(status),
        )

    @staticmethod
    def _note(database: Database, entry: Entry) -> None:
        try:
            with database.writing() as connection:
                note(connection, entry)
        except MachineError:
            # What failed has changed nothing, and is answered all the same. What succeeded is on record, or is a fault.
            if int(entry.outcome) < 500:
                raise
            log.error("not on record: %s", entry)
