"""Results in asv's folder: asv reads them, what is there stays, and what is no file of asv's is left as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asv.machine import Machine, MachineCollection
from asv.results import Results, format_benchmark_result

from runner.errors import UsageError
from runner.storage import asv_results
from runner.storage.asv_results import Measured, Series, Value

MACHINE = {"machine": "box", "os": "Linux", "arch": "x86_64", "cpu": "A", "num_cpu": "2", "ram": "8"}
SERIES = Series(
    commit="0123456789" * 4, date=1_700_000_000_000, environment="lockstep-pycpython-variantcow", python="cpython",
    requirements={"variant": "cow"},
)


def record(name: str = "work.time_it", version: str = "1", params: Sequence[Sequence[str]] = ()) -> dict[str, Any]:
    return {
        "name": name, "version": version, "type": "time", "unit": "seconds", "code": "def time_it(): pass",
        "params": [list(values) for values in params], "param_names": [f"p{i}" for i in range(len(params))],
    }


def value(index: tuple[int, ...], *samples: float) -> Value:
    return Value(index=index, samples=samples, calls=100)


def measured(*values: Value, **changes: Any) -> Measured:
    return Measured(record=record(**changes), values=values, started=1.7e9, seconds=3.5)


def add(folder: Path, *what: Measured, series: Series = SERIES) -> Results:
    path = asv_results.add(folder, MACHINE, series, what)
    assert path == folder / "box" / f"01234567-{series.environment}.json"
    return Results.load(str(path), machine_name="box")


def test_asv_reads_what_was_written(tmp_path: Path) -> None:
    found = add(tmp_path, measured(value((), 2e-6, 3e-6, 4e-6)))
    assert (found.commit_hash, found.date, found.params["variant"]) == (SERIES.commit, SERIES.date, "cow")
    assert found.params["machine"] == "box" and found.params["python"] == "cpython"
    assert found.get_result_value("work.time_it", []) == [3e-6]
    assert found.get_result_samples("work.time_it", []) == [[2e-6, 3e-6, 4e-6]]
    (stats,) = found.get_result_stats("work.time_it", [])
    assert (stats["number"], stats["repeat"]) == (100, 3) and stats["q_25"] <= 3e-6 <= stats["q_75"]
    assert found.benchmark_version == {"work.time_it": "1"} and found.duration["work.time_it"] == 3.5
    assert json.loads((tmp_path / "box" / "machine.json").read_text()) == {**MACHINE, "version": 1}


def test_what_is_there_stays(tmp_path: Path) -> None:
    params = [["'a'", "'b'"], ["1", "2"]]
    add(tmp_path, measured(value((), 1.0), name="other.time"), measured(value((0, 1), 5.0), params=params))
    found = add(tmp_path, measured(value((1, 0), 7.0), params=params))
    assert found.get_result_value("other.time", []) == [1.0]
    values = found.get_result_value("work.time_it", params)
    assert values[1:3] == [5.0, 7.0]
    assert math.isnan(values[0]) and math.isnan(values[3]), "not asked for, which is no failure"
    found = add(tmp_path, measured(value((0, 1), 6.0), params=params))
    assert found.get_result_value("work.time_it", params)[1:3] == [6.0, 7.0]


def test_another_version_replaces_the_old_one(tmp_path: Path) -> None:
    params = [["1", "2"]]
    add(tmp_path, measured(value((0,), 5.0), value((1,), 6.0), params=params))
    found = add(tmp_path, measured(value((1,), 7.0), params=params, version="2"))
    values = found.get_result_value("work.time_it", params)
    assert math.isnan(values[0]) and values[1] == 7.0
    assert found.benchmark_version == {"work.time_it": "2"}


def test_failures_and_counts(tmp_path: Path) -> None:
    peak = Value(index=(), samples=(3.0, 1.0, 2.0), calls=None)
    found = add(tmp_path, measured(peak, name="memory.peakmem"), measured(value(()), name="broken.time"))
    assert found.get_result_value("memory.peakmem", []) == [2.0]
    assert found.get_result_samples("memory.peakmem", []) == [None]
    assert found.get_result_value("broken.time", []) == [None]


def test_what_was_skipped_is_nan_and_a_failure_is_null(tmp_path: Path) -> None:
    """As `asv run` has it, which shows the one as n/a and the other as failed."""
    params = [["1", "2", "3"]]
    add(tmp_path, measured(value((0,), 5.0), value((1,), 6.0), value((2,), 7.0), params=params))
    skipped = Value(index=(1,), samples=(), calls=None, skipped=True)
    found = add(tmp_path, measured(value((0,), 8.0), skipped, value((2,)), params=params))
    first, second, third = found.get_result_value("work.time_it", params)
    assert first == 8.0 and math.isnan(second) and third is None
    assert found.get_result_samples("work.time_it", params)[1:] == [None, None]
    lines = format_benchmark_result(found, record(params=params))
    assert lines is not None and "n/a" in str(lines) and "failed" in str(lines)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": 2}', '{"version": 99}', '{"version": 2, "results": 3}', ""]
)
def test_a_file_that_is_none_of_asvs_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    add(tmp_path, measured(value((), 1.0)))
    path = tmp_path / "box" / f"01234567-{SERIES.environment}.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="left as it is; move it away"):
        add(tmp_path, measured(value((), 2.0)))
    assert path.read_text() == content


def test_builds_have_files_of_their_own(tmp_path: Path) -> None:
    add(tmp_path, measured(value((), 1.0)))
    other = replace(SERIES, environment="lockstep-pycpython-variantnocow", requirements={"variant": "nocow"})
    found = add(tmp_path, measured(value((), 2.0)), series=other)
    assert found.params["variant"] == "nocow"
    assert len(list((tmp_path / "box").glob("01234567-*.json"))) == 2


def test_benchmarks_are_put_beside_those_that_are_there(tmp_path: Path) -> None:
    asv_results.describe(tmp_path, [record("one"), record("two")])
    path = asv_results.describe(tmp_path, [record("two", version="2"), record("three")])
    known = json.loads(path.read_text())
    assert known.pop("version") == 2
    assert {name: one["version"] for name, one in known.items()} == {"one": "1", "two": "2", "three": "1"}
    path.write_text("{")
    with pytest.raises(UsageError, match="not a file of asv's"):
        asv_results.describe(tmp_path, [record("one")])
    assert path.read_text() == "{"


def test_a_machine_of_the_same_name_with_another_cpu_is_another_machine(tmp_path: Path) -> None:
    assert asv_results.own_name(tmp_path, MACHINE, "0123456789abcdef") == MACHINE
    add(tmp_path, measured(value((), 1.0)))
    assert asv_results.own_name(tmp_path, MACHINE, "0123456789abcdef") == MACHINE
    other = {**MACHINE, "cpu": "B"}
    assert asv_results.own_name(tmp_path, other, "0123456789abcdef") == {**other, "machine": "box-01234567"}


def test_a_machine_elsewhere_is_named_by_its_fingerprint() -> None:
    facts = {"fingerprint": "0123456789abcdef", "os": "Debian", "arch": "x86_64", "cpu": "C", "threads": 4, "memory": 9}
    assert asv_results.machine_of(facts, here=False) == {
        "machine": "lockstep-0123456789abcdef", "os": "Debian", "arch": "x86_64", "cpu": "C", "num_cpu": "4",
        "ram": "9",
    }


def test_this_machine_is_what_asv_knows_it_as(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = Machine.get_unique_machine_name()
    described = {**MACHINE, "machine": name, "cpu": "as its owner says"}
    assert asv_results.machine_of({"cpu": "as we see it"}, here=True)["cpu"] != described["cpu"]
    MachineCollection.save(name, described)
    assert asv_results.machine_of({"cpu": "as we see it"}, here=True) == described
