"""Reading line by line: the workload of the founding issue and its relatives.

Every line is a `bytes` object of its own with or without copy-on-write; what can be saved is the copy at
construction, which is a smaller part of the whole the shorter the lines are. A timed call constructs its own
buffer, and reads it to the end.
"""

from io import BytesIO

from .sizes import LINE, SIZES, copies, lines

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

FOUNDING_DATA = LINE * (4 * 1024 * 1024 // len(LINE))
"""54 471 lines of 77 bytes: 4 MiB."""

LONG_LINE = b"x" * (SIZES["64KiB"] - 1) + b"\n"

READINGS = {"4KiB": range(16), "64KiB": range(1), "1MiB": range(1)}
"""A buffer of 4 KiB (53 lines) is read 16 times in a timed call."""


class Founding:
    """The benchmark that bpo-22003 was opened with."""

    version = "1"

    def time_list_of_lines(self) -> int:
        """The copy saved at construction, against the work of making 54 471 lines."""
        return len(list(BytesIO(FOUNDING_DATA)))


class Lines:
    """Lines of 77 bytes, by each of the three ways to read them."""

    params = ("4KiB", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = lines(size)
        self.readings = READINGS[size]

    def time_readlines(self, size: str) -> int:
        """The copy saved at construction, against `readlines()`."""
        for _ in self.readings:
            result = BytesIO(self.data).readlines()
        return len(result)

    def time_readline_loop(self, size: str) -> int:
        """The copy saved at construction, against one method call a line, in which it all but disappears."""
        for _ in self.readings:
            readline = BytesIO(self.data).readline
            count = 0
            while readline():
                count += 1
        return count

    def time_iterate(self, size: str) -> int:
        """The copy saved at construction, against a `for` loop over the buffer."""
        for _ in self.readings:
            count = 0
            for _line in BytesIO(self.data):
                count += 1
        return count


class LongLines:
    """Lines of 64 KiB."""

    params = ("1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = lines(size, LONG_LINE)

    def time_list_of_lines(self, size: str) -> int:
        """Little but copying: one copy of the data with copy-on-write (into lines), two without."""
        return len(list(BytesIO(self.data)))


class NoNewline:
    """Data without a newline: one line that is the whole buffer. A batch of `sizes.BATCH[size]` readings."""

    params = ("4KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_list_of_lines(self, size: str) -> int:
        """A line that is the whole buffer is shared like any whole read: the search for a newline is left."""
        for data in self.copies:
            result = list(BytesIO(data))
        return len(result)
