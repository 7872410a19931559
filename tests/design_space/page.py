"""The study → docs/design-space.md, whole. Nothing is said of what was not measured, but that it was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from studies import origin, table

from design_space.designs import EVERY, NOCOW, RELEASE, SUITES, TODAY
from design_space.records import Compared, Kind, Row, Seen, Study, Verified
from runner.amounts import as_time
from runner.judging.report import NOT_REACHED
from runner.model import Metric, Verdict
from runner.report import quantities
from runner.report.picture import CHANGED, MARKS

INTRODUCTION = """\
# The design space of copy-on-write

bpo-22003 gave `io.BytesIO` copy-on-write for `bytes`. Its thread weighed other designs, and ended with a question: why
`bytes` only, and not whatever has the buffer interface? Each design is a variant of CPython {version} in
`data/variants/`, built and measured against today's source. `make design-space` makes this page from what it has
measured.

| design | what `io.BytesIO` does | in the thread |
| --- | --- | --- |"""

SHARED = """\
A stream is made from an object of {size}; then the object's owner changes its first byte, and wants to resize or close
it. **copied**: the stream has memory of its own. **shared**: it reads the object's memory. **changes**: so does what
the stream reads. *held*: the owner is refused as long as the stream is only read."""

STALE = """\
Where stream and program share `bytes`, one thing goes wrong in {designs}. A `bytes` object keeps its hash, and a stream
that is alone in holding it writes into it: a value that was hashed and dropped hands its hash on to the next one.

```python
import io
stream = io.BytesIO()
stream.write(b"old " * 100)
hash(stream.getvalue())
stream.seek(0)
stream.write(b"new ")
value = stream.getvalue()
print(hash(value) == hash(bytes(bytearray(value))))  # False: a dict does not find it
```"""

SPEED = """\
Counts of timings by verdict; a ratio is the design's time divided by the other's. A verdict is about the whole family
of a run's timings, as in every report. What the budget left before a first look is *not reached*; the geometric mean is
over those that were reached, and says nothing of the rest. *others*: failed, skipped, or only in one of them."""
HASH = "`hash-as-test`"
COUNTED = (Verdict.FASTER.value, Verdict.SLOWER.value, Verdict.SAME.value, Verdict.UNDECIDED.value, NOT_REACHED)

VERIFIED = """\
`lockstep verify` runs CPython's `test_memoryio` under both, and random sequences of operations on streams and on what
they are made from, which may change in between. Of each kind of object it shows one difference, made short."""

LIMITS = """\
- One machine, one release, one compiler, and the suites of this project.
- `bytesio` makes streams from the same views and subclasses again and again, so that `hash-as-test` finds each hash
  ready; `fresh-views` has none that was hashed.
- {budgets}; what that left undecided is counted as undecided.
- The designs are our own code after what the thread says of them, not its patches, which fit CPython 3.5: what is
  lent is seen through a memoryview, where a patch had a `Py_buffer` in the stream."""


def render(study: Study) -> str:
    """The page."""
    version = RELEASE.partition("@")[2]
    parts = [INTRODUCTION.format(version=version)]
    parts += [f"| `{one.name}` | {one.does} | {one.thread} |" for one in EVERY]
    parts += ["", *_answer(study), "## What is shared, and what goes wrong", "", *_shared(study.seen), "",
              "## Speed", "", SPEED, "", *_speed(study.compared)]
    parts += ["### Benchmarks that a design changes", "", *_changed(study.compared), "",
              "## Bytes allocated", "", *_allocated(study.compared), "",
              "## What `lockstep verify` finds", "", VERIFIED, "", *_verified(study.verified), "",
              "## Limits", "", LIMITS.format(budgets=_budgets(study.compared)), "", _origin(study)]
    return "\n".join(parts).rstrip() + "\n"


def _answer(study: Study) -> list[str]:
    """What the rules that share more than today's do, in one sentence each, and what follows."""
    today = next((one for one in study.seen if one.design == TODAY.name), None)
    if today is None:
        return []
    ours = {name for name, kind in today.kinds.items() if _shares(kind, today)}
    parts, wrong, sound = ["## The answer", ""], [], []
    for seen in sorted(study.seen, key=_place):
        more = [name for name, kind in seen.kinds.items() if _shares(kind, seen) and name not in ours]
        changing = [name for name, kind in seen.kinds.items() if kind.follows]
        if more or changing:
            (wrong if changing else sound).append(f"`{seen.design}`")
            what = f"of these, streams change with: {', '.join(changing)}" if changing else "none of these can change"
            parts.append(f"- `{seen.design}` shares also: {', '.join(more)}; {what}.")
            parts += [f"  - {told}" for told in _gains(study.compared, seen.design)]
    if not wrong and not sound:
        return []
    parts.append("")
    if wrong:
        lends = ["Who borrows a buffer is told whether the borrower may write, not whether its owner can."]
        hashes = ["A hash says which object it is, not that it stays as it is."]
        parts.append(" ".join([
            *(lends if set(wrong) - {HASH} else []), *(hashes if HASH in wrong else []),
            f"So what is not immutable is taken for it by {_and(wrong)}, and a stream's content changes behind its "
            "back."]))
    if sound:
        parts.append(f"What asks for the type is right about what it shares: {_and(sound)}.")
    return [*parts, ""]


