"""A script under pyperf itself, as its documentation says: base, then head, then ``compare_to``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyperf
from rivals import answers
from rivals.records import Answer, Said
from rivals.tools import BIN, ENVIRONMENT, Commands

from runner.judging.report import Report
from runner.suites.pyperf_scripts import Script

RULE = "pyperf"


def under_pyperf(
    script: Script, pythons: Sequence[Path], library: Path, folder: Path, commands: Commands, processes: int | None
) -> Answer:
    """What pyperf says of base and head, by its own numbers of processes, values and loops.

    `library` is a folder with pyperf, for the interpreters; `folder` is empty and for this alone; `processes`: instead
    of pyperf's own number. Raises ToolError where a command fails, and ValueError where the script has not exactly one
    benchmark, or nothing can be read from what is printed.
    """
    files = folder / "base.json", folder / "head.json"
    amount = () if processes is None else ("--processes", processes)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(library)}
    for python, file in zip(pythons, files, strict=True):
        commands.run(BIN / "python", script.file, *script.options, "--quiet", "--python", python, "--inherit-environ",
                     "PYTHONPATH", *amount, "--output", file, environment=environment)
    if any(len(pyperf.BenchmarkSuite.load(str(file)).get_benchmarks()) != 1 for file in files):
        raise ValueError(f"{script.entry} has not exactly one benchmark")
    printed = commands.run(BIN / "python", "-m", "pyperf", "compare_to", *files)
    return answers.compare_to(printed, RULE, answers.means(*map(str, files)))


def in_lockstep(report: Report) -> tuple[Answer, str]:
    """What a run of one benchmark says, and in a report's own words; undecided claims nothing.

    Raises ValueError for a run of several.
    """
    if len(report.comparisons) != 1:
        raise ValueError(f"{len(report.comparisons)} benchmarks, and not one")
    (one,) = report.comparisons
    answer = Answer(rule="lockstep", said=answers.SIDES.get(one.verdict.value, Said.FAILED), ratio=one.ratio)
    return answer, one.state
