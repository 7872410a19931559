"""Benchmarks are what their names say, in every process: parameters, places in the suite, and the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyperf
import pytest
from bench import Bench, Twins

from runner import config, suites
from runner.jobs import record
from runner.measuring.launch import Bytecode, Launch, command
from runner.measuring.process import Worker, WorkerFailed
from runner.model import Arm, Benchmark, Interpreter

THIS = Path(sys.executable)
SEEDS = (1, 2, 3, 4)


def written(folder: Path, **modules: str) -> suites.Suite:
    folder.mkdir(parents=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return suites.open(str(folder))


def value(suite: suites.Suite, benchmark: Benchmark, scratch: Path, *, seed: int = 1) -> float:
    """What a fresh process measures of a tracked benchmark."""
    place = scratch / f"{len(list(scratch.iterdir()))}"
    place.mkdir()
    me = Interpreter(spec="me", executable=THIS, version="3.11.0", implementation="cpython", sha256="", facts={})
    launch = Launch(
        arm=Arm.BASE, command=command(me, Bytecode(folder=scratch / "bytecode", library=False)), cwd=place, cpus=(),
        env={**config.environment(), "PYTHONHASHSEED": str(seed)},
    )
    with Worker(launch) as worker:
        worker.greet()
        worker.ask({**suite.loader(place)(benchmark), "do": "load", "call": False}, 30)
        return float(worker.ask({"do": "value"}, 30)["value"])


def values(suite: suites.Suite, scratch: Path, *, seed: int = 1) -> Mapping[str, float]:
    found = suite.discover(THIS)
    assert found.problems == ()
    return {one.key: value(suite, one, scratch, seed=seed) for one in found.benchmarks}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


UNORDERED = '''
import functools
PRICE = {"ash": 1, "beech": 2, "cedar": 3, "dogwood": 4, "elder": 5}

class OfSet:
    params = list(set(PRICE))
    param_names = ["tree"]
    def track_price(self, tree): return PRICE[tree]

class OfSets:
    params = [frozenset(PRICE), {"ash", "beech"}, set()]
    def track_sum(self, trees): return sum(PRICE[tree] for tree in trees)

class OfPartials:
    params = list({functools.partial(PRICE.get, tree) for tree in PRICE})
    def track_price(self, get): return get()

class Tree:
    def __init__(self, tree):
        self.tree, self.leaves = tree, {tree, "leaf"}
    def __hash__(self):
        return hash(self.tree)

class OfObjects:
    params = list({Tree(tree) for tree in PRICE})
    def track_price(self, tree): return PRICE[tree.tree]

class Mixed:
    params = ({tree: 1 for tree in set(PRICE)}.keys(), {1, 1.5, "1"})
    def track_price(self, trees, kind): return 0
Mixed.params = tuple(map(list, Mixed.params))
'''


def test_a_value_is_found_by_its_name_whatever_the_hash_seed(tmp_path: Path, scratch: Path) -> None:
    suite = written(tmp_path / "planted", unordered=UNORDERED)
    prices = {"ash": 1, "beech": 2, "cedar": 3, "dogwood": 4, "elder": 5}
    wanted = {
        **{f"unordered.OfSet.track_price(tree={tree})": price for tree, price in prices.items()},
        "unordered.OfSets.track_sum(param1=frozenset({'ash', 'beech', 'cedar', 'dogwood', 'elder'}))": 15,
        "unordered.OfSets.track_sum(param1={'ash', 'beech'})": 3, "unordered.OfSets.track_sum(param1=set())": 0,
        **{
            "unordered.OfPartials.track_price(param1=functools.partial("
            f"<built-in method get of dict object>, '{tree}'))": price for tree, price in prices.items()
        },
        **{f"unordered.OfObjects.track_price(param1=<planted.unordered.Tree object> ({i}))": None for i in range(5)},
        **{
            f"unordered.Mixed.track_price(param1={tree}, param2={kind})": 0
            for tree in prices for kind in ("1", "1.5", "'1'")
        },
    }
    alike: list[float] = []
    for seed in SEEDS:
        chosen = suites.discover(suite, THIS, THIS)
        assert chosen[0].problems == chosen[1].problems == ()
        selection = suites.select(*chosen, "Of" if seed > 1 else None)
        assert selection.missing == ()
        seen = {one.key: value(suite, one, scratch, seed=seed) for one in selection.benchmarks}
        # Which of the objects has which number is the order of the first process, and stays.
        objects = [price for key, price in seen.items() if wanted[key] is None]
        alike = alike or objects
        assert objects == alike and sorted(objects) == [1, 2, 3, 4, 5]
        assert {key: price for key, price in seen.items() if wanted[key] is not None} == {
            key: price for key, price in wanted.items() if price is not None and (seed == 1 or "Of" in key)}


def test_asv_gets_a_value_under_the_parameter_that_it_is_of(tmp_path: Path) -> None:
    """In asv's store a value has a place in a list, and the list may have had another order when it was measured."""
    suite = written(tmp_path / "planted", unordered=UNORDERED)
    there = [one for one in suite.discover(THIS).benchmarks if one.name == "unordered.OfSet.track_price"]
    me: Any = SimpleNamespace(executable=THIS)
    run: Any = SimpleNamespace(folder=tmp_path, manifest=SimpleNamespace(
        base=me, head=me, suite=suite.place, environment={}, given={},
        benchmarks=[replace(one, index=(0,)) for one in there],
    ))
    records, measured, left = record._records(run)
    assert left == [] and len(measured) == 5
    listed = records["unordered.OfSet.track_price"]["params"][0]
    assert [listed[one.index[0]] for one in measured] == [f"'{one.params['tree']}'" for one in measured]


