"""Archives in memory: sixteen files of text, written into a buffer and read from one."""

from io import BytesIO

from .data import needed, text

lockstep_setup = "once"
"""No call changes what `setup` has made, so it need not be made again before each (docs/benchmarks.md)."""

MEMBERS = 16


class _Archive:
    """What the kinds of archive have in common; `size` is that of all files together."""

    param_names = ("size",)
    version = "1"
    library = ""

    def setup(self, size: str) -> None:
        self.module = needed(self.library)
        whole = text(size)
        length = len(whole) // MEMBERS
        self.members = [
            ("folder/%02d.txt" % number, whole[number * length:(number + 1) * length]) for number in range(MEMBERS)
        ]
        self.archive = self.written()

    def written(self) -> bytes:
        """Return the archive of all members."""
        raise NotImplementedError


class _Zip(_Archive):
    library = "zipfile"
    method = "ZIP_STORED"

    def setup(self, size: str) -> None:
        if self.method == "ZIP_DEFLATED":
            needed("zlib")
        super().setup(size)

    def written(self) -> bytes:
        buffer = BytesIO()
        module, method = self.module, getattr(self.module, self.method)
        with module.ZipFile(buffer, "w") as archive:
            for name, data in self.members:
                # Made anew, for writing notes in it where the member lies; its date is always the same.
                archive.writestr(module.ZipInfo(name), data, compress_type=method)
        return buffer.getvalue()

    def read(self) -> int:
        with self.module.ZipFile(BytesIO(self.archive)) as archive:
            return sum([len(archive.read(name)) for name in archive.namelist()])


class ZipStored(_Zip):
    """A zip file whose members are not compressed."""

    params = ("64KiB", "1MiB")

    def time_write(self, size: str) -> int:
        """Many writes, some of them over what was written, and a `getvalue()` that is shared or copied."""
        return len(self.written())

    def time_read(self, size: str) -> int:
        """The archive is shared or copied at construction; its members are parts, copied either way."""
        return self.read()


class ZipDeflated(_Zip):
    """A zip file whose members are compressed."""

    params = ("64KiB",)
    method = "ZIP_DEFLATED"

    def time_write(self, size: str) -> bool:
        """Compression is nearly all of it: no difference expected."""
        return len(self.written()) > 0

    def time_read(self, size: str) -> int:
        """Decompression, and a checksum: no difference expected."""
        return self.read()


class Tar(_Archive):
    """A tar file that is not compressed."""

    params = ("64KiB", "1MiB")
    library = "tarfile"

    def written(self) -> bytes:
        buffer = BytesIO()
        module = self.module
        with module.open(fileobj=buffer, mode="w:") as archive:
            for name, data in self.members:
                member = module.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, BytesIO(data))
        return buffer.getvalue()

    def time_write(self, size: str) -> int:
        """Each member comes from a buffer of its own, of which it is read whole: shared, or copied twice."""
        return len(self.written())

    def time_read(self, size: str) -> int:
        """The archive is shared or copied at construction; its members are parts, copied either way."""
        with self.module.open(fileobj=BytesIO(self.archive), mode="r:") as archive:
            return sum([len(archive.extractfile(member).read()) for member in archive])
