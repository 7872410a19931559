"""Interpreters by name: a path, a command on PATH, or a build that is made and kept in the cache."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner import config
from runner.builds import build, cache, edits, inspection, layouts, packages, planning, releases, repository, trees
from runner.builds.cache import Entry, Progress, cached, remove, unwritable
from runner.builds.contrast import differences
from runner.builds.farm import Copier, copy_of
from runner.builds.inspection import inspect
from runner.builds.layouts import Layouts
from runner.builds.planning import Plan
from runner.builds.pruning import MAX_AGE, MAX_SIZE, Pruned, prune
from runner.builds.spec import BuildSpec, of_commit, parse, with_options
from runner.errors import UsageError
from runner.model import Build, Interpreter

__all__ = [
    "MAX_AGE", "MAX_SIZE", "Copier", "Entry", "Interpreter", "Layouts", "Progress", "Pruned", "cached", "changes",
    "check", "copy_of", "differences", "inspect", "of_commit", "parse", "prune", "remove", "resolve", "resolve_all",
    "source_repository", "trees_of", "unwritable", "use", "with_options",
]


def resolve(spec: str, *, progress: Progress, environment: Mapping[str, str] | None = None) -> Interpreter:
    """The interpreter that `spec` names; see `resolve_all`."""
    return resolve_all([spec], progress=progress, environment=environment)[0]


def resolve_all(
    specs: Sequence[str], *, progress: Progress, environment: Mapping[str, str] | None = None
) -> list[Interpreter]:
    """The interpreters that specs name; a build that is not in the cache is made first: parsed, planned, made.

    `progress` is told each phase in words. A cached build is not run again. What is wrong with any name or edit is told
    before the first is built. `environment` is what a measured process gets of variables, by which it finds packages;
    None: the caller's.

    Raises UsageError for a name that means nothing, an interpreter that cannot be used or edits that do
    not fit, BuildError where a source cannot be had or a build fails, MachineError where the machine lacks
    a compiler, space or permission.
    """
    named = [(spec, parse(spec)) for spec in specs]
    try:
        return _resolved(named, progress, environment)
    except OSError as error:
        if error.errno in cache.FULL or any(spec is not None for _, spec in named):
            raise cache.problem(error) from error
        raise UsageError(f"{error.filename or ', '.join(specs)}: {error.strerror or error}") from error


def _resolved(
    named: Sequence[tuple[str, BuildSpec | None]], progress: Progress, environment: Mapping[str, str] | None
) -> list[Interpreter]:
    ready = [
        inspect(spec, inspection.locate(spec), environment=environment)
        if wanted is None else planning.plan(wanted, progress)
        for spec, wanted in named
    ]
    build.check([one for one in ready if isinstance(one, Plan)], progress)
    return [_made(one, progress, environment) if isinstance(one, Plan) else one for one in ready]


def _made(wanted: Plan, progress: Progress, environment: Mapping[str, str] | None) -> Interpreter:
    made = build.interpreter(wanted, build.obtain(wanted, progress), environment)
    if wanted.spec.layout is None:
        return made
    progress(f"linking {wanted.label}")
    return layouts.fixed(made, wanted.spec.layout)


def use(executable: Path) -> None:
    """Where an interpreter is a build or a layout in the cache, keep it from being removed while this process lives."""
    tree = executable.parent
    if not any(tree.resolve().is_relative_to(top.resolve()) for top in config.caches()):
        return
    if cache.use(tree, layouts.SYMBOLS):
        tree = (tree / "Lib").resolve().parent  # a layout has links to the build
    cache.use(tree.parent)


def check(measured: Interpreter, *, progress: Progress, environment: Mapping[str, str] | None = None) -> None:
    """See that an interpreter is what it was when a run measured it; a build that has left the cache is made again.

    `environment` as in `resolve`.

    Raises UsageError where it is gone or another one, and what `resolve` raises.
    """
    progress(f"checking {measured.spec}")
    use(measured.executable)
    if measured.build is not None and not os.path.exists(measured.executable):
        resolve(measured.spec, progress=progress)
    if not os.access(measured.executable, os.X_OK):
        raise UsageError(f"{measured.executable}, which was measured, is gone or cannot be run.")
    now = inspect(measured.spec, measured.executable, environment=environment)
    if now.sha256 != measured.sha256:
        raise UsageError(f"{measured.executable} has changed since it was measured; start a new run: `lockstep ab`")
    if measured.packages is not None and now.packages is not None:
        before, after = packages.differences(measured.packages, now.packages)
        if before:
            raise UsageError(f"the packages of {measured.executable} have changed since it was measured, from {before} "
                             f"to {after}; install what was there, or start a new run: `lockstep ab`")


def changes(edit: str) -> bool:
    """Whether an edit changes anything; one that does not is a name for the source as it is. UsageError: unknown."""
    return bool(edits.load_all([edit], planning.DATA / "variants"))


def source_repository(folder: Path, version: str, *, progress: Progress) -> Sequence[str]:
    """Make `folder` a git repository of a release with a branch for each variant; see `repository.make`."""
    return repository.make(folder, version, planning.DATA, progress)


def trees_of(made: Build) -> tuple[Sequence[str], Sequence[str]]:
    """git's hashes of the trees that are known to be what this build was made of: edits included, and without them."""
    with_edits, without = [], []
    if made.source_hash.startswith("git:"):
        tree = made.source_hash.removeprefix("git:")
        without.append(tree)
        if not made.edits:
            with_edits.append(tree)
    catalogue = releases.read(planning.DATA / "sources.toml")
    for tree, release, applied in trees.holding(catalogue, planning.DATA / "variants"):
        if f"sha256:{release.sha256}" == made.source_hash:
            if edits.digest(applied) == made.edits_hash:
                with_edits.append(tree)
            if not applied:
                without.append(tree)
    return with_edits, without
