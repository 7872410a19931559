"""The study → docs/pyperformance.md, whole, and a section of docs/evidence.md. What is not measured is told as that."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from rivals.records import Answer, Said
from rivals.score import Share
from studies import Row, origin, placed, table

from pyperformance_study.parts import BESIDE, DICTS, EQUAL, FUNCTION, PAIRS, WORK, parts
from pyperformance_study.records import Beside, Explained, Measured, Side, Study
from runner.amounts import as_time
from runner.judging.report import COMPARED, NOT_REACHED
from runner.model import Verdict
from runner.report import quantities
from runner.report.explain import SHOWN

DATA = "`data/evidence/pyperformance.json`"
BEGIN, END = "<!-- make pyperformance: begin -->", "<!-- make pyperformance: end -->"
HEADER = "# Evidence\n\nWhat was measured, with the data that it is made of.\n"
COUNTED = (Verdict.FASTER.value, Verdict.SLOWER.value, Verdict.SAME.value, Verdict.UNDECIDED.value, NOT_REACHED)
CHANGED = (Verdict.FASTER.value, Verdict.SLOWER.value)
DECIDED = (*CHANGED, Verdict.SAME.value)
SLOWER = Verdict.SLOWER.value
LONGEST = 12
"""Rows that a table of changes has on either side at most."""

INTRODUCTION = """\
# pyperformance, measured

