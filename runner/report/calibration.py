"""A calibration as text and as a section of a Markdown page: the same tables in the same words."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import JustifyMethod, RenderableType
from rich.text import Text

from runner.judging.calibration import Summary
from runner.report import quantities, words
from runner.report.text import plain_table, print_to_text
from runner.stats.audit import Rate
from runner.stats.criteria import Criterion, State
from runner.stats.decide import LOOKS
from runner.stats.power import ENOUGH

BEGIN, END = "<!-- calibration:begin -->", "<!-- calibration:end -->"
"""Between these in a page the section is replaced."""
DECIDED = (
    "Each demand is decided once, by its first comparisons in measured order, as many as was fixed beforehand; what "
    "came afterwards is in the tables alone.")
FLAT = ("Flat, where the noise is normal; fewer near 0 where its tails are wide, since the test is then more careful "
        "than it has to be.")
_MARKS = {State.PASS: ("ok", "green"), State.FAIL: ("!!", "bold red"), State.NOT_ENOUGH: ("?", "yellow")}
_STRATA = {
    "all": "all", "copies": "byte copies", "layouts": "layouts, scope source", "quiet": "quiet",
    "neighbour": "with a neighbour", "turns": "turns", "shared": "shared", "adjacent": "adjacent",
}
_BROKEN = {
    "pooled": "slices pooled", "in sequence": "base before head", "peeking": "95 % at every look",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of words, with what stands above and below them."""

    title: str
    columns: tuple[str, ...]
    """The first is words, the others are numbers."""
    rows: Sequence[Sequence[str]]
    note: str = ""


def render(summary: Summary, *, folder: str, width: int = 100, color: bool = False) -> str:
    """The calibration as text at most `width` columns wide, with ANSI colours if `color`."""
    parts: list[RenderableType] = [Text(_heading(summary)), Text()]
    for table in tables(summary):
        shown = plain_table()
        for number, name in enumerate(table.columns):
            side: JustifyMethod = "right" if number else "left"
            shown.add_column(name, justify=side, overflow="fold")
        for row in table.rows:
            shown.add_row(*map(Text, row))
        parts += [Text(table.title, style="bold"), shown]
        parts += [Text(table.note, style="dim"), Text()] if table.note else [Text()]
    parts += [Text("What it must show", style="bold"), Text(DECIDED, style="dim")]
    verdicts = plain_table()
    for name in ("", "demand", "seen"):
        verdicts.add_column(name, overflow="fold")
    for one in summary.criteria:
        mark, style = _MARKS[one.state]
        verdicts.add_row(Text(mark, style=style), Text(demand(one)), Text(seen(one)))
    parts += [verdicts, Text(), Text(f"Stored in {folder}", style="dim", no_wrap=True)]
    return print_to_text(parts, width=width, color=color)


def section(summary: Summary) -> str:
    """The calibration as a section of a Markdown page, without a heading of its own and without the markers."""
    parts = [_heading(summary)]
    for table in tables(summary):
        parts += [f"**{table.title}**", _markdown(table), *([table.note] if table.note else [])]
    rows = [(demand(one), one.state.value, seen(one)) for one in summary.criteria]
    demands = Table(title="", columns=("demand", "decided", "seen"), rows=rows)
    parts += ["**What it must show**", DECIDED, _markdown(demands)]
    return "\n\n".join(parts) + "\n"


def into(page: str | None, summary: Summary) -> str:
    """A page with the section between its markers replaced; the section alone where there are none, or no page."""
    if page is None or BEGIN not in page or END not in page:
        return section(summary)
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{section(summary)}{END}{rest.partition(END)[2]}"


def tables(summary: Summary) -> Iterator[Table]:
    """The tables that have something to say."""
    if summary.aa.strata:
        yield _false_changes(summary)
        yield _p_values(summary)
    if summary.planted:
        yield _planted(summary)
    if summary.truths:
        yield _truths(summary)
    if summary.agreements:
        yield _agreements(summary)
    if summary.aa.floor:
        yield _floor(summary)


def _heading(summary: Summary) -> str:
    if not summary.runs:
        return "Nothing is stored of this machine yet: `lockstep calibrate` measures."
    first, last = (time.strftime("%Y-%m-%d", time.gmtime(moment)) for moment in (summary.first, summary.last))
    when = first if first == last else f"{first} to {last}"
    unfinished = f"; {summary.unfinished} unfinished, not counted" if summary.unfinished else ""
    failed = f"; {summary.failed} benchmark{'s' * (summary.failed != 1)} failed" if summary.failed else ""
    return (
        f"Measured {when} with {', '.join(summary.interpreters)} on {words.machine(summary.machine)}: "
        f"{summary.runs} run{'s' * (summary.runs != 1)}, "
        f"{quantities.duration(summary.seconds)} of machine time{unfinished}{failed}. "
        f"Margin {quantities.percent(summary.margin)}. In brackets: exact 95 % intervals."
    )


