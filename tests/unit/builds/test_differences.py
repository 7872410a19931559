"""What differs between two interpreters, and what of it was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.builds import differences
from runner.model import Build, Installed, Interpreter


def made(
    spec: str, *, source: str = "s1", edits: tuple[str, ...] = (), edits_hash: str | None = None,
    flags: tuple[str, ...] = ("CC=gcc",), compiler: str = "gcc 12", version: str = "3.13.5", **facts: str,
) -> Interpreter:
    build = Build(
        key="k", tree=Path("t"), source=f"CPython {source}", source_hash=source, edits=edits,
        edits_hash="+".join(edits) if edits_hash is None else edits_hash, flags=flags, compiler=compiler,
    )
    return ready(spec, version=version, build=build, **facts)


def ready(spec: str, *, version: str = "3.13.5", build: Build | None = None, **facts: str) -> Interpreter:
    return Interpreter(
        spec=spec, executable=Path(spec), version=version, implementation="cpython", sha256="", facts=facts,
        build=build,
    )


def asked(base: Interpreter, head: Interpreter) -> dict[str, bool]:
    found = differences(base, head)
    turned = differences(head, base)
    # Law: swapping the arms swaps the two sides and nothing else.
    assert [(d.what, d.base, d.head, d.asked) for d in found] == [(d.what, d.head, d.base, d.asked) for d in turned]
    assert all(difference.base != difference.head for difference in found)
    return {difference.what: difference.asked for difference in found}


def test_the_same_interpreter_does_not_differ() -> None:
    assert asked(made("a"), made("a")) == {}


def test_edits_are_asked_for() -> None:
    assert asked(made("a"), made("a+nocow", edits=("nocow",))) == {"edits": True}
    same_name = asked(
        made("a+x.patch", edits=("x.patch",), edits_hash="1"),
        made("a+y/../x.patch", edits=("x.patch",), edits_hash="2"),
    )
    assert same_name == {"edits": True}


def test_two_releases_differ_in_source_version_and_their_defaults() -> None:
    found = asked(
        made("a", CFLAGS="-fwrapv"), made("b", source="s2", version="3.11.2", CFLAGS="-fno-strict-overflow")
    )
    assert found == {"version": True, "source": True, "CFLAGS": True}


def test_options_are_asked_for_with_what_they_change() -> None:
    assert asked(made("a"), made("a?debug", flags=("CC=gcc", "--with-pydebug"), Py_DEBUG="1")) == {
        "flags": True, "Py_DEBUG": True,
    }


def test_another_compiler_is_asked_for_only_by_name() -> None:
    chosen = asked(made("a"), made("b", flags=("CC=clang",), compiler="clang 15"))
    assert chosen == {"flags": True, "compiler": True}
    assert asked(made("a"), made("a+x", edits=("x",), compiler="gcc 13")) == {"edits": True, "compiler": False}


def test_ready_made_interpreters_were_asked_to_differ_in_version_only() -> None:
    found = asked(
        ready("p", compiler="GCC 12", CFLAGS="-O3", Py_DEBUG="0"),
        ready("q", version="3.12.1", compiler="Clang 15", CFLAGS="-O2", Py_DEBUG="1"),
    )
    assert found == {"version": True, "compiler": False, "CFLAGS": False, "Py_DEBUG": False}


def test_a_build_beside_a_ready_made_interpreter() -> None:
    assert asked(made("a", OPT="-O3"), ready("p", OPT="-O2")) == {"made by": True, "OPT": False}


def test_a_fact_that_one_arm_lacks_differs() -> None:
    assert asked(ready("p", Py_GIL_DISABLED="0"), ready("q")) == {"Py_GIL_DISABLED": False}


def test_two_commits_of_a_project_differ_in_them_and_not_in_its_package() -> None:
    """Of its dependencies, those that differ are still worth a word."""
    def installed(commit: str, name: str, numpy: str) -> Interpreter:
        return replace(
            ready(f"my_lib@{commit}"), packages={"my-lib": f"1.0 {commit}", "numpy": numpy},
            installed=Installed(
                project="my_lib", commit=commit * 5, name=name, configuration=Path("asv.conf.json"),
                environment="virtualenv-py3.13", python="3.13", requirements={},
            ),
        )

    base, head = installed("0123abcd", "v1", "2.1 aa"), installed("4567abcd", "main", "2.1 aa")
    assert asked(base, head) == {"commit": True}
    assert [(d.base, d.head) for d in differences(base, head)] == [("0123abcd (v1)", "4567abcd (main)")]
    assert asked(base, installed("4567abcd", "main", "2.2 bb")) == {"commit": True, "packages": False}
    # Without commits, it is a package as any other.
    plain = [replace(one, installed=None) for one in (base, head)]
    assert asked(*plain) == {"packages": False}
