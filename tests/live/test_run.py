"""Whole runs: every kind of arm, interruptions of every kind, full disks, and what is done with a finished run."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyperf
import pytest
from bench import TIME_LIMIT, Bench, Twins, wait_until

from runner import suites
from runner.errors import MachineError
from runner.measuring.copies import fresh
from runner.measuring.launch import Bytecode, Launch, command
from runner.measuring.plan import Plan
from runner.measuring.process import Worker
from runner.model import Arm, Benchmark, BlockKind, Interpreter, Metric
from runner.storage import store

SUITE = Path(__file__).parent / "faults"
PYENV = Path.home() / ".pyenv" / "versions"
QUICK = ("--suite", SUITE, "-b", "healthy", "--margin", "30%")
ENDLESS = ("--suite", SUITE, "-b", "healthy", "--margin", "0.001%")
Background = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Inside = Callable[..., subprocess.CompletedProcess[str]]


def written(folder: Path, **modules: str) -> Path:
    folder.mkdir()
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def rows(bench: Bench) -> dict[str, dict[str, Any]]:
    """The benchmarks of the newest run's report.json, by name."""
    (*_, path) = sorted(bench.out.glob("*/report.json"))
    return {row["name"]: row for row in json.loads(path.read_text())["benchmarks"]}


# --- Arms


def pyenv(version: str) -> Path:
    there = sorted(PYENV.glob(f"{version}.*/bin/python"))
    return there[-1] if there else PYENV / version


PYTHONS = {"3.8": pyenv("3.8"), "3.13": pyenv("3.13"), "system": Path("/usr/bin/python3")}


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_interpreters_of_any_origin_are_measured(bench: Bench, python: Path) -> None:
    if not python.exists():
        pytest.skip(f"there is no {python.name}")
    done = bench.run("ab", sys.executable, python, "--suite", SUITE, "-b", "healthy.time_sum", "--budget", "30s",
                     "--margin", "30%")
    assert done.returncode in (0, 1), done.stderr
    (row,) = rows(bench).values()
    assert row["verdict"] != "failed" and row["blocks"] >= 1


