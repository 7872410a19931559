from __future__ import annotations

from collections.abc import Callable

import pytest
import report_samples as samples
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from runner.machine.doctor import Finding, State
from runner.model import Arm, Failure, Verdict
from runner.report import doctor, text

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("width", [80, 120])
def test_golden(golden: Golden, width: int) -> None:
    golden(f"report.{width}.txt", text.render(samples.report(), width=width))


def test_golden_verbose(golden: Golden) -> None:
    golden("report.verbose.txt", text.render(samples.report(), width=110, verbose=True))


@pytest.mark.parametrize("width", [80, 100, 120, 140])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, verbose: bool) -> None:
    for report in (samples.report(), samples.large(30)):
        assert max(map(cell_len, text.render(report, width=width, verbose=verbose).splitlines())) <= width


def test_without_colour_there_are_no_escapes_and_with_colour_there_are() -> None:
    assert "\x1b" not in text.render(samples.report())
    assert "\x1b[" in text.render(samples.report(), color=True)


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, coloured = text.render(samples.report()), text.render(samples.report(), color=True)
    for name, value in {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "40", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    assert text.render(samples.report()) == plain
    assert text.render(samples.report(), color=True) == coloured


def test_a_benchmark_cannot_send_escapes_to_the_terminal() -> None:
    failed = samples.comparison(
        "evil\x1b[2J.time", Verdict.FAILED,
        failure=Failure(reason="raised \x1b]0;owned\x07", arm=Arm.BASE, detail="\x1b[31mred\x9b31m"))
    shown = text.render(samples.report([failed]), verbose=True)
    assert not set("\x1b\x07\x9b") & set(shown)
    assert "red" in shown


def test_same_ones_are_a_count_unless_verbose() -> None:
    name = "construct.FromBytearray.time_construct"
    assert name not in text.render(samples.report())
    assert name in text.render(samples.report(), verbose=True)


def test_square_brackets_in_a_name_are_not_markup() -> None:
    report = samples.report([samples.measured("a.time_[red]x[/red]", Verdict.SLOWER, 1.5, 1e-3)])
    assert "a.time_[red]x[/red]" in text.render(report, width=120)


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=90), st.integers(16, 60))
@example("a" * 90, 16)
@example("module.Class.time_method(size=16MiB)" + "b" * 40, 30)
def test_folding_loses_no_character_and_keeps_to_the_width(name: str, width: int) -> None:
    lines = text.fold(name, width).plain.split("\n")
    assert lines[0] + "".join(line.removeprefix("  ") for line in lines[1:]) == name
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [1, 5, 20, 40])
def test_a_narrow_terminal_is_no_error(width: int) -> None:
    assert "Undecided"[:width] in text.render(samples.report(), width=width, verbose=True)


def test_doctor_golden(golden: Golden) -> None:
    findings = [
        Finding(name="CPUs", value="2 of 2 usable", state=State.GOOD),
        Finding(name="governor", value="powersave", state=State.BAD, advice="the CPU changes its speed meanwhile",
                command="sudo cpupower frequency-set -g performance"),
        Finding(name="isolation", value="none", state=State.COULD_BE_BETTER,
                advice="other processes may be put on the measured CPU " * 3),
        Finding(name="turbo", value="[not visible]", state=State.UNKNOWN),
    ]
    golden("doctor.txt", doctor.render(findings, width=80))


def test_doctor_never_breaks_a_command() -> None:
    command = "sudo sh -c '" + "echo performance > /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor; " * 3 + "'"
    finding = Finding(name="governor", value="powersave", state=State.BAD, advice="x", command=command)
    assert command in doctor.render([finding], width=60)


def test_doctor_with_nothing_to_improve_says_so() -> None:
    assert "Nothing" in doctor.render([Finding(name="CPUs", value="8", state=State.GOOD)])
