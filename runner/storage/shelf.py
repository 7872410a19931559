"""The run folders of a folder: what each is in a line, and how one is removed."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from runner.errors import LockstepError, MachineError, UsageError
from runner.model import Verdict
from runner.owned import attempt
from runner.storage import store


class State(Enum):
    """How far a run is."""

    MEASURING = "measuring"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run folder."""

    id: str
    folder: Path
    state: State
    created: float | None = None
    """Seconds since the epoch; None, as the fields below are empty, where the folder is unreadable."""
    base: str = ""
    head: str = ""
    """How the interpreters were named."""
    versions: tuple[str, ...] = ()
    """Of both interpreters."""
    suite: str = ""
    benchmarks: tuple[str, ...] = ()
    """Their keys, in suite order."""
    counts: Mapping[str, int] | None = None
    """Benchmarks by verdict, as the stored report has them; None where there is none."""
    problem: str = ""
    """Why it is unreadable."""


def look(root: Path) -> Sequence[Entry]:
    """The run folders under `root`, oldest first; none where there is no such folder."""
    return [entry(place.parent) for place in sorted(root.glob(f"*/{store.MANIFEST}"))]


def entry(folder: Path) -> Entry:
    """What a run folder is, from its manifest and its stored report; its blocks are not read."""
    try:
        manifest = store.read_manifest(folder)
    except LockstepError as problem:
        return Entry(id=folder.name, folder=folder, state=State.UNREADABLE, problem=str(problem))
    report = _report(folder)
    state = State.COMPLETE if report.get("complete") is True else State.INTERRUPTED
    return Entry(
        id=manifest.id, folder=folder, state=State.MEASURING if _is_held(folder) else state, created=manifest.created,
        base=manifest.base.spec, head=manifest.head.spec, versions=(manifest.base.version, manifest.head.version),
        suite=manifest.suite, benchmarks=tuple(one.key for one in manifest.benchmarks),
        counts=_counts(report.get("summary")),
    )


def remove(folder: Path) -> None:
    """Remove a run folder with all that is in it.

    Raises UsageError for a folder that does not look like a run's, and MachineError for one that is being measured or
    cannot be removed; then nothing of it is gone, or at least it is no run any more.
    """
    folder = folder.absolute()
    if not store.ID.fullmatch(folder.name) or folder.is_symlink() or not (folder / store.MANIFEST).is_file():
        raise UsageError(f"{folder} is not a run folder by its name, and is not removed.")
    try:
        with held(folder) as ours:
            if not ours:
                raise MachineError(f"{folder} is being measured by another process, and is not removed.")
            (folder / store.MANIFEST).unlink()  # first: what has no manifest is no run, and no longer half of one
            shutil.rmtree(folder)
    except OSError as error:
        raise MachineError(f"cannot remove {folder}: {error.strerror or error}.") from error


def _report(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / store.REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _counts(summary: object) -> Mapping[str, int] | None:
    """As `Entry.counts`; None also for a summary that holds something else than numbers."""
    if not isinstance(summary, dict) or not summary:
        return None
    counts = {verdict.value: summary.get(verdict.value.replace(" ", "_"), 0) for verdict in Verdict}
    return counts if all(isinstance(count, int) for count in counts.values()) else None


def _is_held(folder: Path) -> bool:
    try:
        with held(folder) as ours:
            return not ours
    except OSError:
        return False


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the lock that `store.appending` holds; False: another process does. True also where there are no blocks."""
    with contextlib.ExitStack() as stack:
        try:
            free = stack.enter_context(attempt(folder / store.BLOCKS))
        except FileNotFoundError:
            free = True
        yield free
