"""What an interpreter was started with, as numbers above 0."""

import os
import sys


def track_told():
    return int(os.environ.get("TOLD", "1"))


def track_optimize():
    return 1 + sys.flags.optimize


def time_something():
    return sum(range(1000))
