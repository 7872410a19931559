"""One simulated year, night by night: nominate, measure afresh, convict or acquit, and what of it is true."""

from __future__ import annotations

import math
import time

import numpy as np

from detection import worlds
from detection.records import Found, Job, Outcome
from detection.worlds import NIGHTS, SERIES, WORLDS, Change, Year
from runner.history import changes
from runner.history.changes import Place
from runner.history.suspects import Line
from runner.stats.paired import Array, unit_se
from runner.storage.ledger import Entry

MARGIN = 0.01
FIRST = 5
"""Points that the histories have when they are asked first."""
BEGIN = 1_767_225_600.0
"""Seconds since the epoch: the year begins with the calendar's, so that it is one stream of tests."""
PLACE = Place(watch="simulated", configuration="", machine="simulated")
COMMITS = tuple(f"{night:03d}" for night in range(NIGHTS))
SCENES = ("steps", "quiet", "creeping")
CREEPS = {"five steps of 1 %, three weeks apart": (np.arange(5) * 21, 0.01),
          "fifty steps of 0.1 %, every fifth night": (np.arange(50) * 5, 0.001)}
"""Slow changes: nights from `worlds.EARLIEST` on, and the size of each step."""


def make(job: Job) -> tuple[Year, np.random.Generator]:
    """The histories of a job, and the generator for what is measured later."""
    rng = np.random.default_rng([job.number, SCENES.index(job.scene), (*WORLDS, "mixed").index(job.world)])
    kinds = [WORLDS[row % len(WORLDS)] if job.world == "mixed" else job.world for row in range(SERIES)]
    if job.scene == "creeping":
        slopes = np.zeros((SERIES, NIGHTS))
        for row in range(SERIES):
            nights, size = list(CREEPS.values())[row % 2]
            for night in worlds.EARLIEST + nights:
                slopes[row, night:] += math.log1p(size)
        return worlds.year(kinds, rng, (), slopes), rng
    return worlds.year(kinds, rng, worlds.planted(rng) if job.scene == "steps" else ()), rng


def run(job: Job) -> Outcome:
    """Live through a year."""
    began = time.monotonic()
    year, rng = make(job)
    entries, blocks = live(year, rng, range(FIRST - 1, NIGHTS))
    events = [entry for entry in entries if entry.outcome == "confirmed"]
    return Outcome(
        job=job, series=SERIES, nights=NIGHTS - FIRST + 1, nominations=len(entries),
        innocent=sum(not any(is_true(year, one.benchmark, entry) for one in entry.suspects) for entry in entries),
        confirmed=len(events), false=sum(is_false(year, event) for event in events), blocks=blocks,
        suspects=sum(len(entry.suspects) for entry in entries),
        found=found_creeps(year, events) if job.scene == "creeping" else found_steps(year, events),
        seconds=time.monotonic() - began,
    )


def live(year: Year, rng: np.random.Generator, nights: range) -> tuple[list[Entry], int]:
    """The ledger after some nights, and the blocks that its confirmations took."""
    entries: list[Entry] = []
    blocks = 0
    for night in nights:
        when = BEGIN + 86_400 * night
        for nomination in changes.suggested(lines(year, night), PLACE, entries, MARGIN, when):
            good, bad = (int(place) for place in nomination.positions)
            fresh = {one.key: worlds.fresh(year, int(one.key), good, bad, nomination.blocks, rng)
                     for one in nomination.benchmarks}
            run_id = f"{night}-{nomination.id}"
            entries.append(changes.weigh(nomination, fresh, MARGIN, entries, when=when, run=run_id))
            blocks += nomination.blocks * len(fresh)
    return entries, blocks


def lines(year: Year, night: int) -> list[Line]:
    """The histories up to and with a night."""
    end, order = night + 1, np.arange(night + 1, dtype=float)
    spreads = np.median(year.ses[:, :end], axis=1) / unit_se(worlds.BLOCKS)
    return [
        Line(suite="", benchmark=str(row), commits=COMMITS[:end], order=order, log_ratios=year.log_ratios[row, :end],
             ses=year.ses[row, :end], spread=float(spreads[row]))
        for row in range(len(year.worlds))
    ]


def is_true(year: Year, benchmark: str, named: Entry) -> bool:
    """Whether a benchmark moved in that direction, from the one commit to the other."""
    levels: Array = year.truth[int(benchmark)]
    good, bad = (int(place) for place in named.positions)
    return bool((levels[bad] - levels[good]) * (1 if named.direction == "slower" else -1) > 0)


def is_false(year: Year, event: Entry) -> bool:
    return not all(is_true(year, one.benchmark, event) for one in event.suspects if one.said == "confirmed")


def found_steps(year: Year, events: list[Entry]) -> tuple[Found, ...]:
    return tuple(_found(change, row, events) for change in year.changes for row in change.series)


def _found(change: Change, row: int, events: list[Entry]) -> Found:
    size, direction = round(abs(float(np.expm1(change.size))), 4), "slower" if change.size > 0 else "faster"
    for event in events:
        named = any(one.benchmark == str(row) and one.said == "confirmed" for one in event.suspects)
        good, bad = event.positions
        if named and event.direction == direction and good < change.night <= bad:
            return Found(size=size, delay=int(event.newest) - change.night, commits=int(bad - good))
    return Found(size=size, delay=None, commits=None)


def found_creeps(year: Year, events: list[Entry]) -> tuple[Found, ...]:
    """For each series what had come together when it was first named; `delay` counts from the first step."""
    found = []
    for row in range(len(year.worlds)):
        own = [event for event in events
               if any(one.benchmark == str(row) and one.said == "confirmed" for one in event.suspects)]
        size = float(np.expm1(year.truth[row, int(own[0].newest)])) if own else 0.0
        found.append(Found(size=size, delay=int(own[0].newest) - worlds.EARLIEST if own else None,
                           commits=int(own[0].positions[1] - own[0].positions[0]) if own else None))
    return tuple(found)
