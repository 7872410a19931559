"""Names in patches: quotes undone, and what comes before a file's own name told from it."""

from __future__ import annotations

import re
from collections.abc import Iterator


def unquoted(text: bytes) -> bytes:
    """A name that git or diff has put into quotes, with C's escapes."""
    inner = text[1:text.rfind(b'"')]
    known = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}

    def plain(match: re.Match[bytes]) -> bytes:
        said = match[1]
        return bytes([int(said, 8) & 255]) if said.isdigit() else known.get(said, said)

    return re.sub(rb"\\([0-7]{3}|.)", plain, inner)


def splits(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All pairs of names that a ``diff --git`` line may stand for."""
    quoted = rb'"(?:[^"\\]|\\.)*"'
    for match in re.finditer(rb" ", rest):
        sides = rest[:match.start()], rest[match.end():]
        if all(side and (not side.startswith(b'"') or re.fullmatch(quoted, side)) for side in sides):
            old, new = (unquoted(side) if side.startswith(b'"') else side for side in sides)
            yield old, new


def renamed(header: list[bytes]) -> tuple[str, str] | None:
    """Both names of a rename or a copy, without prefixes."""
    found = {}
    for line in header:
        for side, starts in (("from", (b"rename from ", b"copy from ")), ("to", (b"rename to ", b"copy to "))):
            for start in starts:
                if line.startswith(start):
                    raw = line[len(start):]
                    name = unquoted(raw) if raw.startswith(b'"') else raw
                    found[side] = name.decode("utf-8", "surrogateescape")
    return (found["from"], found["to"]) if len(found) == 2 else None


def common(old: str, new: str) -> int | None:
    """The fewest leading folders without which both names are the same; None: they never are."""
    one, other = old.split("/"), new.split("/")
    if len(one) != len(other):
        return None
    least = 1 if one[0] == other[0] == "." else 0
    return next((strip for strip in range(least, len(one)) if one[strip:] == other[strip:]), None)


def strip_to(old: str, new: str, plain_old: str, plain_new: str) -> int | None:
    """How many leading folders both names have more than they should; None where they do not end so."""
    one = old.count("/") - plain_old.count("/")
    fits = one >= 0 and old.split("/", one)[-1] == plain_old and new.split("/", one)[-1] == plain_new
    return one if fits and new.count("/") - plain_new.count("/") == one else None
