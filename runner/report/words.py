"""Every sentence of a report but its warnings (`notices`), so that all formats say the same thing in the same words."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from runner.judging.report import NOT_REACHED, Comparison, Judged, Report
from runner.model import Arm, Cause, Difference, Metric, Mode, Settings, Verdict
from runner.report import quantities
from runner.stats.variance import PAIR

Numbers = Mapping[str, Any]

TOO_FEW = "too few blocks"
"""What stands for a ratio before the first look."""
BINARY = (
    "Scope binary: the verdicts are about these two files. Code layout is not controlled: differences of up "
    "to a few percent may come from layout alone.")
NOT_CLEAR = "not clear: a difference, but its interval reaches inside the margin"


def headline(report: Judged) -> tuple[str, str]:
    """The two lines that a tired person reads: how many changed, and by how much over all."""
    timed = [c for c in report.comparisons if c.metric is Metric.TIME]
    counted = [c for c in report.comparisons if c.metric is not Metric.TIME]
    if not timed:
        return _tally(counted, report.margin, ("uses less in", "more in")), _mean(report)
    first = _tally(timed, report.margin, ("is faster in", "slower in"))
    if not counted:
        return first, _mean(report)
    return first, f"{_mean(report)}; memory and counts: {_short_tally(counted)}"


def _tally(comparisons: list[Comparison], margin: float, words: tuple[str, str]) -> str:
    count = Counter(c.state for c in comparisons)
    return ", ".join([
        f"head {words[0]} {count[Verdict.FASTER.value]} of {len(comparisons)}",
        f"{words[1]} {count[Verdict.SLOWER.value]}",
        f"same within ±{quantities.percent(margin)} in {count[Verdict.SAME.value]}",
        f"undecided in {count[Verdict.UNDECIDED.value]}",
        *_without_ratio(count),
    ])


def _without_ratio(count: Mapping[str, int]) -> list[str]:
    """What there is of the states in which nothing is said of a ratio."""
    several = [f"{state} in {count[state]}" for state in (NOT_REACHED, "failed", "skipped") if count[state]]
    return several + [f"{count[state]} {state}" for state in ("only in base", "only in head") if count[state]]


def _short_tally(comparisons: list[Comparison]) -> str:
    count = Counter(c.state for c in comparisons)
    parts = [f"less in {count[Verdict.FASTER.value]} of {len(comparisons)}", f"more in {count[Verdict.SLOWER.value]}"]
    parts += [f"{state} in {count[state]}" for state in ("same", "undecided") if count[state]]
    return ", ".join([*parts, *_without_ratio(count)])


def _mean(report: Judged) -> str:
    mean = report.mean
    if mean is None:
        return "no timing has enough blocks for a ratio, so there is no mean"
    over = f"over {mean.count} timing{'s' * (mean.count != 1)}"
    if mean.low <= 1 <= mean.high:
        return f"geometric mean {quantities.ratio(mean.ratio, mean.low, mean.high)} {over}: no difference shown"
    slower = mean.ratio > 1
    ends = (mean.ratio, mean.low, mean.high) if slower else (1 / mean.ratio, 1 / mean.high, 1 / mean.low)
    times, low, high = quantities.factors(*ends)
    return f"geometric mean {times} {'slower' if slower else 'faster'} [{low}, {high}] {over}"


def verdict(comparison: Comparison) -> str:
    """A verdict in words: ``1.07x slower``, ``more, from 0``, ``same (tiny but real)``."""
    c = comparison
    if c.verdict in (Verdict.FASTER, Verdict.SLOWER):
        return sure(c)
    if c.verdict is Verdict.SAME:
        return "same (tiny but real)" if c.tiny else "same (exact)" if c.exact else "same"
    return c.state


class Changed(Protocol):
    """What is told of a change: a `Comparison`, or a row of the history."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def metric(self) -> Metric: ...
    @property
    def unit(self) -> str: ...
    @property
    def clear(self) -> bool: ...
    @property
    def exact(self) -> bool: ...
    @property
    def ratio(self) -> float | None: ...
    @property
    def base_value(self) -> float | None: ...
    @property
    def head_value(self) -> float | None: ...


