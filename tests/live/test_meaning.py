"""What asv means by set-up, teardown and caches, in real measured processes: see `meaning/`."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
from bench import TIME_LIMIT, Bench, Twins, ended, wait_until

from runner import suites
from runner.measuring.launch import Bytecode, Launch, command
from runner.measuring.process import Worker, WorkerFailed, begin
from runner.model import Arm, Benchmark, Interpreter
from runner.suites.asv import link_asv_runner

SUITE = Path(__file__).parent / "meaning"
PYENV = Path.home() / ".pyenv" / "versions"
SHARED = Path("/dev/shm")


@functools.cache
def found(python: Path) -> dict[str, Benchmark]:
    return {benchmark.key: benchmark for benchmark in suites.open(str(SUITE)).discover(python).benchmarks}


@functools.cache
def version(python: Path) -> str:
    done = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


@pytest.fixture(params=["3.8", "3.10", "3.13", "this"])
def python(request: pytest.FixtureRequest) -> Path:
    if request.param == "this":
        return Path(sys.executable)
    there = sorted(PYENV.glob(f"{request.param}.*/bin/python"))
    if not there:
        pytest.skip(f"no CPython {request.param} under {PYENV}")
    return there[-1]


THIS = Path(sys.executable)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the workers of a test live."""

    folder: Path

    @property
    def left(self) -> list[str]:
        """What they have left in their temporary folder and in shared memory, and the ids of processes."""
        made = [path.name for path in (self.folder / "tmp").iterdir()]
        shared = [path.name for path in SHARED.glob("lockstep-left-*")] if SHARED.exists() else []
        return made + shared + [str(process.pid) for process in self.processes()]

    def processes(self) -> list[psutil.Process]:
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR") == str(self.folder / "tmp") and process.status() != "zombie":
                    mine.append(process)
            except psutil.Error:
                pass
        return mine

    @contextmanager
    def worker(self, python: Path, key: str, first: str = "load") -> Iterator[Worker]:
        """A worker that has loaded the benchmark, or made its cache."""
        launch, request = self.launch(python, key, first)
        with Worker(launch) as worker:
            begin({Arm.BASE: worker}, request, found(python)[key].timeout)
            yield worker

    def launch(self, python: Path, key: str, first: str = "load") -> tuple[Launch, dict[str, object]]:
        """How such a worker is started, and what it is asked first."""
        benchmark = found(python)[key]
        number = len(list(self.folder.iterdir()))
        scratch = self.folder / f"scratch-{number}"
        scratch.mkdir()
        cwd = self.folder / "cwd-x"
        cwd.mkdir(exist_ok=True)
        interpreter = Interpreter(
            spec="", executable=python, version=version(python), implementation="cpython", sha256="", facts={})
        env = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "1", "TMPDIR": str(self.folder / "tmp")}
        launch = Launch(
            arm=Arm.BASE, command=command(interpreter, Bytecode(folder=scratch / "bytecode-base", library=False)),
            env=env, cwd=cwd, cpus=(),
        )
        return launch, {**suites.open(str(SUITE)).loader(scratch)(benchmark), "do": first, "call": True}


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    # A short path: multiprocessing has sockets below it, whose names have 107 bytes at most.
    folder = tmp_path_factory.mktemp("place")
    (folder / "tmp").mkdir()
    return Place(folder)


# --- Set-up


FRESH = [
    "fresh.Shuffled.time_in_place", "fresh.Drained.time_join", "fresh.Unseen.time_once", "fresh.Numbered.time_once",
    "fresh.Pure.time_nothing", "fresh.Uncollected.time_look", "of_module.time_once",
]


@pytest.mark.parametrize("key", FRESH)
def test_every_call_finds_what_set_up_has_made_or_what_is_pure_is_made_once(
    place: Place, python: Path, key: str
) -> None:
    with place.worker(python, key) as worker:
        for request in (
            {"do": "slice", "calls": 6}, {"do": "again"},
            {"do": "turns", "arm": "b", "order": "bbbb", "calls": (6, 3), "pipes": (0, 0), "shift": 2},
            {"do": "window", "start": time.perf_counter_ns(), "end": time.perf_counter_ns() + 10**7, "calls": 1},
            {"do": "slice", "calls": 6},
        ):
            worker.ask(request, 60.0)


