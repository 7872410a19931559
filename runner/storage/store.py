"""The run folder: `manifest.json`, `blocks.jsonl`, `layouts.jsonl` (scope ``source`` only), `report.json`.

Format history
--------------
lockstep.run/1  The manifest is `Manifest`; a line of blocks.jsonl is a `Block`, in measured order, integers in
                nanoseconds. A calibration is a block with index -1. A torn last line is ignored on reading and
                cut off before the next line is written.
lockstep.run/2  Blocks have `layout`, `canary` and `extensions`, the manifest has `labels`, `repeats`,
                `copies` and `calibration`; a run of version 1 is read as one that has none of them, and its schedule
                has no canary.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.model import Arm, Benchmark, Block, Difference, Interpreter, Notice

SCHEMA = "lockstep.run/2"
OLD = ("lockstep.run/1",)
"""Versions that can still be read."""
MANIFEST, BLOCKS, LAYOUTS, REPORT = "manifest.json", "blocks.jsonl", "layouts.jsonl", "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A benchmark that only one arm has."""

    benchmark: Benchmark
    present: Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All that was asked and found before the first block; written once, never changed."""

    schema: str = SCHEMA
    id: str
    """Also the folder's name: UTC time and six random digits."""
    created: float
    """Seconds since the epoch."""
    command: str
    """A command line that repeats this run, the seed included."""
    base: Interpreter
    head: Interpreter
    differences: tuple[Difference, ...]
    suite: str
    """The suite's folder, absolute."""
    benchmarks: tuple[Benchmark, ...]
    missing: tuple[Missing, ...]
    scope: str
    margin: float
    """As a fraction: 0.01 is 1 %."""
    budget: float | None
    """Seconds of measuring, None: until every benchmark is settled."""
    seed: int
    memory_limit: int
    """Bytes of address space that a worker may take."""
    settings: Mapping[str, str]
    """Settings forced by hand: ``{"mode": "turns"}``; empty for what calibration chooses."""
    worker_cpu: int | None
    machine: Mapping[str, str | int | float | bool | None]
    versions: Mapping[str, str]
    """Lockstep, Python, numpy and so on: the program that measured."""
    notices: tuple[Notice, ...]
    repeats: int = 1
    """Blocks of a benchmark that share one layout; scope ``source`` only."""
    blocks: int | None = None
    """Blocks of every benchmark, where that was asked for; None: as many as it takes to settle it."""
    copies: bool = False
    """Byte copies of both interpreters were run, new ones in every round; scope ``binary`` only."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a run that is part of a larger measurement is there for; empty for one that a user asked for."""
    calibration: Mapping[str, int | float | str] | None = None
    """What `lockstep calibrate` had found on this machine when the run began."""
    suite_files: Mapping[str, str] = field(default_factory=dict)
    """Hash of the content of each of the suite's files, by its path below `suite`; empty: not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run folder as it was read."""

    folder: Path
    manifest: Manifest
    blocks: Sequence[Block]
    """Measured order, calibrations (index -1) and failed blocks included. A tuple, or `Lines` where it was read lazily:
    then a line that is not a block raises UsageError when it is asked for."""
    torn: bool
    """The last line was torn off in mid-write and is not among the blocks."""

    def places(self) -> dict[str, Sequence[int]]:
        """Where the blocks of each benchmark are in `blocks`, by key, ascending; the canary's under its benchmark."""
        if isinstance(self.blocks, Lines):
            return self.blocks.places
        found: dict[str, list[int]] = {}
        for place, block in enumerate(self.blocks):
            found.setdefault(block.benchmark, []).append(place)
        return dict(found)

    def by_benchmark(self) -> dict[str, list[Block]]:
        """All blocks of each of the run's benchmarks, by key, in measured order; the canary's are nobody's."""
        found: dict[str, list[Block]] = {benchmark.key: [] for benchmark in self.manifest.benchmarks}
        for block in self.blocks:
            if not block.canary:
                found.setdefault(block.benchmark, []).append(block)
        return found


