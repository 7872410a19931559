"""What is known of a machine's runs beside each other: stored runs of equals, alone and beside others → a finding.

The runs lie in `parallel/` of the machine's calibration; their labels say on which CPUs, and how many at once. The
finding is made from them alone, and kept beside them in `parallel.json`.

Format history
--------------
lockstep.parallel/1  parallel.json is `Finding`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runner.judging import compare
from runner.measuring.execute import VERSION
from runner.model import Notice, Verdict
from runner.stats.audit import Rate, rate
from runner.stats.beside import Growth, growth
from runner.stats.paired import Array
from runner.storage import store

SCHEMA = "lockstep.parallel/1"
RUNS, FINDING = "parallel", "parallel.json"
MOST = 1.25
"""The growth of a block's standard deviation up to which runs are said not to disturb each other: half as many blocks
again (1.25² = 1.56) settle a benchmark then."""
FALSE = 0.05
"""The share of false changes that the rule allows."""
LEAST = 3
"""Runs of equals, ten comparisons each, of which anything is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """So many runs at once."""

    at_once: int
    runs: int
    """Of equals that were measured so."""
    growth: Growth | None
    """Of a block's standard deviation, against one run alone; None of one alone, and where too little is known."""
    false: Rate
    """Equals that were called faster or slower."""

    @property
    def undisturbed(self) -> bool:
        """Whether it is shown, and not merely unknown, that these do not disturb each other."""
        return (self.growth is not None and self.growth.high <= MOST and self.false.low <= FALSE and self.runs >= LEAST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a machine's runs beside each other have shown."""

    schema: str = SCHEMA
    measuring: str = ""
    """The way of measuring that it is of; empty: not recorded."""
    sets: tuple[str, ...]
    """The sets of CPUs, as --cpus takes them, of which each had one run or none."""
    levels: tuple[Level, ...]
    """Fewest at once first."""

    @property
    def most(self) -> int:
        """As many at once as do not disturb each other, nor do fewer that were tried; 1 where none were shown."""
        found = 1
        for level in self.levels:
            if level.at_once > 1 and not level.undisturbed:
                break
            found = level.at_once
        return found


@lru_cache
def _adapter() -> TypeAdapter[Finding]:
    return TypeAdapter(Finding)


def labels(sets: Sequence[str], at_once: int) -> dict[str, str]:
    """How a run is marked that was measured on one of these sets, while others worked on so many, with its own."""
    return {"kind": "parallel", "sets": " ".join(sets), "at-once": str(at_once), "measuring": str(VERSION)}


def audit(folder: Path, sets: Sequence[str]) -> Finding:
    """Find out what the complete runs of a machine show that were measured on these sets, and keep it.

    Raises UsageError for a run that cannot be read, MachineError when the finding cannot be written.
    """
    ratios: dict[int, dict[str, list[Array]]] = defaultdict(lambda: defaultdict(list))
    called: dict[int, list[bool]] = defaultdict(list)
    runs: dict[int, int] = defaultdict(int)
    for place in sorted(path.parent for path in (folder / RUNS).glob(f"*/{store.MANIFEST}")):
        run = store.read(place)
        told = run.manifest.labels
        at_once = int(told["at-once"]) if told.get("at-once", "").isdigit() else 0
        if told != labels(sets, at_once) | {"copies": told.get("copies", "")}:
            continue
        report = compare.report(run, with_noise=False)
        if not report.complete:
            continue
        runs[at_once] += 1
        for line in report.comparisons:
            if line.compared:
                ratios[at_once][line.key].append(line.log_ratios)
                called[at_once].append(line.verdict in (Verdict.FASTER, Verdict.SLOWER))
    levels = tuple(
        Level(at_once=at_once, runs=runs[at_once], false=rate(called[at_once]),
              growth=None if at_once == 1 else growth(ratios[1], ratios[at_once]))
        for at_once in sorted(runs)
    )
    found = Finding(measuring=str(VERSION), sets=tuple(sets), levels=levels)
    if levels:
        store.write_whole(folder / FINDING, _adapter().dump_json(found, indent=1).decode() + "\n")
    return found


def read(folder: Path) -> Finding | None:
    """The stored finding; None where there is none, or one of another version or another way of measuring."""
    try:
        text = (folder / FINDING).read_text(encoding="utf-8")
        found = _adapter().validate_json(text) if json.loads(text)["schema"] == SCHEMA else None
        return found if found is not None and found.measuring == str(VERSION) else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def notices(folder: Path, at_once: int) -> tuple[Notice, ...]:
    """A warning where more runs measure at once than is known not to disturb them. A run alone is never disturbed.

    No refusal: the error of verdicts does not grow with the noise, which costs blocks.
    """
    found = read(folder)
    shown = 1 if found is None else found.most
    if at_once <= shown:
        return ()
    return (Notice(kind="beside", numbers={"runs": at_once, "shown": shown}),)

