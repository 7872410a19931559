"""What is skipped, odd or unequal is told for what it is: through the real command line."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.results import Results
from bench import Bench, Twins

from runner.jobs import record
from runner.storage import asv_results, store

SUITE = Path(__file__).parent / "states"
Inside = Callable[..., subprocess.CompletedProcess[str]]
SKIPPED = {
    "skipping.InSetup.time_sum(kind=deque, size=64)": "no deque of this size",
    "skipping.Template.time_len": "",
    "skipping.Template.track_len": "",
    "skipping.time_marked": "not on this machine",
    "skipping.track_marked": "nor this",
    "skipping.peakmem_marked": "nor that",
    "skipping.track_not_a_number": "returned nan: not applicable",
}
ONLY_IN = {
    "skipping.time_in_base_alone": ("only in base", "not yet in head"),
    "skipping.InHeadAlone.track_one": ("only in head", "base cannot do it"),
    "skipping.time_defined_in_head_alone": ("only in head", "only in head"),
}
VALUES = {
    "grams": 2.5, "level": 7, "lazy": 1.25, "yes": 1, "nothing": 0, "below": -4,
}
REFUSED = {"none": "None", "endless": "inf", "text": "'12'", "beyond": "0x"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(folder=tmp_path_factory.mktemp("states"))


def measured(bench: Bench, twins: Twins, code: int, *options: object) -> tuple[dict[str, Any], str]:
    """The report of a run over the suite, and what was printed."""
    report = bench.folder / "report.json"
    done = bench.run("ab", *twins.pythons, "--suite", SUITE, "--json", report, "--margin", "30%", "--strict",
                     "--seed", 5, *options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(report.read_text()), done.stdout


def key(row: dict[str, Any]) -> str:
    inside = ", ".join(f"{name}={value}" for name, value in row["params"].items())
    return f"{row['name']}({inside})" if inside else str(row["name"])


def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {key(row): row for row in report["benchmarks"]}


def test_what_both_arms_skip_is_skipped_and_no_reason_to_exit_with_3(
    bench: Bench, twins: Twins, inside: Inside
) -> None:
    pattern = "InSetup|Template|marked|Filled|not_a_number"
    report, printed = measured(bench, twins, 0, "-b", pattern)
    found = rows(report)
    assert {name: row["reason"] for name, row in found.items() if row["verdict"] == "skipped"} == SKIPPED
    assert {row["verdict"] for name, row in found.items() if name not in SKIPPED} == {"same"}
    assert (report["summary"]["skipped"], report["summary"]["failed"]) == (len(SKIPPED), 0)
    assert report["summary"]["geometric_mean"]["count"] == 4
    assert f"skipped in {sum('time_' in name for name in SKIPPED)}" in " ".join(printed.split())
    assert "no deque of this size: skipping.InSetup.time_sum(kind=deque, size=64)" in " ".join(printed.split())
    # Asked once, in one block, and not again when the run is resumed.
    blocks = [block for block in bench.blocks() if block["failure"]]
    assert sorted(block["benchmark"] for block in blocks) == sorted(SKIPPED)
    before = len(bench.blocks())
    assert bench.run("resume", "last", "--strict").returncode == 0
    assert len(bench.blocks()) == before
    assert inside("export", "last", "--format", "csv", "--to", bench.folder, "--out", bench.out).returncode == 0
    assert inside("show", "last", "--strict", "--out", bench.out).returncode == 0
    _stored_as_asv_does(store.read(sorted(bench.out.iterdir())[-1]), bench.folder / "asv")


def _stored_as_asv_does(run: store.Run, folder: Path) -> None:
    names = [one for one in run.manifest.benchmarks if one.name == "skipping.InSetup.time_sum"]
    described = {"name": names[0].name, "version": "1", "params": [["'list'", "'deque'"], ["8", "64"]],
                 "param_names": ["kind", "size"], "type": "time", "unit": "seconds"}
    series = asv_results.Series(commit="0" * 40, date=0, environment="e", python="3", requirements={})
    told = record._measured(described, names, run.by_benchmark(), record.Arm.BASE)
    path = asv_results.add(folder, {"machine": "m"}, series, [told])
    values = Results.load(str(path), machine_name="m").get_result_value(names[0].name, described["params"])
    assert [math.isnan(value) for value in values] == [False, False, False, True]


def test_what_one_arm_skips_is_only_in_the_other(bench: Bench, twins: Twins) -> None:
    report, printed = measured(bench, twins, 3, "-b", "alone|Alone")
    assert {name: (row["verdict"], row["reason"]) for name, row in rows(report).items()} == ONLY_IN
    words = " ".join(printed.split())
    assert "Only in base (1) head skips it: not yet in head: skipping.time_in_base_alone" in words
    assert "base does not have it: skipping.time_defined_in_head_alone" in words
    assert report["summary"]["failed"] == 0 and report["summary"]["only_in_head"] == 2


def test_in_the_body_it_is_a_failure_of_both_arms_with_the_users_line(bench: Bench, twins: Twins) -> None:
    report, printed = measured(bench, twins, 3, "-b", "forgotten")
    (row,) = report["benchmarks"]
    assert (row["verdict"], row["failed_arm"]) == ("failed", None)
    assert row["reason"] == "raised NotImplementedError: in the body this is a failure"
    source = (SUITE / "skipping.py").read_text().splitlines()
    line = 1 + next(number for number, text in enumerate(source) if "in the body this" in text)
    assert f"skipping.py:{line}, in time_forgotten" in printed
    assert "runner" not in row["detail"] and row["detail"].count("File ") == 1


def test_tracked_values(bench: Bench, twins: Twins, inside: Inside) -> None:
    report, _ = measured(bench, twins, 1, "-b", "^values.track")
    found = {name.removeprefix("values.track_"): row for name, row in rows(report).items()}
    for name, value in VALUES.items():
        assert (found[name]["base_value"], found[name]["head_value"]) == (value, value), name
        assert (found[name]["verdict"], found[name]["exact"]) == ("same", True), name
    for name, said in REFUSED.items():
        assert found[name]["verdict"] == "failed", name
        assert found[name]["reason"].startswith(f"returned {said}"), found[name]["reason"]
    assert found["from_nothing"]["verdict"] == "slower" and found["from_nothing"]["ratio"] is None
    odd = found["sometimes_nothing"]
    assert (odd["verdict"], odd["reached"], odd["ratio"], odd["reason"]) == ("undecided", True, None, None)
    assert [one["kind"] for one in odd["warnings"]] == ["no-ratio"]
    shown = inside("show", "last", "-v", "--html", bench.folder / "r.html", "--markdown", bench.folder / "r.md",
                   "--out", bench.out)
    assert "7 % of <b>all</b> | [red]hits[/red]" in shown.stdout
    page = (bench.folder / "r.html").read_text()
    assert "7 % of &lt;b&gt;all&lt;/b&gt; | [red]hits[/red]" in page and "<b>all" not in page
    assert "<b>all" not in (bench.folder / "r.md").read_text()
    assert re.search(r"Infinity|NaN", (bench.folder / "report.json").read_text()) is None
    for format in ("csv", "pyperf"):
        exported = inside("export", "last", "--format", format, "--to", bench.folder, "--out", bench.out)
        assert exported.returncode == 0, exported.stderr


def test_it_is_said_which_returned_values_differ_and_how(bench: Bench, twins: Twins) -> None:
    report, printed = measured(bench, twins, 3, "-b", "^values.time")
    found = {name.removeprefix("values.time_"): row for name, row in rows(report).items()}
    assert found["another_in_every_arm"]["reason"].startswith("the arms disagree: base returned 'base', head 'head'")
    assert [name for name, row in found.items() if row["verdict"] == "failed"] == ["another_in_every_arm"]
    for unit in ("call", "process"):
        sentence = f"returns another value in every {unit}"
        assert [one["text"] for one in found[f"another_in_every_{unit}"]["warnings"] if sentence in one["text"]]
        assert sentence in " ".join(printed.split())
    report, printed = measured(bench, twins, 0, "-b", "^values.time", "--values", "ignore")
    assert {row["verdict"] for row in report["benchmarks"]} == {"same"}
    assert "What calls return was not compared between the arms" in " ".join(printed.split())
    manifest = store.read_manifest(max(bench.out.iterdir()))
    assert manifest.values == "ignore" and "--values ignore" in manifest.command


def test_a_large_value_costs_nothing(bench: Bench, twins: Twins) -> None:
    report, _ = measured(bench, twins, 0, "-b", "^large", "--memory-limit", "200MiB")
    assert {row["verdict"] for row in report["benchmarks"]} == {"same"}
    starts: dict[str, list[float]] = {}
    for block in bench.blocks():
        if "ahead" not in block["readings"]:  # else it was there before it was waited for
            starts.setdefault(block["benchmark"], []).append(block["readings"]["start"])
    # The least of some, since a machine may stand still.
    assert len(starts) == 4 and max(map(min, starts.values())) < 5, "what a call returns is looked at in a moment"
