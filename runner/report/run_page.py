"""The page of one run as a record: the same for the site and for the run's own report."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from dashboards import axis
from dashboards.axis import Array, Axis
from dashboards.forest import Row, forest
from dashboards.pages import breakable
from dashboards.records import Bar, Choice, Line, NotCompared, RunPage
from runner.judging.report import STATES, Comparison, Report
from runner.model import Verdict
from runner.report import addresses, commits, explain, grouped, notices, picture, quantities, reasons, words
from runner.report.sections import sections
from runner.storage.explanations import Kept

if TYPE_CHECKING:
    import pandas as pd

REASON = 60
"""Letters of a reason that a table shows; below it, or in the run's report, it stands whole."""
METRICS = {"time": "time", "peakmem": "peak memory", "track": "tracked value"}

Link = Callable[[Comparison], str]


def run_page(
    report: Report, *, link: Link | None = None, explained: Sequence[Kept] = (), own_report: str = "",
    commit_url: str = "",
) -> RunPage:
    """The page of one run.

    `link` leads from the page to a benchmark; by default to its page of the site. `explained` is what is kept of the
    run's explanations, `own_report` the address of the run's own report, where it is beside; `commit_url` as in
    `report.commits`.
    """
    link = link or (lambda one: addresses.benchmark(one.key, "../"))
    links = {one.key: link(one) for one in report.comparisons}
    rows = picture.rows(picture.items(report, links))
    ordered = sections(report).all
    scale = axis.around((one.ratio for one in ordered), report.margin)
    drawn = bars(((one.ratio, one.low, one.high) for one in ordered), scale)
    lines = [_line(one, report, links, bar) for one, bar in zip(ordered, drawn, strict=True)]
    warnings, more = notices.few(notices.warnings(report))
    return RunPage(
        id=report.run, title=f"{report.base['spec']} → {report.head['spec']}",
        arms=[("base", words.arm(report.base)), ("head", words.arm(report.head))],
        headline=words.headline(report), facts=_facts(report, commit_url), warnings=warnings, more_warnings=more,
        counts=list(report.states.items()), lines=lines, command=report.command,
        not_compared=_not_compared(report, links), reach=reach(scale), picture=picture.picture(rows),
        changes=grouped.changes(rows), choices=[Choice(name="metric", label="Metric", values=_some(lines))],
        forest=_forest(ordered, report.margin, links), margin=quantities.percent(report.margin),
        notes=[words.NOT_CLEAR] if any("not clear" in line.words for line in lines) else [],
        explained=[explain.told(one, links[one.key]) for one in explained if one.key in links], report=own_report,
    )


def _facts(report: Report, commit_url: str) -> list[tuple[str, str]]:
    facts = [("machine", words.machine(report.machine)), ("run", f"{report.run}, {words.effort(report)}")]
    if report.calibration is not None:
        facts.append(("known", words.calibration(report.calibration)))
    facts += [("scope", words.scope(report)), *commits.facts(report, commit_url)]
    return facts + [("they differ in", words.difference(one, limit=400)) for one in report.differences if one.asked]


def _some(lines: Iterable[Line]) -> list[str]:
    return sorted({line.metric for line in lines if line.metric})


def _line(one: Comparison, report: Report, links: Mapping[str, str], bar: Bar | None) -> Line:
    key = one.key
    base, head = words.values(one)
    why = [words.side(words.failure(one), REASON)] if one.failure is not None else []
    return Line(
        label=key, link=links[key], state=one.state, words=words.verdict(one), base=base, head=head,
        ratio=words.ratio(one),
        sort=sorting(one.state, base=one.base_value, head=one.head_value, ratio=one.ratio),
        bar=bar,
        notes=[*why, *(notices.sentence(notice) for notice in one.notices)],
        command=f"{report.command} -b {shlex.quote('^' + re.escape(key) + '$')}",
        size=size(one.ratio, one.state), metric=METRICS[one.metric.value],
    )


def sorting(state: str, *, ratio: float | None, **columns: float | None) -> dict[str, str]:
    """What a line's columns are sorted by; verdicts by their kind, and the largest change of a kind first."""
    change = (size(ratio, state) or 0.0) / 100
    rank = STATES.index(state) if state in STATES else len(STATES)
    return {**quantities.sorting(ratio=ratio, **columns), "verdict": f"{rank - change / (2 * axis.FARTHEST):.16g}"}


