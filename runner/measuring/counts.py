"""What a call does, in numbers that do not jitter: instructions by function, and bytes allocated.

Each seed of string hashing is one pair of processes, of both arms at the same time: counts do not depend on what else
runs. They are shown beside times and never decide anything.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from runner.errors import MachineError
from runner.measuring import callgrind
from runner.measuring.caches import Caches
from runner.measuring.callgrind import Function, Profile
from runner.measuring.copies import fresh
from runner.measuring.launch import Launch, bytecode, command, padded, with_commands
from runner.measuring.process import Worker, WorkerFailed, begin, receive_all
from runner.measuring.settings import has_jit
from runner.model import Arm, Benchmark, Interpreter
from runner.suites import Suite

SEEDS = (1, 2, 3, 4, 5)
"""Values of PYTHONHASHSEED, the same for both arms."""
WORTH = 5_000_000
"""Instructions that the calls between the first two marks should take together: a tenth of a second under valgrind."""
MOST_CALLS = 64
LONG = 100_000_000
"""Instructions from which on a call is counted alone: what a mark costs does not show beside them."""
VERY_LONG = 1_000_000_000
"""Instructions from which on one seed must do: a call takes half a minute under valgrind."""
SLOWER = 200.0
"""Times longer than usual that a call may take under valgrind before it counts as hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is the same for all counts of a command."""

    base: Interpreter
    head: Interpreter
    suite: Suite
    environment: Mapping[str, str]
    """The part of the environment that workers get (`config.environment`)."""
    memory_limit: int
    """Bytes in memory that a worker may use; not under valgrind, which uses memory of its own."""
    scratch: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One function's own instructions per call, mean over the seeds."""

    function: Function
    caller: str
    """For a library's function: the interpreter's function that most of them come from, or empty."""
    base: float
    head: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Instructions per call under callgrind."""

    seeds: tuple[int, ...]
    base: tuple[float, ...]
    """Per seed."""
    head: tuple[float, ...]
    calls: int
    """Calls whose cost is the difference between two counts; 1 for a long call that was counted alone."""
    exact: bool
    """The first seed's processes were run twice, and gave the same number in both arms, to the digit."""
    changes: tuple[Change, ...]
    """Functions whose counts differ between the arms, largest difference first."""

    @property
    def log_ratio(self) -> float:
        """Natural log of head ÷ base of the means over the seeds."""
        return math.log(fmean(self.head) / fmean(self.base))


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """Bytes allocated at the peak of one call, above what was there before it (tracemalloc)."""

    seeds: tuple[int, ...]
    base: tuple[int, ...]
    head: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is known of one benchmark's work."""

    instructions: Instructions | None
    allocated: Allocated | None
    problems: tuple[str, ...]
    """In words: why one of them is missing."""


