"""A parcel: a run folder as one file, to be sent; and how it becomes a run folder again, whoever has sent it.

Format history
--------------
lockstep.parcel/1  A tar archive of regular files, gzipped as one member. In this order: `manifest.json`; `blocks.jsonl`
                   (its whole lines), or `statistics.json` where the blocks are gone; `layouts.jsonl` and
                   `explanation.json` where the run has them. No dates, owners or folders. Reports are left out: they
                   are made from what is there.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from runner.errors import MachineError, UsageError
from runner.storage import explanations, foreign, store
from runner.storage.foreign import ParcelError as ParcelError
from runner.storage.store import Manifest, Run

MEDIA = "application/vnd.lockstep.run+gzip"
"""The type of a parcel where it is sent."""
FILES = (store.MANIFEST, store.BLOCKS, store.STATISTICS, store.LAYOUTS, explanations.FILE)
"""All that a parcel may hold, in order."""
LINES = (store.BLOCKS, store.LAYOUTS)
"""Those that are lines, and only ever grow."""
STEP = 1 << 20
SLACK = 1 << 20
"""Bytes that may come out before the ratio is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a parcel."""

    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a parcel of a run holds."""

    parts: Mapping[str, Part]
    """By name, in the order of `FILES`."""

    @property
    def digest(self) -> str:
        """Tells contents apart, however they were packed: sha256 of a line ``NAME SIZE SHA256`` for each file."""
        lines = "".join(f"{name} {part.size} {part.sha256}\n" for name, part in self.parts.items())
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A parcel that was written."""

    digest: str
    """`Contents.digest`."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """A parcel that has become a run folder."""

    folder: Path
    """Its name is the run's id."""
    contents: Contents
    manifest: Manifest
    run: Run | None
    """As in `foreign.Checked`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken of a parcel, in bytes."""

    packed: int = 256 << 20
    unpacked: int = 2 << 30
    ratio: int = 200
    """Bytes that may come out for each that goes in. Blocks come to 4 to 10."""
    document: int = 64 << 20
    """Of a file that is read in one piece: all but lines."""
    line: int = 4 << 20
    latest: float = math.inf
    """Seconds since the epoch: nothing in it was measured later."""


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def pack(folder: Path, stream: BinaryIO) -> Packed:
    """Write a run folder as a parcel. Equal contents give equal bytes, as far as zlib is the same.

    A run may be measured meanwhile: the parcel has the blocks that were there at the beginning. Raises UsageError for
    what is no run folder, and OSError as `stream` does.
    """
    counted = _Counted(stream)
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=counted, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        def put(name: str, size: int, file: _Hashed) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, file)

        found = _each(folder, put)
    return Packed(digest=found.digest, size=counted.size)


def contents(folder: Path) -> Contents:
    """What a parcel of a run folder would hold. Raises UsageError for what is no run folder."""
    def drain(name: str, size: int, file: _Hashed) -> None:
        while file.read(STEP):
            pass

    return _each(folder, drain)


def starts_as(folder: Path, name: str, part: Part) -> bool:
    """Whether a file of a run folder begins with what `part` was. Raises OSError where it cannot be read."""
    with (folder / name).open("rb") as file:
        beginning = _Hashed(file, part.size)
        while beginning.read(STEP):
            pass
    return beginning.sha.hexdigest() == part.sha256


def unpack(stream: _Readable, beside: Path, limits: Limits | None = None) -> Unpacked:
    """Make a run folder of a parcel, in the folder `beside`, and return it with what was read of it.

    It holds the parcel's files and no others, each read and checked from the first line to the last, and is on disk.
    Raises ParcelError for whatever is no parcel or too much of one, OSError where the disk fails; then nothing is left.
    """
    limits = limits or Limits()
    folder = beside / "unpacked"
    folder.mkdir()
    try:
        parts = _take(_Inflated(stream, limits), folder, limits)
        store.sync(folder)
        found = foreign.check(folder, limits.latest)
        whole = beside / found.manifest.id
        folder.rename(whole)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Unpacked(
        folder=whole, contents=Contents(parts=parts), manifest=found.manifest,
        run=None if found.run is None else replace(found.run, folder=whole))


def _each(folder: Path, visit: Callable[[str, int, _Hashed], None]) -> Contents:
    """Have each file read to its end, by name, size and content; what was read."""
    store.read_manifest(folder)  # raises for what is no run
    parts = {}
    with ExitStack() as stack:
        opened: list[tuple[str, BinaryIO]] = []
        for name in FILES:
            if name == store.STATISTICS and any(known == store.BLOCKS for known, _ in opened):
                continue
            try:
                opened.append((name, stack.enter_context((folder / name).open("rb"))))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MachineError(f"cannot read {folder / name}: {error.strerror or error}.") from error
        if not any(name in (store.BLOCKS, store.STATISTICS) for name, _ in opened):
            raise UsageError(f"{folder} has neither {store.BLOCKS} nor {store.STATISTICS}: there is nothing to send.")
        for name, file in opened:
            size = _whole_lines(file) if name in LINES else os.fstat(file.fileno()).st_size
            hashed = _Hashed(file, size)
            visit(name, size, hashed)
            parts[name] = Part(size=size, sha256=hashed.sha.hexdigest())
    return Contents(parts=parts)


