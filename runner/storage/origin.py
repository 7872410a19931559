"""`origin.json` in the folder of a run that was sent here: who has sent it, and what it was.

The paths that such a run names are those of another machine, and are never followed here: whoever follows the paths of
a manifest calls `refuse` before.

Format history
--------------
lockstep.origin/1  The first: an `Origin`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from runner.errors import UsageError
from runner.storage import store
from runner.storage.parcel import Contents

FILE = "origin.json"
SCHEMA = "lockstep.origin/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a run has come from."""

    schema: str = SCHEMA
    machine: str
    """Name of the token that it was sent with."""
    token: str
    """Its id."""
    key: str
    """What the sender called this upload."""
    received: float
    """Seconds since the epoch."""
    digest: str
    """Of `contents`."""
    contents: Contents
    """What the parcel held. Some of it may be gone since (`lockstep gc`)."""


_adapter = TypeAdapter(Origin)


def read(folder: Path) -> Origin | None:
    """Where a run has come from; None for one that was measured here.

    Raises UsageError for a file that is not one of ours, or of a later version.
    """
    place = folder / FILE
    try:
        found = _adapter.validate_json(place.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UsageError(f"{place} does not say where the run has come from: {str(error).splitlines()[0]}") from error
    if found.schema != SCHEMA:
        raise UsageError(f"{place} has the format {found.schema}, and this version of Lockstep reads {SCHEMA}")
    return found


def write(folder: Path, origin: Origin) -> None:
    """Say where a run has come from; on disk when this returns. Raises MachineError when it cannot be written."""
    store.write_whole(folder / FILE, _adapter.dump_json(origin, indent=1).decode() + "\n")


def refuse(folder: Path, instead: str) -> None:
    """Raises UsageError for a run that was sent here: `instead` says what to do, in a sentence."""
    found = read(folder)
    if found is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime(found.received))
        raise UsageError(
            f"run {folder.name} was received from {found.machine} on {day}. The interpreters and the suite that it "
            f"names are on that machine; paths of a received run are never followed here. {instead}")
