"""pyperf scripts in real measured processes: what they have, what a call of each kind is, and whole runs."""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bench import LOCKSTEP, TIME_LIMIT, Bench, Twins, free_port

from runner import suites
from runner.measuring.launch import Bytecode, Launch, command
from runner.measuring.process import Worker, WorkerFailed, begin
from runner.model import Arm, Benchmark, Interpreter, Metric
from runner.suites.pyperf import link_pyperf

SCRIPTS = Path(__file__).parent / "pyperf_scripts"
KINDS = str(SCRIPTS / "kinds.py")
PYENV = Path.home() / ".pyenv" / "versions"
THIS = Path(sys.executable)
ODD = "a µs, and (more)\u2009!"


@pytest.fixture(params=["3.8", "3.13", "this"])
def python(request: pytest.FixtureRequest) -> Path:
    if request.param == "this":
        return THIS
    there = sorted(PYENV.glob(f"{request.param}.*/bin/python"))
    if not there:
        pytest.skip(f"no CPython {request.param} under {PYENV}")
    return there[-1]


@functools.cache
def found(suite: str, python: Path = THIS) -> dict[str, Benchmark]:
    seen = suites.open(suite).discover(python)
    assert seen.problems == ()
    return {benchmark.key: benchmark for benchmark in seen.benchmarks}


