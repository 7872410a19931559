"""The study → the part of docs/scale.md between its two marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from studies import inserted, numbers

from scale.asked import QUESTIONS
from scale.records import FULL, Measured, Size, Study, Took, size_of

BEGIN, END = "<!-- make scale: begin -->", "<!-- make scale: end -->"
ON_PAPER = (FULL / 10, FULL)
"""Rows of what is not measured, and computed from what is."""
GROWS: Mapping[str, Callable[[Size], int]] = {
    "overview": lambda size: size.benchmarks, "benchmark": lambda size: size.machines,
    "run": lambda size: size.benchmarks, "put": lambda size: size.benchmarks, "remove": lambda size: size.benchmarks,
    "runs": lambda size: size.machines,
}
"""What an answer is as long as; the others are about one series, which has as many rows in any index."""


def render(study: Study) -> str:
    """The tables, with what they were made on."""
    parts = [f"Measured {study.day} on {study.machine}.", ""]
    for engine in dict.fromkeys(one.engine for one in study.measured):
        own = sorted((one for one in study.measured if one.engine == engine), key=lambda one: one.size.rows)
        parts += [f"**{engine}**", "", *_times(own), "", *_plans(own[-1])]
    return "\n".join(parts).rstrip() + "\n"


def place_into(page: str, section: str) -> str:
    """The page with the section between its marks. Raises ValueError where it lacks them."""
    return inserted(page, section, BEGIN, END)


def _times(own: Sequence[Measured]) -> list[str]:
    sizes = [size_of(rows) for rows in ON_PAPER]
    head = ["rows", *(_rows(one.size) for one in own), *(f"*{_rows(size)}*" for size in sizes)]
    rows = [
        ["machines × benchmarks", *(f"{one.size.machines} × {one.size.benchmarks}" for one in own),
         *(f"*{size.machines} × {size.benchmarks}*" for size in sizes)],
        ["on disk", *(_bytes(one.bytes) for one in own),
         *(f"*{_bytes(own[-1].bytes / own[-1].size.rows * size.rows)}*" for size in sizes)],
        ["bytes a row", *(f"{one.bytes / one.size.rows:.0f}{_of_them(one)}" for one in own), *[""] * len(sizes)],
        ["made in", *(_seconds(one.filled) for one in own), *[""] * len(sizes)],
    ]
    for question, words in QUESTIONS.items():
        asked = [one.took[question] for one in own]
        paper = [_on_paper(question, own[-1], size) for size in sizes]
        rows.append([words, *(_took(one) for one in asked), *(f"*{text}*" if text else "" for text in paper)])
    return numbers(head, rows)


def _of_them(one: Measured) -> str:
    return "" if one.indexes is None else f", {one.indexes / one.size.rows:.0f} of them indexes"


def _took(took: Took) -> str:
    worst = f", at most {_seconds(took.worst)}" if took.times > 1 else ""
    return f"{_seconds(took.median)}{worst} ({took.rows} rows)"


def _on_paper(question: str, largest: Measured, size: Size) -> str:
    """What it would take there, by what a row of the answer took in the largest index. Empty: it does not grow."""
    if question not in GROWS:
        return ""
    grown = GROWS[question](size) / GROWS[question](largest.size)
    return _seconds(largest.took[question].median * grown)


def _plans(largest: Measured) -> list[str]:
    lines = []
    for question, plan in largest.plans.items():
        lines += [f"How it searches among {_rows(largest.size)}: {QUESTIONS[question]}", "", "```text", *plan,
                  "```", ""]
    return lines


def _rows(size: Size) -> str:
    millions = size.rows / 1e6
    return f"{millions:,.0f} million" if millions >= 100 else f"{millions:.3g} million"


def _seconds(seconds: float) -> str:
    if seconds >= 100:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.2g} s" if seconds >= 1 else f"{seconds * 1e3:.{0 if seconds >= 0.01 else 1}f} ms"


def _bytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.{1 if count < 2**37 else 0}f} GiB"
