"""A build from its plan: found in the cache, or made there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.builds import asking, cache, compiling, edits, farm, generated, outcome, record, releases, sources
from runner.builds.cache import Progress
from runner.builds.edits import Changes
from runner.builds.planning import Plan
from runner.builds.record import Record
from runner.errors import BuildError, MachineError, UsageError
from runner.model import Build, Interpreter

LOG_LINES = 20
"""Lines of the log that a failed build shows."""


def obtain(wanted: Plan, progress: Progress) -> Record:
    """The finished build; made first if it is not in the cache.

    Raises UsageError for edits that do not fit, BuildError where source or build fail, MachineError
    for a full disk and the like.
    """
    try:
        return cache.load(wanted.key) or _make(wanted, progress)
    except OSError as error:
        raise cache.problem(error) from error


def check(plans: Sequence[Plan], progress: Progress) -> None:
    """See that the edits of all plans fit, before minutes are spent on building the first. Raises as `obtain` does."""
    # The first of those that are to be made is made next, and begins with the same.
    for wanted in [wanted for wanted in plans if cache.load(wanted.key) is None][1:]:
        name = f"check-{wanted.key}"
        if wanted.edits:
            with cache.locked(name, progress, f"waiting for another run that is trying {wanted.label}"):
                try:
                    with cache.scratch() as scratch:
                        _edited(wanted, scratch / "tree", progress)
                except OSError as error:
                    raise cache.problem(error) from error


def interpreter(wanted: Plan, made: Record, environment: Mapping[str, str] | None) -> Interpreter:
    """What can be run of a finished build, and the packages that it finds with these variables (as in `asking.ask`)."""
    # Asked each time: a build finds what is installed under its prefix, which is not in the cache.
    answer = asking.ask(wanted.label, made.executable, environment=environment)
    return Interpreter(
        spec=wanted.label, executable=made.executable, version=made.version,
        implementation=made.implementation, sha256=made.sha256, facts=made.facts, packages=answer.packages,
        modules=answer.modules, commit=wanted.commit,
        build=Build(
            key=wanted.key, tree=made.tree, source=wanted.source.label, source_hash=wanted.source.hash,
            edits=tuple(edit.name for edit in wanted.edits), edits_hash=wanted.edits_hash,
            flags=wanted.flags, compiler=wanted.toolchain["compiler"], changed_files=made.changed_files,
            notes=made.notes, toolchain=made.toolchain, pyconfig=outcome.digest(made.pyconfig),
            libraries=outcome.in_words(made.libraries),
        ),
    )


def _make(wanted: Plan, progress: Progress) -> Record:
    waiting = f"waiting for another run that is building {wanted.label}"
    with cache.locked(wanted.key, progress, waiting):
        known = cache.load(wanted.key)  # the other run may have made it
        if known is not None:
            return known
        with cache.scratch() as scratch:
            log = scratch / "build.log"
            try:
                return _make_in(wanted, scratch, log, progress)
            except BuildError as error:
                text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
                if cache.says_full(text + str(error)):
                    raise MachineError(f"{error}: {cache.full()}") from error
                if not text:
                    raise
                raise BuildError(_with_log(str(error), text, wanted.key)) from error


def _with_log(message: str, text: str, key: str) -> str:
    kept = cache.folder("logs") / f"{key}.log"
    kept.write_text(text, encoding="utf-8")
    lines = text.splitlines()
    tail = "\n".join(f"  {line[:400]}" for line in lines[-LOG_LINES:])
    return f"{message}. The last lines of its log, {kept}:\n{tail}"


def _make_in(wanted: Plan, scratch: Path, log: Path, progress: Progress) -> Record:
    tree = scratch / "tree"
    changed, notes = _prepare(wanted, scratch, log, progress)
    if not (tree / "Makefile").is_file():
        compiling.configure(tree, wanted.flags, wanted.label, log, progress)
    executable = compiling.make(tree, wanted.spec, wanted.label, log, progress)
    final = cache.home() / "builds" / wanted.key
    compiling.precompile(tree, final / "tree", executable, wanted.label, log, progress)
    try:
        answer = asking.ask(str(executable), executable)
    except UsageError as error:
        raise BuildError(f"{wanted.label} was built and does not start: {error}") from error
    state = executable.stat()
    record.write(scratch / record.NAME, Record(
        label=wanted.label, created=time.time(), size=cache.size(scratch), tree=tree, executable=executable,
        executable_size=state.st_size, executable_mtime_ns=state.st_mtime_ns,
        sha256=releases.sha256_of(executable), version=answer.version,
        implementation=answer.implementation, compiler=wanted.toolchain["compiler"],
        changed_files=tuple(changed), facts=placeless(answer.facts, tree), notes=tuple(notes), place=str(final),
        toolchain=wanted.toolchain, pyconfig=outcome.defines(tree), libraries=_libraries(tree),
        missing=tuple(sorted(name for name, state in (answer.modules or {}).items() if state == "missing")),
    ))
    cache.install(scratch, wanted.key)
    known = cache.load(wanted.key)
    if known is None:
        raise BuildError(f"{wanted.label} vanished from {final} as soon as it was built")
    return known


def _prepare(wanted: Plan, scratch: Path, log: Path, progress: Progress) -> tuple[Sequence[str], Sequence[str]]:
    """Put the edited source into the scratch folder's tree, configured and built already where that is possible.

    What comes back: the files that differ from the source, and notes on how the edits fitted.
    """
    tree = scratch / "tree"
    changes, targets = _edited(wanted, tree, progress)
    if not wanted.edits:
        return (), ()
    incremental = compiling.is_incremental(wanted.spec, changes.before)
    if incremental:
        base = wanted.unedited()
        built = cache.load(base.key) or _make(base, progress)
        edited = tree.rename(scratch / "edited")
        progress(f"copying the build of {base.label}")
        compiling.copy(built.tree, tree)
        edits.carry(list(changes.before), edited, tree)
        shutil.rmtree(edited)
    elif targets:
        compiling.configure(tree, wanted.flags, wanted.label, log, progress)
    made = generated.make(targets, tree, wanted.label, log, progress)
    files = sorted({*changes.before, *made})
    if incremental:
        compiling.touch_includers(tree, files)
    notes = [f"`make {' '.join(targets)}` has made anew: {', '.join(made) or 'nothing'}"] if targets else []
    return files, [*changes.notes, *notes]


def _edited(wanted: Plan, tree: Path, progress: Progress) -> tuple[Changes, Sequence[str]]:
    """Put the edited source into `tree`; what differs, and what make has to generate anew.

    Edits meet the source and never a build of it, so that whether they fit does not depend on what is in the cache.
    """
    sources.obtain(wanted.source, tree, progress)
    if wanted.edits:
        progress(f"applying {' and '.join(edit.name for edit in wanted.edits)}")
    changes = edits.apply(wanted.edits, tree)
    return changes, generated.targets(tree, changes.before, wanted.label)


def _libraries(tree: Path) -> Mapping[str, tuple[str, ...]]:
    return outcome.libraries(farm.extensions(tree)) if (tree / "pybuilddir.txt").is_file() else {}


def placeless(facts: Mapping[str, str], tree: Path) -> dict[str, str]:
    """Facts without the place of the tree, which clang's PGO flags contain: it would differ between any two builds."""
    return {name: value.replace(str(tree), ".") for name, value in facts.items()}
