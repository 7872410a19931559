"""The three ways in which the arms of a block share the CPU, and what each measures (docs/method.md section 2)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from runner.machine.sched import set_slice
from runner.measuring.pacemaker import Pacemaker
from runner.measuring.process import Worker, WorkerFailed, ask_each, receive_all
from runner.model import Arm, BlockSpec, Cause, Failure, Metric, Mode, Settings

Handles = Mapping[Arm, tuple[int, int]]
"""For each arm the descriptors through which the turn comes in and goes out."""
PLACES = 24
"""Times that an arm's objects are moved in a block of `turns`, evenly among its slices (docs/decisions/0002)."""
SHARED_SLICE = 3e-4
"""Scheduler slice asked for in `shared`, seconds: it decides where a pacemaker beats, or the clock ticks as often."""
ONSET = 2e-3
"""Seconds from the request to the start of the common stretch."""
OUTSIDE = 0.01
"""Part of a lot during which the other arm may not have been running."""
Lot = Sequence[float]
"""When a lot of calls began and was done, and its CPU time per call; nanoseconds."""


def nothing() -> None:
    """What there is to do meanwhile, where there is nothing."""


def measure(
    workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings, handles: Handles, pacemaker: Pacemaker,
    meanwhile: Callable[[], None] = nothing,
) -> Outcome:
    """Measure a block of a benchmark that both arms have loaded, in the mode of its settings.

    `handles` are those of `pipes`; the `pacemaker` is for `shared`. `meanwhile` is called, once, where another CPU may
    be used meanwhile: not where the arms are asked for each slice, or for a value that may be a time. Raises
    WorkerFailed.
    """
    if spec.benchmark.metric is Metric.PEAK_MEMORY:
        meanwhile()
    if spec.benchmark.metric is not Metric.TIME:
        return single_values(workers, spec)
    if settings.mode is Mode.SHARED:
        return shared(workers, spec, settings, pacemaker, meanwhile)
    if settings.mode is Mode.TURNS:
        return turns(workers, spec, settings, handles, meanwhile)
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


def turns(
    workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings, handles: Handles,
    meanwhile: Callable[[], None] = nothing,
) -> Outcome:
    """Slices in turn; the arms hand the turn to each other, and this process sleeps until both are done."""
    letters = _letters(spec, settings)
    order = "".join("bh" if letter == "b" else "hb" for letter in letters)
    calls = {arm: (settings.calls[arm],) for arm in Arm}
    shift = max(1, settings.cycles // PLACES)
    times = alternate(workers, order, calls, handles, spec.benchmark.timeout + settings.stretch, shift, meanwhile)
    outcome = Outcome()
    outcome.base, outcome.head = (times[arm][settings.warmup :] for arm in Arm)
    outcome.order = "".join(letters[settings.warmup :])
    return outcome


def alternate(
    workers: Mapping[Arm, Worker], order: str, calls: Mapping[Arm, Sequence[int]], handles: Handles, limit: float,
    shift: int = 1, meanwhile: Callable[[], None] = nothing,
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
    meanwhile()
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


def shared(
    workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings, pacemaker: Pacemaker,
    meanwhile: Callable[[], None] = nothing,
) -> Outcome:
    """Both at once; only what was called while both were running counts."""
    lots = window(workers, settings, spec.benchmark.timeout, pacemaker, meanwhile)
    outcome = Outcome()
    first, other = spec.first, spec.first.other
    found = together(lots[first], lots[other])
    for arm, times in zip((first, other), found, strict=True):
        outcome.of(arm).extend(times)
    if not outcome.base:
        reason = f"no lot of calls lay wholly inside the common stretch of {settings.window:.1f} s"
        raise WorkerFailed(Failure(
            reason=f"{reason}: the machine stood still, or its calls vary too much in length for this mode", arm=None,
            cause=Cause.DISTURBED))
    return outcome


def window(
    workers: Mapping[Arm, Worker], settings: Settings, timeout: float, pacemaker: Pacemaker,
    meanwhile: Callable[[], None] = nothing,
) -> dict[Arm, Sequence[Lot]]:
    """The lots of calls of both arms in a common stretch, after those of the warm-up. Raises WorkerFailed."""
    for worker in workers.values():
        set_slice(worker.pid, SHARED_SLICE)
    pacemaker.wait()
    limit = timeout + settings.window
    start = time.perf_counter_ns() + int(ONSET * 1e9)
    end = start + int(settings.window * 1e9)
    for arm, worker in workers.items():
        worker.send({"do": "window", "start": start, "end": end, "calls": settings.calls[arm]}, limit)
    pacemaker.beat(end)
    meanwhile()
    return {arm: reply["lots"][settings.warmup :] for arm, reply in receive_all(workers, limit).items()}


def together(lots: Sequence[Lot], others: Sequence[Lot]) -> tuple[list[float], list[float]]:
    """CPU times per call of the lots that one arm did while both were running, and the other's in those same moments.

    Both have shared the CPU, so that what the machine did in a moment is in both: a ratio of the two is free of it, and
    one of lots of different moments is not. The other's time is that of its lots that were under way, each weighted by
    the part of it that lies inside.

    A lot that ends after the other arm has stopped had the core to itself for a while, and so was faster than its
    partner: with a planted 5 % that read 1.018 for 1.043. A hundredth of it may lie outside.
    """
    if not lots or not others:
        return [], []
    # Lots done so far, and their CPU times, at the ends of each lot; between two lots neither grows.
    moments = np.array([moment for begun, done, _ in others for moment in (begun, done)], dtype=np.float64)
    done_by = np.repeat(np.arange(len(others) + 1.0), 2)[1:-1]
    spent_by = np.repeat(np.concatenate([[0.0], np.cumsum([cpu for _, _, cpu in others])]), 2)[1:-1]
    mine: list[float] = []
    theirs: list[float] = []
    for begun, done, cpu in lots:
        slack = OUTSIDE * (done - begun)
        if begun < moments[0] - slack or done > moments[-1] + slack:
            continue
        inside = np.array([begun, done])
        count, spent = (np.diff(np.interp(inside, moments, of))[0] for of in (done_by, spent_by))
        # Where the kernel takes stolen time off at once, what is left of a short lot may be nothing.
        if min(count, spent, cpu) > 0:
            mine.append(cpu)
            theirs.append(float(spent / count))
    return mine, theirs