ALIKE = '''
class Twin:
    def __init__(self, value): self.value = value
    def __repr__(self): return "twin"

class Alike:
    params = [Twin(5), Twin(6), "twin", "twin (1)"]
    def track_it(self, one): return getattr(one, "value", len(str(one)))

class Joined:
    params = (["p", "p, q=r"], ["r, q=s", "s"])
    param_names = ("o", "q")
    def track_it(self, o, q): return 10 * len(o) + len(q)

class OneName:
    params = ([1, 2], (n for n in (3, 4)))
    param_names = ("n", "n")
    def track_product(self, n, m): return n * m
    def track_sum(self, n, m): return n + m

class Once:
    params = (n for n in (7, 8))
    param_names = "n"
    def track_it(self, n): return n
    def track_double(self, n): return 2 * n
'''


def test_what_reads_alike_is_told_apart_and_all_of_it_measured(tmp_path: Path, scratch: Path) -> None:
    suite = written(tmp_path / "planted", alike=ALIKE)
    assert values(suite, scratch) == {
        "alike.Alike.track_it(param1=twin (0))": 5, "alike.Alike.track_it(param1=twin (1))": 6,
        "alike.Alike.track_it(param1='twin')": 4, "alike.Alike.track_it(param1='twin (1)')": 8,
        "alike.Joined.track_it(o=p, q=r, q=s) (0)": 16, "alike.Joined.track_it(o=p, q=r, q=s) (1)": 61,
        "alike.Joined.track_it(o=p, q=s)": 11, "alike.Joined.track_it(o=p, q=r, q=r, q=s)": 66,
        **{f"alike.OneName.track_product(n (0)={n}, n (1)={m})": n * m for n in (1, 2) for m in (3, 4)},
        **{f"alike.OneName.track_sum(n (0)={n}, n (1)={m})": n + m for n in (1, 2) for m in (3, 4)},
        "alike.Once.track_it(n=7)": 7, "alike.Once.track_it(n=8)": 8,
        "alike.Once.track_double(n=7)": 14, "alike.Once.track_double(n=8)": 16,
    }


