"""The command line as users run it, on a folder of runs of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from runner.machine import files, topology

LOCKSTEP = Path(sys.executable).with_name("lockstep")
TIME_LIMIT = 600.0
"""Seconds for one command, and for what a test waits for: other runs on this machine may go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Two virtual environments of one interpreter: alike but for the last part of `sys.prefix`."""

    base: Path
    head: Path

    @property
    def pythons(self) -> tuple[Path, Path]:
        return self.base / "bin" / "python", self.head / "bin" / "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A folder of runs, and the command line with it; what it starts can be told by its TMPDIR."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "runs"

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start the command in a session of its own; the caller ends it."""
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return subprocess.Popen(
            [LOCKSTEP, *map(str, words), "--out", self.out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "120"}, start_new_session=True,
        )

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        with ended(self.start(*words)) as process:
            out, error = process.communicate(timeout=TIME_LIMIT)
        return subprocess.CompletedProcess([str(word) for word in words], process.returncode, out, error)

    def processes(self) -> list[psutil.Process]:
        """All that these commands have started and that still runs, in whatever session."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("TMPDIR") == str(self.folder / "tmp"):
                    found.append(process)
        return found

    def blocks(self) -> list[dict[str, Any]]:
        """The blocks on disk of the newest run, calibrations included; [] before there is one."""
        files = sorted(self.out.glob("*/blocks.jsonl"))
        text = files[-1].read_text() if files else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


class Quiet:
    """A view that nobody sees."""

    def phase(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...
    def measured(self, plan: object, progress: object) -> None: ...


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie, which has ended and was not waited for, does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def cores() -> list[tuple[int, ...]]:
    """The hardware threads of each core that can be measured on; [] where none can be chosen."""
    here = topology()
    return sorted({tuple(thread for thread in core if thread in here.cpus) for core in here.siblings.values()})


def share(worker: str, workers: int, cores: Sequence[Sequence[int]]) -> str:
    """What one of pytest's worker processes, ``gw1`` of two, keeps to (`config.CPUS`): its part of the cores.

    Empty where there is no core for each, or one worker: what it measures then has the machine.
    """
    if workers < 2 or len(cores) < workers:
        return ""
    number = int(worker.removeprefix("gw")) % workers  # one that has replaced another has a higher number
    first, last = (len(cores) * one // workers for one in (number, number + 1))
    return files.print_cpus(cpu for core in cores[first:last] for cpu in core)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which is killed at the end if it still runs."""
    try:
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        assert process.returncode is not None


def free_port() -> int:
    """A port of this machine at which nobody listens, below those that the system gives to connections."""
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(given.read_text().split()[0]) if given.exists() else 49_152
    while True:
        port = random.SystemRandom().randrange(10_000, max(20_000, lowest))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_until(true: Callable[[], Any], seconds: float = TIME_LIMIT) -> None:
    """Return as soon as it is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


def together(count: int, work: Callable[[int], None]) -> None:
    """Do some work in so many threads that begin at one moment."""
    problems: list[BaseException] = []
    start = threading.Barrier(count)

    def one(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
