"""Tokens: random, shown once, stored as a hash, with scopes and an end.

A token's text is ``lst_<id>_<secret>``. The id finds the row; the secret, 256 random bits, is compared by argon2id, in
the same time whether there is such a row or not. That is dear, so whoever sends wrong ones again and again must wait.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import argon2
import sqlalchemy as sa

from runner.errors import MachineError, UsageError
from runner.service import audit, tables
from runner.service.audit import Entry
from runner.service.database import Database
from runner.service.rates import Rate

SCOPES = ("read", "submit", "request", "triage", "admin")
"""``read``: see all; ``submit``: upload runs, take requests; ``request``: ask for comparisons; ``triage``: say what an
event is; ``admin``: tokens, audit, other people's requests. Every token can read."""
REMEMBERED = 60.0
"""Seconds for which a secret that was right is not computed again; what the row says is asked each time."""
TRIES, EACH = 20.0, 1 / 3
"""How often a secret is computed for one address that has no right one, or for one token: so many at once, and so many
a second from then on."""
LONGEST = 3660 * 86_400.0
"""Seconds for which a token counts that has an end."""
AT_ONCE = 4
"""Secrets that are computed at one time, each in 19 MiB."""
_TEXT = re.compile(r"lst_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,59}")
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's second choice: 19 MiB
_NOBODY = _hasher.hash(secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token; its secret is not."""

    id: str
    name: str
    """Of a person or a machine."""
    machine: bool
    scopes: frozenset[str]
    created: float
    expires: float | None
    revoked: float | None
    host: str
    """Of a machine: `host` of its manifests; empty: not bound yet."""
    used: float | None
    """When it was last computed: up to `REMEMBERED` before it was last used."""

    def good(self, now: float) -> bool:
        """Whether it counts."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def create(
    database: Database, name: str, scopes: Collection[str], now: float, *, machine: bool = False,
    expires: float | None = None, host: str = "",
) -> tuple[Token, str]:
    """Make a token; its text is never seen again. Raises UsageError for a name or scope that is none."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a token: write 1 to 60 letters, digits, dots, dashes and @.")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise UsageError(f"{', '.join(unknown) or 'nothing'} is no scope; there are: {', '.join(SCOPES)}.")
    if expires is not None and not 0 < expires - now <= LONGEST:
        raise UsageError("a token counts for ten years at most, or until it is revoked: leave the end out.")
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    row = {
        "id": id, "name": name, "machine": machine, "scopes": " ".join(sorted({*scopes, "read"})),
        "hash": _hasher.hash(secret), "created": now, "expires": expires, "revoked": None, "host": host, "used": None,
    }
    with database.writing() as connection:
        connection.execute(sa.insert(tables.tokens), row)
        audit.note(connection, Entry(
            time=now, name=audit.HERE, action="token create", subject=f"{id} {name}: {row['scopes']}", outcome="done"))
    return read(row), f"lst_{id}_{secret}"


def listed(database: Database) -> tuple[Token, ...]:
    """All tokens, oldest first."""
    with database.reading() as connection:
        rows = connection.execute(sa.select(tables.tokens).order_by(tables.tokens.c.created, tables.tokens.c.id))
        return tuple(read(row) for row in rows.mappings())


def revoke(database: Database, id: str, now: float) -> Token:
    """End a token for good, and whatever is logged in by it. Raises UsageError where there is none of this id."""
    of = tables.tokens.c.id == id
    with database.writing() as connection:
        connection.execute(sa.update(tables.tokens).where(of, tables.tokens.c.revoked.is_(None)).values(revoked=now))
        connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.token == id))
        row = connection.execute(sa.select(tables.tokens).where(of)).mappings().first()
        if row is None:
            raise UsageError(f"there is no token {id}; `lockstep token list` shows them.")
        audit.note(connection, Entry(
            time=now, name=audit.HERE, action="token revoke", subject=f"{id} {row['name']}", outcome="done"))
    return read(row)


class Verifier:
    """Finds the token that a text is."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self._lock, self._room = threading.Lock(), threading.Semaphore(AT_ONCE)
        self._tries = Rate(EACH, TRIES)
        self._right: dict[bytes, float] = {}
        """When what has this hash was found right."""

    def __call__(self, text: str, address: str = "") -> Token | None:
        """The token; None where it is none, has ended or was revoked. `address`: where the text came from.

        Raises rates.TooMany where wrong secrets come too often: of a token that there is, it is that token which waits,
        so that nobody keeps others at the same address from their own.
        """
        parts = _TEXT.fullmatch(text)
        if parts is None:
            return None
        id, secret = parts.groups()
        now = self._clock()
        with self._database.reading() as connection:
            of = tables.tokens.c.id == id
            row = connection.execute(sa.select(tables.tokens).where(of)).mappings().first()
        hash = _NOBODY if row is None else str(row["hash"])
        mark = hashlib.sha256(f"{hash}\0{secret}".encode()).digest()
        fresh = not self._remembers(mark, now)
        if fresh and not self._is_right(hash, secret, mark, now, f"{address} {id}" if row is not None else address):
            return None
        if row is None or not (token := read(row)).good(now):
            return None
        if fresh:
            # Of no importance: whoever only reads is let in where nothing can be written.
            with suppress(MachineError), self._database.writing() as connection:
                connection.execute(sa.update(tables.tokens).where(of).values(used=now))
        return token

    def _remembers(self, mark: bytes, now: float) -> bool:
        with self._lock:
            since = self._right.get(mark)
        return since is not None and 0 <= now - since < REMEMBERED  # a clock that was set back forgets

    def _is_right(self, hash: str, secret: str, mark: bytes, now: float, key: str) -> bool:
        with self._room:
            if self._remembers(mark, now):
                return True  # another request of the same token has waited for it
            self._tries.take(key)
            try:
                _hasher.verify(hash, secret)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False
        with self._lock:
            self._right = {one: when for one, when in self._right.items() if 0 <= now - when < REMEMBERED}
            self._right[mark] = now
        return True


def read(row: sa.RowMapping | Mapping[str, Any]) -> Token:
    kept = {name: row[name] for name in ("id", "name", "machine", "created", "expires", "revoked", "host", "used")}
    return Token(**kept, scopes=frozenset(row["scopes"].split()))
