"""Telling people: messages to channels, each once, by a spool on disk. Nothing here raises because of a channel.

Where an answer got lost a message is delivered again. Where a channel can be read (`github`) our own post is found
there, and made to say the same. Where it cannot (`mail`, `webhook`) the second one has the number of the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from runner.alerts import github, mail, webhook
from runner.alerts.message import Message
from runner.alerts.settings import Channel, Channels, GitHub, Webhook
from runner.sending.delivery import PATIENCE, Carrier, Delivery, Sent
from runner.sending.secrets import Secrets
from runner.sending.spool import Letter, Spool, digest

FRESH = 7 * 86_400.0
"""Seconds after which a state is no news: a channel that is new hears nothing of it."""
_letter = TypeAdapter(Letter[Message])


def opened(folder: Path) -> Spool[Message]:
    """The spool of alerts that is a folder."""
    return Spool(folder, _letter)


def send(
    spool: Path, channels: Channels, messages: Sequence[Message], secrets: Secrets, *, patience: float = PATIENCE,
    clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep,
) -> Sent:
    """Have messages reach the channels that want them, with what waits from before; returns what became of it.

    A channel gets a message once, however often this is called with it; not one that is older than `FRESH`. For the
    rest, see `Delivery.send`.
    """
    carriers: dict[str, Carrier[Message]] = {
        channel.name: Carrier(carry=partial(_to, channel, secrets), secrets=tuple(_secrets(channel, secrets)))
        for channel in channels.every
    }
    delivery = Delivery(
        spool=opened(spool), carriers=carriers, what="alerts", patience=patience, clock=clock, sleep=sleep)
    return delivery.send(_wanted(delivery.spool, channels, messages, clock))


def _wanted(
    spool: Spool[Message], channels: Channels, messages: Sequence[Message], clock: Callable[[], float]
) -> Iterator[tuple[str, Message]]:
    """Each message for each channel that it is for. What is asked of the spool knows those that came before."""
    for message in messages:
        for channel in channels.every:
            if (own := _for(channel, message, spool, clock())) is not None:
                yield channel.name, own


def _for(channel: Channel, message: Message, spool: Spool[Message], now: float) -> Message | None:
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


def _to(channel: Channel, secrets: Secrets, message: Message, known: str) -> str:
    if isinstance(channel, GitHub):
        return github.deliver(channel, message, secrets, known)
    if isinstance(channel, Webhook):
        return webhook.deliver(channel, message, secrets)
    return mail.deliver(channel, message, secrets)


def _secrets(channel: Channel, secrets: Secrets) -> Iterator[str]:
    """What must not be in any words about a channel."""
    for name in ("token_from", "address_from", "key_from", "password_from"):
        variable = getattr(channel, name, None)
        value = secrets(variable) if variable else None
        if value:
            yield value.strip()
