"""What a channel is given to deliver: the same thing in the forms that channels need, and what tells it from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner.sending.spool import digest

Kind = Literal["event", "alarm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One state of one thing. What decides whether it was delivered is its `key` alone."""

    key: str
    """Tells it from all others, for ever: ``event/ID/0-new``."""
    watch: str
    """Name of what is watched."""
    direction: str = ""
    """Of an event: ``slower`` or ``faster``."""
    thread: str
    """What it is about: ``event/ID``. A channel that can edit what it posted has one post for a thread."""
    kind: Kind
    """``alarm``: a night that could not do its work; it has no state that changes."""
    state: str
    """An event's, in its words: ``new``; of an alarm ``alarm``."""
    began: float
    """Seconds since the epoch: when the thread began."""
    created: float
    """Seconds since the epoch: when the state was entered."""
    title: str
    """One line of plain text."""
    markdown: str
    """In GitHub's, without a heading."""
    text: str
    """Plain, in lines for a mail."""
    data: Mapping[str, Any]
    """For programs: JSON's own types only."""
    commit: str = ""
    """Full hash of the commit that it is about; empty where it is about none."""
    closed: bool | None = None
    """True: the thread ends with it. False: it had ended, and begins again. None: neither."""

    @property
    def digest(self) -> str:
        """The key as 32 hexadecimal digits, for what takes no other characters."""
        return digest(self.key)
