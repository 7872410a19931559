"""The sizes that the suite goes through, the batch for each, and data of a given size."""

from typing import Any, Callable, Tuple

SIZES = {
    "0B": 0,
    "64B": 64,
    "4KiB": 4 * 1024,
    "64KiB": 64 * 1024,
    "1MiB": 1024 * 1024,
    "16MiB": 16 * 1024 * 1024,
}

BATCH = {"0B": 256, "64B": 256, "4KiB": 256, "64KiB": 256, "1MiB": 16, "16MiB": 1}
"""How often a body runs in one timed call: 20 µs to 3 ms in all where the body makes one copy."""

PLACES, PAGE = 16, 4096

LINE = b"word" * 19 + b"\n"
"""The line of the founding issue: 77 bytes."""


def blob(size: str) -> bytes:
    """Return `bytes` of a named size, every page of them written, so that copying them reads real memory.

    `bytes(n)` would not do: the kernel serves its untouched pages from one page of zeros.
    """
    return b"x" * SIZES[size]


def lines(size: str, line: bytes = LINE) -> bytes:
    """Return as many whole lines as fit into a named size."""
    return line * (SIZES[size] // len(line))


def copies(size: str, make: Callable[[bytes], Any] = bytes) -> Tuple[Any, ...]:
    """Return what a body of this size is repeated over where it copies the data: equal buffers in several places.

    How fast a copy is depends on where its source and its target lie within a page, by up to a factor of two for
    64 KiB. In a process that is a matter of luck and stays as it is, so one buffer would measure luck; eight
    that lie an eighth of a page apart measure the mean. Larger buffers begin at one place in a page by themselves.
    """
    if size not in ("4KiB", "64KiB"):
        return (make(blob(size)),) * BATCH[size]
    buffers, gaps = [], []
    for _ in range(PLACES):
        buffers.append(make(blob(size)))
        gaps.append(b"x" * (PAGE // PLACES))
    return tuple(buffers) * (BATCH[size] // PLACES)


def batch(size: str) -> range:
    """Return the range that a body of this size is repeated over."""
    return range(BATCH[size])
