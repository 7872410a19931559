"""A backup has all that a server has, and makes the same server; what is no whole backup makes nothing."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from schemas import fill, kept

from runner.errors import MachineError, UsageError
from runner.jobs.watched import Serve
from runner.service import backup, database, server, settings, tables, tokens
from runner.service.backup import End
from runner.service.server import Server
from runner.service.settings import Settings

FILES = {
    "runs/20260101T000000Z-abcdef/manifest.json": "{}", "runs/20260101T000000Z-abcdef/blocks.jsonl": "1\n2\n",
    "runs/20260101T000000Z-abcdef/deeper/x.txt": "x", "nominations.jsonl": "{}\n", "events/a.json": "{}",
    "events.md": "# Events\n", "nights/n/night.json": "{}", "imports/i.json": "{}", "spool/waiting/w.json": "{}",
    "spool/sent/s.json": "{}", "bisects/b/search.json": "{}", "calibration/m/runs/r/manifest.json": "{}",
}
MADE = {
    "site/index.html": "made again", "history.sqlite": "made again", "crashes/c.txt": "a crash",
    "runs/.new": "not whole", "service/incoming/parcel/manifest.json": "not whole", "variants/v": "of a checkout",
}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "service"
    }


def rows_of(opened: database.Database) -> dict[str, list[Any]]:
    with opened.reading() as connection:
        return {
            table.name: connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
            for table in tables.metadata.sorted_tables if table.name not in backup.LEFT_OUT
        }


@pytest.fixture
def full(here: Server) -> Server:
    """A server with a file of each kind, and some rows."""
    put(here.settings.data, FILES | MADE)
    (here.settings.data / "runs" / "elsewhere").symlink_to("/etc")
    (here.settings.data / "events" / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(here.settings.data / "events" / "pipe")
    for name in ("ada", "grace"):
        tokens.create(here.database, name, ["read"], here.clock())
    return here


@pytest.fixture
def archive(full: Server, tmp_path: Path) -> Path:
    backup.backup(full.settings, full.database, tmp_path / "b.tar.gz", 5.0)
    return tmp_path / "b.tar.gz"


def empty(tmp_path: Path, name: str = "new") -> Settings:
    return settings.made(tmp_path / name, Serve())


def test_what_is_restored_is_what_there_was(full: Server, archive: Path, tmp_path: Path) -> None:
    assert (archive.stat().st_mode & 0o777) == 0o600, "it has what lets people in, if only as hashes"
    new = empty(tmp_path)
    end = backup.restore(new, archive)
    assert end == End(files=len(FILES), rows={name: len(rows) for name, rows in rows_of(full.database).items()})
    assert files_of(new.data) == FILES
    with server.holding(new, full.clock) as held:
        assert rows_of(held.database) == rows_of(full.database)
        assert end.rows["tokens"] == 2 and end.rows["audit"] == 2
        tokens.create(held.database, "later", ["read"], 6.0)
        assert len(rows_of(held.database)["audit"]) == 3, "numbers go on"
    assert [path.name for path in archive.parent.iterdir() if path.name.startswith(".")] == []


def test_who_had_a_token_is_let_in_by_what_was_restored(full: Server, tmp_path: Path) -> None:
    _, text = tokens.create(full.database, "bench1", ["submit"], full.clock())
    backup.backup(full.settings, full.database, tmp_path / "c.tar.gz", 5.0)
    backup.restore(empty(tmp_path), tmp_path / "c.tar.gz")
    with server.holding(empty(tmp_path), full.clock) as held:
        assert held.verify(text) is not None


def test_sessions_are_left_out(here: Server, tmp_path: Path) -> None:
    with here.database.writing() as connection:
        rows = fill(connection)
    backup.backup(here.settings, here.database, tmp_path / "b.tar.gz", 5.0)
    assert b"sessions" not in gzip.decompress((tmp_path / "b.tar.gz").read_bytes())
    new = empty(tmp_path)
    backup.restore(new, tmp_path / "b.tar.gz")
    opened = database.opened(new.database)
    with opened.reading() as connection:
        assert connection.execute(sa.select(tables.sessions)).all() == []
        assert kept(connection, {name: row for name, row in rows.items() if name != "sessions"})
    opened.close()


@pytest.mark.parametrize("revision", database.revisions())
def test_a_backup_of_every_past_version_is_restored(tmp_path: Path, revision: str) -> None:
    old = settings.made(tmp_path / "old", Serve())
    connected = database.connected(old.database)
    with connected.writing() as connection:
        database.migrate(connection, revision)
        rows = fill(connection)
        names = [name for name in rows if name not in backup.LEFT_OUT]
        found = sa.MetaData()
        found.reflect(connection)
        content = {
            f"database/{name}.jsonl": json.dumps(dict(
                connection.execute(sa.select(found.tables[name])).mappings().one())) + "\n" for name in names}
    connected.close()
    made = packed(tmp_path / "old.tar.gz", [
        ("lockstep.json", json.dumps(
            {"schema": backup.SCHEMA, "created": 1.0, "lockstep": "0.0", "revision": revision})),
        *content.items(), ("end.json", json.dumps({"files": 0, "rows": dict.fromkeys(names, 1)})),
    ])
    backup.restore(empty(tmp_path), made)
    opened = database.opened(empty(tmp_path).database)
    with opened.reading() as connection:
        assert database.revision(connection) == database.revisions()[-1]
        assert kept(connection, {name: rows[name] for name in names})
    opened.close()


def packed(
    place: Path, members: list[tuple[str, str]], change: Callable[[tarfile.TarInfo], None] | None = None
) -> Path:
    with tarfile.open(place, "w:gz") as archive:
        for name, text in members:
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            if change is not None:
                change(member)
            archive.addfile(member, io.BytesIO(text.encode()))
    return place


def nothing_was_made(new: Settings) -> bool:
    opened = database.connected(new.database)
    with opened.reading() as connection:
        unused = database.revision(connection) is None
    opened.close()
    return unused and files_of(new.data) == {}


HEAD = ("lockstep.json", json.dumps(
    {"schema": backup.SCHEMA, "created": 1.0, "lockstep": "0.0", "revision": database.revisions()[0]}))
NAMES = (
    "files/../x", "files/runs/../../x", "/etc/x", "files//etc/x", "files/runs//x", "files/runs/./x", "files/site/x",
    "files/service/service.sqlite", "files/runs/.hidden", "files/", "x", "database/../x.jsonl", "database/x.jsonl/y",
    "files\\runs\\x", "lockstep.json", "database/UP.jsonl",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_goes_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    made = packed(tmp_path / "x.tar.gz", [HEAD, (name, "x"), ("end.json", '{"files": 1, "rows": {}}')])
    with pytest.raises(UsageError, match="no whole backup"):
        backup.restore(empty(tmp_path), made)
    assert nothing_was_made(empty(tmp_path))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    def change(member: tarfile.TarInfo) -> None:
        if member.name.startswith("files/"):
            member.type, member.linkname = kind, "/etc/passwd"

    made = packed(tmp_path / "x.tar.gz", [HEAD, ("files/runs/x", ""), ("end.json", '{"files": 1, "rows": {}}')], change)
    with pytest.raises(UsageError, match="is no file"):
        backup.restore(empty(tmp_path), made)
    assert nothing_was_made(empty(tmp_path))


@pytest.mark.parametrize(("members", "words"), [
    ([], "end is missing"),
    ([("end.json", '{"files": 0, "rows": {}}')], "begins with"),
    ([HEAD], "end is missing"),
    ([HEAD, ("files/runs/x", "")], "end is missing"),
    ([HEAD, ("files/runs/x", ""), ("files/runs/x", ""), ("end.json", '{"files": 2, "rows": {}}')], "twice"),
    ([HEAD, ("files/runs/x", ""), ("files/runs/x/y", ""), ("end.json", '{"files": 2, "rows": {}}')], "twice"),
    ([HEAD, ("end.json", '{"files": 1, "rows": {}}')], "not what it says"),
    ([HEAD, ("database/tokens.jsonl", "{}\n"), ("end.json", '{"files": 0, "rows": {"tokens": 2}}')],
     "not what it says"),
    ([HEAD, ("end.json", "[]")], "no whole backup"),
    ([("lockstep.json", "{}")], "no whole backup"),
    ([(HEAD[0], HEAD[1].replace("backup/1", "backup/2"))], "newer"),
    ([(HEAD[0], HEAD[1].replace(database.revisions()[0], "9999"))], "newer"),
    *(([HEAD, ("database/tokens.jsonl", f"{line}\n"), ("end.json", '{"files": 0, "rows": {"tokens": 1}}')],
       "tables cannot be read") for line in ("{}", "[]", "1", "{", '{"id": "a"}', '{"x": 1}', '{"id": {"a": 1}}')),
    ([HEAD, ("database/passwords.jsonl", "{}\n"), ("end.json", '{"files": 0, "rows": {"passwords": 1}}')],
     "no table passwords"),
])
def test_what_is_no_backup_makes_nothing(tmp_path: Path, members: list[tuple[str, str]], words: str) -> None:
    made = packed(tmp_path / "x.tar.gz", members)
    with pytest.raises(UsageError, match=words):
        backup.restore(empty(tmp_path), made)
    assert nothing_was_made(empty(tmp_path))


def says_the_same(one: bytes, other: bytes) -> bool:
    """Whether two files unpack to one content, the first as a whole."""
    try:
        return gzip.decompress(one) == gzip.decompress(other)
    except (EOFError, OSError, zlib.error):
        return False


@trying(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_backup_that_was_cut_or_changed_makes_nothing(archive: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = archive.read_bytes()
    place = data.draw(st.integers(10, len(whole) - 1))  # behind what gzip's head says of no importance
    before, one, after = whole[:place], whole[place], whole[place + 1 :]
    changed = data.draw(st.sampled_from([before, before + bytes([one ^ 0x10]) + after, before + after]))
    # Another spelling of the same: a bit that only fills up a byte, or the same zeros from another place.
    assume(not says_the_same(changed, whole))
    (tmp_path / "changed.tar.gz").write_bytes(changed)
    with pytest.raises(UsageError):
        backup.restore(empty(tmp_path), tmp_path / "changed.tar.gz")
    assert nothing_was_made(empty(tmp_path))


def test_nothing_is_taken_the_place_of(full: Server, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is there already"):
        backup.backup(full.settings, full.database, archive, 6.0)
    with pytest.raises(MachineError, match="a server has"):
        backup.restore(full.settings, archive)
    new = empty(tmp_path)
    put(new.data, {"events/a.json": "{}"})
    with pytest.raises(UsageError, match="has events already"):
        backup.restore(new, archive)
    shutil.rmtree(new.data / "events")
    database.opened(new.database).close()
    with pytest.raises(UsageError, match="in use already"):
        backup.restore(new, archive)
    (new.own / "service.sqlite").unlink()
    backup.restore(new, archive)
    with pytest.raises(UsageError, match="already"):
        backup.restore(new, archive)


def test_what_cannot_be_written_or_read_is_said(full: Server, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"cannot write .*No such file"):
        backup.backup(full.settings, full.database, tmp_path / "nowhere" / "b.tar.gz", 6.0)
    with pytest.raises(UsageError, match="cannot read"):
        backup.restore(empty(tmp_path), tmp_path / "nowhere.tar.gz")


def test_a_run_that_is_exchanged_meanwhile_is_of_one_state(
    full: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time a file of the run is looked at, a larger one takes the run's place, so often as it happens at all."""
    run = full.settings.data / "runs" / "20260101T000000Z-abcdef"
    exchanged = 0
    look = os.stat

    def exchange(name: Any, *args: Any, **options: Any) -> os.stat_result:
        nonlocal exchanged
        if name == "manifest.json" and "dir_fd" in options and exchanged < 3:
            exchanged += 1
            shutil.rmtree(run)
            for file in ("manifest.json", "blocks.jsonl"):
                put(run, {file: str(exchanged)})
        return look(name, *args, **options)

    monkeypatch.setattr(os, "stat", exchange)
    backup.backup(full.settings, full.database, tmp_path / "b.tar.gz", 5.0)
    monkeypatch.undo()
    assert exchanged == 3
    backup.restore(empty(tmp_path), tmp_path / "b.tar.gz")
    kept_run = {path.name: path.read_text() for path in (empty(tmp_path).runs / run.name).iterdir()}
    assert kept_run == {"manifest.json": "3", "blocks.jsonl": "3"}
