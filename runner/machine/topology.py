"""Which CPUs there are, which share a core, which are isolated, and which of them we may use."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner import amounts, config
from runner.errors import UsageError
from runner.machine import cgroup, files


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The CPUs as this process may use them."""

    cpus: tuple[int, ...]
    """Online and allowed to us, ascending. Empty where the system cannot pin processes (macOS)."""
    siblings: Mapping[int, tuple[int, ...]]
    """For each of `cpus`: the online hardware threads of its core, itself included, allowed to us or not."""
    isolated: tuple[int, ...]
    """Those of `cpus` on which the kernel's scheduler puts nothing of its own accord."""
    model: str
    """The processor's name; empty where it is not known."""
    quota: float | None = None
    """CPU time that the control group may use, in CPUs' worth; None: no limit."""
    nodes: Mapping[int, int] = field(default_factory=dict)
    """For each of `cpus` the node whose memory is near; empty where the kernel does not tell."""
    confined: bool = False
    """This process was asked to keep to `cpus` (``--cpus``), which are whole cores: others may measure on the rest."""


def topology(root: Path = Path("/")) -> Topology:
    """Read the topology from /proc and /sys under `root`. Missing files mean "not known" and raise nothing.

    The CPUs are those that this process was asked to keep to (`config.cpus`), wherever it is at the moment, else those
    of its affinity mask. Raises UsageError where it was asked for what it cannot have, or for a part of a core.

    An isolated CPU (``isolcpus=``) is not in the affinity mask that processes are born with, although they may
    move there. So isolated CPUs of our cpuset are added to a mask that is otherwise complete; a mask that
    somebody narrowed (``taskset``) is kept as it is.
    """
    status = files.fields(root, "proc/self/status")
    online = files.parse_cpus(files.text(root, "sys/devices/system/cpu/online"))
    ours = set(files.parse_cpus(status.get("Cpus_allowed_list")))
    asked = config.cpus()
    if not ours:
        if asked is not None:
            raise UsageError("--cpus: this system does not let a process be moved to a CPU, so no run can keep to some "
                             "of them. Leave it out.")
        return Topology(cpus=(), siblings={}, isolated=(), model=_model(root))
    reachable = set(cgroup.cpuset(root) or online or ours)
    isolated = isolated_cpus(root)
    if asked is not None:
        ours = _asked(root, asked, reachable & set(online or reachable), online)
    elif ours == reachable - isolated:
        ours |= reachable & isolated
    cpus = tuple(sorted(ours & set(online) if online else ours))
    return Topology(
        cpus=cpus,
        siblings={cpu: _threads(root, cpu, online) for cpu in cpus},
        isolated=tuple(cpu for cpu in cpus if cpu in isolated),
        model=_model(root),
        quota=cgroup.quota(root),
        nodes={cpu: node for cpu, node in _nodes(root).items() if cpu in cpus},
        confined=asked is not None,
    )


def cores(root: Path = Path("/")) -> int | None:
    """Return the number of cores online, hardware threads of one core counted once; None: not known."""
    online = files.parse_cpus(files.text(root, "sys/devices/system/cpu/online"))
    return len({_threads(root, cpu, online) for cpu in online}) or None


def isolated_cpus(root: Path) -> set[int]:
    """Return the CPUs isolated by ``isolcpus=`` or by a cpuset partition, allowed to us or not."""
    # The second file lists partitions and exists in the topmost group only.
    return {
        cpu
        for path in ("sys/devices/system/cpu/isolated", "sys/fs/cgroup/cpuset.cpus.isolated")
        for cpu in files.parse_cpus(files.text(root, path))
    }


def _asked(root: Path, text: str, usable: set[int], online: tuple[int, ...]) -> set[int]:
    """The CPUs that this process is to keep to. Raises UsageError where they cannot be had, or split a core."""
    try:
        wanted = set(amounts.cpus(text))
    except ValueError as error:
        raise UsageError(f"{config.CPUS}: {error}") from error
    if lacking := wanted - usable:
        raise UsageError(f"--cpus {text}: this process cannot use CPU {files.print_cpus(lacking)}, but only "
                         f"{files.print_cpus(usable)}.")
    for cpu in sorted(wanted):
        core = _threads(root, cpu, online)
        if not usable & set(core) <= wanted:
            raise UsageError(f"--cpus {text}: it splits a core. CPUs {files.print_cpus(core)} are its hardware threads "
                             "(SMT), and two runs on one core would disturb each other: name all of them, or none.")
    return wanted


def _nodes(root: Path) -> dict[int, int]:
    """The NUMA node of each CPU. Source: Documentation/ABI/stable/sysfs-devices-node."""
    return {
        cpu: int(folder.name.removeprefix("node"))
        for folder in (root / "sys/devices/system/node").glob("node[0-9]*")
        for cpu in files.parse_cpus(files.text(folder, "cpulist"))
    }


def _threads(root: Path, cpu: int, online: tuple[int, ...]) -> tuple[int, ...]:
    for name in ("core_cpus_list", "thread_siblings_list"):  # the second is the name before Linux 5.3
        found = files.parse_cpus(files.text(root, f"sys/devices/system/cpu/cpu{cpu}/topology/{name}"))
        if cpu in found:
            return tuple(thread for thread in found if not online or thread in online)
    return (cpu,)


def _model(root: Path) -> str:
    known = files.fields(root, "proc/cpuinfo")
    if name := known.get("model name") or known.get("cpu model") or known.get("cpu"):
        return name
    if implementer := known.get("CPU implementer"):
        return f"ARM implementer {implementer} part {known.get('CPU part', '?')}"
    return platform.processor() if root == Path("/") else ""
