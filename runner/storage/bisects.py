"""A search for the commits that changed benchmarks: `bisect.json` in a folder of its own, beside the runs of its duels.

Format history
--------------
lockstep.bisect/1  The file is `Stored`, written whole after each duel. `runs/` has the run folder of each duel that
                   was measured, and at most one more: of the duel that was under way when the search was interrupted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError, UsageError
from runner.model import Commit, Verdict
from runner.storage import store

SCHEMA = "lockstep.bisect/1"
FILE, RUNS = "bisect.json", "runs"


class Purpose(Enum):
    """What a duel is for."""

    ENDS = "ends"
    """Has a benchmark changed between the ends, and by how much?"""
    ENDS_AGAIN = "ends again"
    """The same in a fixed number of blocks, where the first was not precise enough to search by."""
    STEP = "step"
    """Is a commit like the good end, or like the bad one?"""
    LAST = "last"
    """Did the commit that the search has ended in make the change? It is measured against its parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Two commits that are measured against each other, or were."""

    purpose: Purpose
    base: str
    """Full hash, as `head` is."""
    head: str
    benchmarks: tuple[str, ...]
    """Their keys; empty: all that the user named."""
    blocks: int | None
    """Blocks of each benchmark, fixed beforehand; None: until it is settled."""
    run: str = ""
    """Name of its folder in `RUNS`; empty where it has not been measured, or could not be."""
    trouble: str = ""
    """Why it could not be measured, in words; empty where it could."""
    told: Mapping[str, Told] = field(default_factory=dict)
    """What it says of each benchmark, for readers: a search that goes on asks the run itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a duel said of one benchmark."""

    word: str
    """In a step ``good``, ``bad`` or ``undecided``; else ``slower`` or ``faster``, and where neither was seen ``same``,
    ``undecided`` or ``not seen``. ``passed over``: it could not be compared."""
    change: Change | None = None
    reason: str = ""
    """Why it was passed over, or that it does not end; may be empty."""
    left: int = 0
    """Commits of which one made the change, after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that was measured: head ÷ base."""

    ratio: float | None
    """None where there is none: a benchmark that does not end, or a count from zero."""
    low: float | None
    high: float | None
    """95 % interval; of the first duel of the ends, that of its report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of the search for one benchmark's change."""

    benchmark: str
    """`Benchmark.key`."""
    verdict: Verdict
    """Of the bad end against the good one; what does not end is slower."""
    whole: Change | None = None
    """What has changed between the ends; None where they could not be compared."""
    commits: tuple[Commit, ...] = ()
    """Those of which one made the change, parents first: one, if the search has ended in it. Of more than a few the
    last ones; empty where there was nothing to search for."""
    count: int = 0
    """How many there are."""
    parent: str = ""
    """Full hash of what `change` is against: the first parent of the one commit, or the good end."""
    change: Change | None = None
    """What the one commit changed, measured for itself; None where it is not one, or was not measured."""
    reason: str = ""
    """Why it is not one commit, or why nothing was searched for, in words; else empty."""
    remark: str = ""
    """What a reader has to know of the one commit; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for."""

    good: str
    bad: str
    """As they were typed."""
    repository: str
    """Folder, absolute, or URL."""
    suite: str
    """Folder, absolute."""
    pattern: str | None
    configuration: str
    """Build options as in a spec, without the question mark."""
    margin: float
    """As a fraction."""
    budget: float | None
    """Seconds of measuring for each duel."""
    scope: str
    memory_limit: int | None
    values: str
    environment: Mapping[str, str] = field(default_factory=dict)
    watch: str = ""
    """Name of what is watched; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A search as far as it has come."""

    schema: str = SCHEMA
    id: str
    created: float
    """Seconds since the epoch."""
    asked: Asked
    good: str
    bad: str
    """Full hashes."""
    duels: tuple[Duel, ...] = ()
    """Those that are over, in their order."""
    findings: tuple[Finding, ...] | None = None
    """One for each benchmark, in suite order; None until the search has ended."""


_stored = TypeAdapter(Stored)


def create(root: Path, stored: Stored) -> Path:
    """Make the folder of a search under `root`; return it. Raises MachineError where that cannot be written."""
    folder = root / stored.id
    try:
        (folder / RUNS).mkdir(parents=True)
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.strerror or error}.") from error
    write(folder, stored)
    return folder


def write(folder: Path, stored: Stored) -> None:
    """Write the file whole: a reader sees what was there before, or all of this. Raises MachineError."""
    store.write_whole(folder / FILE, _stored.dump_json(stored, indent=1).decode() + "\n")


def read(folder: Path) -> Stored:
    """Read a search. Raises UsageError for a folder that has none, or one of another version."""
    path = folder / FILE
    try:
        text = path.read_bytes()
        schema = json.loads(text).get("schema")
    except OSError as error:
        raise UsageError(f"{folder} is no search of `lockstep bisect`: {error.strerror}: {path}.") from error
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read: it is not what was written.") from error
    if schema != SCHEMA:
        raise UsageError(f"{path} is of version {schema!r}; this Lockstep reads {SCHEMA!r}. Use the one that made it.")
    try:
        return _stored.validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{path} cannot be read: {where}: {problem['msg']}.") from error


def discard(folder: Path) -> None:
    """Remove a search in which nothing was measured; one that has a duel, or blocks of one, is kept."""
    if not any((folder / RUNS).iterdir()) and not read(folder).duels:
        shutil.rmtree(folder, ignore_errors=True)


def find(root: Path, name: str) -> Path:
    """The folder of the search that a person means: a path, an id, the beginning of one, or ``last``.

    Raises UsageError where there is none, or more than one.
    """
    if (Path(name) / FILE).is_file():
        return Path(name)
    there = sorted(path.parent for path in root.glob(f"*/{FILE}"))
    found = there[-1:] if name == "last" else [folder for folder in there if folder.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r} is the beginning of {len(found)} searches under {root}; type more of it.")
    known = ", ".join(folder.name for folder in there[-3:]) or "none yet"
    raise UsageError(f"there is no search {name!r} under {root}; the newest are: {known}.")


def unfinished(folder: Path, stored: Stored, wanted: Duel) -> Path | None:
    """The run folder of a duel that was under way when the search was interrupted; None where there is none."""
    known = {duel.run for duel in stored.duels}
    for place in sorted((folder / RUNS).glob(f"*/{store.MANIFEST}"), reverse=True):
        if place.parent.name not in known and store.read_manifest(place.parent).labels == labels(wanted):
            return place.parent
    return None


def labels(duel: Duel) -> Mapping[str, str]:
    """What its run's manifest says of a duel: enough to find it again."""
    return {
        "bisect": duel.purpose.value, "base": duel.base, "head": duel.head, "blocks": str(duel.blocks or ""),
        "benchmarks": "\n".join(duel.benchmarks),
    }