UNSTEADY = '''
import os, random
NAMED = [2 + random.random(), 1]

class Drawn:
    params = NAMED
    def track_it(self, x): return 1
    def time_it(self, x): pass

class Steady:
    params = [1, 2]
    def track_it(self, x): return x
'''


def test_parameters_with_other_names_in_every_process_are_refused_in_words(tmp_path: Path, scratch: Path) -> None:
    suite = written(tmp_path / "planted", unsteady=UNSTEADY)
    base, head = suites.discover(suite, THIS, THIS)
    assert [one.key for one in base.benchmarks] == [one.key for one in head.benchmarks] == [
        "unsteady.Steady.track_it(param1=1)", "unsteady.Steady.track_it(param1=2)"]
    (problem,) = {*base.problems, *head.problems}
    assert problem.startswith(
        "unsteady.Drawn.time_it and 1 more cannot be measured: parameters have other names in every process, such as "
        "unsteady.Drawn.time_it(param1=2.")
    drawn = suite.discover(THIS).benchmarks[0]
    with pytest.raises(WorkerFailed, match=r"LookupError: there is no parameter 2\.\d+ in this process, but 2\.\d+, 1"):
        value(suite, drawn, scratch)


INSIDE = '''
import pkgutil
from importlib import resources
def track_data(): return len(pkgutil.get_data(__package__, "data.txt"))
def track_resource():
    import importlib.resources as resources
    return len(resources.files(__package__).joinpath("data.txt").read_bytes())
def track_five(): return 5
class C:
    def track_six(self): return 6
'''


@pytest.mark.parametrize("name", ["planted", "planted-suite", "planted suite"])
def test_benchmarks_are_found_in_packages_of_any_depth_with_their_data(
    tmp_path: Path, scratch: Path, name: str
) -> None:
    suite = written(tmp_path / name, __init__=INSIDE, beside="from . import track_five as five\n"
                    "def track_ten(): return 2 * five()\n")
    for folder in ("inner", "inner/deep"):
        written(tmp_path / name / folder, __init__=INSIDE)
    for folder in (".", "inner", "inner/deep"):
        (tmp_path / name / folder / "data.txt").write_text("abc")
    wanted = {"track_data": 3, "track_resource": 3, "track_five": 5, "C.track_six": 6}
    assert values(suite, scratch) == {
        "beside.track_ten": 10, **{f"{place}{one}": told for place in ("", "inner.", "inner.deep.")
                                   for one, told in wanted.items()}}


def test_a_suite_without_init_is_imported_and_what_is_not_looked_at_is_told(tmp_path: Path, scratch: Path) -> None:
    work = "from .common import SIZE\ndef track_it(): return SIZE\n"
    suite = written(tmp_path / "planted", common="SIZE = 3\n", work=work)
    written(tmp_path / "planted" / "below", work="def time_it(): pass\n")
    written(tmp_path / "planted" / "helpers", tools="def timed(): pass\n")
    found = suite.discover(THIS)
    assert found.problems == ("planted/below: below/ was not looked at: it has no __init__.py",)
    (only,) = found.benchmarks
    assert (only.key, value(suite, only, scratch)) == ("work.track_it", 3)


def test_files_that_are_none_end_no_listing(tmp_path: Path) -> None:
    """An editor's lock is a link to nowhere. The listing ended there, and the suite was said to hold nothing."""
    suite = written(tmp_path / "planted", work="def track_it(): return 3\n")
    written(tmp_path / "planted" / "data", zzz="def time_it(): pass\n")
    (tmp_path / "planted" / "data" / ".#x.py").symlink_to("nowhere")
    (tmp_path / "planted" / "data" / "folder.py").mkdir()
    found = suite.discover(THIS)
    assert [one.key for one in found.benchmarks] == ["work.track_it"]
    assert found.problems == ("planted/data: data/ was not looked at: it has no __init__.py",)


