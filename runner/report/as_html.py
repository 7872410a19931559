"""A report as one HTML file that needs nothing else: no network, no other file. It works without its script too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from dashboards import pages, strips
from dashboards.records import ReportPage, Section
from runner.judging.explanation import Explanation
from runner.judging.report import Comparison, Report
from runner.model import Verdict
from runner.report import explain, notices, quantities, reasons, words
from runner.report.run_page import blocks_table, run_page
from runner.report.sections import sections
from runner.storage.explanations import Kept


def render(report: Report, explanation: Explanation | None = None) -> str:
    """The report as one HTML page with its figures, style and script inside; with an explanation where there is one."""
    kept = {} if explanation is None else {
        one.comparison.key: explain.kept(one, explanation) for one in explanation.explained}
    ids = {one.key: f"b{number}" for number, one in enumerate(sections(report).all)}
    setting = [
        *((f"{name}: {words.arm(facts)}", _flat(facts))
          for name, facts in (("base", report.base), ("head", report.head))),
        (f"machine: {words.machine(report.machine)}", _flat(report.machine)),
    ]
    return pages.report(ReportPage(
        run=run_page(report, link=lambda one: f"#{ids[one.key]}"),
        sections=[_section(one, ids[one.key], report.margin, kept.get(one.key)) for one in sections(report).all],
        folder=report.folder, seed=report.seed, setting=setting,
    ))


def _section(c: Comparison, id: str, margin: float, kept: Kept | None) -> Section:
    return Section(
        id=id, key=c.key, state=c.state, words=words.verdict(c), figure=_figure(c, margin), facts=list(_facts(c)),
        warnings=[notices.sentence(notice) for notice in c.notices],
        reason="" if c.failure is None else words.failure(c),
        detail="" if c.failure is None else reasons.users_part(c.failure.detail),
        noise_sd="" if c.noise is None else f"noise of a slice, {quantities.percent(c.noise.sd)}:",
        noise=() if c.noise is None else explain.parts(c.noise),
        told=None if kept is None else explain.told(kept, f"#{id}"),
    )


def _facts(c: Comparison) -> Iterable[tuple[str, str]]:
    """What was done and found, as term and description."""
    if not c.compared and not c.blocks:
        return
    yield "per call", f"{words.values(c)[0]} in base, {words.values(c)[1]} in head"
    yield "head ÷ base", words.ratio(c)
    spent = f"{c.measured}, {quantities.duration(c.machine_seconds)} of machine time"
    yield "blocks", spent if c.measured == c.blocks else f"{spent}; the verdict rests on {c.blocks}"
    if c.host:
        yield "machine", c.host
    if c.verdict is Verdict.UNDECIDED:
        yield "to settle it", words.to_settle(c)
    if c.p is not None:
        yield "evidence", f"p = {c.p:.2g}" + (f", q = {c.q:.2g} over the suite" if c.q is not None else "")
    if c.settings is not None:
        yield "settings", words.settings(c.settings)
    if c.exact:
        yield "count", "repeated itself to the digit in each arm, so that it is compared as a number, without a test"


def _figure(c: Comparison, margin: float) -> Markup:
    """The blocks drawn, where there is more to see than the numbers say."""
    blocks = blocks_table(c)
    if blocks is None:
        return Markup()
    return Markup(strips.duel(blocks, low=c.low, high=c.high, margin=margin, unit=c.unit))


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
