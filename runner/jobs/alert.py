"""Recipe: tell people of events and alarms. What goes wrong with that is said, and fails nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import alerts, config
from runner.alerts.message import Message
from runner.alerts.settings import Channels
from runner.errors import LockstepError
from runner.history import events as events_
from runner.report import events as report
from runner.sending.delivery import PATIENCE, Sent
from runner.storage import store


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where events and alerts are kept."""

    events: Path
    """Folder of the events."""
    markdown: Path
    """The file with all of them for people."""
    spool: Path


def places(channels: Channels, state: Path) -> Places:
    """`state` is the folder for what was measured; a configuration may name others for what people read."""
    return Places(
        events=channels.events or state / "events", markdown=channels.markdown or state / "events.md",
        spool=state / "spool",
    )


def tell(
    channels: Channels, state: Path, *, alarms: Sequence[Message] = (), patience: float = PATIENCE
) -> Sent:
    """Write the file with all events, and have channels hear of what is new in them, and of `alarms`.

    Nothing is told twice, so that this is called after every night and every triage. `patience` as in `alerts.send`.
    Raises nothing of Lockstep's own errors: they are among `Sent.problems`.
    """
    where = places(channels, state)
    problems: list[str] = []
    messages = list(alarms)
    try:
        found = events_.read(where.events)
        messages += [report.message(event, channels.site) for event in found]
    except LockstepError as error:
        problems.append(f"of events nothing is told: {error}")
    else:
        problems += _write(where.markdown, report.file(found, channels.site))
    sent = alerts.send(where.spool, channels, messages, config.secret, patience=patience)
    return replace(sent, problems=(*problems, *sent.problems))


def _write(path: Path, text: str) -> list[str]:
    """Write the file where it says something else: one under version control must not be touched for nothing. Returns
    what went wrong."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return []
    except (OSError, ValueError):
        pass
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_whole(path, text)
    except (OSError, LockstepError) as error:
        return [f"the file of all events is not up to date: {error}"]
    return []
