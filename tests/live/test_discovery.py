"""Discovery inside real interpreters, and a suite with planted faults."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner import suites
from runner.errors import MachineError, UsageError
from runner.model import Metric
from runner.suites import asv

PYENV = Path.home() / ".pyenv" / "versions"


def interpreter(version: str) -> Path:
    """The newest pyenv interpreter of a version such as ``3.8``; the test is skipped where there is none."""
    if version == "this":
        return Path(sys.executable)
    there = sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not there:
        pytest.skip(f"no CPython {version} under {PYENV}")
    return there[-1]


def suite(folder: Path, **modules: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(params=["3.8", "3.11", "3.13", "this"])
def python(request: pytest.FixtureRequest) -> Path:
    return interpreter(request.param)


THIS = Path(sys.executable)
OWN = suites.open(None)


def test_every_interpreter_sees_the_same_suite(python: Path) -> None:
    found = OWN.discover(python)
    assert found.problems == ()
    assert found == OWN.discover(THIS)
    keys = {benchmark.key for benchmark in found.benchmarks}
    assert {"construct.FromBytes.time_construct(size=16MiB)", "readlines.Founding.time_list_of_lines",
            "memory.Peak.peakmem_getvalue(size=16MiB)", "memory.AllocatedByWrite.track_append(size=1MiB)"} <= keys


def test_two_interpreters_at_once() -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(OWN.discover, [THIS, THIS])
    assert one == other
    assert len(suites.select(one, other, None).benchmarks) == len(one.benchmarks) > 100


ATTRIBUTES = '''
from .helper import SIZES
from asv_runner.benchmarks.mark import skip_benchmark, skip_for_params

timeout = 7

class Work:
    params = (SIZES, (1, None, "x"))
    param_names = ("size", "kind")
    version = "two"

    def setup(self, size, kind): pass
    def time_all(self, size, kind): pass
    time_all.number = 5
    def track_count(self, size, kind): return 1
    track_count.unit = "lines"
    track_count.timeout = 0.5
    def peakmem_all(self, size, kind): pass
    @skip_benchmark
    def time_skipped(self, size, kind): pass
    @skip_for_params([("0B", 1), ("0B", None), ("4KiB", "x")])
    def time_some(self, size, kind): pass
    def helper(self): pass

def time_alone(): pass
time_alone.number = 7

def timeraw_code(): return "pass"

def mem_object(): return []
'''


def test_what_a_benchmark_says_of_itself(python: Path, tmp_path: Path) -> None:
    folder = suite(tmp_path / "planted", work=ATTRIBUTES, helper='SIZES = ["0B", "4KiB"]')
    found = suites.open(str(folder)).discover(python)
    named = {name: [b for b in found.benchmarks if b.name == f"work.{name}"] for name in (
        "Work.time_all", "Work.track_count", "Work.peakmem_all", "Work.time_skipped", "Work.time_some", "time_alone",
        "timeraw_code", "mem_object")}
    first = named["Work.time_all"][0]
    assert (first.key, first.number, first.timeout, first.version, first.unit, first.metric) == (
        "work.Work.time_all(size=0B, kind=1)", 1, 7.0, "two", "s", Metric.TIME), "set up before every call, as in asv"
    assert [b.index for b in named["Work.time_all"]] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert list(named["Work.time_all"][-1].params.values()) == ["4KiB", "x"]
    count = named["Work.track_count"][0]
    assert (count.unit, count.timeout, count.number, count.metric) == ("lines", 0.5, None, Metric.TRACK)
    assert {(b.unit, b.metric) for b in named["Work.peakmem_all"]} == {("bytes", Metric.PEAK_MEMORY)}
    assert named["Work.time_skipped"] == []
    assert [tuple(b.params.values()) for b in named["Work.time_some"]] == [("0B", "x"), ("4KiB", "1"), ("4KiB", "None")]
    (alone,) = named["time_alone"]
    assert (alone.params, alone.index, len(alone.version), alone.number) == ({}, (), 64, 7)
    (raw,), (size,) = named["timeraw_code"], named["mem_object"]
    assert (raw.form, raw.number, raw.metric, raw.unit) == ("raw", 1, Metric.TIME, "s")
    assert (size.form, size.number, size.metric, size.unit) == ("size", None, Metric.TRACK, "bytes")
    assert found.problems == ()


GOOD = "def time_good(): pass\n"


@pytest.mark.parametrize(("text", "told"), [
    ("x = 1\nraise ValueError('boom')\n", "planted/bad.py:2: planted.bad could not be imported: ValueError: boom"),
    ("import time\ndef time_x(): pass\ntime_x.timer = time.process_time\n",
     "planted/bad.py:2: bad.time_x is not measured: its timer is process_time, and wall time alone is measured"),
    ("import nowhere\n", "planted/bad.py:1: planted.bad could not be imported: ModuleNotFoundError"),
    ("\n\ndef broken(:\n", "planted/bad.py:3: planted.bad could not be imported: SyntaxError"),
    ("raise SystemExit(3)\n", "planted/bad.py:1: planted.bad could not be imported: SystemExit: 3"),
    ("import os\nos._exit(3)\n", "planted.bad ended the interpreter while it was looked at (exit code 3)"),
    ("import os\nos.kill(os.getpid(), 11)\n", "planted.bad ended the interpreter while it was looked at (signal 11)"),
    ("class C:\n  def __init__(self, x): pass\n  def time_x(self): pass\n",
     "planted/bad.py:3: C, which must be constructed without arguments, failed: TypeError"),
    ("class C:\n  def __init__(self):\n    1 / 0\n  def time_x(self): pass\n  def time_y(self): pass\n",
     "planted/bad.py:3: C, which must be constructed without arguments, failed: ZeroDivisionError"),
    ("def time_x(): pass\ntime_x.params = 5\n", "planted/bad.py:1: bad.time_x failed: TypeError"),
    ("def time_x(): pass\ntime_x.params = ([1], [])\n",
     "planted/bad.py:1: bad.time_x is not measured: one of its parameters has no values"),
])  # fmt: skip
def test_a_bad_module_is_told_and_the_others_are_found(tmp_path: Path, text: str, told: str) -> None:
    found = suites.open(str(suite(tmp_path / "planted", a_good=GOOD, bad=text, c_good=GOOD))).discover(THIS)
    assert [b.key for b in found.benchmarks] == ["a_good.time_good", "c_good.time_good"]
    (problem,) = found.problems
    assert problem.startswith(told)


def test_two_modules_that_kill_the_process(tmp_path: Path) -> None:
    kill = "import os\nos._exit(0)\n"
    found = suites.open(str(suite(tmp_path / "planted", a=kill, b=GOOD, c=kill, d=GOOD))).discover(THIS)
    assert [b.name for b in found.benchmarks] == ["b.time_good", "d.time_good"]
    assert [problem.split()[0] for problem in found.problems] == ["planted.a", "planted.c"]


def test_a_module_that_hangs_costs_the_time_limit_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asv, "TIME_LIMIT", 10.0)
    start = time.monotonic()
    folder = suite(tmp_path / "planted", a=GOOD, b="import time\ntime.sleep(600)\n", c=GOOD)
    found = suites.open(str(folder)).discover(THIS)
    assert time.monotonic() - start < 300, "of the 600 s that it hangs"
    assert [b.name for b in found.benchmarks] == ["a.time_good"]
    assert found.problems == (
        "planted.b was not looked at to the end within 10 s; what comes after it is not measured",
    )


def test_what_a_module_prints_and_closes_does_no_harm(tmp_path: Path) -> None:
    noisy = "import os\nprint('{\"done\": true}' * 50_000)\nos.close(1)\nos.close(2)\n" + GOOD
    found = suites.open(str(suite(tmp_path / "planted", a=noisy, b=GOOD))).discover(THIS)
    assert [b.name for b in found.benchmarks] == ["a.time_good", "b.time_good"]


def test_packages_within_packages_and_modules_without_benchmarks(tmp_path: Path) -> None:
    folder = suite(tmp_path / "planted", __init__=GOOD, plain="x = 1\n", zed=GOOD)
    suite(folder / "inner", __init__="", deep=GOOD + "class C:\n  def time_c(self): pass\n")
    found = suites.open(str(folder)).discover(THIS)
    assert [b.name for b in found.benchmarks] == [
        "time_good", "inner.deep.time_good", "inner.deep.C.time_c", "zed.time_good"]
    assert found.problems == ()


def test_nothing_of_our_environment_leaks_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    text = (
        "import importlib.util as u, sys\n"
        "assert not [p for p in sys.path if 'elsewhere' in p or p.endswith('suites')], sys.path\n"
        "assert u.find_spec('numpy') is None and u.find_spec('asv') is None and u.find_spec('runner') is None\n" + GOOD
    )
    assert suites.open(str(suite(tmp_path / "planted", a=text))).discover(interpreter("3.8")).problems == ()


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_an_interpreter_that_is_too_old_is_refused_in_words(version: str) -> None:
    with pytest.raises(UsageError, match=r"Is it Python 3\.8 or later"):
        OWN.discover(interpreter(version))


def test_what_is_no_interpreter_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exit code 1"):
        OWN.discover(Path("/bin/false"))
    with pytest.raises(MachineError, match="cannot run"):
        OWN.discover(tmp_path / "nowhere")
