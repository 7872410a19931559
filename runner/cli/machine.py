"""Commands about builds and the machine: `build`, `source-repo` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from runner import config
from runner.cli.app import INTERPRETER, app, print_whole
from runner.errors import UsageError


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
    from runner.cli.terminal import Terminal
    from runner.report import builds as listing

    if not (specs or list_ or remove):
        raise UsageError("nothing to do: name a build such as cpython@3.13.5+nocow, or use --list or --remove KEY.")
    console = Console()
    with Terminal() as view:
        for interpreter in builds.resolve_all(specs or (), progress=view.phase):
            view.say(f"{interpreter.spec}: {interpreter.executable}")
            for note in interpreter.build.notes if interpreter.build is not None else ():
                view.say(note)
    if remove:
        for entry in builds.remove(remove):
            console.print(f"removed {entry.label} ({entry.key})", highlight=False, soft_wrap=True)
    if list_:
        print_whole(listing, builds.cached())
    return 0


@app.command(name="source-repo")
def source_repo(
    folder: Annotated[
        Path | None, typer.Argument(help="Where it goes (default: .asv/source of the project).", show_default=False)
    ] = None,
    release: Annotated[str, typer.Option(help="The release of CPython, one of data/sources.toml.")] = "3.13.5",
) -> int:
    """Make a git repository of a CPython release, with a branch for each variant, for asv to compare.

    The release is the branch `main` and the tag `v3.13.5`; `nocow` is one commit on top. Any clone of CPython does
    as well: name it as `repo` in asv.conf.json.
    """
    from runner import builds
    from runner.cli.terminal import Terminal

    where = folder if folder is not None else config.ROOT / ".asv" / "source"
    with Terminal() as view:
        branches = builds.source_repository(where, release, progress=view.phase)
    Console().print(f"{where}: {', '.join(branches)}", soft_wrap=True, highlight=False)
    return 0


@app.command()
def doctor() -> int:
    """Say what this machine can do for measuring, what would improve it, and the command for each."""
    from runner.cli.terminal import Terminal
    from runner.machine.doctor import examine
    from runner.report import doctor as doctor_report

    with Terminal() as view:
        view.phase("looking at the machine")
        findings = examine()
    print_whole(doctor_report, findings)
    return 0
