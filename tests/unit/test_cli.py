"""What the command line takes, and what it says and returns when it does not."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from samples import block, manifest

from runner import cli
from runner.cli.app import budget_of, exit_code, margin_of, size_of
from runner.cli.terminal import Terminal
from runner.errors import UsageError
from runner.jobs.ab import go_on
from runner.model import Arm, BlockKind, Failure, Verdict
from runner.storage import store


@pytest.mark.parametrize(("text", "margin"), [
    ("1%", 0.01), ("0.5%", 0.005), (" 2 % ", 0.02), ("0.01", 0.01), (".02", 0.02), ("99%", 0.99),
])
def test_margins(text: str, margin: float) -> None:
    assert margin_of(text) == pytest.approx(margin)


@pytest.mark.parametrize(("text", "seconds"), [
    ("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("1h 30m 5s", 5405.0), ("0.5m", 30.0), ("2 m", 120.0),
])
def test_budgets(text: str, seconds: float) -> None:
    assert budget_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "size"), [
    ("4GiB", 4 << 30), ("800MiB", 800 << 20), ("800mb", 800 << 20), ("1k", 1024), ("1.5g", 3 << 29), ("4096", 4096),
    (" 64 KiB ", 65536),
])
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


WRONG = [
    *((margin_of, text) for text in ("", "0", "0%", "100%", "1", "-1%", "1.2.3%", ".", "one", "1%%", "nan", "1e-3")),
    *((budget_of, text) for text in ("", "10", "0s", "s", "10m!", "-5m", "1.2.3s", "ten minutes", "10 min", ".s")),
    *((size_of, text) for text in ("", "0", "0GiB", "big", "-1", "4TiB", "1.2.3k", ".", "4 GiBs", "1e9")),
]


@pytest.mark.parametrize(("parse", "text"), WRONG)
def test_what_is_no_value_is_named_with_an_example(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is not a .*; write ") as refusal:
        parse(text)
    assert repr(text) in refusal.value.message


@given(st.text(max_size=12), st.sampled_from([margin_of, budget_of, size_of]))
def test_any_text_is_a_value_or_is_refused_in_words(text: str, parse: Callable[[str], float]) -> None:
    try:
        assert parse(text) > 0
    except typer.BadParameter as refusal:
        assert repr(text) in refusal.message


@pytest.fixture
def lockstep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command line in this process: exit code, standard output, standard error."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lockstep", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("words", "told"), [
    (("ab", "a", "b", "--margin", "zero"), "'zero' is not a margin; write a percentage such as 1%"),
    (("ab", "a", "b", "--budget", "soon"), "'soon' is not a time; write for example 90s, 10m or 1h30m"),
    (("ab", "a", "b", "--memory-limit", "big"), "'big' is not a size; write for example 4GiB"),
    (("ab", "a", "b", "--scope", "both"), "lockstep: --scope both: it is auto, binary or source."),
    (("ab", "a", "b", "--mode", "fast"), "lockstep: --mode fast: it is turns, shared or adjacent."),
    (("ab", "a", "b", "--values", "drop"), "lockstep: --values drop: it is compare or ignore."),
    (("ab", "a", "b", "--seed", "-3"), "Invalid value for '--seed'"),
    (("ab", "a", "b", "--suite", "/nowhere/at/all"), "There is no suite /nowhere/at/all"),
    (("ab", "a"), "Missing argument 'head'"),
    (("ab", "a", "b", "--frobnicate"), "--frobnicate"),
    (("frobnicate",), "No such command 'frobnicate'"),
    (("show", "1999", "--out", "/nowhere"), "there is no run '1999' under /nowhere"),
    (("resume", "1999", "--out", "/nowhere"), "there is no run '1999'"),
    (("export", "1999", "--format", "csv", "--out", "/nowhere"), "there is no run '1999'"),
    (("build",), "lockstep: nothing to do: name a build"),
    (("continuous", "--config", "/nowhere/asv.conf.json"), "/nowhere/asv.conf.json is no configuration of asv's"),
])
def test_wrong_input_ends_with_2_and_names_it(
    lockstep: Callable[..., tuple[int, str, str]], words: tuple[str, ...], told: str
) -> None:
    code, out, error = lockstep(*words)
    assert code == 2
    assert told in error
    assert out == "" and "Traceback" not in error


def test_help_names_the_commands(lockstep: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = lockstep("--help")
    assert code == 0
    assert all(verb in out for verb in ("ab", "build", "doctor", "show", "resume", "export"))


def test_an_interruption_outside_of_measuring_ends_with_130(
    lockstep: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "find", interrupted)
    code, _, error = lockstep("show", "last")
    assert code == 130
    assert "interrupted; nothing was measured by this command" in error


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with one that holds a failed benchmark, and nothing else."""
    folder = store.create(tmp_path / "runs", manifest())
    failure = Failure(reason="raised ValueError: no", arm=Arm.HEAD)
    with store.appending(folder) as append:
        append(block(kind=BlockKind.CALIBRATION, base=(), head=(), order="", failure=failure))
    return tmp_path / "runs"


def test_show_prints_the_report_and_writes_the_files(
    lockstep: Callable[..., tuple[int, str, str]], runs: Path, tmp_path: Path
) -> None:
    code, out, error = lockstep("show", "--out", runs, "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md")
    assert (code, error) == (0, "")
    assert "work.time_it" in out and "raised ValueError: no" in out
    assert "raised ValueError: no" in (tmp_path / "r.json").read_text()
    assert "work.time" in (tmp_path / "r.md").read_text()
    assert lockstep("show", "last", "--out", runs, "--strict")[0] == 3
    code, _, error = lockstep("show", "--out", runs, "--json", "/nowhere/r.json")
    assert code == 4 and "cannot write /nowhere/r.json" in error


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_an_older_version_is_not_gone_on_with(runs: Path, version: int) -> None:
    """Its schedule was another: what it would be given next is not what it would have got."""
    (folder,) = runs.iterdir()
    text = (folder / store.MANIFEST).read_text()
    (folder / store.MANIFEST).write_text(text.replace(store.SCHEMA, f"lockstep.run/{version}"))
    with pytest.raises(UsageError, match=r"begun by an older Lockstep.*lockstep show.*lockstep ab a b --seed 1"):
        go_on(folder, Terminal())


def test_nothing_to_export_is_said(lockstep: Callable[..., tuple[int, str, str]], runs: Path, tmp_path: Path) -> None:
    code, _, error = lockstep("export", "last", "--format", "pyperf", "--out", runs, "--to", tmp_path)
    assert code == 2 and "holds no measured block yet" in error
    code, _, error = lockstep("export", "last", "--format", "excel", "--out", runs, "--to", tmp_path)
    assert code == 2 and "there is no format 'excel'" in error


@pytest.mark.parametrize(("verdicts", "plain", "strict"), [
    ([], 0, 0), ([Verdict.SAME, Verdict.FASTER], 0, 0), ([Verdict.SLOWER, Verdict.FAILED], 1, 1),
    ([Verdict.UNDECIDED], 0, 3), ([Verdict.FAILED], 0, 3), ([Verdict.SLOWER, Verdict.UNDECIDED], 1, 1),
])
def test_exit_codes(verdicts: list[Verdict], plain: int, strict: int) -> None:
    report: Any = SimpleNamespace(count=verdicts.count)
    assert (exit_code(report, False), exit_code(report, True)) == (plain, strict)
