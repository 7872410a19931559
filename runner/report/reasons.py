"""Why benchmarks were not compared: what is alike is told once, with the benchmarks that it is about."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from runner.errors import listed
from runner.judging.report import Comparison, Report
from runner.model import Verdict
from runner.report import words
from runner.report.sections import sections

NAMED, SHOWN = 3, 12
"""Benchmarks that are named of a reason, and reasons that are shown, where there are more."""
_FRAME = re.compile(r'^  File "(.+)", line (\d+)(?:, in (.+))?$', re.MULTILINE)
_OURS = re.compile(r'  File "(<string>|<frozen importlib[^"]*|[^"]*runner/(measuring/worker|suites/asv_loaded)\.py)"')
"""Frames that workers of before told too."""
_KIND = re.compile(r"raised(?: in \w+:)? \w+|[^:(]+")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why some benchmarks were not compared."""

    text: str
    """In one line; of the first of them."""
    place: str
    """The user's code that it comes from, ``sizes.py:12, in time_sort``; empty where that is not known."""
    detail: str
    """The user's part of the traceback, or what was printed last; of the first of them. May be empty."""
    about: tuple[Comparison, ...]
    alike: bool
    """It is the text of them all. Otherwise they have what happened and where in common."""

    @property
    def sentence(self) -> str:
        return self.text if self.alike else f"{self.text} (text of the first)"

    def names(self, most: int | None = NAMED, *, show: Callable[[str], str] = str) -> str:
        """See `named`."""
        return named(self.about, most, show=show)


def named(
    comparisons: Sequence[Comparison], most: int | None = NAMED, *, show: Callable[[str], str] = str
) -> str:
    """The first `most` by name (None: all), each as `show` writes it, and how many more there are."""
    return listed([show(c.key) for c in comparisons], len(comparisons) if most is None else most)


def first(why: Sequence[Reason]) -> tuple[Sequence[Reason], str]:
    """The first few of many reasons, and words for the others; empty where there are none."""
    rest = why[SHOWN:]
    about = sum(len(one.about) for one in rest)
    return why[:SHOWN], f"{len(rest)} more reasons, for {about} benchmarks" if rest else ""


def grouped(comparisons: Iterable[Comparison], suite: str, *, exactly: bool = False) -> list[Reason]:
    """The reasons of benchmarks that were not compared, in the order of the first of each.

    Failures of one kind in one place are one, though their texts differ, and so are skips whose texts differ in numbers
    alone; not so if `exactly`. `suite` is the suite's folder.
    """
    groups: dict[tuple[str, ...], list[tuple[Comparison, str, str]]] = {}
    for c in comparisons:
        text = words.failure(c)
        detail = "" if c.failure is None else users_part(c.failure.detail)
        place = _place(detail, suite)
        same = _ADDRESS.sub("", text)
        if c.failure is not None and c.verdict is Verdict.FAILED and not exactly:
            kind = _KIND.match(c.failure.reason)
            same = f"{c.failure.arm} {kind[0] if kind else text}"
        elif not exactly:
            same = _NUMBER.sub("", text)
        groups.setdefault((c.verdict.value, same, place), []).append((c, text, detail))
    return [
        Reason(
            text=members[0][1], place=place, detail=members[0][2], about=tuple(c for c, _, _ in members),
            alike=len({_ADDRESS.sub("", text) for _, text, _ in members}) == 1,
        )
        for (_, _, place), members in groups.items()
    ]


def not_compared(report: Report, *, exactly: bool = False) -> list[tuple[str, list[Reason]]]:
    """All that was not compared: a title with its count, and the reasons, as `grouped` has them."""
    found = sections(report)
    return [
        (f"{title} ({len(those)})", grouped(those, report.suite, exactly=exactly))
        for title, those in (
            ("Failed", found.failed), ("Only in base", found.only_in_base), ("Only in head", found.only_in_head),
            ("Skipped", found.skipped),
        )
        if those
    ]


def users_part(detail: str) -> str:
    """A failure's detail without the frames of what measures."""
    kept: list[str] = []
    ours = False
    for line in detail.rstrip().split("\n"):
        ours = bool(_OURS.match(line)) or (ours and line.startswith("    "))
        if not ours:
            kept.append(line)
    return "\n".join(kept)


def _place(detail: str, suite: str) -> str:
    """The last frame of a traceback that is in the suite, or the last of all: where its author begins to look."""
    frames = [(os.path.relpath(file, suite), file, line, function) for file, line, function in _FRAME.findall(detail)]
    own = [(inside, line, function) for inside, _, line, function in frames if not inside.startswith("..")]
    last = [(file, line, function) for _, file, line, function in frames]
    if not last:
        return ""
    file, line, function = (own or last)[-1]
    return f"{file}:{line}, in {function}" if function else f"{file}:{line}"
