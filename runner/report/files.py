"""What files of other programs say of two builds, for the terminal and for programs.

Format history of the JSON
--------------------------
lockstep.compared/1  The first. Keys may be added; none is removed or changes its meaning within a version.
"""

from __future__ import annotations

import json as json_
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runner.errors import listed
from runner.judging.report import Comparison
from runner.judging.unpaired import Side, Unpaired
from runner.model import Verdict
from runner.report import quantities, words
from runner.report.sections import sections
from runner.report.text import STYLES, Row, clean, print_to_text, rows_table, warning
from runner.stats.unpaired import FEWEST
from runner.storage.pyperf_says import Said

SCHEMA = "lockstep.compared/1"
NOT_PAIRED = "Not paired: base and head were measured one after the other."
SESSIONS = (
    "A process counts as one value. What the machine did otherwise while one side was measured is in the ratios, and "
    "in no interval: `lockstep ab` measures both at once.")
BY_FILE = (
    "A file counts as one value, so that the intervals allow for what differs between sessions of one build.")
NAMED = 5
"""Benchmarks of a kind that are named without ``-v``."""


def render(
    report: Unpaired, said: Mapping[str, Said], *, verbose: bool = False, width: int = 100, color: bool = False
) -> str:
    """The comparison as text that is at most `width` columns wide, with ANSI colours if `color`.

    `said` is what `pyperf compare_to` says; empty where it was not asked. `verbose` lists what is the same, too.
    """
    found = sections(report)
    first, second = words.headline(report)
    parts: list[RenderableType] = [_heading(report), Text(), _indented(Text(first, style="bold"))]
    if report.mean is not None:
        parts.append(_indented(Text(second, style="bold")))
    for title, own in (("Changed", found.changed), ("Undecided", found.undecided)):
        if own:
            parts += [Text(), Text(f"{title} ({len(own)})", style="bold"), _lines(own, said, width)]
    if any(not one.clear and not one.exact for one in found.changed):
        parts.append(Text(words.NOT_CLEAR, style="dim"))
    if found.same:
        title = f"Same within ±{quantities.percent(report.margin)} ({len(found.same)})"
        if verbose:
            parts += [Text(), Text(title, style="bold"), _lines(found.same, said, width)]
        else:
            parts += [Text(), Text.assemble((title, "bold"), ": -v lists them")]
    for verdict, title in ((Verdict.FAILED, "Failed"), (Verdict.ONLY_IN_BASE, "Only in base"),
                           (Verdict.ONLY_IN_HEAD, "Only in head")):
        own = tuple(one for one in report.comparisons if one.verdict is verdict)
        if own:
            parts += [Text(), Text(f"{title} ({len(own)})", style="bold"), *_reasons(own, verbose)]
    if found.not_reached:
        what = f"fewer than {FEWEST} processes in one of them, which say next to nothing of how they vary"
        parts += [Text(), Text(f"Too few processes ({len(found.not_reached)})", style="bold"),
                  _indented(clean(f"{_named(found.not_reached, verbose)}: {what}"))]
    parts += [Text(), *(warning(sentence) for sentence in sentences(report, said))]
    return print_to_text(parts, width=width, color=color)


def sentences(report: Unpaired, said: Mapping[str, Said]) -> list[str]:
    """What a reader must know of the verdicts, the most important first."""
    judged = [one for one in report.comparisons if one.base_values.size]
    exported = _exported(report)
    by_file = sum(one.name in report.by_file for one in judged)
    if exported:
        found = [f"Both sides are of {exported}, a run of Lockstep's that measured them together. As files they are "
                 f"not paired any more: `lockstep show {exported}` has the verdicts."]
    elif by_file == len(judged):
        found = [f"{NOT_PAIRED} {BY_FILE}"]
    elif by_file:
        found = [f"{NOT_PAIRED} {SESSIONS} Of {by_file} of {len(judged)} benchmarks each side has {FEWEST} files or "
                 f"more. {BY_FILE}"]
    else:
        found = [f"{NOT_PAIRED} {SESSIONS}"]
    found += [
        f"base and head differ in {what.replace('_', ' ')}, so that the ratios are about that too: "
        f"{base or 'unknown'} → {head or 'unknown'}" for what, (base, head) in report.differences.items()
    ]
    found += [
        f"{arm} is of several machines, {listed(hosts)}, so that what these differ in is in its spread"
        for arm, side in (("base", report.base), ("head", report.head))
        if len(hosts := sorted({str(file.metadata.get("hostname", "unknown")) for file in side.files})) > 1
    ]
    untested = [name for name, one in said.items() if one.significant is None]
    if untested:
        found.append(f"pyperf does not test {listed(sorted(untested))}: base and head have different numbers of "
                     "values, or values that do not vary.")
    return found


