"""Series: what is joined measured one thing, and what begins anew says why."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import a_point, a_run, fill
from made_runs import arm, make_run, some_benchmarks

from runner.errors import MachineError
from runner.history import runs, series
from runner.history.series import Series
from runner.model import Commit, Purpose, Role
from runner.storage import index


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index"


def night(number: int, log_ratio: float = 0.0, *, point: dict[str, Any] | None = None, **changes: Any) -> Any:
    """A run with one benchmark."""
    return a_run(number, **changes), [a_point("work.time_it", log_ratio=log_ratio, **(point or {}))]


def numbers(one: Series) -> list[int]:
    return [int(run.removeprefix("run-")) for run in one.rows["run"]]


def test_a_series_has_every_point_and_what_is_said_of_it(file: Path) -> None:
    fill(file, [night(n, n / 100, subject=f"Change {n}") for n in range(5)])
    (one,) = series.of(file)
    assert (one.key.watch, one.key.benchmark, one.key.machine, one.key.anchor) == ("main", "work.time_it", "m", "a")
    assert one.opened == "" and one.joined == () and tuple(one.rows.columns) == series.ROW
    assert one.rows["log_ratio"].tolist() == [n / 100 for n in range(5)]
    assert one.rows["position"].tolist() == [0, 1, 2, 3, 4] and not one.rows["bridged"].any()
    last = one.rows.iloc[-1]
    assert (last["commit"], last["subject"], last["branch"], last["date"]) == (f"{4:040x}", "Change 4", "main", 1e9)
    assert (last["se"], last["shared"], last["counted"], last["blocks"]) == (0.002, 0.0, 6, 6)
    assert (last["ratio"], last["low"], last["high"], last["verdict"]) == (1.01, 1.0, 1.02, "same")


def test_only_what_is_asked_for(file: Path) -> None:
    fill(file, [
        (a_run(0), [a_point("a"), a_point("b", 1)]), (a_run(1, watch="3.13"), [a_point("a")]),
        (a_run(2, configuration="pgo"), [a_point("a")]), (a_run(3, machine="other"), [a_point("a")]),
        (a_run(4, watch="", purpose=""), [a_point("a")]),
    ])
    assert len(series.of(file)) == 6
    for asked, expected in (({"benchmark": "b"}, [0]), ({"watch": "3.13"}, [1]), ({"configuration": "pgo"}, [2]),
                            ({"machine": "other"}, [3]), ({"watch": ""}, [4]),
                            ({"watch": "main", "configuration": "", "machine": "m", "benchmark": "a"}, [0]),
                            ({"benchmark": "none"}, [])):
        assert [number for one in series.of(file, **asked) for number in numbers(one)] == expected, asked


def test_other_purposes_are_no_points(file: Path) -> None:
    points = {"": False, **{one.value: one in (Purpose.ANCHOR, Purpose.BACKFILL) for one in Purpose}}
    points[""] = True
    fill(file, [night(n, purpose=purpose) for n, purpose in enumerate(points)])
    found = sorted(number for one in series.of(file) for number in numbers(one))
    assert found == [n for n, counts in enumerate(points.values()) if counts]


def test_the_order_is_that_of_the_graph_and_never_of_dates(file: Path) -> None:
    fill(file, [
        night(0, position=10, date=5e8), night(1, position=30, date=1e8), night(2, position=20, date=9e8),
        night(3, position=30, date=2e8),  # once more
        night(4, position=None),  # behind all that was measured before it
        night(5, position=25, purpose="backfill"),
    ])
    assert numbers(series.of(file)[0]) == [0, 2, 5, 1, 3, 4]


def test_without_a_watch_the_order_is_that_of_measuring(file: Path) -> None:
    fill(file, [night(n, watch="", purpose="", position=9 - n) for n in range(4)])
    assert numbers(series.of(file)[0]) == [0, 1, 2, 3]


def test_what_was_not_measured_is_there_without_a_number(file: Path) -> None:
    nothing = {"se": None, "ratio": None, "verdict": "failed", "counted": 0}
    fill(file, [night(0), (a_run(1), [a_point("work.time_it", log_ratio=None, **nothing)]), night(2)])
    (one,) = series.of(file)
    assert one.rows["verdict"].tolist() == ["same", "failed", "same"] and math.isnan(one.rows["log_ratio"][1])
    assert one.measured["run"].tolist() == ["run-0", "run-2"]


@pytest.mark.parametrize(("changes", "point", "why"), [
    ({"kernel": "6.12"}, {}, "new kernel: 6.1 → 6.12"),
    ({"compiler": "GCC 14"}, {}, "another compiler: GCC 12 → GCC 14"),
    ({"compiler": "GCC 14", "base": "b"}, {}, "another compiler: GCC 12 → GCC 14"),
    ({"base": "b", "base_spec": "cpython@3.14.0"}, {}, "another anchor: anchor → cpython@3.14.0"),
    ({"base": "b"}, {}, "another anchor: anchor is no longer the same build"),
    ({}, {"version": "2"}, "the benchmark's code changed"),
    ({"machine": "n", "kernel": "7.0"}, {}, "the machine changed: m → n; new kernel: 6.1 → 7.0"),
    ({"base": "b", "base_spec": "x"}, {"version": "2"}, "the benchmark's code changed; another anchor: anchor → x"),
    ({"machine": "n", "host": "another"}, {}, ""),  # of another installation: a series beside it
    ({"machine": "n", "host": ""}, {}, ""),
    ({"suite": "others"}, {}, ""), ({"configuration": "pgo"}, {}, ""), ({"watch": "3.13"}, {}, ""),
])
def test_a_change_opens_a_segment_that_says_why(
    file: Path, changes: dict[str, Any], point: dict[str, Any], why: str
) -> None:
    fill(file, [night(0), night(1), night(2, point=point, **changes), night(3, point=point, **changes)])
    found = {tuple(numbers(one)): one.opened for one in series.of(file)}
    assert found == {(0, 1): "", (2, 3): why}


def test_metric_and_unit_are_other_lines(file: Path) -> None:
    fill(file, [(a_run(0), [a_point("a"), a_point("a", 1, metric="peakmem", unit="bytes")])])
    assert [one.opened for one in series.of(file)] == ["", ""]


def test_an_older_commit_measured_later_is_told_from_those_of_then(file: Path) -> None:
    """A backfill under a new kernel stands beside what was measured under the old one, and is not among it."""
    fill(file, [night(0), night(1), night(2, kernel="6.12"), night(3, kernel="6.12", position=0, purpose="backfill")])
    first, second = series.of(file)
    assert (numbers(first), numbers(second)) == ([0, 1], [3, 2])
    assert second.opened == "new kernel: 6.1 → 6.12"


def bridge(number: int, base: str, head: str, log_ratio: float, se: float = 0.003) -> Any:
    return night(number, log_ratio, point={"se": se}, purpose="bridge", base=base, head=head, base_spec=base,
                 head_spec=head)


def anchored(number: int, base: str, log_ratio: float) -> Any:
    return night(number, log_ratio, base=base, base_spec=base)


def test_a_bridge_connects_what_two_anchors_say(file: Path) -> None:
    """Head is 1.02 of a, b is 1.05 of a: head is 1.02 / 1.05 of b."""
    truth, step = math.log(1.02), math.log(1.05)
    fill(file, [anchored(0, "a", truth), anchored(1, "a", truth), bridge(2, "a", "b", step),
                anchored(3, "b", truth - step), anchored(4, "b", truth - step)])
    (one,) = series.of(file)
    assert numbers(one) == [0, 1, 3, 4] and one.key.anchor == "a"
    assert one.rows["log_ratio"].tolist() == pytest.approx([truth] * 4)
    assert one.rows["bridged"].tolist() == [False, False, True, True]
    assert one.rows["shared"].tolist() == pytest.approx([0, 0, 0.003, 0.003])
    assert one.rows["se"].tolist() == pytest.approx([0.002] * 2 + [math.hypot(0.002, 0.003)] * 2)
    assert one.joined == ((2, "another anchor: a → b, measured against each other"),)
    assert one.rows["ratio"].tolist() == [1.01] * 4, "what the reports say stays as it is"


def test_without_a_bridge_of_the_same_thing_nothing_is_connected(file: Path) -> None:
    fill(file, [anchored(0, "a", 0.0), anchored(1, "b", 0.0)])
    run, points = bridge(2, "a", "b", 0.1)
    for number, changes in enumerate(({"machine": "n"}, {"configuration": "pgo"}, {"watch": "3.13"}), start=10):
        fill(file, [(replace(run, id=f"run-{number}", **changes), points)])
    fill(file, [(replace(run, id="run-20"), [replace(points[0], version="2")]),
                (replace(run, id="run-21"), [replace(points[0], log_ratio=None, se=None)])])
    found = series.of(file, watch="main", configuration="", machine="m")
    assert [(numbers(one), one.opened) for one in found] == [([0], ""), ([1], "another anchor: a → b")]


def test_a_kernel_is_not_bridged_by_an_anchor(file: Path) -> None:
    fill(file, [anchored(0, "a", 0.0), bridge(1, "a", "b", 0.1), night(2, 0.0, base="b", base_spec="b", kernel="6.12")])
    first, second = series.of(file)
    assert numbers(second) == [2] and not second.rows["bridged"].any() and second.key.anchor == "b"
    assert second.opened == "new kernel: 6.1 → 6.12; another anchor: a → b" and numbers(first) == [0]


def test_the_newest_bridge_of_a_pair_counts(file: Path) -> None:
    fill(file, [anchored(0, "a", 0.0), bridge(1, "a", "b", 0.5), bridge(2, "a", "b", 0.1), anchored(3, "b", 0.0)])
    (one,) = series.of(file)
    assert one.rows["log_ratio"].tolist() == [0.0, 0.1]


@settings(max_examples=20)
@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_chain_of_bridges_adds_up_in_either_direction(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], random: Any
) -> None:
    file = tmp_path_factory.mktemp("chain") / "index"
    made = [anchored(0, "anchor-0", 0.0)]
    for number, step in enumerate(steps, start=1):
        before, after = f"anchor-{number - 1}", f"anchor-{number}"
        there = random.random() < 0.5
        made += [bridge(100 + number, before, after, step, 0.01) if there else
                 bridge(100 + number, after, before, -step, 0.01), anchored(number, after, -sum(steps[:number]))]
    fill(file, made)
    (one,) = series.of(file)
    assert one.rows["log_ratio"].to_numpy() == pytest.approx(np.zeros(len(steps) + 1), abs=1e-12)
    assert one.rows["shared"].to_numpy() == pytest.approx(0.01 * np.sqrt(np.arange(len(steps) + 1)))
    assert [place for place, _ in one.joined] == list(range(1, len(steps) + 1))


def test_run_folders_become_series(tmp_path: Path, file: Path) -> None:
    """From a manifest to a row, through all of it."""
    suite, role = some_benchmarks(2), Role(watch="main", configuration="pgo", purpose=Purpose.ANCHOR, night="n")
    for number in range(3):
        commit = Commit(hash=f"{number:040x}", date=1.6e9 - number, subject=f"Change {number}", repository="/r",
                        branch="main", position=100 + number)
        make_run(tmp_path / "runs", number, suite, head=replace(arm(f"git:r@{number}"), commit=commit), role=role,
                 changed=0.03 if number == 2 else 0.0)
    runs.update(tmp_path / "runs", file)
    first, second = series.of(file, watch="main", configuration="pgo")
    assert [one.key.benchmark for one in (first, second)] == [one.key for one in suite]
    assert first.rows["position"].tolist() == [100, 101, 102] and first.rows["subject"][2] == "Change 2"
    assert np.round(first.rows["log_ratio"].to_numpy(), 2).tolist() == [0, 0, 0.03]
    assert first.rows["verdict"].tolist() == ["same", "same", "slower"]


def test_there_must_be_an_index(file: Path) -> None:
    with pytest.raises(MachineError, match="`lockstep reindex` makes it"):
        series.of(file)
    with index.opened(file, make=True):
        pass
    assert series.of(file) == []
