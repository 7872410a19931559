"""Variants, and what a key is made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.builds import build, cache, compiling, edits, planning, record, sources
from runner.builds.edits import Replacement, Variant
from runner.builds.spec import parse
from runner.errors import UsageError

DATA = Path(__file__).parents[3] / "data"


def variant(*changes: tuple[str, str, str]) -> Variant:
    return Variant(
        name="v", path=Path("v.toml"), title="",
        replacements=tuple(Replacement(file=file, find=find, replace=new) for file, find, new in changes),
    )


def test_find_once_and_replace(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_bytes(b"x one; y\r\n\xff")
    changes = variant(("a.c", "one", "two"), ("a.c", "two;", "three;")).apply(tmp_path)
    assert (tmp_path / "a.c").read_bytes() == b"x three; y\r\n\xff"
    assert changes.before == {"a.c": (0, b"x one; y\r\n\xff")}


@pytest.mark.parametrize(("content", "words"), [
    (b"other", "is not in a.c"), (b"one one", "is 2 times in a.c"), (None, "no file a.c"),
])
def test_a_miss_and_a_second_match_name_file_and_text(tmp_path: Path, content: bytes | None, words: str) -> None:
    (tmp_path / "b.c").write_bytes(b"one")
    if content is not None:
        (tmp_path / "a.c").write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        variant(("b.c", "one", "two"), ("a.c", "one", "two")).apply(tmp_path)
    if content is not None:
        assert "\none" in str(caught.value)
        assert "v.toml" in str(caught.value)
    assert (tmp_path / "b.c").read_bytes() == b"one"


def test_edits_see_what_the_ones_before_them_made(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("one")
    both = [variant(("a.c", "one", "two")), variant(("a.c", "two", "three"))]
    changes = edits.apply(both, tmp_path)
    assert (tmp_path / "a.c").read_text() == "three"
    assert changes.before == {"a.c": (0, b"one")}


def test_what_was_edited_is_carried_into_another_tree(tmp_path: Path) -> None:
    edited, tree = tmp_path / "edited", tmp_path / "tree"
    for place in (edited / "new", tree):
        place.mkdir(parents=True)
    (edited / "new/b.c").write_text("b")
    (edited / "new/b.c").chmod(0o755)
    (edited / "link").symlink_to("new/b.c")
    for name in ("gone", "link", "kept"):
        (tree / name).write_text("old")
    os.utime(edited / "new/b.c", (1, 1))
    edits.carry(["new/b.c", "link", "gone"], edited, tree)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == ["kept", "link", "new", "new/b.c"]
    assert (tree / "link").readlink() == Path("new/b.c")
    assert os.access(tree / "new/b.c", os.X_OK)
    assert (tree / "new/b.c").stat().st_mtime > 1  # for make


@pytest.mark.parametrize(("text", "words"), [
    ("x = ", "is not a variant"), ("title = 'x'", r"no \[\[edit\]\]"),
    ("[[edit]]\nfile = 'a'\nfind = 'b'", "needs file"),
    ("[[edit]]\nfile = 'a'\nfind = ''\nreplace = 'c'", "find not empty"),
    ("[[edit]]\nfile = 1\nfind = 'b'\nreplace = 'c'", "must be texts"),
    ("[[edit]]\nfile = '../a'\nfind = 'b'\nreplace = 'c'", "leads out"),
    ("[[edit]]\nfile = 'a'\nfind = 'b'\nreplace = 'b'", "changes nothing"),
])
def test_a_bad_variant_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "v.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        edits.load(str(path), tmp_path)
    assert str(path) in str(caught.value)


def test_a_variant_may_stand_on_another_whose_edits_come_first(tmp_path: Path) -> None:
    (tmp_path / "low.toml").write_text("title = 'low'\n[[edit]]\nfile = 'a.c'\nfind = 'one'\nreplace = 'two'\n")
    (tmp_path / "mid.toml").write_text("on = 'low'\n[[edit]]\nfile = 'a.c'\nfind = 'two'\nreplace = 'three'\n")
    (tmp_path / "top.toml").write_text("on = 'mid'\n[[edit]]\nfile = 'a.c'\nfind = 'three'\nreplace = 'four'\n")
    (tmp_path / "same.toml").write_text("on = 'mid'\nedit = []\n")
    (tmp_path / "a.c").write_text("one")
    top = edits.load("top", tmp_path)
    assert top.apply(tmp_path).before == {"a.c": (0, b"one")}
    assert (tmp_path / "a.c").read_text() == "four"
    assert top.name == "top"
    low, mid, same = (edits.load(name, tmp_path).digest for name in ("low", "mid", "same"))
    assert same == mid != low


@pytest.mark.parametrize(("on", "words"), [
    ("1", "must be the name"), ("''", "must be the name"), ("'../low'", "must be the name"),
    ("'gone'", "there is no .*gone.toml"), ("'v'", "stands on itself"), ("'ring'", "stands on itself"),
])
def test_a_variant_that_stands_on_nothing_is_told(tmp_path: Path, on: str, words: str) -> None:
    (tmp_path / "v.toml").write_text(f"on = {on}\nedit = []\n")
    (tmp_path / "ring.toml").write_text("on = 'v'\nedit = []\n")
    with pytest.raises(UsageError, match=words):
        edits.load("v", tmp_path)


def test_words_are_looked_up_or_read_as_files(tmp_path: Path) -> None:
    assert edits.load("nocow", DATA / "variants").name == "nocow"
    with pytest.raises(UsageError, match=r"'other' \(there are: .*nocow"):
        edits.load("other", DATA / "variants")
    with pytest.raises(UsageError, match=r"cannot read gone\.patch"):
        edits.load("gone.patch", DATA / "variants")


def test_a_comment_in_a_variant_is_no_new_build(tmp_path: Path) -> None:
    body = "[[edit]]\nfile = 'a'\nfind = 'b'\nreplace = 'c'\n"
    digests = set()
    for number, text in enumerate((body, "title = 'x'\n# why\n" + body, body.replace("'c'", "'d'"))):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        digests.add(edits.read_variant(path, "v").digest)
    assert len(digests) == 2


class _Source:
    label = "source"
    hash = "h"

    def unpack(self, tree: Path, progress: cache.Progress) -> None:
        raise AssertionError


def test_every_part_of_a_plan_counts_in_its_key() -> None:
    spec = parse("cpython@3.13.5")
    assert spec is not None
    other = _Source()
    other.hash = "other"
    edit = variant(("a", "b", "c"))
    again = variant(("a", "b", "d"))

    def key(
        source: _Source, changes: tuple[Variant, ...] = (), flags: tuple[str, ...] = ("f",), **toolchain: str
    ) -> str:
        tools = {"compiler": "gcc 1", "libc": "glibc 2.36", **toolchain}
        return planning.Plan(
            spec=spec, source=source, edits=changes, edits_hash=edits.digest(changes), flags=flags, toolchain=tools
        ).key

    plain = _Source()
    keys = [
        key(plain), key(other), key(plain, (edit,)), key(plain, (again,)), key(plain, (edit, again)),
        key(plain, (again, edit)), key(plain, flags=("g",)), key(plain, compiler="gcc 2"),
        key(plain, libc="glibc 2.41"), key(plain, libc="gcc 1", compiler="glibc 2.36"),
    ]
    assert len(set(keys)) == len(keys)
    assert key(plain) == key(_Source())


def test_the_place_of_a_tree_is_no_fact() -> None:
    facts = {"PY_CFLAGS": "-O3 -fprofile-instr-use=/c/scratch/k.x1/tree/code.profclangd", "CC": "clang"}
    assert build.placeless(facts, Path("/c/scratch/k.x1/tree")) == {
        "PY_CFLAGS": "-O3 -fprofile-instr-use=./code.profclangd", "CC": "clang",
    }


def test_names_contents_and_permissions_count_in_a_trees_hash(tmp_path: Path) -> None:
    file = tmp_path / "a"

    def total(*names: str) -> str:
        return sources.content_hash(tmp_path, names or ("a",))

    file.write_text("x")
    first = total()
    os.utime(file, (1, 1))
    assert total() == first
    file.chmod(0o755)
    executable = total()
    file.write_text("y")
    other = total()
    (tmp_path / "b").write_text("y")
    (tmp_path / "b").chmod(0o755)
    named = total("b")
    file.unlink()
    file.symlink_to("b")
    assert len({first, executable, other, named, total()}) == 5


def test_what_includes_an_edited_header_is_compiled_again(tmp_path: Path) -> None:
    files = {
        "a.c": '#include "outer.h"', "b.c": '#  include <dir/inner.h>', "c.c": '#include "else.h"\n// inner.h',
        "include/outer.h": '#include "inner.h"', "include/inner.h": "", "d.c": '#include "a.c"',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1, 1))
    compiling.touch_includers(tmp_path, ["include/inner.h", "Lib/x.py"])
    touched = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mtime > 1}
    assert touched == {"a.c", "b.c", "d.c"}


def test_a_record_reads_back_as_it_was(tmp_path: Path) -> None:
    written = record.Record(
        label="cpython@3.13.5", created=1.5, size=10, tree=tmp_path / "tree", executable=tmp_path / "tree/python",
        executable_size=3, executable_mtime_ns=4, sha256="ab", version="3.13.5", implementation="cpython",
        facts={"CC": "gcc"}, compiler="gcc 12", changed_files=("a.c",), place=str(tmp_path),
        toolchain={"target": "x86_64-linux-gnu"}, pyconfig={"HAVE_X": "1"}, missing=("_tkinter",),
        libraries={"zlib": ("/lib/libz.so.1",)},
    )
    record.write(tmp_path / "build.json", written)
    assert record.read(tmp_path / "build.json") == written
    (tmp_path / "moved").mkdir()
    (tmp_path / "build.json").rename(tmp_path / "moved/build.json")
    moved = record.read(tmp_path / "moved/build.json")
    assert moved is not None
    assert moved.executable == tmp_path / "moved/tree/python"


def test_a_torn_record_is_no_record_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "build.json"
    assert record.read(path) is None
    path.write_text('{"schema": "lockstep.bui')
    assert record.read(path) is None
    path.write_text('{"schema": "lockstep.build/2", "label": "x"}')
    assert record.read(path) is None
    path.write_text('{"schema": "lockstep.build/3"}')
    with pytest.raises(UsageError, match=r"another version of Lockstep .*build/3"):
        record.read(path)
