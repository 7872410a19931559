"""The machine for real: pinning, slices, the lock between processes, doctor."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from runner.errors import MachineError
from runner.machine import Pinning, activity, alone, between, choose, lock, quiet, read, sched, topology
from runner.machine.doctor import examine
from runner.machine.findings import State
from runner.machine.tools import Neighbours

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="pinning and /proc are Linux's"),
]

HOLD = """
import sys, time
from pathlib import Path
from runner.machine import alone
with alone(wait=False, told=print, path=Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, close_fds=False) as process:
        try:
            yield process
        finally:
            process.kill()


BUSY = "print(flush=True)\nwhile True: pass"
"""It says so when it is at it."""


@contextlib.contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    with running("-c", HOLD, str(path)) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process


def test_the_second_is_refused_and_told_who_holds_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        holding(path) as process,
        pytest.raises(MachineError) as refusal,
        alone(wait=False, told=print, path=path),
    ):
        pytest.fail("two at once")
    assert re.search(rf"pid {process.pid}, `-c {path}`, since \d\d:\d\d:\d\d \(0 min\)", str(refusal.value))


def test_the_second_waits_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    said: list[str] = []
    with holding(path) as process:
        def wait(text: str) -> None:
            said.append(text)
            process.kill()

        with alone(wait=True, told=wait, path=path):
            assert process.wait() == -signal.SIGKILL
            held = lock.holder(path)
            assert held is not None and held.pid == os.getpid()
        assert len(said) == 1 and f"pid {process.pid}" in said[0]
    assert lock.holder(path) is None, "a lock that is free names nobody"


def test_a_child_that_is_left_behind_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with contextlib.ExitStack() as stack:
        with alone(wait=False, told=print, path=path):
            stack.enter_context(running("-c", "import time; time.sleep(60)"))
        with alone(wait=False, told=print, path=path):
            held = lock.holder(path)
            assert held is not None and held.pid == os.getpid()


def test_all_users_may_open_the_lock_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with alone(wait=False, told=print, path=tmp_path / "lock"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(MachineError, match="cannot open the lock file"), alone(
        wait=False, told=print, path=tmp_path / "lock"
    ):
        pytest.fail("followed the link")
    assert (tmp_path / "precious").read_text() == "keep me"


def test_a_planted_pipe_or_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(MachineError, match="cannot open the lock file"), alone(
            wait=False, told=print, path=tmp_path / name
        ):
            pytest.fail("took it")


def test_nonsense_in_the_lock_file_is_only_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for text in ("", "[]", "{", '{"pid": "x", "command": "", "since": 0}', "\0" * 9000):
        path.write_text(text)
        assert lock.holder(path) is None
        with alone(wait=False, told=print, path=path):
            pass
    path.write_text('{"pid": 1, "command": "a\\u001b[31mb", "since": 0}')
    held = lock.holder(path)
    assert held is not None and held.command == "a?[31mb", "no escape sequences on somebody's terminal"


def test_a_lock_file_that_was_removed_while_waiting_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holding(path) as first:
        def clean(_: str) -> None:
            path.unlink()
            with path.open("w"):
                pass
            first.kill()

        with alone(wait=True, told=clean, path=path):
            held = lock.holder(path)
            assert held is not None and held.pid == os.getpid(), "holds the file that others will open"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_users_share_the_lock_in_a_sticky_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    path = folder / "lock"
    path.touch()
    path.chmod(0o666)
    os.chown(path, 65534, 65534)
    with alone(wait=False, told=print, path=path):
        held = lock.holder(path)
        assert held is not None and held.pid == os.getpid()


def test_affinity_of_every_thread_is_moved_and_restored() -> None:
    cpu = min(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        here = Pinning(worker=None, parent=(cpu,), notices=())
        with pytest.raises(ZeroDivisionError), quiet(here):
            assert os.sched_getaffinity(0) == os.sched_getaffinity(thread.native_id) == {cpu}
            raise ZeroDivisionError
        assert os.sched_getaffinity(0) == os.sched_getaffinity(thread.native_id) == before
    finally:
        stop.set()
        thread.join()


def test_a_cpu_that_is_not_there_is_refused() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(MachineError) as refusal, quiet(Pinning(worker=None, parent=(1023,), notices=())):
        pytest.fail("moved nowhere")
    assert re.search(r"cannot move process \d+ to CPU 1023: .*lockstep doctor", str(refusal.value))
    assert os.sched_getaffinity(0) == before


def test_an_error_while_holding_the_lock_releases_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), alone(wait=False, told=print, path=tmp_path / "lock"):
            raise ZeroDivisionError


def test_pin_moves_another_process() -> None:
    cpu = max(os.sched_getaffinity(0))
    with running("-c", "import time; time.sleep(60)") as process:
        sched.pin(process.pid, cpu)
        assert os.sched_getaffinity(process.pid) == {cpu}
    with pytest.raises(ProcessLookupError):
        sched.pin(process.pid, cpu)


def switches(slices: Sequence[float | None], seconds: float) -> list[float]:
    """Return involuntary switches per second and process of two busy processes on one CPU, for each slice."""
    found = []
    with running("-c", "while True: pass") as one, running("-c", "while True: pass") as other:
        for process in (one, other):
            sched.pin(process.pid, max(os.sched_getaffinity(0)))
        for wanted in slices:
            if wanted is not None:
                assert sched.set_slice(one.pid, wanted) and sched.set_slice(other.pid, wanted)
                assert sched.get_slice(one.pid) == pytest.approx(wanted)
            time.sleep(0.1)
            watched = [psutil.Process(process.pid) for process in (one, other)]
            before = [process.num_ctx_switches().involuntary for process in watched]
            start = time.monotonic()
            time.sleep(seconds)
            after = [process.num_ctx_switches().involuntary for process in watched]
            found.append((sum(after) - sum(before)) / 2 / (time.monotonic() - start))
    return found


honoured = pytest.mark.skipif(sched.get_slice(0) is None, reason="the kernel does not honour slices")


@honoured
def test_a_slice_changes_how_often_two_processes_alternate() -> None:
    for _ in range(3):
        neighbours = Neighbours()
        fine, coarse = switches((0.3e-3, 100e-3), seconds=0.5)
        # On a calm CPU 50 a second (with the coarsest tick, 10 ms) or more, against 5.
        if fine > 2 * coarse:
            return
    # A third process with the default slice cuts long slices short: the kernel protects the shortest one in the queue.
    if sum(share for *_, share in neighbours.busiest(10)) > 0.1:
        pytest.skip("the machine is too busy to show the effect")
    pytest.fail(f"{fine:.0f} switches a second with short slices, {coarse:.0f} with long ones")


@honoured
def test_a_slice_keeps_policy_and_nice_value() -> None:
    with running("-c", "import time; time.sleep(60)") as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, 7)
        assert sched.set_slice(process.pid, 0.3e-3)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 7
        assert os.sched_getscheduler(process.pid) == os.SCHED_OTHER
        assert sched.set_slice(process.pid, 5.0), "moved to the longest that the kernel keeps"
        assert sched.get_slice(process.pid) == sched.LONGEST
    assert not sched.set_slice(process.pid, 0.3e-3), "a process that has ended"


