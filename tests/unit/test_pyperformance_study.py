"""What `make pyperformance` compares, keeps, goes on with and says; the measuring itself is in tests/live."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner import machine
from runner.builds import edits, planning
from runner.errors import UsageError
from runner.judging.explanation import Explained as Told
from runner.judging.explanation import Reading
from runner.judging.report import STATES, Mean
from runner.measuring.callgrind import Function
from runner.measuring.counts import Change, Counts, Instructions
from runner.model import Metric
from runner.suites import pyperf_scripts

sys.path.insert(0, str(Path(__file__).parents[1]))

import studies
from pyperformance_study import page, records
from pyperformance_study.parts import BESIDE, DICTS, FUNCTION, PAIRS, WORK, Part, chosen, parts, suite
from pyperformance_study.records import Beside, Explained, Measured, Side, Study
from pyperformance_study.session import Session, Settings, explained, found_slower
from rivals.records import Answer, Said
from studies import Row, View

MACHINE = {"cpu": "Some CPU", "cores": 2, "os": "Debian", "kernel": "6.1", "hypervisor": None, "fingerprint": "f"}
VERSIONS = ("python3.12", "/opt/python/bin/python3.13")


def row(benchmark: str, state: str = "same", ratio: float | None = 1.0, *, base: float = 1e-3) -> Row:
    return Row(
        benchmark=benchmark, metric=Metric.TIME, unit="s", state=state, clear=False, ratio=ratio,
        low=None if ratio is None else ratio - 0.01, high=None if ratio is None else ratio + 0.01, base_value=base,
        head_value=None if ratio is None else base * ratio)


def part(name: str, only: Sequence[str] = ()) -> Part:
    return next(one for one in parts(VERSIONS, only) if one.name == name)


def measured(name: str, *rows: Row, only: Sequence[str] = (), **changes: Any) -> Measured:
    one = part(name, only)
    return replace(Measured(
        part=name, arms=one.arms, versions=("3.12.1", "3.13.0") if name == "versions" else ("3.13.5", "3.13.5"),
        suite=one.suite, run=f"run-{name}", budget=1200.0, started=1.8e9, seconds=1100.0, share=0.5, complete=True,
        scope="source", margin=0.01, mean=Mean(ratio=1.01, low=0.99, high=1.03, count=2),
        tools={"pyperf": "2.10.0", "pyperformance": "1.14.0"}, rows=rows,
    ), **changes)


def side(said: Said, ratio: float | None, seconds: float = 30.0, started: float = 1.8e9) -> Side:
    wall = seconds + 5 * (seconds != 30)
    return Side(started=started, wall=wall, seconds=seconds, answer=Answer(rule="x", said=said, ratio=ratio))


def beside(
    script: str, pair: str, theirs: Side, ours: Side | None, failure: str = "", state: str = "same"
) -> Beside:
    return Beside(script=script, pair=pair, processes=None, pyperf=theirs, lockstep=ours, state=state, run="r",
                  failure=failure)


SAME, SLOWER, FASTER, FAILED = Said.UNCHANGED, Said.SLOWER, Said.FASTER, Said.FAILED
LATER = 1.8e9 + 40
STUDY = Study(
    machine=MACHINE,
    measured=(
        measured("dict", row("json_loads", "slower", 1.05, base=2e-5), row("deepcopy", "slower", 1.2, base=3e-4),
                 row("mdp", "not reached", None), row("hexiom")),
        measured("equal-1", row("a"), row("b", "slower", 1.02), row("c", "undecided"), row("d", "not reached", None)),
        measured("nocow", row("a"), row("b"), row("c", "failed", None)),
        measured("versions", row("a", "faster", 0.5), row("b", "slower", 1.1), row("2to3", "only in base", None),
                 complete=False, seconds=300.0, scope="binary"),
    ),
    explained=(
        Explained(benchmark="json_loads", run="run-dict", started=1.8e9, base=1e5, head=1.2e5, place=1, more=2e4,
                  first=FUNCTION, problems=()),
        Explained(benchmark="deepcopy", run="run-dict", started=1.8e9, base=1e6, head=1.3e6, place=None, more=None,
                  first="other", problems=()),
        Explained(benchmark="gone", run="of another run", started=1.8e9, base=1.0, head=1.0, place=1, more=0.0,
                  first=FUNCTION, problems=()),
    ),
    beside=(
        beside("json_loads", "equal", side(SLOWER, 1.1), side(SAME, 1.001, 20.0, LATER)),
        beside("json_loads", "work", side(SLOWER, 1.3), side(SLOWER, 1.05, 20.0, LATER)),
        beside("hexiom", "equal", side(SAME, 1 / 1.1), side(SAME, None, 20.0, LATER), state="undecided"),
        beside("hexiom", "work", side(FAILED, None), None, "ToolError: it ended"),
    ),
)


def cells(text: str, begin: str) -> list[list[str]]:
    """Cells of the table rows that begin so."""
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith(begin)]


def test_the_scripts_are_pyperformances_own_and_need_no_packages() -> None:
    there = {one.entry: one for one in pyperf_scripts.open("pyperformance").scripts}
    assert set(DICTS) <= set(there) and len(set(DICTS)) == len(DICTS)
    assert len(BESIDE) == len(set(BESIDE)) == 10 and set(BESIDE) <= set(DICTS)
    assert {one.entry for one in pyperf_scripts.open(suite(DICTS)).scripts} == set(DICTS)


def test_the_variant_does_more_in_the_function_that_is_looked_for() -> None:
    name = WORK.partition("+")[2]
    (change,) = edits.read_variant(planning.DATA / "variants" / f"{name}.toml", name).replacements
    assert change.file == "Objects/dictobject.c"
    assert change.find.startswith(f"{FUNCTION}(") and change.replace.startswith(change.find)
    assert PAIRS["work"][1] == WORK and len(set(PAIRS["equal"])) == 1


def test_the_parts_are_in_their_order_and_of_what_was_named() -> None:
    assert [one.name for one in parts()] == ["equal-1", "equal-2", "nocow", "versions", "dict"]
    assert {one.suite for one in parts()[:-1]} == {"pyperformance"}
    first, again, _, versions, using = parts(VERSIONS, ["telco", "json_loads"])
    assert (first.base, first.head, first.suite) == (again.base, again.head, again.suite)
    assert first.base != first.head and first.suite == "pyperformance:telco,json_loads"
    assert versions.arms == ("python3.12", "python3.13"), "no folder of this machine is stored"
    assert using.suite == "pyperformance:json_loads" and using.arms == (using.base, WORK)
    assert [one.name for one in parts(only=["telco"])] == ["equal-1", "equal-2", "nocow", "versions"]
    assert chosen(BESIDE, ()) == BESIDE and chosen(BESIDE, ["hexiom", "telco"]) == ("hexiom",)


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "evidence/study.json"
    assert records.read(path) is None
    records.write(path, STUDY)
    assert records.read(path) == STUDY
    path.write_text('{"machine": 1}')
    with pytest.raises(UsageError, match="is not a study of pyperformance"):
        records.read(path)


def test_every_program_of_this_kind_refuses_another_machine(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "study.json", runs=tmp_path, seconds=60, budget=1)
    records.write(settings.data, STUDY)
    with pytest.raises(UsageError, match=r"another machine \(Some CPU"):
        Session(settings, print)


def session(tmp_path: Path, study: Study, said: list[str], **changes: Any) -> Session:
    settings = replace(Settings(data=tmp_path / "study.json", runs=tmp_path, seconds=0, budget=1, versions=VERSIONS),
                       **changes)
    records.write(settings.data, replace(study, machine=machine.describe()))
    return Session(settings, said.append)


def test_what_is_there_is_not_measured_again_and_nothing_begins_without_time(tmp_path: Path) -> None:
    whole = Study(
        machine=MACHINE, measured=tuple(measured(one.name) for one in parts()),
        beside=tuple(beside(script, pair, side(SAME, 1.0), side(SAME, 1.0)) for script in BESIDE for pair in PAIRS))
    said: list[str] = []
    assert session(tmp_path, whole, said).run() and said == []
    assert not session(tmp_path, replace(whole, measured=whole.measured[:1]), said).run()
    assert said == ["time is used up before equal-2"]
    assert not session(tmp_path, replace(whole, beside=whole.beside[:-1]), said).run()
    assert said[1:] == [f"time is used up before {BESIDE[-1]} under pyperf"]
    cut = replace(whole, measured=(*whole.measured[:-1], measured("dict", complete=False)))
    assert not session(tmp_path, cut, said, stages=["explain"]).run()
    assert said[2:] == ["nothing is explained before the part dict is measured"]
    found = replace(whole, measured=STUDY.measured)
    assert not session(tmp_path, found, said, stages=["explain"]).run()
    assert said[-1] == "time is used up before explaining json_loads", "the shortest call first"


def test_a_part_of_other_arms_is_not_taken_for_the_one_that_is_asked_for(tmp_path: Path) -> None:
    said: list[str] = []
    one = session(tmp_path, STUDY, said, stages=["versions", "nocow"], only=["telco"])
    assert not one.run()
    assert [text.partition(":")[0] for text in said] == ["nocow cannot be measured", "versions cannot be measured"]
    assert all("pyperformance:telco is asked for. Name another file" in text for text in said)


def test_measuring_ends_when_the_time_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(studies, "time", SimpleNamespace(monotonic=lambda: now[0]))
    said: list[str] = []
    progress: Any = SimpleNamespace(settled=True)
    plan: Any = SimpleNamespace(progress={"a": progress, "b": SimpleNamespace(settled=False)})
    view = View(said.append, until=200.0)
    view.measured(plan, progress)
    assert said == []
    now[0] += studies.EVERY
    view.measured(plan, progress)
    assert said == ["1 of 2 settled"] and not view.late
    now[0] = 200.0
    with pytest.raises(KeyboardInterrupt):
        view.measured(plan, progress)
    assert view.late


def counted(*names: tuple[str, str]) -> Any:
    changes = tuple(
        Change(function=Function(name=name, object=file), caller="", base=100.0, head=150.0) for name, file in names)
    instructions = Instructions(seeds=(1, 2), base=(1000.0, 1002.0), head=(1100.0, 1100.0), calls=1, exact=True,
                                changes=changes)
    comparison: Any = SimpleNamespace(key="json_loads")
    return Told(comparison=comparison, counts=Counts(instructions=instructions, allocated=None, problems=("bytes",)),
                spread=None, reading=Reading.WORK)


def test_the_function_is_looked_for_in_the_interpreter() -> None:
    kept = explained(counted(("other", ""), (FUNCTION, "libc.so.6"), (f"{FUNCTION}.part.0", "")), "r", 1.0, ["a"])
    assert (kept.place, kept.more, kept.first) == (3, 50.0, "other")
    assert (kept.base, kept.head, kept.problems) == (1001.0, 1100.0, ("a", "bytes"))
    none = explained(counted((f"{FUNCTION}_threadsafe", "")), "r", 1.0, [])
    assert (none.place, none.more) == (None, None)
    uncounted = explained(replace(counted(), counts=None), "r", 1.0, ["no valgrind"])
    assert (uncounted.base, uncounted.first, uncounted.problems) == (None, "", ("no valgrind",))


def test_the_shortest_calls_are_explained_first() -> None:
    assert found_slower(STUDY.measured[0]) == ["json_loads", "deepcopy"]


def test_the_page_counts_what_was_measured_and_says_what_was_not() -> None:
    text = page.render(STUDY)
    assert cells(text, "| two builds that do the same |") == [[
        "two builds that do the same", "cpython@3.13.5", "cpython@3.13.5+bystander", "20m", "18 min 20 s", "4",
        "0", "1", "1", "1", "1", "0", "2 of 4 = 50 %", "1.010 [0.990, 1.030] over 2"]]
    assert cells(text, "| two versions") == [[
        "two versions, each as it was installed (interrupted)", "python3.12 (3.12.1)", "python3.13 (3.13.0)", "20m",
        "5 min 00 s", "3", "1", "1", "0", "0", "0", "1", "2 of 2 = 100 %", "1.010 [0.990, 1.030] over 2"]]
    assert ("**This is a part of it.** Not measured yet: the same again. Interrupted: two versions, each as it was "
            "installed, after 5 min 00 s of 20 min 00 s. Under pyperf itself: 4 of 20 pairs of runs.") in text
    assert ("- Two builds that do the same: 1 of 3 that were reached are reported changed; `b` slower, "
            "1.020 [1.010, 1.030].\n- Not measured yet.") in text
    assert "--suite pyperformance --budget 20m\n" in text
    assert "None faster.\n\nNone slower.\n\nFailed: `c`." in text
    assert "1 faster:" in text and "In one of them only: `2to3`." in text
    assert "scope source; 2 of 3 were reached." in text and "scope binary; 2 of 3 were reached." in text
    assert "Found slower: 2 of 3 benchmarks that were reached.\n" in text
    assert "The others: `mdp` not reached, `hexiom` same." in text
    assert text.index("| `deepcopy` | 300 µs | 360 µs | 1.200") < text.index("| `json_loads` | 20.0 µs")
    assert f"names `{FUNCTION}` among the 12 functions that it lists in 1 of 2 that" in text
    assert [f"`{name}`" for name in ("json_loads", "deepcopy")] == [
        line[0] for line in cells(text, "| `") if len(line) == 6]
    assert "4 comparisons, 1 h 00 min of measuring, 50 % of it in measured slices" in text and "2027-01-15" in text
    assert all(len({len(line.split("|")) for line in table}) == 1 for table in tables(text))


def tables(text: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_a_whole_study_says_so_and_an_empty_one_says_nothing() -> None:
    whole = replace(
        STUDY, measured=tuple(measured(one.name, row("a")) for one in parts()),
        beside=tuple(beside(script, pair, side(SAME, 1.0), side(SAME, 1.0)) for script in BESIDE for pair in PAIRS))
    assert "All of it is measured." in page.render(whole)
    assert "part of it" not in page.render(whole) and "This is a part" not in page.section(whole)
    named = replace(whole, measured=(*whole.measured[1:], measured("equal-1", only=["telco"])))
    assert "Not over all scripts, but some that were named." in page.render(named)
    empty = page.render(Study(machine=MACHINE))
    assert empty.count("Not measured yet.") == 6 and "Nothing is measured yet." in empty
    assert "0 comparisons" in empty and "--budget" not in empty
    assert "Nothing has been measured yet" in page.section(Study(machine=MACHINE))


def test_every_state_is_counted_once() -> None:
    one = measured("nocow", *(row(state, state) for state in STATES))
    (line,) = cells(page.render(Study(machine=MACHINE, measured=(one,))), "| without and with")
    numbers = [int(cell) for cell in line[5:12]]
    assert numbers[0] == sum(numbers[1:]) == len(STATES) and numbers[1:6] == [1] * 5
    assert line[12] == "3 of 5 = 60 %"


def test_the_two_tools_are_scored_by_what_is_known() -> None:
    text = page.section(STUDY)
    error = f"{100 * math.log(1.1):.2f} % of 2"
    assert cells(text, "| pyperf |") == [["pyperf", "1/2 [1, 99]", error, "1/1 [2, 100]", "–", "30", "30 s", "1/4"]]
    assert cells(text, "| lockstep |") == [
        ["lockstep", "0/2 [0, 84]", "0.10 % of 1", "1/1 [2, 100]", "1/3", "20", "25 s", "0/3"]]
    assert "| undecided | 20 |" in page.render(STUDY), "in a report's own word"
    assert "This is a part: 16 of 20 pairs are not measured yet." in text
    assert "both tools over a script within 40 s of each other's start" in text
    assert "ToolError: it ended" in page.render(STUDY)
    assert "Otherwise" not in text
    other = replace(STUDY, beside=(*STUDY.beside[1:], replace(STUDY.beside[0], processes=3)))
    assert "Otherwise than that, pyperf was told `--processes 3` in 1 of 4 pairs." in page.section(other)
    budgets = replace(STUDY, measured=(*STUDY.measured[1:], replace(STUDY.measured[0], budget=None)))
    assert "--suite pyperformance --budget 20m\n" in page.render(budgets), "most of them"


def test_what_a_tool_has_printed_does_not_break_a_table() -> None:
    failure = "ToolError: exit code 1: Traceback\n  File | x\n"
    text = page.render(replace(STUDY, beside=(*STUDY.beside[:-1], replace(STUDY.beside[-1], failure=failure))))
    assert "ToolError: exit code 1: Traceback File \\| x |" in text


def test_the_section_is_put_between_its_own_marks() -> None:
    others = "# Evidence\n\n<!-- make rivals: begin -->\nrivals\n<!-- make rivals: end -->\n"
    once = page.place_into(others, "mine\n")
    assert once == f"{others}\n{page.BEGIN}\nmine\n{page.END}\n"
    assert page.place_into(once, "new\n") == once.replace("mine", "new")
    assert page.place_into("", "mine\n").startswith("# Evidence\n")
