"""The side that asks, with machines that answer in this process: who is lost, who comes back, who does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from samples import Quiet, interpreter, manifest
from worlds import World

from runner.errors import MachineError, UsageError
from runner.fleet import link, records
from runner.fleet.records import Answer, Measured, Opened
from runner.fleet.session import agree
from runner.fleet.work import Kept, Terms, Work, ask_all
from runner.jobs import continuing
from runner.jobs.ab import AbRequest
from runner.measuring.deal import Deal, Place, hands
from runner.measuring.plan import Plan
from runner.storage import store
from runner.storage.store import Manifest

WORLD = World(seed=9, spread=(0.002,) * 12, costs=(0.1,) * 12)


@dataclass(slots=True)
class Machines:
    """A link whose machines measure a simulated suite at once; what befalls them is told by the number of blocks."""

    names: Sequence[str]
    opened: Manifest = field(default_factory=lambda: manifest(WORLD.benchmarks))
    away: dict[str, range] = field(default_factory=dict)
    """While so many blocks were measured, a machine is not there; when it comes back its agent is a new one."""
    breaks: dict[str, int] = field(default_factory=dict)
    """From so many blocks on, a machine cannot measure."""
    blocks: int = 0
    looks: int = 0
    waiting: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    asked: int = 0
    forgotten: int = 0
    closed: list[str] = field(default_factory=list)
    """Who was told that it is over, in order."""

    def hosts(self) -> dict[str, str]:
        self.looks += 1
        assert self.looks < 100_000, "nothing is measured, and it does not end"
        return {name: f"{name}-{sum(self.blocks >= gap.stop for gap in [self.away.get(name, range(0))] if gap)}"
                for name in self.names if self.blocks not in self.away.get(name, range(0))}

    def ask(self, address: str, what: str, text: str) -> int:
        self.asked += 1
        self.waiting[self.asked] = (address, what, text)
        return self.asked

    def forget(self, number: int) -> None:
        self.forgotten += self.waiting.pop(number, None) is not None

    def arrived(self, seconds: float) -> list[tuple[int, Answer | None]]:
        for number, (address, what, text) in list(self.waiting.items()):
            if address in self.hosts().values():
                del self.waiting[number]
                return [(number, self._answer(address, what, text))]
        return []

    def _answer(self, address: str, what: str, text: str) -> Answer:
        name = address.partition("-")[0]
        if what == "open":
            assert records.request.validate_json(text).base == "python3"
            return Answer(text=records.opened.dump_json(Opened(session=f"s-{address}", manifest=self.opened)).decode())
        if what == "close":
            self.closed.append(name)
            return Answer()
        wanted = records.wanted.validate_json(text)
        if wanted.session != f"s-{address}":
            return Answer(closed=True)
        if self.blocks >= self.breaks.get(name, 10**9):
            return Answer(problem="the disk is full", exit_code=4)
        self.blocks += 1
        block = replace(WORLD.measure(wanted.spec), host=name, session=wanted.session)
        return Answer(text=records.measured.dump_json(Measured(block=block)).decode())


class Telling(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


OPENING = records.request.dump_json(AbRequest(base="python3", head="python4", seed=9)).decode()


def work(
    machines: Machines, view: Telling, monkeypatch: pytest.MonkeyPatch, *, replicates: int = 1, **changes: Any
) -> tuple[Work, list[Kept]]:
    monkeypatch.setattr("runner.fleet.work.LOOK", 0.0)
    suite = WORLD.benchmarks
    dealt = hands(suite, seed=9, hosts=len(machines.names), budget=False)

    def plan(place: Place) -> Plan:
        return Plan(suite, seed=9, margin=0.01, budget=None, hand=dealt[place.hand], canary=False)

    kept: list[Kept] = []
    facts: dict[str, Any] = {
        "opening": OPENING, "hosts": tuple(machines.names), "check": lambda name, opened: None, "keep": kept.append,
        "patience": 0.0,
    }
    return Work(machines, Deal(dealt, plan, replicates=replicates), Terms(**(facts | changes)), view), kept


def alone() -> set[tuple[object, ...]]:
    return {(b.benchmark, b.kind, b.index, b.head) for b in WORLD.run(replace(WORLD, canary=False).plan())}


def counted(kept: Sequence[Kept]) -> set[tuple[object, ...]]:
    return {(b.benchmark, b.kind, b.index, b.head) for b in (one.measured.block for one in kept)}


def test_every_block_is_kept_once_and_both_lanes_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    machines, view = Machines(names=("a", "b", "c")), Telling()
    made, kept = work(machines, view, monkeypatch)
    made.run({})
    made.close()
    assert counted(kept) == alone() and len(kept) == len(alone())
    assert {one.measured.block.host for one in kept} == {"a", "b", "c"}
    assert view.said == [] and not machines.waiting


def test_an_agent_that_is_started_again_loses_the_blocks_that_it_was_at_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machines, view = Machines(names=("a", "b"), away={"b": range(10, 20)}), Telling()
    made, kept = work(machines, view, monkeypatch, patience=60.0)
    made.run({})
    assert counted(kept) == alone() and len(kept) == len(alone()), "all that was stored counts"
    assert machines.forgotten <= 2
    assert any("b is away, and with it" in text for text in view.said)
    assert {one.measured.block.session for one in kept if one.measured.block.host == "b"} == {"s-b-0", "s-b-1"}


def test_others_take_over_from_a_machine_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machines, view = Machines(names=("a", "b"), away={"b": range(10, 10**9)}), Telling()
    made, kept = work(machines, view, monkeypatch)
    made.run({})
    assert counted(kept) == alone()
    assert any("others go on with what it had begun" in text for text in view.said)
    assert all(one.measured.block.host == "a" for one in kept[12:])


def test_a_machine_that_cannot_measure_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    machines, view = Machines(names=("a", "b"), breaks={"b": 5}), Telling()
    made, kept = work(machines, view, monkeypatch, patience=60.0)
    made.run({})
    assert counted(kept) == alone()
    assert any("b takes no part any more: b: the disk is full" in text for text in view.said)
    assert machines.closed == ["b"], "it keeps nothing of what it has no part in"
    made.close()
    assert machines.closed == ["b", "a"] and not machines.waiting
    machines = Machines(names=("a", "b"), breaks={"a": 5, "b": 5})
    made, kept = work(machines, view, monkeypatch, patience=60.0)
    with pytest.raises(MachineError, match=r"a: the disk is full; b: the disk is full\. What was measured is safe"):
        made.run({})
    made.close()
    assert sorted(machines.closed) == ["a", "b"]


def test_no_machine_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    machines, view = Machines(names=("a",), away={"a": range(8, 10**9)}), Telling()
    made, kept = work(machines, view, monkeypatch)
    with pytest.raises(MachineError, match="no machine of the fleet is left: a is away"):
        made.run({})
    assert len(kept) == 8


@pytest.mark.parametrize(("befalls", "missing"), [
    ({"breaks": {"b": 5}}, "b: the disk is full"), ({"away": {"b": range(10, 10**9)}}, "b is away"),
])
def test_a_run_ends_where_no_machine_is_left_for_a_replicate(
    monkeypatch: pytest.MonkeyPatch, befalls: dict[str, Any], missing: str
) -> None:
    machines, view = Machines(names=("a", "b"), **befalls), Telling()
    made, kept = work(machines, view, monkeypatch, replicates=2)
    with pytest.raises(MachineError, match=rf"each measures a benchmark once: {missing}\. What was measured is safe"):
        made.run({})
    own = {(one.measured.block.benchmark, one.place.replicate) for one in kept if one.measured.block.host == "a"}
    assert sorted(key for key, _ in own) == sorted(one.key for one in WORLD.benchmarks), "a has measured its part"


def test_a_machine_that_is_another_one_now_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(name: str, opened: Opened) -> None:
        if name == "b":
            raise UsageError("b is not the machine that it was")

    machines, view = Machines(names=("a", "b")), Telling()
    made, kept = work(machines, view, monkeypatch, check=check)
    made.run({})
    assert {one.measured.block.host for one in kept} == {"a"}
    assert "b takes no part any more: b is not the machine that it was" in view.said and machines.closed == ["b"]


def test_a_machine_that_was_not_there_at_the_beginning_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    machines, view = Machines(names=("a", "b")), Telling()
    made, kept = work(machines, view, monkeypatch, hosts=("a",))
    made.run({})
    assert {one.measured.block.host for one in kept} == {"a"}
    assert view.said == ["b takes no part: it was not there when the run began"]


def test_machines_get_ready_together_and_a_problem_of_one_is_told() -> None:
    machines = Machines(names=("a", "b"))
    assert list(ask_all(machines, machines.hosts(), OPENING)) == ["a", "b"]

    class Broken(Machines):
        def _answer(self, address: str, what: str, text: str) -> Answer:
            return Answer(problem="no compiler", exit_code=4)

    broken = Broken(names=("a",))
    with pytest.raises(MachineError, match="a: no compiler"):
        ask_all(broken, broken.hosts(), OPENING)


@pytest.mark.parametrize(("changes", "words"), [
    ({"base": replace(interpreter(), sha256="cd" * 32)}, "as base, .* is abababababababab on the first and cdcdcd"),
    ({"suite_files": {"a.py": "1"}}, "the suite /suite is another on the second: a.py"),
    ({"scope": "source"}, "the scope is binary on the first and source on the second"),
    ({"versions": {"lockstep": "0.2"}}, "the version of Lockstep is 0.1.0 on the first and 0.2"),
    ({"benchmarks": tuple(WORLD.benchmarks[1:])}, r"they find other benchmarks: work\.bench_0"),
])
def test_machines_that_do_not_fit_are_refused_in_words(changes: dict[str, Any], words: str) -> None:
    one = manifest(WORLD.benchmarks, suite_files={"a.py": "0"})
    agree("a", one, "b", one)
    with pytest.raises(UsageError, match=f"the machines a and b do not measure the same thing: .*{words}"):
        agree("a", one, "b", replace(one, **changes))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tcp://[::1]:8786", "tcp://localhost:1", "tcp://127.9.9.9:1"])
def test_a_fleet_on_one_machine_needs_no_certificates(address: str) -> None:
    assert link.door(address, None).here in ("127.0.0.1", "::1", "localhost", "127.9.9.9")


def test_a_fleet_beyond_one_machine_needs_certificates(tmp_path: Path) -> None:
    for address in ("tcp://10.0.0.1:8786", "tcp://bench.example:8786", "tcp://0.0.0.0:8786"):
        with pytest.raises(UsageError, match=r"whoever reaches a fleet runs programs .* it is tls://"):
            link.door(address, None)
    with pytest.raises(UsageError, match="tls:// takes --certificates FOLDER"):
        link.door("tls://bench.example:8786", None)
    (tmp_path / "ca.pem").touch()
    with pytest.raises(UsageError, match=r"lacks cert\.pem, key\.pem"):
        link.door("tls://bench.example:8786", tmp_path)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    assert link.door("tls://bench.example:8786", tmp_path).here is None
    with pytest.raises(UsageError, match="are for tls://"):
        link.door("tcp://127.0.0.1:8786", tmp_path)


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "tcp://127.0.0.1", "http://a:1", "tls://a b:1", "", "tcp://:1"])
def test_what_names_no_fleet_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="a fleet is named by its scheduler"):
        link.door(address, None)


def test_a_task_outside_of_a_worker_is_refused() -> None:
    with pytest.raises(RuntimeError, match="measures for no fleet"):
        link.serve("open", "")


def test_the_command_line_refuses_what_cannot_be_a_fleet(lockstep: Callable[..., tuple[int, str, str]]) -> None:
    for words, said in (
        (("agent", "--dask", "tcp://10.0.0.1:8786"), "Beyond one machine it is tls://"),
        (("ab", "a", "b", "--fleet", "bench:8786"), "a fleet is named by its scheduler"),
        (("ab", "a", "b", "--replicate", "2"), "are of a fleet: --fleet ADDRESS names it"),
        (("ab", "a", "b", "--fleet", "tcp://127.0.0.1:1", "--record"), "a fleet has others"),
    ):
        code, _, error = lockstep(*words)
        assert code == 2 and said in error, words


def test_one_machine_alone_cannot_go_on_with_what_a_fleet_has_begun() -> None:
    shared = store.Fleet(address="tls://bench:1", hands=(), hosts={}, runs=("r",), request={})
    with pytest.raises(UsageError, match=r"was measured by a fleet, which alone .* --fleet tls://bench:1"):
        continuing.check(manifest(WORLD.benchmarks, fleet=shared), lambda text: None)
