"""Block spec in, block out: the duel of one benchmark on one CPU."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from runner import builds, machine
from runner.copies import Copies
from runner.errors import UsageError
from runner.machine.sched import set_slice
from runner.model import Arm, Benchmark, Block, BlockSpec, Failure, Interpreter, Metric, Mode, Settings
from runner.process import Launch, Worker, WorkerFailed, command, padded, receive_all
from runner.suites.asv import link_asv_runner

SLICE = 2e-3
"""Seconds that a slice should take in `turns`."""
STRETCH = 0.1
"""Seconds of kept slices, both arms together, that a block of `turns` should hold."""
LEAST_CYCLES, MOST_CYCLES = 10, 40
LONGEST_TURN = 5e-3
"""Calls that take longer than this (seconds, the slower arm) share the CPU instead of taking turns."""
SHARED_CALLS = 6
"""Calls of the slower arm that should lie wholly inside the common stretch of `shared`."""
SHARED_STRETCH = 0.2
"""Seconds that the common stretch of `shared` lasts at least."""
SHARED_SLICE = 3e-4
"""Scheduler slice asked for in `shared`, seconds: so that a burst of stolen time hits both arms."""
UNEQUAL = 4.0
"""Arms that differ in speed by more than this get each its own number of calls a slice."""
TOGETHER = 7
"""Slices of each arm by which that is decided."""
VERSION = 2
"""Raised when the way of measuring changes: what was found out about an older way need not be true of this one."""
ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
"""What a worker gets of the environment, if set; with the hash seed and the padding that is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is the same for every block of a session."""

    base: Interpreter
    head: Interpreter
    suite: Path
    environment: Mapping[str, str]
    """The allowed part of the environment (`ENVIRONMENT`)."""
    worker_cpu: int | None
    parent_cpus: tuple[int, ...]
    memory_limit: int
    forced: Mapping[str, str]
    """Settings set by hand, ``{"mode": "shared"}``."""
    scratch: Path
    layouts: builds.Layouts | None = None
    """What links both arms anew, scope ``source`` only."""
    copies: bool = False
    """Run byte copies, new ones for every round; scope ``binary`` only."""
    memory: Path | None = None
    """Where the copies go, on a file system in memory where there is one; None: `scratch`."""


class Executor:
    """Runs blocks. Whatever a benchmark does, it returns a `Block`; a failed one says why."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._copies = Copies({Arm.BASE: context.base, Arm.HEAD: context.head}, context.memory or context.scratch)
        # asv_runner alone, for suites that use its marks.
        self._library = link_asv_runner(context.scratch)

    def run(self, spec: BlockSpec) -> Block:
        """Measure one block, or calibrate when the spec has no settings."""
        started, clock = time.time(), time.perf_counter()
        settings = spec.settings or _fixed_settings(spec.benchmark)
        outcome = _Outcome()
        failure = None
        extensions: tuple[str, ...] = ()
        try:
            commands = self._commands(spec)
        except UsageError as error:  # a copy does not run
            if not spec.canary:
                raise
            return self._without_canary(spec, settings, started, str(error))
        before = machine.read(self._context.worker_cpu)
        workers: dict[Arm, Worker] = {}
        cwd = self._context.scratch / spec.directory
        try:
            cwd.mkdir()
            with ExitStack() as stack:
                pipes = stack.enter_context(_pipes())
                for arm in (spec.first, spec.first.other):
                    workers[arm] = stack.enter_context(Worker(self._launch(arm, commands, spec, cwd, pipes[arm])))
                self._load(workers, spec)
                if spec.settings is None and spec.benchmark.metric is Metric.TIME:
                    extensions = self._extensions(workers, spec)
                    settings = self._calibrate(workers, spec.benchmark)
                elif spec.benchmark.metric is not Metric.TIME:
                    outcome = _single_values(workers, spec)
                elif settings.mode is Mode.SHARED:
                    outcome = _shared(workers, spec, settings)
                elif settings.mode is Mode.TURNS:
                    outcome = _turns(workers, spec, settings, pipes)
                else:
                    outcome = _adjacent(workers, spec, settings)
        except WorkerFailed as error:
            failure = error.failure
            outcome = _Outcome()
        finally:
            shutil.rmtree(cwd, ignore_errors=True)
        readings = machine.between(before, machine.read(self._context.worker_cpu))
        for arm, worker in workers.items():
            if worker.usage is not None:
                readings[f"switches_{arm.value}"] = worker.usage.ru_nivcsw
        return Block(
            benchmark=spec.benchmark.key, index=spec.index, settings=settings, started=started,
            seconds=time.perf_counter() - clock, base=tuple(outcome.base), head=tuple(outcome.head),
            first=spec.first, order=outcome.order, readings=readings, failure=failure,
            layout=spec.layout, canary=spec.canary, extensions=extensions,
            uncovered=tuple(self._context.layouts.uncovered(extensions)) if self._context.layouts else (),
        )

    def _without_canary(self, spec: BlockSpec, settings: Settings, started: float, reason: str) -> Block:
        return Block(
            benchmark=spec.benchmark.key, index=spec.index, settings=settings, started=started, seconds=0.0, base=(),
            head=(), first=spec.first, layout=spec.layout, canary=True, failure=Failure(reason=reason, arm=None),
        )

    def _commands(self, spec: BlockSpec) -> dict[Arm, tuple[str, ...]]:
        """What is run in each arm: the interpreters themselves, in a new layout, or base and its copy."""
        context = self._context
        arms = {Arm.BASE: context.base, Arm.HEAD: context.head}
        if context.layouts is not None and spec.layout is not None:
            arms = context.layouts.arms(spec.layout, spec.extensions)
        elif context.copies:
            arms = self._copies.of_round(spec.index, spec.first)
        if spec.canary:
            arms[Arm.HEAD] = self._copies.of_canary(arms[Arm.BASE])
        return {arm: command(interpreter) for arm, interpreter in arms.items()}

    def _extensions(self, workers: Mapping[Arm, Worker], spec: BlockSpec) -> tuple[str, ...]:
        """The extension modules that either arm has loaded; asked where they can be linked anew only."""
        if self._context.layouts is None:
            return ()
        replies = [worker.ask({"do": "extensions"}, spec.benchmark.timeout)["names"] for worker in workers.values()]
        return tuple(sorted({name for names in replies for name in names}))

    def _launch(
        self, arm: Arm, commands: Mapping[Arm, tuple[str, ...]], spec: BlockSpec, cwd: Path, pipes: tuple[int, int]
    ) -> Launch:
        env = {**self._context.environment, "PYTHONHASHSEED": str(spec.hash_seed)}
        context = self._context
        # The two load at the same time on two CPUs, which halves a block's overhead; they are measured on one.
        here = () if context.worker_cpu is None else (context.worker_cpu,)
        return Launch(
            arm=arm, command=commands[arm], env=padded(commands, env, spec.padding)[arm], cwd=cwd,
            cpus=here if arm is spec.first else (context.parent_cpus if here else ()), inherited=pipes,
        )

    def _load(self, workers: Mapping[Arm, Worker], spec: BlockSpec) -> None:
        """Import, set up, first call in both arms; the values that the first calls return must agree."""
        benchmark = spec.benchmark
        request = loading(benchmark, self._context.suite, self._library, self._context.memory_limit)
        for worker in workers.values():
            worker.send(request, benchmark.timeout)
        replies = {}
        for arm, worker in workers.items():
            worker.greet()
            replies[arm] = worker.receive(benchmark.timeout)
        base, head = replies[Arm.BASE]["value"], replies[Arm.HEAD]["value"]
        if base != head:
            raise WorkerFailed(Failure(reason=f"the arms disagree: base returned {base}, head {head}", arm=None))
        for worker in workers.values():
            worker.pin(self._context.worker_cpu)

    def _calibrate(self, workers: Mapping[Arm, Worker], benchmark: Benchmark) -> Settings:
        trials = {arm: _try(worker, benchmark) for arm, worker in workers.items()}
        if apart(trials[Arm.BASE], trials[Arm.HEAD]):
            together = _try_together(workers, trials, benchmark)
            trials = trials if apart(together[Arm.BASE], together[Arm.HEAD]) else together
        return choose(trials[Arm.BASE], trials[Arm.HEAD], benchmark, self._context.forced.get("mode"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a calibration saw of one arm."""

    call: float
    """Wall seconds per call."""
    calls: int
    """Calls in the slices that it was seen in."""
    busy: float
    """CPU time ÷ wall time: below 1 it waits, above 1 it uses several threads."""
    waits: float
    """Voluntary context switches per call."""
    threads: int
    children: float
    """CPU seconds of its child processes."""


def choose(base: Trial, head: Trial, benchmark: Benchmark, forced: str | None) -> Settings:
    """The finest mode that is right for what both arms do, and slices to match. Pure.

    `forced` is a mode's name set by hand, or None.
    """
    slow, fast = max(base.call, head.call), min(base.call, head.call)
    if forced is not None:
        mode = Mode(forced)
    elif _elsewhere(base) or _elsewhere(head):
        mode = Mode.ADJACENT
    else:
        mode = Mode.TURNS if slow <= LONGEST_TURN else Mode.SHARED
    lot = benchmark.number or 1
    if mode is Mode.SHARED and benchmark.number:
        calls = dict.fromkeys(Arm, lot)
    elif apart(base, head):
        calls = {Arm.BASE: _calls(base.call, lot), Arm.HEAD: _calls(head.call, lot)}
    else:
        equal = _calls((slow + fast) / 2, lot)
        calls = dict.fromkeys(Arm, equal)
    cycle = base.call * calls[Arm.BASE] + head.call * calls[Arm.HEAD]
    if mode is Mode.SHARED:
        # Both run at half speed; one more call at each end is cut off by the edges of the stretch.
        longest = max(base.call * calls[Arm.BASE], head.call * calls[Arm.HEAD])
        window = max(SHARED_STRETCH, 2 * longest * (SHARED_CALLS + 2))
        return Settings(mode=mode, calls=calls, cycles=SHARED_CALLS, window=window, warmup=1)
    most = MOST_CYCLES if mode is Mode.TURNS else LEAST_CYCLES
    cycles = int(min(max(STRETCH / cycle, LEAST_CYCLES), most)) if slow < 1.0 else 4
    return Settings(mode=mode, calls=calls, cycles=cycles - cycles % 2, window=0.0, warmup=2 if slow < 0.1 else 0)


def apart(base: Trial, head: Trial) -> bool:
    """Whether the arms' speeds are so far apart that each needs its own number of calls in a slice."""
    return max(base.call, head.call) > UNEQUAL * min(base.call, head.call)


def _try_together(workers: Mapping[Arm, Worker], trials: Mapping[Arm, Trial], benchmark: Benchmark) -> dict[Arm, Trial]:
    """The trials again, with slices in turn and of equally many calls: those of the slower arm.

    The first calls of a slice find cold caches, so a call costs more in a short slice than in a long one: two equal
    arms, of which one had a bad moment, seemed ten times apart, got unequal numbers of calls, and so were.
    """
    calls = trials[max(Arm, key=lambda arm: trials[arm].call)].calls
    seen: dict[Arm, list[float]] = {arm: [] for arm in Arm}
    for _ in range(TOGETHER):
        for arm, worker in workers.items():
            seen[arm].append(worker.ask({"do": "slice", "calls": calls}, benchmark.timeout)["ns"] / 1e9 / calls)
    return {arm: replace(trials[arm], call=max(median(seen[arm]), 1e-9), calls=calls) for arm in Arm}


def _calls(call: float, lot: int) -> int:
    return max(1, round(SLICE / (call * lot))) * lot


def _elsewhere(trial: Trial) -> bool:
    # A neighbour that steals time lowers `busy` too, so waiting counts only where the process itself gave up the CPU.
    return trial.children > 0 or trial.threads > 1 or trial.busy > 1.2 or (trial.busy < 0.9 and trial.waits >= 0.5)


def _try(worker: Worker, benchmark: Benchmark) -> Trial:
    """Double the calls until a slice is long enough to tell the time of a call; the last slices count."""
    lot = calls = benchmark.number or 1
    while True:
        waits = _voluntary_switches(worker.pid)
        reply = worker.ask({"do": "slice", "calls": calls}, benchmark.timeout)
        # Waiting for the parent's request is one voluntary switch of the worker's own.
        waits = max(0, _voluntary_switches(worker.pid) - waits - 1)
        if reply["ns"] >= SLICE * 1e9 / 2 or calls >= 1 << 26:
            break
        calls = max(calls * 2, int(calls * 0.7 * SLICE * 1e9 / max(reply["ns"], 100)) // lot * lot)
    again = [worker.ask({"do": "slice", "calls": calls}, benchmark.timeout) for _ in range(2)] if calls > lot else []
    replies = [reply, *again]
    return Trial(
        call=max(median(r["ns"] for r in replies), 1) / 1e9 / calls, calls=calls, waits=waits / calls,
        threads=_threads(worker.pid),
        busy=sum(r["cpu"] for r in replies) / max(1, sum(r["ns"] for r in replies)),
        children=sum(r["children"] for r in replies),
    )


class _Outcome:
    """What was measured in a block, in order."""

    def __init__(self) -> None:
        self.base: list[int | float] = []
        self.head: list[int | float] = []
        self.order = ""

    def of(self, arm: Arm) -> list[int | float]:
        return self.base if arm is Arm.BASE else self.head


def _single_values(workers: Mapping[Arm, Worker], spec: BlockSpec) -> _Outcome:
    outcome = _Outcome()
    do = "peak" if spec.benchmark.metric is Metric.PEAK_MEMORY else "value"
    for arm in (spec.first, spec.first.other):
        outcome.of(arm).append(workers[arm].ask({"do": do}, spec.benchmark.timeout)["value"])
    return outcome


def _turns(
    workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings, pipes: Mapping[Arm, tuple[int, int]]
) -> _Outcome:
    """Slices in turn; the arms hand the turn to each other, and this process sleeps until both are done."""
    letters = _letters(spec, settings)
    order = "".join("bh" if letter == "b" else "hb" for letter in letters)
    for arm, worker in workers.items():
        calls = settings.calls[arm]
        request = {"do": "turns", "arm": arm.value[0], "order": order, "calls": calls, "pipes": pipes[arm]}
        worker.send(request, spec.benchmark.timeout)
    replies = receive_all(workers, spec.benchmark.timeout)
    outcome = _Outcome()
    outcome.base, outcome.head = (replies[arm]["ns"][settings.warmup :] for arm in Arm)
    outcome.order = "".join(letters[settings.warmup :])
    return outcome


def _adjacent(workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings) -> _Outcome:
    """Slices one after the other, each asked for by itself: they may be long, and each has its time limit."""
    outcome = _Outcome()
    for cycle, letter in enumerate(_letters(spec, settings)):
        first = Arm.BASE if letter == "b" else Arm.HEAD
        for arm in (first, first.other):
            reply = workers[arm].ask({"do": "slice", "calls": settings.calls[arm]}, spec.benchmark.timeout)
            if cycle >= settings.warmup:
                outcome.of(arm).append(reply["ns"])
        if cycle >= settings.warmup:
            outcome.order += letter
    return outcome


def _letters(spec: BlockSpec, settings: Settings) -> list[str]:
    """Who goes first in each cycle of the block, those of the warm-up before the others."""
    return [spec.order[cycle % len(spec.order)] for cycle in range(-settings.warmup, settings.cycles)]


@contextmanager
def _pipes() -> Iterator[dict[Arm, tuple[int, int]]]:
    """For each arm the descriptors through which the turn comes in and goes out; closed at the end."""
    base_reads, head_writes = os.pipe()
    head_reads, base_writes = os.pipe()
    try:
        yield {Arm.BASE: (base_reads, base_writes), Arm.HEAD: (head_reads, head_writes)}
    finally:
        for descriptor in (base_reads, base_writes, head_reads, head_writes):
            os.close(descriptor)


def _shared(workers: Mapping[Arm, Worker], spec: BlockSpec, settings: Settings) -> _Outcome:
    """Both at once; only calls wholly inside the stretch in which both were running count."""
    for worker in workers.values():
        set_slice(worker.pid, SHARED_SLICE)
    limit = spec.benchmark.timeout + settings.window
    start = time.perf_counter_ns() + 2_000_000
    request = {"do": "window", "start": start, "end": start + int(settings.window * 1e9)}
    for arm, worker in workers.items():
        worker.send({**request, "calls": settings.calls[arm]}, limit)
    lots = {arm: reply["lots"][settings.warmup :] for arm, reply in receive_all(workers, limit).items()}
    outcome = _Outcome()
    outcome.base, outcome.head = common_lots(lots[Arm.BASE], lots[Arm.HEAD])
    if not outcome.base or not outcome.head:
        reason = f"no lot of calls lay wholly inside the common stretch of {settings.window:.1f} s"
        raise WorkerFailed(Failure(reason=f"{reason}; its calls vary too much in length for this mode", arm=None))
    return outcome


def common_lots(base: Sequence[Any], head: Sequence[Any]) -> tuple[list[int | float], list[int | float]]:
    """CPU times per call of the lots inside the stretch in which both arms were running.

    Each lot of calls is (start, end, CPU time per call). One that ends after the other arm has stopped had the
    core to itself for a while and so was faster than its partner's; with a planted 5 % that read 1.018 for 1.043.
    """
    if not base or not head:
        return [], []
    start, end = max(base[0][0], head[0][0]), min(base[-1][1], head[-1][1])

    def inside(lots: Sequence[Any]) -> list[int | float]:
        return [cpu for begun, done, cpu in lots if begun >= start and done <= end]

    return inside(base), inside(head)


def _fixed_settings(benchmark: Benchmark) -> Settings:
    """For one value a process, and for a calibration that failed before it could choose."""
    return Settings(mode=Mode.ADJACENT, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=1, window=0.0, warmup=0)


def loading(benchmark: Benchmark, suite: Path, library: Path, memory: int) -> dict[str, object]:
    """The request by which a worker loads a benchmark, with asv_runner from `library` and `memory` bytes at most."""
    module, attribute = _split(benchmark.name, suite)
    return {
        "do": "load", "folder": str(suite), "module": module, "attribute": attribute, "path": [str(library)],
        "index": list(benchmark.index), "number": benchmark.number or 0, "memory": memory,
        "call": benchmark.metric is Metric.TIME,
    }


def _split(name: str, suite: Path) -> tuple[str, str]:
    """``sub.module.Class.time_x`` as the module's and the attribute's names, which the suite's folder tells apart."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        if suite.joinpath(*parts[:cut]).with_suffix(".py").is_file():
            return ".".join(parts[:cut]), ".".join(parts[cut:])
    return parts[0], ".".join(parts[1:])


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
