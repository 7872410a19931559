"""A report's ratios as a picture in a file of its own."""

from __future__ import annotations

from pathlib import Path

from runner.errors import MachineError, UsageError, listed
from runner.judging.report import Report
from runner.report.run_page import forest_rows


def write(report: Report, file: Path) -> None:
    """Draw the ratios that have an interval, from the most faster to the most slower.

    Raises UsageError for a name that says no format, and where there is nothing to draw; MachineError where the file
    cannot be written.
    """
    from dashboards import figures  # matplotlib: a second to import

    if file.suffix not in figures.FORMATS:
        raise UsageError(f"--figure {file}: its name has to end in one of {listed(figures.FORMATS)}.")
    rows = forest_rows(report.comparisons, {})
    if not rows:
        raise UsageError(f"--figure {file}: run {report.run} has no ratio with an interval to draw.")
    drawn = figures.forest(rows, margin=report.margin, title=f"{report.base['spec']} → {report.head['spec']}")
    try:
        figures.write(drawn, file)
    except OSError as error:
        raise MachineError(f"cannot write {file}: {error.strerror or error}.") from error
