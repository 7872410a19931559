"""Unified diffs, as `git diff` and `diff -u` write them: read and applied, strictly.

whatthepatch was tried and rejected: it drops the rest of a line after a form feed (CPython's sources
have them), forgets a missing newline at the end of a file, and accepts no offset. `patch` and
`git apply` need not be installed, and neither names the patch's own line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from runner.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One run of changed lines with its context. Lines keep their newline characters."""

    number: int
    """Line of the patch that the hunk starts at, from 1."""
    start: int
    """Line of the old file that it should be at, from 1; 0 for an empty old side."""
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePatch:
    """All hunks for one file. An empty name stands for /dev/null."""

    number: int
    """Line of the patch at which the file's part starts, from 1."""
    old: str
    new: str
    hunks: tuple[Hunk, ...]


_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_REFUSED = {
    b"GIT binary patch": "a binary change",
    b"rename from ": "a rename (make the diff with --no-renames)",
    b"copy from ": "a copy (make the diff with --no-renames)",
}


def parse(content: bytes, name: str) -> tuple[FilePatch, ...]:
    """Read a unified diff; text before, between and after its parts is skipped.

    `name` is for messages. Raises UsageError, with the line, for a diff that is torn or has a change
    that is not text, and for one without any change.
    """
    lines = content.splitlines(keepends=True) if b"\r" not in content else content.split(b"\n")
    if b"\r" in content:  # splitlines would take a lone \r for an end of line
        lines = [line + b"\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]
    files: list[FilePatch] = []
    at = 0
    while at < len(lines):
        for start, words in _REFUSED.items():
            if lines[at].startswith(start):
                raise UsageError(f"{name}:{at + 1}: {words} cannot be applied; only changes of text can")
        if lines[at].startswith(b"--- ") and at + 1 < len(lines) and lines[at + 1].startswith(b"+++ "):
            file, at = _file(lines, at, name)
            files.append(file)
        elif _HUNK.match(lines[at]):
            raise UsageError(f"{name}:{at + 1}: a hunk without the --- and +++ lines that name its file")
        else:
            at += 1
    if not files:
        raise UsageError(f"{name} has no change in it: a unified diff has lines that start with ---, +++ and @@")
    return tuple(files)


def _file(lines: list[bytes], at: int, name: str) -> tuple[FilePatch, int]:
    first = at
    old, new = (_path(line, name, at + 1) for line in lines[at:at + 2])
    at += 2
    hunks: list[Hunk] = []
    while at < len(lines) and (match := _HUNK.match(lines[at])):
        counts = [int(group) if group is not None else 1 for group in match.groups()[1:]]
        hunk, at = _hunk(lines, at, int(match[1]), (counts[0], counts[1]), name)
        hunks.append(hunk)
    return FilePatch(number=first + 1, old=old, new=new, hunks=tuple(hunks)), at


def _hunk(
    lines: list[bytes], at: int, start: int, counts: tuple[int, int], name: str
) -> tuple[Hunk, int]:
    number = at + 1
    old: list[bytes] = []
    new: list[bytes] = []
    at += 1
    while len(old) < counts[0] or len(new) < counts[1]:
        # Some editors and mail programs cut the blank of an empty context line.
        line = lines[at] if at < len(lines) else b""
        kind, rest = (b" ", line) if line in (b"\n", b"\r\n") else (line[:1], line[1:])
        if kind not in (b" ", b"-", b"+"):
            if kind != b"\\":
                raise UsageError(f"{name}:{at + 1}: the hunk that starts at line {number} is cut short")
            _cut_newline(lines[at - 1], old, new)
            at += 1
            continue
        if kind in b" -":
            old.append(rest)
        if kind in b" +":
            new.append(rest)
        at += 1
    if len(old) > counts[0] or len(new) > counts[1]:
        raise UsageError(f"{name}:{number}: the hunk has more lines than its @@ line says")
    if at < len(lines) and lines[at].startswith(b"\\"):
        _cut_newline(lines[at - 1], old, new)
        at += 1
    return Hunk(number=number, start=start, old=tuple(old), new=tuple(new)), at


def _cut_newline(before: bytes, old: list[bytes], new: list[bytes]) -> None:
    # "\ No newline at end of file" speaks of the line before it.
    if before[:1] in b" -" and old:
        old[-1] = old[-1].removesuffix(b"\n")
    if before[:1] in b" +" and new:
        new[-1] = new[-1].removesuffix(b"\n")


def _path(line: bytes, name: str, number: int) -> str:
    text = line[4:].decode("utf-8", "surrogateescape").rstrip("\r\n").split("\t")[0]
    if text == "/dev/null":
        return ""
    path = PurePosixPath(text)
    if not text or text.startswith('"') or path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{name}:{number}: {text!r} is not a path inside the source tree")
    return str(path)


def apply(
    files: Sequence[FilePatch], read: Callable[[str], bytes | None], name: str
) -> dict[str, bytes | None]:
    """New contents by path; None: deleted. Each hunk goes to the nearest place where all its lines match.

    Raises UsageError that names the patch's line and the target's for a hunk that fits nowhere.
    """
    done: dict[str, bytes | None] = {}
    for part in files:
        target, content = _target(part, lambda file: done[file] if file in done else read(file))
        if content is None and part.old:
            raise UsageError(f"{name}:{part.number}: the source has no file {target}")
        if content is not None and not part.old:
            raise UsageError(f"{name}:{part.number}: {target} is to be made, but the source has it already")
        done[target] = _patched(part, content or b"", target, name) if part.new else None
    return done


def _target(part: FilePatch, read: Callable[[str], bytes | None]) -> tuple[str, bytes | None]:
    """The file meant, and its content: the name as it stands, or without its first folder (a/, b/)."""
    path = part.new or part.old
    inner = str(PurePosixPath(*PurePosixPath(path).parts[1:])) if "/" in path else path
    prefix = path.split("/")[0]
    if not part.old:
        target = inner if prefix == "b" else path
        return target, read(target)
    for target in (inner, path):
        content = read(target)
        if content is not None:
            return target, content
    return (inner if prefix in ("a", "b") else path), None


def _patched(part: FilePatch, content: bytes, target: str, name: str) -> bytes:
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    if not lines[-1]:
        lines.pop()
    shift = 0
    floor = 0  # hunks keep their order and do not overlap
    for hunk in part.hunks:
        wanted = max(hunk.start - 1, 0) + shift + (0 if hunk.old else min(hunk.start, 1))
        place = _find(lines, hunk.old, wanted, floor)
        if place is None:
            first = min(max(wanted, 0) + 1, len(lines) + 1)
            raise UsageError(_misfit(hunk, lines, wanted, f"{target}:{first}", name))
        lines[place:place + len(hunk.old)] = hunk.new
        shift = place - wanted + shift + len(hunk.new) - len(hunk.old)
        floor = place + len(hunk.new)
    return b"".join(lines)


def _find(lines: list[bytes], old: tuple[bytes, ...], wanted: int, floor: int) -> int | None:
    last = len(lines) - len(old)
    if not old:
        return min(max(wanted, floor), len(lines))
    for distance in range(len(lines) + 1):
        for place in (wanted - distance, wanted + distance):
            if floor <= place <= last and tuple(lines[place:place + len(old)]) == old:
                return place
    return None


def _misfit(hunk: Hunk, lines: list[bytes], wanted: int, where: str, name: str) -> str:
    there = lines[wanted:wanted + len(hunk.old)] if wanted >= 0 else []
    pairs = zip(hunk.old, [*there, *[b""] * len(hunk.old)], strict=False)
    expected, found = next(((a, b) for a, b in pairs if a != b), (b"", b""))

    def show(line: bytes) -> str:
        return repr(line.decode("utf-8", "replace").rstrip("\n"))

    return (
        f"{name}:{hunk.number}: this hunk does not fit at {where}, nor anywhere else in the file: the patch"
        f" has {show(expected)} where the source has {show(found) if found else 'nothing more'}."
        " The patch was made for another version."
    )
