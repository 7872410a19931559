"""Ten pure-Python workloads of 40 to 160 µs a call, of which one arm does a stated share more.

That arm is the one beside whose executable lies a file `planted`. A call does N equal portions, and N (1 + share)
there. The error of a ratio is measured against that share, so portions have to be equal in time too, and next to
nothing may be done beside them (docs/decisions/0033).
"""

import os
import sys

PLANTED = os.path.exists(os.path.join(os.path.dirname(sys.executable), "planted"))

KEYS = ["key" + str(number * 7919 % 1009) for number in range(5)]
WORDS = [str(number * 7919 % 1000) for number in range(20)]
FIRST = 1000
"""Not 0: the first 257 numbers are kept by the interpreter, and so cheaper than those that come later."""
lockstep_setup = "once"  # no call changes what set-up has made


# Not inside the function that is timed: each new function is specialised anew, which costs as much as many portions.
def add(x, y=1):
    return x + y


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, by):
        return Point(self.x + by, self.y - by)


class Work:
    """Portions of one kind of work; a multiple of 200, so that half a per cent is a whole number of them."""

    params = ("0", "0.5", "1")
    param_names = ("percent",)
    portions = 200

    def setup(self, percent):
        portions = round(self.portions * (1 + float(percent) / 100)) if PLANTED else self.portions
        self.times = range(FIRST, FIRST + portions)


class Integers(Work):
    portions = 1000

    def time_integers(self, percent):
        total = 0
        for i in self.times:
            total = (total * 5 + i) % 1000003


class Floats(Work):
    portions = 2000

    def time_floats(self, percent):
        x = 0.5
        for _ in self.times:
            x = 3.7 * x * (1.0 - x)


class Attributes(Work):
    portions = 1000

    def time_attributes(self, percent):
        point = Point(1, 2)
        for i in self.times:
            point.x = point.y + i
            point.y = point.x - i


class Dict(Work):
    def time_dict(self, percent):
        counts = dict.fromkeys(KEYS, 0)
        for _ in self.times:
            for key in KEYS:
                counts[key] = counts.get(key, 0) + 1


class Calls(Work):
    portions = 400

    def time_calls(self, percent):
        for i in self.times:
            add(add(i), y=2)


class Objects(Work):
    portions = 400

    def time_objects(self, percent):
        point = Point(0, 0)
        for i in self.times:
            point = point.moved(i)


class Lists(Work):
    portions = 4000

    def time_lists(self, percent):
        found = []
        for i in self.times:
            found.append(i)
            if len(found) == 20:
                found.clear()


class Strings(Work):
    portions = 200

    def time_strings(self, percent):
        for _ in self.times:
            "-".join(WORDS).upper().split("-")


class Generators(Work):
    portions = 1000

    def time_generators(self, percent):
        sum(i & 7 for i in self.times)


class Sorting(Work):
    portions = 200

    def time_sorting(self, percent):
        for i in self.times:
            sorted(WORDS, reverse=i & 1)
