"""What the command line takes, and what it says and returns when it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from samples import manifest

from runner import amounts, config
from runner.cli.app import budget_of, cpus_of, exit_code, margin_of, size_of, variables
from runner.cli.terminal import Terminal
from runner.errors import UsageError
from runner.jobs import continuing
from runner.jobs.ab import go_on
from runner.machine import files, topology
from runner.model import Notice, Verdict
from runner.storage import store


@pytest.mark.parametrize(("text", "margin"), [
    ("1%", 0.01), ("0.5%", 0.005), (" 2 % ", 0.02), ("0.01", 0.01), (".02", 0.02), ("99%", 0.99),
])
def test_margins(text: str, margin: float) -> None:
    assert margin_of(text) == pytest.approx(margin)


@pytest.mark.parametrize(("text", "seconds"), [
    ("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("1h 30m 5s", 5405.0), ("0.5m", 30.0), ("2 m", 120.0),
    ("90d", 7_776_000.0), ("1d12h", 129_600.0),
])
def test_budgets(text: str, seconds: float) -> None:
    assert budget_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "size"), [
    ("4GiB", 4 << 30), ("800MiB", 800 << 20), ("800mb", 800 << 20), ("1k", 1024), ("1.5g", 3 << 29), ("4096", 4096),
    (" 64 KiB ", 65536),
])
def test_sizes(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize(("text", "cpus"), [
    ("0", (0,)), ("0-3", (0, 1, 2, 3)), ("6,2", (2, 6)), (" 0-1 , 3 ", (0, 1, 3)), ("2,2", (2,)), ("8191", (8191,)),
])
def test_cpus(text: str, cpus: tuple[int, ...]) -> None:
    assert amounts.cpus(text) == cpus and cpus_of(text) == text


@pytest.mark.parametrize(
    "text", ["", ",", "0,", "3-1", "0-", "-1", "a", "0;1", "0-3-5", "10000", "1.5", "0x1", "\u0663"])
def test_what_is_no_set_of_cpus_is_named_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is not a set of CPUs; write for example 0-3") as refusal:
        cpus_of(text)
    assert repr(text) in refusal.value.message


def test_cpus_are_kept_to_by_commands_that_run_and_by_no_other(
    lockstep: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(config.CPUS, "")
    assert lockstep("ab", "-h", "--cpus", "3")[0] == 0 and config.cpus() is None
    code, _, error = lockstep("ab", "a", "b", "--cpus", "3", "--suite", "/nowhere/at/all")
    assert (code, config.cpus()) == (2, "3") and "There is no suite" in error


def test_a_fleet_and_a_calibration_keep_to_no_cpus(
    lockstep: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(config.CPUS, "0")
    code, _, error = lockstep("ab", "a", "b", "--cpus", "0", "--fleet", "tcp://127.0.0.1:8786")
    assert code == 2 and "give it to the agents of the fleet" in error
    code, _, error = lockstep("calibrate", "python3")
    assert code == 2 and "LOCKSTEP_CPUS says CPU 0: unset it" in error


def test_variables_to_pass_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_PLANTED", "a=b")
    monkeypatch.setenv("PLANTED_BYTES", "\udcff")
    assert variables(["PYTHON_PLANTED", "A=1", "B=", "C=x=y"]) == {
        "PYTHON_PLANTED": "a=b", "A": "1", "B": "", "C": "x=y"}
    for word, reason in {
        "PLANTED_NOWHERE": "is not set here", "=1": "begins with a name", "": "begins with a name",
        "PYTHONHASHSEED=0": "sets this one itself", "LOCKSTEP_PADDING=x": "sets this one itself",
        "PLANTED_BYTES": "bytes that are no text",
    }.items():
        with pytest.raises(UsageError, match=reason):
            variables([word])


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


@pytest.mark.parametrize(("words", "told"), [
    (("ab", "a", "b", "--margin", "zero"), "'zero' is not a margin; write a percentage such as 1%"),
    (("ab", "a", "b", "--budget", "soon"), "'soon' is not a time; write for example 90s, 10m or 1h30m"),
    (("ab", "a", "b", "--memory-limit", "big"), "'big' is not a size; write for example 4GiB"),
    (("ab", "a", "b", "--cpus", "3-1"), "'3-1' is not a set of CPUs; write for example 0-3 or 2,6"),
    (("ab", "a", "b", "--scope", "both"), "lockstep: --scope both: it is auto, binary or source."),
    (("ab", "a", "b", "--mode", "fast"), "lockstep: --mode fast: it is turns, shared or adjacent."),
    (("ab", "a", "b", "--values", "drop"), "lockstep: --values drop: it is compare or ignore."),
    (("ab", "a", "b", "--seed", "-3"), "Invalid value for '--seed'"),
    (("ab", "a", "b", "--suite", "/nowhere/at/all"), "There is no suite /nowhere/at/all"),
    (("ab", "a"), "Missing argument 'HEAD'"),
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
    rows = {words[0] for line in out.splitlines() if (words := line.strip("│ ").split())}
    assert {"ab", "build", "doctor", "show", "resume", "export", "explain", "calibrate", "combine", "publish"} <= rows


def test_commands_below_a_command_are_told_as_all_are(lockstep: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = lockstep("token", "-h")
    assert code == 0 and out.index("\n  create ") < out.index("\n  list ") < out.index("\n  revoke ")
    for name in ("create", "list", "revoke"):
        code, out, _ = lockstep("token", name, "-h")
        assert code == 0 and f"lockstep token {name}" in out.partition("Examples")[2]
    code, _, error = lockstep("token", "ada", "create")
    assert code == 2 and "The command comes first: lockstep token create ada" in error
    code, _, error = lockstep("token", "./python")
    assert code == 2 and "lockstep ab" not in error


def test_an_interruption_outside_of_measuring_ends_with_130(
    lockstep: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "find", interrupted)
    code, _, error = lockstep("show", "last")
    assert code == 130
    assert "interrupted; a run that had begun is stored" in error


def test_show_prints_the_report_and_writes_the_files(
    lockstep: Callable[..., tuple[int, str, str]], runs: Path, tmp_path: Path
) -> None:
    code, out, error = lockstep("show", "--out", runs, "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md")
    assert (code, error) == (0, "")
    assert "work.time_it" in out and "raised ValueError: no" in out
    assert "raised ValueError: no" in (tmp_path / "r.json").read_text()
    assert "work.time" in (tmp_path / "r.md").read_text()
    assert lockstep("show", "last", "--out", runs, "--strict")[0] == 3


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_an_older_version_is_not_gone_on_with(runs: Path, version: int) -> None:
    """Its schedule was another: what it would be given next is not what it would have got."""
    (folder,) = runs.iterdir()
    text = (folder / store.MANIFEST).read_text()
    (folder / store.MANIFEST).write_text(text.replace(store.SCHEMA, f"lockstep.run/{version}"))
    with pytest.raises(UsageError, match=r"begun by an older Lockstep.*lockstep show.*lockstep ab a b --seed 1"):
        go_on(folder, Terminal())


@pytest.mark.skipif(not topology().cpus, reason="there is nothing to keep to")
def test_a_run_goes_on_with_what_it_began_with_some_cpus_or_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(config.CPUS, raising=False)
    here = topology()
    core = files.print_cpus(set(here.siblings[here.cpus[0]]) & set(here.cpus))
    whole = manifest()
    confined = manifest(notices=(Notice(kind="confined", numbers={"cpus": core}),))
    continuing._check_cpus(whole)
    with pytest.raises(UsageError, match=rf"keeps to CPU {core}, .* add --cpus {core} "):
        continuing._check_cpus(confined)
    monkeypatch.setenv(config.CPUS, core)
    continuing._check_cpus(confined)
    with pytest.raises(UsageError, match=rf"has the machine for itself, .* leave out --cpus {core}"):
        continuing._check_cpus(whole)


def test_nothing_to_export_is_said(lockstep: Callable[..., tuple[int, str, str]], runs: Path, tmp_path: Path) -> None:
    code, _, error = lockstep("export", "last", "--format", "pyperf", "--out", runs, "--to", tmp_path)
    assert code == 2 and "holds no measured block yet" in error
    code, _, error = lockstep("export", "last", "--format", "excel", "--out", runs, "--to", tmp_path)
    assert code == 2 and "there is no format 'excel'" in error


@pytest.mark.parametrize(("verdicts", "plain", "strict"), [
    ([], 0, 0), ([Verdict.SAME, Verdict.FASTER], 0, 0), ([Verdict.SLOWER, Verdict.FAILED], 1, 1),
    ([Verdict.UNDECIDED], 0, 3), ([Verdict.FAILED], 0, 3), ([Verdict.SLOWER, Verdict.UNDECIDED], 1, 1),
    ([Verdict.SKIPPED, Verdict.SAME], 0, 0), ([Verdict.ONLY_IN_BASE], 0, 3), ([Verdict.ONLY_IN_HEAD], 0, 3),
])
def test_exit_codes(verdicts: list[Verdict], plain: int, strict: int) -> None:
    report: Any = SimpleNamespace(count=verdicts.count)
    assert (exit_code(report, False), exit_code(report, True)) == (plain, strict)
