"""The application: its options' types, and what commands share in printing and exiting."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from runner import amounts, config
from runner.cli import targets
from runner.cli.commands import Command, Commands
from runner.cli.printing import output
from runner.errors import LockstepError, UsageError
from runner.model import Verdict

# scipy and pandas take seconds to import, so each command imports what it uses: `--help`,
# `doctor` and `build` answer at once.
if TYPE_CHECKING:
    from runner.jobs import Finished
    from runner.judging.report import Report


app = typer.Typer(
    name="lockstep", cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None, epilog="""\
lockstep doctor                    what this machine can do
lockstep ab python3.12 ./python    compare two interpreters
lockstep show last -v              the last report again, with what is the same
lockstep ab -h                     what a command takes, with examples""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Compares two Python interpreters and says what became faster or slower, and how sure that is.",
)


def command(name: str | None = None, *, examples: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a function as a command. `examples` are command lines that can be run, each with a remark behind it."""
    return app.command(name=name, cls=Command, epilog=examples)


def _set_color(when: str) -> str:
    if when not in ("auto", "always", "never"):
        raise typer.BadParameter(f"{when!r}: it is auto, always or never.")
    if when != "auto" or output.when == "auto":
        output.when = when
    return when


Color = Annotated[str, typer.Option(
    "--color", metavar="auto|always|never", callback=_set_color, is_eager=True, show_default=False,
    help="Colours; auto is for terminals, and heeds NO_COLOR, FORCE_COLOR and TERM.",
)]


def _version(wanted: bool) -> None:
    if wanted:
        output.line(f"lockstep {version('lockstep')} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    color: Color = "auto",
) -> None:
    pass


INTERPRETER = (
    "A path (`./python`), a command (`python3.12`), or a build that Lockstep makes: `cpython@3.13.5`, "
    "`cpython@3.13.5+nocow`, `cpython@3.13.5+fix.patch`, `git:DIR_OR_URL@REF`, `dir:SOURCE_TREE`, `tar:FILE`; "
    "builds take options: `?pgo&lto&debug&configure=--flag`."
)
Read = TypeVar("Read")
UNKNOWN = (Verdict.UNDECIDED, Verdict.FAILED, Verdict.ONLY_IN_BASE, Verdict.ONLY_IN_HEAD)
"""What the user may take for no regression, and is none that was seen; what is skipped is none of it."""


def margin_of(value: str) -> float:
    return _read(amounts.margin, value)


def budget_of(value: str) -> float:
    return _read(amounts.seconds, value)


def size_of(value: str) -> int:
    return _read(amounts.size, value)


def cpus_of(value: str) -> str:
    """The text as it is, which `Command` gives to `config.keep_to`."""
    _read(amounts.cpus, value)
    return value


def _read(amount: Callable[[str], Read], value: str) -> Read:
    try:
        return amount(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def variables(words: Sequence[str]) -> Mapping[str, str]:
    """``NAME=VALUE``, or ``NAME`` for the value that it has here, as a mapping. Raises UsageError."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"--env {word}: it begins with a name, as in --env PYTHONMALLOC=malloc.")
        if name.startswith(config.OURS) or name in config.DRAWN:
            raise UsageError(f"--env {name}: Lockstep sets this one itself.")
        if not equals and name not in os.environ:
            raise UsageError(f"--env {name}: it is not set here. Write --env {name}=VALUE.")
        found[name] = value if equals else os.environ[name]
        try:
            f"{name}{found[name]}".encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"--env {name}: it holds bytes that are no text, and cannot be recorded.") from error
    return found


Suite = Annotated[
    str | None, typer.Option(metavar="SUITE", help="A folder of asv benchmarks, a pyperf script, `pyperformance` (also "
                             "`pyperformance:all` or `pyperformance:telco,nqueens`), `bytesio` or `consumers`; "
                             "default: the folder that asv.conf.json in this one names, else `bytesio`.")
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
Variables = Annotated[list[str] | None, typer.Option(
    "--env", metavar="NAME[=VALUE]", help="Pass this variable on too, and record its value. All of yours are passed on "
    "but those that begin with PYTHON. Repeatable.",
)]
Run = Annotated[str, typer.Argument(
    metavar="RUN", help="A run's id or the beginning of it, its folder, or `last`. `lockstep runs` lists them.",
)]
Out = Annotated[Path | None, typer.Option(
    "--out", metavar="FOLDER", help=f"Folder of run folders; by default {config.runs_folder(None)}.",
)]
Json = Annotated[Path | None, typer.Option(
    "--json", metavar="FILE", help="Write the report as JSON to this file too; - is standard output."
)]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write a Markdown report, for a pull request.")
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one self-contained HTML file.")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="List the benchmarks that are the same, too.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 when something is undecided, failed or only in one arm.")
]
Configuration = Annotated[Path | None, typer.Option(
    "--config", metavar="FILE", help="asv's configuration; by default the project's asv.conf.json, or the one here.",
)]
Toml = Annotated[Path | None, typer.Option(
    "--config", metavar="FILE", help=f"What is watched, and who is told; by default {config.FILE} where you are.",
)]
Held = Annotated[bool, typer.Option(
    "--held", help="The program that started this one holds the machine's lock, as `lockstep agent` does.",
)]
Cpus = Annotated[Any, typer.Option(
    "--cpus", parser=cpus_of, metavar="LIST", help="Keep to these CPUs, whole cores such as 0-3 or 2,6, while other "
    "runs with this option may measure on the others; default: all, and nobody else measures.",
)]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Refuse when another run measures on this machine.")]


