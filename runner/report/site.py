"""The site's pages as records: a history in the words of a report."""

from __future__ import annotations

import hashlib
import math
import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from dashboards import strips
from dashboards.records import (
    Bar,
    BenchmarkPage,
    Line,
    MachineCard,
    NotCompared,
    Overview,
    RunLine,
    RunPage,
    Series,
    Trust,
)
from runner.history.runs import Entry, History
from runner.judging.report import NOT_REACHED, Comparison, Report
from runner.model import Metric, Verdict
from runner.report import explain, notices, quantities, reasons, words
from runner.report.sections import sections
from runner.stats import steps

REACH = 5
"""Margins from the middle of a bar's axis to its edge."""
PAIRS, CHANGES, SHOWN = 20, 40, 50
"""Most pairs and changes on the overview, and runs in a table on a benchmark's page; all are in the lists behind."""
REASON = 60
"""Letters of a reason that a table shows; below it, or in the run's report, it stands whole."""
ALARMS = ("canary", "canary-failed", "drift", "disturbed-ratios", "disturbed-blocks", "order-effect", "steal")
"""Notices of a run that tell of the machine."""
LOST = (Verdict.FAILED.value, Verdict.ONLY_IN_BASE.value, Verdict.ONLY_IN_HEAD.value)
"""States that need a look."""
VAGUE = (Verdict.UNDECIDED.value, NOT_REACHED)
"""States that need one where a run has hardly any other."""


def slug(key: str) -> str:
    """A benchmark's name in an address: its letters, digits and underscores, and some of its hash: names stay apart."""
    return f"{re.sub(r'[^A-Za-z0-9_.]+', '-', key).strip('-')[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def day(seconds: float) -> str:
    """``2026-11-22 21:04``, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def run_page(report: Report) -> RunPage:
    """The comparison page of one run."""
    arms = [("base", words.arm(report.base)), ("head", words.arm(report.head))]
    facts = [("machine", words.machine(report.machine)), ("run", f"{report.run}, {words.effort(report)}")]
    if report.calibration is not None:
        facts.append(("known", words.calibration(report.calibration)))
    facts.append(("scope", words.scope(report)))
    facts += [("they differ in", words.difference(one, limit=400)) for one in report.differences if one.asked]
    warnings, more = notices.few(notices.warnings(report))
    return RunPage(
        id=report.run, title=f"{report.base['spec']} → {report.head['spec']}", arms=arms,
        headline=words.headline(report), facts=facts,
        warnings=warnings, more_warnings=more, counts=list(report.states.items()),
        lines=[_line(one, report) for one in sections(report).all], command=report.command,
        not_compared=[
            NotCompared(title=title, reasons=[(one.sentence, one.place, one.names()) for one in shown], rest=rest)
            for title, why in reasons.not_compared(report) for shown, rest in (reasons.first(why),)
        ],
        axis=quantities.percent(REACH * report.margin),
    )


def _line(one: Comparison, report: Report) -> Line:
    base, head = words.values(one)
    why = [words.side(words.failure(one), REASON)] if one.failure is not None else []
    return Line(
        label=one.key, link=f"../benchmarks/{slug(one.key)}.html", state=one.state, words=words.verdict(one),
        base=base, head=head, ratio=words.ratio(one),
        sort=quantities.sorting(base=one.base_value, head=one.head_value, ratio=one.ratio),
        bar=bar(one.ratio, one.low, one.high, report.margin),
        notes=[*why, *(notices.sentence(notice) for notice in one.notices)],
        command=f"{report.command} -b {shlex.quote('^' + re.escape(one.key) + '$')}",
    )


def bar(ratio: float | None, low: float | None, high: float | None, margin: float) -> Bar | None:
    """Where a ratio is drawn; None where there is none."""
    if ratio is None or low is None or high is None or not ratio > 0:
        return None
    edge = REACH * math.log1p(margin)

    def place(number: float) -> float:
        log = math.log(number) if number > 0 else -math.inf
        return 50 + 50 * max(-1.0, min(1.0, log / edge))

    log = math.log(ratio)
    beyond = 0 if abs(log) <= edge else int(math.copysign(1, log))
    return Bar(low=place(low), at=place(ratio), high=place(high), beyond=beyond)


def table(report: Report) -> pd.DataFrame:
    """A run's benchmarks as a table, for a file."""
    return pd.DataFrame([
        {"benchmark": one.key, "verdict": one.state, "ratio": one.ratio, "low": one.low, "high": one.high,
         "base": one.base_value, "head": one.head_value, "unit": one.unit, "blocks": one.blocks,
         "seconds": one.machine_seconds}
        for one in report.comparisons
    ])


def blocks_table(c: Comparison) -> pd.DataFrame | None:
    """A benchmark's blocks, to be drawn; None where there is no more to see than the numbers say."""
    arrays = (c.started, c.log_ratios, c.base_values, c.head_values)
    if c.exact or len(c.log_ratios) < 2 or len({len(array) for array in arrays}) > 1:
        return None
    finite = np.isfinite(np.vstack(arrays)).all(axis=0)
    if finite.sum() < 2:
        return None
    names = ("started", "log_ratio", "base", "head")
    return pd.DataFrame({name: array[finite] for name, array in zip(names, arrays, strict=True)})


