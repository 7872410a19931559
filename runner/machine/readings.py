"""What the machine does meanwhile: interrupts, stolen time, load and frequency, from /proc and /sys.

Source: proc_stat(5), proc_interrupts(5); times in /proc/stat are clock ticks of 10 ms, so a share of steal over
half a second is good to about 2 %.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.machine import files

_MANY = 64
"""Beyond so many CPUs /proc/interrupts is too long to be read beside a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What one CPU was doing over a short stretch."""

    interrupts: float
    """Per second, of all kinds."""
    steal: float
    """Share 0..1 of the CPU's time that the hypervisor gave to others."""
    busy: float = 0.0
    """Share 0..1 of the CPU's time that was neither idle nor stolen."""
    usual: float = 0.0
    """Interrupts of devices per second since the machine started: where disk and network usually report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Counters at one moment. What the system does not tell is None."""

    at: float
    """Seconds on the monotonic clock."""
    total: int | None
    """Clock ticks of the CPU so far, of any kind; of all CPUs together for an unpinned reading."""
    steal: int | None
    """Those of them that were stolen."""
    interrupts: int | None
    load: float | None
    """Processes that ran or wanted to, mean over a minute."""
    mhz: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticks:
    total: int
    idle: int
    steal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    at: float
    ticks: Mapping[int, _Ticks]
    interrupts: Mapping[int, int]
    devices: Mapping[int, int]


def activity(seconds: float = 0.2, root: Path = Path("/")) -> Mapping[int, Activity]:
    """Watch all online CPUs for `seconds` (this call sleeps) and return what each was doing.

    A CPU that the files do not speak of is not in the mapping, so it is empty where there is no /proc.
    """
    before = _snapshot(root)
    time.sleep(seconds)
    after = _snapshot(root)
    uptime = float((files.text(root, "proc/uptime") or "0").split()[0])
    return _rates(before, after, uptime)


def read(cpu: int | None, root: Path = Path("/")) -> Reading:
    """Return the counters of one CPU, or of all together for None. Takes well under a millisecond."""
    label = "cpu " if cpu is None else f"cpu{cpu} "
    line = next((ln for ln in (files.text(root, "proc/stat") or "").splitlines() if ln.startswith(label)), None)
    ticks = None if line is None else _ticks(line)
    return Reading(
        at=time.monotonic(),
        total=None if ticks is None else ticks.total,
        steal=None if ticks is None else ticks.steal,
        interrupts=None if cpu is None else _interrupts(root)[0].get(cpu),
        load=load(root),
        mhz=None if cpu is None else frequency(cpu, root),
    )


def between(before: Reading, after: Reading) -> dict[str, float]:
    """Return what happened between two readings of one CPU; what is not known has no key.

    ``steal``: share 0..1 of the CPU's time; ``load``: mean over the last minute, at the end; ``mhz``: mean of the
    two momentary frequencies; ``interrupts``: per second.
    """
    found: dict[str, float] = {}
    if None not in (before.total, before.steal, after.total, after.steal):
        assert before.total is not None and after.total is not None
        assert before.steal is not None and after.steal is not None
        if after.total > before.total:
            found["steal"] = _share(after.steal - before.steal, after.total - before.total)
    if after.load is not None:
        found["load"] = after.load
    if before.mhz is not None and after.mhz is not None:
        found["mhz"] = (before.mhz + after.mhz) / 2
    if before.interrupts is not None and after.interrupts is not None and after.at > before.at:
        found["interrupts"] = max(after.interrupts - before.interrupts, 0) / (after.at - before.at)
    return found


def load(root: Path = Path("/")) -> float | None:
    """Return the load average over a minute; None where the system has none."""
    value = files.text(root, "proc/loadavg")
    if value:
        return float(value.split()[0])
    return os.getloadavg()[0] if root == Path("/") and hasattr(os, "getloadavg") else None


def frequency(cpu: int, root: Path = Path("/")) -> float | None:
    """Return the CPU's frequency of this moment in MHz; None where cpufreq does not tell (virtual machines)."""
    # Not from /proc/cpuinfo: on x86 that interrupts every CPU to ask it.
    kilohertz = files.number(root, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
    return None if kilohertz is None else kilohertz / 1000


def _rates(before: _Snapshot, after: _Snapshot, uptime: float) -> dict[int, Activity]:
    elapsed = after.at - before.at
    found: dict[int, Activity] = {}
    for cpu, last in after.ticks.items():
        if (first := before.ticks.get(cpu)) is None:
            continue  # came online meanwhile
        total, steal = last.total - first.total, last.steal - first.steal
        raised = after.interrupts.get(cpu, 0) - before.interrupts.get(cpu, 0)
        found[cpu] = Activity(
            interrupts=max(raised, 0) / elapsed if elapsed > 0 else 0.0,
            steal=_share(steal, total),
            busy=_share(total - steal - (last.idle - first.idle), total),
            usual=after.devices.get(cpu, 0) / uptime if uptime > 0 else 0.0,
        )
    return found


def _share(part: int, whole: int) -> float:
    # The kernel's counters of idle and stolen time can step back by a tick.
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0


def _snapshot(root: Path) -> _Snapshot:
    ticks: dict[int, _Ticks] = {}
    for line in (files.text(root, "proc/stat") or "").splitlines():
        label = line.split(" ", 1)[0]
        if label.startswith("cpu") and label[3:].isdigit():
            ticks[int(label[3:])] = _ticks(line)
    interrupts, devices = _interrupts(root, limit=None)
    return _Snapshot(at=time.monotonic(), ticks=ticks, interrupts=interrupts, devices=devices)


def _ticks(line: str) -> _Ticks:
    # user nice system idle iowait irq softirq steal; guest time is counted in user already.
    values = [int(word) for word in line.split()[1:9]]
    values += [0] * (8 - len(values))
    return _Ticks(total=sum(values), idle=values[3] + values[4], steal=values[7])


def _interrupts(root: Path, limit: int | None = _MANY) -> tuple[dict[int, int], dict[int, int]]:
    """Return interrupts per CPU since the start, of all kinds and of devices; nothing beyond `limit` CPUs."""
    total: dict[int, int] = {}
    devices: dict[int, int] = {}
    try:
        with (root / "proc/interrupts").open("r", encoding="utf-8", errors="replace") as stream:
            cpus = [int(word[3:]) for word in stream.readline().split() if word[3:].isdigit()]
            if limit is not None and len(cpus) > limit:
                return {}, {}
            for line in stream:
                label, _, rest = line.partition(":")
                label, words = label.strip(), rest.split()[: len(cpus)]
                # ERR and MIS are counts of the whole machine.
                if label in ("ERR", "MIS") or len(words) < len(cpus) or not all(map(str.isdigit, words)):
                    continue
                for cpu, word in zip(cpus, words, strict=True):
                    total[cpu] = total.get(cpu, 0) + int(word)
                    if label.isdigit():
                        devices[cpu] = devices.get(cpu, 0) + int(word)
    except OSError:
        return {}, {}
    return total, devices
