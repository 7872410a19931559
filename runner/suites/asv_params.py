"""How the parameters of asv benchmarks are read and named: one rule for the process that lists them and for those that
measure.

Both load this file by its path. Standard library only, Python 3.8 and later, PyPy too, and next to no imports: a worker
loads it for every benchmark that has parameters.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers take this name for typing's; importing typing costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LONGEST, BEGINNING = 100, 60
"""Characters of a name; of a longer one, how many are kept before its length and checksum."""
DEPTH = 4
"""Collections within collections whose values are looked at."""
UNSTEADY = ("<", "{", "np.")
"""What the text of a collection holds where it may differ between processes: an address, a set, a number of numpy's."""
STEERING = "\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""Line ends and marks of direction beyond ASCII."""
COLLECTIONS = (tuple, list, dict, set, frozenset)
HEX = "0123456789abcdefABCDEF"


def lists(params: Iterable[Any]) -> list[list[Any]]:
    """The values of each parameter, as asv_runner 0.3.2 reads ``params``: anything that `list` takes."""
    params = list(params)
    if params and not isinstance(params[0], (tuple, list)):
        return [params]
    return [list(values) for values in params]


def names(values: list[Any]) -> list[str]:
    """A name for each value of one parameter: distinct, printable, short, and the same in every process.

    A string is its own name; where it looks like another value, it has quotes. Values that read alike get numbers.
    Addresses are left out, and sets are sorted. Raises whatever the `repr` of a value raises.
    """
    return numbered(_texts(values))


def contents(values: list[Any]) -> list[int | None]:
    """For each value whose name is told from another's by number alone, a checksum of what it holds; else None."""
    texts = _texts(values)
    times = _times(texts)
    return [_content(value) if times[text] > 1 else None for value, text in zip(values, texts)]  # noqa: B905


def find(values: list[Any], wanted: str, content: int | None = None) -> Any:
    """The value of that name, wherever it is; `content`: as in `contents`, where that is the same in every process.

    Raises LookupError where there is none.
    """
    there = names(values)
    found = [values[there.index(wanted)]] if wanted in there else []
    if content is not None:
        text = wanted.rpartition(" (")[0]
        found += [value for value, other in zip(values, _texts(values)) if other == text]  # noqa: B905
        found = [value for value in found if _content(value) == content]
    if found:
        return found[0]
    listed = ", ".join(there[:5]) + ", …" * (len(there) > 5)
    raise LookupError("there is no parameter %s in this process, but %s" % (wanted, listed or "none at all"))


def name(value: Any) -> str:
    """The text of one value: printable, short, without addresses."""
    return short(str(value) if _is_text(value) else _told(value, DEPTH))


def short(text: str) -> str:
    """A text that can be printed; a long one as its beginning, length and checksum."""
    if len(text) <= LONGEST:
        return clean(text)
    from binascii import crc32

    checksum = crc32(text.encode("utf-8", "surrogatepass"))
    return "%s… (%d characters, crc %08x)" % (clean(text[:BEGINNING]), len(text), checksum)


def clean(text: str) -> str:
    """The text with escapes for what no line, terminal or file can hold: control characters, halves of characters."""
    # Not what `str.isprintable` says: that depends on the version's Unicode tables.
    if text.isascii() and text.isprintable():
        return text
    return "".join([c.encode("unicode_escape").decode() if _unfit(c) else c for c in text])


def _texts(values: list[Any]) -> list[str]:
    plain = [name(value) for value in values]
    if len(set(plain)) == len(plain):
        return plain
    return [_quoted(value) if _is_text(value) else text for value, text in zip(values, plain)]  # noqa: B905


def _content(value: Any) -> int:
    """Of a function its line, of an object its attributes, of a bound method those of the object."""
    from binascii import crc32

    code = getattr(value, "__code__", None)
    try:
        held = _told(dict(getattr(getattr(value, "__self__", value), "__dict__", {})), DEPTH)
    except Exception:
        held = ""
    return crc32(("%s %s" % (code and code.co_firstlineno, held)).encode("utf-8", "surrogatepass"))


def _times(texts: list[str]) -> dict[str, int]:
    times: dict[str, int] = {}
    for text in texts:
        times[text] = times.get(text, 0) + 1
    return times


def numbered(texts: list[str]) -> list[str]:
    """The same texts, those that are there several times with numbers, as asv gives them: ``x (0)``, ``x (1)``."""
    times, taken, following = _times(texts), set(texts), dict.fromkeys(texts, 0)
    told = []
    for text in texts:
        one = text
        while one in taken and times[text] > 1:
            one, following[text] = "%s (%d)" % (text, following[text]), following[text] + 1
        taken.add(one)
        told.append(one)
    return told


def _told(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is type(sys):
        return "<module %r>" % value.__name__  # its text has the path, which differs between the arms
    if kind.__module__ == "numpy" and getattr(value, "shape", None) == () and value.dtype.kind in "biufc":
        return str(value)  # its `repr` names the type, since numpy 2
    text = str.__repr__(value) if _is_text(value) else repr(value)
    # Beyond the first character, which is a dict's own: a large one of plain values is not gone through.
    if depth and kind in COLLECTIONS and (kind is set or any(mark in text[1:] for mark in UNSTEADY)):
        return _collection(value, depth - 1)
    first, *rest = text.split(" at 0x")
    text = first + "".join([part.lstrip(HEX) for part in rest])
    return " ".join(text.split()) if "\n" in text else text


def _collection(value: Any, depth: int) -> str:
    """The text of a collection with that of each value in it; sets are sorted, as their order means nothing."""
    if isinstance(value, dict):
        return "{%s}" % ", ".join(["%s: %s" % (_told(k, depth), _told(v, depth)) for k, v in value.items()])
    inside = [_told(one, depth) for one in value]
    if isinstance(value, list):
        return "[%s]" % ", ".join(inside)
    if isinstance(value, tuple):
        return "(%s%s)" % (", ".join(inside), "," * (len(inside) == 1))
    text = "{%s}" % ", ".join(sorted(inside)) if inside else ""
    return text if isinstance(value, set) and inside else "%s(%s)" % (type(value).__name__, text)


def _is_text(value: Any) -> bool:
    kind = type(value)
    return kind is str or (kind.__module__ == "numpy" and isinstance(value, str))


def _quoted(text: str) -> str:
    mark = '"' if "'" in text and '"' not in text else "'"
    if len(text) > LONGEST:
        return mark + short(text) + mark
    return mark + clean(text.replace("\\", "\\\\").replace(mark, "\\" + mark)) + mark


def _unfit(c: str) -> bool:
    return c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" or c in STEERING
