"""The queue of requests: who asked for what, which machine has it, and what came of it.

Each function is one step, inside a transaction of the caller's and at a moment that the caller gives. A request waits,
then runs while a machine has it on lease, and is over when it is done, failed or cancelled: that never changes again. A
lease is lost when nothing was heard of its machine for `LEASE` seconds, and the request waits again. What comes of a
lost lease after all is kept, unless the request is over.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from runner.client import LEASE as LEASE
from runner.jobs.policy import Wanted
from runner.service.problems import Problem
from runner.service.tables import leases, requests, results, tokens

LOSSES = 3
"""Leases of a request that may be lost: what ends three agents would end the fourth."""
UNHEARD = 600.0
"""Seconds in which a machine that claims anew, and never said that it works, gets the same lease: the answer to its
first claim was lost."""
DAY = 86_400.0
"""Seconds that count when turns are given."""
MOST = 50
"""Requests of a person that wait or run."""


class State(StrEnum):
    """Of a request."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self not in OPEN


OPEN = (State.WAITING, State.RUNNING)


class Tenure(StrEnum):
    """What has become of a lease."""

    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    RETURNED = "returned"
    """Its machine gave the request back, for another to take."""
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and how."""

    person: str
    """Turns are given to persons, whatever tokens they have."""
    token: str = ""
    source: str = "api"
    """``api``, ``form`` or ``github``."""
    reply: Mapping[str, Any] | None = None
    """Where it is answered beside its page; None: nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One comparison that was asked for."""

    id: str
    created: float
    """Seconds since the epoch, as all times here."""
    token: str
    person: str
    source: str
    wanted: Wanted
    state: State
    finished: float | None
    problem: str
    """Why it failed."""
    reply: Mapping[str, Any] | None
    told: str
    """What was answered there: nothing yet, ``open`` or ``over``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A request that a machine has, or had."""

    id: str
    request: str
    machine: str
    token: str
    facts: Mapping[str, Any]
    """What the machine said of itself."""
    begun: float
    expires: float
    heard: float | None
    ended: float | None
    state: Tenure
    note: str
    """What it was doing, in its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run that a request came to."""

    request: str
    run: str
    lease: str


def submit(
    connection: sa.Connection, wanted: Wanted, asker: Asker, now: float, key: str | None = None
) -> tuple[Request, bool]:
    """Add a request that the policy allows; also whether it is new, which it is not where `key` has asked before.

    Raises Problem where the key has asked for something else, a person has `MOST` open, or no such machine is there.
    """
    known = None if key is None else by_key(connection, key)
    if known is not None:
        if known.wanted != wanted:
            raise Problem(409, "key", "This key has asked for something else.", f"It is that of request {known.id}.")
        return known, False
    if wanted.machine and wanted.machine not in machines(connection, now):
        raise Problem(422, "policy", "This is not allowed.", f"machine: no machine is called {wanted.machine}.")
    count = sa.select(sa.func.count()).where(requests.c.person == asker.person, requests.c.state.in_(OPEN))
    if connection.execute(count).scalar_one() >= MOST:
        raise Problem(429, "queue", "You have asked for a lot.",
                      f"{MOST} requests of yours wait or run. Cancel one, or wait until one is over.")
    row = {
        "id": secrets.token_hex(5), "created": now, "token": asker.token, "person": asker.person,
        "source": asker.source, "key": key, **asdict(wanted), "state": State.WAITING, "finished": None, "problem": "",
        "reply": "" if asker.reply is None else json.dumps(asker.reply), "told": "",
    }
    connection.execute(sa.insert(requests), row)
    return _request(row), True


def claim(
    connection: sa.Connection, token: str, machine: str, facts: Mapping[str, Any], now: float
) -> tuple[Lease, Request] | None:
    """Give the next request to a machine, which has none then but this; None: there is none for it.

    Turns go to the person whose requests had least of the machines' time in the last day; of that person's, to the
    highest priority, and then to the oldest.
    """
    settle(connection, now)
    held = _leases(connection, leases.c.token == token, leases.c.state == Tenure.HELD)
    for lease in held:
        request = find(connection, lease.request)
        if request.state.over:
            _end(connection, lease, Tenure.RETURNED, now)
        elif lease.heard is None and 0 <= now - lease.begun < UNHEARD:
            return _renewed(connection, lease, now), request
        else:
            _lose(connection, lease, now)
    chosen = connection.execute(_turns(machine, now).limit(1)).mappings().first()
    if chosen is None:
        return None
    row = {
        "id": secrets.token_hex(8), "request": chosen["id"], "machine": machine, "token": token,
        "facts": json.dumps(facts), "begun": now, "expires": now + LEASE, "heard": None, "ended": None,
        "state": Tenure.HELD, "note": "",
    }
    connection.execute(sa.insert(leases), row)
    _set(connection, chosen["id"], State.RUNNING)
    return _lease(row), find(connection, chosen["id"])


def beat(connection: sa.Connection, id: str, token: str, note: str, now: float) -> tuple[Lease, bool]:
    """Hear of a machine; also whether it is to stop, since nobody waits for this any more.

    A lease that was lost is held again where nobody has taken the request. Raises Problem where the token has no such
    lease.
    """
    lease = _own(connection, id, token)
    request = find(connection, lease.request)
    if lease.state is Tenure.LOST and request.state is State.WAITING and not _has_one(connection, token):
        connection.execute(sa.update(leases).where(leases.c.id == id).values(state=Tenure.HELD, ended=None))
        _set(connection, request.id, State.RUNNING)
    elif lease.state is not Tenure.HELD or request.state.over:
        return lease, True
    return _renewed(connection, lease, now, heard=now, note=note), False


def end(
    connection: sa.Connection, id: str, token: str, outcome: Tenure, runs: Sequence[str], problem: str, now: float
) -> Request:
    """Take what a lease came to: `outcome` is done, failed or returned. Said again, it changes nothing.

    Where the request is over nothing is kept; where another machine has it, only what is done. Raises Problem where
    the token has no such lease.
    """
    assert outcome not in (Tenure.HELD, Tenure.LOST)
    lease = _own(connection, id, token)
    request = find(connection, lease.request)
    if lease.state not in (Tenure.HELD, Tenure.LOST):
        return request
    _end(connection, lease, outcome, now)
    taken = request.state is State.RUNNING and lease.state is Tenure.LOST
    if request.state.over or (taken and outcome is not Tenure.DONE):
        return request
    if outcome is Tenure.RETURNED:
        _set(connection, request.id, State.WAITING)
    else:
        for run in dict.fromkeys(runs):
            connection.execute(sa.insert(results).values(request=request.id, run=run, lease=id))
        state = State.DONE if outcome is Tenure.DONE else State.FAILED
        _finish(connection, request.id, state, now, problem)
    return find(connection, request.id)


def cancel(connection: sa.Connection, id: str, now: float) -> Request:
    """End a request that waits or runs. Raises Problem where it is over otherwise, or there is none."""
    request = find(connection, id)
    if request.state is State.CANCELLED:
        return request
    if request.state.over:
        raise Problem(409, "over", "This request is over.", f"It is {request.state}, and cannot be cancelled.")
    _finish(connection, id, State.CANCELLED, now)
    return find(connection, id)


def settle(connection: sa.Connection, now: float) -> None:
    """Lose the leases of machines that were not heard of. A clock that was set back makes no lease longer."""
    held = leases.c.state == Tenure.HELD
    connection.execute(sa.update(leases).where(held, leases.c.expires > now + LEASE).values(expires=now + LEASE))
    for lease in _leases(connection, held, leases.c.expires <= now):
        _lose(connection, lease, now)


def prolong(connection: sa.Connection, now: float) -> None:
    """Give every lease its whole time again: the server was away, and not the machines."""
    connection.execute(sa.update(leases).where(leases.c.state == Tenure.HELD).values(expires=now + LEASE))


def find(connection: sa.Connection, id: str) -> Request:
    """A request. Raises Problem where there is none of this id."""
    row = connection.execute(sa.select(requests).where(requests.c.id == id)).mappings().first()
    if row is None:
        raise Problem(404, "request", "There is no such request.")
    return _request(row)


def by_key(connection: sa.Connection, key: str) -> Request | None:
    """The request that a key has asked for; None: none."""
    row = connection.execute(sa.select(requests).where(requests.c.key == key)).mappings().first()
    return None if row is None else _request(row)


def listed(
    connection: sa.Connection, states: Collection[State], limit: int, after: str | None = None
) -> list[Request]:
    """Requests in some of the states, newest first; `after`: those that follow the one of this id."""
    asked = sa.select(requests).where(requests.c.state.in_(states))
    if after is not None:
        last = find(connection, after)
        asked = asked.where(sa.or_(
            requests.c.created < last.created,
            sa.and_(requests.c.created == last.created, requests.c.id < last.id),
        ))
    asked = asked.order_by(requests.c.created.desc(), requests.c.id.desc()).limit(limit)
    return [_request(row) for row in connection.execute(asked).mappings()]


def leases_of(connection: sa.Connection, ids: Collection[str]) -> dict[str, list[Lease]]:
    """All leases of some requests by the request's id, oldest first."""
    found: dict[str, list[Lease]] = {id: [] for id in ids}
    for lease in _leases(connection, leases.c.request.in_(ids)):
        found[lease.request].append(lease)
    return found


