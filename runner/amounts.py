"""Amounts as people write them, on a command line or in a configuration: margins, times, sizes, CPUs, numbers."""

from __future__ import annotations

import re

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def margin(text: str) -> float:
    """``1%`` or ``0.01`` as a fraction above 0 and below 1. Raises ValueError with words for the user."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*(%?)\s*", text)
    try:
        found = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    except ValueError:
        found = -1.0
    if not 0 < found < 1:
        raise ValueError(f"{text!r} is not a margin; write a percentage such as 1% (or a fraction, 0.01).")
    return found


def seconds(text: str) -> float:
    """``90s``, ``10m``, ``1h30m``, ``30d`` in seconds, above 0. Raises ValueError with words for the user."""
    parts = re.findall(r"([0-9.]+)\s*([smhd])", text)
    try:
        found = sum(float(number) * UNITS[unit] for number, unit in parts)
    except ValueError:
        found = 0.0
    if found <= 0 or re.sub(r"[0-9.]+\s*[smhd]|\s", "", text):
        raise ValueError(f"{text!r} is not a time; write for example 90s, 10m or 1h30m.")
    return found


def size(text: str) -> int:
    """``4GiB``, ``800mb``, ``4096`` in bytes, above 0. Raises ValueError with words for the user."""
    match = re.fullmatch(r"([0-9.]+)\s*([kmg]?)(i?b)?", text.strip().lower())
    try:
        found = int(float(match[1]) * SIZES[match[2]]) if match else 0
    except ValueError:
        found = 0
    if found <= 0:
        raise ValueError(f"{text!r} is not a size; write for example 4GiB or 800MiB.")
    return found


def cpus(text: str) -> tuple[int, ...]:
    """``0-3,8`` as CPUs, ascending, one at least. Raises ValueError with words for the user."""
    found: set[int] = set()
    for part in text.split(","):
        # Four digits: Linux has CPUs up to 8191.
        match = re.fullmatch(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\s*", part)
        here = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not here:
            raise ValueError(f"{text!r} is not a set of CPUs; write for example 0-3 or 2,6.")
        found.update(here)
    return tuple(sorted(found))


def whole(text: str) -> int:
    """``3`` or ``-1``, of nine digits at most. Raises ValueError with words for the user."""
    if not re.fullmatch(r"\s*-?[0-9]{1,9}\s*", text):
        raise ValueError(f"{text!r} is not a whole number; write for example 3 or -1.")
    return int(text)


def as_margin(fraction: float) -> str:
    """A fraction as `margin` reads it, in percent to six digits: ``1%``."""
    return f"{100 * fraction:.6g}%"


def as_time(seconds: float) -> str:
    """Seconds as `seconds` reads them: ``90s``, ``10m``."""
    return f"{seconds / 60:g}m" if seconds >= 60 and not seconds % 60 else f"{seconds:g}s"
