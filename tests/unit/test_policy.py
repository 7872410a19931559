"""What a request may ask for: what is allowed is written in one way, and everything else is refused in words."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.builds import spec
from runner.builds.spec import Origin
from runner.errors import UsageError
from runner.jobs import policy
from runner.jobs.policy import Wanted

HERE, SSH = "https://github.com/python/cpython", "ssh://git@forge.example/python/cpython"
LISTED = (HERE, SSH)
HASH = "0123456789abcdef" * 2 + "01234567"
WANTED = Wanted(base="cpython@3.13.5+nocow", head="cpython@3.13.5")


@pytest.mark.parametrize(("text", "written"), [
    ("cpython@3.13.5", None), ("cpython@3.13.5+nocow", None), ("cpython@3.13.5+nocow+bystander", None),
    ("cpython@3.13.5?lto&pgo", "cpython@3.13.5?pgo&lto"), ("cpython@3.13.5?pgo&&pgo", "cpython@3.13.5?pgo"),
    ("cpython@3.13.5?", "cpython@3.13.5"),
    (f"git:{HERE}@main", None), (f"git:{HERE}@v3.13.0+nocow?debug", None), (f"git:{HERE}@{HASH}", None),
    (f"git:{HERE}@refs/pull/123/head", None), (f"git:{HERE}@feature/a_b-c.d", None), (f"git:{SSH}@main", None),
])
def test_builds_that_are_allowed(text: str, written: str | None) -> None:
    assert policy.build("base", text, LISTED) == (written or text)


SMUGGLED = [
    # Of one machine: paths, commands, folders, tarballs.
    "/usr/bin/python3", "python3", "./python", "../python", "~/python", "C:\\python.exe", "dir:/srv/cpython", "dir:.",
    "tar:/srv/cpython.tar.gz", "cpython.tar.gz", "https://evil.example/cpython.tar.gz", "-c", "--help", "last",
    # Patches and variants by path.
    "cpython@3.13.5+fix.patch", "cpython@3.13.5+/etc/passwd", "cpython@3.13.5+../nocow", "cpython@3.13.5+nocow.toml",
    "cpython@3.13.5+a/b.diff", f"git:{HERE}@main+/tmp/x.patch", "cpython@3.13.5+~/x.patch", "cpython@3.13.5+nosuch",
    "cpython@3.13.5+", "cpython@3.13.5+-x", "cpython@3.13.5+.",
    # What configure is told runs commands.
    "cpython@3.13.5?configure=CC=/tmp/evil", "cpython@3.13.5?configure=--with-pydebug",
    "cpython@3.13.5?pgo&configure=x", "cpython@3.13.5?layout=1", "cpython@3.13.5?jit", "cpython@3.13.5?PGO",
    # Releases that are none, or are not known.
    "cpython@99.1.1", "cpython@3.13", "cpython@", "cpython@latest", "cpython@3.13.5/../..", "CPython@3.13.5",
    # Repositories that are not listed, and transports that run programs or read files here.
    "git:/srv/cpython@main", "git:~/cpython@main", "git:.@main", "git:file:///srv/cpython@main",
    "git:ext::sh%20-c%20id@main", "git:ext::/bin/id@main", "git:fd::17/x@main", "git:http://github.com/python/cpython@main",
    "git:https://evil.example/python/cpython@main", f"git:{HERE}.git@main", f"git:{HERE}/@main", f"git:{HERE}/x@main",
    "git:HTTPS://github.com/python/cpython@main", "git:https://GitHub.com/python/cpython@main",
    "git:git@github.com:python/cpython@main", "git:ssh://forge.example/python/cpython@main",
    "git:ssh://-oProxyCommand=id/x@main", "git:--upload-pack=id@main", "git:-u@main", f"git:{HERE}#main@main",
    f"git:{HERE}%2f..@main", f"git:{HERE}\\@main",
    # Credentials and hosts that look like others.
    "git:https://user:secret@github.com/python/cpython@main", "git:https://secret@github.com/python/cpython@main",
    "git:https://user:secret@github.com:443/x", "git:https://github.com@evil.example/python/cpython@main",
    f"git:{HERE}@evil.example/x@main",
    # Refs that are options, lead elsewhere or name several.
    f"git:{HERE}@-x", f"git:{HERE}@--upload-pack=id", f"git:{HERE}@--output=/etc/x", f"git:{HERE}@main~1",
    f"git:{HERE}@main^", f"git:{HERE}@main@{{1}}", f"git:{HERE}@@{{u}}", f"git:{HERE}@a..b", f"git:{HERE}@a//b",
    f"git:{HERE}@/a", f"git:{HERE}@a/", f"git:{HERE}@refs/heads/-x", f"git:{HERE}@a.lock", f"git:{HERE}@a.",
    f"git:{HERE}@.a", f"git:{HERE}@a:b", f"git:{HERE}@", f"git:{HERE}", f"git:{HERE}@*", f"git:{HERE}@a b",
    f"git:{HERE}@$(id)", f"git:{HERE}@`id`", f"git:{HERE}@a;id", f"git:{HERE}@a|id",
    # Characters.
    "", " ", "cpython@3.13.5 ", " cpython@3.13.5", "cpython@3.13.5\n", "cpython@3.13.5\0", "cpython@3.13.5\x1b[31m",
    "cpython@3.13.5\ud800", "cpython@3.13.\uff15", f"git:{HERE}@m\u0430in", f"git:{HERE}\u200b@main",
    f"git:{HERE}@\u202emain", "cpython@3.13.5" + "+nocow" * 60, f"git:{HERE}@{'a' * 300}",
]


@pytest.mark.parametrize("text", SMUGGLED)
def test_nothing_is_smuggled_in_a_build(text: str) -> None:
    with pytest.raises(UsageError, match=r"\Ahead: .+\.\Z") as told:
        policy.build("head", text, LISTED)
    assert "secret" not in str(told.value)


def test_without_a_list_no_repository_is_built() -> None:
    with pytest.raises(UsageError, match="None is listed"):
        policy.build("base", f"git:{HERE}@main", ())
    assert policy.build("base", "cpython@3.13.5", ()) == "cpython@3.13.5"


@pytest.mark.parametrize("text", [
    "cpython@3.13.5", "cpython@3.13.5+nocow?pgo&lto", f"git:{HERE}@main",
    "git:https://example.org/a.git@1f2e3d+nocow?debug",
    "git:http://127.0.0.1:8000/a@main", f"git:{SSH}@main",
])
def test_who_knows_of_no_list_builds_what_a_list_may_have(text: str) -> None:
    assert policy.build("base", text, None) == text


@pytest.mark.parametrize("text", [
    "/usr/bin/python3", "python3", "./python", "dir:/root/cpython", "tar:/tmp/a.tar.gz", "/tmp/a.tar.gz", "",
    "git:/root/cpython@main", "git:~/cpython@main", "git:.@main", "git:file:///root/cpython@main",
    "git:http://example.org/a@main", "git:git@example.org:a/b.git@main", "git:ext::sh -c id@main",
    "git:ext::/bin/id@main", "git:https://user:secret@example.org/a.git@main", "git:https://example.org/a b@main",
    "git:ssh://-oProxyCommand=id/x@main", "git:https://example.org@main", "git:https://example.org/a@--upload-pack=id",
    "cpython@3.13.5+fix.patch", "cpython@3.13.5+/etc/passwd", "cpython@3.13.5+../nocow", "cpython@3.13.5+nosuch",
    "git:https://example.org/a@main+fix.patch", "git:https://example.org/a@main?configure=CC=/tmp/cc",
    "cpython@3.13.5?configure=CC=/tmp/cc", "cpython@3.13.5?layout=1", "cpython@main", "--help", "-b",
])
def test_and_nothing_else(text: str) -> None:
    with pytest.raises(UsageError, match=r"\Ahead: .+\.\Z") as told:
        policy.build("head", text, None)
    assert "secret" not in str(told.value)


def test_a_file_of_this_name_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cpython@3.13.5", "cpython@3.13.5+nocow", "nocow"):
        Path(name).write_text("#!/bin/sh\n")
    for text in ("cpython@3.13.5", "cpython@3.13.5+nocow"):
        assert policy.build("base", text, ()) == text


def test_amounts_are_read_as_people_write_them() -> None:
    def read(margin: str, budget: str, priority: str) -> Wanted:
        return policy.read(margin, budget, (), priority=priority, base="cpython@3.13.5", head="cpython@3.13.5")

    wanted = read("2%", "90s", "-3")
    assert (wanted.margin, wanted.budget, wanted.priority) == (0.02, 90.0, -3)
    for margin, budget, priority, field in (
        ("much", "90s", "0", "margin"), ("1%", "long", "0", "budget"), ("1%", "1s", "0", "budget"),
        *(("1%", "90s", wrong, "priority") for wrong in ("", "much", "1.0", "11", "-11", "+1", "1" * 10, "1_0", "١")),
    ):
        with pytest.raises(UsageError, match=rf"\A{field}: "):
            read(margin, budget, priority)


PARTS = st.sampled_from([
    "cpython@", "git:", "dir:", "tar:", "3.13.5", HERE, SSH, "@", "@main", "+", "+nocow", "+a.patch", "?", "&", "pgo",
    "lto", "configure=", "--x", "layout=1", "..", "/", "~", "^", ":", "-", "\0", " ", "\ud800", "ext::", ".tar.gz", "é",
])


@given(st.one_of(st.text(), st.lists(PARTS, max_size=8).map("".join)))
@example(f"git:{HERE}@main+nocow?pgo")
def test_whatever_is_allowed_is_of_the_two_kinds_and_stays_as_it_is(text: str) -> None:
    try:
        written = policy.build("base", text, LISTED)
    except UsageError:
        return
    assert re.fullmatch(
        rf"(?:cpython@\d+\.\d+\.\d+|git:(?:{re.escape(HERE)}|{re.escape(SSH)})@[A-Za-z0-9_][A-Za-z0-9._/-]*)"
        r"(?:\+[A-Za-z0-9_-]+)*(?:\?(?:pgo|lto|debug)(?:&(?:lto|debug))*)?", written)
    assert policy.build("base", written, LISTED) == written
    # A machine that reads it where a file has its very name would take the file: it is told what it is by its prefix.
    found = spec.parse(written, exists=lambda _: False)
    assert found is not None and found.origin in (Origin.RELEASE, Origin.GIT) and not found.configure


@pytest.mark.parametrize("suite", [
    "bytesio", "consumers", "pyperformance", "pyperformance:nbody", "pyperformance:nbody,json_dumps"])
def test_suites_that_are_allowed(suite: str) -> None:
    assert policy.checked(replace(WANTED, suite=suite), ()).suite == suite


@pytest.mark.parametrize("suite", [
    "", "benchmarks", "./benchmarks", "/srv/suite", "~/suite", "../bytesio", "bytesio/..", "script.py",
    "/srv/MANIFEST:all",
    "pyperformance:", "pyperformance:../x", "pyperformance:nbody --fast", "pyperformance --fast", "bytesio\n",
    "Bytesio", "pyperformance:nbody,", "bytesio consumers", "-b", "bytesio\0",
])
def test_a_suite_is_one_of_ours_by_name(suite: str) -> None:
    with pytest.raises(UsageError, match=r"\Asuite: .+\.\Z"):
        policy.checked(replace(WANTED, suite=suite), ())


@pytest.mark.parametrize("select", [
    "", "construct", "construct.FromBytes|getvalue", "^readlines", "time_.*large$", "a.*b.*c", "size=4MiB",
    r"time_construct\(size=4MiB\)", "^a$|^b$"])
def test_patterns_that_are_allowed(select: str) -> None:
    assert re.compile(policy.checked(replace(WANTED, select=select), ()).select)


@pytest.mark.parametrize("select", [
    "(a+)+$", "(a|a)(a|a)", "a+", "a*", "a?", "a{9}", "[ab]", "(?i)a", r"(a)\1", r"\d", "a.*b.*c.*d", "-x", "a|-x", "|",
    "a||b", "a|", "\\", "a\\", r"a\|b", "a\n", "é", "a" * 301, "^^a", "a$$", "a^b", ".**", r"\..**",
])
def test_a_pattern_takes_no_machine_long(select: str) -> None:
    with pytest.raises(UsageError, match=r"\Aselect: .+\.\Z"):
        policy.checked(replace(WANTED, select=select), ())


@given(st.text(st.sampled_from("aA0_.*=\\()[]^$|+?{}- ,"), max_size=20))
def test_every_pattern_that_is_allowed_has_no_groups_and_two_repetitions(select: str) -> None:
    try:
        policy.checked(replace(WANTED, select=select), ())
    except UsageError:
        return
    assert re.compile(select).groups == 0
    for one in select.split("|"):
        bare = re.sub(r"\\.", "", one)
        assert bare.count("*") <= 2 and not set(bare) & set("()[]{}+?")


@pytest.mark.parametrize("change", [
    {"margin": 0.0}, {"margin": 1.0}, {"margin": -0.01}, {"margin": math.nan}, {"margin": math.inf}, {"budget": 0.0},
    {"budget": math.nan}, {"budget": math.inf}, {"budget": 7 * 3600.0}, {"priority": 11}, {"priority": 10**400},
    {"priority": -11}, {"machine": "a/b"}, {"machine": "\0"}, {"machine": "-x"}, {"machine": "a" * 61},
])
def test_amounts_and_names_have_bounds(change: dict[str, Any]) -> None:
    (field,) = change
    with pytest.raises(UsageError, match=rf"\A{field}: .+\.\Z"):
        policy.checked(replace(WANTED, **change), ())
