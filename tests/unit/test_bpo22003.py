"""The line from cStringIO to today: what a study says, its page and figure, and what is not thrown together."""

from __future__ import annotations

import ast
import io
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dashboards import figures
from runner.errors import UsageError
from runner.stats.variance import Range

sys.path.insert(0, str(Path(__file__).parents[1]))

from bpo22003 import line, page, records, telco, worker
from bpo22003.records import REFERENCE, WORKLOADS, Block, Study, Subject

MACHINE = {"fingerprint": "f", "cpu": "Some CPU", "cores": 2, "os": "Some OS", "kernel": "6.1", "hypervisor": None}
TRUTH = {"founding": (1.0, 1.5, 1.02), "construct": (1.0, 2000.0, 0.9)}


def subject(version: str, kind: str = "io.BytesIO", *, shares: bool = True) -> Subject:
    return Subject(kind=kind, version=version, compiler="GCC 12.2.0", options=("--enable-shared",), shares=shares)


SUBJECTS = (subject("2.7.18", REFERENCE), subject("2.7.18", shares=False), subject("3.13.0"))


def study(blocks: int = 12) -> Study:
    """Blocks whose ratios are the truth's, off by a per cent or so."""
    random = np.random.default_rng(22003)

    def made(number: int) -> Block:
        logs = {workload: np.log(true) + random.normal(0, (0.0, 0.01, 0.01)) for workload, true in TRUTH.items()}
        return Block(
            started=1.8e9 + number, cycles=12,
            seconds={workload: tuple((1e-6 * np.exp(found)).tolist()) for workload, found in logs.items()},
            log_ratios={workload: tuple(found.tolist()) for workload, found in logs.items()},
        )

    return Study(machine=MACHINE, subjects=SUBJECTS, blocks=tuple(made(number) for number in range(blocks)))


def test_a_cell_has_the_truth_inside_its_interval() -> None:
    for workload in WORKLOADS:
        found = page.cells(study(), workload)
        assert [cell.low <= true <= cell.high for cell, true in zip(found, TRUTH[workload], strict=True)] == [True] * 3
        assert (found[0].low, found[0].ratio, found[0].high) == (1.0, 1.0, 1.0)
        assert found[1].high / found[1].low < 1.03


def test_two_blocks_are_the_fewest() -> None:
    page.render(study(2), "x.svg")
    for make in (lambda: page.render(study(1), "x.svg"), lambda: page.figure(study(1))):
        with pytest.raises(ValueError, match="two blocks"):
            make()


def test_the_page_says_what_was_measured_where_and_what_was_not() -> None:
    text = page.render(study(), "pictures/line.svg")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[:3] for row in rows[2:]] == [
        ["| cStringIO", "2.7.18", "yes"], ["| BytesIO", "2.7.18", "no"], ["| BytesIO", "3.13.0", "yes"],
    ]
    assert len({row.count("|") for row in rows}) == 1
    assert "(pictures/line.svg)" in text
    assert "Some CPU, 2 cores, Some OS, kernel 6.1, hypervisor none seen: 12 blocks." in text
    assert "Not measured: 3.4, 3.5, 3.6, 3.7, 3.8, 3.9, 3.10, 3.11, 3.12." in text
    assert "Between 2.7 and 3.13 `BytesIO` begins to share: construction goes from " in text
    assert "none of them with a profile (PGO)" in text
    assert "e+0" not in text


def told(ratio: float, state: str, scope: str = "binary") -> telco.Told:
    return telco.Told(
        run="r", started=1.8e9, scope=scope, state=state, ratio=ratio, low=ratio - 0.01, high=ratio + 0.01)


TELCO = telco.Telco(
    machine=MACHINE, margin=0.01, patch=told(1.0, "same", "source"), instructions=(1_234_567.0, 1_234_000.0),
    parts=tuple(
        telco.Part(source=source, sd=Range(value=sd, low=sd / 2, high=2 * sd),
                   share=Range(value=0.4, low=0.1, high=0.9))
        for source, sd in zip(telco.SOURCES, (0.02, 0.03, 0.01, 0.005), strict=True)),
    spread=Range(value=0.055, low=0.03, high=0.09), paragraph="Head executes 0.0 % fewer instructions here.",
    pairs=(told(1.03, "slower"), told(0.98, "faster"), told(1.002, "same")),
)


