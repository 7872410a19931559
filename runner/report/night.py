"""A night for people, in Markdown that reads well as plain text too."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from runner.model import Commit
from runner.report import quantities
from runner.report.markdown import code, escape, fence
from runner.storage.nights import SHORT, Confirmation, Measured, Night, Outcome

NAMES = {"anchor": "against the anchor", "previous": "against the last commit", "confirm": "to confirm a change",
         "bridge": "the old anchor against the new one"}


def headline(night: Night) -> str:
    """What a night has come to, in a line of plain text."""
    what = f"{night.watch}{f' ({night.configuration})' if night.configuration else ''}"
    if night.ended is None:
        return f"{what}: not finished: {night.problems[-1].splitlines()[0] if night.problems else 'interrupted'}"
    if night.outcome is Outcome.GONE:
        return f"{what}: {night.alarm}"
    if night.outcome is Outcome.FAILED:
        return f"{what}: failed: {night.problems[-1].splitlines()[0]}"
    assert night.commit is not None
    at = f"{night.commit.hash[:SHORT]} ({night.commit.subject})"
    if night.outcome is Outcome.UNCHANGED:
        said = f"nothing new since {at}"
    elif night.outcome is Outcome.BROKEN:
        said = f"{at} does not build"
    else:
        said = f"{at}: {_found(night)}"
    return f"{what}: {said}" + (f"; {night.alarm}" if night.alarm else "")


def slower(night: Night) -> int:
    """Benchmarks that the night has confirmed to have become slower."""
    return sum(len(one.shown or ()) for one in night.confirmations or () if one.direction == "slower")


def render(night: Night) -> str:
    """The night as Markdown: what it found, what it measured, what went wrong, and what it took."""
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(night.created))
    parts = [f"### {escape(headline(night))}", f"{day}, night {code(night.id)}"]
    if night.alarm:
        parts.append(f"**Alarm: {escape(night.alarm)}**")
    parts += [f"**Problem:** {escape(problem)}" for problem in night.problems]
    if night.commit is not None:
        parts.append(_commits(night))
    if night.broken:
        parts.append(fence(night.broken))
    for one in night.confirmations or ():
        parts += _confirmation(one)
    if night.measured:
        parts.append("\n".join(map(_run, night.measured)))
    said = [*night.notes, *(f"{step.name}: {step.problem}" for step in night.steps if step.problem)]
    if said:
        parts.append("\n".join(f"- {escape(line)}" for line in said))
    if night.steps:
        long = [step for step in night.steps if step.seconds >= 1]
        steps = ", ".join(f"{step.name} {quantities.duration(step.seconds)}" for step in long)
        took = f"It took {quantities.duration(night.seconds)} of {quantities.duration(night.budget)}"
        parts.append(f"{took}: {steps}." if steps else f"{took}.")
    return "\n\n".join(parts) + "\n"


def _found(night: Night) -> str:
    shown = [one for one in night.confirmations or () if one.shown]
    if not shown:
        nominated = len(night.confirmations or ())
        return "no change confirmed" + (f" of {nominated} that were suggested" if nominated else "")
    words = [
        f"{sum(len(one.shown or ()) for one in shown if one.direction == direction)} {direction}"
        for direction in ("slower", "faster") if any(one.direction == direction for one in shown)
    ]
    return ", ".join(words)


def _commits(night: Night) -> str:
    assert night.commit is not None
    lines = [f"{_commit(night.commit)}, against {code(night.anchor)}" if night.anchor else _commit(night.commit)]
    if night.previous is not None:
        count = f"{night.between} commit{'s' * (night.between != 1)} after " if night.between else "after "
        lines.append(f"{count}{_commit(night.previous)}")
    return "  \n".join(lines)


def _commit(commit: Commit) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(commit.date))
    return f"{code(commit.hash[:SHORT])} {escape(commit.subject)} ({day})"


def _confirmation(one: Confirmation) -> Sequence[str]:
    where = code(one.bad[:SHORT]) if one.between == 1 else f"{one.between} commits up to {code(one.bad[:SHORT])}"
    suspects = f"{', '.join(map(code, one.benchmarks))}, {one.direction} at {where}"
    if one.passed:
        return [f"Could not be measured again: {suspects}: {escape(one.passed)}"]
    if one.shown is None:
        return [f"Not measured again yet: {suspects}"]
    if not one.shown:
        return [f"Not confirmed: {suspects} ({one.kind}; run {code(one.run or '')})"]
    rows = [
        f"| {code(line.benchmark)} | {quantities.ratio(line.ratio, line.low, line.high)} |" for line in one.shown
    ]
    return [f"**{one.direction.capitalize()} at {where}** (run {code(one.run or '')})",
            "\n".join(["| benchmark | ratio |", "|:--|--:|", *rows]),
            *map(escape, one.functions or ()), fence(one.command)]


def _run(one: Measured) -> str:
    counts = ", ".join(_counted(one.counts.items()))
    blocks = f", {one.blocks} blocks each" if one.blocks else ""
    return f"- {code(one.run)} {NAMES.get(one.purpose.value, one.purpose.value)}, scope {one.scope}{blocks}: {counts}"


def _counted(counts: Iterable[tuple[str, int]]) -> list[str]:
    return [f"{count} {state}" for state, count in counts if count]
