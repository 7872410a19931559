"""The order of steps of `lockstep combine`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.judging import combine, compare
from runner.judging.report import Report
from runner.storage import store


def combined(folders: Sequence[Path]) -> Report:
    """One report of several runs of one comparison; measures nothing.

    Raises UsageError for runs that cannot be combined, and for folders that are not runs.
    """
    runs = [store.read(folder) for folder in folders]
    combine.check(runs)  # before the work of the runs' own reports
    return combine.combined([combine.Source(run=run, report=compare.report(run)) for run in runs])
