"""The stored calibration: what counts, what is known from it, and how the time is divided."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples

from runner.errors import UsageError
from runner.jobs.calibrate import next_stratum, wanted, with_edit, with_layout
from runner.judging import calibration
from runner.machine.neighbour import LONGEST, SHORTEST, bursts
from runner.model import BlockKind, Mode, Verdict
from runner.report import calibration as report
from runner.report import notices, words
from runner.stats.audit import PARTS, SUITES, Kind, Pair, Stratum, size
from runner.stats.criteria import AGREEING, INTERVALS, SLOWDOWNS, TRUTH_RUNS, State
from runner.stats.power import AGREEING_SIZES
from runner.storage import store

COPIES = Stratum(kind=Kind.AA, pair=Pair.COPIES, mode=Mode.TURNS, neighbour=False)
PLANTED = replace(COPIES, kind=Kind.PLANTED)
IDS = itertools.count()


def stored_run(folder: Path, stratum: Stratum, truth: float, *, blocks: int = 8, percent: str | None = None,
               benchmarks: int = 2, margin: float = 0.01, spread: float = 0.002, canary: int = 0,
               budget: float | None = None) -> store.Run:
    """A run on disk whose blocks differ by `truth`, with a little noise."""
    rng = np.random.default_rng(len(list(folder.rglob("manifest.json"))))
    params = {} if percent is None else {"percent": percent}
    lines = [samples.benchmark(f"work.time_{i}", params=params) for i in range(benchmarks)]
    number = next(IDS)
    manifest = samples.manifest(
        lines, id=f"20250101T{number:06}Z-ab12cd", created=1.7e9 + number, margin=margin, budget=budget,
        settings={"mode": stratum.mode.value}, labels=calibration.labels(stratum),
    )
    place = store.create(folder / calibration.RUNS, manifest)
    settings = replace(samples.TURNS, mode=stratum.mode)
    with store.appending(place) as append:
        for line, index in itertools.product(lines, range(-1, blocks + canary)):
            base = rng.uniform(1.9e6, 2.1e6, 10)
            head = base * np.exp((truth if index < blocks else 0.0) + rng.normal(0, spread))
            scored = index >= 0
            append(samples.block(
                line.key, max(0, index) % blocks, kind=kind_of(index, blocks), settings=settings, order="bh" * 5,
                seconds=0.5,
                base=tuple(map(int, base)) if scored else (), head=tuple(map(int, head)) if scored else (),
            ))
    return store.read(place)


def kind_of(index: int, blocks: int) -> BlockKind:
    if index < 0:
        return BlockKind.CALIBRATION
    return BlockKind.SCORED if index < blocks else BlockKind.CANARY


def test_a_run_is_counted_when_all_of_it_is_settled(tmp_path: Path) -> None:
    stored_run(tmp_path, COPIES, 0.0)
    stored_run(tmp_path, COPIES, 0.0, blocks=5)  # the first look is at 6
    stored_run(tmp_path, COPIES, 0.0, blocks=6, spread=0.05)  # undecided at the first look
    assert [one.finished for one in calibration.read(tmp_path)] == [True, False, False]
    summary = calibration.audit(tmp_path)
    assert (summary.runs, summary.unfinished, summary.aa.strata[0].rule.of) == (1, 2, 2)
    assert summary.seconds == pytest.approx(2 * 9 * 0.5)


def test_a_run_is_counted_when_its_budget_is_used_up(tmp_path: Path) -> None:
    # For each of two benchmarks seven blocks of half a second, with the calibration.
    undecided: dict[str, Any] = {"blocks": 6, "spread": 0.05}
    stored_run(tmp_path, COPIES, 0.0, **undecided, budget=7.0)
    stored_run(tmp_path, COPIES, 0.0, **undecided, budget=7.5)  # interrupted
    assert [one.finished for one in calibration.read(tmp_path)] == [True, False]
    (whole, *_) = calibration.audit(tmp_path).aa.strata
    assert (whole.rule.count, whole.undecided.count, whole.undecided.of) == (0, 2, 2)


def test_runs_that_are_no_part_of_a_calibration_are_left_alone(tmp_path: Path) -> None:
    store.create(tmp_path / calibration.RUNS, samples.manifest())
    assert calibration.read(tmp_path) == []
    assert calibration.read(tmp_path / "none") == []
    assert calibration.audit(tmp_path / "none").runs == 0
    assert not (tmp_path / "none").exists()


def test_labels_name_their_stratum() -> None:
    for kind, pair, mode, neighbour in itertools.product(Kind, Pair, Mode, (False, True)):
        stratum = Stratum(kind=kind, pair=pair, mode=mode, neighbour=neighbour)
        manifest = samples.manifest(labels=calibration.labels(stratum), settings={"mode": mode.value})
        assert calibration.stratum_of(manifest) == stratum


def test_a_failed_benchmark_is_counted_as_that_and_not_audited(tmp_path: Path) -> None:
    run = stored_run(tmp_path, COPIES, 0.0)
    with store.appending(run.folder) as append:
        append(samples.block("work.time_1", 8, failure=samples.answer(
            samples_spec(), log_ratio=0.0, fails=True).failure, base=(), head=()))
    summary = calibration.audit(tmp_path)
    assert (summary.runs, summary.failed, summary.aa.strata[0].rule.of) == (1, 1, 1)


def samples_spec() -> samples.BlockSpec:
    return samples.BlockSpec(
        benchmark=samples.benchmark(), kind=BlockKind.SCORED, index=0, round=0, settings=samples.TURNS,
        first=samples.Arm.BASE, order="bh", hash_seed=1, padding=0, directory="w", address=0,
    )


def test_the_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    fill(tmp_path)
    summary = calibration.audit(tmp_path)
    assert calibration.read_summary(tmp_path) == summary
    path = tmp_path / calibration.SUMMARY
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": "lockstep.calibration/1"}))
    assert calibration.read_summary(tmp_path) is None
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": calibration.SCHEMA, "measuring": "1"}))
    assert calibration.read_summary(tmp_path) == replace(summary, measuring="1")
    assert calibration.known(tmp_path) is None and calibration.notices(tmp_path) == ()  # of another way of measuring
    path.write_text("{")
    assert calibration.read_summary(tmp_path) is None
    assert calibration.known(tmp_path) is None and calibration.notices(tmp_path) == ()


def fill(folder: Path, shared: float = 0.0199) -> None:
    """Nothing, a planted 2 %, what it is in truth, and what `shared` makes of it."""
    for _ in range(3):
        stored_run(folder, COPIES, 0.0)
        stored_run(folder, PLANTED, 0.0199, percent="2")
        stored_run(folder, replace(PLANTED, mode=Mode.SHARED), shared, percent="2")
        stored_run(folder, replace(COPIES, kind=Kind.TRUTH), 0.0199, percent="2", margin=0.5)


def test_what_every_report_says(tmp_path: Path) -> None:
    fill(tmp_path, shared=0.0)  # what the mode of short calls finds is what is told
    calibration.audit(tmp_path)
    known = calibration.known(tmp_path)
    assert known is not None
    assert (known["comparisons"], known["false_changes"]) == (6, 0.0)
    assert known["false_high"] == pytest.approx(1 - 0.025 ** (1 / 6))
    assert known["found_2"] == 1.0 and known["seconds_2"] == pytest.approx(4.5) and "found_1" not in known
    assert words.calibration(known) == "on this machine: false changes 0.0 % [0.0, 45.9], a 2 % change is found in 4 s"
    assert store.read(store.create(tmp_path, samples.manifest(calibration=known))).manifest.calibration == known
    more = {**known, "false_changes": 0.008, "false_low": 0.002, "false_high": 0.02, "found_1": 0.62, "seconds_1": 11.3}
    assert words.calibration(more) == (
        "on this machine: false changes 0.8 % [0.2, 2.0], a 2 % change is found in 4 s, 1 % in 11 s in 62 % of cases"
    )


def test_a_mode_that_disagrees_is_a_notice(tmp_path: Path) -> None:
    fill(tmp_path / "same")
    fill(tmp_path / "apart", shared=0.0299)
    for name in ("same", "apart"):
        calibration.audit(tmp_path / name)
    assert calibration.notices(tmp_path / "same") == ()
    (notice,) = calibration.notices(tmp_path / "apart")
    assert (notice.kind, notice.numbers["mode"]) == ("mode-disagreement", "shared")
    sentence = notices.sentence(notice)
    assert sentence.startswith("On this machine, shared reads a planted slowdown of 2 % +1.0") and "hints" in sentence


def test_intervals_are_held_against_the_measured_truth(tmp_path: Path) -> None:
    fill(tmp_path)
    summary = calibration.audit(tmp_path)
    turns = next(line for line in summary.planted if line.mode is Mode.TURNS)
    assert (turns.size, turns.found.count, turns.shown.of) == (0.02, 6, 6) and turns.shown.count >= 5
    assert {one.blocks for one in summary.truths} == {24}
    assert all(abs(one.mean - 0.0199) < 0.002 for one in summary.truths)


def test_the_canary_is_added_once(tmp_path: Path) -> None:
    here = tmp_path / "here"
    run = stored_run(tmp_path, COPIES, 0.05, canary=4)
    assert [len(sample.blocks) for sample in calibration.samples(calibration.read(tmp_path)[0])] == [8, 8]
    assert calibration.add_canary(here, run) == 8
    assert calibration.add_canary(here, run) == 0
    assert calibration.add_canary(here, stored_run(tmp_path, COPIES, 0.0)) == 0
    lines = [json.loads(line) for line in (here / calibration.CANARY).read_text().splitlines()]
    assert Counter(line["benchmark"] for line in lines) == {"work.time_0": 4, "work.time_1": 4}
    assert all(abs(line["d"]) < 0.02 and line["mode"] == "turns" for line in lines)
    calibration.add_canary(here, stored_run(tmp_path, COPIES, 0.0, canary=4))
    assert calibration.audit(here).aa.canary.of == 2  # two streams of eight each, the same


def test_a_spoilt_line_of_the_canary_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / calibration.CANARY).write_text('{"run": "a", "benchmark": "b", "mode": "turns", "d": 0.1}\n{"run"\n')
    with pytest.raises(UsageError, match=r"canary\.jsonl:2"):
        calibration.audit(tmp_path)


@pytest.mark.parametrize("layouts", [True, False])
def test_the_runs_that_are_wanted_decide_every_demand(layouts: bool) -> None:
    everything = wanted(layouts=layouts)
    equals = {s: 10 * runs for s, runs in everything.items() if s.kind is Kind.AA and s.pair is not Pair.LAYOUTS_BINARY}
    for name, part in PARTS.items():
        if layouts or name != "layouts":
            assert sum(n for stratum, n in equals.items() if part(stratum)) >= size(name), name
    assert sum(equals.values()) / 10 >= SUITES
    planted = {s.mode: 5 * runs for s, runs in everything.items() if s.kind is Kind.PLANTED and not s.neighbour}
    assert planted[Mode.TURNS] >= SLOWDOWNS and min(planted.values()) >= AGREEING and set(planted) == set(Mode)
    intervals = sum(runs * (4 if mode is Mode.TURNS else len(AGREEING_SIZES)) for mode, runs in planted.items())
    assert intervals >= INTERVALS
    assert [runs for stratum, runs in everything.items() if stratum.kind is Kind.TRUTH] == [TRUTH_RUNS]


def test_no_stratum_waits_for_another_to_be_complete() -> None:
    everything, rng, runs = wanted(layouts=True), random.Random(1), Counter[Stratum]()
    for made in range(3 * sum(everything.values())):
        stratum = next_stratum(everything, runs, rng)
        runs[stratum] += 1
        shares = [runs[one] / number for one, number in everything.items()]
        assert max(shares) - min(shares) <= 1, made
    assert all(runs[one] == 3 * number for one, number in everything.items())


def test_equals_come_in_random_order() -> None:
    first = {next_stratum(wanted(layouts=True), {}, random.Random(seed)) for seed in range(200)}
    assert len(first) == 18


def test_specs_of_variants_and_layouts() -> None:
    assert with_edit("cpython@3.13.5", "x") == "cpython@3.13.5+x"
    assert with_edit("cpython@3.13.5+nocow?lto&debug", "x") == "cpython@3.13.5+nocow+x?lto&debug"
    assert with_layout("cpython@3.13.5", 3) == "cpython@3.13.5?layout=3"
    assert with_layout("cpython@3.13.5?lto", 3) == "cpython@3.13.5?lto&layout=3"


def test_half_of_a_neighbours_bursts_stream_through_memory() -> None:
    first = list(itertools.islice(bursts(7), 200))
    assert first == list(itertools.islice(bursts(7), 200)) != list(itertools.islice(bursts(8), 200))
    assert sum(streams for streams, _, _ in first) == 100
    assert all(SHORTEST <= seconds <= LONGEST for _, work, pause in first for seconds in (work, pause))
    assert len({streams for streams, _, _ in first[::2]}) == 2


def test_text_and_page_show_the_same(tmp_path: Path) -> None:
    fill(tmp_path, shared=0.0299)
    stored_run(tmp_path, replace(COPIES, pair=Pair.LAYOUTS_BINARY), 0.03)
    summary = calibration.audit(tmp_path)
    known = calibration.known(tmp_path)
    assert known is not None and known["layout_pairs"] == 2
    assert known["layout_deviation"] == pytest.approx(0.03 / math.sqrt(2), rel=0.05)
    text = report.render(summary, folder="/data/x", width=120)
    page = report.section(summary)
    heads = [line for line, rule in itertools.pairwise(page.splitlines()) if rule.startswith("| ---")]
    assert len(heads) > 3 and all(cell.strip() for line in heads for cell in line.strip("|").split("|"))
    for table in report.tables(summary):
        assert table.title in text and f"**{table.title}**" in page
        for row in table.rows:
            assert len(row) == len(table.columns)
            assert f"| {' | '.join(row)} |" in page
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "13 runs" in text and "Stored in /data/x" in text and "/data/x" not in page
    states = {report.demand(one): one.state for one in summary.criteria}
    assert len(states) == len(summary.criteria)
    assert all(demand in page for demand in states)
    assert State.NOT_ENOUGH in states.values()
    assert "nan" not in page.lower()


def test_the_section_is_put_between_its_markers(tmp_path: Path) -> None:
    fill(tmp_path)
    summary = calibration.audit(tmp_path)
    page = f"# Title\n\nbefore\n\n{report.BEGIN}\nstale\n{report.END}\n\nafter\n"
    new = report.into(page, summary)
    assert new.startswith("# Title\n\nbefore\n\n") and new.endswith(f"{report.END}\n\nafter\n") and "stale" not in new
    assert report.into(new, summary) == new
    assert report.into(None, summary) == report.into("no markers", summary) == report.section(summary)


def test_nothing_stored_is_said_in_words(tmp_path: Path) -> None:
    text = report.render(calibration.audit(tmp_path), folder="/data/x", width=80)
    assert text.startswith("Nothing is stored of this machine yet: `lockstep calibrate` measures.")
    assert "0 of 400 so far" in text and "95 % at every look" not in text.split("What it must")[0]


def test_samples_are_as_the_report_says(tmp_path: Path) -> None:
    stored_run(tmp_path, PLANTED, 0.05, percent="5")
    (one,) = calibration.read(tmp_path)
    found = calibration.samples(one)
    assert [sample.benchmark for sample in found] == ["work.time_0(percent=5)", "work.time_1(percent=5)"]
    assert {sample.verdict for sample in found} == {Verdict.SLOWER} and {sample.size for sample in found} == {0.05}
    assert all(sample.low < 0.05 < sample.high and len(sample.blocks) == 8 for sample in found)
    assert all(math.isclose(sample.seconds, 4.5) for sample in found)
