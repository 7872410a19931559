"""Make terminal.svg: what `lockstep show RUN` prints at a terminal, with long tables cut.

    PYTHONPATH=. .venv/bin/python docs/pictures/terminal.py data/runs/RUN

The font is the reader's: a picture that loads one from elsewhere would tell somebody who looks at it.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from runner import jobs
from runner.report import text

WIDTH = 112
LINES = 8
"""Of a part of the report, what is between two empty lines."""
HERE = Path(__file__).parent


def cut(lines: list[str]) -> Iterator[str]:
    """The lines, but of each part the first few."""
    for empty, part in groupby(lines, key=lambda line: not line.strip()):
        kept = list(part)
        yield from kept[:1] if empty else kept[:LINES]
        if not empty and len(kept) > LINES:
            yield "  ⋮"


def main() -> None:
    folder = Path(sys.argv[1])
    told = text.render(jobs.report_of(folder, with_noise=False), width=WIDTH, color=True)
    told = told.replace(str(folder), f"data/runs/{folder.name}")
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True)
    console.print(Text.from_ansi("$ lockstep show\n" + "\n".join(cut(told.splitlines()))), soft_wrap=True)
    fonts = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
    svg = console.export_svg(title="lockstep show", code_format=fonts.sub("", CONSOLE_SVG_FORMAT))
    (HERE / "terminal.svg").write_text(svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"))


if __name__ == "__main__":
    main()
