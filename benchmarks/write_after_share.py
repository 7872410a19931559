"""Writing to shared data: where the saved copy falls due. Copy-on-write must not cost more here than it saved.

Where a class says nothing else, a timed call runs its body `sizes.BATCH[size]` times: 256 up to 64 KiB, 16 for
1 MiB, 1 for 16 MiB. Every body constructs its own buffer, except in `AfterGetvalue`.
"""

from io import SEEK_END, BytesIO

from .sizes import LINE, SIZES, batch, blob, copies

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

GAP = 4096
"""How far past the end `SeekPastEnd` goes."""

SIXTEEN_LINES = [LINE] * 16

PIECE = b"x" * 64


class Append:
    """Construction, then one byte at the end."""

    params = ("64B", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_append(self, size: str) -> int:
        """With copy-on-write one copy, straight into the larger buffer; without it a copy, then a resize."""
        for data in self.copies:
            buffer = BytesIO(data)
            buffer.seek(0, SEEK_END)
            buffer.write(b"y")
        return buffer.tell()


class Overwrite:
    """Construction, then the first byte overwritten."""

    params = ("64B", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_overwrite(self, size: str) -> int:
        """One copy either way, later or sooner: the worst case for copy-on-write, no difference hoped for."""
        for data in self.copies:
            buffer = BytesIO(data)
            buffer.write(b"y")
        return buffer.tell()


class Truncate:
    """Construction, then `truncate` to a quarter."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)
        self.quarter = SIZES[size] // 4

    def time_truncate(self, size: str) -> int:
        """With copy-on-write only the quarter that stays is copied; without it the whole."""
        quarter = self.quarter
        for data in self.copies:
            buffer = BytesIO(data)
            result = buffer.truncate(quarter)
        return result


class Writelines:
    """Construction, then `writelines` of sixteen lines of 77 bytes at the end."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_writelines(self, size: str) -> int:
        """The first line pays for the copy; the fifteen after it find a buffer that is not shared."""
        for data in self.copies:
            buffer = BytesIO(data)
            buffer.seek(0, SEEK_END)
            buffer.writelines(SIXTEEN_LINES)
        return buffer.tell()


class SeekPastEnd:
    """Construction, then one byte written 4 KiB past the end."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)
        self.target = SIZES[size] + GAP

    def time_write(self, size: str) -> int:
        """The copy and the gap of zeros are made in one step with copy-on-write, one after the other without."""
        target = self.target
        for data in self.copies:
            buffer = BytesIO(data)
            buffer.seek(target)
            buffer.write(b"y")
        return buffer.tell()


class AfterGetvalue:
    """`getvalue()`, then the first byte overwritten while the value is still held; one buffer throughout."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.buffer = BytesIO()
        self.buffer.write(blob(size))
        self.batch = batch(size)

    def time_write(self, size: str) -> int:
        """One copy either way: by the write with copy-on-write, by `getvalue` without."""
        buffer = self.buffer
        for _ in self.batch:
            value = buffer.getvalue()
            buffer.seek(0)
            buffer.write(b"x")
        return len(value)


class ManySmallWrites:
    """A buffer filled 64 bytes at a time, then `getvalue()`; once in a timed call, 16 times for 4 KiB."""

    params = ("4KiB", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.writes = range(SIZES[size] // len(PIECE))
        self.fillings = range(16 if size == "4KiB" else 1)

    def time_getvalue(self, size: str) -> int:
        """Every write asks whether the buffer is shared: shows the price of asking, against the copy at the end."""
        for _ in self.fillings:
            buffer = BytesIO()
            write = buffer.write
            for _write in self.writes:
                write(PIECE)
            value = buffer.getvalue()
        return len(value)
