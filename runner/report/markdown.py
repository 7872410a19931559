"""A report for a pull request, in GitHub's Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from runner.judging.report import Comparison, Report
from runner.model import Verdict
from runner.report import notices, quantities, reasons, words
from runner.report.reasons import Reason
from runner.report.sections import sections


def render(report: Report) -> str:
    """The report as Markdown: what needs a reader's eye in the open, the rest folded."""
    found = sections(report)
    first, second = words.headline(report)
    parts = [
        f"### Lockstep: {code(words.arm(report.base))} → {code(words.arm(report.head))}",
        f"**{escape(first)}**  \n{escape(second)}",
    ]
    warnings, rest = notices.few(notices.warnings(report))
    if warnings:
        parts.append("\n".join(f"> ⚠ {escape(sentence)}  " for sentence in warnings))
    if rest:
        parts.append(_details(f"{len(rest)} more warnings", "\n".join(f"- {escape(sentence)}" for sentence in rest)))
    if found.changed:
        parts.append(_comparisons(found.changed))
        if any(not c.clear and not c.exact for c in found.changed):
            parts.append(f"<sub>{escape(words.NOT_CLEAR)}</sub>")
    if found.undecided:
        parts += [f"**Undecided ({len(found.undecided)})**", _undecided(found.undecided)]
    if found.failed:
        failed = reasons.grouped(found.failed, report.suite)
        parts += [f"**Failed ({len(found.failed)})**", _failed(failed)]
    if found.same:
        title = f"Same within ±{quantities.percent(report.margin)}: {len(found.same)}"
        parts.append(_details(title, _comparisons(found.same)))
    if found.not_reached:
        parts.append(_details(f"Not reached: {len(found.not_reached)}", _undecided(found.not_reached)))
    for title, those in (("Only in base", found.only_in_base), ("Only in head", found.only_in_head)):
        if those:
            parts += [f"**{title} ({len(those)})**", _omitted(reasons.grouped(those, report.suite))]
    if found.skipped:
        skipped = _omitted(reasons.grouped(found.skipped, report.suite))
        parts.append(_details(f"Skipped: {len(found.skipped)}", skipped))
    parts.append(_details("How it was measured", _settings(report)))
    return "\n\n".join(parts) + "\n"


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    rows = ([*_numbers(c), f"{_MARKS.get(c.verdict, '')}{escape(words.verdict(c))}"] for c in comparisons)
    return _table(["benchmark", "base", "head", "ratio", "verdict"], "lrrll", rows)


# A mark beside the word, so that a regression is seen when a long table is skimmed.
_MARKS = {Verdict.FASTER: "▼ ", Verdict.SLOWER: "▲ "}


def _numbers(c: Comparison) -> list[str]:
    return [code(c.key), *(escape(value) for value in words.values(c)), words.ratio(c)]


def _undecided(comparisons: Sequence[Comparison]) -> str:
    rows = ([*_numbers(c), words.to_settle(c)] for c in comparisons)
    return _table(["benchmark", "base", "head", "ratio", "to settle it"], "lrrll", rows)


def _failed(why: Sequence[Reason]) -> str:
    shown, rest = reasons.first(why)
    parts = [_table(["benchmark", "reason"], "ll", ([one.names(1, show=code), code(one.text)] for one in shown))]
    for one in shown:
        if one.detail or len(one.about) > 1:
            place = [f"In {code(one.place)}"] if one.place else []
            output = [fence(one.detail)] if one.detail else []
            content = "\n\n".join([f"{one.names(show=code)}: {code(one.sentence)}", *place, *output])
            parts.append(_details(f"More of {_element(one.about[0].key)}", content))
    return "\n\n".join([*parts, *([f"and {rest}"] if rest else [])])


def _omitted(why: Sequence[Reason]) -> str:
    shown, rest = reasons.first(why)
    lines = [f"{code(one.sentence)}: {one.names(show=code)}" for one in shown]
    return "\n".join(f"- {line}" for line in [*lines, *([f"and {rest}"] if rest else [])])


def _settings(report: Report) -> str:
    lines = [
        f"base: {code(words.arm(report.base))}",
        f"head: {code(words.arm(report.head))}",
        *(f"they differ in {code(words.difference(d, limit=200))}" for d in report.differences),
        f"machine: {escape(words.machine(report.machine))}",
        f"run: {code(report.run)}, {escape(words.effort(report))}",
        *([] if report.calibration is None else [escape(words.calibration(report.calibration))]),
        escape(words.scope(report)),
    ]
    for sentence, about in notices.grouped(report.comparisons):
        lines.append(f"{', '.join(code(c.key) for c in about)}: {escape(sentence)}")
    return "\n".join(f"- {line}" for line in lines) + "\n\nTo repeat it:\n\n" + fence(report.command)


def _table(names: list[str], sides: str, rows: Iterable[list[str]]) -> str:
    lines = [names, ["--:" if side == "r" else "---" for side in sides], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _details(title: str, content: str) -> str:
    # The title stands in a block of HTML, where Markdown is not read.
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def code(text: str) -> str:
    """Text as inline code on one line, safe inside a table.

    Markdown has no escapes inside backticks, and renderers disagree about a backslash before a pipe; a text
    with any of these is written as an HTML element with entities instead.
    """
    flat = " ".join(text.split())
    if not flat or not re.search(r"[`|\\<>&]", flat):
        return f"`{flat}`" if flat else ""
    return _element(flat)


def _element(text: str) -> str:
    flat = html.escape(" ".join(text.split()), quote=False)
    return f"<code>{re.sub(_MARKUP, lambda mark: f'&#{ord(mark[0])};', flat)}</code>"


_MARKUP = r"[`|\\*_\[\]~@]"


def escape(text: str) -> str:
    """Text on one line in which nothing is Markdown, HTML or the end of a table's cell."""
    flat = html.escape(" ".join(text.split()), quote=False)
    return re.sub(_MARKUP, lambda mark: f"&#{ord(mark[0])};" if mark[0] in "|@" else "\\" + mark[0], flat)


def fence(text: str) -> str:
    """A code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"
