"""The choice of mode and slices from planted trials, which calls of a common stretch count, and copies of the arms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from samples import benchmark

from runner.execute import (
    LEAST_CYCLES,
    LONGEST_TURN,
    MOST_CYCLES,
    SHARED_STRETCH,
    SLICE,
    Context,
    Copies,
    Trial,
    _split,
    choose,
    common_lots,
    memory,
)
from runner.model import Arm, Build, Interpreter, Mode


def trial(call: float, *, busy: float = 1.0, waits: float = 0.0, threads: int = 1, children: float = 0.0) -> Trial:
    return Trial(call=call, calls=100, busy=busy, waits=waits, threads=threads, children=children)


BENCHMARK = benchmark()


@pytest.mark.parametrize(("planted", "mode"), [
    (trial(50e-9), Mode.TURNS),
    (trial(1e-3), Mode.TURNS),
    (trial(LONGEST_TURN), Mode.TURNS),
    (trial(LONGEST_TURN * 1.01), Mode.SHARED),
    (trial(0.15), Mode.SHARED),
    (trial(20.0), Mode.SHARED),
    (trial(0.01, busy=0.01, waits=1.0), Mode.ADJACENT),  # sleeps
    (trial(1e-3, busy=0.6, waits=3.0), Mode.ADJACENT),  # does I/O
    (trial(0.15, busy=0.6, waits=0.0), Mode.SHARED),  # a neighbour steals time
    (trial(1e-6, busy=0.6, waits=1e-4), Mode.TURNS),
    (trial(1e-3, busy=1.9), Mode.ADJACENT),  # several threads that have ended
    (trial(1e-3, threads=2), Mode.ADJACENT),
    (trial(1e-3, children=0.0004), Mode.ADJACENT),
])
def test_the_mode_is_that_of_the_more_difficult_arm(planted: Trial, mode: Mode) -> None:
    plain = trial(planted.call)
    assert choose(planted, planted, BENCHMARK, None).mode is mode
    assert choose(planted, plain, BENCHMARK, None).mode is mode
    assert choose(plain, planted, BENCHMARK, None).mode is mode


@pytest.mark.parametrize("forced", list(Mode))
def test_a_mode_set_by_hand_is_taken(forced: Mode) -> None:
    for planted in (trial(1e-7), trial(0.2), trial(0.01, busy=0.01, waits=1.0)):
        assert choose(planted, planted, BENCHMARK, forced.value).mode is forced


calls = st.floats(1e-8, 30.0)


@given(calls, calls, st.none() | st.integers(1, 5000), st.sampled_from([None, *Mode]))
def test_laws_of_the_settings(base: float, head: float, number: int | None, forced: Mode | None) -> None:
    one, other = trial(base), trial(head)
    work = benchmark(number=number)
    chosen = choose(one, other, work, forced.value if forced else None)
    swapped = choose(other, one, work, forced.value if forced else None)
    assert swapped.calls == {Arm.BASE: chosen.calls[Arm.HEAD], Arm.HEAD: chosen.calls[Arm.BASE]}
    assert (swapped.mode, swapped.cycles, swapped.window, swapped.warmup) == (
        chosen.mode, chosen.cycles, chosen.window, chosen.warmup)
    slow, fast = max(base, head), min(base, head)
    assert all(n >= 1 and n % (number or 1) == 0 for n in chosen.calls.values()), "setup comes before each whole lot"
    if slow <= 4 * fast:
        assert chosen.calls[Arm.BASE] == chosen.calls[Arm.HEAD]
    if chosen.mode is Mode.SHARED:
        assert chosen.window >= max(SHARED_STRETCH, 2 * slow), "both arms at half speed, and several calls inside"
    else:
        assert chosen.window == 0 and chosen.cycles % 2 == 0
        assert (4 if slow >= 1 else LEAST_CYCLES) <= chosen.cycles <= MOST_CYCLES


@given(st.floats(1e-8, SLICE / 4), st.floats(1.0, 5000.0))
def test_slices_take_about_the_same_time_even_where_the_arms_are_very_unequal(fast: float, factor: float) -> None:
    assume(fast * factor <= LONGEST_TURN)
    chosen = choose(trial(fast * factor), trial(fast), BENCHMARK, None)
    base, head = chosen.calls[Arm.BASE] * fast * factor, chosen.calls[Arm.HEAD] * fast
    assert chosen.mode is Mode.TURNS
    assert SLICE / 4 < head < SLICE * 2.6 or chosen.calls[Arm.HEAD] == 1
    assert SLICE / 4 < base < SLICE * 2.6 or chosen.calls[Arm.BASE] == 1


def test_arms_a_thousand_times_apart_get_each_its_own_number_of_calls() -> None:
    chosen = choose(trial(164e-6), trial(80e-9), BENCHMARK, None)
    assert chosen.calls == {Arm.BASE: 12, Arm.HEAD: 25_000}
    assert choose(trial(100e-6), trial(130e-6), BENCHMARK, None).calls == {Arm.BASE: 17, Arm.HEAD: 17}


def test_a_number_that_the_benchmark_insists_on_is_kept() -> None:
    chosen = choose(trial(1e-5), trial(1e-5), benchmark(number=7), None)
    assert chosen.calls == {Arm.BASE: 203, Arm.HEAD: 203}
    shared = choose(trial(0.1), trial(0.1), benchmark(number=2), None)
    assert shared.mode is Mode.SHARED and shared.calls == {Arm.BASE: 2, Arm.HEAD: 2}
    assert shared.window >= 2 * 0.1 * 2 * 6


spans = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), min_size=0, max_size=30)


def laid(start: int, lengths: list[tuple[int, int]]) -> list[list[int]]:
    """Calls one after the other, [start, end, CPU time]; the CPU time names the call."""
    made, now = [], start
    for number, (length, gap) in enumerate(lengths):
        made.append([now, now + length, number])
        now += length + gap
    return made


@given(st.integers(0, 200), st.integers(0, 200), spans, spans)
def test_every_counted_call_lies_inside_the_other_arms_span_and_no_other_is_left_out(
    at: int, later: int, one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    base, head = laid(at, one), laid(later, other)
    for mine, yours, counted in zip((base, head), (head, base), common_lots(base, head), strict=True):
        if not base or not head:
            assert counted == []
            continue
        within = [cpu for start, end, cpu in mine if yours[0][0] <= start and end <= yours[-1][1]]
        assert counted == within


def test_the_call_that_finishes_alone_does_not_count() -> None:
    base = [[0, 10, 1], [10, 20, 2], [20, 30, 3]]
    head = [[5, 17, 4], [17, 29, 5], [29, 36, 6]]  # the last one had the core to itself from 30 on
    assert common_lots(base, head) == ([2, 3], [4, 5])
    assert common_lots(head, base) == ([4, 5], [2, 3])
    assert common_lots([[0, 10, 1]], [[10, 20, 2]]) == ([], [])
    assert common_lots([], head) == ([], [])


def test_a_name_is_told_apart_by_the_suites_folder(tmp_path: Path) -> None:
    (tmp_path / "sub" / "inner").mkdir(parents=True)
    for name in ("work", "sub/work", "sub/inner/deep"):
        (tmp_path / f"{name}.py").touch()
    assert _split("work.time_x", tmp_path) == ("work", "time_x")
    assert _split("work.Class.time_x", tmp_path) == ("work", "Class.time_x")
    assert _split("sub.work.Class.time_x", tmp_path) == ("sub.work", "Class.time_x")
    assert _split("sub.inner.deep.time_x", tmp_path) == ("sub.inner.deep", "time_x")



@pytest.fixture
def build(tmp_path: Path) -> Interpreter:
    """A folder that has what a build tree has, with a text in the place of the executable."""
    tree = tmp_path / "tree"
    (tree / "build/lib.some").mkdir(parents=True)
    (tree / "Lib").mkdir()
    (tree / "pybuilddir.txt").write_text("build/lib.some")
    (tree / "build/lib.some/_one.so").write_text("extension")
    (tree / "python").write_text("the executable")
    made = Build(
        key="k", tree=tree, source="s", source_hash="h", edits=(), edits_hash="", flags=(), compiler="gcc",
    )
    return Interpreter(
        spec="s", executable=tree / "python", version="3.13.5", implementation="cpython", sha256="0", facts={},
        build=made,
    )


def copies_of(interpreter: Interpreter, folder: Path) -> Copies:
    folder.mkdir()
    return Copies(Context(
        base=interpreter, head=interpreter, suite=folder, environment={}, worker_cpu=None, parent_cpus=(),
        memory_limit=1, forced={}, scratch=folder, copies=True,
    ))


def test_all_benchmarks_of_a_round_share_a_pair_of_copies_and_the_next_round_has_another(
    build: Interpreter, tmp_path: Path
) -> None:
    copies = copies_of(build, tmp_path / "memory")
    calibration, first, again = (copies.of_round(index, Arm.BASE) for index in (-1, 0, 0))
    assert calibration == first == again
    second = copies.of_round(1, Arm.HEAD)
    files = [one[arm].executable for one in (first, second) for arm in Arm]
    assert len(set(files)) == len({file.stat().st_ino for file in files}) == 4
    for file in files:
        assert file.read_text() == "the executable" and not file.is_symlink()
        assert (file.parent / "build/lib.some/_one.so").read_text() == "extension"
    # Both arms' paths are equally long, so no padding has to make up for them.
    assert len({len(str(file)) for file in files}) == 1


def test_few_copies_are_there_at_a_time_and_the_one_that_is_used_is(build: Interpreter, tmp_path: Path) -> None:
    copies = copies_of(build, tmp_path / "memory")
    gone = []
    for index in range(40):
        before = set((tmp_path / "memory").iterdir())
        pair = copies.of_round(index, Arm.BASE if index % 3 else Arm.HEAD)
        assert all(one.executable.is_file() for one in pair.values())
        after = set((tmp_path / "memory").iterdir())
        gone.append(len(before - after))
        assert len(after) <= 2 * Copies.KEPT
    assert sum(gone) == 2 * (40 - Copies.KEPT)


def test_the_canary_is_a_copy_of_what_runs_as_base(build: Interpreter, tmp_path: Path) -> None:
    copies = copies_of(build, tmp_path / "memory")
    base = copies.of_round(0, Arm.BASE)[Arm.BASE]
    canary = copies.of_canary(base)
    assert canary.executable != base.executable
    assert canary.executable.read_bytes() == base.executable.read_bytes()
    assert copies.of_canary(base) == canary
    assert copies.of_canary(copies.of_round(1, Arm.BASE)[Arm.BASE]) != canary
    for index in range(2, 20):
        assert copies.of_canary(copies.of_round(index, Arm.BASE)[Arm.BASE]).executable.is_file()
    assert len(list((tmp_path / "memory").glob("copy-*"))) == Copies.KEPT


def test_copies_lie_in_memory_where_programs_may_be_run(tmp_path: Path) -> None:
    with memory(tmp_path) as folder:
        room = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize >= 1 << 30
        assert (folder.parent == tmp_path) == room
    assert not folder.exists()
    with memory(tmp_path / "missing") as folder:
        assert folder.is_dir() and folder.parent != tmp_path / "missing"
