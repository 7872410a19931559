"""What a calibration sees of the two arms, and the settings of the benchmark's blocks that follow from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from runner.measuring import modes
from runner.measuring.pacemaker import Pacemaker
from runner.measuring.process import Worker
from runner.model import Arm, Benchmark, Interpreter, Mode, Settings

SLICES = (2.5e-4, 5e-4, 1e-3, 2e-3)
"""Seconds that a slice may take in `turns`: the shortest in which a call does not take longer than in the longest."""
SLICE, LONG_SLICE = SLICES[0], SLICES[-1]
"""The second also in trials and in `adjacent`."""
DEARER = 1.1
"""Slices are too short for calls that take more than this many times as long in them as in the longest: a benchmark
that lives in the caches finds them emptied by the other arm, and that is no part of what the arms differ in."""
COMPARED, AGREEING = 24, 3
"""Cycles of a comparison by which that is decided, half of each length; and how many comparisons must all say so."""
STRETCH, LONG_STRETCH = 0.08, 0.1
"""Seconds of kept slices, both arms together, that a block of `turns` should hold: of the shortest slices, and of
longer ones, which tell less each."""
LEAST_CYCLES, MOST_CYCLES = 12, 160
WARM, WARM_JIT = 5e-3, 0.5
"""Seconds of slices that each arm does in `turns` before any is kept; the second where an arm has a JIT."""
LONGEST_TURN, LONGEST_RENEWED_TURN = 3e-3, 2e-2
"""Calls that take longer than this (seconds, the slower arm) share the CPU instead of taking turns (decision 0025). The
second where there is a set-up before each call; those share it only where the call is the larger part of the two:
otherwise they would share it with a set-up."""
SET_UPS, LEAST_SET_UP = 2.0, 2
"""Seconds that the cycles of a block should take at most where there are set-ups between the calls, and the cycles that
it has all the same."""
LONG_CALL, LONG_CYCLES = 0.2, 4
"""Calls that take longer than this with their set-ups (seconds, the slower arm) are so dear that a block of `turns` or
`adjacent` has only so many cycles (decision 0031)."""
SHARED_LOTS, FEWEST_LOTS = 6, 3
"""Lots of calls, of the slower arm, that should lie wholly inside the common stretch of `shared`; and of long calls."""
SHARED_STRETCH, LONG_SHARED_STRETCH = 0.2, 0.4
"""Seconds that the common stretch of `shared` lasts at least; and what it lasts at most where it has more lots than the
fewest."""
PACES = (2.5e-4, 1e-3)
"""Seconds between two beats of the pacemaker in `shared`: the shortest in which calls do not take longer than without
one, as with `SLICES`."""
UNEQUAL = 4.0
"""Arms that differ in speed by more than this get each its own number of calls a slice."""
LONGEST_TRIAL = 0.1
"""Slices up to this long (seconds) are tried three times."""
RETRIED = 7
"""Slices of each arm by which that is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a calibration saw of one arm."""

    call: float
    """Wall seconds per call."""
    calls: int
    """Calls in the slices that it was seen in."""
    setup: float = 0.0
    """Wall seconds per call that the set-ups between calls take."""
    cpu: float
    """CPU seconds per call, in the slice where they were fewest."""
    busy: float
    """CPU time ÷ wall time: below 1 it waits, above 1 it uses several threads."""
    waits: float
    """Voluntary context switches per call."""
    threads: int
    children: float
    """CPU seconds of its child processes."""
    alone: bool = False
    """It takes what one process at a time can have, such as a port."""

    @property
    def whole(self) -> float:
        """Seconds that a call takes with its share of a set-up."""
        return self.call + self.setup


def calibrate(
    workers: Mapping[Arm, Worker], benchmark: Benchmark, forced: str | None, handles: modes.Handles, cpu: int | None,
    warm: float = WARM,
) -> Settings:
    """Try both arms, which have loaded the benchmark, and choose its settings; `forced` and `warm` as in `choose`.

    `handles` are those of `modes.pipes`, `cpu` is the one that both run on. Raises WorkerFailed.
    """
    trials = {arm: _try(worker, benchmark) for arm, worker in workers.items()}
    # Where a set-up precedes each slice, its first call is what it is; and set-ups may be dear.
    if apart(trials[Arm.BASE], trials[Arm.HEAD]) and not any(trial.setup > LONG_SLICE for trial in trials.values()):
        again = _try_alternating(workers, trials, benchmark)
        trials = trials if apart(again[Arm.BASE], again[Arm.HEAD]) else again
    candidates = [
        choose(trials[Arm.BASE], trials[Arm.HEAD], benchmark, forced, seconds, warm) for seconds in SLICES
    ]
    if candidates[0].mode is Mode.SHARED:
        # What a JIT has not compiled yet takes longer alone than it will beside the other arm.
        alone = {arm: trial.cpu if warm == WARM else 0.0 for arm, trial in trials.items()}
        return replace(candidates[0], pace=_pace(workers, candidates[0], alone, benchmark, cpu))
    if candidates[0].mode is not Mode.TURNS:
        return candidates[0]
    return shortest(candidates, lambda one, longest: _dearer(workers, one, longest, benchmark, handles))


def shortest(candidates: Sequence[Settings], dearer: Callable[[Settings, Settings], float]) -> Settings:
    """The first of these settings, the shortest slices first, in whose slices a call takes no longer than in the last.

    `dearer` measures how many times as long it takes in the slices of one as in those of another; more than `DEARER`
    counts where `AGREEING` measurements say so.
    """
    longest, refused = candidates[-1], None
    for one in candidates:
        # Long calls make slices of several lengths the same ones.
        if one.calls == longest.calls:
            return one
        # One measurement may be off by the machine's noise, and long slices cost many times as many blocks.
        if one.calls != refused and not all(dearer(one, longest) > DEARER for _ in range(AGREEING)):
            return one
        refused = one.calls
    return longest


def _dearer(
    workers: Mapping[Arm, Worker], short: Settings, longer: Settings, benchmark: Benchmark, handles: modes.Handles
) -> float:
    """How many times as long a call takes in the slices of `short`, in the arm where that is worse."""
    # One length beside the other, so that what disturbs the machine disturbs both.
    calls = {arm: (short.calls[arm], longer.calls[arm]) for arm in Arm}
    seen = modes.alternate(workers, "bh" * COMPARED, calls, handles, benchmark.timeout)
    return max(
        median(
            (brief / calls[arm][0]) / (lasting / calls[arm][1])
            for brief, lasting in zip(times[::2], times[1::2], strict=True)
        )
        for arm, times in seen.items()
    )


def _pace(
    workers: Mapping[Arm, Worker], settings: Settings, alone: Mapping[Arm, float], benchmark: Benchmark,
    cpu: int | None,
) -> float:
    """Seconds between the pacemaker's beats; 0: calls that live in the caches are better without it.

    `alone`: CPU seconds of a call of each arm while the other one waits; 0: not known.
    """
    return next((
        pace for pace in PACES
        if cpu is not None
        and not all(_slowed(workers, settings, alone, benchmark, cpu, pace) for _ in range(AGREEING))
    ), 0.0)


def _slowed(
    workers: Mapping[Arm, Worker], settings: Settings, alone: Mapping[Arm, float], benchmark: Benchmark, cpu: int,
    pace: float,
) -> bool:
    """Whether calls take longer with a pacemaker than without, in the arm where that is worse."""
    # As short as it can be: a call of each arm, or a few ticks of the kernel's clock.
    brief = replace(settings, window=min(settings.window / 2 / FEWEST_LOTS, SHARED_STRETCH / 4), warmup=0)

    def dearer(than: Mapping[Arm, float]) -> bool:
        return any(paced[arm] > DEARER * than[arm] for arm in Arm if arm in paced and arm in than)

    def taken(period: float) -> dict[Arm, float]:
        """CPU seconds of a call; without an arm that was held up, and has done none."""
        with Pacemaker(cpu, period) as pacemaker:
            lots = modes.window(workers, brief, benchmark.timeout, pacemaker)
        return {arm: median(cpu_time for _, _, cpu_time in own) / 1e9 for arm, own in lots.items() if own}

    paced = taken(pace)
    # Alone a call takes no longer than beside the other arm's: most need no second measurement.
    return dearer(alone) and dearer(taken(0.0))


def has_jit(base: Interpreter, head: Interpreter, environment: Mapping[str, str]) -> bool:
    """Whether an arm compiles what it runs; `environment` is what both get, and may switch that on."""
    return environment.get("PYTHON_JIT", "0") != "0" or any(
        one.implementation == "pypy" or one.facts.get("jit") == "True" for one in (base, head))


def warming(base: Interpreter, head: Interpreter, environment: Mapping[str, str]) -> float:
    """Seconds of slices that each arm does before any is kept, the same for both."""
    return WARM_JIT if has_jit(base, head, environment) else WARM


def choose(
    base: Trial, head: Trial, benchmark: Benchmark, forced: str | None, seconds: float = SLICE, warm: float = WARM
) -> Settings:
    """The finest mode that is right for what both arms do, and slices of `seconds` in `turns`. Pure.

    `forced` is a mode's name set by hand, or None; `warm` is what `warming` gives.
    """
    slow, fast = max(base.whole, head.whole), min(base.whole, head.whole)
    lot = benchmark.number or 1  # calls that are timed as one: a slice has no fewer
    mode = Mode.ADJACENT if benchmark.form == "raw" else _mode(base, head, lot) if forced is None else Mode(forced)
    seconds = seconds if mode is Mode.TURNS else LONG_SLICE
    if mode is Mode.SHARED and benchmark.number:
        calls = dict.fromkeys(Arm, lot)
    elif apart(base, head):
        calls = {Arm.BASE: _calls(base.whole, lot, seconds), Arm.HEAD: _calls(head.whole, lot, seconds)}
    else:
        equal = _calls((slow + fast) / 2, lot, seconds)
        calls = dict.fromkeys(Arm, equal)
    cycle = base.whole * calls[Arm.BASE] + head.whole * calls[Arm.HEAD]
    if mode is Mode.SHARED:
        # Both run at half speed. What began before the end of the stretch is done after it.
        longest = max(base.whole * calls[Arm.BASE], head.whole * calls[Arm.HEAD])
        many, few = (2 * longest * (lots - 0.5) for lots in (SHARED_LOTS, FEWEST_LOTS))
        window = max(SHARED_STRETCH, few, min(many, LONG_SHARED_STRETCH))
        # Long calls have been called once, and are too dear for another.
        return Settings(mode=mode, calls=calls, cycles=SHARED_LOTS if window >= many else FEWEST_LOTS, window=window,
                        warmup=0 if few >= SHARED_STRETCH else 1, stretch=window + longest)
    stretch = STRETCH if seconds == SLICE else LONG_STRETCH
    cycles = int(min(max(stretch / cycle, LEAST_CYCLES), MOST_CYCLES)) if lot * slow <= LONG_CALL else LONG_CYCLES
    renewed = _renewed(base, head)
    if renewed:
        cycles = min(cycles, max(LEAST_SET_UP, int(SET_UPS / cycle)))
    # A multiple of four: each order of the arms equally often (`Plan` balances it within every four cycles).
    cycles -= cycles % 4 if cycles > 4 else 0
    warmup = max(2, math.ceil(2 * warm / cycle)) if lot * slow < 0.1 else 0
    return Settings(mode=mode, calls=calls, cycles=cycles, window=0.0, warmup=warmup,
                    stretch=(cycles + warmup) * cycle)


def _mode(base: Trial, head: Trial, lot: int) -> Mode:
    if _elsewhere(base) or _elsewhere(head):
        return Mode.ADJACENT
    if lot * max(base.whole, head.whole) <= (LONGEST_RENEWED_TURN if _renewed(base, head) else LONGEST_TURN):
        return Mode.TURNS
    set_up = base.setup > base.call or head.setup > head.call
    return Mode.ADJACENT if set_up else Mode.SHARED


def _renewed(base: Trial, head: Trial) -> bool:
    """Whether there are set-ups between the calls of either arm."""
    return base.setup > 0 or head.setup > 0


def apart(base: Trial, head: Trial) -> bool:
    """Whether the arms' speeds are so far apart that each needs its own number of calls in a slice."""
    return max(base.whole, head.whole) > UNEQUAL * min(base.whole, head.whole)


