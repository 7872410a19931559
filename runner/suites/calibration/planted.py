"""Five kinds of work of which one arm does a stated share more: the arm beside whose executable lies a file `planted`.

A call does N equal portions, and N (1 + share) in that arm. What share of the *time* that is, a long quiet measurement
says: a call costs something by itself, and memory does not get slower in proportion.
"""

import io
import json
import os
import sys

PLANTED = os.path.exists(os.path.join(os.path.dirname(sys.executable), "planted"))

DATA = bytes(1 << 14)
WORDS = [str(number * 7919 % 1000) for number in range(10)]
RECORD = {"name": "planted", "values": list(range(4))}
lockstep_setup = "once"  # no call changes what set-up has made


class Point:
    def __init__(self, x: object, y: object) -> None:
        self.x = x
        self.y = y


class Planted:
    params = ("0.5", "1", "2", "5")
    param_names = ("percent",)
    portions = 1000  # a multiple of 200, so that half a per cent is a whole number

    def setup(self, percent: str) -> None:
        self.times = range(round(self.portions * (1 + float(percent) / 100)) if PLANTED else self.portions)


class Bytecode(Planted):
    portions = 10000

    def time_bytecode(self, percent: str) -> None:
        total = 0
        for i in self.times:
            total = (total * 5 + i) % 1000003


class Objects(Planted):
    portions = 6000

    def time_objects(self, percent: str) -> None:
        for i in self.times:
            Point(i, i)


class Strings(Planted):
    portions = 8000

    def time_strings(self, percent: str) -> None:
        for _ in self.times:
            "-".join(WORDS)


class Json(Planted):
    portions = 200

    def time_json(self, percent: str) -> None:
        for _ in self.times:
            json.dumps(RECORD)


class Copying(Planted):
    def time_copying(self, percent: str) -> None:
        for _ in self.times:
            io.BytesIO(DATA).read(10)
            bytearray(DATA)
