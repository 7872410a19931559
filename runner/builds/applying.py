"""Patches applied by `git apply`, in a tree that is no repository: all of a piece, or nothing of it."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runner import shell
from runner.builds import git
from runner.builds.patches import Change, Hunk, Piece
from runner.errors import UsageError
from runner.owned import owned

PREFIXES = "abciow"
"""What git puts before names: ``a/`` and ``b/``, or the first letter of what is compared."""
_OFFSET = re.compile(
    r"^(?:Checking patch (?P<file>.+?)\.\.\.|Hunk #(?P<hunk>\d+) succeeded at \d+ \(offset (?P<by>-?\d+) )"
)
_FAILED = re.compile(r"^error: patch failed: (?P<file>.+):(?P<start>\d+)$", re.MULTILINE)
Content = tuple[int, bytes] | None
"""A file's mode and bytes, those of a symbolic link its target; None: there is none."""


def apply(pieces: Sequence[Piece], tree: Path) -> tuple[dict[str, Content], list[str]]:
    """Apply a patch to a tree of our own; what the files were before that it changed, and what is worth a word.

    Raises UsageError where git is missing, for a piece that does not fit or changes nothing, and for what would make
    line ends mixed. The tree is then as far as the pieces before it came, and of no use.
    """
    if shutil.which("git") is None:
        raise UsageError("a patch needs git, which is not installed; a variant does without (docs/builds.md)")
    first: dict[str, Content] = {}
    notes: list[str] = []
    for piece in pieces:
        strip = _strip(piece, tree)
        names = {_inner(name, strip) for change in piece.changes for name in (change.old, change.new) if name}
        before = {name: content(tree / name) for name in names}
        notes += [f"{piece.label}: {piece.note}"] if piece.note else []
        notes += _offsets(_run(piece, strip, tree, before), piece, strip, before)
        changed = {name: old for name, old in before.items() if content(tree / name) != old}
        if not changed:
            raise UsageError(f"{piece.label} changes nothing: every line that it takes out it puts back")
        _check_line_ends(changed, tree, piece.label)
        first = {**changed, **first}
    return first, notes


def content(path: Path) -> Content:
    """What a file is now."""
    if path.is_symlink():
        return 0o120000, os.fsencode(path.readlink())
    return (path.stat().st_mode & 0o111, path.read_bytes()) if path.is_file() else None


def _inner(name: str, strip: int) -> str:
    return name.split("/", strip)[-1]


def _strip(piece: Piece, tree: Path) -> int:
    """How many leading folders of the piece's names are not the files': one number for all, as for `patch -p`.

    The fewest that the names allow with which every file that must be there is there. Raises UsageError where there is
    no such number, or nothing that it could follow from.
    """
    least = max(change.strip for change in piece.changes)
    most = min(change.strip if change.exactly else change.name.count("/") for change in piece.changes)
    if least > most:
        raise UsageError(f"{piece.label}: the names of its files do not have one number of leading folders that are "
                         "not the source's; split it into patches of one kind")
    if least > 1 and any(change.exactly for change in piece.changes):
        raise UsageError(f"{piece.label}: git knows no renames and copies under prefixes of several folders; make the "
                         "patch with git diff's own prefixes a/ and b/")
    if not any(change.changes_old for change in piece.changes):
        return _strip_of_new(piece, tree, least, most)
    missing = {strip: _missing(piece, strip, tree) for strip in range(least, most + 1)}
    found = next((strip for strip, change in missing.items() if change is None), None)
    if found is None:
        prefixed = {change.name.split("/")[0] for change in piece.changes} <= set(PREFIXES)
        strip = 1 if least == 0 < most and prefixed else least
        change = missing[strip]
        assert change is not None
        assert change.old is not None
        _check_reverse(piece, strip, tree)
        raise UsageError(f"{piece.label}:{change.line}: the source has no file {_inner(change.old, strip)}")
    return found


def _missing(piece: Piece, strip: int, tree: Path) -> Change | None:
    """The first change whose file is not there, nor made by the changes before it."""
    there: set[str] = set()
    for change in piece.changes:
        old = _inner(change.old, strip) if change.changes_old and change.old else None
        if old is not None and old not in there and not os.path.lexists(tree / old):
            return change
        there |= {_inner(change.new, strip)} if change.new else set()
    return None


def _strip_of_new(piece: Piece, tree: Path, least: int, most: int) -> int:
    """The same for a piece that only makes files, which no file of the source tells."""
    if least:  # both names were there, and differ in what comes before the file's
        return least
    tops = {change.name.split("/")[0] for change in piece.changes if "/" in change.name}
    if most and tops <= set(PREFIXES) and not any((tree / top).exists() for top in tops):
        return 1
    if all((tree / top).is_dir() for top in tops):
        return 0
    name = piece.changes[0].name
    raise UsageError(f"{piece.label}:{piece.changes[0].line}: which folder {name!r} is to be made in cannot be told: "
                     f"the source has no {', '.join(sorted(tops))}; make the patch with prefixes a/ and b/, git's own")


