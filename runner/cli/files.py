"""Commands about result files of other programs: `compare` and `import`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner import config
from runner.cli import targets
from runner.cli.app import UNKNOWN, Color, Margin, Strict, Verbose, command
from runner.cli.printing import output
from runner.model import Verdict

if TYPE_CHECKING:
    from runner.judging.unpaired import Unpaired


def paths_of(words: str) -> tuple[Path, ...]:
    """Files that are named with commas between them; a file whose own name has commas is one."""
    if os.path.exists(words):  # which a dozen names together are too long for
        return (Path(words),)
    return tuple(Path(one) for one in words.split(",") if one)


@command(examples="""\
lockstep compare 3.13.0.json 3.13.1.json                    two result files
lockstep compare a1.json,a2.json,a3.json b1.json,b2.json,b3.json      three sessions of each
lockstep compare old.json.gz new.json.gz --margin 2% -v     with what is the same""")
def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A result file, or several with commas between them.")],
    head: Annotated[str, typer.Argument(metavar="HEAD", help="Those of the build that is compared with it.")],
    margin: Margin = "1%",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON too; - is standard output.")
    ] = None,
    strict: Strict = False,
    verbose: Verbose = False,
    color: Color = "auto",
) -> int:
    """Compare result files of pyperf or pyperformance, beside what `pyperf compare_to` says.

    Such results are not paired: the two builds were measured one after the other. Exit code as of `ab`.
    """
    from runner.jobs.compare_files import compare_files
    from runner.report import files as report

    targets.check([("--json", json)])
    done = compare_files(paths_of(base), paths_of(head), margin)
    output.whole(report, done.report, done.said, verbose=verbose)
    if done.problem:
        output.problem(done.problem)
    if json is not None:
        targets.write(json, report.json(done.report, done.said))
    return _exit_code(done.report, strict=strict)


@command(name="import", examples="""\
lockstep import py313.json                                  as build py313
lockstep import a.json b.json.gz --build 3.13.0             several files of one build
lockstep import new.json --build main --commit 0123abc      of a commit""")
def import_(
    files: Annotated[list[Path], typer.Argument(
        metavar="FILE...", help="Result files of one build, by pyperf or pyperformance.", show_default=False)],
    build: Annotated[
        str, typer.Option("--build", metavar="NAME", help="What the build is called; default: as the file.")] = "",
    commit: Annotated[str, typer.Option("--commit", metavar="HASH", help="The commit that it was built from.")] = "",
    machine: Annotated[str, typer.Option(
        "--machine", metavar="NAME", help="The machine, where the files' host name is none that lasts.")] = "",
    margin: Margin = "1%",
    out: Annotated[Path | None, typer.Option(
        "--out", metavar="FOLDER", help=f"Folder of imported results; by default {config.imports_folder(None)}.",
    )] = None,
    verbose: Verbose = False,
    color: Color = "auto",
) -> int:
    """Keep result files of pyperf or pyperformance as a point of a history that is not paired.

    What is imported is a series of its own, for each machine and version of the benchmarks, and is compared with the
    point before it.
    """
    from runner.jobs.import_files import ImportRequest, import_files
    from runner.report import files as report

    done = import_files(ImportRequest(
        files=tuple(files), build=build, commit=commit, machine=machine, folder=config.imports_folder(out),
        margin=margin))
    for problem in done.problems:
        output.problem(f"problem: {problem}")
    if done.against is not None:
        output.whole(report, done.against, {}, verbose=verbose)
    named = f" on {done.imported.machine}" if done.imported.machine else ""
    first = ", the first of its series" if done.against is None else ""
    output.line(f"imported {done.imported.build}{named}{first}: {done.path}")
    output.next("lockstep publish", "a site that shows it")
    return 0


def _exit_code(report: Unpaired, *, strict: bool) -> int:
    if report.count(Verdict.SLOWER):
        return 1
    return 3 if strict and any(map(report.count, UNKNOWN)) else 0
