"""Construction: the first of the three places in which a buffer can share its data.

Each timed call constructs `sizes.BATCH[size]` buffers: 256 up to 64 KiB, 16 of 1 MiB, 1 of 16 MiB.
"""

from io import BytesIO

from .sizes import batch, blob


class FromBytes:
    """`BytesIO(data)` with exact `bytes`."""

    params = ("0B", "64B", "4KiB", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = blob(size)
        self.batch = batch(size)

    def time_construct(self, size: str) -> None:
        """Shared: constant time at any size. Copied: grows with the size."""
        data = self.data
        for _ in self.batch:
            BytesIO(data)


class Subclass(bytes):
    """`bytes` in all but type."""


class FromBytesSubclass:
    """`BytesIO(data)` with an instance of a subclass of `bytes`."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = Subclass(blob(size))
        self.batch = batch(size)

    def time_construct(self, size: str) -> None:
        """Copied with and without copy-on-write, which shares exact `bytes` only: no difference expected."""
        data = self.data
        for _ in self.batch:
            BytesIO(data)


class FromBytearray:
    """`BytesIO(data)` with a `bytearray`."""

    params = ("64B", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = bytearray(blob(size))
        self.batch = batch(size)

    def time_construct(self, size: str) -> None:
        """Mutable data must be copied by any implementation: no difference expected."""
        data = self.data
        for _ in self.batch:
            BytesIO(data)


class FromMemoryview:
    """`BytesIO(data)` with a `memoryview` of `bytes`."""

    params = ("64B", "64KiB", "1MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = memoryview(blob(size))
        self.batch = batch(size)

    def time_construct(self, size: str) -> None:
        """Copied although the `bytes` behind the view never change: no difference expected."""
        data = self.data
        for _ in self.batch:
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
        self.data = blob(size)
        self.buffer = BytesIO(self.data)
        self.batch = batch(size)

    def time_init(self, size: str) -> None:
        """Shared: constant time. Copied: into memory that the buffer has already, so a copy without an allocation."""
        data, buffer = self.data, self.buffer
        for _ in self.batch:
            buffer.__init__(data)  # type: ignore[misc]  # unsound for a subclass, which this is not


class ConstructAndRead:
    """`BytesIO(data).read()`: a buffer that is read once, whole, and dropped."""

    params = ("64B", "4KiB", "64KiB", "1MiB", "16MiB")
    param_names = ("size",)
    version = "1"

    def setup(self, size: str) -> None:
        self.data = blob(size)
        self.batch = batch(size)

    def time_construct_and_read(self, size: str) -> int:
        """Shared: both ends give out the same object. Copied: once in, once out."""
        data = self.data
        for _ in self.batch:
            result = BytesIO(data).read()
        return len(result)
