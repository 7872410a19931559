"""The pages that look across runs, builds and benchmarks, from records, as `pages` makes the others."""

from __future__ import annotations

from dashboards.history_records import (
    ComparePage,
    EventPage,
    EventsPage,
    HealthPage,
    ImportedPage,
    IndexPage,
    ReleasesPage,
)
from dashboards.pages import render

ASSETS = ("history.css", "benchmarks.js", "compare.js")
"""Files of `assets/` that these pages use beside those of `pages`."""


def index(record: IndexPage) -> str:
    """All benchmarks."""
    return render("index", "../", page=record)


def compare(record: ComparePage) -> str:
    """Any two builds."""
    return render("compare", "", page=record)


def events(record: EventsPage) -> str:
    """Regressions and improvements."""
    return render("events", "../", page=record)


def event(record: EventPage) -> str:
    """One of them."""
    return render("event", "../", page=record)


def releases(record: ReleasesPage) -> str:
    """Versions against bases."""
    return render("releases", "", page=record)


def health(record: HealthPage) -> str:
    """How the machinery is."""
    return render("health", "", page=record)


def imported(record: ImportedPage) -> str:
    """Results of other programs, not paired."""
    return render("imported", "", page=record)
