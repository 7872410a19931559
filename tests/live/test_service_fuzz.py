"""The API by its own OpenAPI document: schemathesis sends what fits it and what does not, and no answer is a 5xx.

`make fuzz` does the same with some hundred times as many examples.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from fuzzing import fuzzed

SECONDS = 40
"""It ends by itself after so long, however far it has come."""


def test_nothing_that_is_asked_is_a_fault(tmp_path: Path) -> None:
    done = fuzzed(tmp_path / "data", examples=6, seconds=SECONDS)
    assert done.code == 0, done.said
    assert done.requests > 20, "it ends by itself, and a busy machine answers few by then"
    assert "fault of Lockstep's own" not in done.log and "Traceback" not in done.log, done.log
    assert (done.faults, done.outside) == (0, [])
