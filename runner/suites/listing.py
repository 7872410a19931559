"""What an interpreter that was to list a suite's benchmarks has told, and why it has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner import shell


def lines(file: Path) -> list[dict[str, Any]]:
    """Its lines of JSON so far; none where there is no file. A torn last line is left out."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def cause(code: int) -> str:
    """What ended a process, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def refusal(executable: Path, which: str, ended: shell.Result) -> str:
    """That an interpreter did not list the benchmarks, why, and what it said; `which`: "in FOLDER", "of SCRIPT"."""
    said = [line for line in ended.output.splitlines() if line.strip()][-3:]
    why = "it did not answer" if ended.timed_out else f"it ended with {cause(ended.code)}"
    last = "".join(f"\n  {line}" for line in said)
    return (
        f"{executable} cannot list the benchmarks {which}: {why}. "
        f"Is it Python 3.8 or later, and does it start?{' It said:' if said else ''}{last}"
    )