@functools.cache
def version(python: Path) -> str:
    done = subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the workers of a test live."""

    folder: Path

    @property
    def marks(self) -> list[str]:
        """What benchmarks say that they have done."""
        file = self.folder / "marks"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in ("PATH", "PORT_OF_TEST") if name in os.environ}
        return {**passed_on, "PYTHONHASHSEED": "1", "TMPDIR": str(self.folder / "tmp"),
                "MARKS": str(self.folder / "marks")}

    @contextmanager
    def worker(self, suite: str, key: str, python: Path = THIS) -> Iterator[Worker]:
        """A worker that has loaded the benchmark."""
        benchmark = found(suite, python)[key]
        scratch = self.folder / f"scratch-{len(list(self.folder.iterdir()))}"
        scratch.mkdir()
        interpreter = Interpreter(
            spec="", executable=python, version=version(python), implementation="cpython", sha256="", facts={})
        code = Bytecode(folder=scratch / "bytecode-base", library=False)
        launch = Launch(arm=Arm.BASE, command=command(interpreter, code), env=self.environment, cwd=scratch, cpus=())
        request = {**suites.open(suite).loader(scratch)(benchmark), "do": "load", "call": True, "trial": True}
        with Worker(launch) as worker:
            begin({Arm.BASE: worker}, request, benchmark.timeout)
            yield worker


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "tmp").mkdir()
    return Place(tmp_path)


# --- What there is


def test_every_benchmark_of_a_script_is_found_and_none_is_called(place: Place, python: Path) -> None:
    seen = suites.open(KINDS).discover(python, place.environment)
    assert seen.problems == () and place.marks == []
    assert [one.name for one in seen.benchmarks] == [
        "func", "timed/size=500", "awaited", ODD, "command", "inside", "bytes", "waits"]
    assert seen.benchmarks == suites.open(KINDS).discover(THIS).benchmarks
    by_name = {one.name: one for one in seen.benchmarks}
    assert by_name["timed/size=500"].number == 4 and by_name["func"].number is None
    assert (by_name["bytes"].metric, by_name["bytes"].unit) == (Metric.TRACK, "bytes")
    assert seen.places["func"] == {"place": "kinds.py:55", "doc": "every kind"}


def test_options_reach_the_script_and_are_part_of_what_the_suite_is() -> None:
    suite = suites.open(KINDS, ("--size", "7"))
    assert "timed/size=7" in found(suite.place)
    assert suites.open(suite.place).place == suite.place != KINDS
    refused = suites.open(KINDS, ("--sise", "7")).discover(THIS)
    assert refused.benchmarks == () and "unrecognized arguments: --sise 7" in refused.problems[0]
    for option in ("--track-memory", "--tracemalloc"):
        (problem,) = suites.open(KINDS, (option,)).discover(THIS).problems
        assert f"pyperf's option {option} is not for Lockstep" in problem


def test_options_that_choose_how_pyperf_measures_have_no_effect(tmp_path: Path, python: Path) -> None:
    """Each of them would end the script, or pass its benchmarks over."""
    (tmp_path / "there.json").write_text("{}")
    (tmp_path / "bm.py").write_text("import pyperf\npyperf.Runner().bench_func('one', len, '')\n")
    for options in (
        ("--loops=0",), ("-w", "3", "--calibrate-loops"), ("--recalibrate-warmups", "--loops=0"), ("--values=5",),
        ("-o", str(tmp_path / "there.json")), ("--append", str(tmp_path / "there.json"), "--compare-to", "python"),
        ("--worker-task=5",), ("--fast", "--processes=2", "--pipe=1"), ("--debug-single-value",),
    ):
        seen = suites.open(str(tmp_path / "bm.py"), options).discover(python)
        assert ([one.name for one in seen.benchmarks], seen.problems) == (["one"], ()), options
    assert (tmp_path / "there.json").read_text() == "{}"


def test_what_a_script_gives_before_it_ends_is_kept(twins: Twins) -> None:
    suite = suites.open(str(SCRIPTS / "broken_off.py"))
    base, head = suites.discover(suite, *twins.pythons)
    assert "(broken_off.py:11): ModuleNotFoundError" in base.problems[0]
    assert "What it gave before, 2 benchmarks, is measured." in base.problems[0]
    chosen = suites.select(base, head, None)
    assert [one.name for one in chosen.benchmarks] == ["one", "two"]
    assert [(one.name, arm) for one, arm in chosen.missing] == [("three", Arm.HEAD)]


@pytest.mark.parametrize(("text", "said"), [
    ("print('hello')\n", "it makes none with a pyperf.Runner. The last that it printed: hello"),
    ("import os\nos._exit(3)\n", "bm.py ended the interpreter (exit code 3)"),
    ("import os\nos.kill(os.getpid(), 11)\n", "bm.py ended the interpreter (signal 11)"),
    ("x =\n", "bm.py ended in an error (bm.py:1): SyntaxError"),
    ("raise SystemExit('not here')\n", "it called sys.exit('not here')"),
    ("import pyperf\nr = pyperf.Runner()\nr.bench_func('a', int)\nr.bench_func('a', int)\n",
     "ValueError: duplicated benchmark name: 'a'. What it gave before, 1 benchmark, is measured."),
])
def test_a_script_that_does_not_do_is_a_problem_in_words(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bm.py").write_text(text)
    (problem,) = suites.open(str(tmp_path / "bm.py")).discover(THIS).problems
    assert said in problem


def test_a_manifest_names_several_scripts_and_their_settings() -> None:
    seen = suites.open(str(SCRIPTS / "MANIFEST")).discover(THIS)
    assert [one.name for one in seen.benchmarks] == ["sums", "shares.sums", "few_sums"]
    (problem,) = seen.problems
    assert problem.startswith("future is not measured with") and "it is for Python >=3.99, and this is 3." in problem
    group = suites.open(f"{SCRIPTS / 'MANIFEST'}:few")
    assert [one.name for one in group.discover(THIS).benchmarks] == ["sums", "shares.sums"]


# --- What a call is


CALLS = {"func": 50, "timed/size=500": 40, "awaited": 50, ODD: 50, "command": 2, "inside": 50, "waits": 3}


@pytest.mark.parametrize("key", CALLS)
def test_every_kind_is_served(place: Place, python: Path, key: str) -> None:
    calls = CALLS[key]
    with place.worker(KINDS, key, python) as worker:
        for request in (
            {"do": "slice", "calls": calls}, {"do": "again"},
            {"do": "turns", "arm": "b", "order": "bb", "calls": (calls,), "pipes": (0, 0), "shift": 2},
            {"do": "window", "start": time.perf_counter_ns(), "end": time.perf_counter_ns() + 10**6, "calls": calls},
            {"do": "count", "warmup": 0, "calls": (0, 4)}, {"do": "allocated"},
            {"do": "slice", "calls": calls},
        ):
            if key == "command" and request["do"] in ("count", "allocated"):
                with pytest.raises(WorkerFailed, match="works in processes of its own"):
                    worker.ask(request, 60.0)
            else:
                told = worker.ask(request, 60.0)
        assert told["ns"] > 0
        assert (told["children"] > 0) == (key == "command")
    assert list((place.folder / "tmp").iterdir()) == [], "what the script had open is closed"


@pytest.mark.parametrize(("key", "undoes"), [
    ("plain", False), ("in a with", True), ("in a try", True), ("before an exit", True),
])
def test_what_is_open_around_a_benchmark_is_undone_at_its_end(
    place: Place, python: Path, key: str, undoes: bool
) -> None:
    """Nothing else is begun beside it then. logging, which the script imports, undoes nothing."""
    with place.worker(str(SCRIPTS / "opens.py"), key, python) as worker:
        worker.ask({"do": "slice", "calls": 10}, 60.0)
        assert worker.undid, "nobody knows before it ends"
    # Before 3.11 nobody sees which `with` of a function is open.
    assert worker.undid == (undoes or version(python).startswith("3.8"))


def test_inner_loops_are_calls(place: Place) -> None:
    """Of four inner loops: a slice of 40 calls is one of ten loops, and four calls are one."""
    with place.worker(KINDS, "timed/size=500") as worker:
        worker.ask({"do": "slice", "calls": 40}, 60.0)
        worker.ask({"do": "count", "warmup": 0, "calls": (0, 8)}, 60.0)
    assert place.marks == ["timed 1", "timed 10", "timed 1", "timed 1"]


def test_a_value_that_is_no_time_is_what_the_script_returns(place: Place) -> None:
    with place.worker(KINDS, "bytes") as worker:
        assert worker.ask({"do": "value"}, 60.0) == {"value": 1000}


def test_what_is_outside_of_the_time_is_told_apart(place: Place) -> None:
    with place.worker(KINDS, "command") as worker:
        told = worker.ask({"do": "slice", "calls": 1}, 60.0)
    assert told["setup"] > 0, "the process that starts the command"


@pytest.mark.parametrize(("key", "said"), [
    ("raises", "ValueError: of the author's"), ("no time", "returned 0.0, and not seconds above 0"),
    ("bad command", "Command failed with exit code 3"),
])
def test_what_a_benchmark_raises_is_told_and_the_worker_lives(place: Place, key: str, said: str) -> None:
    with pytest.raises(WorkerFailed) as raised, place.worker(str(SCRIPTS / "raises.py"), key):
        pass
    assert said in raised.value.failure.reason
    if key == "raises":
        assert "raises.py" in raised.value.failure.detail and "worker.py" not in raised.value.failure.detail


def test_pyperf_itself_says_the_same_of_what_is_asked_of_it(tmp_path: Path) -> None:
    """The same task, by pyperf's own worker: so many loops, the same unit of time."""
    place = Place(tmp_path)
    (tmp_path / "tmp").mkdir()
    with place.worker(str(SCRIPTS / "planted.py"), "equal") as worker:
        ours = min(worker.ask({"do": "slice", "calls": 1000}, 60.0)["ns"] for _ in range(10)) / 1000 / 1e9
    subprocess.run(
        [THIS, SCRIPTS / "planted.py", "--worker", "--worker-task=1", "--loops=100", "--warmups=1", "--values=10",
         "-q", "-o", tmp_path / "out.json"], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL,
    )
    (run,) = json.loads((tmp_path / "out.json").read_text())["benchmarks"][0]["runs"]
    assert 1 / 3 < ours / min(run["values"]) < 3, "one is not the other's inner loop"


