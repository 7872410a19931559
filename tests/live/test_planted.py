"""A slowdown of known size, planted in one arm: the verdict must find it, and the interval must hold the truth."""

from __future__ import annotations

import json
import subprocess
import venv
from pathlib import Path
from statistics import median

import pytest
from bench import LOCKSTEP, TIME_LIMIT

SUITE = Path(__file__).parent / "planted"
TRUTH = 1.05

pytestmark = pytest.mark.alone


def test_five_percent_is_found_in_eight_of_ten(tmp_path: Path) -> None:
    for arm in ("base", "head"):
        venv.create(tmp_path / arm, symlinks=True, with_pip=False)
    for arm, more in (("base", 0.0), ("head", TRUTH - 1)):
        (tmp_path / arm / "planted").write_text(f"{more:.2f}")
    code = subprocess.run(
        [LOCKSTEP, "ab", tmp_path / "base/bin/python", tmp_path / "head/bin/python", "--suite", SUITE,
         "--out", tmp_path / "runs", "--json", tmp_path / "report.json"],
        timeout=TIME_LIMIT, check=False,
    ).returncode
    rows = json.loads((tmp_path / "report.json").read_text())["benchmarks"]
    found = [row["name"] for row in rows if row["verdict"] == "slower"]
    # The error of an interval is 5 % at most: seven or more of ten that miss the truth are 1 chance in 10 million.
    covered = [row["name"] for row in rows if row["low"] <= TRUTH <= row["high"]]
    told = [(row["name"], row["verdict"], row["low"], row["ratio"], row["high"], row["blocks"]) for row in rows]
    assert code == 1
    assert len(rows) == 10
    assert len(found) >= 8, told
    assert len(covered) >= 4, told
    # Of each alone its interval speaks: a noisy one may end far off, with a wide one.
    assert abs(median(row["ratio"] for row in rows) - TRUTH) < (TRUTH - 1) / 2, told
