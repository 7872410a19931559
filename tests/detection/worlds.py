"""Histories of known truth: the nights of a suite for a year, in machines of five kinds.

A point is the benchmark's level against the anchor, plus the error that its blocks make and tell of (a standard error
of `ERRORS`), plus a deviation of the night that they do not see (standard deviation `NIGHT`). Sizes are natural logs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.stats.paired import Array

WORLDS = ("independent", "heavy tails", "autocorrelated", "two states", "drifting machine")
NIGHTS, SERIES = 365, 100
BLOCKS = 20
"""Of a point."""
ERRORS = (0.003, 0.005)
"""Standard errors of points: a benchmark's is drawn between them."""
NIGHT = 0.002
SESSION = 0.001
"""Standard deviation of what a confirming session deviates by that its blocks do not see."""
SIZES = (0.005, 0.01, 0.02, 0.03, 0.05)
SHARES = (0.15, 0.15, 0.4, 0.15, 0.15)
"""How often a planted change has which size."""
EARLIEST, LATEST = 40, 350
"""Nights in which changes are planted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A planted change: the first night with it, the series that it moves, and by how much."""

    night: int
    series: tuple[int, ...]
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """The histories of one suite; rows are series, columns nights."""

    worlds: Sequence[str]
    """Of each series."""
    truth: Array
    log_ratios: Array
    ses: Array
    errors: Array
    """The true standard errors, one a series."""
    changes: tuple[Change, ...]


def year(
    worlds: Sequence[str], rng: np.random.Generator, changes: Sequence[Change], slopes: Array | None = None
) -> Year:
    """A suite with one series for each of `worlds`; `slopes` are added to the levels, a row each."""
    shape = len(worlds), NIGHTS
    truth = np.zeros(shape)
    for change in changes:
        truth[list(change.series), change.night :] += change.size
    if slopes is not None:
        truth = truth + slopes
    errors = rng.uniform(*ERRORS, len(worlds))
    ses = errors[:, None] * np.sqrt(rng.chisquare(BLOCKS - 1, shape) / (BLOCKS - 1))
    rows = [errors[row] * _unit(world, rng, NIGHTS) + NIGHT * nights(world, rng) for row, world in enumerate(worlds)]
    return Year(worlds=tuple(worlds), truth=truth, log_ratios=truth + np.array(rows), ses=ses, errors=errors,
                changes=tuple(changes))


def planted(rng: np.random.Generator) -> tuple[Change, ...]:
    """One change for each series, in one or three series at a time, up or down; half of them are alone."""
    order, found = [int(one) for one in rng.permutation(SERIES)], []
    while order:
        count = 1 if rng.random() < 0.75 else 3
        series, order = tuple(order[:count]), order[count:]
        size = float(rng.choice(SIZES, p=SHARES)) * (1 if rng.random() < 0.5 else -1)
        found.append(Change(night=int(rng.integers(EARLIEST, LATEST)), series=series, size=math.log1p(size)))
    return tuple(found)


def nights(world: str, rng: np.random.Generator) -> Array:
    """What nights deviate by that blocks do not see, in units of `NIGHT`."""
    if world == "autocorrelated":
        return _autoregressive(rng, NIGHTS, 0.8)
    if world == "two states":
        # A tenth of the nights change the state.
        return np.where(np.cumsum(rng.random(NIGHTS) < 0.1) % 2 == 0, 1.0, -1.0)
    if world == "drifting machine":
        season = 1.5 * np.sin(2 * math.pi * (np.arange(NIGHTS) / NIGHTS + rng.random()))
        return np.asarray(season + np.cumsum(rng.normal(0, 0.15, NIGHTS)) + rng.normal(0, 0.5, NIGHTS))
    return _unit(world, rng, NIGHTS)


def fresh(world: Year, row: int, good: int, bad: int, blocks: int, rng: np.random.Generator) -> Array:
    """Log ratios of so many blocks of the build of night `bad` against that of night `good`."""
    kind, spread = world.worlds[row], float(world.errors[row]) * math.sqrt(BLOCKS)
    if kind == "autocorrelated":
        noise = _autoregressive(rng, blocks, 0.3)
    elif kind == "two states":
        noise = 0.8 * rng.choice((-1.0, 1.0), blocks) + 0.6 * rng.normal(size=blocks)
    else:
        noise = _unit(kind, rng, blocks)
    truth = world.truth[row, bad] - world.truth[row, good]
    return np.asarray(truth + SESSION * rng.normal() + spread * noise)


def _unit(world: str, rng: np.random.Generator, count: int) -> Array:
    """Independent noise of standard deviation 1."""
    return rng.standard_t(3, count) / math.sqrt(3) if world == "heavy tails" else rng.normal(size=count)


def _autoregressive(rng: np.random.Generator, count: int, r: float) -> Array:
    steps = rng.normal(size=count)
    for place in range(1, count):
        steps[place] = r * steps[place - 1] + math.sqrt(1 - r * r) * steps[place]
    return steps
