"""The study → docs/nights.md, whole. Nothing is said of what was not had, but that it was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from studies import origin, table

from nights import stages
from nights.commits import NIGHTS, PLAN, RELEASE
from nights.records import Row, Searched, Study, Trial
from nights.stages import Part
from nights.watching import BLOCKS
from runner.report import quantities
from runner.report.markdown import escape

INTRODUCTION = """\
# Nights of known truth

`make nights` makes a git history of CPython {release} with eight commits whose effect is known, and has
[a night](nightly.md) of the release, of each of them and one without anything new, in a row: a suite of
twenty benchmarks, {blocks} blocks of each in the history, against the release. It does so twice, each time in a new
state. It [searches](bisect.md) all eight commits for three of the benchmarks, each by itself. And it kills nights of
a small project at random moments (`kill -9`), begins them again, and compares how they end with one that was left
alone. It makes this page from what it has; [tests/nights](../tests/nights/__main__.py) says how it is judged.

| commit | what is true of it |
| :-- | :-- |"""

RIGHT = """\
A night is right if it reports each benchmark that its commit makes slower, at that commit alone; if every benchmark
that it reports became slower in the range that it names; if it has the outcome that it should, without any problem; and
if it took no longer than its budget, building included. *Slower* counts the benchmarks that it confirmed to be slower,
*nominated* the changes that were suggested. *Building* is part of the time; with a +, the commit was built
before the night, which took as long, and counts as if it had been in it. Of a few seconds, the builds were there."""

REGRESSIONS = ("undoes copy-on-write in construction", "adds work to each dict lookup", "2 % more work in five")
INTERRUPTED = "\\* it was interrupted, or waited for another run on the machine: what its steps took."


def render(study: Study | None, *, repeats: int, kills: int) -> str:
    """The page; without a study, that nothing was had yet."""
    parts = [INTRODUCTION.format(release=RELEASE, blocks=BLOCKS)]
    parts += [f"| {planned.subject} | {what} |" for planned, what in zip(PLAN, _truths(), strict=True)]
    if study is None:
        return "\n".join([*parts, "", "Nothing was measured yet."]) + "\n"
    parts += ["", "## The answer", "", *_answer(study, repeats, kills), "", "## Nights", ""]
    parts += [RIGHT, ""] if study.repeats else ["None yet.", ""]
    for number, rows in enumerate(study.repeats, start=1):
        so_far = "" if len(rows) == NIGHTS else f", {len(rows)} of {NIGHTS} nights so far"
        parts += [f"**Repeat {number}**{so_far}", "", *_nights(rows, study.budget), ""]
    parts += ["## Searches", "", *_searches(study.searches), "", "## Kills", "", *_kills(study.trials, kills), "",
              _origin(study)]
    return "\n".join(parts) + "\n"


def wrong(study: Study) -> list[str]:
    """All that was not as it should be, a line each."""
    return [f"{where}: {what}" for where, found in _judged(study) for what in found]


def _truths() -> Iterator[str]:
    regressions = iter(REGRESSIONS)
    for planned in PLAN:
        yield "does not compile" if not planned.builds else next(regressions) if planned.slower else "changes nothing"


def _judged(study: Study) -> Iterator[tuple[str, Sequence[str]]]:
    for number, rows in enumerate(study.repeats, start=1):
        yield from ((f"repeat {number}, {row.subject}", row.wrong) for row in rows)
    yield from ((f"search for {one.benchmark}", one.wrong) for one in study.searches)
    yield from ((f"killed night {number}", trial.wrong) for number, trial in enumerate(study.trials, start=1))


def _answer(study: Study, repeats: int, kills: int) -> list[str]:
    found = wrong(study)
    left = stages.lacking(study, repeats=repeats, kills=kills)
    if found:
        lines = ["Not all is right:", "", *(f"- {escape(line)}" for line in found)]
    else:
        lines = ["So far all is right." if left else "All is right."]
    if left:
        count = Counter(stage.part for stage in left)
        words = [_several(count[Part.NIGHTS], "night", "s"), _several(count[Part.SEARCHES], "search", "es")]
        words += [_several(stage.number, "kill", "s") for stage in left if stage.part is Part.KILLS]
        lines += ["", f"**This is a part.** Lacking of what is asked for: {', '.join(filter(None, words))}. "
                  "`make nights` goes on from here."]
    return lines


def _several(number: int, noun: str, ending: str) -> str:
    return f"{number} {noun}{ending * (number != 1)}" if number else ""


def _nights(rows: Sequence[Row], budget: float) -> list[str]:
    head = ["night", "outcome", "nominated", "slower", "time", "building", "budget", "right"]
    cells = [[
        row.subject, row.state, str(row.nominated), _reported(row), f"{row.wall:.0f} s{'' if row.whole else '*'}",
        f"+{row.ahead:.0f} s" if row.ahead else f"{row.building:.0f} s", quantities.duration(budget), _right(row.wrong),
    ] for row in rows]
    return [*_table(head, cells), *([] if all(row.whole for row in rows) else ["", INTERRUPTED])]


def _reported(row: Row) -> str:
    names = [f"`{name.removeprefix('work.')}`" for name in row.slower]
    names += [f"`{name.removeprefix('work.')}` faster" for name in row.faster]
    return f"{len(row.slower)}: {', '.join(names)}" if names else "–"


def _right(wrong: Sequence[str]) -> str:
    return f"**no**: {escape('; '.join(wrong))}" if wrong else "yes"


def _searches(searches: Sequence[Searched]) -> list[str]:
    if not searches:
        return ["None yet."]
    head = ["searched", "found", "duels", "time", "right"]
    cells = [[f"`{one.benchmark}`", "; ".join(one.found) or "nothing", str(one.duels),
              f"{one.wall:.0f} s" if one.whole else "interrupted, and gone on with", _right(one.wrong)]
             for one in searches]
    return [f"Each among all {len(PLAN)} commits; it is to end in one.", "", *_table(head, cells)]


def _kills(trials: Sequence[Trial], wanted: int) -> list[str]:
    kills = [kill for trial in trials for kill in trial.kills]
    if not kills:
        return ["None yet."]
    steps = sorted(Counter(kill.step for kill in kills).items(), key=lambda item: (-item[1], item[0]))
    where = ", ".join(f"{step} ({count})" for step, count in steps)
    bad = [f"- {escape(what)}" for trial in trials for what in trial.wrong]
    said = ["**Not all ended as the night that was left alone:**", "", *bad] if bad else [
        "All ended as the night that was left alone."]
    nights = _several(len(trials), "night", "s")
    return [f"{len(kills)} of {wanted} kills, in {nights} of a small project. What was under "
            f"way: {where}.", "", *said]


def _origin(study: Study) -> str:
    started = [row.started for rows in study.repeats for row in rows]
    nights = sum(row.wall for rows in study.repeats for row in rows)
    return (f"{origin(started, study.machine)}: {_several(len(started), 'night', 's') or 'no night'} in "
            f"{nights / 60:.0f} minutes. The data: `data/evidence/nights.json`.")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return table(head, rows, [":--"] * len(head))