The benchmarks of [pyperformance](pyperf-suites.md) that need no third-party package, unmodified. `make pyperformance`
makes this page of what it has measured, and goes on where it was. Each comparison is one command, with the budget that
the table says:

    lockstep ab BASE HEAD --suite pyperformance{budget}"""

COUNTS = """\
*decided*: faster, slower or the same within ±{margin}, of all that both arms have. *not reached*: the budget ended
before a first look. *others*: failed, skipped, or only in one arm. The geometric mean is over those that were
reached."""

EQUALS = """\
Head has one more function, which nothing calls (the variant `{variant}`): another executable, which does the same.
Every block links both anew, in one order for both."""

DICT = """\
The variant `{variant}` of CPython 3.13.5 does a little more in each call of `{function}`. It was measured over the
scripts {scripts}, which use dicts; they were chosen by what they do, before anything was measured."""

BESIDE_METHOD = """\
Ten scripts of pyperformance, run by pyperf as its documentation says: base, then head, with its own numbers of
processes, values and loops, then `pyperf compare_to`. What that took is the budget of `lockstep ab` over the same
script, right after it. Both tools are scored over the pairs where both gave an answer; undecided and not reached
claim nothing. Two pairs: one build of CPython 3.13.5 as both arms, of which the true ratio is 1; and one whose
head does a little more in each dict lookup (the variant `{variant}`), which all of these scripts use. How much slower
that makes each of them is not known, so that only *slower* is counted there."""

BESIDE_LIMITS = """\
[low, high] is the exact 95 % interval in percent. *error*: root mean square of the log ratio of one build to itself, of
so many pairs in which there is one.
What Lockstep does before the first block (looking for the benchmark, linking a layout) is not in its machine-seconds;
its last block may end after the budget. Its seconds are those of one CPU, while another one starts its next processes;
pyperf's are wall time. pyperf always came first. The machine was as it was, for both; pyperf advises a tuned and quiet
one. This comparison was made by the authors of one of the tools."""


def render(study: Study) -> str:
    """The page."""
    margin = quantities.percent(study.measured[0].margin if study.measured else 0.01)
    sections = [
        [INTRODUCTION.format(budget=_budget(study)), "", *_whole(study)],
        ["## Verdicts", "", *_verdicts(study), "", COUNTS.format(margin=margin)],
        ["## Two builds that do the same", "", EQUALS.format(variant=EQUAL.partition("+")[2]), "", *_equal(study)],
        ["## Without and with copy-on-write", "", *_changes(study.of("nocow"))],
        ["## Two versions", "", *_changes(study.of("versions"))],
        ["## Work in each dict lookup", "", *_dict(study)],
        ["## Beside pyperf itself", "", *_scripts(study.beside)],
        [_origin(study)],
    ]
    return "\n\n".join("\n".join(lines).strip() for lines in sections) + "\n"


def section(study: Study) -> str:
    """What docs/evidence.md says of the scripts that were measured under pyperf too."""
    lines = ["## pyperformance under pyperf itself, and in Lockstep", "", BESIDE_METHOD.format(variant=_variant()), ""]
    if not study.beside:
        return "\n".join([*lines, "Nothing has been measured yet; `make pyperformance` does it.", ""])
    told = Counter(one.processes for one in study.beside if one.processes is not None)
    lines += [f"Otherwise than that, pyperf was told `--processes {number}` in {count} of {len(study.beside)} pairs."
              for number, count in sorted(told.items())]
    lines += [""] * bool(told)
    left = len(BESIDE) * len(PAIRS) - len(study.beside)
    if left > 0:
        lines += [f"This is a part: {left} of {len(BESIDE) * len(PAIRS)} pairs are not measured yet.", ""]
    lines += [*table(
        ["tool", "false changes, one build as both arms", "error", "finds more work in dict lookups", "undecided",
         "machine-seconds", "from start to verdict", "failed"],
        [_told(_score(name, study.beside)) for name in ("lockstep", "pyperf")]), "", BESIDE_LIMITS, ""]
    return "\n".join([*lines, f"{origin(_moments(study.beside), study.machine)}, {_span(study.beside)}. {_tools(study)}"
                      f"The data: {DATA}; script by script in [pyperformance.md](pyperformance.md).", ""])


def place_into(page: str, told: str) -> str:
    """docs/evidence.md with this section between its marks, which are added at the end where there are none."""
    return placed(page, told, BEGIN, END, HEADER)


def _budget(study: Study) -> str:
    """The option that most comparisons had; empty where they had none. The table has it for each."""
    budgets = Counter(one.budget for one in study.measured).most_common(1)
    return "".join(f" --budget {as_time(budget)}" for budget, _ in budgets if budget is not None)


def _whole(study: Study) -> list[str]:
    """Whether this is all, and what is missing."""
    missing = [part.title for part in parts() if study.of(part.name) is None]
    open_ = [one for one in study.measured if not one.complete]
    said = []
    if missing:
        said.append(f"Not measured yet: {'; '.join(missing)}.")
    said += [f"Interrupted: {_title(one)}, after {quantities.duration(one.seconds)} of "
             f"{'no limit' if one.budget is None else quantities.duration(one.budget)}." for one in open_]
    cells = len(BESIDE) * len(PAIRS)
    if len(study.beside) < cells:
        said.append(f"Under pyperf itself: {len(study.beside)} of {cells} pairs of runs.")
    suites = {part.name: part.suite for part in parts()}
    if any(one.suite != suites[one.part] for one in study.measured):
        said.append("Not over all scripts, but some that were named.")
    using = study.of("dict")
    if using is not None and not _explanations(study, using) and any(row.state == SLOWER for row in using.rows):
        said.append("Nothing is explained yet.")
    return ["**This is a part of it.** " + " ".join(said)] if said else ["All of it is measured."]


def _verdicts(study: Study) -> list[str]:
    if not study.measured:
        return ["Nothing is measured yet."]
    head = ["comparison", "base", "head", "budget", "measuring", "benchmarks", *COUNTED, "others", "decided",
            "geometric mean"]
    cells = []
    for one in _ordered(study):
        states = Counter(row.state for row in one.rows)
        decided, of = _decided(one.rows)
        mean = "–" if one.mean is None else (
            f"{quantities.ratio(one.mean.ratio, one.mean.low, one.mean.high)} over {one.mean.count}")
        cells.append([
            _title(one) + ("" if one.complete else " (interrupted)"), *_arms(one),
            "none" if one.budget is None else as_time(one.budget), quantities.duration(one.seconds),
            str(len(one.rows)), *(str(states[state]) for state in COUNTED),
            str(len(one.rows) - sum(states[state] for state in COUNTED)),
            f"{decided} of {of} = {100 * decided / max(1, of):.0f} %", mean])
    return table(head, cells)


def _equal(study: Study) -> list[str]:
    """What was reported changed of what is equal."""
    lines = []
    for one in (study.of("equal-1"), study.of("equal-2")):
        if one is None:
            lines.append("- Not measured yet.")
            continue
        changed = [row for row in one.rows if row.state in CHANGED]
        reached = _reached(one)
        names = "".join(f"; `{row.benchmark}` {row.state}, {_ratio(row)}" for row in changed)
        lines.append(f"- {_cap(_title(one))}: {len(changed)} of {reached} that were reached are reported "
                     f"changed{names}.{_partly(one)}")
    return lines


def _changes(one: Measured | None) -> list[str]:
    """What a comparison says changed, the largest first on each side."""
    if one is None:
        return ["Not measured yet."]
    lines = [f"`{_arms(one)[0]}` against `{_arms(one)[1]}`, scope {one.scope}; {_reached(one)} of {len(one.rows)} were "
             f"reached.{_partly(one)}", ""]
    for state in CHANGED:
        found = sorted((row for row in one.rows if row.state == state), key=_size, reverse=True)
        count = f"{len(found)} {state}"
        if not found:
            lines += [f"None {state}.", ""]
            continue
        lines += [f"{_cap(count)}{', the largest' if len(found) > LONGEST else ''}:", "", *_rows(found[:LONGEST]), ""]
    alone = [row.benchmark for row in one.rows if row.state in (Verdict.ONLY_IN_BASE.value, Verdict.ONLY_IN_HEAD.value)]
    failed = [row.benchmark for row in one.rows if row.state == Verdict.FAILED.value]
    lines += [f"In one of them only: {_code(alone)}.", ""] * bool(alone)
    lines += [f"Failed: {_code(failed)}.", ""] * bool(failed)
    return lines


def _dict(study: Study) -> list[str]:
    scripts = ", ".join(f"`{name}`" for name in DICTS)
    lines = [DICT.format(variant=_variant(), function=FUNCTION, scripts=scripts), ""]
    one = study.of("dict")
    if one is None:
        return [*lines, "Not measured yet."]
    slower = sorted((row for row in one.rows if row.state == Verdict.SLOWER.value), key=_size, reverse=True)
    lines += [f"Found slower: {len(slower)} of {_reached(one)} benchmarks that were reached.{_partly(one)}", ""]
    lines += [*_rows(slower), ""] if slower else []
    rest = [f"`{row.benchmark}` {row.state}" for row in one.rows if row.state != Verdict.SLOWER.value]
    lines += [f"The others: {', '.join(rest)}.", ""] if rest else []
    told = _explanations(study, one)
    if not told:
        return [*lines, "`lockstep explain` was not asked."]
    named = sum(line.place is not None and line.place <= SHOWN for line in told)
    lines += [f"`lockstep explain` names `{FUNCTION}` among the {SHOWN} functions that it lists in {named} of "
              f"{len(told)} that it was asked about (those with the shortest calls):", ""]
    return [*lines, *table(
        ["benchmark", "instructions a call, base", "head", f"more in `{FUNCTION}`", "its place", "first in the list"],
        [_explained(line) for line in told])]


def _reached(one: Measured) -> int:
    """How many of its benchmarks were measured up to a first look."""
    return sum(row.state in (*DECIDED, Verdict.UNDECIDED.value) for row in one.rows)


def _explanations(study: Study, run: Measured) -> list[Explained]:
    return [line for line in study.explained if line.run == run.run]


def _explained(line: Explained) -> list[str]:
    if line.base is None or line.head is None:
        return [f"`{line.benchmark}`", "not counted: " + "; ".join(line.problems), "", "", "", ""]
    return [f"`{line.benchmark}`", f"{line.base:,.0f}", f"{line.head:,.0f}",
            "–" if line.more is None else f"{line.more:+,.0f}", "not in it" if line.place is None else str(line.place),
            f"`{line.first}`" if line.first else "–"]


def _scripts(found: Sequence[Beside]) -> list[str]:
    if not found:
        return ["Not measured yet."]
    lines = ["What was done, and both tools side by side: [evidence.md](evidence.md). Script by script:", ""]
    named = {"equal": "one build as both arms", "work": "work in each dict lookup"}
    cells = []
    for one in found:
        ours = ("–", "–") if one.lockstep is None else _said(one.lockstep, one.state)
        cells.append([f"`{one.script}`", named[one.pair], *_said(one.pyperf), *ours, one.failure])
    return [*lines, *table(["script", "pair", "pyperf", "its seconds", "lockstep", "its seconds", "failed"], cells)]


def _said(side: Side, word: str = "") -> tuple[str, str]:
    """What a tool says, in its own `word` where it has one, and its seconds."""
    answer = side.answer
    ratio = "" if answer.ratio is None else f" {answer.ratio:.3f}"
    return (word or answer.said.value) + ratio, f"{side.seconds:.0f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How often one tool was right, over the scripts that were measured under both."""

    tool: str
    false: Share
    """A change was claimed of one build and itself."""
    found: Share
    """Slower was claimed of the variant."""
    error: float | None
    """Root mean square of the log ratio of one build to itself; None without a ratio."""
    ratios: Share
    """Pairs of one build and itself of which there is one."""
    undecided: Share
    """Pairs that it could not decide, or did not reach."""
    seconds: float
    wall: float
    """Of measuring, and from the start to the verdict: medians; nan for none."""
    failed: Share


