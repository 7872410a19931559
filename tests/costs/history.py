"""``python tests/costs/history.py``: what an index of a year costs, printed; asserted nowhere.

    python tests/costs/history.py --machines 3 --nights 365 --benchmarks 500

Each night of each machine is two runs, against the anchor and against the night before; the rows are generated. A few
runs are read from run folders, as on a night.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pandas as pd
from asked import folder, options
from made_rows import a_point, a_run
from made_runs import MACHINE, make_run, some_benchmarks

from runner.history import runs, series
from runner.storage import index
from runner.storage.index import Point, Run

ASKED = 50
"""Series and benchmarks that are asked for, each by itself."""
READ = 6
"""Runs that are read from their folders: a night's, on three machines."""
Answer = TypeVar("Answer")


def main() -> None:
    asked = options(str(__doc__), machines=3, nights=365, benchmarks=500)
    with folder(asked) as place:
        file = place / "index"
        entry = read(place / "runs", file, asked.benchmarks)
        index.discard(file)
        for purpose in ("anchor", "previous"):
            seconds, points = 0.0, 0
            for night in nights(purpose, entry, asked):
                seconds += put(file, night)
                points += sum(len(own) for _, own in night)
            print(f"{points} points of purpose {purpose}: indexed in {seconds:.1f} s", flush=True)
        print(f"file: {file.stat().st_size / 2**20:.0f} MiB")
        ask(file, asked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest so far: {peak:.0f} MiB")


def read(place: Path, file: Path, benchmarks: int) -> Run:
    """Time a night that is read from run folders; returns one of its runs, with all that a row says of it."""
    suite = some_benchmarks(benchmarks)
    for number in range(READ):
        make_run(place, number, suite, changed=0.03)
    begun = time.perf_counter()
    runs.update(place, file)
    print(f"{READ} runs of {benchmarks} benchmarks read from their folders: {time.perf_counter() - begun:.1f} s")
    begun = time.perf_counter()
    runs.update(place, file)
    print(f"nothing new among them: {time.perf_counter() - begun:.2f} s", flush=True)
    with index.opened(file) as connection:
        return replace(a_run(0), entry=index.entries(connection)[0], machine=str(MACHINE["fingerprint"]))


def nights(purpose: str, entry: Run, asked: argparse.Namespace) -> Iterator[list[tuple[Run, list[Point]]]]:
    """All runs of one purpose, a night at a time."""
    luck = random.Random(1)
    keys = [one.key for one in some_benchmarks(asked.benchmarks)]
    for night in range(asked.nights):
        made = []
        for machine in range(asked.machines):
            run = replace(
                entry, id=f"{night:06}-{machine}-{purpose}", created=1.7e9 + 86_400 * night + machine, position=night,
                machine=f"{entry.machine}{machine}", purpose=purpose, base="a" if purpose == "anchor" else f"b{night}")
            made.append((run, [a_point(key, place, log_ratio=luck.gauss(0, 0.004), ratio=luck.gauss(1, 0.004))
                               for place, key in enumerate(keys)]))
        yield made


def put(file: Path, night: Sequence[tuple[Run, Sequence[Point]]]) -> float:
    """Seconds that it took."""
    begun = time.perf_counter()
    with index.opened(file, make=True) as connection, index.writing(connection):
        for run, points in night:
            index.put(connection, run, points)
    return time.perf_counter() - begun


def ask(file: Path, asked: argparse.Namespace) -> None:
    luck = random.Random(2)
    keys = [one.key for one in some_benchmarks(asked.benchmarks)]
    machines = [f"{MACHINE['fingerprint']}{number}" for number in range(asked.machines)]
    with index.opened(file) as connection:
        points = connection.execute("SELECT count(*) FROM points").fetchone()[0]
        _, seconds = timed(lambda: index.benchmarks(connection))
    print(f"with {points} points: all benchmarks with their stamps in {seconds:.2f} s")
    took = []
    for key in luck.choices(keys, k=ASKED):
        found, seconds = timed(lambda key=key: series.of(
            file, watch="main", configuration="", benchmark=key, machine=luck.choice(machines)))
        took.append(seconds)
    told("a series", took, len(found[0].rows))
    took = []
    for key in luck.choices(keys, k=ASKED):
        rows, seconds = timed(lambda key=key: rows_of(file, key))
        took.append(seconds)
    told("all rows of a benchmark", took, len(rows))
    found, seconds = timed(lambda: series.of(file, watch="main", configuration="", machine=machines[0]))
    print(f"all {len(found)} series of a machine: {seconds:.2f} s")


def rows_of(file: Path, key: str) -> pd.DataFrame:
    """As `History.of_benchmark` gets them."""
    with index.opened(file) as connection:
        return runs.frame(index.rows(connection, runs.ROW, {"key": key}))


def timed(what: Callable[[], Answer]) -> tuple[Answer, float]:
    begun = time.perf_counter()
    return what(), time.perf_counter() - begun


def told(what: str, seconds: Sequence[float], rows: int) -> None:
    print(f"{what} ({rows} rows): {1e3 * statistics.median(seconds):.1f} ms, at most {1e3 * max(seconds):.1f} ms "
          f"(of {len(seconds)})", flush=True)


if __name__ == "__main__":
    main()
