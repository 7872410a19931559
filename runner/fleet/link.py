"""What is between the two sides of a fleet: a scheduler of Dask's, and one worker on each machine.

A worker runs what the scheduler, and whoever may speak to it, sends: Dask unpickles it. So beyond one machine every
side shows a certificate, and a fleet is a set of machines whose users trust each other. Of ours, nothing but text goes
over the wire: `records`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import logging
import queue
import re
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import MachineError, UsageError
from runner.fleet import records
from runner.fleet.bench import Bench
from runner.fleet.records import Answer

AUTHORITY, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
"""Files of a folder of certificates: who is believed, who this machine is, and the key that proves it."""
RESOURCE = "bench"
"""Of Dask's, one a machine: by it our workers are told from others."""
QUIET: Mapping[str, Any] = {
    "distributed.worker.profile.enabled": False,  # it would look at all threads a hundred times a second
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.tick.limit": "10m",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.http.routes": [],
}
"""What a worker of Dask's does beside its work, and should not while a slice runs."""
PAUSES = (1.0, 30.0)
"""Seconds between two tries to reach a scheduler: the first, and the longest."""
CONNECTING = 30.0
"""Seconds for the scheduler to answer."""
ANSWERING = 5.0
"""Seconds for one of a fleet that was there to answer again."""
FETCHING = 60.0
"""Seconds for a result that is there to arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a fleet's scheduler is, and how one is let in."""

    address: str
    """``tls://HOST:PORT``; ``tcp://`` on this machine only."""
    certificates: Path | None
    """Folder with `AUTHORITY`, `CERTIFICATE` and `KEY`; None for ``tcp://``."""

    @property
    def here(self) -> str | None:
        """The address of this machine's own, where the fleet is on it alone."""
        return None if self.certificates is not None else _split(self.address)[1]


def door(address: str, certificates: Path | None) -> Door:
    """A door that may be used. Raises UsageError, which says what is missing."""
    protocol, host = _split(address)
    if protocol == "tcp":
        if not _loopback(host):
            raise UsageError(
                f"{address}: tcp:// is not encrypted, nobody proves who speaks, and whoever reaches a fleet runs "
                "programs on its machines. Beyond one machine it is tls://, with --certificates FOLDER (docs/fleet.md)."
            )
        if certificates is not None:
            raise UsageError(f"--certificates are for tls://, and {address} takes none.")
        return Door(address=address, certificates=None)
    if certificates is None:
        raise UsageError(f"{address}: tls:// takes --certificates FOLDER, with {AUTHORITY}, {CERTIFICATE} and {KEY} "
                         "(docs/fleet.md says how to make them).")
    missing = [name for name in (AUTHORITY, CERTIFICATE, KEY) if not (certificates / name).is_file()]
    if missing:
        raise UsageError(f"{certificates} lacks {', '.join(missing)} (docs/fleet.md says how to make them).")
    return Door(address=address, certificates=certificates)


def _split(address: str) -> tuple[str, str]:
    found = re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^:/\[\]\s]+):([0-9]{1,5})", address)
    if found is None:
        raise UsageError(f"{address}: a fleet is named by its scheduler: tls://HOST:8786, or tcp://127.0.0.1:8786 "
                         "on one machine.")
    return found[1], found[2].strip("[]")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _security(door: Door) -> Any:
    from distributed import Security

    if door.certificates is None:
        return None
    cert, key = str(door.certificates / CERTIFICATE), str(door.certificates / KEY)
    return Security(
        require_encryption=True, tls_ca_file=str(door.certificates / AUTHORITY), tls_client_cert=cert,
        tls_client_key=key, tls_worker_cert=cert, tls_worker_key=key,
    )


def _silence() -> None:
    """Dask says by log records, with tracebacks, what this module says in words."""
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


_bench: Bench | None = None
"""What answers in this process, where it is a worker."""


def serve(what: str, text: str) -> str:
    """The one task of a fleet: has a worker's bench answer."""
    if _bench is None:
        raise RuntimeError("this process measures for no fleet")
    return _bench.answer(what, text)


def serve_blocks(door: Door, bench: Bench, told: Callable[[str], None]) -> None:
    """Answer what a fleet asks of this machine, until it is interrupted; a scheduler that is away is waited for."""
    global _bench
    _bench = bench
    asyncio.run(_work(door, bench.name, told))


