"""Compressed files over a buffer, at settings that take a few milliseconds."""

from io import BytesIO
from typing import Any

from .data import needed, text

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""


class _Compressed:
    """What the three have in common."""

    params = ("64KiB",)
    param_names = ("size",)
    version = "1"
    library = ""

    def setup(self, size: str) -> None:
        self.module = needed(self.library)
        self.data = text(size)
        self.packed = self.written()

    def writer(self, buffer: BytesIO) -> Any:
        """Return a file that compresses into the buffer."""
        raise NotImplementedError

    def written(self) -> bytes:
        """Return the data compressed."""
        buffer = BytesIO()
        with self.writer(buffer) as stream:
            stream.write(self.data)
        return buffer.getvalue()

    def time_write(self, size: str) -> bool:
        """Compression is nearly all of it: no difference expected."""
        return len(self.written()) > 0

    def time_read(self, size: str) -> int:
        """Decompression, from a buffer that shares its data or copies it."""
        with self.module.open(BytesIO(self.packed)) as stream:
            return len(stream.read())

    def time_read_lines(self, size: str) -> int:
        """Line by line, through the buffered reader on top: no difference expected."""
        with self.module.open(BytesIO(self.packed)) as stream:
            return sum([1 for _ in stream])


class Gzip(_Compressed):
    """`gzip.GzipFile`."""

    library = "gzip"

    def writer(self, buffer: BytesIO) -> Any:
        return self.module.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0)


class Bz2(_Compressed):
    """`bz2.BZ2File`."""

    library = "bz2"

    def writer(self, buffer: BytesIO) -> Any:
        return self.module.BZ2File(buffer, "wb", compresslevel=1)


class Lzma(_Compressed):
    """`lzma.LZMAFile`."""

    library = "lzma"

    def writer(self, buffer: BytesIO) -> Any:
        return self.module.LZMAFile(buffer, "wb", preset=0)
