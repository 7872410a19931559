"""The copies themselves: how much memory each family needs.

`peakmem_` is the peak of the whole process, the interpreter and the 16 MiB of data included: a copy shows as 16 MiB
more. `track_` is the peak of the bytes that Python allocated during one operation, counted by `tracemalloc`: the same
to the digit in every process of one interpreter, and thus the proof that a copy was or was not made.
"""

from __future__ import annotations

import gc
from io import SEEK_END, BytesIO

from .sizes import blob, lines

TYPE_CHECKING = False
if TYPE_CHECKING:  # for type checkers, at no cost in the processes whose memory is measured
    from collections.abc import Callable
    from typing import Union

    Data = Union[bytes, bytearray, memoryview]


class Peak:
    """Peak memory of a process that does one operation of each family."""

    params = ("16MiB",)
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = lines(size)

    def peakmem_construct(self, size: str) -> int:
        """Shared: the data once. Copied: twice."""
        return len(BytesIO(self.data).read(1))

    def peakmem_readlines(self, size: str) -> int:
        """The lines, and the data: once when shared, twice when copied."""
        return len(list(BytesIO(self.data)))

    def peakmem_getvalue(self, size: str) -> int:
        """Shared: the data once. Copied: three times, since the buffer lives until its value is out."""
        buffer = BytesIO(self.data)
        return len(buffer.getvalue())

    def peakmem_write_after_share(self, size: str) -> int:
        """One copy, with and without copy-on-write: no difference expected."""
        return BytesIO(self.data).write(b"y")


class _Allocated:
    """Bytes allocated during one operation."""

    params = ("4KiB", "1MiB")
    param_names = ("size",)
    unit = "bytes"
    version = "1"

    def setup(self, size: str) -> None:
        try:
            # Here because it costs more than all the rest of a process that does not need it.
            import tracemalloc
        except ImportError:
            raise NotImplementedError("this interpreter has no tracemalloc") from None
        self.tracemalloc = tracemalloc
        self.data = blob(size)

    def peak(self, operation: Callable[[Data], object], data: Data) -> int:
        """Return the most bytes that were allocated at any time during ``operation(data)``."""
        # The first run fills free lists and caches, which would count once and never again.
        operation(data)
        gc.collect()
        # Only what is allocated from here on is counted, so there is nothing to subtract.
        self.tracemalloc.start()
        try:
            operation(data)
            return self.tracemalloc.get_traced_memory()[1]
        finally:
            self.tracemalloc.stop()


class AllocatedByConstruct(_Allocated):
    """Bytes allocated by construction."""

    def track_from_bytes(self, size: str) -> int:
        """Shared: the buffer object alone, the same at any size. Copied: the size more."""
        return self.peak(_construct, self.data)

    def track_from_bytearray(self, size: str) -> int:
        """The buffer object and the size, with and without copy-on-write."""
        return self.peak(_construct, bytearray(self.data))

    def track_from_memoryview(self, size: str) -> int:
        """As from `bytearray`, although the `bytes` behind the view never change."""
        return self.peak(_construct, memoryview(self.data))


class AllocatedByGetvalue(_Allocated):
    """Bytes allocated by `getvalue()`, construction included."""

    def track_after_construct(self, size: str) -> int:
        """Shared: the buffer object alone. Copied: twice the size more."""
        return self.peak(_construct_getvalue, self.data)

    def track_after_writes(self, size: str) -> int:
        """Shared: the data once. Copied: twice."""
        return self.peak(_write_getvalue, self.data)

    def track_read(self, size: str) -> int:
        """As after construction, for `read()` of the whole buffer."""
        return self.peak(_construct_read, self.data)


class AllocatedByWrite(_Allocated):
    """Bytes allocated by writing to shared data, construction included."""

    def track_overwrite(self, size: str) -> int:
        """One copy either way, by the write or by construction: what differs is a few bytes."""
        return self.peak(_overwrite, self.data)

    def track_append(self, size: str) -> int:
        """One copy either way; the write that ends the sharing adds an eighth, as room to grow."""
        return self.peak(_append, self.data)

    def track_after_getvalue(self, size: str) -> int:
        """The buffer and the value: two copies of what was written, either way."""
        return self.peak(_write_getvalue_write, self.data)


def _construct(data: Data) -> None:
    BytesIO(data)


def _construct_getvalue(data: Data) -> bytes:
    buffer = BytesIO(data)
    return buffer.getvalue()


def _construct_read(data: Data) -> bytes:
    buffer = BytesIO(data)
    return buffer.read()


def _write_getvalue(data: Data) -> bytes:
    buffer = BytesIO()
    buffer.write(data)
    return buffer.getvalue()


def _overwrite(data: Data) -> None:
    buffer = BytesIO(data)
    buffer.write(b"y")


def _append(data: Data) -> None:
    buffer = BytesIO(data)
    buffer.seek(0, SEEK_END)
    buffer.write(b"y")


def _write_getvalue_write(data: Data) -> bytes:
    buffer = BytesIO()
    buffer.write(data)
    value = buffer.getvalue()
    buffer.seek(0)
    buffer.write(b"y")
    return value
