"""What waits in a spool goes to whom it is for: once each, with pauses that grow. Nothing here raises because of a
channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from runner.errors import LockstepError, fault
from runner.sending import Failed
from runner.sending import secrets as words
from runner.sending.spool import GIVEN_UP, REFUSED, Letter, Queue, Spool, T, pause

PATIENCE = 60.0
"""Seconds in which what failed is tried again at once; afterwards it waits in the spool."""
SESSION = 600.0
"""Seconds after which no further delivery is begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier(Generic[T]):
    """How letters reach one channel."""

    carry: Callable[[T, str], str]
    """Delivers a message; returns where it is now. Given is what was returned for its thread before; empty: nothing
    was. Raises Failed."""
    secrets: Sequence[str] = ()
    """What must not be in any words about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of letters."""

    delivered: tuple[str, ...]
    """A line each: channel, title, where it is now."""
    problems: tuple[str, ...]
    """A sentence each, for people: what could not be delivered, why, and what happens to it."""
    waiting: int
    """Letters that are still to be delivered."""


@dataclass(slots=True, kw_only=True)
class Delivery(Generic[T]):
    """One attempt at all that waits."""

    spool: Spool[T]
    carriers: Mapping[str, Carrier[T]]
    """By the name of the channel."""
    what: str
    """That waits, for people: ``alerts``."""
    patience: float = PATIENCE
    """Seconds; see `PATIENCE`."""
    longest: float = SESSION
    """Seconds after which no further delivery is begun."""
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _down: dict[str, float] = field(default_factory=dict)
    """Channels that did not answer, and until when nothing more is tried there."""
    _delivered: list[str] = field(default_factory=list)
    _failed: dict[str, str] = field(default_factory=dict)
    """By name of the letter: the last problem of each."""

    def send(self, letters: Iterable[tuple[str, T]]) -> Sent:
        """Have messages reach channels, with what waits from before; returns what became of it.

        Each is a channel's name and a message. A channel gets a message once, however often this is called with it.
        What fails is tried again within `patience` seconds, and then whenever this is called later. Raises nothing of
        Lockstep's own: what is wrong with a channel, with its secret or with the spool is in `Sent.problems`, in words
        without secrets.
        """
        problems: list[str] = []
        try:
            for name, message in letters:
                self.spool.put(name, message, self.clock())
            with self.spool.alone() as ours:
                if ours:
                    self._deliver()
                else:
                    problems.append(f"another process delivers {self.what} just now, and these too")
            queue = self.spool.queue()
        except LockstepError as error:
            problems.append(f"{self.what} cannot be kept, and are not delivered: {error}")
            queue = Queue()
        problems += [*self._failed.values(), *queue.problems, *self._unknown(queue)]
        return Sent(delivered=tuple(self._delivered), problems=tuple(problems), waiting=len(queue.letters))

    def _deliver(self) -> None:
        begun = self.clock()
        while self.clock() < begun + self.longest:
            ready = self._ready()
            if not ready:
                return
            at, letter = min(ready, key=lambda one: one[0])  # of several at one time the first, as the queue has them
            now = self.clock()
            if at > now:
                if at > begun + self.patience:
                    return
                self.sleep(at - now)
            self._try(letter)

    def _ready(self) -> list[tuple[float, Letter[T]]]:
        """Letters that may go out, each with the time from which; of a thread only the first."""
        letters = [letter for letter in self.spool.queue().letters if letter.channel in self.carriers]
        first: dict[tuple[str, str], Letter[T]] = {}
        for letter in sorted(letters, key=lambda one: (one.message.created, one.since)):
            first.setdefault((letter.channel, letter.message.thread), letter)
        now = self.clock()
        found: list[tuple[float, Letter[T]]] = []
        for letter in letters:
            if letter is first[letter.channel, letter.message.thread]:
                # A clock that was wrong, and far ahead, must not keep it for years.
                at = letter.next if letter.next < now + GIVEN_UP else now
                found.append((max(at, self._down.get(letter.channel, 0.0), now), letter))
        return found

    def _try(self, letter: Letter[T]) -> None:
        carrier = self.carriers[letter.channel]
        tried = self.spool.begun(letter, self.clock())
        if tried is None:
            return
        try:
            place = carrier.carry(tried.message, self.spool.place(letter.channel, tried.message.thread))
        except Failed as error:
            self._keep(tried, error)
        except Exception as error:  # a fault of our own in one channel is no reason to leave the others out
            self._keep(tried, Failed(fault(error), refused=True))
        else:
            place = words.without(place, carrier.secrets)
            self.spool.delivered(tried, place, self.clock())
            self._failed.pop(tried.name, None)
            self._delivered.append(f"{letter.channel}: {tried.message.title} ({place})")

    def _keep(self, letter: Letter[T], error: Failed) -> None:
        """Have a letter wait, longer from try to try, or give it up."""
        now = self.clock()
        why = words.without(str(error), self.carriers[letter.channel].secrets)
        wait = max(pause(letter.tries), error.wait, REFUSED if error.refused else 0.0)
        kept = self.spool.failed(letter, why, now + wait)
        if not error.refused:
            self._down[letter.channel] = now + wait
        told = f"{letter.channel}: “{letter.message.title}” could not be delivered: {why}"
        if now - letter.since > GIVEN_UP:
            self.spool.drop(kept)
            self._failed[letter.name] = f"{told}. It was given up after {GIVEN_UP / 86_400:.0f} days"
            return
        moment = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now + wait))
        self._failed[letter.name] = f"{told}. It waits, and may be tried again from {moment} UTC on"

    def _unknown(self, queue: Queue[T]) -> list[str]:
        names = sorted({letter.channel for letter in queue.letters} - set(self.carriers))
        return [f"what waits for {name} is not delivered: no channel is called so any more" for name in names]
