"""Parcels: what is packed comes out as it was; what anybody else has packed is refused, or harmless."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import math
import random
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parcels import altered, archive, members, of_members, packed, scratched, some_run, squeezed
from test_store import full_disk

from runner.errors import UsageError
from runner.history import runs as history
from runner.judging import statistics
from runner.report import as_json
from runner.storage import foreign, parcel, store
from runner.storage.parcel import Limits, ParcelError

MUTATIONS = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def files(run: Path) -> Mapping[str, bytes]:
    return members(run)


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    return tmp_path


def unpacked(data: bytes, beside: Path, limits: Limits | None = None) -> Path:
    return parcel.unpack(io.BytesIO(data), beside, limits).folder


def refused(data: bytes, beside: Path, limits: Limits | None = None) -> ParcelError:
    """Why a parcel is not taken; nothing is left of it."""
    with pytest.raises(ParcelError) as told:
        unpacked(data, beside, limits)
    assert list(beside.iterdir()) == []
    assert str(beside) not in str(told.value), "what is the server's business"
    return told.value


def test_what_is_packed_comes_out_as_it_was(run: Path, beside: Path) -> None:
    stream = io.BytesIO()
    said = parcel.pack(run, stream)
    assert said.size == len(stream.getvalue())
    (run / "report.html").write_text("made from the rest")
    assert packed(run) == stream.getvalue(), "equal contents, equal bytes; reports are none of them"
    out = unpacked(stream.getvalue(), beside)
    assert out == beside / run.name
    assert {path.name: path.read_bytes() for path in out.iterdir()} == members(run)
    assert list(members(run)) == [store.MANIFEST, store.BLOCKS, store.LAYOUTS, "explanation.json"]
    assert parcel.contents(out) == parcel.contents(run)
    assert parcel.contents(out).digest == said.digest
    assert store.read(out).blocks == store.read(run).blocks


@pytest.mark.parametrize("held", [foreign.HELD, 0])
def test_what_was_read_comes_with_it(run: Path, beside: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    """So that nobody has to read it again; blocks that are too many to be held are read when they are asked for."""
    monkeypatch.setattr(foreign, "HELD", held)
    out = parcel.unpack(io.BytesIO(packed(run)), beside)
    assert out.contents == parcel.contents(out.folder) and out.manifest == store.read_manifest(out.folder)
    assert out.run is not None and isinstance(out.run.blocks, tuple) is (held > 0)
    assert replace(out.run, blocks=tuple(out.run.blocks)) == store.read(out.folder)
    (one, found), (other, anew) = history.found_in(out.folder, out.run), history.found_in(out.folder)
    assert found == anew and as_json.render(one) == as_json.render(other)


def test_a_digest_is_of_what_is_in_it_however_it_was_packed(
    run: Path, files: Mapping[str, bytes], beside: Path
) -> None:
    ours = packed(run)
    digest = parcel.contents(run).digest
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        other = gzip.compress(archive(files.items(), form), 9)
        assert other != ours
        folder = beside / str(form)
        folder.mkdir()
        assert parcel.contents(unpacked(other, folder)).digest == digest


def test_a_torn_last_line_is_not_sent(tmp_path: Path, beside: Path) -> None:
    run = some_run(tmp_path / "runs")
    whole = packed(run)
    for name in parcel.LINES:
        with (run / name).open("ab") as stream:
            stream.write(b'{"benchmark": "wo')
    assert packed(run) == whole
    (run / store.BLOCKS).write_bytes(b"{" * (3 * parcel.STEP))
    place = tmp_path / "there"
    place.mkdir()
    out = unpacked(packed(run), place)
    assert (out / store.BLOCKS).read_bytes() == b"", "no line was whole"


@pytest.mark.parametrize("size", [0, 1, 2, parcel.STEP - 1, parcel.STEP, parcel.STEP + 1, 2 * parcel.STEP + 5])
def test_where_the_last_whole_line_ends(size: int) -> None:
    for after in (0, 1, parcel.STEP - 1, parcel.STEP, parcel.STEP + 1):
        text = b"x" * max(0, size - 1) + b"\n" * (size > 0)
        file = io.BytesIO(text + b"y" * after)
        assert parcel._whole_lines(file) == size and file.tell() == 0


def test_a_run_without_blocks_is_sent_with_what_they_said(tmp_path: Path) -> None:
    run = some_run(tmp_path / "runs")
    before = statistics.report_of(run)
    statistics.keep(run)
    place = tmp_path / "there"
    place.mkdir()
    out = unpacked(packed(run), place)
    assert sorted(path.name for path in out.iterdir()) == ["explanation.json", store.MANIFEST, store.STATISTICS]
    assert [one.ratio for one in statistics.report_of(out).comparisons] == [one.ratio for one in before.comparisons]
    again = tmp_path / "again"
    again.mkdir()
    assert parcel.unpack(io.BytesIO(packed(run)), again).run is None


def test_a_run_that_is_both_ways_is_sent_with_its_blocks(tmp_path: Path) -> None:
    """A kill between the statistics and the blocks leaves both, and the blocks count."""
    run = some_run(tmp_path / "runs")
    whole = packed(run)
    (run / store.STATISTICS).write_text("{}")
    assert packed(run) == whole


def test_what_is_no_run_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run folder"):
        packed(tmp_path)
    run = some_run(tmp_path / "runs")
    (run / store.BLOCKS).unlink()
    with pytest.raises(UsageError, match="there is nothing to send"):
        packed(run)


def test_a_file_that_has_grown_starts_as_it_was(run: Path) -> None:
    part = parcel.contents(run).parts[store.BLOCKS]
    assert parcel.starts_as(run, store.BLOCKS, part)
    lines = (run / store.BLOCKS).read_bytes()
    shorter = parcel.Part(size=0, sha256=hashlib.sha256(b"").hexdigest())
    assert parcel.starts_as(run, store.BLOCKS, shorter)
    longer = parcel.Part(size=len(lines) + 1, sha256=hashlib.sha256(lines + b"\n").hexdigest())
    assert not parcel.starts_as(run, store.BLOCKS, longer)


def entry(name: str, type: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = type, link
    return found


@pytest.mark.parametrize("name", [
    "report.html", "report.json", "origin.json", "../manifest.json", "/etc/passwd", "./manifest.json",
    "a/manifest.json", "manifest.json/", "MANIFEST.JSON", "manifest.json ", "x" * 99, "", ".lock", "ï.json",
])
def test_only_the_files_of_a_run_are_taken(files: Mapping[str, bytes], beside: Path, name: str) -> None:
    told = refused(of_members({**files, name: b"{}\n"}), beside)
    assert told.reason in ("member", "damaged")
    refused(of_members({name: b"{}\n", **files}), beside)


@pytest.mark.parametrize("type", [
    tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
    tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
    tarfile.XGLTYPE, b"?",
])
@pytest.mark.parametrize("name", [store.LAYOUTS, store.MANIFEST, "../../etc/cron.d/x"])
def test_nothing_but_regular_files_is_taken(
    files: Mapping[str, bytes], beside: Path, type: bytes, name: str
) -> None:
    first = [(one, files[one]) for one in (store.MANIFEST, store.BLOCKS) if one != name]
    told = refused(squeezed(archive([*first, entry(name, type, "/etc/passwd")], tarfile.GNU_FORMAT)), beside)
    assert told.reason in ("member", "damaged")


def test_the_files_are_there_once_and_in_order(files: Mapping[str, bytes], beside: Path) -> None:
    manifest, blocks, layouts = ((name, files[name]) for name in (store.MANIFEST, store.BLOCKS, store.LAYOUTS))
    for wrong in (
        [blocks, manifest], [manifest, layouts, blocks], [manifest, blocks, blocks], [manifest, manifest, blocks],
        [manifest], [], [blocks], [manifest, layouts], [manifest, blocks, (store.STATISTICS, b"{}")],
    ):
        assert refused(squeezed(archive(wrong)), beside).reason == "member"


def test_however_short_it_was_cut_it_is_refused(run: Path, beside: Path) -> None:
    whole = packed(run)
    for cut in range(0, len(whole), max(1, len(whole) // 80)):
        assert refused(whole[:cut], beside).reason == "truncated", cut
    inner = gzip.decompress(whole)
    end = len(inner.rstrip(b"\0"))
    for cut in range(0, end, max(1, end // 80)):
        assert refused(squeezed(inner[:cut]), beside).reason in ("truncated", "member"), cut


def test_nothing_may_follow_it(run: Path, beside: Path) -> None:
    whole = packed(run)
    for more in (b"\0", b"x", whole, gzip.compress(b"")):
        assert refused(whole + more, beside).reason == "damaged"
    inner = gzip.decompress(whole)
    assert refused(squeezed(inner + inner), beside).reason == "damaged"
    assert refused(squeezed(inner + b"x"), beside).reason == "damaged"


@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"PK\3\4", b"{}", b"\x1f\x8b", bytes(range(256)) * 12])
def test_what_is_no_gzip_is_refused(data: bytes, beside: Path) -> None:
    assert refused(data, beside).reason in ("damaged", "truncated")


class Packing:
    """A gzip member that is made as it is read."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._packer = zlib.compressobj(9, wbits=31)
        self._data, self._left = data, b""
        self.given = 0

    def read(self, size: int = -1, /) -> bytes:
        while len(self._left) < size and (more := next(self._data, None)) is not None:
            self._left += self._packer.compress(more)
        found, self._left = self._left[:size], self._left[size:]
        self.given += len(found)
        return found


