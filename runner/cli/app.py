"""The application: its options' types, and what commands share in printing and exiting."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from runner import config
from runner.errors import LockstepError, UsageError
from runner.model import Verdict

# scipy, pandas and matplotlib take seconds to import, so each command imports what it uses: `--help`,
# `doctor` and `build` answer at once.
if TYPE_CHECKING:
    from runner.jobs import Finished
    from runner.judging.compare import Report


class Interrupted(LockstepError):
    """Ctrl-C or SIGTERM outside of measuring, where there is nothing to report."""

    exit_code = 130


ORDER = (
    "doctor", "build", "source-repo", "ab", "continuous", "resume", "show", "explain", "combine", "export", "publish",
    "calibrate",
)
"""The commands in the order in which a newcomer meets them."""


class Commands(TyperGroup):
    """The commands. An interruption gets words here, because typer makes a bare exit code of it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; nothing was measured by this command.") from error


app = typer.Typer(
    name="lockstep", cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Compares two Python interpreters and says what became faster or slower, and how sure that is.\n\n"
    "Start with `lockstep doctor` (what this machine can do) and `lockstep ab BASE HEAD`.",
)

INTERPRETER = (
    "A path (`./python`), a command (`python3.12`), or a build that Lockstep makes: `cpython@3.13.5`, "
    "`cpython@3.13.5+nocow`, `cpython@3.13.5+fix.patch`, `git:DIR_OR_URL@REF`, `dir:SOURCE_TREE`, `tar:FILE`; "
    "builds take options: `?pgo&lto&debug&configure=--flag`."
)
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
WIDEST = 140
"""Columns: longer lines are hard to read."""
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def margin_of(value: str) -> float:
    match = re.fullmatch(r"\s*([0-9.]+)\s*(%?)\s*", value)
    try:
        margin = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    except ValueError:
        margin = -1.0
    if not 0 < margin < 1:
        raise typer.BadParameter(f"{value!r} is not a margin; write a percentage such as 1% (or a fraction, 0.01).")
    return margin


def budget_of(value: str) -> float:
    parts = re.findall(r"([0-9.]+)\s*([smh])", value)
    try:
        budget = sum(float(number) * UNITS[unit] for number, unit in parts)
    except ValueError:
        budget = 0.0
    if budget <= 0 or re.sub(r"[0-9.]+\s*[smh]|\s", "", value):
        raise typer.BadParameter(f"{value!r} is not a time; write for example 90s, 10m or 1h30m.")
    return budget


def size_of(value: str) -> int:
    match = re.fullmatch(r"([0-9.]+)\s*([kmg]?)(i?b)?", value.strip().lower())
    try:
        size = int(float(match[1]) * SIZES[match[2]]) if match else 0
    except ValueError:
        size = 0
    if size <= 0:
        raise typer.BadParameter(f"{value!r} is not a size; write for example 4GiB or 800MiB.")
    return size


