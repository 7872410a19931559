"""The command line where things go wrong: its own faults, foreign text, targets that are no plain files, mistypings."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from samples import benchmark, block, interpreter, manifest

from runner import config, jobs
from runner.cli import app, targets
from runner.cli.app import name_of, needs, record_measured
from runner.cli.printing import Stream
from runner.cli.terminal import Terminal
from runner.errors import MachineError, UsageError
from runner.model import Arm, BlockKind, Failure
from runner.report.printable import printable
from runner.storage import store

Lockstep = Callable[..., tuple[int, str, str]]


def _below(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from _below(command, (*path, name))


COMMANDS = dict(_below(typer.main.get_command(app)))
"""All commands, by the words that they are called by."""


def breaking(monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> None:
    def broken(*_: Any) -> None:
        raise problem

    monkeypatch.setattr(store, "find", broken)


@pytest.mark.parametrize("problem", [
    ZeroDivisionError("by zero"), SystemExit(1), BrokenPipeError(32, "Broken pipe"), MemoryError(), AssertionError(),
    OSError(5, "Input/output error"),
])
def test_a_fault_of_our_own_is_no_verdict(
    lockstep: Lockstep, monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    """Exit code 1 says that something became slower."""
    breaking(monkeypatch, problem)
    code, out, error = lockstep("show", "last")
    assert (code, out) == (os.EX_SOFTWARE, "")
    (kept,) = (config.STATE / "crashes").iterdir()
    assert error.count("\n") == 1 and str(kept) in error and "Please report it" in error
    assert "Traceback" in kept.read_text() and "lockstep show last" in kept.read_text()


def test_the_traceback_is_shown_to_who_wants_it_and_where_it_cannot_be_kept(
    lockstep: Lockstep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    breaking(monkeypatch, ZeroDivisionError("by zero"))
    assert "Traceback" in lockstep("show", "-v")[2]
    monkeypatch.setenv("LOCKSTEP_DEBUG", "1")
    assert "Traceback" in lockstep("show")[2]
    monkeypatch.setenv("LOCKSTEP_DEBUG", "0")
    assert "Traceback" not in lockstep("show")[2]
    (tmp_path / "file").touch()
    monkeypatch.setattr(config, "STATE", tmp_path / "file")
    code, _, error = lockstep("show")
    assert code == os.EX_SOFTWARE and "Traceback" in error and "with the traceback above" in error


EVIL = "x\x1b]0;owned\x07\x1b[31m\u202edlrow\u2066\x9b2J\r\x08\udcff\u2028[bold red]y[/] :smile:"
"""Sets a title, colours, turns the direction of writing, clears; no text, markup and a name of an emoji."""
OBEYED = ("\x1b", "\x07", "\x08", "\r", "\x9b", "\u202e", "\u2066", "\u2028", "\udcff", "😃")


def is_harmless(text: str) -> bool:
    return not any(one in text for one in OBEYED)


@given(st.text(st.characters()))
def test_printable_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(one in shown for one in OBEYED[:-1]) and printable(shown) == shown
    shown.encode()
    assert all(a == b or b == "\N{REPLACEMENT CHARACTER}" for a, b in zip(text, shown, strict=True))


def test_words_of_all_scripts_are_kept() -> None:
    for text in ("ß ñ 漢字 עברית فارسی‌ها क्‍ष 👩‍🚀 é", "tab\there\n", "±1 %"):
        assert printable(text) == text


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A run in which all that others name is hostile."""
    name = EVIL.replace("\udcff", "")  # JSON in UTF-8 cannot hold it
    one = benchmark(f"work.{name}", params={name: name}, index=(0,))
    arm = interpreter(f"/opt/{name}/python")
    folder = store.create(tmp_path / "[bold]runs", manifest([one], base=arm, suite=f"/{name}", command=name))
    failure = Failure(reason=f"raised {name}", arm=Arm.HEAD, detail=f"Traceback {name}\n{name}")
    with store.appending(folder) as append:
        append(block(one.key, kind=BlockKind.CALIBRATION, base=(), head=(), order="", failure=failure))
    return folder


@pytest.mark.parametrize("words", [("show", "-v"), ("show", "--color", "always"), ("runs",), ("explain",)])
def test_foreign_text_does_not_speak_to_the_terminal(lockstep: Lockstep, evil: Path, words: tuple[str, ...]) -> None:
    which = () if words[0] == "runs" else (evil,)
    code, out, error = lockstep(words[0], *which, *words[1:], "--out", evil.parent)
    assert code == 0 or words == ("explain",), error  # whose suite is no folder here, and which says so
    assert "\x1b[31m" not in out, "a colour of theirs"
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out) if "--color" in words else out
    assert is_harmless(plain) and is_harmless(error), plain
    assert words[0] != "show" or "[bold" in plain, "markup is text"