def size(ratio: float | None, state: str) -> float | None:
    """How large a change is, in per cent of the smaller side, for filters; None where there is no ratio. What changed
    has none from zero only, and that is as large as a change can be."""
    if ratio is None or math.isnan(ratio):
        return 100 * axis.FARTHEST if state in (Verdict.FASTER.value, Verdict.SLOWER.value) else None
    return 100 * min(axis.excess(ratio), axis.FARTHEST)


def bars(found: Iterable[Sequence[float | None]], scale: Axis) -> list[Bar | None]:
    """Where ratios (each with the bounds of its interval) are drawn on the axis of their table; None for none."""
    numbers = np.array([[math.nan if number is None else number for number in three] for three in found], dtype=float)
    if not len(numbers):
        return []
    places = 100 * scale(np.maximum(numbers, 0.0))
    drawn = (~np.isnan(numbers).any(axis=1) & (numbers[:, 0] > 0)).tolist()
    beyond = (numbers[:, 0] > scale.high).astype(int) - (numbers[:, 0] < scale.low).astype(int)
    return [
        Bar(at=at, low=low, high=high, beyond=side) if there else None
        for there, (at, low, high), side in zip(drawn, places.tolist(), beyond.tolist(), strict=True)
    ]


def reach(scale: Axis) -> tuple[str, str]:
    """What the ends of a table's axis are, in few letters: ``−5 %`` and ``+5 %``, ``1/120`` and ``120x``, ``84kx``."""

    def short(number: float) -> str:
        if 0.5 < number < 2:
            return axis.label(1 + round(number - 1, 2))
        times = picture.short(float(f"{max(number, 1 / number):.2g}"))
        return times if number > 1 else f"1/{times.removesuffix('x')}"

    return short(scale.low), short(scale.high)


def _not_compared(report: Report, links: Mapping[str, str]) -> list[NotCompared]:
    def linked(key: str) -> str:
        return str(Markup('<a href="{}">{}</a>').format(links[key], breakable(key)))

    # What is put between the names is ours: no escaping is needed there.
    return [
        NotCompared(title=title, rest=rest, reasons=[
            (one.sentence, one.place, Markup(one.names(show=linked))) for one in shown])
        for title, why in reasons.not_compared(report) for shown, rest in (reasons.first(why),)
    ]


def forest_rows(comparisons: Iterable[Comparison], links: Mapping[str, str]) -> list[Row]:
    """All ratios that have an interval, from the most faster to the most slower; `links` as in `Row`, by key."""
    rows = [
        Row(label=key, link=links.get(key, ""), ratio=c.ratio, low=c.low, high=c.high, verdict=c.verdict.value)
        for c in comparisons if c.compared and not c.exact and c.ratio and c.low and c.high for key in (c.key,)
    ]
    return sorted(rows, key=lambda row: row.ratio)


def _forest(ordered: Iterable[Comparison], margin: float, links: Mapping[str, str]) -> Markup:
    rows = forest_rows(ordered, links)
    return Markup(forest(rows, margin=margin)) if rows else Markup()


def table(report: Report) -> pd.DataFrame:
    """A run's benchmarks as a table, for a file."""
    import pandas as pd  # long to import, and no report of a run needs it

    return pd.DataFrame([
        {"benchmark": one.key, "verdict": one.state, "ratio": one.ratio, "low": one.low, "high": one.high,
         "base": one.base_value, "head": one.head_value, "unit": one.unit, "blocks": one.blocks,
         "seconds": one.machine_seconds}
        for one in report.comparisons
    ])


def blocks_table(c: Comparison) -> Mapping[str, Array] | None:
    """A benchmark's blocks, to be drawn: columns by name, alike in length; None where there is no more to see than the
    numbers say."""
    arrays = (c.started, c.log_ratios, c.base_values, c.head_values)
    if c.exact or len(c.log_ratios) < 2 or len({len(array) for array in arrays}) > 1:
        return None
    finite = np.isfinite(np.vstack(arrays)).all(axis=0)
    if finite.sum() < 2:
        return None
    names = ("started", "log_ratio", "base", "head")
    return {name: array[finite] for name, array in zip(names, arrays, strict=True)}
