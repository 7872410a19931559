"""Runs that machines send: each is kept once, whole, and with where it came from.

What is sent is unpacked beside the runs, on their disk, and looked at (`looking`), so that whatever cannot be shown is
refused. Then it is moved into its place, by one call of the kernel. A kill at any moment leaves the runs as they were,
or with one more; what lies beside belongs to nobody and is removed by the next upload.

One and the same run may come again: late, twice at once, or when it has grown (`lockstep resume`). What decides is its
folder with `origin.json`, not what the database remembers.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runner.errors import MachineError
from runner.history import runs as history
from runner.service import tables
from runner.service.guard import Caller
from runner.service.looking import Looked, Refusal
from runner.service.problems import Problem
from runner.service.server import Server
from runner.service.tokens import Token
from runner.storage import origin, parcel, shelf, store
from runner.storage.exchange import exchange
from runner.storage.origin import Origin
from runner.storage.parcel import Contents, Limits
from runner.storage.store import Manifest

AHEAD = 300.0
"""Seconds that the clock of a machine may be ahead of ours."""
GROWTH = 8
"""How many times as large as the largest parcel its contents may be."""
log = logging.getLogger(__name__)
_turn = threading.Lock()
"""Held by whoever puts a run into its place: they come one at a time, and one server alone has the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What has become of a parcel."""

    id: str
    """Of the run."""
    digest: str
    """Of what the server has of the run now."""
    fresh: bool
    """Whether the server has more now than before."""


def machine(caller: Caller) -> Token:
    """The token of the machine that sends a run. Raises Problem for whoever is none."""
    if caller.token is None or not caller.token.machine:
        raise Problem(
            403, "no-machine", "Runs come from machines.",
            f"The token of {caller.name or 'nobody'} is a person's. `lockstep token create NAME --machine --scope "
            "submit` makes one for the machine that measures.")
    return caller.token


def limits(server: Server) -> Limits:
    """How much is taken of a parcel that comes now."""
    most = server.settings.serve.largest_upload
    return Limits(packed=most, unpacked=GROWTH * most, latest=server.clock() + AHEAD)


def receive(server: Server, looked: Looked | Refusal, key: str, token: Token) -> Received:
    """Keep a run that comes from a machine, if it is taken; on disk when this returns.

    `key` is what the sender calls this upload; empty: it has no name. The same contents are kept once, whatever they
    are called; one key has one content. A run that has grown takes the place of what there was of it, and what is less
    than there is changes nothing. Raises Problem for what is not taken, MachineError and OSError where disk or database
    fail; then all is as it was.
    """
    if isinstance(looked, Refusal):
        raise Problem(looked.status, looked.slug, looked.title, looked.detail)
    folder, contents = looked.folder, looked.contents
    there = server.settings.runs / folder.name
    ours = Origin(machine=token.name, token=token.id, key=key or contents.digest, received=server.clock(),
                  digest=contents.digest, contents=contents)
    with _turn, shelf.held(there) as free:
        if not free:  # `lockstep gc` may be about to remove the blocks that it has read
            raise MachineError(f"{there} is in use by another process")
        kept = _kept(there, folder, contents)
        _enter(server, ours, looked.manifest)
        if kept is not None:
            return Received(id=folder.name, digest=kept, fresh=False)
        store.write_whole(folder / store.REPORT, looked.report)
        origin.write(folder, ours)
        exchange(folder, there)
        store.sync(there.parent)
        try:
            history.put(server.settings.index, [looked.found])
        except MachineError as error:  # it is made from the folders, and whoever publishes brings it up to date
            log.warning("the index is behind the runs: %s", error)
    return Received(id=there.name, digest=contents.digest, fresh=True)


def _kept(there: Path, folder: Path, contents: Contents) -> str | None:
    """The digest of what there is of this run already, where the parcel has nothing more; None where it has.

    Raises Problem where one of the two does not go on from the other.
    """
    if not (there / store.MANIFEST).is_file():  # a removal that was killed leaves no run
        return None
    received = origin.read(there)
    known = parcel.contents(there) if received is None else received.contents
    if known.digest == contents.digest:
        return known.digest
    if received is not None and _goes_on(folder, contents, known):
        return None
    # Where blocks are gone (`lockstep gc`) nobody can say any more what they began with.
    if all((there / name).exists() for name in known.parts) and _goes_on(there, known, contents):
        return known.digest
    raise Problem(
        409, "other-content", "There is another run of this id.",
        f"What the server has of {there.name} is neither the beginning of what was sent, nor goes on from it. Look "
        f"which one is right; `lockstep runs {there.name} --remove` on the server takes its one away.")


def _goes_on(folder: Path, later: Contents, earlier: Contents) -> bool:
    """Whether the run in a folder, with the contents `later`, is what `earlier` was, and maybe more of it."""
    if later.parts[store.MANIFEST] != earlier.parts[store.MANIFEST]:
        return False
    for name, part in earlier.parts.items():
        if name not in later.parts:
            return False
        if name in parcel.LINES and not parcel.starts_as(folder, name, part):
            return False
        if name == store.STATISTICS and later.parts[name] != part:
            return False
    return True


def _enter(server: Server, ours: Origin, manifest: Manifest) -> None:
    """Put an upload on record, and bind its token to the machine. Raises Problem where it contradicts what is known."""
    role, commit = manifest.role, manifest.head.commit
    row = {
        "token": ours.token, "key": ours.key, "digest": ours.digest, "run": manifest.id, "time": ours.received,
        "watch": "" if role is None else role.watch, "commit": "" if commit is None else commit.hash,
        "branch": "" if commit is None else commit.branch,
    }
    mine = (tables.uploads.c.token == ours.token) & (tables.uploads.c.key == ours.key)
    with server.database.writing() as connection:
        _bind(connection, ours, str(manifest.machine.get("host") or ""))
        _check_branch(connection, row, server.settings.runs)
        known = connection.execute(sa.select(tables.uploads.c.digest).where(mine)).scalar()
        if known is None:
            connection.execute(sa.insert(tables.uploads), row)
        elif known != ours.digest:
            raise Problem(
                422, "key-used", "This Idempotency-Key was used for something else.",
                f"{ours.key[:80]!r} is what another content was called. Give every content a key of its own.")


def _bind(connection: sa.Connection, ours: Origin, host: str) -> None:
    """See that a token's machine is the one that has measured; the first run tells which one that is."""
    if not host:
        raise Problem(422, "no-host", "The run does not say on which machine it was measured.",
                      "It was made by an old Lockstep; its manifest has no `host`.")
    tokens = tables.tokens
    row = connection.execute(sa.select(tokens).where(tokens.c.id == ours.token)).mappings().one()
    if row["revoked"] is not None:
        raise Problem(401, "token", "Nobody is let in without a token.", "This one was revoked meanwhile.")
    if row["host"] and row["host"] != host:
        raise Problem(
            403, "other-machine", "The run was measured on another machine.",
            f"The token of {ours.machine} is bound to the machine {row['host']}, and the run is of {host}. Every "
            "machine has a token of its own: `lockstep token create NAME --machine --scope submit`.")
    others = tokens.c.machine & (tokens.c.host == host) & (tokens.c.name != ours.machine) & tokens.c.revoked.is_(None)
    other = connection.execute(sa.select(tokens.c.name).where(others)).scalar()
    if other is not None:
        raise Problem(
            403, "other-machine", "The run was measured on another machine.",
            f"The machine {host} is known as {other}, and this token is that of {ours.machine}. Use the token of "
            f"{other}, or revoke it first.")
    if not row["host"]:
        connection.execute(sa.update(tokens).where(tokens.c.id == ours.token).values(host=host))


def _check_branch(connection: sa.Connection, row: dict[str, Any], runs: Path) -> None:
    """See that a commit of a watch is of one branch, whoever measures it."""
    if not (row["watch"] and row["commit"] and row["branch"]):
        return
    uploads = tables.uploads
    same = (uploads.c.watch == row["watch"]) & (uploads.c.commit == row["commit"])
    for run, branch in connection.execute(sa.select(uploads.c.run, uploads.c.branch).where(same)):
        if branch not in ("", row["branch"]) and run != row["run"] and (runs / run).exists():
            raise Problem(
                409, "other-branch", "This commit is known on another branch.",
                f"Commit {row['commit'][:12]} of the watch {row['watch'][:40]} is of {branch[:80]!r} in run {run}, "
                f"and of {row['branch'][:80]!r} in this one. Look at lockstep.toml on both machines.")
