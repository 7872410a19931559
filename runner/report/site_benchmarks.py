"""The index of all benchmarks: in groups with a mean each, and the course of every one in the size of a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from dashboards import sparklines
from dashboards.history_records import Cell, IndexGroup, IndexPage, IndexRow, Spot
from runner.history import points
from runner.history.runs import Entry, History
from runner.model import Metric, Verdict
from runner.report import addresses, commits, quantities, site
from runner.stats.paired import Array

SERIES = ("version", "course")
"""What the runs at one spot agree in, where they are one course of a benchmark: the second is `points.course`."""
COLUMNS, CELLS = 3, 1800
"""Spots that have a column each at most, the newest; fewer where that would make more cells than these: the page stays
below one megabyte."""
CHANGED = (Verdict.FASTER.value, Verdict.SLOWER.value)
SIZE = re.compile(r"(\d+) ?(B|KiB|MiB|GiB)\b")
SHIFTS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What there is at one spot."""

    spot: Spot
    margin: float
    newest: Mapping[str, Mapping[Any, Any]]
    """Each benchmark's newest row."""
    logs: Array
    """Log ratios of the newest series: a row a run, oldest first, a column a benchmark; NaN where it was not
    measured."""
    filled: Array
    """The same with the last value before what is missing, or the first after it."""
    column: Mapping[str, int]
    """Each benchmark's, by key."""


def index(known: History, *, url: str) -> IndexPage:
    """The page of all benchmarks; `url` is the address of commits, or empty."""
    names = points.names(known)
    spots = _by_spot(known)
    most = max(1, min(COLUMNS, CELLS // max(1, len(names))))
    shown = [_course(known, where, entries, url) for where, entries in spots[:most]]
    groups: dict[str, list[str]] = {}
    for key in sorted(names, key=_natural):
        groups.setdefault(names[key].rpartition(".")[0], []).append(key)
    return IndexPage(
        spots=[one.spot for one in shown], total=len(names), more=len(spots) - len(shown),
        groups=[
            IndexGroup(name=name or "functions of the suite", cells=[_mean(one, keys) for one in shown],
                       rows=[_row(key, key.removeprefix(f"{name}."), shown) for key in keys])
            for name, keys in sorted(groups.items(), key=lambda group: _natural(group[0]))
        ],
    )


def _by_spot(known: History) -> list[tuple[points.Spot, list[Entry]]]:
    """The points at each spot in order; that with the newest run first."""
    found: dict[points.Spot, list[Entry]] = {}
    for entry in known.runs:  # oldest first
        if points.is_point(entry):
            where = points.spot(entry)
            own = found.pop(where, [])
            own.append(entry)
            found[where] = own  # behind the others
    return [(where, points.in_order(entries)) for where, entries in reversed(found.items())]


def _course(known: History, where: points.Spot, entries: Sequence[Entry], url: str) -> _Course:
    last = entries[-1]
    # A ratio to another base would stand under the name of this one, and in its means.
    same = [entry for entry in entries if entry.base.identity == last.base.identity]
    drawn = {entry.id: entry for entry in same[-sparklines.LONGEST:]}
    rows = points.of_runs(known, list(drawn))
    rows = rows.assign(
        place=rows["run"].map({id: place for place, id in enumerate(drawn)}),
        course=rows["run"].map({id: points.course(entry) for id, entry in drawn.items()}),
    ).sort_values("place", kind="stable")
    measured = rows[np.isfinite(rows["log_ratio"])]
    current = measured.drop_duplicates("key", keep="last")[["key", *SERIES]]
    own = measured.merge(current, on=["key", *SERIES]).drop_duplicates(["place", "key"], keep="last")
    wide = own.pivot(index="place", columns="key", values="log_ratio").sort_index()
    made = points.commit(last.head)
    return _Course(
        spot=Spot(
            title=spot_title(where, last), anchor=commits.label(last.base), newest=commits.label(last.head),
            commit=None if made is None else commits.line(made, url), when=site.day(last.created)),
        margin=last.margin, logs=wide.to_numpy(dtype=float), filled=wide.ffill().bfill().to_numpy(dtype=float),
        column={str(key): number for number, key in enumerate(wide.columns)},
        newest={str(row["key"]): row for row in rows.drop_duplicates("key", keep="last").to_dict("records")},
    )


def spot_title(where: points.Spot, entry: Entry) -> str:
    """What is watched and where, in words: ``main ?pgo, suite benchmarks, on Some CPU (01234567)``."""
    options = f" ?{where.configuration}" if where.configuration else ""
    what = f"{where.watch}{options}" if where.watch else "runs made by hand"
    return f"{what}, suite {where.suite}, on {site.machine_name(entry.machine)}"


def _row(key: str, label: str, courses: Sequence[_Course]) -> IndexRow:
    cells = [_cell(key, one) for one in courses]
    return IndexRow(
        label=label, link=f"{addresses.slug(key)}.html", cells=cells,
        changed=any(cell is not None and cell.state in CHANGED for cell in cells),
    )


def _cell(key: str, course: _Course) -> Cell | None:
    row = course.newest.get(key)
    if row is None:
        return None
    ratio, state = float(row["ratio"]), str(row["verdict"])
    drawn = ""
    if key in course.column:
        drawn = sparklines.course(np.exp(course.logs[:, course.column[key]]), course.margin)
    return Cell(text=quantities.ratio(ratio) if ratio > 0 else state, state=state, course=Markup(drawn))


def _mean(course: _Course, keys: Sequence[str]) -> Cell | None:
    """Geometric means of a group: of its timings, whose course is drawn, and of the rest.

    A benchmark that a run lacks counts there with its last value, or its first where it came later: the mean moves
    because a benchmark did, and not because another set of them was measured.
    """
    there = [key for key in keys if key in course.column]
    timed = [key for key in there if course.newest[key]["metric"] == Metric.TIME.value]
    rest = [key for key in there if course.newest[key]["metric"] != Metric.TIME.value]
    sets = (("", timed), ("memory and counts ", rest))
    means = [(name, _logs(course, own).mean(axis=1)) for name, own in sets if own]
    if not means:
        return None
    drawn = sparklines.course(np.exp(means[0][1]), course.margin)
    return Cell(text="; ".join(_said(means)), state="", course=Markup(drawn))


def _logs(course: _Course, keys: Sequence[str]) -> Array:
    """Log ratios, a row for each run that has any of them, a column a benchmark, with nothing missing."""
    own = [course.column[key] for key in keys]
    found: Array = course.filled[np.isfinite(course.logs[:, own]).any(axis=1)][:, own]
    return found


def _said(means: Sequence[tuple[str, Array]]) -> Iterator[str]:
    for name, line in means:
        yield (name if len(means) > 1 else "") + quantities.ratio(float(np.exp(line[-1])))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """For sorting as people do: ``size=4KiB`` before ``size=16KiB``, and that before ``size=1MiB``."""
    name = SIZE.sub(lambda size: str(int(size[1]) << SHIFTS[size[2]]), name)
    return [
        (1, int(part), "") if part.isdecimal() else (0, 0, part.lower()) for part in re.split(r"(\d+)", name) if part
    ]
