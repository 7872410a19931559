"""Edits to a source tree: find-and-replace variants in TOML, and unified diffs.

An edit never writes. It reads files through a function and returns the files' new contents, so that
a bad edit is found before anything is compiled.

Format of a variant, version 1: ``title`` and ``description`` (text), and one or more ``[[edit]]`` with
``file`` (relative to the source's root), ``find`` (must occur exactly once) and ``replace``; or ``edit = []``, for
a name that means the source as it is.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from runner.builds import patches
from runner.errors import UsageError

Read = Callable[[str], bytes | None]
"""Contents of a file, by its path relative to the source's root; None where there is no such file."""
Contents = dict[str, bytes | None]
"""New contents by relative path; None: the file is deleted."""


class Edit(Protocol):
    """A variant or a patch, ready to be applied."""

    @property
    def name(self) -> str: ...  # as the user gave it
    @property
    def digest(self) -> str: ...  # of what it does, not of its comments
    def apply(self, read: Read) -> Contents: ...  # raises UsageError where it does not fit


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

    def apply(self, read: Read) -> Contents:
        """New contents of the files. Raises UsageError for a text that is not there exactly once."""
        done: Contents = {}
        for change in self.replacements:
            old = done.get(change.file) or read(change.file)
            if old is None:
                raise UsageError(f"variant {self.name}: the source has no file {change.file} ({self.path})")
            find = change.find.encode()
            count = old.count(find)
            if count != 1:
                what = "is not in" if count == 0 else f"is {count} times in"
                raise UsageError(
                    f"variant {self.name}: this text {what} {change.file}, and must be there exactly once"
                    f" (see {self.path}):\n{change.find}"
                )
            done[change.file] = old.replace(find, change.replace.encode())
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A user's unified diff."""

    name: str
    path: Path
    digest: str
    files: tuple[patches.FilePatch, ...]

    def apply(self, read: Read) -> Contents:
        """New contents of the files. Raises UsageError for a hunk that does not fit."""
        return patches.apply(self.files, read, self.name)


def read_variant(path: Path, name: str) -> Variant:
    """Read a variant's TOML file. Raises UsageError for a file that is not one."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a variant: {error}") from error
    tables = data.get("edit")
    if not isinstance(tables, list):
        raise UsageError(f"{path} has no [[edit]] with file, find and replace (see docs/builds.md)")
    return Variant(
        name=name, path=path, title=str(data.get("title", name)),
        replacements=tuple(_replacement(path, number, table) for number, table in enumerate(tables, 1)),
    )


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
    path = Path(word).expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {word}: {error.strerror}") from error
    if path.suffix == ".toml":
        return read_variant(path, word)
    return Patch(
        name=word, path=path, digest=hashlib.sha256(content).hexdigest(), files=patches.parse(content, word)
    )


def load_all(words: Sequence[str], variants: Path) -> tuple[Edit, ...]:
    """The edits that words stand for, without the variants that change nothing. Raises UsageError as `load` does."""
    loaded = [load(word, variants) for word in words]
    return tuple(edit for edit in loaded if not isinstance(edit, Variant) or edit.replacements)


def digest(edits: Sequence[Edit]) -> str:
    """Hash of what the edits do, one after the other; empty for none."""
    return hashlib.sha256("\n".join(edit.digest for edit in edits).encode()).hexdigest() if edits else ""


def apply(edits: Sequence[Edit], tree: Path) -> Contents:
    """What the edits, one after the other, make of a source tree, which is only read."""
    done: Contents = {}

    def read(file: str) -> bytes | None:
        if file in done:
            return done[file]
        path = tree / file
        return path.read_bytes() if path.is_file() else None

    for edit in edits:
        done.update(edit.apply(read))
    return done


def write(contents: Mapping[str, bytes | None], tree: Path) -> None:
    """Put new contents into a tree. Modes are kept; modification times become now, so that make sees them."""
    for file, content in contents.items():
        path = tree / file
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
