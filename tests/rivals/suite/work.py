"""Three kinds of work that do a stated share more in an environment whose file ``planted`` says so.

A call is N equal portions, so that the work of the arms is as their N: 1000 against 1050. Every tool measures these
functions, from this file.
"""

import json
import sys

PORTIONS = 1000


def times(share):
    """The portions of one call, as a range."""
    return range(round(PORTIONS * (1 + share)))


try:
    # pathlib would be one more import in every measured process.
    with open(sys.prefix + "/planted") as stream:  # noqa: PTH123
        TIMES = times(float(stream.read()))
except OSError:
    TIMES = times(0.0)

DATA = bytearray(16 << 20)
PIECE = 8192
PLACES = len(DATA) // PIECE
RECORD = {"name": "planted", "values": [1, 2]}


def time_loop():
    total = 0
    for i in TIMES:
        for j in range(16):
            total += (i ^ j) % 7


def time_copy():
    for i in TIMES:
        place = i * 509 % PLACES * PIECE  # far from the one before, so that no cache has it
        DATA[place:place + PIECE]


def time_json():
    for _ in TIMES:
        json.dumps(RECORD)