def _try_alternating(
    workers: Mapping[Arm, Worker], trials: Mapping[Arm, Trial], benchmark: Benchmark
) -> dict[Arm, Trial]:
    """The trials again, with slices in turn and of equally many calls: those of the slower arm.

    The first calls of a slice find cold caches, so a call costs more in a short slice than in a long one: two equal
    arms, of which one had a bad moment, seemed ten times apart, got unequal numbers of calls, and so were.
    """
    calls = trials[max(Arm, key=lambda arm: trials[arm].whole)].calls
    seen: dict[Arm, list[float]] = {arm: [] for arm in Arm}
    for _ in range(RETRIED):
        for arm, worker in workers.items():
            seen[arm].append(worker.ask({"do": "slice", "calls": calls}, benchmark.timeout)["ns"] / 1e9 / calls)
    return {arm: replace(trials[arm], call=max(median(seen[arm]), 1e-9), calls=calls) for arm in Arm}


def _calls(call: float, lot: int, seconds: float) -> int:
    return max(1, round(seconds / (call * lot))) * lot


def _elsewhere(trial: Trial) -> bool:
    # A neighbour that steals time lowers `busy` too, so waiting counts only where the process itself gave up the CPU.
    waits = trial.busy < 0.9 and trial.waits >= 0.5
    return waits or trial.alone or trial.children > 0 or trial.threads > 1 or trial.busy > 1.2


