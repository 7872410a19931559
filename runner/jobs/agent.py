"""Recipe: take requests from a server, one at a time, and answer them with runs.

What was taken on is on disk (`storage.errands`) before anything is measured, and until the server has the answer. So
an agent that was killed goes on where it was if its lease still holds, or when it is given the same request again; what
it had measured is sent in any case: the server keeps a late answer once. A server that is away changes nothing of what
is being measured, and is asked again, more and more seldom.

A request is taken only with the machine's lock in hand: none waits here while another run measures. Of two agents on
one machine, the second sleeps in the kernel until the first has measured.
"""

from __future__ import annotations

import contextlib
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from runner import machine, owned
from runner.client import LEASE, Claim, Client, Refused
from runner.errors import LockstepError, MachineError, UsageError
from runner.jobs import errand as work
from runner.jobs.errand import UNTRUSTED, Ways
from runner.sending import Failed
from runner.storage import errands
from runner.storage.errands import Errand, State

IDLE = 10.0
"""Seconds between two questions for a request, where there was none."""
SHORTEST, LONGEST = 5.0, 300.0
"""Seconds until a server that was away is asked again: each time twice as many."""
ROOM = 2 << 30
"""Bytes of disk without which nothing is taken on: two builds, and what is measured."""
AHEAD = 240.0
"""Seconds that our clock may be ahead of the server's, which takes no run from the future."""
KEPT = 86_400.0
"""Seconds for which something begun is kept that is somebody else's now, or nobody's."""
REFUSED = "refused"
"""Folder of the runs that the server did not take, among those of errands."""
REFUSED_ROOM = 4 << 30
"""Bytes that these may have together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRequest:
    """How an agent works."""

    client: Client
    folder: Path
    """Of what it has taken on."""
    untrusted: str = "sandbox"
    """One of `errand.UNTRUSTED`."""
    once: bool = False
    """One request, and what is left of before; then end."""
    idle: float = IDLE
    beat: float = work.BEAT
    """Seconds."""


class Cancelled(Exception):
    """Nobody wants it any more."""


def agent(request: AgentRequest, told: Callable[[str], None]) -> int:
    """Take requests until interrupted, or once; returns how many were answered. `told` hears what happens, in words.

    Raises UsageError where the server does not let us in, MachineError where another agent has the folder, or, with
    `once`, where the server is away. An interruption is passed on; what was begun is gone on with the next time.
    """
    machine.supported()
    if request.untrusted not in UNTRUSTED:
        raise UsageError(f"--untrusted {request.untrusted}: it is {', '.join(UNTRUSTED)}.")
    with ExitStack() as stack:
        try:
            request.folder.mkdir(parents=True, exist_ok=True)
            free = stack.enter_context(owned.attempt(request.folder))
        except OSError as error:
            raise MachineError(f"cannot use {request.folder}: {error.strerror or error}.") from error
        if not free:
            raise MachineError(f"another agent has {request.folder}. One is enough for a machine; for a second "
                               "server, give the second one another --folder.")
        return _Agent(request, told).run()


def _closed(error: Failed) -> bool:
    """Whether the server does not let us in: to ask again is of no use, and what is here stays."""
    return isinstance(error, Refused) and error.closed


def keep_newest(refused: Path) -> None:
    """Remove the oldest of some runs until the others have no more than `REFUSED_ROOM` bytes: strangers may have made
    them, and of any size."""
    left = REFUSED_ROOM
    for run in sorted(refused.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        left -= sum(file.stat().st_size for file in run.iterdir())
        if left < 0:
            shutil.rmtree(run, ignore_errors=True)


class _Patience:
    """When something that failed is tried again: after a while, which doubles each time."""

    def __init__(self) -> None:
        self.seconds, self._next = 0.0, -math.inf

    def failed(self, error: Failed) -> None:
        self.seconds = min(max(2 * self.seconds, SHORTEST, error.wait), LONGEST)
        self._next = time.monotonic() + self.seconds * random.uniform(0.5, 1)

    def ended(self) -> bool:
        """Whether it is to be tried now."""
        return time.monotonic() >= self._next

    def worked(self) -> bool:
        """Whether it had failed before."""
        before, self.seconds, self._next = self.seconds, 0.0, -math.inf
        return before > 0


class _Agent:
    """An agent at work."""

    def __init__(self, request: AgentRequest, told: Callable[[str], None]) -> None:
        self._request, self._client, self._top, self._say = request, request.client, request.folder, told
        self._facts = {**machine.describe(), "untrusted": request.untrusted}
        self._asking, self._sending = _Patience(), _Patience()
        self._told = ""
        self._lost: set[str] = set()
        """Leases that are known to be over."""
        self._held: dict[str, Errand] = {}
        """Errands by request that are further than the disk says, which had no room for that."""

    def run(self) -> int:
        self._open()
        answered = 0
        while True:
            answered += self._deliver_all()
            done = None
            if self._asking.ended():
                with machine.alone(wait=True, told=self._say):
                    errand = self._left()
                    # To claim gives up what one has: not where the server has just been away, nor before it has heard
                    # what waits here.
                    if errand is None and self._asking.ended() and not self._waiting():
                        errand = self._taken()
                    done = None if errand is None else self._measured(errand)
                answered += self._deliver_all()
            if self._request.once:
                self._end_once()
                return answered
            if done is None:
                time.sleep(self._request.idle * random.uniform(0.5, 1))

    def _open(self) -> None:
        """Say what is done here, and with the code of strangers."""
        self._say(f"taking requests of {self._client.address}; what is begun is in {self._top}")
        if self._request.untrusted == "unsafe":
            self._say("warning: code of repositories is run as it is, with all that this user may do")
        elif self._request.untrusted == "sandbox":
            try:
                with tempfile.TemporaryDirectory(prefix=".cage-", dir=self._top) as folder:
                    (Path(folder) / "work").mkdir()
                    work.apart(Path(folder) / "work")
            except (MachineError, OSError) as error:
                self._request = replace(self._request, untrusted="refuse")
                self._facts["untrusted"] = "refuse"
                self._say(f"only releases are built here, and no commits of repositories: {error}")

    # What is on disk

    def _errands(self, *states: State) -> Iterator[Errand]:
        for folder in errands.all_of(self._top):
            try:
                found = self._read(folder)
            except UsageError as error:
                self._once(str(error))
                continue
            if found.server == self._client.address and found.state in states:
                yield found

    def _waiting(self) -> list[Errand]:
        """What the server is to hear, oldest first."""
        return list(self._errands(State.MEASURED, State.FAILED))

    def _left(self) -> Errand | None:
        """What an agent had begun here before it ended, and is still ours."""
        for found in self._errands(State.TAKEN):
            if not found.lease or found.lease in self._lost:
                if time.time() - found.taken >= KEPT:
                    self._forget(found)
                continue
            try:
                beat = self._client.heartbeat(found.lease, "going on")
            except Failed as error:
                if error.refused and not _closed(error):
                    self._lost.add(found.lease)
                    continue
                self._away(self._asking, error)
                return None
            self._back(self._asking)
            if not beat.cancelled:
                return found
            self._close(found)
        return None

    def _read(self, folder: Path) -> Errand:
        """An errand as it is now. Raises UsageError as `errands.read`."""
        return self._held.get(folder.name) or errands.read(folder)

    def _keep(self, errand: Errand) -> Errand:
        try:
            self._write(errand)
            self._held.pop(errand.request, None)
        except MachineError as error:
            # The server hears of it while we live. By what the disk says it would be measured again and again.
            self._held[errand.request] = errand
            self._once(str(error))
        return errand

    def _write(self, errand: Errand) -> None:
        """Put an errand on disk. Raises MachineError where there is no room, not even without what it was made in."""
        try:
            errands.write(self._top, errand)
        except MachineError:
            if errand.state is State.TAKEN:
                raise
            errands.clear(errands.folder_of(self._top, errand.request) / errands.WORK)
            errands.write(self._top, errand)

    def _forget(self, errand: Errand) -> None:
        self._held.pop(errand.request, None)
        errands.remove(self._top, errand)

    # What the server says

    def _taken(self) -> Errand | None:
        """The request that is next for us, as it is on disk now."""
        if (free := shutil.disk_usage(self._top).free) < ROOM:
            self._once(f"nothing is taken on: the disk of {self._top} has {free >> 20} MiB left, and {ROOM >> 20} MiB "
                       "are needed. Free some space.")
            return None
        try:
            claim = self._client.claim(self._facts)
        except Failed as error:
            self._away(self._asking, error)
            return None
        self._back(self._asking)
        return None if claim is None else self._began(claim)

    def _began(self, claim: Claim) -> Errand | None:
        asked = claim.request
        errand = Errand(
            server=self._client.address, request=asked.id, lease=claim.lease, taken=time.time(), base=asked.base,
            head=asked.head, suite=asked.suite or "bytesio", select=asked.select or None, margin=asked.margin,
            budget=asked.budget,
        )
        self._say(f"request {errand.request}: {errand.base} against {errand.head}")
        try:
            # By when it ends, and for how long it is ours, the server's clock is known.
            if (ahead := errand.taken - (claim.expires - LEASE)) > AHEAD:
                raise MachineError(f"the clock of this machine is {ahead:.0f} s ahead of the server's, which takes "
                                   "nothing from the future. Have it set by NTP.")
            folder = errands.folder_of(self._top, errand.request)
            if (folder / errands.FILE).is_file():
                known = self._read(folder)
                if known == replace(errand, lease=known.lease, taken=known.taken, state=known.state, run=known.run,
                                    problem=known.problem):
                    return self._keep(replace(known, lease=errand.lease, taken=errand.taken))
                self._forget(errand)
            errands.write(self._top, errand)
        except UsageError as error:
            with contextlib.suppress(Failed):
                self._client.end(claim.lease, "failed", problem=str(error))
            self._once(str(error))
            return None
        except MachineError as error:
            self._give_back(errand, str(error))
            self._asking.failed(Failed(str(error), wait=LONGEST))
            return None
        return errand

    def _measured(self, errand: Errand) -> Errand | None:
        """The errand when it is done; None: nobody wants it any more."""
        if errand.state is not State.TAKEN:
            return errand  # it was done under another lease, and the answer has not arrived
        ways = Ways(top=self._top, untrusted=self._request.untrusted, beat=self._request.beat)
        try:
            return self._keep(work.measured(errand, ways, lambda note: self._beat(errand, note)))
        except Cancelled:
            self._close(errand)
            return None
        except KeyboardInterrupt:
            # Whoever measures it next goes on where this ended, if that is us.
            self._give_back(errand, "The agent was stopped.")
            self._keep(replace(errand, lease=""))
            raise

    def _beat(self, errand: Errand, note: str) -> None:
        try:
            if self._client.heartbeat(errand.lease, note).cancelled:
                raise Cancelled
        except Failed as error:
            # Away, or the lease is over: what is measured is of use all the same, since a late answer counts.
            self._once(f"request {errand.request}: no heart-beat: {error}")

    def _give_back(self, errand: Errand, why: str) -> None:
        """Have another machine be given the request: at once, or, where the server is away, when the lease is over."""
        self._once(f"request {errand.request} is given back: {why}")
        with contextlib.suppress(Failed):
            self._client.end(errand.lease, "returned", problem=why)

    def _close(self, errand: Errand) -> None:
        """Forget an errand that the server wants no more of us."""
        self._say(f"request {errand.request} was cancelled, or is for another machine now")
        with contextlib.suppress(Failed):
            # Not that it failed: it may wait for another machine, and would be over.
            self._client.end(errand.lease, "returned")
        self._forget(errand)

    def _deliver_all(self) -> int:
        """Have the server know what became of what was taken on, as far as it listens; returns of how many it does."""
        answered = 0
        for errand in self._waiting() if self._sending.ended() else ():
            try:
                self._deliver(errand)
            except Failed as error:
                self._away(self._sending, error)
                break
            self._back(self._sending)
            answered += 1
        return answered

    def _deliver(self, errand: Errand) -> None:
        """Have the server know what became of an errand, and forget it. Raises Failed where it is away."""
        errand = self._sent(errand)
        try:
            self._client.end(errand.lease, "done" if errand.run else "failed", runs=[errand.run] if errand.run else [],
                             problem=errand.problem)
        except Failed as error:
            if not error.refused or _closed(error):
                raise
            self._say(f"request {errand.request}: the server has no use for what came of it: {error}")
        self._say(f"request {errand.request}: {f'run {errand.run}' if errand.run else f'failed: {errand.problem}'}")
        self._forget(errand)

    def _sent(self, errand: Errand) -> Errand:
        """The errand, whose run the server has now; or which has failed, because the server does not take the run.

        Raises Failed where it is away.
        """
        if errand.state is not State.MEASURED:
            return errand
        run = errands.folder_of(self._top, errand.request) / errands.RUN / errand.run
        if not run.is_dir():
            return self._keep(work.failed(errand, "its run is gone from the agent's disk."))
        try:
            self._client.upload(run)
        except LockstepError as error:
            return self._keep(work.failed(errand, str(error)))
        except Failed as error:
            if not error.refused or _closed(error):
                raise
            kept = self._top / REFUSED
            with contextlib.suppress(OSError):
                kept.mkdir(exist_ok=True)
                run.rename(kept / run.name)
                keep_newest(kept)
            self._say(f"request {errand.request}: the server did not take run {errand.run}; it is kept in {kept}")
            return self._keep(work.failed(errand, f"its run was not taken: {error}"))
        return errand

    # Words and patience

    def _away(self, patience: _Patience, error: Failed) -> None:
        """Try again later. Raises UsageError where that is of no use."""
        if _closed(error):
            raise UsageError(f"{self._client.address}: {error}") from error
        patience.failed(error)
        self._once(f"{self._client.address}: {error}; trying again")

    def _back(self, patience: _Patience) -> None:
        if patience.worked():
            self._told = ""
            self._say(f"{self._client.address} answers again")

    def _once(self, text: str) -> None:
        """Say what is wrong; not again while it stays the same."""
        if text != self._told:
            self._told = text
            self._say(text)

    def _end_once(self) -> None:
        if left := self._waiting():
            raise MachineError(f"{self._client.address} has not heard of {len(left)} requests that were done here; "
                               f"they wait in {self._top}, and go with the next `lockstep agent`.")
        if self._asking.seconds:
            raise MachineError(self._told)