def _false_changes(summary: Summary) -> Table:
    rows = [
        (_STRATA.get(one.name, one.name), str(one.rule.of), _rate(one.rule), _share(one.tested), _share(one.undecided),
         f"{one.suites.count} of {one.suites.of}", *(_share(one.broken[name]) for name in _BROKEN))
        for one in summary.aa.strata
    ]
    canary = summary.aa.canary
    if canary.of:
        rows.append(("canary of normal runs", str(canary.of), _rate(canary), *("–",) * (3 + len(_BROKEN))))
    return Table(
        title="Changes called where there is none",
        columns=(
            "A/A comparisons", "number", "the rule", "p ≤ .05", "undecided", "reports with one", *_BROKEN.values(),
        ),
        rows=rows,
        note="The rule judges each comparison alone; “p ≤ .05” is the same without the margin's forgiveness; a report "
        "considers its whole suite. Undecided are those of which a run's budget ended first. "
        "The last three columns are rules known to be wrong, from the same blocks.",
    )


def _p_values(summary: Summary) -> Table:
    histogram = summary.aa.histogram
    names = [f"{number / len(histogram):g} –" for number in range(len(histogram))]
    return Table(
        title=f"p-values of the A/A comparisons at their first look ({LOOKS[0]} blocks)",
        columns=("p from", *names), rows=[("number", *map(str, histogram))], note=FLAT,
    )


def _planted(summary: Summary) -> Table:
    rows = [
        (quantities.percent(one.size), one.mode.value, "neighbour" if one.neighbour else "quiet", _rate(one.found),
         _share(one.within_10), _share(one.within_30), str(one.reversed.count), _share(one.same), _share(one.shown),
         _share(one.plain), f"{one.seconds:.1f} s", f"{one.slow_seconds:.1f} s")
        for one in summary.planted
    ]
    return Table(
        title="Planted slowdowns",
        columns=("planted", "mode", "machine", "found", "in 10 s", "in 30 s", "wrong sign", "same", "shown", "plain",
                 "median", "90 % by"),
        rows=rows,
        note="“Found” is called slower; of what is smaller than the margin, “same” is right. “Shown” is how many "
        "intervals, as reports show them, hold the truth, and “plain” how many 95 % intervals of the first "
        f"{LOOKS[0]} blocks do. Seconds are machine time of one benchmark until its sampling stopped.",
    )


def _truths(summary: Summary) -> Table:
    rows = [
        (one.benchmark, quantities.percent(one.size), f"{math.exp(one.mean):.4f}", f"{100 * one.se:.2f} %",
         f"{math.exp(one.alone):.4f}", f"{100 * one.alone_se:.2f} %", str(one.blocks),
         "yes" if one.enough else "not yet")
        for one in summary.truths
    ]
    return Table(
        title="What the planted shares of work are in time",
        columns=("benchmark", "planted", "head ÷ base", "error", "alone", "error", "blocks", "enough"), rows=rows,
        note="From runs of their own, quiet, in turns; errors are standard errors. “Alone” is from the blocks of that "
        f"size, the other from all sizes of the workload. Below {100 * ENOUGH:g} % of standard error a truth is used.",
    )


def _agreements(summary: Summary) -> Table:
    rows = [
        (quantities.percent(one.size), one.mode.value, f"{math.exp(one.mean):.4f}", f"{100 * one.difference:+.2f} %",
         f"{100 * one.se:.2f} %", str(one.workloads), "no" if one.disagrees else "yes")
        for one in summary.agreements
    ]
    return Table(
        title="The modes beside turns",
        columns=("planted", "mode", "head ÷ base", "difference", "standard error", "workloads", "agrees"), rows=rows,
        note=f"A mode disagrees when it is off by more than {quantities.percent(summary.margin / 2)} and by more than "
        "three standard errors.",
    )


def _floor(summary: Summary) -> Table:
    rows = [
        (one.benchmark, str(one.comparisons), f"{100 * one.deviation:.2f} %", _rate(one.changes))
        for one in summary.aa.floor
    ]
    return Table(
        title="Two fixed layouts of one source, at scope binary",
        columns=("benchmark", "pairs", "standard deviation of a layout", "called a change"), rows=rows,
        note="No fault of the rule: the two files differ in speed. It is what scope binary cannot know.",
    )


def demand(one: Criterion) -> str:
    """What a criterion asks, in words."""
    stratum = _STRATA.get(one.about, one.about)
    return {
        "false changes": f"false changes are not above 5 %: {stratum}",
        "wrong suites": "no more than 1 report in 40 has a false change",
        "coverage": "a 95 % interval holds the truth in 93 to 99 %",
        "found": f"a planted slowdown is found: {one.about}",
        "agreement": f"{one.about} reads what turns reads",
        "broken rule": f"the audit catches a broken rule: {_BROKEN.get(one.about, one.about)}",
    }[one.kind]


def seen(one: Criterion) -> str:
    """What was seen of it."""
    if one.state is State.NOT_ENOUGH:
        return f"{one.there} of {one.needed} so far"
    if one.rate is None:
        return "yes" if one.state is State.PASS else "no"
    where = f" ({_STRATA[one.where]})" if one.where else ""
    return f"{_rate(one.rate)}, {one.rate.count} of {one.rate.of}{where}"


def _rate(rate: Rate) -> str:
    return f"{_share(rate)} [{_percent(rate.low)}, {_percent(rate.high)}]" if rate.of else "–"


def _share(rate: Rate) -> str:
    return f"{_percent(rate.share)} %" if rate.of else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if 0 < share < 0.1 else f"{100 * share:.0f}"


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---", *["--:"] * (len(table.columns) - 1)], *table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
