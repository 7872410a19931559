"""Patches, read strictly: every line is a part of a change, or is known to be none. What applies them is git.

`git apply` and GNU patch skip whatever they do not take for a change: the diff of a merge, a context diff, a line too
many in a hunk, a file that ``diff -r`` only names. Here a text that they would half apply is refused in words, and only
the parts that were understood are handed on (docs/decisions/0020).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runner.builds import mails, prefixes
from runner.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One run of changed lines with its context."""

    line: int
    """Line of the patch that it starts at, from 1."""
    start: int
    """Line of the old file that it should be at, from 1; 0 for an empty old side."""
    old: tuple[bytes, ...]
    """The lines that must be there, without their newlines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a patch does to one file."""

    line: int
    """Line of the patch at which it starts, from 1."""
    old: str | None
    new: str | None
    """The file's names with their prefixes (``a/Lib/x.py``); None: /dev/null, or not said."""
    strip: int
    """How many leading folders of the names are not the file's, at least."""
    exactly: bool
    """No more either: the patch names the file without them too."""
    hunks: tuple[Hunk, ...]

    @property
    def name(self) -> str:
        """The file's name with its prefix, after the change where it has one."""
        return self.new or self.old or ""

    @property
    def changes_old(self) -> bool:
        """Whether there must be an old file. One that has no line may be there or not."""
        return self.old is not None and not (self.hunks and self.hunks[0].start == 0 and not self.hunks[0].old)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is applied at once: a whole patch, or one mail's."""

    label: str
    """What it is called in messages."""
    text: bytes
    """The changes alone, without the words around them."""
    changes: tuple[Change, ...]
    note: str = ""
    """What was done to the text to read it."""


_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_EXTENDED = re.compile(
    rb"(?:old mode|new mode|deleted file mode|new file mode|copy from|copy to|rename from|rename to|rename old"
    rb"|rename new|similarity index|dissimilarity index|index) "
)
_FOLDERS = re.compile(rb"diff (?!--git |-r [0-9a-f]{12}\b)-")
"""The line that diff puts before each of the files of two folders; hg has its own."""
_NO_FILE = re.compile(rb"^(?:---|\+\+\+) [^\n]*\t\((?:nonexistent|revision 0)\)$", re.MULTILINE)
"""How svn names a file that is not there."""
_EMPTY = (b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
          b"473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813")
"""git's hashes of an empty file."""
_CONVERTED = re.compile(
    rb"^(?:diff --git .*|(?:new|deleted) file mode \d+|(?:old|new) mode \d+|index [0-9a-f.]+(?: \d+)?"
    rb"|@@ -[\d,]+ \+[\d,]+ @@|--- [^\n]*\n\+\+\+ [^\n]*)\r$", re.MULTILINE
)
"""Lines of a patch itself that end in a carriage return."""
_REFUSED = tuple((re.compile(pattern), words) for pattern, words in (
    (rb"diff --(?:cc|combined) |@@@+ -",
     "the diff of a merge, which does not say how one source becomes another; make it against one parent: git diff "
     "PARENT MERGE"),
    (rb"\*{15}|\*\*\* \d+(?:,\d+)? \*{4}", "a context diff; make a unified one: diff -u"),
    (rb"\d+(?:,\d+)?[acd]\d+(?:,\d+)?\s*$", "a diff without context; make a unified one: diff -u"),
    (rb"\d+(?:,\d+)?[acd]\s*$|[acd]\d+ \d+\s*$", "an ed script; make a unified diff: diff -u"),
    (rb"Only in .+: ", "a file that is only named, because the diff was made without -N; its content is missing"),
    (rb"Common subdirectories: ", "a folder that was not looked into, because the diff was made without -r"),
    (rb"(?:Binary f|F)iles .+ and .+ differ\s*$",
     "a change that is only named, because it is not text; make the diff with: git diff --binary"),
    (rb"File .+ is a .+ while file .+ is a ", "a change that is only named: a file became something else"),
    (rb"Property changes on: ", "a change of Subversion's properties"),
    (rb"\x1b\[", "colours; make the diff with --no-color"),
    (rb"(?:Subproject commit|Submodule) ", "a change of a submodule"),
))
"""What is no unified diff, or not all of one; what follows is the end of a message."""


