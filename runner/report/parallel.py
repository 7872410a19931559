"""What a machine's runs beside each other have shown, as text."""

from __future__ import annotations

from rich.console import JustifyMethod, RenderableType
from rich.text import Text

from runner.judging.parallel import LEAST, MOST, Finding, Level
from runner.report import quantities
from runner.report.text import plain_table, print_to_text

COLUMNS: tuple[tuple[str, JustifyMethod], ...] = (
    ("runs at once", "right"), ("measured", "right"), ("standard deviation of a block", "left"),
    ("false changes", "left"), ("", "left"),
)


def render(finding: Finding, *, folder: str, width: int = 100, color: bool = False) -> str:
    """The finding as text at most `width` columns wide, with ANSI colours if `color`."""
    parts: list[RenderableType] = [Text(said(finding)), Text()]
    shown = plain_table()
    for name, side in COLUMNS:
        shown.add_column(name, justify=side, overflow="fold")
    for level in finding.levels:
        shown.add_row(*map(Text, _row(level)))
    note = (f"Equals, in turns, each on one of the sets of CPUs {'; '.join(finding.sets)}, while neighbours worked on "
            "others, and streamed through memory in half of their bursts. In brackets: 95 % intervals. Undisturbed is "
            f"what is shown to scatter at most {quantities.factor(MOST)} as much as one alone.")
    parts += [shown, Text(note, style="dim"), Text(), Text(f"Stored in {folder}", style="dim", no_wrap=True)]
    return print_to_text(parts if finding.levels else parts[:1], width=width, color=color)


def said(finding: Finding) -> str:
    """What follows for who measures."""
    if not finding.levels:
        return "Nothing is stored of this machine's runs beside each other: `lockstep calibrate --parallel` measures."
    tried = max(level.at_once for level in finding.levels)
    if finding.most == tried > 1:
        return f"Up to {tried} runs at once do not disturb each other; more were not tried."
    beyond = next((level for level in finding.levels if level.at_once > finding.most), None)
    if beyond is None:
        return "Only runs alone were measured so far."
    if beyond.growth is None or beyond.runs < LEAST:
        return (f"Too little was measured of {beyond.at_once} runs at once: {beyond.runs} of {LEAST} at least. Measure "
                "again; it is added to what there is.")
    so_far = f"Up to {finding.most} runs at once do not disturb each other" if finding.most > 1 else (
        "No runs were shown not to disturb each other")
    return (f"{so_far}; of {beyond.at_once}, each block scatters {quantities.factor(beyond.growth.times)} as much, "
            f"and {beyond.false.count} of {beyond.false.of} equals were called different.")


def _row(level: Level) -> tuple[str, ...]:
    growth = level.growth
    scatter = "1 by definition" if level.at_once == 1 else "–" if growth is None else (
        f"{growth.times:.2f}x [{growth.low:.2f}, {growth.high:.2f}]")
    verdict = "" if level.at_once == 1 else "undisturbed" if level.undisturbed else "not shown"
    return str(level.at_once), f"{level.runs} runs", scatter, f"{level.false.count} of {level.false.of}", verdict
