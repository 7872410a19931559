"""Work that does more by the share that ``planted.json`` beside the interpreter states, as a commit may plant it.

Of every benchmark a number, 0.0 for no more work; or ``raise`` or ``hang``.
"""

import json
import os
import sys
import time

with open(os.path.join(os.path.dirname(sys.executable), "planted.json")) as stream:
    PLANTED = json.load(stream)


def times(name):
    more = PLANTED[name]
    return range(round(2000 * (1 + more))) if isinstance(more, float) else more


ONE, TWO, THREE = times("one"), times("two"), times("three")


def time_one():
    total = 0
    for i in ONE:
        total += i * i % 7


def time_two():
    for i in TWO:
        str(i)


def time_three():
    if THREE == "raise":
        raise ValueError("planted")
    if THREE == "hang":
        time.sleep(600)
    for i in THREE:
        divmod(i, 7)


time_three.timeout = 8  # what does not hang has to be done by then, on a machine that stands still for some seconds too
