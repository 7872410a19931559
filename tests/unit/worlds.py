"""Simulated suites, for the tests of the schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from samples import answer, benchmark

from runner.measuring.plan import Plan
from runner.model import Benchmark, Block, BlockKind, BlockSpec, Metric


def place(spec: BlockSpec) -> int:
    return -1 if spec.kind is BlockKind.CALIBRATION else spec.index


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A simulated suite: its truth is fixed by the seed, so the same spec always gives the same block."""

    seed: int
    budget: float | None = None
    spread: tuple[float, ...] = (0.002, 0.01, 0.05)
    """Standard deviation of the log ratio, one for each benchmark."""
    costs: tuple[float, ...] = (0.2, 0.5, 1.0)
    failing: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """(benchmark, index) of the blocks that fail; -1 for a calibration."""
    metrics: tuple[Metric, ...] = ()
    canary: bool = False
    repeats: int | None = None

    @property
    def benchmarks(self) -> list[Benchmark]:
        metrics = self.metrics or (Metric.TIME,) * len(self.spread)
        return [benchmark(f"work.bench_{n}", metric) for n, metric in enumerate(metrics)]

    def plan(self) -> Plan:
        return Plan(
            self.benchmarks, seed=self.seed, margin=0.01, budget=self.budget, repeats=self.repeats, canary=self.canary
        )

    def measure(self, spec: BlockSpec) -> Block:
        number = int(spec.benchmark.name.rpartition("_")[2])
        rng = np.random.default_rng([self.seed, number, place(spec) + 1, spec.kind is BlockKind.CANARY])
        return answer(
            spec, log_ratio=float(rng.normal(0, self.spread[number])),
            seconds=float(self.costs[number] * rng.uniform(0.8, 1.2)), fails=(number, place(spec)) in self.failing,
        )

    def run(self, plan: Plan, see: Callable[[BlockSpec], None] = lambda spec: None) -> list[Block]:
        """Measure until the plan wants nothing more."""
        blocks = []
        while (spec := plan.next()) is not None:
            see(spec)
            blocks.append(self.measure(spec))
            plan.observe(blocks[-1])
        return blocks


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(1, 6))
    some = st.floats(0.0005, 0.08)
    failing = draw(st.frozensets(st.tuples(st.integers(0, count - 1), st.integers(-1, 12)), max_size=3))
    return World(
        seed=draw(st.integers(0, 2**31)), spread=tuple(draw(some) for _ in range(count)),
        costs=tuple(draw(st.floats(0.05, 3.0)) for _ in range(count)), failing=failing,
        budget=draw(st.none() | st.floats(0.1, 60.0)),
        metrics=tuple(draw(st.sampled_from(Metric)) for _ in range(count)),
        canary=draw(st.booleans()), repeats=draw(st.none() | st.integers(1, 6)),
    )


LAWS = settings(max_examples=15)
