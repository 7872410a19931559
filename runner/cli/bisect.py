"""Commands that measure commits of a repository: `bisect` and `backfill`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli.app import (
    Budget,
    Color,
    Cpus,
    Margin,
    MemoryLimit,
    NoWait,
    Pattern,
    Strict,
    Suite,
    Values,
    Variables,
    Verbose,
    check_scope,
    check_values,
    command,
    suite_of,
    variables,
)
from runner.cli.app import Out as Runs
from runner.cli.printing import output
from runner.errors import UsageError
from runner.model import Verdict

if TYPE_CHECKING:
    from runner.storage.bisects import Stored

Repository = Annotated[str, typer.Option(
    "--repo", metavar="FOLDER", help="The clone whose commits are meant; default: this folder.",
)]
Options = Annotated[str, typer.Option(
    "--configuration", metavar="OPTIONS", help="What commits are built with: `pgo&lto&debug&configure=--flag`.",
)]
Scope = Annotated[str, typer.Option(metavar="auto|binary|source", help="What the verdicts are about.")]
OF_A_NEW_ONE = (
    "good", "bad", "repository", "pattern", "suite", "configuration", "margin", "budget", "scope", "memory_limit",
    "values", "env",
)
"""Parameters of `bisect` that a search keeps from its beginning."""


@command(examples="""\
lockstep bisect v3.13.0 main -b json --repo ~/cpython     what has changed the benchmarks of json?
lockstep bisect main~40 main -b 'time_sort$' --configuration 'pgo&lto'
lockstep bisect --resume last                             go on after Ctrl-C or a crash""")
def bisect(
    context: typer.Context,
    good: Annotated[str | None, typer.Argument(
        metavar="[GOOD]", help="The older commit: a branch, tag or hash. All are compared with this one.",
    )] = None,
    bad: Annotated[str | None, typer.Argument(
        metavar="[BAD]", help="The newer commit, which is slower, or faster: it does not matter.",
    )] = None,
    repository: Repository = ".",
    pattern: Pattern = None,
    suite: Suite = None,
    configuration: Options = "",
    margin: Margin = "1%",
    budget: Budget = None,
    scope: Scope = "auto",
    memory_limit: MemoryLimit = None,
    values: Values = "compare",
    env: Variables = None,
    resume: Annotated[str | None, typer.Option(
        "--resume", metavar="SEARCH", help="Go on with a search: its id or the beginning of it, its folder, or `last`.",
    )] = None,
    out: Annotated[Path | None, typer.Option(
        "--out", metavar="FOLDER", help=f"Folder of searches; by default {config.bisects_folder(None)}.",
    )] = None,
    strict: Strict = False,
    verbose: Verbose = False,
    cpus: Cpus = None,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """Find the commits between GOOD and BAD that made benchmarks slower, or faster.

    Both ends are compared; then, for each benchmark that differs, a commit at a time, as `git bisect` does. A budget is
    that of each of these duels. A commit that cannot be built or measured is passed over; one at which the benchmark
    does not end counts as slow. The search of a benchmark ends in a wrong commit with a probability of 5 % at most, and
    the commit is measured afresh against its parent.

    Exit code: 0 nothing became slower, 1 a regression, 2 bad usage or input, 3 something is undecided, failed or not
    found in one commit (with --strict), 4 the machine or a build of an end failed, 70 a fault of Lockstep's own,
    130 interrupted (--resume goes on).
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import bisect as job
    from runner.report import bisect as report
    from runner.storage import bisects

    if resume is not None:
        given = [param for param in context.command.params if param.name in OF_A_NEW_ONE
                 and (source := context.get_parameter_source(param.name)) is not None and source.name == "COMMANDLINE"]
        if given:
            words = [param.opts[0] if param.opts[0].startswith("-") else param.opts[0].upper() for param in given]
            raise UsageError(f"--resume goes on with a search as it was begun; leave out {' and '.join(words)}.")
        with Terminal() as view:
            done = job.go_on_with(bisects.find(config.bisects_folder(out), resume), view, wait=not no_wait)
    else:
        if good is None or bad is None:
            raise UsageError("two commits are needed: lockstep bisect GOOD BAD -b BENCH. The older one comes first.")
        check_scope(scope)
        check_values(values)
        request = job.BisectRequest(
            good=good, bad=bad, repository=repository, pattern=pattern, suite=suite_of(suite),
            configuration=configuration, margin=margin, budget=budget, scope=scope, memory_limit=memory_limit,
            values=values, environment=variables(env or ()), out=out, wait=not no_wait,
        )
        with Terminal() as view:
            done = job.bisect(request, view)
    if done.interrupted:
        output.line(f"interrupted; go on with: lockstep bisect --resume {_name_of(done.folder)}")
        return 130
    output.whole(report, done.stored, verbose=verbose)
    output.line(f"search: {done.folder}")
    return _exit_code(done.stored, strict=strict)