def test_a_worker_imports_less_and_runs_the_same(place: Place) -> None:
    """What is spared of pyperf's imports is there when a script asks for it."""
    (place.folder / "bm.py").write_text(
        "import sys, pyperf\nspared = 'statistics' not in sys.modules and 'uuid' not in sys.modules\n"
        "import statistics, tempfile\nassert statistics.mean([1, 3]) == 2\n"
        "assert pyperf._bench.statistics.median([5]) == 5\n"
        "assert type(statistics) is type(sys)\n"
        "pyperf.Runner().bench_func('spared' if spared else 'not', tempfile.gettempdir)\n")
    assert list(found(str(place.folder / "bm.py"))) == ["spared"]


def test_another_pyperf_that_is_installed_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "pyperf.py").write_text("raise SystemExit('the wrong one')\n")
    done = subprocess.run(
        [THIS, "-c", "import sys; sys.path.insert(0, sys.argv[2]); from importlib.machinery import SourceFileLoader\n"
         "m = type(sys)('m'); SourceFileLoader('m', sys.argv[1]).exec_module(m); m.prepare(sys.argv[3])\n"
         "print(sys.modules['pyperf'].__file__)",
         Path(suites.__file__).with_name("pyperf_loaded.py"), tmp_path, link_pyperf(tmp_path)],
        capture_output=True, text=True, check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "library" / "pyperf" / "__init__.py")


