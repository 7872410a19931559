"""What a fleet loses: machines that wait. Run by `make fleet-scaling`.

First with Dask: real agents, scheduler and store, and a suite that grows with the fleet, whose blocks take simulated
times (they sleep). Then without: suites of one size on more and more machines, in simulated time alone, which shows
what the cutting into hands loses at the end of a run.

Efficiency is the time that machines spent in blocks, over the time that they were there.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "unit"), str(Path(__file__).parents[2])]

from samples import Quiet, answer, benchmark, manifest  # noqa: E402

from runner.fleet import door, records, serve_blocks  # noqa: E402
from runner.fleet.link import Connection  # noqa: E402
from runner.fleet.records import Answer, Measured  # noqa: E402
from runner.fleet.work import Kept, Terms, Work  # noqa: E402
from runner.measuring import draws  # noqa: E402
from runner.measuring.deal import AHEAD, Deal, Place, hands  # noqa: E402
from runner.measuring.plan import Plan  # noqa: E402
from runner.model import Benchmark, Block, BlockSpec  # noqa: E402
from runner.storage import store  # noqa: E402

SIZES = (1, 2, 4, 8, 16)
EACH = 24
"""Benchmarks for each machine, where the suite grows with the fleet."""
BLOCK = 0.25
"""Seconds of a block, on average."""
SEED = 1
NOISY = 0.1
"""Share of benchmarks whose blocks are so far apart that they get all looks, in simulated time."""


def noise(spec: BlockSpec, spread: float) -> tuple[float, float]:
    """Log ratio and seconds of a block: fixed by what it is."""
    drawn = spec.hash_seed / 2**32
    return spread * (2 * drawn - 1), BLOCK * (0.6 + 0.8 * (spec.padding / 4096))


class Sleeper:
    """A machine that sleeps for as long as a block would take."""

    def __init__(self, name: str) -> None:
        self.name = name

    def answer(self, what: str, text: str) -> str:
        found = Answer()
        if what == "measure":
            wanted = records.wanted.validate_json(text)
            ratio, seconds = noise(wanted.spec, 0.004)
            begun = time.time()
            time.sleep(seconds)
            block = replace(answer(wanted.spec, log_ratio=ratio, seconds=seconds), host=self.name, started=begun,
                            session=wanted.session)
            found = Answer(text=records.measured.dump_json(Measured(block=block)).decode())
        return records.answer.dump_json(found).decode()


def suite(count: int) -> list[Benchmark]:
    return [benchmark(f"work.bench_{number}") for number in range(count)]


def dealt(benchmarks: Sequence[Benchmark], hosts: int) -> tuple[Deal, store.Fleet]:
    cut = hands(benchmarks, seed=SEED, hosts=hosts, budget=False)

    def plan(place: Place) -> Plan:
        return Plan(benchmarks, seed=SEED, margin=0.01, budget=None, canary=False, hand=cut[place.hand])

    shared = store.Fleet(address="tcp://127.0.0.1:1", hands=cut, hosts={}, runs=(), request={})
    return Deal(cut, plan), shared


@contextlib.contextmanager
def cluster(size: int, folder: Path) -> Iterator[Connection]:
    """A scheduler and so many agents, as processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(folder)}
    dask = [str(Path(sys.executable).with_name("dask")), "scheduler", "--host", "tcp://127.0.0.1", "--port", str(port)]
    commands = [[*dask, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]]
    commands += [[sys.executable, __file__, "agent", address, f"machine-{number:02}"] for number in range(size)]
    started = [subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for words in commands]
    try:
        link = Connection(door(address, None))
        while len(link.hosts()) < size:
            time.sleep(0.2)
        yield link
        link.close()
    finally:
        for process in started:
            process.kill()
            process.wait()


