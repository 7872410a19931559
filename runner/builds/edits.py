"""Edits to a source tree: find-and-replace variants in TOML, and patches.

Edits change a tree of our own, which is thrown away where one of them does not fit, before anything is built.

Format of a variant, version 2: ``title`` and ``description`` (text), and one or more ``[[edit]]`` with
``file`` (relative to the source's root), ``find`` (must occur exactly once) and ``replace``; or ``edit = []``, for
a name that means the source as it is. ``on`` (optional, since version 2) names a variant in the same folder whose edits
come first.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from runner import paths
from runner.builds import applying, patches, sources
from runner.builds.applying import Content
from runner.errors import UsageError

READING = 2
"""Part of every patch's digest: raised when patches are read in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What edits have done to a tree."""

    before: Mapping[str, Content]
    """Each file that differs, relative to the tree, with what it was."""
    notes: tuple[str, ...] = ()
    """What a reader of results should know of how they fitted, one sentence each."""


class Edit(Protocol):
    """A variant or a patch, ready to be applied."""

    @property
    def name(self) -> str: ...  # as the user gave it
    @property
    def digest(self) -> str: ...  # of what it does, not of its comments
    def apply(self, tree: Path) -> Changes: ...  # raises UsageError where it does not fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One find-and-replace."""

    file: str
    find: str
    replace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A named set of replacements."""

    name: str
    path: Path
    title: str
    """One line on what it does."""
    replacements: tuple[Replacement, ...]

    @property
    def digest(self) -> str:
        parts = [[change.file, change.find, change.replace] for change in self.replacements]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def apply(self, tree: Path) -> Changes:
        """Change the files. Raises UsageError, with none changed, for a text that is not there exactly once."""
        done: dict[str, bytes] = {}
        for change in self.replacements:
            path = tree / change.file
            if change.file not in done and not path.is_file():
                raise UsageError(f"variant {self.name}: the source has no file {change.file} ({self.path})")
            if path.is_symlink():
                raise UsageError(f"variant {self.name}: {change.file} is a symbolic link; name the file that it leads"
                                 f" to ({self.path})")
            old = done[change.file] if change.file in done else path.read_bytes()
            find = change.find.encode()
            count = old.count(find)
            if count != 1:
                what = "is not in" if count == 0 else f"is {count} times in"
                raise UsageError(
                    f"variant {self.name}: this text {what} {change.file}, and must be there exactly once"
                    f" (see {self.path}):\n{change.find}"
                )
            done[change.file] = old.replace(find, change.replace.encode())
        before = {file: applying.content(tree / file) for file in done}
        for file, new in done.items():
            (tree / file).write_bytes(new)
        return Changes(before=before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A user's patch."""

    name: str
    path: Path
    digest: str
    pieces: tuple[patches.Piece, ...]

    def apply(self, tree: Path) -> Changes:
        """Change the files. Raises UsageError for a hunk that does not fit; the tree is then of no use."""
        before, notes = applying.apply(self.pieces, tree)
        return Changes(before=before, notes=tuple(notes))


def read_variant(path: Path, name: str) -> Variant:
    """Read a variant's TOML file, with the edits of what it stands on. Raises UsageError for a file that is not one."""
    data, replacements = _read(path, ())
    return Variant(name=name, path=path, title=str(data.get("title", name)), replacements=replacements)


