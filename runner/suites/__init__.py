"""Where benchmarks come from: what a suite is (`protocol`), and for each kind a module that finds its benchmarks.

A second kind is two files: one such module, named in `open`, and one that loads a benchmark inside a worker.
"""

from runner.suites.asv import AsvSuite
from runner.suites.protocol import Found, Loader, Selection, Suite, described, discover, select

__all__ = ["Found", "Loader", "Selection", "Suite", "described", "discover", "open", "select"]


def open(name_or_dir: str | None) -> Suite:
    """The suite of a name or a folder; None: the project's own. Raises UsageError where there is none."""
    return AsvSuite(name_or_dir)
