"""Telling people: messages to channels, each once, by a spool on disk. Nothing here raises because of a channel."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.alerts import github, mail, webhook
from runner.alerts import secrets as words
from runner.alerts.message import Failed, Message, digest
from runner.alerts.secrets import Secrets
from runner.alerts.settings import Channel, Channels, GitHub, Webhook
from runner.alerts.spool import GIVEN_UP, REFUSED, Letter, Queue, Spool, pause
from runner.errors import LockstepError

PATIENCE = 60.0
"""Seconds in which what failed is tried again at once; afterwards it waits in the spool."""
SESSION = 600.0
"""Seconds after which no further delivery is begun."""
FRESH = 7 * 86_400.0
"""Seconds after which a state is no news: a channel that is new hears nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of messages."""

    delivered: tuple[str, ...]
    """A line each: channel, title, where it is now."""
    problems: tuple[str, ...]
    """A sentence each, for people: what could not be delivered, why, and what happens to it."""
    waiting: int
    """Letters that are still to be delivered."""


@dataclass(slots=True, kw_only=True)
class _Session:
    spool: Spool
    channels: dict[str, Channel]
    secrets: Secrets
    clock: Callable[[], float]
    down: dict[str, float] = field(default_factory=dict)
    """Channels that did not answer, and until when nothing more is tried there."""
    delivered: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """By name of the letter: the last problem of each."""


def send(
    spool: Path, channels: Channels, messages: Sequence[Message], secrets: Secrets, *, patience: float = PATIENCE,
    clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep,
) -> Sent:
    """Have messages reach the channels that want them, with what waits from before; returns what became of it.

    A channel gets a message once, however often this is called with it; not one that is older than `FRESH`. What fails
    is tried again within `patience` seconds, and then whenever this is called later. Raises nothing: what is wrong with
    a channel, with its secret or with the spool is in `Sent.problems`, in words without secrets.
    """
    known = {channel.name: channel for channel in channels.every}
    session = _Session(spool=Spool(spool), channels=known, secrets=secrets, clock=clock)
    problems: list[str] = []
    try:
        for message in messages:
            for channel in channels.every:
                if (own := _for(channel, message, session.spool, clock())) is not None:
                    session.spool.put(channel.name, own, clock())
        with session.spool.alone() as ours:
            if ours:
                _deliver(session, patience, sleep)
            else:
                problems.append("another process delivers alerts just now, and these too")
        queue = session.spool.queue()
    except LockstepError as error:
        problems.append(f"alerts cannot be kept, and are not delivered: {error}")
        queue = Queue(letters=(), dropped=0, problems=())
    problems += [*session.failed.values(), *queue.problems, *_unknown(queue, known)]
    return Sent(delivered=tuple(session.delivered), problems=tuple(problems), waiting=len(queue.letters))


def _for(channel: Channel, message: Message, spool: Spool, now: float) -> Message | None:
    """What a channel is to be told; None: nothing.

    What is edited in place is told again whenever the text changes, in whatever state: it must stay true. That is no
    second delivery, because there is one post, and nobody is notified of it.
    """
    edited = isinstance(channel, GitHub)
    if edited and message.kind == "event":
        text = digest(f"{message.title}\0{message.markdown}\0{message.closed}")
        own = replace(message, key=f"{message.key}/{text[:12]}")
        if spool.knows(channel.name, message.thread):
            return own
    else:
        own = message
    return own if channel.wants(message) and message.created > now - FRESH else None


def _deliver(session: _Session, patience: float, sleep: Callable[[float], None]) -> None:
    begun = session.clock()
    while session.clock() < begun + SESSION:
        ready = _ready(session)
        if not ready:
            return
        at, letter = min(ready, key=lambda one: one[0])  # of several at one time the first, as the queue has them
        now = session.clock()
        if at > now:
            if at > begun + patience:
                return
            sleep(at - now)
        _try(session, letter)


def _ready(session: _Session) -> list[tuple[float, Letter]]:
    """Letters that may go out, each with the time from which; of a thread only the first."""
    letters = [letter for letter in session.spool.queue().letters if letter.channel in session.channels]
    first: dict[tuple[str, str], Letter] = {}
    for letter in sorted(letters, key=lambda one: (one.message.created, one.since)):
        first.setdefault((letter.channel, letter.message.thread), letter)
    now = session.clock()
    found: list[tuple[float, Letter]] = []
    for letter in letters:
        if letter is first[letter.channel, letter.message.thread]:
            # A clock that was wrong, and far ahead, must not keep it for years.
            at = letter.next if letter.next < now + GIVEN_UP else now
            found.append((max(at, session.down.get(letter.channel, 0.0), now), letter))
    return found


def _try(session: _Session, letter: Letter) -> None:
    spool, channel, now = session.spool, session.channels[letter.channel], session.clock()
    tried = spool.begun(letter, now)
    if tried is None:
        return
    try:
        place = _to(channel, tried.message, session.secrets, spool.place(channel.name, tried.message.thread))
    except Failed as error:
        _keep(session, tried, error)
    except Exception as error:  # a fault of our own in one channel is no reason to leave the others out
        where = traceback.extract_tb(error.__traceback__)[-1]
        why = f"a fault of Lockstep's own, {type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
        _keep(session, tried, Failed(why, refused=True))
    else:
        place = words.without(place, _secrets(channel, session.secrets))
        spool.delivered(tried, place, session.clock())
        session.failed.pop(tried.name, None)
        session.delivered.append(f"{channel.name}: {tried.message.title} ({place})")


def _to(channel: Channel, message: Message, secrets: Secrets, known: str) -> str:
    if isinstance(channel, GitHub):
        return github.deliver(channel, message, secrets, known)
    if isinstance(channel, Webhook):
        return webhook.deliver(channel, message, secrets)
    return mail.deliver(channel, message, secrets)


def _keep(session: _Session, letter: Letter, error: Failed) -> None:
    """Have a letter wait, longer from try to try, or give it up."""
    now = session.clock()
    why = words.without(str(error), _secrets(session.channels[letter.channel], session.secrets))
    wait = max(pause(letter.tries), error.wait, REFUSED if error.refused else 0.0)
    kept = session.spool.failed(letter, why, now + wait)
    if not error.refused:
        session.down[letter.channel] = now + wait
    told = f"{letter.channel}: “{letter.message.title}” could not be delivered: {why}"
    if now - letter.since > GIVEN_UP:
        session.spool.drop(kept)
        session.failed[letter.name] = f"{told}. It was given up after {GIVEN_UP / 86_400:.0f} days"
        return
    moment = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now + wait))
    session.failed[letter.name] = f"{told}. It waits, and may be tried again from {moment} UTC on"


def _secrets(channel: Channel, secrets: Secrets) -> Iterator[str]:
    """What must not be in any words about a channel."""
    for name in ("token_from", "address_from", "key_from", "password_from"):
        variable = getattr(channel, name, None)
        value = secrets(variable) if variable else None
        if value:
            yield value.strip()


def _unknown(queue: Queue, known: dict[str, Channel]) -> list[str]:
    names = sorted({letter.channel for letter in queue.letters} - set(known))
    return [f"what waits for {name} is not delivered: no channel is called so any more" for name in names]
