"""The command for CI services: `comment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli.app import Color, command
from runner.cli.printing import output
from runner.errors import UsageError


@command(examples="""\
lockstep comment report.md --repository python/cpython --pull 7    once for all pushes""")
def comment(
    file: Annotated[Path, typer.Argument(
        metavar="FILE", help="Markdown, such as --markdown of other commands writes.", show_default=False,
    )],
    repository: Annotated[str, typer.Option("--repository", metavar="OWNER/NAME", help="Where the pull request is.")],
    pull: Annotated[int, typer.Option("--pull", metavar="NUMBER", help="The pull request.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Each name has a comment of its own.")] = "report",
    address: Annotated[
        str, typer.Option("--address", metavar="URL", help="Of GitHub's REST API.")
    ] = "https://api.github.com",
    color: Color = "auto",
) -> int:
    """Post a text as a comment on a pull request at GitHub, or edit the one that was posted before.

    The token is in the variable LOCKSTEP_GITHUB_TOKEN, and must be allowed to write to pull requests.
    """
    from runner.jobs import comment as job

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{file} cannot be read: {why}.") from error
    found = job.comment(text, job.place(repository, pull, address), name)
    output.line(f"commented on pull request {pull} of {repository}: {found}")
    return 0
