"""The suite `consumers`: each does what it says, seen by other means than its own; what is missing is said."""

from __future__ import annotations

import ast
import csv
import io
import sys
import tarfile
import wave
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks.consumers import archives, compression, data, messages, network, packages, streams
from benchmarks.sizes import SIZES
from runner import suites
from runner.errors import UsageError
from runner.suites import asv

ROWS = data.rows()


def ready(owner: Any, *params: str) -> Any:
    """A benchmark that is set up; without the package that it needs the test is skipped, with its words."""
    benchmark = owner()
    try:
        benchmark.setup(*params)
    except NotImplementedError as error:
        pytest.skip(str(error))
    return benchmark


def sized(owner: Any) -> list[Any]:
    return [pytest.param(owner, size, id=f"{owner.__name__}-{size}") for size in owner.params]


class TestData:
    def test_text_has_its_size_is_ascii_and_compresses(self) -> None:
        for size in ("64B", "64KiB", "1MiB"):
            made = data.text(size)
            assert len(made) == SIZES[size] and made.isascii()
        assert len(data.WORDS) == len(set(data.WORDS)) == 64
        assert 0.15 < len(zlib.compress(made)) / len(made) < 0.5
        assert 55 < len(made) / made.count(b"\n") < 80

    def test_noise_does_not_compress(self) -> None:
        assert len(zlib.compress(data.noise(10_000))) > 10_000

    def test_it_is_the_same_every_time(self) -> None:
        assert data.text("64KiB") == data.text("64KiB") and data.rows() == ROWS
        assert (len(ROWS), ROWS[7][0]) == (data.ROWS, 7)