def results_of(connection: sa.Connection, ids: Collection[str]) -> dict[str, list[Result]]:
    """The runs of some requests by the request's id."""
    found: dict[str, list[Result]] = {id: [] for id in ids}
    asked = sa.select(results).where(results.c.request.in_(ids)).order_by(results.c.run)
    for row in connection.execute(asked).mappings():
        found[row["request"]].append(Result(**row))
    return found


def machines(connection: sa.Connection, now: float) -> list[str]:
    """The names of machines that may claim, in alphabetical order."""
    asked = sa.select(tokens.c.name).distinct().where(
        tokens.c.machine, tokens.c.revoked.is_(None), sa.or_(tokens.c.expires.is_(None), tokens.c.expires > now))
    return sorted(connection.execute(asked).scalars())


def _turns(machine: str, now: float) -> sa.Select[Any]:
    """The requests that wait and a machine may take, in the order of their turns."""
    # What a machine has at present counts as all that it may take: else two at one moment would go to one person.
    spent = sa.case(
        (leases.c.state == Tenure.HELD, requests.c.budget),
        (leases.c.ended > leases.c.begun, leases.c.ended - leases.c.begun),
        else_=0.0,
    )
    served = (
        sa.select(requests.c.person, sa.func.sum(spent).label("spent"))
        .join_from(leases, requests, leases.c.request == requests.c.id)
        .where(leases.c.begun > now - DAY).group_by(requests.c.person).subquery()
    )
    return (
        sa.select(requests).outerjoin(served, served.c.person == requests.c.person)
        .where(requests.c.state == State.WAITING, requests.c.machine.in_(("", machine)))
        .order_by(
            sa.func.coalesce(served.c.spent, 0.0), requests.c.priority.desc(), requests.c.created, requests.c.id)
    )