Suite = Annotated[
    str | None, typer.Option(help="A folder of asv benchmarks, or `bytesio`; default: the one that asv.conf.json in "
                             "this folder names, else `bytesio`.")
]
Pattern = Annotated[
    str | None, typer.Option("-b", "--bench", metavar="REGEX", help="Only benchmarks whose name matches.")
]
Margin = Annotated[
    Any, typer.Option(parser=margin_of, metavar="PERCENT", help="The smallest change that matters to you.")
]
Budget = Annotated[
    Any, typer.Option(parser=budget_of, metavar="TIME", help="Time to measure: 10m; default: until settled.")
]
MemoryLimit = Annotated[
    Any, typer.Option(parser=size_of, metavar="SIZE", help="Memory that a benchmark may use, such as 4GiB.")
]
Values = Annotated[
    str, typer.Option(metavar="compare|ignore", help="What calls return in the two arms must be equal, or not.")
]
Run = Annotated[str, typer.Argument(help="A run's id or the beginning of it, its folder, or `last`.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for run folders (default: the project's data/runs).")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON to this file too.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Write a Markdown report, for a pull request.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as one self-contained HTML file.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="List the benchmarks that are the same, too.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 when something is undecided or failed.")]
Configuration = Annotated[
    Path | None, typer.Option("--config", help="asv's configuration (default: the project's asv.conf.json).")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Refuse when another run measures on this machine.")]


def suite_of(asked: str | None) -> str | None:
    """The suite that is asked for, else that of the project of asv's in this folder; None: Lockstep's own."""
    if asked is not None:
        return asked
    from runner import suites
    from runner.suites import asv_conf

    configuration = asv_conf.configuration(Path.cwd())
    folder = None if configuration is None else asv_conf.benchmark_dir(configuration)
    if folder is None or folder == Path(suites.open(None).place):
        return None
    Console(stderr=True).print(f"the benchmarks are those that {configuration} names: {folder}", soft_wrap=True,
                               highlight=False, markup=False)
    return str(folder)


def check_values(values: str) -> None:
    """Raises UsageError for a word that says nothing of values."""
    if values not in ("compare", "ignore"):
        raise UsageError(f"--values {values}: it is compare or ignore.")


def check_scope(scope: str) -> None:
    """Raises UsageError for a word that is no scope."""
    if scope not in ("auto", "binary", "source"):
        raise UsageError(f"--scope {scope}: it is auto, binary or source.")


def close(finished: Finished, *, verbose: bool, strict: bool, files: tuple[Path | None, ...]) -> int:
    from runner import jobs
    from runner.cli.terminal import Terminal

    print_report(finished.report, verbose)  # before the files, which a full disk may refuse
    with Terminal() as view:
        view.phase("writing the report")
        page = jobs.save(finished)
    write_files(finished.report, files)
    out = Console()
    out.print(f"page: {page}", soft_wrap=True, highlight=False)
    if finished.interrupted:
        # By its path where the id alone would not find it.
        known = finished.folder.parent == config.runs_folder(None)
        run = finished.folder.name if known else shlex.quote(str(finished.folder))
        out.print(f"interrupted; go on with: lockstep resume {run}", soft_wrap=True, highlight=False)
        return 130
    return exit_code(finished.report, strict)


def record(folder: Path, configuration: Path | None) -> None:
    """Add a run to asv's results, and say where and what was left out."""
    from runner.cli.terminal import Terminal
    from runner.jobs import record as job

    with Terminal() as view:
        view.phase("adding to asv's results")
        done = job.record(folder, configuration)
    out = Console()
    for path in done.files:
        out.print(str(path), soft_wrap=True, highlight=False)
    for line in done.left:
        out.print(f"left out: {line}", soft_wrap=True, highlight=False, markup=False)


def present(report: Report, *, verbose: bool, strict: bool, files: tuple[Path | None, ...]) -> int:
    """Print a report, write the files that were asked for, and return the exit code."""
    print_report(report, verbose)
    write_files(report, files)
    return exit_code(report, strict)


def print_report(report: Report, verbose: bool) -> None:
    from runner.report import text

    print_whole(text, report, verbose=verbose)


def print_whole(renderer: Any, *what: object, **options: object) -> None:
    console = Console()
    color = console.is_terminal and not console.no_color
    sys.stdout.write(renderer.render(*what, width=min(console.width, WIDEST), color=color, **options))
    sys.stdout.flush()


def write_files(report: Report, files: tuple[Path | None, ...]) -> None:
    from runner.report import as_html, as_json, markdown
    from runner.storage import store

    renderers: tuple[Callable[[Report], str], ...] = (as_json.render, markdown.render, as_html.render)
    for path, render in zip(files, renderers, strict=True):
        if path is not None:
            store.write_whole(path, render(report))


def exit_code(report: Report, strict: bool) -> int:
    if report.count(Verdict.SLOWER):
        return 1
    return 3 if strict and (report.count(Verdict.UNDECIDED) or report.count(Verdict.FAILED)) else 0
