"""What the control groups above this process allow it: CPUs, CPU time, memory. Versions 1 and 2.

Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ in the Linux source; cgroups(7).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runner.machine import files


def cpuset(root: Path) -> tuple[int, ...] | None:
    """Return the CPUs that processes of our control group may be moved to; None where that is not known."""
    for folder in _folders(root, "cpuset"):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            if cpus := files.parse_cpus(files.text(folder, name)):
                return cpus
    return None


def quota(root: Path) -> float | None:
    """Return the CPU time that our control group may use, in CPUs' worth (0.5: half of one CPU's time).

    None means no limit. A limit above holds below, so the smallest on the way to the top counts.
    """
    limits: list[float] = []
    for folder in _folders(root, "cpu"):
        words = (files.text(folder, "cpu.max") or "").split()
        if len(words) != 2:
            words = [files.text(folder, f"cpu.cfs_{part}_us") or "" for part in ("quota", "period")]
        if all(word.isdigit() for word in words) and int(words[1]) > 0:
            limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def memory(root: Path) -> int | None:
    """Return the memory that our control group may use, in bytes; None means no limit."""
    limits: list[int] = []
    for folder in _folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = files.number(folder, name)
            # Version 1 says "no limit" with the largest page-aligned 63-bit number.
            if limit is not None and limit < 2**62:
                limits.append(limit)
    return min(limits, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of our own group and of those above it, innermost first."""
    version1: str | None = None
    version2: str | None = None
    for line in (files.text(root, "proc/self/cgroup") or "").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            version1 = path
        elif number == "0" and not controllers:
            version2 = path
    mount = root / "sys/fs/cgroup"
    if version1 is not None:
        base, path = mount / controller, version1
    elif version2 is not None:
        hybrid = mount / "unified"
        base, path = (hybrid if hybrid.is_dir() else mount), version2
    else:
        return
    inside = PurePosixPath(path.lstrip("/"))
    for part in (inside, *inside.parents):
        # In a container without a cgroup namespace the path is the host's and not there; the mount itself is.
        if ".." not in part.parts and (base / part).is_dir():
            yield base / part
