"""Recipe: have runs reach a server. What cannot be sent waits, and fails nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from runner import config
from runner.client import Client, Refused
from runner.errors import LockstepError
from runner.jobs.watched import Server
from runner.report import addresses
from runner.sending import Failed, delivery, secrets
from runner.sending.delivery import Carrier, Delivery, Sent
from runner.sending.spool import REFUSED, Letter, Spool
from runner.storage import parcel, store

CHANNEL = "server"
"""What letters to the server are called by. Which server that is stands in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A run that is to reach a server. What is sent is what the folder holds by then."""

    server: str
    """Address."""
    run: str
    """Id."""
    folder: Path
    """Absolute."""
    digest: str
    """Of what the folder held: another one once it has grown, or lost its blocks."""
    created: float
    """Seconds since the epoch."""

    @property
    def key(self) -> str:
        return f"{self.thread} {self.digest}"

    @property
    def thread(self) -> str:
        return f"{self.server} {self.run}"

    @property
    def title(self) -> str:
        return f"run {self.run}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """What is to be sent, how patiently, and who hears how far it is."""

    folders: Sequence[Path] = ()
    """Run folders; what waits from before and is due is sent, too."""
    again: bool = False
    """Send these whatever was tried, sent or given up before."""
    waiting: bool = False
    """Send all that waits, due or not."""
    patience: float = delivery.PATIENCE
    """Seconds in which what failed is tried again at once."""
    longest: float = delivery.SESSION
    """Seconds after which no further run is begun."""
    told: Callable[[str], None] = lambda text: None


_letter = TypeAdapter(Letter[Upload])


def opened(state: Path) -> Spool[Upload]:
    """The spool of runs in a folder for state."""
    return Spool(state / "spool" / "runs", _letter)


def send(server: Server, state: Path, request: UploadRequest) -> Sent:
    """Have runs reach the server; returns what became of it.

    A run is sent once, until its folder holds something else. Raises UsageError for a folder that is no run, and
    MachineError for one that cannot be read. Whatever is wrong with the server, its token or the spool is in
    `Sent.problems`, in words without the token, and the runs wait.
    """
    spool, now = opened(state), time.time()
    uploads = [_upload(server, folder, now) for folder in request.folders]
    problems: list[str] = []
    try:
        problems += _gone(spool)
        waiting = [letter.message for letter in spool.queue().letters] if request.waiting else []
        for upload in (*waiting, *(uploads if request.again else ())):
            spool.put(CHANNEL, upload, now, again=True)
    except LockstepError as problem:
        problems.append(str(problem))
    token = config.secret(server.token_from)
    carrier: Carrier[Upload] = Carrier(
        carry=partial(_carry, server, request.told), secrets=(token.strip(),) if token else ())
    delivering = Delivery(
        spool=spool, carriers={CHANNEL: carrier}, what="runs", patience=request.patience, longest=request.longest)
    sent = delivering.send((CHANNEL, upload) for upload in uploads)
    return replace(sent, problems=(*problems, *sent.problems))


def _upload(server: Server, folder: Path, now: float) -> Upload:
    run = store.read_manifest(folder).id
    return Upload(
        server=server.address, run=run, folder=folder.absolute(), digest=parcel.contents(folder).digest, created=now)


def _gone(spool: Spool[Upload]) -> Iterator[str]:
    """Give up what waits and is not there any more; a sentence each."""
    for letter in spool.queue().letters:
        if not (letter.message.folder / store.MANIFEST).is_file():
            spool.drop(letter)
            yield f"{letter.message.title} is not sent: {letter.message.folder} is not there any more"


def _carry(server: Server, told: Callable[[str], None], upload: Upload, known: str) -> str:
    """Send a run; returns the address of its page. Raises Failed."""
    if upload.server != server.address:
        raise Failed(f"it is for {upload.server}, and the server is {server.address} now", refused=True)
    try:
        client = Client(server.address, secrets.get(config.secret, server.token_from))
    except Failed as error:
        raise Failed(str(error), wait=REFUSED) from None
    told(f"sending {upload.title} to {server.address}")
    try:
        done = client.upload(upload.folder)
    except Refused as error:
        if error.closed:
            # Nor would another run be taken: nothing more is tried for a while.
            raise Failed(str(error), wait=REFUSED) from None
        raise
    except LockstepError as error:
        raise Failed(str(error), refused=True) from error
    return f"{addresses.run(done.id, f'{server.address}/')}{'' if done.fresh else ', which it had'}"
