"""pyperf's files: what is written is read back, by pyperf too, and what is no such file is refused in words."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pyperf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import results, written

from runner.errors import MachineError, UsageError
from runner.storage import pyperf_json
from runner.storage.pyperf_json import Process, Results, Sampled

names = st.from_regex(r"[a-zµ_][a-z0-9_.()=, µ]{0,12}[a-z0-9)]", fullmatch=True)
values = st.floats(1e-12, 1e12)
processes = st.builds(
    Process, values=st.lists(values, min_size=1, max_size=4).map(tuple),
    started=st.none() | st.integers(0, 2**32).map(float), loops=st.none() | st.integers(1, 2**40))
benchmarks = st.builds(
    Sampled, name=names, unit=st.sampled_from(["s", "bytes", ""]),
    processes=st.lists(processes, min_size=1, max_size=4).map(tuple))
files = st.lists(benchmarks, min_size=1, max_size=4, unique_by=lambda one: one.name).map(tuple)


@settings(max_examples=40)
@given(files, st.dictionaries(st.sampled_from(["hostname", "cpu_model_name", "aslr"]), names, max_size=3))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, found: tuple[Sampled, ...], metadata: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("files") / "x.json.gz"
    pyperf_json.write(path, Results(benchmarks=found, metadata=metadata))
    back = pyperf_json.read(path)
    assert back.benchmarks == found
    assert {name: back.metadata[name] for name in metadata} == {
        name: " ".join(value.split()) for name, value in metadata.items()}
    assert (back.name, back.sha256) == ("x.json.gz", hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest())
    suite = pyperf.BenchmarkSuite.load(str(path))
    assert suite.get_benchmark_names() == [one.name for one in found]
    assert suite.get_benchmarks()[0].get_nvalue() == sum(len(one.values) for one in found[0].processes)


def test_warm_ups_and_calibrations_are_passed_over(tmp_path: Path) -> None:
    about = {"name": "bench", "unit": "second", "python_version": "3.13.0", "date": "2026-11-28 18:27:07.5"}
    runs = [
        pyperf.Run([], warmups=[(1, 0.5), (2, 0.4)], metadata={**about, "calibrate_loops": 2}, collect_metadata=False),
        pyperf.Run([0.1, 0.2], warmups=[(2, 9.0)], metadata={**about, "loops": 2}, collect_metadata=False),
        pyperf.Run([0.3], metadata={**about, "loops": 2}, collect_metadata=False),
    ]
    pyperf.BenchmarkSuite([pyperf.Benchmark(runs)]).dump(str(tmp_path / "x.json"))
    found = pyperf_json.read(tmp_path / "x.json")
    (one,) = found.benchmarks
    assert [process.values for process in one.processes] == [(0.1, 0.2), (0.3,)]
    assert [process.loops for process in one.processes] == [2, 2]
    assert found.started == pytest.approx(1_795_890_427.5), "read as UTC"
    assert found.metadata["python_version"] == "3.13.0"


def old(version: int, samples: str) -> dict[str, Any]:
    about = {"name": "bench", "unit": "second"}
    said = {"metadata": about} if version == 6 else {"common_metadata": about}
    return {"version": version, "benchmarks": [{**said, "runs": [{samples: [0.5, 0.25]}]}]}


@pytest.mark.parametrize(("version", "samples"), [(5, "samples"), (6, "values")])
def test_older_versions_are_read(tmp_path: Path, version: int, samples: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(old(version, samples)))
    (one,) = pyperf_json.read(tmp_path / "x.json").benchmarks
    assert (one.name, one.processes[0].values) == ("bench", (0.5, 0.25))


def content(**run: Any) -> str:
    about = {"name": "bench", "unit": "second"}
    return json.dumps({"version": "1.0", "benchmarks": [{"metadata": about, "runs": [run]}]})


@pytest.mark.parametrize(("text", "told"), [
    ("", "Expecting value"), ("[1, 2]", "cannot be read"), ("{}", "version None not supported"),
    ('{"version": "2.0", "benchmarks": []}', "version '2.0' not supported"),
    ('{"version": "1.0", "benchmarks": []}', "non-empty"), ('{"version": "1.0"}', "benchmarks"),
    (content(values=[0.0]), "number > 0"), (content(values=[float("nan")]), "number > 0"),
    (content(values=[float("inf")]), "not finite"), (content(values=[10**400]), "too large"),
    (content(values=["1"]), "number > 0"), (content(), "empty"),
    (content(warmups=[[1, 0.5]]), "calibrated and not measured"),
    (content(values=[0.5], metadata={"date": "yesterday"}), "yesterday"),
    ("[" * 100_000, "cannot be read"),
])
def test_what_is_no_result_file_is_refused_in_words(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=r"x\.json cannot be read as a result file of pyperf") as refusal:
        pyperf_json.read(tmp_path / "x.json")
    assert told in str(refusal.value) and "-o FILE.json" in str(refusal.value)


def test_what_is_no_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "torn.json.gz").write_bytes(gzip.compress(content(values=[0.5]).encode())[:-12])
    (tmp_path / "plain.json.gz").write_text(content(values=[0.5]))
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for name, told in (("torn.json.gz", "end"), ("plain.json.gz", "gzip"), ("bytes.json", "decode"),
                       ("nowhere.json", "No such file"), (".", "Is a directory"), ("-", "No such file")):
        with pytest.raises(UsageError, match=told):
            pyperf_json.read(tmp_path / name)


def test_standard_input_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"- cannot be read.*No such file"):
        pyperf_json.read(Path("-"))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot write"):
        written(tmp_path / "nowhere" / "x.json", results({"a": 1e-3}, seed=1))


def test_files_of_one_build_are_added_up() -> None:
    one, other = results({"a": 1e-3, "b": 1e-6}, seed=1, processes=2), results({"b": 1e-6, "c": 1.0}, seed=2)
    added = {each.name: len(each.processes) for each in pyperf_json.together([one, other])}
    assert list(added.items()) == [("a", 2), ("b", 22), ("c", 20)]
    bytes_ = Results(benchmarks=(Sampled(name="a", unit="bytes", processes=one.benchmarks[0].processes),))
    with pytest.raises(UsageError, match="benchmark a is counted in s in one file and in bytes in another"):
        pyperf_json.together([one, bytes_])