def _try(worker: Worker, benchmark: Benchmark) -> Trial:
    """Double the calls until a slice is long enough to tell the time of a call; the last slices count."""
    lot = calls = benchmark.number or 1
    while True:
        waits = _voluntary_switches(worker.pid)
        reply = worker.ask({"do": "slice", "calls": calls}, benchmark.timeout)
        # Waiting for the parent's request is one voluntary switch of the worker's own.
        waits = max(0, _voluntary_switches(worker.pid) - waits - 1 - reply["waits"])
        took = reply["ns"] + reply["setup"]
        if took >= LONG_SLICE * 1e9 / 2 or calls >= 1 << 26:
            break
        calls = max(calls * 2, int(calls * 0.7 * LONG_SLICE * 1e9 / max(took, 100)) // lot * lot)
    # The first calls find cold caches and memory that was never touched: the second and third slice of a call that
    # takes milliseconds take a fraction of it. Of what takes long, one is enough.
    again = 2 if took < LONGEST_TRIAL * 1e9 else 0
    replies = [reply, *(worker.ask({"do": "slice", "calls": calls}, benchmark.timeout) for _ in range(again))]
    return Trial(
        call=max(median(r["ns"] for r in replies), 1) / 1e9 / calls, calls=calls, waits=waits / calls,
        cpu=min(r["cpu"] for r in replies) / 1e9 / calls,
        threads=_threads(worker.pid),
        busy=sum(r["cpu"] for r in replies) / max(1, sum(r["ns"] for r in replies)),
        alone=any(r["alone"] for r in replies), children=sum(r["children"] for r in replies),
        setup=median(r["setup"] for r in replies) / 1e9 / calls,
    )


def fixed(benchmark: Benchmark) -> Settings:
    """For one value a process, and for a calibration that failed before it could choose."""
    return Settings(mode=Mode.ADJACENT, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=1, window=0.0, warmup=0)


def preemptions(pid: int) -> int:
    """Times that a process, its first thread alone, was kept from going on; 0 where the system does not tell."""
    return _status(pid, "nonvoluntary_ctxt_switches:")


def _voluntary_switches(pid: int) -> int:
    return _status(pid, "voluntary_ctxt_switches:")


def _threads(pid: int) -> int:
    return max(1, _status(pid, "Threads:"))


def _status(pid: int, field: str) -> int:
    try:
        with Path(f"/proc/{pid}/status").open() as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith(field)), 0)
    except OSError:
        return 0
