"""The order of steps of `lockstep export --format asv`, and of `--record` of `ab` and `continuous`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv.repo import get_repo
from asv.util import ProcessError

from runner import builds, config, machine, suites
from runner.errors import UsageError
from runner.jobs import continuing
from runner.model import Arm, Benchmark, Block, Cause, Interpreter, Metric
from runner.stats.blocks import calls_of, evidence, scored, values
from runner.storage import asv_results, origin, store
from runner.storage.asv_results import OPTIONS, VARIANT, Measured, Record, Series, Value
from runner.suites import asv_conf, asv_project

_NO_BUILD = "asv files results by commit, and {} is no build of Lockstep's; it cannot be added to asv's results."
_A_LAYOUT = "asv would take {} for the build as make links it; it cannot be added to asv's results."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was put into asv's store."""

    files: tuple[Path, ...]
    """The two arms' files, base's first, then the file of the benchmarks."""
    left: tuple[str, ...]
    """Benchmarks that were left out, each with the reason."""


def record(folder: Path, asked: Path | None) -> Recorded:
    """Add a run to the results folder that an asv.conf.json names: one file for each of its two arms.

    None: that of the project whose commits were compared, else `configuration`'s. Raises UsageError for a run that does
    not belong there: an interpreter that is neither a build nor has a commit installed, a build of which the repository
    has no commit, a suite that is gone, a run that was sent here; and for what asv cannot do with its configuration: a
    file that it cannot read, a branch that the repository lacks, no type of environment.
    """
    origin.refuse(folder, "Export it there; the other formats need nothing but the run.")
    run = store.read(folder)
    installed = run.manifest.head.installed
    with asv_project.inside(configuration(asked) if asked or installed is None else installed.configuration) as conf:
        repository = get_repo(conf)
        series = {arm: _series(conf, repository, _arm(run, arm)) for arm in Arm}
        records, measured, left = _records(run)
        blocks = run.by_benchmark()
        results = Path(conf.results_dir).resolve()
        facts = machine.describe()
        fingerprint = str(run.manifest.machine.get("fingerprint"))
        described = asv_results.machine_of(run.manifest.machine, here=fingerprint == facts["fingerprint"])
        described = asv_results.own_name(results, described, fingerprint)
        # The benchmarks first: results of which asv does not know the benchmark are passed over.
        known = asv_results.describe(results, list(records.values()))
        files = [
            asv_results.add(results, described, series[arm], [
                _measured(records[name], there, blocks, arm) for name, there in _by_name(measured)
            ])
            for arm in Arm
        ]
    return Recorded(files=(*files, known), left=tuple(left))


def check(specs: Sequence[str]) -> None:
    """See, before anything is measured, that a run of these interpreters could be recorded. Raises UsageError."""
    configuration(None)
    for text in specs:
        spec = builds.parse(text)
        if spec is None:
            raise UsageError(_NO_BUILD.format(text))
        if spec.layout is not None:
            raise UsageError(_A_LAYOUT.format(text))


def _arm(run: store.Run, arm: Arm) -> Interpreter:
    return run.manifest.base if arm is Arm.BASE else run.manifest.head


def _series(conf: Any, repository: Any, interpreter: Interpreter) -> Series:
    there = interpreter.installed
    if there is not None:
        return Series(
            commit=there.commit, date=repository.get_date(there.commit), environment=there.environment,
            python=there.python, requirements=there.requirements,
        )
    build = interpreter.build
    if build is None:
        raise UsageError(_NO_BUILD.format(interpreter.spec))
    if build.layout is not None:
        raise UsageError(_A_LAYOUT.format(interpreter.spec))
    spec = builds.parse(interpreter.spec)
    options = spec.options if spec is not None else ""
    exact, source = builds.trees_of(build)
    commits = _commits(repository, conf.branches)
    own = interpreter.commit
    # Several commits may have one content, such as one and what takes its successor back: first the one that was named.
    commit = own.hash if own is not None and _tree(repository, own.hash) in exact else next(
        (commits[tree] for tree in exact if tree in commits), None)
    variant = ""
    if commit is None:
        commit = next((commits[tree] for tree in source if tree in commits), None)
        variant = "+".join(build.edits)
    found = None if commit is None else _environment(conf, variant, options)
    if commit is None or found is None:
        raise UsageError(
            f"{conf.repo} has no commit that is {interpreter.spec}, or its matrix no environment. `make source-repo`"
            f" makes a repository of a release and its variants; the matrix may name a {VARIANT} and {OPTIONS}."
        )
    return Series(
        commit=commit, date=repository.get_date(commit), environment=found.name, python=found.python,
        requirements=dict(found.requirements),
    )


