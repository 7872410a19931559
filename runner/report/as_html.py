"""A report as one HTML file that needs nothing else: no network, no other file. It works without its script too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboards import figures, pages
from runner.judging.explanation import Explained, Explanation
from runner.judging.report import Comparison, Report
from runner.model import Verdict
from runner.report import explain, notices, quantities, reasons, site, words
from runner.report.sections import sections

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One benchmark as the template shows it."""

    id: str
    key: str
    state: str
    words: str
    base: str
    head: str
    ratio: str
    sort: Mapping[str, str]
    """Column to the number it is sorted by; empty where there is none, which sorts last."""
    figure: Markup
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    reason: str
    detail: str
    noise_sd: str
    """The standard deviation of a slice, in words."""
    noise: tuple[tuple[str, str, str], ...]
    """For each source of noise its name, its share in per cent, and that share in words with its interval."""
    told: Told | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One benchmark's explanation as the template shows it."""

    text: str
    notes: tuple[str, ...]
    work: tuple[tuple[str, str, str, str], ...]
    functions: tuple[tuple[str, str, str, str], ...]


def render(report: Report, explanation: Explanation | None = None) -> str:
    """The report as one HTML page with its figures, style and script inside; with an explanation where there is one."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    ordered = sections(report).all
    told = {} if explanation is None else {one.comparison.key: _told(one, explanation) for one in explanation.explained}
    rows = [_row(c, f"b{number}", report, told.get(c.key)) for number, c in enumerate(ordered)]
    environment.filters |= {"breakable": pages.breakable, "slug": pages.slug}
    warnings, more = notices.few(notices.warnings(report))
    return environment.get_template("page.html.j2").render(
        report=report,
        headline=words.headline(report),
        arms=[_arm("base", report.base), _arm("head", report.head)],
        differences=[(words.difference(d, limit=400), d.asked) for d in report.differences],
        machine=words.machine(report.machine),
        machine_facts=_flat(report.machine),
        effort=words.effort(report),
        calibration="" if report.calibration is None else words.calibration(report.calibration),
        scope=words.scope(report),
        warnings=warnings,
        more_warnings=more,
        not_compared=reasons.not_compared(report),
        shown=reasons.SHOWN,
        numbers={c.key: f"b{number}" for number, c in enumerate(ordered)},
        margin=quantities.percent(report.margin),
        not_clear=words.NOT_CLEAR if any("not clear" in row.words for row in rows) else "",
        states=list(report.states.items()),
        rows=rows,
        forest=_forest(ordered, report),
        # Ours: no escaping, which would break them.
        style=Markup(pages.asset("style.css")),
        script=Markup(pages.asset("table.js")),
    )


def _row(c: Comparison, id: str, report: Report, told: Told | None) -> Row:
    base, head = words.values(c)
    return Row(
        id=id,
        key=c.key,
        state=c.state,
        words=words.verdict(c),
        base=base,
        head=head,
        ratio=words.ratio(c),
        sort=quantities.sorting(base=c.base_value, head=c.head_value, ratio=c.ratio),
        figure=_figure(c, id, report.margin),
        facts=tuple(_facts(c)),
        warnings=tuple(notices.sentence(notice) for notice in c.notices),
        reason="" if c.failure is None else words.failure(c),
        detail="" if c.failure is None else reasons.users_part(c.failure.detail),
        noise_sd="" if c.noise is None else f"noise of a slice, {quantities.percent(c.noise.sd)}:",
        noise=() if c.noise is None else explain.parts(c.noise),
        told=told,
    )


def _told(one: Explained, explanation: Explanation) -> Told:
    noise, counts = one.comparison.noise, one.counts
    return Told(
        text=explain.paragraph(one, explanation), notes=() if noise is None else tuple(explain.notes(noise)),
        work=() if counts is None else tuple(explain.work_rows(counts)),
        functions=() if counts is None else tuple(explain.function_rows(counts)),
    )


def _facts(c: Comparison) -> Iterable[tuple[str, str]]:
    """What was done and found, as term and description."""
    if not c.compared and not c.blocks:
        return
    yield "per call", f"{words.values(c)[0]} in base, {words.values(c)[1]} in head"
    yield "head ÷ base", words.ratio(c)
    yield "blocks", f"{c.blocks}, {quantities.duration(c.machine_seconds)} of machine time"
    if c.verdict is Verdict.UNDECIDED:
        yield "to settle it", words.to_settle(c)
    if c.p is not None:
        yield "evidence", f"p = {c.p:.2g}" + (f", q = {c.q:.2g} over the suite" if c.q is not None else "")
    if c.settings is not None:
        yield "settings", words.settings(c.settings)
    if c.exact:
        yield "count", "repeated itself to the digit in each arm, so that it is compared as a number, without a test"


def _figure(c: Comparison, id: str, margin: float) -> Markup:
    """The blocks drawn, where there is more to see than the numbers say."""
    blocks = site.blocks_table(c)
    if blocks is None:
        return Markup()
    return Markup(figures.duel(blocks, low=c.low, high=c.high, margin=margin, unit=c.unit, name=id))


def _forest(ordered: Iterable[Comparison], report: Report) -> Markup:
    """All ratios that have an interval, from the most faster to the most slower."""
    drawn = [
        {"label": c.key, "link": f"#b{number}", "ratio": c.ratio, "low": c.low, "high": c.high,
         "verdict": c.verdict.value}
        for number, c in enumerate(ordered)
        if c.compared and not c.exact and c.ratio and c.low and c.high
    ]
    if not drawn:
        return Markup()
    frame = pd.DataFrame(drawn).sort_values("ratio", kind="stable", ignore_index=True)
    return Markup(figures.forest(frame, margin=report.margin, name="forest"))


def _arm(name: str, facts: Mapping[str, Any]) -> tuple[str, str, list[tuple[str, str]]]:
    return name, words.arm(facts), _flat(facts)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as a list of dotted name and text, in their order."""
    found: list[tuple[str, str]] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            found.append((f"{prefix}{key}", " ".join(map(str, value)) or "–"))
        else:
            found.append((f"{prefix}{key}", "–" if value is None or value == "" else str(value)))
    return found