class Counter:
    """Counts the work of benchmarks, two processes at a time."""

    def __init__(self, setting: Setting, valgrind: str | None) -> None:
        self._setting = setting
        self._valgrind = valgrind
        self._loading = setting.suite.loader(setting.scratch)
        arms = {Arm.BASE: setting.base, Arm.HEAD: setting.head}
        self._wrapper = next((one.executable for one in arms.values() if one.starts is not None), None)
        self._executables = {arm: interpreter.executable for arm, interpreter in arms.items()}
        self._jit = has_jit(setting.base, setting.head, setting.environment)
        self._found = with_commands(arms, setting.environment)
        self._caches = Caches(setting.scratch, self._loading)
        self._bytecode = bytecode(setting.base, setting.head, setting.scratch)
        self._commands = {arm: command(interpreter, self._bytecode[arm]) for arm, interpreter in arms.items()}

    def count(self, benchmark: Benchmark, tell: Callable[[str], None]) -> Counts:
        """Bytes first, then instructions; a problem with one of them does not keep the other away.

        `tell` hears of each step. Without valgrind there are no instructions, and no problem: that was said before.
        """
        if benchmark.form == "raw":
            problem = "it runs in processes of its own, whose instructions and bytes are not counted"
            return Counts(instructions=None, allocated=None, problems=(problem,))
        problems: list[str] = []
        allocated: Allocated | None = None
        instructions: Instructions | None = None
        try:
            # First, so that all bytecode is cached before instructions count: compiling leaves another heap behind.
            allocated = self._allocated(benchmark, tell)
        except WorkerFailed as error:
            problems.append(f"bytes allocated: {_words(error)}")
        except MachineError as error:
            problems.append(f"bytes allocated: {error}")
        if self._valgrind is not None and self._jit:
            problems.append("instructions: an arm has a JIT, and the few calls that are counted are not yet those that "
                            "are timed")
        elif self._valgrind is not None and self._wrapper is not None:
            problems.append(f"instructions: {self._wrapper} is a wrapper, and valgrind would count what it does itself")
        elif self._valgrind is not None:
            try:
                instructions = self._instructions(benchmark, tell, self._valgrind)
            except WorkerFailed as error:
                problems.append(f"instructions: {_words(error)}")
            except MachineError as error:
                problems.append(f"instructions: {error}")
        return Counts(instructions=instructions, allocated=allocated, problems=tuple(problems))

    def _allocated(self, benchmark: Benchmark, tell: Callable[[str], None]) -> Allocated:
        values: dict[Arm, list[int]] = {arm: [] for arm in Arm}
        for seed in SEEDS:
            tell(f"counting bytes: {benchmark.key}, seed {seed} of {len(SEEDS)}")
            with self._pair(benchmark, seed, None) as pair:
                replies = pair.ask({"do": "allocated"})
            for arm in Arm:
                values[arm].append(int(replies[arm]["value"]))
        return Allocated(seeds=SEEDS, base=tuple(values[Arm.BASE]), head=tuple(values[Arm.HEAD]))

    def _instructions(self, benchmark: Benchmark, tell: Callable[[str], None], valgrind: str) -> Instructions:
        calls: tuple[int, int] | None = None
        found: list[dict[Arm, _Count]] = []
        seeds: tuple[int, ...] = SEEDS
        while len(found) < len(seeds) + 1:
            # The first seed once more, last, to see that the numbers repeat themselves.
            seed = (*seeds, seeds[0])[len(found)]
            tell(f"counting instructions: {benchmark.key}, {len(found) + 1} of {len(seeds) + 1}")
            with self._pair(benchmark, seed, valgrind) as pair:
                one = pair.profiles((0, benchmark.number or 1), 0)
                longest = max(count.total for count in one.values())
                if calls is None:
                    calls = _calls(benchmark, longest)
                    seeds = SEEDS[:1] if longest >= VERY_LONG else SEEDS
                found.append(pair.profiles(calls, calls[0]) if calls[0] else one)
            if min(count.total for count in found[-1].values()) <= 0:
                raise MachineError("later calls do less than those before them, so that no one call can be counted")
        assert calls is not None
        last = found.pop()
        return Instructions(
            seeds=seeds, base=tuple(one[Arm.BASE].total for one in found),
            head=tuple(one[Arm.HEAD].total for one in found), calls=calls[1] - calls[0],
            exact=all(last[arm].functions == found[0][arm].functions for arm in Arm), changes=_changes(found),
        )

    def _pair(self, benchmark: Benchmark, seed: int, valgrind: str | None) -> _Pair:
        setting = self._setting
        cwd = fresh(setting.scratch / "counting")
        own = {name: value for name, value in setting.environment.items() if name != "VALGRIND_OPTS"}
        env = padded(self._commands, {**own, "PYTHONHASHSEED": str(seed)}, 0)
        outs = {arm: setting.scratch / f"callgrind-{arm.value}" / "out" for arm in Arm}
        for out in outs.values():
            fresh(out.parent)
        words = {arm: (*callgrind.prefix(valgrind, outs[arm]), *self._commands[arm]) if valgrind else
                 self._commands[arm] for arm in Arm}
        launches = self._caches.starting(benchmark, {
            arm: Launch(
                arm=arm, command=self._commands[arm],
                env={**env[arm], **self._bytecode[arm].environment, **self._found[arm]},
                cwd=fresh(cwd / arm.value), cpus=(), memory=setting.memory_limit,
            ) for arm in Arm
        })
        if valgrind:
            launches = {arm: replace(one, command=words[arm], memory=None) for arm, one in launches.items()}
        request = {**self._loading(benchmark), "do": "load", "call": True, "trial": False}
        limit = benchmark.timeout * (SLOWER if valgrind else 1)
        return _Pair(launches, request, limit, outs, self._executables)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """One arm's instructions per call in one process."""

    total: float
    functions: Mapping[Function, float]
    callers: Mapping[Function, str]


