"""The pages that a server makes when they are asked for, from records: they look like those of the site."""

from __future__ import annotations

from dashboards.live_records import AuditPage, LoginPage, MachinesPage, MessagePage, TriagePage
from dashboards.pages import render

ASSETS = ("live.css",)
"""Files of `assets/` that these pages use beside those of `pages`."""


def login(record: LoginPage) -> str:
    """Where people sign in and out: ``/login``."""
    return render("login", "", page=record, served=True)


def message(record: MessagePage, root: str, *, served: bool = True) -> str:
    """A page that says one thing; `root` leads from its address to the site's first folder."""
    return render("message", root, page=record, served=served)


def triage(record: TriagePage) -> str:
    """Where people say what an event is: ``/triage/ID``."""
    return render("triage", "../", page=record, served=True)


def machines(record: MachinesPage) -> str:
    """All machines: ``/machines/``."""
    return render("machines", "../", page=record, served=True)


def audit(record: AuditPage) -> str:
    """Who did what: ``/audit``."""
    return render("audit", "", page=record, served=True)