def _run(piece: Piece, strip: int, tree: Path, before: Mapping[str, Content]) -> str:
    result = _git(piece, strip, tree)
    errors = [line.removeprefix("error: ") for line in result.output.splitlines() if line.startswith("error: ")]
    applied = len(re.findall(r"^Checking patch ", result.output, re.MULTILINE))
    if result.code == 0 and not errors and applied == len(piece.changes):
        return result.output
    if result.code == 0:  # a change that git cannot read is an end to it, and not an error
        said = "; ".join(errors) or f"{applied} of {len(piece.changes)} changes were read"
        raise UsageError(f"{piece.label} cannot be applied as a whole; git says: {said}")
    _check_reverse(piece, strip, tree)
    failed = _FAILED.search(result.output)
    if failed is not None:
        for change, hunk in _hunks(piece):
            if hunk.start == int(failed["start"]) and failed["file"] in {
                _inner(name, strip) for name in (change.old, change.new) if name
            }:
                raise UsageError(_misfit(hunk, failed["file"], before.get(failed["file"]), piece.label))
    raise UsageError(f"{piece.label} cannot be applied; git says: {'; '.join(errors)}")


def _check_reverse(piece: Piece, strip: int, tree: Path) -> None:
    """Raises UsageError where a piece that does not fit fits the other way round."""
    if _git(piece, strip, tree, "--reverse", "--check").code == 0:
        raise UsageError(f"{piece.label} does not fit, but fits in reverse: the source has what it changes already, "
                         "or it was made the wrong way round")


def _git(piece: Piece, strip: int, tree: Path, *words: str) -> shell.Result:
    # Outside of any repository, whatever the cache lies in: inside of one, git passes over what is not below it.
    with owned("lockstep-patch-") as place:
        patch = place / "patch"
        patch.write_bytes(piece.text)
        result = shell.run(
            ["git", "apply", "--verbose", "--whitespace=nowarn", f"-p{strip}", *words, patch], cwd=tree, env={
                **git.environment(), "GIT_DIR": os.devnull, "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
            })
    return dataclasses.replace(result, output=result.output.replace(str(patch), piece.label))


def _hunks(piece: Piece) -> Iterator[tuple[Change, Hunk]]:
    for change in piece.changes:
        for hunk in change.hunks:
            yield change, hunk


def _misfit(hunk: Hunk, file: str, now: Content, label: str) -> str:
    lines = now[1].split(b"\n") if now is not None else []
    if lines and not lines[-1]:
        lines.pop()
    there = lines[max(hunk.start - 1, 0):][:len(hunk.old)]
    pairs = zip(hunk.old, [*there, *[None] * len(hunk.old)], strict=False)
    wanted, found = next(((a, b) for a, b in pairs if a != b), (b"", b""))
    ends = (wanted + b"\r" == found) or (found is not None and found + b"\r" == wanted)

    def show(line: bytes | None) -> str:
        return "nothing more" if line is None else repr(line.decode("utf-8", "replace"))

    return (
        f"{label}:{hunk.line}: this hunk does not fit at {file}:{max(hunk.start, 1)}, nor anywhere else in the file:"
        f" the patch has {show(wanted)} where the source has {show(found)}."
        + (" They differ in their line ends." if ends else " The patch was made for another version.")
        + ("" if len(hunk.old) > 1 or hunk.start <= 1 else " It has no lines of context (-U0), which git needs.")
    )


def _offsets(output: str, piece: Piece, strip: int, before: Mapping[str, Content]) -> Iterator[str]:
    """A sentence for each file whose hunks lie elsewhere than the patch says."""
    far: dict[str, list[tuple[int, int]]] = {}
    file = ""
    for line in output.splitlines():
        match = _OFFSET.match(line)
        if match is not None and match["file"] is not None:
            file = match["file"]
        elif match is not None:
            far.setdefault(file, []).append((int(match["hunk"]), int(match["by"])))
    for file, found in far.items():
        number, by = max(found, key=lambda pair: abs(pair[1]))
        hunks = [hunk for change, hunk in _hunks(piece) if _inner(change.name, strip) == file]
        counts = (_places(hunks[n - 1], before[file]) for n, _ in found if file in before and n <= len(hunks))
        places = max(counts, default=1)
        yield (
            f"{piece.label}: hunk {number} of {file} was found {abs(by)} lines {'down' if by > 0 else 'up'} from where "
            "it says" + (f" ({len(found)} of its hunks lie elsewhere)" if len(found) > 1 else "")
            + (f", and one of them fits at {places} places, of which the nearest was taken" if places > 1 else "")
        )


def _places(hunk: Hunk, now: Content) -> int:
    lines = [] if now is None else now[1].split(b"\n")
    size = len(hunk.old)
    return sum(tuple(lines[at:at + size]) == hunk.old for at in range(len(lines) - size + 1))


def _check_line_ends(changed: Mapping[str, Content], tree: Path, label: str) -> None:
    for name, old in changed.items():
        new = content(tree / name)
        if old is not None and new is not None and not _mixed(old[1]) and _mixed(new[1]):
            raise UsageError(f"{label} would give {name} line ends of both kinds, LF and CRLF: something has converted "
                             "the patch; make it anew")


def _mixed(text: bytes) -> bool:
    ended = text.count(b"\r\n")
    return 0 < ended < text.count(b"\n") and b"\0" not in text
