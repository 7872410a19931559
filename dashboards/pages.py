"""The pages of the site, from records. They know nothing of a run; every link is relative, so that a folder will do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboards.records import BenchmarkPage, Overview, RunLine, RunPage, Trust

HERE = Path(__file__).parent
ASSETS = ("style.css", "table.js")
"""Files of `assets/` that every page uses."""


def overview(record: Overview) -> str:
    """The first page."""
    return _render("overview", "", page=record)


def runs(lines: Sequence[RunLine]) -> str:
    """The list of all runs."""
    return _render("runs", "../", lines=lines)


def run(record: RunPage) -> str:
    """The comparison page of one run."""
    return _render("run", "../", page=record)


def benchmark(record: BenchmarkPage) -> str:
    """The history of one benchmark."""
    return _render("benchmark", "../", page=record)


def trust(record: Trust) -> str:
    """Calibration, canary and evidence."""
    return _render("trust", "", page=record)


def asset(name: str) -> str:
    """The text of one of `ASSETS`."""
    return (HERE / "assets" / name).read_text(encoding="utf-8")


def breakable(name: str) -> Markup:
    """A benchmark's name with the places where a line may end: after dots, before parameters."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])|(?=\()", name))


def slug(state: str) -> str:
    """A verdict's word, or not reached, as one name of a class: ``not-reached``."""
    return state.replace(" ", "-")


def _render(template: str, root: str, **content: Any) -> str:
    # `root` leads from the page to the site's first folder.
    return _environment().get_template(f"{template}.html.j2").render(root=root, **content)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"breakable": breakable, "slug": slug}
    return environment
