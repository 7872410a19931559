"""Builds of a tiny source tree: cache, variants, locks, failures, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bench import TIME_LIMIT, lives
from fake_source import compiled, plant, snapshot, wait_for

from runner import builds, config
from runner.builds import cache
from runner.errors import BuildError, MachineError, UsageError

ROOT = Path(__file__).parents[2]
VARIANT = "[[edit]]\nfile = 'b.c'\nfind = 'int b;'\nreplace = 'int c;'\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lockstep"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "source")


def resolve(spec: str) -> tuple[builds.Interpreter, list[str]]:
    told: list[str] = []
    return builds.resolve(spec, progress=told.append), told


def finished(own_cache: Path) -> list[Path]:
    return list((own_cache / "builds").glob("*"))


def test_the_packages_of_a_build_are_those_that_a_measured_process_finds(tree: Path, tmp_path: Path) -> None:
    """A run that was begun with `--env PYTHONPATH` could not be gone on with: something seemed to be installed."""
    about = tmp_path / "site" / "planted-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    environment = {**config.environment(), "PYTHONPATH": str(tmp_path / "site")}
    made = builds.resolve(f"dir:{tree}", progress=print, environment=environment)
    assert made.packages is not None and "planted" in made.packages
    builds.check(made, progress=print, environment=environment)
    with pytest.raises(UsageError, match=r"the packages of .* have changed"):
        builds.check(made, progress=print)


def test_a_build_is_made_once_and_then_found(tree: Path) -> None:
    before = snapshot(tree)
    made, told = resolve(f"dir:{tree}")
    assert [line.split()[0] for line in told] == ["copying", "configuring", "compiling", "compiling"]
    assert snapshot(tree) == before
    assert made.build is not None
    assert compiled(made.build.tree) == ["a.c", "b.c"]
    assert (made.build.tree / "a.o").is_file()
    assert subprocess.run([made.executable, "-c", "print(6 * 7)"], capture_output=True, check=True).stdout == b"42\n"

    again, told = resolve(f"dir:{tree}")
    assert (again, told) == (made, [])

    (tree / "a.c").write_text("int other;\n")
    other, told = resolve(f"dir:{tree}")
    assert other.build is not None
    assert other.build.key != made.build.key
    assert told


def test_a_finished_build_speaks_of_no_other_folder(tree: Path, tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "v.toml").write_text(VARIANT)
    for spec in (f"dir:{tree}", f"dir:{tree}+{tmp_path / 'v.toml'}"):
        made, _ = resolve(spec)
        assert made.build is not None
        (precompiled,) = (made.build.tree / "Lib/__pycache__").iterdir()
        assert str(made.build.tree / "Lib/module.py").encode() in precompiled.read_bytes()
        assert b"scratch" not in precompiled.read_bytes()
        assert b"scratch" not in (own_cache / "builds" / made.build.key / "build.json").read_bytes()


def test_a_variant_compiles_only_what_differs(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "v.toml").write_text(VARIANT)
    made, told = resolve(f"dir:{tree}+{tmp_path / 'v.toml'}")
    assert made.build is not None
    assert made.build.changed_files == ("b.c",)
    assert compiled(made.build.tree) == ["a.c", "b.c", "b.c"]
    assert (made.build.tree / "linked").read_text() == 'int a;\n#include "b.h"\nint c;\n'
    assert any(line.startswith("copying the build") for line in told)

    base, told = resolve(f"dir:{tree}")  # made on the way
    assert told == []
    assert base.build is not None
    assert (made.build.tree / "a.o").stat().st_mtime_ns == (base.build.tree / "a.o").stat().st_mtime_ns
    assert (base.build.tree / "linked").read_text() == 'int a;\n#include "b.h"\nint b;\n'
    asked = {difference.what: difference.asked for difference in builds.differences(base, made)}
    assert asked == {"edits": True}


def test_a_patch_to_a_header_compiles_what_includes_it(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "fix.patch").write_text("--- a/b.h\n+++ b/b.h\n@@ -1 +1 @@\n-int h;\n+int g;\n")
    made, _ = resolve(f"dir:{tree}+{tmp_path / 'fix.patch'}")
    assert made.build is not None
    assert compiled(made.build.tree) == ["a.c", "b.c", "b.c"]
    assert (made.build.tree / "b.h").read_text() == "int g;\n"


def test_an_edit_of_configure_starts_from_the_source(tree: Path, tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "v.toml").write_text(
        "[[edit]]\nfile = 'configure'\nfind = 'echo configuring'\nreplace = 'echo setting up'\n"
    )
    made, _ = resolve(f"dir:{tree}+{tmp_path / 'v.toml'}")
    assert made.build is not None
    assert compiled(made.build.tree) == ["a.c", "b.c"]
    assert "setting up" in (own_cache / "builds" / made.build.key / "build.log").read_text()


@pytest.mark.parametrize(("name", "text", "words"), [
    ("v.toml", "[[edit]]\nfile = 'b.c'\nfind = 'int z;'\nreplace = ''\n", r"not in b\.c.*\n?int z;"),
    ("fix.patch", "--- a/b.c\n+++ b/b.c\n@@ -2 +2 @@\n-int z;\n+int g;\n", r"fix\.patch:3: .* at b\.c:2"),
])
def test_an_edit_that_does_not_fit_is_told_before_anything_is_compiled(
    tree: Path, tmp_path: Path, own_cache: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    before = snapshot(tree)
    told: list[str] = []
    with pytest.raises(UsageError, match=words):
        builds.resolve(f"dir:{tree}+{tmp_path / name}", progress=told.append)
    assert snapshot(tree) == before
    assert not any(line.startswith(("configuring", "compiling")) for line in told)
    assert finished(own_cache) == []
    assert list((own_cache / "scratch").iterdir()) == []


@pytest.mark.parametrize("cached", [False, True])
def test_whether_a_patch_fits_does_not_depend_on_what_is_cached(
    tree: Path, tmp_path: Path, own_cache: Path, cached: bool
) -> None:
    if cached:
        resolve(f"dir:{tree}")
    there = len(finished(own_cache))
    # A build has a Makefile and compiled.txt, the source has neither.
    (tmp_path / "no.patch").write_text("--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-python: a.o b.o\n+python: a.o\n")
    with pytest.raises(UsageError, match=r"no\.patch:1: the source has no file Makefile"):
        resolve(f"dir:{tree}+{tmp_path / 'no.patch'}")
    assert len(finished(own_cache)) == there
    (tmp_path / "yes.patch").write_text("--- /dev/null\n+++ b/linked\n@@ -0,0 +1 @@\n+mine\n")
    made, _ = resolve(f"dir:{tree}+{tmp_path / 'yes.patch'}")
    assert made.build is not None
    assert made.build.changed_files == ("linked",)


def test_what_is_wrong_with_head_is_told_before_base_is_built(tree: Path, tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "fits.patch").write_text("--- a/b.h\n+++ b/b.h\n@@ -1 +1 @@\n-int h;\n+int g;\n")
    (tmp_path / "fix.patch").write_text("--- a/b.h\n+++ b/b.h\n@@ -1 +1 @@\n-int z;\n+int g;\n")
    fits, fix = (f"dir:{tree}+{tmp_path / name}" for name in ("fits.patch", "fix.patch"))
    for base in (f"dir:{tree}", fits):
        for head, words in ((fix, "does not fit at b.h:1"), ("no-such-python", "no-such-python")):
            told: list[str] = []
            with pytest.raises(UsageError, match=words):
                builds.resolve_all([base, head], progress=told.append)
            assert not any(line.startswith(("configuring", "compiling")) for line in told)
    assert finished(own_cache) == []
    assert list((own_cache / "scratch").iterdir()) == []
    one, other = builds.resolve_all([f"dir:{tree}", fits], progress=told.append)
    assert one.build is not None
    assert other.build is not None
    assert (one.build.changed_files, other.build.changed_files) == ((), ("b.h",))


def test_how_a_patch_fitted_is_kept_with_its_build(tree: Path, tmp_path: Path) -> None:
    (tree / "a.c").write_text("int x;\n" * 5 + "int a;\nint y;\nint z;\n")
    (tmp_path / "fix.patch").write_text("--- a/a.c\n+++ b/a.c\n@@ -2,2 +2,2 @@\n-int a;\n+int b;\n int y;\n")
    for _ in range(2):
        made, _ = resolve(f"dir:{tree}+{tmp_path / 'fix.patch'}")
        assert made.build is not None
        (note,) = made.build.notes
        assert "hunk 1 of a.c was found 4 lines down from where it says" in note


REGEN = """cat >> Makefile <<'END'
regen-cases:
	$(PYTHON_FOR_REGEN) generate.py