@pytest.mark.alone
def test_a_set_up_is_told_apart_from_the_calls(place: Place) -> None:
    with place.worker(THIS, "fresh.SlowToSetUp.time_pop") as worker:
        asked = [worker.ask({"do": "slice", "calls": 5}, 60.0) for _ in range(5)]
    told = {name: min(one[name] for one in asked) for name in asked[0]}  # what else the machine did is in the others
    assert told["ns"] < 1e6 and 5 * 20e6 <= told["setup"] < 5 * 60e6
    assert told["cpu"] < 1e6 and told["waits"] >= 5, "what waits is the set-up"


def test_a_pure_set_up_says_so_with_one_word(tmp_path: Path) -> None:
    text = "class One:\n    lockstep_setup = 'always'\n    def setup(self): pass\n    def time_it(self): pass\n"
    folder = tmp_path / "said"
    folder.mkdir()
    (folder / "work.py").write_text(text)
    seen = suites.open(str(folder)).discover(THIS)
    assert seen.benchmarks == ()
    assert told(seen.problems, "work.One.time_it", "its lockstep_setup is 'always': only 'once' is known")


def told(problems: Sequence[str], name: str, why: str) -> bool:
    """Whether one of the problems is said of the benchmark."""
    return any(name in one and one.endswith(why) for one in problems)


def asv_times(key: str, folder: Path) -> float:
    """Seconds a call, by asv_runner itself."""
    code = ("import sys; from asv_runner.run import _run; _run((sys.argv[1], sys.argv[2], '{}', 'None', sys.argv[3]))")
    result = folder / "result"
    subprocess.run([THIS, "-c", code, SUITE, key, result], check=True)
    return median(json.loads(result.read_text())["samples"])


@pytest.mark.alone
def test_what_sorts_in_place_costs_what_asv_says_and_about_what_sorting_a_copy_does(place: Place) -> None:
    def seconds(key: str) -> float:
        with place.worker(THIS, key) as worker:
            return median(worker.ask({"do": "slice", "calls": 1}, 60.0)["ns"] for _ in range(30)) / 1e9

    in_place, copy = (seconds(f"fresh.{name}.time_in_place") for name in ("Shuffled", "ShuffledCopy"))
    assert 1 / 3 < in_place / copy < 3, "sorted data sorts ten times as fast"
    assert 1 / 3 < in_place / asv_times("fresh.Shuffled.time_in_place", place.folder) < 3


@pytest.mark.alone
def test_a_text_of_ten_times_the_work_takes_several_times_as_long(place: Place, python: Path) -> None:
    def seconds(count: int) -> float:
        with place.worker(python, f"raw.Text.timeraw_sum(param1={count})") as worker:
            told = [worker.ask({"do": "slice", "calls": 1}, 60.0) for _ in range(5)]
        assert all(one["setup"] > 5 * 10**6 and one["children"] > 0 for one in told), "a process costs more than that"
        return float(min(one["ns"] for one in told))

    assert seconds(200000) > 4 * seconds(20000), "the start of the process is not in it"


