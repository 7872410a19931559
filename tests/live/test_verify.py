"""`lockstep verify` on builds with planted faults, and on a pair that behaves alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import LOCKSTEP, TIME_LIMIT, Bench, Quiet

from runner import builds
from runner.jobs.verify import VerifyRequest, alike, verify_arms
from runner.model import Interpreter

GOOD = "cpython@3.13.5"
FAULTS = {
    "fault-share-bytearray": "bytearray", "fault-share-mmap": "mapped file", "fault-no-unshare": None,
    "fault-lost-position": None, "fault-unchecked-export": "view",
}
"""Each with the kind of source without which it cannot be seen."""
COW = {f"test.test_memoryio.CBytesIOTest.test_cow_{what}" for what in ("write", "truncate", "setstate")}
"""CPython's own tests that ask for sharing itself."""


def resolve(spec: str) -> Interpreter:
    return builds.resolve(spec, progress=print)


@pytest.fixture(scope="module")
def good() -> Iterator[Interpreter]:
    yield resolve(GOOD)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(good: Interpreter, fault: str, tmp_path: Path) -> None:
    head = resolve(f"{GOOD}+{fault}")
    request = VerifyRequest(base=GOOD, head=head.spec, tests=(), seconds=TIME_LIMIT, seed=1, most=1)
    verified = verify_arms(request, good, head, Quiet())
    assert verified.differences
    first = verified.differences[0]
    assert first.after is not None
    assert FAULTS[fault] is None or FAULTS[fault] in first.kinds
    # The program that it is told by shows it to anybody.
    file = tmp_path / "shows.py"
    file.write_text(first.script)
    ends = [subprocess.run([one.executable, file], capture_output=True, timeout=TIME_LIMIT) for one in (good, head)]
    assert (ends[0].returncode, ends[0].stdout) != (ends[1].returncode, ends[1].stdout)
    assert len(first.script.splitlines()) < 25


@pytest.mark.parametrize("kind", ["read-only view", "mapped file"])
def test_what_others_may_write_to_is_told_where_a_build_shares_it(good: Interpreter, kind: str) -> None:
    """Who borrows a buffer is told that it may not write to it, and not that nobody may."""
    head = resolve(f"{GOOD}+share-any-buffer")
    request = VerifyRequest(base=GOOD, head=head.spec, tests=(), seconds=TIME_LIMIT, seed=1, most=1, kinds=(kind,))
    (found,) = verify_arms(request, good, head, Quiet()).differences
    assert found.kinds == (kind,)


def test_builds_that_behave_alike_pass(good: Interpreter) -> None:
    copying = resolve(f"{GOOD}+nocow")
    assert alike(copying, good, {}, Quiet()) is None


def test_cpythons_own_tests_run_with_the_modules_that_our_builds_lack(good: Interpreter) -> None:
    copying = resolve(f"{GOOD}+nocow")
    request = VerifyRequest(base=GOOD, head=copying.spec, tests=("test_memoryio", "test_buffer"), seconds=0.0)
    verified = verify_arms(request, good, copying, Quiet())
    assert verified.problems == ()
    assert {one.what.split()[0] for one in verified.differences} == COW
    counts = {module.name: next(iter(module.counts.values())) for module in verified.modules}
    assert counts["test_memoryio"]["passed"] > 150
    assert counts["test_buffer"]["passed"] > 50  # without _testbuffer, nearly all are skipped


def test_the_command_says_what_is_known_and_what_is_not(good: Interpreter, tmp_path: Path) -> None:
    words = [LOCKSTEP, "verify", GOOD, f"{GOOD}+nocow", "--tests", "test_memoryio", "--time", "2s"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert done.returncode == 1
    assert "test_cow_write passes in base only" in done.stdout
    words += ["--known", "test_cow_", "--json", str(tmp_path / "verified.json")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert (done.returncode, done.stderr.count("warning")) == (0, 0)
    assert "no difference in behaviour found" in done.stdout
    said = json.loads((tmp_path / "verified.json").read_text())
    assert (said["differences"], set(said["known"])) == ([], COW)


PATIENT = f"""
from runner import cli
from runner.jobs import verify
verify.SHORT = {TIME_LIMIT}
cli.main()
"""
"""The command line, which looks for a difference until there is one: whether the usual seconds are enough is decided by
what is drawn, and by how fast the machine is."""


def test_builds_that_behave_differently_are_not_timed(bench: Bench, good: Interpreter) -> None:
    words = [sys.executable, "-c", PATIENT, "ab", GOOD, f"{GOOD}+fault-lost-position", "-b", "time_construct",
             "--out", bench.out]
    done = subprocess.run(words, capture_output=True, text=True, timeout=2 * TIME_LIMIT)
    assert done.returncode == 2, done.stderr
    assert "do not behave alike" in done.stderr
    assert "print(" in done.stderr
    assert not list(bench.out.glob("*/blocks.jsonl"))
