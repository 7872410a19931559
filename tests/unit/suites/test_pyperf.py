"""Which scripts a name stands for, what is told of them, and what a call of a task is: no processes."""

from __future__ import annotations

import argparse
import ast
import builtins
import contextlib
import dis
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config, suites
from runner.errors import UsageError
from runner.model import Metric
from runner.suites import protocol, pyperf, pyperf_loaded, pyperf_requirements, pyperf_scripts
from runner.suites.fingerprint import Watched
from runner.suites.protocol import Found
from runner.suites.pyperf_loaded import Task, _is_guarded, check, escaped
from runner.suites.pyperf_scripts import Script

SCRIPTS = Path(__file__).parents[2] / "live" / "pyperf_scripts"
MANIFEST = SCRIPTS / "MANIFEST"


def script(**changed: Any) -> Script:
    return Script(**{"entry": "it", "file": SCRIPTS / "kinds.py", **changed})


def told(name: str = "one", **changed: Any) -> dict[str, Any]:
    return {"benchmark": {"name": name, "unit": "second", "inner": 1, "timeout": None, "place": "bm.py:1", "doc": "",
                          **changed}}


# --- What a name stands for


def test_a_file_is_a_script_or_a_manifest_and_a_folder_is_asvs(tmp_path: Path) -> None:
    assert pyperf_scripts.names_one(str(SCRIPTS / "kinds.py"))
    assert pyperf_scripts.names_one(str(MANIFEST)) and pyperf_scripts.names_one(f"{MANIFEST}:few,future")
    assert pyperf_scripts.names_one("pyperformance") and pyperf_scripts.names_one("pyperformance:telco")
    for other in (str(SCRIPTS), "nowhere.py", "bytesio", "x" * 5000, "a\0b", "", "pyperformances", str(tmp_path)):
        assert not pyperf_scripts.names_one(other), other


@pytest.mark.parametrize("spaced", ["bm.py", "my bm.py"])
def test_a_place_opens_the_same_suite(tmp_path: Path, spaced: str) -> None:
    (tmp_path / spaced).write_text("")
    for options in ((), ("--size", "3"), ("--text=a b", "it's")):
        suite = suites.open(str(tmp_path / spaced), options)
        assert suites.open(suite.place).place == suite.place
        assert suites.joined(str(tmp_path / spaced), options) == suite.place
        benchmark = pyperf._benchmark(script(entry=""), told()["benchmark"], set())
        folder = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        assert suites.open(suite.place).loader(folder)(benchmark)["options"] == list(options)


@pytest.mark.parametrize("named", [
    "pyperformance:nbody", f"{MANIFEST}:few", f"{MANIFEST}:few, future", "pyperformance", "pyperformance:telco,",
])
def test_what_is_named_of_a_manifest_may_have_options_behind_it(named: str) -> None:
    there = suites.joined(named, ("--size", "a:b c"))
    assert there is not None
    assert suites.open(there).place == suites.open(named, ("--size", "a:b c")).place
    assert shlex.split(there)[-2:] == ["--size", "a:b c"]
    flag = suites.joined(named, ("--fast",))
    assert flag is not None and suites.open(flag).place == suites.open(named, ("--fast",)).place


def test_what_a_file_calls_a_suite_is_beside_it_with_its_options_and_names(tmp_path: Path) -> None:
    (tmp_path / "my bm.py").write_text("")
    (tmp_path / "MANIFEST").write_text(MANIFEST.read_text())
    assert suites.beside(tmp_path, "my bm.py") == str(tmp_path / "my bm.py")
    assert shlex.split(suites.beside(tmp_path, "'my bm.py' --size 9")) == [str(tmp_path / "my bm.py"), "--size", "9"]
    assert suites.beside(tmp_path, "MANIFEST:few --x") == f"{tmp_path / 'MANIFEST'}:few --x"
    for elsewhere in ("bytesio", "pyperformance:telco", "pyperformance:telco --x", "it's"):
        assert suites.beside(tmp_path, elsewhere) == elsewhere


