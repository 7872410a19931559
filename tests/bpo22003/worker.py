"""What runs inside each interpreter of the line from cStringIO to today: Python 2.7 and later.

Apart from the worker of Lockstep's own runs, which needs 3.8, and for this one job: it has both workloads in it.

Its only argument is what it measures, ``cStringIO.StringI`` or ``io.BytesIO``. It writes a line of JSON on what it is;
then it answers each line of standard input, ``workload calls``, with the seconds that so many calls took.
"""

from __future__ import print_function

import gc
import io
import itertools
import json
import platform
import sys
import sysconfig
from timeit import default_timer

LINE = b"word" * 19 + b"\n"
DATA = LINE * (4 * 1024 * 1024 // len(LINE))
"""54 471 lines of 77 bytes: the workload that bpo-22003 was opened with."""


def founding(kind, times):
    """Read a new buffer line by line, and count the lines."""
    for _ in times:
        len(list(kind(DATA)))


def construct(kind, times):
    """Make a buffer of 4 MiB and drop it."""
    for _ in times:
        kind(DATA)


WORKLOADS = {"founding": founding, "construct": construct}


def named(name):
    """The callable that makes such a buffer of bytes."""
    if name == "io.BytesIO":
        return io.BytesIO
    from cStringIO import StringIO  # of a string it makes a StringI

    return StringIO


def shares(kind):
    """Whether a buffer holds on to the very bytes that it was made of, by how often they are referred to."""
    before = sys.getrefcount(DATA)
    buffer = kind(DATA)
    return sys.getrefcount(DATA) > before and buffer is not None


def main(name):
    kind = named(name)
    options = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", " ").split()
    print(json.dumps({
        "version": platform.python_version(), "compiler": platform.python_compiler(), "kind": name,
        "options": sorted({word.split("=")[0] for word in options if word.startswith(("--enable-", "--with-"))}),
        "lines": len(list(kind(DATA))), "shares": shares(kind),
    }))
    sys.stdout.flush()
    gc.disable()
    for request in iter(sys.stdin.readline, ""):
        workload, calls = request.split()
        times = itertools.repeat(None, int(calls))
        start = default_timer()
        WORKLOADS[workload](kind, times)
        taken = default_timer() - start
        print("%.9f" % taken)
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