def _score(tool: str, found: Iterable[Beside]) -> Score:
    found = list(found)
    both = [one for one in found if one.lockstep is not None and Said.FAILED not in
            (one.lockstep.answer.said, one.pyperf.answer.said)]
    told = [(one.pair, side) for one in both if (side := _side(one, tool)) is not None]
    states = [one.state for one in both] if tool == "lockstep" else []
    tried = [side for one in found if (side := _side(one, tool)) is not None]
    equal = [side.answer for pair, side in told if pair == "equal"]
    work = [side.answer.said for pair, side in told if pair == "work"]
    logs = [math.log(answer.ratio) for answer in equal if answer.ratio]
    return Score(
        tool=tool, false=Share(count=sum(map(_claims, equal)), of=len(equal)),
        found=Share(count=work.count(Said.SLOWER), of=len(work)),
        error=math.sqrt(sum(log * log for log in logs) / len(logs)) if logs else None,
        ratios=Share(count=len(logs), of=len(equal)),
        undecided=Share(count=sum(states.count(word) for word in (Verdict.UNDECIDED.value, NOT_REACHED)), of=len(told)),
        seconds=median(side.seconds for _, side in told) if told else math.nan,
        wall=median(side.wall for _, side in told) if told else math.nan,
        failed=Share(count=sum(side.answer.said is Said.FAILED for side in tried), of=len(tried)),
    )


