"""The three ways in which the arms of a block share the CPU, and what each measures (docs/method.md section 2)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from runner.machine.sched import set_slice
from runner.measuring.process import Worker, WorkerFailed, ask_each, receive_all
from runner.model import Arm, BlockSpec, Failure, Metric, Mode, Settings

Handles = Mapping[Arm, tuple[int, int]]
"""For each arm the descriptors through which the turn comes in and goes out."""
PLACES = 24
"""Times that an arm's objects are moved in a block of `turns`, evenly among its slices (docs/decisions/0002)."""
SHARED_SLICE = 3e-4
"""Scheduler slice asked for in `shared`, seconds: so that a burst of stolen time hits both arms."""


def measure(workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings, handles: Handles) -> Outcome:
    """Measure a block of a benchmark that both arms have loaded, in the mode of its settings.

    `handles` are those of `pipes`. Raises WorkerFailed.
    """
    if spec.benchmark.metric is not Metric.TIME:
        return single_values(workers, spec)
    if settings.mode is Mode.SHARED:
        return shared(workers, spec, settings)
    if settings.mode is Mode.TURNS:
        return turns(workers, spec, settings, handles)
    return adjacent(workers, spec, settings)


class Outcome:
    """What was measured in a block, in order."""

    def __init__(self) -> None:
        self.base: list[int | float] = []
        self.head: list[int | float] = []
        self.order = ""

    def of(self, arm: Arm) -> list[int | float]:
        return self.base if arm is Arm.BASE else self.head


def single_values(workers: Mapping[Arm, Worker], spec: BlockSpec) -> Outcome:
    outcome = Outcome()
    do = "peak" if spec.benchmark.metric is Metric.PEAK_MEMORY else "value"
    ordered = {arm: workers[arm] for arm in (spec.first, spec.first.other)}
    for arm, reply in ask_each(ordered, {"do": do}, spec.benchmark.timeout).items():
        outcome.of(arm).append(reply["value"])
    return outcome


def turns(workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings, handles: Handles) -> Outcome:
    """Slices in turn; the arms hand the turn to each other, and this process sleeps until both are done."""
    letters = _letters(spec, settings)
    order = "".join("bh" if letter == "b" else "hb" for letter in letters)
    calls = {arm: (settings.calls[arm],) for arm in Arm}
    shift = max(1, settings.cycles // PLACES)
    times = alternate(workers, order, calls, handles, spec.benchmark.timeout + settings.stretch, shift)
    outcome = Outcome()
    outcome.base, outcome.head = (times[arm][settings.warmup :] for arm in Arm)
    outcome.order = "".join(letters[settings.warmup :])
    return outcome


def alternate(
    workers: Mapping[Arm, Worker], order: str, calls: Mapping[Arm, Sequence[int]], handles: Handles, limit: float,
    shift: int = 1,
) -> dict[Arm, list[int | float]]:
    """Wall nanoseconds of the slices of each arm, ``b`` or ``h`` in `order`.

    `calls` are those of an arm's slices, read cyclically; its objects are moved before every `shift`-th slice. Raises
    WorkerFailed, also when all of it takes longer than `limit` seconds.
    """
    for arm, worker in workers.items():
        worker.send({
            "do": "turns", "arm": arm.value[0], "order": order, "calls": calls[arm], "pipes": handles[arm],
            "shift": shift,
        }, limit)
    return {arm: reply["ns"] for arm, reply in receive_all(workers, limit).items()}


def adjacent(workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings) -> Outcome:
    """Slices one after the other, each asked for by itself: they may be long, and each has its time limit."""
    outcome = Outcome()
    for cycle, letter in enumerate(_letters(spec, settings)):
        first = Arm.BASE if letter == "b" else Arm.HEAD
        for arm in (first, first.other):
            reply = workers[arm].ask({"do": "slice", "calls": settings.calls[arm]}, spec.benchmark.timeout)
            if cycle >= settings.warmup:
                outcome.of(arm).append(reply["ns"])
        if cycle >= settings.warmup:
            outcome.order += letter
    return outcome


def _letters(spec: BlockSpec, settings: Settings) -> list[str]:
    """Who goes first in each cycle of the block, those of the warm-up before the others."""
    return [spec.order[cycle % len(spec.order)] for cycle in range(-settings.warmup, settings.cycles)]


@contextmanager
def pipes() -> Iterator[Handles]:
    """For each arm the descriptors through which the turn comes in and goes out; closed at the end."""
    base_reads, head_writes = os.pipe()
    head_reads, base_writes = os.pipe()
    try:
        yield {Arm.BASE: (base_reads, base_writes), Arm.HEAD: (head_reads, head_writes)}
    finally:
        for descriptor in (base_reads, base_writes, head_reads, head_writes):
            os.close(descriptor)


def shared(workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings) -> Outcome:
    """Both at once; only calls wholly inside the stretch in which both were running count."""
    for worker in workers.values():
        set_slice(worker.pid, SHARED_SLICE)
    limit = spec.benchmark.timeout + settings.window
    start = time.perf_counter_ns() + 2_000_000
    request = {"do": "window", "start": start, "end": start + int(settings.window * 1e9)}
    for arm, worker in workers.items():
        worker.send({**request, "calls": settings.calls[arm]}, limit)
    lots = {arm: reply["lots"][settings.warmup :] for arm, reply in receive_all(workers, limit).items()}
    outcome = Outcome()
    outcome.base, outcome.head = common_lots(lots[Arm.BASE], lots[Arm.HEAD])
    if not outcome.base or not outcome.head:
        reason = f"no lot of calls lay wholly inside the common stretch of {settings.window:.1f} s"
        raise WorkerFailed(Failure(reason=f"{reason}; its calls vary too much in length for this mode", arm=None))
    return outcome


def common_lots(base: Sequence[Any], head: Sequence[Any]) -> tuple[list[int | float], list[int | float]]:
    """CPU times per call of the lots inside the stretch in which both arms were running.

    Each lot of calls is (start, end, CPU time per call). One that ends after the other arm has stopped had the
    core to itself for a while and so was faster than its partner's; with a planted 5 % that read 1.018 for 1.043.
    """
    if not base or not head:
        return [], []
    start, end = max(base[0][0], head[0][0]), min(base[-1][1], head[-1][1])

    def inside(lots: Sequence[Any]) -> list[int | float]:
        return [cpu for begun, done, cpu in lots if begun >= start and done <= end]

    return inside(base), inside(head)
