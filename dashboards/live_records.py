"""What the pages show that a server makes when they are asked for: texts, ready for their templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage:
    """Where people sign in, or see who they are."""

    name: str = ""
    """Who has signed in; empty: nobody."""
    facts: Sequence[tuple[str, str]] = ()
    """What is known of them."""
    links: Sequence[tuple[str, str]] = ()
    """Where they may go beside: text and address, from the site's first folder."""
    csrf: str = ""
    next: str = ""
    """Where they are led when they have signed in."""
    problem: str = ""
    """Why they have not, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    """A page that says one thing."""

    title: str
    text: str
    again: int | None = None
    """Seconds after which the browser asks again; None: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriagePage:
    """Where people say what an event is."""

    id: str
    title: str
    state: str
    link: str
    """The event's own page, from the site's first folder."""
    said: Sequence[tuple[str, str, str, str]]
    """When, which state, who, and the note; oldest first."""
    states: Sequence[str]
    """What it may be."""
    csrf: str
    """Empty: who looks may not say anything, and `why` says so."""
    why: str = ""
    problem: str = ""
    """What was wrong with what was said last, in words."""
    note: str = ""
    """What had been written then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLine:
    """One machine that measures."""

    name: str
    tokens: str
    """Names of the tokens by which it uploads; empty: none that is known."""
    runs: int
    last: str
    """When its newest run was made, and what that compared; empty: there is none."""
    last_link: str
    """From the site's first folder."""
    sort: str
    """Seconds since the epoch of its newest run; empty: there is none."""
    warnings: Sequence[str]
    """What its newest run says against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesPage:
    """All machines, the one with the newest run first."""

    machines: Sequence[MachineLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Who did what, and who was refused; newest first."""

    rows: Sequence[tuple[str, str, str, str, str, str]]
    """When, who, from where, what, about what, and how it ended."""
    older: str
    """Address of what comes behind, from this one; empty: nothing does."""
