"""Ten kinds of work for comparisons of an interpreter with itself.

Each call takes about 0.3 to 1.5 ms, so that blocks are short; the ten differ in what they ask of the machine, since a
rule that holds for arithmetic need not hold for memory.
"""

import io
import json

NUMBERS = [number * 7919 % 1009 for number in range(1500)]
WORDS = [str(number * 7919 % 1000) for number in range(200)]
KEYS = ["key" + str(number * 7919 % 1009) for number in range(1500)]
RECORD = {"name": "calibration", "values": list(range(40)), "nested": [{"x": x, "y": str(x)} for x in range(25)]}
TEXT = json.dumps(RECORD)
LINES = b"some text in a line of forty characters\n" * 1500
MEGABYTE = bytes(1 << 20)
lockstep_setup = "once"  # no call changes what set-up has made


class Pair:
    def __init__(self) -> None:
        self.x = 1
        self.y = 2


class Point:
    def __init__(self, x: object, y: object) -> None:
        self.x = x
        self.y = y


def time_bytecode() -> int:
    total = 0
    for number in NUMBERS:
        for _ in (1, 2, 3):
            total = (total * 5 + number) % 1000003
    return total


def time_attributes() -> int:
    pair = Pair()
    for number in NUMBERS * 4:
        pair.x = pair.y + number
        pair.y = pair.x - number
        pair.x += 1
    return pair.y


def time_dict() -> int:
    counts = dict.fromkeys(KEYS, 0)
    for _ in range(4):
        for key in KEYS:
            counts[key] = counts.get(key, 0) + 1
    return sum(counts[key] for key in KEYS)


def time_sort() -> int:
    last = 0
    for _ in range(4):
        ordered = sorted(NUMBERS)
        ordered.sort(key=lambda number: -number)
        last += ordered[0]
    return last


def time_strings() -> int:
    size = 0
    for _ in range(80):
        size += len("-".join(WORDS).upper().replace("1", "one").split("-"))
    return size


def time_json() -> int:
    size = 0
    for _ in range(20):
        size += len(json.dumps(json.loads(TEXT)))
    return size


def time_bytesio() -> int:
    return sum(len(line) for _ in range(8) for line in io.BytesIO(LINES))


def time_copying() -> int:
    size = 0
    for _ in range(24):
        size += len(bytearray(MEGABYTE))
    return size


def time_objects() -> int:
    return sum(len([Point(number, []) for number in NUMBERS]) for _ in range(3))


class Pointers:
    """Steps through a list, each of which says where the next one goes: with its int objects about 10 MB, more than a
    core's second-level cache."""

    SIZE = 1 << 18

    def setup(self) -> None:
        # A linear congruence of full period (Hull and Dobell 1962) goes through the whole list in one ring.
        self.ring = [(166021 * here + 97) % self.SIZE for here in range(self.SIZE)]

    def time_pointers(self) -> int:
        ring, here = self.ring, 0
        for _ in range(3000):
            here = ring[here]
        return here
