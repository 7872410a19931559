"""The two builds of the founding question: quick to resolve, fit to run, and different in one thing only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner import builds
from runner.builds import generated
from runner.model import Interpreter

COW, NOCOW = "cpython@3.13.5", "cpython@3.13.5+nocow"


def resolve(spec: str) -> Interpreter:
    return builds.resolve(spec, progress=print)


@pytest.fixture(scope="module")
def pair() -> tuple[Interpreter, Interpreter]:
    """Both builds, made if the cache does not have them."""
    return resolve(COW), resolve(NOCOW)


def run(interpreter: Interpreter, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([interpreter.executable, "-EB", *words], capture_output=True, text=True, timeout=120)


def test_a_cached_build_is_not_made_again(pair: tuple[Interpreter, Interpreter]) -> None:
    before = pair[1].executable.stat()
    assert resolve(NOCOW) == pair[1]
    assert pair[1].executable.stat().st_mtime_ns == before.st_mtime_ns


def test_they_differ_in_the_edits_and_in_nothing_else(pair: tuple[Interpreter, Interpreter]) -> None:
    found = builds.differences(*pair)
    assert [(difference.what, difference.asked) for difference in found] == [("edits", True)]
    trees = [interpreter.build.tree for interpreter in pair if interpreter.build]
    unlike = [
        str(path.relative_to(trees[0])) for path in sorted(trees[0].rglob("*.o"))
        if path.read_bytes() != (trees[1] / path.relative_to(trees[0])).read_bytes()
    ]
    # getbuildinfo.o holds the time of the link.
    assert set(unlike) - {"Modules/getbuildinfo.o"} == {"Modules/_io/bytesio.o"}
    for path in sorted(trees[0].rglob("*.so")):
        assert path.read_bytes() == (trees[1] / path.relative_to(trees[0])).read_bytes()


def test_what_this_release_generates_from_what_is_known(pair: tuple[Interpreter, Interpreter]) -> None:
    assert pair[0].build is not None
    tree = pair[0].build.tree
    makefile = (tree / "Makefile.pre.in").read_text()
    files = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]
    applying = 0
    for rule in generated.RULES:
        known = not rule.since or f"\n{rule.since}:" in makefile
        if known and any((tree / file).is_file() for file in rule.products):
            applying += 1
            assert any(f"{target}:" in makefile for target in rule.targets), rule.targets
            assert any(rule.sources.fullmatch(file) for file in files), rule.sources.pattern
    assert applying >= 10
    assert "\nclinic:" in makefile


def test_each_finds_its_own_library_and_extension_modules(pair: tuple[Interpreter, Interpreter]) -> None:
    code = (
        "import json, sys, sysconfig, zlib, math, _decimal, _datetime, _pickle, _json\n"
        "import os, glob, importlib.util\n"
        "print(json.dumps([sys.path[1:], json.__file__, math.__file__,"
        " json.loads.__code__.co_filename == json.__file__, os.path.exists(json.__cached__)]))"
    )
    for interpreter in pair:
        assert interpreter.build is not None
        ran = run(interpreter, "-c", code)
        assert ran.returncode == 0, ran.stderr
        path, library, extension, same_name, precompiled = json.loads(ran.stdout)
        tree = str(interpreter.build.tree)
        assert [place for place in path if not place.startswith(("/nonexistent", tree))] == []
        assert library.startswith(tree)
        assert extension.startswith(tree)
        assert same_name
        assert precompiled


@pytest.fixture(scope="module")
def answers(pair: tuple[Interpreter, Interpreter]) -> list[dict[str, Any]]:
    found = []
    for interpreter in pair:
        ran = run(interpreter, Path(__file__).with_name("bytesio_laws.py"))
        assert ran.returncode == 0, ran.stderr
        found.append(json.loads(ran.stdout))
    return found


def test_both_do_what_is_documented(answers: list[dict[str, Any]]) -> None:
    assert [answer["agreed"] for answer in answers] == [300 * 60] * 2


def test_one_shares_and_the_other_copies(answers: list[dict[str, Any]]) -> None:
    cow, nocow = (answer["shared"] for answer in answers)
    assert (cow["construction"], cow["getvalue"], cow["read"]) == (True, True, True)
    assert (nocow["construction"], nocow["getvalue"], nocow["read"]) == (False, False, False)
    assert nocow["size"] == cow["size"] == 1033


def test_cpythons_own_tests_fail_only_where_they_ask_for_sharing(pair: tuple[Interpreter, Interpreter]) -> None:
    failed = []
    for interpreter in pair:
        ran = run(interpreter, "-m", "unittest", "test.test_memoryio")
        assert "Ran 1" in ran.stderr  # 170 in 3.13.5
        failed.append({line.split()[1] for line in ran.stderr.splitlines() if line.startswith(("FAIL:", "ERROR:"))})
    assert failed[0] == set()
    assert failed[1] == {"test_cow_setstate", "test_cow_truncate", "test_cow_write"}
