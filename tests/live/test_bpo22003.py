"""`make bpo22003` on real interpreters, Python 2.7 among them; nothing is claimed of what it measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from bpo22003 import line, records

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pythons() -> list[Path]:
    """The oldest that pyenv has, which is to be 2.7, the one after it, and the newest."""
    there = line.found(line.here())
    if not there or not there[0].parents[1].name.startswith("2.7."):
        pytest.skip(f"no Python 2.7 under {line.here()}")
    return [*there[:2], there[-1]]


def make(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bpo22003", "--data", folder / "line.json", "--page", folder / "docs" / "page.md",
               "--figure", folder / "docs" / "pictures" / "line.svg", "--cycles", "2", *words]
    return subprocess.run(
        [str(word) for word in command], env={**os.environ, "PYTHONPATH": f"{TOP / 'tests'}:{TOP}"}, check=False,
        capture_output=True, text=True, timeout=280,
    )


def test_it_goes_on_where_it_was_and_makes_a_page(pythons: list[Path], tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    named = [word for python in pythons for word in ("--python", python)]
    first = make(tmp_path, "--minutes", 0, *named)
    assert first.returncode == 2 and "fewer than 2 blocks" in first.stderr
    second = make(tmp_path, "--minutes", 0, *named)
    assert second.returncode == 0, second.stderr
    study = records.read(tmp_path / "line.json")
    assert study is not None and len(study.blocks) == 2
    assert [one.kind for one in study.subjects] == [records.REFERENCE, *["io.BytesIO"] * len(pythons)]
    assert [one.minor for one in study.subjects[:2]] == ["2.7", "2.7"]
    # Counted: cStringIO shared, BytesIO of 2.7 did not, BytesIO from 3.5 on does.
    assert [one.shares for one in study.subjects] == [True, False, *[True] * (len(study.subjects) - 2)]
    for block in study.blocks:
        for workload in records.WORKLOADS:
            assert block.log_ratios[workload][0] == 0
            assert all(0 < seconds < 1 for seconds in block.seconds[workload])
    text = (tmp_path / "docs" / "page.md").read_text()
    assert "(pictures/line.svg)" in text and (tmp_path / "docs" / "pictures" / "line.svg").stat().st_size > 5000
    assert str(Path.home()) not in (tmp_path / "line.json").read_text() + text
    again = make(tmp_path, "--report")
    assert again.returncode == 0 and (tmp_path / "docs" / "page.md").read_text() == text
    refused = make(tmp_path, "--minutes", 0, *named[:-2])
    assert refused.returncode == 2 and "measured with other interpreters" in refused.stderr


def test_without_cstringio_it_refuses_in_words(tmp_path: Path) -> None:
    done = make(tmp_path, "--python", sys.executable)
    assert done.returncode == 2
    assert "none of" not in done.stderr and "no interpreter here is Python 2.7" in done.stderr


@pytest.mark.parametrize(("python", "said"), [("/nowhere/python", "/nowhere/python"), ("/bin/false", "exit code 1")])
def test_what_is_no_interpreter_is_refused_in_words(python: str, said: str, tmp_path: Path) -> None:
    done = make(tmp_path, "--python", python)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_worker_ends_when_its_input_does(pythons: list[Path]) -> None:
    for python in pythons:
        done = subprocess.run([python, "-s", line.WORKER, "io.BytesIO"], input="construct 3\n", capture_output=True,
                              text=True, timeout=60, check=True)
        hello, seconds = done.stdout.splitlines()
        assert json.loads(hello)["lines"] == line.LINES and float(seconds) > 0
