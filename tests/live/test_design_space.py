"""Each design of `make design-space` is built, does what is documented and shares what it says; and a small sitting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runner import builds
from runner.judging.report import STATES
from runner.model import Interpreter

sys.path.insert(0, str(Path(__file__).parents[1]))

from design_space import records
from design_space.designs import EVERY, NOCOW, RELEASE, TODAY, WEIGHED, Design
from design_space.session import SOURCES

HERE = Path(__file__).parent
VIEWS = {"memoryview of bytes", "part of a memoryview of bytes"}
NEVER = {"bytes", "subclass of bytes", *VIEWS}
"""Kinds of objects that cannot change."""
CLOSED = {"read-only memoryview of a bytearray", "mmap for reading", "read-only getbuffer() of another stream"}
"""Kinds that their borrowers cannot write to, and their owners can."""
SHARED = {
    "nocow": set[str](), "bytes-only": {"bytes"}, "lent": {"bytes"}, "slack-10": {"bytes"}, "slack-25": {"bytes"},
    "shrink-without-realloc": {"bytes"}, "memoryview-of-bytes": {"bytes", *VIEWS},
    "share-any-buffer": NEVER | CLOSED, "ask-writable-first": NEVER | CLOSED,
    "hash-as-test": NEVER | {"mmap", "mmap for reading", "read-only getbuffer() of another stream"},
}
"""What each design shares, as its description says."""


@cache
def built(design: Design) -> Interpreter:
    return builds.resolve(design.spec, progress=print)


def run(design: Design, *words: str | Path) -> str:
    ended = subprocess.run([built(design).executable, "-B", *words], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@cache
def loans(design: Design) -> dict[str, Any]:
    return json.loads(run(design, HERE / "bytesio_loans.py"))


@pytest.mark.parametrize("design", EVERY, ids=lambda design: design.name)
def test_it_shares_what_it_says_and_changes_with_what_can_change(design: Design) -> None:
    found = json.loads(run(design, SOURCES))
    kinds = found["kinds"]
    shared = {name for name, kind in kinds.items() if kind["allocated"] < found["size"] / 2}
    assert shared == SHARED[design.name]
    assert {name for name, kind in kinds.items() if kind["follows"] is None} == NEVER
    assert {name for name, kind in kinds.items() if kind["follows"]} == shared - NEVER
    assert {name for name, kind in kinds.items() if kind["held"]} == shared - NEVER
    assert found["stale"] == ("bytes" in shared), "a write into what was hashed leaves the hash"


@pytest.mark.parametrize("design", WEIGHED, ids=lambda design: design.name)
def test_it_does_what_is_documented(design: Design) -> None:
    laws = json.loads(run(design, HERE / "bytesio_laws.py"))
    assert laws["agreed"] == 300 * 60
    assert all(laws["shared"][what] for what in ("construction", "getvalue", "read"))
    ran = subprocess.run([built(design).executable, "-B", "-m", "unittest", "test.test_memoryio"],
                         capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and "Ran 1" in ran.stderr, ran.stderr  # 170 in 3.13.5


@pytest.mark.parametrize("design", WEIGHED, ids=lambda design: design.name)
def test_a_loan_ends_where_it_must_and_errors_stay_the_same(design: Design) -> None:
    found = loans(design)
    assert set(found["lent"].values()) == {"read-only memoryview of a bytearray" in SHARED[design.name]}
    assert found["errors"] == loans(TODAY)["errors"] and len(found["errors"]) == 6
    assert found["meddled"] == 7 * 6


def test_slack_is_room_behind_what_was_written() -> None:
    script = (
        "import io, json, sys\n"
        "shares = io.BytesIO(b'123456789')\n"
        "def room(stream): return sys.getsizeof(stream) - sys.getsizeof(shares) - sys.getsizeof(b'')\n"
        "new, data = io.BytesIO(), bytes(10_000)\n"
        "new.write(data)\n"
        "over = io.BytesIO(data)\n"
        "over.write(b'y')\n"
        "print(json.dumps([room(new), room(over)]))"
    )
    names = ("bytes-only", "slack-10", "slack-25")
    found = {one.name: json.loads(run(one, "-c", script)) for one in EVERY if one.name in names}
    assert found == {"bytes-only": [10_001, 10_000], "slack-10": [11_006] * 2, "slack-25": [12_506] * 2}


def test_a_value_that_was_shortened_in_place_has_a_hash_and_an_end_of_its_own() -> None:
    script = (
        "import io\n"
        "stream = io.BytesIO(); stream.write(b'123456789' * 9); value = stream.getvalue(); hash(value); del value\n"
        "stream.seek(0); stream.write(b'987'); stream.truncate(72); value = stream.getvalue()\n"
        "assert value == b'987456789' + b'123456789' * 7\n"
        "assert hash(value) == hash(bytes(bytearray(value)))\n"
        "assert int(value) == int('987456789' + '123456789' * 7)\n"
        "stream.write(b'x'); assert value[3:4] == b'4' and stream.getvalue()[:5] == b'987x5'"
    )
    (design,) = (one for one in EVERY if one.name == "shrink-without-realloc")
    run(design, "-c", script)


def sitting(folder: Path) -> str:
    command = [
        sys.executable, "-m", "design_space", "--minutes", "20", "--budget", "2s", "--designs", "memoryview-of-bytes",
        "--parts", "look", "compare", "--suites", "bytesio", "-b", "from_memoryview|FromMemoryview",
        "--data", folder / "study.json", "--runs", folder / "runs", "--page", folder / "page.md",
    ]
    tests = HERE.parent
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=folder,
                           env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}"})
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_a_sitting_stores_what_it_measures_and_goes_on_from_there(tmp_path: Path) -> None:
    assert "all of it is measured" in sitting(tmp_path)
    study = records.read(tmp_path / "study.json")
    assert study is not None
    assert [(one.design, one.against, one.suite) for one in study.compared] == [
        ("memoryview-of-bytes", against.name, "bytesio") for against in (TODAY, NOCOW)]
    assert [one.design for one in study.seen] == ["memoryview-of-bytes"]
    for one in study.compared:
        assert (tmp_path / "runs" / one.run / "manifest.json").is_file()
        assert len(one.rows) == 5 and {row.state for row in one.rows} <= set(STATES)
        assert one.scope == "source"
    text = (tmp_path / "page.md").read_text()
    assert RELEASE.partition("@")[2] in text and text.count("| `memoryview-of-bytes` |") >= 3
    before = (tmp_path / "study.json").read_bytes()
    assert "against" not in sitting(tmp_path), "nothing is measured twice"
    assert (tmp_path / "study.json").read_bytes() == before