def test_options_of_what_is_no_script_are_refused() -> None:
    for named in (None, "bytesio", str(SCRIPTS.parent / "faults")):
        with pytest.raises(UsageError, match="what follows -- are options of a pyperf script"):
            suites.joined(named, ("--size", "3"))
    assert suites.joined(None, ()) is None


def test_a_manifest_has_groups_inherited_settings_and_options() -> None:
    everything = pyperf_scripts.open(str(MANIFEST))
    assert [one.entry for one in everything.scripts] == ["sums", "shares", "few_sums", "future"]
    few = everything.scripts[2]
    assert few.file == SCRIPTS / "bm_sums" / "run_benchmark.py" and few.options == ("--count", "3")
    assert few.python == ">=3.8" and everything.scripts[3].python == ">=3.99"
    assert [one.entry for one in pyperf_scripts.open(f"{MANIFEST}:few").scripts] == ["sums", "shares"]
    some = pyperf_scripts.open(f"{MANIFEST}:future, few_sums", ("--x",))
    assert [(one.entry, one.options) for one in some.scripts] == [
        ("few_sums", ("--count", "3", "--x")), ("future", ("--x",))]
    assert some.place == f"{MANIFEST}:future, few_sums"


def test_pyperformance_is_what_needs_no_packages_unless_more_is_named() -> None:
    plain = pyperf_scripts.open("pyperformance").scripts
    everything = pyperf_scripts.open("pyperformance:all").scripts
    assert 50 <= len(plain) < len(everything)
    assert all(one.requirements is None and one.file.is_file() for one in plain)
    needing = [one for one in everything if one.requirements is not None]
    assert "html5lib" in {one.entry for one in needing} and "telco" in {one.entry for one in plain}
    (named,) = pyperf_scripts.open("pyperformance:html5lib").scripts
    assert named.requirements is not None and named.requirements.is_file()


def test_what_is_refused_and_why(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "empty").write_text("[benchmarks]\nname\tmetafile\n")
    (tmp_path / "gone").write_text("[benchmarks]\nname\tmetafile\nx\t<local>\n")
    refused = {"notes.txt": "is no pyperf script", "empty": "names no benchmarks", "gone": "cannot be read"}
    for name, why in refused.items():
        with pytest.raises(UsageError, match=why):
            pyperf_scripts.open(str(tmp_path / name))
    with pytest.raises(UsageError, match=r"has no telko, nqueen\. It has the groups .*all.*, and the benchmarks 2to3"):
        pyperf_scripts.open("pyperformance:telko,nqueen")


