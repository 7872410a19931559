"""`statistics.json`: all that a run's report says, left in its folder in the place of the blocks.

What is kept of a block is its one number and its time, not its slices: reports, pages and histories are as they were,
and what needs slices (`explain`, `export`, `combine`, `resume`) says that there are none.

Format history
--------------
lockstep.statistics/1  ``report`` is a `judging.report.Report`; arrays are lists, in measured order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.judging import compare
from runner.judging.report import Report
from runner.storage import shelf, store

SCHEMA = "lockstep.statistics/1"

_report = TypeAdapter(Report)


def report_of(folder: Path, *, with_noise: bool = True) -> Report:
    """The report of a run, made from its folder alone: of its blocks, or of what was kept where those were removed.

    `with_noise` as in `compare.report`; what was kept has it. Raises UsageError as `store.read` does, and for a
    `statistics.json` that cannot be read.
    """
    if store.has_blocks(folder) or not (folder / store.STATISTICS).is_file():
        return compare.report(store.read(folder, lazily=True), with_noise=with_noise)
    return _read(folder)


def keep(folder: Path) -> int:
    """Write what a run's report says, and remove its blocks and layouts; return how many bytes those took.

    They go last, and only where what was written can be read: a kill leaves a run that is whole in one way or the
    other. Raises UsageError as `store.read` does, and MachineError where the run is being measured, or the disk is
    full; then nothing is removed.
    """
    with shelf.held(folder) as ours:
        if not ours:
            raise MachineError(f"{folder} is being measured by another process; its blocks are kept.")
        text = _text(compare.report(store.read(folder, lazily=True)))
        store.write_whole(folder / store.STATISTICS, text)
        if _text(_read(folder)) != text:
            raise MachineError(f"{folder / store.STATISTICS} does not say what was written; the blocks are kept.")
        sizes = store.raw(folder)
        try:
            for path in sizes:
                path.unlink()
        except OSError as error:
            raise MachineError(f"cannot remove {error.filename}: {error.strerror or error}.") from error
    return sum(sizes.values())


def _text(report: Report) -> str:
    # Not pydantic's own: it writes null for a number that is not finite, as the gain of a pairing may be.
    return json.dumps({"schema": SCHEMA, "report": _plain(report)}, ensure_ascii=False) + "\n"


def _plain(thing: Any) -> Any:
    if is_dataclass(thing):
        return {field.name: _plain(getattr(thing, field.name)) for field in fields(thing)}
    if isinstance(thing, Mapping):
        return {_plain(name): _plain(value) for name, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_plain(one) for one in thing]
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    return thing.value if isinstance(thing, Enum) else thing


def _read(folder: Path) -> Report:
    path = folder / store.STATISTICS
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise UsageError(f"{path} is of version {schema!r}; this Lockstep reads {SCHEMA!r}. "
                         "Use the Lockstep that made it.")
    try:
        # A run that was moved is where it is found.
        return replace(_report.validate_python(found.get("report")), folder=str(folder))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UsageError(f"{path} cannot be read: {where}: {problem['msg']}") from error
