"""Counts that repeat themselves to the digit, the copy by name, and `lockstep explain` from a new run to its page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import TIME_LIMIT, Bench

from runner import builds, config, suites
from runner.machine.findings import install
from runner.measuring import callgrind, counts
from runner.measuring.copies import scratch
from runner.measuring.counts import Counter, Counts, Setting
from runner.model import BlockKind, Interpreter
from runner.storage import store

FAULTS = Path(__file__).parent / "faults"
Count = Callable[..., Counts]
FEWER = "import lockstep_ab; from runner.measuring import counts; counts.SEEDS = (1, 2); lockstep_ab.main()"
"""The program, which counts with two hash seeds instead of five."""


@pytest.fixture
def valgrind() -> str:
    found = callgrind.find()
    if found is None:
        pytest.fail(f"these tests need valgrind: {install('valgrind') or 'see https://valgrind.org'}")
    return found


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch, valgrind: str) -> Count:
    """Count the only benchmark of a suite that matches, with two hash seeds; each time from an empty scratch folder."""
    monkeypatch.setattr(counts, "SEEDS", (1, 2))

    def once(suite: Path, pattern: str | None, base: Interpreter, head: Interpreter) -> Counts:
        opened = suites.open(str(suite))
        found = opened.discover(base.executable)
        (benchmark,) = suites.select(found, found, pattern).benchmarks
        with scratch() as place:
            return Counter(Setting(
                base=base, head=head, suite=opened, environment=config.environment(), memory_limit=4 << 30,
                scratch=place,
            ), valgrind).count(benchmark, lambda text: None)

    return once


def suite(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "work.py").write_text(text)
    return folder


def build(spec: str = "cpython@3.13.5") -> Interpreter:
    return builds.resolve(spec, progress=print)


def test_counts_are_the_same_to_the_digit_every_time(count: Count, tmp_path: Path) -> None:
    """Strings in dictionaries and sets, whose order depends on the hash seed, and objects that come and go."""
    folder = suite(tmp_path / "planted", "def time_it():\n    return len({str(i): [i] for i in range(300)})\n")
    first, second = (count(folder, None, build(), build()) for _ in range(2))
    assert first.problems == () and first.instructions is not None
    assert first == second
    counted = first.instructions
    assert counted.exact
    # One file in both arms: they are equal too.
    assert counted.base == counted.head and counted.changes == ()
    assert counted.base[0] > 300 * 100
    assert first.allocated is not None and first.allocated.base == first.allocated.head


def test_the_copy_shows_by_name(count: Count, tmp_path: Path) -> None:
    """Construction from 4 MiB, without and with copy-on-write: the copy is all of the difference."""
    folder = suite(
        tmp_path / "planted",
        "from io import BytesIO\nDATA = b'x' * (4 << 20)\n\ndef time_construct():\n    BytesIO(DATA)\n")
    found = count(folder, None, build("cpython@3.13.5+nocow"), build())
    counted, allocated = found.instructions, found.allocated
    assert counted is not None and allocated is not None, found.problems
    assert counted.exact
    copy = counted.changes[0]
    # Where libc is stripped its functions have no names; then the caller tells.
    assert copy.function.object.startswith("libc") and copy.caller == "PyBytes_FromStringAndSize"
    assert copy.function.name == "" or "mem" in copy.function.name
    whole = counted.base[0] - counted.head[0]
    assert 0.99 < (copy.base - copy.head) / whole <= 1
    names = {change.function.name for change in counted.changes}
    assert "PyBytes_FromStringAndSize" in names
    assert min(allocated.base) > 4 << 20 > 1000 > max(allocated.head)


def test_what_cannot_be_counted_is_told_and_the_rest_is_there(count: Count, tmp_path: Path) -> None:
    folder = suite(tmp_path / "planted", "import os\n\ndef time_it():\n    os.getppid()\n")
    found = count(folder, None, build(), build())
    assert found.instructions is None and found.allocated is not None
    (problem,) = found.problems
    assert "calls getppid itself" in problem


def test_a_benchmark_that_raises_fails_in_words(count: Count, tmp_path: Path) -> None:
    text = "C = []\n\ndef time_it():\n    C.append(1)\n    if len(C) > 1:\n        raise ValueError('enough')\n"
    found = count(suite(tmp_path / "planted", text), None, build(), build())
    assert (found.instructions, found.allocated) == (None, None)
    assert all("raised ValueError: enough" in problem for problem in found.problems) and len(found.problems) == 2


def test_a_new_run_is_explained_and_again_without_valgrind(
    bench: Bench, valgrind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scope source: six layouts of six blocks each, so that what layout does can be told apart."""
    there = tmp_path / "explained.json"
    page = tmp_path / "page.html"
    words = ["explain", "cpython@3.13.5+nocow", "cpython@3.13.5", "--suite", FAULTS, "-b", "healthy.time_sum",
             "--scope", "source", "--seed", "3", "--json", there, "--html", page, "--out", bench.out]
    done = subprocess.run([sys.executable, "-c", FEWER, *words], capture_output=True, text=True, timeout=TIME_LIMIT,
                          check=False, env={**os.environ, "COLUMNS": "120"})
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(there.read_text())["benchmarks"]
    (folder,) = bench.out.iterdir()
    scored = [block for block in store.read(folder).blocks if block.kind is BlockKind.SCORED]
    assert len(scored) == 36 == row["noise"]["numbers"]["blocks"]
    assert len({block.layout for block in scored}) == 6 == row["noise"]["numbers"]["layouts"]
    assert [part["source"] for part in row["noise"]["components"]] == ["layout", "time", "process", "rest"]
    assert row["layout_spread"]["run"] == folder.name
    assert sum(part["share"]["value"] for part in row["noise"]["components"]) == pytest.approx(1)
    # Neither arm's change is in what sum does.
    assert row["instructions"]["exact"] and abs(row["instructions"]["log_ratio"]) < 0.001
    assert "Head executes 0.0 % more instructions" in done.stdout
    assert row["text"] in page.read_text().replace("&#39;", "'")
    assert (folder / "report.html").is_file()
    nothing_left = bench.run("resume")
    assert nothing_left.returncode in (0, 1) and len(bench.blocks()) == len(store.read(folder).blocks)

    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tools))
    again = bench.run("explain", folder, "-b", "time_sum", "--json", there)
    assert again.returncode == 0, again.stderr
    assert "valgrind was not found. To get it: sudo apt-get install valgrind" in " ".join(again.stdout.split())
    (row,) = json.loads(there.read_text())["benchmarks"]
    assert row["instructions"] is None and row["allocated"] is not None and row["noise"] is not None


def test_the_noise_of_a_whole_run(finished: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -b, all benchmarks; and without valgrind, in a moment."""
    monkeypatch.setenv("PATH", str(tmp_path))
    done = finished.run("explain", "last")
    assert done.returncode == 0, done.stderr
    assert "healthy.time_sum" in done.stdout and "healthy.time_sort" in done.stdout
    assert done.stdout.count("standard deviation [interval]") == 2
    assert "See https://valgrind.org" in " ".join(done.stdout.split())


@pytest.mark.parametrize(("words", "message"), [
    (("last", "-b", "no_such"), "no_such"),
    (("last", "--scope", "source"), "for a new run"),
    ((sys.executable, sys.executable), "needs -b"),
])
def test_wrong_use_is_told(
    finished: Bench, inside: Callable[..., subprocess.CompletedProcess[str]], words: tuple[str, ...], message: str
) -> None:
    done = inside("explain", *words, "--out", finished.out)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
