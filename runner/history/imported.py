"""Histories of imported results: series of their own, whose points are *not paired*.

They are in no index and in no other series: nothing of them nominates, convicts or enters a mean of runs. A series is
of one machine and one version of the benchmarks; builds are its points, in the order in which they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.judging import unpaired
from runner.judging.unpaired import Side, Unpaired
from runner.stats.paired import Array
from runner.stats.unpaired import replicates
from runner.storage import pyperf_json
from runner.storage.imports import Imported


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One benchmark of a series."""

    name: str
    unit: str
    logs: Array
    """Natural log of the value (geometric mean over the processes), one an import; NaN where it is missing, or counted
    in another unit than in the newest that has it."""

    @property
    def ratios(self) -> Array:
        """To the first one that is there."""
        there = self.logs[np.isfinite(self.logs)]
        ratios: Array = np.exp(self.logs - there[0])
        return ratios


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What was measured of several builds on one machine with one version of the benchmarks."""

    machine: str
    version: str
    imports: tuple[Imported, ...]
    """In the order in which they were measured; at least one."""

    def courses(self) -> list[Course]:
        """Every benchmark, in the order of the newest import, then of the others."""
        seen = [{one.name: one for one in pyperf_json.together(point.files)} for point in self.imports]
        units = {name: one.unit for of in seen for name, one in of.items()}  # oldest first: the newest stays
        names = list(dict.fromkeys(name for of in reversed(seen) for name in of))
        return [
            Course(name=name, unit=units[name], logs=np.array([
                _log(of[name]) if name in of and of[name].unit == units[name] else math.nan for of in seen]))
            for name in names
        ]

    def compared(self, base: int, head: int, margin: float) -> Unpaired:
        """Two of its points, by their places."""
        one, other = self.imports[base], self.imports[head]
        return unpaired.judge(side(one), side(other), margin)


def series(imports: Sequence[Imported]) -> list[Series]:
    """All series; that with the newest import last. `imports` are in the order in which they were measured."""
    found: dict[tuple[str, str], list[Imported]] = {}
    for one in imports:
        own = found.pop((one.machine, one.version), [])
        found[one.machine, one.version] = [*own, one]  # behind the others
    return [Series(machine=machine, version=version, imports=tuple(own)) for (machine, version), own in found.items()]


def side(one: Imported) -> Side:
    """An import as a side of a comparison."""
    return Side(name=one.build, files=one.files)


def before(one: Imported, imports: Sequence[Imported]) -> Imported | None:
    """The point before it in its series; None where it is the first. `imports` hold it too."""
    for own in series(imports):
        places = [place for place, point in enumerate(own.imports) if point.id == one.id]
        if places and places[0] > 0:
            return own.imports[places[0] - 1]
    return None


def _log(one: pyperf_json.Sampled) -> float:
    own = replicates([[np.array(process.values) for process in one.processes]], by_file=False)
    return math.fsum(own) / own.size
