"""The sentence for every notice, so that all formats warn of the same things in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from runner.judging.report import NOT_REACHED, Comparison, Report
from runner.model import Notice
from runner.report import quantities
from runner.report.words import BINARY, Numbers, blocks, side
from runner.stats.decide import LOOKS

FEW = 5
"""Notices of one kind that are shown where there is little room."""
WORDS = ("between", "reading")
"""Numbers that are no figures, but choose the words of a sentence."""


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
            kept.setdefault(sentence(notice), notice)
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
            text = sentence(notice)
            kind = " ".join([notice.kind, *(str(notice.numbers[name]) for name in WORDS if name in notice.numbers)])
            groups.setdefault(kind if by_kind else text, []).append((text, comparison))
    for members in groups.values():
        first = members[0][0]
        alike = all(text == first for text, _ in members)
        yield first if alike else f"{first} (figures of the first)", [comparison for _, comparison in members]


def few(notices: Sequence[Notice], most: int = FEW) -> tuple[list[str], list[str]]:
    """The sentences of at most so many notices of each kind; and those of the others."""
    shown: list[str] = []
    rest: list[str] = []
    count: Counter[str] = Counter()
    for notice in notices:
        count[notice.kind] += 1
        (shown if count[notice.kind] <= most else rest).append(sentence(notice))
    return shown, rest


def sentence(notice: Notice) -> str:
    """The sentence for a notice. A kind without one, or without its numbers, is printed as it is: never dropped."""
    make = KINDS.get(notice.kind)
    if make is not None:
        try:
            text = make(notice.numbers)
            text = f"On {notice.numbers['of_host']}: {text}" if "of_host" in notice.numbers else text
            return f"Run {notice.numbers['of_run']}: {text}" if "of_run" in notice.numbers else text
        except (KeyError, TypeError, ValueError):
            pass
    name = notice.kind.replace("-", " ")
    numbers = ", ".join(f"{key} {number}" for key, number in notice.numbers.items())
    return f"{name}: {numbers}" if numbers else name


def _away(count: int) -> str:
    """How many were not reached, where there are any: fewer blocks than the first look."""
    return f" and {count} {NOT_REACHED} (fewer than {blocks(LOOKS[0])} each)" if count else ""


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


KINDS: Mapping[str, Callable[[Numbers], str]] = {
    "steal": lambda n: (
        f"other guests of the host took {quantities.percent(n['share'])} of this CPU's time meanwhile; "
        "a quieter hour gives narrower intervals"),
    "addresses": lambda n: (
        f"Each process got addresses of its own, which makes intervals wider: {n['reason']}."),
    "layout": lambda n: BINARY,
    "scope-binary": lambda n: f"Code layout could not be randomised (scope source): {n['reason']}.",
    "uncopied": lambda n: (
        "The interpreters were run from the files themselves and not from new copies in every round, so where each "
        f"lies in memory, worth a few percent, is the same in all blocks: {n['reason']}"),
    "uncopied-library": lambda n: (
        "The interpreters' code is in a library that the copies of every round share, so where it lies in memory, "
        f"worth a few percent, is the same in all blocks: {n['libraries']}"),
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
    "edit": lambda n: f"How an edit was applied: {n['text']}.",
    "unasked-difference": lambda n: (
        f"The builds differ in {n['what']}, which was not asked for: {side(str(n['base']), 120)} in base, "
        f"{side(str(n['head']), 120)} in head."),
    "unpinned": lambda n: (
        "The processes were not pinned to a CPU, so the arms may have run on different ones; trust small "
        "differences less."),
    "one-cpu": lambda n: (
        "There is one CPU for everything: the parent shares it with what it measures, which costs precision. "
        "Give the run a second CPU."),
    "sibling": lambda n: (
        "The measured CPU shares its core with another one (SMT), whose work disturbs it. Keep the sibling idle or "
        "switch SMT off."),
    "confined": lambda n: (
        f"Measured on CPU {n['cpus']} (--cpus): other runs may have measured on the others meanwhile, which share "
        "memory bandwidth, caches and heat. What calibrations have shown of this machine was shown without that."),
    "beside": lambda n: (
        f"When this run began, {n['runs']} measured on this machine, each on CPUs of its own. It is known of no more "
        f"than {n['shown']} that they do not disturb each other (`lockstep calibrate --parallel`): blocks may scatter "
        "more, and more of them be needed."),
    "quota": lambda n: (
        f"The control group allows {n['cpus']:.3g} CPUs, so the kernel may stop what is measured at any moment. "
        "Raise cpu.max."),
    "tried-again": lambda n: (
        f"{blocks(int(n['times']))} failed and {'was' if n['times'] == 1 else 'were'} tried again ({n['reason']})"),
    "from-zero": lambda n: f"base is {n['base']:g}, so there is no ratio to head's {n['head']:g}",
    "no-ratio": lambda n: (
        f"its values vary, and in one block they are {n['base']:g} in base and {n['head']:g} in head: only values "
        "above 0 have a ratio, so it cannot be settled"),
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
        f"{blocks(n['blocks'])} of {n['benchmark']}. Something makes a difference where there is none; take changes "
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
        f"{side(str(n['one']), 120) + ' → ' if n['one'] else ''}{side(str(n['other']), 120)}. What they disagree in "
        "may come from that."),
    "interrupted-run": lambda n: f"Run {n['run']} was interrupted with {n['done']} of {n['total']} benchmarks settled.",
    "host": lambda n: (
        f"Machine {n['host']}" + (f" ({n['cpu']})" if n["cpu"] else "") + f" measured {n['count']} "
        f"benchmark{'s' * (n['count'] != 1)}" + (f": {n['names']}." if n["count"] else ".")),
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
    "gil": lambda n: (
        f"{n['arm']} is a build for running without the GIL, and ran with it: an extension module that the benchmark "
        "loads turned it on, or PYTHON_GIL did"),
    "dropped-variables": lambda n: (
        f"Set where this was started, and not passed on to what was measured: {n['names']}. --env NAME passes on what "
        "begins with PYTHON."),
    "wrapper": lambda n: (
        f"The {n['arm']} is a wrapper, {n['path']}, and was run as it is. It starts {n['starts']}, and adds: "
        f"{n['adds']}."),
    "suite-problem": lambda n: f"The suite has a problem: {n['text']}",
}
"""The sentence of every kind of notice, from its numbers."""
