"""Which CPU the arms are measured on, and where the program itself stays meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.machine import files
from runner.machine.readings import Activity
from runner.machine.topology import Topology
from runner.model import Notice

_INTERRUPT = 10e-6
"""Seconds that an interrupt costs whom it interrupts, cold caches included: an order of magnitude, so that
interrupts, steal and load can be added up as shares of a CPU's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinning:
    """Who runs where."""

    worker: int | None
    """The CPU of both arms; None where the system cannot pin processes (macOS)."""
    parent: tuple[int, ...]
    """The CPUs of the program itself, ascending; without `worker` unless there is only one; () if None."""
    other: int | None = None
    """The CPU on which one arm starts and loads while the other does on `worker`: one of `parent`, of the same NUMA
    node where there is one. One CPU, as the other arm has: what a library sees at its import may stay with it, such as
    the number of threads that it makes. None where `worker` is None."""
    apart: bool = False
    """What is done on `other` leaves `worker` alone: it is another core, and no quota holds for the two together."""
    notices: tuple[Notice, ...]
    """``unpinned``; ``one-cpu`` {cpu}; ``sibling`` {worker, parent}: the program can only be on the other
    hardware thread of the measured core; ``confined`` {cpus}: it keeps to these, and others may measure on the rest;
    ``quota`` {cpus}: the control group is throttled below one CPU."""


def choose(topology: Topology, activity: Mapping[int, Activity]) -> Pinning:
    """Choose the CPU to measure on: pure, and total for any topology.

    In order of weight: an isolated CPU; one whose hardware siblings are isolated as well; the least share of time
    lost to steal, other work on the core and interrupts (compared in steps of 1 %, so that the choice does not
    change from run to run by chance); the fewest device interrupts since the start; the highest number, since
    the kernel's own chores gather on CPU 0. The parent keeps off the measured core where it can.
    """
    if not topology.cpus:
        return Pinning(worker=None, parent=(), notices=(Notice(kind="unpinned"), *_given(topology)))
    isolated = set(topology.isolated)
    idle = Activity(interrupts=0.0, steal=0.0)

    def lost(cpu: int) -> int:
        core = set(topology.siblings.get(cpu, (cpu,)))
        own = activity.get(cpu, idle)
        return round(100 * (
            own.steal + own.interrupts * _INTERRUPT + sum(activity.get(one, idle).busy for one in core)))

    def weight(cpu: int) -> tuple[bool, bool, int, float, int]:
        core = set(topology.siblings.get(cpu, (cpu,)))
        return (
            cpu not in isolated,
            cpu in isolated and not core <= isolated,
            lost(cpu),
            round(activity.get(cpu, idle).usual, 1),
            -cpu,
        )

    worker = min(topology.cpus, key=weight)
    core = set(topology.siblings.get(worker, (worker,)))
    parent = set(beside(topology, worker)) or {worker}
    node = topology.nodes.get(worker)
    other = min(parent, key=lambda cpu: (topology.nodes.get(cpu) != node, lost(cpu), -cpu))
    notices = _given(topology)
    if parent == {worker}:
        notices = (Notice(kind="one-cpu", numbers={"cpu": worker}), *notices)
    elif parent <= core:
        notices = (Notice(kind="sibling", numbers={"worker": worker, "parent": min(parent)}), *notices)
    apart = other not in core and (topology.quota is None or topology.quota >= 2)
    return Pinning(worker=worker, parent=tuple(sorted(parent)), other=other, apart=apart, notices=notices)


def beside(topology: Topology, worker: int) -> tuple[int, ...]:
    """The CPUs for what is not measured while `worker` is, ascending: off its core where there are such; () if none.

    The scheduler does not spread work over isolated CPUs: they are left out unless there are no others.
    """
    others = set(topology.cpus) - {worker}
    off = others - set(topology.siblings.get(worker, (worker,)))
    return tuple(sorted((off - set(topology.isolated)) or off or others))


def _given(topology: Topology) -> tuple[Notice, ...]:
    """What was given to this process, and is less than the machine."""
    confined = (Notice(kind="confined", numbers={"cpus": files.print_cpus(topology.cpus)}),)
    throttled = (Notice(kind="quota", numbers={"cpus": topology.quota or 0.0}),)
    return (confined if topology.confined else ()) + (
        throttled if topology.quota is not None and topology.quota < 1 else ())
