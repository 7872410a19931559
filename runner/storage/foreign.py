"""What is in a run folder that another has made: whether it can be taken for one of ours.

Nothing that it names is opened, run or imported. It is read from the first line to the last and refused in words.
"""

from __future__ import annotations

import calendar
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from runner.errors import UsageError
from runner.model import Interpreter
from runner.storage import explanations, store
from runner.storage.store import Manifest, Run

HELD = 16 << 20
"""Bytes of blocks up to which they are held in memory, some five times as large, once they are read."""
BENCHMARKS = 50_000
"""Of a run at most: whoever shows it makes a page for each."""


class ParcelError(UsageError):
    """Something that is no parcel, or none that is taken; `reason` tells programs why.

    ``damaged``, ``truncated``, ``too-large``, ``bomb`` (it would grow too much), ``member`` (a file that does not
    belong into one), ``content``, ``future``.
    """

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was read of a run folder."""

    manifest: Manifest
    run: Run | None
    """With its blocks, held if they are at most `HELD` bytes; None where those are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """A line of `layouts.jsonl`."""

    layout: int
    base: Mapping[str, int]
    head: Mapping[str, int]


_layout = TypeAdapter(_Layout)
_NUMBER, _ROW = (int, float), (list, tuple)


def check(folder: Path, latest: float) -> Checked:
    """See that a run folder, of which each line is of a length that can be read, is whole; return what was read.

    Every line of it is read. Ids and names are strict, numbers finite, and no time is later than `latest` (seconds
    since the epoch). Of `statistics.json` it is seen that it is JSON: what it means is for `judging.statistics`. Raises
    ParcelError.
    """
    with _said_of(store.MANIFEST, folder):
        manifest = store.read_manifest(folder)
        _plain(manifest)
        _check_manifest(manifest, latest)
    run = None
    if (folder / store.BLOCKS).exists():
        with _said_of(store.BLOCKS, folder):
            run = _blocks(folder, manifest, latest)
    else:
        with _said_of(store.STATISTICS, folder):
            # The gain of a pairing may be infinite, and is written as it is.
            _plain(json.loads((folder / store.STATISTICS).read_bytes()), finite=False)
    if (folder / store.LAYOUTS).exists():
        with _said_of(store.LAYOUTS, folder), (folder / store.LAYOUTS).open("rb") as lines:
            for line in lines:
                _plain(_layout.validate_json(line))
    with _said_of(explanations.FILE, folder):
        _plain(explanations.read(folder))
    return Checked(manifest=manifest, run=run)


def _check_manifest(manifest: Manifest, latest: float) -> None:
    if not store.ID.fullmatch(manifest.id):
        raise ValueError(f"{manifest.id[:80]!r} is no id of a run, such as 20261129T073000Z-0a1b2c")
    named = float(calendar.timegm(time.strptime(manifest.id[:15], "%Y%m%dT%H%M%S")))
    _check_time(min(named, manifest.created), max(named, manifest.created), latest)
    for arm in (manifest.base, manifest.head):
        _check_commit(arm)
    if len(manifest.benchmarks) > BENCHMARKS:
        raise ParcelError("too-large", f"it has more than {BENCHMARKS} benchmarks.")
    keys = [benchmark.key for benchmark in manifest.benchmarks]
    if len(set(keys)) < len(keys):
        raise ValueError("two of its benchmarks have one name")


def _check_commit(arm: Interpreter) -> None:
    commit = arm.commit
    if commit is None:
        return
    if not 0 <= commit.date < store.LAST_DATE:
        raise ValueError(f"the commit of {arm.spec[:80]!r} has no date between the years 1970 and 9999")
    if commit.position is not None and not 0 < commit.position < 1 << 53:
        raise ValueError(f"the commit of {arm.spec[:80]!r} has no position above 0")


def _blocks(folder: Path, manifest: Manifest, latest: float) -> Run:
    """The run with its blocks, each of which was looked at."""
    run = store.read(folder, lazily=(folder / store.BLOCKS).stat().st_size > HELD, manifest=manifest)
    known = {benchmark.key for benchmark in manifest.benchmarks}
    for block in run.blocks:
        if block.benchmark not in known:
            raise ValueError(f"a block is of {block.benchmark[:80]!r}, which the manifest does not have")
        _plain(block)
        _check_time(block.started, block.started, latest)
        if block.seconds < 0:
            raise ValueError("a block took less than no time")
    return run


def _check_time(first: float, last: float, latest: float) -> None:
    if first < 0:
        raise ValueError("something in it is of before 1970")
    if last > latest:
        raise ParcelError("future", f"something in the run is of a time that comes in {last - latest:.0f} s at the "
                          "earliest. Set the clock of the machine that measured, or of the one that looks.")


@contextmanager
def _said_of(name: str, folder: Path) -> Iterator[None]:
    """Have what is wrong with a file's content be said without the place where the folder is."""
    try:
        yield
    except ParcelError:
        raise
    except RecursionError as error:
        raise ParcelError("content", f"{name} is nested too deeply.") from error
    except UsageError as error:
        raise ParcelError("content", str(error).replace(f"{folder}{os.sep}", "")) from error
    except ValueError as error:
        raise ParcelError("content", f"{name} cannot be taken: {' '.join(str(error).split())[:400]}.") from error


def _plain(thing: object, *, finite: bool = True) -> None:
    """See that all numbers in a record are finite, and that all text can be written: raises ValueError.

    With `finite` False, infinities and what is no number pass; integers of more than 63 bits do not.
    """
    # In the order of how often they come: a run has a hundred thousand of them, besides its slices.
    if thing is None:
        return
    if isinstance(thing, str):
        if not (thing.isascii() or _encodes(thing)):
            raise ValueError(f"the text {thing[:80]!r} holds what is no character")
    elif isinstance(thing, _NUMBER):
        if not (_counts(thing) if finite else isinstance(thing, float) or abs(thing) < 1 << 63):
            raise ValueError("it holds a number that is not finite")
    elif isinstance(thing, _ROW):
        if not _all_count(thing):
            for one in thing:
                _plain(one, finite=finite)
    elif names := _names(type(thing)):  # type: ignore[arg-type]  # a class is hashable, whatever mypy says
        for name in names:
            _plain(getattr(thing, name), finite=finite)
    elif isinstance(thing, dict):
        for key, value in thing.items():
            _plain(key, finite=finite)
            _plain(value, finite=finite)
    elif isinstance(thing, Path):
        _plain(str(thing))
    else:
        assert isinstance(thing, Enum), thing


@cache
def _names(kind: type) -> tuple[str, ...]:
    """Of the fields of a record; none where it is no record."""
    return tuple(one.name for one in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


def _all_count(things: Sequence[object]) -> bool:
    """Whether all are finite numbers, found quickly: a run has millions of slices. Sometimes False where they are."""
    try:
        return math.isfinite(math.fsum(things))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _counts(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