class _Pair:
    """A worker of each arm that has loaded the benchmark, alive inside its context."""

    def __init__(
        self, launches: Mapping[Arm, Launch], load: Mapping[str, object], limit: float, outs: Mapping[Arm, Path],
        executables: Mapping[Arm, Path],
    ) -> None:
        self._launches, self._load, self._limit = launches, load, limit
        self._outs, self._executables = outs, executables
        self._marks = 0
        self._workers: dict[Arm, Worker] = {}
        self._stack = ExitStack()

    def __enter__(self) -> _Pair:
        with ExitStack() as stack:
            for arm, launch in self._launches.items():
                self._workers[arm] = stack.enter_context(Worker(launch))
            begin(self._workers, self._load, self._limit, look=1.0)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, request: Mapping[str, object]) -> dict[Arm, dict[str, Any]]:
        for worker in self._workers.values():
            worker.send(request, self._limit)
        return receive_all(self._workers, self._limit)

    def profiles(self, calls: tuple[int, int], warmup: int) -> dict[Arm, _Count]:
        """Per call, from the difference between two counts with so many calls each."""
        self.ask({"do": "count", "warmup": warmup, "calls": calls})
        self._marks += 4
        found = {}
        for arm in Arm:
            few, many = callgrind.read(self._outs[arm], self._marks, self._executables[arm])[-2:]
            found[arm] = _per_call(few, many, calls[1] - calls[0])
        return found


def _calls(benchmark: Benchmark, instructions: float) -> tuple[int, int]:
    """Calls between the two pairs of marks; fewer where a call is long. Not by time, which would not repeat itself."""
    if benchmark.number:
        return 0, benchmark.number
    if instructions >= LONG:
        return 0, 1
    calls = max(1, min(MOST_CALLS, int(WORTH / max(1.0, instructions))))
    return calls, 2 * calls


def _per_call(few: Profile, many: Profile, calls: int) -> _Count:
    functions = {function: (many.functions.get(function, 0) - few.functions.get(function, 0)) / calls
                 for function in {**few.functions, **many.functions}}
    return _Count(total=(many.total - few.total) / calls, functions=functions, callers=many.callers)


def _changes(found: list[dict[Arm, _Count]]) -> tuple[Change, ...]:
    means: dict[Arm, dict[Function, float]] = {}
    for arm in Arm:
        sums: dict[Function, float] = defaultdict(float)
        for one in found:
            for function, cost in one[arm].functions.items():
                sums[function] += cost / len(found)
        means[arm] = sums
    base, head = means[Arm.BASE], means[Arm.HEAD]
    changes = []
    for function in {**base, **head}:
        before, after = base.get(function, 0.0), head.get(function, 0.0)
        if before != after:
            more = found[0][Arm.BASE if before > after else Arm.HEAD]
            caller = function.caller or more.callers.get(function, "")
            changes.append(Change(function=function, caller=caller, base=before, head=after))
    return tuple(sorted(changes, key=lambda one: (-abs(one.head - one.base), one.function.name, one.caller)))


def _words(error: WorkerFailed) -> str:
    failure = error.failure
    said = f"{failure.arm.value} {failure.reason}" if failure.arm is not None else failure.reason
    # What valgrind cannot do it prints; of a traceback the reason has the last line already.
    last = next(iter(failure.detail.strip().splitlines()[-1:]), "").strip()
    return f"{said} ({last})" if last and last not in said else said
