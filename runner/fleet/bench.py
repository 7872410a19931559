"""The side of one machine: it prepares a comparison, and measures blocks of it, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from runner import machine
from runner.errors import LockstepError, MachineError, listed
from runner.fleet import records
from runner.fleet.records import Answer, Measured, Opened
from runner.jobs.ab import Ready, arms_of, prepare
from runner.machine.lock import LOCK
from runner.measuring.copies import memory, scratch
from runner.measuring.execute import Context, Executor
from runner.measuring.plan import Standing
from runner.measuring.progress import Progress
from runner.model import Arm, BlockSpec


class Bench(Protocol):
    """What a machine of a fleet does. Calls come one at a time, from one thread or several."""

    @property
    def name(self) -> str:
        """By which the machine is known in the fleet, and in the blocks that it measures."""

    def answer(self, what: str, text: str) -> str:
        """Do what is asked: ``open`` (an `AbRequest`), ``measure`` (a `Wanted`) or ``close``. Returns an `Answer`."""


@dataclass(slots=True)
class _Session:
    """A comparison that this machine is ready for."""

    ready: Ready
    context: Context
    stack: ExitStack
    executors: dict[int, Executor] = field(default_factory=dict)
    """By lane."""
    linked: dict[int, Mapping[Arm, Mapping[str, int]]] = field(default_factory=dict)
    """Where the hot functions are in layouts that were linked and not told of."""

    def executor(self, lane: int) -> Executor:
        if lane not in self.executors:
            # Of its own: copies of a round would go with every change of lane, and a cache's folder is its lane's.
            place, copies = self.context.scratch / str(lane), self.context.memory
            place.mkdir()
            if copies is not None:
                copies = copies / str(lane)
                copies.mkdir(exist_ok=True)  # the same as `place` where there is no room in memory
            self.executors[lane] = Executor(replace(self.context, scratch=place, memory=copies))
        return self.executors[lane]


class MachineBench:
    """This machine. It holds the machine's lock while it prepares, and while it measures a block; never in between."""

    def __init__(self, name: str, told: Callable[[str], None], *, lock: Path = LOCK) -> None:
        self.name = name
        self._told, self._lock = told, lock
        self._session: _Session | None = None
        # A block that was under way when its scheduler went may not have ended when the next one asks.
        self._turn = threading.Lock()

    def answer(self, what: str, text: str) -> str:
        """As `Bench` says."""
        with self._turn:
            try:
                found = {"open": self._open, "measure": self._measure, "close": self._close}[what](text)
            except LockstepError as error:
                found = Answer(problem=str(error), exit_code=error.exit_code)
        return records.answer.dump_json(found).decode()

    def _open(self, text: str) -> Answer:
        self._close()
        request = records.request.validate_json(text)
        view = _Telling(self._told)
        machine.supported()
        with machine.alone(wait=True, told=self._told, path=self._lock):
            ready = prepare(request, *arms_of(request, view), view)
        with ExitStack() as stack:
            context = ready.context(stack.enter_context(scratch()), stack.enter_context(memory()))
            linked: dict[int, Mapping[Arm, Mapping[str, int]]] = {}

            def note(layout: int) -> None:
                if ready.layouts is not None and layout not in linked:
                    linked[layout] = ready.layouts.addresses(layout)

            # Between two blocks the machine may be another run's: nothing goes on then.
            context = replace(context, host=self.name, linked=note, ahead=False)
            self._session = _Session(ready=ready, context=context, stack=stack.pop_all(), linked=linked)
        self._told(f"measuring {request.base} and {request.head}")
        return Answer(text=records.opened.dump_json(
            Opened(session=context.session, manifest=ready.manifest)).decode())

    def _measure(self, text: str) -> Answer:
        wanted = records.wanted.validate_json(text)
        session = self._session
        if session is None or session.context.session != wanted.session:
            return Answer(closed=True)
        with machine.alone(wait=True, told=self._told, path=self._lock), machine.quiet(session.ready.pinning):
            block = session.executor(wanted.lane).run(wanted.spec)
        # Last: a block that may have seen an edit is not one of this run's.
        if edited := session.ready.watched.edited():
            raise MachineError(f"the suite was edited while it was measured: {listed(edited)}. Undo it, then go on: "
                               "`lockstep resume`.")
        found = Measured(block=block, addresses=_of_layout(session, wanted.spec))
        return Answer(text=records.measured.dump_json(found).decode())

    def _close(self, text: str = "") -> Answer:
        session, self._session = self._session, None
        if session is not None:
            session.stack.close()
            self._told("the comparison has ended")
        return Answer()


def _of_layout(session: _Session, spec: BlockSpec) -> Mapping[Arm, Mapping[str, int]] | None:
    return None if spec.layout is None else session.linked.get(spec.layout)


class _Telling:
    """A view of what a machine does, as lines."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._stage = ""

    def phase(self, text: str) -> None:
        stage = text.partition(":")[0]
        if stage != self._stage:
            self._stage = stage
            self._told(stage)

    def say(self, text: str) -> None:
        self._told(text)

    def measured(self, plan: Standing, progress: Progress) -> None:
        """A machine of a fleet measures blocks, and no run."""
