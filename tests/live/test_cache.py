"""A cache that others use, that cannot be written, that is full, and what of it can go."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from bench import ended
from fake_source import PYTHON, plant

from runner import builds
from runner.builds import cache, layouts
from runner.errors import MachineError

ROOT = Path(__file__).parents[2]
DAY = 86400.0
AS_NOBODY = """
import os, sys
from runner import builds
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
print(builds.resolve(sys.argv[1], progress=lambda _: None).executable)
"""
KILLED = """
import os
from runner.builds import cache
with cache.scratch() as new:
    (new / "half").touch()
    os.kill(os.getpid(), 9)
"""
WAITS = """
import sys
from runner.builds import cache
sys.stdin.readline()
with cache.locked("x", lambda text: print(text, flush=True), "waiting"):
    print("has it", flush=True)
    sys.stdin.read()
"""
HOLD = """
import sys, time
from runner import builds
made = builds.resolve(sys.argv[1], progress=lambda _: None)
print(made.executable, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lockstep"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "source")


def resolve(spec: str) -> builds.Interpreter:
    return builds.resolve(spec, progress=lambda _: None)


def folder(made: builds.Interpreter) -> Path:
    assert made.build is not None
    return made.build.tree.parent


def let_go(made: builds.Interpreter) -> None:
    """As if the process that used it had ended."""
    cache.release(folder(made))


def used(path: Path, days: float) -> None:
    when = time.time() - days * DAY
    os.utime(path, (when, when))


@contextlib.contextmanager
def mounted(*words: str | Path) -> Iterator[None]:
    """Mount something at the last of the words; the test is left out where that is not allowed."""
    if shutil.which("mount") is None or subprocess.run(["mount", *words], capture_output=True).returncode:
        pytest.skip("this user may not mount anything here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", words[-1]], check=True)


@contextlib.contextmanager
def read_only(place: Path) -> Iterator[None]:
    with mounted("--bind", place, place):
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        yield


