"""Who may measure beside whom, by locks that are held in one process: flock(2) is between open files, not processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import MachineError
from runner.machine import lock
from runner.machine.topology import Topology

WHOLE = Topology(cpus=tuple(range(8)), siblings={}, isolated=(), model="")


def keeping_to(cpus: Iterable[int], *, smt: bool = True) -> Topology:
    """Some of eight CPUs, of which n and n + 4 share a core, as one who knows that sees them, or one who does not."""
    here = tuple(sorted(cpus))
    siblings = {cpu: (cpu % 4, cpu % 4 + 4) if smt else (cpu,) for cpu in here}
    return Topology(cpus=here, siblings=siblings, isolated=(), model="", confined=True)


def take(stack: ExitStack, path: Path, here: Topology, *, wait: bool = False) -> None:
    lock._take_all(stack, path, here, lock._Patience(wait, print))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lockstep.lock"


def refused(path: Path, here: Topology) -> str:
    with ExitStack() as stack, pytest.raises(MachineError) as refusal:
        take(stack, path, here)
    return str(refusal.value)


@pytest.mark.parametrize(("first", "second"), [
    (WHOLE, WHOLE), (WHOLE, keeping_to([1, 5])), (keeping_to([1, 5]), WHOLE),
    (keeping_to([1, 5]), keeping_to([1, 5])), (keeping_to([0, 1, 4, 5]), keeping_to([1, 2, 5, 6])),
    # In containers that may have one hardware thread each of a core; and where one does not know what shares it.
    (keeping_to([1]), keeping_to([5])), (keeping_to([1]), keeping_to([5], smt=False)),
    (keeping_to([5], smt=False), keeping_to([1])),
])
def test_these_do_not_measure_at_once(path: Path, first: Topology, second: Topology) -> None:
    with ExitStack() as stack:
        take(stack, path, first)
        said = refused(path, second)
    assert f"another Lockstep run is measuring on this machine (pid {os.getpid()}, " in said
    assert (", on CPU " in said) == first.confined
    with ExitStack() as stack:
        take(stack, path, second)


def test_cores_apart_are_measured_at_once_and_whoever_wants_the_machine_is_told_of_all(path: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        take(first, path, keeping_to([0, 4]))
        take(second, path, keeping_to([1, 3, 5, 7]), wait=True)
        said = refused(path, WHOLE)
        assert said.count("pid ") == 2 and ", on CPU 0,4; pid " in said and ", on CPU 1,3,5,7)" in said
        first.close()
        said = refused(path, WHOLE)
        assert said.count("pid ") == 1 and ", on CPU 1,3,5,7)" in said
        take(first, path, keeping_to([0, 4]))
    with ExitStack() as stack:
        take(stack, path, WHOLE, wait=True)
        assert [one.cpus for one in lock.holders(path)] == [""]
    assert lock.holders(path) == []


def test_a_refusal_leaves_nothing_behind(path: Path) -> None:
    with ExitStack() as stack:
        take(stack, path, keeping_to([2, 6]))
        refused(path, keeping_to([1, 2, 5, 6]))
        take(stack, path, keeping_to([1, 5]))


def test_what_knows_the_first_lock_alone_is_kept_apart(path: Path) -> None:
    """As Lockstep before it could keep to some CPUs."""
    with path.open("w") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        assert "its process is not known" in refused(path, keeping_to([1, 5])) and refused(path, WHOLE)
        fcntl.flock(old, fcntl.LOCK_UN)
        for here in (keeping_to([1, 5]), WHOLE):
            with ExitStack() as stack:
                take(stack, path, here)
                with pytest.raises(BlockingIOError):
                    fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_name_of_a_run_that_was_killed_is_not_told(path: Path) -> None:
    killed = '{"pid": 4194305, "command": "ab", "since": 0, "cpus": "%s"}'  # above the kernel's PID_MAX_LIMIT
    path.write_text(killed % "")
    lock._beside(path, "cpu7").write_text(killed % "3,7")
    with ExitStack() as stack:
        take(stack, path, keeping_to([0, 4]))
        assert [(one.pid, one.cpus) for one in lock.holders(path)] == [(os.getpid(), "0,4")]


def test_whoever_stands_in_the_queue_lets_pass_who_does_not_wait(path: Path) -> None:
    with ExitStack() as stack, lock._beside(path, "queue").open("w") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        take(stack, path, keeping_to([1, 5]))


@given(st.lists(st.sets(st.integers(0, 3), min_size=1), max_size=4))
def test_runs_measure_at_once_where_no_core_is_shared(
    tmp_path_factory: pytest.TempPathFactory, sets: list[set[int]]
) -> None:
    path = tmp_path_factory.mktemp("locks") / "lock"
    taken: set[int] = set()
    with ExitStack() as stack:
        for cores in sets:
            here = keeping_to(cpu for core in cores for cpu in (core, core + 4))
            if cores & taken:
                refused(path, here)
            else:
                take(stack, path, here)
                taken |= cores
