"""What configure found, what modules link, and how two builds that differ in it are told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_differences import asked, made

from runner.builds import differences, outcome
from runner.model import Interpreter

CONFIG = """
/* Define to 1 if you have it. */
#define HAVE_BUILTIN_ATOMIC 1
#  define  WITH_PYMALLOC  1
/* #undef HAVE_SDT */
#define PLATLIBDIR "lib"
#define EMPTY
"""


def of(interpreter: Interpreter, **outcomes: object) -> Interpreter:
    assert interpreter.build is not None
    return replace(interpreter, build=replace(interpreter.build, **outcomes))  # type: ignore[arg-type]


def test_macros_of_a_pyconfig(tmp_path: Path) -> None:
    (tmp_path / "pyconfig.h").write_text(CONFIG)
    found = outcome.defines(tmp_path)
    assert found == {"HAVE_BUILTIN_ATOMIC": "1", "WITH_PYMALLOC": "1", "PLATLIBDIR": '"lib"', "EMPTY": ""}
    assert outcome.defines(tmp_path / "gone") == {}
    assert outcome.digest({}) == ""
    assert outcome.digest(found) != outcome.digest({**found, "HAVE_SDT": "1"}) != ""


def test_another_pyconfig_of_one_source_is_warned_about(tmp_path: Path) -> None:
    for name, text in (("one", CONFIG), ("two", CONFIG.replace("/* #undef HAVE_SDT */", "#define HAVE_SDT 1"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyconfig.h").write_text(text)
    digests = [outcome.digest(outcome.defines(tmp_path / name)) for name in ("one", "two")]
    base = of(made("a"), tree=tmp_path / "one", pyconfig=digests[0])
    head = of(made("a+x", edits=("x",)), tree=tmp_path / "two", pyconfig=digests[1])
    assert asked(base, head) == {"edits": True, "pyconfig.h": False}
    (found,) = (one for one in differences(base, head) if one.what == "pyconfig.h")
    assert (found.base, found.head) == ("HAVE_SDT none", "HAVE_SDT 1")
    # An edit of configure means it, as a flag and another source do.
    assert asked(base, of(head, changed_files=("configure",)))["pyconfig.h"]
    assert asked(base, of(made("b", flags=("CC=gcc", "--x")), tree=tmp_path / "two", pyconfig=digests[1]))["pyconfig.h"]
    # A run of before knows nothing of it.
    assert "pyconfig.h" not in asked(base, of(head, pyconfig=""))


def test_another_library_behind_a_module_of_two_builds_is_warned_about() -> None:
    tools = {"compiler": "gcc 12", "libc": "glibc 2.36"}
    ours = {"zlib": "libz.so.1", "_ssl": "libssl.so.3", "_tkinter": "libtk.so"}
    base = of(made("a"), toolchain=tools, libraries=ours)
    head = of(made("a+x", edits=("x",)), toolchain=tools, libraries={"zlib": "libz-ng.so.2", "_ssl": "libssl.so.3"})
    assert asked(base, head) == {"edits": True, "libraries linked": False}
    (found,) = (one for one in differences(base, head) if one.what == "libraries linked")
    assert (found.base, found.head) == ("zlib libz.so.1", "zlib libz-ng.so.2")


def test_another_toolchain_is_a_difference_that_only_a_named_compiler_asks_for() -> None:
    tools = {"compiler": "gcc 12", "libc": "glibc 2.36", "linker": "GNU ld 2.40", "macros": "1"}
    base = of(made("a"), toolchain=tools)
    assert asked(base, of(made("a+x", edits=("x",)), toolchain={**tools, "linker": "mold 2", "macros": "2"})) == {
        "edits": True, "linker": False,
    }
    other = of(made("b", flags=("CC=clang",)), toolchain={**tools, "linker": "LLD 15"})
    assert asked(base, other) == {"flags": True, "linker": True}
    assert asked(base, made("a+x", edits=("x",))) == {"edits": True}