def test_foreign_words_in_errors_and_paths_do_not_speak_either(lockstep: Lockstep, evil: Path, tmp_path: Path) -> None:
    for words in (("show", EVIL), (EVIL,), ("show", f"--{EVIL}"), ("ab", "a", "b", "--suite", EVIL),
                  ("ab", "a", "b", "--margin", EVIL), ("ab", "a", "b", EVIL), ("runs", "--state", EVIL)):
        code, out, error = lockstep(*words)
        assert code == 2 and out == "" and is_harmless(error) and error.strip(), words
    code, out, _ = lockstep("export", "last", "--format", "csv", "--out", evil.parent, "--to", tmp_path / "[red]to")
    assert code == 2 or "[red]to" in out


def test_progress_lines_are_lines_without_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as view:
        view.phase(f"building {EVIL}\nlockstep: all is well")
        view.say(f"waiting for {EVIL}\n1 slower")
    error = capsys.readouterr().err
    assert is_harmless(error) and error.count("\n") == 2
    assert "[bold red]y[/] :smile:" in error


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "koi8-r"])
def test_what_an_encoding_lacks_is_spelt(encoding: str) -> None:
    raw = io.BytesIO()
    stream: Any = Stream(io.TextIOWrapper(raw, encoding), "standard output")
    stream.write("±1 % → 2.5× ÷ − \udcff 漢 end\n")
    stream.flush()
    told = raw.getvalue().decode(encoding)
    assert told.startswith(("±1 %", "+-1 %")) and told.endswith(" end\n")
    assert encoding != "ascii" or told == "+-1 % -> 2.5x / - ? ? end\n"


@pytest.mark.parametrize("options", [("--json",), ("--markdown",), ("--html",)])
def test_a_report_on_standard_output_is_alone_there(lockstep: Lockstep, runs: Path, options: tuple[str, ...]) -> None:
    code, out, error = lockstep("show", "--out", runs, *options, "-")
    assert code == 0
    assert "Failed (1)" in error and "Run folder:" in error
    assert out.startswith({"--json": "{", "--markdown": "#", "--html": "<"}[options[0]])
    assert "\nRun folder: " not in out
    if options == ("--json",):
        assert json.loads(out)["summary"]["failed"] == 1
    assert lockstep("show", "--out", runs)[1].count("Failed (1)") == 1, "the next command is as ever"


def test_targets_that_cannot_be_written_are_refused_before_anything_else(lockstep: Lockstep, tmp_path: Path) -> None:
    (tmp_path / "to-nowhere").symlink_to(tmp_path / "gone" / "r.json")
    same = tmp_path / "same"
    for words, told in (
        (("--json", tmp_path / "no" / "r.json"), f"there is no folder {tmp_path / 'no'}. Make it first"),
        (("--markdown", tmp_path), "that is a folder"),
        (("--html", tmp_path / "to-nowhere"), f"there is no folder {tmp_path / 'gone'}"),
        (("--json", "last"), "that names a run"),
        (("--json", "20261128T182707Z-e6513a"), "that names a run"),
        (("--json", "-", "--html", "-"), "--json and --html both go to standard output"),
        (("--json", same, "--markdown", f"{tmp_path}/./same"), "--json and --markdown both go to"),
    ):
        # The interpreters do not exist: their turn would come later.
        for command in (("ab", "/no/python", "/no/other"), ("resume", "1999"), ("show", "1999"), ("combine", "1", "2")):
            code, _, error = lockstep(*command, *words)
            assert code == 2 and told in error, (command, words, error)


def test_what_is_there_is_written_into(tmp_path: Path) -> None:
    """A link stays a link, and a file keeps its mode and its other names."""
    real, link, hard = tmp_path / "real", tmp_path / "link", tmp_path / "hard"
    real.write_text("long before")
    real.chmod(0o600)
    link.symlink_to(real)
    hard.hardlink_to(real)
    targets.write(link, "now")
    assert link.is_symlink() and real.read_text() == hard.read_text() == "now" and real.stat().st_mode & 0o777 == 0o600
    (tmp_path / "new-link").symlink_to(tmp_path / "new")
    targets.write(tmp_path / "new-link", "made")
    assert (tmp_path / "new-link").is_symlink() and (tmp_path / "new").read_text() == "made"
    targets.write(Path(os.devnull), "gone")
    assert Path(os.devnull).is_char_device()
    with pytest.raises(MachineError, match="cannot write /dev/full: No space left"):
        targets.write(Path("/dev/full"), "x")