class Lines(Sequence[Block]):
    """The blocks of a file, each read and checked when it is asked for, every time: they are many, and large.

    Raises UsageError, here or later, for a line that is not a block, and OSError. A torn last line is left out.
    """

    _KEY = re.compile(rb'\{"benchmark":("(?:[^"\\]|\\.)*")')

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = array("q", [0])
        self.torn = False
        by_key: dict[bytes, array[int]] = {}
        with path.open("rb", buffering=1 << 20) as file:
            for place, line in enumerate(file):
                if not line.endswith(b"\n"):
                    self.torn = True
                    break
                # As we write it; whoever has rewritten the lines may have put another field first.
                found = self._KEY.match(line)
                key = found[1] if found else _dumped(self._block(place, line).benchmark)
                by_key.setdefault(key, array("q")).append(place)
                self._ends.append(self._ends[-1] + len(line))
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self.places: dict[str, Sequence[int]] = {json.loads(key): places for key, places in by_key.items()}

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> Block: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Block, ...]: ...

    def __getitem__(self, place: int | slice) -> Block | tuple[Block, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        place = range(len(self))[place]
        begin, end = self._ends[place], self._ends[place + 1]
        return self._block(place, os.pread(self._descriptor, end - begin, begin))

    def _block(self, place: int, line: bytes) -> Block:
        try:
            return _block.validate_json(line)
        except ValidationError as error:
            raise UsageError(f"{self._path}:{place + 1} is not a block: {_first(error)}. "
                             "Remove the line to read the others.") from error


def _dumped(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


_manifest = TypeAdapter(Manifest)
_block = TypeAdapter(Block)


def new_id(now: float) -> str:
    """A run's id: UTC time, then six random hexadecimal digits."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)) + "-" + secrets.token_hex(3)


def create(root: Path, manifest: Manifest) -> Path:
    """Make the run's folder under `root` with its manifest and no blocks; return the folder."""
    folder = root / manifest.id
    with _disk(folder):
        folder.mkdir(parents=True)
        write_whole(folder / MANIFEST, _manifest.dump_json(manifest, indent=1).decode() + "\n")
        (folder / BLOCKS).touch()
    return folder


@contextmanager
def appending(folder: Path) -> Iterator[Callable[[Block], None]]:
    """Give a function that makes a block durable: when it returns, the line is on disk.

    Holds a lock on the file, so that a run is never continued twice at once. Raises MachineError when
    another process holds it, and when the disk is full; then the file ends with the last whole line.
    """
    path = folder / BLOCKS
    with _disk(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MachineError(f"{folder} is being measured by another process; wait for it to end.") from error
        end = _whole_lines_end(path)

        def append(block: Block) -> None:
            nonlocal end
            line = _block.dump_json(block) + b"\n"
            with _disk(path):
                try:
                    os.ftruncate(descriptor, end)
                    written = 0
                    while written < len(line):  # a disk that fills up takes a part first; the rest says why not
                        written += os.pwrite(descriptor, line[written:], end + written)
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, end)
                    raise
            end += len(line)

        yield append
    finally:
        os.close(descriptor)


def add_layout(folder: Path, seed: int, addresses: Mapping[Arm, Mapping[str, int]]) -> None:
    """Put on record where the hot functions of both arms were in a layout: the proof that it was another one."""
    line = {"layout": seed, **{arm.value: dict(places) for arm, places in addresses.items()}}
    with _disk(folder / LAYOUTS), (folder / LAYOUTS).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def read(folder: Path, *, lazily: bool = False) -> Run:
    """Read a run folder; `lazily`: its blocks when they are asked for, since all at once may not fit into memory.

    Raises UsageError when it is not one, is of a newer version, or holds a line that is not a block; a
    torn last line is not an error.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        lines = Lines(folder / BLOCKS)
    except OSError as error:
        raise UsageError(f"{folder} is not a run folder: {error.strerror}: {error.filename}") from error
    schema = _schema(text)
    if schema not in (SCHEMA, *OLD):
        raise UsageError(f"{folder / MANIFEST} is of version {schema!r}; this Lockstep reads {SCHEMA!r}. "
                         "Use the Lockstep that made it.")
    try:
        manifest = _manifest.validate_json(text)
    except ValidationError as error:
        raise UsageError(f"{folder / MANIFEST} cannot be read: {_first(error)}") from error
    return Run(folder=folder, manifest=manifest, blocks=lines if lazily else tuple(lines), torn=lines.torn)


def find(root: Path, name: str) -> Path:
    """The run folder that a person means: a path, an id, the beginning of an id, or ``last``."""
    path = Path(name)
    if (path / MANIFEST).is_file():
        return path
    runs = sorted(folder.parent for folder in root.glob(f"*/{MANIFEST}"))
    matches = runs[-1:] if name == "last" else [run for run in runs if run.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name!r} is the beginning of {len(matches)} runs under {root}: "
                         f"{', '.join(run.name for run in matches[:5])} …; type more of it.")
    known = ", ".join(run.name for run in runs[-3:]) or "none yet"
    raise UsageError(f"there is no run {name!r} under {root}; the newest are: {known}.")


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that no reader ever sees half of it.

    Raises MachineError when the disk is full or the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # a pid is not one's own in every container
    with _disk(path):
        try:
            with beside.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(f"cannot write {path}: {error.strerror or error}. What was measured before is safe; "
                           "free some space (or mend the cause) and go on with `lockstep resume`.") from error


def _whole_lines_end(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _schema(text: bytes) -> str:
    try:
        found = json.loads(text)
        return str(found.get("schema")) if isinstance(found, dict) else "none"
    except ValueError:
        return "none (not JSON)"


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