def test_what_cannot_be_looked_at_in_a_module_leaves_the_other_modules(tmp_path: Path) -> None:
    refusing = (
        "class Meta(type):\n"
        "    def __dir__(self): raise RuntimeError('not now')\n"
        "class Odd(metaclass=Meta): pass\n"
    )
    found = written(tmp_path / "planted", odd=refusing, work="def track_it(): return 3\n").discover(THIS)
    assert [one.key for one in found.benchmarks] == ["work.track_it"]
    assert len(found.problems) == 1 and "RuntimeError: not now" in found.problems[0]


WRAPPED = '''
def counting(function):
    def wrapper():
        return function()
    return wrapper

@counting
def track_one(): return 1

@counting
def track_two(): return 2

def track_three(): return 3
track_three.benchmark_name = "elsewhere.track_3"

def made(number):
    class Made:
        def track_it(self): return number
    return Made
First, Second = made(11), made(12)
Again = First
'''


def test_a_benchmark_is_found_whatever_asv_calls_it(tmp_path: Path, scratch: Path) -> None:
    """asv's name where it is free: of several that share one, asv runs one."""
    assert values(written(tmp_path / "planted", work=WRAPPED), scratch) == {
        "work.wrapper": 1, "work.track_two": 2, "elsewhere.track_3": 3, "work.Made.track_it": 11,
        "work.Second.track_it": 12}


MANY = '''
from asv_runner.benchmarks.mark import skip_for_params
class Many:
    params = (list(range(20)), tuple("abcdefghijklmnopqrstuvwxy"), range(20))
    @skip_for_params([(3, letter, last) for letter in "abcdefghijklmnopqrstuvwxy" for last in range(20)])
    def track_it(self, first, letter, last): return 1000 * first + 100 * ord(letter) + last
    async def time_it(self, first, letter, last): pass
'''


def test_ten_thousand_combinations_are_found_in_seconds(tmp_path: Path, scratch: Path) -> None:
    suite = written(tmp_path / "planted", many=MANY)
    start = time.perf_counter()
    found = suites.discover(suite, THIS, THIS)
    (one,) = suites.select(*found, r"param1=17, param2=y, param3=19\)").benchmarks
    assert time.perf_counter() - start < 60, "what grows with the square of their number would take minutes"
    assert len(found[0].benchmarks) == 9_500 and len(found[0].problems) == 1
    assert value(suite, one, scratch) == 17_000 + 100 * ord("y") + 19


HOSTILE = r'''
class Hostile:
    params = ["\n", "\r\n", "\x1b[31mred", "\udc80", "[bold]x[/bold]", "<b>&|`", "x" * 300_000, "", None]
    param_names = ["odd\nname"]
    def track_it(self, text): return 1
Hostile.track_it.unit = "\x1b[1mbytes\n"
'''


