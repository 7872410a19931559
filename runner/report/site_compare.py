"""Any two builds: by a run of the two, or through others that both were measured against.

A page from disk cannot ask for what it needs, so that what it may need lies beside it, in files that a script tag
loads: `builds` (what can be chosen, and all runs), `benchmarks`, one `place-…` for each suite on each machine, and one
`run-…` for each run. Each calls `lockstepData(name, content)`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dashboards.history_records import ComparedRow, ComparePage
from runner.history import points
from runner.history.runs import Entry, History
from runner.model import Metric
from runner.report import addresses, commits, quantities, site
from runner.stats import indirect
from runner.stats.indirect import Spread
from runner.stats.paired import Estimate

VERSION = ("version", "metric", "unit")
"""What makes a benchmark of one key the same in two runs."""
KEY = 8
"""Digits of a mark that stand for the key; the others are of the version."""
TOGETHER = 50
"""Runs whose rows are held at one time."""
NEWEST = 60
"""Points of a place from which it is learned how far its runs are apart."""
FARTHEST = 4
"""Runs on the way from one build to another."""
ALPHA = 0.05
"""Error of each interval; and of all that is said to differ on one page together (Bonferroni): whoever looks at every
pair of builds looks often."""
TIMED = {"slower": "looks slower", "faster": "looks faster", "same": "looks the same", "undecided": "not shown"}
COUNTED = {**TIMED, "slower": "looks more", "faster": "looks less"}
ALL = {**TIMED, "slower": "looks slower or more", "faster": "looks faster or less"}
"""What is said through others of a timing, of memory or a count, and of how many there are of both. A verdict is a
run's alone."""
ORDER = {"slower": 0, "faster": 0, "undecided": 1, "same": 2}
"""In which they are shown; within one, the largest first."""

@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One suite on one machine: runs there can be put together."""

    id: str
    title: str
    suite: str
    """The folder, as in the newest run."""
    margin: float
    runs: Sequence[Entry]
    """Oldest first."""
    points: Sequence[Entry]
    """Those that are points of a history, in its order."""
    spreads: Mapping[str, Spread | None]
    """How far runs are apart, by mark of each benchmark that one of them has; None where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One benchmark of two builds, through others."""

    key: str
    state: str
    """``slower``, ``faster``, ``same`` or ``undecided``."""
    words: str
    log_ratio: float
    low: float
    high: float
    """Natural logarithms of head ÷ base, with the interval of one comparison."""


def places(known: History) -> list[Place]:
    """All of them, that with the newest run first."""
    return [place_of(known, where, entries) for where, entries in grouped(known).items()]


def grouped(known: History) -> dict[tuple[str, str], list[Entry]]:
    """All runs, oldest first, by suite and machine: that with the newest run first."""
    return site.newest_first(
        known.runs, lambda entry: (Path(entry.suite).name, str(entry.machine.get("fingerprint"))))


def place_of(known: History, where: tuple[str, str], entries: Sequence[Entry]) -> Place:
    """One of `grouped`, with how far its runs are apart."""
    last, there = entries[-1], points.in_order(entry for entry in entries if points.is_point(entry))
    return Place(
        id=place_id(where),
        title=f"{where[0]} on {site.machine_name(last.machine)}", suite=last.suite, margin=last.margin, runs=entries,
        points=there, spreads=_spreads(known, entries, there[-NEWEST:]),
    )


def place_id(where: tuple[str, str]) -> str:
    """What a place is called in addresses; `where` as in `grouped`."""
    return hashlib.sha256("\0".join(where).encode()).hexdigest()[:8]


def _spreads(known: History, runs: Sequence[Entry], entries: Sequence[Entry]) -> dict[str, Spread | None]:
    """Of every benchmark that one of the runs has, from the points `entries`; one that none of these has is lent what
    others of its metric know, as one of a single point is."""
    versions = _marked(pd.DataFrame(sorted(known.versions([entry.id for entry in runs])), columns=["key", *VERSION]))
    rows = _marked(points.of_runs(known, [entry.id for entry in entries]))
    rows = rows[np.isfinite(rows["log_ratio"]) & np.isfinite(rows["se"])]
    rows = rows.assign(
        place=rows["run"].map({entry.id: place for place, entry in enumerate(entries)}),
        course=rows["run"].map({entry.id: points.course(entry) for entry in entries}),
    ).sort_values("place", kind="stable")
    found: dict[str, Spread | None] = dict.fromkeys(versions["mark"].tolist())
    for metric, of_metric in rows.groupby("metric"):
        benchmarks: dict[str, list[indirect.History]] = {
            mark: [] for mark in versions["mark"][versions["metric"] == metric].tolist()}
        for (mark, _), own in of_metric.groupby(["mark", "course"], sort=False):
            numbers = own["log_ratio"].to_numpy(dtype=float), own["se"].to_numpy(dtype=float)
            benchmarks.setdefault(str(mark), []).append(numbers)
        found |= dict(zip(benchmarks, indirect.spreads(list(benchmarks.values())), strict=True))
    return found


def _marked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a column ``mark``: digits, the same for the same benchmark in the same version."""
    keys, versions = rows["key"].tolist(), list(zip(*(rows[name].tolist() for name in VERSION), strict=True))
    of_key = {key: _digits(key)[:KEY] for key in set(keys)}
    of_version = {version: _digits("\0".join(version))[:6] for version in set(versions)}
    return rows.assign(mark=[of_key[key] + of_version[version] for key, version in zip(keys, versions, strict=True)])


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def builds(known: History) -> dict[str, str]:
    """What every build that was an arm of a run is called, by identity; those of the newest runs last.

    With its commit where it was made of one: ``0123456789 Subject, 2026-11-28 (git:~/cpython@main)``.
    """
    names: dict[str, str] = {}
    for entry in known.runs:
        for side in (entry.base, entry.head):
            names.pop(side.identity, None)
            made = points.commit(side)
            plain = side.spec if side.version in side.spec else f"{side.spec} ({side.version})"
            names[side.identity] = plain if made is None else f"{commits.words(made)} ({side.spec})"
    return names


