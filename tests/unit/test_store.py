"""The run folder: what was written is read back, and what is wrong is named."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from samples import TURNS, benchmark, block, interpreter, manifest

from runner.errors import MachineError, UsageError
from runner.model import Arm, Block, BlockKind, Build, Difference, Failure, Metric, Mode, Notice, Settings
from runner.storage import store
from runner.storage.store import BLOCKS, MANIFEST, Missing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return store.create(tmp_path / "runs", manifest())


BLOCK = TypeAdapter(Block)
SHARED = Settings(mode=Mode.SHARED, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=6, window=0.75, warmup=1)
SAMPLES = (
    block(kind=BlockKind.CALIBRATION, base=(), head=(), order=""),
    block(index=0),
    block(index=1, settings=SHARED, base=(1, 2, 3), head=(4, 5), order="", readings={}),
    block(index=2, base=(2**63, 0.1, 1e-300), head=(-1, 3, 7.5)),
    block(index=3, failure=Failure(reason="raised ValueError: “ü\n”", arm=Arm.HEAD, detail="line\n" * 3)),
    block("name(size=4KiB)", 0, failure=Failure(reason="the arms disagree", arm=None), first=Arm.HEAD),
)


def test_a_manifest_comes_back_as_it_went(tmp_path: Path) -> None:
    build = Build(key="k", tree=Path("/t"), source="CPython 3.13.5", source_hash="s", edits=("nocow",), edits_hash="e",
                  flags=("--with-lto",), compiler="gcc 12", changed_files=("Modules/_io/bytesio.c",))
    made = manifest(
        [benchmark(params={"size": "4KiB"}, index=(1,), number=5), benchmark("memory.peakmem_x", Metric.PEAK_MEMORY)],
        base=interpreter(), differences=(Difference(what="edits", base="nocow", head="", asked=True),),
        missing=(Missing(benchmark=benchmark("only.time_x"), present=Arm.HEAD),), budget=90.5,
        settings={"mode": "turns"}, notices=(Notice(kind="steal", numbers={"share": 0.1, "cpu": 1, "text": "ü"}),),
    )
    object.__setattr__(made.base, "build", build)
    run = store.read(store.create(tmp_path, made))
    assert run.manifest == made
    assert run.blocks == () and not run.torn


def test_blocks_come_back_as_they_went_in_measured_order(folder: Path) -> None:
    with store.appending(folder) as append:
        for one in SAMPLES[:2]:
            append(one)
    with store.appending(folder) as append:
        for one in SAMPLES[2:4]:
            append(one)
            assert store.read(folder).blocks[-1] == one, "on disk when the call returns"
        append(SAMPLES[5])
    run = store.read(folder)
    assert run.blocks == (*SAMPLES[:4], SAMPLES[5])
    assert [type(value) for value in run.blocks[2].base] == [int, int, int]
    assert [type(value) for value in run.blocks[3].base] == [int, float, float]
    assert not run.torn


@pytest.mark.parametrize("version", [1, 2])
def test_runs_of_older_versions_can_be_read(folder: Path, version: int) -> None:
    """A calibration had index -1 and the canary a flag; where a block was measured was not on record."""
    wrote = [
        block(kind=BlockKind.CALIBRATION, base=(), head=(), order=""), block(index=0), SAMPLES[2],
        *([block(kind=BlockKind.CANARY), block(index=2, layout=7)] if version == 2 else []),
    ]
    new = ("kind", "host", "cpu", "session", *(("layout", "extensions", "uncovered") if version == 1 else ()))
    lines = []
    for one in wrote:
        line = {name: value for name, value in BLOCK.dump_python(one, mode="json").items() if name not in new}
        if one.kind is BlockKind.CALIBRATION:
            line["index"] = -1
        if version == 2:
            line["canary"] = one.kind is BlockKind.CANARY
        lines.append(json.dumps(line) + "\n")
    (folder / BLOCKS).write_text("".join(lines))
    made = json.loads((folder / MANIFEST).read_text()) | {"schema": f"lockstep.run/{version}"}
    later = ("labels", "repeats", "copies", "calibration", "blocks") if version == 1 else ()
    (folder / MANIFEST).write_text(json.dumps({key: value for key, value in made.items() if key not in later}))
    run = store.read(folder)
    assert run.blocks == tuple(wrote)
    assert run.manifest == manifest(schema=f"lockstep.run/{version}")
    assert run.by_benchmark()["work.time_it"] == [one for one in wrote if one.kind is not BlockKind.CANARY]
    (folder / BLOCKS).write_text(lines[0] + "{\n")
    with pytest.raises(UsageError, match=r"blocks\.jsonl:2 is not a block: Invalid JSON"):
        store.read(folder)


def test_a_failure_may_hold_any_text(folder: Path) -> None:
    with store.appending(folder) as append:
        append(SAMPLES[4])
    (back,) = store.read(folder).blocks
    assert back.failure is not None and back.failure.reason.startswith("raised ValueError: “ü\n")


@pytest.mark.parametrize("torn", [b"{", b'{"benchmark": "work.time_it", "index"', b"\0" * 30])
def test_a_torn_last_line_is_ignored_and_cut_before_the_next_one(folder: Path, torn: bytes) -> None:
    with store.appending(folder) as append:
        append(SAMPLES[0])
    with (folder / BLOCKS).open("ab") as stream:
        stream.write(torn)
    run = store.read(folder)
    assert run.torn and run.blocks == SAMPLES[:1]
    with store.appending(folder) as append:
        append(SAMPLES[1])
    run = store.read(folder)
    assert not run.torn and run.blocks == SAMPLES[:2]


def test_every_prefix_of_the_file_can_be_read(folder: Path) -> None:
    """Wherever a kill cuts the file, the whole lines before it are there."""
    with store.appending(folder) as append:
        for one in SAMPLES[:3]:
            append(one)
    whole = (folder / BLOCKS).read_bytes()
    for cut in range(0, len(whole) + 1, 7):
        (folder / BLOCKS).write_bytes(whole[:cut])
        run = store.read(folder)
        lines = whole[:cut].count(b"\n")
        assert run.blocks == SAMPLES[:lines]
        assert run.torn == (not whole[:cut].endswith(b"\n") and cut > 0)


@pytest.mark.parametrize(("line", "told"), [
    (b"not json", "Invalid JSON"), (b"", "Invalid JSON"), (b'{"index": 0}', "benchmark: Field required"), (b"[]", ""),
])
def test_a_bad_line_is_named_with_file_and_line(folder: Path, line: bytes, told: str) -> None:
    with store.appending(folder) as append:
        append(SAMPLES[0])
    good = (folder / BLOCKS).read_bytes()
    (folder / BLOCKS).write_bytes(good + line + b"\n" + good)
    with pytest.raises(UsageError) as refusal:
        store.read(folder)
    assert f"{folder / BLOCKS}:2 is not a block" in str(refusal.value)
    assert told in str(refusal.value) and "Remove the line" in str(refusal.value)


@pytest.mark.parametrize(("text", "told"), [
    ('{"schema": "lockstep.run/9"}', "is of version 'lockstep.run/9'; this Lockstep reads 'lockstep.run/3'"),
    ("[]", "is of version 'none'"), ("{", "none (not JSON)"), ('{"schema": "lockstep.run/1"}', "id: Field required"),
])
def test_a_manifest_that_is_newer_or_broken_is_refused_in_words(folder: Path, text: str, told: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(UsageError) as refusal:
        store.read(folder)
    assert told in str(refusal.value) and str(folder / MANIFEST) in str(refusal.value)


def test_what_is_no_run_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder: No such file"):
        store.read(tmp_path / "nowhere")
    (folder / BLOCKS).unlink()
    with pytest.raises(UsageError, match=r"blocks\.jsonl"):
        store.read(folder)
    with pytest.raises(MachineError, match="cannot write"), store.appending(folder):
        pytest.fail("opened what is not there")


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes: a write takes what fits, and the next one fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("more", [0, 1, 200])
def test_a_disk_that_fills_up_leaves_the_whole_lines(folder: Path, more: int) -> None:
    with store.appending(folder) as append:
        append(SAMPLES[0])
        append(SAMPLES[1])
        size = (folder / BLOCKS).stat().st_size
        with full_disk(size + more), pytest.raises(MachineError) as told:
            append(SAMPLES[2])
        assert (folder / BLOCKS).stat().st_size == size
        assert store.read(folder).blocks == SAMPLES[:2] and not store.read(folder).torn
        append(SAMPLES[2])
    assert store.read(folder).blocks == SAMPLES[:3]
    assert told.value.exit_code == 4
    assert f"cannot write {folder / BLOCKS}: File too large" in str(told.value)
    assert "lockstep resume" in str(told.value)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    store.write_whole(path, "before")
    with full_disk(3), pytest.raises(MachineError, match="cannot write"):
        store.write_whole(path, "after it")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(MachineError, match="cannot write"):
        store.write_whole(tmp_path / "nowhere" / "report.json", "text")


def test_what_is_appended_to_is_read_once_under_the_lock_and_kept(folder: Path) -> None:
    """A run that was read before it is locked may be continued by another process in between."""
    with store.appending(folder) as append:
        for one in SAMPLES[:2]:
            append(one)
    with (folder / BLOCKS).open("ab") as stream:
        stream.write(b"{")
    with store.appending(folder) as append:
        assert append.run == store.read(folder) and append.run.torn
        append(SAMPLES[2])
        assert append.run == store.read(folder) and append.run.blocks == SAMPLES[:3] and not append.run.torn


def test_the_names_of_a_runs_files_are_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose content is on disk is lost all the same when the folder that names it is not."""
    synced: list[Path] = []
    sync = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    folder = store.create(tmp_path / "runs", manifest())
    assert synced[-2:] == [folder, folder.parent]
    store.add_layout(folder, 7, {Arm.BASE: {"f": 1}, Arm.HEAD: {"f": 2}})
    assert synced[-2:] == [folder / store.LAYOUTS, folder]
    store.write_whole(folder / store.REPORT, "{}")
    assert synced[-1] == folder


