"""Numbers as people read them: times, sizes, ratios, durations. Scaling happens here and nowhere before."""

from __future__ import annotations

import math
import time

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_DECIMALS = 9
"""Decimals of a ratio at most."""


def value(number: float | None, unit: str, *, full: bool = False) -> str:
    """A measured value with its unit: ``7.10 ms``, ``16.0 MiB``, ``12 objects``; ``–`` for None.

    Times come in seconds, sizes in bytes; three significant digits. `full` gives a whole number to its last
    digit, for counts whose smallest difference matters.
    """
    if number is None or not math.isfinite(number):
        return "–"
    if full and float(number).is_integer():
        return f"{number:,.0f} {'B' if unit == 'bytes' else unit}".rstrip()
    if unit in ("s", "seconds"):
        return _scaled(number, _TIMES)
    if unit == "bytes":
        return _scaled(number, _SIZES) if abs(number) >= 1024 else f"{number:.0f} B"
    return f"{number:,.6g} {unit}".rstrip()


def sorting(**columns: float | None) -> dict[str, str]:
    """What columns of a page are sorted by: numbers to the last digit; empty where there is none, which sorts last."""
    return {
        name: "" if number is None or not math.isfinite(number) else repr(float(number))
        for name, number in columns.items()
    }


def _scaled(number: float, scales: tuple[tuple[float, str], ...]) -> str:
    for size, prefix in scales:
        # 0.9995 and above rounds to 1.00, which belongs to the larger unit.
        if abs(number) >= 0.9995 * size:
            return f"{_three(number / size)} {prefix}"
    size, prefix = scales[-1]
    return f"{_three(number / size)} {prefix}"


def _three(number: float) -> str:
    """Three significant digits without an exponent."""
    if number == 0:
        return "0"
    whole = math.floor(math.log10(abs(number)))
    if round(abs(number), 2 - whole) >= 10 ** (whole + 1):
        whole += 1
    return f"{number:,.{max(0, 2 - whole)}f}"


def factor(number: float, decimals: int = 0) -> str:
    """How many times, from 1 up: ``1.031x``, ``1.25x``, ``12.3x``, ``1,042x``; more digits near 1, and at least so many
    `decimals`. What is not 1 is not written as 1: ``1.0003x``."""
    if number >= 1e9:
        return f"{number:.0e}x"
    usual = 3 if number < 1.1 else 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{_beside_one(max(usual, decimals), number)}f}x"


def factors(number: float, low: float, high: float) -> tuple[str, str, str]:
    """A factor and the ends of its interval, each as `factor` has it, with decimals enough to see the interval."""
    width = high - low
    # Two in the last place at least from one end to the other.
    decimals = min(_DECIMALS, math.ceil(math.log10(2 / width))) if 0 < width < math.inf else 0
    return factor(number, decimals), factor(low, decimals), factor(high, decimals)


def ratio(number: float, low: float | None = None, high: float | None = None) -> str:
    """Head ÷ base with its interval: ``1.031 [1.024, 1.038]``, ``1/1,042 [1/1,060, 1/1,025]``.

    Below a tenth it is written as 1/n: a row of zeros hides the size of a change. An end that is not 1 is not written
    as 1, so that what is printed says on which side of 1 the interval lies; nor is a ratio that has none.
    """
    if low is None or high is None:
        return _plain(number, _beside_one(3, number))
    decimals = _beside_one(4 if 0 < high - low < 0.002 else 3, low, high)
    if low == high:
        return _plain(number, decimals)
    return f"{_plain(number, decimals)} [{_plain(low, decimals)}, {_plain(high, decimals)}]"


def _beside_one(decimals: int, *numbers: float) -> int:
    """So many decimals, or as many more as it takes to write none of the numbers as 1 that is not."""
    while decimals < _DECIMALS and any(number != 1 and round(number, decimals) == 1 for number in numbers):
        decimals += 1
    return decimals


def rounded(number: float, digits: int) -> float | None:
    """A ratio with so many significant digits, for pages that write it themselves; near 1 one less, and of its distance
    from 1, so that what is not 1 does not become 1. None for what is no number."""
    if not math.isfinite(number):
        return None
    if abs(number - 1) < 0.1:
        return round(1 + float(f"{number - 1:.{digits - 1}g}"), 12)
    return float(f"{number:.{digits}g}")


def _plain(number: float, decimals: int) -> str:
    if number <= 0:
        return "0"
    if number < 0.1:
        return f"1/{_times(1 / number)}"
    return f"{number:.{decimals}f}" if number < 10 else _times(number)


def _times(number: float) -> str:
    # The interval of very few blocks can reach anywhere.
    return f"{number:.0e}" if number >= 1e9 else f"{number:,.0f}" if number >= 1000 else _three(number)


def percent(share: float) -> str:
    """A fraction in percent: ``1 %``, ``2.5 %``."""
    return f"{100 * share:.3g} %"


def duration(seconds: float) -> str:
    """A stretch of time for people: ``0.4 s``, ``26 s``, ``6 min 12 s``, ``1 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def day(seconds: float) -> str:
    """A moment, in seconds since the epoch: ``2026-11-22 21:04``, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