def test_the_packages_of_a_virtual_environment_and_the_same_file_twice(bench: Bench, tmp_path: Path) -> None:
    """A package that only the environment has stays importable; the same file twice is an A/A, and is called one."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (packages / "only_there.py").write_text("VALUE = 42\n")
    suite = written(tmp_path / "planted", work="import only_there\n\ndef time_it():\n    return only_there.VALUE\n")
    python = tmp_path / "env" / "bin" / "python"
    done = bench.run("ab", python, python, "--suite", suite, "--margin", "30%")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A/A" in done.stdout
    (row,) = rows(bench).values()
    assert (row["verdict"], row["reason"]) == ("same", None)


@pytest.mark.alone
def test_a_planted_slowdown_is_found(bench: Bench, tmp_path: Path) -> None:
    """30 % more work in one arm, told by a file in its environment."""
    for arm in ("base", "head"):
        venv.create(tmp_path / arm, symlinks=True, with_pip=False)
    (tmp_path / "head" / "slow").touch()
    work = (
        "import os, sys\n"
        "CALLS = 1300 if os.path.exists(os.path.join(sys.prefix, 'slow')) else 1000\n"
        "def time_it():\n    for _ in range(CALLS):\n        str(7)\n"
    )
    suite = written(tmp_path / "planted", work=work)
    done = bench.run("ab", tmp_path / "base/bin/python", tmp_path / "head/bin/python", "--suite", suite)
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = rows(bench).values()
    assert row["verdict"] == "slower" and row["clear"]
    assert 1.15 < row["ratio"] < 1.45


# --- Interruptions

def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    bench: Bench, twins: Twins, background: Background
) -> None:
    process = background(bench.start("ab", *twins.pythons, *QUICK, "--seed", 7))
    wait_until(lambda: len(bench.blocks()) >= 3 and len(bench.processes()) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = bench.blocks()
    wait_until(lambda: not bench.processes(), 60.0)
    (folder,) = bench.out.iterdir()
    with (folder / "blocks.jsonl").open("a") as stream:
        stream.write('{"benchmark": "healthy.time_sum", "ind')  # as if the kill had come in mid-write
    assert bench.run("show").returncode == 0
    done = bench.run("resume", folder.name[:-3])
    assert done.returncode == 0, done.stderr
    assert bench.blocks()[: len(before)] == before, "nothing measured is lost or measured again"
    follows_the_plan(folder)
    assert {row["verdict"] for row in rows(bench).values()} <= {"same", "undecided"}


def follows_the_plan(folder: Path) -> None:
    """The blocks are, to the end, those that an uninterrupted run of the same seed asks for."""
    run = store.read(folder)
    assert not run.torn
    plan = Plan(run.manifest.benchmarks, seed=run.manifest.seed, margin=run.manifest.margin, budget=None)
    for block in run.blocks:
        spec = plan.next()
        assert spec is not None
        assert (block.benchmark, block.index, block.first) == (spec.benchmark.key, spec.index, spec.first)
        assert block.order == (spec.order * len(block.order))[: len(block.order)]
        plan.observe(block)
    assert plan.next() is None


def test_what_another_schedule_measured_is_shown_and_not_gone_on_with(finished: Bench, tmp_path: Path) -> None:
    bench = Bench(folder=tmp_path)
    (there,) = finished.out.iterdir()
    folder = shutil.copytree(there, bench.out / there.name)
    with (folder / "blocks.jsonl").open("a") as stream:
        stream.write(json.dumps(bench.blocks()[-1]) + "\n")
    assert bench.run("show").returncode == 0
    refused = bench.run("resume")
    assert refused.returncode == 2
    assert "blocks.jsonl does not hold this run's schedule: the plan asked for nothing more" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_prints_the_report_and_how_to_go_on(
    bench: Bench, twins: Twins, background: Background, number: signal.Signals
) -> None:
    process = background(bench.start("ab", *twins.pythons, *QUICK, "--seed", 8))
    wait_until(lambda: len(bench.blocks()) >= 3)  # of fourteen, so that there is time left
    process.send_signal(number)
    out, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert bench.processes() == []
    (folder,) = bench.out.iterdir()
    assert "healthy.time_sum" in out and f"lockstep resume {folder}" in out
    assert (folder / "report.html").is_file()
    done = bench.run("resume", folder)
    assert done.returncode == 0, done.stderr
    assert "lockstep resume" not in done.stdout
    follows_the_plan(folder)


def test_an_interruption_before_the_first_block_ends_in_words(
    bench: Bench, twins: Twins, background: Background, tmp_path: Path
) -> None:
    imported = tmp_path / "imported"
    suite = written(tmp_path / "slow_to_import", work=(
        f"import time\nopen({str(imported)!r}, 'w').close()\ntime.sleep(600)\ndef time_it(): pass\n"))
    process = background(bench.start("ab", *twins.pythons, "--suite", suite))
    wait_until(imported.exists)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 130
    assert "lockstep: interrupted; a run that had begun is stored" in error and "Traceback" not in error
    assert bench.processes() == []


def test_two_runs_at_once_do_not_disturb_each_other(
    bench: Bench, twins: Twins, background: Background, tmp_path: Path
) -> None:
    first = background(bench.start("ab", *twins.pythons, *ENDLESS))
    wait_until(bench.blocks)
    others = Bench(folder=tmp_path / "others")
    others.folder.mkdir()
    refused = others.run("ab", *twins.pythons, *QUICK, "--no-wait")
    assert refused.returncode == 4
    assert "another Lockstep run" in refused.stderr and f"pid {first.pid}" in refused.stderr
    assert not others.out.exists()
    second = background(others.start("ab", *twins.pythons, *QUICK))
    assert second.stderr is not None
    said = second.stderr.readline()
    assert "waiting for another Lockstep run" in said and f"pid {first.pid}" in said
    assert first.poll() is None and not others.blocks()
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=TIME_LIMIT)
    last = max(block["started"] + block["seconds"] for block in bench.blocks())
    second.communicate(timeout=TIME_LIMIT)
    assert second.returncode == 0
    assert min(block["started"] for block in others.blocks()) > last


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up_loses_nothing(
    bench: Bench, twins: Twins, small_disk: Path, background: Background
) -> None:
    """Somebody else fills it, all but the rest of a page: how long blocks are is the machine's doing."""
    (small_disk / "runs").mkdir()
    bench.out.symlink_to(small_disk / "runs", target_is_directory=True)
    process = background(bench.start("ab", *twins.pythons, *QUICK, "--seed", 9))
    wait_until(lambda: len(bench.blocks()) > 4)  # of fourteen and more
    with (small_disk / "ballast").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(b"x" * 4096)
    _, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 4, error
    assert "blocks.jsonl: No space left on device" in error and "lockstep resume" in error
    assert "Traceback" not in error
    assert bench.processes() == []
    (folder,) = bench.out.iterdir()
    run = store.read(folder)
    assert len(run.blocks) > 4 and not run.torn
    shown = bench.run("show")
    assert shown.returncode == 0 and "healthy.time_sum" in shown.stdout
    assert bench.run("resume").returncode == 4, "still full"
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    # Of those that were measured anew one may be a little shorter, and have found room.
    assert store.read(folder).blocks[: len(run.blocks)] == run.blocks
    assert bench.run("resume").returncode == 0
    follows_the_plan(folder)


