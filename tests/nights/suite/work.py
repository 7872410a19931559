"""Twenty kinds of work; which of them a commit slows is said in `nights.commits`.

What is planted does as many portions of work as the module `lockstep_planted` of the measured standard library says.
"""

import io
import json

import lockstep_planted

TIMES = range(lockstep_planted.PORTIONS)
FIXED = range(1000)
SMALL, LARGE = b"x" * 4096, b"x" * (1 << 20)
WORDS = [str(number * 7919 % 1000) for number in range(20)]
RECORD = {"name": "planted", "values": list(range(8))}
TABLE = {word: word for word in WORDS}
NUMBERS = {number: number for number in range(64)}


class Point:
    __slots__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


def time_planted_arithmetic():
    total = 0
    for i in TIMES:
        total += i * i % 7


def time_planted_strings():
    for _ in TIMES:
        "-".join(WORDS)


def time_planted_objects():
    for i in TIMES:
        Point(i, i)


def time_planted_json():
    for _ in TIMES:
        json.loads("[1, 2, 3, 4, 5, 6, 7, 8]")


def time_planted_bytes():
    for _ in TIMES:
        bytearray(SMALL)


def time_construct_small():
    for _ in FIXED:
        io.BytesIO(SMALL)


def time_construct_large():
    for _ in range(20):
        io.BytesIO(LARGE)


def time_dict_get():
    get = TABLE.get
    for _ in range(100):
        for word in WORDS:
            get(word)


def time_dict_numbers():
    for _ in range(50):
        for number in range(64):
            NUMBERS[number]


def time_dict_contains():
    for _ in range(100):
        for word in WORDS:
            word in TABLE  # noqa: B015


def time_other_arithmetic():
    total = 0
    for i in FIXED:
        total = (total * 5 + i) % 1000003


def time_other_sort():
    for _ in range(200):
        sorted(WORDS)


def time_other_split():
    for _ in FIXED:
        " ".join(WORDS).split()


def time_other_list():
    for _ in range(100):
        [i * i for i in range(64)]


def time_other_slices():
    for _ in FIXED:
        WORDS[2:17]


def time_other_format():
    for i in FIXED:
        f"{i} {i:5d}"


def time_other_tuples():
    for i in FIXED:
        (i, i, i) == (i, i, 0)  # noqa: B015


def time_other_calls():
    def one(x):
        return x

    for i in FIXED:
        one(i)


def time_other_generator():
    sum(i for i in FIXED)


def time_other_exceptions():
    for _ in range(300):
        try:
            raise ValueError
        except ValueError:
            pass