async def _work(door: Door, name: str, told: Callable[[str], None]) -> None:
    import dask
    from distributed import Worker

    _silence()
    pause = PAUSES[0]
    while True:
        since = time.monotonic()
        with dask.config.set(QUIET):
            try:
                async with Worker(
                    door.address, name=name, nthreads=1, resources={RESOURCE: 1}, memory_limit=0, host=door.here,
                    security=_security(door), dashboard=False, dashboard_address="127.0.0.1:0",
                    death_timeout=CONNECTING,
                ) as worker:
                    told(f"{name}: at work for {door.address}")
                    await worker.finished()
                told(f"{name}: the scheduler at {door.address} is gone; it is tried again")
            except (OSError, ValueError, RuntimeError) as error:
                told(f"{name}: no work from {door.address}: {_reason(error)}; it is tried again")
        pause = PAUSES[0] if time.monotonic() - since > 2 * CONNECTING else min(2 * pause, PAUSES[1])
        await asyncio.sleep(pause)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, TimeoutError) or "timed out" in str(cause).lower():
        return "nobody answers there"
    if "name taken" in str(cause):
        return "another worker has this name (a machine that has just died has it for a while)"
    return str(cause) or type(cause).__name__


class Connection:
    """The asking side's end: machines by name, questions, and answers as they arrive."""

    def __init__(self, door: Door) -> None:
        """Raises MachineError where the scheduler does not answer."""
        self._door = door
        self._numbers = itertools.count()
        self._arrived: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._asked: dict[int, Any] = {}
        self._run = secrets.token_hex(4)
        self._client: Any = None
        try:
            self._connect(CONNECTING)
        except OSError as error:
            raise MachineError(
                f"the scheduler of the fleet at {door.address} does not answer: {_reason(error)}. It is started with "
                "`dask scheduler` (docs/fleet.md); do the certificates fit?"
            ) from error

    def hosts(self) -> dict[str, str]:
        """The machines that are there: an address by name, another one for each start of its agent.

        None are while the scheduler is away.
        """
        try:
            if self._client.status != "running":
                self._client.close(timeout=1)
                self._connect(1.0)
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, ValueError, RuntimeError):
            return {}
        return {str(one["name"]): address for address, one in workers.items() if one["resources"].get(RESOURCE)}

    def ask(self, address: str, what: str, text: str) -> int:
        """Ask a machine; the answer arrives under the number that comes back."""
        number = next(self._numbers)
        try:
            future = self._client.submit(
                serve, what, text, key=f"lockstep-{self._run}-{number}", workers=[address], allow_other_workers=False,
                resources={RESOURCE: 1}, pure=False, retries=0,
            )
        except (OSError, RuntimeError, ValueError):
            self._asked[number] = None
            self._arrived.put((number, None))
            return number
        self._asked[number] = future
        future.add_done_callback(lambda done: self._arrived.put((number, done)))
        return number

    def arrived(self, seconds: float) -> list[tuple[int, Answer | None]]:
        """What has arrived, as soon as something has: answers by their numbers, None for one that was lost."""
        found: list[tuple[int, Answer | None]] = []
        timeout: float | None = seconds
        while True:
            try:
                number, future = self._arrived.get(timeout=timeout) if timeout else self._arrived.get_nowait()
            except queue.Empty:
                return found
            timeout = None
            if number in self._asked:
                del self._asked[number]
                found.append((number, self._fetched(future)))

    def forget(self, number: int) -> None:
        """An answer is not waited for any longer."""
        future = self._asked.pop(number, None)
        # Where the scheduler was away, what was asked is away with it.
        if future is not None and future.client is self._client and self._client.status == "running":
            with contextlib.suppress(OSError, RuntimeError):
                future.cancel()

    def close(self) -> None:
        """End the connection; what is under way on machines ends by itself."""
        with contextlib.suppress(OSError, RuntimeError):
            self._client.close(timeout=5)

    def _connect(self, timeout: float) -> None:
        import dask
        from distributed import Client

        _silence()
        dask.config.set({"distributed.comm.timeouts.connect": f"{ANSWERING:g}s"})  # who is away is looked for again
        # A question without an answer is asked again only by us, who know which blocks are stored.
        self._client = Client(
            self._door.address, timeout=timeout, security=_security(self._door), set_as_default=False,
            direct_to_workers=False, name="lockstep",
        )

    def _fetched(self, future: Any) -> Answer | None:
        from distributed import KilledWorker

        if future is None or future.status in ("cancelled", "lost"):
            return None
        try:
            text = future.result(timeout=FETCHING)
        except (KilledWorker, OSError, CancelledError, asyncio.CancelledError):
            return None
        return records.answer.validate_json(text)