def asv_order(key: str, folder: Path, python: Path) -> str:
    """What asv_runner's own steps write, in its order, for one call of a benchmark."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from asv_runner.discovery import get_benchmark_from_name; "
        "one = get_benchmark_from_name(sys.argv[2], sys.argv[3]); "
        "one.set_cache(one.do_setup_cache()); one.do_setup(); one.func(*one._build_params()); one.do_teardown()"
    )
    folder.mkdir()
    subprocess.run([python, "-c", code, link_asv_runner(folder), SUITE, key], cwd=folder, check=True)
    return (folder / "order").read_text()


@pytest.mark.parametrize(("key", "name"), [
    ("spelled.Camel.time_both(param1=2)", "spelled.Camel.time_both-1"),
    ("spelled.time_alone", "spelled.time_alone"),
])
def test_every_spelling_and_the_order_are_asv_runners(place: Place, python: Path, key: str, name: str) -> None:
    if found(python)[key].cache is not None:
        with place.worker(python, key, first="cache"):
            pass
    with place.worker(python, key):
        pass
    ours = (place.folder / "cwd-x" / "order").read_text()
    assert ours == asv_order(name, place.folder / "asv", python)
    assert len(ours.splitlines()) >= 5


# --- The end of a process


@pytest.mark.parametrize("key", [
    "leaving.Folder.time_look", "leaving.Daemon.time_nothing", "leaving.AtExit.time_look",
    "leaving.SharedMemory.time_sum", "leaving.OtherGroup.time_nothing",
])
def test_nothing_is_left_at_the_end_of_a_process(place: Place, python: Path, key: str) -> None:
    with place.worker(python, key) as worker:
        assert place.left
        worker.ask({"do": "slice", "calls": 3}, 60.0)
    wait_until(lambda: not place.left, 60.0)


@pytest.mark.parametrize("key", ["leaving.Fails.time_look", "leaving.Hangs.time_look"])
def test_nothing_is_left_after_a_failure(place: Place, python: Path, key: str) -> None:
    begun = time.monotonic()
    with pytest.raises(WorkerFailed), place.worker(python, key):
        pass
    assert time.monotonic() - begun < 300, "its limit is 3 s, and it sleeps for 600"
    wait_until(lambda: not place.left, 60.0)


@pytest.mark.parametrize("key", ["leaving.Folder.time_look", "leaving.Daemon.time_nothing"])
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.021, 0.1])
def test_nothing_is_left_where_the_caller_gives_up_meanwhile(place: Place, key: str, seconds: float) -> None:
    """In the middle of a set-up too."""
    with pytest.raises(KeyboardInterrupt), place.worker(THIS, key) as worker:
        worker.send({"do": "slice", "calls": 10**6}, 60.0)
        time.sleep(seconds)
        raise KeyboardInterrupt
    wait_until(lambda: not place.left, 60.0)


def test_nothing_is_left_where_the_interruption_comes_while_it_is_torn_down(place: Place) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), place.worker(THIS, "leaving.SlowToTearDown.time_look"):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait_until(lambda: not place.left, 60.0)


def test_nothing_is_left_where_the_interruption_comes_before_its_greeting_was_read(place: Place) -> None:
    launch, request = place.launch(THIS, "leaving.Folder.time_look")
    with pytest.raises(KeyboardInterrupt), Worker(launch) as worker:
        worker.send(request, 60.0)
        wait_until(lambda: list((place.folder / "tmp").glob("lockstep-left-*")))
        raise KeyboardInterrupt
    wait_until(lambda: not place.left, 60.0)


def watches(process: psutil.Process) -> bool:
    """Whether it is the one that watches over shared memory, and is at it: it pays no heed to SIGINT then. One that is
    killed while it starts removes nothing."""
    try:
        status, command = Path(f"/proc/{process.pid}/status").read_text(), process.cmdline()
    except (OSError, psutil.Error):
        return False
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return "resource_tracker" in " ".join(command) and bool(ignored >> signal.SIGINT - 1 & 1)


def test_a_crash_leaves_no_shared_memory_and_no_child(place: Place) -> None:
    with pytest.raises(WorkerFailed, match="SIGSEGV"), place.worker(THIS, "leaving.SharedMemory.time_sum") as worker:
        wait_until(lambda: not SHARED.exists() or any(watches(process) for process in place.processes()), 60.0)
        os.kill(worker.pid, signal.SIGSEGV)
        worker.ask({"do": "slice", "calls": 1}, 60.0)
    wait_until(lambda: not place.left, 60.0)


def test_a_teardown_that_fails_is_the_benchmarks_failure(place: Place) -> None:
    with pytest.raises(WorkerFailed) as failed, place.worker(THIS, "leaving.FailsInTeardown.time_nothing"):
        pass
    assert failed.value.failure.reason == "raised in teardown: OSError: planted in teardown"


def test_a_teardown_that_hangs_is_ended_and_told(place: Place) -> None:
    begun = time.monotonic()
    with pytest.raises(WorkerFailed) as failed, place.worker(THIS, "leaving.HangsInTeardown.time_look"):
        pass
    assert failed.value.failure.reason == "hangs in teardown: no answer within its time limit of 3 s"
    assert time.monotonic() - begun < 300, "its limit is 3 s, and it sleeps for 600"
    wait_until(lambda: not place.left, 60.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_lockstep_is_ended(tmp_path: Path, number: int) -> None:
    bench = Bench(folder=tmp_path)
    temporary = tmp_path / "tmp"
    with ended(bench.start("ab", THIS, THIS, "--suite", SUITE, "-b", "leaving.(Folder|Daemon)")) as process:
        wait_until(lambda: len(bench.blocks()) > 2 and list(temporary.glob("lockstep-left-*")))
        process.send_signal(number)
        process.communicate(timeout=TIME_LIMIT)
    wait_until(lambda: not bench.processes() and not list(temporary.glob("lockstep-left-*")), 60.0)


# --- Children


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_of_a_benchmark_find_the_suite(place: Place, python: Path, method: str) -> None:
    before = sorted(SUITE.rglob("*"))
    with place.worker(python, f"spawning.time_{method}"):
        pass
    assert sorted(SUITE.rglob("*")) == before, "nothing is written beside the suite"
    wait_until(lambda: not place.left, 60.0)


# --- What is refused, and limits


def test_bodies_that_do_nothing_when_they_are_called_are_refused(python: Path) -> None:
    problems = suites.open(str(SUITE)).discover(python).problems
    nothing = "and a call of it does none of its work: run that in the body"
    for name, why in {
        "idle.time_coroutine": f"it is a coroutine function, {nothing}, with asyncio.run for example",
        "idle.time_asynchronous_generator": f"it is an asynchronous generator, {nothing}, with asyncio.run for example",
        "idle.time_generator": f"it is a generator, {nothing}",
        "idle.SetUp.time_value": f"its setup is a coroutine function, {nothing}, with asyncio.run for example",
    }.items():
        assert told(problems, name, why), name
    assert [key for key in found(python) if key.startswith("idle")] == ["idle.time_awaited"]


def test_odd_limits_are_long_ones_or_said(python: Path) -> None:
    limits = {key: one.timeout for key, one in found(python).items() if key.startswith("limits")}
    assert limits == {
        "limits.time_none": 60.0, "limits.time_infinite": 86400.0, "limits.time_huge": 86400.0,
        "limits.time_fraction": 0.9,
    }
    problems = suites.open(str(SUITE)).discover(python).problems
    for name, limit in {"zero": "0", "negative": "-1.0", "not_a_number": "nan"}.items():
        assert told(problems, f"limits.time_{name}", f"its timeout is {limit}: nothing ends in that time"), name


# --- Runs


@dataclass(frozen=True, slots=True)
class Ran:
    rows: dict[str, dict[str, Any]]
    made: list[str]
    """The caches that were made, in order."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, twins: Twins) -> Ran:
    """A run of all that has a cache, and of what has a limit."""
    bench = Bench(folder=tmp_path_factory.mktemp("cached"))
    report = bench.folder / "report.json"
    done = bench.run("ab", *twins.pythons, "--suite", SUITE, "-b", "cached|limits|raw.(timeraw|mem)", "--seed", 3,
                     "--margin", "30%", "--json", report)
    assert "Traceback" not in done.stderr
    rows = {row["name"]: row for row in json.loads(report.read_text())["benchmarks"]}
    return Ran(rows, (bench.folder / "tmp" / "made").read_text().split("\n")[:-1])


