"""Ten kinds of work that do more in an arm by the share that the file ``planted`` in its prefix states.

The work is N equal portions, so that the true ratio of the arms is the ratio of their N: 1000 against 1030. Both arms
have the file, with numbers of equally many digits: an arm that reads one while the other meets an error has another
heap afterwards, and was seen to be up to 3 % slower for that alone.
"""

import io
import json
import os
import re
import sys

PORTIONS = 1000
with open(os.path.join(sys.prefix, "planted")) as stream:
    MORE = float(stream.read())
TIMES = range(round(PORTIONS * (1 + MORE)))

DATA = b"x" * 4096
WORDS = [str(number * 7919 % 1000) for number in range(20)]
RECORD = {"name": "planted", "values": list(range(8))}
PATTERN = re.compile(r"(\d+)-(\w+)")


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


def time_arithmetic():
    total = 0
    for i in TIMES:
        total += i * i % 7
    return None


def time_copy_bytes():
    for _ in TIMES:
        bytearray(DATA)


def time_dict():
    table = {}
    for i in TIMES:
        table[i % 100] = table.get(i % 50, 0) + 1


def time_strings():
    for _ in TIMES:
        "-".join(WORDS)


def time_sort():
    for _ in TIMES:
        sorted(WORDS)


def time_objects():
    for i in TIMES:
        Point(i, i)


def time_json():
    for _ in TIMES:
        json.dumps(RECORD)


def time_regex():
    for _ in TIMES:
        PATTERN.search("some text before 123-abc and after")


def time_bytesio():
    for _ in TIMES:
        io.BytesIO(DATA).read(10)


def time_calls():
    def one(x):
        return x

    for i in TIMES:
        one(i)
