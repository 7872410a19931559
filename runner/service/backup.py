"""All that a server has in one archive, and a server made of one. It may run meanwhile, and measure.

An archive is a gzipped tar. What can be made again is not in it: the site, the index of runs, and what was not whole
when it arrived; neither are sessions, so that people log in again.

Format history
--------------
lockstep.backup/1  The first. In this order: `lockstep.json` (`Head`); `database/TABLE.jsonl`, a row a line, parents
                   before children; `files/…`, with the names that they have in the folder of the data; `end.json`
                   (`End`), without which the archive is torn. Times are in seconds since the epoch.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import secrets
import stat
import tarfile
import tempfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

import sqlalchemy as sa
from pydantic import TypeAdapter

from runner.errors import MachineError, UsageError
from runner.owned import attempt, owned
from runner.service import database, tables
from runner.service.database import Database
from runner.service.settings import Settings
from runner.storage import store

SCHEMA = "lockstep.backup/1"
HEAD, END, ROWS, FILES = "lockstep.json", "end.json", "database/", "files/"
KEPT = ("nominations.jsonl", "events", "events.md", "imports", "nights", "bisects", "calibration", "spool", "runs")
"""What is a file, in this order: what names runs before the runs, so that these are there."""
LEFT_OUT = ("sessions",)
"""Tables."""
TRIES = 5
"""How often a run folder is looked at that is exchanged meanwhile."""
LINES = 1000
"""Rows that are written to a database at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an archive begins with."""

    schema: str = SCHEMA
    created: float
    lockstep: str
    """Version of the program."""
    revision: str
    """Of the database's schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What an archive has; of a whole one the last that is in it."""

    files: int
    rows: dict[str, int]
    """By table."""


_head, _end = TypeAdapter(Head), TypeAdapter(End)


