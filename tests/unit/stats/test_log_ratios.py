"""Blocks to arrays, by hand-made blocks whose answer can be worked out with pencil and paper."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model import Arm, Block, BlockKind, Failure, Metric, Mode, Settings, Verdict
from runner.stats.blocks import defect, judge_blocks, log_ratios, pairs, values

MARGIN = math.log1p(0.01)


def block(
    base: tuple[float, ...], head: tuple[float, ...], mode: Mode = Mode.TURNS, calls: tuple[int, int] = (1, 1),
    index: int = 0,
) -> Block:
    settings = Settings(
        mode=mode, calls={Arm.BASE: calls[0], Arm.HEAD: calls[1]}, cycles=len(base), window=0.0, warmup=0
    )
    return Block(
        benchmark="b", index=index, settings=settings, started=0.0, seconds=0.1, base=base, head=head, first=Arm.BASE
    )


def single(base: list[float], head: list[float]) -> list[Block]:
    pairs = zip(base, head, strict=True)
    return [block((b,), (h,), Mode.ADJACENT, index=i) for i, (b, h) in enumerate(pairs)]


def test_turns_take_the_median_of_the_cycles_ratios() -> None:
    # The ratios are 2, 3 and 0.5; the medians of the arms would give 300 / 200.
    one = block((100, 200, 600), (200, 600, 300))
    assert log_ratios(Metric.TIME, [one]).tolist() == pytest.approx([math.log(2)])


def test_the_median_stands_what_a_machine_does_that_changes_its_speed_within_a_slice() -> None:
    """Short slices on a virtual machine: half of them are up to a quarter slower, in one arm or the other."""
    rng = np.random.default_rng(31)
    slower = rng.random((2, 300, 200)) * (rng.random((2, 300, 200)) < 0.5)
    logs = 0.002 * rng.normal(size=(2, 300, 200)) + 0.22 * slower
    blocks = [block(*(tuple(np.exp(arm).tolist()) for arm in pair)) for pair in zip(*logs, strict=True)]
    inner = np.sort(logs[1] - logs[0], axis=1)[:, 50:150].mean(axis=1)
    assert np.var(log_ratios(Metric.TIME, blocks)) < 0.7 * np.var(inner), "the mean of the middle half takes part in it"


def test_turns_and_adjacent_compare_calls_not_slices() -> None:
    for mode in (Mode.TURNS, Mode.ADJACENT):
        one = block((1000, 1000, 1000), (3000, 3000, 3000), mode, calls=(10, 3000))
        assert log_ratios(Metric.TIME, [one]).tolist() == pytest.approx([math.log(1 / 100)])
        assert values(Metric.TIME, [one], Arm.BASE).tolist() == pytest.approx([100e-9])
        assert values(Metric.TIME, [one], Arm.HEAD).tolist() == pytest.approx([1e-9])


def test_in_every_mode_slices_that_share_their_moment_are_compared() -> None:
    # As above; means of the arms would give 11 / 9, medians 3 / 2.
    for mode in Mode:
        one = block((100, 200, 600), (200, 600, 300), mode)
        assert log_ratios(Metric.TIME, [one]).tolist() == pytest.approx([math.log(2)])


def test_in_shared_the_moment_is_the_fraction_of_the_stretch_and_values_are_calls_already() -> None:
    # The machine gets slower by half in the middle. Head does twice as many lots in the same time.
    one = block((100, 150), (50, 51, 75, 76), Mode.SHARED, calls=(7, 7))
    assert pairs(one) == ([100, 150], [51, 76])
    one = block((100, 100, 150, 150), (50, 50, 75), Mode.SHARED, calls=(7, 9))
    assert pairs(one) == ([100, 150, 150], [50, 50, 75])
    assert log_ratios(Metric.TIME, [one]).tolist() == pytest.approx([math.log(0.5)])
    assert values(Metric.TIME, [one], Arm.BASE).tolist() == pytest.approx([125e-9])


@given(st.integers(1, 60), st.integers(1, 60))
def test_pairs_are_in_order_and_evenly_spread(base: int, head: int) -> None:
    one = block(tuple(range(1, base + 1)), tuple(range(1, head + 1)), Mode.SHARED)
    ours, theirs = pairs(one)
    assert len(ours) == len(theirs) == min(base, head)
    for place, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        middle = (place + 0.5) / min(base, head)
        assert abs((x - 0.5) / base - middle) <= 0.5 / base + 1e-9
        assert abs((y - 0.5) / head - middle) <= 0.5 / head + 1e-9
    assert pairs(block(tuple(one.head), tuple(one.base), Mode.SHARED)) == (theirs, ours)


@pytest.mark.parametrize("metric", [Metric.PEAK_MEMORY, Metric.TRACK])
def test_single_values_are_taken_as_they_are(metric: Metric) -> None:
    one = block((4096,), (8192,), Mode.TURNS, calls=(10, 20))
    assert log_ratios(metric, [one]).tolist() == pytest.approx([math.log(2)])
    assert values(metric, [one], Arm.BASE).tolist() == [4096]


def test_values_are_medians() -> None:
    for mode in Mode:
        assert values(Metric.TIME, [block((1, 2, 9), (1, 1, 1), mode)], Arm.BASE).tolist() == pytest.approx([2e-9])


def test_swapping_the_arms_flips_every_sign() -> None:
    rng = np.random.default_rng(3)
    for mode in Mode:
        slices = [tuple(rng.uniform(1e6, 2e6, 9)) for _ in range(2)]
        one, other = block(slices[0], slices[1], mode, (3, 5)), block(slices[1], slices[0], mode, (5, 3))
        assert log_ratios(Metric.TIME, [one]).tolist() == (-log_ratios(Metric.TIME, [other])).tolist()


def test_a_slower_clock_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    for mode in Mode:
        base, head = rng.uniform(1e6, 2e6, 9), rng.uniform(1e6, 2e6, 9)
        one, other = block(tuple(base), tuple(head), mode), block(tuple(7 * base), tuple(7 * head), mode)
        assert log_ratios(Metric.TIME, [one]) == pytest.approx(log_ratios(Metric.TIME, [other]))


def test_order_is_kept_and_the_arrays_are_read_only() -> None:
    blocks = [block((1,), (math.exp(x),), index=i) for i, x in enumerate((3.0, 1.0, 2.0))]
    d = log_ratios(Metric.TIME, blocks)
    assert d.tolist() == pytest.approx([3, 1, 2])
    assert not d.flags.writeable and not values(Metric.TIME, blocks, Arm.BASE).flags.writeable


def test_calibrations_the_canarys_and_failed_blocks_are_not_scored() -> None:
    good = block((1,), (2,))
    failed = replace(good, base=(), head=(), failure=Failure(reason="exited", arm=Arm.HEAD))
    calibration, canary = (replace(good, kind=kind, head=(99,)) for kind in (BlockKind.CALIBRATION, BlockKind.CANARY))
    blocks = [calibration, canary, good, failed]
    assert log_ratios(Metric.TIME, blocks).tolist() == pytest.approx([math.log(2)])
    assert defect(Metric.TIME, blocks) is None


@pytest.mark.parametrize(("bad", "words"), [
    (block((), (1,)), "no counted value in base"),
    (block((1,), ()), "no counted value in head"),
    (block((1,), (0,)), "value 0 in head"),
    (block((-5,), (1,)), "value -5 in base"),
    (block((math.nan,), (1,)), "not a finite number"),
    (block((1, 2), (1,)), "2 values in base and 1 in head"),
])
def test_a_block_without_a_ratio_is_named(bad: Block, words: str) -> None:
    bad = replace(bad, index=4)
    problem = defect(Metric.TIME, [block((1,), (1,)), bad])
    assert problem is not None and words in problem and "block 4" in problem
    with pytest.raises(ValueError, match="block 4"):
        log_ratios(Metric.TIME, [bad])
    judgement = judge_blocks(Metric.TIME, [bad], MARGIN)
    assert (judgement.verdict, judgement.settled, judgement.estimate) == (Verdict.UNDECIDED, True, None)


def test_a_failed_block_or_calibration_ends_sampling() -> None:
    failed = replace(block((), ()), failure=Failure(reason="hung", arm=None))
    for kind in (BlockKind.CALIBRATION, BlockKind.SCORED):
        judgement = judge_blocks(Metric.TIME, [block((1,), (2,)), replace(failed, kind=kind)], MARGIN)
        assert judgement.settled and judgement.verdict is Verdict.UNDECIDED


def test_tracked_counts_are_exact_after_three_blocks() -> None:
    assert not judge_blocks(Metric.TRACK, single([64, 64], [0, 0]), MARGIN).exact
    third = judge_blocks(Metric.TRACK, single([64] * 3, [0] * 3), MARGIN)
    assert (third.verdict, third.exact, third.settled) == (Verdict.FASTER, True, True)
    zero = judge_blocks(Metric.TRACK, single([0] * 3, [64] * 3), MARGIN)
    assert (zero.verdict, zero.estimate) == (Verdict.SLOWER, None)


def test_counts_that_vary_go_through_the_rule() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(1000, 1003, 8).tolist()
    judgement = judge_blocks(Metric.TRACK, single(base, [2 * b for b in base]), MARGIN)
    assert (judgement.exact, judgement.look, judgement.verdict, judgement.clear) == (False, 6, Verdict.SLOWER, True)
    assert not judge_blocks(Metric.TRACK, single(base[:5], base[:5]), MARGIN).settled


def test_only_tracked_values_can_be_exact() -> None:
    blocks = single([4096.0] * 8, [4096.0] * 8)
    assert not judge_blocks(Metric.PEAK_MEMORY, blocks[:3], MARGIN).settled
    judgement = judge_blocks(Metric.PEAK_MEMORY, blocks, MARGIN)
    assert (judgement.exact, judgement.verdict, judgement.look) == (False, Verdict.SAME, 6)


def test_no_blocks_yet() -> None:
    judgement = judge_blocks(Metric.TIME, [], MARGIN)
    assert (judgement.verdict, judgement.settled, judgement.needed) == (Verdict.UNDECIDED, False, None)


def test_the_number_of_benchmarks_bears_on_stopping() -> None:
    rng = np.random.default_rng(6)
    blocks = [block((1e6,), (1e6 * math.exp(x),), index=i) for i, x in enumerate(rng.normal(0.05, 0.012, 8))]
    alone, among = (judge_blocks(Metric.TIME, blocks, MARGIN, tests) for tests in (1, 1000))
    assert alone.clear and alone.settled
    assert among.clear and not among.settled
