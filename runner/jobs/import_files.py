"""The order of steps of `lockstep import`."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import UsageError
from runner.history import imported
from runner.judging import unpaired
from runner.judging.unpaired import Unpaired
from runner.storage import imports, pyperf_json
from runner.storage.imports import Imported
from runner.storage.pyperf_json import Results
from runner.storage.store import new_id

COMMIT = re.compile(r"[0-9a-f]{7,64}")
ENDINGS = (".json.gz", ".json", ".gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """Files of one build."""

    files: tuple[Path, ...]
    build: str
    """Empty: as the one file is called."""
    commit: str
    """Empty: none."""
    machine: str
    """Empty: the host's name in the files."""
    folder: Path
    margin: float
    """As a fraction: for the comparison with the point before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFinished:
    """What has become of them."""

    path: Path
    """Where they are kept."""
    imported: Imported
    against: Unpaired | None
    """The point before in the same series, against this one; None: it is the first."""
    problems: tuple[str, ...]
    """Earlier imports that cannot be read."""


def import_files(request: ImportRequest) -> ImportFinished:
    """Keep results of another program as a point of a history that is not paired.

    Raises UsageError for a file that is no result file, or is imported already, for files of different builds, machines
    or benchmarks, and for names that are none; MachineError where nothing can be written.
    """
    build, commit = _build(request), request.commit.lower()
    if commit and not COMMIT.fullmatch(commit):
        raise UsageError(f"--commit {request.commit}: that is no hash of a commit: 7 digits or more, 0-9 and a-f.")
    files = [pyperf_json.read(path) for path in request.files]
    _check(files, one_host=not request.machine)
    pyperf_json.together(files)  # raises where they cannot be added up
    there = imports.read(request.folder)
    known = imports.known(there.imports)
    for path, file in zip(request.files, files, strict=True):
        # Older versions have the hash of the file as it lies there, compressed.
        old = known.get(file.sha256) or known.get(hashlib.sha256(path.read_bytes()).hexdigest())
        if old is not None:
            raise UsageError(f"{path} is imported already, as {old.build}: {request.folder / old.id}.json. Remove that "
                             "file to import it anew.")
    now = time.time()
    machine = request.machine or str(files[0].metadata.get("hostname", ""))
    one = Imported(
        id=new_id(now), imported=now, build=build, commit=commit, machine=machine, files=tuple(files))
    all_of_them = sorted([*there.imports, one], key=lambda other: (other.started, other.id))
    earlier = imported.before(one, all_of_them)
    against = None
    if earlier is not None:
        against = unpaired.judge(imported.side(earlier), imported.side(one), request.margin)
    return ImportFinished(
        path=imports.add(request.folder, one), imported=one, against=against, problems=there.problems)


def _build(request: ImportRequest) -> str:
    if request.build.strip():
        return " ".join(request.build.split())
    if len(request.files) > 1:
        raise UsageError("of which build are these files? Say it by --build NAME; one file alone goes by its own name.")
    name = request.files[0].name
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name) or name


def _check(files: Sequence[Results], *, one_host: bool) -> None:
    """Raises UsageError where files are not of one build, on one machine, or one of them is there twice."""
    for number, other in enumerate(files):
        for earlier in files[:number]:
            if earlier.sha256 == other.sha256:
                raise UsageError(f"{earlier.name} and {other.name} are the same file; name each once.")
    alike = (*["hostname"] * one_host, "cpu_model_name", *pyperf_json.ONE_BUILD)
    pyperf_json.check_alike(files, alike, "Files of one import are of one build on one machine.")