def backup(settings: Settings, opened: Database, target: Path, now: float) -> End:
    """Write an archive of a server's data to a new file, for its owner alone.

    The database is as it is at one moment, and files are as they are a little later: a run that the database names is
    there. Raises UsageError where the target is there already, MachineError where it cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} is there already, and may be all that is left of something. Name another file.")
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            with gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) as packed:
                end = _write(settings, opened, packed, now)
            stream.flush()
            os.fsync(stream.fileno())
        beside.rename(target)
    except OSError as error:
        raise MachineError(f"cannot write {target}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return end


def _write(settings: Settings, opened: Database, packed: gzip.GzipFile, now: float) -> End:
    with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        with opened.reading() as connection:
            found = database.revision(connection)
            assert found is not None  # it was opened
            _add_bytes(archive, HEAD, _head.dump_json(Head(created=now, lockstep=version("lockstep"), revision=found)))
            rows = {
                table.name: _add_rows(archive, connection, table)
                for table in tables.metadata.sorted_tables if table.name not in LEFT_OUT
            }
        files = sum(_add(archive, settings.data / name, FILES + name) for name in KEPT)
        end = End(files=files, rows=rows)
        _add_bytes(archive, END, _end.dump_json(end))
    return end


def _add_rows(archive: tarfile.TarFile, connection: sa.Connection, table: sa.Table) -> int:
    count = 0
    with tempfile.TemporaryFile() as lines:
        for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings():
            lines.write(json.dumps(dict(row)).encode() + b"\n")
            count += 1
        _add_stream(archive, f"{ROWS}{table.name}.jsonl", lines)
    return count


def _add(archive: tarfile.TarFile, place: Path, name: str) -> int:
    """Add a file, or all in a folder; how many files that were. What is hidden, and links and devices, are left out."""
    if (place / store.MANIFEST).is_file():
        return _add_run(archive, place, name)
    try:
        kind = place.lstat().st_mode
        if stat.S_ISREG(kind):
            with place.open("rb") as stream:
                _add_stream(archive, name, stream)
            return 1
        # Backwards, and so `waiting` before `sent`: a letter that is delivered meanwhile is there at least once.
        inside = sorted((one.name for one in place.iterdir()), reverse=True) if stat.S_ISDIR(kind) else []
    except FileNotFoundError:
        return 0
    return sum(_add(archive, place / one, f"{name}/{one}") for one in inside if not one.startswith("."))


def _add_run(archive: tarfile.TarFile, place: Path, name: str) -> int:
    """Add a run folder: all of one state, where a larger one takes its place meanwhile."""
    for _ in range(TRIES):
        with ExitStack() as stack, contextlib.suppress(FileNotFoundError):
            folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, folder)
            opened: dict[str, IO[bytes]] = {}
            deeper: list[str] = []
            for one in sorted(os.listdir(folder)):  # noqa: PTH208
                kind = os.stat(one, dir_fd=folder, follow_symlinks=False).st_mode
                if stat.S_ISDIR(kind):
                    deeper.append(one)
                elif stat.S_ISREG(kind) and not one.startswith("."):
                    descriptor = os.open(one, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
                    opened[one] = stack.enter_context(open(descriptor, "rb"))  # noqa: PTH123
            for one, stream in opened.items():
                _add_stream(archive, f"{name}/{one}", stream)
            return len(opened) + sum(_add(archive, place / one, f"{name}/{one}") for one in deeper)
    return 0  # it was removed


def _add_stream(archive: tarfile.TarFile, name: str, stream: IO[bytes]) -> None:
    """What is in a file now: where lines are added, the last may be torn, and whoever reads it cuts that off."""
    stream.seek(0)
    state = os.fstat(stream.fileno())
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = state.st_size, int(state.st_mtime), 0o600
    archive.addfile(member, stream)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))


def restore(settings: Settings, source: Path) -> End:
    """Make the data of a server from an archive: in a folder without any, and a database that was never used.

    Nothing is there before the whole archive was read. Raises UsageError where something was there before, or the file
    is no archive, or torn, or of a newer Lockstep; MachineError where nothing can be written, or a server runs.
    """
    with ExitStack() as stack:
        try:
            settings.own.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not stack.enter_context(attempt(settings.own)):
                raise MachineError(f"a server has {settings.data}. End it first.")
            if there := [name for name in KEPT if _holds(settings.data / name)]:
                raise UsageError(f"{settings.data} has {', '.join(there)} already. Restore into an empty folder.")
            opened = database.connected(settings.database)
            stack.callback(opened.close)
            stack.enter_context(opened.held())
            with opened.reading() as connection:
                if database.revision(connection) is not None:
                    raise UsageError("the database is in use already. Restore into one that never was.")
            scratch = stack.enter_context(owned(".restoring-", settings.data))
            head, end = _read(source, scratch)
            with opened.writing() as connection:
                _fill(connection, head, scratch / ROWS)
                for name in KEPT:
                    if (scratch / FILES / name).exists():
                        (scratch / FILES / name).rename(settings.data / name)
                os.sync()
        except OSError as error:
            raise MachineError(f"cannot restore into {settings.data}: {error.strerror or error}.") from error
    return end


def _holds(place: Path) -> bool:
    return any(place.iterdir()) if place.is_dir() else place.exists() or place.is_symlink()


def _read(source: Path, scratch: Path) -> tuple[Head, End]:
    """Put all that an archive has into a folder. Raises UsageError where it is none, or not whole."""
    try:
        stream = source.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror or error}.") from error
    try:
        with stream, gzip.GzipFile(fileobj=stream, mode="rb") as packed:
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                found = _unpack(archive, scratch)
            while packed.read(1 << 20):
                pass  # to its checksum
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise UsageError(f"{source} is no whole backup: {error}.") from error
    return found


def _unpack(archive: tarfile.TarFile, scratch: Path) -> tuple[Head, End]:
    head: Head | None = None
    rows: dict[str, int] = {}
    files = 0
    for member in archive:
        content = archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise tarfile.ReadError(f"{member.name!r} in it is no file")
        if head is None:
            if member.name != HEAD:
                raise tarfile.ReadError(f"it begins with {member.name!r}")
            head = _head.validate_json(content.read())
            if head.schema != SCHEMA or head.revision not in database.revisions():
                raise UsageError(f"the backup is by Lockstep {head.lockstep}, which is newer than this one. Use that.")
        elif member.name == END:
            end = _end.validate_json(content.read())
            if (end.files, end.rows) != (files, rows):
                raise tarfile.ReadError("it has not what it says at its end")
            return head, end
        elif match := re.fullmatch(r"database/([a-z_]+)\.jsonl", member.name):
            rows[match[1]] = _copy(content, scratch / member.name)
        else:
            _copy(content, scratch / FILES / _inside(member.name))
            files += 1
    raise tarfile.ReadError("its end is missing")


def _inside(name: str) -> PurePosixPath:
    """Where a file goes, below the folder of the data. Raises tarfile.ReadError for what goes anywhere else."""
    parts = name.removeprefix(FILES).split("/")
    if not name.startswith(FILES) or parts[0] not in KEPT or any(part.startswith(".") or not part for part in parts):
        raise tarfile.ReadError(f"{name!r} in it has no place")
    return PurePosixPath(*parts)


def _copy(content: IO[bytes], place: Path) -> int:
    """Write a new file; how many lines it has."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as stream:
            count = 0
            while piece := content.read(1 << 20):
                stream.write(piece)
                count += piece.count(b"\n")
    except (FileExistsError, NotADirectoryError) as error:
        raise tarfile.ReadError(f"{place.name!r} is in it twice") from error
    return count


def _fill(connection: sa.Connection, head: Head, folder: Path) -> None:
    """Make the tables as they were, fill them, and bring them to today's schema."""
    database.migrate(connection, head.revision)
    found = sa.MetaData()
    found.reflect(connection)
    try:
        if strangers := sorted({file.stem for file in folder.iterdir()} - set(found.tables)):
            raise ValueError(f"there is no table {strangers[0]}")
        for table in found.sorted_tables:
            if (folder / f"{table.name}.jsonl").exists():
                _fill_table(connection, table, folder / f"{table.name}.jsonl")
    except sa.exc.OperationalError:
        raise
    except (sa.exc.SQLAlchemyError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the backup's tables cannot be read: {getattr(error, 'orig', error)}") from error
    database.migrate(connection)


def _fill_table(connection: sa.Connection, table: sa.Table, file: Path) -> None:
    with file.open(encoding="utf-8") as lines:
        while rows := [json.loads(line) for line in islice(lines, LINES)]:
            if any(set(row) != set(table.columns.keys()) for row in rows):
                raise ValueError(f"a row of {table.name} has other columns")
            connection.execute(sa.insert(table), rows)
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key:
        if isinstance(column.type, sa.Integer):
            # What PostgreSQL numbers by itself goes on after these.
            after = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(sa.select(sa.func.setval(sequence, after, False)))
