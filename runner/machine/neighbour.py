"""A neighbour on the machine, for trying out what noise does: a process that works in bursts on whatever CPU it gets.

Run as a script it is the neighbour itself; it needs the standard library alone.
"""

from __future__ import annotations

import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

SHORTEST, LONGEST = 0.03, 0.3
"""Seconds of a burst, and of the pause after it."""
STREAM = 64 << 20
"""Bytes through which a burst streams: larger than the caches of most machines."""
PIECE = 1 << 20


@contextmanager
def neighbour(seed: int) -> Iterator[subprocess.Popen[bytes]]:
    """Have a neighbour at work inside the context; half of its bursts stream through memory, the others compute.

    It may run wherever this process may at the moment of the call. `seed` determines the bursts' lengths and kinds. It
    ends with the context, and, whatever becomes of this process, after at most one burst more.
    """
    process = subprocess.Popen([sys.executable, "-I", __file__, str(seed)], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def bursts(seed: int) -> Iterator[tuple[bool, float, float]]:
    """For each burst: whether it streams through memory, its seconds, and the seconds of pause after it. Endless."""
    rng = random.Random(seed)
    while True:
        # In pairs of one each, so that half of them stream in any stretch of time.
        for streams in rng.sample((True, False), 2):
            yield streams, rng.uniform(SHORTEST, LONGEST), rng.uniform(SHORTEST, LONGEST)


def _work(streams: bool, seconds: float, memory: memoryview) -> None:
    end, place, total = time.perf_counter() + seconds, 0, 0
    half = len(memory) // 2
    while time.perf_counter() < end:
        if streams:
            memory[half + place : half + place + PIECE] = memory[place : place + PIECE]
            place = (place + PIECE) % half
        else:
            for number in range(2000):
                total = (total * 5 + number) % 1000003


def main() -> None:
    memory = memoryview(bytearray(STREAM))
    for streams, work, pause in bursts(int(sys.argv[1])):
        _work(streams, work, memory)
        # The parent never writes: what can be read is the end of the pipe, which says that the parent is gone.
        if select.select([0], [], [], pause)[0]:
            return


if __name__ == "__main__":
    main()
