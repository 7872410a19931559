"""What a benchmark may do wrong."""
import sys

import pyperf


def fails():
    raise ValueError("of the author's")


if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.bench_func("raises", fails)
    runner.bench_time_func("no time", lambda loops: 0.0)
    runner.bench_command("bad command", [sys.executable, "-c", "raise SystemExit(3)"])
    runner.bench_func("good", sum, range(1000))