def test_readings_see_a_busy_cpu_and_are_cheap() -> None:
    here = topology()
    cpu = max(here.cpus)
    with running("-c", BUSY) as process:
        assert process.stdout is not None and process.stdout.readline()
        sched.pin(process.pid, cpu)
        before = read(cpu)
        seen = activity(1.0)
        found = between(before, read(cpu))
    assert seen[cpu].busy + seen[cpu].steal > 0.5
    assert 0 <= found["steal"] <= 1
    assert found["load"] >= 0
    assert choose(here, seen).worker in here.cpus
    times = []
    for _ in range(50):
        start = time.perf_counter()
        read(cpu)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


def test_doctor_finds_a_busy_neighbour_and_knows_this_machine(tmp_path: Path) -> None:
    with running("-c", BUSY) as process:
        assert process.stdout is not None and process.stdout.readline()
        found = {finding.name: finding for finding in examine(seconds=0.5, cache=tmp_path / "not" / "yet")}
    assert f"(pid {process.pid})" in found["other processes"].value
    assert found["other processes"].state is not State.GOOD
    for name in ("CPUs", "kernel", "lock", "memory", "disk", "clock source"):
        assert found[name].state is not State.UNKNOWN, name
    assert all(finding.advice for finding in found.values() if finding.state is not State.GOOD)


def test_the_boot_parameter_command_edits_what_it_should(tmp_path: Path) -> None:
    grub = tmp_path / "etc/default/grub"
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/update-grub").touch()
    grub.parent.mkdir(parents=True)
    grub.write_text('GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="splash"\n')
    from runner.machine import noise

    command = noise._boot_parameters(tmp_path, "isolcpus=1 nohz_full=1").removesuffix(" && sudo update-grub")
    command = command.removeprefix("sudo ").replace("/etc/default/grub", str(grub))
    subprocess.run(command, shell=True, check=True)
    assert grub.read_text() == (
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="isolcpus=1 nohz_full=1 splash"\n'
    )
