"""What leaves a buffer: `getvalue()` and `read()` of the whole can share, everything else copies.

Where a class says nothing else, a timed call runs its body `sizes.BATCH[size]` times: 256 up to 64 KiB, 16 for
1 MiB, 1 for 16 MiB.
"""

from io import SEEK_END, BytesIO

from .sizes import SIZES, batch, blob, copies

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

CHUNK = 8 * 1024
"""What a reading loop asks for at a time."""

PROTOCOL = 4
"""The default of most supported interpreters, and known to all: the same work for every one of them."""


class AfterConstruct:
    """`BytesIO(data).getvalue()`."""

    params = ("0B", "64B", "4KiB", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_getvalue(self, size: str) -> int:
        """Shared: the very object that went in comes out, in constant time. Copied: once in, once out."""
        for data in self.copies:
            value = BytesIO(data).getvalue()
        return len(value)


class Repeated:
    """`getvalue()` again and again on one buffer that nobody writes to."""

    params = ("64B", "4KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.buffer = BytesIO()
        self.buffer.write(blob(size))
        self.batch = batch(size)

    def time_getvalue(self, size: str) -> int:
        """Shared: one object for all callers, in constant time. Copied: anew for each."""
        buffer = self.buffer
        for _ in self.batch:
            value = buffer.getvalue()
        return len(value)


class AfterWrites:
    """A buffer filled by four writes, then `getvalue()`."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.quarter = b"x" * (SIZES[size] // 4)
        self.batch = batch(size)

    def time_getvalue(self, size: str) -> int:
        """Shared: the buffer is cut to its length and given away. Copied: the finished data once more."""
        quarter = self.quarter
        for _ in self.batch:
            buffer = BytesIO()
            write = buffer.write
            write(quarter)
            write(quarter)
            write(quarter)
            write(quarter)
            value = buffer.getvalue()
        return len(value)


class AfterPartialOverwrite:
    """Construction, 16 bytes overwritten in the middle, `getvalue()`."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)
        self.middle = SIZES[size] // 2

    def time_getvalue(self, size: str) -> int:
        """With copy-on-write one copy, made by the write; without it two, on the way in and on the way out."""
        middle = self.middle
        for data in self.copies:
            buffer = BytesIO(data)
            buffer.seek(middle)
            buffer.write(b"sixteen bytes ok")
            value = buffer.getvalue()
        return len(value)


class GetBuffer:
    """`BytesIO(data).getbuffer()`: a writable view of the buffer."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_getbuffer(self, size: str) -> int:
        """A writable view ends the sharing: the copy saved at construction falls due. One copy either way."""
        for data in self.copies:
            view = BytesIO(data).getbuffer()
        return len(view)


class ReadWhole:
    """`seek(0)` and `read()` on a buffer that nobody writes to."""

    params = ("64B", "4KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.buffer = BytesIO(blob(size))
        self.batch = batch(size)

    def time_read(self, size: str) -> int:
        """A read of the whole buffer is shared: constant time. Copied: grows with the size."""
        buffer = self.buffer
        for _ in self.batch:
            buffer.seek(0)
            result = buffer.read()
        return len(result)


class ReadChunks:
    """`seek(0)`, and the buffer read to its end 8 KiB at a time."""

    params = ("64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.buffer = BytesIO(blob(size))
        self.batch = batch(size)

    def time_read(self, size: str) -> int:
        """A part of the buffer is copied with and without copy-on-write: no difference expected."""
        buffer = self.buffer
        read = buffer.read
        for _ in self.batch:
            buffer.seek(0)
            while read(CHUNK):
                pass
        return buffer.tell()


class ReadInto:
    """`readinto()` the caller's own memory."""

    params = ("4KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.buffer = BytesIO(blob(size))
        self.target = bytearray(blob(size))
        self.batch = batch(size)

    def time_readinto(self, size: str) -> int:
        """One copy by contract, with and without copy-on-write: no difference expected."""
        buffer, target = self.buffer, self.target
        for _ in self.batch:
            buffer.seek(0)
            count = buffer.readinto(target)
        return count


class Pickling:
    """A buffer to and from a pickle, and copied by `copy.copy`."""

    params = ("4KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        # Here because they cost more than all the rest of a process that does not need them.
        import copy
        import pickle

        self.copy, self.dumps, self.loads = copy.copy, pickle.dumps, pickle.loads
        self.buffer = BytesIO(blob(size))
        self.pickled = pickle.dumps(self.buffer, PROTOCOL)
        self.batch = batch(size)

    def time_dumps(self, size: str) -> int:
        """The state is a `getvalue()`, so one copy fewer: the copy into the pickle is left."""
        dumps, buffer = self.dumps, self.buffer
        for _ in self.batch:
            pickled = dumps(buffer, PROTOCOL)
        return len(pickled)

    def time_loads(self, size: str) -> int:
        """The state is set by a write, which copies with and without copy-on-write: no difference expected."""
        loads, pickled = self.loads, self.pickled
        for _ in self.batch:
            buffer: BytesIO = loads(pickled)
        return buffer.seek(0, SEEK_END)

    def time_copy(self, size: str) -> int:
        """Taking the state is shared, setting it copies: one copy with copy-on-write, two without."""
        copy, buffer = self.copy, self.buffer
        for _ in self.batch:
            twin = copy(buffer)
        return twin.seek(0, SEEK_END)
