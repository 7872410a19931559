"""The levels of a stream of tests: what they add up to, and what share of the claims is false."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runner.stats.online import ALPHA, START, Trial, level

QUIET = [Trial(batch=str(number), claimed=False) for number in range(2000)]


def test_without_a_claim_less_than_the_first_wealth_is_spent() -> None:
    spent = [level(QUIET[:number], "now") for number in range(500)]
    assert spent == sorted(spent, reverse=True)
    assert 0.7 * START < sum(spent) < START


def test_a_claim_gives_back() -> None:
    claimed = [*QUIET[:20], Trial(batch="20", claimed=True)]
    assert level(claimed, "21") > 10 * level([*QUIET[:20], Trial(batch="20", claimed=False)], "21")


def test_a_claim_gives_nothing_within_its_batch() -> None:
    batch = [*QUIET[:20], Trial(batch="night", claimed=True)]
    assert level(batch, "night") == level(QUIET[:21], "night")
    longer = [*batch, Trial(batch="night", claimed=False)]
    # Afterwards it counts as a claim of the batch's last test.
    as_last = [*QUIET[:21], Trial(batch="night", claimed=True)]
    assert level(longer, "next") == level(as_last, "next")


def test_what_is_to_come_before_it_is_known() -> None:
    night = [Trial(batch="night", claimed=claimed) for claimed in (True, False, True)]
    ahead = [level(QUIET[:10], "night", ahead=place) for place in range(3)]
    assert ahead == [level([*QUIET[:10], *night[:place]], "night") for place in range(3)]


@pytest.mark.parametrize("seed", range(5))
def test_the_levels_never_add_up_to_more_than_the_claims_allow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    past: list[Trial] = []
    spent = 0.0
    for number in range(300):
        spent += level(past, str(number // 3))
        past.append(Trial(batch=str(number // 3), claimed=bool(rng.random() < 0.2)))
        assert spent <= ALPHA * max(1, sum(test.claimed for test in past))


@pytest.mark.parametrize("alike", [False, True])
def test_the_share_of_false_claims(alike: bool) -> None:
    """A tenth of the tests has something to find. `alike`: the tests of a batch have one p-value, if they have none."""
    rng = np.random.default_rng(7)
    false = claims = 0
    for _ in range(150):
        past: list[Trial] = []
        for night in range(30):
            common = rng.random()
            for _ in range(3):
                real = rng.random() < 0.1
                p = 0.0 if real else (common if alike else rng.random())
                claimed = p <= level(past, str(night))
                past.append(Trial(batch=str(night), claimed=claimed))
                claims, false = claims + claimed, false + (claimed and not real)
    assert claims > 1000
    assert false <= ALPHA * claims + 4 * math.sqrt(3 * ALPHA * claims)