@contextlib.contextmanager
def holding(spec: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses a build."""
    command = [sys.executable, "-c", HOLD, spec]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield process


def pruned(**options: float | bool) -> Sequence[str]:
    return [item.label for item in builds.prune(**options).gone]  # type: ignore[arg-type]


# What others use.

def test_a_build_that_another_process_uses_is_not_removed(tree: Path) -> None:
    made = resolve(f"dir:{tree}")
    let_go(made)
    with holding(f"dir:{tree}") as process:
        assert not any(f"dir:{tree}" in label for label in pruned(max_size=0))
        assert made.executable.exists()
        with pytest.raises(MachineError, match="is being used by another run"):
            builds.remove([f"dir:{tree}"])
        assert made.executable.exists()
        process.kill()
        process.wait()
        assert any(f"dir:{tree}" in label for label in pruned(max_size=0, dry_run=True))
        assert made.executable.exists()
    assert any(f"dir:{tree}" in label for label in pruned(max_size=0))
    assert not folder(made).exists()


def test_a_build_that_is_being_made_is_not_removed_nor_what_it_is_made_from(tree: Path, own_cache: Path) -> None:
    made = resolve(f"dir:{tree}")
    let_go(made)
    (own_cache / "downloads").mkdir()
    (own_cache / "downloads/x.tar.xz").write_text("x")
    with cache.locked(folder(made).name, print, ""):
        assert pruned(max_size=0) == []
        assert made.executable.exists()


def test_a_build_that_this_process_uses_stays_while_it_lives(tree: Path) -> None:
    made = resolve(f"dir:{tree}")
    code = "from runner import builds; print([item.label for item in builds.prune(max_size=0).gone])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert str(tree) not in ran.stdout
    assert made.executable.exists()


def test_a_run_that_goes_on_uses_its_builds(tree: Path) -> None:
    made = resolve(f"dir:{tree}")
    let_go(made)
    builds.check(made, progress=lambda _: None)
    assert not any(str(tree) in label for label in pruned(max_size=0))
    let_go(made)


def test_a_layout_in_use_is_not_removed(own_cache: Path) -> None:
    layout = own_cache / "layouts/key/00000001-a"
    layout.mkdir(parents=True)
    (layout / layouts.SYMBOLS).write_text("{}")
    use = cache.Use(layout / layouts.SYMBOLS)
    layouts.trim(limit=-1)
    assert pruned(max_size=0) == []
    assert layout.exists()
    use.close()
    layouts.trim(limit=-1)
    assert not layout.exists()


def test_a_layout_that_another_process_removes_just_now_is_no_error(own_cache: Path) -> None:
    """A link that leads nowhere stands for it: it is in the list of the folder, and when it is looked at it is gone."""
    layout = own_cache / "layouts/key/00000002-a"
    layout.mkdir(parents=True)
    (layout / layouts.SYMBOLS).write_text("{}")
    (own_cache / "layouts/key/00000001-a").symlink_to("gone")
    layouts.trim(limit=-1)
    assert not layout.exists(), "the others are looked at"


# What can go.

def test_what_was_not_used_for_long_goes_and_then_the_least_recently_used(tmp_path: Path, own_cache: Path) -> None:
    names = ("oldest", "old", "new")
    made = {name: resolve(f"dir:{plant(tmp_path / name, a_c=f'int {name};')}") for name in names}
    for name, days in zip(names, (100, 20, 1), strict=True):
        let_go(made[name])
        used(folder(made[name]) / "build.json", days)
    layout = own_cache / "layouts" / folder(made["old"]).name / "00000007"
    layout.mkdir(parents=True)
    (layout / layouts.SYMBOLS).write_text("{}" * 5000)

    def of_builds(**options: float | bool) -> list[str]:
        return [label for label in pruned(**options) if "dir:" in label]

    (gone,) = of_builds(dry_run=True)
    assert gone.startswith(f"dir:{tmp_path / 'oldest'} (")
    some, everything = builds.prune(dry_run=True), builds.prune(max_size=0, dry_run=True)
    assert everything.kept == 0
    assert sum(item.size for item in everything.gone) == some.kept + sum(item.size for item in some.gone)
    assert all(made[name].executable.exists() for name in names), "a dry run removes nothing"
    assert of_builds() == [gone]
    assert [made[name].executable.exists() for name in names] == [False, True, True]

    limit = cache.size(folder(made["new"]))
    first, second = of_builds(max_size=limit)
    assert first.endswith("layout 00000007") and second.startswith(f"dir:{tmp_path / 'old'} ("), "its layouts go first"
    assert [made[name].executable.exists() for name in names] == [False, False, True]
    assert of_builds(max_size=limit) == []


def test_packages_of_scripts_go_when_no_run_has_begun_with_them_for_two_days(own_cache: Path) -> None:
    for name, days in (("cpython-312", 3), ("cpython-313", 1)):
        (own_cache / "pyperf/0a1b" / name).mkdir(parents=True)
        (own_cache / "pyperf/0a1b" / name / "planted.py").write_text("x" * 100_000)
        for path in ("planted.py", ""):
            used(own_cache / "pyperf/0a1b" / name / path, days)
    (own_cache / "hypothesis").mkdir()
    before = builds.prune(dry_run=True)
    assert before.kept >= 200_000 and before.gone == []
    assert set(pruned(max_size=0)) == {"packages for cpython-312", "hypothesis"}
    assert (own_cache / "pyperf/0a1b/cpython-313").is_dir() and not (own_cache / "pyperf/0a1b/cpython-312").exists()


def test_leftovers_go(tree: Path, own_cache: Path) -> None:
    made = resolve(f"dir:{tree}")
    subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, check=False)
    (left,) = (own_cache / "scratch").iterdir()
    (own_cache / "scratch/0123.abcd").mkdir()  # as older versions named it
    used(own_cache / "scratch/0123.abcd", 2)
    (own_cache / "builds/damaged").mkdir()
    used(own_cache / "builds/damaged", 2)
    (own_cache / "layouts/gone/00000001").mkdir(parents=True)
    (own_cache / "downloads").mkdir()
    for name in ("a.tar.xz", "b.tar.xz.wrong", "c.tar.xz.part"):
        (own_cache / "downloads" / name).write_text(name)
        used(own_cache / "downloads" / name, 2)
    with cache.locked("in-use", print, ""):
        gone = pruned()
        assert [path.name for path in (own_cache / "locks").iterdir()] == ["in-use.lock"]
    assert {f"unfinished {left.name}", "unfinished 0123.abcd", "damaged, not usable", "gone, layout 00000001",
            "b.tar.xz.wrong", "c.tar.xz.part"} <= set(gone)
    assert list((own_cache / "scratch").iterdir()) == []
    assert [path.name for path in (own_cache / "downloads").iterdir()] == ["a.tar.xz"]
    assert made.executable.exists()
    assert resolve(f"dir:{tree}") == made


def test_a_lock_whose_file_was_removed_meanwhile_keeps_nobody_apart(own_cache: Path) -> None:
    """Two processes that lock two files of one name would both make one build."""
    command = [sys.executable, "-c", WAITS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=ROOT)
    with ended(process):
        assert process.stdin is not None and process.stdout is not None
        with cache.locked("x", print, ""):
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "waiting\n"
            (own_cache / "locks/x.lock").unlink()
            (own_cache / "locks/x.lock").touch()
        assert process.stdout.readline() == "has it\n"
        with cache.free(own_cache / "locks/x.lock") as unused:
            assert not unused, "it has the lock of the file that is there"


def test_the_command_lists_and_removes(tree: Path, own_cache: Path) -> None:
    made = resolve(f"dir:{tree}")
    let_go(made)
    used(folder(made) / "build.json", 40)
    command = [sys.executable, "-c", "from runner.cli import main; main()", "build", "--prune", "--max-age", "30d"]
    listed = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"would remove build: dir:{tree}" in listed.stdout
    assert "used 40 days ago" in listed.stdout
    assert "would free" in listed.stdout
    assert made.executable.exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == listed.stdout.replace("would remove", "removed").replace("would free", "freed").replace(
        "would stay", "stay")
    assert not made.executable.exists()
    wrong = subprocess.run([*command[:-1], "soon"], cwd=ROOT, capture_output=True, text=True, check=False,
                           env={**os.environ, "COLUMNS": "200"})
    assert wrong.returncode == 2 and "90d, 12h or 2w" in wrong.stderr


# What cannot be written.

def test_a_cache_on_a_disk_that_is_only_read_is_used_and_another_is_written(
    tree: Path, tmp_path: Path, own_cache: Path
) -> None:
    made = resolve(f"dir:{tree}")
    let_go(made)
    with read_only(tmp_path / "cache"):
        told = builds.unwritable()
        assert told is not None and str(own_cache) in told and str(tmp_path / "home/.cache/lockstep") in told
        assert resolve(f"dir:{tree}") == made
        other = resolve(f"dir:{tree}?debug")
        assert other.executable.is_relative_to(tmp_path / "home/.cache/lockstep/builds")
        assert resolve(f"dir:{tree}?debug") == other
        assert {entry.folder for entry in builds.cached()} == {folder(made), folder(other)}
        with pytest.raises(MachineError, match="cannot be written"):
            builds.remove([f"dir:{tree}"])
        assert not any(f"dir:{tree} " in label for label in pruned(max_size=0))
        let_go(other)
        let_go(made)
    assert builds.unwritable() is None
    assert resolve(f"dir:{tree}") == made


def test_where_no_home_can_be_written_the_folder_for_temporary_files_is(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = resolve(f"dir:{tree}")
    let_go(made)
    with read_only(tmp_path / "cache"):
        monkeypatch.setenv("HOME", str(tmp_path / "cache"))
        other = resolve(f"dir:{tree}?debug")
        place = tmp_path / "tmp" / f"lockstep-cache-{os.geteuid()}"
        assert other.executable.is_relative_to(place)
        assert place.stat().st_mode & 0o777 == 0o700, "what is run from there, nobody else may write"
        let_go(other)


def test_a_planted_cache_in_the_folder_for_temporary_files_is_not_believed(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder that belongs to another user")
    (tmp_path / "cache").mkdir()
    place = tmp_path / "tmp" / f"lockstep-cache-{os.geteuid()}"
    place.mkdir()
    os.chown(place, 4321, 4321)
    with read_only(tmp_path / "cache"):
        monkeypatch.setenv("HOME", str(tmp_path / "cache"))
        with pytest.raises(MachineError, match="belongs to somebody else"):
            resolve(f"dir:{tree}")


def test_a_shared_cache_of_another_user_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    system = Path("/usr/bin/python3")
    if os.geteuid() != 0 or not system.exists():
        pytest.skip("only root can be another user, and that one needs a Python of its own")
    # Not in pytest's folder, which every session of pytest shuts to others.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        tree = plant(place / "source")
        # That user may not be able to read the Python that runs the tests.
        (tree / "configure").write_text((tree / "configure").read_text().replace(PYTHON, str(system)))
        made = resolve(f"dir:{tree}")
        let_go(made)
        (place / "other").mkdir()
        os.chown(place / "other", 65534, 65534)
        environment = {**os.environ, "HOME": str(place / "other"), "TMPDIR": str(place / "other")}
        for spec, top in ((f"dir:{tree}", place / "cache/lockstep"),
                          (f"dir:{tree}?debug", place / "other/.cache/lockstep")):
            ran = subprocess.run([sys.executable, "-c", AS_NOBODY, spec], cwd=ROOT, env=environment,
                                 capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stderr
            assert Path(ran.stdout.splitlines()[-1]).is_relative_to(top / "builds")
        assert made.executable.exists()


# A full disk.

def test_a_disk_that_fills_up_in_mid_build_is_told_and_nothing_is_left(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    with mounted("-t", "tmpfs", "-o", "size=2m", "lockstep-test", tmp_path / "cache"):
        # While unpacking, while compiling, and while the standard library is compiled.
        for where, text in (("Lib/large.py", "x = 1\n" * 400_000), ("a.c", "int a;\n" * 200_000)):
            large = plant(tmp_path / f"large-{where.partition('.')[0].replace('/', '-')}")
            (large / where).write_text(text)
            with pytest.raises(MachineError, match=r"is full; free some space \(lockstep build --prune"):
                resolve(f"dir:{large}")
            assert list((tmp_path / "cache/lockstep/scratch").iterdir()) == []
            assert not list((tmp_path / "cache/lockstep/builds").glob("*"))
        made = resolve(f"dir:{tree}")
        assert made.executable.exists()
        # And what is there can be removed while the disk is full.
        let_go(made)
        with contextlib.suppress(OSError), (tmp_path / "cache/lockstep/filler").open("wb") as filler:
            while True:
                filler.write(b"x" * 4096)
        assert any(str(tree) in label for label in pruned(max_size=0))
        assert not made.executable.exists()
