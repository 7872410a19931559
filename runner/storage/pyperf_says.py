"""What pyperf itself says of two sets of results: its command `pyperf compare_to`, run as users run it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from runner import shell
from runner.errors import MachineError
from runner.owned import owned
from runner.storage import pyperf_json
from runner.storage.pyperf_json import Results

TIMEOUT = 300.0
"""Seconds; sixty benchmarks take a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Of one benchmark."""

    change: str
    """In pyperf's words: ``1.02x slower``, ``no change``."""
    significant: bool | None
    """By its t test over all values; None where that cannot be computed: their numbers differ, or nothing varies."""


def compare_to(base: Sequence[Results], head: Sequence[Results]) -> Mapping[str, Said]:
    """What it says of each benchmark that both sides have, by name; several files of a side are one to it.

    Raises MachineError where it cannot be run, or answers something else.
    """
    ours, theirs = pyperf_json.together(base), pyperf_json.together(head)
    names = [one.name for one in ours if one.name in {other.name for other in theirs}]
    if not names:
        return {}
    with owned("lockstep-compare-") as folder:
        # Without what the files say of machines and tags: pyperf would refuse the one, and repeat itself for the other.
        for name, benchmarks in (("base.json", ours), ("head.json", theirs)):
            kept = tuple(one for one in benchmarks if one.name in names)
            pyperf_json.write(folder / name, Results(benchmarks=kept))
        words = [sys.executable, "-X", "utf8", "-m", "pyperf", "compare_to", "--verbose", "base.json", "head.json"]
        done = shell.run(words, cwd=folder, timeout=TIMEOUT)
    found = read(done.output, names)
    if done.code != 0 or set(found) != set(names):
        last = " ".join(done.output.split())[-300:]
        raise MachineError(f"pyperf compare_to ended with {done.code} and an answer that cannot be read: {last}")
    return found


def read(printed: str, names: Sequence[str]) -> dict[str, Said]:
    """What ``compare_to --verbose`` printed, by the names of the benchmarks; without those of which it says nothing."""
    lines = printed.splitlines()
    if len(names) == 1:
        starts = [(-2, names[0])]  # one alone has no title
    else:
        known = set(names)
        starts = [(place, line) for place, line in enumerate(lines[:-1])
                  if line in known and lines[place + 1] == "=" * len(line)]
    ends = [*(place for place, _ in starts[1:]), len(lines)]
    found = {}
    for (start, name), end in zip(starts, ends, strict=False):  # without starts there is one end
        own = lines[start + 2 : end]
        change = next((line.rpartition(": ")[2] for line in own if " -> " in line), None)
        if change is not None:
            failed = any(line.startswith("ERROR when testing") for line in own)
            found[name] = Said(
                change=change, significant=None if failed else any(line.startswith("Significant") for line in own))
    return found


def name() -> str:
    """``pyperf 2.10.0``."""
    return f"pyperf {version('pyperf')}"


def untold(problem: MachineError) -> str:
    """What to say where it said nothing."""
    return f"what pyperf compare_to says is missing: {problem}"