def _whole_lines(file: BinaryIO) -> int:
    """Where the last whole line of a file ends, in bytes; the file is at its beginning afterwards."""
    end, found = file.seek(0, os.SEEK_END), 0
    while end and not found:
        begin = max(0, end - STEP)
        file.seek(begin)
        found = begin + place + 1 if (place := file.read(end - begin).rfind(b"\n")) >= 0 else 0
        end = begin
    file.seek(0)
    return found


class _Hashed:
    """The first `size` bytes of a file, hashed as they are read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size
        self.sha = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        found = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(found)
        self.sha.update(found)
        return found


class _Counted:
    """A stream that is written to, and how many bytes were."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


class _Inflated:
    """What is in one gzip member, as far as the limits allow, and nothing behind it."""

    def __init__(self, stream: _Readable, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._engine = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._taken = self._given = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end of the member, of which the checksum is right."""
        pieces, left = [], size
        while left and (piece := self._piece(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _piece(self, most: int) -> bytes:
        """Some bytes, at most so many; none at the end."""
        engine = self._engine
        while not engine.eof:
            # It may hold bytes back when all input is taken; so it is asked once before more is fed.
            found = self._inflate(engine.unconsumed_tail, most)
            if not found and not engine.eof and not engine.unconsumed_tail:
                found = self._inflate(self._more(), most)
            if found:
                self._given += len(found)
                if self._given > self._limits.unpacked:
                    raise ParcelError("too-large", f"the parcel unpacks to more than {_size(self._limits.unpacked)}.")
                if self._given > SLACK + self._limits.ratio * self._taken:
                    raise ParcelError("bomb", f"the parcel unpacks to more than {self._limits.ratio} times its size; "
                                      "a run never does.")
                return found
        if engine.unused_data or self._stream.read(1):
            raise ParcelError("damaged", "something follows the end of the parcel.")
        return b""

    def _inflate(self, data: bytes, most: int) -> bytes:
        try:
            return self._engine.decompress(data, most)
        except zlib.error as error:
            raise ParcelError("damaged", f"this is no parcel, or a damaged one: its gzip cannot be read ({error}). "
                              "Pack and send it again.") from error

    def _more(self) -> bytes:
        data = self._stream.read(1 << 16)
        if not data:
            raise ParcelError("truncated", "the parcel ends too early. Send it again.")
        self._taken += len(data)
        if self._taken > self._limits.packed:
            raise ParcelError("too-large", f"the parcel is larger than {_size(self._limits.packed)}.")
        return data


def _take(source: _Inflated, folder: Path, limits: Limits) -> dict[str, Part]:
    """Write the files of an archive into a folder; what they are."""
    # Not by tarfile, which reads headers of any size into memory, and follows more than one convention for names.
    taken: dict[str, Part] = {}
    while (header := source.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        name, size = _member(header, list(taken), limits)
        taken[name] = Part(size=size, sha256=_write(source, folder / name, size, limits))
        source.read(-size % tarfile.BLOCKSIZE)
    while rest := source.read(STEP):
        if rest.strip(b"\0"):
            raise ParcelError("damaged", "something follows the end of the archive in the parcel.")
    if not taken or (store.BLOCKS in taken) == (store.STATISTICS in taken):
        raise ParcelError("member", f"a parcel holds {store.MANIFEST} and either {store.BLOCKS} or {store.STATISTICS}; "
                          f"this one holds {', '.join(taken) or 'nothing'}.")
    return taken


def _member(header: bytes, taken: list[str], limits: Limits) -> tuple[str, int]:
    """Name and size of the file that a header announces."""
    if len(header) < tarfile.BLOCKSIZE:
        raise ParcelError("truncated", "the archive in the parcel ends too early.")
    try:
        entry = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise ParcelError("damaged", f"the archive in the parcel cannot be read: {error}.") from error
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise ParcelError("member", f"the parcel holds {entry.name[:80]!r}, which is no regular file.")
    if entry.name not in FILES:
        raise ParcelError("member", f"the parcel holds {entry.name[:80]!r}; its files are {', '.join(FILES)}.")
    before = FILES.index(taken[-1]) if taken else -1
    if FILES.index(entry.name) <= before or (not taken and entry.name != store.MANIFEST):
        raise ParcelError("member", f"{entry.name} is not in its place: the order is {', '.join(FILES)}, each once.")
    most = limits.unpacked if entry.name in LINES else limits.document
    if not 0 <= entry.size <= most:
        raise ParcelError("too-large", f"{entry.name} is larger than {_size(most)}.")
    return entry.name, entry.size


def _write(source: _Inflated, path: Path, size: int, limits: Limits) -> str:
    """Write one file, and see that its lines, where it has some, are whole and of a length that can be read; its
    sha256."""
    left, length, by_line, sha = size, 0, path.name in LINES, hashlib.sha256()
    step = min(STEP, limits.line)
    with path.open("xb") as file:
        while left:
            chunk = source.read(min(left, step))
            if not chunk:
                raise ParcelError("truncated", f"{path.name} ends too early.")
            first = chunk.find(b"\n")
            if by_line and length + (len(chunk) if first < 0 else first) > limits.line:
                raise ParcelError("too-large", f"{path.name} has a line of more than {_size(limits.line)}.")
            length = length + len(chunk) if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1
            file.write(chunk)
            sha.update(chunk)
            left -= len(chunk)
        file.flush()
        os.fsync(file.fileno())
    if by_line and length:
        raise ParcelError("content", f"{path.name} ends in the middle of a line.")
    return sha.hexdigest()


def _size(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB" if size >= 1 << 20 else f"{size:,} bytes"
