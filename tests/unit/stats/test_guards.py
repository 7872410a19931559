"""The guards on simulated runs: silent on clean ones, and awake to planted faults."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import rankdata

from runner.stats import guards
from runner.stats.decide import LOOKS, judge
from runner.stats.guards import ALARM, Finding
from runner.stats.paired import Array

MARGIN = math.log1p(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A run's panels: a row a benchmark, a column a block's index."""

    d: Array
    clock: Array
    first: Array
    steal: Array

    def cut(self, blocks: list[int]) -> Session:
        """The same run, in which sampling stopped after so many blocks of each benchmark."""
        gone = np.arange(self.d.shape[1]) >= np.array(blocks)[:, None]
        panels = (np.where(gone, np.nan, panel)[:, : max(blocks)] for panel in (
            self.d, self.clock, self.first, self.steal))
        return Session(**dict(zip(("d", "clock", "first", "steal"), panels, strict=True)))


Guard = Callable[[Session], Finding | None]
GUARDS: dict[str, Guard] = {
    "order": lambda s: guards.order_effect(s.d, s.first),
    "drift": lambda s: guards.drift(s.d, s.clock),
    "shift": lambda s: guards.shift(s.d, s.steal),
    "spread": lambda s: guards.spread(s.d, s.steal),
    "late": lambda s: guards.spread(s.d, s.clock),
}


