"""Result files as pyperf writes them, with numbers whose truth is known: no process ever measured them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from runner.storage import pyperf_json
from runner.storage.pyperf_json import Process, Results, Sampled

HOST = {"hostname": "box", "cpu_model_name": "Some CPU", "python_version": "3.13.0 (64-bit)",
        "python_implementation": "cpython", "performance_version": "1.14.0"}


def sampled(
    name: str, typical: float, *, seed: int, processes: int = 20, spread: float = 0.004, session: float = 0.0,
    unit: str = "s", started: float = 1.7e9,
) -> Sampled:
    """Processes of three values each around `typical`; `session` is a log that all of them have in common."""
    rng = np.random.default_rng(seed)
    return Sampled(name=name, unit=unit, processes=tuple(
        Process(values=tuple((typical * np.exp(session + rng.normal(0, spread) + rng.normal(0, 0.002, 3))).tolist()),
                started=started + 10 * number, loops=8)
        for number in range(processes)))


def results(benchmarks: Mapping[str, float], *, seed: int, metadata: Mapping[str, Any] = HOST, **how: Any) -> Results:
    """A file with these typical values."""
    return Results(metadata=metadata, name=f"{seed}.json", sha256=f"{seed:064x}", benchmarks=tuple(
        sampled(name, typical, seed=1000 * seed + number, **how)
        for number, (name, typical) in enumerate(benchmarks.items())))


def written(path: Path, found: Results) -> Path:
    """The file on disk."""
    pyperf_json.write(path, found)
    return path