def run_lines(entries: Iterable[Entry]) -> list[RunLine]:
    """Runs as a list shows them, newest first."""
    return [_run_line(entry) for entry in sorted(entries, key=lambda entry: entry.created, reverse=True)]


def _run_line(entry: Entry) -> RunLine:
    mean = "–" if entry.mean is None else quantities.ratio(*entry.mean[:3])
    return RunLine(
        id=entry.id, when=day(entry.created), sort=str(entry.created), base=entry.base.spec, head=entry.head.spec,
        suite=Path(entry.suite).name, machine=_machine_name(entry.machine), mean=mean,
        counts=list(entry.counts.items()),
        state="" if entry.complete else "interrupted",
    )


def overview(history: History, *, asv: bool) -> Overview:
    """The first page."""
    latest = {entry.pair: entry for entry in history.runs}  # oldest first: the last one stays
    newest = sorted(latest.values(), key=lambda entry: entry.created, reverse=True)[:PAIRS]
    ids = {entry.id: entry for entry in newest}
    rows = history.of_runs(ids)
    changed = rows[rows["verdict"].isin([Verdict.FASTER.value, Verdict.SLOWER.value])]
    # Of the nights of one base, each a pair of its own, a benchmark is told of once: by the last in which it differed.
    places = ["\n".join((ids[run].base.spec, *ids[run].pair[2:])) for run in changed["run"]]
    changed = changed.assign(place=places).drop_duplicates(["key", "place"], keep="last")
    size = changed["ratio"].map(lambda ratio: abs(math.log(ratio)) if ratio > 0 else math.inf)
    changed = changed.assign(size=size).sort_values("size", ascending=False, kind="stable").head(CHANGES)
    return Overview(
        latest=run_lines(newest),
        changed=[_row_line(row, ids[row["run"]], label=row["key"], root="") for row in changed.to_dict("records")],
        attention=[*((problem, "") for problem in history.problems), *_attention(newest, rows)],
        machines=_machines(history.runs), runs=len(history.runs), asv=asv,
    )


def _attention(newest: Sequence[Entry], rows: pd.DataFrame) -> list[tuple[str, str]]:
    found = []
    for entry in newest:
        name = f"{entry.base.spec} → {entry.head.spec}, {day(entry.created)}"
        link = f"runs/{entry.id}.html"
        if not entry.complete:
            found.append((f"{name}: interrupted", link))
        own = rows[rows["run"] == entry.id]
        for state in LOST + VAGUE:
            count = int((own["verdict"] == state).sum())
            # One that is undecided is no trouble; a run that mostly is has not said much.
            if count and (state in LOST or 2 * count > len(own)):
                found.append((f"{name}: {count} of {len(own)} {state}", link))
        found += [(f"{name}: {notices.sentence(notice)}", link) for notice in entry.notices if notice.kind in ALARMS]
    return found


def _machines(runs: Sequence[Entry]) -> list[MachineCard]:
    by_machine: dict[str, list[Entry]] = {}
    for entry in runs:
        by_machine.setdefault(str(entry.machine.get("fingerprint")), []).append(entry)
    cards = []
    for entries in sorted(by_machine.values(), key=lambda entries: entries[-1].created, reverse=True):
        last = entries[-1]
        alarms = [entry for entry in entries if any(notice.kind in ALARMS for notice in entry.notices)]
        cards.append(MachineCard(
            name=_machine_name(last.machine),
            facts=[
                ("what it is", words.machine(last.machine)), ("runs", f"{len(entries)}, the last {day(last.created)}"),
                ("runs with a warning about it", str(len(alarms))),
            ],
            warnings=[notices.sentence(notice) for notice in last.notices if notice.kind in ALARMS],
        ))
    return cards


def _machine_name(machine: Mapping[str, Any]) -> str:
    return f"{machine.get('cpu') or machine.get('arch')} ({str(machine.get('fingerprint'))[:8]})"


def _row_line(row: Any, entry: Entry, *, label: str, root: str) -> Line:
    """A row of the history's table; `root` leads from the page to the site's first folder."""
    ratio, low, high = (None if math.isnan(row[name]) else float(row[name]) for name in ("ratio", "low", "high"))
    exact = bool(row["exact"])
    state = str(row["verdict"])
    missing = words.TOO_FEW if state == NOT_REACHED else "–"
    shown = missing if ratio is None else quantities.ratio(ratio, *((None, None) if exact else (low, high)))
    return Line(
        label=label,
        link=f"{root}benchmarks/{slug(row['key'])}.html" if label == row["key"] else f"{root}runs/{entry.id}.html",
        state=state, words=_verdict(state, ratio, row), ratio=shown,
        base=quantities.value(row["base_value"], row["unit"]),
        head=quantities.value(row["head_value"], row["unit"]),
        sort={
            **quantities.sorting(base=row["base_value"], head=row["head_value"], ratio=row["ratio"]),
            "date": str(entry.created),
        },
        bar=bar(ratio, low, high, entry.margin), command="", when=day(entry.created),
        notes=[words.side(row["reason"], REASON)] if row["reason"] else [],
    )


