"""How often somebody may ask: never more than the burst and what the rate has added since, and never less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.service import rates
from runner.service.rates import Rate, TooMany

PAUSES = st.lists(st.integers(0, 4000), min_size=1, max_size=200)
"""Milliseconds between one request and the next."""


@given(PAUSES, st.integers(1, 20), st.integers(1, 10))
def test_no_stretch_of_time_has_more_than_the_burst_and_the_rate(pauses: list[int], rate: int, burst: int) -> None:
    now = 0.0
    taken: list[float] = []
    one = Rate(rate, burst, lambda: now)
    for pause in pauses:
        now += pause / 1000
        try:
            one.take("a")
        except TooMany as error:
            # Whoever waits as long as they are told is let in.
            assert 0 < error.wait <= 1 / rate + 1e-9
            continue
        taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - taken[first]) * rate + 1e-6


@given(st.integers(1, 20), st.integers(1, 50))
def test_a_burst_is_let_in_and_then_one_for_each_pause(rate: int, burst: int) -> None:
    now = 0.0
    one = Rate(rate, burst, lambda: now)
    for _ in range(burst):
        one.take("a")
    with pytest.raises(TooMany) as too_many:
        one.take("a")
    now += too_many.value.wait
    one.take("a")
    one.take("b")  # another key has a burst of its own


def test_no_rate_is_no_limit() -> None:
    one = Rate(0, 0)
    for _ in range(1000):
        one.take("a")


def test_however_many_ask_it_is_remembered_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST", 10)
    now = 0.0
    one = Rate(1, 2, lambda: now)
    for number in range(10):
        one.take(str(number))
    one.take("further")
    one.take("and another")
    with pytest.raises(TooMany):
        one.take("a third")  # these share what one has
    one.take("3")  # who was known keeps their own
    now = 100.0
    one.take("a third")
    assert len(one._until) <= 11
