"""How much more blocks scatter beside other runs: laws, and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runner.stats.beside import Growth, growth
from runner.stats.paired import Array


def simulated(rng: np.random.Generator, times: float, *, runs: int = 6) -> dict[str, list[Array]]:
    """Ten benchmarks of equals, whose runs differ and whose blocks scatter by 0.5 to 1.4 %, so many times."""
    return {
        f"time_{number}": [rng.normal(rng.normal(0, 0.01), times * (0.005 + 0.001 * number), 6) for _ in range(runs)]
        for number in range(10)
    }


def test_what_scatters_twice_as_much_does_so_exactly() -> None:
    alone = simulated(np.random.default_rng(1), 1.0)
    twice = {name: [2 * run + 0.3 for run in runs] for name, runs in alone.items()}
    found = growth(alone, twice)
    assert found is not None
    assert (found.times, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    back = growth(twice, alone)
    assert back is not None and back.times == pytest.approx(0.5)


@pytest.mark.parametrize("times", [1.0, 1.25, 2.0])
def test_the_interval_holds_the_truth_as_often_as_it_says(times: float) -> None:
    rng = np.random.default_rng(7)
    found = [growth(simulated(rng, 1.0), simulated(rng, times)) for _ in range(100)]
    assert all(one is not None for one in found)
    held = [isinstance(one, Growth) and one.low <= times <= one.high for one in found]
    assert sum(held) >= 88, "95 %, less what chance takes; the seed is fixed"


def test_too_few_say_nothing() -> None:
    alone = simulated(np.random.default_rng(2), 1.0)
    few = {name: runs for name, runs in alone.items() if name in ("time_1", "time_2")}
    assert growth(alone, few) is growth({}, alone) is growth(few, few) is None
    still = {name: [np.zeros(6)] for name in alone}
    assert growth(alone, still) is None, "what does not vary has no ratio"
    assert growth(alone, {name: [run[:1] for run in runs] for name, runs in alone.items()}) is None


def test_runs_that_differ_do_not_count_as_scatter() -> None:
    alone = simulated(np.random.default_rng(3), 1.0)
    moved = {name: [run + 5 * place for place, run in enumerate(runs)] for name, runs in alone.items()}
    found = growth(alone, moved)
    assert found is not None and math.isclose(found.times, 1.0, rel_tol=1e-9)