def shared(found: Sequence[Place], known: History, labels: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Name and content of the files beside the page that are made of everything. `labels` are `builds`."""
    yield "builds", _builds(found, known, labels)
    yield "benchmarks", {_digits(key)[:KEY]: [key, addresses.slug(key)] for key in points.names(known)}
    for place in found:
        yield f"place-{place.id}", _of_place(place)


def of_runs(known: History, ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """And of those that are made of one run each."""
    layouts = {entry.id: entry.layouts for entry in known.runs}
    for begin in range(0, len(ids), TOGETHER):
        some = ids[begin : begin + TOGETHER]
        rows = _marked(points.of_runs(known, some))
        by_run = dict(iter(rows.groupby("run", sort=False)))
        for id in some:
            yield run_name(id), _of_run(by_run.get(id, rows.iloc[:0]), layouts[id])


def run_name(id: str) -> str:
    """Name of a run's file."""
    return f"run-{id}"


def script(name: str, content: Any) -> str:
    """A file's text."""
    # A benchmark's name may hold whatever a script would end at.
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return f"lockstepData({json.dumps(name)},{text});\n"


def _builds(found: Sequence[Place], known: History, labels: Mapping[str, str]) -> dict[str, Any]:
    specs = {side.identity: side.spec for entry in known.runs for side in (entry.base, entry.head)}
    place_of_run = {entry.id: number for number, place in enumerate(found) for entry in place.runs}
    return {
        "builds": [[short(identity), label, *_told(identity, specs[identity])] for identity, label in labels.items()],
        "places": [{"id": place.id, "title": place.title, "suite": shlex.quote(place.suite)} for place in found],
        # The best first, with their places as numbers.
        "runs": [
            [entry.id, short(entry.base.identity), short(entry.head.identity), place_of_run[entry.id],
             site.day(entry.created), "" if entry.mean is None else quantities.ratio(*entry.mean[:3])]
            for entry in points.best_first(entry for place in found for entry in place.runs)
        ],
    }


def short(identity: str) -> str:
    """A build's id in an address."""
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _told(identity: str, spec: str) -> tuple[str, str]:
    """How a command line names a build, and the command: a project's commit is known by its hash alone."""
    # The identity of what asv installed is its commit; those of builds and files have other lengths.
    if re.fullmatch(r"[0-9a-f]{40}", identity):
        return identity, "continuous"
    return shlex.quote(spec), "ab"


def _of_place(place: Place) -> dict[str, Any]:
    return {
        "how": how(place, "{through}"), "margin": math.log1p(place.margin), "words": [COUNTED, TIMED],
        "all_words": ALL,
        "spreads": {
            mark: [float(f"{spread.tau**2:.9g}"), round(spread.df, 3)]
            for mark, spread in place.spreads.items() if spread is not None
        },
        "each": [round(one, 5) for one in indirect.quantiles(ALPHA)],
        "all": [round(one, 5) for one in indirect.quantiles(_share(place))],
    }


def _of_run(rows: pd.DataFrame, layouts: int) -> dict[str, tuple[Any, ...]]:
    """For each benchmark by mark whether it is a timing; log ratio, standard error and degrees of freedom; and ratio,
    interval and verdict of the run's report."""
    timed = (int(metric == Metric.TIME.value) for metric in rows["metric"].tolist())
    df = {blocks: indirect.estimate(0.0, 0.0, blocks, layouts).df for blocks in set(rows["counted"].tolist())}
    numbers = (_rounded(rows[name]) for name in ("log_ratio", "se"))
    told = ([quantities.rounded(one, 5) for one in rows[name].tolist()] for name in ("ratio", "low", "high"))
    return dict(zip(rows["mark"].tolist(), zip(
        timed, *numbers, map(df.__getitem__, rows["counted"].tolist()), *told, rows["verdict"].tolist(), strict=True,
    ), strict=True))


def _rounded(numbers: pd.Series) -> list[float | None]:
    return [_number(number) for number in numbers.tolist()]


def _estimate(row: Mapping[Any, Any], layouts: int) -> Estimate | None:
    """A row's estimate, in the digits that the page has; None where it has none. `layouts` are its run's."""
    log, se = _number(row["log_ratio"]), _number(row["se"])
    return None if log is None or se is None else indirect.estimate(log, se, int(row["counted"]), layouts)


def _number(number: float) -> float | None:
    """Five digits, which is more than can be seen; None for what is no number."""
    return float(f"{number:.5g}") if math.isfinite(number) else None


def page(found: Sequence[Place], known: History, labels: Mapping[str, str]) -> ComparePage:
    """The page, with a table of the two newest builds that were measured against one: for readers without scripts."""
    pair = next((pair for place in found if (pair := _newest_two(place)) is not None), None)
    if pair is None:
        return ComparePage(base="", head="", how="", summary="", rows=(), command="", first=("", ""))
    place, base, head = pair
    rows = _rows(known, place, base.id, head.id)
    told = [_told(entry.head.identity, entry.head.spec) for entry in (base, head)]
    suite = f" --suite {shlex.quote(place.suite)}" if told[0][1] == "ab" else ""
    return ComparePage(
        base=labels[base.head.identity], head=labels[head.head.identity], summary=_summary(rows), rows=rows,
        how=how(place, labels[head.base.identity]), first=(short(base.head.identity), short(head.head.identity)),
        command=f"lockstep {told[0][1]} {told[0][0]} {told[1][0]}{suite}",
    )


def _newest_two(place: Place) -> tuple[Place, Entry, Entry] | None:
    """The newest points of two builds against one anchor."""
    there = points.whole(place.points)
    for number in reversed(range(len(there))):
        last = there[number]
        for entry in reversed(there[:number]):
            if entry.base.identity == last.base.identity and entry.head.identity != last.head.identity:
                return place, entry, last
    return None


def how(place: Place, through: str) -> str:
    """How a table came about, in words; `through` is the build between, or several joined by *and*."""
    wider = (f"Through {through}, with {place.title}: in a run of its own at each step. The intervals are wider than "
             "those of a direct comparison, by the errors of all these runs")
    unknown = sum(spread is None for spread in place.spreads.values())
    if unknown:
        of = "" if unknown == len(place.spreads) else f" for {unknown} of {len(place.spreads)} benchmarks"
        return f"{wider}. How far runs are apart beyond that is not known yet{of}: these may still be too narrow."
    return f"{wider}, and by how far runs are apart beyond that."


def way(entries: Sequence[Entry], base: str, head: str) -> list[tuple[int, Entry]]:
    """From one build to another, by their identities, over as few runs of one place as can be, and of those the best
    (`points.best_first`).

    Each run with the sign of its log ratio on the way. Empty where there is no way, or none over `FARTHEST` runs. As
    assets/compare.js has it.
    """
    ways: dict[str, list[tuple[int, Entry]]] = {base: []}
    reached, best = [base], points.best_first(entries)
    for here in reached:
        if len(ways[here]) == FARTHEST:
            continue
        for entry in best:
            sides = entry.base.identity, entry.head.identity
            for sign, (begin, end) in ((1, sides), (-1, sides[::-1])):
                if begin == here and end not in ways:
                    ways[end] = [*ways[here], (sign, entry)]
                    if end == head:
                        return ways[end]
                    reached.append(end)
    return []


def through(known: History, place: Place, steps: Sequence[tuple[int, str]]) -> list[Compared]:
    """The benchmarks that all runs of a way have, by sign and id of each: what differs first, the largest first."""
    rows = [
        {row["mark"]: row for row in _marked(points.of_runs(known, [run])).to_dict("records")} for _, run in steps
    ]
    layouts = {entry.id: entry.layouts for entry in place.runs}
    found = []
    for mark, last in rows[-1].items():
        estimates = [
            (sign, _estimate(own[mark], layouts[run]))
            for (sign, run), own in zip(steps, rows, strict=True) if mark in own
        ]
        measured = [(sign, one) for sign, one in estimates if one is not None]
        if len(measured) < len(steps):
            continue
        words = TIMED if last["metric"] == Metric.TIME.value else COUNTED
        one = indirect.chain(measured, place.spreads.get(mark))
        state, (low, high) = _state(one, place), indirect.interval(one, ALPHA)
        found.append(Compared(
            key=str(last["key"]), state=state, words=words[state], log_ratio=one.mean, low=low, high=high))
    return sorted(found, key=lambda one: (ORDER[one.state], -abs(one.log_ratio), one.key))


def _rows(known: History, place: Place, base: str, head: str) -> list[ComparedRow]:
    """The table of two builds, from their runs against one anchor."""
    return [
        ComparedRow(
            key=one.key, link=f"benchmarks/{addresses.slug(one.key)}.html", state=one.state, words=one.words,
            ratio=quantities.ratio(*map(indirect.ratio, (one.log_ratio, one.low, one.high))))
        for one in through(known, place, [(-1, base), (1, head)])
    ]


def _share(place: Place) -> float:
    """The error of each benchmark, so that all of a table have `ALPHA` together."""
    return ALPHA / max(1, len(place.spreads))


def _state(one: Estimate, place: Place) -> str:
    low, high = indirect.interval(one, _share(place))
    if low > 0 or high < 0:
        return "slower" if low > 0 else "faster"
    low, high = indirect.interval(one, ALPHA)
    margin = math.log1p(place.margin)
    return "same" if -margin < low and high < margin else "undecided"


def _summary(rows: Sequence[ComparedRow]) -> str:
    counts = [(words, sum(row.state == state for row in rows)) for state, words in ALL.items()]
    return f"head {', '.join(f'{words} in {count}' for words, count in counts)} of {len(rows)}"
