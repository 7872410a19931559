"""Commands about builds and the machine: `build`, `source-repo` and `doctor`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from runner import config
from runner.cli.app import INTERPRETER, Color, command, size_of
from runner.cli.printing import output
from runner.errors import UsageError

AGES = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def age_of(value: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([hdw])\s*", value)
    if match is None:
        raise typer.BadParameter(f"{value!r} is not an age; write for example 90d, 12h or 2w.")
    return float(match[1]) * AGES[match[2]]


@command(examples="""\
lockstep build cpython@3.13.5+nocow cpython@3.13.5    make two builds
lockstep build --list                                 what there is
lockstep build --remove 3f2a9c                        remove one, by the beginning of its key""")
def build(
    specs: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEC]...", help=INTERPRETER, show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the builds in the cache, with size and age.")] = False,
    remove: Annotated[list[str] | None, typer.Option(
        "--remove", metavar="KEY", help="Remove a build: its name, or six letters or more of its key.",
    )] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what was not used for long, or is too much, and leftovers.")
    ] = False,
    max_size: Annotated[
        Any, typer.Option(parser=size_of, metavar="SIZE", help="With --prune: what the whole cache may take.")
    ] = "10GiB",
    max_age: Annotated[
        Any, typer.Option(parser=age_of, metavar="AGE", help="With --prune: how long something may lie unused.")
    ] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --prune: only list what would go.")] = False,
    color: Color = "auto",
) -> int:
    """Make builds ahead of time, list them, or remove them.

    `lockstep build --prune --max-age 30d --dry-run` lists what of the cache was not used for a month.
    """
    from runner import builds
    from runner.cli.terminal import Terminal
    from runner.report import builds as listing

    if not (specs or list_ or remove or prune):
        raise UsageError(
            "nothing to do: name a build such as cpython@3.13.5+nocow, or use --list, --prune or --remove KEY."
        )
    with Terminal() as view:
        if (unwritable := builds.unwritable()) is not None:
            view.say(unwritable)
        for interpreter in builds.resolve_all(specs or (), progress=view.phase):
            view.say(f"{interpreter.spec}: {interpreter.executable}")
            for note in interpreter.build.notes if interpreter.build is not None else ():
                view.say(note)
    if remove:
        for entry in builds.remove(remove):
            output.line(f"removed {entry.label} ({entry.key})")
    if prune:
        with Terminal() as view:
            view.phase("looking through the cache")
            pruned = builds.prune(max_size=max_size, max_age=max_age, dry_run=dry_run)
        for line in listing.pruned(pruned, dry_run=dry_run):
            output.line(line)
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
