"""What `lockstep continuous` costs beside `asv continuous`, on the small project of the tests.

    python tests/costs/continuous.py

Prints, for each of two pairs of commits (5 % more work; equal code), the seconds that each program takes with nothing
made before and with the environments there, and what it says. Run nothing else meanwhile.
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))

from small_project import Project, make

PAIRS = (("v1.0", "main~1", "5 % more work"), ("main~1", "main", "equal code"))
FACTOR = "1.01"
"""asv's own is 1.1: with it, 5 % is no change."""


def asv(project: Project, base: str, head: str) -> str:
    """What it says of the two timings of `total`, and its exit code."""
    done = project.run("asv", "continuous", "--factor", FACTOR, base, head)
    changed = len(re.findall(r"^\| [-+] .*Total", done.stdout, re.MULTILINE))
    return f"{changed} of 2 changed, exit code {done.returncode}"


def lockstep(project: Project, base: str, head: str) -> str:
    done, report = project.continuous(base, head)
    verdicts = [one["verdict"] for one in report["benchmarks"] if "Total" in one["name"]]
    return f"{', '.join(verdicts)}, exit code {done.returncode}"


def main() -> None:
    print(f"{platform.platform()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory() as name:
        project = make(Path(name) / "project")
        project.run("asv", "machine", "--yes")
        for program in (asv, lockstep):
            for base, head, what in PAIRS:
                shutil.rmtree(project.folder / ".asv", ignore_errors=True)
                for state in ("nothing made", "all there"):
                    begun = time.monotonic()
                    told = program(project, base, head)
                    print(f"{program.__name__:8} {what:13} {state:12} {time.monotonic() - begun:5.1f} s  {told}")


if __name__ == "__main__":
    main()
