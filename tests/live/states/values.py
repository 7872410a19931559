"""Tracked values of all types, and what calls return."""

import enum
import os
import random
import sys
from pathlib import Path

ARM = Path(sys.prefix).name.split("-")[0]


class Grams(float):
    def __repr__(self):
        return f"Grams({float(self)})"

    __str__ = __repr__


class Level(enum.IntEnum):
    HIGH = 7


class Lazy:
    """A number by what it can be turned into, as those of array libraries are."""

    def __float__(self):
        return 1.25


def track_grams():
    return Grams(2.5)


def track_level():
    return Level.HIGH


def track_lazy():
    return Lazy()


def track_yes():
    return True


def track_nothing():
    return 0


def track_below():
    return -4


def track_from_nothing():
    return 0 if ARM == "base" else 3


def track_sometimes_nothing():
    # Another number in half of the processes; the hash seed is the same in both arms.
    return (hash("x") & 1) ^ (ARM == "base")


def track_none():
    return None


def track_endless():
    return float("inf")


def track_text():
    return "12"


def track_beyond():
    return 10**400


for function in (track_level, track_below):
    function.unit = "% of <b>all</b> | [red]hits[/red]"


def time_another_in_every_call():
    return random.random()


def time_another_in_every_process():
    return os.getpid()


def time_another_in_every_arm():
    return ARM


def time_alike():
    return 4
