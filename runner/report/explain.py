"""An explanation for the terminal and for programs: a paragraph in plain words, the noise, the work.

Format history of the JSON
--------------------------
lockstep.explain/1  The first. Keys may be added; none is removed or changes its meaning within a version.
"""

from __future__ import annotations

import json as json_
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from dashboards.records import Told
from runner.judging.explanation import Explained, Explanation, Reading
from runner.measuring.counts import Change, Counts, Instructions
from runner.report import quantities, words
from runner.report.as_json import strict
from runner.report.text import clean, fold, plain_table, print_to_text
from runner.stats.variance import FAR, Layouts, Noise, Range
from runner.storage.explanations import Count, Kept

SCHEMA = "lockstep.explain/1"
SHOWN = 12
"""Functions that are listed; JSON has all."""
_INDENT = (0, 0, 0, 2)
_NOT_COUNTED = "caches, branch prediction and the kernel's own work (such as page faults), which is not counted"


def render(explanation: Explanation, *, width: int = 100, color: bool = False) -> str:
    """The explanation as text that is at most `width` columns wide, with ANSI colours if `color`."""
    report = explanation.report
    parts: list[RenderableType] = [
        clean(f"{words.arm(report.base)} → {words.arm(report.head)}, run {report.run}, scope {report.scope}")]
    for one in explanation.explained:
        parts += _benchmark(one, explanation, width)
    parts += [Text(), *(clean(f"! {problem}", "yellow") for problem in explanation.problems)]
    parts.append(clean(f"Run folder: {report.folder}", "dim"))
    return print_to_text(parts, width=width, color=color)


