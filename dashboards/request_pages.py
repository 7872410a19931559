"""The pages of requests, from records, as `live_pages` makes those of a server."""

from __future__ import annotations

from dashboards.pages import render
from dashboards.request_records import AskPage, RequestPage, RequestsPage

ASSETS = ("live.js",)
"""Files of `assets/` that these pages use beside those of others."""


def requests(record: RequestsPage) -> str:
    """All requests: ``/requests/``."""
    return render("requests", "../", page=record, served=True)


def request(record: RequestPage) -> str:
    """One request: ``/requests/ID``."""
    return render("request", "../", page=record, served=True)


def ask(record: AskPage) -> str:
    """The form: ``/requests/new``."""
    return render("ask", "../", page=record, served=True)
