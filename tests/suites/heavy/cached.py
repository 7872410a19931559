"""What is made once for all: by a class, by a module, as a value and as a file."""

import json
import os

from .common import KINDS, table

PATH = "rows.json"


def setup_cache():
    """Leaves a file where the benchmarks begin, and returns nothing: they get no argument."""
    with open(PATH, "w") as stream:
        json.dump(table("int", 2000), stream)


setup_cache.timeout = 120


def time_read():
    with open(PATH) as stream:
        json.load(stream)


def track_bytes():
    return os.path.getsize(PATH)


track_bytes.unit = "bytes"


class Lookup:
    params = [list(KINDS), [1, 10]]
    param_names = ["kind", "times"]
    timeout = 120

    def setup_cache(self):
        return {kind: table(kind, 1000) for kind in KINDS}

    setup_cache.timeout = 240

    def setup(self, cache, kind, times):
        self.wanted = cache[kind][-1]

    def time_index(self, cache, kind, times):
        for _ in range(times):
            cache[kind].index(self.wanted)

    def track_length(self, cache, kind, times):
        return len(cache[kind])