# --- Whole runs


def rows(bench: Bench) -> dict[str, dict[str, Any]]:
    (*_, path) = sorted(bench.out.glob("*/report.json"))
    return {row["name"]: row for row in json.loads(path.read_text())["benchmarks"]}


def test_a_planted_change_is_found_and_a_script_that_changes_is_not_gone_on_with(bench: Bench, tmp_path: Path) -> None:
    for arm in ("base", "head"):
        venv.create(tmp_path / arm, symlinks=True, with_pip=False)
    (tmp_path / "head" / "planted").touch()
    script = tmp_path / "planted.py"
    script.write_text((SCRIPTS / "planted.py").read_text())
    arms = [tmp_path / arm / "bin" / "python" for arm in ("base", "head")]
    done = bench.run("ab", *arms, "--suite", script, "--margin", "30%", "--seed", 3)
    assert done.returncode == 1, done.stderr
    seen = rows(bench)
    assert {name: row["verdict"] for name, row in seen.items()} == {"more": "slower", "equal": "same"}
    assert 1.5 < seen["more"]["ratio"] < 2.7 and seen["equal"]["base_value"] < seen["more"]["base_value"]
    (run,) = bench.out.iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["suite"] == str(script) and list(manifest["suite_files"]) == ["planted.py"]
    assert "pyperf" in manifest["versions"]
    script.write_text(script.read_text() + "\n")
    again = bench.run("resume", "last")
    assert again.returncode == 2 and "planted.py has changed" in again.stderr


def test_options_follow_two_dashes_or_the_name(bench: Bench, twins: Twins) -> None:
    words = [LOCKSTEP, "ab", *twins.pythons, "--out", bench.out, "--margin", "50%", "-b", "timed", "--budget", "30s",
             "--suite", KINDS, "--", "--size", "9"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=TIME_LIMIT)
    assert done.returncode in (0, 1), done.stderr
    assert list(rows(bench)) == ["timed/size=9"]
    (run,) = bench.out.iterdir()
    told = json.loads((run / "manifest.json").read_text())
    assert shlex.split(told["suite"]) == [KINDS, "--size", "9"] and shlex.join([told["suite"]]) in told["command"]
    refused = bench.run("ab", *twins.pythons, "--suite", SCRIPTS.parent / "faults", "more")
    assert refused.returncode == 2 and "what follows -- are options of a pyperf script" in refused.stderr


def test_a_run_says_what_one_arm_lacks_and_what_fails(bench: Bench, twins: Twins) -> None:
    done = bench.run("ab", *twins.pythons, "--suite", SCRIPTS / "broken_off.py", "--margin", "50%", "--budget", "30s")
    assert done.returncode in (0, 1), done.stderr
    assert rows(bench)["three"]["verdict"] == "only in head"
    assert "there_is_no_such_package" in done.stdout
    done = bench.run("ab", *twins.pythons, "--suite", SCRIPTS / "raises.py", "--margin", "50%", "--budget", "30s")
    seen = rows(bench)
    assert {name for name, row in seen.items() if row["verdict"] == "failed"} == {"raises", "no time", "bad command"}
    assert seen["good"]["verdict"] != "failed"


