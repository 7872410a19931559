"""Streams from views that were made just now, as a parser makes them of what it has received.

A view keeps its hash. One that is used again and again, as in the suite `bytesio`, is hashed once, before it is timed.
"""

from io import BytesIO

lockstep_setup = "once"
BATCH = {"64B": 256, "64KiB": 64, "1MiB": 8}
SIZES = {"64B": 64, "64KiB": 1 << 16, "1MiB": 1 << 20}


class FreshView:
    """`BytesIO(memoryview(data))` with `bytes`, the view made anew for each stream."""

    params = tuple(SIZES)
    param_names = ("size",)
    version = "1"

    def setup(self, size):
        self.data, self.batch = b"x" * SIZES[size], range(BATCH[size])

    def time_whole(self, size):
        """The whole of it."""
        data = self.data
        for _ in self.batch:
            BytesIO(memoryview(data))

    def time_part(self, size):
        """All but its first byte."""
        data = self.data
        for _ in self.batch:
            BytesIO(memoryview(data)[1:])