def _gains(found: Sequence[Compared], design: str) -> list[str]:
    """In a sentence for each suite, what a design gains and loses against today's."""
    runs = [one for suite in SUITES for one in found if (one.suite, one.design, one.against) == (
        suite, design, TODAY.name)]
    told = []
    for run in runs:
        timed = [row for row in run.rows if row.metric is Metric.TIME]
        reached = [row for row in timed if row.ratio is not None]
        sides = []
        for verdict in (Verdict.FASTER, Verdict.SLOWER):
            count = sum(row.state == verdict.value for row in timed)
            sides.append(f"{count} {verdict.value}" + (f" (most: {_most(timed, verdict)})" if count else ""))
        told.append(f"`{run.suite}` against `{TODAY.name}`: {', '.join(sides)}, of {len(reached)} timings that were "
                    f"reached{'' if len(reached) == len(timed) else f', of {len(timed)}'}.")
    return told


def _shared(found: Sequence[Seen]) -> list[str]:
    if not found:
        return ["Not looked at yet."]
    ordered = sorted(found, key=_place)
    kinds = dict.fromkeys(kind for seen in ordered for kind in seen.kinds)
    rows = [[kind, *(_sharing(seen.kinds.get(kind), seen) for seen in ordered)] for kind in kinds]
    size = quantities.value(ordered[0].size, "bytes")
    stale = [f"`{seen.design}`" for seen in ordered if seen.stale]
    return [SHARED.format(size=size), "", *table(["made from", *(f"`{seen.design}`" for seen in ordered)], rows),
            *(["", STALE.format(designs=_and(stale))] if stale else [])]


def _sharing(kind: Kind | None, seen: Seen) -> str:
    if kind is None:
        return "–"
    words = ["shared" if _shares(kind, seen) else "copied"]
    return ", ".join([*words, *(["**changes**"] if kind.follows else []), *(["*held*"] if kind.held else [])])


def _shares(kind: Kind, seen: Seen) -> bool:
    """Whether no copy was made: a copy is as large as the object, and all else is small."""
    return kind.allocated < seen.size / 2


def _speed(found: Sequence[Compared]) -> list[str]:
    parts = []
    for suite in SUITES:
        for against in (TODAY, NOCOW):
            runs = sorted((one for one in found if (one.suite, one.against) == (suite, against.name)), key=_place)
            parts += [f"Suite `{suite}`, against `{against.name}`:", ""]
            parts += [*_counts(runs), ""] if runs else ["Not measured yet.", ""]
    return parts


def _counts(runs: Sequence[Compared]) -> list[str]:
    head = ["design", "timings", *COUNTED, "others", "geometric mean", "over", "most gained", "most lost"]
    rows = []
    for run in runs:
        timed = [row for row in run.rows if row.metric is Metric.TIME]
        states = Counter(row.state for row in timed)
        counts = [states[state] for state in COUNTED]
        mean, over = ("–", "–") if run.mean is None else (
            quantities.ratio(run.mean.ratio, run.mean.low, run.mean.high), str(run.mean.count))
        partly = "" if run.pattern is None else f" (those with `{run.pattern}`)"
        rows.append([f"`{run.design}`{partly}", str(len(timed)), *map(str, counts), str(len(timed) - sum(counts)),
                     mean, over, _most(timed, Verdict.FASTER), _most(timed, Verdict.SLOWER)])
    return table(head, rows)


def _most(rows: Sequence[Row], verdict: Verdict) -> str:
    """The benchmark whose ratio is farthest from 1 on one side."""
    found = [row for row in rows if row.state == verdict.value and row.ratio]
    if not found:
        return "–"
    row = max(found, key=_factor)
    return f"`{row.benchmark}` {quantities.factor(_factor(row))}"


