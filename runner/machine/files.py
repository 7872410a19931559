"""Small readers for the kernel's one-value files under /proc and /sys. Every path is relative to a root."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def text(root: Path, path: str) -> str | None:
    """Return the file's text without surrounding white space; None where it is missing or may not be read."""
    try:
        return (root / path).read_text("utf-8", "replace").strip()
    except OSError:
        return None


def number(root: Path, path: str) -> int | None:
    """Return the file's text as an integer; None where there is no file or no integer in it."""
    value = text(root, path)
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


def fields(root: Path, path: str) -> dict[str, str]:
    """Return a file of ``name: value`` lines as a mapping; the first line of a name counts.

    For /proc/meminfo, /proc/self/status and /proc/cpuinfo (where the first processor's lines are kept).
    """
    found: dict[str, str] = {}
    for line in (text(root, path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def kibibytes(value: str | None) -> int | None:
    """Return a /proc/meminfo value such as ``16384 kB`` in bytes; None for None or anything else."""
    words = (value or "").split()
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def parse_cpus(value: str | None) -> tuple[int, ...]:
    """Return the CPUs of a kernel list such as ``0-3,8``, ascending; () for None and for an empty list.

    Source: "List format" in the cpuset(7) manual page. Words that are not numbers are passed over, as in
    ``(null)``, which some kernels print for an empty list.
    """
    cpus: set[int] = set()
    for part in (value or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            cpus.update(range(int(first), int(last if last.isdigit() else first) + 1))
    return tuple(sorted(cpus))


def print_cpus(cpus: Iterable[int]) -> str:
    """Return CPUs in the kernel's list format, the inverse of `parse_cpus`: ``0-3,8``."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
