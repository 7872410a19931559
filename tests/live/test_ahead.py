"""A block is begun while another one is measured: real processes, and benchmarks that do not bear it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench import TIME_LIMIT, Bench, Quiet, Twins, wait_until

from runner.jobs.ab import AbRequest, Ready, arms_of, prepare
from runner.machine import activity, choose, quiet, topology
from runner.measuring.copies import scratch
from runner.measuring.execute import Executor
from runner.measuring.plan import Plan
from runner.model import BlockKind

WORK = """
import fcntl
import logging  # what it does at the end undoes nothing
from pathlib import Path

HERE = Path(__file__).parent


def time_plain():
    return sorted(range(300), key=lambda n: -n)


def track_length():
    return 17


class Lent:
    def setup(self):
        (HERE / "lent").write_text("seventeen")

    def time_reading(self):
        return (HERE / "lent").exists()  # it would not fail, but be another benchmark

    def teardown(self):
        (HERE / "lent").unlink(missing_ok=True)


class Places:
    def setup(self):
        for number in range(2):
            self.place = open(HERE / f"place-{number}", "w")
            try:
                return fcntl.flock(self.place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
        (HERE / "refused").touch()
        raise RuntimeError("there are two places")

    def time_nothing(self):
        return sorted(range(300))
"""

STARTED = """
import os
import subprocess
import sys
import time
from pathlib import Path


class Started:
    lockstep_setup = "once"

    def setup(self):
        self.child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
        self.calls = 0
        time.sleep(0.2)  # by now it is where it starts

    def time_waiting(self):
        time.sleep(0.002)
        self.calls += 1
        if self.calls == 2:  # the first is made where it was loaded
            with open(Path(__file__).with_name("seen"), "a") as seen:
                seen.write(f"{Path.cwd().name} {sorted(os.sched_getaffinity(self.child.pid))}\\n".replace(", ", ","))

    def teardown(self):
        self.child.kill()
        self.child.wait()

"""

# Tests that run at once have one CPU each.
pytestmark = [pytest.mark.alone, pytest.mark.skipif(
    not choose(topology(), activity(0.0)).apart, reason="there is no CPU beside the measured one")]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "ahead"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "work.py").write_text(WORK)
    return folder


def measured(bench: Bench, twins: Twins, suite: Path, pattern: str) -> list[dict[str, Any]]:
    """The scored blocks of a run of a few seconds; none has failed."""
    done = bench.run("ab", *twins.pythons, "--suite", suite, "-b", pattern, "--margin", "0.01%", "--budget", "4s",
                     "--seed", 5)
    assert done.returncode in (0, 1), done.stderr
    blocks = [block for block in bench.blocks() if block["kind"] == "scored"]
    assert len(blocks) >= 6 and not any(block["failure"] for block in blocks)
    return blocks


def begun(blocks: list[dict[str, Any]]) -> list[bool]:
    return ["ahead" in block["readings"] for block in blocks]


def test_all_but_the_first_block_of_a_benchmark_is_begun_while_another_is_measured(
    bench: Bench, twins: Twins, suite: Path
) -> None:
    blocks = measured(bench, twins, suite, "plain|track")
    timed = [block for block in blocks if block["benchmark"] == "work.time_plain"]
    # But for the canary, and for folders of one name.
    assert begun(timed)[0] is False and sum(begun(timed)) > len(timed) / 2
    assert {(len(block["base"]), len(block["head"])) for block in timed} == {(timed[0]["settings"]["cycles"],) * 2}
    counted = [block for block in blocks if block["benchmark"] == "work.track_length"]
    assert [block["base"] for block in counted] == [[17]] * 3 and begun(counted)[0] is False


def test_what_undoes_at_its_end_what_it_has_done_is_alone(bench: Bench, twins: Twins, suite: Path) -> None:
    assert not any(begun(measured(bench, twins, suite, "Lent")))


def test_what_fails_beside_another_is_measured_again_and_alone_from_then_on(
    bench: Bench, twins: Twins, suite: Path
) -> None:
    assert not any(begun(measured(bench, twins, suite, "Places")))
    assert (suite / "refused").exists(), "one was begun, and has failed"


def readied(twins: Twins, suite: Path, pattern: str) -> Ready:
    """A run that could begin, of the benchmarks that match."""
    base, head = map(str, twins.pythons)
    request = AbRequest(base=base, head=head, suite=str(suite), pattern=pattern, seed=5)
    return prepare(request, *arms_of(request, Quiet()), Quiet())


def test_what_was_begun_and_is_not_measured_is_torn_down(twins: Twins, suite: Path) -> None:
    ready = readied(twins, suite, "plain|Lent")
    plan = Plan(ready.manifest.benchmarks, seed=5, margin=1e-5, budget=None, canary=False)
    with scratch() as place, quiet(ready.pinning), Executor(ready.context(place, place)) as executor:
        for _ in range(20):
            spec, following = plan.next(), plan.following()
            assert spec is not None
            plan.observe(executor.run(spec, following))
            if following is not None and spec.benchmark.name == "work.time_plain" != following.benchmark.name:
                break
        wait_until((suite / "lent").exists, 20)
    assert not (suite / "lent").exists()


def test_what_a_benchmark_has_started_is_on_the_measured_cpu_in_both_arms(
    bench: Bench, twins: Twins, suite: Path
) -> None:
    """It was started where its arm loaded: of one arm on the other CPU, which that would have had for itself."""
    (suite / "started.py").write_text(STARTED)
    bench.run("ab", *twins.pythons, "--suite", suite, "-b", "Started", "--margin", "90%", "--budget", "5s")
    found = [line.split() for line in (suite / "seen").read_text().splitlines()]
    assert len({arm for arm, _ in found}) == 2 and len({place for _, place in found}) == 1, found[:4]


def test_a_canary_may_be_the_first_that_needs_a_cache(twins: Twins, suite: Path) -> None:
    """As in a run that goes on. Base's cache was waited for in the name of head, until its time was over."""
    (suite / "cached.py").write_text("def setup_cache():\n    return 17\n\ndef time_it(value):\n    return value\n")
    ready = readied(twins, suite, "cached")
    plan = Plan(ready.manifest.benchmarks, seed=5, margin=0.5, budget=None, canary=False)
    spec = plan.next()
    assert spec is not None
    with scratch() as place, quiet(ready.pinning), Executor(ready.context(place, place)) as executor:
        chosen = executor.run(spec).settings
    canary = replace(spec, kind=BlockKind.CANARY, settings=chosen)
    with scratch() as place, quiet(ready.pinning), Executor(ready.context(place, place)) as executor:
        block = executor.run(canary)
    assert block.failure is None and block.base and block.seconds < 20


def test_a_canary_that_comes_first_teaches_nothing_of_head(twins: Twins, suite: Path, tmp_path: Path) -> None:
    """As in a run that goes on. Both of its processes are base's, so that head would have compiled while it was
    measured, and base not."""
    told = tmp_path / "told"
    (suite / "fresh.py").write_text(
        f"with open({str(told)!r}, 'a') as stream:\n"
        "    print('loaded', file=stream)\n"
        "def time_it():\n    pass\n")
    ready = readied(twins, suite, "fresh")
    plan = Plan(ready.manifest.benchmarks, seed=5, margin=0.5, budget=None, canary=False)
    spec = plan.next()
    assert spec is not None
    with scratch() as place, quiet(ready.pinning), Executor(ready.context(place, place)) as executor:
        plan.observe(executor.run(spec))
    then = plan.next()
    assert then is not None and then.kind is BlockKind.SCORED
    with scratch() as place, quiet(ready.pinning), Executor(ready.context(place, place)) as executor:
        executor.run(replace(then, kind=BlockKind.CANARY))
        told.write_text("")
        block = executor.run(then)
    assert block.failure is None
    # Each arm once for nothing, to compile it, and once to be measured.
    assert told.read_text().split() == ["loaded"] * 4


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGKILL])
def test_nothing_of_it_outlives_the_program(
    bench: Bench, twins: Twins, suite: Path, signal_: signal.Signals,
    background: Callable[[subprocess.Popen[str]], subprocess.Popen[str]],
) -> None:
    process = background(bench.start(
        "ab", *twins.pythons, "--suite", suite, "-b", "plain", "--margin", "0.001%"))
    wait_until(lambda: any(begun(bench.blocks())))
    process.send_signal(signal_)
    process.communicate(timeout=TIME_LIMIT)
    wait_until(lambda: bench.processes() == [], 20)
