"""What this machine can do for measurements, what would improve it, and the command for each."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from runner.machine import lock, noise, tools
from runner.machine.choice import choose
from runner.machine.findings import Finding, State
from runner.machine.readings import activity, load
from runner.machine.topology import topology

__all__ = ["Finding", "State", "examine"]


def examine(root: Path = Path("/"), seconds: float = 1.0, cache: Path | None = None) -> list[Finding]:
    """Return what is found, the machine first, then the programs. Changes nothing on the machine.

    Watches CPUs and processes for `seconds` and asks a few programs for their version; about a second more in
    all. `cache` is the folder of builds and downloads (default: the user's cache folder for lockstep). Settings
    are read under `root`; programs and processes are always those of the running system. Raises nothing:
    what cannot be found out is a finding with `State.UNKNOWN`.
    """
    here = topology(root)
    neighbours = tools.Neighbours()
    seen = activity(seconds, root)
    busy = neighbours.finding(load(root))  # at once: the programs asked below would count as neighbours
    pinning = choose(here, seen)
    return [
        *noise.settings(root, here, pinning),
        *noise.now(pinning, seen),
        busy,
        lock.coverage(root),
        tools.perf(root),
        tools.valgrind(),
        tools.compiler(),
        tools.make(),
        tools.sources(root),
        tools.disk(platformdirs.user_cache_path("lockstep") if cache is None else cache),
    ]
