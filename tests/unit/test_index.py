"""The index: what goes in comes out, as a whole or not at all, in every version that there was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from made_rows import a_point, a_run, dump, fill

from runner.errors import MachineError
from runner.storage import index

COLUMNS = ("run", "key", "place", "verdict", "ratio", "clear", "watch", "commit")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    fill(tmp_path / "index", [(a_run(n), [a_point("b"), a_point("a", 1, ratio=None)]) for n in range(3)])
    return tmp_path / "index"


def test_what_goes_in_comes_out(file: Path) -> None:
    with index.opened(file) as connection:
        found = index.rows(connection, COLUMNS, {})
        assert found == [
            (f"run-{n}", key, place, "same", ratio, 0, "main", f"{n:040x}")
            for n in range(3) for place, (key, ratio) in enumerate((("b", 1.01), ("a", None)))]
        assert index.rows(connection, ("run",), {"key": "a", "run": ["run-2", "run-0"]}) == [("run-0",), ("run-2",)]
        assert index.rows(connection, ("run",), {"key": "a", "purpose": ("", "bridge")}) == []
        assert index.rows(connection, ("run",), {"run": []}) == []
        assert index.stamps(connection) == {f"run-{n}": f"stamp-{n}" for n in range(3)}
        assert index.entries(connection) == ["{}"] * 3


def test_a_run_takes_its_own_place(file: Path) -> None:
    fill(file, [(a_run(1, stamp="new"), [a_point("b", verdict="slower")])])
    with index.opened(file) as connection:
        assert index.rows(connection, ("key", "verdict"), {"run": "run-1"}) == [("b", "slower")]
        assert len(index.rows(connection, ("run",), {})) == 5


def test_benchmarks_are_known_whatever_their_version(file: Path) -> None:
    with index.opened(file) as connection:
        before = {one.key: one for one in index.benchmarks(connection)}
    assert [(one.key, one.points, one.last) for one in before.values()] == [("a", 3, "run-2"), ("b", 3, "run-2")]
    fill(file, [(a_run(7), [a_point("b", version="2")])])
    with index.opened(file) as connection:
        after = {one.key: one for one in index.benchmarks(connection)}
    assert after["a"] == before["a"], "nothing of it has changed"
    assert (after["b"].points, after["b"].last) == (4, "run-7") and after["b"].stamp != before["b"].stamp


def test_the_order_in_which_runs_came_does_not_matter(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fill(other, [(a_run(9), [a_point("c")])])
    for number in (2, 0, 1):
        fill(other, [(a_run(number), [a_point("b"), a_point("a", 1, ratio=None)])])
    assert dump(other) != dump(file)
    with index.opened(other) as connection, index.writing(connection):
        index.remove(connection, ["run-9", "no such run"])
        index.tidy(connection)
    assert dump(other) == dump(file)


def test_an_exception_leaves_all_as_it_was(file: Path) -> None:
    before = dump(file)
    with pytest.raises(ZeroDivisionError), index.opened(file) as connection, index.writing(connection):
        index.put(connection, a_run(1, stamp="new"), [a_point("b")])
        _ = 1 / 0
    with pytest.raises(MachineError, match="UNIQUE"), index.opened(file) as connection, index.writing(connection):
        index.put(connection, a_run(1, stamp="new"), [a_point("b"), a_point("b", 1)])
    assert dump(file) == before


def test_who_reads_sees_one_moment(file: Path) -> None:
    with index.opened(file) as reader, index.reading(reader):
        before = index.entries(reader)
        fill(file, [(a_run(9), [])])
        assert index.entries(reader) == before
    with index.opened(file) as reader:
        assert len(index.entries(reader)) == len(before) + 1


def past(file: Path, version: int) -> None:
    """An index as the Lockstep of that version left it, with what of it every version since has."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for migrate in index.MIGRATIONS[:version]:
            migrate(connection)
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", range(len(index.MIGRATIONS) + 1))
def test_every_past_version_is_brought_to_this_one(tmp_path: Path, version: int) -> None:
    past(tmp_path / "old", version)
    run = (a_run(1), [a_point("a")])
    fill(tmp_path / "old", [run])
    fill(tmp_path / "new", [run])
    assert dump(tmp_path / "old") == dump(tmp_path / "new")
    schemas = []
    for name in ("old", "new"):
        with index.opened(tmp_path / name) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(index.MIGRATIONS),)
            schemas.append(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall())
    assert schemas[0] == schemas[1]


def test_the_rows_of_version_1_stay(tmp_path: Path) -> None:
    """What the first released version wrote, in its own words."""
    past(tmp_path / "old", 1)
    with closing(sqlite3.connect(tmp_path / "old", isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO runs VALUES (5, 'run-1', 's', 7, 1e9, 'main', '', 'anchor', 'n', 'benchmarks', 'm', 'h',"
            " '6.1', 'GCC 12', 'a', 'anchor', 'b', 'head', 'c0ffee', 1e9, 'Change', 'main', 1, '{}')")
        connection.execute("INSERT INTO benchmarks VALUES (3, 'a', 'a', '1', 'time', 's')")
        connection.execute(
            "INSERT INTO points VALUES (3, 5, 0, 'same', '', 1.01, 1.0, 1.02, 1e-3, 1e-3, 2.5, 6, 0, 0, 0.01, 2e-3, 6)")
    with index.opened(tmp_path / "old") as connection:
        found = index.rows(connection, ("run", "commit", "key", "log_ratio", "counted"), {"watch": "main"})
    assert found == [("run-1", "c0ffee", "a", 0.01, 6)]


def test_a_newer_version_is_refused_and_what_is_none_is_named(file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(index.UnusableError, match=r"is of version 99; this Lockstep reads up to \d"), index.opened(
            file):
        pass
    (tmp_path / "text").write_text("not a database, and long enough to be seen as none" * 100)
    with pytest.raises(index.UnusableError, match=r"is damaged: .* `lockstep reindex` makes it anew"), index.opened(
            tmp_path / "text"):
        pass
    with pytest.raises(MachineError, match=r"there is no index .*none; `lockstep reindex`"), index.opened(
            tmp_path / "none"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(MachineError, match="cannot be used: unable to open"), index.opened(
            tmp_path / "folder", make=True):
        pass


def test_damage_inside_is_found(file: Path) -> None:
    fill(file, [(a_run(n), [a_point(f"benchmark-{m}", m) for m in range(50)]) for n in range(20)])
    with index.opened(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index.check(connection)
    content = bytearray(file.read_bytes())
    content[8192:12288] = b"\x55" * 4096
    file.write_bytes(content)
    with pytest.raises(index.UnusableError, match="damaged"), index.opened(file) as connection:
        index.check(connection)
    index.discard(file)
    assert not list(file.parent.glob(f"{file.name}*"))


def test_another_run_of_the_same_benchmark_is_no_second_benchmark(file: Path) -> None:
    fill(file, [(a_run(8), [a_point("a"), replace(a_point("a", 1), unit="bytes")])])
    with index.opened(file) as connection:
        assert connection.execute("SELECT count(*) FROM benchmarks").fetchone() == (3,)
        assert [one.points for one in index.benchmarks(connection)] == [5, 3]
