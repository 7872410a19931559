"""The run folder: `manifest.json`, `blocks.jsonl`, `layouts.jsonl` (scope ``source`` only), `report.json`.

Format history
--------------
lockstep.run/1  The manifest is `Manifest`; a line of blocks.jsonl is a `Block`, in measured order, integers in
                nanoseconds. A calibration is a block with index -1. A torn last line is ignored on reading and
                cut off before the next line is written.
lockstep.run/2  Blocks have `layout`, `canary` and `extensions`, the manifest has `labels`, `repeats`,
                `copies` and `calibration`; a run of version 1 is read as one that has none of them.
lockstep.run/3  Blocks have a `kind` (calibration, scored, canary), where a calibration had index -1 and the canary a
                flag; and `host`, `cpu` and `session`, which are empty in blocks of before. Runs of versions 1 and 2
                can be read; they cannot be gone on with, because their schedule was another.
                A manifest has `role`, `described` and `fleet` since later, without another version: in one of before
                nothing is known of the first two, and one machine has measured it.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.model import Arm, Benchmark, Block, BlockKind, Difference, Interpreter, Notice, Role

SCHEMA = "lockstep.run/3"
OLD = ("lockstep.run/1", "lockstep.run/2")
"""Versions that can still be read."""
MANIFEST, BLOCKS, LAYOUTS, REPORT = "manifest.json", "blocks.jsonl", "layouts.jsonl", "report.json"
STATISTICS = "statistics.json"
"""What a run has in the place of its blocks, where `lockstep gc` has removed those (`judging.statistics`)."""
LAST_DATE = 253_402_300_800.0
"""Seconds since the epoch at the end of the year 9999: later dates cannot be printed."""
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
"""What a run's id looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A benchmark that only one arm has."""

    benchmark: Benchmark
    present: Arm


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How a run was shared out among machines, each known by the name that its blocks have as `host`."""

    address: str
    """Of the scheduler."""
    hands: tuple[tuple[str, ...], ...]
    """Keys of the benchmarks of each hand, which is measured on one machine (`measuring.deal`)."""
    hosts: Mapping[str, Mapping[str, str | int | float | bool | None]]
    """What each machine is, as `Manifest.machine`; `pinned`: the CPU that it measures on, or None."""
    runs: tuple[str, ...]
    """Ids of the runs that were measured together, one for each replicate, in their order; this one among them."""
    request: Mapping[str, Any]
    """What was asked, as machines that go on with the run are asked again."""


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
    """Bytes in memory that a worker may use."""
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
    addresses: bool = False
    """Addresses of stack, heap and libraries were drawn for each block, the same for both arms."""
    copies: bool = False
    """Byte copies of both interpreters were run, new ones in every round; scope ``binary`` only."""
    values: str = "compare"
    """``compare``: a benchmark fails where what its calls return differs between the arms; ``ignore``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What a run that is part of a larger measurement is there for; empty for one that a user asked for."""
    role: Role | None = None
    """What it is for, where it is one of a watched project's runs; None for one that a user asked for."""
    calibration: Mapping[str, int | float | str] | None = None
    """What `lockstep calibrate` had found on this machine when the run began."""
    suite_files: Mapping[str, str] = field(default_factory=dict)
    """Hash of the content of each of the suite's files, by its path below `suite`; empty: not recorded."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that measured processes got from the environment of `lockstep ab`, by name, with a few digits of a hash
    of each value (`config.marks`): values may be secret. Empty: not recorded."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Variables that the user passed on by ``--env``, with their values."""
    described: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What each of its benchmarks was when it was measured, by name: its description (``doc``), its file and line
    (``place``) and its source (``code``); each may be empty. Empty as a whole: not recorded. Whoever shows a run has no
    need of its suite, and never imports it."""
    fleet: Fleet | None = None
    """None: one machine has measured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run folder as it was read."""

    folder: Path
    manifest: Manifest
    blocks: Sequence[Block]
    """Measured order, calibrations, the canary's and failed blocks included. A tuple, or `Lines` where it was read
    lazily: then a line that is not a block raises UsageError when it is asked for."""
    torn: bool
    """The last line was torn off in mid-write and is not among the blocks."""

    def places(self) -> dict[str, Sequence[int]]:
        """Where the blocks of each benchmark are in `blocks`, by key, ascending; the canary's under its benchmark."""
        if isinstance(self.blocks, Lines):
            return dict(self.blocks.places)
        found: dict[str, list[int]] = {}
        for place, block in enumerate(self.blocks):
            found.setdefault(block.benchmark, []).append(place)
        return dict(found)

    def standing(self, blocks: Mapping[int, Block]) -> dict[int, Block]:
        """The blocks of one benchmark, or of the canary on it, that count: by their places among the run's, ascending.

        All of them, but in a fleet: where another machine went on with it, it began anew, and those from there on.
        """
        if self.manifest.fleet is None:
            return dict(blocks)
        found: dict[int, Block] = {}
        done: set[tuple[BlockKind, int]] = set()
        host = ""
        for place, block in blocks.items():
            # A machine may have come back to what it had begun before another one was at it.
            if block.host != host or (block.kind, block.index) in done:
                found, done, host = {}, set(), block.host
            found[place] = block
            if block.failure is None:
                done.add((block.kind, block.index))
        return found

    def counting(self) -> list[Block]:
        """The blocks that count (`standing`), measured order; without the canary's, which are no benchmark's."""
        kept = {place: block for own in self._own().values() for place, block in own.items()}
        return [kept[place] for place in sorted(kept)]

    def by_benchmark(self) -> dict[str, list[Block]]:
        """The blocks that count of each of the run's benchmarks, by key, in measured order."""
        return {benchmark.key: [] for benchmark in self.manifest.benchmarks} | {
            key: list(own.values()) for key, own in self._own().items()}

    def _own(self) -> dict[str, dict[int, Block]]:
        """The blocks of each benchmark that count, by their places."""
        found: dict[str, dict[int, Block]] = {}
        for place, block in enumerate(self.blocks):
            if block.kind is not BlockKind.CANARY:
                found.setdefault(block.benchmark, {})[place] = block
        return {key: self.standing(own) for key, own in found.items()}