def _read(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], tuple[Replacement, ...]]:
    """What a file says, and its replacements behind those of the variant that it stands on; `above` stand on it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a variant: {error}") from error
    tables = data.get("edit")
    if not isinstance(tables, list):
        raise UsageError(f"{path} has no [[edit]] with file, find and replace (see docs/builds.md)")
    below = _read(_under(path, data["on"], above), (*above, path))[1] if "on" in data else ()
    return data, (*below, *(_replacement(path, number, table) for number, table in enumerate(tables, 1)))


def _under(path: Path, on: object, above: tuple[Path, ...]) -> Path:
    """The file of the variant that a variant says it stands on."""
    if not isinstance(on, str) or not on or "/" in on:
        raise UsageError(f"{path}: on = {on!r}, and must be the name of a variant in the same folder")
    under = path.with_name(f"{on}.toml")
    if under in (*above, path):
        raise UsageError(f"{path}: on = {on!r}, and so it stands on itself")
    if not under.is_file():
        raise UsageError(f"{path}: on = {on!r}, and there is no {under}")
    return under


def _replacement(path: Path, number: int, table: object) -> Replacement:
    where = f"{path}, [[edit]] {number}"
    if not isinstance(table, dict) or set(table) != {"file", "find", "replace"}:
        raise UsageError(f"{where}: needs file, find and replace, and nothing else")
    values = {key: value for key, value in table.items() if isinstance(value, str)}
    if len(values) != 3 or not values["find"]:
        raise UsageError(f"{where}: file, find and replace must be texts, and find not empty")
    file = PurePosixPath(values["file"])
    if file.is_absolute() or ".." in file.parts:
        raise UsageError(f"{where}: {file} leads out of the source tree")
    if values["find"] == values["replace"]:
        raise UsageError(f"{where}: find and replace are the same text; a variant that changes nothing has edit = []")
    return Replacement(file=str(file), find=values["find"], replace=values["replace"])


def load(word: str, variants: Path) -> Edit:
    """The edit that a word of a spec stands for.

    A word with a slash, or that ends in .patch, .diff or .toml, is a file; any other is looked up as
    a variant in the folder `variants`. Raises UsageError where there is none, or it cannot be read.
    """
    if "/" not in word and not word.endswith((".patch", ".diff", ".toml")):
        path = variants / f"{word}.toml"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in variants.glob("*.toml"))) or "none"
            raise UsageError(f"no variant is called {word!r} (there are: {known}); a patch is given as a path")
        return read_variant(path, word)
    path = paths.expanded(word)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {word}: {error.strerror}") from error
    if path.suffix == ".toml":
        return read_variant(path, word)
    pieces = patches.parse(content, word)
    return Patch(name=word, path=path, digest=hashlib.sha256(b"%d\n" % READING + content).hexdigest(), pieces=pieces)


def load_all(words: Sequence[str], variants: Path) -> tuple[Edit, ...]:
    """The edits that words stand for, without the variants that change nothing. Raises UsageError as `load` does."""
    loaded = [load(word, variants) for word in words]
    return tuple(edit for edit in loaded if not isinstance(edit, Variant) or edit.replacements)


def digest(edits: Sequence[Edit]) -> str:
    """Hash of what the edits do, one after the other; empty for none."""
    return hashlib.sha256("\n".join(edit.digest for edit in edits).encode()).hexdigest() if edits else ""


def apply(edits: Sequence[Edit], tree: Path) -> Changes:
    """Apply edits to a tree of our own, one after the other.

    Raises UsageError where one does not fit, where they undo one another, and for a symbolic link that leads out of the
    tree.
    """
    before: dict[str, Content] = {}
    notes: list[str] = []
    for edit in edits:
        changes = edit.apply(tree)
        before = {**changes.before, **before}
        notes += changes.notes
        sources.check_links(tree, changes.before, edit.name)
    before = {file: old for file, old in before.items() if applying.content(tree / file) != old}
    if edits and not before:
        raise UsageError(f"{' and '.join(edit.name for edit in edits)}: all in all, this changes nothing")
    return Changes(before=before, notes=tuple(notes))


def carry(files: Sequence[str], edited: Path, tree: Path) -> None:
    """Bring files as they are in one tree into another one, gone ones too; their times become now, for make to see."""
    gone = [file for file in files if not (edited / file).is_symlink() and not (edited / file).is_file()]
    for file in gone:
        (tree / file).unlink(missing_ok=True)
    for file in sorted(set(files) - set(gone)):
        target = tree / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy(edited / file, target, follow_symlinks=False)