def _exported(report: Unpaired) -> str:
    """The run of Lockstep's that all files were exported from; empty where they are not of one."""
    runs = {str(file.metadata.get("lockstep_run", "")) for side in (report.base, report.head) for file in side.files}
    return runs.pop() if len(runs) == 1 else ""


def _heading(report: Unpaired) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, side in (("base", report.base), ("head", report.head)):
        grid.add_row(name, clean(_side(side)))
    return grid


def _side(side: Side) -> str:
    """``py313.json (cpython 3.13.0, 60 benchmarks, 1200 processes, measured 2026-11-28 18:27)``."""
    said = side.metadata
    python = f"{said.get('python_implementation', 'Python')} {said.get('python_version', '')}".strip()
    names = {one.name for file in side.files for one in file.benchmarks}
    processes = sum(len(one.processes) for file in side.files for one in file.benchmarks)
    begun = min((file.started for file in side.files if file.started is not None), default=None)
    parts = [python, f"{len(names)} benchmark{'s' * (len(names) != 1)}", f"{processes} processes"]
    parts += [f"{len(side.files)} files"] * (len(side.files) > 1)
    parts += [] if begun is None else [f"measured {quantities.day(begun)}"]
    return f"{side.name} ({', '.join(parts)})"


def _lines(comparisons: Sequence[Comparison], said: Mapping[str, Said], width: int) -> RenderableType:
    rows = [
        Row(one.name, (*words.values(one), words.ratio(one), _last(one, said.get(one.name))), STYLES[one.verdict])
        for one in comparisons
    ]
    return rows_table("verdict; pyperf's" if said else "verdict", rows, width)


def _last(one: Comparison, said: Said | None) -> str:
    return words.verdict(one) if said is None else f"{words.verdict(one)}; {pyperfs(said)}"


def pyperfs(said: Said) -> str:
    """What pyperf says of one benchmark: ``1.02x slower``, ``not significant``, ``1.02x slower, untested``."""
    if said.significant is None:
        return f"{said.change}, untested"
    return said.change if said.significant else "not significant"


def _reasons(own: Sequence[Comparison], verbose: bool) -> list[RenderableType]:
    """The benchmarks of each reason."""
    by_reason: dict[str, list[Comparison]] = {}
    for one in own:
        reason = "" if one.failure is None or one.failure.reason == one.verdict.value else one.failure.reason
        by_reason.setdefault(reason, []).append(one)
    told = ((_named(of, verbose), reason) for reason, of in by_reason.items())
    return [_indented(clean(": ".join(part for part in pair if part))) for pair in told]


def _named(own: Sequence[Comparison], verbose: bool) -> str:
    return listed([one.name for one in own], len(own) if verbose else NAMED)


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def json(report: Unpaired, said: Mapping[str, Said]) -> str:
    """The comparison as strict JSON, benchmarks in base's order: seconds, bytes, ratios head ÷ base, null for none.

    ``replicates`` are those of the side that has fewer, and ``replicate`` says what they are.
    """
    mean = report.mean
    content = {
        "schema": SCHEMA, "paired": False, "base": _side_as_json(report.base), "head": _side_as_json(report.head),
        "margin": report.margin,
        "differences": [{"what": what, "base": pair[0], "head": pair[1]} for what, pair in report.differences.items()],
        "benchmarks": [_as_json(one, one.name in report.by_file, said.get(one.name)) for one in report.comparisons],
        "summary": {
            **{verdict.value.replace(" ", "_"): report.count(verdict) for verdict in Verdict
               if verdict is not Verdict.SKIPPED},
            "geometric_mean": None if mean is None else {
                "ratio": mean.ratio, "low": mean.low, "high": mean.high, "benchmarks": mean.count},
        },
        "sentences": sentences(report, said),
    }
    return json_.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _side_as_json(side: Side) -> dict[str, Any]:
    return {"name": side.name, "files": [{"name": file.name, "sha256": file.sha256} for file in side.files],
            "metadata": dict(side.metadata)}


def _as_json(one: Comparison, by_file: bool, said: Said | None) -> dict[str, Any]:
    return {
        "name": one.name, "unit": one.unit, "verdict": one.verdict.value, "state": one.state, "clear": one.clear,
        "exact": one.exact, "ratio": one.ratio, "low": one.low, "high": one.high, "base": one.base_value,
        "head": one.head_value, "replicates": one.blocks, "replicate": "file" if by_file else "process", "p": one.p,
        "q": one.q, "reason": None if one.failure is None else one.failure.reason,
        "pyperf": None if said is None else {"change": said.change, "significant": said.significant},
    }
