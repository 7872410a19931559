"""Commands about builds and the machine: `build`, `source-repo` and `doctor`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from runner import config
from runner.cli.app import INTERPRETER, Color, command
from runner.cli.printing import output
from runner.errors import UsageError


@command(examples="""\
lockstep build cpython@3.13.5+nocow cpython@3.13.5    make two builds
lockstep build --list                                 what there is
lockstep build --remove 3f2a                          remove one, by the beginning of its key""")
def build(
    specs: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEC]...", help=INTERPRETER, show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the builds in the cache, with size and age.")] = False,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY", help="Remove a build.")] = None,
    color: Color = "auto",
) -> int:
    """Make builds ahead of time, list them, or remove them."""
    from runner import builds
    from runner.cli.terminal import Terminal
    from runner.report import builds as listing

    if not (specs or list_ or remove):
        raise UsageError("nothing to do: name a build such as cpython@3.13.5+nocow, or use --list or --remove KEY.")
    with Terminal() as view:
        for spec in specs or ():
            interpreter = builds.resolve(spec, progress=view.phase)
            view.say(f"{spec}: {interpreter.executable}")
    if remove:
        for entry in builds.remove(remove):
            output.line(f"removed {entry.label} ({entry.key})")
    if list_:
        output.whole(listing, builds.cached())
    if specs and len(specs) == 2:
        output.next(f"lockstep ab {shlex.join(specs)}", "compare the two")
    return 0


@command(name="source-repo", examples="""\
lockstep source-repo                          where asv.conf.json expects it
lockstep source-repo ~/cpython-3.13.5         elsewhere""")
def source_repo(
    folder: Annotated[
        Path | None, typer.Argument(
            metavar="FOLDER", help=f"Where it goes; by default {config.SOURCE}.", show_default=False)
    ] = None,
    release: Annotated[
        str, typer.Option(metavar="VERSION", help="The release of CPython, one of data/sources.toml.")
    ] = "3.13.5",
    color: Color = "auto",
) -> int:
    """Make a git repository of a CPython release, with a branch for each variant, for asv to compare.

    The release is the branch `main` and the tag `v3.13.5`; `nocow` is one commit on top. Any clone of CPython does
    as well: name it as `repo` in asv.conf.json.
    """
    from runner import builds
    from runner.cli.terminal import Terminal

    where = folder if folder is not None else config.SOURCE
    with Terminal() as view:
        branches = builds.source_repository(where, release, progress=view.phase)
    output.line(f"{where}: {', '.join(branches)}")
    output.next("asv continuous nocow cow -b construct", "asv on two of its branches")
    return 0


@command(examples="""\
lockstep doctor""")
def doctor(color: Color = "auto") -> int:
    """Say what this machine can do for measuring, what would improve it, and the command for each."""
    from runner.cli.terminal import Terminal
    from runner.machine.doctor import examine
    from runner.report import doctor as doctor_report

    with Terminal() as view:
        view.phase("looking at the machine")
        findings = examine()
    output.whole(doctor_report, findings)
    output.next("lockstep ab BASE HEAD", "compare two interpreters; lockstep ab -h has examples")
    return 0
