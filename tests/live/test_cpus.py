"""Runs that keep to some CPUs, for real: they measure side by side, and one of the whole machine waits for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from bench import TIME_LIMIT, Bench, Twins, ended, share, wait_until

from runner.errors import MachineError
from runner.machine import alone, files, lock, topology

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="pinning is Linux's"),
]

SUITE = Path(__file__).parent / "faults"
QUICK = ("--suite", SUITE, "-b", "healthy", "--margin", "30%")
ENDLESS = ("--suite", SUITE, "-b", "healthy", "--margin", "0.001%")
Background = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]

HOLD = """
import sys, time
from pathlib import Path
from runner.machine import alone
with alone(wait=True, told=lambda text: print(text, flush=True), path=Path(sys.argv[1])):
    print("held", time.monotonic(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two cores, as --cpus takes them; this process itself may have all."""
    monkeypatch.delenv("LOCKSTEP_CPUS", raising=False)
    there = sorted(set(topology().siblings.values()))
    if len(there) < 2:
        pytest.skip("there is one core")
    return files.print_cpus(there[0]), files.print_cpus(there[1])


@contextlib.contextmanager
def holding(path: Path, cpus: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that takes what it is to keep to, everything by default, and keeps it."""
    with ended(subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "LOCKSTEP_CPUS": cpus},
    )) as process:
        yield process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_each_of_pytests_workers_has_cores_of_its_own_where_there_are_enough() -> None:
    four = [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert [share(f"gw{number}", 2, four) for number in range(3)] == ["0-1,4-5", "2-3,6-7", "0-1,4-5"]
    assert [share(f"gw{number}", 3, four) for number in range(3)] == ["0,4", "1,5", "2-3,6-7"]
    assert share("gw0", 5, four) == share("gw1", 2, [(0,)]) == share("gw0", 1, four) == share("gw0", 2, []) == ""


def test_what_two_hold_the_machine_gets_when_both_are_killed(tmp_path: Path, cores: tuple[str, str]) -> None:
    path = tmp_path / "lock"
    with holding(path, cores[0]) as one, holding(path, cores[1]) as other, contextlib.ExitStack() as stack:
        assert said(one).startswith("held") and said(other).startswith("held")
        assert {(found.pid, found.cpus) for found in lock.holders(path)} == {
            (one.pid, cores[0]), (other.pid, cores[1])}
        with pytest.raises(MachineError) as refusal, alone(wait=False, told=print, path=path):
            pytest.fail("beside others")
        for process, cpus in ((one, cores[0]), (other, cores[1])):
            assert f"pid {process.pid}, " in str(refusal.value) and f"on CPU {cpus}" in str(refusal.value)
            assert psutil.Process(process.pid).cpu_affinity() == list(files.parse_cpus(cpus))
        one.kill()
        one.wait()
        again = stack.enter_context(holding(path, cores[0]))
        assert said(again).startswith("held"), "what was killed holds nothing"
        again.kill()
        other.kill()
        with alone(wait=True, told=print, path=path):
            assert [found.pid for found in lock.holders(path)] == [os.getpid()]


def test_who_waits_for_the_machine_is_not_overtaken_for_ever(tmp_path: Path, cores: tuple[str, str]) -> None:
    """A run on free CPUs that comes later waits too: else each would come before the last one has ended."""
    path = tmp_path / "lock"
    with holding(path, cores[0]) as first:
        assert said(first).startswith("held")
        with holding(path) as whole:
            assert f"to end (pid {first.pid}, " in said(whole)
            with holding(path, cores[1]) as later:
                assert f"to end (pid {first.pid}, " in said(later)
                first.kill()
                assert said(whole).startswith("held")
                until = time.monotonic()
                whole.kill()
                word, began = said(later).split()
                assert word == "held" and float(began) >= until


def test_two_runs_measure_at_the_same_time_and_one_of_the_machine_after_them(
    tmp_path: Path, twins: Twins, background: Background, cores: tuple[str, str]
) -> None:
    first, second, third = (Bench(folder=tmp_path / name) for name in ("first", "second", "third"))
    for bench in (first, second, third):
        bench.folder.mkdir()
    one = background(first.start("ab", *twins.pythons, *ENDLESS, "--cpus", cores[0]))
    two = background(second.start("ab", *twins.pythons, *ENDLESS, "--cpus", cores[1]))
    wait_until(lambda: first.blocks() and second.blocks())
    before = len(first.blocks()), len(second.blocks())
    wait_until(lambda: len(first.blocks()) > before[0] and len(second.blocks()) > before[1])
    for bench, cpus in ((first, cores[0]), (second, cores[1])):
        seen = list(where(bench))
        assert seen and all(place <= set(files.parse_cpus(cpus)) for place in seen), "all that it started keeps to them"
        assert {block["cpu"] for block in bench.blocks()} <= set(files.parse_cpus(cpus))
    last = background(third.start("ab", *twins.pythons, *QUICK))
    assert last.stderr is not None
    told = last.stderr.readline()
    assert "waiting for another Lockstep run" in told and f"pid {one.pid}, " in told and f"pid {two.pid}, " in told
    one.send_signal(signal.SIGKILL)
    one.wait()
    assert two.poll() is None and not third.blocks()
    two.send_signal(signal.SIGINT)
    two.communicate(timeout=TIME_LIMIT)
    last.communicate(timeout=TIME_LIMIT)
    assert last.returncode == 0
    end = max(block["started"] + block["seconds"] for bench in (first, second) for block in bench.blocks())
    assert min(block["started"] for block in third.blocks()) > end
    assert [notices(bench, "confined") for bench in (first, second, third)] == [
        [{"cpus": cores[0]}], [{"cpus": cores[1]}], []]
    refused = first.run("resume", "last", "--cpus", cores[1])
    assert refused.returncode == 2 and f"keeps to CPU {cores[0]}, and goes on there" in refused.stderr


def where(bench: Bench) -> Iterator[set[int]]:
    """The CPUs of all that a bench has started and that runs."""
    for process in bench.processes():
        with contextlib.suppress(psutil.Error):
            yield set(process.cpu_affinity() or ())


def notices(bench: Bench, kind: str) -> list[dict[str, object]]:
    """Those of a kind that the bench's only run has begun with."""
    (path,) = bench.out.glob("*/manifest.json")
    return [notice["numbers"] for notice in json.loads(path.read_text())["notices"] if notice["kind"] == kind]
