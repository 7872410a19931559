"""From several runs to one report: what is refused, and what the report says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples

from runner.errors import UsageError
from runner.judging import compare
from runner.judging.combine import Source, check, combined
from runner.judging.report import Comparison, Report
from runner.model import Arm, Benchmark, Block, Build, Cause, Failure, Installed, Interpreter, Metric, Notice, Verdict
from runner.report import as_html, as_json, markdown, notices, text
from runner.storage import store

A, B = samples.benchmark("work.time_a"), samples.benchmark("work.time_b")
IDS = ("20250101T120000Z-aaaaaa", "20250102T120000Z-bbbbbb", "20250103T120000Z-cccccc", "20250104T120000Z-dddddd")


def interpreter(digit: str) -> Interpreter:
    return replace(samples.interpreter(f"/opt/{digit}/bin/python"), sha256=digit * 64)


def build(
    source: str, flags: tuple[str, ...] = (), compiler: str = "gcc 12", layout: int | None = None
) -> Interpreter:
    made = Build(
        key=f"{source}{compiler}", tree=Path("/cache"), source="CPython 3.13.5", source_hash=source, edits=(),
        edits_hash="none", flags=flags, compiler=compiler, layout=layout)
    return replace(interpreter("1"), build=made, sha256=f"{source}{compiler}")


def run(number: int = 0, blocks: Sequence[Block] = (), **changes: Any) -> store.Run:
    facts: dict[str, Any] = {
        "id": IDS[number], "created": 1.7e9 + 86400 * number, "base": interpreter("1"), "head": interpreter("2"),
        "benchmarks": (A, B), "seed": number,
    }
    manifest = samples.manifest(**(facts | changes))
    return store.Run(folder=Path("runs") / IDS[number], manifest=manifest, blocks=tuple(blocks), torn=False)


def blocks(rng: np.random.Generator, key: str, truth: float, n: int = 14, spread: float = 0.01) -> list[Block]:
    return [
        samples.block(key, i, base=(2_000_000,) * 4, head=(2e6 * math.exp(truth + rng.normal(0, spread)),) * 4,
                      order="bhhb")
        for i in range(n)
    ]


def test_runs_of_other_commits_are_not_combined() -> None:
    """Their interpreters are one file: what was installed tells them apart."""
    def installed(commit: str) -> Interpreter:
        return replace(interpreter("1"), spec=f"small@{commit[:8]}", installed=Installed(
            project="small", commit=commit, name="main", configuration=Path("asv.conf.json"),
            environment="virtualenv-py3.13", python="3.13", requirements={}))

    arms = {"base": installed("a" * 40), "head": installed("b" * 40)}
    check([run(0, **arms), run(1, **arms)])
    with pytest.raises(UsageError, match=r"different builds as head: small@bbbbbbbb .* and small@cccccccc"):
        check([run(0, **arms), run(1, **(arms | {"head": installed("c" * 40)}))])


def counts(key: str, base: float, head: float) -> list[Block]:
    return [samples.block(key, i, base=(base,), head=(head,), order="") for i in range(3)]


def reported(runs: Sequence[store.Run], incomplete: Sequence[int] = ()) -> Report:
    return combined([
        Source(run=one, report=compare.report(one, complete=i not in incomplete)) for i, one in enumerate(runs)])


def kinds(notices: Any) -> list[str]:
    return [notice.kind for notice in notices]


# --- Refusals


def test_runs_of_one_comparison_are_accepted() -> None:
    check([run(0), run(1), run(2)])
    # Built on two machines, whose compilers differ and so the files.
    check([run(0, head=build("f")), run(1, head=build("f", compiler="gcc 13"))])


def environment(numpy: str) -> Interpreter:
    """A virtual environment of one interpreter, whose executable is a link to it."""
    return replace(interpreter("1"), packages={"numpy": f"{numpy} aa"})


OTHER_VERSION = replace(B, version="2")
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "file": ({}, {"head": interpreter("3")}, r"different builds as head: /opt/2/bin/python \(22222222\) and /opt/3"),
    "source": ({"base": build("e")}, {"base": build("f")}, "different builds as base"),
    "flags": ({"base": build("e")}, {"base": build("e", ("--enable-optimizations",))}, "--enable-optimizations"),
    "layout": ({"base": build("e", layout=1)}, {"base": build("e", layout=2)}, "layout=1.*layout=2"),
    "no layout": ({"base": build("e", layout=1)}, {"base": build("e")}, "layout=1"),
    "build and file": ({"base": build("1")}, {}, "different builds as base"),
    "swapped": ({}, {"base": interpreter("2"), "head": interpreter("1")}, "base and head swapped: /opt/1/bin/python"),
    "version": ({}, {"benchmarks": (A, OTHER_VERSION)}, "different versions have work.time_b. Combine runs of one"),
    "fewer": ({}, {"benchmarks": (A,)}, "only the first has work.time_b"),
    "more": ({"benchmarks": (A,)}, {}, "only the second has work.time_b"),
    "many": ({}, {"benchmarks": ()}, "only the first has work.time_a, work.time_b"),
    "missing": ({}, {"missing": (store.Missing(benchmark=B, present=Arm.BASE),)}, "lack different benchmarks"),
    "environments swapped": (
        {"base": environment("2.1"), "head": environment("2.2")},
        {"base": environment("2.2"), "head": environment("2.1")}, "base and head swapped"),
    "variables": ({"given": {"PYTHON_JIT": "1"}}, {}, "different variables: PYTHON_JIT=1 and none"),
    "scope": ({}, {"scope": "source"}, "different scopes, binary and source"),
    "margin": ({}, {"margin": 0.02}, "different margins, 1 % and 2 %"),
    "schema": ({}, {"schema": "lockstep.run/2"}, r"different versions of Lockstep \(lockstep.run/3, lockstep.run/2\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_runs_of_different_comparisons_are_refused_in_words(kind: str) -> None:
    first, second, message = REFUSED[kind]
    with pytest.raises(UsageError, match=message) as error:
        check([run(0, **first), run(1, **second)])
    assert IDS[0] in str(error.value) and IDS[1] in str(error.value)


def test_runs_that_differ_in_compiler_packages_or_files_are_combined_and_it_is_said() -> None:
    def arm(compiler: str, **packages: str) -> Interpreter:
        return replace(build("f", compiler=compiler), packages=packages)

    alike = {"base": arm("gcc 12", numpy="2.1 aa"), "suite_files": {"a.py": "1"}}
    report = reported([run(0, **alike), run(1, **alike)])
    assert "unlike-runs" not in kinds(report.notices)
    unlike = {"base": arm("gcc 13", numpy="2.2 bb", six="1.0"), "suite_files": {"a.py": "2"}}
    report = reported([run(0, **alike), run(1, **unlike)])
    pair = f"Runs {IDS[0]} and {IDS[1]} differ in"
    end = ". What they disagree in may come from that."
    assert [notices.sentence(one) for one in report.notices if one.kind == "unlike-runs"] == [
        f"{pair} the compiler of base: gcc 12 → gcc 13{end}",
        f"{pair} the packages of base: numpy 2.1, six none → numpy 2.2, six 1.0{end}",
        f"{pair} the suite's files: a.py has changed{end}",
    ]
    forced = reported([run(0, **alike), run(1, **alike, settings={"mode": "adjacent"})])
    assert [notices.sentence(one) for one in forced.notices if one.kind == "unlike-runs"] == [
        f"{pair} --mode: default → adjacent{end}"]
    # What an older version did not record is not compared.
    older = {"base": replace(arm("gcc 12"), packages=None)}
    assert "unlike-runs" not in kinds(reported([run(0, **alike), run(1, **older)]).notices)


def test_a_third_run_that_differs_is_named() -> None:
    with pytest.raises(UsageError, match=IDS[2]):
        check([run(0), run(1), run(2, margin=0.05)])


def test_runs_of_one_seed_do_not_repeat_each_other() -> None:
    """The command that a report prints has the seed, so that whoever runs it again gets the same draws."""
    check([run(0), run(1, seed=7), run(2, seed=8)])  # as those of a fleet have them that are measured together
    with pytest.raises(UsageError, match=f"runs {IDS[1]} and {IDS[2]} have one seed, 7: .* without --seed"):
        check([run(0), run(1, seed=7), run(2, seed=7)])


def test_one_run_is_no_repetition() -> None:
    for runs in ([], [run()]):
        with pytest.raises(UsageError, match="one run is no repetition"):
            check(runs)
    with pytest.raises(UsageError, match=f"{IDS[0]} was named 2 times"):
        check([run(0), run(1), replace(run(0), folder=Path("copy"))])


# --- Reports


def suite(rng: np.random.Generator, truths: Sequence[float]) -> list[Block]:
    return [block for i, truth in enumerate(truths) for block in blocks(rng, f"w.time_{i}", truth)]


def benchmarks(count: int) -> tuple[Benchmark, ...]:
    return tuple(samples.benchmark(f"w.time_{i}") for i in range(count))


def test_a_change_that_repeats_itself_is_reported() -> None:
    rng = np.random.default_rng(80)
    truths = [0.05, *[0.0] * 14]
    runs = [run(i, suite(rng, truths), benchmarks=benchmarks(15)) for i in range(3)]
    found = reported(runs)
    changed, *others = found.comparisons
    looks = [compare.report(one, complete=True).comparisons[0].blocks for one in runs]
    assert (changed.verdict, changed.clear, changed.blocks) == (Verdict.SLOWER, True, sum(looks)), "as each stopped"
    assert changed.low is not None and changed.high is not None and changed.low < math.exp(0.05) < changed.high
    single = compare.report(runs[0], complete=True).comparisons[0]
    assert single.low is not None and single.high is not None
    assert changed.high - changed.low < single.high - single.low
    assert changed.p is not None and changed.q is not None and changed.p <= changed.q < 0.05
    assert {other.verdict for other in others} == {Verdict.SAME}
    assert changed.log_ratios.size == changed.started.size == 42
    assert found.run == " + ".join(IDS[:3]) and found.command.startswith(f"lockstep combine {IDS[0]} {IDS[1]}")
    assert found.complete and found.started == 1.7e9
    assert found.seconds == pytest.approx(sum(compare.report(one, complete=True).seconds for one in runs))
    [summary] = [notice for notice in found.notices if notice.kind == "combined"]
    assert (summary.numbers["count"], summary.numbers["benchmarks"], summary.numbers["heterogeneous"]) == (3, 15, 0)
    assert all(id in str(summary.numbers["runs"]) for id in IDS[:3])
    assert found.mean is not None and found.mean.count == 15
    assert found.mean.low < math.exp(0.05 / 15) < found.mean.high


def test_every_renderer_shows_it() -> None:
    rng = np.random.default_rng(81)
    found = reported([run(i, suite(rng, [0.05, 0.0]), benchmarks=benchmarks(2)) for i in range(2)])
    for shown in (text.render(found), markdown.render(found), as_json.render(found), as_html.render(found)):
        assert IDS[0] in shown and IDS[1] in shown and "Combined from 2 runs" in " ".join(shown.split())


def test_heterogeneity_is_told_of_the_benchmark_and_of_the_whole() -> None:
    rng = np.random.default_rng(82)
    runs = [
        run(i, [*blocks(rng, A.key, 0.03 * i, 40), *blocks(rng, B.key, 0.0, 40)]) for i in range(3)
    ]
    found = reported(runs)
    [notice] = found.comparisons[0].notices
    assert notice.kind == "heterogeneous"
    assert notice.numbers["spread"] == pytest.approx(0.03, abs=0.005)
    assert notice.numbers["share"] > 0.9
    assert (notice.numbers["low"], notice.numbers["high"]) == (
        pytest.approx(1.0, abs=0.01), pytest.approx(math.exp(0.06), abs=0.01))
    assert found.comparisons[0].verdict is Verdict.UNDECIDED, "three runs that go from 0 to 6 % show nothing yet"
    assert found.comparisons[1].notices == ()
    assert found.notices[0].numbers["heterogeneous"] == 1


def test_noise_is_no_heterogeneity() -> None:
    """Runs that spread as much as their blocks let them, which is more than the margin."""
    rng = np.random.default_rng(90)
    noisy = [[b for key in (A.key, B.key) for b in blocks(rng, key, 0.0, 8, spread=0.08)] for _ in range(3)]
    found = reported([run(i, own) for i, own in enumerate(noisy)])
    assert not any(comparison.notices for comparison in found.comparisons)
    assert found.notices[0].numbers["heterogeneous"] == 0 < found.notices[0].numbers["spread"]


def test_the_run_that_contradicts_is_named() -> None:
    rng = np.random.default_rng(83)
    runs = [
        run(i, suite(rng, [0.08 if i == 1 else 0.0, *[0.0] * 14]), benchmarks=benchmarks(15)) for i in range(4)
    ]
    found = reported(runs)
    [contradicting] = [notice for notice in found.comparisons[0].notices if notice.kind == "contradicting-run"]
    assert contradicting.numbers["run"] == IDS[1]
    assert contradicting.numbers["ratio"] == pytest.approx(math.exp(0.08), abs=0.02)
    assert contradicting.numbers["others"] == pytest.approx(1.0, abs=0.01)
    assert Notice(kind="contradicting-runs", numbers={"run": IDS[1], "benchmarks": 1}) in found.notices


def test_two_runs_that_disagree_contradict_each_other_equally() -> None:
    rng = np.random.default_rng(84)
    found = reported([run(i, blocks(rng, A.key, 0.1 * i, 40), benchmarks=(A,)) for i in range(2)])
    assert kinds(found.comparisons[0].notices) == ["heterogeneous"]
    assert "contradicting-runs" not in kinds(found.notices)


def test_interrupted_runs_are_accepted_and_said() -> None:
    rng = np.random.default_rng(85)
    full, part = (run(i, [*blocks(rng, A.key, 0.0), *blocks(rng, B.key, 0.0, n)]) for i, n in ((0, 14), (1, 5)))
    found = reported([full, part], incomplete=[1])
    assert not found.complete
    assert Notice(kind="interrupted-run", numbers={"run": IDS[1], "done": 1, "total": 2}) in found.notices
    assert "interrupted" not in kinds(found.notices)
    judged, unjudged = found.comparisons
    assert judged.verdict is Verdict.SAME or judged.ratio is not None
    assert (unjudged.verdict, unjudged.ratio, unjudged.q) == (Verdict.UNDECIDED, None, None)
    assert list(unjudged.notices) == [Notice(kind="fewer-runs", numbers={"judged": 1, "runs": 2})]
    text.render(found, verbose=True)


def test_a_failure_in_one_run_is_a_failure() -> None:
    rng = np.random.default_rng(86)
    bad = samples.block(A.key, 14, base=(), head=(), failure=Failure(reason="hung", arm=Arm.HEAD))
    found = reported([
        run(0, blocks(rng, A.key, 0.0), benchmarks=(A,)), run(1, [*blocks(rng, A.key, 0.0), bad], benchmarks=(A,))])
    failure = found.comparisons[0].failure
    assert found.comparisons[0].verdict is Verdict.FAILED
    assert failure is not None and failure.reason == f"hung (run {IDS[1]})" and failure.arm is Arm.HEAD
    assert found.mean is None


def test_counts() -> None:
    track = samples.benchmark("work.track_a", Metric.TRACK)

    def of(*pairs: tuple[float, float]) -> Comparison:
        runs = [run(i, counts(track.key, *pair), benchmarks=(track,)) for i, pair in enumerate(pairs)]
        return reported(runs).comparisons[0]

    exact = of((1000, 999), (1000, 999))
    assert (exact.verdict, exact.exact, exact.ratio, exact.p) == (Verdict.FASTER, True, pytest.approx(0.999), None)
    assert of((0, 64), (0, 64)).verdict is Verdict.SLOWER
    # Each run exact, but not alike: no longer a count that needs no test.
    varying = of((1000, 999), (1000, 1001), (1000, 1000))
    assert (varying.exact, varying.verdict) == (False, Verdict.SAME)
    assert varying.ratio == pytest.approx(1.0, abs=1e-6)
    varying = of((0, 64), (0, 72))
    assert (varying.verdict, varying.failure, varying.reached) == (Verdict.UNDECIDED, None, True)
    assert kinds(varying.notices) == ["from-zero", "from-zero", "no-ratio"]
    assert varying.notices[-1].numbers == {"base": 0.0, "head": 64.0}


@pytest.mark.parametrize(("arms", "verdict"), [
    ((None, None), Verdict.SKIPPED), ((Arm.HEAD, Arm.HEAD), Verdict.ONLY_IN_BASE), ((Arm.HEAD, None), Verdict.SKIPPED),
])
def test_what_all_runs_skip_is_skipped(arms: tuple[Arm | None, ...], verdict: Verdict) -> None:
    rng = np.random.default_rng(90)
    runs = [
        run(i, [*blocks(rng, A.key, 0.0), skip(B, arm)], benchmarks=(A, B)) for i, arm in enumerate(arms)
    ]
    line = reported(runs).comparisons[1]
    assert (line.verdict, line.notices) == (verdict, ())
    assert line.failure is not None and line.failure.reason == "not here"


def test_what_one_run_skips_is_judged_by_the_others() -> None:
    rng = np.random.default_rng(91)
    measured = [run(i, [*blocks(rng, A.key, 0.0), *blocks(rng, B.key, 0.1)]) for i in range(2)]
    found = reported([*measured, run(2, [*blocks(rng, A.key, 0.0), skip(B, None)])]).comparisons[1]
    assert found.failure is None and found.compared
    assert [notice.kind for notice in found.notices] == ["fewer-runs"]


def skip(benchmark: Benchmark, arm: Arm | None) -> Block:
    failure = Failure(reason="not here", arm=arm, cause=Cause.SKIPPED)
    return samples.block(benchmark.key, base=(), head=(), order="", failure=failure)


def test_a_benchmark_of_one_arm_stays_so() -> None:
    lost = (store.Missing(benchmark=B, present=Arm.HEAD),)
    rng = np.random.default_rng(87)
    found = reported([run(i, blocks(rng, A.key, 0.0), benchmarks=(A,), missing=lost) for i in range(2)])
    assert [c.key for c in found.comparisons] == [A.key, B.key]
    assert found.comparisons[1].verdict is Verdict.ONLY_IN_HEAD


def test_notices_of_single_runs_say_of_which() -> None:
    rng = np.random.default_rng(88)
    given = [(Notice(kind="sibling"), Notice(kind="same-file")), (Notice(kind="sibling"),)]
    machines = [{"cpu": "some", "cores": 2}, {"cpu": "some", "cores": 4}]
    found = reported([
        run(i, blocks(rng, A.key, 0.0), benchmarks=(A,), notices=notices, machine=machine)
        for i, (notices, machine) in enumerate(zip(given, machines, strict=True))])
    assert kinds(found.notices) == ["combined", "layout", "sibling", "same-file"]
    assert notices.sentence(found.notices[-1]).startswith(f"Run {IDS[0]}: Base and head are the same file")
    assert not notices.sentence(found.notices[-2]).startswith("Run")
    assert (found.machine["cpu"], found.machine["cores"]) == ("some", "2 / 4")


def test_the_order_of_the_benchmarks_does_not_matter() -> None:
    rng = np.random.default_rng(89)
    both = [*blocks(rng, A.key, 0.05, spread=0.002), *blocks(rng, B.key, 0.0, spread=0.002)]
    few = [replace(block, base=block.base[:2], head=block.head[:2]) for block in both if block.benchmark == B.key]
    turned = run(1, [*few, *both[:14]], benchmarks=(B, A))
    found = reported([run(0, both), turned])
    assert [c.key for c in found.comparisons] == [A.key, B.key]
    assert found.comparisons[0].ratio == pytest.approx(math.exp(0.05), abs=0.003)
    assert kinds(found.comparisons[0].notices) == []
    assert [notice.numbers["of_run"] for notice in found.comparisons[1].notices] == [IDS[1]]


def test_nothing_measured_is_nothing_claimed() -> None:
    found = reported([run(0), run(1)], incomplete=[0, 1])
    assert {c.verdict for c in found.comparisons} == {Verdict.UNDECIDED}
    assert found.mean is None
    text.render(found)
