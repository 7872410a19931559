"""What a history is made of is not what made sampling stop."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from runner.stats.decide import LAYOUTS, LOOKS, at_look, judge
from runner.stats.paired import trimmed
from runner.stats.unselected import unselected

MARGIN = math.log1p(0.01)


def test_sampling_that_stops_picks_large_estimates_and_this_does_not() -> None:
    """The truth is 2 %, which settles at the first look where luck makes it look like more, or more certain."""
    rng = np.random.default_rng(7)
    truth, stopped, kept = 0.02, [], []
    for _ in range(400):
        d = rng.normal(truth, 0.008, LOOKS[-1])
        judgement = judge(d, MARGIN)
        assert judgement.estimate is not None
        if judgement.look == LOOKS[0]:
            stopped.append(judgement.estimate.mean)
        found = unselected(d, None)
        assert found is not None
        kept.append(found.mean)
    error = 4 * np.std(kept) / math.sqrt(len(kept))
    assert abs(np.mean(kept) - truth) < error
    assert len(stopped) > 30 and np.mean(stopped) > truth + 2 * error


def test_later_blocks_say_nothing_where_their_number_was_not_fixed() -> None:
    d = np.random.default_rng(1).normal(size=20)
    assert unselected(d, None) == trimmed(d[: LOOKS[0]]) == unselected(d[: LOOKS[0]], None)
    assert unselected(d, 20) == trimmed(d) and unselected(d, 12) == trimmed(d[:12])


def test_too_few_blocks_have_no_estimate() -> None:
    d = np.random.default_rng(2).normal(size=LOOKS[0] - 1)
    assert unselected(d, None) is None
    assert unselected(d[:1], 8) is None and unselected(d[:0], None, exact=True) is None
    assert unselected(d, 12) == trimmed(d), "what ended a run before its time has not seen the values"


def test_what_is_exact_is_told_by_any_number_of_blocks() -> None:
    found = unselected(np.full(3, 0.25), None, exact=True)
    assert found is not None and (found.mean, found.se, found.n) == (0.25, 0.0, 3)


@pytest.mark.parametrize("look", LOOKS)
def test_a_planned_number_is_taken_as_a_look_of_so_many_is(look: int) -> None:
    d = np.random.default_rng(3).normal(size=LOOKS[-1])
    found, judged = unselected(d, look), at_look(d, look)
    assert found is not None
    assert found.mean == pytest.approx(judged.mean, rel=1e-12) and found.se == pytest.approx(judged.se, rel=1e-12)
    assert (found.n, found.df) == (judged.n, judged.df) and found.n == look


def test_blocks_of_one_layout_are_one_value_whatever_their_number() -> None:
    layouts, planned = np.random.default_rng(4).normal(size=LAYOUTS), LAYOUTS + 7
    assert unselected(np.tile(layouts, 2)[:planned], planned) == replace(trimmed(layouts), n=planned)
    few = layouts[:6]
    assert unselected(np.tile(few, 2), 12, layouts=6) == replace(trimmed(few), n=12)
