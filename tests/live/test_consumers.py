"""The suite `consumers` on interpreters of other versions, and measured; what they lack is skipped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import Bench, Twins

from runner import suites

ROOT = Path(__file__).parents[2]
PYENV = Path.home() / ".pyenv" / "versions"
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

CALLS = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
found = {}
for name in ("archives", "compression", "streams", "messages", "network", "packages"):
    module = importlib.import_module("benchmarks.consumers." + name)
    for owner in [value for value in vars(module).values() if isinstance(value, type)]:
        calls = [call for call in dir(owner) if call.startswith("time_")] if owner.__name__[0] != "_" else []
        for call in calls:
            for size in getattr(owner, "params", (None,)):
                params = () if size is None else (size,)
                key = ".".join((name, owner.__name__, call, *params))
                benchmark = owner()
                try:
                    benchmark.setup(*params)
                except NotImplementedError as error:
                    found[key] = str(error)
                    continue
                found[key] = [getattr(benchmark, call)(*params) for _ in range(2)]
print(json.dumps(found))
"""


def returned(python: Path) -> dict[str, list[int] | str]:
    """What two calls of each benchmark return, or why it is skipped."""
    done = subprocess.run([python, "-s", "-c", CALLS, ROOT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[int] | str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def here() -> dict[str, list[int] | str]:
    return returned(Path(sys.executable))


def test_nothing_of_the_standard_library_is_skipped_here(here: dict[str, list[int] | str]) -> None:
    assert len(here) > 50
    skipped = {key: found for key, found in here.items() if isinstance(found, str)}
    assert all(key.startswith("packages.") for key in skipped), skipped
    assert all(found[0] == found[1] for key, found in here.items() if key not in skipped)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_returns_the_same_under_every_version(version: str, here: dict[str, list[int] | str]) -> None:
    """So that arms of two versions, which may have other libraries too, do not seem to disagree."""
    pythons = sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not pythons:
        pytest.skip(f"no CPython {version} under {PYENV}")
    found = returned(pythons[-1])
    assert found.keys() == here.keys()
    for key, values in found.items():
        if isinstance(values, str):
            assert "cannot be imported here: " in values
        elif isinstance(here[key], list):
            assert values == here[key], key


def test_the_two_suites_share_no_benchmark() -> None:
    found = {name: suites.open(name).discover(Path(sys.executable)) for name in ("bytesio", "consumers")}
    assert all(not one.problems for one in found.values())
    first = {name: {b.name.partition(".")[0] for b in one.benchmarks} for name, one in found.items()}
    assert first == {
        "bytesio": {"construct", "getvalue", "memory", "readlines", "write_after_share"}, "consumers": {"consumers"},
    }
    assert len(found["consumers"].benchmarks) > 50


def test_they_are_measured_and_what_is_not_installed_is_skipped(twins: Twins, bench: Bench) -> None:
    """An environment of its own has none of the packages."""
    pattern = r"Copy.time_copy\(size=4KiB\)|packages.Jinja2"
    done = bench.run("ab", *twins.pythons, "--suite", "consumers", "-b", pattern, "--margin", "30%", "--seed", 5)
    assert done.returncode == 0, done.stderr
    (file,) = bench.out.glob("*/report.json")
    report = json.loads(file.read_text())
    states = {one["name"]: one["verdict"] for one in report["benchmarks"]}
    assert report["suite"] == suites.open("consumers").place
    assert states.pop("consumers.packages.Jinja2.time_dump") == "skipped"
    assert list(states) == ["consumers.streams.Copy.time_copy"] and not {*states.values()} & {"failed", "skipped"}
    assert "it needs jinja2, which cannot be imported here" in done.stdout
