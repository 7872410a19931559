"""What goes when blocks go: nothing that a report, a page or a history says."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_events import affected, entry, event
from made_rows import dump
from made_runs import make_charts, make_run, make_runs, some_benchmarks, spoil
from samples import Quiet

from runner import config, jobs
from runner.errors import MachineError, UsageError
from runner.history import events
from runner.history import runs as history
from runner.history.events import State
from runner.jobs import night_after, retention
from runner.jobs.night_work import Work
from runner.jobs.watched import Nightly, Retention, Watch
from runner.judging import statistics
from runner.model import Block, Failure, Purpose, Role
from runner.report import as_json
from runner.stats.decide import LOOKS
from runner.storage import shelf, store
from runner.storage.nights import Night

Lockstep = Callable[..., tuple[int, str, str]]
publishing = importlib.import_module("runner.jobs.publish")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four nights from 2023-11-14 on; a benchmark of the second failed."""
    monkeypatch.setattr(config, "STATE", tmp_path / "state")
    folder = tmp_path / "state" / "runs"
    places = make_runs(folder, 4, 6)
    spoil(places[1], {some_benchmarks(6)[2].key: Failure(reason="raised ValueError: no", arm=None, detail="Traceback")})
    return folder


def places(runs: Path) -> list[Path]:
    return sorted(runs.iterdir())


def test_a_report_says_what_it_said(runs: Path) -> None:
    for place in places(runs):
        before = jobs.report_of(place)
        size = sum(store.raw(place).values())
        assert statistics.keep(place) == size > 0
        assert not (place / store.BLOCKS).exists()
        after = jobs.report_of(place)
        assert as_json.render(after) == as_json.render(before)
        for one, other in zip(after.comparisons, before.comparisons, strict=True):
            assert one.noise == other.noise
            for name in ("log_ratios", "base_values", "head_values", "started"):
                assert getattr(one, name).tolist() == getattr(other, name).tolist()
                assert not getattr(one, name).flags.writeable


def test_an_infinite_number_comes_back(runs: Path) -> None:
    """Blocks whose arms are one gain without end by being measured together."""
    place = places(runs)[0]
    with store.appending(place) as append:
        blocks = [one for one in append.run.blocks if one.benchmark == some_benchmarks(1)[0].key]
    same: list[Block] = [replace(one, head=one.base) for one in blocks]
    lines = [store._block.dump_json(one) for one in same]
    (place / store.BLOCKS).write_bytes(b"\n".join(lines) + b"\n")
    before = jobs.report_of(place).comparisons[0].noise
    statistics.keep(place)
    assert jobs.report_of(place).comparisons[0].noise == before


