"""800 combinations of what else may be a parameter: functions, classes, objects, odd texts and odd lists of values."""

import enum
import functools
import math


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Shape:
    """An object whose text has its address in it."""

    def __init__(self, sides):
        self.sides = sides

    def area(self):
        return self.sides


def double(value):
    return value * 2


SQUARE = Shape(4)
BY_NAME = {"first": 1, "second": 2, "third": 3, "fourth": 4}
THINGS = [
    None, True, 0, -1.5, math.inf, "", "plain", "two words", "a, b=c", "(in) [brackets] {all}", "line\nbreak",
    b"bytes\x00", (1, "two"), frozenset([7]), Colour.RED, double, functools.partial(double, 3), SQUARE.area, Shape,
    SQUARE,
]


class Things:
    """20 things, 10 numbers out of a range, 4 keys of a dictionary."""

    params = [THINGS, range(10), BY_NAME.keys()]
    param_names = ["thing", "number", "name"]

    def setup(self, thing, number, name):
        if thing is None and name == "fourth":
            raise NotImplementedError("nothing has no fourth")

    def time_repr(self, thing, number, name):
        repr(thing)

    time_repr.version = "1"
