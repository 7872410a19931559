"""Ordinary commands: compilers, apt-get, git; and processes to share work among. Nothing measured goes through here."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runner.errors import MachineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended."""

    code: int
    """Exit code; negative: the signal that ended it."""
    output: str
    """Standard output and standard error together, as they came; empty where a log file took them."""
    timed_out: bool
    errors: str = ""
    """Standard error, where it was asked for apart."""


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    tick: Callable[[], None] | None = None,
    apart: bool = False,
) -> Result:
    """Run a command to its end and return how it ended; never raises for a non-zero exit code.

    The command gets a process group of its own, which is killed when the time limit (seconds) passes or
    when this call is left by an exception, so that nothing keeps running behind the caller's back.
    `log` receives the output (appended); `tick` is called about five times a second while waiting. `apart`
    keeps standard error out of the output, which is then decoded as names of files are: no byte of it is lost.

    Raises MachineError when the command does not exist or may not be run.
    """
    words = [str(word) for word in command]
    sink = _sink() if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    other = _sink() if apart else sink
    try:
        try:
            process = subprocess.Popen(
                words, cwd=cwd, env=None if env is None else dict(env), stdin=subprocess.DEVNULL,
                stdout=sink, stderr=other, start_new_session=True,
            )
        except OSError as error:
            raise MachineError(f"cannot run {words[0]}: {error.strerror or error}") from error
        try:
            timed_out = _wait(process, timeout, tick)
        finally:
            _end(process)
        output = b"" if log is not None else _content(sink)
        return Result(
            code=process.returncode, output=os.fsdecode(output) if apart else output.decode("utf-8", "replace"),
            timed_out=timed_out, errors=_content(other).decode("utf-8", "replace") if apart else "",
        )
    finally:
        for descriptor in {sink, other}:
            os.close(descriptor)


def _sink() -> int:
    # A memory file, not a pipe: no reader thread, and no dead end when a grandchild keeps it open.
    return os.memfd_create("output") if hasattr(os, "memfd_create") else _temporary_file()


def _content(sink: int) -> bytes:
    os.lseek(sink, 0, os.SEEK_SET)
    with os.fdopen(os.dup(sink), "rb") as stream:
        return stream.read()


def _temporary_file() -> int:
    import tempfile

    descriptor, name = tempfile.mkstemp()
    Path(name).unlink()
    return descriptor


def _wait(process: subprocess.Popen[bytes], timeout: float | None, tick: Callable[[], None] | None) -> bool:
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return True
        pause = 0.2 if tick is not None else left
        if left is not None and pause is not None:
            pause = min(pause, left)
        try:
            process.wait(pause)
            return False
        except subprocess.TimeoutExpired:
            if tick is not None:
                tick()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pool(processes: int, *, fresh: bool = False, nice: int = 0) -> ProcessPoolExecutor:
    """Processes to share work among, which end with this one however it ends; or earlier, with the thread of it that
    has asked for the first of their work.

    `fresh`: they begin anew and inherit nothing, as the processes of a program with threads and locks must. `nice`:
    what is added to their niceness.
    """
    context = multiprocessing.get_context("spawn") if fresh else None
    return ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(os.getpid(), nice))


def _begin(parent: int, nice: int) -> None:
    end_with(parent)
    os.nice(nice)


def end_with(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Have this process get a signal when the one that started it, `parent` by its id, ends however it ends."""
    # Workers of a pool wait on a pipe that they hold open for each other: that a parent was killed they never hear.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        # For those not SIGTERM: what that raises, the executor takes for the result of a call, and waits for the next.
        prctl(1, by)  # PR_SET_PDEATHSIG; Linux alone has it
    if os.getppid() != parent:
        os._exit(1)


class Beside:
    """A command that runs beside this process, and is asked to end (SIGTERM) when this one ends, however it ends."""

    def __init__(self, command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        """Start it in a session of its own; `log` receives what it prints (appended). For a process with one thread.

        Raises MachineError when the command does not exist or may not be run, or the log cannot be written.
        """
        words = [str(word) for word in command]
        parent = os.getpid()
        try:
            with log.open("ab") as sink:
                self._process = subprocess.Popen(
                    words, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                    start_new_session=True, preexec_fn=lambda: end_with(parent, signal.SIGTERM),
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise MachineError(f"cannot run {words[0]}: {getattr(error, 'strerror', None) or error}") from error

    def ended(self, seconds: float) -> int | None:
        """Its exit code, negative for a signal; None: it has not ended within so many seconds.

        Meanwhile this process sleeps in the kernel: to wake now and then and look would disturb what is measured.
        """
        if hasattr(os, "pidfd_open") and self._process.poll() is None:
            descriptor = os.pidfd_open(self._process.pid)
            try:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                poll.poll(seconds * 1000)
            finally:
                os.close(descriptor)
            return self._process.poll()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, patience: float) -> None:
        """Ask it to end, and kill what is left of it after so many seconds."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self.ended(patience)
        _end(self._process)