# --- Failures that pass

def test_a_worker_that_is_killed_once_is_tried_again_and_one_that_always_is_has_failed(
    bench: Bench, twins: Twins, tmp_path: Path
) -> None:
    """As the kernel does when memory runs out. A resumed run tries once more what has failed."""
    work = (
        "import os, signal\n"
        "def killed(name, times):\n"
        "    there = os.path.join(os.path.dirname(__file__), name)\n"
        "    with open(there, 'a') as stream:\n        stream.write('x')\n"
        "    if os.path.getsize(there) in times:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "class Once:\n    def setup(self):\n        killed('once', (9,))\n    def time_it(self):\n        sum((1, 2))\n"
        "class Always:\n    def setup(self):\n        killed('all', range(99))\n    def time_it(self):\n        pass\n"
    )
    suite = written(tmp_path / "planted", work=work)
    done = bench.run("ab", *twins.pythons, "--suite", suite, "--margin", "30%", "--seed", 3)
    assert "1 block failed and was tried again" in done.stdout and "was killed by SIGKILL" in done.stdout
    found = rows(bench)
    assert (found["work.Once.time_it"]["verdict"], found["work.Once.time_it"]["reason"]) == ("same", None)
    assert found["work.Always.time_it"]["verdict"] == "failed"
    assert found["work.Always.time_it"]["reason"] == "was killed by SIGKILL"

    def tries() -> int:
        return sum(block["benchmark"] == "work.Always.time_it" for block in bench.blocks())

    assert tries() == 2
    bench.run("resume", "last")
    assert tries() == 3 and len({block["session"] for block in bench.blocks()}) == 2


# --- A finished run

def test_a_finished_run_is_shown_again(finished: Bench) -> None:
    done = finished.run("show", "-v")
    assert done.returncode == 0
    assert "healthy.time_sort" in done.stdout and "healthy.time_sum" in done.stdout
    resumed = finished.run("resume")
    assert resumed.returncode == 0, "nothing is left to do, and that is no error"
    (folder,) = finished.out.iterdir()
    follows_the_plan(folder)


def test_pyperf_compares_the_export(finished: Bench, inside: Inside, tmp_path: Path) -> None:
    exported = inside("export", "last", "--format", "pyperf", "--to", tmp_path, "--out", finished.out)
    assert exported.returncode == 0, exported.stderr
    base, head = sorted(tmp_path.glob("*.json"))
    assert (base.name.endswith("-base.json"), head.name.endswith("-head.json")) == (True, True)
    words = [sys.executable, "-m", "pyperf", "compare_to", "--table", str(base), str(head)]
    compared = subprocess.run(words, check=False, capture_output=True, text=True)
    assert compared.returncode == 0, compared.stderr
    # pyperf leaves out of its table what it finds unchanged; the two are in its count then.
    assert "healthy" in compared.stdout or "Benchmark hidden because not significant" in compared.stdout
    suite = pyperf.BenchmarkSuite.load(str(base))
    (folder,) = finished.out.iterdir()
    run = store.read(folder)
    for benchmark in suite:
        blocks = [b for b in run.blocks if b.benchmark == benchmark.get_name() and b.kind is BlockKind.SCORED]
        assert benchmark.get_nrun() == len(blocks)
        assert benchmark.get_nvalue() == sum(min(len(block.base), len(block.head)) for block in blocks)


