"""What is open around a benchmark: nothing, a `with`, a `try` of a function that called; and what is due at the end."""
import atexit
import contextlib
import logging
import tempfile

import pyperf


def in_try(runner):
    try:
        measure(runner, "in a try")
    finally:
        logging.debug("done")


def measure(runner, name):
    with contextlib.suppress(KeyError):
        {}["nothing is open any more when it is measured"]
    runner.bench_func(name, sorted, [3, 1, 2])


if __name__ == "__main__":
    runner = pyperf.Runner()
    measure(runner, "plain")
    with tempfile.TemporaryDirectory(prefix="lockstep-open-"):
        measure(runner, "in a with")
    in_try(runner)
    atexit.register(logging.debug, "the end")
    measure(runner, "before an exit")
