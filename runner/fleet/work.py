"""Measuring with a fleet: who is there, what each machine is at, and what comes back. No statistics, and no Dask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runner.errors import LockstepError, MachineError, UsageError
from runner.fleet import records
from runner.fleet.records import Answer, Measured, Opened, Wanted
from runner.jobs.ab import View
from runner.measuring.deal import AHEAD, Deal, Place
from runner.model import BlockSpec

LOOK = 1.0
"""Seconds between two looks at who is there."""
CLOSING = 5.0
"""Seconds in which machines may say that they have ended."""


class Link(Protocol):
    """What `link.Connection` does."""

    def hosts(self) -> dict[str, str]: ...

    def ask(self, address: str, what: str, text: str) -> int: ...

    def arrived(self, seconds: float) -> list[tuple[int, Answer | None]]: ...

    def forget(self, number: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A block that was measured, and for whom."""

    place: Place
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a machine was asked."""

    name: str
    lane: int | None = None
    """None: to get ready."""
    place: Place | None = None
    spec: BlockSpec | None = None


@dataclass(slots=True)
class _Machine:
    """What is known of a machine that takes part."""

    address: str = ""
    """Empty while it is away."""
    session: str = ""
    """Empty until it is ready."""
    asked: dict[int, _Asked] = field(default_factory=dict)
    """By the numbers under which the answers arrive."""
    since: float = field(default_factory=time.monotonic)
    """When it went, or when it was last there."""
    given_up: bool = False
    """It was away for too long, and others go on with what it had begun."""
    out: str = ""
    """Why it takes part no longer; empty: it does."""


def problem(name: str, answer: Answer) -> LockstepError:
    """What a machine could not do, as the error that it would be here."""
    told = f"{name}: {answer.problem}"
    return UsageError(told) if answer.exit_code == UsageError.exit_code else MachineError(told)


def close_all(link: Link, addresses: Iterable[str]) -> None:
    """Tell machines that it is over, and wait a moment until they have ended."""
    _wait(link, {link.ask(address, "close", ""): address for address in addresses})


def _wait(link: Link, closing: Mapping[int, str]) -> None:
    """Wait a moment for machines that were told that it is over; not for those that are away."""
    end, left = time.monotonic() + CLOSING, dict(closing)
    while time.monotonic() < end and set(left.values()) & set(link.hosts().values()):
        for number, _ in link.arrived(LOOK):
            left.pop(number, None)


def ask_all(link: Link, hosts: Mapping[str, str], opening: str) -> dict[str, Opened]:
    """Have all machines get ready, at the same time. Raises what the first says that cannot."""
    names = {link.ask(address, "open", opening): name for name, address in hosts.items()}
    found: dict[str, Opened] = {}
    while len(found) < len(hosts):
        here = link.hosts()
        for name, address in hosts.items():
            if name not in found and here.get(name) != address:
                raise MachineError(f"{name} went away before it was ready. Is its agent still running?")
        for number, answer in link.arrived(LOOK):
            name = names[number]
            if answer is None:
                raise MachineError(f"{name} went away before it was ready. Is its agent still running?")
            if answer.problem:
                raise problem(name, answer)
            found[name] = records.opened.validate_json(answer.text)
    return {name: found[name] for name in hosts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run and its machines have to do with each other."""

    opening: str
    """What a machine is asked to get ready with."""
    hosts: Sequence[str]
    """Those that take part, by their names."""
    check: Callable[[str, Opened], None]
    """Raises UsageError for a machine that is not what it was, or would not measure the same thing."""
    keep: Callable[[Kept], None]
    """Makes a block durable."""
    patience: float
    """Seconds after which others go on with what a machine that is away has begun."""


