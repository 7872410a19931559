"""The pages of the site and the report of a run, from records. They know nothing of a run; every link is relative, so
that a folder will do."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboards.records import BenchmarkPage, Line, Overview, ReportPage, RunPage, Runs, Trust

HERE = Path(__file__).parent
ASSETS = ("style.css", "table.js", "numbers.js", "chart.js")
"""Files of `assets/` that pages use."""
CHARTS = ("uPlot.iife.min.js", "uPlot.min.css")
"""Files of others that charts are drawn with; a page that is told of them expects them beside those of `ASSETS`."""
NAV = (
    ("Overview", "index.html"), ("Changes", "events/index.html"), ("Benchmarks", "benchmarks/index.html"),
    ("Runs", "runs/index.html"), ("Compare", "compare.html"), ("Releases", "releases.html"), ("Health", "health.html"),
    ("Trust", "trust.html"),
)
"""What every page of the site leads to: name and address from the site's first folder."""
LIVE = (("Requests", "requests/"), ("Machines", "machines/"), ("Account", "login"))
"""And what those that `lockstep serve` serves lead to beside: pages that it makes when they are asked for."""


def overview(record: Overview, *, served: bool = False) -> str:
    """The first page."""
    return render("overview", "", page=record, served=served)


def runs(record: Runs, *, served: bool = False) -> str:
    """The list of all runs."""
    return render("runs", "../", page=record, served=served)


def run(record: RunPage, *, served: bool = False) -> str:
    """The comparison page of one run."""
    return render("run", "../", page=record, served=served)


def report(record: ReportPage) -> str:
    """A run's own report: the comparison page and more, in one file that needs no other."""
    return render("report", "", page=record.run, more=record, inline=True)


def benchmark(record: BenchmarkPage, *, charts: bool = False, served: bool = False) -> str:
    """The history of one benchmark; with `charts` where the files of `CHARTS` are beside."""
    return render("benchmark", "../", page=record, charts=charts, served=served)


def trust(record: Trust, *, served: bool = False) -> str:
    """Calibration, canary and evidence."""
    return render("trust", "", page=record, served=served)


@cache
def asset(name: str) -> str:
    """The text of one of `ASSETS`."""
    return (HERE / "assets" / name).read_text(encoding="utf-8")


def breakable(name: str) -> Markup:
    """A benchmark's name with the places where a line may end: after dots, before parameters."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])|(?=\()", name))


def drawn(line: Line) -> Markup:
    """A line's bar: its interval, and its ratio or an arrow to where that lies; nothing where it has none."""
    bar = line.bar
    if bar is None:
        return Markup()
    at = {-1: "M3 1L0 5L3 9", 0: f"M{bar.at:.1f} 1V9", 1: "M97 1L100 5L97 9"}[bar.beyond]
    return Markup(
        f'<svg class="bar {slug(line.state)}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="one" d="M50 0V10"/><path class="interval" d="M{bar.low:.1f} 5H{bar.high:.1f}"/>'
        f'<path class="at" d="{at}"/></svg>')


def slug(state: str) -> str:
    """A verdict's word, or not reached, as one name of a class: ``not-reached``."""
    return state.replace(" ", "-")


def render(template: str, root: str, **content: Any) -> str:
    """A page. `root` leads from it to the site's first folder; what is inline has no such folder."""
    settings = {"root": root, "inline": False, "charts": False, "served": False} | content
    return _environment().get_template(f"{template}.html.j2").render(settings)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"breakable": breakable, "slug": slug, "drawn": drawn}
    # Ours: no escaping, which would break them.
    environment.globals |= {"nav": NAV, "live": LIVE, "asset": lambda name: Markup(asset(name))}
    return environment