def test_the_page_says_what_telco_varies_by(tmp_path: Path) -> None:
    assert "telco" not in page.render(study(), "x.svg"), "nothing is said of what was not measured"
    telco.write(tmp_path / "telco.json", TELCO)
    known = telco.read(tmp_path / "telco.json")
    assert known == TELCO
    text = page.render(study(), "x.svg", known)
    assert "the same in every process of a build | 2.00 % [1.00, 4.00] | 40 % [10, 90] |" in text
    assert "| time | the moment of the machine | 3.00 % [1.50, 6.00] | 40 % [10, 90] |" in text
    assert "95 differ by less than 5.7 % [3.0, 9.4]. Pairs" in text
    assert "`binary`): 1.030 [1.020, 1.040], slower; 0.980 [0.970, 0.990], faster; 1.002 [0.992, 1.012], same." in text
    assert "makes of telco 1.000 [0.990, 1.010]: same (margin ±1 %). A call takes 1,234,567 instructions" in text
    assert text.endswith("The data: `data/evidence/telco.json`.\n") and "Some CPU" in text
    assert "differ by up to 9 % [4, 18] in 95 of 100 tries" in text
    unseen = telco.section(replace(TELCO, spread=Range(value=0.0, low=0.0, high=0.1)))
    assert "differ by less than something between 0 and 10.5 %." in unseen
    plain = telco.section(replace(TELCO, spread=None, instructions=None))
    assert "95 differ" not in plain and "A call takes" not in plain and "Pairs of link orders" in plain


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "evidence" / "line.json"
    assert records.read(file) is None
    records.write(file, study())
    assert records.read(file) == study()
    file.write_text('{"schema": "lockstep.bpo22003/1"}')
    with pytest.raises(UsageError, match="is no study of the line"):
        records.read(file)
    records.write(file, replace(study(), schema="lockstep.bpo22003/9"))
    with pytest.raises(UsageError, match=r"this reads 'lockstep\.bpo22003/1'"):
        records.read(file)


def test_blocks_of_another_machine_or_interpreter_are_not_thrown_together(tmp_path: Path) -> None:
    stored, file = study(), tmp_path / "line.json"
    assert records.going_on(stored, MACHINE, SUBJECTS, file) is stored
    assert records.going_on(None, MACHINE, SUBJECTS, file).blocks == ()
    with pytest.raises(UsageError, match="another machine"):
        records.going_on(stored, {**MACHINE, "fingerprint": "g"}, SUBJECTS, file)
    with pytest.raises(UsageError, match=r"other interpreters: 2\.7\.18 .* 3\.13\.0 .* there, .* 3\.13\.1 .* now"):
        records.going_on(stored, MACHINE, (*SUBJECTS[:2], subject("3.13.1")), file)


def test_the_newest_of_each_version_is_taken_in_the_order_of_versions(tmp_path: Path) -> None:
    for name in ("3.9.18", "3.13.0", "3.9.2", "2.7.18", "3.13.10", "pypy3.10-7.3", "3.14-dev", "3.8.1"):
        (tmp_path / name / "bin").mkdir(parents=True)
        if name != "3.8.1":
            (tmp_path / name / "bin" / "python").touch()
    assert [python.parents[1].name for python in line.found(tmp_path)] == ["2.7.18", "3.9.18", "3.13.10"]
    assert line.found(tmp_path / "nowhere") == []


class TestFigure:
    @staticmethod
    def marks(ratios: Sequence[float], versions: Sequence[str]) -> list[figures.Mark]:
        return [figures.Mark(version=version, ratio=ratio, low=ratio / 1.1, high=ratio * 1.1)
                for ratio, version in zip(ratios, versions, strict=True)]

    def test_each_line_is_at_its_versions_and_ratios(self) -> None:
        old, new = self.marks([1.0], ["2.7"]), self.marks([2000.0, 1.1, 0.9], ["2.7", "3.5", "3.13"])
        panels = {"construct": {"old": old, "new": new}, "read": {"new": new[1:]}}
        upper, lower = figures.versions(panels, title="t").axes
        lines = {one.get_label(): one for one in upper.lines}
        assert [tuple(one) for one in lines["new"].get_xydata()] == [(0, 2000.0), (1, 1.1), (2, 0.9)]
        assert [tuple(one) for one in lines["old"].get_xydata()] == [(0, 1.0)]
        (again,) = [one for one in lower.lines if one.get_label() == "new"]
        assert list(again.get_xdata()) == [1, 2]
        assert [tick.get_text() for tick in lower.get_xticklabels()] == ["2.7", "3.5", "3.13"]
        for axes in (upper, lower):
            low, high = axes.get_ylim()
            assert low < 0.9 / 1.1 and high > 1.2
        assert upper.get_ylim()[1] > 2200

    def test_without_marks_there_is_none(self) -> None:
        with pytest.raises(ValueError, match="needs a mark"):
            figures.versions({"construct": {"old": []}}, title="t")

    def test_a_study_is_a_file(self, tmp_path: Path) -> None:
        figures.write(page.figure(study()), tmp_path / "line.svg")
        assert ElementTree.parse(tmp_path / "line.svg").getroot().tag.endswith("svg")


class TestWorker:
    def test_the_data_is_that_of_the_issue(self) -> None:
        from benchmarks import readlines

        assert worker.DATA == readlines.FOUNDING_DATA
        assert len(list(io.BytesIO(worker.DATA))) == line.LINES
        assert tuple(worker.WORKLOADS) == WORKLOADS

    def test_it_counts_whether_a_buffer_shares(self) -> None:
        assert worker.shares(io.BytesIO) is True
        assert worker.shares(lambda data: io.BytesIO(bytearray(data))) is False

    def test_it_has_nothing_that_python_2_lacks(self) -> None:
        """No annotations, no f-strings; the live test runs it under 2.7 where there is one."""
        tree = ast.parse(Path(worker.__file__).read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal))]
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        assert all(node.returns is None and not any(one.annotation for one in node.args.args) for node in functions)
