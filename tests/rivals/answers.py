"""What each tool printed or stored → what it says. No processes here.

Raises ValueError where the text holds no answer: the tool then counts as failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import numpy as np
import pyperf
from scipy import stats

from rivals.records import Answer, Said

SIDES = {"slower": Said.SLOWER, "faster": Said.FASTER, "same": Said.UNCHANGED, "undecided": Said.UNCHANGED}


def lockstep(report: str) -> tuple[Answer, float]:
    """From report.json with one benchmark: the answer, and the seconds measured.

    Undecided counts as unchanged: nothing is claimed.
    """
    content = json.loads(report)
    (row,) = content["benchmarks"]
    if row["verdict"] not in SIDES:
        raise ValueError(f"{row['verdict']}: {row['reason']}")
    return Answer(rule="lockstep", said=SIDES[row["verdict"]], ratio=row["ratio"]), content["seconds"]


def compare_to(printed: str, rule: str, ratio: float) -> Answer:
    """From what ``pyperf compare_to`` printed for one benchmark; the ratio by `means` because it prints two digits."""
    if "hidden because not significant" in printed or "Not significant!" in printed:
        return Answer(rule=rule, said=Said.UNCHANGED, ratio=ratio)
    claim = re.search(r"\d+\.\d+x (faster|slower)\s*$", printed, re.MULTILINE)
    if claim:
        return Answer(rule=rule, said=SIDES[claim[1]], ratio=ratio)
    if re.search(r": no change\s*$", printed, re.MULTILINE):
        return Answer(rule=rule, said=Said.UNCHANGED, ratio=ratio)
    raise ValueError(f"compare_to printed no comparison: {printed[-200:]!r}")


def means(base: str, head: str) -> float:
    """The ratio that compare_to prints, with all its digits; `base` and `head` are names of pyperf files."""
    first, second = (pyperf.BenchmarkSuite.load(name).get_benchmarks()[0].mean() for name in (base, head))
    return float(second / first)


def loops(stored: str) -> int:
    """How often pyperf chose to call the statement for one value."""
    (benchmark,) = json.loads(stored)["benchmarks"]
    metadata = {**benchmark.get("metadata", {}), **json.loads(stored).get("metadata", {})}
    return int(metadata.get("loops") or benchmark["runs"][-1]["metadata"]["loops"])


def asv_continuous(printed: str, ratio: float) -> Answer:
    """From the last sentence of ``asv continuous``."""
    sides = {"PERFORMANCE DECREASED.": Said.SLOWER, "PERFORMANCE INCREASED.": Said.FASTER,
             "BENCHMARKS NOT SIGNIFICANTLY CHANGED.": Said.UNCHANGED}
    for sentence, said in sides.items():
        if sentence in printed:
            return Answer(rule="asv, factor 1.1", said=said, ratio=ratio)
    raise ValueError(f"asv continuous printed no conclusion: {printed[-200:]!r}")


def asv_compare(printed: str, benchmark: str, ratio: float) -> Answer:
    """From the mark in the benchmark's row of ``asv compare``: + is slower, - is faster, none is no change."""
    row = next((line for line in printed.splitlines() if line.startswith("|") and benchmark in line), None)
    mark = "" if row is None else row.split("|")[1].strip()
    sides = {"+": Said.SLOWER, "-": Said.FASTER, "": Said.UNCHANGED}
    if row is None or mark not in sides:
        raise ValueError(f"asv compare printed no row of {benchmark}: {printed[-200:]!r}")
    return Answer(rule="asv, factor 1.02", said=sides[mark], ratio=ratio)


def asv_result(stored: str, benchmark: str) -> float:
    """Seconds a call, from one of asv's result files."""
    content = json.loads(stored)
    row = dict(zip(content["result_columns"], content["results"][benchmark], strict=False))
    value = row["result"][0]
    if value is None:
        raise ValueError(f"{benchmark} failed under asv")
    return float(value)


def hyperfine(stored: str) -> Answer:
    """From its JSON with two commands.

    hyperfine itself claims nothing; the script ``welch_ttest.py`` that comes with its sources does, at p < 0.05.
    """
    base, head = (np.array(result["times"]) for result in json.loads(stored)["results"])
    ratio = float(head.mean() / base.mean())
    changed = float(stats.ttest_ind(base, head, equal_var=False).pvalue) < 0.05
    said = Said.UNCHANGED if not changed else Said.SLOWER if ratio > 1 else Said.FASTER
    return Answer(rule="hyperfine", said=said, ratio=ratio)


def failed(rules: Sequence[str]) -> tuple[Answer, ...]:
    return tuple(Answer(rule=rule, said=Said.FAILED) for rule in rules)
