"""The index: what goes in comes out, as a whole or not at all, in every version that there was.

What is not about files alone is said of PostgreSQL, too, where there are processes: tests/live/test_index_postgres.py.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from made_rows import a_point, a_run, dump, fill

from runner.errors import MachineError
from runner.storage import index
from runner.storage.index import Place, Point, Run

COLUMNS = ("run", "key", "place", "verdict", "ratio", "clear", "watch", "commit")


@dataclass(frozen=True)
class Files:
    """Where indexes are kept: in files."""

    folder: Path

    def place(self, name: str) -> Path:
        """Where one can be made."""
        return self.folder / name

    @contextmanager
    def past(self, name: str, version: int) -> Iterator[tuple[Path, Any]]:
        """An index as the Lockstep of that version left it, and a connection to write into it what that one did."""
        with closing(sqlite3.connect(self.place(name), isolation_level=None)) as connection:
            for migration in index.MIGRATIONS[:version]:
                for statement in migration:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
            yield self.place(name), connection

    def schema(self, place: Path) -> list[Any]:
        """All that it is made of."""
        with index.opened(place) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(index.MIGRATIONS),)
            return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


@pytest.fixture
def engine(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def place(engine: Files) -> Place:
    return three_runs(engine.place("index"))


def three_runs(place: Place) -> Place:
    """Make an index of three runs with two benchmarks each."""
    fill(place, [(a_run(n), [a_point("b"), a_point("a", 1, ratio=None)]) for n in range(3)])
    return place


def test_what_goes_in_comes_out(place: Place) -> None:
    with index.opened(place) as connection:
        found = index.rows(connection, COLUMNS, {})
        assert found == [
            (f"run-{n}", key, number, "same", ratio, 0, "main", f"{n:040x}")
            for n in range(3) for number, (key, ratio) in enumerate((("b", 1.01), ("a", None)))]
        assert index.rows(connection, ("run",), {"key": "a", "run": ["run-2", "run-0"]}) == [("run-0",), ("run-2",)]
        assert index.rows(connection, ("run",), {"key": "a", "purpose": ("", "bridge")}) == []
        assert index.rows(connection, ("run",), {"run": []}) == []
        assert index.stamps(connection) == {f"run-{n}": f"stamp-{n}" for n in range(3)}
        assert index.entries(connection) == ["{}"] * 3


def test_entries_are_had_by_name_however_many_they_are(engine: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    place = engine.place("index")
    fill(place, [(a_run(n, created=1e9 - n, entry=str(n)), [a_point("a")]) for n in range(7)])
    monkeypatch.setattr(index, "AT_ONCE", 3)
    with index.opened(place) as connection:
        assert index.entries(connection, [f"run-{n}" for n in range(7)]) == index.entries(connection)
        assert index.entries(connection, ["run-2", "run-9", "run-5"]) == ["5", "2"], "oldest first"
        assert index.entries(connection, []) == []


def test_what_some_runs_have_is_told_once(engine: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    place = engine.place("index")
    fill(place, [(a_run(n), [a_point("a"), a_point("b", 1, version=f"{n // 2}")]) for n in range(5)])
    monkeypatch.setattr(index, "AT_ONCE", 2)
    with index.opened(place) as connection:
        assert index.versions(connection, ["run-0", "run-1", "run-4", "run-9"]) == {
            ("a", "1", "time", "s"), ("b", "0", "time", "s"), ("b", "2", "time", "s")}
        assert index.versions(connection, []) == set()


def test_every_number_comes_back_to_the_last_bit(engine: Files) -> None:
    luck = random.Random(1)
    numbers = [0.1, 1e-300, 5e-324, 1.7976931348623157e308, float("inf"), *(luck.gauss(0, 1) for _ in range(20))]
    place = engine.place("index")
    fill(place, [(a_run(1), [a_point(f"{n:02}", n, ratio=one, clear=n % 2 == 0) for n, one in enumerate(numbers)])])
    with index.opened(place) as connection:
        assert index.rows(connection, ("ratio", "clear"), {}) == [(one, n % 2 == 0) for n, one in enumerate(numbers)]
    fill(place, [(a_run(2), [a_point("none", low=float("nan"))])])
    with index.opened(place) as connection:
        assert index.rows(connection, ("low",), {"key": "none"}) == [(None,)], "what is not a number is not there"


def test_one_machine_of_many_is_found(engine: Files) -> None:
    place = engine.place("index")
    fill(place, [
        (a_run(n, machine=f"m{n % 3}", purpose="bridge" if n == 4 else "anchor"), [a_point("a"), a_point("b", 1)])
        for n in range(9)])
    with index.opened(place) as connection:
        assert index.rows(connection, ("run", "key"), {"machine": "m1", "key": "a"}) == [
            ("run-1", "a"), ("run-4", "a"), ("run-7", "a")]
        assert index.rows(connection, ("run",), {"machine": "m1", "key": "a", "purpose": ["anchor"]}) == [
            ("run-1",), ("run-7",)]
        assert len(index.rows(connection, ("run",), {"machine": ["m0", "m1"]})) == 12


def test_texts_are_ordered_by_their_bytes(engine: Files) -> None:
    ids = ["b", "B", "ä", "a", "_", "Z", "a b", "ab", "a-b"]
    place = engine.place("index")
    fill(place, [(a_run(1, id=id, entry=id), [a_point("a")]) for id in ids])
    with index.opened(place) as connection:
        assert index.entries(connection) == sorted(ids)
        assert [one.last for one in index.benchmarks(connection)] == ["ä"]


def test_a_run_takes_its_own_place(place: Place) -> None:
    fill(place, [(a_run(1, stamp="new"), [a_point("b", verdict="slower")])])
    with index.opened(place) as connection:
        assert index.rows(connection, ("key", "verdict"), {"run": "run-1"}) == [("b", "slower")]
        assert len(index.rows(connection, ("run",), {})) == 5


def test_benchmarks_are_known_whatever_their_version(place: Place) -> None:
    with index.opened(place) as connection:
        before = {one.key: one for one in index.benchmarks(connection)}
    assert [(one.key, one.points, one.last) for one in before.values()] == [("a", 3, "run-2"), ("b", 3, "run-2")]
    fill(place, [(a_run(7), [a_point("b", version="2")])])
    with index.opened(place) as connection:
        after = {one.key: one for one in index.benchmarks(connection)}
    assert after["a"] == before["a"], "nothing of it has changed"
    assert (after["b"].points, after["b"].last) == (4, "run-7") and after["b"].stamp != before["b"].stamp


Runs = dict[str, tuple[Run, list[Point]]]


def said_of(runs: Runs, purposes: tuple[str, ...]) -> list[tuple[str, str, int, str]]:
    """What `index.benchmarks` has to say of these runs, but for the stamps."""
    found = []
    for key in sorted({point.key for _, points in runs.values() for point in points}):
        own = [(run, point) for run, points in runs.values() for point in points if point.key == key]
        last, point = max(own, key=lambda one: (one[0].purpose in purposes, one[0].created, one[0].id))
        found.append((key, point.name, len(own), last.id))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_of_a_benchmark_is_what_its_runs_say_whatever_came_and_went(engine: Files, seed: int) -> None:
    luck, there = random.Random(seed), Runs()
    place = engine.place("index")
    for step in range(60):
        number = luck.randrange(8)
        with index.opened(place, make=True) as connection, index.writing(connection):
            if luck.random() < 0.4:
                index.remove(connection, [f"run-{number}"])
                there.pop(f"run-{number}", None)
            else:
                run = a_run(number, stamp=f"{step}", created=1e9 + number // 2, purpose=luck.choice(["", "x", "y"]))
                points = [
                    a_point(key, where, version=str(luck.randrange(2)), name=f"name of {key}")
                    for where, key in enumerate(luck.sample("abcd", luck.randint(1, 3)))]
                there[run.id] = run, points
                index.put(connection, run, points)
            index.tidy(connection)
        with index.opened(place) as connection:
            for purposes in ((), ("",), ("x", "y")):
                known = index.benchmarks(connection, purposes)
                assert [(one.key, one.name, one.points, one.last) for one in known] == said_of(there, purposes), step
    anew = engine.place("anew")
    fill(anew, luck.sample(list(there.values()), len(there)))
    assert dump(place) == dump(anew), "and its stamps are those of an index that was made of them alone"


def test_the_order_in_which_runs_came_does_not_matter(engine: Files, place: Place) -> None:
    other = engine.place("other")
    fill(other, [(a_run(9), [a_point("c")])])
    for number in (2, 0, 1):
        fill(other, [(a_run(number), [a_point("b"), a_point("a", 1, ratio=None)])])
    assert dump(other) != dump(place)
    with index.opened(other) as connection, index.writing(connection):
        index.remove(connection, ["run-9", "no such run"])
        index.tidy(connection)
    assert dump(other) == dump(place)


def test_an_exception_leaves_all_as_it_was(place: Place) -> None:
    before = dump(place)
    with pytest.raises(ZeroDivisionError), index.opened(place) as connection, index.writing(connection):
        index.put(connection, a_run(1, stamp="new"), [a_point("b")])
        _ = 1 / 0
    with pytest.raises(MachineError, match=r"(?i)unique"), index.opened(place) as connection, index.writing(connection):
        index.put(connection, a_run(1, stamp="new"), [a_point("b"), a_point("b", 1)])
    assert dump(place) == before


def test_who_reads_sees_one_moment(place: Place) -> None:
    with index.opened(place) as reader, index.reading(reader):
        before = index.entries(reader)
        fill(place, [(a_run(9), [])])
        assert index.entries(reader) == before
    with index.opened(place) as reader:
        assert len(index.entries(reader)) == len(before) + 1


@pytest.mark.parametrize("version", range(len(index.MIGRATIONS) + 1))
def test_every_past_version_is_brought_to_this_one(engine: Files, version: int) -> None:
    with engine.past("old", version) as (old, _):
        pass
    new, run = engine.place("new"), (a_run(1), [a_point("a")])
    fill(old, [run])
    fill(new, [run])
    assert dump(old) == dump(new)
    assert engine.schema(old) == engine.schema(new)


def test_the_rows_of_version_1_stay(engine: Files) -> None:
    """What the first released version wrote, in its own words."""
    with engine.past("old", 1) as (old, connection):
        for number, id in ((5, "run-1"), (6, "run-2"), (9, "run-3")):
            connection.execute(
                f"INSERT INTO runs VALUES ({number}, '{id}', 's', {number}00000000000, {number}e8, 'main', '',"
                " 'anchor', 'n', 'benchmarks', 'm', 'h', '6.1', 'GCC 12', 'a', 'anchor', 'b', 'head', 'c0ffee', 1e9,"
                " 'Change', 'main', 1, '{}')")
        connection.execute("INSERT INTO benchmarks VALUES (3, 'a', 'a', '1', 'time', 's')")
        connection.execute("INSERT INTO benchmarks VALUES (4, 'b', 'b', '1', 'time', 's')")
        for benchmark, number in ((3, 5), (3, 9), (3, 6), (4, 5)):
            connection.execute(
                f"INSERT INTO points VALUES ({benchmark}, {number}, 0, 'same', '', 1.01, 1.0, 1.02, 1e-3, 1e-3, 2.5, 6,"
                " 0, 0, 0.01, 2e-3, 6)")
    with index.opened(old) as connection:
        found = index.rows(connection, ("run", "commit", "key", "log_ratio", "counted"), {"watch": "main", "key": "b"})
        assert found == [("run-1", "c0ffee", "b", 0.01, 6)]
        assert [(one.key, one.points, one.last, one.stamp) for one in index.benchmarks(connection)] == [
            ("a", 3, "run-3", f"{2_000_000_000_000:x}.3"), ("b", 1, "run-1", f"{500_000_000_000:x}.1")]


def test_another_run_of_the_same_benchmark_is_no_second_benchmark(place: Place) -> None:
    fill(place, [(a_run(8), [a_point("a"), replace(a_point("a", 1), unit="bytes")])])
    with index.opened(place) as connection:
        assert connection.execute("SELECT count(*) FROM benchmarks").fetchone() == (3,)
        assert [one.points for one in index.benchmarks(connection)] == [5, 3]


def test_a_newer_version_is_refused_and_what_is_none_is_named(place: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(index.UnusableError, match=r"is of version 99; this Lockstep reads up to \d"), index.opened(
            place):
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


def test_damage_inside_is_found(place: Path) -> None:
    fill(place, [(a_run(n), [a_point(f"benchmark-{m}", m) for m in range(50)]) for n in range(20)])
    with index.opened(place) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index.check(connection)
    content = bytearray(place.read_bytes())
    content[8192:12288] = b"\x55" * 4096
    place.write_bytes(content)
    with pytest.raises(index.UnusableError, match="damaged"), index.opened(place) as connection:
        index.check(connection)
    index.discard(place)
    assert not list(place.parent.glob(f"{place.name}*"))


OF_FILES_ALONE = (test_a_newer_version_is_refused_and_what_is_none_is_named, test_damage_inside_is_found)


def test_the_largest_that_may_be_kept_is_kept(engine: Files) -> None:
    dice = random.Random(1)

    def text(size: int) -> str:
        """What no engine packs into less."""
        return "".join(map(chr, dice.choices(range(0x4E00, 0x9FFF), k=size // 3)))

    most = index.LARGEST - 1
    point = a_point(text(index.LONGEST // 2), name=text(index.LONGEST // 2 - 90), blocks=most, counted=most)
    run = replace(a_run(1), watch=text(index.LONGEST - 190), machine="m" * 64, commit="1a" * 32, position=most,
                  subject="s" * index.TEXT, entry="s" * index.ENTRY)
    assert index.unkept(point) == index.unkept(run) == ""
    place = engine.place("index")
    fill(place, [(run, [point])])
    with index.opened(place) as connection:
        assert index.rows(connection, ("key", "watch", "blocks", "position"), {}) == [
            (point.key, run.watch, most, most)]
    for changes in ({"key": point.key + text(150)}, {"blocks": most + 1}, {"counted": most + 1}, {"unit": "\0"},
                    {"reason": "r" * (index.TEXT + 1)}):
        assert index.unkept(replace(point, **changes)), changes
    for changes in ({"watch": run.watch + text(150)}, {"position": most + 1}, {"subject": "\0"},
                    {"subject": "s" * (index.TEXT + 1)}, {"entry": "s" * (index.ENTRY + 1)}):
        assert index.unkept(replace(run, **changes)), changes