def json(explanation: Explanation) -> str:
    """The explanation as strict JSON. Standard deviations are of log time; counts are per call."""
    report = explanation.report
    content = {
        "schema": SCHEMA, "run": report.run, "folder": report.folder, "scope": report.scope, "base": report.base,
        "head": report.head, "problems": list(explanation.problems),
        "benchmarks": [_content(one, explanation) for one in explanation.explained],
    }
    return json_.dumps(strict(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def paragraph(one: Explained, explanation: Explanation) -> str:
    """What it all comes to, in two or three sentences."""
    return f"{_beginning(one, explanation)} {' '.join(_doubts(one))}".strip()


def _beginning(one: Explained, explanation: Explanation) -> str:
    c = one.comparison
    if one.reading is Reading.NOT_TIMED:
        if c.failure is not None:
            return f"It failed: {words.failure(c)}."
        return f"It is not a timing; head ÷ base is {words.ratio(c)}."
    if one.counts is None or one.counts.instructions is None:
        return f"Head ÷ base is {words.ratio(c)} ({words.verdict(c)}). Instructions were not counted."
    work = f"Head executes {_more(one.counts.instructions.log_ratio)} instructions here"
    if one.reading is Reading.NOTHING:
        return f"{work}, and the time is the same within ±{quantities.percent(explanation.report.margin)}."
    if one.reading is Reading.HIDDEN:
        return (f"{work}, and yet the time is the same within ±{quantities.percent(explanation.report.margin)}: "
                "what was added or saved is too cheap to show.")
    if one.reading is Reading.OPEN:
        return (f"{work}; the time is undecided, head ÷ base {words.ratio(c)} (to settle it: {words.to_settle(c)}). "
                "Counts cannot decide it.")
    if one.reading is Reading.WORK:
        return f"{work}, and it is {_size(one)}: the time goes with the work{_mostly(one.counts.instructions)}."
    if one.reading is Reading.AGAINST:
        return f"{work}, and yet it is {_size(one)}. {_elsewhere(one, explanation)}"
    return f"{work}, and it is {_size(one)}. {_elsewhere(one, explanation)}"


def _elsewhere(one: Explained, explanation: Explanation) -> str:
    """Where a difference in time comes from that is not in the instructions."""
    if explanation.report.scope == "source":
        kept = next((notice.numbers["names"] for notice in one.comparison.notices if notice.kind == "extensions"), "")
        but = f" but that of {kept}, which were not linked anew" if kept else ""
        return (f"Both arms were linked anew many times, so it is not the luck of one layout{but}: look at "
                f"{_NOT_COUNTED}.")
    if one.spread is not None:
        size = _percent(math.log(one.comparison.ratio or 1.0))
        where = f"layout spread of {_percent(one.spread.spread.value)} (run {one.spread.run})"
        if one.inside_spread:
            return f"The {size} at scope binary is inside this benchmark's {where}: layout alone can do that."
        if one.inside_spread is None:
            return (f"The {size} at scope binary is more than this benchmark's {where}, but the spread may be up to "
                    f"{_percent(one.spread.spread.high)}: layout alone may do that.")
        return f"The {size} at scope binary is more than this benchmark's {where}: look at {_NOT_COUNTED}."
    if explanation.layouts_possible:
        return "That points to code layout; to see how much layout does here, explain the two at --scope source."
    return f"That points to code layout, or to {_NOT_COUNTED}. Builds that Lockstep makes could tell."


def _doubts(one: Explained) -> Iterator[str]:
    if one.counts is None:
        return
    yield from (f"Not counted: {problem}." for problem in one.counts.problems)
    counted = one.counts.instructions
    if counted is None:
        return
    if not counted.exact:
        yield ("Its counts do not repeat themselves to the digit: what it does depends on time, threads or chance, so "
               "take a small difference as none.")
    if len(counted.seeds) == 1:
        yield "A call is so long that one hash seed was counted."
    ratios = [head / base - 1 for base, head in zip(counted.base, counted.head, strict=True)]
    if max(ratios) - min(ratios) > 0.0005:
        yield f"It depends on the hash seed: from {100 * min(ratios):+.1f} % to {100 * max(ratios):+.1f} %."


def _more(log_ratio: float) -> str:
    """``0.0 % more``, ``12.3 % fewer``, ``2.5 times as many``, ``1/1,042 as many``."""
    ratio = math.exp(log_ratio)
    if 0.5 < ratio < 2:
        return f"{abs(100 * (ratio - 1)):.1f} % {'fewer' if log_ratio < 0 and round(1000 * (1 - ratio)) else 'more'}"
    return f"{quantities.ratio(ratio)} {'times ' * (ratio > 1)}as many"


def _size(one: Explained) -> str:
    """Of the time's change: ``1.8 % slower``; in times where it is large."""
    c = one.comparison
    if c.ratio and 0.9 < c.ratio < 1.1:
        return f"{_percent(math.log(c.ratio))} {c.verdict.value}"
    return words.change(c)


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(abs(log_ratio)):.1f} %"


def _mostly(counted: Instructions) -> str:
    whole = fmean(counted.head) - fmean(counted.base)
    # Of all that differs, and not of what it comes to: a function that was renamed is gone, and is there anew.
    moved = sum(abs(one.head - one.base) for one in counted.changes)
    if not counted.changes or moved == 0 or whole == 0:
        return ""
    first = counted.changes[0]
    own = first.head - first.base
    return f", mostly in {function(first)}" if abs(own) > moved / 2 and 0 < own / whole < 2 else ""


def function(change: Change) -> str:
    """A function by name, with what it belongs to: ``memcpy (libc.so.6), called from PyBytes_FromStringAndSize``."""
    what = change.function
    name = what.name or "functions without a name"
    where = f" ({what.object})" if what.object else ""
    return f"{name}{where}, called from {change.caller}" if change.caller else f"{name}{where}"


def notes(noise: Noise) -> Iterator[str]:
    """What the components mean for the next run, a sentence each."""
    for component in noise.components:
        if component.negative:
            yield f"{component.source.value.capitalize()} was estimated below 0 and is set to 0."
    if noise.clipped >= 0.001:
        yield (f"{quantities.percent(noise.clipped)} of the slices were far from the median of their block, and count "
               f"as {FAR:g} standard deviations from it.")
    if noise.layouts is Layouts.ONE:
        yield "All blocks have one code layout: what layout does cannot be seen in them."
    elif noise.layouts is Layouts.MERGED:
        yield "Each block has a code layout of its own, so that layout is inside process and time, and not told apart."
    elif noise.spread is not None:
        spread = noise.spread
        yield ("Layout spread: in 95 of 100 pairs of layouts of one source, the times differ by less than "
               f"{span(_relative(spread), 1)}.")
    pairing = noise.pairing
    if math.isfinite(pairing.high):
        yield (f"Pairing the arms is worth {_times(pairing.value)} [{_times(pairing.low)}, {_times(pairing.high)}] "
               "times as many blocks.")
    if noise.ways:
        bought = ", ".join(f"{100 * way.yields:.2g} % on more {way.means.value}" for way in noise.ways)
        yield (f"One per cent more measuring time takes off the ratio's variance: {bought}. So more "
               f"{noise.ways[0].means.value} buy precision most cheaply.")


def _relative(one: Range) -> Range:
    """Of log ratios, what they are as shares: 0.0198 is 2 %."""
    return Range(value=math.expm1(one.value), low=math.expm1(one.low), high=math.expm1(one.high))


def _times(number: float) -> str:
    return f"{number:.2g}" if number < 100 else f"{number:,.0f}"


def work_rows(counts: Counts) -> Iterator[tuple[str, str, str, str]]:
    """What, in base, in head, difference; totals per call."""
    return map(_row, _work(counts))


def function_rows(counts: Counts) -> Sequence[tuple[str, str, str, str]]:
    """Function, own instructions per call in base and in head, difference; largest first, at most `SHOWN`."""
    return [_row(one) for one in _functions(counts)]


def kept(one: Explained, explanation: Explanation) -> Kept:
    """What a run's folder keeps of an explanation, for pages that are made later."""
    noise, counts = one.comparison.noise, one.counts
    return Kept(
        key=one.comparison.key, text=paragraph(one, explanation), notes=() if noise is None else tuple(notes(noise)),
        work=() if counts is None else tuple(_work(counts)), functions=() if counts is None else _functions(counts),
    )


def told(one: Kept, link: str) -> Told:
    """An explanation as a page shows it; `link` leads to the benchmark."""
    return Told(label=one.key, link=link, text=one.text, notes=one.notes, work=[_row(count) for count in one.work],
                functions=[_row(count) for count in one.functions])


def _work(counts: Counts) -> Iterator[Count]:
    if counts.instructions is not None:
        yield Count(name="instructions", base=fmean(counts.instructions.base), head=fmean(counts.instructions.head))
    if counts.allocated is not None:
        yield Count(name="bytes allocated at the peak", base=fmean(counts.allocated.base),
                    head=fmean(counts.allocated.head))


def _functions(counts: Counts) -> tuple[Count, ...]:
    changes = counts.instructions.changes[:SHOWN] if counts.instructions is not None else ()
    return tuple(Count(name=function(one), base=one.base, head=one.head) for one in changes)


def _row(one: Count) -> tuple[str, str, str, str]:
    return one.name, _count(one.base), _count(one.head), _count(one.head - one.base, sign=True)


def _count(number: float, *, sign: bool = False) -> str:
    decimals = 0 if abs(number) >= 1000 or float(number).is_integer() else 1
    return f"{number:{'+' if sign and number else ''},.{decimals}f}".replace("-", "−")


def _benchmark(one: Explained, explanation: Explanation, width: int) -> list[RenderableType]:
    c = one.comparison
    title = fold(c.key, width)
    title.stylize("bold")
    parts: list[RenderableType] = [Text(), title, Padding(clean(paragraph(one, explanation)), _INDENT)]
    if c.noise is not None:
        layouts, blocks, slices = c.noise.numbers
        apart = f"{layouts} layouts, " if c.noise.layouts is Layouts.APART else ""
        parts += [Text(), Padding(clean(
            f"Noise of a slice: {quantities.percent(c.noise.sd)} ({apart}{blocks} blocks of {slices:.3g} slices an arm)"
        ), _INDENT), Padding(_noise_table(c.noise), _INDENT)]
        parts += [Padding(clean(note, "dim"), _INDENT) for note in notes(c.noise)]
    elif one.reading is not Reading.NOT_TIMED:
        parts += [Text(), Padding(clean("Noise: there are too few blocks to tell where it comes from."), _INDENT)]
    if one.counts is not None and (rows := list(work_rows(one.counts))):
        parts += [Text(), Padding(_work_table("per call", rows), _INDENT)]
    if one.counts is not None and (rows := list(function_rows(one.counts))):
        parts += [Text(), Padding(_work_table("functions whose instructions differ", rows), _INDENT)]
    return parts


def _noise_table(noise: Noise) -> RenderableType:
    table = plain_table()
    for name in ("source", "share [interval]", "standard deviation [interval]"):
        table.add_column(name)
    for component in noise.components:
        table.add_row(component.source.value, span(component.share), span(component.sd, 2))
    return table


def span(one: Range, decimals: int = 0) -> str:
    """In per cent with its interval: ``61 % [40, 75]``."""
    value, low, high = (f"{100 * number:.{decimals}f}" for number in (one.value, one.low, one.high))
    return f"{value} % [{low}, {high}]"


def parts(noise: Noise) -> tuple[tuple[str, str, str], ...]:
    """For each source of noise its name, its share in per cent, and that share in words with its interval."""
    return tuple(
        (part.source.value, f"{100 * part.share.value:.1f}", f"{part.source.value} {span(part.share)}")
        for part in noise.components
    )


def _work_table(title: str, rows: Sequence[tuple[str, str, str, str]]) -> RenderableType:
    table = plain_table()
    table.add_column(title, overflow="fold")
    for name in ("base", "head", "head − base"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(clean, row))
    return table


def _content(one: Explained, explanation: Explanation) -> dict[str, Any]:
    c = one.comparison
    counted = one.counts.instructions if one.counts is not None else None
    return {
        "name": c.name, "params": c.params, "verdict": c.verdict.value, "ratio": c.ratio, "low": c.low, "high": c.high,
        "reading": one.reading.value, "text": paragraph(one, explanation),
        "noise": None if c.noise is None else {
            "sd": c.noise.sd, "se": c.noise.se, "clipped": c.noise.clipped,
            "layouts": c.noise.layouts.value, "pairing": asdict(c.noise.pairing),
            "numbers": dict(zip(("layouts", "blocks", "slices"), c.noise.numbers, strict=True)),
            "components": [{"source": part.source.value, "sd": asdict(part.sd), "share": asdict(part.share),
                            "negative": part.negative} for part in c.noise.components],
            "advice": [{**asdict(way), "means": way.means.value} for way in c.noise.ways],
            "text": list(notes(c.noise)),
        },
        "layout_spread": None if one.spread is None else {**asdict(one.spread.spread), "run": one.spread.run},
        "instructions": None if counted is None else {
            "seeds": counted.seeds, "base": counted.base, "head": counted.head, "calls": counted.calls,
            "exact": counted.exact, "log_ratio": counted.log_ratio,
            "functions": [{**asdict(change.function), "caller": change.caller, "base": change.base, "head": change.head}
                          for change in counted.changes],
        },
        "allocated": None if one.counts is None or one.counts.allocated is None else asdict(one.counts.allocated),
        "problems": [] if one.counts is None else one.counts.problems,
    }