def _name_of(folder: Path) -> str:
    return folder.name if folder.parent == config.bisects_folder(None) else shlex.quote(str(folder))


def _exit_code(stored: Stored, *, strict: bool) -> int:
    findings = stored.findings or ()
    if any(finding.verdict is Verdict.SLOWER and finding.count for finding in findings):
        return 1
    open_ends = (Verdict.UNDECIDED, Verdict.FAILED, Verdict.ONLY_IN_BASE, Verdict.ONLY_IN_HEAD)
    lacking = any(finding.count > 1 or (not finding.count and finding.verdict in open_ends) for finding in findings)
    return 3 if strict and lacking else 0


@command(examples="""\
lockstep backfill v3.13.0..main --anchor cpython@3.13.0 --watch main --repo ~/cpython --every 20
lockstep backfill main~30..main --anchor cpython@3.13.0 --watch main --repo ~/cpython -b json""")
def backfill(
    range_: Annotated[str, typer.Argument(
        metavar="RANGE", help="OLDER..NEWER: the commits after the one, up to the other, on its line of first parents.",
    )],
    anchor: Annotated[str, typer.Option(metavar="INTERPRETER", help="What every commit is compared with, such as "
                                        "`cpython@3.13.5`; it gets the configuration too.")],
    watch: Annotated[str, typer.Option(metavar="NAME", help="What is watched, whose history is filled.")],
    every: Annotated[int, typer.Option(metavar="NUMBER", help="Every so many commits; the newest is one.")] = 1,
    repository: Repository = ".",
    pattern: Pattern = None,
    suite: Suite = None,
    configuration: Options = "",
    edits: Annotated[list[str] | None, typer.Option(
        "--edit", metavar="VARIANT|PATCH", help="What every commit gets, as `edits` of what is watched; several times.",
    )] = None,
    margin: Margin = "1%",
    blocks: Annotated[int | None, typer.Option(
        metavar="NUMBER", help="Blocks of every benchmark, 6 to 160; default: 6.")] = None,
    scope: Scope = "auto",
    memory_limit: MemoryLimit = None,
    values: Values = "compare",
    env: Variables = None,
    out: Runs = None,
    cpus: Cpus = None,
    no_wait: NoWait = False,
    color: Color = "auto",
) -> int:
    """Fill a history: measure older commits against its anchor, oldest first.

    Commits that the history has are left out, and those that cannot be built are passed over; so it can be
    interrupted and started again at any time.

    Exit code: 0, whatever became slower or faster; 2 bad usage or input, 4 the machine, the anchor's build or the
    builds of all commits failed, 70 a fault of Lockstep's own, 130 interrupted.
    """
    from runner.cli.terminal import Terminal
    from runner.jobs import backfill as job
    from runner.stats.decide import LOOKS

    check_scope(scope)
    check_values(values)
    if every < 1:
        raise UsageError(f"--every {every}: it is 1 or more.")
    if blocks is not None and not LOOKS[0] <= blocks <= LOOKS[-1]:
        raise UsageError(f"--blocks {blocks}: it is {LOOKS[0]} to {LOOKS[-1]}; fewer say nothing.")
    request = job.BackfillRequest(
        range=range_, anchor=anchor, watch=watch, every=every, repository=repository, pattern=pattern,
        suite=suite_of(suite), configuration=configuration, edits=tuple(map(_edit, edits or ())), margin=margin,
        blocks=blocks or job.BLOCKS, scope=scope,
        memory_limit=memory_limit, values=values, environment=variables(env or ()), out=out, wait=not no_wait,
    )
    with Terminal() as view:
        done = job.backfill(request, view)
    for folder in done.measured:
        output.line(str(folder))
    output.line(f"{len(done.measured)} measured, {done.there} there before, {len(done.passed_over)} passed over, "
                f"{done.left} left")
    if done.interrupted:
        output.line("interrupted; the same command goes on")
        return 130
    return 4 if done.passed_over and not done.measured and not done.there else 0


def _edit(text: str) -> str:
    """A variant's name, or a patch by its whole path, as the nights of a watch name it."""
    return str(Path(text).absolute()) if Path(text).is_file() else text