def _changed(found: Sequence[Compared]) -> list[str]:
    """Benchmarks in which a design clearly differs from today's, counts left out."""
    runs = sorted((one for one in found if one.against == TODAY.name), key=_place)
    if not runs:
        return ["Not measured yet."]
    designs = list(dict.fromkeys(run.design for run in runs))
    cells = {(run.design, row.benchmark): row for run in runs for row in run.rows if row.metric is not Metric.TRACK}
    names = dict.fromkeys(name for (_, name), row in cells.items() if row.clear and row.state in CHANGED)
    if not names:
        return [f"Of {_and([f'`{design}`' for design in designs])} none differs clearly from `{TODAY.name}` in any "
                "benchmark that was reached."]
    rows = [[f"`{name}`", *(_cell(cells.get((design, name))) for design in designs)] for name in names]
    key = f"Against `{TODAY.name}`: ▼ faster (or less), ▲ slower (or more), = the same, ? undecided, … not reached."
    return [key, "", *table(["benchmark", *(f"`{design}`" for design in designs)], rows)]


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    size = quantities.factor(_factor(row)) if row.state in CHANGED and row.ratio else ""
    return MARKS.get(row.state, row.state) + size


def _allocated(found: Sequence[Compared]) -> list[str]:
    """Counts of bytes in every design, where two designs differ."""
    values: dict[str, dict[str, float]] = {}
    for run in found:
        for row in run.rows:
            if row.metric is Metric.TRACK and row.unit == "bytes":
                both = ((run.against, row.base_value), (run.design, row.head_value))
                values.setdefault(row.benchmark, {}).update((name, value) for name, value in both if value is not None)
    designs = [one.name for one in EVERY if any(one.name in told for told in values.values())]
    rows = [[f"`{name}`", *(_bytes(told.get(design)) for design in designs)] for name, told in values.items()
            if len(set(told.values())) > 1]
    if not rows:
        return ["Not measured yet." if not values else "The same in all."]
    return table(["bytes allocated by", *(f"`{design}`" for design in designs)], rows)


def _bytes(value: float | None) -> str:
    return "–" if value is None else quantities.value(value, "bytes", full=True)


def _verified(found: Sequence[Verified]) -> list[str]:
    if not found:
        return ["Not verified yet."]
    parts = []
    for one in sorted(found, key=_place):
        count = len(one.hazards)
        told = "no difference" if not count else "1 difference" if count == 1 else f"{count} differences"
        sources = f"; streams were made from: {', '.join(one.kinds)}" if one.kinds else ""
        problems = "".join(f" Not looked at: {_code(problem)}." for problem in one.problems)
        parts.append(f"`{one.design}` against `{TODAY.name}`: {told}. {one.sequences:,} sequences of operations were "
                     f"tried, in {one.seconds:.0f} s of searching and in making short what was found{sources}."
                     f"{problems}")
        for hazard in one.hazards:
            parts += ["", f"{hazard.what}: `{TODAY.name}` gives {_code(hazard.base)}, `{one.design}` "
                      f"{_code(hazard.head)}.", "", "```python", hazard.script.strip(), "```"]
        parts.append("")
    return parts


def _budgets(found: Sequence[Compared]) -> str:
    told = [as_time(budget) for budget in sorted({one.budget for one in found})]
    return f"A comparison had {' to '.join(dict.fromkeys((told[0], told[-1])))}" if told else "Nothing was compared"


def _code(text: str, longest: int = 100) -> str:
    """A text as code in one line."""
    line = " ".join(text.split()).replace("`", "'")
    return f"`{line if len(line) <= longest else line[:longest] + '…'}`"


def _origin(study: Study) -> str:
    when = origin([one.started for one in (*study.compared, *study.verified)], study.machine)
    minutes = sum(one.seconds for one in study.compared) / 60
    scopes = " and ".join(sorted({one.scope for one in study.compared})) or "none yet"
    return (f"{when}: {len(study.compared)} runs, {minutes:.0f} minutes of measuring, scope {scopes}. "
            "The data: `data/evidence/design-space.json`.")


def _place(one: Seen | Compared | Verified) -> int:
    """Of a design in the table of all."""
    return next((number for number, design in enumerate(EVERY) if design.name == one.design), len(EVERY))


def _factor(row: Row) -> float:
    assert row.ratio
    return max(row.ratio, 1 / row.ratio)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