def with_dask(size: int) -> tuple[int, float, float, float, float]:
    """Blocks, seconds, the share of them in which machines were in blocks, the asker's share of one CPU, and the load
    of this machine: above the number of its CPUs, the machines of this fleet wait for each other."""
    benchmarks = suite(EACH * size)
    deal, shared = dealt(benchmarks, size)
    with tempfile.TemporaryDirectory() as name, cluster(size, Path(name)) as link:
        folder = store.create(Path(name) / "runs", manifest(benchmarks, seed=SEED, fleet=shared))
        hosts = sorted(link.hosts())
        with store.appending(folder) as append:
            spent = 0.0

            def keep(kept: Kept) -> None:
                nonlocal spent
                append(kept.measured.block)
                spent += kept.measured.block.seconds

            terms = Terms(opening="{}", hosts=hosts, check=lambda name, opened: None, keep=keep, patience=60.0)
            work = Work(link, deal, terms, Quiet())
            begun, cpu = time.monotonic(), time.process_time()
            work.run(dict.fromkeys(hosts, "s"))
            took, used = time.monotonic() - begun, time.process_time() - cpu
            count = len(append.run.blocks)
    return count, took, spent / (size * took), used / took, os.getloadavg()[0]


def without(count: int, size: int) -> tuple[float, float]:
    """Seconds and efficiency of a suite on so many machines, in simulated time; machines lose none between blocks."""
    benchmarks = suite(count)
    deal, _ = dealt(benchmarks, size)
    chosen = {benchmarks[number].key for number in draws.order(SEED, 0, count)[: round(NOISY * count)]}
    clocks = {f"machine-{number:02}": 0.0 for number in range(size)}
    waiting: dict[str, list[tuple[int, Place, BlockSpec]]] = {name: [] for name in clocks}
    events: list[tuple[float, str]] = []
    under: dict[str, tuple[int, Place, Block]] = {}
    spent = 0.0

    def begin(name: str, now: float) -> None:
        nonlocal spent
        if name not in under and waiting[name]:
            lane, place, spec = waiting[name].pop(0)
            ratio, seconds = noise(spec, 0.4 if spec.benchmark.key in chosen else 0.004)
            under[name] = lane, place, replace(answer(spec, log_ratio=ratio, seconds=seconds), host=name, session="s")
            spent += seconds
            heapq.heappush(events, (now + seconds, name))

    def give(name: str, lane: int) -> None:
        while (place := deal.take(name, "s")) is not None:
            if (spec := deal.next(place)) is not None:
                waiting[name].append((lane, place, spec))
                return

    for lane in range(AHEAD):
        for name in clocks:
            give(name, lane)
    for name in clocks:
        begin(name, 0.0)
    now = 0.0
    while events:
        now, name = heapq.heappop(events)
        lane, place, block = under.pop(name)
        begin(name, now)  # what waits is there already
        deal.observe(place, block)
        if (spec := deal.next(place)) is not None:
            waiting[name].append((lane, place, spec))
        else:
            give(name, lane)
        begin(name, now)
    assert deal.ended
    return now, spent / (size * now)


def main() -> None:
    print(f"With Dask, {EACH} benchmarks a machine, blocks of {BLOCK:g} s (they sleep):")
    names = ("machines", "blocks", "seconds", "blocks/s", "efficiency", "asker, of a CPU", "load")
    print("  ".join(names))
    for size in SIZES:
        count, took, efficiency, used, load = with_dask(size)
        cells = (f"{size}", f"{count}", f"{took:.1f}", f"{count / took:.1f}", f"{100 * efficiency:.1f} %",
                 f"{100 * used:.1f} %", f"{load:.1f}")
        print("  ".join(cell.rjust(len(name)) for name, cell in zip(names, cells, strict=True)), flush=True)
    print(f"\nIn simulated time, suites of one size, {100 * NOISY:.0f} % of which need all looks:")
    print(f"{'suite':>8} {'machines':>9} {'seconds':>8} {'times as fast':>14} {'efficiency':>11}")
    for count, sizes in ((97, SIZES), (400, (1, 4, 16))):
        alone = 0.0
        for size in sizes:
            took, efficiency = without(count, size)
            alone = alone or took
            print(f"{count:>8} {size:>9} {took:>8.0f} {alone / took:>14.1f} {100 * efficiency:>9.1f} %", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["agent"]:
        serve_blocks(door(sys.argv[2], None), Sleeper(sys.argv[3]), print)
    else:
        main()