@pytest.mark.parametrize(("owner", "size"), [
    *sized(archives.ZipStored), *sized(archives.ZipDeflated), *sized(archives.Tar),
])
def test_an_archive_holds_its_members(owner: Any, size: str) -> None:
    benchmark = ready(owner, size)
    archive = io.BytesIO(benchmark.written())
    if owner is archives.Tar:
        with tarfile.open(fileobj=archive) as tar:
            found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    else:
        with zipfile.ZipFile(archive) as packed:
            assert packed.testzip() is None
            found = {name: packed.read(name) for name in packed.namelist()}
            stored = {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
            assert stored == (owner is archives.ZipStored)
    assert found == dict(benchmark.members) and len(found) == archives.MEMBERS
    assert b"".join(found.values()) == data.text(size)
    assert benchmark.time_read(size) == SIZES[size]


@pytest.mark.parametrize("owner", [compression.Gzip, compression.Bz2, compression.Lzma])
def test_what_was_compressed_comes_back(owner: Any) -> None:
    benchmark = ready(owner, "64KiB")
    assert benchmark.module.decompress(benchmark.written()) == data.text("64KiB")
    assert benchmark.written() == benchmark.packed
    assert benchmark.time_write("64KiB") is True
    assert benchmark.time_read("64KiB") == SIZES["64KiB"]
    assert benchmark.time_read_lines("64KiB") == len(data.text("64KiB").splitlines())


@pytest.mark.parametrize(("owner", "size"), sized(streams.Copy))
def test_a_copy_is_whole(owner: Any, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = ready(owner, size)
    targets: list[io.BytesIO] = []
    copy = benchmark.copyfileobj

    def copyfileobj(source: io.BytesIO, target: io.BytesIO) -> None:
        copy(source, target)
        targets.append(target)

    monkeypatch.setattr(benchmark, "copyfileobj", copyfileobj)
    assert benchmark.time_copy(size) == SIZES[size]
    assert targets[-1].getvalue() == benchmark.copies[-1] and len(targets) == len(benchmark.copies)


@pytest.mark.parametrize(("owner", "size"), sized(streams.Text))
def test_text_is_decoded_and_encoded(owner: Any, size: str) -> None:
    benchmark = ready(owner, size)
    assert benchmark.written() == data.text(size)
    assert benchmark.time_read(size) == SIZES[size]
    assert benchmark.time_iterate(size) == len(data.text(size).splitlines())


def test_rows_go_through_csv() -> None:
    benchmark = ready(streams.Csv)
    read = list(csv.reader(benchmark.written().decode().splitlines()))
    assert [(int(number), name, float(share)) for number, name, share in read] == ROWS
    assert benchmark.time_read() == 3 * len(ROWS)


@pytest.mark.parametrize(("owner", "size"), sized(streams.Wave))
def test_a_sound_file_has_all_frames(owner: Any, size: str) -> None:
    benchmark = ready(owner, size)
    with wave.open(io.BytesIO(benchmark.written())) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (2, 2)
        assert sound.readframes(sound.getnframes()) == b"".join(benchmark.pieces)
    assert benchmark.time_read(size) == SIZES[size]


def test_records_go_through_pickles() -> None:
    import pickle

    benchmark = ready(streams.Pickles)
    assert pickle.loads(benchmark.dumped()) == ROWS
    stream = io.BytesIO(benchmark.dumped_each())
    assert [pickle.load(stream) for _ in ROWS] == ROWS
    assert stream.read() == b""
    assert (benchmark.time_load(), benchmark.time_load_each()) == (len(ROWS), len(ROWS) - 1)


def test_a_mail_has_its_attachments() -> None:
    from email import message_from_bytes

    benchmark = ready(messages.Mail)
    parts = message_from_bytes(benchmark.written()).get_payload()
    assert [part.get_content_type() for part in parts] == ["text/plain", *["application/octet-stream"] * 2]
    assert all(part.get_payload(decode=True) == data.noise(24 * 1024) for part in parts[1:])
    assert benchmark.time_parse() == 1 + benchmark.attachments
    assert 60_000 < len(benchmark.data) < 75_000


def test_a_form_has_its_fields() -> None:
    for size in messages.FormBuild.params:
        assert SIZES[size] < ready(messages.FormBuild, size).time_build(size) < SIZES[size] + 1000
    fields = ready(messages.FormRead, "64KiB").fields()
    assert len(fields) == messages.FIELDS
    assert b"".join(fields) == data.text("64KiB")


def test_a_document_has_its_elements() -> None:
    import xml.etree.ElementTree as trees

    benchmark = ready(messages.Xml)
    root = trees.fromstring(benchmark.written())
    assert [(int(row.get("id", "")), row.get("name"), float(row.text or "")) for row in root] == ROWS
    assert (benchmark.time_parse(), benchmark.time_iterparse()) == (len(ROWS), len(ROWS) + 1)


@pytest.mark.parametrize(("owner", "size"), sized(network.Response))
def test_a_response_has_its_body(owner: Any, size: str) -> None:
    benchmark = ready(owner, size)
    assert benchmark.body(benchmark.plain) == benchmark.body(benchmark.chunked) == data.text(size)


@pytest.mark.parametrize(("owner", "size"), sized(network.Wsgi))
def test_an_application_answers_what_it_was_sent(owner: Any, size: str) -> None:
    head, _, body = ready(owner, size).answer().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert body == data.text(size)


def test_handlers_answer_what_they_were_sent() -> None:
    for size in network.Datagram.params:
        benchmark = ready(network.Datagram, size)
        assert benchmark.time_echo(size) == SIZES[size] and len(benchmark.packets) == 256
    answered: list[bytes] = []
    benchmark = ready(network.Lines, "64KiB")
    benchmark.wire.sendall = answered.append
    benchmark.time_echo("64KiB")
    assert b"".join(answered) == data.text("64KiB") and len(answered) == data.text("64KiB").count(b"\n") + 1
    del benchmark.wire.sendall
    assert benchmark.time_echo("64KiB") == SIZES["64KiB"]


class TestPackages:
    def test_a_page_has_its_rows(self) -> None:
        page = ready(packages.Jinja2).written().decode()
        assert page.startswith("<table><tr>") and page.endswith("</table>")
        assert page.count("<tr>") == len(ROWS) and f"<td>{ROWS[-1][2]}</td></tr>" in page

    def test_a_picture_is_decoded(self) -> None:
        assert ready(packages.Pillow).decoded() == data.text("64KiB")[:3 * packages.EDGE**2]

    def test_lxml_sees_what_etree_sees(self) -> None:
        benchmark = ready(packages.Lxml)
        assert (benchmark.time_parse(), benchmark.time_iterparse()) == (len(ROWS), len(ROWS) + 1)

    @pytest.mark.parametrize(("owner", "size"), sized(packages.Requests))
    def test_bodies_are_whole(self, owner: Any, size: str) -> None:
        benchmark = ready(owner, size)
        assert benchmark.downloaded() == benchmark.data == data.noise(SIZES[size])
        assert benchmark.data in benchmark.uploaded()

    @pytest.mark.parametrize(("owner", "module", "params"), [
        (packages.Jinja2, "jinja2", ()), (packages.Pillow, "PIL.Image", ()), (packages.Lxml, "lxml.etree", ()),
        (packages.Requests, "requests", ("64KiB",)), (compression.Bz2, "bz2", ("64KiB",)),
        (archives.ZipDeflated, "zlib", ("64KiB",)),
    ])
    def test_what_is_not_installed_is_skipped_in_words(
        self, owner: Any, module: str, params: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in {module, module.partition(".")[0]}:
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(NotImplementedError, match=f"^it needs {module}, which cannot be imported here: "):
            owner().setup(*params)

    def test_they_are_asked_for_by_name_alone(self) -> None:
        """Nothing is imported but what the benchmark at hand needs."""
        tree = ast.parse(Path(packages.__file__).read_text())
        asked = [node.args[0].value for node in ast.walk(tree) if isinstance(node, ast.Call)  # type: ignore[attr-defined]
                 and getattr(node.func, "id", "") == "needed"]
        assert sorted(asked) == ["PIL.Image", "jinja2", "lxml.etree", "requests"]


class TestTwoSuitesInOneFolder:
    def test_it_is_had_by_name_and_by_place(self) -> None:
        place = suites.open("consumers").place
        assert Path(place) == Path(data.__file__).parent
        assert suites.open(place).place == place != suites.open(None).place

    def test_what_a_worker_loads_has_the_name_that_asv_gives_it(self, tmp_path: Path) -> None:
        (found,) = asv.parse([{"benchmark": {
            "name": "consumers.streams.Csv.time_read", "attribute": "consumers.streams:Csv.time_read",
            "param_names": [], "params": [], "contents": [], "indexes": [[]], "metric": "time", "unit": "s",
            "version": "1", "timeout": 60.0, "number": None, "form": "", "cache": None, "record": {}, "place": "",
            "doc": "",
        }}]).benchmarks
        told = suites.open("consumers").loader(tmp_path)(found)
        assert (told["folder"], told["module"]) == (suites.open(None).place, "consumers.streams")

    def test_each_watches_the_whole_folder(self) -> None:
        """What a consumer imports lies beside its package."""
        files = suites.open("consumers").watch().files
        assert files == suites.open(None).watch().files and {"sizes.py", "consumers/data.py"} <= files.keys()

    @pytest.mark.parametrize("name", ["bytesio", "consumers"])
    def test_a_folder_of_that_name_is_not_guessed_about(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").touch()
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match=rf"a folder of that name here\. Say \./{name} for the folder, or /"):
            suites.open(name)
        assert suites.open(f"./{name}").place == str(tmp_path / name)
        assert Path(suites.open(None).place).name == "benchmarks"
