"""The commands that keep a server's data elsewhere, and bring them back: `backup` and `restore`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.app import Color, Toml, command
from runner.cli.printing import output
from runner.cli.serve import Data, Url, database_of, settings_of

if TYPE_CHECKING:
    from runner.service.backup import End


@command(examples="""\
lockstep backup lockstep-2026-11-29.tar.gz                 while the server runs, or not
lockstep backup /backups/night.tar.gz --data /srv/lockstep""")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive, a new file.", show_default=False)],
    data: Data = None,
    database: Url = None,
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """Put all that a server has into one archive: runs, events, nights, tokens, requests."""
    settings = settings_of(data, database, configuration)
    from runner.service import backup as keeping

    with database_of(settings) as opened:
        end = keeping.backup(settings, opened, file, time.time())
    output.line(f"{file}: {_told(end)}")
    return 0


@command(examples="""\
lockstep restore lockstep-2026-11-29.tar.gz --data /srv/lockstep
lockstep restore night.tar.gz --database postgresql://ada@/x    whatever kind it was before""")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive of `lockstep backup`.", show_default=False)],
    data: Data = None,
    database: Url = None,
    configuration: Toml = None,
    color: Color = "auto",
) -> int:
    """Make a server's data from an archive, in a folder without any and a database that was never used."""
    settings = settings_of(data, database, configuration)
    from runner.service import backup as keeping

    end = keeping.restore(settings, file)
    output.line(f"{settings.data}: {_told(end)}")
    return 0


def _told(end: End) -> str:
    rows = ", ".join(f"{count} {table}" for table, count in end.rows.items() if count)
    return f"{end.files} files; {rows or 'no rows'}"
