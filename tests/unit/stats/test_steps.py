"""Where the level of a history changes: simulated histories of known truth."""

from __future__ import annotations

import numpy as np
import pytest

from runner.stats.steps import FEWEST, NEWEST, bands, changes

MARGIN = 0.01


def history(levels: list[float], sd: float, seed: int) -> tuple[list[float], list[float], list[float]]:
    rng = np.random.default_rng(seed)
    ratios = np.exp(np.log(levels) + rng.normal(0, sd, len(levels)))
    return list(ratios), list(ratios * np.exp(-2 * sd)), list(ratios * np.exp(2 * sd))


@pytest.mark.parametrize(("before", "after", "step"), [
    (4, 4, 1.03), (8, 8, 1.03), (12, 4, 0.97), (20, 20, 1.03), (20, 20, 0.98), (60, 5, 1.03), (150, 40, 1.02),
])
def test_a_step_is_found_where_it_is(before: int, after: int, step: float) -> None:
    levels = [1.0] * before + [step] * after
    places = [changes(*history(levels, 0.005, seed), MARGIN) for seed in range(40)]
    assert sum(len(found) == 1 and abs(found[0] - before) <= 1 for found in places) >= 36


@pytest.mark.parametrize("runs", [4, 10, 40, 150])
def test_a_quiet_history_has_none(runs: int) -> None:
    found = [changes(*history([1.0] * runs, 0.01, seed), MARGIN) for seed in range(100)]
    assert sum(map(bool, found)) <= 5


@pytest.mark.parametrize("levels", [
    [1.0] * 15 + [1.05] + [1.0] * 15,  # one run stands alone
    [1.0] * 20 + [1.004] * 20,  # less than the margin
    [1.0, 1.2],  # too few runs
    [],
])
def test_what_is_no_change(levels: list[float]) -> None:
    assert changes(*history(levels, 0.0005, 1), MARGIN) == ()


def test_up_and_down_again() -> None:
    assert changes(*history([1.0] * 12 + [0.9] * 9 + [1.0] * 10, 0.003, 1), MARGIN) == (12, 21)


def test_exact_counts_have_no_width() -> None:
    levels = [1.0] * 8 + [2.0] * 8
    assert changes(levels, levels, levels, MARGIN) == (8,)


def test_a_run_of_few_blocks_weighs_little() -> None:
    ratios, lows, highs = history([1.0] * 20, 0.002, 1)
    for place in (9, 10):
        ratios[place], lows[place], highs[place] = 1.3, 0.01, 150.0
    assert changes(ratios, lows, highs, MARGIN) == ()


def test_only_the_newest_are_searched() -> None:
    found = changes(*history([1.0] * 50 + [1.1] * 60 + [1.2] * (NEWEST - 20), 0.003, 1), MARGIN)
    assert found == (110,)


def test_about_95_of_100_runs_lie_within_the_noise_of_their_level() -> None:
    inside = []
    for seed in range(40):
        ratios, _, _ = history([1.0] * 60 + [1.05] * 40, 0.01, seed)
        found = bands(ratios, (60,))
        inside += [low <= ratio <= high for ratio, (low, high) in zip(ratios, found, strict=True)]
        assert found[0, 1] - found[0, 0] == pytest.approx(0.04, rel=0.5)
        assert found[60].mean() == pytest.approx(1.05, rel=0.01)
    assert 0.9 < np.mean(inside) < 0.98


def test_one_run_far_off_does_not_widen_the_noise() -> None:
    ratios, _, _ = history([1.0] * 20, 0.01, 1)
    calm, odd = bands(ratios, ()), bands([*ratios[:-1], 3.0], ())
    assert np.ptp(odd[0]) < 1.5 * np.ptp(calm[0])


def test_the_noise_of_few_runs_is_not_known() -> None:
    found = bands([1.0] * 10, (FEWEST - 1,))
    assert np.isnan(found[: FEWEST - 1]).all() and np.isfinite(found[FEWEST - 1 :]).all()
    assert bands([], ()).shape == (0, 2)


@pytest.mark.parametrize("ratios", [[1e308, 1e-308] * 6, [1e308] * 4 + [1e-300] * 4, [1.0] * 6 + [1.7e308] * 6])
def test_a_history_of_any_size_has_bands(ratios: list[float]) -> None:
    found = bands(ratios, changes(ratios, [one / 2 for one in ratios], ratios, MARGIN))
    assert found.shape == (len(ratios), 2) and (found[:, 0] <= found[:, 1]).all()
