"""``python tests/costs/show.py``: what it costs to show a large run, printed; asserted nowhere.

    python tests/costs/show.py --benchmarks 10000 --blocks 160
"""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path

import numpy as np
from asked import LOCKSTEP, folder, options
from made_runs import MACHINE, SETTINGS, arm, some_benchmarks
from pydantic import TypeAdapter
from samples import manifest

from runner.model import Arm, Block
from runner.storage import store

CYCLES = 20
SHAPES = 500
"""Blocks that are drawn; each is written many times, with other places in the run and other speeds."""


def main() -> None:
    asked = options(str(__doc__), benchmarks=10_000, blocks=160, keeps="the run, and use the one that is there,")
    with folder(asked) as place:
        if not any(place.glob("*/manifest.json")):
            print(f"making a run of {asked.benchmarks} benchmarks × {asked.blocks} blocks", flush=True)
            make_large_run(place, asked.benchmarks, asked.blocks)
        size = sum(file.stat().st_size for file in place.glob("*/blocks.jsonl"))
        begun = time.perf_counter()
        done = subprocess.run([LOCKSTEP, "show", "--out", place], check=False, stdout=subprocess.PIPE)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"show of {size / 1e6:.0f} MB: exit code {done.returncode}, {len(done.stdout.splitlines())} lines, "
              f"{time.perf_counter() - begun:.1f} s, {peak:.0f} MiB")


def make_large_run(root: Path, benchmarks: int, blocks: int) -> Path:
    """A finished run, round by round as it is measured: every benchmark has all of its blocks, of 20 cycles in turns.

    A tenth of the benchmarks differs by 1 %; noise is such that neither they nor the others are settled early.
    """
    suite = some_benchmarks(benchmarks)
    made = manifest(suite, id=store.new_id(1.7e9), created=1.7e9, base=arm("anchor"), head=arm("night"),
                    machine=MACHINE)
    place = store.create(root, made)
    rng = np.random.default_rng(1)
    adapter = TypeAdapter(Block)
    middles = []
    for number in range(SHAPES):
        base = 2e6 * rng.normal(1, 0.01, CYCLES)
        head = base * np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.002, CYCLES) + 0.01 * (number % 10 == 0))
        line = adapter.dump_json(Block(
            benchmark="KEY", index=0, settings=SETTINGS, started=1.7e9, seconds=0.15,
            base=tuple(base.astype(int).tolist()), head=tuple(head.astype(int).tolist()),
            first=Arm.BASE if rng.random() < 0.5 else Arm.HEAD,
            order="".join(rng.permutation(list("bh" * (CYCLES // 2)))),
            readings={"steal": float(rng.exponential(0.001)), "load": float(rng.normal(1, 0.1)),
                      "switches_base": 3.0, "switches_head": float(rng.integers(9)), "interrupts": 300.5},
        )).decode()
        before, after = line.split('"KEY"')
        middles.append((before, after.replace('"index":0', '"index":{index}', 1).replace(
            '"started":1700000000.0', '"started":{started}', 1).partition("{index}")))
    with (place / store.BLOCKS).open("w", encoding="utf-8") as stream:
        for index in range(blocks):
            chosen = rng.integers(0, SHAPES // 10, benchmarks) * 10 + np.arange(benchmarks) % 10
            for where, number in enumerate(rng.permutation(benchmarks)):
                before, (first, _, last) = middles[chosen[number]]
                started = 1.7e9 + 0.15 * (index * benchmarks + where)
                stream.write(f'{before}"{suite[number].key}"{first}{index}'
                             f"{last.replace('{started}', str(started), 1)}\n")
    return place


if __name__ == "__main__":
    main()