class Files(NamedTuple):
    """Where a report is to be written, beside being shown."""

    json: Path | None
    markdown: Path | None
    html: Path | None

    def check(self) -> None:
        """See that they can be written. Raises as `targets.check` does."""
        targets.check((f"--{name}", path) for name, path in self._asdict().items())

    def write(self, report: Report) -> None:
        from runner.report import as_html, as_json, markdown

        renderers: tuple[Callable[[Report], str], ...] = (as_json.render, markdown.render, as_html.render)
        for path, render in zip(self, renderers, strict=True):
            if path is not None:
                targets.write(path, render(report))


def needs(package: str, extra: str, what: str) -> None:
    """Raises UsageError where an extra is not installed of which a package is."""
    if find_spec(package) is None:
        raise UsageError(f"{what} needs Lockstep's extra `{extra}`, which is not installed here (in a clone: "
                         f"pip install '.[{extra}]').")


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
    output.problem(f"the benchmarks are those that {configuration} names: {folder}")
    return str(folder)


def check_values(values: str) -> None:
    """Raises UsageError for a word that says nothing of values."""
    if values not in ("compare", "ignore"):
        raise UsageError(f"--values {values}: it is compare or ignore.")


def check_scope(scope: str) -> None:
    """Raises UsageError for a word that is no scope."""
    if scope not in ("auto", "binary", "source"):
        raise UsageError(f"--scope {scope}: it is auto, binary or source.")


def close(finished: Finished, *, verbose: bool, strict: bool, files: Files) -> int:
    """Print a run's report, write the files, say what comes next, and return the exit code."""
    from runner import jobs
    from runner.cli.terminal import Terminal
    from runner.report import text

    # Before the files, which a full disk may refuse.
    output.whole(text, finished.report, verbose=verbose)
    with Terminal() as view:
        view.phase("writing the report")
        page = jobs.save(finished)
    files.write(finished.report)
    output.line(f"page: {page}")
    if finished.interrupted:
        output.line(f"interrupted; go on with: lockstep resume {name_of(finished.folder)}")
        return 130
    suggest(finished.report, verbose)
    return exit_code(finished.report, strict)


def name_of(folder: Path) -> str:
    """What a user types for a run: its id, or its path where the id alone would not find it."""
    return folder.name if folder.parent == config.runs_folder(None) else shlex.quote(str(folder))


def record(folder: Path, configuration: Path | None) -> None:
    """Add a run to asv's results, and say where and what was left out."""
    from runner.cli.terminal import Terminal
    from runner.jobs import record as job

    with Terminal() as view:
        view.phase("adding to asv's results")
        done = job.record(folder, configuration)
    for path in done.files:
        output.line(str(path))
    for line in done.left:
        output.line(f"left out: {line}")


def record_measured(folder: Path, configuration: Path | None, code: int) -> int:
    """The same for a run that was just measured, with the exit code of its report: what cannot be added is said, and
    makes the code another one only where it was 0."""
    try:
        record(folder, configuration)
    except LockstepError as problem:
        output.problem(f"the run is kept, and not added to asv's results: {problem}")
        return code or problem.exit_code
    return code


def present(report: Report, *, verbose: bool, strict: bool, files: Files) -> int:
    """Print a report, write the files that were asked for, and return the exit code."""
    from runner.report import text

    output.whole(text, report, verbose=verbose)
    files.write(report)
    suggest(report, verbose)
    return exit_code(report, strict)


def suggest(report: Report, verbose: bool) -> None:
    """Say what a reader of this report probably wants to do next."""
    run = name_of(Path(report.folder))
    if report.count(Verdict.SLOWER):
        worst = max((c for c in report.comparisons if c.verdict is Verdict.SLOWER), key=lambda c: c.ratio or 0.0)
        command, why = f"lockstep explain {run} -b {shlex.quote(re.escape(worst.name))}", "where its time goes"
    elif report.count(Verdict.FAILED) and not verbose:
        command, why = f"lockstep show {run} -v", "the failures in full"
    elif report.count(Verdict.UNDECIDED):
        command, why = f"lockstep explain {run}", "where the noise comes from, and what would buy precision"
    elif not verbose:
        command, why = f"lockstep show {run} -v", "with the benchmarks that are the same"
    else:
        command, why = "lockstep publish", "a site of all runs"
    output.next(command, why)


def exit_code(report: Report, strict: bool) -> int:
    if report.count(Verdict.SLOWER):
        return 1
    return 3 if strict and any(map(report.count, UNKNOWN)) else 0
