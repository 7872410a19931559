"""Scores → the section of docs/evidence.md between its two marks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from studies import origin, placed, table

from rivals import truth
from rivals.arms import SHARES, WORKLOADS
from rivals.records import Line, Measurement, measurements, truths
from rivals.score import Score, Share, scores
from rivals.tools import Tool

BEGIN, END = "<!-- make rivals: begin -->", "<!-- make rivals: end -->"
HEADER = "# Evidence\n\nWhat was measured, with the data that it is made of.\n"

WITH_START = ("hyperfine",)
"""Rules whose times begin with the interpreter's start, and the mark at their errors."""
START = " ¹"

METHOD = """\
Every tool measures the same three pure-Python workloads ({workloads}) from one file, `tests/rivals/suite/work.py`, in
environments of one interpreter that are alike but for the share; asv, in one environment with two commits. In the A/A
pair both arms do the same; in the others head does 1, 2 or 5 % more equal portions of the same work. Tools, pairs and
budgets come in random order. How much each tool is asked to do follows from unscored trials and the runs so far, such
that both arms together take about the budget from the start of its first command to the end of its last; what they took
in truth is in the table. What a tool needs once (environments, a repository, the number of loops) is made before and
costs it nothing. Every started run is scored. One that fails, or is not ready after three budgets and a minute, claims
nothing, stays in the denominators, and is counted. No other Lockstep run measures meanwhile."""

LIMITS = """\
- The repetitions are few: read the intervals, not the rates. [low, high] is the exact 95 % interval in percent.
- One interpreter, three workloads of about a millisecond a call, and slowdowns by more of the same work: no layout of
  code, no start-up, no input or output.
- What belongs to a tool's way is in its error: the interpreter's start in hyperfine's, say.
- pyperf, asv and hyperfine advise a tuned and quiet machine; this one was as it was, for all tools.
- The smallest size that a tool can use may take longer than the smallest budget; see its seconds to a verdict.
- This comparison was made by the authors of one of the tools. The scripts are in `tests/rivals/`."""


def render(lines: Sequence[Line], tools: Sequence[Tool]) -> str:
    """The section, one part for each machine; without measurements it says so."""
    told = measurements(lines)
    parts = ["## Lockstep and the tools that people use now", ""]
    if not told:
        return "\n".join([*parts, "Nothing has been measured yet; `make rivals` does it.", ""])
    practices = [f"- {' and '.join(tool.rules)}: {tool.practice}." for tool in tools]
    parts += [METHOD.format(workloads=", ".join(WORKLOADS)), "", "What each tool was asked to do:", "", *practices, ""]

    def machine(line: Line) -> str:
        return str(line.place.machine.get("fingerprint"))

    for mine, group in groupby(sorted(told, key=machine), machine):
        truth_lines = truth.pooled(truths([line for line in lines if machine(line) == mine]))
        parts += [*_machine(list(group), tools), _truths(truth_lines), ""]
    data = "The data: `data/evidence/rivals.jsonl`, a line for each run."
    return "\n".join([*parts, "Limits:", "", LIMITS, "", data, ""])


def place_into(page: str, section: str) -> str:
    """The page with the section between its marks, which are added at the end where there are none."""
    return placed(page, section, BEGIN, END, HEADER)


def _machine(lines: Sequence[Measurement], tools: Sequence[Tool]) -> list[str]:
    versions = {name: sorted({line.place.versions[name] for line in lines if name in line.place.versions})
                for line in lines for name in line.place.versions}
    told = ", ".join(f"{name} {' and '.join(values)}" for name, values in versions.items())
    interrupted = sum(not line.answers for line in lines)
    rules = [rule for tool in tools for rule in tool.rules]
    parts = [
        f"{origin([line.place.started for line in lines], lines[-1].place.machine)}: "
        f"{len(lines) - interrupted} runs of {len({line.cell.tool for line in lines})} tools"
        + (f", and {interrupted} more, interrupted by hand and not scored" if interrupted else "")
        + f". {told}.", "",
    ]
    for budget, group in groupby(scores(lines, rules), lambda score: score.budget):
        rows = list(group)
        parts += [f"At {budget} machine-seconds:", "", *_table(rows), ""]
        if any(row.rule in WITH_START for row in rows):
            parts += [f"{START.strip()} Of whole processes: the interpreter's start is part of every time, so that a "
                      "share of the work is a smaller share of it.", ""]
    return parts


def _table(rows: Sequence[Score]) -> list[str]:
    planted = [share for share in SHARES if share]
    head = ["tool", "false changes in A/A", *(f"finds {_percent(share)}" for share in planted), "wrong sign",
            "error of the ratio: root mean square", "median", "seconds to a verdict", "failed"]
    found = [[
        row.rule, _share(row.false), *(_share(row.found[share]) for share in planted),
        f"{row.wrong.count}/{row.wrong.of}",
        *("none" if error is None else _percent(error, 2) + START * (row.rule in WITH_START)
          for error in (row.error, row.median)),
        f"{row.wall:.0f}", f"{row.failed.count}/{row.failed.of}",
    ] for row in rows]
    return table(head, found)


def _share(share: Share) -> str:
    if share.of == 0:
        return "not run"
    low, high = share.interval
    return f"{share.count}/{share.of} = {_percent(share.count / share.of)} [{low * 100:.0f}, {high * 100:.0f}]"


def _percent(fraction: float, digits: int = 0) -> str:
    return f"{fraction * 100:.{digits}f} %"


def _truths(known: Mapping[tuple[str, float], tuple[float, float]]) -> str:
    told = [f"{workload} {_percent(share)}: {math.expm1(log) * 100:.2f} ± {_percent(error, 2)}"
            for (workload, share), (log, error) in known.items() if share]
    return ("What the planted shares really cost, measured apart from all tools (± one standard error): "
            + "; ".join(told) + ".") if told else "The planted shares were not measured on this machine."
