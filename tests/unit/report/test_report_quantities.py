from __future__ import annotations

import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.report import quantities


@pytest.mark.parametrize(("number", "unit", "text"), [
    (7.1e-3, "s", "7.10 ms"), (80e-9, "s", "80.0 ns"), (164.2e-6, "s", "164 µs"), (1.2, "s", "1.20 s"),
    (0.9996, "s", "1.00 s"), (999.6e-6, "s", "1.00 ms"), (3e-10, "s", "0.300 ns"), (0.0, "s", "0 ns"),
    (120, "bytes", "120 B"), (2**24, "bytes", "16.0 MiB"), (1023, "bytes", "1023 B"), (1536, "bytes", "1.50 KiB"),
    (12, "objects", "12 objects"), (0.5, "", "0.5"), (None, "s", "–"), (math.nan, "s", "–"), (math.inf, "bytes", "–"),
])
def test_values_are_scaled_to_three_digits(number: float | None, unit: str, text: str) -> None:
    assert quantities.value(number, unit) == text


def test_a_full_count_keeps_its_last_digit() -> None:
    assert quantities.value(16777337.0, "bytes", full=True) == "16,777,337 B"


@given(st.floats(1e-12, 1e6))
def test_a_printed_time_is_within_half_a_percent_of_the_time(seconds: float) -> None:
    number, unit = quantities.value(seconds, "s").split()
    scale = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert float(number.replace(",", "")) * scale == pytest.approx(seconds, rel=0.0051)
    assert "e" not in number


@pytest.mark.parametrize(("number", "text"), [
    (1.031, "1.031x"), (1.25, "1.25x"), (12.34, "12.3x"), (1042.4, "1,042x"), (3e12, "3e+12x"),
    (1.0, "1.000x"), (1.0003, "1.0003x"), (1.00004, "1.00004x"), (1 + 1e-12, "1.000000000x"),
])
def test_factors_have_more_digits_near_one(number: float, text: str) -> None:
    assert quantities.factor(number) == text


@pytest.mark.parametrize(("numbers", "text"), [
    ((1.031, 1.024, 1.038), "1.031 [1.024, 1.038]"),
    ((1.0, 0.9995, 1.0005), "1.0000 [0.9995, 1.0005]"),
    ((1.005, 1.0003, 1.0097), "1.0050 [1.0003, 1.0097]"), ((0.99, 0.98, 0.99996), "0.99000 [0.98000, 0.99996]"),
    ((1.001, 1.0, 1.003), "1.001 [1.000, 1.003]"), ((1.0003, 1.0003, 1.0003), "1.0003"),
    ((1 / 1042, 1 / 1060, 1 / 1025), "1/1,042 [1/1,060, 1/1,025]"),
    ((0.0, 0.0, 0.0), "0"), ((12.3, None, None), "12.3"), ((1.0, 1e-200, 1e304), "1.000 [1/1e+200, 1e+304]"),
])
def test_ratios(numbers: tuple[float, float | None, float | None], text: str) -> None:
    assert quantities.ratio(*numbers) == text


@given(st.floats(-0.01, 0.01), st.floats(0, 0.01))
def test_what_is_printed_lies_on_its_side_of_one(log: float, width: float) -> None:
    ends = math.exp(log), math.exp(log + width)
    assume(all(end == 1 or abs(end - 1) > 1e-8 for end in ends))
    printed = [float(text) for text in re.findall(r"[\d.]+", quantities.ratio(math.exp(log + width / 2), *ends))]
    shown = printed[1:] if len(printed) == 3 else printed * 2
    assert [(end > 1, end < 1) for end in shown] == [(end > 1, end < 1) for end in ends]


@given(st.floats(-700, 700), st.floats(0, 5))
def test_a_ratio_is_never_long(log: float, half: float) -> None:
    low, high = (math.exp(max(-700.0, min(700.0, log + d))) for d in (-half, half))
    assert len(quantities.ratio(math.exp(log), low, high)) <= 44


@pytest.mark.parametrize(("seconds", "text"), [
    (0.44, "0.4 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (372, "6 min 12 s"), (3900, "1 h 05 min"),
])
def test_durations(seconds: float, text: str) -> None:
    assert quantities.duration(seconds) == text


@given(st.floats(-11, 11), st.sampled_from([5, 6]))
def test_what_is_rounded_is_written_as_what_it_was(log: float, digits: int) -> None:
    """To the third digit; and what is not 1 stays so, as far as it is written."""
    number = 10 ** log
    assume(number == 1 or abs(number - 1) > 1e-9)
    rounded = quantities.rounded(number, digits)
    assert rounded == pytest.approx(number, rel=10 ** (1.0 - digits))
    assert (quantities.ratio(rounded) == "1.000") is (quantities.ratio(number) == "1.000")


@pytest.mark.parametrize(("number", "rounded"), [
    (1.0, 1.0), (1.00004123456, 1.00004123), (0.99999912, 0.99999912), (1.0312444, 1.031244), (12.345678, 12.3457),
])
def test_six_digits_of_the_distance_from_one(number: float, rounded: float) -> None:
    assert quantities.rounded(number, 6) == pytest.approx(rounded, rel=1e-8)