def sure(comparison: Changed) -> str:
    """A change, and whether it is clear."""
    c = comparison
    return change(c) if c.clear or c.exact else f"{change(c)} (not clear)"


def change(comparison: Changed) -> str:
    """Size and direction of a change; *less* and *more* for what is not a time."""
    c = comparison
    timed = c.metric is Metric.TIME
    word = ("faster" if timed else "less") if c.verdict is Verdict.FASTER else ("slower" if timed else "more")
    if c.ratio is None:
        return f"{word}, from {quantities.value(c.base_value, c.unit, full=True)}"
    if c.ratio <= 0:
        return f"{word}, down to {quantities.value(c.head_value, c.unit, full=True)}"
    times = max(c.ratio, 1 / c.ratio)
    if c.exact and times < 1.01 and c.base_value is not None and c.head_value is not None:
        return f"{quantities.value(abs(c.head_value - c.base_value), c.unit, full=True)} {word}"
    return f"{quantities.factor(times)} {word}"


def values(comparison: Changed) -> tuple[str, str]:
    """Base's and head's value per call, scaled; to the last digit where two counts would look alike and are not."""
    c = comparison
    base, head = quantities.value(c.base_value, c.unit), quantities.value(c.head_value, c.unit)
    if c.exact and base == head and c.base_value != c.head_value:
        return quantities.value(c.base_value, c.unit, full=True), quantities.value(c.head_value, c.unit, full=True)
    return base, head


def ratio(comparison: Comparison) -> str:
    """Head ÷ base with its interval; ``–`` where there is none, and words where there are too few blocks for one."""
    c = comparison
    if c.too_few:
        return TOO_FEW
    return "–" if c.ratio is None else quantities.ratio(c.ratio, *((None, None) if c.exact else (c.low, c.high)))


def to_settle(comparison: Comparison) -> str:
    """What would settle an undecided benchmark: blocks in all, and about how much more machine time."""
    c = comparison
    if c.reached and c.ratio is None:
        return "cannot be settled: no ratio"
    if c.needed is None:
        return f"cannot be said from {blocks(c.measured)}"
    if c.blocks == 0:
        return f"{blocks(c.needed)}; none so far"
    seconds = max(0, c.needed - c.measured) * c.machine_seconds / c.measured
    if seconds == 0:
        return f"{blocks(c.measured)} were not enough"
    return f"about {blocks(c.needed)} in all, {quantities.duration(seconds)} more"


def blocks(count: int) -> str:
    """``1 block``, ``6 blocks``."""
    return f"{count} block" if count == 1 else f"{count} blocks"


def failure(comparison: Comparison) -> str:
    """Why a benchmark was not compared, in one line: what failed, and where; or what its author says of the skip."""
    problem = comparison.failure
    if problem is None:
        return "failed; no reason was recorded"
    text = " ".join(problem.reason.split())
    if problem.cause is Cause.SKIPPED:
        text = text or "no reason given"
        return text if problem.arm is None else f"{problem.arm.value} skips it: {text}"
    if comparison.verdict is not Verdict.FAILED:
        arm = Arm.HEAD if comparison.verdict is Verdict.ONLY_IN_BASE else Arm.BASE
        return f"{arm.value} does not have it"
    return text if problem.arm is None else f"{problem.arm.value}: {text}"


def settings(chosen: Settings) -> str:
    """How a benchmark was measured, in one line."""
    base, head = chosen.calls[Arm.BASE], chosen.calls[Arm.HEAD]
    calls = f"{base:,}" if base == head else f"{base:,} (base) and {head:,} (head)"
    if chosen.mode is Mode.SHARED:
        what = f"a common stretch of {quantities.value(chosen.window, 's')}, calls timed together: {calls}"
        warmup = "lots"
    else:
        what = f"{chosen.cycles:,} cycles a block, calls in a slice: {calls}"
        warmup = "cycles"
    return f"{chosen.mode.value}; {what}; {warmup} of warm-up in each arm: {chosen.warmup}"