@pytest.mark.parametrize(("name", "value"), [
    ("Nothing.track_words", 3), ("Inherits.track_words", 3), ("Inherits.track_letters", 5), ("Zero.track_given", 5),
    ("Overrides.track_given", 6), ("Slow.track_length", 100),
])
def test_a_cache_is_handed_over_as_asv_does(ran: Ran, name: str, value: int) -> None:
    row = ran.rows[f"cached.{name}"]
    assert (row["reason"], row["base_value"], row["head_value"]) == (None, value, value)


def test_a_cache_is_made_once_for_each_arm_also_where_it_is_shared_or_fails(ran: Ran) -> None:
    for word in ("nothing", "zero", "overridden", "slow"):
        assert sorted(line for line in ran.made if line.startswith(word)) == [f"{word} base", f"{word} head"]
    # The second arm is interrupted when the first one has failed.
    assert 1 <= sum(line.startswith("raises") for line in ran.made) <= 2


@pytest.mark.parametrize(("name", "reason"), [
    ("Raises.track_one", "raised in setup_cache: LookupError: planted in the cache"),
    ("Raises.track_two", "raised in setup_cache: LookupError: planted in the cache"),
    ("Unpicklable.track_one", "raised in setup_cache: TypeError: it returned a function that cannot be handed over as "
     "a pickle: Can't pickle local object 'Unpicklable.setup_cache.<locals>.<lambda>'"),
    ("Hangs.track_one", "hangs in setup_cache: no answer within its time limit of 1 s"),
])
def test_a_cache_that_cannot_be_made_fails_what_shares_it(ran: Ran, name: str, reason: str) -> None:
    row = ran.rows[f"cached.{name}"]
    assert row["verdict"] == "failed" and reason in row["reason"].replace("get local object", "pickle local object")


