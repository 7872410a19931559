"""The command line. The only place that reads argv, prints, and exits."""

from __future__ import annotations

import re
import shlex
import signal
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
    from runner.compare import Report
    from runner.jobs import Finished


class Interrupted(LockstepError):
    """Ctrl-C or SIGTERM outside of measuring, where there is nothing to report."""

    exit_code = 130


class Commands(TyperGroup):
    """The commands. An interruption gets words here, because typer makes a bare exit code of it."""

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


def _margin(value: str) -> float:
    match = re.fullmatch(r"\s*([0-9.]+)\s*(%?)\s*", value)
    try:
        margin = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    except ValueError:
        margin = -1.0
    if not 0 < margin < 1:
        raise typer.BadParameter(f"{value!r} is not a margin; write a percentage such as 1% (or a fraction, 0.01).")
    return margin


def _budget(value: str) -> float:
    parts = re.findall(r"([0-9.]+)\s*([smh])", value)
    try:
        budget = sum(float(number) * UNITS[unit] for number, unit in parts)
    except ValueError:
        budget = 0.0
    if budget <= 0 or re.sub(r"[0-9.]+\s*[smh]|\s", "", value):
        raise typer.BadParameter(f"{value!r} is not a time; write for example 90s, 10m or 1h30m.")
    return budget


def _size(value: str) -> int:
    match = re.fullmatch(r"([0-9.]+)\s*([kmg]?)(i?b)?", value.strip().lower())
    try:
        size = int(float(match[1]) * SIZES[match[2]]) if match else 0
    except ValueError:
        size = 0
    if size <= 0:
        raise typer.BadParameter(f"{value!r} is not a size; write for example 4GiB or 800MiB.")
    return size


Out = Annotated[Path | None, typer.Option("--out", help="Folder for run folders (default: the project's data/runs).")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON to this file too.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Write a Markdown report, for a pull request.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as one self-contained HTML file.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="List the benchmarks that are the same, too.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 when something is undecided or failed.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Refuse when another run measures on this machine.")]


@app.command()
def ab(
    base: Annotated[str, typer.Argument(help="What to compare with. " + INTERPRETER, show_default=False)],
    head: Annotated[str, typer.Argument(help="What is compared; named in the same ways.", show_default=False)],
    suite: Annotated[str | None, typer.Option(help="`bytesio` (the default), or a folder of asv benchmarks.")] = None,
    pattern: Annotated[
        str | None, typer.Option("-b", "--bench", metavar="REGEX", help="Only benchmarks whose name matches.")
    ] = None,
    margin: Annotated[
        Any, typer.Option(parser=_margin, metavar="PERCENT", help="The smallest change that matters to you.")
    ] = "1%",
    budget: Annotated[
        Any, typer.Option(parser=_budget, metavar="TIME", help="Time to measure, such as 10m; default: until settled.")
    ] = None,
    scope: Annotated[str, typer.Option(metavar="auto|binary|source", help="What the verdict is about.")] = "auto",
    mode: Annotated[
        str | None, typer.Option(metavar="turns|shared|adjacent", help="Force one mode; default: by calibration.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Repeat a schedule exactly.", min=0)] = None,
    memory_limit: Annotated[
        Any, typer.Option(parser=_size, metavar="SIZE", help="Memory that a benchmark may take, such as 4GiB.")
    ] = None,
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    no_wait: NoWait = False,
) -> int:
    """Compare two interpreters: BASE first, then HEAD.

    Exit code: 0 no regression, 1 a regression, 2 bad usage or input, 3 undecided (with --strict),
    4 the machine or a build failed, 130 interrupted (`lockstep resume` goes on).
    """
    from runner import jobs
    from runner.progress import Terminal

    if scope not in ("auto", "binary", "source"):
        raise UsageError(f"--scope {scope}: it is auto, binary or source.")
    if mode not in (None, "turns", "shared", "adjacent"):
        raise UsageError(f"--mode {mode}: it is turns, shared or adjacent.")
    request = jobs.AbRequest(
        base=base, head=head, suite=suite, pattern=pattern, margin=margin, budget=budget, scope=scope, out=out,
        seed=seed, mode=mode, memory_limit=memory_limit, wait=not no_wait,
    )
    with Terminal() as view:
        finished = jobs.ab(request, view)
    return _close(finished, verbose=verbose, strict=strict, files=(json, markdown, html))


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="A run's id or the beginning of it, its folder, or `last`.")] = "last",
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
    no_wait: NoWait = False,
) -> int:
    """Go on with a run that was interrupted or killed; nothing that it measured is measured again."""
    from runner import jobs, store
    from runner.progress import Terminal

    folder = store.find(config.runs_folder(out), run)
    with Terminal() as view:
        finished = jobs.resume(folder, view, wait=not no_wait)
    return _close(finished, verbose=verbose, strict=strict, files=(json, markdown, html))


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's id or the beginning of it, its folder, or `last`.")] = "last",
    out: Out = None,
    json: Json = None,
    markdown: Markdown = None,
    html: Html = None,
    strict: Strict = False,
    verbose: Verbose = False,
) -> int:
    """Show the report of a run again, made anew from its folder."""
    from runner import jobs, store

    folder = store.find(config.runs_folder(out), run)
    report = jobs.report_of(folder)
    _print_report(report, verbose)
    _write_files(report, (json, markdown, html))
    return _exit_code(report, strict)


