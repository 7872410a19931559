"""A kind of work of which an interpreter does more by the share that the file ``planted`` beside it states."""

import os
import sys

with open(os.path.join(os.path.dirname(sys.executable), "planted")) as stream:
    MORE = float(stream.read())
TIMES = range(round(1000 * (1 + MORE)))


def time_work():
    total = 0
    for i in TIMES:
        total += i * i % 7


def time_other():
    total = 0
    for i in range(1000):
        total += i * i % 7
