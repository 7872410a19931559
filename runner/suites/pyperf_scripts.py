"""Which pyperf scripts a suite has: one that is named, or those of a manifest in pyperformance's format.

pyperformance's own reader reads manifests, groups, inherited settings and options (`_manifest` is not a public name of
its, so that its version is pinned).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import paths
from runner.errors import UsageError, listed

PYPERFORMANCE = "pyperformance"
ALL = "all"
"""What is named for every benchmark of a manifest."""
LAYOUT = "run_benchmark.py"
"""A script of this name has a folder of its own, with its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A pyperf script, and how it is run."""

    entry: str
    """Its name in the manifest; empty for one that was named by its file."""
    file: Path
    """Absolute."""
    options: tuple[str, ...] = ()
    """Its own, which it is run with."""
    python: str = ""
    """Versions of Python that it is for, such as ``>=3.12``; empty: not said."""
    requirements: Path | None = None
    """The file of third-party packages that it needs; None: it needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """The scripts of a suite, and the files that they are made of."""

    place: str
    """What names them, absolute: a file, or ``pyperformance``; with names of benchmarks after a colon."""
    scripts: tuple[Script, ...]
    folder: Path
    watched: tuple[str, ...]
    """Files and folders below `folder`."""


def names_one(word: str) -> bool:
    """Whether a word names a pyperf script, a manifest or pyperformance."""
    if word.partition(":")[0] == PYPERFORMANCE:
        return _are_names(word.partition(":")[2])
    return is_file(word) or (is_file(_before(word)) and _are_names(word.rpartition(":")[2]))


def _are_names(text: str) -> bool:
    """Whether this may be names of benchmarks, and no options behind them."""
    return all(len(part.split()) <= 1 and not part.strip().startswith("-") for part in text.split(","))


def is_file(word: str) -> bool:
    """Whether a word is the path of a file, whatever else it may be."""
    return os.path.isfile(paths.expanded(word))


def open(word: str, options: Sequence[str] = ()) -> Scripts:
    """The scripts that a word names, all to be run with these options too.

    Raises UsageError for a file that is no script and no manifest, and for names that a manifest does not have.
    """
    if word.partition(":")[0] == PYPERFORMANCE:
        return _of_manifest(None, word.partition(":")[2], tuple(options))
    file = paths.expanded(word)
    if file.is_file() and file.suffix == ".py":
        return _of_script(file.resolve(), tuple(options))
    if file.is_file():
        return _of_manifest(file.resolve(), "", tuple(options))
    return _of_manifest(paths.expanded(_before(word)).resolve(), word.rpartition(":")[2], tuple(options))


def _before(word: str) -> str:
    return word.rpartition(":")[0] or word


def _of_script(file: Path, options: tuple[str, ...]) -> Scripts:
    # Beside a script of another layout there may be anything; what it may import is watched.
    whole = file.name == LAYOUT
    beside = (path.name for path in file.parent.glob("*.py") if path.is_file())
    return Scripts(
        place=str(file), scripts=(Script(entry="", file=file, options=options),), folder=file.parent,
        watched=("",) if whole else tuple(sorted(beside)),
    )


def _of_manifest(file: Path | None, names: str, options: tuple[str, ...]) -> Scripts:
    """`file`: None for pyperformance's own, of which those that need no packages are taken where nothing is named."""
    from pyperformance import _manifest

    name = PYPERFORMANCE if file is None else str(file)
    where = Path(_manifest.DEFAULT_MANIFEST).resolve() if file is None else file
    try:
        manifest = _manifest.load_manifest(None if file is None else str(file))
        chosen = [_script(one, options) for one in _chosen(manifest, names, name)]
    except (ValueError, TypeError, OSError, AttributeError, NotImplementedError) as error:
        raise UsageError(f"{where} is no pyperf script (*.py), and cannot be read as a manifest of pyperformance's: "
                         f"{' '.join(str(error).split())}") from error
    if file is None and not names:
        chosen = [one for one in chosen if one.requirements is None]
    if not chosen:
        raise UsageError(f"{where} names no benchmarks.")
    folders = [os.path.relpath(one.file.parent, where.parent) for one in chosen]
    return Scripts(
        place=f"{name}:{names}" if names else name, scripts=tuple(chosen), folder=where.parent,
        watched=tuple(dict.fromkeys((where.name, *folders))),
    )


def _chosen(manifest: Any, names: str, name: str) -> list[Any]:
    """The benchmarks of a manifest that are named, by their names and those of groups, in the manifest's order."""
    wanted = [word.strip() for word in names.split(",") if word.strip()] or ["default"]
    there = {one.name: one for one in manifest.benchmarks}
    groups = {ALL, "default", *manifest.groups}
    if unknown := [word for word in wanted if word not in there and word not in groups]:
        raise UsageError(f"{name} has no {listed(unknown)}. It has the groups {', '.join(sorted(groups))}, and the "
                         f"benchmarks {', '.join(there)}.")
    taken: set[str] = set()
    for word in wanted:
        taken |= {word} if word in there else {one.name for one in manifest.resolve_group(word, fail=False)}
    return [one for name, one in there.items() if name in taken]


def _script(one: Any, options: tuple[str, ...]) -> Script:
    if not one.runscript:
        raise ValueError(f"{one.name} has no script: {one.metafile} says none, and there is no {LAYOUT} beside it")
    file = Path(one.runscript).resolve()
    return Script(
        entry=one.name, file=file, options=(*one.extra_opts, *options),
        python=str(one._get_metadata_value("python", "") or ""), requirements=_requirements(one.requirements_lockfile),
    )


def _requirements(lockfile: str | None) -> Path | None:
    """The file, where it names a package."""
    file = Path(lockfile) if lockfile else None
    if file is None or not file.is_file() or not any(_packages(file.read_text(encoding="utf-8").splitlines())):
        return None
    return file.resolve()


def _packages(lines: Iterable[str]) -> list[str]:
    plain = (line.partition("#")[0].strip() for line in lines)
    return [line for line in plain if line and not line.startswith("--hash")]