def test_a_pipe_by_name_gets_the_report(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    targets.check([("--json", tmp_path / "pipe")])
    targets.write(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


def test_help_is_there_in_two_spellings_and_ends_with_examples(lockstep: Lockstep) -> None:
    for words in ((), *COMMANDS):
        short, long = lockstep(*words, "-h"), lockstep(*words, "--help")
        assert short == long and short[0] == 0
        assert "\nExamples:\n  lockstep " in short[1], words
        assert "<" not in short[1], "a placeholder without a name"
        assert max(map(len, short[1].splitlines())) <= 100


def test_the_examples_are_commands() -> None:
    for words, command in COMMANDS.items():
        assert command.epilog, words
        for line in command.epilog.splitlines():
            program, *typed = shlex.split(line.partition("   ")[0].partition(" | ")[0])
            assert (program, *typed[: len(words)]) == ("lockstep", *words), line
            command.make_context(words[-1], typed[len(words) :])


@pytest.mark.parametrize(("words", "told"), [
    (("python3.12", "cpython@3.13.5"), "python3.12 is no build of Lockstep's"),
    (("cpython@3.13.5", "cpython@3.13.5?layout=3"), "take cpython@3.13.5?layout=3 for the build as make links it"),
])
def test_what_cannot_be_recorded_is_refused_before_it_is_measured(
    lockstep: Lockstep, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    def measured(*_: object) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr(jobs, "ab", measured)
    code, out, error = lockstep("ab", *words, "--record")
    assert (code, out) == (2, "") and told in error


@pytest.mark.parametrize(("verdict", "code"), [(0, 2), (1, 1), (3, 3)])
def test_what_cannot_be_recorded_at_the_end_takes_no_verdict_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, verdict: int, code: int
) -> None:
    def refused(*_: object) -> None:
        raise UsageError("the repository is gone")

    monkeypatch.setitem(record_measured.__globals__, "record", refused)
    assert record_measured(tmp_path, None, verdict) == code
    assert "the run is kept, and not added to asv's results: the repository is gone" in capsys.readouterr().err


def test_the_version(lockstep: Lockstep) -> None:
    code, out, error = lockstep("--version")
    assert (code, error) == (0, "") and out.startswith("lockstep 0.")


@pytest.mark.parametrize(("words", "told"), [
    (("shwo",), "Did you mean 'show'?"),
    (("ab", "a", "b", "--buget", "1m"), "--budget"),
    (("last", "show"), "The command comes first: lockstep show last"),
    (("python3.12", "./python", "-b", "x y"), "To compare two interpreters: lockstep ab python3.12 ./python -b 'x y'"),
    (("ab",), "Usage: lockstep ab [OPTIONS] BASE HEAD"),
    (("ab", "a", "b", "c"), "Got unexpected extra argument"),
    (("export", "last", "pyperf"), "Usage: lockstep export [OPTIONS] RUN"),
    (("show", "--json"), "requires an argument"),
    (("show", "--color", "blue"), "it is auto, always or never"),
    (("runs", "--since", "yesterday"), "is not a day; write for example 2026-11-28, or 30d"),
    (("runs", "--state", "done"), "it is measuring, complete, interrupted or unreadable"),
    (("runs", "--remove"), "--remove of which?"),
    (("runs", "-b", "("), "that is no regular expression"),
])
def test_a_mistyped_line_gets_the_words_that_mend_it(lockstep: Lockstep, words: tuple[str, ...], told: str) -> None:
    code, out, error = lockstep(*words)
    assert (code, out) == (2, "") and told in error
    assert "For examples: lockstep" in error or error.startswith("lockstep: -"), error


@pytest.mark.parametrize(("environment", "terminal", "expected"), [
    ({}, True, True), ({}, False, False), ({"NO_COLOR": "1"}, True, False), ({"NO_COLOR": ""}, True, True),
    ({"TERM": "dumb"}, True, False), ({"TERM": ""}, True, False), ({"FORCE_COLOR": "1"}, False, True),
    ({"FORCE_COLOR": "0"}, False, False), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
])
def test_when_there_are_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], terminal: bool, expected: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert config.colored(terminal) is expected


@pytest.mark.parametrize(("said", "widest"), [("200", 140), ("60", 60), ("0", 80), ("", 80), ("x", 80), ("1", 40)])
def test_the_width_is_what_columns_says(
    lockstep: Lockstep, runs: Path, monkeypatch: pytest.MonkeyPatch, said: str, widest: int
) -> None:
    monkeypatch.setattr("runner.cli.printing._columns", lambda: None)
    monkeypatch.setattr(config, "columns", lambda before=config.columns: (os.environ.update(COLUMNS=said), before())[1])
    _, out, _ = lockstep("show", "--out", runs)
    lines = [line for line in out.splitlines() if not line.startswith("Run folder:")]
    assert max(map(len, lines)) <= widest
    assert widest <= 60 or max(map(len, lines)) > 60


def test_a_run_that_was_interrupted_is_told_by_a_name_that_finds_it(tmp_path: Path) -> None:
    assert name_of(config.runs_folder(None) / "20250101T120000Z-ab12cd") == "20250101T120000Z-ab12cd"
    assert name_of(Path("/some where/20250101T120000Z-ab12cd")) == "'/some where/20250101T120000Z-ab12cd'"


def test_an_extra_that_is_not_installed_is_named() -> None:
    needs("json", "service", "a server")
    with pytest.raises(UsageError, match=r"a server needs Lockstep's extra `service`, .*pip install '\.\[service\]'"):
        needs("no_such_package", "service", "a server")
