"""Small made-up records for the tests of the core: no process ever made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.model import (
    Arm,
    Benchmark,
    Block,
    BlockKind,
    BlockSpec,
    Cause,
    Failure,
    Interpreter,
    Metric,
    Mode,
    Settings,
)
from runner.storage.store import Manifest

TURNS = Settings(mode=Mode.TURNS, calls={Arm.BASE: 100, Arm.HEAD: 100}, cycles=10, window=0.0, warmup=2)


def benchmark(name: str = "work.time_it", metric: Metric = Metric.TIME, **changes: Any) -> Benchmark:
    """A benchmark without parameters, but for `changes`."""
    facts: dict[str, Any] = {
        "name": name, "params": {}, "index": (), "metric": metric, "unit": "s" if metric is Metric.TIME else "bytes",
        "version": "1", "timeout": 60.0,
    }
    return Benchmark(**(facts | changes))


class Quiet:
    """A view that nobody sees."""

    def phase(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...
    def measured(self, plan: object, progress: object) -> None: ...


def interpreter(executable: str = "/opt/python/bin/python3.13", version: str = "3.13.5") -> Interpreter:
    return Interpreter(
        spec=executable, executable=Path(executable), version=version, implementation="cpython", sha256="ab" * 32,
        facts={"CC": "gcc"},
    )


def block(key: str = "work.time_it", index: int = 0, **changes: Any) -> Block:
    """A block of two cycles in `turns`."""
    facts: dict[str, Any] = {
        "benchmark": key, "index": index, "settings": TURNS, "started": 1.7e9 + index, "seconds": 0.25,
        "base": (2_000_000, 2_100_000), "head": (2_200_000, 2_050_000), "first": Arm.BASE, "order": "bh",
        "readings": {"steal": 0.01},
    }
    return Block(**(facts | changes))


def answer(
    spec: BlockSpec, *, log_ratio: float, seconds: float = 0.25, fails: bool | Cause = False, settings: Settings = TURNS
) -> Block:
    """The block that a simulated executor makes of a spec: one cycle with the given log ratio."""
    base = 2_000_000_000
    head = round(base * 2.718281828459045**log_ratio)
    found = () if fails or spec.kind is BlockKind.CALIBRATION else (head,)
    cause = fails if isinstance(fails, Cause) else Cause.OTHER
    failure = Failure(reason="raised ValueError: planted", arm=Arm.HEAD, cause=cause) if fails else None
    return Block(
        benchmark=spec.benchmark.key, kind=spec.kind, index=spec.index, settings=spec.settings or settings,
        started=1.7e9, seconds=seconds, base=(base,) if found else (), head=found, first=spec.first,
        order=spec.order[:1] if found else "", failure=failure, layout=spec.layout,
    )


def manifest(benchmarks: Sequence[Benchmark] = (), **changes: Any) -> Manifest:
    facts: dict[str, Any] = {
        "id": "20250101T120000Z-ab12cd", "created": 1.7e9, "command": "lockstep ab a b --seed 1", "base": interpreter(),
        "head": interpreter("/opt/other/bin/python3.13"), "differences": (), "suite": "/suite",
        "benchmarks": tuple(benchmarks) or (benchmark(),), "missing": (), "scope": "binary", "margin": 0.01,
        "budget": None, "seed": 1, "memory_limit": 1 << 30, "settings": {}, "worker_cpu": 1,
        "machine": {"cpu": "some", "pinned": 1, "governor": None, "turbo": False, "mhz": 2000.5},
        "versions": {"lockstep": "0.1.0"}, "notices": (),
    }
    return Manifest(**(facts | changes))