class Work:
    """A run's blocks, from the machines that measure them into the store, until all is measured.

    One thread, and one state: what is stored. Whatever a machine was at when it was lost is asked again.
    """

    def __init__(self, link: Link, deal: Deal, terms: Terms, view: View) -> None:
        self._link, self._deal, self._terms, self._view = link, deal, terms, view
        self._machines = {name: _Machine() for name in terms.hosts}
        self._strangers: set[str] = set()
        self._closing: dict[int, str] = {}
        """Addresses of machines that were told that it is over, by the numbers under which they will say so."""
        self._looked = -LOOK

    def run(self, sessions: Mapping[str, str]) -> None:
        """Measure to the end. `sessions` are of the machines that are ready, by name.

        Raises MachineError where no machine is left that may measure what remains, and what `keep` raises.
        """
        here = self._link.hosts() if sessions else {}
        for name, session in sessions.items():
            machine = self._machines[name]
            if name in here:
                machine.address, machine.session = here[name], session
        while not self._deal.ended:
            self._look()
            self._hand_out()
            self._see_that_it_goes_on()
            for number, answer in self._link.arrived(LOOK):
                self._take(number, answer)

    def close(self) -> None:
        """Tell the machines that it is over; what they are at is not kept."""
        for number in [number for machine in self._machines.values() for number in machine.asked]:
            self._link.forget(number)  # what waits there would be measured first
        for machine in self._machines.values():
            if machine.address:  # one that still gets ready does so first
                self._closing[self._link.ask(machine.address, "close", "")] = machine.address
        _wait(self._link, self._closing)

    def _look(self) -> None:
        """Who is there, and who is not any more."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        here = self._link.hosts()
        for name in here.keys() - self._machines.keys() - self._strangers:
            self._strangers.add(name)
            self._view.say(f"{name} takes no part: it was not there when the run began")
        for name, machine in self._machines.items():
            address = here.get(name, "")
            if machine.address and machine.address != address:
                self._lose(name)
            if address:
                machine.since = now
            if address and not machine.address and not machine.out:
                machine.address = address
                self._ask(_Asked(name=name), "open", self._terms.opening)
            elif not address and not machine.given_up and now - machine.since > self._terms.patience:
                machine.given_up = True
                self._deal.gone(name)
                self._view.say(f"{name} has been away for {now - machine.since:.0f} s: others go on with what it had "
                               "begun, and begin what is not settled anew")

    def _hand_out(self) -> None:
        # A lane of all machines before the next: where there are few hands, each gets one.
        for lane in range(AHEAD):
            for name, machine in self._machines.items():
                if machine.session and all(asked.lane != lane for asked in machine.asked.values()):
                    self._give(name, lane)

    def _see_that_it_goes_on(self) -> None:
        """Raise MachineError where nothing is asked of anybody, and no machine that is there may measure what remains:
        of a benchmark's replicates each measures one."""
        machines = self._machines.values()
        there = [machine for machine in machines if not (machine.given_up or machine.out)]
        waits = any(machine.asked for machine in machines) or not all(machine.session for machine in there)
        if waits or self._deal.ended:
            return
        why = ("what remains is for other machines than those that are there, since each measures a benchmark once"
               if there else "no machine of the fleet is left")
        missing = [machine.out or f"{name} is away" for name, machine in self._machines.items()
                   if machine.given_up or machine.out]
        raise MachineError(f"{why}: {'; '.join(missing)}. What was measured is safe: `lockstep resume` goes on.")

    def _give(self, name: str, lane: int) -> None:
        """Give a machine's lane a hand, if there is one for it."""
        while (place := self._deal.take(name, self._machines[name].session)) is not None:
            if self._ask_block(name, lane, place):
                return

    def _ask_block(self, name: str, lane: int, place: Place) -> bool:
        """Have a machine measure the next block of a hand; False where that is at its end."""
        spec = self._deal.next(place)
        if spec is not None:
            wanted = Wanted(session=self._machines[name].session, lane=lane, spec=spec)
            self._ask(_Asked(name=name, lane=lane, place=place, spec=spec), "measure",
                      records.wanted.dump_json(wanted).decode())
        return spec is not None

    def _ask(self, asked: _Asked, what: str, text: str) -> None:
        machine = self._machines[asked.name]
        machine.asked[self._link.ask(machine.address, what, text)] = asked

    def _take(self, number: int, answer: Answer | None) -> None:
        self._closing.pop(number, None)
        machine = next((one for one in self._machines.values() if number in one.asked), None)
        if machine is None:
            return
        asked = machine.asked[number]
        if answer is None or answer.closed:
            self._lose(asked.name)  # and with it this, and what else it was asked
            return
        if answer.problem:
            self._leave_out(asked.name, str(problem(asked.name, answer)))
            return
        del machine.asked[number]
        if asked.place is None:
            self._ready(asked.name, answer)
        else:
            self._measured(asked, answer)

    def _ready(self, name: str, answer: Answer) -> None:
        opened = records.opened.validate_json(answer.text)
        try:
            self._terms.check(name, opened)
        except UsageError as error:
            self._leave_out(name, str(error))
            return
        machine = self._machines[name]
        machine.session, machine.given_up = opened.session, False
        self._deal.back(name)

    def _measured(self, asked: _Asked, answer: Answer) -> None:
        assert asked.place is not None and asked.spec is not None and asked.lane is not None
        measured, spec = records.measured.validate_json(answer.text), asked.spec
        block = measured.block
        told = (block.benchmark, block.kind, block.index, block.host, block.session)
        if told != (spec.benchmark.key, spec.kind, spec.index, asked.name, self._machines[asked.name].session):
            raise MachineError(f"{asked.name} was asked for {spec.benchmark.key} {spec.kind.value} block {spec.index}, "
                               "and answered with another, which is not kept. Is its Lockstep the same as here?")
        self._terms.keep(Kept(place=asked.place, measured=measured))
        self._view.measured(self._deal, self._deal.observe(asked.place, block))
        self._ask_block(asked.name, asked.lane, asked.place)

    def _lose(self, name: str) -> None:
        """A machine is away, or has forgotten what it was at."""
        lost = self._drop(name)
        blocks = f", and with it {lost} block{'s' * (lost > 1)}" if lost else ""
        self._view.say(f"{name} is away{blocks}")

    def _drop(self, name: str) -> int:
        """What a machine was at is lost; returns how many blocks."""
        machine = self._machines[name]
        for number, asked in machine.asked.items():
            self._link.forget(number)
            if asked.place is not None:
                self._deal.lay_down(asked.place)
        lost = sum(asked.place is not None for asked in machine.asked.values())
        machine.address, machine.session, machine.asked = "", "", {}
        return lost

    def _leave_out(self, name: str, reason: str) -> None:
        address = self._machines[name].address
        self._drop(name)  # first: what waits there would be measured before it ends
        # Else its copies stayed in its memory until its next comparison.
        self._closing[self._link.ask(address, "close", "")] = address
        self._machines[name].out = reason
        self._deal.gone(name)
        self._view.say(f"{name} takes no part any more: {reason}")