def test_a_layout_is_on_record_once_and_after_a_torn_line(folder: Path) -> None:
    for seed in (7, 7, 8):
        store.add_layout(folder, seed, {Arm.BASE: {"f": 1}, Arm.HEAD: {"f": 2}})
    with (folder / store.LAYOUTS).open("a") as stream:
        stream.write('{"lay')
    store.add_layout(folder, 9, {Arm.BASE: {"f": 1}, Arm.HEAD: {"f": 2}})
    lines = [json.loads(line) for line in (folder / store.LAYOUTS).read_text().splitlines()]
    assert [line["layout"] for line in lines] == [7, 8, 9]
    assert lines[0] == {"layout": 7, "base": {"f": 1}, "head": {"f": 2}}


@pytest.mark.parametrize("line", ['{"lay', '{"seed": 7}', "[7]", "7"])
def test_a_line_that_is_not_a_layout_is_named(folder: Path, line: str) -> None:
    arms = {Arm.BASE: {"f": 1}, Arm.HEAD: {"f": 2}}
    store.add_layout(folder, 7, arms)
    with (folder / store.LAYOUTS).open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(UsageError, match=r"layouts\.jsonl:2 is not a layout\. Remove the line"):
        store.add_layout(folder, 8, arms)


@pytest.mark.parametrize("created", [1e20, -1e20])
def test_a_run_of_no_date_is_refused_in_words(tmp_path: Path, created: float) -> None:
    with pytest.raises(UsageError, match=r"manifest\.json cannot be read: created: .*1e\+20 is no date"):
        store.read(store.create(tmp_path, manifest(created=created)))