@app.command(name="export")
def export_(
    run: Annotated[str, typer.Argument(help="A run's id or the beginning of it, its folder, or `last`.")],
    format: Annotated[str, typer.Option(metavar="pyperf|csv|parquet", help="The format to write.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the files.", file_okay=False)] = Path(),
    out: Out = None,
) -> int:
    """Write a run's measurements for other tools.

    `pyperf` writes one file an arm (`pyperf compare_to BASE HEAD` reads them); `csv` and `parquet` one table
    with a row for every measured slice.
    """
    from runner import export, store

    for path in export.write(store.read(store.find(config.runs_folder(out), run)), format, to):
        Console().print(str(path), soft_wrap=True, highlight=False)
    return 0


@app.command()
def build(
    specs: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEC]...", help=INTERPRETER, show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the builds in the cache, with size and age.")] = False,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY", help="Remove a build.")] = None,
) -> int:
    """Make builds ahead of time, list them, or remove them."""
    from runner import builds
    from runner.progress import Terminal
    from runner.report import builds as listing

    if not (specs or list_ or remove):
        raise UsageError("nothing to do: name a build such as cpython@3.13.5+nocow, or use --list or --remove KEY.")
    console = Console()
    with Terminal() as view:
        for spec in specs or ():
            interpreter = builds.resolve(spec, progress=view.phase)
            view.say(f"{spec}: {interpreter.executable}")
    if remove:
        for entry in builds.remove(remove):
            console.print(f"removed {entry.label} ({entry.key})", highlight=False, soft_wrap=True)
    if list_:
        _print(listing, builds.cached())
    return 0


@app.command()
def doctor() -> int:
    """Say what this machine can do for measuring, what would improve it, and the command for each."""
    from runner.machine.doctor import examine
    from runner.progress import Terminal
    from runner.report import doctor as doctor_report

    with Terminal() as view:
        view.phase("looking at the machine")
        findings = examine()
    _print(doctor_report, findings)
    return 0


def _close(finished: Finished, *, verbose: bool, strict: bool, files: tuple[Path | None, ...]) -> int:
    from runner import jobs
    from runner.progress import Terminal

    _print_report(finished.report, verbose)  # before the files, which a full disk may refuse
    with Terminal() as view:
        view.phase("writing the report")
        page = jobs.save(finished)
    _write_files(finished.report, files)
    out = Console()
    out.print(f"page: {page}", soft_wrap=True, highlight=False)
    if finished.interrupted:
        # By its path where the id alone would not find it.
        known = finished.folder.parent == config.runs_folder(None)
        run = finished.folder.name if known else shlex.quote(str(finished.folder))
        out.print(f"interrupted; go on with: lockstep resume {run}", soft_wrap=True, highlight=False)
        return 130
    return _exit_code(finished.report, strict)


def _print_report(report: Report, verbose: bool) -> None:
    from runner.report import text

    _print(text, report, verbose=verbose)


def _print(renderer: Any, *what: object, **options: object) -> None:
    console = Console()
    color = console.is_terminal and not console.no_color
    sys.stdout.write(renderer.render(*what, width=min(console.width, WIDEST), color=color, **options))
    sys.stdout.flush()


def _write_files(report: Report, files: tuple[Path | None, ...]) -> None:
    from runner import store
    from runner.report import html, json, markdown

    renderers: tuple[Callable[[Report], str], ...] = (json.render, markdown.render, html.render)
    for path, render in zip(files, renderers, strict=True):
        if path is not None:
            store.write_whole(path, render(report))


def _exit_code(report: Report, strict: bool) -> int:
    if report.count(Verdict.SLOWER):
        return 1
    return 3 if strict and (report.count(Verdict.UNDECIDED) or report.count(Verdict.FAILED)) else 0


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    error = Console(stderr=True)
    try:
        code = app(standalone_mode=False)
    except LockstepError as problem:
        error.print(f"lockstep: {problem}", markup=False, highlight=False, soft_wrap=True)
        code = problem.exit_code
    except Exception as problem:
        if not hasattr(problem, "exit_code") or not hasattr(problem, "show"):
            raise
        problem.show()  # one of click's own: a wrong option, a missing argument
        code = problem.exit_code
    sys.exit(code if isinstance(code, int) else 0)