def parse(content: bytes, name: str) -> tuple[Piece, ...]:
    """Read a patch: what `git diff`, `git format-patch`, `diff -u`, hg and svn write; `name` is for messages.

    Raises UsageError, with the line, for a text that is torn, that has a change which could not be applied, and for one
    without any change.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{name} is UTF-16, as PowerShell writes it; make it with: git diff --output=FILE")
    pieces = []
    for text in mails.texts(content.removeprefix(b"\xef\xbb\xbf"), name):
        piece = _Reader(text).read()
        if piece is not None:
            pieces.append(piece)
    if not pieces:
        raise UsageError(f"{name} has no change in it: a unified diff has lines that start with ---, +++ and @@")
    return tuple(pieces)


class _Reader:
    """Goes through one text, line by line."""

    def __init__(self, text: mails.Text) -> None:
        content, self._note = text.content, ""
        if _CONVERTED.search(content):
            # As `git am` and GNU patch do: the patch's own lines never end so, hence something has converted it.
            content = content.replace(b"\r\n", b"\n")
            self._note = "its line ends are CRLF, and were read as LF"
        lines = content.split(b"\n")
        self._lines = [line + b"\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]
        self._label, self._first, self._at = text.label, text.first, 0
        self._announced: int | None = None  # the line that says that a file's change follows
        self._of_folders = not text.by_mail and any(_FOLDERS.match(line) for line in self._lines)
        self._behind_hunk = False  # where a line too many would be taken for words
        if text.by_mail:
            self._at = self._behind_message()

    def read(self) -> Piece | None:
        """The changes; None where there are none."""
        changes: list[Change] = []
        kept: list[bytes] = []
        while self._at < len(self._lines):
            if self._starts(self._at):
                start = self._at
                changes.append(self._change())
                kept += self._lines[start:self._at]
                self._announced, self._behind_hunk = None, bool(changes[-1].hunks)
            else:
                self._pass_over(self._lines[self._at], bool(changes))
                self._at += 1
        self._check_announced()
        return Piece(label=self._label, text=b"".join(kept), changes=tuple(changes), note=self._note) if kept else None

    def _pass_over(self, line: bytes, behind_change: bool) -> None:
        """See that a line that belongs to no change is none of a change."""
        for pattern, words in _REFUSED:
            if pattern.match(line):
                raise self._error(self._at, f"this is {words}")
        if line.startswith(b"*** ") and self._is(1, b"--- "):
            raise self._error(self._at, "this is a context diff; make a unified one: diff -u")
        if _HUNK.match(line):
            raise self._error(self._at, "a hunk without the --- and +++ lines that name its file")
        if line.startswith(b"GIT binary patch"):
            raise self._error(self._at, "a binary change without the diff --git line that names its file")
        if line.startswith((b"diff -", b"Index: ")) or (line.startswith(b"--- ") and self._is(1, b"+++ ")):
            if self._announced is None or not self._lines[self._announced].startswith(b"Index: "):
                self._check_announced()
            self._announced, self._behind_hunk = self._at, False
        elif line.rstrip() == b"--" or line.startswith((b"From ", b"commit ", b"# HG ", b"changeset: ")):
            self._behind_hunk = self._of_folders = False
        elif self._behind_hunk and line[:1] in (b"+", b"-", b" ", b"\\"):
            raise self._error(self._at, "this line follows a hunk that is complete by its @@ line: the numbers in that "
                                        "line are wrong, or something was added")
        elif self._of_folders and behind_change and line.strip():
            # Its words for a file that is in one folder only, or is not text, are in the user's language.
            raise self._error(self._at, "a diff of folders has no such line for a change; make it with: diff -urNa")

    def _check_announced(self) -> None:
        if self._announced is not None:
            raise self._error(self._announced, "this line announces a change of a file, and none follows: the patch is "
                                               "torn, or means an empty file, which only git's diffs can name")

    def _error(self, at: int, words: str) -> UsageError:
        return UsageError(f"{self._label}:{self._first + at}: {words}")

    def _is(self, ahead: int, start: bytes) -> bool:
        at = self._at + ahead
        return at < len(self._lines) and self._lines[at].startswith(start)

    def _starts(self, at: int) -> bool:
        """Whether a change starts here: by itself or under git's header."""
        lines = self._lines[at:at + 3]
        if len(lines) > 1 and lines[0].startswith(b"diff --git "):
            return bool(_EXTENDED.match(lines[1])) or lines[1].startswith(b"--- ")
        return (len(lines) == 3 and lines[0].startswith(b"--- ") and lines[1].startswith(b"+++ ")
                and lines[2].startswith(b"@@ -"))

    def _behind_message(self) -> int:
        """Where a mail's message ends: at its first line ``---``, unless a change stands before it."""
        for at, line in enumerate(self._lines):
            if self._starts(at):
                break
            if line.rstrip() == b"---":
                return at + 1
        return 0

    def _change(self) -> Change:
        """Read one file's change, which starts here."""
        first = self._at
        header: list[bytes] = []
        if self._lines[first].startswith(b"diff --git "):
            self._at += 1
            while self._at < len(self._lines) and _EXTENDED.match(self._lines[self._at]):
                header.append(self._lines[self._at].rstrip(b"\n"))
                self._at += 1
        if any(line.endswith(b" 160000") for line in header):
            raise self._error(first, "a change of a submodule cannot be applied")
        named = self._is(0, b"--- ") and self._is(1, b"+++ ")
        for at in range(self._at, self._at + 2 * named):
            self._lines[at] = _NO_FILE.sub(lambda found: found[0][:4] + b"/dev/null", self._lines[at])
        old, new = self._names(first, header, named)
        hunks: list[Hunk] = []
        if named:
            self._at += 2
            while self._at < len(self._lines) and self._lines[self._at].startswith(b"@@ -"):
                hunks.append(self._hunk())
            if not hunks:
                raise self._error(first, "this names a file, and no hunk follows: the patch is torn")
        elif self._is(0, b"GIT binary patch"):
            self._skip_binary()
        else:
            self._check_complete(first, header)
        strip, exactly = self._strip(first, old, new, header)
        return Change(line=self._first + first, old=old, new=new, strip=strip, exactly=exactly, hunks=tuple(hunks))

    def _hunk(self) -> Hunk:
        first = self._at
        match = _HUNK.match(self._lines[first])
        if match is None:
            raise self._error(first, "this is no complete @@ line")
        left = [int(group) if group is not None else 1 for group in match.groups()[1:]]
        old: list[bytes] = []
        self._at += 1
        while left[0] > 0 or left[1] > 0:
            line = self._lines[self._at] if self._at < len(self._lines) else b""
            kind = b" " if line == b"\n" else line[:1]  # some programs cut the blank of an empty line
            if kind not in (b" ", b"-", b"+", b"\\") or not line.endswith(b"\n"):
                raise self._error(self._at, f"the hunk that starts at line {self._first + first} is cut short")
            left[0] -= kind in b" -"
            left[1] -= kind in b" +"
            if kind in b" -":
                old.append(line[1:-1] if line != b"\n" else b"")
            self._at += 1
        if left != [0, 0]:
            raise self._error(first, "the hunk has more lines than its @@ line says")
        if self._is(0, b"\\"):
            self._at += 1
        return Hunk(line=self._first + first, start=int(match[1]), old=tuple(old))

    def _skip_binary(self) -> None:
        self._at += 1
        while self._is(0, b"literal ") or self._is(0, b"delta "):
            while self._at < len(self._lines) and self._lines[self._at].strip():
                self._at += 1
            self._at += 1

    def _check_complete(self, first: int, header: list[bytes]) -> None:
        """That git's header says by itself what is changed: a mode, a name, or an empty file."""
        if any(line.startswith((b"old mode ", b"rename from ", b"copy from ", b"rename old ")) for line in header):
            return
        side = 1 if any(line.startswith(b"new file mode ") for line in header) else 0
        made_or_gone = any(line.startswith((b"new file mode ", b"deleted file mode ")) for line in header)
        hashes = next((line[6:].split(b" ")[0].split(b"..") for line in header if line.startswith(b"index ")), [])
        if not made_or_gone or len(hashes) != 2 or not any(empty.startswith(hashes[side]) for empty in _EMPTY):
            for pattern, words in _REFUSED:
                if self._at < len(self._lines) and pattern.match(self._lines[self._at]):
                    raise self._error(self._at, f"this is {words}")
            raise self._error(first, "this names a file, and no change of it follows: the patch is torn")

    def _names(self, first: int, header: list[bytes], named: bool) -> tuple[str | None, str | None]:
        if named:
            old, new = (self._name(at, self._lines[at][4:]) for at in (self._at, self._at + 1))
        else:
            old, new = self._both(first, header)
            if any(line.startswith(b"new file mode ") for line in header):
                old = None
            if any(line.startswith(b"deleted file mode ") for line in header):
                new = None
        if old is None and new is None:
            raise self._error(first, "this names no file")
        # The file beside the one that is kept, as `diff -u x.c.orig x.c` has it.
        for ending in (".orig", ".old", ".bak", "~"):
            if old is not None and old == f"{new}{ending}":
                old = new
            if new is not None and new == f"{old}{ending}":
                new = old
        return old, new

    def _name(self, at: int, text: bytes) -> str | None:
        """A file's name from a --- or +++ line; None for /dev/null."""
        raw = text.rstrip(b"\r\n").split(b"\t")[0]
        name = prefixes.unquoted(raw) if raw.startswith(b'"') else raw
        return None if name == b"/dev/null" else self._safe(at, name)

    def _safe(self, at: int, name: bytes) -> str:
        path = name.decode("utf-8", "surrogateescape")
        parts = path.split("/")
        if not path or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
            raise self._error(at, f"{path!r} is not a path inside the source tree")
        return "/".join(part for part in parts if part)

    def _both(self, first: int, header: list[bytes]) -> tuple[str, str]:
        """Both names of a ``diff --git`` line, which may have spaces in them."""
        rest = self._lines[first][len(b"diff --git "):].rstrip(b"\r\n")
        renamed = prefixes.renamed(header)
        found: list[tuple[int, str, str]] = []
        for old, new in prefixes.splits(rest):
            pair = self._safe(first, old), self._safe(first, new)
            strip = prefixes.strip_to(*pair, *renamed) if renamed else prefixes.common(*pair)
            if strip is not None:
                found.append((strip, *pair))
        if not found:
            raise self._error(first, "the two names in this line do not agree")
        return min(found)[1:]

    def _strip(self, first: int, old: str | None, new: str | None, header: list[bytes]) -> tuple[int, bool]:
        """How many folders to strip at least, and whether that is known to be all."""
        renamed = prefixes.renamed(header)
        if renamed is not None and old is not None and new is not None:
            strip = prefixes.strip_to(old, new, *renamed)
        elif old is not None and new is not None:
            strip = prefixes.common(old, new)
        else:
            # One side is /dev/null: git's own line has both names, from which follows what is a prefix.
            line = self._lines[first]
            pair = self._both(first, header) if line.startswith(b"diff --git ") else None
            strip = prefixes.common(*pair) if pair is not None else 0
            if pair is None and (old or new or "").startswith("./"):
                strip = 1
        if strip is None:
            raise self._error(first, f"the names {old} and {new} do not agree")
        return strip, renamed is not None