def test_a_run_is_not_measured_twice_at_once(folder: Path) -> None:
    with (
        store.appending(folder) as append,
        pytest.raises(MachineError, match="being measured by another process"),
        store.appending(folder),
    ):
        pytest.fail("two at once")
    with store.appending(folder) as append:
        append(SAMPLES[0])


def test_a_folder_that_is_there_is_not_taken_over(folder: Path) -> None:
    with pytest.raises(MachineError, match="File exists"):
        store.create(folder.parent, manifest())


def test_runs_are_found_by_path_id_beginning_and_last(tmp_path: Path) -> None:
    names = ("20250101T120000Z-ab12cd", "20250101T120000Z-ff0000", "20250202T120000Z-000000")
    made = [store.create(tmp_path, manifest(id=name)) for name in names]
    (tmp_path / "20250303T000000Z-aaaaaa").mkdir()  # a run that was killed before its manifest was written
    assert store.find(tmp_path, "last") == made[2]
    assert store.find(tmp_path, "20250202") == made[2]
    assert store.find(tmp_path, names[0]) == made[0]
    assert store.find(Path("/nowhere"), str(made[1])) == made[1]
    with pytest.raises(UsageError, match="beginning of 2 runs"):
        store.find(tmp_path, "20250101")
    with pytest.raises(UsageError, match=r"no run '1999' .* the newest are: 20250101"):
        store.find(tmp_path, "1999")
    with pytest.raises(UsageError, match="none yet"):
        store.find(tmp_path / "empty", "last")


def test_ids_sort_by_time() -> None:
    assert store.new_id(0.0).startswith("19700101T000000Z-")
    assert store.new_id(0.0) != store.new_id(0.0)
    assert store.new_id(1.7e9) < store.new_id(1.7e9 + 1)


def test_the_files_are_plain_json_for_other_programs(folder: Path) -> None:
    with store.appending(folder) as append:
        append(block(settings=TURNS))
    line = json.loads((folder / BLOCKS).read_text())
    assert line["base"] == [2_000_000, 2_100_000] and line["order"] == "bh" and line["first"] == "base"
    assert line["settings"]["calls"] == {"base": 100, "head": 100}
    assert json.loads((folder / MANIFEST).read_text())["schema"] == "lockstep.run/3"
