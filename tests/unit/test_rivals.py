"""The scoring of `make rivals`, its order, and how it reads what the other tools print."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyperf
import pytest

from runner.errors import UsageError

sys.path.insert(0, str(Path(__file__).parents[1]))

from rivals import answers, order, page, records, truth
from rivals.arms import SHARES, WORKLOADS
from rivals.records import Answer, Cell, Measurement, Place, Said, Trial, Truth
from rivals.score import Share, scores
from rivals.tools import every, tidy

PLACE = Place(started=1.8e9, machine={"fingerprint": "f", "cpu": "Some CPU", "cores": 2}, versions={"pyperf": "2.10.0"})
TOOLS = [tool.name for tool in every()]
SAME, SLOWER, FASTER, FAILED = Said.UNCHANGED, Said.SLOWER, Said.FASTER, Said.FAILED


def measured(
    said: Said | None, share: float = 0.0, *, ratio: float | None = 1.0, budget: int = 10, rule: str = "pyperf",
    position: int = 0, planted: float | None = None,
) -> Measurement:
    answers = () if said is None else (Answer(rule=rule, said=said, ratio=ratio),)
    return Measurement(
        cell=Cell(tool=rule, share=share, budget=budget, workload=WORKLOADS[0]), round=0, position=position, seed=1,
        size=3, used=0.0 if said in (None, FAILED) else 3.0, wall=9.0, answers=answers,
        truth=math.log1p(share) if planted is None else planted, truth_error=0.0, commands={"x": 2}, failure=None,
        place=PLACE,
    )


# What pyperf 2.10.0 printed.
PYPERF_SAME = "Benchmark hidden because not significant (1): timeit\n"
PYPERF_FASTER = "Mean +- std dev: [slow] 1.23 us +- 0.27 us -> [fast] 80.1 ns +- 32.1 ns: 15.37x faster\n"
PYPERF_SLOWER = "Mean +- std dev: [fast] 80.1 ns +- 32.1 ns -> [slow] 1.23 us +- 0.27 us: 15.37x slower\n"

# What asv 0.6.6 printed, without its progress.
ASV_TABLE = """
| Change   | Before [b58aa4b5] <base>   | After [bce7a106] <h900>   |   Ratio | Benchmark (Parameter)   |
|----------|----------------------------|---------------------------|---------|-------------------------|
"""
ASV_SLOWER = (
    "| +        | 1.48±0.5ms                 | 15.0±5ms                  |   10.17 | work.time_loop          |\n"
)
ASV_FASTER = (
    "| -        | 7.47±2ms                   | 1.32±0.2ms                |    0.18 | work.time_loop          |\n"
)
ASV_SAME = "|          | 2.04±0.5ms                 | 3.72±0.9ms                | ~1.82   | work.time_loop          |\n"
ASV_RESULT = (
    '{"commit_hash": "b58aa4b59676575620f65bcbb139c4b1d5ce6554", "env_name": "offline-py3.11", "result_columns": '
    '["result", "params", "version", "started_at", "duration", "stats_ci_99_a"], "results": {"work.time_loop": '
    '[[0.0013243288928086777], [], "e48eb57fe313aca3", 1795375721587, 0.47115, [0.00080438]]}, "version": 2}'
)

# What hyperfine 1.15.0 stored, without the fields that are not read.
COMMAND = "RIVALS/arms/{}/bin/python command.py time_loop 20"
HYPERFINE = {"results": [
    {"command": COMMAND.format("base"),
     "times": [0.06881624900000001, 0.102904164, 0.06557099400000001]},
    {"command": COMMAND.format("h005"),
     "times": [0.0751247, 0.069201412, 0.09741381]},
]}


@pytest.mark.parametrize(("printed", "said"), [(PYPERF_SAME, SAME), (PYPERF_FASTER, FASTER), (PYPERF_SLOWER, SLOWER)])
def test_what_compare_to_says(printed: str, said: Said) -> None:
    assert answers.compare_to(printed, "pyperf", 1.5) == Answer(rule="pyperf", said=said, ratio=1.5)


def test_a_significant_change_that_rounds_to_none_is_still_a_claim() -> None:
    printed = "Mean +- std dev: [base] 1.231 ms +- 0.001 ms -> [head] 1.232 ms +- 0.001 ms: 1.00x slower\n"
    assert answers.compare_to(printed, "pyperf", 1.001).said is SLOWER


@pytest.mark.parametrize("printed", ["", "Traceback (most recent call last):\nValueError: no\n"])
def test_no_answer_is_not_an_answer(printed: str) -> None:
    with pytest.raises(ValueError, match="printed no comparison"):
        answers.compare_to(printed, "pyperf", 1.0)
    with pytest.raises(ValueError, match="printed no conclusion"):
        answers.asv_continuous(printed, 1.0)
    with pytest.raises(ValueError, match="printed no row"):
        answers.asv_compare(printed, "work.time_loop", 1.0)


def test_the_ratio_of_pyperf_files_is_that_of_their_means(tmp_path: Path) -> None:
    for name, values in (("base", [1.0, 3.0]), ("head", [2.0, 4.0])):
        metadata = {"name": "timeit", "loops": 128}
        runs = [pyperf.Run([value], metadata=metadata, collect_metadata=False) for value in values]
        pyperf.BenchmarkSuite([pyperf.Benchmark(runs)]).dump(str(tmp_path / name))
    assert answers.means(str(tmp_path / "base"), str(tmp_path / "head")) == pytest.approx(1.5)
    assert answers.loops((tmp_path / "base").read_text()) == 128


@pytest.mark.parametrize(("row", "said"), [(ASV_SLOWER, SLOWER), (ASV_FASTER, FASTER), (ASV_SAME, SAME)])
def test_what_asv_compare_marks(row: str, said: Said) -> None:
    assert answers.asv_compare("\nAll benchmarks:\n" + ASV_TABLE + row, "work.time_loop", 1.1).said is said


def test_a_benchmark_that_failed_in_one_commit_has_no_comparison_under_asv() -> None:
    row = "| !        | 2.04±0.5ms                 | failed                    |     n/a | work.time_loop          |\n"
    with pytest.raises(ValueError, match="no row"):
        answers.asv_compare(ASV_TABLE + row, "work.time_loop", 1.0)


@pytest.mark.parametrize(("end", "said"), [
    (ASV_TABLE + ASV_SLOWER + "\nSOME BENCHMARKS HAVE CHANGED SIGNIFICANTLY.\nPERFORMANCE DECREASED.\n", SLOWER),
    (ASV_TABLE + ASV_FASTER + "\nSOME BENCHMARKS HAVE CHANGED SIGNIFICANTLY.\nPERFORMANCE INCREASED.\n", FASTER),
    ("\nBENCHMARKS NOT SIGNIFICANTLY CHANGED.\n", SAME),
])
def test_what_asv_continuous_concludes(end: str, said: Said) -> None:
    assert answers.asv_continuous(end, 1.1).said is said


def test_seconds_stored_by_asv() -> None:
    assert answers.asv_result(ASV_RESULT, "work.time_loop") == 0.0013243288928086777
    with pytest.raises(ValueError, match="failed under asv"):
        answers.asv_result(ASV_RESULT.replace("[0.0013243288928086777]", "[null]"), "work.time_loop")


def test_hyperfine_is_judged_by_welch() -> None:
    unchanged = answers.hyperfine(json.dumps(HYPERFINE))
    assert (unchanged.said, unchanged.ratio) == (SAME, pytest.approx(0.080579974 / 0.079097136))
    for more, said in ((0.1, SLOWER), (-0.1, FASTER), (0.007, SAME)):  # the last: p = 0.27
        base = [1.0, 1.01, 0.99, 1.0]
        results = [{"times": base}, {"times": [time + more for time in base]}]
        assert answers.hyperfine(json.dumps({"results": results})).said is said


@pytest.mark.parametrize(("verdict", "said"), [
    ("slower", SLOWER), ("faster", FASTER), ("same", SAME), ("undecided", SAME)])
def test_what_a_report_of_lockstep_says(verdict: str, said: Said) -> None:
    row = {"verdict": verdict, "ratio": 1.05, "reason": None}
    answer, seconds = answers.lockstep(json.dumps({"seconds": 2.99, "benchmarks": [row]}))
    assert (answer.said, answer.ratio, seconds) == (said, 1.05, 2.99)


def test_a_failed_report_of_lockstep_is_a_failure() -> None:
    row = {"verdict": "failed", "ratio": None, "reason": "raised ValueError"}
    with pytest.raises(ValueError, match="raised ValueError"):
        answers.lockstep(json.dumps({"seconds": 1.0, "benchmarks": [row]}))


def test_every_start_is_in_the_score() -> None:
    lines = [
        *(measured(said) for said in (SAME, SAME, SAME, SLOWER, FASTER)),
        *(measured(said, 0.02, ratio=1.02) for said in (SLOWER, SLOWER, SAME, FASTER)),
        measured(FAILED, ratio=None), *(measured(FAILED, 0.02, ratio=None) for _ in range(2)),
        measured(None, 0.02),  # interrupted by hand
    ]
    (score,) = scores(lines, ["pyperf"])
    assert (score.false.count, score.false.of) == (2, 6)
    assert (score.found[0.02].count, score.found[0.02].of) == (2, 6)
    assert (score.found[0.01].count, score.found[0.01].of) == (0, 0)
    assert (score.wrong.count, score.wrong.of) == (1, 6)
    assert (score.failed.count, score.failed.of) == (3, 12)
    assert score.errors == 9
    assert score.error == pytest.approx(0, abs=1e-12)


def test_the_error_is_against_the_truth_and_not_the_nominal_share() -> None:
    lines = [measured(SLOWER, 0.05, ratio=1.07, planted=math.log(1.04)), measured(SAME, ratio=0.98)]
    (score,) = scores(lines, ["pyperf"])
    expected = math.sqrt((math.log(1.07 / 1.04) ** 2 + math.log(0.98) ** 2) / 2)
    assert score.error == pytest.approx(expected)
    assert score.median == pytest.approx((math.log(1.07 / 1.04) - math.log(0.98)) / 2)


def test_budgets_and_rules_are_scored_apart_in_order() -> None:
    lines = [measured(SAME, budget=budget, rule=rule) for budget in (100, 10) for rule in ("b", "a")]
    assert [(score.budget, score.rule) for score in scores(lines, ["a", "b", "never run"])] == [
        (10, "a"), (10, "b"), (100, "a"), (100, "b")]


def test_a_known_tool_gets_its_known_score() -> None:
    """Simulated truth: a tool with 10 % false changes, 70 % power and an error of 2 %."""
    rng = np.random.default_rng(1)
    lines = [measured(SLOWER if rng.random() < 0.1 else SAME, ratio=math.exp(rng.normal(0, 0.02))) for _ in range(800)]
    lines += [measured(SLOWER if rng.random() < 0.7 else SAME, 0.05, ratio=1.05 * math.exp(rng.normal(0, 0.02)))
              for _ in range(800)]
    (score,) = scores(lines, ["pyperf"])
    assert score.false.interval[0] < 0.1 < score.false.interval[1]
    assert score.found[0.05].interval[0] < 0.7 < score.found[0.05].interval[1]
    assert score.error == pytest.approx(0.02, rel=0.1)
    # The median of a normal error's size.
    assert score.median == pytest.approx(0.6745 * 0.02, rel=0.1)


def test_intervals_are_exact() -> None:
    assert Share(count=0, of=20).interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert Share(count=20, of=20).interval == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert Share(count=0, of=0).interval == (0.0, 1.0)


def test_a_round_holds_every_tool_pair_and_budget_with_the_same_workloads() -> None:
    cells = order.cells(TOOLS, 1, 0)
    of_tool = {tool: Counter((cell.share, cell.budget, cell.workload) for cell in cells if cell.tool == tool)
               for tool in TOOLS}
    assert all(counts == of_tool[TOOLS[0]] for counts in of_tool.values())
    for share in SHARES:
        for budget, repeats in order.BUDGETS.items():
            assert sum(of_tool[TOOLS[0]][share, budget, workload] for workload in WORKLOADS) == repeats
    three = Counter((cell.share, cell.budget, cell.workload) for round in range(3)
                    for cell in order.cells(TOOLS, 1, round))
    assert three == {(share, budget, workload): len(TOOLS) * repeats for share in SHARES
                     for budget, repeats in order.BUDGETS.items() for workload in WORKLOADS}


def test_the_order_is_random_and_repeats_itself() -> None:
    assert order.cells(TOOLS, 1, 0) == order.cells(TOOLS, 1, 0)
    assert order.cells(TOOLS, 1, 0) != order.cells(TOOLS, 2, 0)
    tools = [cell.tool for cell in order.cells(TOOLS, 1, 0)]
    assert tools != sorted(tools)


def test_starting_again_goes_on_where_it_ended() -> None:
    done: set[tuple[int, int, int]] = set()
    told: list[tuple[int, int]] = []
    total = len(order.cells(TOOLS, 1, 0))
    for _ in range(total + 1):
        round, left = order.pending(TOOLS, 1, done)
        found = order.fitting(left, 1000)
        assert found is not None
        told.append((round, found[0]))
        done.add((1, round, found[0]))
    assert told == [*((0, position) for position in range(total)), (1, 0)]


def test_a_missing_tool_does_not_hold_up_a_round_and_keeps_its_positions() -> None:
    _, left = order.pending(TOOLS, 1, set(), without=["asv"], budgets=[10])
    cells = order.cells(TOOLS, 1, 0)
    assert left == [(position, cell) for position, cell in enumerate(cells) if cell.tool != "asv" and cell.budget == 10]
    round, _ = order.pending(TOOLS, 1, {(1, 0, position) for position, _ in left}, without=["asv"], budgets=[10])
    assert round == 1


def test_an_interrupted_run_is_made_again() -> None:
    assert order.done([measured(SAME, position=3), measured(None, position=4), measured(FAILED, position=5)]) == {
        (1, 0, 3), (1, 0, 5)}


def test_what_does_not_fit_is_not_started() -> None:
    left = [(position, Cell(tool="asv", share=0.0, budget=budget, workload="w"))
            for position, budget in enumerate((100, 10))]
    assert order.fitting(left, 200) == left[0]
    assert order.fitting(left, 60) == left[1]
    assert order.fitting(left, 10) is None


@pytest.mark.parametrize(("pairs", "budget", "expected"), [
    ([(2, 5), (6, 9)], 30, 27),  # 3 s and 1 s each
    ([(2, 5), (6, 9)], 4, 2),  # never under the smallest
    ([(2, 5), (6, 4)], 30, 26),  # a slope that cannot be: as if it had no start-up
    ([], 30, 2),
])
def test_the_size_fills_the_budget(pairs: Sequence[tuple[float, float]], budget: float, expected: int) -> None:
    assert order.size(pairs, budget, 2) == expected


TRIAL = Trial(tool="asv", workload=WORKLOADS[0], size=2, used=2.0, wall=5.0, details={}, place=PLACE)


def test_costs_come_from_trials_and_from_runs_that_gave_an_answer() -> None:
    lines = [TRIAL, replace(TRIAL, tool="pyperf"), replace(TRIAL, workload=WORKLOADS[1]),
             *(measured(said, rule=rule) for said in (SAME, SLOWER, FAILED, None) for rule in ("asv", "pyperf"))]
    assert order.costs(lines, "asv", WORKLOADS[0]) == [(2.0, 5.0), (3.0, 9.0), (3.0, 9.0)]
    assert order.costs(lines, "asv", WORKLOADS[1]) == [(2.0, 5.0)]


def test_stored_trials_are_not_made_again() -> None:
    wanted = order.trials_wanted(iter([("asv", (2, 6))]), [TRIAL])
    assert wanted == [("asv", workload, size) for workload in WORKLOADS for size in (2, 6)][1:]


def test_lines_come_back_as_they_were_stored(tmp_path: Path) -> None:
    path = tmp_path / "evidence" / "rivals.jsonl"
    lines = [
        measured(SLOWER, 0.05), measured(FAILED, ratio=None), TRIAL,
        Truth(workload="w", share=0.05, log_ratio=0.048, error=0.001, processes=40, place=PLACE),
    ]
    assert records.read(path) == []
    for line in lines:
        records.append(path, line)
    assert records.read(path) == lines


def test_a_torn_line_is_ignored_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "rivals.jsonl"
    records.append(path, measured(SAME))
    path.write_bytes(path.read_bytes() + b'{"schema": "lockst')
    assert records.read(path) == [measured(SAME)]
    records.append(path, measured(SLOWER))
    assert records.read(path) == [measured(SAME), measured(SLOWER)]


def test_a_line_that_is_no_measurement_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rivals.jsonl"
    records.append(path, measured(SAME))
    path.write_bytes(path.read_bytes() + b'{"kind": "measurement"}\n')
    with pytest.raises(UsageError, match=r"rivals\.jsonl:2"):
        records.read(path)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0].replace(b"rivals/1", b"rivals/9"))
    with pytest.raises(UsageError, match="version"):
        records.read(path)


def test_the_truth_of_a_process_is_not_moved_by_a_burst() -> None:
    base = [1000, 1010, 990, 1000, 1005]
    slow = [1050, 1060, 99000, 1050, 1055]
    assert truth.log_ratios([base, slow, base]) == [pytest.approx(math.log(1.05), abs=2e-4), 0.0]


def test_truths_are_pooled_by_their_precision() -> None:
    lines = [Truth(workload=WORKLOADS[0], share=0.05, log_ratio=value, error=error, processes=40, place=PLACE)
             for value, error in ((0.050, 0.001), (0.044, 0.002))]
    mean, error = truth.pooled(lines)[WORKLOADS[0], 0.05]
    assert mean == pytest.approx((0.050 * 4 + 0.044) / 5)
    assert error == pytest.approx(0.001 * math.sqrt(4 / 5))
    assert truth.unknown(lines) == list(WORKLOADS)


def test_a_truth_is_measured_again_until_it_is_precise() -> None:
    def line(workload: str, share: float, error: float) -> Truth:
        return Truth(workload=workload, share=share, log_ratio=share, error=error, processes=40, place=PLACE)

    lines = [line(workload, share, truth.PRECISE * 0.9) for workload in WORKLOADS for share in truth.PLANTED]
    assert truth.unknown(lines) == []
    assert truth.unknown([line(WORKLOADS[1], truth.PLANTED[0], truth.PRECISE * 1.1), *lines[3:]]) == [WORKLOADS[0]]
    vague = [line(one.workload, one.share, truth.PRECISE * 1.3) for one in lines]
    assert truth.unknown(vague) == list(WORKLOADS)
    assert truth.unknown([*vague, *vague]) == []


def test_the_page_says_what_was_measured() -> None:
    lines = [*(measured(SAME) for _ in range(19)), measured(SLOWER), measured(SLOWER, 0.05, ratio=1.05),
             measured(None, 0.05)]
    text = page.render(lines, every())
    assert "| pyperf | 1/20 = 5 % [0, 25] | not run | not run | 1/1 = 100 % [2, 100] | 0/1 |" in text
    assert "21 runs of 1 tools, and 1 more, interrupted by hand and not scored" in text
    assert "on Some CPU, 2 cores" in text
    assert all(tool.practice in text for tool in every())


def test_a_page_without_measurements_claims_nothing() -> None:
    assert "Nothing has been measured yet" in page.render([], every())


def test_only_what_is_between_the_marks_is_written() -> None:
    first = page.place_into("", "one\n")
    assert first.startswith("# Evidence\n")
    before, after = "# Evidence\n\nmine\n\n", "\n\nmine too\n"
    second = page.place_into(before + f"{page.BEGIN}\nold\n{page.END}" + after, "new\n")
    assert second == before + f"{page.BEGIN}\nnew\n{page.END}" + after
    assert page.place_into(first, "two\n") == first.replace("one", "two")


def test_no_folder_of_this_machine_is_stored() -> None:
    top = Path(__file__).parents[2]
    text = f"{top}/.venv/bin/lockstep ab /tmp/rivals-x/arms/base/bin/python --out /tmp/rivals-x/runs/tmpabc/runs"
    assert tidy(text, Path("/tmp/rivals-x")) == (
        "TOP/.venv/bin/lockstep ab RIVALS/arms/base/bin/python --out RIVALS/run/runs")
