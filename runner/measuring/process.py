"""One measured process: started, pinned, asked, ended. It never outlives its context."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from runner.errors import MachineError
from runner.machine import addresses, sched
from runner.measuring.launch import START_LIMIT, Launch
from runner.model import Arm, Cause, Failure

HELLO = b'{"hello": "lockstep"}'
GRACE = 5.0
"""Seconds that tearing down may take where something has failed, or was interrupted, before."""
INTERRUPTED = 1.0
"""Seconds within which a worker must answer that it was interrupted."""
LEAVING = 2.0
"""Seconds that what is registered for an interpreter's end may take; what is not done then is not done."""
LINGER = 0.5
"""Seconds for those that a worker has started to see by themselves that it is gone, where it ended badly."""
LOADING = 0.1
"""Seconds between looks at what workers use of memory while nothing is timed."""
PRINTED = 1 << 20
"""Bytes of a worker's output above which it is forgotten."""


class WorkerFailed(Exception):
    """The worker cannot go on; carries what the report will say."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Worker:
    """A measured process and its private pipe."""

    def __init__(self, launch: Launch) -> None:
        self.arm = launch.arm
        self._memory = launch.memory
        self._output = os.memfd_create("output") if hasattr(os, "memfd_create") else _unnamed_file()
        self._unread = b""
        # A process starts where its parent may run, and with the parent's choice of addresses.
        with sched.lent(launch.cpus), addresses.drawn(launch.address):
            try:
                self._process = subprocess.Popen(
                    launch.command, env=dict(launch.env), cwd=launch.cwd, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=self._output, start_new_session=True, bufsize=0,
                    pass_fds=launch.inherited,
                )
            except OSError as error:
                os.close(self._output)
                cause = Cause.REFUSED if error.errno in (errno.EAGAIN, errno.ENOMEM) else Cause.OTHER
                failure = Failure(reason=f"could not be started: {error.strerror}", arm=self.arm, cause=cause)
                raise WorkerFailed(failure) from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        self._greeted = False
        self._busy = False
        """It was asked, and has not answered."""
        self._asked = ""
        """What it was last asked to do."""
        self._limit = GRACE
        """Seconds that it has for tearing down."""
        # If memory runs out all the same, the kernel is to end what is measured, and not what measures.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/oom_score_adj").write_text("1000")
        self.usage: Any = None
        """What wait4 said, once the process has ended: `ru_nvcsw`, `ru_nivcsw`, …"""
        self.undid = True
        """Something was undone at its end, as far as is known."""

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Have it torn down, and end it. Raises WorkerFailed when that fails, and nothing else has."""
        orderly = kind is None
        try:
            if self.usage is None:
                self._leave(orderly)
        except BaseException as problem:
            orderly = False
            if not isinstance(problem, WorkerFailed):  # interrupted while it tears down: a moment more, and not again
                self._leave(orderly)
            raise
        finally:
            self.end(orderly)

    def greet(self, limit: float = START_LIMIT) -> None:
        """Wait until it is up. What a site module prints before that is passed over."""
        while self._line(limit, "start-up") != HELLO:
            pass
        self._greeted = True

    def ask(self, request: Mapping[str, object], limit: float) -> dict[str, Any]:
        """Send a request and return the reply; raises WorkerFailed when there is none within `limit` seconds."""
        self.send(request, limit)
        return self.receive(limit)

    def send(self, request: Mapping[str, object], limit: float) -> None:
        self._busy, self._asked = True, str(request["do"])
        if self._asked == "load":
            self._limit = limit
        line = repr({**request, "limit": limit}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # its end is told by `receive`, with the reason
            self._requests.write(line)

    def receive(self, limit: float) -> dict[str, Any]:
        line = self._line(limit, "its time limit")
        self._busy = False
        self._forget()
        try:
            reply = json.loads(line)
        except ValueError:
            raise self._failed("wrote to the worker's private pipe", line[:200].decode("utf-8", "replace")) from None
        if "skipped" in reply:
            raise self._failed(reply["skipped"], cause=Cause.SKIPPED)
        if "error" in reply:
            raise self._failed(_raised(reply["where"], reply["error"]), reply["traceback"])
        assert isinstance(reply, dict)
        return reply

    def pin(self, cpu: int | None) -> None:
        """Move it to one CPU; None leaves it where it is. Raises MachineError when the kernel refuses."""
        if cpu is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended; the next request says so
                # Every thread: a library may have started some while the benchmark's module was imported.
                sched.pin(self.pid, cpu)

    def pin_children(self, cpu: int | None) -> bool:
        """Move what it has started, which is where it was then, but for what may not be moved; returns whether there is
        any."""
        started = _descendants(self.pid)
        if cpu is not None:
            for process in started:
                with contextlib.suppress(ProcessLookupError, MachineError):  # of another user, say
                    sched.pin(process.pid, cpu)
        return bool(started)

    @property
    def peak(self) -> int:
        """Bytes that it had in memory at most, once it has ended: on Linux not less than this process had at its
        start."""
        return int(self.usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)

    def fileno(self) -> int:
        """The descriptor that becomes readable when a reply comes."""
        return self._replies.fileno()

    @property
    def answered(self) -> bool:
        """Whether a reply has been read already."""
        return b"\n" in self._unread

    def look(self) -> None:
        """See that it lives, and uses no more memory than it may; raises WorkerFailed, after ending it."""
        if _exited(self.pid):
            raise self._ended()
        if self._memory is not None and _in_memory(self.pid) > self._memory:
            self.end()
            raise self._failed(f"used more than {_size(self._memory)} of memory (the limit: see --memory-limit)")

    def hung(self, what: str, limit: float) -> WorkerFailed:
        """That it has not answered within `what` of `limit` seconds, and what it has printed."""
        where = {"end": " in teardown", "cache": " in setup_cache"}.get(self._asked, "")
        reason = f"hangs{where}: no answer within {what} of {limit:g} s"
        return self._failed(reason, self._printed(), Cause.HUNG)

    def _leave(self, orderly: bool) -> None:
        """Have it tear down, and do what its interpreter does at its end. Raises WorkerFailed where all was well."""
        limit = self._limit if orderly else GRACE
        reply: dict[str, Any] = {}
        try:
            if not self._greeted:  # it may have set up already what it was sent meanwhile
                self.greet(GRACE)
            if self._asked not in ("end", "leave"):
                if self._busy:
                    self._interrupt()
                self.send({"do": "end"}, limit)
            while self._asked == "end" and "more" not in reply:  # a forked child may answer too, after its parent
                reply = self.receive(limit)
            self.undid = bool(reply.get("undone", True))
            if self._asked == "leave" and self._busy:
                self.receive(LEAVING)
        except WorkerFailed:
            if orderly:
                raise
        if reply.get("more"):
            with contextlib.suppress(WorkerFailed):
                self.ask({"do": "leave"}, LEAVING)

    def _interrupt(self) -> None:
        """Have it give up what it does, a set-up when that has ended. Raises WorkerFailed when it does not."""
        for last in (False, True):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
            try:
                self._line(INTERRUPTED, "its time limit")
                break
            except WorkerFailed:
                if last or self.usage is not None:
                    raise
        self._busy = False

    def end(self, orderly: bool = False) -> None:
        """Kill it and all that it started in its session; free the pipes. Does nothing the second time.

        Where it has not ended in an `orderly` way, those that it started in other sessions go too.
        """
        if self.usage is not None:
            return
        others = [] if orderly else _descendants(self.pid)
        try:
            if not orderly:
                self._linger()
        finally:  # interrupted once more meanwhile
            self._kill(others)

    def _kill(self, others: Sequence[psutil.Process]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in _session(self.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for process in others:
            with contextlib.suppress(psutil.Error):
                process.kill()
        _, status, self.usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._requests.close()
        self._replies.close()
        os.close(self._output)

    def _linger(self) -> None:
        """Kill it alone, and give the others a moment: what watches over its shared memory removes that now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)
        until = time.monotonic() + LINGER
        while time.monotonic() < until and any(not _exited(pid) for pid in _session(self.pid)):
            time.sleep(0.01)

    def _line(self, limit: float, what: str) -> bytes:
        end = time.monotonic() + limit
        while not self.answered:
            # A second at most, then a look whether it lives: a forked child may keep the pipe of a dead worker open.
            ready, _, _ = select.select([self._replies], [], [], max(0.0, min(1.0, end - time.monotonic())))
            if ready:
                data = os.read(self._replies.fileno(), 1 << 20)
                if not data:
                    raise self._ended()
                self._unread += data
            else:
                self.look()
                if time.monotonic() >= end:
                    raise self.hung(what, limit)
                self._forget()
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _ended(self) -> WorkerFailed:
        # The pipe may be closed a moment before the process is gone; one that goes on after closing it is ended.
        for _ in range(100):
            if _exited(self.pid):
                break
            time.sleep(0.01)
        else:
            return self._failed("closed the worker's private pipe and went on", self._printed())
        printed = self._printed()
        self.end()
        peak = self.peak
        much = self._memory is not None and peak > self._memory // 2
        code = self._process.returncode
        cause = Cause.KILLED if code == -signal.SIGKILL else Cause.OTHER
        return self._failed(_exit_words(code, peak if much else None), printed, cause)

    def _printed(self) -> str:
        size = os.lseek(self._output, 0, os.SEEK_END)
        return os.pread(self._output, 2000, max(0, size - 2000)).decode("utf-8", "replace")

    def _forget(self) -> None:
        """Free what it printed when that is much: it is kept in memory, and a benchmark may print in every call."""
        if os.fstat(self._output).st_size > PRINTED:
            os.ftruncate(self._output, 0)
            os.lseek(self._output, 0, os.SEEK_SET)  # the position is shared with the worker

    def _failed(self, reason: str, detail: str = "", cause: Cause = Cause.OTHER) -> WorkerFailed:
        # An exception's text may hold lone surrogates, which no file takes.
        reason, detail = (text.encode("utf-8", "backslashreplace").decode() for text in (reason, detail.strip()))
        return WorkerFailed(Failure(reason=reason, arm=self.arm, cause=cause, detail=detail))


def begin(
    workers: Mapping[Arm, Worker], request: Mapping[str, object], limit: float, look: float = LOADING
) -> dict[Arm, dict[str, Any]]:
    """The replies to the first request of workers that have just been started, each by itself; as `receive_all`."""
    for worker in workers.values():
        worker.send(request, limit)
    return begun(workers, limit, look)


def begun(workers: Mapping[Arm, Worker], limit: float, look: float = LOADING) -> dict[Arm, dict[str, Any]]:
    """As `begin`, for workers that were sent their first request when they were started."""
    for worker in workers.values():
        worker.greet()
    return receive_all(workers, limit, look, apart=True)


def receive_all(
    workers: Mapping[Arm, Worker], limit: float, look: float = 1.0, *, apart: bool = False
) -> dict[Arm, dict[str, Any]]:
    """The reply of each, in whatever order they come; a failure is raised as WorkerFailed.

    The arms may wait for each other, so the first failure counts, and a hang within `limit` seconds is held against one
    of them only where the other has answered. Arms that work `apart` do not: then it is seen whether both fail
    (`of_both`). Every `look` seconds, this process wakes to see what they use.
    """
    replies: dict[Arm, dict[str, Any]] = {}
    failures: dict[Arm, Failure] = {}
    end = time.monotonic() + limit
    while waiting := [worker for arm, worker in workers.items() if arm not in replies and arm not in failures]:
        ready = [worker for worker in waiting if worker.answered]
        if not ready:
            ready, _, _ = select.select(waiting, [], [], max(0.0, min(look, end - time.monotonic())))
        if not ready:
            for worker in waiting:
                try:
                    worker.look()
                except WorkerFailed as error:
                    if not apart:
                        raise
                    failures[worker.arm] = error.failure
            if time.monotonic() >= end and failures:
                break
            if time.monotonic() >= end:
                failure = waiting[0].hung("its time limit", limit).failure
                raise WorkerFailed(replace(failure, arm=failure.arm if len(waiting) == 1 else None))
        for worker in ready:
            try:
                replies[worker.arm] = worker.receive(max(1.0, end - time.monotonic()))
            except WorkerFailed as error:
                if not apart:
                    raise
                failures[worker.arm] = error.failure
    if failures:
        raise WorkerFailed(of_both(failures))
    return replies


def ask_each(workers: Mapping[Arm, Worker], request: Mapping[str, object], limit: float) -> dict[Arm, dict[str, Any]]:
    """Ask one after the other, in their order. Raises WorkerFailed with what both say (`of_both`), and after a hang
    without asking the other."""
    replies: dict[Arm, dict[str, Any]] = {}
    failures: dict[Arm, Failure] = {}
    for arm, worker in workers.items():
        try:
            replies[arm] = worker.ask(request, limit)
        except WorkerFailed as error:
            if error.failure.cause is Cause.HUNG:
                raise
            failures[arm] = error.failure
    if failures:
        raise WorkerFailed(of_both(failures))
    return replies


def of_both(failures: Mapping[Arm, Failure]) -> Failure:
    """One failure of one or two arms: without an arm where both say the same. A skip counts less than what failed."""
    base, head = failures.get(Arm.BASE), failures.get(Arm.HEAD)
    if base is None or head is None:
        return next(iter(failures.values()))
    if base.cause is head.cause and (base.cause is Cause.SKIPPED or base.reason == head.reason):
        return replace(base, arm=None)
    return head if base.cause is Cause.SKIPPED else base


def _raised(where: str, error: str) -> str:
    if where == "value":
        return error
    if where == "child":
        return f"forked, and the call {error}"
    if where in ("import", "setup", "setup_cache", "teardown"):
        return f"raised in {where}: {error}"
    if error.startswith("SystemExit"):
        return f"called sys.exit: {error}"
    return f"raised {error}"


def _exit_words(code: int, much: int | None) -> str:
    """`much`: bytes of memory that it had used, where that was near its limit."""
    if code == 70:
        return "closed the worker's private pipe (does it close file descriptors that it did not open?)"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if code == -signal.SIGKILL and much is not None:
            return f"was killed by {name} after it had used {_size(much)} of memory: probably there was no more"
        return f"was killed by {name}"
    return f"ended the process with exit code {code}"


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def _in_memory(pid: int) -> int:
    """Bytes of a process that are in memory; 0 where it has ended. Not what it has reserved."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _exited(pid: int) -> bool:
    # Not by waiting for it: it is left to be reaped by wait4, which tells its resource usage.
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _session(leader: int) -> list[int]:
    """Processes of a session that has a leader, without it."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.getsid(pid) == leader != pid:
                found.append(pid)
    return found


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _unnamed_file() -> int:
    import tempfile

    descriptor, name = tempfile.mkstemp()
    Path(name).unlink()
    return descriptor