def session(
    rng: np.random.Generator, count: int, *, kind: str = "normal", together: float = 0.0, spread: float = 0.015
) -> Session:
    """All blocks of `count` benchmarks without a fault; `together`: sd of what all have in common at an index."""
    shape = (count, LOOKS[-1])
    noise = rng.standard_t(3, shape) if kind == "t3" else rng.normal(size=shape)
    if kind == "outliers":
        noise *= np.where(rng.random(shape) < 0.1, 6, 1)
    order = rng.permuted(np.tile(np.arange(count), (LOOKS[-1], 1)), axis=1).T
    coin = rng.choice([-1.0, 1.0], (count, LOOKS[-1] // 2))
    return Session(
        d=spread * rng.uniform(0.5, 2, (count, 1)) * noise + together * rng.normal(size=(1, LOOKS[-1])),
        clock=0.3 * (np.arange(LOOKS[-1]) * count + order), first=np.stack([coin, -coin], axis=2).reshape(shape),
        # Mostly none, and now and then a burst.
        steal=0.01 * np.exp(rng.normal(0, 1.5, shape)) * (rng.random(shape) < 0.4),
    )


def stopped(whole: Session, truth: float = 0.0) -> Session:
    """The run of a true difference, as the rule stops it."""
    shifted = Session(d=whole.d + truth, clock=whole.clock, first=whole.first, steal=whole.steal)
    tests = len(whole.d)
    return shifted.cut([next(n for n in LOOKS if judge(d[:n], MARGIN, tests).settled) for d in shifted.d])


def anywhere(rng: np.random.Generator, whole: Session) -> Session:
    """The run stopped at looks drawn at random: quicker than the rule."""
    return whole.cut(rng.choice(LOOKS, len(whole.d), p=[0.15, 0.15, 0.2, 0.05, 0.05, 0.2, 0.1, 0.1]).tolist())


def rates(level: float, sessions: list[Session]) -> dict[str, float]:
    """Share of the runs in which each guard gives a p-value of `level` or less."""
    found = {name: [guard(one) for one in sessions] for name, guard in GUARDS.items()}
    return {name: float(np.mean([f is not None and f.p <= level for f in all_])) for name, all_ in found.items()}


def tolerated(level: float, count: int) -> float:
    return level + 4 * math.sqrt(level * (1 - level) / count)


@pytest.mark.parametrize(("count", "kind", "together", "runs"), [
    (40, "normal", 0.0, 30), (40, "t3", 0.02, 30), (8, "outliers", 0.0, 100), (3, "outliers", 0.0, 150),
    (1, "normal", 0.0, 200),
])
def test_clean_runs_raise_no_alarm(count: int, kind: str, together: float, runs: int) -> None:
    rng = np.random.default_rng(30)
    sessions = [anywhere(rng, session(rng, count, kind=kind, together=together)) for _ in range(runs)]
    for level in (0.05, ALARM):
        for name, rate in rates(level, sessions).items():
            assert rate <= tolerated(level, runs), (name, level)


def stopped_drift_rate() -> float:
    """How often drift is seen at 5 % where there is none, after the worst of rules: the higher quarter goes on.

    Those that go on after a look were higher before it than they will be after it.
    """
    rng = np.random.default_rng(31)
    sessions = []
    for _ in range(20):
        whole = session(rng, 120)
        means = whole.d[:, : LOOKS[0]].mean(axis=1) / whole.d.std(axis=1)
        sessions.append(whole.cut(np.where(means > np.quantile(means, 0.75), LOOKS[2], LOOKS[0]).tolist()))
    return rates(0.05, sessions)["drift"]


def test_the_stopping_of_changed_benchmarks_is_no_drift() -> None:
    assert stopped_drift_rate() <= tolerated(0.05, 20)


def test_audit_sees_stopping_that_is_not_allowed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards._trend, "__defaults__", (0.0,))
    assert stopped_drift_rate() > tolerated(0.05, 20)


def with_drift(rng: np.random.Generator, whole: Session) -> Session:
    """The machine comes to treat head worse: by 4 % from the first block to the last."""
    d = whole.d + 0.04 * whole.clock / np.nanmax(whole.clock)
    return Session(d=d, clock=whole.clock, first=whole.first, steal=whole.steal)


def with_neighbour(rng: np.random.Generator, whole: Session) -> Session:
    """Half-way a neighbour starts who steals a tenth of the time, and blocks scatter four times as much."""
    there = whole.clock > np.nanmedian(whole.clock)
    steal = whole.steal + 0.1 * there * rng.uniform(0.5, 1.5, there.shape)
    return Session(d=whole.d * np.where(there, 4, 1), clock=whole.clock, first=whole.first, steal=steal)


def with_unfair_neighbour(rng: np.random.Generator, whole: Session) -> Session:
    """Half-way a neighbour starts who costs head 3 % more than base."""
    there = whole.clock > np.nanmedian(whole.clock)
    steal = whole.steal + 0.1 * there * rng.uniform(0.5, 1.5, there.shape)
    return Session(d=whole.d + 0.03 * there, clock=whole.clock, first=whole.first, steal=steal)


def with_order(rng: np.random.Generator, whole: Session) -> Session:
    """Base is first in four of five blocks, and the arm that is first is 2 % faster than it would be as the second."""
    first = np.where(rng.random(whole.d.shape) < 0.8, 1.0, -1.0)
    return Session(d=whole.d + 0.01 * first, clock=whole.clock, first=first, steal=whole.steal)


@pytest.mark.parametrize(("fault", "name", "low", "high", "count"), [
    (with_drift, "drift", 0.035, 0.045, 60), (with_neighbour, "spread", 1.5, 4.5, 60),
    (with_neighbour, "late", 3.5, 4.5, 60), (with_unfair_neighbour, "shift", 0.01, 0.035, 60),
    (with_order, "order", 0.015, 0.025, 20),
])
def test_a_planted_fault_is_found_and_measured(
    fault: Callable[[np.random.Generator, Session], Session], name: str, low: float, high: float, count: int
) -> None:
    rng = np.random.default_rng(32)
    found = [GUARDS[name](fault(rng, anywhere(rng, session(rng, count)))) for _ in range(20)]
    # The readings share the error of their guard among seven tests.
    level = ALARM if name in ("drift", "order") else ALARM / 7
    assert np.mean([one is not None and one.p <= level for one in found]) >= 0.9
    # A size is a median over the benchmarks: it is the planted one where they have been there from end to end.
    whole = [GUARDS[name](fault(rng, session(rng, count))) for _ in range(20)]
    assert low <= np.median([one.size for one in whole if one is not None]) <= high


def test_one_wild_block_raises_no_alarm() -> None:
    rng = np.random.default_rng(33)
    for index in (0, 7, 20, LOOKS[-1] - 1):
        whole = session(rng, 4)
        nearly = alarms(whole, 5 * ALARM)  # by chance
        whole.d[:, index] += 5.0
        assert alarms(whole, ALARM) <= nearly


def alarms(whole: Session, level: float) -> set[str]:
    """Names of the guards that would speak at that level."""
    found = {name: guard(whole) for name, guard in GUARDS.items()}
    return {name for name, one in found.items() if one is not None and one.p <= level}


def test_too_little_is_no_finding() -> None:
    rng = np.random.default_rng(34)
    few = session(rng, 3).cut([3, 2, 0])
    assert [guard(few) for guard in GUARDS.values()] == [None] * len(GUARDS)
    whole = session(rng, 3)
    assert guards.order_effect(whole.d, np.ones_like(whole.d)) is None
    assert guards.shift(whole.d, np.zeros_like(whole.d)) is None
    assert guards.spread(whole.d, np.full_like(whole.d, np.nan)) is None
    equal = np.zeros((3, 8))
    assert guards.drift(equal, np.tile(np.arange(8.0), (3, 1))) is None


def test_a_perfect_trend_has_no_doubt() -> None:
    clock = np.arange(40.0)[None, :]
    found = guards.drift(0.001 * clock, clock)
    assert found is not None and found.p == 0.0 and found.size == pytest.approx(0.039)


def test_consistent() -> None:
    rng = np.random.default_rng(35)
    assert guards.consistent(rng.normal(0, 1, LOOKS[0] - 1)) is None
    clean = [guards.consistent(rng.normal(0, 0.01, 14)) for _ in range(400)]
    assert np.mean([found is not None and found.p <= 0.05 for found in clean]) <= tolerated(0.05, 400)
    found = guards.consistent(0.03 + rng.normal(0, 0.01, 14))
    assert found is not None and found.p < ALARM / 100 and found.size == pytest.approx(0.03, abs=0.01)


def test_a_drift_over_very_many_benchmarks_takes_no_more_memory_than_over_a_few_hundred() -> None:
    rng = np.random.default_rng(11)
    whole = with_drift(rng, session(rng, 1500))
    tracemalloc.start()
    try:
        found = guards.drift(whole.d, whole.clock)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found is not None and found.p < ALARM
    assert 0.035 < found.size < 0.045
    assert peak < 150e6, "all pairs of blocks of all benchmarks would be 600 MB"


def test_ranks_are_those_of_scipy() -> None:
    rng = np.random.default_rng(71)
    panel = rng.integers(0, 9, (40, 12)).astype(float)
    panel[rng.random(panel.shape) < 0.2] = np.nan
    panel[0] = np.nan
    ranks = guards._ranks(panel)
    assert np.array_equal(ranks, rankdata(panel, axis=1, nan_policy="omit"), equal_nan=True)
