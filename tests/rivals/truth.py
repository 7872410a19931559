"""How much slower a planted share really makes a workload: measured apart from all tools.

Each of many fresh processes times all shares in alternation, call by call, so that neither the drift of the machine nor
where a process lies in memory is in their ratio. Rejected: the nominal share (a call has costs that are not portions),
and fresh processes of both arms in turn (they differ by several percent, so that hundreds would be needed for each
share).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from rivals.arms import SHARES, SUITE, WORKLOADS, Arms
from rivals.records import Place, Truth
from rivals.tools import ENVIRONMENT
from runner import shell
from runner.errors import MachineError

PLANTED = tuple(share for share in SHARES if share)
PROCESSES, CYCLES = 40, 400
PRECISE = 0.001
"""Standard error of a log ratio at which no more is measured."""


def measure(
    arms: Arms, workload: str, place: Place, *, processes: int = PROCESSES, cycles: int = CYCLES
) -> list[Truth]:
    """The truth for every planted share; raises MachineError when the workload cannot be run."""
    rows = []
    for seed in range(processes):
        done = shell.run([arms.base, SUITE / "alternate.py", workload, str(cycles), str(seed), "0", *map(str, PLANTED)],
                         env=ENVIRONMENT, timeout=300)
        if done.code != 0:
            raise MachineError(f"{workload} cannot be run by {arms.python}: {done.output.strip()[-300:]}")
        rows.append(log_ratios(json.loads(done.output)))
    means = np.mean(rows, axis=0)
    errors = np.std(rows, axis=0, ddof=1) / math.sqrt(len(rows))
    return [Truth(workload=workload, share=share, log_ratio=float(mean), error=float(error), processes=processes,
                  place=place) for share, mean, error in zip(PLANTED, means, errors, strict=True)]


def log_ratios(taken: Sequence[Sequence[int]]) -> list[float]:
    """From one process: the median over its cycles of log(share / none), for each share; the first list is none.

    A median because a burst of stolen time hits a few calls only, and hard.
    """
    base, *others = (np.log(np.array(calls, dtype=float)) for calls in taken)
    return [float(np.median(other - base)) for other in others]


def pooled(lines: Sequence[Truth]) -> Mapping[tuple[str, float], tuple[float, float]]:
    """For workload and share: mean log ratio weighted by precision, and its standard error.

    The A/A pair is 0, exactly.
    """
    known: dict[tuple[str, float], tuple[float, float]] = {(workload, 0.0): (0.0, 0.0) for workload in WORKLOADS}
    for workload, share in product(WORKLOADS, PLANTED):
        own = [line for line in lines if (line.workload, line.share) == (workload, share)]
        if own:
            weights = np.array([line.error for line in own]) ** -2.0
            mean = float(np.average([line.log_ratio for line in own], weights=weights))
            known[workload, share] = mean, float(weights.sum()) ** -0.5
    return known


def unknown(lines: Sequence[Truth]) -> list[str]:
    """The workloads whose truth is not precise enough yet."""
    known = pooled(lines)
    return [workload for workload in WORKLOADS
            if any(known.get((workload, share), (0, math.inf))[1] > PRECISE for share in PLANTED)]
