"""What fresh blocks confirm: laws, and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runner.stats.confirm import blocks_for, confirm, simes
from runner.stats.decide import LOOKS
from runner.stats.paired import Array

MARGIN = math.log1p(0.01)
LEVEL = 1e-4


def blocks(truth: float, count: int = 80, spread: float = 0.015, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(truth, spread, count)


def test_a_change_is_confirmed_in_its_direction_alone() -> None:
    there, = confirm([blocks(0.02)], 1, MARGIN, LEVEL)
    assert there.confirmed
    assert there.low is not None and there.mean is not None and there.high is not None
    assert 0 < there.low < 0.02 < there.high
    other, = confirm([blocks(0.02)], -1, MARGIN, LEVEL)
    assert not other.confirmed
    assert other.p == 1


def test_what_is_there_and_does_not_matter_is_not_confirmed() -> None:
    found, = confirm([blocks(0.003, spread=0.001)], 1, MARGIN, LEVEL)
    assert found.p < 1e-10
    assert not found.confirmed
    assert found.same


def test_what_is_not_there_is_the_same() -> None:
    found, = confirm([blocks(0.0)], 1, MARGIN, LEVEL)
    assert (found.confirmed, found.same) == (False, True)


@pytest.mark.parametrize("count", [0, LOOKS[0] - 1])
def test_too_few_blocks_say_nothing(count: int) -> None:
    found, = confirm([blocks(0.5, count)], 1, MARGIN, LEVEL)
    assert (found.confirmed, found.same, found.p, found.mean) == (False, False, 1.0, None)


def test_a_suspect_is_judged_among_the_others() -> None:
    # Plus and minus one standard deviation by turns, so that t is 3.3.
    first = 0.0099 + 0.015 * np.resize([1.0, -1.0], 40)
    samples = [first, *(blocks(0.0, 40, seed=seed) for seed in range(3, 40))]
    alone, = confirm(samples[:1], 1, MARGIN, 0.05)
    assert alone.confirmed
    assert not any(one.confirmed for one in confirm(samples, 1, MARGIN, 0.05))


@pytest.mark.parametrize("seed", range(20))
def test_something_is_selected_exactly_where_simes_allows_it(seed: int) -> None:
    samples = [blocks(0.01 * place, 12, seed=seed + place) for place in range(3)]
    ps = [one.p for one in confirm(samples, 1, MARGIN, 1e-9)]
    p = simes(ps)
    if p < 0.5:
        for level, allowed in ((p * 1.0001, True), (p * 0.9999, False)):
            found = confirm(samples, 1, MARGIN, level)
            # Excluding 0 is the claim; whether it matters is another question.
            assert any(one.low is not None and one.low > 0 for one in found) is allowed


def test_exact_counts_are_confirmed_and_acquitted() -> None:
    more, equal = confirm([np.full(6, 0.1), np.zeros(6)], 1, MARGIN, LEVEL)
    assert (more.confirmed, more.p, more.low, more.high) == (True, 0.0, 0.1, 0.1)
    assert (equal.confirmed, equal.same) == (False, True)


def test_nothing_is_confirmed_of_nothing() -> None:
    assert confirm([], 1, MARGIN, LEVEL) == []
    assert simes([]) == 1


@pytest.mark.parametrize("kind", ["normal", "t3"])
def test_the_error_is_at_most_the_level(kind: str) -> None:
    rng = np.random.default_rng(5)
    count = 1500
    noise = rng.normal(size=(count, 12)) if kind == "normal" else rng.standard_t(3, (count, 12))
    # A margin so small that whatever is claimed matters.
    false = sum(confirm([0.02 * d], 1, 1e-9, 0.1)[0].confirmed for d in noise)
    assert false <= 0.05 * count + 4 * math.sqrt(0.05 * count)


def test_the_blocks_that_it_takes() -> None:
    assert blocks_for(0.001, 0.01, LEVEL, 1) == LOOKS[0]
    assert blocks_for(0.5, 0.01, LEVEL, 1) == LOOKS[-1]
    needed = [blocks_for(0.012, 0.01, level, suspects) for level, suspects in ((1e-2, 1), (1e-5, 1), (1e-5, 20))]
    assert needed == sorted(needed)
    assert all(one in LOOKS for one in needed)


def test_so_many_blocks_confirm_half_of_what_has_that_size_and_nearly_all_of_twice_that() -> None:
    count = blocks_for(0.012, 0.01, LEVEL, 1)
    found = {truth: sum(confirm([blocks(truth, count, 0.015, seed)], 1, MARGIN, LEVEL)[0].confirmed
                        for seed in range(100)) for truth in (0.01, 0.02)}
    assert found[0.01] >= 30
    assert found[0.02] >= 95
