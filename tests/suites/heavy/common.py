"""What the benchmarks are about: tables that are slow to make."""

import time

from .scale import SECONDS

KINDS = {
    "int": lambda i: i * 7919 % 1009,
    "float": lambda i: i * 7919 % 1009 / 7,
    "str": lambda i: "row %d" % (i * 7919 % 1009),
}


def table(kind, rows, seconds=SECONDS):
    """A list of so many rows, shuffled the same way each time; it takes so many seconds of work to make."""
    make = KINDS[kind]
    end = time.perf_counter() + seconds
    while True:
        found = [make(i) for i in range(rows)]
        if time.perf_counter() >= end:
            return found