def _lose(connection: sa.Connection, lease: Lease, now: float) -> None:
    """A machine is away: its request waits again, or has failed with it too often."""
    _end(connection, lease, Tenure.LOST, min(now, lease.expires))
    if find(connection, lease.request).state is not State.RUNNING:
        return
    count = sa.select(sa.func.count()).where(leases.c.request == lease.request, leases.c.state == Tenure.LOST)
    lost = connection.execute(count).scalar_one()
    if lost >= LOSSES:
        _finish(connection, lease.request, State.FAILED, now,
                f"{lost} times a machine took it and was not heard of any more, last {lease.machine}")
    else:
        _set(connection, lease.request, State.WAITING)


def _renewed(connection: sa.Connection, lease: Lease, now: float, **more: float | str) -> Lease:
    connection.execute(sa.update(leases).where(leases.c.id == lease.id).values(expires=now + LEASE, **more))
    (found,) = _leases(connection, leases.c.id == lease.id)
    return found


def _end(connection: sa.Connection, lease: Lease, state: Tenure, now: float) -> None:
    ended = now if lease.ended is None else lease.ended
    connection.execute(sa.update(leases).where(leases.c.id == lease.id).values(state=state, ended=ended))


def _finish(connection: sa.Connection, id: str, state: State, now: float, problem: str = "") -> None:
    values = {"state": state, "finished": now, "problem": problem}
    connection.execute(sa.update(requests).where(requests.c.id == id).values(**values))


def _set(connection: sa.Connection, id: str, state: State) -> None:
    connection.execute(sa.update(requests).where(requests.c.id == id).values(state=state))


def _own(connection: sa.Connection, id: str, token: str) -> Lease:
    found = _leases(connection, leases.c.id == id, leases.c.token == token)
    if not found:
        raise Problem(404, "lease", "This token has no such lease.")
    return found[0]


def _has_one(connection: sa.Connection, token: str) -> bool:
    return bool(_leases(connection, leases.c.token == token, leases.c.state == Tenure.HELD))


def _leases(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Lease]:
    asked = sa.select(leases).where(*where).order_by(leases.c.begun, leases.c.id)
    return [_lease(row) for row in connection.execute(asked).mappings()]


def _request(row: Mapping[Any, Any]) -> Request:
    wanted = Wanted(**{field.name: row[field.name] for field in fields(Wanted)})
    own = {field.name: row[field.name] for field in fields(Request) if field.name not in ("wanted", "state", "reply")}
    reply = json.loads(row["reply"]) if row["reply"] else None
    return Request(**own, wanted=wanted, state=State(row["state"]), reply=reply)


def _lease(row: Mapping[Any, Any]) -> Lease:
    own = {field.name: row[field.name] for field in fields(Lease) if field.name not in ("state", "facts")}
    return Lease(**own, state=Tenure(row["state"]), facts=json.loads(row["facts"]))
