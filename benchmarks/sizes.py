"""The sizes that the suite goes through, the batch for each, and data of a given size."""

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


def batch(size: str) -> range:
    """Return the range that a body of this size is repeated over."""
    return range(BATCH[size])
