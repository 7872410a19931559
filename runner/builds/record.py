"""build.json: what is known of a finished build, so that it need not be run to be resolved.

Schema ``lockstep.build/2``: one object with the fields of `Record`; times in seconds since the epoch, sizes in bytes,
modification times in nanoseconds, paths relative to the file's folder. The first version lacked what is below
``changed_files``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import UsageError

SCHEMA = "lockstep.build/2"
NAME = "build.json"
"""Of the file, in the build's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A finished build."""

    label: str
    """The spec that it was first built for."""
    created: float
    size: int
    """Of the whole folder, bytes on disk."""
    tree: Path
    executable: Path
    executable_size: int
    executable_mtime_ns: int
    sha256: str
    version: str
    implementation: str
    facts: Mapping[str, str]
    compiler: str
    changed_files: tuple[str, ...]
    place: str
    """The folder of the build, absolute, which its compiled library names."""
    toolchain: Mapping[str, str]
    """What it was made with; see `toolchain.describe`."""
    pyconfig: Mapping[str, str]
    """The macros of pyconfig.h, by name."""
    libraries: Mapping[str, tuple[str, ...]]
    """Paths of the foreign libraries that its extension modules link, by module."""
    missing: tuple[str, ...]
    """Modules of the standard library that could not be built, or that are another system's."""
    notes: tuple[str, ...] = ()
    """How the edits fitted, as far as a reader of results should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a list of builds shows of one, whichever version made it."""

    label: str
    created: float
    size: int


def summary(path: Path) -> Summary | None:
    """What a record of any version says first of all; None where there is none, or it is torn."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Summary(label=str(fields["label"]), created=float(fields["created"]), size=int(fields["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, record: Record) -> None:
    """Write a record into the folder that it describes."""
    fields: dict[str, Any] = {"schema": SCHEMA}
    for field in dataclasses.fields(Record):
        value = getattr(record, field.name)
        if isinstance(value, Path):
            value = str(value.relative_to(path.parent))
        fields[field.name] = dict(value) if isinstance(value, Mapping) else value
    path.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Record | None:
    """The record in a file; None: there is no such file, or it is torn.

    Raises UsageError for a newer schema.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    schema = fields.pop("schema", None) if isinstance(fields, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"{path} was written by another version of Lockstep ({schema}); this one reads {SCHEMA}."
            " Use the newer version, or remove the build's folder"
        )
    try:
        for name in ("changed_files", "missing", "notes"):
            fields[name] = tuple(fields[name])
        fields["libraries"] = {name: tuple(paths) for name, paths in fields["libraries"].items()}
        for name in ("tree", "executable"):
            fields[name] = path.parent / fields[name]
        return Record(**fields)
    except (KeyError, TypeError, AttributeError):
        return None
