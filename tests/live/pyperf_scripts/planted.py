"""Where there is a file ``planted`` in the environment, one benchmark does more; the other is the same."""
import os
import sys

import pyperf

MORE = 2 if os.path.exists(os.path.join(sys.prefix, "planted")) else 1


def work(count):
    total = 0
    for number in range(count):
        total += number * number
    return total


def looped(loops):
    begun = pyperf.perf_counter()
    for _ in range(loops):
        for _ in range(10):
            work(100)
    return pyperf.perf_counter() - begun


if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.bench_func("more", work, 1000 * MORE)
    runner.bench_time_func("equal", looped, inner_loops=10)
