"""What to measure next, and how much work fills a budget. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Sequence
from itertools import count, product

import numpy as np

from rivals.arms import SHARES, WORKLOADS
from rivals.records import Cell, Line, Measurement, Trial

BUDGETS = {10: 4, 30: 2, 100: 1}
"""Seconds of machine time, both arms together, and how often a round holds each tool and pair at that budget."""
SLACK = 1.25
"""A measurement is expected to take up to so many times its budget on a noisy machine."""


def cells(tools: Sequence[str], seed: int, round: int) -> list[Cell]:
    """A round in its random order: every tool, pair and budget, all tools with the same workloads."""
    found = [
        Cell(tool=tool, share=share, budget=budget, workload=WORKLOADS[(pair + repeat + round) % len(WORKLOADS)])
        for (pair, share), (budget, repeats), tool in product(enumerate(SHARES), BUDGETS.items(), tools)
        for repeat in range(repeats)
    ]
    random.Random(f"{seed}:{round}").shuffle(found)
    return found


def pending(
    tools: Sequence[str], seed: int, done: Collection[tuple[int, int, int]], *, without: Collection[str] = (),
    budgets: Collection[int] = tuple(BUDGETS),
) -> tuple[int, list[tuple[int, Cell]]]:
    """The first round that is not finished, and what it still lacks, each with its position in the round.

    `done` holds (seed, round, position); tools that are not installed (`without`) and budgets that are not asked for
    are left out and keep their positions.
    """
    for round in count():
        left = [
            (position, cell) for position, cell in enumerate(cells(tools, seed, round))
            if (seed, round, position) not in done and cell.tool not in without and cell.budget in budgets
        ]
        if left:
            return round, left
    raise AssertionError


def done(lines: Sequence[Measurement]) -> set[tuple[int, int, int]]:
    """What need not be measured again; a run that the user interrupted must."""
    return {(line.seed, line.round, line.position) for line in lines if line.answers}


def fitting(left: Sequence[tuple[int, Cell]], seconds: float) -> tuple[int, Cell] | None:
    """The first that fits into so many seconds."""
    return next(((position, cell) for position, cell in left if cell.budget * SLACK <= seconds), None)


def costs(lines: Sequence[Line], tool: str, workload: str) -> list[tuple[float, float]]:
    """Size used and seconds taken, of all trials and runs of a tool on a workload that gave an answer."""
    return [
        (line.used, line.wall) for line in lines
        if (isinstance(line, Trial) and (line.tool, line.workload) == (tool, workload))
        or (isinstance(line, Measurement) and (line.cell.tool, line.cell.workload) == (tool, workload) and line.used)
    ]


def size(costs: Sequence[tuple[float, float]], budget: float, smallest: int) -> int:
    """The size that takes about `budget` seconds, by a straight line through the costs of one tool and workload.

    Never under `smallest`, so that a tool with a slow start takes longer than the budget, rather than give no answer.
    """
    if not costs:
        return smallest
    used, wall = zip(*costs, strict=True)
    slope = float(np.polyfit(used, wall, 1)[0]) if len(set(used)) > 1 else 0.0
    if slope <= 0:  # noise: as if it had no start-up
        slope = sum(wall) / sum(used)
    start = float(np.mean(wall)) - slope * float(np.mean(used))
    return max(smallest, math.floor((budget - start) / slope + 1e-9))


def trials_wanted(tools: Iterator[tuple[str, tuple[int, int]]], trials: Sequence[Trial]) -> list[tuple[str, str, int]]:
    """Tool, workload and size of the trials that are not stored yet."""
    stored = {(trial.tool, trial.workload, trial.size) for trial in trials}
    return [(tool, workload, size) for tool, sizes in tools for workload in WORKLOADS for size in sizes
            if (tool, workload, size) not in stored]
