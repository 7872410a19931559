"""A server of a folder of its own, with a clock that a test sets, and tokens that cost little to make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import argon2
import pytest

from runner.jobs.watched import Serve
from runner.service import server, settings, tokens
from runner.service.server import Server


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hash, with as little work as it allows."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(tokens, "_hasher", hasher)
    monkeypatch.setattr(tokens, "_NOBODY", hasher.hash("nobody"))


@pytest.fixture
def here(tmp_path: Path, clock: Clock) -> Iterator[Server]:
    with server.holding(settings.made(tmp_path / "data", Serve()), clock) as held:
        yield held
