"""What runs in a block, and what is linked while another one is measured."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from samples import TURNS, benchmark, interpreter

from runner.builds import Layouts
from runner.errors import BuildError
from runner.measuring.arms import Arms
from runner.model import Arm, BlockKind, BlockSpec, Interpreter

SPEC = BlockSpec(
    benchmark=benchmark(), kind=BlockKind.SCORED, index=0, round=0, first=Arm.BASE, order="bh", hash_seed=1, padding=0,
    directory="w", address=0, settings=TURNS, layout=1, next_layout=2, extensions=("_io.so",),
)
NEXT = replace(SPEC, index=1, layout=2, next_layout=3)


@dataclass
class Slow:
    """Links what is asked for when it is let; remembers what that was."""

    let: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    places: list[set[int]] = field(default_factory=list)
    bad: int = 0

    def arms(self, seed: int, extensions: Sequence[str] = ()) -> dict[Arm, Interpreter]:
        self.asked.append((seed, tuple(extensions)))
        self.places.append(os.sched_getaffinity(0))
        assert seed == SPEC.layout or self.let.wait(20)
        if seed == self.bad:
            raise BuildError("the disk is full")
        return {arm: interpreter(f"/layouts/{seed}/{arm.value}") for arm in Arm}


def made(layouts: Slow, *, beside: bool = True) -> Arms:
    here = min(os.sched_getaffinity(0))
    arms = Arms(
        interpreter(), interpreter(), Path("/none"), layouts=cast(Layouts, layouts), copies=False,
        beside=here if beside else None,
    )
    arms.of_block(SPEC)
    return arms


def test_a_layout_is_linked_meanwhile_with_all_that_others_have() -> None:
    layouts = Slow()
    arms = made(layouts)
    arms.of_block(replace(SPEC, extensions=("_bz2.so",)))
    assert arms.ready(SPEC) and arms.ready(replace(SPEC, extensions=("_bz2.so", "_io.so"))) and not arms.ready(NEXT)
    arms.link(NEXT.layout)  # it does not wait
    arms.link(NEXT.layout)
    assert not arms.ready(NEXT)
    layouts.let.set()
    assert arms.of_block(NEXT)[Arm.HEAD].executable == Path("/layouts/2/head")
    assert arms.ready(NEXT) and arms.ready(replace(NEXT, extensions=("_bz2.so",)))
    assert not arms.ready(replace(NEXT, extensions=("_pickle.so",))), "nobody has asked for that"
    arms.close()
    assert layouts.asked[2] == (2, ("_bz2.so", "_io.so")) and layouts.asked[3:] == [(2, ("_io.so",))]


def test_it_is_linked_on_the_one_cpu_that_leaves_the_measured_one_alone_or_not_beside_it() -> None:
    layouts = Slow()
    layouts.let.set()
    arms = made(layouts)
    arms.link(2)
    arms.wait()
    assert layouts.places[1] == {min(os.sched_getaffinity(0))}
    arms.close()
    arms.link(3)
    alone = made(layouts, beside=False)
    alone.link(2)
    alone.close()
    assert not alone.ready(NEXT) and [seed for seed, _ in layouts.asked] == [1, 2, 1]


def test_what_is_there_is_not_linked_again_and_the_next_one_waits_for_the_last() -> None:
    layouts = Slow()
    arms = made(layouts)
    for layout in (1, None, 2, 3):
        arms.link(layout)
    layouts.let.set()
    arms.close()
    assert [seed for seed, _ in layouts.asked] == [1, 2]
    assert arms.ready(NEXT)


def test_what_cannot_be_linked_is_said_by_the_block_that_needs_it() -> None:
    layouts = Slow(bad=2)
    layouts.let.set()
    arms = made(layouts)
    arms.link(2)
    arms.wait()
    arms.link(2)
    arms.close()
    assert not arms.ready(NEXT) and [seed for seed, _ in layouts.asked] == [1, 2], "it is not tried again meanwhile"
    with pytest.raises(BuildError, match="the disk is full"):
        arms.of_block(NEXT)


def test_where_nothing_is_linked_all_is_ready() -> None:
    arms = Arms(interpreter(), interpreter(), Path("/none"), layouts=None, copies=False)
    arms.link(2)
    assert arms.ready(replace(SPEC, layout=None)) and arms.of_block(SPEC)[Arm.BASE] == interpreter()
