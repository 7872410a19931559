"""Where a benchmark's noise comes from, and what each arm does in a call: of a finished run, or of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner import builds, config, machine, suites
from runner.errors import LockstepError, MachineError, UsageError
from runner.jobs import continuing
from runner.jobs.ab import AbRequest, Finished, View, compare_arms
from runner.judging import compare
from runner.judging.explanation import Explanation, Spread, explained
from runner.judging.report import Report
from runner.machine.tools import valgrind
from runner.measuring import callgrind
from runner.measuring.copies import scratch
from runner.measuring.counts import Counter, Counts, Setting
from runner.model import Benchmark, Verdict
from runner.report import explain as words
from runner.stats.variance import noise
from runner.storage import explanations, origin, store

LAYOUTS, REPEATS = 6, 6
"""Layouts, and blocks of each, where layouts can be told apart."""
BLOCKS = 24
"""Blocks in scope ``binary``."""
COUNTED = 3
"""Benchmarks whose work is counted where none was asked for by name: it takes up to half a minute each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """An explanation as the user asked for it."""

    base: str
    """Or, without a head, a run: an id or the beginning of it, its folder, or ``last``."""
    head: str | None = None
    suite: str | None = None
    pattern: str | None = None
    scope: str = "auto"
    out: Path | None = None
    seed: int | None = None
    wait: bool = True
    """Wait for another run on this machine to end, or refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainFinished:
    """What was found, and the run that it was found in."""

    explanation: Explanation
    finished: Finished | None
    """The run that was measured for it; None for a run that was there."""
    interrupted: bool
    """Measuring or counting was ended by the user."""


def explain(request: ExplainRequest, view: View) -> ExplainFinished:
    """Explain the benchmarks that match, after measuring them where two interpreters were named.

    Noise comes from the run's blocks; a new run has the same number of blocks for every benchmark, several for each
    layout in scope ``source``. Then the work of each is counted; whatever keeps that from happening is told in the
    explanation, which has the rest. Raises UsageError, BuildError or MachineError as `ab` does.
    """
    if request.head is None:
        folder = store.find(config.runs_folder(request.out), request.base)
        _chosen(store.read(folder), request.pattern)
        with machine.alone(wait=request.wait, told=view.say):
            explanation, interrupted = _explanation(folder, request, view)
        return ExplainFinished(explanation=explanation, finished=None, interrupted=interrupted)
    if request.pattern is None:
        raise UsageError("a new run for an explanation needs -b with the benchmarks to explain: each of them takes "
                         "about a minute. Name a finished run to explain all of its noise.")
    machine.supported()
    suites.open(request.suite)
    with machine.alone(wait=request.wait, told=view.say):
        environment = config.environment()
        base, head = builds.resolve_all([request.base, request.head], progress=view.phase, environment=environment)
        source = request.scope != "binary" and base.build is not None and head.build is not None
        finished = compare_arms(AbRequest(
            base=request.base, head=request.head, suite=request.suite, pattern=request.pattern, scope=request.scope,
            out=request.out, seed=request.seed, repeats=REPEATS, blocks=LAYOUTS * REPEATS if source else BLOCKS,
        ), base, head, view)
        explanation, interrupted = _explanation(finished.folder, request, view, count=not finished.interrupted)
    return ExplainFinished(
        explanation=explanation, finished=finished, interrupted=finished.interrupted or interrupted)


def _explanation(
    folder: Path, request: ExplainRequest, view: View, *, count: bool = True
) -> tuple[Explanation, bool]:
    """What is known of a run that was measured, and whether counting was interrupted."""
    run = store.read(folder)
    report = compare.report(run)
    chosen = _chosen(run, request.pattern)
    problems: list[str] = []
    counts: dict[str, Counts] = {}
    interrupted = False
    if count:
        interrupted = _count(run, _counted(report, chosen, request.pattern, problems), counts, problems, view)
    view.phase("looking for what layout does")
    spreads = _spreads(folder.parent, run, chosen)
    explanation = Explanation(
        report=report, problems=tuple(problems),
        explained=tuple(explained(c, counts.get(c.key), spreads.get(c.key)) for c in report.comparisons
                        if c.key in chosen),
        layouts_possible=run.manifest.base.build is not None and run.manifest.head.build is not None,
    )
    _keep(folder, explanation, view)
    return explanation, interrupted


def _keep(folder: Path, explanation: Explanation, view: View) -> None:
    """Put what was counted into the run's folder, for its page; a folder that cannot be written is no error."""
    counted = [words.kept(one, explanation) for one in explanation.explained if one.counts is not None]
    if not counted:
        return
    try:
        explanations.add(folder, counted)
    except (MachineError, UsageError) as error:
        view.say(f"warning: what was found is not kept for the run's page: {error}")


