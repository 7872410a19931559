"""What a build is made with is in its key: real compilers, and stand-ins for those of other machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_source import plant

from runner import builds
from runner.builds import cache, compiling, outcome, record, toolchain
from runner.errors import MachineError

GCC = shutil.which("gcc")
pytestmark = pytest.mark.skipif(GCC is None or sys.platform != "linux", reason="needs gcc on Linux")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lockstep"


def describe(*flags: str) -> dict[str, str]:
    toolchain.describe.cache_clear()
    return dict(toolchain.describe(("CC=gcc", "CFLAGS=-g0", *flags)))


def resolve(spec: str) -> builds.Interpreter:
    toolchain.describe.cache_clear()
    return builds.resolve(spec, progress=lambda _: None)


def wrapper(folder: Path, script: str) -> str:
    """A compiler that is gcc but for what the script does first."""
    folder.mkdir(exist_ok=True)
    file = folder / "cc-of-another-machine"
    file.write_text(f"#!/bin/sh\n{script}\nexec {GCC} \"$@\"\n")
    file.chmod(0o755)
    return str(file)


def test_what_is_known_of_this_machines_toolchain() -> None:
    found = describe()
    asked = {
        option: subprocess.run(["gcc", option], capture_output=True, text=True, check=True).stdout.strip()
        for option in ("--version", "-dumpmachine", "-Wl,--version")
    }
    assert found["compiler"] == asked["--version"].splitlines()[0]
    assert found["target"] == asked["-dumpmachine"]
    assert found["linker"] == asked["-Wl,--version"].splitlines()[0]
    assert "assembler" in found["assembler"]
    assert found["libc"].split()[0] in ("glibc", "libc")
    assert found == describe(), "it does not change by itself"


@pytest.mark.parametrize(("what", "script"), [
    ("target", "test \"$1\" = -dumpmachine && { echo aarch64-linux-gnu; exit; }"),
    ("compiler", "test \"$1\" = --version && { echo gcc 99; exit; }"),
    ("linker", "for word; do test \"$word\" = -Wl,--version && { echo mold 2.0; exit; }; done"),
    ("assembler", "test \"$1\" = -print-prog-name=as && { echo /bin/false; exit; }"),
    ("libc", "for word; do test \"$word\" = features.h && { echo '#define __GLIBC__ 2'; "
             "echo '#define __GLIBC_MINOR__ 99'; exit; }; done"),
    ("macros", "test \"$*\" = \"${*%/dev/null}\" || set -- -D__AVX512F__=1 \"$@\""),
])
def test_a_machine_that_differs_in_one_thing_has_a_build_of_its_own(tmp_path: Path, what: str, script: str) -> None:
    tree = plant(tmp_path / "source")
    name = f"dir:{tree}?configure=CC={wrapper(tmp_path / 'bin', 'true')}"
    here = resolve(name)
    wrapper(tmp_path / "bin", script)
    there = resolve(name)
    assert here.build is not None and there.build is not None
    assert here.build.key != there.build.key
    assert here.build.flags == there.build.flags
    apart = {key for key in here.build.toolchain if here.build.toolchain[key] != there.build.toolchain[key]}
    assert what in apart
    wrapper(tmp_path / "bin", "true")
    again = resolve(name)
    assert again == here, "both builds are kept"


def test_a_library_that_is_there_on_one_machine_only_is_part_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    header = tmp_path / "include/zstd.h"
    flag = f"CPPFLAGS=-I{tmp_path / 'include'}"
    without = describe(flag)
    header.write_text('#define ZSTD_VERSION_STRING "1.5.99"\n')
    first = describe(flag)
    header.write_text('#define ZSTD_VERSION_STRING "1.6.0"\n')
    second = describe(flag)
    assert "zstd 1.5.99" in first["libraries"] and "zstd 1.6.0" in second["libraries"]
    assert len({one["libraries"] for one in (without, first, second)}) == 3


def test_a_library_that_only_pkg_config_knows_is_part_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in first on PATH: PKG_CONFIG_PATH is not passed on."""
    before = describe()
    program = tmp_path / "pkg-config"
    program.write_text('#!/bin/sh\necho "$*" | grep -q "modversion tk" && { echo 8.6.99; exit; }\n'
                       'test "$1" = --version && echo 1.9\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert describe()["pkg-config"] == "1.9: tk 8.6.99" != before["pkg-config"]
    program.write_text("#!/bin/sh\nexit 1\n")
    assert describe()["pkg-config"] == "none"


def test_native_code_is_another_thing_on_another_processor() -> None:
    plain, native = describe(), describe("CFLAGS=-g0 -march=native")
    assert plain["macros"] != native["macros"]
    assert describe("CFLAGS=-g0 -mavx512f")["macros"] != plain["macros"] or "x86" not in plain["target"]


@pytest.mark.parametrize("name", [
    "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "MAKEFLAGS",
    "LD_LIBRARY_PATH", "PKG_CONFIG_PATH", "SOURCE_DATE_EPOCH", "CONFIG_SITE", "PYTHONPATH", "GCC_EXEC_PREFIX",
])
def test_no_variable_that_is_not_recorded_reaches_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/planted")
    assert name not in compiling.environment()


def test_a_compiler_that_does_not_answer_is_told() -> None:
    with pytest.raises(MachineError, match="cannot run /nonexistent/cc"):
        describe("CC=/nonexistent/cc")
    with pytest.raises(MachineError, match="false --version failed"):
        describe("CC=false")


def test_what_was_built_is_on_record_and_a_build_that_lost_a_library_is_made_again(
    tmp_path: Path, own_cache: Path
) -> None:
    """A tree whose interpreter has one extension module, which links a library that can be taken away."""
    library, extension = tmp_path / "lib/libplanted.so", "build/lib/planted.so"
    library.parent.mkdir()
    subprocess.run(["gcc", "-shared", "-o", library, "-x", "c", "/dev/null"], check=True)
    tree = plant(tmp_path / "source")
    make = f"gcc -shared -Wl,--no-as-needed -o {extension} -x c /dev/null -x none {library} -lm"
    configure = (tree / "configure").read_text()
    (tree / "configure").write_text(
        f"{configure}\nmkdir -p build/lib\necho build/lib > pybuilddir.txt\n"
        f"echo '#define HAVE_X 1' > pyconfig.h\n{make}\n"
    )
    made = resolve(f"dir:{tree}")
    assert made.build is not None
    kept = record.read(made.build.tree.parent / record.NAME)
    assert kept is not None
    assert kept.libraries == {"planted": (str(library),)}
    assert kept.pyconfig == {"HAVE_X": "1"}
    assert made.build.pyconfig == outcome.digest(kept.pyconfig)
    assert made.build.libraries == {"planted": "libplanted.so"}
    assert kept.toolchain == toolchain.describe(made.build.flags) == made.build.toolchain
    assert "winreg" in kept.missing or sys.version_info < (3, 10)
    assert made.modules is not None

    told: list[str] = []
    assert builds.resolve(f"dir:{tree}", progress=told.append) == made and told == []
    library.rename(tmp_path / "away.so")
    assert cache.load(made.build.key) is None, "its module would not load"
    (tmp_path / "away.so").rename(library)
    assert cache.load(made.build.key) is not None


@pytest.mark.parametrize("flag", ["OPT=-O2 -DPLANTED", "BASECFLAGS=-DPLANTED", "CFLAGS_NODIST=-DPLANTED"])
def test_what_configure_passes_to_the_compiler_by_other_names_counts_too(flag: str) -> None:
    assert describe(flag)["macros"] != describe(f"{flag.partition('=')[0]}=-O2")["macros"]


def test_pkg_config_is_asked_as_configure_asks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pkg-config"
    program.write_text('#!/bin/sh\necho "1.8${PKG_CONFIG_PATH}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    plain, given = describe(), describe("PKG_CONFIG_PATH=/opt/x")
    assert plain["pkg-config"].startswith("1.8: ") and "1.8/opt/x" not in plain["pkg-config"]
    assert "1.8/opt/x" in given["pkg-config"]


def test_the_clang_that_makes_the_templates_of_a_jit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "clang-19"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    told = []
    for version in ("19.1.0", "19.1.7"):
        program.write_text(f'#!/bin/sh\necho "clang version {version}"\n')
        program.chmod(0o755)
        told.append(describe("--enable-experimental-jit")["clang"])
    assert "clang-19: clang version 19.1.0" in told[0] and told[0] != told[1]
    assert "clang" not in describe()


def test_a_cache_that_was_moved_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its compiled library names the old place, which every import would correct: in this arm and not in the other."""
    made = resolve(f"dir:{plant(tmp_path / 'source')}")
    assert made.build is not None
    cache.release(made.build.tree.parent)
    (tmp_path / "cache").rename(tmp_path / "moved")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "moved"))
    assert cache.load(made.build.key) is None
    assert [entry.usable for entry in builds.cached()] == [False]
    again = resolve(f"dir:{tmp_path / 'source'}")
    assert again.build is not None and again.build.key == made.build.key
    assert [entry.usable for entry in builds.cached()] == [True]