def test_every_export_and_report_takes_hostile_names(
    bench: Bench, twins: Twins, tmp_path: Path, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    suite = written(tmp_path / "planted", odd=HOSTILE)
    files = {option: tmp_path / f"report.{option}" for option in ("json", "markdown", "html")}
    done = bench.run("ab", *twins.pythons, "--suite", suite.place, "-v",
                     *(word for option, path in files.items() for word in (f"--{option}", path)))
    assert done.returncode == 0, done.stdout + done.stderr
    names = [row["params"]["odd\\nname"] for row in json.loads(files["json"].read_text())["benchmarks"]]
    assert names[:6] == ["\\n", "\\r\\n", "\\x1b[31mred", "\\udc80", "[bold]x[/bold]", "<b>&|`"]
    assert names[6].startswith("x" * 60 + "… (300000 characters, crc ") and names[7:] == ["", "None"]
    assert "\x1b" not in done.stdout and "[bold]x[/bold]" in "".join(done.stdout.split())
    (folder,) = bench.out.iterdir()
    assert all(path.stat().st_size < 1 << 20 for path in (*folder.iterdir(), *files.values()))
    for format in ("pyperf", "csv", "parquet"):
        exported = inside("export", "last", "--format", format, "--to", tmp_path / "exported", "--out", bench.out)
        assert exported.returncode == 0, exported.stdout + exported.stderr
    (base, _) = sorted((tmp_path / "exported").glob("*.json"))
    assert len(pyperf.BenchmarkSuite.load(str(base)).get_benchmark_names()) == 9


SEEN = '''
import os, zlib
OWN = ("PYTHONHASHSEED", "PYTHONSAFEPATH", "LOCKSTEP_PADDING", "TMPDIR")
SEEN = sorted("%s=%s" % one for one in os.environ.items() if one[0] not in OWN)

class Sized:
    params = [int(word) for word in os.environ.get("PLANTED_SIZES", "5").split(",")]
    param_names = ["n"]
    def track_size(self, n): return n

class Seen:
    params = [zlib.crc32("|".join(SEEN).encode())]
    def track_python(self, seen): return int(os.environ.get("PYTHONPLANTED", "0")) + 1
'''


def test_what_is_measured_sees_the_environment_that_was_there_when_it_was_listed(
    bench: Bench, twins: Twins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = written(tmp_path / "planted", sized=SEEN)
    monkeypatch.setenv("PLANTED_SIZES", "1000,10")
    monkeypatch.setenv("PLANTED_SECRET", "do not tell")
    monkeypatch.setenv("PYTHONPLANTED", "1")
    monkeypatch.setenv("PYTHONDROPPED", "1")
    report = tmp_path / "report.json"
    command = ("ab", *twins.pythons, "--suite", suite.place, "--env", "PYTHONPLANTED", "--env", "PYTHONGIVEN=a b",
               "--json", report)
    done = bench.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {(row["name"], *row["params"].values()): row["base_value"]
            for row in json.loads(report.read_text())["benchmarks"]}
    assert rows.pop(("sized.Sized.track_size", "1000")) == 1000 and rows.pop(("sized.Sized.track_size", "10")) == 10
    assert list(rows.values()) == [2]
    told = next(one["text"] for one in json.loads(report.read_text())["warnings"] if one["kind"] == "dropped-variables")
    assert "PYTHONDROPPED" in told and "PYTHONPLANTED" not in told
    (path,) = bench.out.glob("*/manifest.json")
    manifest = json.loads(path.read_text())
    assert manifest["given"] == {"PYTHONPLANTED": "1", "PYTHONGIVEN": "a b"}
    assert "PLANTED_SECRET" in manifest["environment"] and "do not tell" not in path.read_text()
    assert "--env 'PYTHONGIVEN=a b'" in manifest["command"]
    # It goes on with what was given, and tells what is not as it was.
    monkeypatch.setenv("PYTHONPLANTED", "7")
    monkeypatch.setenv("PLANTED_LATER", "7")
    monkeypatch.setenv("PLANTED_SECRET", "another")
    blocks = path.with_name("blocks.jsonl")
    blocks.write_text("".join(blocks.read_text().splitlines(keepends=True)[:3]))
    again = bench.run("resume", "last", "--json", report)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "PLANTED_SECRET has changed" in " ".join(again.stderr.split())
    assert [row["base_value"] for row in json.loads(report.read_text())["benchmarks"]] == [1000, 10, 2]


def test_shells_and_our_own_variables_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "LOCKSTEP_X", "OLDPWD", "PLANTED"):
        monkeypatch.setenv(name, "x")
    seen = config.environment({"PYTHONPATH": "y"})
    assert (seen["PYTHONPATH"], seen["PLANTED"], seen["PATH"]) == ("y", "x", os.environ["PATH"])
    assert not {"LOCKSTEP_X", "OLDPWD"} & seen.keys()
    assert "PYTHONPATH" in config.dropped({}) and "PYTHONPATH" not in config.dropped({"PYTHONPATH": "y"})