def test_a_bomb_is_seen_long_before_it_is_large(files: Mapping[str, bytes], beside: Path) -> None:
    manifest, blocks = entry(store.MANIFEST), entry(store.BLOCKS)
    manifest.size, blocks.size = len(files[store.MANIFEST]), 1 << 30
    start = manifest.tobuf(tarfile.USTAR_FORMAT) + files[store.MANIFEST]
    start += bytes(-len(start) % 512) + blocks.tobuf(tarfile.USTAR_FORMAT)

    def data() -> Iterator[bytes]:
        yield start
        for _ in range(1 << 10):
            yield (b" " * 1023 + b"\n") * 1024

    stream = Packing(data())
    with pytest.raises(ParcelError) as told:
        parcel.unpack(stream, beside)
    assert told.value.reason == "bomb"
    assert stream.given < 200_000 and list(beside.iterdir()) == []


def test_each_limit_is_kept_and_said(run: Path, files: Mapping[str, bytes], beside: Path) -> None:
    whole = packed(run)
    size = len(gzip.decompress(whole))
    exact = Limits(packed=len(whole), unpacked=size, document=max(len(files[name]) for name in files),
                   line=max(map(len, files[store.BLOCKS].splitlines())))
    (beside / "ok").mkdir()
    unpacked(whole, beside / "ok", exact)
    inside = beside / "refused"
    inside.mkdir()
    for name, words in (("packed", "larger than"), ("unpacked", "unpacks to more than"), ("line", "has a line"),
                        ("document", "manifest.json is larger than")):
        less = getattr(exact, name) - 1 if name != "document" else len(files[store.MANIFEST]) - 1
        told = refused(whole, inside, dataclasses.replace(exact, **{name: less}))
        assert told.reason == "too-large" and words in str(told)


