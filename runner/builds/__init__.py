"""Interpreters by name: a path, a command on PATH, or a build that is made and kept in the cache."""

from __future__ import annotations

from runner.builds import build, inspection, layouts
from runner.builds.cache import Entry, Progress, cached, remove
from runner.builds.contrast import differences
from runner.builds.farm import Copier, copy_of
from runner.builds.inspection import inspect
from runner.builds.layouts import Layouts
from runner.builds.spec import parse
from runner.model import Interpreter

__all__ = [
    "Copier", "Entry", "Interpreter", "Layouts", "Progress", "cached", "copy_of", "differences", "inspect", "remove",
    "resolve",
]


def resolve(spec: str, *, progress: Progress) -> Interpreter:
    """The interpreter that `spec` names; a build that is not in the cache is made first.

    `progress` is told each phase in words. A cached build is not run again.

    Raises UsageError for a name that means nothing, an interpreter that cannot be used or edits that do
    not fit, BuildError where a source cannot be had or a build fails, MachineError where the machine lacks
    a compiler, space or permission.
    """
    wanted = parse(spec)
    if wanted is None:
        return inspect(spec, inspection.locate(spec))
    made = build.interpreter(build.plan(wanted, progress), progress)
    if wanted.layout is None:
        return made
    progress(f"linking {spec}")
    return layouts.fixed(made, wanted.layout)