class Lines(Sequence[Block]):
    """The blocks of a file, each read and checked when it is asked for, every time: they are many, and large.

    Raises UsageError, here or later, for a line that is not a block, and where the file cannot be read. A torn last
    line is left out.
    """

    _KEY = re.compile(rb'\{"benchmark":("(?:[^"\\]|\\.)*")')

    def __init__(self, path: Path, schema: str = SCHEMA) -> None:
        self._path, self._schema = path, schema
        self._ends = array("q", [0])
        self.torn = False
        self.places: Mapping[str, Sequence[int]]
        """Where each benchmark's are, by key, ascending."""
        try:
            with path.open("rb", buffering=1 << 20) as file:
                self.places = self._look(file)
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise _no_run(path, error) from error
        weakref.finalize(self, os.close, self._descriptor)

    def _look(self, file: Iterable[bytes]) -> dict[str, array[int]]:
        places: dict[str, array[int]] = {}
        known: dict[bytes, array[int]] = {}
        for place, line in enumerate(file):
            if not line.endswith(b"\n"):
                self.torn = True
                break
            # As we write it; whoever has rewritten the lines may have put another field first, or other escapes.
            found = self._KEY.match(line)
            own = known.get(found[1]) if found else None
            if own is None:
                own = places.setdefault(self._block(place, line).benchmark, array("q"))
                if found:
                    known[found[1]] = own
            own.append(place)
            self._ends.append(self._ends[-1] + len(line))
        return places

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
            return _block.validate_json(line if self._schema == SCHEMA else _renewed(line))
        except (ValidationError, ValueError, TypeError) as error:
            reason = _first(error) if isinstance(error, ValidationError) else f"Invalid JSON: {error}"
            raise UsageError(f"{self._path}:{place + 1} is not a block: {reason}. "
                             "Remove the line to read the others.") from error


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
        (folder / BLOCKS).touch()
        # Last, and with it the names of both files: a folder with a manifest is whole.
        write_whole(folder / MANIFEST, _manifest.dump_json(manifest, indent=1).decode() + "\n")
        sync(folder.parent)
    return folder


class Appender:
    """What a run folder holds, and the way to add to it. Made by `appending`."""

    def __init__(self, run: Run, descriptor: int, end: int) -> None:
        """`run` as it was read; `end` is where its last whole line ends, in bytes."""
        self._run, self._descriptor, self._end = run, descriptor, end
        self._blocks = list(run.blocks)

    @property
    def run(self) -> Run:
        """The folder as reading it anew would find it."""
        return replace(self._run, blocks=tuple(self._blocks))

    def __call__(self, block: Block) -> None:
        """Make a block durable: when this returns, the line is on disk.

        Raises MachineError when the disk is full; then the file ends with the last whole line.
        """
        line = _block.dump_json(block) + b"\n"
        with _disk(self._run.folder / BLOCKS):
            try:
                os.ftruncate(self._descriptor, self._end)
                written = 0
                while written < len(line):  # a disk that fills up takes a part first; the rest says why not
                    written += os.pwrite(self._descriptor, line[written:], self._end + written)
                os.fsync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, self._end)
                raise
        self._end += len(line)
        self._blocks.append(block)
        self._run = replace(self._run, torn=False)


