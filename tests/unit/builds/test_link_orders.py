"""The pure parts of linking anew: taking a command apart, orders, paddings, and what counts as moved."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.builds.contrast import differences
from runner.builds.layouts import SECTIONS, STEP, STEPS, moved, pad_source, parse, shuffled
from runner.builds.spec import parse as parse_spec
from runner.errors import UsageError
from runner.model import Build, Interpreter

OBJECTS = [f"Objects/{name}.o" for name in "abcdefghijklmnopqrstuvwxyz"]
LINE = "gcc -pthread -Xlinker -export-dynamic -o python Programs/python.o a/x.o  b/y.o lib/m.a z.o -lpthread -ldl -lm"


def test_a_link_command_is_taken_apart_and_put_together() -> None:
    command = parse(LINE, "python")
    assert command is not None
    assert command.start == ("gcc", "-pthread", "-Xlinker", "-export-dynamic")
    assert command.objects == ("Programs/python.o", "a/x.o", "b/y.o", "z.o")
    assert command.end == ("lib/m.a", "-lpthread", "-ldl", "-lm")
    again = command.words(Path("/out"), None, None)
    assert " ".join(again) == (
        "gcc -pthread -Xlinker -export-dynamic -Wl,-S -o /out Programs/python.o a/x.o b/y.o z.o lib/m.a "
        "-lpthread -ldl -lm"
    )
    padded = command.words(Path("/out"), Path("/pad.o"), 7)
    assert Counter(padded) == Counter([*again, "/pad.o"])
    assert padded.index("/pad.o") == padded.index("/out") + 1


@pytest.mark.parametrize("line", [
    "gcc -o other a.o", "gcc -c a.c", "gcc -o python -lpython3.13", "gcc -o python libpython3.9.a -lm",
])
def test_a_command_that_links_no_object_files_is_none(line: str) -> None:
    assert parse(line, "python") is None


@given(st.integers(0, 2**32 - 1))
def test_an_order_holds_the_same_files_and_depends_on_the_seed_alone(seed: int) -> None:
    order = shuffled(OBJECTS, seed)
    assert sorted(order) == OBJECTS
    assert order == shuffled(OBJECTS[::-1], seed)


@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(OBJECTS)))
def test_files_that_two_builds_have_in_common_stand_in_one_order(seed: int, extra: set[str]) -> None:
    whole = shuffled(OBJECTS, seed)
    fewer = [name for name in OBJECTS if name not in extra]
    assert shuffled(fewer, seed) == [name for name in whole if name not in extra]


def test_every_place_is_as_likely_as_every_other() -> None:
    places = [shuffled(OBJECTS, seed).index("Objects/a.o") for seed in range(2600)]
    counts = np.bincount(places, minlength=26)
    # Chi squared with 25 degrees of freedom exceeds 52.6 once in a thousand.
    assert ((counts - 100) ** 2 / 100).sum() < 52.6


def test_paddings_are_multiples_of_the_alignment_below_a_page_and_of_all_sizes() -> None:
    sizes: dict[str, list[int]] = {section: [] for section in SECTIONS}
    for seed in range(2000):
        lines = pad_source(seed).splitlines()
        for section in SECTIONS:
            at = lines.index(f'.section {section},"ax",@progbits')
            sizes[section].append(int(lines[at + 2].removeprefix(".skip ")))
    for found in sizes.values():
        assert all(size % STEP == 0 and 0 <= size < STEP * STEPS for size in found)
        assert len(set(found)) > 0.98 * STEPS
    # The sections are padded independently.
    assert abs(np.corrcoef(list(sizes.values()))[0, 1]) < 0.1


def test_moved_means_another_place_in_the_page_for_all_but_chance() -> None:
    here = {f"f{n}": 4096 * n + 64 * n for n in range(20)}
    assert not moved(here, here)
    assert not moved(here, {name: place + 3 * 4096 for name, place in here.items()}), "pages move by themselves"
    assert moved(here, {name: place + 16 for name, place in here.items()})
    one_file = {f"f{n}" for n in range(9)}
    by_chance = {name: place + (0 if name in one_file else 16) for name, place in here.items()}
    assert moved(here, by_chance)
    assert not moved(here, by_chance | {"f9": here["f9"]})
    assert not moved(here, {"other": 1}), "what has no function in common proves nothing"


def test_a_layout_is_an_option_of_a_build() -> None:
    spec = parse_spec("cpython@3.13.5+nocow?layout=17&debug", exists=lambda path: False)
    assert spec is not None and spec.layout == 17 and spec.debug
    assert spec.unedited().layout is None, "the build that it starts from has no layout"
    with pytest.raises(UsageError, match="layout=NUMBER"):
        parse_spec("cpython@3.13.5?layout=x", exists=lambda path: False)


def test_two_layouts_of_one_build_differ_in_layout_alone() -> None:
    def in_layout(seed: int | None) -> Interpreter:
        build = Build(
            key="k", tree=Path("/t"), source="CPython 3.13.5", source_hash="s", edits=(), edits_hash="", flags=(),
            compiler="gcc", layout=seed,
        )
        return Interpreter(
            spec=f"cpython@3.13.5?layout={seed}", executable=Path("/t/python"), version="3.13.5",
            implementation="cpython", sha256=str(seed), facts={}, build=build,
        )

    found = differences(in_layout(1), in_layout(None))
    assert [(one.what, one.base, one.head, one.asked) for one in found] == [("layout", "1", "make's own", True)]
