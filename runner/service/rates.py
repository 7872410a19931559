"""How often somebody may ask: so many times a second, after a burst."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MOST = 10_000
"""Of those who ask, so many are told apart; further ones share what one has."""


class TooMany(Exception):
    """Somebody asks more often than they may."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"wait {wait:.1f} s")
        self.wait = wait
        """Seconds."""


class Rate:
    """How often each key may ask, by the generic cell rate algorithm (ITU-T I.371): in any stretch of t seconds at most
    `burst` + t × `rate` times.

    For each key there is one number: until when what it has asked for is worked off, if each time costs 1 ÷ `rate`
    seconds. That must not lie further ahead than the burst allows. `rate` 0: as often as they like.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._cost = 1 / rate if rate else 0.0
        self._ahead = burst * self._cost
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Ask once. Raises TooMany where it is too early; that costs nothing."""
        if not self._cost:
            return
        now = self._clock()
        with self._lock:
            if key not in self._until and len(self._until) >= MOST:
                self._until = {one: until for one, until in self._until.items() if until > now}
                key = key if len(self._until) < MOST else ""
            until = max(now, self._until.get(key, now)) + self._cost
            if until - now > self._ahead + 1e-9:
                raise TooMany(until - now - self._ahead)
            self._until[key] = until