@contextmanager
def appending(folder: Path) -> Iterator[Appender]:
    """Read a run folder, and give the function that adds blocks to it.

    Holds a lock on the file from before it is read, so that a run is never continued twice at once. Raises MachineError
    when another process holds it, and UsageError as `read` does.
    """
    _check_blocks(folder)
    path = folder / BLOCKS
    with _disk(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MachineError(f"{folder} is being measured by another process; wait for it to end.") from error
        yield Appender(read(folder), descriptor, _whole_lines_end(path))
    finally:
        os.close(descriptor)


def add_layout(folder: Path, seed: int, addresses: Mapping[Arm, Mapping[str, int]]) -> None:
    """Put on record where the hot functions of both arms are in a layout: the proof that it is another one.

    On disk when this returns; one that is there already is left alone. Raises MachineError when the disk is full, and
    UsageError where a whole line of the file is not a layout.
    """
    line = {"layout": seed, **{arm.value: dict(places) for arm, places in addresses.items()}}
    path = folder / LAYOUTS
    with _disk(path), path.open("a+b") as stream:
        end = _whole_lines_end(path)
        if seed in _layouts(path, end):
            return
        stream.truncate(end)
        stream.write(json.dumps(line).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
        sync(folder)


def _layouts(path: Path, end: int) -> list[object]:
    """Those on record up to a byte of the file, by their seeds."""
    found: list[object] = []
    for place, line in enumerate(path.read_bytes()[:end].splitlines(), start=1):
        try:
            found.append(json.loads(line)["layout"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}:{place} is not a layout. Remove the line, and go on with `lockstep resume`: "
                             "a layout that is linked again is put there again.") from error
    return found


def read(folder: Path, *, lazily: bool = False, manifest: Manifest | None = None) -> Run:
    """Read a run folder; `lazily`: its blocks when they are asked for, since all at once may not fit into memory;
    `manifest`: what it is known to have.

    Raises UsageError when it is not one, is of a newer version, holds a line that is not a block, or has no blocks any
    more; a torn last line is not an error.
    """
    manifest = manifest or read_manifest(folder)
    _check_blocks(folder)
    lines = Lines(folder / BLOCKS, manifest.schema)
    return Run(folder=folder, manifest=manifest, blocks=lines if lazily else tuple(lines), torn=lines.torn)


def read_manifest(folder: Path) -> Manifest:
    """Read what a run folder says of the whole run, which never changes. Raises UsageError as `read` does."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise _no_run(folder / MANIFEST, error) from error
    schema = _schema(text)
    if schema not in (SCHEMA, *OLD):
        raise UsageError(f"{folder / MANIFEST} is of version {schema!r}; this Lockstep reads {SCHEMA!r}. "
                         "Use the Lockstep that made it.")
    try:
        manifest = _manifest.validate_json(text)
    except ValidationError as error:
        raise UsageError(f"{folder / MANIFEST} cannot be read: {_first(error)}") from error
    if not abs(manifest.created) < LAST_DATE:  # nor is what is no number
        raise UsageError(f"{folder / MANIFEST} cannot be read: created: {manifest.created:g} is no date before the "
                         "year 10000")
    return manifest


def has_blocks(folder: Path) -> bool:
    """Whether the run's blocks are there; what was kept in their place counts only where they are not."""
    return (folder / BLOCKS).is_file()


def raw(folder: Path) -> dict[Path, int]:
    """The files that `lockstep gc` removes, as far as they are there, with their sizes in bytes; the blocks last."""
    return {path: path.stat().st_size for name in (LAYOUTS, BLOCKS) if (path := folder / name).is_file()}


def _check_blocks(folder: Path) -> None:
    if not has_blocks(folder) and (folder / STATISTICS).is_file():
        raise UsageError(f"{folder.name} has no blocks any more: `lockstep gc` removed them. What they said is kept "
                         "(`lockstep show`); to measure again: its command, which `lockstep show` prints.")


def _no_run(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path.parent} is not a run folder: {error.strerror}: {error.filename}")


def _renewed(line: bytes) -> str:
    """A line of version 1 or 2 as version 3 has it."""
    found = json.loads(line)
    if isinstance(found, dict):
        if found.pop("canary", False):
            found["kind"] = BlockKind.CANARY.value
        elif found.get("index") == -1:
            found |= {"kind": BlockKind.CALIBRATION.value, "index": 0}
    return json.dumps(found)


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

    What UTF-8 cannot hold (a lone surrogate, as of an undecodable path) becomes a question mark. Raises MachineError
    when the disk is full or the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # a pid is not one's own in every container
    with _disk(path):
        try:
            with beside.open("w", encoding="utf-8", errors="replace") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
            sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Make the names of a folder's files durable; their content is so by itself."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
