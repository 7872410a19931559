"""Can be imported when benchmarks are looked for, and not when they are measured."""

import os

if "LOCKSTEP_PADDING" in os.environ:
    raise RuntimeError("planted when measured")


def time_nothing():
    pass
