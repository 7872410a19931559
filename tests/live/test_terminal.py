"""What real terminals, pipes and files get of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from bench import LOCKSTEP

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_runs import make_run, some_benchmarks

ESCAPE = "\x1b["


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, in which a quarter of the benchmarks is slower."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, 0, some_benchmarks(4), changed=0.05)
    return folder


def surroundings(**changes: str) -> dict[str, str]:
    """This process's environment without what steers colours and encodings, with changes."""
    steering = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING", "PYTHONUTF8", "LC_ALL", "LOCKSTEP_DEBUG")
    return {**{name: value for name, value in os.environ.items() if name not in steering}, "TERM": "xterm", **changes}


def lockstep(runs: Path, *words: object, **changes: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [LOCKSTEP, *map(str, words), "--out", runs], capture_output=True, env=surroundings(**changes), check=False,
        timeout=60,
    )


def at_terminal(*words: object, typed: str = "", **changes: str) -> tuple[int, str]:
    """Run the command with a terminal as its three standard streams; exit code, and all that it shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([LOCKSTEP, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs,
                          env=surroundings(**changes), start_new_session=True) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 65536):
                shown += piece
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def test_a_reader_who_leaves_changes_nothing(runs: Path, tmp_path: Path) -> None:
    """`lockstep show | head -1`: the files are written, and the exit code is the report's."""
    for words, expected in ((("show", "--json", tmp_path / "r.json"), 1), (("--help",), 0), (("runs",), 0)):
        out = () if words == ("--help",) else ("--out", runs)
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([LOCKSTEP, *words, *out], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
        os.close(write)
        assert (done.returncode, done.stderr) == (expected, b""), words
    assert json.loads((tmp_path / "r.json").read_text())["summary"]["slower"] == 1


@pytest.mark.parametrize("changes", [
    {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
], ids=["ascii", "latin-1", "C"])
def test_no_encoding_loses_a_report(runs: Path, tmp_path: Path, changes: dict[str, str]) -> None:
    done = lockstep(runs, "show", "--json", tmp_path / "r.json", **changes)
    assert done.returncode == 1, done.stderr
    text = done.stdout.decode("latin-1")
    assert "Changed (1)" in text and "Run folder:" in text and "1.05" in text
    assert (tmp_path / "r.json").is_file()


def test_a_full_disk_is_told_and_is_no_verdict(runs: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([LOCKSTEP, "show", "--out", runs], stdout=full, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr.count(b"\n")) == (4, 1)
        assert b"cannot write standard output: No space left" in done.stderr
        # Nowhere to tell it.
        done = subprocess.run([LOCKSTEP, "show", "no-such-run"], stdout=full, stderr=full, check=False)
        assert done.returncode == 2


def test_a_program_started_without_streams_ends_as_usual(runs: Path) -> None:
    done = subprocess.run(["sh", "-c", 'exec "$0" show --out "$1" >&- 2>&-', LOCKSTEP, runs], check=False, timeout=60)
    assert done.returncode == 1


@pytest.mark.parametrize(("changes", "words", "colours"), [
    ({}, (), True), ({"NO_COLOR": "1"}, (), False), ({"TERM": "dumb"}, (), False), ({}, ("--color", "never"), False),
    ({"NO_COLOR": "1"}, ("--color", "always"), True),
])
def test_a_terminal_gets_the_colours_that_it_wants(
    runs: Path, changes: dict[str, str], words: tuple[str, ...], colours: bool
) -> None:
    code, shown = at_terminal("show", "--out", runs, *words, **changes)
    assert code == 1
    assert (ESCAPE in shown) is colours, shown
    hint = shown.splitlines()[-1]
    assert hint.startswith("next: lockstep explain ") and "work" in hint


def test_a_log_gets_no_colours_unless_asked_for_and_no_hint(runs: Path) -> None:
    plain, forced = lockstep(runs, "show"), lockstep(runs, "show", "--color", "always")
    assert ESCAPE.encode() not in plain.stdout and ESCAPE.encode() in forced.stdout
    assert b"next:" not in plain.stdout + plain.stderr


def test_a_dumb_terminal_gets_lines(runs: Path, tmp_path: Path) -> None:
    """No spinner, no cursor that is hidden or moved."""
    words = ("publish", "--runs", runs, "--to", tmp_path / "site", "--no-asv", "--color", "auto")
    code, shown = at_terminal(*words, TERM="dumb")
    assert code == 0 and "\x1b" not in shown and "writing the other pages" in shown
    code, shown = at_terminal(*words, "--fresh", TERM="xterm")
    assert code == 0 and "\x1b" in shown


def test_standard_output_by_another_name_is_standard_output(runs: Path, tmp_path: Path) -> None:
    for target in ("-", "/dev/stdout", "/dev/fd/1", tmp_path / "same"):
        with (tmp_path / "same").open("wb") as file:
            done = subprocess.run([LOCKSTEP, "show", "--out", runs, "--json", target], stdout=file,
                                  stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1 and b"Run folder:" in done.stderr
        assert json.loads((tmp_path / "same").read_text())["schema"] == "lockstep.report/1", target
    done = lockstep(runs, "show", "--json", "/dev/stderr")
    assert b"lockstep.report/1" in done.stderr and b"Run folder:" in done.stdout
    done = lockstep(runs, "show", "--json", "/dev/null")
    assert done.stderr == b"" and b"Run folder:" in done.stdout and Path("/dev/null").is_char_device()


def test_a_process_may_be_the_target(runs: Path) -> None:
    """Bash's process substitution: a pipe under /dev/fd; one whose reader leaves is no fault."""
    script = 'set -o pipefail; "$0" show --out "$1" --json >(head -c 1 > /dev/null) | grep -c Changed'
    done = subprocess.run(
        ["bash", "-c", script, LOCKSTEP, runs], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 1)


def test_removal_asks_at_a_terminal(runs: Path, tmp_path: Path) -> None:
    folder = make_run(tmp_path, 0, some_benchmarks(1))
    code, shown = at_terminal("runs", "last", "--remove", "--out", tmp_path, typed="n\n")
    assert code == 0 and "Remove this run? [y/N]" in shown and "nothing was removed" in shown and folder.is_dir()
    code, shown = at_terminal("runs", "last", "--remove", "--out", tmp_path, typed="y\n")
    assert code == 0 and f"removed {folder.name}" in shown and not folder.exists()
