"""What a spec means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.builds import compiling, planning, sources
from runner.builds.spec import BuildSpec, Origin, of_commit, parse, with_options
from runner.errors import UsageError


def read(text: str, *there: str) -> BuildSpec | None:
    return parse(text, exists=lambda path: path in there)


def build(text: str, *there: str) -> BuildSpec:
    spec = read(text, *there)
    assert spec is not None
    return spec


@pytest.mark.parametrize("text", ["python3.12", "./python", "/usr/bin/python3", "venv/bin/python", "python+x?y"])
def test_what_has_no_prefix_is_a_path_or_a_command(text: str) -> None:
    assert read(text) is None


def test_a_release_with_edits_and_options() -> None:
    spec = build("cpython@3.13.5+nocow+./fix.patch?pgo&lto&debug&configure=--with-x=y&configure=CC=clang")
    assert (spec.origin, spec.place, spec.edits) == (Origin.RELEASE, "3.13.5", ("nocow", "./fix.patch"))
    assert (spec.pgo, spec.lto, spec.debug) == (True, True, True)
    assert spec.configure == ("--with-x=y", "CC=clang")


@pytest.mark.parametrize(("text", "place", "ref", "edits"), [
    ("git:/src/cpython@main", "/src/cpython", "main", ()),
    ("git:/src/cpython@v3.13.5+nocow", "/src/cpython", "v3.13.5", ("nocow",)),
    ("git:git@host.org:a/b.git@feature/x+a+b.patch", "git@host.org:a/b.git", "feature/x", ("a", "b.patch")),
    ("git:https://user@host.org/b@main", "https://user@host.org/b", "main", ()),
    ("git:/src@main+./a@b.patch", "/src", "main", ("./a@b.patch",)),
    ("git:/c++/src@main+nocow", "/c++/src", "main", ("nocow",)),
])
def test_git_specs(text: str, place: str, ref: str, edits: tuple[str, ...]) -> None:
    spec = build(text)
    assert (spec.origin, spec.place, spec.ref, spec.edits) == (Origin.GIT, place, ref, edits)


def test_the_longest_path_that_exists_is_the_source() -> None:
    spec = build("dir:/c++/cpython+nocow?debug", "/c", "/c++/cpython")
    assert (spec.origin, spec.place, spec.edits, spec.debug) == (Origin.DIRECTORY, "/c++/cpython", ("nocow",), True)
    assert build("dir:gone+nocow").place == "gone"


@pytest.mark.parametrize("text", ["Python-3.13.5.tar.xz", "./a.tgz", "tar:a.tar.gz", "tar:/x/odd-name"])
def test_tarballs(text: str) -> None:
    spec = build(f"{text}+nocow?lto", text.removeprefix("tar:"))
    assert (spec.origin, spec.place) == (Origin.TARBALL, text.removeprefix("tar:"))
    assert (spec.edits, spec.lto) == (("nocow",), True)


def test_a_path_that_exists_wins_over_a_build() -> None:
    assert read("cpython@3.13.5", "cpython@3.13.5") is None
    assert read("git:x", "git:x") is None
    assert read("a.tgz", "a.tgz") is not None


@pytest.mark.parametrize(("text", "words"), [
    ("cpython@3.13", "not a release"),
    ("cpython@", "not a release"),
    ("cpython@3.13.5+", "nothing|no variant"),
    ("cpython@3.13.5++nocow", "no variant or patch"),
    ("cpython@3.13.5?fast", "'fast' is not a build option"),
    ("cpython@3.13.5?configure=", "is not a build option"),
    ("git:/src/cpython", "needs a commit"),
    ("git:git@host.org:a/b.git", "needs a commit"),
    ("dir:", "nothing follows"),
])
def test_what_is_not_a_spec_is_told(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(text)


@pytest.mark.parametrize("text", [
    "cpython@3.13.5+nocow?pgo&debug&configure=--a", "git:git@h:a/b@main+x+y?lto", "dir:/a/b+nocow", "tar:/a.tgz+x",
])
def test_a_spec_without_edits_reads_back_as_itself(text: str) -> None:
    unedited = build(text).unedited()
    assert unedited.edits == ()
    assert build(unedited.text) == unedited


def test_the_build_of_a_commit_reads_back() -> None:
    text = of_commit("https://host.org/b", "abc", edits=["nocow", "/a.patch"], options="pgo&configure=CC=clang")
    assert text == "git:https://host.org/b@abc+nocow+/a.patch?pgo&configure=CC=clang"
    spec = build(text)
    assert (spec.place, spec.ref, spec.edits) == ("https://host.org/b", "abc", ("nocow", "/a.patch"))
    assert with_options("cpython@3.13.5", spec.options) == "cpython@3.13.5?pgo&configure=CC=clang"
    assert of_commit("/src", "main") == with_options("git:/src@main", "") == "git:/src@main"


def test_flags_follow_the_options_and_the_user_wins() -> None:
    plain = compiling.flags(build("cpython@3.13.5?configure=CC=mycc"))
    assert "--enable-optimizations" not in plain
    full = compiling.flags(build("cpython@3.13.5?pgo&lto&debug&configure=CC=mycc&configure=CFLAGS=-O1"))
    assert {"--enable-optimizations", "--with-lto", "--with-pydebug"} <= set(full)
    assert full[-2:] == ("CC=mycc", "CFLAGS=-O1")
    assert [flag for flag in full if flag.startswith("CFLAGS=")] == ["CFLAGS=-O1"]


@pytest.mark.parametrize(("files", "expected"), [
    (["Modules/_io/bytesio.c", "Lib/os.py", "Include/object.h", "Modules/_io/clinic/bytesio.c.h"], True),
    (["configure"], False), (["Makefile.pre.in"], False), (["Modules/Setup.stdlib.in"], False),
    (["pyconfig.h.in"], False), (["Modules/makesetup"], False), (["Lib/configparser.py"], True),
])
def test_edits_that_reach_configure_start_from_the_source(files: list[str], expected: bool) -> None:
    assert compiling.is_incremental(build("cpython@3.13.5+x"), files) is expected
    assert compiling.is_incremental(build("cpython@3.13.5+x?pgo"), files) is False
    assert compiling.is_incremental(build("cpython@3.13.5+x?configure=--enable-bolt"), files) is False


@pytest.mark.parametrize(("options", "pgo", "trained", "configure"), [
    ("configure=--enable-optimizations", True, True, ()),
    ("configure=--enable-optimizations=yes&configure=--with-x", True, True, ("--with-x",)),
    ("configure=--enable-optimizations=no", False, False, ("--enable-optimizations=no",)),
    ("configure=--enable-optimizations=1", True, True, ()),
    ("configure=--enable-optimizations&configure=--disable-optimizations", False, False,
     ("--enable-optimizations", "--disable-optimizations")),
    ("configure=--disable-optimizations&configure=--enable-optimizations", True, True, ()),
    ("configure=--enable-bolt&configure=--disable-bolt", False, False, ("--enable-bolt", "--disable-bolt")),
    ("configure=--enable-bolt", False, True, ("--enable-bolt",)),
    ("configure=--enable-bolt&configure=--enable-bolt=no", False, False, ("--enable-bolt", "--enable-bolt=no")),
    ("pgo", True, True, ()), ("lto", False, False, ()),
])
def test_what_trains_the_interpreter_is_built_by_training_it(
    options: str, pgo: bool, trained: bool, configure: tuple[str, ...]
) -> None:
    """configure's own words for it too: without the default target they would change nothing but the report."""
    spec = build(f"cpython@3.13.5?{options}")
    assert (spec.pgo, spec.trained, spec.configure) == (pgo, trained, configure)


@pytest.mark.parametrize(("options", "targets"), [
    ("", ["python", "sharedmods"]), ("?pgo", ["all"]), ("?configure=--enable-bolt", ["all"]),
    ("?configure=--enable-optimizations", ["all"]),
])
def test_training_hangs_on_the_default_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, targets: list[str]
) -> None:
    (tmp_path / "bin").mkdir()
    make = tmp_path / "bin" / "make"
    make.write_text('#!/bin/sh\nshift\necho "$@" > words\ntouch python\n')
    make.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "Makefile").write_text("BUILDEXE=\n")
    made = compiling.make(tmp_path, build(f"cpython@3.13.5{options}"), "it", tmp_path / "log", lambda _: None)
    assert made == tmp_path / "python" and (tmp_path / "words").read_text().split() == targets


def test_what_is_trained_by_bolt_now_is_another_build_than_before() -> None:
    def key(options: str) -> str:
        spec = build(f"cpython@3.13.5{options}")
        found = sources.find(spec, planning.DATA / "sources.toml", lambda _: None)
        return planning.Plan(
            spec=spec, source=found, edits=(), edits_hash="", flags=("--enable-bolt",), toolchain={}).key

    assert key("?configure=--enable-bolt") != key("")
