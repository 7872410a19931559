"""Any two builds, as the page Compare has them: by a run of the two, or through others that both were measured
against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.history import points
from runner.history.runs import Entry, History
from runner.model import Metric, Verdict
from runner.report import site_compare
from runner.service import as_records
from runner.service.api_records import ComparedRecord, ComparisonRecord, WayRecord
from runner.service.problems import Problem
from runner.service.records import Snapshot
from runner.stats import indirect

LEAST = 7
"""Digits of a commit's hash by which a build may be named."""
INVERTED = {
    "slower": "faster", "faster": "slower", Verdict.ONLY_IN_BASE.value: Verdict.ONLY_IN_HEAD.value,
    Verdict.ONLY_IN_HEAD.value: Verdict.ONLY_IN_BASE.value,
}
COUNTED = {"slower": "more", "faster": "less"}
"""What is said of memory and counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How two builds can be compared; `record` is what the API says of it."""

    record: WayRecord
    steps: Sequence[tuple[int, Entry]]
    where: tuple[str, str]
    """Suite and machine."""


def comparison(known: Snapshot, base: str, head: str, way: str) -> ComparisonRecord:
    """Two builds, which may be named by identity, by its short form in the page's address, by what was typed for them,
    or by a commit's first digits; `way` is one of `WayRecord.way`, empty: the best.

    Raises Problem 404 for a build or a way that there is not, and 422 for a name that several builds have.
    """
    first, second = (identity_of(known, text) for text in (base, head))
    ways = _ways(known.grouped, first, second)
    chosen = next((one for one in ways if way in ("", one.record.way)), None)
    if chosen is None and way:
        raise Problem(404, "way", "There is no such way.", "`ways` of the answer without `way` has all of them.")
    how, benchmarks = "", tuple[ComparedRecord, ...]()
    if chosen is not None and len(chosen.steps) == 1:
        benchmarks = _direct(known.history, chosen.steps[0])
    elif chosen is not None:
        how, benchmarks = _through(known, chosen)
    return ComparisonRecord(
        base=known.labels[first], head=known.labels[second], base_identity=first, head_identity=second,
        ways=tuple(one.record for one in ways), way=chosen.record.way if chosen else "", how=how,
        benchmarks=benchmarks,
    )


def identity_of(known: Snapshot, text: str) -> str:
    """The build that a text names. Raises Problem."""
    sides = known.sides
    if text in sides:
        return text
    if text in known.shorts:
        return known.shorts[text]
    # Of what was typed the same for several builds, as for a branch, the newest is meant.
    named = [identity for identity, side in sides.items() if side.spec == text][-1:]
    if not named and len(text) >= LEAST:
        named = [identity for identity, side in sides.items() if side.commit and side.commit.hash.startswith(text)]
    if not named:
        raise Problem(404, "build", "There is no such build.", f"No run has one that is named {text!r}.")
    if len(named) > 1:
        raise Problem(422, "build", "Several builds are so named.", f"{text!r} may be any of {', '.join(named)}.")
    return named[0]


def _ways(groups: Mapping[tuple[str, str], Sequence[Entry]], base: str, head: str) -> list[_Way]:
    pair = {base, head}
    runs = [(entry, where) for where, own in groups.items() for entry in own
            if {entry.base.identity, entry.head.identity} == pair]
    place = {entry.id: where for entry, where in runs}
    direct = [
        _Way(
            record=WayRecord(way=entry.id, suite=place[entry.id][0], machine=place[entry.id][1], runs=(entry.id,),
                             inverted=entry.base.identity != base),
            steps=[(1 if entry.base.identity == base else -1, entry)], where=place[entry.id])
        for entry in points.best_first(entry for entry, _ in runs)
    ]
    others = []
    for where, entries in groups.items():
        steps = [] if base == head else site_compare.way(entries, base, head)
        if len(steps) > 1:  # a run of the two says it
            others.append(_Way(steps=steps, where=where, record=WayRecord(
                way=site_compare.place_id(where), suite=where[0], machine=where[1], inverted=False,
                runs=tuple(entry.id for _, entry in steps))))
    return [*direct, *others]


def _direct(known: History, step: tuple[int, Entry]) -> tuple[ComparedRecord, ...]:
    """What a run of the two says, perhaps the other way round."""
    sign, entry = step
    found = []
    for row in known.of_runs([entry.id]).to_dict("records"):
        state = str(row["verdict"])
        numbers = [float(row[name]) for name in ("ratio", "low", "high")]
        if sign < 0:
            state = INVERTED.get(state, state)
            numbers = [1 / one if one else math.nan for one in (numbers[0], numbers[2], numbers[1])]
        words = state if row["metric"] == Metric.TIME.value else COUNTED.get(state, state)
        found.append(as_records.compared(str(row["key"]), state, words, numbers))
    return tuple(found)


def _through(known: Snapshot, way: _Way) -> tuple[str, tuple[ComparedRecord, ...]]:
    """How it came about, in words, and what is said."""
    place = known.place(way.where)
    between = [entry.head if sign > 0 else entry.base for sign, entry in way.steps][:-1]
    rows = site_compare.through(known.history, place, [(sign, entry.id) for sign, entry in way.steps])
    return site_compare.how(place, " and ".join(known.labels[side.identity] for side in between)), tuple(
        as_records.compared(
            one.key, one.state, one.words, [indirect.ratio(log) for log in (one.log_ratio, one.low, one.high)])
        for one in rows)