def test_what_is_watched_is_the_script_with_what_it_may_import_or_its_folder(tmp_path: Path) -> None:
    for name in ("bm.py", "beside.py", "data.txt", "bm_x/run_benchmark.py", "bm_x/data/numbers", "bm_y/big.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    alone = suites.open(str(tmp_path / "bm.py")).watch()
    assert sorted(alone.files) == ["beside.py", "bm.py"] and alone.edited() == []
    assert sorted(suites.open(str(tmp_path / "bm_x/run_benchmark.py")).watch().files) == [
        "data/numbers", "run_benchmark.py"]
    some = suites.open(f"{MANIFEST}:few_sums").watch()
    assert sorted(some.files) == [
        "MANIFEST", "bm_sums/bm_few_sums.toml", "bm_sums/data/numbers", "bm_sums/pyproject.toml",
        "bm_sums/run_benchmark.py"]
    assert Watched(tmp_path, ("bm.py", "bm_x")).files.keys() == {"bm.py", "bm_x/run_benchmark.py", "bm_x/data/numbers"}


# --- What is told of scripts


def test_a_benchmark_of_every_unit() -> None:
    taken: set[str] = set()
    timed = pyperf._benchmark(script(), told("loop", inner=4, timeout=9)["benchmark"], taken)
    assert (timed.metric, timed.unit, timed.number, timed.timeout) == (Metric.TIME, "s", 4, 9.0)
    sized = pyperf._benchmark(script(), told("size", inner=4, unit="byte")["benchmark"], taken)
    assert (sized.metric, sized.unit, sized.number) == (Metric.TRACK, "bytes", None)
    assert timed.version != pyperf._benchmark(script(options=("-x",)), told("loop")["benchmark"], set()).version
    again = pyperf._benchmark(script(), told("loop")["benchmark"], taken)
    assert again.key == "it.loop"
    assert again.attribute == timed.attribute == "it:loop"


@given(st.text(min_size=1))
def test_every_name_comes_through(name: str) -> None:
    """It is found again in a worker, whatever is in it, and harms no file and no terminal."""
    benchmark = pyperf._benchmark(script(), told(name)["benchmark"], set())
    assert benchmark.attribute.partition(":")[2] == escaped(name)
    assert escaped(name).isascii() and ast.literal_eval(repr(benchmark.attribute)) == benchmark.attribute
    assert "\n" not in benchmark.name and benchmark.name.encode()


@given(st.text(), st.text())
def test_escaped_names_are_told_apart(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)


@pytest.mark.parametrize(("lines", "last", "said"), [
    ([told(), {"code": 0}], "bye", []),
    ([{"code": 0}], "", ["it has no benchmarks: it makes none with a pyperf.Runner."]),
    ([told(), {"ended": {"place": "bm.py:3", "error": "ValueError: no"}}, {"code": 0}], "bye",
     ["it ended in an error (bm.py:3): ValueError: no. What it gave before, 1 benchmark, is measured."]),
    ([{"ended": {"place": "", "error": "it called sys.exit(2)"}}, {"code": 0}], "bm.py: error: no such option",
     ["it ended in an error: it called sys.exit(2). The last that it printed: bm.py: error: no such option. It gave no "
      "benchmark before."]),
    ([told(), told("two"), {"code": -11}], "", ["it ended the interpreter (signal 11). What it gave before, 2 "
                                                "benchmarks, is measured."]),
    ([{"code": -14}], "", ["it did not come to its end within 60 s, though nothing was measured. It gave no benchmark "
                           "before."]),
])
def test_how_a_script_ended_is_told(lines: list[dict[str, Any]], last: str, said: list[str]) -> None:
    assert pyperf._problems(script(), lines, last) == said


def test_versions_of_python_are_judged_by_the_measured_interpreter() -> None:
    scripts = [script(entry=entry, python=python) for entry, python in (
        ("any", ""), ("old", "<3.12"), ("new", ">=3.13"), ("odd", "three"))]
    fit, problems = pyperf._fit(scripts, Path("/python"), "3.12.1")
    assert [one.entry for one in fit] == ["any"]
    assert problems == [
        "old is not measured with /python: it is for Python <3.12, and this is 3.12.1",
        "new is not measured with /python: it is for Python >=3.13, and this is 3.12.1",
        "odd is not measured: the Python that it is for, 'three', cannot be read",
    ]
    assert pyperf._fit(scripts[2:3], Path("/python"), "3.14.0")[1] == []


def seen(*benchmarks: tuple[str, str], unlisted: str = "") -> Found:
    """What an interpreter sees of scripts; where one could not be installed, what stands for its benchmarks."""
    taken: set[str] = set()
    found = [pyperf._benchmark(script(entry=entry), told(name)["benchmark"], taken) for entry, name in benchmarks]
    return Found(benchmarks=tuple(found), problems=(), places={one.name: {"place": one.attribute} for one in found},
                 unlisted={unlisted: unlisted} if unlisted else {})


def test_a_name_that_two_scripts_use_is_of_the_same_one_in_both_arms() -> None:
    """The first of them may be for one of the interpreters alone."""
    one, both = seen(("b", "sort")), seen(("a", "sort"), ("b", "sort"))
    for found, other in ((one, both), (both, one)):
        base, head = protocol._named(found, other), protocol._named(other, found)
        selection = protocol.select(base, head, None)
        assert [(there.name, there.attribute) for there in selection.benchmarks] == [("b.sort", "b:sort")]
        assert [there.attribute for there, _ in selection.missing] == ["a:sort"]
        assert base.places["b.sort"] == head.places["b.sort"] == {"place": "b:sort"}
    assert protocol._named(both, both) is both
    # Where the first could not be installed, the other arm's stand for it.
    lacking = protocol._named(seen(("b", "sort"), ("a", "a"), unlisted="a"), both)
    assert [there.name for there in protocol._listed(lacking, both).benchmarks] == ["b.sort", "sort"]


def test_packages_of_a_script_come_before_what_is_installed_and_behind_the_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", ["", "/lib/python3", "/lib/python3/dist-packages", "/lib/site-packages"])
    pyperf_loaded.add([str(tmp_path)])
    assert sys.path == ["", "/lib/python3", str(tmp_path / pyperf_loaded.kind()), "/lib/python3/dist-packages",
                        "/lib/site-packages"]
    monkeypatch.setattr(sys, "path", ["", "/lib/python3"])
    pyperf_loaded.add([str(tmp_path)])
    assert sys.path[2:] == [str(tmp_path / pyperf_loaded.kind())]


def test_a_set_of_packages_is_told_by_its_content(tmp_path: Path) -> None:
    for name, text in (("a", "x==1\n"), ("b", "x==1\n"), ("c", "x==2\n")):
        (tmp_path / name).write_text(text)
    a, b, c = (pyperf_requirements.place(tmp_path / name) for name in "abc")
    assert a == b != c
    for name, text in (("d", "x==1\n"), ("e", "x==1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "common.txt").write_text(text)
        (tmp_path / name / "it").write_text("-r common.txt\n-c common.txt\n-r https://example.org/x.txt\n")
    d, e = (pyperf_requirements.place(tmp_path / name / "it") for name in "de")
    (tmp_path / "e" / "common.txt").write_text("x==2\n-r it\n")
    assert d == e != pyperf_requirements.place(tmp_path / "e" / "it")


@pytest.mark.parametrize("line", [
    "-e ./mine", "--editable=mine", "./mine", "  ../it/mine[extra]", "mine/", "it @ ./mine ; python_version > '3'",
])
def test_what_would_be_installed_from_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(config, "caches", lambda: (tmp_path / "cache",))
    (tmp_path / "it" / "mine").mkdir(parents=True)
    file = tmp_path / "it" / "requirements.txt"
    file.write_text(f"six\nmine\n-e git+https://example.org/mine\n{line}\n")
    with pytest.raises(pyperf_requirements.InstallError, match=r"wants .*mine.*, a folder"):
        pyperf_requirements.install(file, Path("/nowhere/python"), "any", {})
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(RuntimeError, match="a folder"):
        monkeypatch.setattr(pyperf_loaded, "kind", lambda: "any")
        pyperf_loaded.add([str(pyperf_requirements.place(file))])


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").touch()
    monkeypatch.setattr(config, "caches", lambda: (tmp_path / "cache",))
    (tmp_path / "it").write_text("six\n")
    with pytest.raises(pyperf_requirements.InstallError, match="Not a directory"):
        pyperf_requirements.install(tmp_path / "it", Path("/nowhere/python"), "any", {})


def test_interpreters_of_which_objects_or_the_level_differ_share_no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """All alphas of a version have one name for what they load."""
    def kind(**changed: object) -> str:
        facts = {"version_info": SimpleNamespace(releaselevel="alpha"), "hexversion": 0x030F00A1, "path": sys.path}
        monkeypatch.setattr(pyperf_loaded, "sys", SimpleNamespace(**facts | changed))
        return pyperf_loaded.kind()

    assert kind() == kind() != kind(hexversion=0x030F00A2)
    final = SimpleNamespace(releaselevel="final")
    assert kind(version_info=final) == kind(version_info=final, hexversion=0x030F01F0)

    class Larger:
        __slots__ = tuple("abcdefgh")

    Larger.__name__ = "list"
    before = kind(version_info=final)
    monkeypatch.setattr(pyperf_loaded, "builtins", SimpleNamespace(**{**vars(builtins), "list": Larger}))
    assert kind(version_info=final) != before
    assert before.startswith(f"cpython-{sys.version_info[0]}{sys.version_info[1]}")


# --- What a call is


class Clock:
    """A task whose loops take a known time, of which it says another part."""

    def __init__(self, *, inner: int | None, second: float = 1e-3, unit: str | None = None) -> None:
        self.inner_loops, self.second = inner, second
        self.metadata = {} if unit is None else {"unit": unit}
        self.asked: list[int] = []

    def task_func(self, task: Any, loops: int) -> float:
        assert task is self
        self.asked.append(loops)
        return self.second * loops * (self.inner_loops or 1)


@given(st.one_of(st.none(), st.integers(1, 1000)), st.integers(1, 10**6), st.floats(1e-8, 10))
def test_a_call_is_an_inner_loop_and_a_slice_whole_loops(inner: int | None, calls: int, second: float) -> None:
    clock = Clock(inner=inner, second=second)
    took = Task(clock).slice(calls)
    (loops,) = clock.asked
    assert loops == max(1, calls // (inner or 1))
    assert took == pytest.approx(calls * second * 1e9, abs=1, rel=1e-9)


@given(st.integers(1, 50), st.integers(0, 200))
def test_so_many_calls_do_the_loops_that_they_are(inner: int, calls: int) -> None:
    clock = Clock(inner=inner)
    task = Task(clock)
    for _ in range(calls):
        assert task.call() is None
    assert len(clock.asked) == -(-calls // inner) and set(clock.asked) <= {1}


def test_what_a_window_counts_is_the_part_that_the_task_times() -> None:
    def told(second: float) -> list[float]:
        """A lot of four calls, of two inner loops each, in a task that works a while and says another time."""
        def work(task: Any, loops: int) -> float:
            assert loops == 2
            return second * len(str(3**5000))

        task = Task(SimpleNamespace(task_func=work, inner_loops=2, metadata={}))
        lots: list[list[float]] = []
        while not lots:  # this process may have been kept from running until the end
            lots = task.window(0, time.perf_counter_ns() + 10**8, 4, None)
        return lots[0]

    begun, end, cpu = told(1e9)
    # A process has a clock of its own, which also counts what its other threads do.
    assert 0 < cpu <= 2 * (end - begun) / 4, "it says more than the wall: all of the CPU time counts"
    assert told(1e-15)[2] < cpu / 10**3


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_time_is_refused(value: float) -> None:
    task = Task(SimpleNamespace(task_func=lambda task, loops: value, inner_loops=None, metadata={}))
    with pytest.raises(ValueError, match="and not seconds above 0"):
        task.slice(1)


def test_other_values_are_what_the_task_says_of_one_loop() -> None:
    assert Task(Clock(inner=4, second=8, unit="byte")).call() == 8
    assert Task(Clock(inner=None, second=8, unit="integer")).call() == 8


def test_what_would_measure_something_else_is_refused() -> None:
    check(SimpleNamespace(tracemalloc=False, profile=None))
    with pytest.raises(ValueError, match="--track-memory is not for Lockstep"):
        check(SimpleNamespace(track_memory=True))


# --- What is open around a benchmark


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


@pytest.mark.parametrize("module", [tempfile, subprocess, contextlib, argparse])
def test_an_instruction_is_inside_a_with_or_a_try_where_the_interpreter_has_a_handler_for_it(
    module: ModuleType
) -> None:
    source = Path(str(module.__file__)).read_text("utf-8")
    inside = outside = 0
    for code in codes(compile(source, "it", "exec")):
        handled = {at for entry in dis._parse_exception_table(code)  # type: ignore[attr-defined]
                   for at in range(entry.start, entry.end, 2)}
        for at in range(0, len(code.co_code), 2):
            assert _is_guarded(code, at) == (at in handled), (code.co_qualname, at)
            inside, outside = inside + (at in handled), outside + (at not in handled)
    assert inside > 20 and outside > 1000
