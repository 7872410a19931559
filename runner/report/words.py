"""Every sentence of a report, so that all formats say the same thing in the same words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.judging.compare import NOT_REACHED, Comparison, Report
from runner.model import Arm, Difference, Metric, Mode, Notice, Settings, Verdict
from runner.report import quantities
from runner.stats.decide import LOOKS
from runner.stats.variance import PAIR

Numbers = Mapping[str, Any]

_PLAIN = {verdict: str(verdict.value) for verdict in Verdict}
TOO_FEW = "too few blocks"
"""What stands for a ratio before the first look."""
NOT_CLEAR = "not clear: a difference, but its interval reaches inside the margin"


def headline(report: Report) -> tuple[str, str]:
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
    count = _counts(comparisons)
    parts = [
        f"head {words[0]} {count[Verdict.FASTER]} of {len(comparisons)}",
        f"{words[1]} {count[Verdict.SLOWER]}",
        f"same within ±{quantities.percent(margin)} in {count[Verdict.SAME]}",
        f"undecided in {count[Verdict.UNDECIDED]}",
    ]
    if away := _not_reached(comparisons):
        parts.append(f"{NOT_REACHED} in {away}")
    if count[Verdict.FAILED]:
        parts.append(f"failed in {count[Verdict.FAILED]}")
    return ", ".join(parts)


def _counts(comparisons: list[Comparison]) -> dict[Verdict, int]:
    """Benchmarks by verdict; what was not reached is counted apart."""
    return {verdict: sum(c.verdict is verdict and c.reached for c in comparisons) for verdict in Verdict}


def _not_reached(comparisons: list[Comparison]) -> int:
    return sum(not c.reached for c in comparisons)


def _short_tally(comparisons: list[Comparison]) -> str:
    count = _counts(comparisons)
    parts = [f"less in {count[Verdict.FASTER]} of {len(comparisons)}", f"more in {count[Verdict.SLOWER]}"]
    rest = ((Verdict.SAME, "same"), (Verdict.UNDECIDED, "undecided"), (Verdict.FAILED, "failed"))
    parts += [f"{word} in {count[verdict]}" for verdict, word in rest if count[verdict]]
    return ", ".join([*parts, *([f"{NOT_REACHED} in {away}"] if (away := _not_reached(comparisons)) else [])])


def _mean(report: Report) -> str:
    mean = report.mean
    if mean is None:
        return "no timing has enough blocks for a ratio, so there is no mean"
    over = f"over {mean.count} timing{'s' * (mean.count != 1)}"
    if mean.low <= 1 <= mean.high:
        return f"geometric mean {quantities.ratio(mean.ratio, mean.low, mean.high)} {over}: no difference shown"
    slower = mean.ratio > 1
    ends = (mean.ratio, mean.low, mean.high) if slower else (1 / mean.ratio, 1 / mean.high, 1 / mean.low)
    times, low, high = map(quantities.factor, ends)
    return f"geometric mean {times} {'slower' if slower else 'faster'} [{low}, {high}] {over}"


def verdict(comparison: Comparison) -> str:
    """A verdict in words: ``1.07x slower``, ``more, from 0``, ``same (tiny but real)``."""
    c = comparison
    if c.verdict in (Verdict.FASTER, Verdict.SLOWER):
        return change(c) if c.clear or c.exact else f"{change(c)} (not clear)"
    if c.verdict is Verdict.SAME:
        return "same (tiny but real)" if c.tiny else "same (exact)" if c.exact else "same"
    return _PLAIN[c.verdict] if c.reached else NOT_REACHED


def change(comparison: Comparison) -> str:
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


def values(comparison: Comparison) -> tuple[str, str]:
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
    if c.needed is None:
        return f"cannot be said from {_blocks(c.blocks)}"
    if c.blocks == 0:
        return f"{_blocks(c.needed)}; none so far"
    seconds = max(0, c.needed - c.blocks) * c.machine_seconds / c.blocks
    if seconds == 0:
        return f"{_blocks(c.blocks)} were not enough"
    return f"about {_blocks(c.needed)} in all, {quantities.duration(seconds)} more"


def _blocks(count: int) -> str:
    return f"{count} block" if count == 1 else f"{count} blocks"


def failure(comparison: Comparison) -> str:
    """Why a benchmark failed, and in which arm."""
    problem = comparison.failure
    if problem is None:
        return "failed; no reason was recorded"
    return f"{problem.arm.value}: {problem.reason}" if problem.arm is not None else problem.reason


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
        return notice_text(Notice(kind="layout")) + _floor(report.calibration) + drawn * report.addresses
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
    return f"{found.what}: {_side(found.base, limit)} → {_side(found.head, limit)}"


def _side(text: str, limit: int | None) -> str:
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
            parts.append(f"{what} in {seconds:.0f} s{often}")
    return f"on this machine: {', '.join(parts)}"


def _hundredths(share: float) -> str:
    return f"{100 * share:.1f}"


def warnings(report: Report) -> list[Notice]:
    """The report's own notices, with a notice for each difference that nobody asked for; none twice.

    The notice about code layout is left to `scope`, which always says it.
    """
    unasked = [
        Notice(kind="unasked-difference", numbers={"what": d.what, "base": d.base, "head": d.head})
        for d in report.differences if not d.asked
    ]
    kept: dict[str, Notice] = {}
    for notice in [*report.notices, *unasked]:
        if notice.kind != "layout":
            kept.setdefault(notice_text(notice), notice)
    return list(kept.values())


def grouped(
    comparisons: Sequence[Comparison], *, by_kind: bool = False
) -> Iterator[tuple[str, Sequence[Comparison]]]:
    """The benchmarks' own notices: each sentence once, with the benchmarks that it is about.

    With `by_kind`, sentences that differ in their figures alone are one, and it says so.
    """
    groups: dict[str, list[tuple[str, Comparison]]] = {}
    for comparison in comparisons:
        for notice in comparison.notices:
            text = notice_text(notice)
            groups.setdefault(notice.kind if by_kind else text, []).append((text, comparison))
    for members in groups.values():
        first = members[0][0]
        alike = all(text == first for text, _ in members)
        yield first if alike else f"{first} (figures of the first)", [comparison for _, comparison in members]


def notice_text(notice: Notice) -> str:
    """The sentence for a notice. A kind without one, or without its numbers, is printed as it is: never dropped."""
    sentence = _NOTICES.get(notice.kind)
    if sentence is not None:
        try:
            text = sentence(notice.numbers)
            return f"Run {notice.numbers['of_run']}: {text}" if "of_run" in notice.numbers else text
        except (KeyError, TypeError, ValueError):
            pass
    name = notice.kind.replace("-", " ")
    numbers = ", ".join(f"{key} {number}" for key, number in notice.numbers.items())
    return f"{name}: {numbers}" if numbers else name


def _away(count: int) -> str:
    """How many were not reached, where there are any: fewer blocks than the first look."""
    return f" and {count} {NOT_REACHED} (fewer than {_blocks(LOOKS[0])} each)" if count else ""


_READINGS = {
    "steal": "the time that other guests of the host took", "load": "the machine's load",
    "switches": "the number of times that other processes interrupted",
}
_WHERE = {
    **{name: f"where {text} was larger" for name, text in _READINGS.items()},
    "time": "late in the session as early",
}


def _signed(change: float) -> str:
    return f"{'−' if change < 0 else '+'}{quantities.percent(abs(change))}"


_NOTICES: Mapping[str, Callable[[Numbers], str]] = {
    "steal": lambda n: (
        f"other guests of the host took {quantities.percent(n['share'])} of this CPU's time meanwhile; "
        "a quieter hour gives narrower intervals"),
    "addresses": lambda n: (
        f"Each process got addresses of its own, which makes intervals wider: {n['reason']}."),
    "layout": lambda n: (
        "Scope binary: the verdicts are about these two files. Code layout is not controlled: differences of up "
        "to a few percent may come from layout alone."),
    "scope-binary": lambda n: f"Code layout could not be randomised (scope source): {n['reason']}.",
    "uncopied": lambda n: (
        "The interpreters were run from the files themselves and not from new copies in every round, so where each "
        f"lies in memory, worth a few percent, is the same in all blocks: {n['reason']}"),
    "uncopied-library": lambda n: (
        "The interpreters' code is in a library that the copies of every round share, so where it lies in memory, "
        f"worth a few percent, is the same in all blocks: {n['libraries']}"),
    "wrapper": lambda n: (
        f"The {n['arm']} is a wrapper, {n['path']}, and was run as it is. It starts {n['starts']}, and adds: "
        f"{n['adds']}."),
    "one-profile": lambda n: (
        "The builds are trained (PGO). Each arm keeps the one profile of its own training, which differs from training "
        "to training: that is one draw, and no number of layouts averages it out."),
    "unsteady-values": lambda n: (
        f"returns another value in every {'call' if n['between'] == 'calls' else 'process'}, so the arms' values were "
        "not compared"),
    "values-ignored": lambda n: (
        "What calls return was not compared between the arms (--values ignore): they may not have done the same work."),
    "extensions": lambda n: (
        f"loads extension modules that are not linked anew, so that their own layout is not randomised: {n['names']}"),
    "same-file": lambda n: (
        "Base and head are the same file: this is an A/A comparison, and every change that it shows is a false alarm."),
    "same-content": lambda n: (
        "Base and head are copies of the same file: this is an A/A comparison unless what they load differs, and "
        "every change that it shows is a false alarm."),
    "unasked-difference": lambda n: (
        f"The builds differ in {n['what']}, which was not asked for: {_side(str(n['base']), 120)} in base, "
        f"{_side(str(n['head']), 120)} in head."),
    "unpinned": lambda n: (
        "The processes were not pinned to a CPU, so the arms may have run on different ones; trust small "
        "differences less."),
    "one-cpu": lambda n: (
        "There is one CPU for everything: the parent shares it with what it measures, which costs precision. "
        "Give the run a second CPU."),
    "sibling": lambda n: (
        "The measured CPU shares its core with another one (SMT), whose work disturbs it. Keep the sibling idle or "
        "switch SMT off."),
    "quota": lambda n: (
        f"The control group allows {n['cpus']:.3g} CPUs, so the kernel may stop what is measured at any moment. "
        "Raise cpu.max."),
    "tried-again": lambda n: (
        f"{_blocks(int(n['times']))} failed and {'was' if n['times'] == 1 else 'were'} tried again ({n['reason']})"),
    "from-zero": lambda n: f"base is {n['base']:g}, so there is no ratio to head's {n['head']:g}",
    "interrupted": lambda n: (
        f"The run was interrupted with {n['done']} of {n['total']} benchmarks settled. To go on: {n['resume']}"),
    "few-cycles": lambda n: f"only {n['cycles']:g} cycles in a block, so a single block says little",
    "budget": lambda n: (
        f"The budget ended with {n['undecided']} undecided{_away(n['not_reached'])}. Give a larger --budget, or none, "
        "to settle them."),
    "unequal-calls": lambda n: (
        f"the arms did unequal numbers of calls in a slice, {n['base']:,} and {n['head']:,}, because their speeds are "
        "far apart"),
    "macos": lambda n: (
        "macOS cannot pin a process to a CPU; take verdicts on small differences as hints and confirm them on Linux."),
    "canary": lambda n: (
        f"Canary: base read {quantities.ratio(n['ratio'], n['low'], n['high'])} against its own copy in "
        f"{_blocks(n['blocks'])} of {n['benchmark']}. Something makes a difference where there is none; take changes "
        "of this size as noise, and repeat the run."),
    "canary-failed": lambda n: f"The canary (base against its own copy) could not be measured: {n['reason']}",
    "drift": lambda n: (
        f"The ratios drifted by {_signed(n['change'])} in the course of the session, over all benchmarks: the machine "
        "treated the arms differently early and late. Repeat the run when it is at rest."),
    "order-effect": lambda n: (
        f"The arm that was started first mattered: it changed the ratios by {quantities.percent(n['change'])} over all "
        f"benchmarks. Base was first in {quantities.percent(n['share'])} of the blocks, which moves the ratios by "
        f"{_signed(n['bias'])}."),
    "disturbed-ratios": lambda n: (
        f"The ratios follow {_READINGS[n['reading']]}: where it was larger they are off by {_signed(n['change'])}, "
        "over all benchmarks. One arm was hit more than the other; repeat the run on a quieter machine."),
    "disturbed-blocks": lambda n: (
        f"The blocks scatter {quantities.factor(n['times'])} as much {_WHERE[n['reading']]}. Intervals allow for it "
        "and are wider; a quieter hour gives narrower ones."),
    "shape": lambda n: (
        f"by their fastest slices head ÷ base is {quantities.ratio(n['fastest'])}, by all of them "
        f"{quantities.ratio(n['typical'])}: the change is not the same for every call"),
    "cycle-order": lambda n: (
        f"base went first in {quantities.percent(n['share'])} of the cycles, and going first changes the ratio by "
        f"{quantities.percent(n['change'])}: together they move it by {_signed(n['bias'])}"),
    "combined": lambda n: (
        f"Combined from {n['count']} runs: {n['runs']}. Standard deviation between runs, beyond what their blocks "
        f"explain: {quantities.percent(n['spread'])} in a typical benchmark. The runs clearly differ in "
        f"{n['heterogeneous']} of {n['benchmarks']}."),
    "contradicting-runs": lambda n: (
        f"Run {n['run']} contradicts the others in {n['benchmarks']} benchmark{'s' * (n['benchmarks'] != 1)}: look "
        "for what was different on that machine, or that day."),
    "contradicting-run": lambda n: (
        f"run {n['run']} read {quantities.ratio(n['ratio'])}, where the others say {quantities.ratio(n['others'])}"),
    "unlike-runs": lambda n: (
        f"Runs {n['first']} and {n['second']} differ in {n['what']}: "
        f"{_side(str(n['one']), 120) + ' → ' if n['one'] else ''}{_side(str(n['other']), 120)}. What they disagree in "
        "may come from that."),
    "interrupted-run": lambda n: f"Run {n['run']} was interrupted with {n['done']} of {n['total']} benchmarks settled.",
    "heterogeneous": lambda n: (
        f"the runs differ, from {quantities.ratio(n['low'])} to {quantities.ratio(n['high'])}: a standard deviation of "
        f"{quantities.percent(n['spread'])} between runs; {quantities.percent(n['share'])} of their spread (I²) is not "
        "explained by their blocks"),
    "fewer-runs": lambda n: f"only {n['judged']} of {n['runs']} runs came to a look, and count",
    "mode-disagreement": lambda n: (
        f"On this machine, {n['mode']} reads a planted slowdown of {quantities.percent(n['size'])} "
        f"{100 * n['difference']:+.2f} % differently from turns (`lockstep calibrate`): take small differences that "
        f"were measured in {n['mode']} as hints."),
    "torn-line": lambda n: "The last line of blocks.jsonl was torn off in mid-write and is not counted.",
    "suite-problem": lambda n: f"The suite has a problem: {n['text']}",
}