def _verdict(state: str, ratio: float | None, row: Any) -> str:
    if state not in (Verdict.FASTER.value, Verdict.SLOWER.value) or ratio is None or ratio <= 0:
        return state
    timed = row["metric"] == Metric.TIME.value
    word = state if timed else "less" if state == Verdict.FASTER.value else "more"
    sure = "" if row["clear"] or row["exact"] else " (not clear)"
    return f"{quantities.factor(max(ratio, 1 / ratio))} {word}{sure}"


def benchmark_page(
    key: str, rows: pd.DataFrame, entries: Mapping[str, Entry], record: Mapping[str, Any] | None,
    last: Comparison | None,
) -> tuple[BenchmarkPage, dict[str, pd.DataFrame]]:
    """One benchmark through all runs, and its tables by file name.

    `rows` are the history's of this benchmark, oldest first; `record` is what its suite says of it, None where the
    suite is not at hand; `last` is its line in the newest run, with its blocks.
    """
    name, series, files = slug(key), [], dict[str, pd.DataFrame]()
    keyed = rows.assign(
        machine=[str(entries[run].machine.get("fingerprint")) for run in rows["run"]],
        anchor=[entries[run].base.identity for run in rows["run"]],
    )
    groups = sorted(
        keyed.groupby(["machine", "anchor", "version"], sort=False), key=lambda group: -group[1]["created"].iloc[-1]
    )
    versions = keyed["version"].nunique()
    for number, (_, own) in enumerate(groups, start=1):
        file = f"{name}.{number}.csv"
        files[file] = own.drop(columns=["machine", "anchor"])
        series.append(_series(own, entries, file, several=versions > 1))
    code = str(record.get("code", "")) if record else ""
    newest = entries[rows["run"].iloc[-1]]
    blocks, noise = Markup(), None if last is None else last.noise
    if last is not None and (drawn := blocks_table(last)) is not None:
        files[f"{name}.blocks.csv"] = drawn
        blocks = Markup(strips.blocks(drawn, low=last.low, high=last.high, margin=newest.margin))
    page = BenchmarkPage(
        key=key, slug=name, doc=str(record.get("doc") or "") if record else "",
        place=str(record.get("place") or "") if record else "", code=code, series=series, blocks=blocks,
        last=f"Last measured {day(newest.created)}: {newest.base.spec} → {newest.head.spec}, "
             f"{rows['verdict'].iloc[-1]}.",
        noise=() if noise is None else explain.parts(noise),
        noise_sd="" if noise is None else f"Noise of a slice, {quantities.percent(noise.sd)}:",
    )
    return page, files


def _series(own: pd.DataFrame, entries: Mapping[str, Entry], file: str, *, several: bool) -> Series:
    last = entries[own["run"].iloc[-1]]
    drawn = own[(own["ratio"] > 0) & own["verdict"].isin(["faster", "slower", "same", "undecided"])]
    labels = [entries[run].head.spec for run in drawn["run"]]
    figure, changes = Markup(), tuple[int, ...]()
    if len(drawn):
        changes = steps.changes(list(drawn["ratio"]), list(drawn["low"]), list(drawn["high"]), last.margin)
        figure = Markup(strips.history(drawn.assign(label=labels), margin=last.margin, changes=changes))
    shown = own.iloc[::-1].head(SHOWN)
    note = ""
    if several:
        note = (f"Version {own['version'].iloc[-1][:10]} of the benchmark's code: results of another version measured"
                " something else, and are a series of their own.")
    return Series(
        title=f"against {last.base.spec} on {_machine_name(last.machine)}", figure=figure,
        lines=[_row_line(row, entries[row["run"]], label=entries[row["run"]].head.spec, root="../")
               for row in shown.to_dict("records")],
        total=len(own), csv=file, note=note,
        changes=[(f"{labels[at]}, {day(entries[run].created)}", f"../runs/{run}.html")
                 for at in changes for run in [drawn["run"].iloc[at]]],
    )


def trust(calibrations: Sequence[tuple[str, str]], history: History, evidence: str) -> Trust:
    """The trust page. `calibrations` (machine and Markdown) and `evidence` (Markdown) are rendered; HTML is text."""
    by_machine: dict[str, list[Entry]] = {}
    for entry in history.runs:
        by_machine.setdefault(_machine_name(entry.machine), []).append(entry)
    canary = []
    for name, entries in by_machine.items():
        spoke = sum(any(notice.kind == "canary" for notice in entry.notices) for entry in entries)
        canary.append([name, str(len(entries)), f"{spoke} ({quantities.percent(spoke / len(entries))})"])
    return Trust(
        calibrations=[(name, _markdown(text)) for name, text in calibrations], canary=canary,
        evidence=_markdown(evidence),
    )


def _markdown(text: str) -> Markup:
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(text)) if text else Markup()
