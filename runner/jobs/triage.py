"""Recipe: say something of an event, and have the channels know."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.alerts.settings import Channels
from runner.errors import UsageError
from runner.history import events
from runner.history.events import Entry, Event, State
from runner.jobs.alert import places, tell
from runner.sending.delivery import Sent

PATIENCE = 5.0
"""Seconds that a person waits for a channel that fails: the rest is the next night's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person says of an event."""

    name: str
    """The event's id, or a part of it."""
    state: State | None
    """None: what it is."""
    note: str
    who: str


def triage(asked: Asked, channels: Channels, state: Path) -> tuple[Event, Sent]:
    """Write down what a person says, and tell the channels; returns the event as it is now, and what became of telling.

    Raises UsageError for an event that there is not, and for words that say nothing; MachineError where it cannot be
    written.
    """
    event = events.change(places(channels, state).events, asked.name, partial(_said, asked))
    return event, tell(channels, state, patience=PATIENCE)


def _said(asked: Asked, event: Event) -> Event:
    # An entry is never older than the one before it, whatever the clock says.
    now = max(time.time(), event.entries[-1].when if event.entries else event.opened)
    entry = Entry(when=now, state=asked.state or event.state, who=" ".join(asked.who.split()), note=asked.note.strip())
    return events.said(event, entry)


def state_of(word: str) -> State:
    """A state by its name, with a hyphen or a blank. Raises UsageError."""
    plain = word.strip().lower().replace(" ", "-").replace("_", "-")
    found = {state.value.replace(" ", "-"): state for state in State}
    if plain not in found:
        raise UsageError(f"{word!r} is no state of an event; it is one of: {', '.join(found)}.")
    return found[plain]