def _side(one: Beside, tool: str) -> Side | None:
    return one.lockstep if tool == "lockstep" else one.pyperf


def _claims(answer: Answer) -> bool:
    return answer.said in (Said.SLOWER, Said.FASTER)


def _told(score: Score) -> list[str]:
    error = "–" if score.error is None else f"{100 * score.error:.2f} % of {score.ratios.count}"
    undecided = "–" if score.tool == "pyperf" else f"{score.undecided.count}/{score.undecided.of}"
    return [score.tool, _share(score.false), error, _share(score.found), undecided, f"{score.seconds:.0f}",
            f"{score.wall:.0f} s", f"{score.failed.count}/{score.failed.of}"]


def _share(share: Share) -> str:
    if share.of == 0:
        return "not run"
    low, high = share.interval
    return f"{share.count}/{share.of} [{100 * low:.0f}, {100 * high:.0f}]"


def _rows(rows: Sequence[Row]) -> list[str]:
    return table(["benchmark", "base", "head", "ratio"], [
        [f"`{row.benchmark}`", quantities.value(row.base_value, row.unit), quantities.value(row.head_value, row.unit),
         _ratio(row)] for row in rows])


def _ratio(row: Row) -> str:
    return "–" if row.ratio is None else quantities.ratio(row.ratio, row.low, row.high)


def _size(row: Row) -> float:
    return abs(math.log(row.ratio)) if row.ratio else 0.0


def _decided(rows: Sequence[Row]) -> tuple[int, int]:
    """How many are decided, of those that both arms have."""
    both = [row.state for row in rows if row.state in {*(one.value for one in COMPARED), NOT_REACHED}]
    return sum(state in DECIDED for state in both), len(both)


def _ordered(study: Study) -> list[Measured]:
    names = [part.name for part in parts()]
    return sorted(study.measured, key=lambda one: names.index(one.part))


def _title(one: Measured) -> str:
    return next(part.title for part in parts() if part.name == one.part)


def _arms(one: Measured) -> list[str]:
    return [arm if "@" in arm else f"{arm} ({version})" for arm, version in zip(one.arms, one.versions, strict=True)]


def _partly(one: Measured) -> str:
    return "" if one.complete else " Measuring was interrupted, and goes on."


def _variant() -> str:
    return WORK.partition("+")[2]


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _moments(found: Sequence[Beside]) -> list[float]:
    return [one.pyperf.started for one in found]


def _span(found: Sequence[Beside]) -> str:
    """How far the two runs of a script lay apart at most, and how long all of them took."""
    apart = max((one.lockstep.started - one.pyperf.started for one in found if one.lockstep is not None), default=0.0)
    return f"both tools over a script within {quantities.duration(apart)} of each other's start"


def _tools(study: Study) -> str:
    tools = study.measured[-1].tools if study.measured else {}
    return "".join(f"{name} {version}; " for name, version in tools.items()).removesuffix("; ") + ". " * bool(tools)


def _origin(study: Study) -> str:
    found = [one.started for one in study.measured] + _moments(study.beside)
    seconds = sum(one.seconds for one in study.measured)
    share = sum(one.seconds * one.share for one in study.measured) / seconds if seconds else 0.0
    return (f"{origin(found, study.machine)}: {len(study.measured)} comparisons, {quantities.duration(seconds)} of "
            f"measuring, {100 * share:.0f} % of it in measured slices. {_tools(study)}The data: {DATA}.")
