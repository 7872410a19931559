"""Two benchmarks, a third in one arm only, and then an error."""
import sys

import pyperf

runner = pyperf.Runner()
runner.bench_func("one", sum, range(100))
runner.bench_func("two", sum, range(200))
if sys.prefix.endswith("head"):
    runner.bench_func("three", sum, range(300))
import there_is_no_such_package  # noqa: E402, F401