def test_what_takes_a_port_of_its_own_is_measured_alone(
    bench: Bench, twins: Twins, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT_OF_TEST", str(free_port()))
    for key, alone in (("same port", 1), ("any port", 0)):
        with place.worker(str(SCRIPTS / "port.py"), key) as worker:
            assert worker.ask({"do": "slice", "calls": 1}, 60.0)["alone"] == alone
    done = bench.run("ab", *twins.pythons, "--suite", SCRIPTS / "port.py", "--margin", "50%", "--budget", "60s")
    assert done.returncode in (0, 1), done.stderr
    seen = rows(bench)
    assert seen["same port"]["mode"] == "adjacent" and seen["same port"]["blocks"] >= 1
    # The other is measured with both arms at once, unless a busy machine makes it look as if it waited.
    assert seen["any port"]["reason"] is None and seen["any port"]["mode"] in ("shared", "adjacent")


def test_some_of_pyperformance_unmodified(bench: Bench, twins: Twins) -> None:
    suite = "pyperformance:telco,nqueens,logging,python_startup"
    assert {"telco", "nqueens", "logging_simple", "python_startup"} <= set(found(suite))
    done = bench.run("ab", *twins.pythons, "--suite", suite, "-b", "telco|logging_silent", "--margin", "50%",
                     "--budget", "8s")
    assert done.returncode in (0, 1), done.stderr
    assert {row["verdict"] for row in rows(bench).values()} <= {"same", "undecided"}


# --- Third-party packages


def needing(folder: Path, requirement: str, name: str = "needs") -> Path:
    """A manifest with a script that needs a package, `tiny`, which is a wheel beside it."""
    there = folder / f"bm_{name}"
    there.mkdir(parents=True)
    (folder / "MANIFEST").write_text(f"[benchmarks]\nname\tmetafile\n{name}\t<local>\n")
    (there / "pyproject.toml").write_text(
        f'[project]\nname = "bm_{name}"\nversion = "1"\n[tool.pyperformance]\nname = "{name}"\n')
    (there / "requirements.txt").write_text(f"# what it needs\n{requirement}\n")
    (there / "run_benchmark.py").write_text(
        f"import pyperf\nimport tiny\npyperf.Runner().bench_func('{name}', tiny.work)\n")
    about = "tiny-1.0.dist-info"
    with zipfile.ZipFile(there / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "def work():\n    return sum(range(100))\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"tiny.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return folder / "MANIFEST"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lockstep" / "pyperf"


def test_what_a_script_needs_is_installed_once_for_a_kind_of_interpreter(
    place: Place, own_cache: Path, python: Path
) -> None:
    manifest = needing(place.folder / "suite", "./tiny-1.0-py3-none-any.whl")
    assert list(found(str(manifest), python)) == ["needs"]
    (made,) = (path for path in own_cache.glob("*/*") if not path.name.startswith("making-"))
    assert made.name.startswith("cpython-") and (made / "tiny.py").is_file()
    (manifest.parent / "bm_needs" / "tiny-1.0-py3-none-any.whl").unlink()
    assert suites.open(str(manifest)).discover(python).problems == (), "it is there, and pip is not asked again"
    with place.worker(str(manifest), "needs", python) as worker:
        assert worker.ask({"do": "slice", "calls": 10}, 60.0)["ns"] > 0


def test_what_does_not_install_is_failed_with_pips_last_words_and_the_rest_goes_on(
    bench: Bench, twins: Twins, own_cache: Path, tmp_path: Path
) -> None:
    manifest = needing(tmp_path / "suite", "./tiny-2.0-py3-none-any.whl")
    needing(tmp_path / "other", "# nothing", "good")
    (tmp_path / "other" / "bm_good" / "run_benchmark.py").write_text(
        "import pyperf\npyperf.Runner().bench_func('good', sum, range(1000))\n")
    (tmp_path / "other" / "bm_good").rename(tmp_path / "suite" / "bm_good")
    manifest.write_text(manifest.read_text() + "good\t<local>\n")
    done = bench.run("ab", *twins.pythons, "--suite", manifest, "--margin", "50%", "--budget", "30s")
    assert done.returncode in (0, 1), done.stderr
    seen = rows(bench)
    assert {name: row["verdict"] == "failed" for name, row in seen.items()} == {"needs": True, "good": False}
    assert "pip failed" in done.stdout and "tiny-2.0" in done.stdout