@pytest.mark.parametrize("name", ["none", "infinite", "huge"])
def test_what_has_an_odd_limit_is_measured(ran: Ran, name: str) -> None:
    row = ran.rows[f"limits.time_{name}"]
    assert row["reason"] is None and row["blocks"] >= 6


def asv_value(key: str, folder: Path) -> float:
    """What asv_runner itself has for a tracked value or a size."""
    asv_times_script = "import sys; from asv_runner.run import _run; _run((*sys.argv[1:3], '{}', 'None', sys.argv[3]))"
    subprocess.run([THIS, "-c", asv_times_script, SUITE, key, folder / "value"], check=True)
    return float((folder / "value").read_text())


@pytest.mark.parametrize("name", ["raw.mem_list", "raw.mem_shared_in_part"])
def test_sizes_are_asvs(ran: Ran, tmp_path: Path, name: str) -> None:
    row = ran.rows[name]
    assert row["base_value"] == row["head_value"] == asv_value(name, tmp_path)
    assert (row["unit"], row["exact"]) == ("bytes", True)


def test_source_text_is_timed_in_processes_of_its_own(ran: Ran) -> None:
    text = {key: row for key, row in ran.rows.items() if key.startswith("raw.")}
    for name in ("timeraw_once_a_process", "timeraw_with_a_variable"):
        row = text[f"raw.{name}"]
        assert (row["reason"], row["mode"]) == (None, "adjacent") and row["blocks"] >= 6
    assert "planted in the text" in text["raw.timeraw_fails"]["reason"]
    assert text["raw.timeraw_nothing"]["reason"] == "raised TypeError: it returned a NoneType, and no source text"


@pytest.mark.alone
def test_a_set_up_that_takes_longer_than_all_else_is_measured_in_few_calls_and_in_the_budget(
    bench: Bench, twins: Twins
) -> None:
    done = bench.run("ab", *twins.pythons, "--suite", SUITE, "-b", "slow", "--budget", "8s")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    blocks = bench.blocks()
    assert not any(block["failure"] for block in blocks)
    assert sum(block["seconds"] for block in blocks[:-1]) < 12
    settings = blocks[0]["settings"]
    assert (settings["mode"], settings["cycles"], settings["calls"]) == ("adjacent", 2, {"base": 1, "head": 1})
    # Two calls of each arm, of which each has a set-up of 0.6 s: how much longer it takes is the machine's doing.
    assert settings["stretch"] >= 2.4
    scored = [block for block in blocks if block["kind"] == "scored"]
    assert scored and all(block["seconds"] >= 2.4 for block in scored)
