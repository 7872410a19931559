"""What the pages of requests show: texts, ready for their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """One request in a list."""

    id: str
    base: str
    head: str
    suite: str
    person: str
    state: str
    note: str
    """What its machine is doing, or why it failed, in a line; may be empty."""
    when: str
    sort: str
    """When it was asked for, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsPage:
    """All requests: those that wait or run, and the last ones that are over."""

    open: Sequence[RequestLine]
    over: Sequence[RequestLine]
    why: str
    """Why who looks may not ask for something, in words; empty: they may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A machine that had a request."""

    machine: str
    about: str
    """What the machine says of itself."""
    begun: str
    state: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A run that a request came to."""

    run: str
    link: str
    """Of its page, from the site's first folder; empty: it is not made yet."""
    headline: str
    """What it says, in a sentence; empty: that is not known yet."""
    gone: bool = False
    """It was removed from the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    """One request."""

    id: str
    base: str
    head: str
    state: str
    told: str
    """The state in a sentence."""
    problem: str
    facts: Sequence[tuple[str, str]]
    found: Sequence[Found]
    tries: Sequence[Try]
    csrf: str
    """Empty: who looks may not cancel it, or it is over."""
    again: int | None
    """Seconds after which the page looks again what has changed; None: nothing will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPage:
    """The form in which a comparison is asked for."""

    values: Mapping[str, str]
    """What stands in each field."""
    suites: Sequence[str]
    machines: Sequence[str]
    builds: Sequence[str]
    """What may be written for a build, as proposals."""
    repositories: Sequence[str]
    csrf: str
    """Empty: who looks may not ask, and `why` says so."""
    key: str
    """The form's own: sent twice, it asks once."""
    why: str = ""
    problem: str = ""
    """What was wrong with what was sent."""