def scope(report: Report) -> str:
    """What the verdicts are about, and what was drawn once for both arms."""
    drawn = " Stack, heap and libraries lay at addresses drawn for each block, the same in both arms."
    if report.scope == "binary":
        return BINARY + _floor(report.calibration) + drawn * report.addresses
    return ("Scope source: every block linked both arms anew, in an order drawn for both, so the verdicts are about "
            "the source and not about one layout of its code." + drawn * report.addresses)


def _floor(calibration: Numbers | None) -> str:
    """How far two layouts of one source are apart on this machine, where that was measured."""
    deviation = (calibration or {}).get("layout_deviation", 0.0)
    if not deviation:
        return ""
    within = math.expm1(PAIR * deviation)
    return f" Here, two layouts of one source were seen to differ by up to {quantities.percent(within)} (95 %)."


def arm(facts: Mapping[str, Any]) -> str:
    """One arm's interpreter: ``cpython@3.13.5+nocow (CPython 3.13.5)``, with what kind of build it is."""
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(str(facts.get("implementation", "cpython")), "Python")
    kind = "".join(f", {word}" for word in _kind(facts.get("facts") or {}))
    return f"{facts.get('spec', '?')} ({name} {facts.get('version', '?')}{kind})"


def _kind(said: Mapping[str, str]) -> Iterator[str]:
    """What an interpreter is beyond its version, where that bears on speed much."""
    if said.get("Py_DEBUG") == "1":
        yield "debug"
    if said.get("Py_GIL_DISABLED") == "1":
        yield "free-threaded with the GIL on" if said.get("gil") == "True" else "free-threaded"
    if said.get("jit") == "True":
        yield "JIT on"
    elif "--enable-experimental-jit" in said.get("CONFIG_ARGS", ""):
        yield "JIT off"


def difference(found: Difference, *, limit: int | None = None) -> str:
    """One thing in which the builds differ: ``edits: nocow → none``; each side cut to `limit` characters."""
    return f"{found.what}: {side(found.base, limit)} → {side(found.head, limit)}"


def side(text: str, limit: int | None) -> str:
    """One side of a difference, on one line of at most `limit` characters; None: whole."""
    flat = " ".join(text.split()) or "none"
    return flat if limit is None or len(flat) <= limit else flat[: limit - 1] + "…"


def machine(facts: Mapping[str, Any]) -> str:
    """The machine in one line; what is not known is left out."""
    cores, kernel = facts.get("cores"), facts.get("kernel")
    parts = [
        str(facts.get("cpu") or "unknown CPU"),
        f"{cores} core{'s' * (cores != 1)}" if cores else "",
        str(facts.get("os") or ""),
        f"kernel {kernel}" if kernel else "",
    ]
    if "pinned" in facts:
        pinned = facts["pinned"]
        parts.append("not pinned to a CPU" if pinned is None else f"measured on CPU {pinned}")
    return ", ".join(part for part in parts if part)


def effort(report: Report) -> str:
    """How long it took, when, and how much of it was measuring."""
    begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.started))
    share = f"{100 * report.measured_share:.0f} %"
    return f"{begun}, {quantities.duration(report.seconds)} of measuring, {share} of it in measured slices"


def calibration(numbers: Numbers) -> str:
    """How often verdicts are wrong on this machine, and how soon changes are found: what `lockstep calibrate` saw."""
    low, high = (_hundredths(numbers[end]) for end in ("false_low", "false_high"))
    parts = [f"false changes {_hundredths(numbers['false_changes'])} % [{low}, {high}]"]
    for size in (2, 1):
        if f"found_{size}" in numbers:
            share, seconds = numbers[f"found_{size}"], numbers[f"seconds_{size}"]
            # Of what is found in less than nine of ten, the time alone would promise too much.
            often = "" if share >= 0.9 else f" in {quantities.percent(share)} of cases"
            what = f"a {size} % change is found" if len(parts) == 1 else f"{size} %"
            soon = quantities.duration(seconds) if seconds < 1 else f"{seconds:.0f} s"
            parts.append(f"{what} in {soon}{often}")
    return f"on this machine: {', '.join(parts)}"


def _hundredths(share: float) -> str:
    return f"{100 * share:.1f}"
