"""Run folders that no process ever made, as many as a test or a measurement of the site wants."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from samples import benchmark, interpreter, manifest

from runner.model import Arm, Benchmark, Block, Failure, Interpreter, Mode, Settings
from runner.stats.decide import LOOKS
from runner.storage import asv_results, store
from runner.storage.asv_results import Measured, Series, Value

SETTINGS = Settings(mode=Mode.TURNS, calls={Arm.BASE: 100, Arm.HEAD: 100}, cycles=10, window=0.0, warmup=2)
MACHINE = {"cpu": "Some CPU", "cores": 2, "threads": 2, "kernel": "6.1", "os": "Debian", "arch": "x86_64",
           "fingerprint": "0123456789abcdef", "governor": None}


def some_benchmarks(count: int) -> list[Benchmark]:
    """Benchmarks with parameters, as a suite has them."""
    return [
        benchmark(f"work.Case{number // 4}.time_it", params={"size": f"{4 ** (number % 4)}KiB"}, index=(number % 4,))
        for number in range(count)
    ]


def arm(spec: str) -> Interpreter:
    """An interpreter that is told from others by its name."""
    return replace(interpreter(), spec=spec, sha256=spec.encode().hex().ljust(64, "0")[:64])


def make_run(
    folder: Path, number: int, benchmarks: Sequence[Benchmark], *, changed: float | Mapping[str, float] = 0.0,
    seed: int = 0, **changes: Any
) -> Path:
    """One finished run, the `number`-th of its folder; a tenth of its benchmarks differ by `changed` (a log ratio), or
    those that it names, by key.

    Every benchmark has the blocks of the first look, and a spread that settles it there.
    """
    rng = np.random.default_rng([seed, number])
    created = float(changes.pop("created", 1.7e9 + 86_400 * number))
    made = manifest(
        benchmarks, **{
            "id": f"{store.new_id(created)[:17]}{number:06x}", "created": created, "base": arm("anchor"),
            "head": arm(f"night-{number}"), "machine": MACHINE, **changes,
        })
    truths = changed if isinstance(changed, Mapping) else {one.key: changed for one in benchmarks[::10]}
    blocks = []
    for place, one in enumerate(benchmarks):
        truth = truths.get(one.key, 0.0)
        for index in range(LOOKS[0]):
            base = 2e6 * (1 + place) * rng.normal(1, 0.01, SETTINGS.cycles)
            head = base * np.exp(truth + rng.normal(0, 0.001) + rng.normal(0, 0.002, SETTINGS.cycles))
            blocks.append(Block(
                benchmark=one.key, index=index, settings=SETTINGS, started=created + index * len(benchmarks) + place,
                seconds=0.15, base=tuple(base.astype(int).tolist()), head=tuple(head.astype(int).tolist()),
                first=Arm.BASE if index % 2 else Arm.HEAD, order="bhhb" * 2 + "bh", readings={"steal": 0.001},
            ))
    place = store.create(folder, made)
    adapter = TypeAdapter(Block)
    (place / store.BLOCKS).write_bytes(b"".join(adapter.dump_json(one) + b"\n" for one in blocks))
    return place


def spoil(place: Path, changes: Mapping[str, Failure | int]) -> None:
    """Let benchmarks of a run, by key, fail in their first block, or have so many blocks and no more."""
    adapter = TypeAdapter(Block)
    kept = []
    for line in (place / store.BLOCKS).read_bytes().splitlines():
        block = adapter.validate_json(line)
        change = changes.get(block.benchmark, len(LOOKS) * LOOKS[-1])
        if isinstance(change, Failure):
            if block.index == 0:
                kept.append(replace(block, base=(), head=(), order="", failure=change))
        elif block.index < change:
            kept.append(block)
    (place / store.BLOCKS).write_bytes(b"".join(adapter.dump_json(one) + b"\n" for one in kept))


def make_runs(folder: Path, runs: int, benchmarks: int) -> list[Path]:
    """Nights of one anchor: from the middle on, a tenth of the benchmarks is 3 % slower."""
    suite = some_benchmarks(benchmarks)
    return [make_run(folder, number, suite, changed=0.03 if number >= runs // 2 else 0.0) for number in range(runs)]


RECORD = {
    "name": "work.time_it", "version": "1", "type": "time", "unit": "seconds", "code": "def time_it(): pass",
    "params": [["1", "2"]], "param_names": ["size"], "timeout": 60, "number": 0, "repeat": 0, "rounds": 2,
    "min_run_count": 2, "sample_time": 0.01, "warmup_time": -1,
}
BOX = {"machine": "box", "os": "Linux", "arch": "x86_64", "cpu": "A", "num_cpu": "2", "ram": "8"}


def make_asv_project(folder: Path) -> Path:
    """A repository of six commits, the last three of them slower, asv's results of each; returns asv.conf.json."""
    repository = folder / "repository"

    def git(*words: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        command = ("git", "-C", repository, *identity, *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    repository.mkdir()
    git("init", "-q", "-b", "main")
    for number in range(6):
        git("commit", "-q", "--allow-empty", "-m", f"commit {number}", "--date", f"2026-01-{number + 1:02d}T00:00:00Z")
        asv_results.add(
            folder / "results", BOX,
            Series(commit=git("rev-parse", "HEAD").strip(), date=1_767_225_600_000 + 86_400_000 * number,
                   environment="lockstep-pycpython", python="cpython", requirements={}),
            [Measured(record=RECORD, started=1.7e9, seconds=1.0, values=(
                Value(index=(0,), samples=(1e-3, 1.1e-3, 0.9e-3), calls=10),
                Value(index=(1,), samples=(2e-3 + 1e-3 * (number > 2),) * 3, calls=10)))],
        )
    asv_results.describe(folder / "results", [RECORD])
    configuration = folder / "asv.conf.json"
    configuration.write_text(json.dumps({
        "version": 1, "project": "CPython", "repo": str(repository), "branches": ["main"], "results_dir": "results",
        "environment_type": "virtualenv", "dvcs": "git",
    }))
    return configuration


CHARTS = {"uPlot.iife.min.js": "var uPlot;", "uPlot.min.css": ".u-over {}"}


def make_charts(root: Path, cache: Path) -> None:
    """What charts are drawn with, or stands for it, as a package that was got before: in a project and in a cache."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in CHARTS.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    (cache / "lockstep" / "vendor").mkdir(parents=True)
    (cache / "lockstep" / "vendor" / "uplot-1.0.tgz").write_bytes(stream.getvalue())
    digest = base64.b64encode(hashlib.sha512(stream.getvalue()).digest()).decode()
    files = ", ".join(f'"{name}" = "dist/{name}"' for name in CHARTS)
    (root / "data").mkdir(exist_ok=True)
    (root / "data" / "vendor.toml").write_text(
        f'[[package]]\nname = "uplot"\nversion = "1.0"\nintegrity = "sha512-{digest}"\nfiles = {{ {files} }}\n')
