"""The line that is shown while measuring."""

from __future__ import annotations

import pytest
from samples import answer, benchmark, block

from runner.cli.terminal import _clock, measuring
from runner.measuring.plan import Plan
from runner.model import BlockKind, Cause, Metric


def plan(*log_ratios: float, fails: bool | Cause = False) -> Plan:
    """Two tracked values; the first of them measured so far."""
    made = Plan([benchmark("work.track_a", Metric.TRACK)], seed=1, margin=0.01, budget=None)
    for log_ratio in log_ratios:
        spec = made.next()
        assert spec is not None
        made.observe(answer(spec, log_ratio=log_ratio, fails=fails))
    return made


def line(made: Plan) -> str:
    return measuring(made, made.progress["work.track_a"])


def test_blocks_interval_and_what_is_settled_are_told() -> None:
    assert line(plan(0.5)).startswith("0 of 1 settled, about 0:00 left · work.track_a: 1 blocks")
    assert "6 blocks, head/base" in line(plan(*[0.5, 0.9] * 3))
    assert "-9.52 % to -9.52 %" in line(plan(-0.1, -0.1, -0.1))
    assert line(plan(-0.1, -0.1, -0.1)).startswith("1 of 1 settled")
    assert line(plan(0.0, fails=True)) == "1 of 1 settled, about 0:00 left · work.track_a: failed"
    assert line(plan(0.0, fails=Cause.SKIPPED)) == "1 of 1 settled, about 0:00 left · work.track_a: skipped"


def test_a_budget_that_is_too_short_is_told_with_what_it_is_good_for() -> None:
    suite = [benchmark(f"work.time_{number}") for number in range(50)]
    for budget, told in ((60.0, ", enough for about 4; all would take about 10:50"), (900.0, ""), (None, "")):
        made = Plan(suite, seed=1, margin=0.01, budget=budget)
        spec = made.next()
        assert spec is not None
        made.observe(answer(spec, log_ratio=0.0, seconds=1.0))
        left = {60.0: "0:59", 900.0: "10:49", None: "10:49"}[budget]
        shown = measuring(made, made.progress[spec.benchmark.key])
        assert shown == f"0 of 50 settled, about {left} left{told} · {spec.benchmark.key}: calibrating"


def test_a_calibration_has_no_blocks_yet() -> None:
    made = Plan([benchmark()], seed=1, margin=0.01, budget=None)
    made.observe(block(kind=BlockKind.CALIBRATION, base=(), head=(), order=""))
    assert measuring(made, made.progress["work.time_it"]).endswith("work.time_it: calibrating")


def test_an_interval_wider_than_any_number_is_still_shown() -> None:
    """Blocks a million times apart. Fewer than a first look's say nothing yet."""
    assert "head/base" in line(plan(*[-8.0, 8.0] * 3))
    assert line(plan(-8.0, 8.0)).endswith("work.track_a: 2 blocks")


@pytest.mark.parametrize(("seconds", "shown"), [
    (0.0, "0:00"), (59.4, "0:59"), (59.7, "1:00"), (61.0, "1:01"), (119.6, "2:00"), (3600.0, "60:00"),
])
def test_times_are_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert _clock(seconds) == shown
