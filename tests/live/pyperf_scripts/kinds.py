"""Every kind of benchmark that pyperf knows, with an option of its own, noise, and something that is open meanwhile.

What a benchmark does it writes down in the file that MARKS names: nothing may be done when benchmarks are listed.
"""
import os
import sys
import tempfile
import time

import pyperf


def pass_on(command, args):
    command += ["--size", str(args.size)]


def mark(text):
    if "MARKS" in os.environ:
        with open(os.environ["MARKS"], "a") as stream:
            stream.write(text + "\n")


def summed(numbers):
    mark("func")
    return sum(numbers)


def timed(loops, numbers):
    """Half of what it does is outside of its time."""
    mark("timed %d" % loops)
    sum(numbers)
    begun = pyperf.perf_counter()
    for _ in range(loops):
        for _ in range(4):
            sum(numbers)
    return pyperf.perf_counter() - begun


async def awaited():
    mark("async")


def size_of(loops, folder):
    mark("bytes")
    return loops * (1000 + len(os.listdir(folder)))


if __name__ == "__main__":
    runner = pyperf.Runner(add_cmdline_args=pass_on)
    runner.argparser.add_argument("--size", type=int, default=500)
    args = runner.parse_args()
    print("noise:", "worker" if args.worker else "manager")
    runner.metadata["description"] = "every kind"
    numbers = list(range(args.size))
    runner.bench_func("func", summed, numbers)
    runner.bench_time_func("timed/size=%d" % args.size, timed, numbers, inner_loops=4)
    runner.bench_async_func("awaited", awaited)
    runner.timeit("a µs, and (more)\u2009!", stmt="sum(numbers)", setup="numbers = list(range(100))")
    runner.bench_command("command", [sys.executable, "-S", "-c", "pass"])
    with tempfile.TemporaryDirectory(prefix="lockstep-open-") as folder:
        runner.bench_func("inside", os.listdir, folder)
        runner.bench_time_func("bytes", size_of, folder, metadata={"unit": "byte"})
    runner.bench_func("waits", time.sleep, 1e-3)