def test_the_tables_have_every_slice(finished: Bench, inside: Inside, tmp_path: Path) -> None:
    for format in ("csv", "parquet"):
        exported = inside("export", "last", "--format", format, "--to", tmp_path, "--out", finished.out)
        assert exported.returncode == 0, exported.stderr
    (table,), (parquet,) = tmp_path.glob("*.csv"), tmp_path.glob("*.parquet")
    with table.open() as stream:
        values = [float(row["value"]) for row in csv.DictReader(stream)]
    scored = [block for block in finished.blocks() if block["kind"] == "scored"]
    slices = sum(len(block["base"]) + len(block["head"]) for block in scored)
    assert len(values) == slices and all(math.isfinite(value) and 0 < value < 1 for value in values)
    assert parquet.stat().st_size > 0


# --- Bytecode

STALE = (
    "import importlib.util, py_compile, sys; "
    "py_compile.compile(sys.argv[1], cfile=importlib.util.cache_from_source(sys.argv[2]))"
)


def test_no_arm_runs_what_another_has_compiled_and_nothing_is_written_beside_the_suite(
    bench: Bench, twins: Twins, tmp_path: Path
) -> None:
    """Beside the suite lies bytecode of the same version, made from other text of the same size and time."""
    suite = written(tmp_path / "planted", __init__="", helper="VALUE = 1\n", work=(
        "from planted.helper import VALUE\nassert VALUE == 1\ndef time_it():\n    return 1\n"
        "def track_it():\n    return VALUE\n"
    ))
    other = written(tmp_path / "other", __init__="", helper="VALUE = 2\n", work=(suite / "work.py").read_text())
    for name in ("helper", "work"):
        os.utime(suite / f"{name}.py", (1e9, 1e9))
        os.utime(other / f"{name}.py", (1e9, 1e9))
        subprocess.run([twins.pythons[0], "-c", STALE, other / f"{name}.py", suite / f"{name}.py"], check=True)
    said = subprocess.run([twins.pythons[0], "-c", "import planted.helper; print(planted.helper.VALUE)"], check=True,
                          cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout == "2\n", "an ordinary import takes it for its own"
    before = {path: path.read_bytes() for path in suite.rglob("*") if path.is_file()}
    done = bench.run("ab", *twins.pythons, "--suite", suite, "--margin", "30%", "--budget", "60s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: row["reason"] for name, row in rows(bench).items()} == {"work.time_it": None, "work.track_it": None}
    assert rows(bench)["work.track_it"]["base_value"] == 1
    assert {path: path.read_bytes() for path in suite.rglob("*") if path.is_file()} == before


OTHER_COMPILER = """from importlib.machinery import SourceFileLoader

def source_to_code(self, data, path, **options):
    return compile(data.replace(b"= 40 +", b"= 50 +"), path, "exec", dont_inherit=True)

SourceFileLoader.source_to_code = source_to_code
"""


@pytest.mark.parametrize("changed", [Arm.BASE, Arm.HEAD])
def test_an_arm_whose_compiler_emits_other_code_runs_that_and_the_other_arm_does_not(
    bench: Bench, tmp_path: Path, changed: Arm
) -> None:
    """As of a patch to the compiler that keeps the magic number: bytecode of one arm looks like the other's."""
    pythons = {}
    for arm in Arm:
        venv.create(tmp_path / arm.value, symlinks=True, with_pip=False)
        pythons[arm] = tmp_path / arm.value / "bin" / "python"
    (place,) = (tmp_path / changed.value).glob("lib/python*/site-packages")
    (place / "sitecustomize.py").write_text(OTHER_COMPILER)
    suite = written(tmp_path / "emitted", __init__="", helper="VALUE = 40 + 2\n", work=(
        "from emitted.helper import VALUE\ndef track_it():\n    return VALUE\n"
        "def track_twice():\n    return VALUE\n"
    ))
    bench.run("ab", pythons[Arm.BASE], pythons[Arm.HEAD], "--suite", suite, "--budget", "60s", "--scope", "binary")
    told = {name: (row["base_value"], row["head_value"]) for name, row in rows(bench).items()}
    seen = (52, 42) if changed is Arm.BASE else (42, 52)
    assert told == {"work.track_it": seen, "work.track_twice": seen}


# --- Workers

@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[str], Worker]]:
    """A worker of this interpreter that has loaded one benchmark of the suite of faults."""
    started: list[Worker] = []

    def start(name: str) -> Worker:
        me = Interpreter(spec="me", executable=Path(sys.executable), version="3.11.0", implementation="cpython",
                         sha256="", facts={})
        launch = Launch(arm=Arm.BASE, command=command(me, Bytecode(folder=tmp_path / "bytecode", library=False)),
                        env={"PYTHONHASHSEED": "1", "PATH": os.environ["PATH"]},
                        cwd=tmp_path, cpus=())
        started.append(Worker(launch))
        benchmark = Benchmark(name=name, params={}, index=(), metric=Metric.TIME, unit="s", version="1", timeout=60.0,
                              attribute=name.replace(".", ":", 1))
        load = {**suites.open(str(SUITE)).loader(tmp_path)(benchmark), "do": "load", "call": True}
        started[-1].greet()
        # Its alarm is set 10 s after the limit: a limit of -6 s makes that four seconds.
        started[-1].send(load, -6)
        started[-1].receive(30)
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_an_idle_worker_waits_for_as_long_as_its_parent_lives(worker: Callable[[str], Worker]) -> None:
    """Its own alarm, for when the parent is gone, is for calls that hang and not for waiting."""
    idle = worker("healthy.time_sum")
    with pytest.raises(psutil.TimeoutExpired):
        psutil.Process(idle.pid).wait(4.5)
    assert idle.ask({"do": "slice", "calls": 1}, 30)["ns"] > 0


