"""Where runs are sent: `POST /api/v1/runs`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from runner.errors import LockstepError
from runner.owned import owned
from runner.service import guard, looking, reception, server
from runner.service.guard import Caller
from runner.service.lookers import Lookers
from runner.service.looking import Looked, Refusal
from runner.service.problems import MEDIA, Problem
from runner.storage import parcel

router = APIRouter(tags=["runs"])
log = logging.getLogger(__name__)

STEP = 1 << 20
"""Bytes of a body that are held in memory."""
AGAIN = "60"
"""Seconds after which a client may try again what was not its fault."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_KEY = re.compile(r'"?([\x21\x23-\x7e]{1,200})"?')
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")


class Received(BaseModel):
    """A run that the server has."""

    id: str
    """Of the run."""
    digest: str
    """Of its contents, as the server has them now."""
    fresh: bool
    """Whether the server has more of the run than before."""


def _problem(what: str) -> dict[str, Any]:
    return {"description": what, "content": {MEDIA: {"schema": {"type": "object"}}}}


@router.post(
    "/api/v1/runs", status_code=201, summary="Send a run", response_model=Received,
    responses={
        200: {"model": Received, "description": "The server had all of it already."},
        400: _problem("A header cannot be understood, or the body ended too early."),
        401: _problem("There is no token, or none that counts."),
        403: _problem("The token may not send runs, or not those of this machine."),
        409: _problem("It contradicts what the server has."),
        413: _problem("It is too large."),
        415: _problem("It is no parcel by its type."),
        422: _problem("It is no parcel, or none that is taken."),
        503: _problem("The server cannot keep anything now. Send it again."),
        507: _problem("The server's disk is full. Send it again."),
    },
    openapi_extra={"requestBody": {"required": True, "content": {
        parcel.MEDIA: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def send(
    request: Request, response: Response, caller: Annotated[Caller, Depends(guard.needs("submit"))],
    content_digest: Annotated[str, Header(description="Of the body, as RFC 9530 has it: sha-256=:…:")] = "",
    idempotency_key: Annotated[str, Header(
        description="What the sender calls this upload: the same for the same contents, and for these alone.")] = "",
) -> Received:
    """Keep the run folder that a parcel holds. Sent again, it is kept once."""
    here = server.of(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != parcel.MEDIA:
        raise Problem(415, "type", "This is no parcel.", f"A run is sent as {parcel.MEDIA}; `lockstep upload` does it.")
    named = _KEY.fullmatch(idempotency_key)
    if idempotency_key and not named:
        raise Problem(400, "key", "The Idempotency-Key cannot be used.", "It is 1 to 200 letters, digits and signs.")
    wanted = _digest(content_digest)
    token = reception.machine(caller)
    turns: defaultdict[str, asyncio.Lock] = request.app.state.turns
    # One at a time of each machine: neither the disk nor those who look are one machine's.
    async with turns[token.id]:
        with _kept_nothing(), owned("parcel-", here.settings.incoming) as place:
            with (place / looking.BODY).open("xb") as body:
                found = await _spooled(request, body)
            if wanted not in (None, found):
                raise Problem(422, "digest", "The body is not what its Content-Digest says.", "Send it again.")
            looked = await _looked(request, place)
            done = await run_in_threadpool(reception.receive, here, looked, named[1] if named else "", token)
    response.status_code = 201 if done.fresh else 200
    if done.fresh:
        here.site.changed()
    return Received(id=done.id, digest=done.digest, fresh=done.fresh)


async def _spooled(request: Request, file: BinaryIO) -> bytes:
    """Put a body into a file; returns its sha256.

    It comes as slowly as it comes, and no thread waits for it. How large it may be, `limits` sees to.
    """
    sha, waiting = hashlib.sha256(), bytearray()

    def keep(data: bytes) -> None:
        sha.update(data)
        file.write(data)

    try:
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= STEP:
                await run_in_threadpool(keep, bytes(waiting))
                waiting.clear()
    except ClientDisconnect as error:
        raise Problem(400, "ended", "The body ended too early.", "Send it again.") from error
    await run_in_threadpool(keep, bytes(waiting))
    return sha.digest()


async def _looked(request: Request, place: Path) -> Looked | Refusal:
    """What a process of its own says of the parcel in a folder. Raises Problem where that process dies."""
    here = server.of(request)
    lookers: Lookers = request.app.state.lookers
    try:
        return await lookers.look(place, here.settings.runs, reception.limits(here))
    except BrokenExecutor as error:
        log.error("the process that looked at an upload has died: %s", error)
        raise _unavailable() from error


def _digest(said: str) -> bytes | None:
    """The sha256 that a Content-Digest has; None where it has none."""
    if not said.strip():
        return None
    for one in said.split(","):
        name, _, _ = one.strip().partition("=")
        if name.lower() != "sha-256":
            continue  # other algorithms may be there beside it
        match = _SHA256.fullmatch(one.strip())
        try:
            found = base64.b64decode(match[1], validate=True) if match else b""
        except binascii.Error:
            found = b""
        if len(found) == 32:
            return found
        raise Problem(400, "digest", "The Content-Digest cannot be understood.", "Write sha-256=:BASE64: (RFC 9530).")
    return None


def _unavailable() -> Problem:
    return Problem(503, "unavailable", "The server cannot keep runs now.", "Its log says why. Send it again later.",
                   headers={"Retry-After": AGAIN})


@contextmanager
def _kept_nothing() -> Iterator[None]:
    """Have it said where disk or database fail: the client may send the same again."""
    try:
        yield
    except (OSError, LockstepError) as error:
        log.error("an upload was not kept: %s", error)
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise Problem(
                507, "disk-full", "The server's disk is full.", "Nothing of this upload is kept. Send it again later.",
                headers={"Retry-After": AGAIN}) from error
        raise _unavailable() from error
