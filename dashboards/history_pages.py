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


def index(record: IndexPage, *, served: bool = False) -> str:
    """All benchmarks."""
    return render("index", "../", page=record, served=served)


def compare(record: ComparePage, *, served: bool = False) -> str:
    """Any two builds."""
    return render("compare", "", page=record, served=served)


def events(record: EventsPage, *, served: bool = False) -> str:
    """Regressions and improvements."""
    return render("events", "../", page=record, served=served)


def event(record: EventPage, *, served: bool = False) -> str:
    """One of them."""
    return render("event", "../", page=record, served=served)


def releases(record: ReleasesPage, *, served: bool = False) -> str:
    """Versions against bases."""
    return render("releases", "", page=record, served=served)


def health(record: HealthPage, *, served: bool = False) -> str:
    """How the machinery is."""
    return render("health", "", page=record, served=served)


def imported(record: ImportedPage, *, served: bool = False) -> str:
    """Results of other programs, not paired."""
    return render("imported", "", page=record, served=served)