def test_a_run_has_so_many_benchmarks(run: Path, beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "BENCHMARKS", 2)
    with pytest.raises(ParcelError, match="more than 2 benchmarks") as told:
        parcel.unpack(io.BytesIO(packed(run)), beside)
    assert told.value.reason == "too-large" and list(beside.iterdir()) == []


def test_a_size_that_is_only_announced_is_refused_at_once(files: Mapping[str, bytes], beside: Path) -> None:
    for size in (1 << 40, (1 << 62), 65 << 20):
        header = entry(store.MANIFEST)
        header.size = size
        told = refused(squeezed(header.tobuf(tarfile.GNU_FORMAT) + b"{}"), beside)
        assert told.reason == "too-large"


@pytest.mark.parametrize("length", [parcel.STEP - 1, parcel.STEP, parcel.STEP + 1, 5 * parcel.STEP])
def test_lines_are_counted_across_the_pieces_that_they_come_in(
    files: Mapping[str, bytes], beside: Path, length: int
) -> None:
    noise = random.Random(length).randbytes(length // 2).hex().encode()
    data = of_members({store.MANIFEST: files[store.MANIFEST], store.BLOCKS: b"x\n" + noise + b"\n"})
    reason = refused(data, beside, Limits(line=2 * parcel.STEP)).reason
    assert reason == ("too-large" if length > 2 * parcel.STEP else "content")
    data = of_members({store.MANIFEST: files[store.MANIFEST], store.BLOCKS: noise})
    assert "in the middle of a line" in str(refused(data, beside, Limits(line=8 * parcel.STEP)))


def test_what_is_of_a_time_to_come_is_refused(run: Path, files: Mapping[str, bytes], beside: Path) -> None:
    whole = packed(run)
    last = max(block.started for block in store.read(run).blocks)
    told = refused(whole, beside, Limits(latest=last - 1))
    assert told.reason == "future" and "clock" in str(told)
    named = files[store.MANIFEST].replace(run.name.encode(), b"20991231T000000Z-0a1b2c")
    late = of_members({**files, store.MANIFEST: named})
    assert refused(late, beside, Limits(latest=last)).reason == "future", "its name is a time too"
    unpacked(whole, beside, Limits(latest=last))


@pytest.mark.parametrize(("old", "new", "words"), [
    (b'"id": "2023', b'"id": "../2023', "no id of a run"),
    (b'"id": "2023', b'"id": "2023\\u0663', "no id of a run"),
    (b'"id": "20231', b'"id": "20239', "does not match"),
    (b'"margin": 0.01', b'"margin": NaN', "not finite"),
    (b'"margin": 0.01', b'"margin": "nan"', "not finite"),
    (b'"margin": 0.01', b'"margin": 1e999', "not finite"),
    (b'"schema": "lockstep.run/3"', b'"schema": "lockstep.run/4"', "is of version 'lockstep.run/4'"),
    (b'"versions": {', b'"versions": ' + b"[" * 100_000 + b"]" * 100_000 + b', "x": {', "nested too deeply"),
    (b'"created": 1', b'"created": -1', "before 1970"),
    (b"Case0.time_it", b"Case1.time_it", "which the manifest does not have"),
], ids=lambda one: str(one[:20]))
def test_a_manifest_is_read_strictly(
    files: Mapping[str, bytes], beside: Path, old: bytes, new: bytes, words: str
) -> None:
    assert old in files[store.MANIFEST]
    told = refused(of_members({**files, store.MANIFEST: files[store.MANIFEST].replace(old, new)}), beside)
    assert told.reason == "content" and words in str(told)


@pytest.mark.parametrize(("name", "content", "words"), [
    (store.BLOCKS, b"{}\n", "blocks.jsonl:1 is not a block"), (store.BLOCKS, b"\n", "blocks.jsonl:1 is not a block"),
    (store.BLOCKS, b"\xff\xfe\n", "blocks.jsonl:1 is not a block"),
    (store.LAYOUTS, b'{"layout": 1}\n', "layouts.jsonl cannot be taken"),
    (store.LAYOUTS, b'{"layout": 1, "base": {"f": "x"}, "head": {}}\n', "layouts.jsonl cannot be taken"),
    ("explanation.json", b"[]", "explanation.json is not an explanation"),
    ("explanation.json", b'{"schema": "lockstep.explanation/9"}', "has the format lockstep.explanation/9"),
])
def test_each_file_is_what_it_is_called(
    files: Mapping[str, bytes], beside: Path, name: str, content: bytes, words: str
) -> None:
    told = refused(of_members({**files, name: content}), beside)
    assert told.reason == "content" and words in str(told)


@pytest.mark.parametrize(("content", "words"), [
    (b"{", "cannot be taken"), (b"[" * 100_000, "nested too deeply"), (b'["\\ud800"]', "no character"),
    (b"[1" + b"0" * 400 + b"]", "not finite"), (b"[1" + b"0" * 5000 + b"]", "cannot be taken"),
    (b"", "cannot be taken"),
], ids=lambda one: str(one[:20]))
def test_statistics_are_json(files: Mapping[str, bytes], beside: Path, content: bytes, words: str) -> None:
    told = refused(of_members({store.MANIFEST: files[store.MANIFEST], store.STATISTICS: content}), beside)
    assert told.reason == "content" and words in str(told)
    # A report has infinities.
    unpacked(of_members({store.MANIFEST: files[store.MANIFEST], store.STATISTICS: b"[Infinity, -1.5]"}), beside)


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_full_disk_leaves_nothing(run: Path, beside: Path, size: int) -> None:
    whole = packed(run)
    with full_disk(size), pytest.raises(OSError, match="File too large"):
        unpacked(whole, beside)
    assert list(beside.iterdir()) == []
    unpacked(whole, beside)


def taken_or_refused(data: bytes, folder: Path) -> None:
    """What must hold of whatever anybody sends: refused without a trace, or a run like any other, and nothing else."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        inside = Path(place) / "here"
        inside.mkdir()
        _take(data, inside)
        assert list(Path(place).iterdir()) == [inside] and list(folder.iterdir()) == [Path(place)]
    assert list(folder.parent.iterdir()) == [folder]


def _take(data: bytes, inside: Path) -> None:
    try:
        out = unpacked(data, inside, Limits(latest=4e9))
    except ParcelError:
        assert list(inside.iterdir()) == []
    else:
        assert list(inside.iterdir()) == [out] and store.ID.fullmatch(out.name) and not out.is_symlink()
        for path in out.iterdir():
            assert path.name in parcel.FILES and path.is_file() and not path.is_symlink()
        manifest = store.read_manifest(out)
        assert manifest.id == out.name and math.isfinite(manifest.margin) and 0 <= manifest.created <= 4e9
        parcel.contents(out)
        if store.has_blocks(out):
            for block in store.read(out).blocks:
                assert all(map(math.isfinite, (*block.base, *block.head, block.started, block.seconds)))


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside") / "inside"
    folder.mkdir()
    return folder


@MUTATIONS
@given(data=st.data())
def test_a_parcel_that_was_scratched_is_refused_or_a_run(run: Path, playground: Path, data: st.DataObject) -> None:
    taken_or_refused(data.draw(scratched(packed(run))), playground)


@MUTATIONS
@given(data=st.data())
def test_an_archive_that_was_scratched_is_refused_or_a_run(run: Path, playground: Path, data: st.DataObject) -> None:
    taken_or_refused(squeezed(data.draw(scratched(gzip.decompress(packed(run))))), playground)


@MUTATIONS
@given(data=st.data())
def test_a_run_with_any_value_in_it_is_refused_or_a_run(
    files: Mapping[str, bytes], playground: Path, data: st.DataObject
) -> None:
    taken_or_refused(of_members(data.draw(altered(files))), playground)


@MUTATIONS
@given(st.lists(st.tuples(
    st.one_of(st.sampled_from(parcel.FILES), st.text(max_size=99)), st.binary(max_size=600),
    st.sampled_from((tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)),
), max_size=6), st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
def test_any_archive_is_refused_or_a_run(
    playground: Path, entries: list[tuple[str, bytes, bytes]], form: int
) -> None:
    made = [(name, content) if type == tarfile.REGTYPE else entry(name, type, name[::-1])
            for name, content, type in entries]
    try:
        data = squeezed(archive(made, form))
    except (ValueError, UnicodeError):
        return  # a name that this format cannot hold
    taken_or_refused(data, playground)


@MUTATIONS
@given(st.binary(max_size=400))
def test_any_bytes_are_refused(playground: Path, data: bytes) -> None:
    taken_or_refused(data, playground)
    taken_or_refused(squeezed(data), playground)