END
"""
GENERATE = """
import pathlib
text = pathlib.Path("Python/bytecodes.c").read_text()
assert "bad" not in text, "no such instruction"
pathlib.Path("Python/generated_cases.c.h").write_text(text.upper())
"""


@pytest.fixture
def generating(tree: Path) -> Path:
    """The tree with a file that is generated, which a.c includes."""
    (tree / "Python").mkdir()
    files = {"Python/bytecodes.c": "one\n", "Python/generated_cases.c.h": "ONE\n", "generate.py": GENERATE,
             "a.c": '#include "generated_cases.c.h"\n', "Makefile.pre.in": "regen-cases:\n",
             "configure": (tree / "configure").read_text() + REGEN}
    for name, text in files.items():
        (tree / name).write_text(text)
    return tree


@pytest.mark.parametrize("configures", [False, True])
def test_what_is_generated_from_an_edited_file_is_made_anew(
    generating: Path, tmp_path: Path, configures: bool
) -> None:
    patch = "--- a/Python/bytecodes.c\n+++ b/Python/bytecodes.c\n@@ -1 +1 @@\n-one\n+two\n"
    if configures:  # so that nothing is built yet
        (generating / "Modules").mkdir()
        (generating / "Modules/Setup").write_text("a\n")
        patch += "--- a/Modules/Setup\n+++ b/Modules/Setup\n@@ -1 +1 @@\n-a\n+b\n"
    (tmp_path / "fix.patch").write_text(patch)
    made, _ = resolve(f"dir:{generating}+{tmp_path / 'fix.patch'}")
    assert made.build is not None
    assert (made.build.tree / "Python/generated_cases.c.h").read_text() == "TWO\n"
    assert "Python/generated_cases.c.h" in made.build.changed_files
    assert made.build.notes == ("`make regen-cases` has made anew: Python/generated_cases.c.h",)
    assert compiled(made.build.tree) == (["a.c", "b.c"] if configures else ["a.c", "a.c", "b.c"])


def test_what_a_patch_has_generated_is_taken_as_it_is(generating: Path, tmp_path: Path) -> None:
    (tmp_path / "fix.patch").write_text(
        "--- a/Python/bytecodes.c\n+++ b/Python/bytecodes.c\n@@ -1 +1 @@\n-one\n+two\n"
        "--- a/Python/generated_cases.c.h\n+++ b/Python/generated_cases.c.h\n@@ -1 +1 @@\n-ONE\n+Two\n")
    made, _ = resolve(f"dir:{generating}+{tmp_path / 'fix.patch'}")
    assert made.build is not None
    assert (made.build.tree / "Python/generated_cases.c.h").read_text() == "Two\n"
    assert made.build.notes == ()


@pytest.mark.parametrize(("files", "patch", "words", "built"), [
    ({}, "--- a/Python/bytecodes.c\n+++ b/Python/bytecodes.c\n@@ -1 +1 @@\n-one\n+bad\n",
     r"ended with exit code 2\. Run `make regen-cases` in your own tree.*no such instruction", 1),
    ({"Makefile.pre.in": "\n"}, "--- a/Python/bytecodes.c\n+++ b/Python/bytecodes.c\n@@ -1 +1 @@\n-one\n+two\n",
     r"changes Python/bytecodes\.c, from which Python/generated_cases\.c\.h is generated.* Run `make regen-cases`", 0),
    ({"configure.ac": "x\n"}, "--- a/configure.ac\n+++ b/configure.ac\n@@ -1 +1 @@\n-x\n+y\n",
     r"changes configure\.ac, from which configure is generated.* Run `make regen-configure`", 0),
    ({"Modules/m.c": "/*[clinic input]\nold\n[clinic start generated code]*/\n"},
     "--- a/Modules/m.c\n+++ b/Modules/m.c\n@@ -1,3 +1,3 @@\n /*[clinic input]\n-old\n+new\n [clinic start generated "
     "code]*/\n",
     r"changes Modules/m\.c, from which Modules/clinic/m\.c\.h is generated.* Run `make clinic`", 0),
])
def test_what_cannot_be_generated_is_refused_with_the_command(
    generating: Path, tmp_path: Path, own_cache: Path, files: dict[str, str], patch: str, words: str, built: int
) -> None:
    for name, text in files.items():
        (generating / name).parent.mkdir(exist_ok=True)
        (generating / name).write_text(text)
    (tmp_path / "fix.patch").write_text(patch)
    with pytest.raises(UsageError, match=f"(?s){words}"):
        resolve(f"dir:{generating}+{tmp_path / 'fix.patch'}")
    assert len(finished(own_cache)) == built  # what it starts from


def test_options_and_compiler_reach_configure(tree: Path, own_cache: Path) -> None:
    made, _ = resolve(f"dir:{tree}?debug&configure=--with-luck")
    assert made.build is not None
    log = (own_cache / "builds" / made.build.key / "build.log").read_text()
    assert "--with-pydebug" in log
    assert "--with-luck" in log
    assert made.build.compiler in subprocess.run(
        [next(flag[3:] for flag in made.build.flags if flag.startswith("CC=")), "--version"],
        capture_output=True, check=True, text=True,
    ).stdout


def test_the_environment_cannot_change_a_build(tree: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "configure").write_text("#!/bin/sh\nenv | sort\nexit 1\n")
    monkeypatch.setenv("CFLAGS", "-O0")
    with pytest.raises(BuildError) as caught:
        resolve(f"dir:{tree}")
    assert "LC_ALL=C" in str(caught.value)
    assert "-O0" not in str(caught.value)


@pytest.mark.parametrize(("file", "text", "words"), [
    ("a.c", "fine\nbroken;\n", "2:broken;"), ("fail-configure", "", "no such feature"),
])
def test_a_failing_build_shows_the_end_of_its_log(
    tree: Path, own_cache: Path, file: str, text: str, words: str
) -> None:
    (tree / file).write_text(text)
    with pytest.raises(BuildError, match=r"failed: .* ended with exit code") as caught:
        resolve(f"dir:{tree}")
    logs = list((own_cache / "logs").iterdir())
    assert len(logs) == 1
    assert str(logs[0]) in str(caught.value)
    assert words in str(caught.value)
    assert words in logs[0].read_text()
    assert finished(own_cache) == []


def test_an_interpreter_that_does_not_start_is_a_failed_build(tree: Path) -> None:
    text = (tree / "configure").read_text()
    (tree / "configure").write_text(text.replace("ln -sf", "printf '#!/bin/sh\\nexit 3' > python; chmod +x python #"))
    (tree / "Lib/module.py").unlink()
    (tree / "Lib").rmdir()  # so that there is nothing to precompile, which would find out first
    with pytest.raises(BuildError, match="was built and does not start"):
        resolve(f"dir:{tree}")


@pytest.mark.parametrize("left", [None, "half"])
def test_a_damaged_build_is_made_again(tree: Path, left: str | None) -> None:
    made, _ = resolve(f"dir:{tree}")
    made.executable.unlink()
    if left:
        made.executable.write_text(left)
    again, told = resolve(f"dir:{tree}")
    assert told
    assert again == made
    assert again.executable.is_symlink()  # as the fake tree's linker makes it


def test_builds_are_listed_and_removed(tree: Path, own_cache: Path) -> None:
    assert builds.cached() == []
    plain, _ = resolve(f"dir:{tree}")
    debug, _ = resolve(f"dir:{tree}?debug")
    assert plain.build is not None
    assert debug.build is not None
    for used, build in enumerate((plain.build, debug.build), start=1):
        os.utime(own_cache / "builds" / build.key / "build.json", (used, used))
    listed = builds.cached()
    assert [entry.label for entry in listed] == [f"dir:{tree}?debug", f"dir:{tree}"]
    assert all(entry.size > 0 and entry.created > 1e9 for entry in listed)
    resolve(f"dir:{tree}")
    assert builds.cached()[0].key == plain.build.key  # used last

    with pytest.raises(UsageError, match=r"no cached build nothing \(a name, .*; the cache has .*\?debug"):
        builds.remove([plain.build.key, "nothing"])
    assert len(builds.cached()) == 2
    with cache.locked(debug.build.key, print, ""), pytest.raises(MachineError, match="is being built"):
        builds.remove([debug.build.key[:8]])
    assert [entry.key for entry in builds.remove([f"dir:{tree}?debug"])] == [debug.build.key]
    assert [entry.key for entry in builds.remove([plain.build.key[:6]])] == [plain.build.key]
    assert finished(own_cache) == []


def test_what_is_no_source_tree_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        resolve(f"dir:{tmp_path}/gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no configure script"):
        resolve(f"dir:{tmp_path}/empty")


CODE = "import sys; from runner import builds; builds.resolve(sys.argv[1], progress=lambda t: print(t, flush=True))"


@pytest.fixture
def background(tree: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test started; they and all that they started are gone afterwards."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        for child in descendants(process):
            child.kill()
        process.kill()
        process.communicate()


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def start(spec: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, spec], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )


def sleeping(process: subprocess.Popen[str]) -> bool:
    try:
        return any(child.name() == "sleep" for child in descendants(process))
    except psutil.NoSuchProcess:
        return False


def start_compiling(tree: Path, background: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """A build in a process of its own, in the middle of its slow compilation."""
    (tree / "slow").touch()
    process = start(f"dir:{tree}")
    background.append(process)
    wait_for(lambda: sleeping(process))
    return process


def test_a_killed_build_leaves_nothing_that_looks_finished(
    tree: Path, own_cache: Path, background: list[subprocess.Popen[str]]
) -> None:
    process = start_compiling(tree, background)
    orphans = descendants(process)
    try:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert finished(own_cache) == []
        assert builds.cached() == []
        assert len(list((own_cache / "scratch").iterdir())) == 1
        # The orphaned make still runs in the old scratch folder; the next build is not disturbed by it.
        (tree / "slow").unlink()
        made, _ = resolve(f"dir:{tree}")
        assert made.build is not None
        assert compiled(made.build.tree) == ["a.c", "b.c"]
        assert list((own_cache / "scratch").iterdir()) == []
    finally:
        for orphan in orphans:
            orphan.kill()


def test_of_two_runs_one_builds_and_the_other_waits(
    tree: Path, tmp_path: Path, own_cache: Path, background: list[subprocess.Popen[str]]
) -> None:
    # Each "compiler" waits for this file, so that the first cannot be done before the second has started.
    go = tmp_path / "go"
    text = (tree / "configure").read_text()
    (tree / "configure").write_text(
        text.replace("test ! -f slow || sleep 60", f"while test ! -f {go}; do sleep 0.05; done")
    )
    first = start(f"dir:{tree}")
    background.append(first)
    wait_for(lambda: sleeping(first))
    second = start(f"dir:{tree}")
    background.append(second)
    assert second.stdout is not None
    assert second.stdout.readline() == f"waiting for another run that is building dir:{tree}\n"
    go.touch()
    assert first.wait(TIME_LIMIT) == 0
    assert second.wait(TIME_LIMIT) == 0
    assert second.stdout.read() == ""
    (entry,) = finished(own_cache)
    assert compiled(entry / "tree") == ["a.c", "b.c"]


def test_an_interrupted_build_stops_and_cleans_up(
    tree: Path, own_cache: Path, background: list[subprocess.Popen[str]]
) -> None:
    process = start_compiling(tree, background)
    children = descendants(process)
    process.send_signal(signal.SIGINT)
    process.wait(TIME_LIMIT)
    wait_for(lambda: not any(lives(child.pid) for child in children))
    assert list((own_cache / "scratch").iterdir()) == []
    assert finished(own_cache) == []
