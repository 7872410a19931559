"""A search for commits in words: its steps as they are made, and what it has found."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from runner.model import Commit, Verdict
from runner.report import quantities
from runner.report.text import clean, print_to_text
from runner.storage.bisects import Change, Duel, Finding, Purpose, Stored, Told

SHORT = 12
"""Digits of a hash that are shown."""
_QUIET = (Verdict.SAME.value, Verdict.UNDECIDED.value, "passed over")
"""Of the ends, what is said in one line for all benchmarks, if there are several."""
_STYLES = {Verdict.SLOWER: "bold red", Verdict.FASTER: "green"}


def render(stored: Stored, *, verbose: bool = False, width: int = 100, color: bool = False) -> str:
    """What a search found, for the terminal; `verbose`: with its steps, and with what has not changed."""
    parts: list[RenderableType] = []
    if verbose:
        parts += [clean(line) for duel in stored.duels for line in lines(duel)]
        parts.append(Text())
    findings = stored.findings or ()
    changed = [finding for finding in findings if finding.count]
    for commit, together in _grouped(changed):
        parts += _commit(commit, together, stored)
    for finding in changed:
        if finding.count > 1:
            parts += _range(finding)
    rest = [finding for finding in findings if not finding.count]
    if rest:
        parts += _rest(rest, verbose=verbose)
    if not findings:
        parts.append(Text("no benchmark was there to be compared"))
    return print_to_text(parts, width=width, color=color)


def heading(duel: Duel, number: int) -> str:
    """What is being measured, in a few words; `number` counts from 0."""
    return f"duel {number + 1}, {_what(duel)}"


def lines(duel: Duel, subject: str = "") -> Iterator[str]:
    """What a duel said, a line for each benchmark that has something to say; `subject` is that of its head."""
    what = _what(duel) + (f" ({subject})" if subject and duel.purpose is Purpose.STEP else "")
    if duel.trouble:
        yield f"{what}: passed over: {duel.trouble}"
        return
    if not duel.told:
        yield f"{what}: no benchmark was measured"
    loud = {key: told for key, told in duel.told.items() if duel.purpose is not Purpose.ENDS or told.word not in _QUIET}
    if len(duel.told) == 1:
        loud = dict(duel.told)
    for key, told in loud.items():
        yield f"{what}: {key}: {_told(duel, told)}"
    quiet = Counter(told.word for key, told in duel.told.items() if key not in loud)
    if quiet:
        yield f"{what}: {'and ' if loud else ''}{', '.join(f'{count} {word}' for word, count in quiet.items())}"


def _what(duel: Duel) -> str:
    base, head = duel.base[:SHORT], duel.head[:SHORT]
    return {
        Purpose.ENDS: f"{head} against {base}", Purpose.ENDS_AGAIN: f"{head} against {base}, again", Purpose.STEP: head,
        Purpose.LAST: f"{head} against its parent {base}",
    }[duel.purpose]


def _told(duel: Duel, told: Told) -> str:
    words = [change_in_words(told.change)] if told.change is not None else []
    words += [told.reason] if told.reason else []
    said = ", ".join([*words, told.word]) if told.word != "passed over" else f"passed over: {told.reason}"
    if duel.purpose is Purpose.STEP:
        return f"{said}; {told.left} commit{'s' * (told.left != 1)} left"
    return said


def change_in_words(change: Change) -> str:
    """``1.031 [1.024, 1.038]``; of what has no ratio, that."""
    return "no ratio" if change.ratio is None else quantities.ratio(change.ratio, change.low, change.high)


def _grouped(findings: Sequence[Finding]) -> list[tuple[Commit, list[Finding]]]:
    """The commits that were found, each with the benchmarks that it has changed, in suite order."""
    found: dict[str, tuple[Commit, list[Finding]]] = {}
    for finding in findings:
        if finding.count == 1:
            found.setdefault(finding.commits[0].hash, (finding.commits[0], []))[1].append(finding)
    return list(found.values())


def commit_in_words(commit: Commit) -> str:
    """``0123456789ab 2026-11-28 Subject``."""
    return f"{commit.hash[:SHORT]} {time.strftime('%Y-%m-%d', time.gmtime(commit.date))} {commit.subject}"


def _commit(commit: Commit, findings: Sequence[Finding], stored: Stored) -> list[RenderableType]:
    parts: list[RenderableType] = [clean(commit_in_words(commit), "bold")]
    for finding in findings:
        if finding.change is None:
            measured = _whole(finding)
        else:
            measured = (f"{change_in_words(finding.change)} against its parent {finding.parent[:SHORT]}, "
                        f"{_whole(finding)}")
        line = Text("  ").append_text(clean(finding.benchmark)).append(": ")
        line.append_text(clean(f"{finding.verdict.value}, ", _STYLES.get(finding.verdict, "")))
        parts.append(line.append_text(clean(measured)))
        if finding.remark:
            parts.append(Padding(clean(finding.remark, "yellow"), (0, 0, 0, 4)))
    parts.append(clean(f"  git -C {shlex.quote(stored.asked.repository)} show {commit.hash[:SHORT]}", "dim"))
    return parts


def _whole(finding: Finding) -> str:
    if finding.whole is None:
        return "and nothing is known of the whole range"
    return f"{change_in_words(finding.whole)} over the whole range"


def _range(finding: Finding) -> list[RenderableType]:
    first = f"{finding.benchmark}: {finding.verdict.value}, {_whole(finding)}, by one of {finding.count} commits"
    parts: list[RenderableType] = [clean(first, "bold"), Padding(clean(f"not in one: {finding.reason}"), (0, 0, 0, 2))]
    more = finding.count - len(finding.commits)
    parts += [clean(f"  … {more} before these")] if more else []
    return parts + [clean(f"  {commit_in_words(commit)}") for commit in finding.commits]


def _rest(findings: Sequence[Finding], *, verbose: bool) -> list[RenderableType]:
    if verbose or len(findings) <= 5:
        return [clean(f"{finding.benchmark}: {finding.reason}") for finding in findings]
    count = Counter(finding.verdict.value for finding in findings)
    said = ", ".join(f"{number} {verdict}" for verdict, number in count.items())
    return [clean(f"{len(findings)} benchmarks were not searched for: {said} (-v lists them)")]
