"""The pictures in docs/pictures: each is shown somewhere, and each that is shown is there, for light and for dark."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
ONCE = {"asv.png", "bpo-22003.svg", "terminal.svg"}
"""They have no pages of ours on them."""


def test_each_picture_is_there_and_shown() -> None:
    texts = [path.read_text() for path in (DOCS.parent / "README.md", *DOCS.rglob("*.md"))]
    shown = {name for text in texts for name in re.findall(r"pictures/([\w-]+\.(?:png|svg))", text)}
    assert shown == {path.name for path in (DOCS / "pictures").iterdir() if path.suffix in (".png", ".svg")}
    light = {name for name in shown - ONCE if "-dark" not in name}
    assert {name.replace(".png", "-dark.png") for name in light} == shown - ONCE - light


def test_the_program_makes_what_is_shown() -> None:
    text = (DOCS / "pictures" / "pages.py").read_text()
    made = set(re.findall(r'^    "(\w+)": lambda', text, re.MULTILINE))
    assert made == {path.stem for path in (DOCS / "pictures").glob("*.png")
                    if path.name not in ONCE and "-dark" not in path.stem}
