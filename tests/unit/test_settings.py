"""The choice of mode and slices from planted trials, and which calls of a common stretch count."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from samples import benchmark, interpreter

from runner.measuring import modes
from runner.measuring.modes import OUTSIDE, together
from runner.measuring.settings import (
    DEARER,
    LEAST_CYCLES,
    LEAST_SET_UP,
    LONG_CALL,
    LONG_CYCLES,
    LONGEST_TURN,
    MOST_CYCLES,
    PACES,
    SET_UPS,
    SHARED_STRETCH,
    SLICE,
    SLICES,
    UNEQUAL,
    WARM,
    WARM_JIT,
    Trial,
    _pace,
    choose,
    shortest,
    warming,
)
from runner.model import Arm, Mode, Settings


def trial(call: float, *, busy: float = 1.0, waits: float = 0.0, threads: int = 1, children: float = 0.0) -> Trial:
    return Trial(call=call, calls=100, cpu=call * busy, busy=busy, waits=waits, threads=threads, children=children)


BENCHMARK = benchmark()


@pytest.mark.parametrize(("planted", "mode"), [
    (trial(50e-9), Mode.TURNS),
    (trial(1e-3), Mode.TURNS),
    (trial(LONGEST_TURN), Mode.TURNS),
    (trial(LONGEST_TURN * 1.01), Mode.SHARED),
    (trial(0.15), Mode.SHARED),
    (trial(20.0), Mode.SHARED),
    (replace(trial(1.8e-2), setup=1e-3), Mode.TURNS),
    (replace(trial(2.1e-2), setup=1e-3), Mode.SHARED),
    (replace(trial(1e-3), setup=0.1), Mode.ADJACENT),  # it would share the CPU with a set-up
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
        assert chosen.window == 0 and chosen.cycles % 4 == 0
        assert (LONG_CYCLES if slow * (number or 1) > LONG_CALL else LEAST_CYCLES) <= chosen.cycles <= MOST_CYCLES


@given(st.floats(1e-8, SLICE / 4), st.floats(1.0, 5000.0))
def test_slices_take_about_the_same_time_even_where_the_arms_are_very_unequal(fast: float, factor: float) -> None:
    assume(fast * factor <= LONGEST_TURN)
    chosen = choose(trial(fast * factor), trial(fast), BENCHMARK, None)
    base, head = chosen.calls[Arm.BASE] * fast * factor, chosen.calls[Arm.HEAD] * fast
    assert chosen.mode is Mode.TURNS
    assert SLICE / 4 < head < SLICE * 2.6 or chosen.calls[Arm.HEAD] == 1
    assert SLICE / 4 < base < SLICE * 2.6 or chosen.calls[Arm.BASE] == 1


@given(st.floats(1e-6, 5e-3), st.floats(0.0, 1e-3))
def test_slices_are_the_shortest_in_which_cold_caches_take_a_tenth_at_most(call: float, cold: float) -> None:
    candidates = [choose(trial(call), trial(call), BENCHMARK, None, seconds) for seconds in SLICES]

    def dearer(one: Settings, other: Settings) -> float:
        of_a_call = [call + cold / settings.calls[Arm.BASE] for settings in (one, other)]
        return of_a_call[0] / of_a_call[1]

    chosen = shortest(candidates, dearer)
    longest = candidates[-1]
    assert chosen.calls == longest.calls or dearer(chosen, longest) <= DEARER
    for shorter in candidates[: candidates.index(chosen)]:
        assert dearer(shorter, longest) > DEARER


def test_one_measurement_that_was_disturbed_makes_no_slices_long() -> None:
    candidates = [choose(trial(1e-5), trial(1e-5), BENCHMARK, None, seconds) for seconds in SLICES]
    seen = iter([1.5, 1.5, 1.05])
    assert shortest(candidates, lambda one, longest: next(seen)) == candidates[0]
    assert shortest(candidates, lambda one, longest: 1.5) == candidates[-1]


def test_arms_a_thousand_times_apart_get_each_its_own_number_of_calls() -> None:
    chosen = choose(trial(164e-6), trial(80e-9), BENCHMARK, None)
    assert chosen.calls == {Arm.BASE: 2, Arm.HEAD: 3125}
    assert choose(trial(100e-6), trial(130e-6), BENCHMARK, None).calls == {Arm.BASE: 2, Arm.HEAD: 2}


def test_an_arm_that_compiles_as_it_runs_is_warmed_longer_and_so_is_the_other() -> None:
    plain, jit, pypy = (
        replace(interpreter(), implementation=name, facts={"jit": on})
        for name, on in (("cpython", "False"), ("cpython", "True"), ("pypy", "False"))
    )
    assert warming(plain, plain, {}) == WARM
    assert warming(plain, jit, {}) == warming(jit, plain, {}) == warming(plain, pypy, {}) == WARM_JIT
    assert warming(plain, plain, {"PYTHON_JIT": "1"}) == WARM_JIT
    one = trial(1e-5)
    usual, longer = (choose(one, one, BENCHMARK, None, warm=warm) for warm in (WARM, WARM_JIT))
    seconds = 1e-5 * longer.calls[Arm.BASE] * longer.warmup
    assert WARM_JIT <= seconds < 1.1 * WARM_JIT
    assert usual.cycles == longer.cycles


@pytest.mark.parametrize(("call", "setup", "mode"), [
    (50e-9, 1e-6, Mode.TURNS),
    (1e-3, 3e-3, Mode.TURNS),
    (1e-6, 0.03, Mode.ADJACENT),  # hardly anything but set-up: it would share the CPU with nothing else
    (0.02, 0.01, Mode.SHARED),
    (0.02, 5.0, Mode.ADJACENT),
])
def test_what_is_set_up_before_every_call_is_sized_by_both(call: float, setup: float, mode: Mode) -> None:
    one = replace(trial(call), setup=setup)
    chosen = choose(one, one, benchmark(number=1), None)
    assert chosen.mode is mode
    assert chosen.calls[Arm.BASE] == chosen.calls[Arm.HEAD] >= 1
    whole = (call + setup) * chosen.calls[Arm.BASE]
    assert chosen.calls[Arm.BASE] == 1 or whole < 2 * SLICE
    if mode is Mode.SHARED:
        assert chosen.window >= 2 * 2.5 * whole
    else:
        least = 2 * whole * LEAST_SET_UP
        assert max(least, 2 * whole * 4) >= chosen.stretch >= least or chosen.stretch <= SET_UPS + 2 * WARM + 4 * whole
        assert chosen.stretch == pytest.approx(2 * whole * (chosen.cycles + chosen.warmup))


def test_few_calls_are_made_of_what_takes_seconds_to_set_up() -> None:
    one = replace(trial(1e-3), setup=5.0)
    chosen = choose(one, one, benchmark(number=1), None)
    assert (chosen.cycles, chosen.warmup) == (LEAST_SET_UP, 0)
    assert chosen.stretch == pytest.approx(20.004)


@given(calls, calls, st.floats(0, 10.0))
def test_laws_of_the_settings_with_set_ups(base: float, head: float, setup: float) -> None:
    chosen = choose(replace(trial(base), setup=setup), replace(trial(head), setup=setup), benchmark(number=1), None)
    assert all(n >= 1 for n in chosen.calls.values()) and chosen.cycles >= 2
    if chosen.mode is Mode.SHARED:
        assert chosen.window >= 2 * (max(base, head) + setup)
    elif setup == 0:
        assert chosen.cycles % 4 == 0


def test_a_number_that_the_benchmark_insists_on_is_kept() -> None:
    chosen = choose(trial(1e-5), trial(1e-5), benchmark(number=7), None)
    assert chosen.calls == {Arm.BASE: 28, Arm.HEAD: 28}
    shared = choose(trial(0.1), trial(0.1), benchmark(number=2), None)
    assert shared.mode is Mode.SHARED and shared.calls == {Arm.BASE: 2, Arm.HEAD: 2}
    assert shared.window == pytest.approx(2 * 0.2 * 2.5), "three lots of two calls, each at half speed"
    assert (shared.warmup, shared.cycles) == (0, 3)
    short = choose(trial(0.01), trial(0.01), BENCHMARK, None)
    assert (short.mode, short.window, short.warmup, short.cycles) == (Mode.SHARED, SHARED_STRETCH, 1, 6)


def test_calls_that_are_timed_as_one_are_one_long_call_for_the_mode() -> None:
    """A thousand calls of 1 ms took turns of a second each, in blocks of half a minute."""
    chosen = choose(trial(1e-3), trial(1e-3), benchmark(number=1000), None)
    assert chosen.mode is Mode.SHARED and chosen.window == pytest.approx(2 * 1.0 * 2.5)
    assert choose(trial(1e-3), trial(1e-3), benchmark(number=3), None).mode is Mode.TURNS
    forced = choose(trial(1e-3), trial(1e-3), benchmark(number=1000), "turns")
    assert (forced.cycles, forced.warmup) == (LONG_CYCLES, 0)


spans = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), min_size=0, max_size=30)


def laid(start: int, lengths: list[tuple[int, int]]) -> list[list[int]]:
    """Calls one after the other, [start, end, CPU time]; the CPU time names the call."""
    made, now = [], start
    for number, (length, gap) in enumerate(lengths, start=1):
        made.append([now, now + length, number])
        now += length + gap
    return made


@given(st.integers(0, 200), st.integers(0, 200), spans, spans)
def test_every_counted_lot_lies_inside_the_other_arms_span_and_has_a_partner(
    at: int, later: int, one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    lots, others = laid(at, one), laid(later, other)
    mine, theirs = together(lots, others)
    assert len(mine) == len(theirs)
    within = [cpu for begun, done, cpu in lots if others and others[0][0] <= begun and done <= others[-1][1]]
    slack = [cpu for begun, done, cpu in lots if others and others[0][0] <= begun + OUTSIDE * (done - begun)
             and done - OUTSIDE * (done - begun) <= others[-1][1]]
    assert set(mine) <= set(slack)
    for begun, done, cpu in lots:
        under_way = [there for start, end, there in others if start < done and end > begun]
        if cpu in mine:
            assert min(under_way) - 1e-9 <= theirs[mine.index(cpu)] <= max(under_way) + 1e-9
        else:
            assert cpu not in within or not under_way, "none is left out that has a partner"


def test_a_lot_that_finishes_alone_does_not_count() -> None:
    base = [[0, 10, 1], [10, 20, 2], [20, 30, 3]]
    head = [[5, 17, 4], [17, 29, 5], [29, 36, 6]]  # the last one had the core to itself from 30 on
    # 7 of the 10 moments of base's second lot lie in head's first one, so 7/12 and 3/12 of those lots do.
    assert together(base, head) == ([2, 3], [pytest.approx((4 * 7 + 5 * 3) / 10), pytest.approx(
        (5 * 9 / 12 + 6 / 7) / (9 / 12 + 1 / 7))])
    assert together(head, base)[0] == [4, 5]
    assert together([[0, 10, 1]], [[10, 20, 2]]) == ([], [])
    assert together([], head) == together(head, []) == ([], [])


def test_what_is_left_of_a_lot_when_stolen_time_was_taken_off_may_be_nothing() -> None:
    assert together([[0, 10, 1], [10, 20, 0]], [[0, 10, 0], [10, 20, 2]]) == ([], [])


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.3, 0.4])
def test_what_the_machine_does_in_a_moment_is_in_both_arms_and_in_no_ratio(factor: float) -> None:
    """Speeds that change from moment to moment, and two arms whose lots take 50 ms and `factor` times as long of it."""
    rng = np.random.default_rng(7)
    slowness = np.exp(rng.normal(0, 0.2, 4000).repeat(25))  # seconds a second's work takes, for 25 of 0.1 ms each
    clock = np.concatenate([[0.0], np.cumsum(slowness)])  # when how much of the work of an undisturbed machine is done

    def lots(work: float) -> list[list[float]]:
        ends = np.arange(0.0, len(slowness) - work, work)
        begun, done = (np.interp(at, np.arange(len(clock)), clock) for at in (ends, ends + work))
        return [[b, d, (d - b) / 2] for b, d in zip(begun, done, strict=True)]

    mine, theirs = together(lots(500.0), lots(500.0 * factor))
    found = np.log(np.array(theirs) / np.array(mine))
    alone = np.std(np.diff(np.log(mine)))
    assert np.median(found) == pytest.approx(math.log(factor), abs=0.01)
    assert np.std(found) < (0.01 if factor == 1.0 else 0.8) * alone
    assert alone > 0.04, "there was something to be free of"


@given(st.floats(1.0, UNEQUAL), st.floats(LONG_CALL * 1.001, 20.0))
def test_a_long_call_is_called_as_rarely_as_it_can_be(factor: float, call: float) -> None:
    """Both arms at half speed, three calls each; the slower arm's third one begins before the stretch ends."""
    slow = call * factor
    chosen = choose(trial(slow), trial(call), BENCHMARK, None)
    assert (chosen.mode, chosen.cycles, chosen.warmup) == (Mode.SHARED, 3, 0)
    assert 4 * slow < chosen.window < 6 * slow and chosen.stretch == pytest.approx(6 * slow)
    waits = trial(slow, busy=0.1, waits=1.0)
    assert choose(waits, waits, BENCHMARK, None).cycles == LONG_CYCLES == 4