def test_old_blocks_go_and_the_history_stays(lockstep: Lockstep, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    made = make_runs(folder, 4, 6)
    file = config.index_file(folder)
    before = history.read(folder, file)
    code, out, error = lockstep("gc", "--before", "2023-11-16", "--out", folder)
    assert code == 0, error
    assert out.splitlines()[-1].startswith("would remove the blocks of 2 runs") and made[0].name in out
    assert all((place / store.BLOCKS).exists() for place in made)
    code, out, error = lockstep("gc", "--before", "2023-11-16", "--out", folder, "--apply")
    assert code == 0 and out.splitlines()[-1].startswith("removed the blocks of 2 runs"), error
    assert [(place / store.BLOCKS).exists() for place in made] == [False, False, True, True]
    after = history.read(folder, file)
    assert after.fresh == () and after.problems == ()
    pd.testing.assert_frame_equal(after.rows, before.rows)
    assert [replace(one, stamp="") for one in after.runs] == [replace(one, stamp="") for one in before.runs]
    kept = dump(file)
    code, out, _ = lockstep("reindex", "--out", folder)
    assert code == 0 and out.startswith("4 runs: ")
    assert dump(file) == kept
    assert lockstep("gc", "--before", "2023-11-16", "--out", folder)[1].startswith("would remove the blocks of 0 runs")


WATCH = Watch(name="main", repository="source", branch="main", anchor="v1")


def test_a_night_removes_the_old_blocks_of_what_it_watches(tmp_path: Path) -> None:
    """Those of a person, of another configuration file and of an open event stay."""
    settings = Nightly(watch=(WATCH,), state=tmp_path, retention=Retention(days=2))
    roles = [Role(watch=watch, configuration="", purpose=Purpose.ANCHOR, night="n") for watch in ("main", "other")]
    made = [make_run(settings.runs, number, some_benchmarks(1), role=role)
            for number, role in enumerate((roles[0], roles[0], None, roles[1], roles[0]))]
    told = [event(affected("a", run=place.name), run="elsewhere", good=number, bad=number + 1)
            for number, place in enumerate(made[:2])]
    for one in (told[0], events.said(told[1], entry(State.FIXED))):
        events.write(tmp_path / "events", one)
    now = 1.7e9 + 6 * retention.DAY
    night = Night(id="n", watch="main", configuration="", repository="source", branch="main", machine="m", created=now,
                  margin=0.01, budget=1.0)
    work = Work(settings=settings, watch=WATCH, night=night, earlier=(), view=Quiet())

    def kept() -> list[bool]:
        night_after.retain(work)
        return [store.has_blocks(place) for place in made]

    assert kept() == [True, False, True, True, True]
    events.write(tmp_path / "events", events.said(told[0], entry(State.WONT_FIX)))
    assert kept() == [False, False, True, True, True]


def test_how_long_blocks_are_kept_is_in_the_configuration(
    lockstep: Lockstep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = make_runs(tmp_path / "here" / "runs", 2, 1)
    assert lockstep("gc")[1].startswith("would remove the blocks of 0 runs"), "they are not where state usually is"
    (tmp_path / "lockstep.toml").write_text('state = "here"\n')
    assert "would remove the blocks of 2 runs" in lockstep("gc")[1], "they are years old"
    (tmp_path / "lockstep.toml").write_text('state = "here"\n[retention]\ndays = 100_000\n')
    assert "would remove the blocks of 0 runs" in lockstep("gc")[1]
    named = event(affected("a", run=first.name))
    events.write(tmp_path / "here" / "events", named)
    code, out, error = lockstep("gc", "--before", "1d", "--apply")
    assert code == 0 and "removed the blocks of 1 runs" in out, error
    assert f"left: {first.name} is what open event {named.id} rests on" in out
    assert store.has_blocks(first) and not store.has_blocks(second)
    (tmp_path / "here" / "events" / f"{named.id}.json").write_text("{")
    code, _, error = lockstep("gc", "--before", "1d", "--apply")
    assert code == 2 and "is no event" in error and store.has_blocks(first)


def test_pages_are_made_of_what_is_kept(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", runs.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(runs.parent / "cache"))
    make_charts(runs.parent, runs.parent / "cache")

    def publish() -> dict[str, bytes]:
        done = jobs.publish(jobs.PublishRequest(out=runs.parent / "site", fresh=True), Quiet())
        assert done.problems == () and done.runs == 4
        return {str(path.relative_to(done.folder)): path.read_bytes() for path in done.folder.rglob("*.*")
                if path.name not in (publishing.STATE, "health.html")}  # it says how much room there is

    before = publish()
    done = retention.collect(None, before=2e9, apply=True, view=Quiet(), events=runs.parent / "events")
    assert len(done.runs) == 4 and done.left == ()
    assert publish() == before


def test_what_needs_blocks_says_that_there_are_none(runs: Path, lockstep: Lockstep) -> None:
    place = places(runs)[0]
    jobs.save(jobs.Finished(folder=place, report=jobs.report_of(place), interrupted=False))
    statistics.keep(place)
    code, out, _ = lockstep("show", place)
    assert code == 0 and "same" in out
    for words in (("explain", place), ("export", place, "--format", "pyperf"), ("combine", place, places(runs)[1])):
        code, _, error = lockstep(*words)
        assert code == 2 and "has no blocks any more: `lockstep gc` removed them" in error, words
    with pytest.raises(UsageError, match="has no blocks any more"), store.appending(place):
        pass
    assert shelf.entry(place).state is shelf.State.COMPLETE
    shelf.remove(place)
    assert not place.exists()


def test_what_was_interrupted_or_is_being_measured_keeps_its_blocks(runs: Path) -> None:
    first, second, third, _ = places(runs)
    lines = (first / store.BLOCKS).read_bytes().splitlines(keepends=True)
    (first / store.BLOCKS).write_bytes(b"".join(lines[:-1]))
    (third / store.MANIFEST).write_text("{")
    with store.appending(second):
        done = retention.collect(None, before=2e9, apply=True, view=Quiet(), events=runs.parent / "events")
    assert [old.id for old in done.runs] == [places(runs)[3].name]
    assert len(done.left) == 3
    assert f"{first.name} was interrupted" in " ".join(done.left)
    assert f"{second} is being measured by another process" in " ".join(done.left)
    assert all((place / store.BLOCKS).exists() for place in (first, second, third))


def test_a_stop_before_the_blocks_go_leaves_them_what_counts(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = places(runs)[0]

    def stops(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", stops)
        with pytest.raises(KeyboardInterrupt):
            statistics.keep(place)
    assert (place / store.STATISTICS).exists() and store.has_blocks(place)
    lines = (place / store.BLOCKS).read_bytes()
    extra = replace(store.read(place).blocks[0], index=LOOKS[0])
    (place / store.BLOCKS).write_bytes(lines + store._block.dump_json(extra) + b"\n")
    assert jobs.report_of(place).comparisons[0].log_ratios.size == LOOKS[0] + 1
    statistics.keep(place)
    assert jobs.report_of(place).comparisons[0].log_ratios.size == LOOKS[0] + 1


def test_what_cannot_be_read_back_is_not_taken_for_kept(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = places(runs)[0]
    with monkeypatch.context() as patched:
        patched.setattr(statistics, "_plain", lambda thing: str(thing))
        with pytest.raises((UsageError, MachineError)):
            statistics.keep(place)
    assert store.has_blocks(place)
    (place / store.BLOCKS).unlink()
    for text, said in (("{", "cannot be read"), ('{"schema": "lockstep.statistics/9"}', "is of version"),
                       ('{"schema": "lockstep.statistics/1", "report": {"run": 1}}', "cannot be read: ")):
        (place / store.STATISTICS).write_text(text)
        with pytest.raises(UsageError, match=said):
            jobs.report_of(place)
    found = history.read(runs, config.index_file(None))
    assert len(found.runs) == 3 and place.name in found.problems[0]


def test_a_run_without_blocks_and_without_what_they_said_is_none(runs: Path) -> None:
    (places(runs)[0] / store.BLOCKS).unlink()
    assert "holds no run" in history.read(runs, config.index_file(None)).problems[0]


def test_the_index_of_another_folder_is_another_file(runs: Path, tmp_path: Path) -> None:
    assert config.index_file(None) == config.index_file(runs) == runs.parent / "history.sqlite"
    assert config.index_file(tmp_path / "some") == tmp_path / "some.sqlite"
    make_run(tmp_path / "some", 7, some_benchmarks(1))
    assert len(history.read(tmp_path / "some", config.index_file(tmp_path / "some")).runs) == 1
    assert len(history.read(runs, config.index_file(None)).runs) == 4


def test_beside_what_cannot_be_written_there_is_no_index(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "writable", lambda folder: False)
    one, other = (config.index_file(Path(name) / "runs") for name in ("/mnt/a", "/mnt/b"))
    assert one.parent == other.parent == config.STATE and one != other
    assert config.index_file(runs) == config.STATE / "history.sqlite"
