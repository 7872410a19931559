"""What others do with a series of nights, each as its own code or page says. All get the same log ratios.

- rustc-perf marks a night whose difference from the one before is beyond Q3 + 3 IQR of the last 30 differences, without
  their signs.
- `asv publish` cuts a series into levels (`asv.step_detect`) and reports levels that rose; here it is asked for
  falls too.
- apache-otava (E-divisive with Student's t) runs in an environment of its own: `ask_otava.py` beside this file.

The last two see a whole series. Their false alarms are counted in the whole year at its end, and how soon they see a
change by asking again each night, with the `BEFORE` nights before it.
"""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from asv.step_detect import detect_regressions, detect_steps
from numpy.lib.stride_tricks import sliding_window_view

from detection.records import Job, Other
from detection.simulate import make
from detection.worlds import EARLIEST, NIGHTS, Year
from runner.stats.paired import Array

BEFORE = 60
"""Nights before a change that are seen with it."""
DELAYS = (0, 1, 3, 6, 9, 13)
"""Nights after which it is asked whether the change is seen."""
SOON = 1
NEAR = 2
"""Nights by which a report may miss a change and still be of it."""
YEARS = 40
"""Series of each world that the slow ones see."""
ASKED = 25
"""Changes of each world for which they are asked night by night."""
SIZE = 0.02
VERSION = "0.8.0"
"""Of apache-otava."""

Rule = Callable[[Sequence[Array]], list[list[int]]]
"""Series of log ratios in; of each the points that begin with a change."""


def rustc(series: Sequence[Array]) -> list[list[int]]:
    """rustc-perf's rule for a single result, with its published constants."""
    found = []
    for one in series:
        moves = np.abs(np.expm1(np.diff(one)))
        low, high = np.percentile(sliding_window_view(moves[:-1], 30), [25, 75], axis=1)
        alarms = moves[30:] > high + 3 * (high - low)
        found.append([int(place) + 31 for place in np.flatnonzero(alarms)])
    return found


def asv(threshold: float) -> Rule:
    """`asv publish`, with its threshold for what it reports (its own default is 5 %)."""

    def rule(series: Sequence[Array]) -> list[list[int]]:
        return [sorted({*_rises(np.exp(one), threshold), *_rises(np.exp(-one), threshold)}) for one in series]

    return rule


def _rises(values: Array, threshold: float) -> list[int]:
    positions = detect_regressions(detect_steps(values.tolist()), threshold)[2]
    return [int(after) for _, after, *_ in positions or ()]


def otava(python: Path) -> Rule:
    """apache-otava's change points at its defaults, by an interpreter that has it."""

    def rule(series: Sequence[Array]) -> list[list[int]]:
        text = json.dumps([np.exp(one).tolist() for one in series])
        result = subprocess.run([python, Path(__file__).with_name("ask_otava.py")], input=text, capture_output=True,
                                text=True, check=True, timeout=1800)
        found: list[list[int]] = json.loads(result.stdout)
        return found

    return rule


def environment(folder: Path) -> tuple[Path | None, str]:
    """The interpreter of an environment with apache-otava, made where there is none; or None, and why not."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"apache-otava=={VERSION}"]
    result = subprocess.run(install, capture_output=True, text=True, check=False)
    if result.returncode:
        return None, (result.stderr.strip().splitlines() or ["pip failed"])[-1]
    return python, ""


def try_rule(name: str, rule: Rule, world: str, *, quick: bool) -> Other:
    """A rule on the years of one world with planted changes; `quick` rules see all series."""
    year, _ = make(Job(world=world, scene="steps", number=0))
    series = range(len(year.worlds) if quick else YEARS)
    of_row = {row: change for change in year.changes for row in change.series}
    alarms = rule([year.log_ratios[row] for row in series])
    false = sum(
        1 for row, places in zip(series, alarms, strict=True) for place in places
        if place >= EARLIEST - 5 and abs(place - of_row[row].night) > NEAR
    )
    asked = [row for row, change in of_row.items() if round(abs(np.expm1(change.size)), 4) == SIZE]
    asked = asked if quick else asked[:ASKED]
    seen = {delay: set[int]() for delay in DELAYS}
    for delay in DELAYS:
        parts = [_part(year, row, of_row[row].night, delay) for row in asked]
        for row, places in zip(asked, rule(parts), strict=True):
            if any(abs(place - min(BEFORE, of_row[row].night)) <= NEAR for place in places):
                seen[delay].add(row)
    soon = set().union(*(rows for delay, rows in seen.items() if delay <= SOON))
    return Other(rule=name, world=world, years=len(series), false=false, soon=len(soon),
                 later=len(set().union(*seen.values())), of=len(asked))


def _part(year: Year, row: int, night: int, delay: int) -> Array:
    part: Array = year.log_ratios[row, max(0, night - BEFORE) : min(NIGHTS, night + delay + 1)]
    return part

