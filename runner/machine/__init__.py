"""The machine: which CPUs there are and which to use, what disturbs them, and one measurement at a time."""

from runner.machine.choice import Pinning, beside, choose
from runner.machine.identity import describe, supported, usable_memory
from runner.machine.lock import alone, holders
from runner.machine.readings import Activity, Reading, activity, between, read
from runner.machine.sched import quiet
from runner.machine.topology import Topology, topology

__all__ = [
    "Activity", "Pinning", "Reading", "Topology", "activity", "alone", "beside", "between", "choose", "describe",
    "holders", "quiet", "read", "supported", "topology", "usable_memory",
]
