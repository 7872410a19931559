"""What the programs of this folder share: what they are asked for, where they work, and made-up runs to import."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKSTEP = Path(sys.executable).with_name("lockstep")
sys.path.insert(0, str(ROOT / "tests" / "unit"))  # made_runs, made_rows, samples


def options(what: str, *, keeps: str = "", **sizes: int) -> argparse.Namespace:
    """What the command line asks for: each of `sizes`, by name, and the folder ``keep`` (None: none) where `keeps` says
    what a program keeps. Prints the day and the machine."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"how many (default: {usual})")
    if keeps:
        parser.add_argument("--keep", type=Path, metavar="FOLDER", help=f"keep {keeps} in this folder")
    found = parser.parse_args()
    print(time.strftime("%Y-%m-%d"), f"{len(os.sched_getaffinity(0))} CPUs, {cpu()}", platform.release(),
          f"Python {platform.python_version()}", flush=True)
    return found


def cpu() -> str:
    """What the processor calls itself, where Linux says it."""
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.machine()


@contextmanager
def folder(asked: argparse.Namespace) -> Iterator[Path]:
    """The folder to keep, or one that is gone at the end."""
    if getattr(asked, "keep", None) is not None:
        yield asked.keep
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-costs-") as name:
        yield Path(name)
