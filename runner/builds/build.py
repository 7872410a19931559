"""A build from its spec: found in the cache, or made there."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.builds import (
    cache,
    compiling,
    edits,
    farm,
    inspection,
    outcome,
    record,
    releases,
    sources,
    toolchain,
    trees,
)
from runner.builds.cache import Progress
from runner.builds.edits import Edit
from runner.builds.sources import Source
from runner.builds.spec import BuildSpec
from runner.errors import BuildError, MachineError, UsageError
from runner.model import Build, Interpreter

FORMAT = 2
"""Part of every key: raised when the way of building changes, so that old and new builds do not mix."""
DATA = Path(__file__).parents[2] / "data"
LOG_LINES = 20
"""Lines of the log that a failed build shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides what a build is."""

    spec: BuildSpec
    source: Source
    edits: tuple[Edit, ...]
    flags: tuple[str, ...]
    toolchain: Mapping[str, str]
    """See `toolchain.describe`."""

    @property
    def edits_hash(self) -> str:
        return edits.digest(self.edits)

    @property
    def key(self) -> str:
        parts = [FORMAT, self.source.hash, self.edits_hash, self.flags, sorted(self.toolchain.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        return self.spec.text

    def unedited(self) -> Plan:
        """The same without edits."""
        return Plan(
            spec=self.spec.unedited(), source=self.source, edits=(), flags=self.flags, toolchain=self.toolchain
        )


def plan(spec: BuildSpec, progress: Progress, data: Path = DATA) -> Plan:
    """Look up all that a spec names. Raises UsageError, MachineError, BuildError."""
    loaded = edits.load_all(spec.edits, data / "variants")
    flags = compiling.flags(spec)
    source = sources.find(spec, data / "sources.toml", progress)
    if isinstance(source, sources.Commit):
        catalogue = releases.read(data / "sources.toml")
        known = trees.recall(source.tree, catalogue, data / "variants")
        if known is not None:
            release, before = known
            source, loaded = sources.ReleaseSource(release=release, catalogue=catalogue), (*before, *loaded)
    return Plan(
        spec=spec, edits=loaded, flags=flags, toolchain=toolchain.describe(flags), source=source,
    )


def interpreter(wanted: Plan, progress: Progress) -> Interpreter:
    """The build's interpreter; made first if it is not in the cache.

    Raises UsageError for edits that do not fit, BuildError where source or build fail, MachineError
    for a full disk and the like.
    """
    try:
        known = cache.load(wanted.key) or _make(wanted, progress)
        # Asked each time: a build finds what is installed under its prefix, which is not in the cache.
        answer = inspection.ask(wanted.spec.text, known.executable)
    except OSError as error:
        raise cache.problem(error) from error
    return Interpreter(
        spec=wanted.spec.text, executable=known.executable, version=known.version,
        implementation=known.implementation, sha256=known.sha256, facts=known.facts, packages=answer.packages,
        modules=answer.modules,
        build=Build(
            key=wanted.key, tree=known.tree, source=wanted.source.label, source_hash=wanted.source.hash,
            edits=tuple(edit.name for edit in wanted.edits), edits_hash=wanted.edits_hash,
            flags=wanted.flags, compiler=wanted.toolchain["compiler"], changed_files=known.changed_files,
            toolchain=known.toolchain, pyconfig=outcome.digest(known.pyconfig),
            libraries=outcome.in_words(known.libraries),
        ),
    )


def _make(wanted: Plan, progress: Progress) -> record.Record:
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


def _make_in(wanted: Plan, scratch: Path, log: Path, progress: Progress) -> record.Record:
    tree = scratch / "tree"
    changed = _prepare(wanted, tree, progress)
    if not (tree / "Makefile").is_file():
        compiling.configure(tree, wanted.flags, wanted.label, log, progress)
    executable = compiling.make(tree, wanted.spec, wanted.label, log, progress)
    final = cache.home() / "builds" / wanted.key
    compiling.precompile(tree, final / "tree", executable, wanted.label, log, progress)
    try:
        answer = inspection.ask(str(executable), executable)
    except UsageError as error:
        raise BuildError(f"{wanted.label} was built and does not start: {error}") from error
    state = executable.stat()
    record.write(scratch / record.NAME, record.Record(
        label=wanted.label, created=time.time(), size=cache.size(scratch), tree=tree, executable=executable,
        executable_size=state.st_size, executable_mtime_ns=state.st_mtime_ns,
        sha256=releases.sha256_of(executable), version=answer.version,
        implementation=answer.implementation, compiler=wanted.toolchain["compiler"],
        changed_files=tuple(sorted(changed)), facts=placeless(answer.facts, tree), place=str(final),
        toolchain=wanted.toolchain, pyconfig=outcome.defines(tree), libraries=_libraries(tree),
        missing=tuple(sorted(name for name, state in (answer.modules or {}).items() if state == "missing")),
    ))
    cache.install(scratch, wanted.key)
    known = cache.load(wanted.key)
    if known is None:
        raise BuildError(f"{wanted.label} vanished from {final} as soon as it was built")
    return known


def _prepare(wanted: Plan, tree: Path, progress: Progress) -> Sequence[str]:
    """Put the edited source into `tree`, built already where that is possible; returns the files edited."""
    if not wanted.edits:
        wanted.source.unpack(tree, progress)
        _drop_products(tree)
        return ()
    base = wanted.unedited()
    built = cache.load(base.key)
    # Against the source first: a variant that does not fit is told before minutes are spent on compiling.
    if built is None:
        wanted.source.unpack(tree, progress)
        _drop_products(tree)
    progress(f"applying {' and '.join(edit.name for edit in wanted.edits)}")
    contents = edits.apply(wanted.edits, built.tree if built is not None else tree)
    if compiling.is_incremental(wanted.spec, contents):
        if built is None:
            shutil.rmtree(tree)
            built = _make(base, progress)
        progress(f"copying the build of {base.label}")
        compiling.copy(built.tree, tree)
        edits.write(contents, tree)
        compiling.touch_includers(tree, contents)
    else:
        if built is not None:
            wanted.source.unpack(tree, progress)
            _drop_products(tree)
        edits.write(contents, tree)
    return sorted(contents)


def _drop_products(tree: Path) -> None:
    # A tarball of a used tree, or products that somebody committed: never mix them with ours.
    if (tree / "Makefile").is_file() or (tree / "pyconfig.h").is_file():
        for file in [path for path in tree.rglob("*") if path.is_file() or path.is_symlink()]:
            if sources.is_product(str(file.relative_to(tree))):
                file.unlink()


def _libraries(tree: Path) -> Mapping[str, tuple[str, ...]]:
    return outcome.libraries(farm.extensions(tree)) if (tree / "pybuilddir.txt").is_file() else {}


def placeless(facts: Mapping[str, str], tree: Path) -> dict[str, str]:
    """Facts without the place of the tree, which clang's PGO flags contain: it would differ between any two builds."""
    return {name: value.replace(str(tree), ".") for name, value in facts.items()}
