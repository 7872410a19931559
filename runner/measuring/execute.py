"""Block spec in, block out: the duel of one benchmark on one CPU."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner import builds, machine
from runner.errors import LockstepError, MachineError, UsageError
from runner.measuring import modes, settings
from runner.measuring.ahead import Ahead
from runner.measuring.arms import Arms
from runner.measuring.caches import Caches
from runner.measuring.copies import fresh
from runner.measuring.launch import NO_SURPLUS, Launch, Surplus, bytecode, command, padded, surplus, with_commands
from runner.measuring.modes import Outcome
from runner.measuring.pacemaker import Pacemaker
from runner.measuring.process import Worker, WorkerFailed, begun
from runner.model import (
    Arm,
    Benchmark,
    Block,
    BlockKind,
    BlockSpec,
    Cause,
    Failure,
    Interpreter,
    Metric,
    Mode,
    Settings,
)
from runner.suites import Suite

VERSION = 8
"""Raised when the way of measuring changes, or what ends it: what an older way was found to do need not be true of this
one."""
COMPILING = 60.0
"""Seconds that loading a benchmark may take at least, where its modules have to be compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is the same for every block of a session."""

    base: Interpreter
    head: Interpreter
    suite: Suite
    environment: Mapping[str, str]
    """What a worker gets; with the hash seed and the padding that is all."""
    worker_cpu: int | None
    other_cpu: int | None
    """Where one of the arms loads meanwhile: see `machine.Pinning`."""
    ahead: bool = False
    """Where that leaves `worker_cpu` alone, a block may be begun while another is measured (`ahead.Ahead`)."""
    memory_limit: int
    """Bytes in memory that a worker may use."""
    forced: Mapping[str, str]
    """Settings set by hand, ``{"mode": "shared"}``."""
    scratch: Path
    host: str = ""
    """Name of the machine."""
    session: str = ""
    """Of this process, in its run."""
    linked: Callable[[int], None] = lambda seed: None
    """Called with the seed of a layout when both arms are linked in it, before anything is measured in it."""
    layouts: builds.Layouts | None = None
    """What links both arms anew, scope ``source`` only."""
    copies: bool = False
    """Run byte copies, new ones for every round; scope ``binary`` only."""
    addresses: bool = False
    """Draw the addresses of stack, heap and libraries for each block, the same for both arms (`machine.addresses`)."""
    values: str = "compare"
    """``compare`` what calls return in the two arms, or ``ignore`` it."""
    memory: Path | None = None
    """Where the copies go, on a file system in memory where there is one; None: `scratch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A block whose processes were started and told to load the benchmark, and were not waited for."""

    spec: BlockSpec
    arms: Mapping[Arm, Interpreter]
    launches: Mapping[Arm, Launch]
    handles: modes.Handles
    workers: Mapping[Arm, Worker]
    stack: ExitStack
    """What is to be closed at its end."""
    ahead: bool
    """It was begun while another block was measured."""

    def end(self, *, loading: bool, soon: bool = False) -> None:
        """Have it torn down. What goes wrong is nobody's: nothing more of it counts.

        What may be `loading` is waited for, since a set-up that was cut is not torn down. `soon`: the run was
        interrupted, and a teardown gets no more time than it would for that.
        """
        with suppress(WorkerFailed, _Soon), self.stack, suppress(WorkerFailed):
            if loading:
                begun(self.workers, self.spec.benchmark.timeout)
            if soon:
                raise _Soon


class _Soon(Exception):
    """A block is to be ended as where the run was interrupted."""


class Executor:
    """Runs blocks. Whatever a benchmark does, it returns a `Block`; a failed one says why."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._arms = Arms(
            context.base, context.head, context.memory or context.scratch, layouts=context.layouts,
            copies=context.copies, beside=context.other_cpu if context.ahead else None,
        )
        self._loading = context.suite.loader(context.scratch)
        self._caches = Caches(context.scratch, self._loading)
        self._bytecode = bytecode(context.base, context.head, context.scratch)
        self._surplus = self._of_wrappers()
        self._found = with_commands({Arm.BASE: context.base, Arm.HEAD: context.head}, context.environment)
        self._compiled: set[tuple[str, ...]] = set()
        self._unsteady: dict[str, str] = {}
        self._has_children: dict[str, bool] = {}
        """Benchmarks that were loaded, and whether they have started processes by then."""
        self._ahead = Ahead(possible=context.ahead, memory_limit=context.memory_limit)
        self._begun: _Opened | None = None
        """The block that was begun while another one was measured."""
        self._done: _Opened | None = None
        """The block that was measured, and is to be ended while the next one is. Its processes wait, and undo nothing:
        else none would have been begun beside it."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *problem: object) -> None:
        """End the processes of other blocks than the one that is measured, and wait for what is being linked."""
        with ExitStack() as stack:
            stack.callback(self._arms.close)
            stack.callback(self._abandon, wait=not any(problem))
            self._end_done()

    def run(self, spec: BlockSpec, following: BlockSpec | None = None) -> Block:
        """Measure one block, or calibrate when the spec has no settings.

        `following` is the block that will probably be asked for next: where that may be, its processes are started
        meanwhile. None: nothing is known of it, or it is not to be begun. What was begun ends with the context.
        """
        started, clock = time.time(), time.perf_counter()
        opened = self._begun if self._begun is not None and self._begun.spec == spec else None
        if opened is None:
            self._end_done()
            # The canary comes in between: what was begun has its turn after that.
            if self._begun is not None and not (
                spec.kind is BlockKind.CANARY and self._ahead.may(spec, self._begun.spec)
            ):
                self._abandon()
        block = self._run(spec, following, opened)
        if block.failure is not None and (opened is not None or self._begun is not None):
            # It may be the other block's doing, which was there meanwhile.
            self._end_done()
            self._abandon()
            self._arms.wait()
            self._ahead.failed(spec)
            block = self._run(spec, None, None)
        return replace(block, started=started, seconds=time.perf_counter() - clock)

    def _abandon(self, *, wait: bool = True) -> None:
        """End the block that was begun, which will not be measured; `wait` until it has loaded, or interrupt it."""
        opened, self._begun = self._begun, None
        if opened is not None:
            opened.end(loading=wait, soon=not wait)

    def _run(self, spec: BlockSpec, following: BlockSpec | None, opened: _Opened | None) -> Block:
        """The block without its times: when it began, and what it took, `run` knows. `opened`: it was begun ahead."""
        chosen = spec.settings or settings.fixed(spec.benchmark)
        outcome = Outcome()
        failure = None
        extensions: tuple[str, ...] = ()
        try:
            arms = self._arms.of_block(spec) if opened is None else opened.arms
        except UsageError as error:  # a copy does not run
            if spec.kind is not BlockKind.CANARY:
                raise
            return self._without_canary(spec, chosen, str(error))
        if spec.layout is not None:
            self._context.linked(spec.layout)
        before, launched = machine.read(self._context.worker_cpu), time.perf_counter()
        taken = {} if opened is None else {"ahead": 1.0}
        try:
            with ExitStack() as stack, Pacemaker(self._context.worker_cpu, chosen.pace) as pacemaker:
                if opened is None:
                    opened = self._open(spec, arms, taken)
                    launched += taken.get("cache", 0.0)
                stack.push(opened.stack)
                if opened is self._begun:
                    self._begun = None
                workers, handles = opened.workers, opened.handles
                self._load(opened)
                taken["start"] = time.perf_counter() - launched
                taken |= self._gil(workers, arms, spec)
                if spec.settings is None and spec.benchmark.metric is Metric.TIME:
                    extensions = self._extensions(workers, spec)
                    context = self._context
                    warm = settings.warming(context.base, context.head, context.environment)
                    chosen = settings.calibrate(
                        workers, spec.benchmark, context.forced.get("mode"), handles, context.worker_cpu, warm)
                else:
                    if chosen.mode is Mode.ADJACENT:
                        self._arms.wait()
                    switched = {arm: settings.preemptions(worker.pid) for arm, worker in workers.items()}
                    outcome = modes.measure(
                        workers, spec, chosen, handles, pacemaker, lambda: self._meanwhile(following, spec))
                    for arm, worker in workers.items():
                        switches = settings.preemptions(worker.pid) - switched[arm]
                        taken[f"switches_{arm.value}"] = max(0, switches)
                if self._begun is not None and spec.kind is not BlockKind.CANARY:
                    self._done = opened
                    stack.pop_all()  # it is ended later
        except WorkerFailed as error:
            failure = error.failure
            if "start" in taken and spec.benchmark.metric is Metric.TIME and failure.cause is Cause.SKIPPED:
                # Both arms had made a call: which of them comes to the mark first is the order of the slices' doing.
                failure = replace(failure, arm=None)
            outcome = Outcome()
        readings = {**machine.between(before, machine.read(self._context.worker_cpu)), **taken}
        if opened is not None and opened is not self._done and failure is None:
            self._ahead.measured(spec, opened.workers.values())
        return Block(
            benchmark=spec.benchmark.key, kind=spec.kind, index=spec.index, settings=chosen, started=0.0,
            seconds=0.0, base=tuple(outcome.base), head=tuple(outcome.head),
            first=spec.first, order=outcome.order, readings=readings, failure=failure,
            layout=spec.layout, extensions=extensions, uncovered=self._arms.uncovered(extensions),
            unsteady=self._unsteady.get(spec.benchmark.key, ""), **self._where(),
        )

    def _open(self, spec: BlockSpec, arms: Mapping[Arm, Interpreter], taken: dict[str, float]) -> _Opened:
        """Start the processes of a block, and have them load the benchmark. Raises WorkerFailed.

        `taken` gets the seconds of what is done for all blocks of several benchmarks.
        """
        with ExitStack() as stack:
            cwd, handles = self._place(spec, stack)
            # The two load at the same time on two CPUs, which halves a block's overhead; they are measured on one.
            here, there = self._context.worker_cpu, self._context.other_cpu
            launches = self._launches(spec, arms, cwd, handles, {spec.first: here, spec.first.other: there})
            if spec.benchmark.cache is not None:
                clock = time.perf_counter()
                launches = self._caches.starting(spec.benchmark, launches, spec.kind is BlockKind.CANARY)
                taken["cache"] = time.perf_counter() - clock
            self._compile(launches, spec, arms)
            return self._started(spec, arms, handles, launches, stack)

    def _meanwhile(self, following: BlockSpec | None, spec: BlockSpec) -> None:
        """While `spec` is measured, on the other CPU: end what was measured before, have linked what will be needed,
        and open the block that follows, where that may be."""
        self._end_done()
        self._arms.link(spec.next_layout)
        if (
            self._begun is not None or following is None or not self._arms.ready(following)
            or not self._ahead.may(spec, following)
        ):
            return
        # Its own turn will say what is wrong.
        with suppress(WorkerFailed, LockstepError, OSError), ExitStack() as stack:
            arms = self._arms.of_block(following)
            if self._is_to_compile(following, arms):
                return
            cwd, handles = self._place(following, stack)
            launches = self._launches(
                following, arms, cwd, handles, dict.fromkeys(Arm, self._context.other_cpu))
            self._begun = self._started(following, arms, handles, launches, stack, ahead=True)

    def _end_done(self) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        with suppress(MachineError):
            for worker in done.workers.values():
                worker.pin(self._context.other_cpu)  # what it had in memory is freed where it runs
        done.end(loading=False)
        self._ahead.measured(done.spec, done.workers.values())

    def _place(self, spec: BlockSpec, stack: ExitStack) -> tuple[Path, modes.Handles]:
        """The folder and the pipes of a block, until `stack` ends."""
        cwd = fresh(self._context.scratch / spec.directory)
        stack.callback(shutil.rmtree, cwd, ignore_errors=True)
        return cwd, stack.enter_context(modes.pipes())

    def _started(
        self, spec: BlockSpec, arms: Mapping[Arm, Interpreter], handles: modes.Handles,
        launches: Mapping[Arm, Launch], stack: ExitStack, *, ahead: bool = False,
    ) -> _Opened:
        workers = {arm: stack.enter_context(Worker(launches[arm])) for arm in (spec.first, spec.first.other)}
        self._compiled |= self._compiling(spec, arms)
        request = {**self._request(spec.benchmark), "trial": spec.settings is None}
        for worker in workers.values():
            worker.send(request, spec.benchmark.timeout)
        return _Opened(
            spec=spec, arms=arms, launches=launches, handles=handles, workers=workers, stack=stack.pop_all(),
            ahead=ahead,
        )

    def _without_canary(self, spec: BlockSpec, chosen: Settings, reason: str) -> Block:
        return Block(
            benchmark=spec.benchmark.key, kind=spec.kind, index=spec.index, settings=chosen, started=0.0, seconds=0.0,
            base=(), head=(), first=spec.first, layout=spec.layout,
            failure=Failure(reason=reason, arm=None), **self._where(),
        )

    def _where(self) -> dict[str, Any]:
        """Where a block was measured, and by which process."""
        context = self._context
        return {"host": context.host, "cpu": context.worker_cpu, "session": context.session}

    def _extensions(self, workers: Mapping[Arm, Worker], spec: BlockSpec) -> tuple[str, ...]:
        """The extension modules that either arm has loaded; asked where they can be linked anew only."""
        if not self._arms.linked:
            return ()
        replies = [worker.ask({"do": "extensions"}, spec.benchmark.timeout)["names"] for worker in workers.values()]
        return tuple(sorted({name for names in replies for name in names}))

    def _gil(
        self, workers: Mapping[Arm, Worker], arms: Mapping[Arm, Interpreter], spec: BlockSpec
    ) -> dict[str, float]:
        """Whether a build that is for running without the GIL had it on all the same, as a reading of each such arm."""
        return {
            f"gil_{arm.value}": worker.ask({"do": "gil"}, spec.benchmark.timeout)["value"]
            for arm, worker in workers.items() if arms[arm].facts.get("Py_GIL_DISABLED") == "1"
        }

    def _launches(
        self, spec: BlockSpec, arms: Mapping[Arm, Interpreter], cwd: Path, handles: modes.Handles,
        cpus: Mapping[Arm, int | None],
    ) -> dict[Arm, Launch]:
        """How both arms are started, each on one of `cpus` while it loads; None: on any."""
        context, where = self._context, {arm: () if cpu is None else (cpu,) for arm, cpu in cpus.items()}
        of = {arm: _folder_of(arm, spec) for arm in Arm}
        code = {arm: self._bytecode[of[arm]] for arm in Arm}
        commands = {arm: command(arms[arm], code[arm]) for arm in Arm}
        env = padded(commands, self._environment(cwd, spec.hash_seed), spec.padding,
                     NO_SURPLUS if spec.kind is BlockKind.CANARY else self._surplus)  # copies, and no wrappers
        return {
            arm: Launch(
                arm=arm, command=commands[arm], env={**env[arm], **code[arm].environment, **self._found[of[arm]]},
                cwd=fresh(cwd / arm.value), cpus=where[arm], inherited=handles[arm],
                memory=context.memory_limit, address=spec.address if context.addresses else None,
            )
            for arm in Arm
        }

    def _environment(self, cwd: Path, hash_seed: int) -> dict[str, str]:
        """What both arms get, without the padding."""
        # A shell that is a wrapper adds the folder that it runs in, whose length is drawn for each block.
        place = {"PWD": str(cwd)} if any(one.starts for one in (self._context.base, self._context.head)) else {}
        return {**self._context.environment, **place, "PYTHONHASHSEED": str(hash_seed)}

    def _of_wrappers(self) -> Mapping[Arm, Surplus]:
        arms = {Arm.BASE: self._context.base, Arm.HEAD: self._context.head}
        if not any(one.starts for one in arms.values()):
            return NO_SURPLUS
        cwd = fresh(self._context.scratch / "wrappers")
        return {arm: surplus(one, self._environment(cwd, 0), cwd) for arm, one in arms.items()}

    def _is_to_compile(self, spec: BlockSpec, arms: Mapping[Arm, Interpreter]) -> bool:
        """Whether a benchmark is to be loaded once before this block, the first of it in this session.

        A calibration needs that no more than another first time does: it is not scored. But a library that has to be
        compiled too is not its time limit's, and may be at another path in every copy.
        """
        calibrates = spec.settings is None and spec.benchmark.metric is Metric.TIME
        needs = self._bytecode[Arm.BASE].library or not calibrates
        return needs and not self._compiling(spec, arms) <= self._compiled

    def _compiling(self, spec: BlockSpec, arms: Mapping[Arm, Interpreter]) -> set[tuple[str, str]]:
        """What a block's processes compile where nobody has: the benchmark in the folder of each arm (base's for both
        of a canary), or in each executable where the library is compiled too."""
        library = self._bytecode[Arm.BASE].library
        return {(spec.benchmark.name, str(arms[arm].executable) if library else _folder_of(arm, spec).value)
                for arm in Arm}

    def _compile(self, launches: Mapping[Arm, Launch], spec: BlockSpec, arms: Mapping[Arm, Interpreter]) -> None:
        """Load a benchmark where that is due, so that no block compiles its modules."""
        if not self._is_to_compile(spec, arms):
            return
        limit = max(spec.benchmark.timeout, COMPILING)
        for launch in launches.values():
            # The block itself tells of what fails.
            with suppress(WorkerFailed), Worker(_elsewhere(launch, spec.benchmark)) as worker:
                worker.greet()
                worker.ask({**self._request(spec.benchmark), "call": False}, limit)

    def _request(self, benchmark: Benchmark) -> dict[str, object]:
        return {
            **self._loading(benchmark), "do": "load", "call": benchmark.metric is Metric.TIME, "trial": False,
        }

    def _load(self, opened: _Opened) -> None:
        """Wait for both arms, which import, set up and make a first call; the values that it returns must agree."""
        benchmark, workers = opened.spec.benchmark, opened.workers
        if opened.ahead:  # both are on the other CPU: what has not loaded yet goes on on two
            workers[opened.spec.first].pin(self._context.worker_cpu)
        replies = begun(workers, benchmark.timeout)
        values = {arm: str(reply["value"]) for arm, reply in replies.items()}
        if values[Arm.BASE] != values[Arm.HEAD] and self._context.values == "compare":
            self._disagree(values, opened)
        for worker in workers.values():
            worker.pin(self._context.worker_cpu)
        # To look for children takes some milliseconds: of a benchmark that had none at first there will be none.
        if benchmark.metric is Metric.TIME and self._has_children.get(benchmark.key, True):
            found = [worker.pin_children(self._context.worker_cpu) for worker in workers.values()]
            if opened.spec.kind is not BlockKind.CANARY:  # of head it knows nothing
                self._has_children[benchmark.key] = any(found)

    def _disagree(self, values: Mapping[Arm, str], opened: _Opened) -> None:
        """See whether an arm agrees with itself, once for each benchmark. Raises WorkerFailed where both do."""
        benchmark, workers = opened.spec.benchmark, opened.workers
        if benchmark.key in self._unsteady:
            return
        if opened.ahead:
            raise WorkerFailed(Failure(reason="the arms disagree beside another block", arm=None))
        if any(worker.ask({"do": "again"}, benchmark.timeout)["value"] != values[arm]
               for arm, worker in workers.items()):
            self._unsteady[benchmark.key] = "calls"
            return
        for arm, launch in opened.launches.items():
            with Worker(_elsewhere(launch, benchmark)) as worker:
                worker.greet()
                if worker.ask(self._request(benchmark), benchmark.timeout)["value"] != values[arm]:
                    self._unsteady[benchmark.key] = "processes"
                    return
        base, head = values[Arm.BASE], values[Arm.HEAD]
        raise WorkerFailed(Failure(
            reason=f"the arms disagree: base returned {base}, head {head} (--values ignore measures it all the same)",
            arm=None,
        ))


def _folder_of(arm: Arm, spec: BlockSpec) -> Arm:
    """The arm whose folder for bytecode, and whose variables, a process of a block gets: a canary's are both base."""
    return Arm.BASE if spec.kind is BlockKind.CANARY else arm


def _elsewhere(launch: Launch, benchmark: Benchmark) -> Launch:
    """The same in a working directory of its own: a set-up may make there what another finds. A cache's is shared."""
    if benchmark.cache is not None:
        return launch
    return replace(launch, cwd=fresh(launch.cwd.with_name(f"{launch.cwd.name}-beside")))