def test_a_pacemaker_is_judged_by_one_stretch_unless_calls_seem_dearer_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Alone a call takes 0.3 s of CPU time. What each stretch says, in turn, and how many there were."""
    one = trial(0.3)
    chosen = choose(one, one, BENCHMARK, None)

    def paces(*seconds: float, alone: float = 0.3) -> tuple[float, int]:
        said = iter(seconds)

        def window(workers: object, settings: Settings, *_: object) -> dict[Arm, list[tuple[float, float, float]]]:
            assert settings.window <= 0.3, "one call of each arm"
            base = next(said)
            return {Arm.BASE: [(0.0, 1.0, base * 1e9)] if base else [], Arm.HEAD: [(0.0, 1.0, 0.3e9)]}

        monkeypatch.setattr(modes, "window", window)
        pace = _pace({}, chosen, dict.fromkeys(Arm, alone), BENCHMARK, 0)
        return pace, len(seconds) - len(list(said))

    assert paces(0.31) == (PACES[0], 1)
    assert paces(0.4, 0.39) == (PACES[0], 2), "beside the other arm it takes longer without beats too"
    assert paces(*[0.4, 0.3] * 3, 0.31) == (PACES[1], 7)
    assert paces(*[0.4, 0.3] * 6) == (0.0, 12)
    assert paces(0.31, 0.3, alone=0.0) == (PACES[0], 2), "what it takes alone is not known"
    assert paces(0.0) == (*paces(0.4, 0.0)[:1], 1) == (PACES[0], 1), "an arm that was held up says nothing"
    assert _pace({}, chosen, dict.fromkeys(Arm, 0.3), BENCHMARK, None) == 0.0