def _environment(conf: Any, variant: str, options: str) -> Any | None:
    """The environment of the matrix in which `asv run` would measure the same."""
    for one in asv_project.environments(conf, None, verbose=False):
        name, words = (one.requirements.get(key) or "" for key in (VARIANT, OPTIONS))
        # A variant that changes nothing is the source as it is.
        plain = not name or not builds.changes(name)
        if words == options and (name == variant or (plain and not variant)):
            return one
    return None


def _commits(repository: Any, branches: Sequence[str]) -> dict[str, str]:
    """The commit that has each tree: the newest on the configured branches, else the newest of all."""
    found: dict[str, str] = {}
    for which in ([*branches], ["--all"]):
        told = repository._run_git(["log", "--format=%T %H", *[one for one in which if one], "--"], dots=False)
        for line in told.splitlines():
            tree, commit = line.split()
            found.setdefault(tree, commit)
    return found


def _tree(repository: Any, commit: str) -> str:
    """git's hash of a commit's content; empty where the repository has no such commit."""
    try:
        told: str = repository._run_git(
            ["rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}"], dots=False, display_error=False)
    except ProcessError:
        return ""
    return told.strip()


def _records(run: store.Run) -> tuple[dict[str, Record], list[Benchmark], list[str]]:
    """asv's description of the run's benchmarks, by name, as the suite has them now; the benchmarks, placed in its
    lists; and what was left out."""
    executable = next((path for path in (run.manifest.head.executable, run.manifest.base.executable)
                       if path.exists()), None)
    if executable is None:
        raise UsageError(f"no interpreter of {run.folder.name} is there any more, and one must describe the suite.")
    found = suites.open(run.manifest.suite).discover(executable, continuing.environment(run.manifest))
    if found.benchmarks and not found.records:
        raise UsageError(f"{run.manifest.suite} is no suite of asv's, and asv's store is for those alone.")
    placed = {benchmark.key: benchmark for benchmark in found.benchmarks}
    records, measured, left = {}, list[Benchmark](), []
    for name, there in _by_name(run.manifest.benchmarks):
        now = [placed[one.key] for one in there if one.key in placed]
        if len(now) < len(there):
            gone = "" if not now else f", with {len(there) - len(now)} of its {len(there)} parameters,"
            left.append(f"{name}{gone} is not in the suite any more")
        if now and now[0].version != there[0].version:
            left.append(f"{name} has changed since it was measured")
        elif now:
            records[name] = found.records[name]
            measured += now
    return records, measured, left


def _by_name(benchmarks: Iterable[Benchmark]) -> list[tuple[str, list[Benchmark]]]:
    ordered = sorted(benchmarks, key=lambda one: one.name)
    return [(name, list(there)) for name, there in itertools.groupby(ordered, key=lambda one: one.name)]


def _measured(
    record: Record, benchmarks: Sequence[Benchmark], blocks: dict[str, list[Block]], arm: Arm
) -> Measured:
    all_blocks = [block for benchmark in benchmarks for block in blocks[benchmark.key]]
    return Measured(
        record=record, values=tuple(_value(benchmark, blocks[benchmark.key], arm) for benchmark in benchmarks),
        started=min((block.started for block in all_blocks), default=0.0),
        seconds=sum(block.seconds for block in all_blocks),
    )


def _value(benchmark: Benchmark, blocks: Sequence[Block], arm: Arm) -> Value:
    there = scored(blocks)
    failure = evidence(benchmark.metric, blocks).failure
    skipped = failure is not None and failure.cause is Cause.SKIPPED
    samples = () if failure is not None or not there else tuple(values(benchmark.metric, there, arm).tolist())
    timed = benchmark.metric is Metric.TIME and bool(samples)
    return Value(
        index=benchmark.index, samples=samples, calls=calls_of(there[0], arm) if timed else None, skipped=skipped)


def usual() -> Path | None:
    """asv's configuration where none is named: a checkout's own, else that of the folder where the user is.

    None where there is none. Raises UsageError as `asv_conf.configuration` does.
    """
    return asv_conf.configuration(_project())


def configuration(path: Path | None) -> Path:
    """asv's configuration: what the user says, else the `usual` one. Raises UsageError where there is none."""
    chosen = path if path is not None else usual()
    if chosen is None or not chosen.is_file():
        missing = chosen or _project() / asv_conf.NAMES[0]
        raise UsageError(f"there is no {missing}; name asv's configuration by --config.")
    return chosen


def _project() -> Path:
    return config.ROOT if config.CHECKOUT else Path.cwd()
