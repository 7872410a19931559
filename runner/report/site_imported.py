"""The page of imported results: series that are not paired, apart from all that was measured in pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from markupsafe import Markup, escape

from dashboards import sparklines
from dashboards.history_records import ImportedPage, ImportedPoint, ImportedRow, ImportedSeries
from runner.history import imported
from runner.history.imported import Course, Series
from runner.judging.report import Comparison
from runner.model import Verdict
from runner.report import commits, files, quantities, words
from runner.storage.imports import Found, Imported

MARGIN = 0.01
COLUMNS = ("measured", "Python", "processes", "files")
NOTES = (
    f"{files.NOT_PAIRED} {files.SESSIONS}",
    "They were measured by other programs, and are in none of the histories on other pages. `lockstep compare` judges "
    "two such files.",
)
LAST = -1


def page(found: Found, *, url: str) -> ImportedPage:
    """The page; `url` is the address of commits, or empty."""
    return ImportedPage(
        notes=[_coded(note) for note in NOTES], problems=found.problems,
        series=[_series(one, url) for one in reversed(imported.series(found.imports))])


def _coded(text: str) -> Markup:
    """What stands between backquotes as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(text.split("`")))


def _series(one: Series, url: str) -> ImportedSeries:
    against = [(name, place) for name, place in (("first", 0), ("the one before", len(one.imports) - 2))
               if 0 <= place < len(one.imports) - 1]
    if len({place for _, place in against}) == 1:
        against = against[:1]  # of two imports the first is the one before
    reports = [one.compared(place, LAST, MARGIN) for _, place in against]
    lines = [{line.name: line for line in report.comparisons} for report in reports]
    machine = one.machine or "a machine without a name"
    return ImportedSeries(
        title=f"{machine}, benchmarks of version {one.version}" if one.version else machine, columns=COLUMNS,
        points=[_point(point, url) for point in reversed(one.imports)], against=[name for name, _ in against],
        rows=[ImportedRow(
            name=course.name, value=_value(course), compared=[_compared(course.name, own) for own in lines],
            course=Markup(sparklines.course(course.ratios, MARGIN))) for course in one.courses()],
    )


def _point(one: Imported, url: str) -> ImportedPoint:
    shown = commits.shown(one.commit, subject="", date=one.started, url=url if one.commit else "")
    pythons = {str(file.metadata.get("python_version", "")) for file in one.files}
    processes = sum(len(sampled.processes) for file in one.files for sampled in file.benchmarks)
    return ImportedPoint(
        build=one.build, commit=shown.short, link=shown.link,
        facts=(quantities.day(one.started), ", ".join(sorted(pythons)) or "–", str(processes), str(len(one.files))))


def _value(course: Course) -> str:
    last = float(course.logs[LAST])
    return quantities.value(math.exp(last), course.unit) if np.isfinite(last) else "–"


def _compared(name: str, lines: Mapping[str, Comparison]) -> tuple[str, str, str]:
    line = lines.get(name)
    if line is None:
        return "–", "–", ""
    if line.too_few:
        return "–", "too few processes", ""
    state = line.verdict.value if line.verdict in (Verdict.FASTER, Verdict.SLOWER) else ""
    return words.ratio(line), words.verdict(line), state