def _chosen(run: store.Run, pattern: str | None) -> dict[str, Benchmark]:
    """The run's benchmarks that match, by key. Raises UsageError when none does."""
    found = suites.Found(benchmarks=run.manifest.benchmarks, problems=())
    return {benchmark.key: benchmark for benchmark in suites.select(found, found, pattern).benchmarks}


def _counted(
    report: Report, chosen: Mapping[str, Benchmark], pattern: str | None, problems: list[str]
) -> list[Benchmark]:
    """Those whose work is counted: all that were asked for by name, else the first few that changed."""
    usable = [c for c in report.comparisons if c.key in chosen and c.compared]
    if pattern is None and len(usable) > COUNTED:
        usable = [c for c in usable if c.verdict in (Verdict.FASTER, Verdict.SLOWER)][:COUNTED]
        which = "the first that changed" if usable else "none: nothing changed"
        problems.append(f"Work was counted for {which}; with -b REGEX it is counted for all that match.")
    return [chosen[c.key] for c in usable]


def _count(
    run: store.Run, benchmarks: list[Benchmark], counts: dict[str, Counts], problems: list[str], view: View
) -> bool:
    """Add the counts of each benchmark, or why there are none; return whether that was interrupted."""
    manifest = run.manifest
    if not benchmarks:
        return False
    try:
        origin.refuse(run.folder, "Explain it there, and upload it again.")
        continuing.check_suite(manifest)
        environment = continuing.environment(manifest)
        for arm in (manifest.base, manifest.head):
            builds.check(arm, progress=view.phase, environment=environment)
        suite = suites.open(manifest.suite)
    except LockstepError as error:
        problems.append(f"Work was not counted: {error}")
        return False
    program = callgrind.find()
    if program is None:
        finding = valgrind()
        get = f"To get it: {finding.command}" if finding.command else "See https://valgrind.org."
        problems.append(f"Instructions were not counted: valgrind was not found. {get}")
    with scratch() as place:
        counter = Counter(Setting(
            base=manifest.base, head=manifest.head, suite=suite,
            environment=environment, memory_limit=manifest.memory_limit, scratch=place,
        ), program)
        try:
            for benchmark in benchmarks:
                counts[benchmark.key] = counter.count(benchmark, view.phase)
        except KeyboardInterrupt:
            problems.append(f"Counting was interrupted: the work of {len(counts)} of {len(benchmarks)} was counted.")
            return True
        except UsageError as error:  # a run of an older version
            problems.append(f"Work was not counted: {error}")
    return False


def _spreads(root: Path, run: store.Run, chosen: Mapping[str, Benchmark]) -> dict[str, Spread]:
    """What layouts do to these benchmarks: from the run itself, else from the newest run here that had layouts apart.

    Another run counts if it is of this machine and this version of the benchmark, and one of its arms was made from the
    source of one of this run's arms.
    """
    found = _spreads_of(run, chosen)
    sources = _sources(run)
    for path in sorted(root.glob(f"*/{store.MANIFEST}"), reverse=True):
        if len(found) == len(chosen):
            break
        try:
            # Most runs have no layouts apart: their blocks are not worth reading.
            if path.parent == run.folder or '"scope": "source"' not in path.read_text("utf-8"):
                continue
            other = store.read(path.parent)
        except (OSError, LockstepError):
            continue
        versions = {b.key: b.version for b in other.manifest.benchmarks}
        wanted = {key: b for key, b in chosen.items() if key not in found and versions.get(key) == b.version}
        same = other.manifest.machine.get("cpu") == run.manifest.machine.get("cpu")
        if wanted and same and other.manifest.repeats > 1 and sources & _sources(other):
            found |= _spreads_of(other, wanted)
    return found


def _sources(run: store.Run) -> set[str]:
    return {arm.build.source_hash for arm in (run.manifest.base, run.manifest.head) if arm.build is not None}


def _spreads_of(run: store.Run, chosen: Mapping[str, Benchmark]) -> dict[str, Spread]:
    if run.manifest.scope != "source" or run.manifest.repeats < 2:
        return {}
    found, blocks = {}, run.by_benchmark()
    for key in chosen:
        components = noise(blocks[key])
        if components is not None and components.spread is not None:
            found[key] = Spread(spread=components.spread, run=run.manifest.id)
    return found
