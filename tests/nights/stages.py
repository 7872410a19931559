"""What is to be had, in its order, and how long it takes. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from nights.commits import NIGHTS, PLAN
from nights.judging import SEARCHED
from nights.records import Study


class Part(Enum):
    """What a stage is of."""

    KILLS = "kills"
    NIGHTS = "nights"
    SEARCHES = "searches"


KINDS = ("done", *("done" if planned.builds else "broken" for planned in PLAN), "unchanged")
"""Of the nights of a row, by what should come of them."""
USUAL = {"kill": 15.0, "done": 240.0, "broken": 60.0, "unchanged": 10.0, Part.SEARCHES.value: 120.0}
"""Seconds that a thing takes as long as none was had here, by estimate."""
ROOM = 1.5
"""Times what it took so far that must be left for it to be begun; for a night that measures, its budget at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part that is had whole or not at all."""

    part: Part
    repeat: int = 0
    """Counted from 0."""
    number: int = 0
    """Of the night in its repeat, or of the search, counted from 0; of kills, how many are lacking."""

    @property
    def kind(self) -> str:
        """Stages of one kind take about as long."""
        if self.part is Part.NIGHTS:
            return KINDS[self.number]
        return "kill" if self.part is Part.KILLS else self.part.value


def lacking(study: Study, *, repeats: int, kills: int, parts: Sequence[Part] = tuple(Part)) -> list[Stage]:
    """What was not had yet of what is asked for: the kills, which are over soon, then repeat by repeat; the searches
    after the first, whose builds they need."""
    found = [Stage(part=Part.KILLS, number=kills - study.kills)] if study.kills < kills else []
    for number in range(repeats):
        had = len(study.repeats[number]) if number < len(study.repeats) else 0
        found += [Stage(part=Part.NIGHTS, repeat=number, number=night) for night in range(had, NIGHTS)]
        if number == 0:
            found += [Stage(part=Part.SEARCHES, number=search) for search in range(len(study.searches), len(SEARCHED))]
    return [stage for stage in found if stage.part in parts]


def seconds(stage: Stage, study: Study) -> float:
    """What a stage will probably take: what those of its kind took so far, or an estimate."""
    taken = _taken(stage.kind, study)
    one = statistics.fmean(taken) if taken else USUAL[stage.kind]
    return one * (stage.number if stage.part is Part.KILLS else 1)


def room(stage: Stage, study: Study) -> float:
    """Seconds that must be left for a stage to be begun; for kills, for a few of them."""
    taken = _taken(stage.kind, study)
    if stage.kind == "done":
        return min(study.budget, ROOM * max(taken, default=study.budget))
    return ROOM * max(taken, default=USUAL[stage.kind]) * (4 if stage.part is Part.KILLS else 1)


def _taken(kind: str, study: Study) -> list[float]:
    if kind == "kill":
        return [trial.seconds / len(trial.kills) for trial in study.trials if trial.kills]
    if kind == Part.SEARCHES.value:
        return [one.wall for one in study.searches if one.whole]
    rows = [row for repeat in study.repeats for row in repeat if row.whole]
    return [row.wall for row in rows if row.state == kind]
