"""Which block may be begun while another one is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from samples import TURNS, benchmark

from runner.measuring.ahead import Ahead
from runner.measuring.process import Worker
from runner.model import Arm, BlockKind, BlockSpec, Cache, Metric, Mode

LIMIT = 1 << 30
ONE = BlockSpec(
    benchmark=benchmark("work.time_one"), kind=BlockKind.SCORED, index=3, round=3, first=Arm.BASE, order="bh",
    hash_seed=1, padding=0, directory="w", address=0, settings=TURNS, layout=7, extensions=("_io.so",),
)
OTHER = replace(ONE, benchmark=benchmark("work.time_other"), directory="ww")


@dataclass(frozen=True)
class Ended:
    """What is seen of a process that has ended."""

    undid: bool = False
    peak: int = LIMIT // 4


def seen(*pairs: tuple[BlockSpec, Ended], possible: bool = True) -> Ahead:
    ahead = Ahead(possible=possible, memory_limit=LIMIT)
    for spec, ended in pairs:
        ahead.measured(spec, cast(tuple[Worker, ...], (Ended(), ended)))
    return ahead


def test_what_was_measured_before_may_be_begun() -> None:
    ahead = seen((ONE, Ended()), (OTHER, Ended(peak=LIMIT // 2)))
    assert ahead.may(ONE, OTHER) and ahead.may(OTHER, ONE)
    assert ahead.may(ONE, replace(ONE, index=4, directory="www")), "a benchmark by itself follows on itself"
    shared = replace(OTHER, settings=replace(TURNS, mode=Mode.SHARED))
    assert ahead.may(ONE, shared) and ahead.may(shared, ONE)
    assert ahead.may(replace(ONE, kind=BlockKind.CANARY), OTHER)
    counted = replace(OTHER, benchmark=replace(OTHER.benchmark, metric=Metric.TRACK), settings=None)
    assert ahead.may(ONE, counted) and ahead.may(counted, ONE), "nothing disturbs a count"


def test_nothing_is_begun_beside_what_was_not_seen_in_this_session() -> None:
    first = replace(OTHER, kind=BlockKind.CALIBRATION, settings=None)
    ahead = seen((ONE, Ended()))
    assert ahead.may(ONE, first) and not ahead.may(OTHER, ONE)
    canary = replace(OTHER, kind=BlockKind.CANARY)
    assert not seen((ONE, Ended()), (canary, Ended())).may(OTHER, ONE), "of a canary base alone was seen"


def test_nothing_is_begun_beside_what_undoes_something() -> None:
    ahead = seen((ONE, Ended()), (OTHER, Ended()), (OTHER, Ended(undid=True)), (OTHER, Ended()))
    assert not ahead.may(OTHER, ONE) and not ahead.may(OTHER, replace(OTHER, directory="www"))
    assert ahead.may(ONE, OTHER), "what ends first undoes nothing"


def test_nothing_is_begun_beside_what_has_the_same_set_up_and_other_parameters() -> None:
    """It may write the same file: one set-up, two lengths."""
    short = replace(ONE, benchmark=benchmark("work.Files.time_one", params={"n": "10"}, index=(0,)))
    long = replace(OTHER, benchmark=benchmark("work.Files.time_other", params={"n": "10000"}, index=(1,)))
    elsewhere = replace(long, benchmark=benchmark("work.Others.time_other", params={"n": "10000"}, index=(1,)))
    equal = replace(long, benchmark=benchmark("work.Files.time_other", params={"n": "10"}, index=(0,)))
    ahead = seen((short, Ended()), (long, Ended()), (elsewhere, Ended()), (equal, Ended()))
    assert not ahead.may(short, long) and not ahead.may(long, short)
    assert all(ahead.may(short, one) for one in (elsewhere, equal, replace(short, directory="ww")))


def test_nothing_is_begun_beside_another_task_of_the_same_script() -> None:
    """Each process runs the script up to its own, and may write the same file on its way."""
    def task(place: str, name: str) -> BlockSpec:
        one = replace(benchmark(name), form="task", attribute=f"{place}:{name}")
        return replace(ONE, benchmark=one, directory=f"{place}-{name}")

    short, long, other = task("bm_read", "read 10"), task("bm_read", "read 10000"), task("bm_sort", "sort")
    ahead = seen((short, Ended()), (long, Ended()), (other, Ended()))
    assert not ahead.may(short, long) and not ahead.may(long, short)
    assert ahead.may(short, other) and ahead.may(short, replace(short, directory="ww"))


def test_what_fills_the_memory_is_alone() -> None:
    for spec in (ONE, OTHER):
        ahead = seen((ONE, Ended()), (OTHER, Ended()), (spec, Ended(peak=LIMIT // 2 + 1)), (spec, Ended()))
        assert not ahead.may(ONE, OTHER) and not ahead.may(OTHER, ONE)


def test_what_has_failed_beside_another_is_alone_from_then_on() -> None:
    ahead = seen((ONE, Ended()), (OTHER, Ended()))
    ahead.failed(ONE)
    assert not ahead.may(ONE, OTHER) and not ahead.may(OTHER, ONE)


@pytest.mark.parametrize("changes", [
    {"settings": replace(TURNS, mode=Mode.ADJACENT)},
    {"benchmark": replace(OTHER.benchmark, cache=Cache(key="k", timeout=60.0))},
])
def test_neither_may_be_one_that_needs_the_machine_or_a_folder_of_others(changes: dict[str, Any]) -> None:
    ahead = seen((ONE, Ended()), (OTHER, Ended()))
    other = replace(OTHER, **changes)
    assert not ahead.may(ONE, other) and not ahead.may(other, ONE)


@pytest.mark.parametrize("changes", [
    {"kind": BlockKind.CANARY}, {"directory": ONE.directory},
])
def test_it_is_no_canary_and_in_a_folder_of_its_own(changes: dict[str, Any]) -> None:
    assert not seen((ONE, Ended()), (OTHER, Ended())).may(ONE, replace(OTHER, **changes))


def test_it_needs_a_cpu_that_leaves_the_measured_one_alone() -> None:
    assert not seen((ONE, Ended()), (OTHER, Ended()), possible=False).may(ONE, OTHER)