def test_a_cpu_that_is_gone_is_told_in_words(worker: Callable[[str], Worker], tmp_path: Path) -> None:
    """As when it goes offline or the cpuset shrinks while a run is measured."""
    there = worker("healthy.time_sum")
    with pytest.raises(MachineError, match=r"cannot move process \d+ to CPU 1023: .*lockstep resume"):
        there.pin(1023)
    before = os.sched_getaffinity(0)
    with pytest.raises(MachineError, match=r"cannot move process \d+ to CPU 1023: .*lockstep resume"):
        Worker(Launch(arm=Arm.BASE, command=(sys.executable,), env={}, cwd=tmp_path, cpus=(1023,)))
    assert os.sched_getaffinity(0) == before


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be removed: a file system is mounted inside."""
    inside = tmp_path / "wwww" / "inside"
    inside.mkdir(parents=True)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inside], check=False).returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield inside.parent
    for mounted in tmp_path.rglob("inside"):
        subprocess.run(["umount", mounted], check=True)


def test_a_folder_that_was_left_behind_is_put_aside(stubborn: Path) -> None:
    shutil.rmtree(stubborn, ignore_errors=True)
    assert (stubborn / "inside").is_dir()
    assert list(fresh(stubborn).iterdir()) == []
    assert fresh(stubborn).parent == stubborn.parent, "and what can be removed, is"
    assert len(list(stubborn.parent.glob("left-*"))) == 1


def test_a_scratch_folder_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"cannot make the working directory .*lockstep resume"):
        fresh(tmp_path / "gone" / "w")


def test_what_children_use_is_told_to_the_microsecond(worker: Callable[[str], Worker]) -> None:
    """A single forked child uses well under 10 ms, the step in which `os.times` counts."""
    forking = worker("harmless.time_forks_and_the_child_exits")
    assert all(0 < forking.ask({"do": "slice", "calls": 1}, 30)["children"] < 0.1 for _ in range(5))


def test_what_a_benchmark_prints_does_not_fill_the_memory(worker: Callable[[str], Worker]) -> None:
    printing = worker("harmless.time_prints_a_megabyte")
    for _ in range(20):
        printing.ask({"do": "slice", "calls": 5}, 30)
        assert os.fstat(printing._output).st_blocks * 512 < 12 << 20


@pytest.mark.alone
def test_equal_arms_get_equal_numbers_of_calls_however_much_their_calls_vary(bench: Bench) -> None:
    """Pointer chasing in cold caches: single slices of two equal arms were ten times apart in most calibrations."""
    suite = Path(__file__).parents[2] / "runner" / "suites" / "calibration"
    for seed in range(4):
        bench.run("ab", sys.executable, sys.executable, "--suite", suite, "-b", "pointers", "--budget", "1s",
                  "--mode", "adjacent", "--seed", seed)
        calls = bench.blocks()[0]["settings"]["calls"]
        assert calls["base"] == calls["head"], seed
