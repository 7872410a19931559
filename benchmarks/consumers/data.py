"""What the consumers work on, the same in every process and under every version, and how they ask for modules."""

from typing import Any, List, Tuple

from ..sizes import SIZES

WORDS = (
    b"the", b"of", b"and", b"to", b"in", b"that", b"is", b"was", b"for", b"with", b"buffer", b"bytes", b"memory",
    b"object", b"shared", b"copied", b"written", b"reading", b"interpreter", b"construction", b"a", b"it", b"as",
    b"on", b"be", b"at", b"by", b"this", b"had", b"not", b"are", b"but", b"from", b"or", b"have", b"an", b"they",
    b"which", b"one", b"you", b"were", b"all", b"her", b"she", b"there", b"would", b"their", b"we", b"him", b"been",
    b"has", b"when", b"who", b"will", b"no", b"more", b"if", b"out", b"so", b"up", b"said", b"what", b"its", b"about",
)
A_LINE = 14
"""Words of a line of `text`: 66 characters on average."""
ROWS = 1000


def noise(count: int) -> bytes:
    """Return so many bytes without a pattern, always the same."""
    import hashlib

    return hashlib.shake_256(b"consumers").digest(count)


def text(size: str) -> bytes:
    """Return ASCII text of a named size in lines, the last one cut off; as other text, it compresses well."""
    count = SIZES[size]
    words = [WORDS[byte % len(WORDS)] for byte in noise(count // 4)]
    lines = [b" ".join(words[at:at + A_LINE]) for at in range(0, len(words), A_LINE)]
    return b"\n".join(lines)[:count]


def rows() -> List[Tuple[int, str, float]]:
    """Return `ROWS` records: a number, a word, and a fraction that is short in decimals."""
    drawn = noise(2 * ROWS)
    return [
        (number, WORDS[drawn[2 * number] % len(WORDS)].decode(), drawn[2 * number + 1] / 16) for number in range(ROWS)
    ]


def needed(name: str) -> Any:
    """Return a module. One that cannot be imported makes the benchmark skip itself, by NotImplementedError."""
    try:
        return __import__(name, fromlist=["_"])
    except ImportError as error:
        raise NotImplementedError("it needs %s, which cannot be imported here: %s" % (name, error)) from None
