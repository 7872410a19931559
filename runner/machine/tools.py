"""What `doctor` says of programs: those that Lockstep uses, and those that run beside it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psutil

from runner import shell
from runner.errors import MachineError
from runner.machine import files
from runner.machine.findings import Finding, State, install

_SECONDS = 5.0
"""Time limit for each program that is asked something."""


def compiler() -> Finding:
    """The C compiler that builds would use."""
    return _program(
        "compiler", ("cc", "gcc", "clang"), "without a C compiler only ready-made interpreters can be compared"
    )


def make() -> Finding:
    """make, which builds use."""
    return _program("make", ("make",), "without make only ready-made interpreters can be compared")


def valgrind() -> Finding:
    """valgrind, which counts instructions without jitter."""
    return _program("valgrind", ("valgrind",), "without it instructions cannot be counted beside the times")


def _program(what: str, names: tuple[str, ...], loss: str) -> Finding:
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        return Finding(
            name=what, value="not found", state=State.COULD_BE_BETTER, advice=loss, command=install(what)
        )
    try:
        result = shell.run([path, "--version"], timeout=_SECONDS)
    except MachineError as error:
        return Finding(name=what, value=path, state=State.BAD, advice=str(error), command=install(what))
    if result.code != 0 or not result.output.strip():
        return Finding(
            name=what, value=path, state=State.BAD, advice=f"{path} --version failed (exit code {result.code})",
            command=install(what),
        )
    return Finding(name=what, value=result.output.strip().splitlines()[0], state=State.GOOD)


def perf(root: Path = Path("/")) -> Finding:
    """Whether the processor's event counters can be read: tried with perf, else by the kernel's setting alone."""
    paranoid = files.number(root, "proc/sys/kernel/perf_event_paranoid")
    if paranoid is None:
        return Finding(name="perf counters", value="not known", state=State.UNKNOWN)
    path = shutil.which("perf")
    loss = "instructions and cache misses cannot be counted beside the times"
    # Values above 2, a distribution's addition, shut ordinary users out altogether.
    allowed = paranoid <= 2 or os.geteuid() == 0
    command = "" if allowed else "sudo sysctl kernel.perf_event_paranoid=2"
    if path is None:
        return Finding(
            name="perf counters", value=f"not tried, perf not found (perf_event_paranoid {paranoid})",
            state=State.UNKNOWN if allowed else State.COULD_BE_BETTER,
            advice="perf would show whether instructions and cache misses can be counted",
            command=command or install("perf"),
        )
    result = shell.run([path, "stat", "-x,", "-e", "instructions:u", "true"], timeout=_SECONDS)
    count = next((line.split(",")[0] for line in result.output.splitlines() if ",instructions" in line), "")
    if count.isdigit():
        return Finding(name="perf counters", value="work", state=State.GOOD)
    if "not supported" in count:
        return Finding(
            name="perf counters", value="not supported here", state=State.COULD_BE_BETTER,
            advice=f"the hypervisor does not pass the counters on, so {loss}; valgrind can count instructions instead",
        )
    return Finding(
        name="perf counters", value=f"do not work (perf_event_paranoid {paranoid})", state=State.COULD_BE_BETTER,
        advice=loss, command=command,
    )


def sources(root: Path = Path("/")) -> Finding:
    """Whether the machine's own package manager can serve as a second place to get CPython's source from."""
    if shutil.which("apt-get") is None:
        return Finding(
            name="apt-get source", value="no apt-get", state=State.UNKNOWN,
            advice="CPython's source then comes from python.org, a file or a repository only",
        )
    lists = [root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").glob("*")]
    texts = [files.text(root, str(path.relative_to(root))) or "" for path in lists]
    if any(line.startswith(("deb ", "deb-src ", "URIs:")) for text in texts for line in text.splitlines()):
        return Finding(name="apt-get source", value="possible", state=State.GOOD)
    return Finding(
        name="apt-get source", value="apt-get without sources", state=State.COULD_BE_BETTER,
        advice="/etc/apt names no archive, so CPython's source comes from python.org, a file or a repository only",
    )


def disk(cache: Path) -> Finding:
    """Room for builds and downloads in the cache folder, whether it exists already or not."""
    there = next(folder for folder in (cache, *cache.parents) if os.path.isdir(folder))
    free = shutil.disk_usage(there).free
    value = f"{free / 2**30:.1f} GiB free for {cache}"
    if free >= 5 * 2**30:
        return Finding(name="disk", value=value, state=State.GOOD)
    return Finding(
        name="disk", value=value, state=State.BAD if free < 2**30 else State.COULD_BE_BETTER,
        advice="a build of CPython with its object files takes some hundred MiB; this lists the builds with their "
        "size and age, and `lockstep build --remove` removes one",
        command="lockstep build --list",
    )


class Neighbours:
    """Other processes and how much CPU time they use between its creation and `finding`."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._before = self._times()

    @staticmethod
    def _times() -> dict[tuple[int, float], tuple[str, float]]:
        found: dict[tuple[int, float], tuple[str, float]] = {}
        for process in psutil.process_iter(["pid", "name", "create_time", "cpu_times"]):
            times = process.info["cpu_times"]
            if times is not None and process.pid != os.getpid():
                key = (process.pid, process.info["create_time"])
                found[key] = (process.info["name"], times.user + times.system)
        return found

    def busiest(self, count: int = 3) -> list[tuple[str, int, float]]:
        """Return (name, pid, share of one CPU) of the busiest processes since creation, busiest first."""
        elapsed = time.monotonic() - self._start
        used = [
            (name, pid, (spent - self._before.get((pid, born), (name, 0.0))[1]) / elapsed)
            for (pid, born), (name, spent) in self._times().items()
        ]
        return sorted(used, key=lambda one: -one[2])[:count]

    def finding(self, load: float | None) -> Finding:
        """Return what others do on this machine now; `load` is the load average over a minute."""
        busy = [one for one in self.busiest() if one[2] >= 0.03]
        named = ", ".join(f"{name} (pid {pid}) {share:.0%}" for name, pid, share in busy)
        value = f"{named or 'nothing busy'}; load {'not known' if load is None else f'{load:.2f}'}"
        if not busy:
            return Finding(name="other processes", value=value, state=State.GOOD)
        return Finding(
            name="other processes", value=value,
            state=State.BAD if sum(share for *_, share in busy) > 0.5 else State.COULD_BE_BETTER,
            advice="percentages are of one CPU; they compete with the arms for caches, memory and, if the machine is "
            "full, for the CPU itself: end them or measure later",
        )
