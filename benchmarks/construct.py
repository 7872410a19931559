"""Construction: the first of the three places in which a buffer can share its data.

Each timed call constructs `sizes.BATCH[size]` buffers: 256 up to 64 KiB, 16 of 1 MiB, 1 of 16 MiB.
"""

from io import BytesIO

from .sizes import batch, copies

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""


class FromBytes:
    """`BytesIO(data)` with exact `bytes`."""

    params = ("0B", "64B", "4KiB", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_construct(self, size: str) -> None:
        """Shared: constant time at any size. Copied: grows with the size."""
        for data in self.copies:
            BytesIO(data)


class Subclass(bytes):
    """`bytes` in all but type."""


class FromBytesSubclass:
    """`BytesIO(data)` with an instance of a subclass of `bytes`."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size, Subclass)

    def time_construct(self, size: str) -> None:
        """Copied with and without copy-on-write, which shares exact `bytes` only: no difference expected."""
        for data in self.copies:
            BytesIO(data)


class FromBytearray:
    """`BytesIO(data)` with a `bytearray`."""

    params = ("64B", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size, bytearray)

    def time_construct(self, size: str) -> None:
        """Mutable data must be copied by any implementation: no difference expected."""
        for data in self.copies:
            BytesIO(data)


class FromMemoryview:
    """`BytesIO(data)` with a `memoryview` of `bytes`."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size, memoryview)

    def time_construct(self, size: str) -> None:
        """Copied although the `bytes` behind the view never change: no difference expected."""
        for data in self.copies:
            BytesIO(data)


class Empty:
    """`BytesIO()`, 256 times in a timed call."""

    version = "1"
    batch = batch("0B")

    def time_construct(self) -> None:
        """Nothing to share or to copy: shows what the bookkeeping costs."""
        for _ in self.batch:
            BytesIO()


class ReInit:
    """`buffer.__init__(data)` on a buffer that exists, with exact `bytes`."""

    params = ("64B", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)
        self.buffer = BytesIO()

    def time_init(self, size: str) -> None:
        """Shared: constant time. Copied: into memory that the buffer has already, so a copy without an allocation."""
        buffer = self.buffer
        for data in self.copies:
            buffer.__init__(data)  # type: ignore[misc]  # unsound for a subclass, which this is not


class ConstructAndRead:
    """`BytesIO(data).read()`: a buffer that is read once, whole, and dropped."""

    params = ("64B", "4KiB", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.copies = copies(size)

    def time_construct_and_read(self, size: str) -> int:
        """Shared: both ends give out the same object. Copied: once in, once out."""
        for data in self.copies:
            result = BytesIO(data).read()
        return len(result)
