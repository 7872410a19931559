"""What was not compared is told once a reason, with the user's own code."""

from __future__ import annotations

import report_samples as samples

from runner.judging.report import Comparison
from runner.model import Arm, Cause, Failure, Verdict
from runner.report import as_json, markdown, reasons, text

SUITE = "/home/me/suite"


def failed(name: str, reason: str, *, line: int = 12, arm: Arm | None = None, ours: bool = False) -> Comparison:
    """A benchmark that raised in the suite, by way of a library."""
    frames = ('  File "<string>", line 1, in <module>\n'
              '  File "/opt/lockstep/runner/measuring/worker.py", line 229, in serve\n    answer = getattr(self, x)\n'
              "             ^^^^^^^^^^^^\n"
              '  File "/opt/lockstep/runner/suites/asv_loaded.py", line 61, in call\n    function()\n')
    detail = ("Traceback (most recent call last):\n" + frames * ours
              + f'  File "{SUITE}/sizes.py", line {line}, in time_sort\n    json.loads(text)\n'
              + '  File "/usr/lib/python3.13/json/decoder.py", line 355, in raw_decode\n    raise error\n'
              + reason.removeprefix("raised "))
    failure = Failure(reason=reason, arm=arm, detail=detail)
    return samples.comparison(name, Verdict.FAILED, blocks=0, failure=failure)


def test_failures_of_one_kind_in_one_place_are_one_entry() -> None:
    many = [failed(f"sizes.time_sort(n={n})", f"raised KeyError: {n}") for n in range(400)]
    [one] = reasons.grouped(many, SUITE)
    assert one.names() == "sizes.time_sort(n=0), sizes.time_sort(n=1), sizes.time_sort(n=2) and 397 more"
    assert (one.text, one.alike) == ("raised KeyError: 0", False)
    assert one.place == "sizes.py:12, in time_sort"
    assert len(reasons.grouped(many, SUITE, exactly=True)) == 400


def test_what_differs_in_kind_place_or_arm_is_apart() -> None:
    different = [
        failed("a", "raised KeyError: 1"), failed("b", "raised ValueError: 1"),
        failed("c", "raised KeyError: 1", line=9),
        failed("d", "raised KeyError: 1", arm=Arm.HEAD), failed("e", "raised in setup: KeyError: 1"),
        failed("f", "hangs: no answer within its time limit of 2 s"), failed("g", "was killed by SIGKILL"),
    ]
    assert [one.names() for one in reasons.grouped(different, SUITE)] == list("abcdefg")


def test_texts_that_differ_in_an_address_are_alike() -> None:
    two = [failed("a", "raised TypeError: <X at 0x7f00aa55>"), failed("b", "raised TypeError: <X at 0x7f00bb66>")]
    [one] = reasons.grouped(two, SUITE, exactly=True)
    assert one.alike and one.sentence == "raised TypeError: <X at 0x7f00aa55>"


def test_frames_of_what_measures_are_left_out_of_older_runs_too() -> None:
    [one] = reasons.grouped([failed("a", "raised KeyError: 1", ours=True)], SUITE)
    assert one.detail == failed("a", "raised KeyError: 1").failure.detail  # type: ignore[union-attr]
    assert "runner/" not in one.detail and "<string>" not in one.detail and "^^^" not in one.detail


def test_the_place_is_the_last_in_the_suite_else_the_last_of_all() -> None:
    assert reasons.grouped([failed("a", "raised X")], SUITE)[0].place == "sizes.py:12, in time_sort"
    elsewhere = reasons.grouped([failed("a", "raised X")], "/home/other")[0].place
    assert elsewhere == "/usr/lib/python3.13/json/decoder.py:355, in raw_decode"
    hangs = samples.comparison("a", Verdict.FAILED, failure=Failure(reason="hangs", arm=None, detail="printed"))
    assert reasons.grouped([hangs], SUITE)[0].place == ""


def test_every_benchmark_that_was_not_compared_is_told_of_once() -> None:
    report = samples.report()
    told = [c.key for _, why in reasons.not_compared(report) for one in why for c in one.about]
    assert sorted(told) == sorted(c.key for c in report.comparisons if not c.compared)
    assert [title for title, _ in reasons.not_compared(report)] == [
        "Failed (1)", "Only in base (1)", "Only in head (1)", "Skipped (6)"]


def test_hundreds_of_failures_and_skips_take_a_few_lines() -> None:
    skips = [
        samples.comparison(f"skips.time_x(n={n})", Verdict.SKIPPED, blocks=0,
                           failure=Failure(reason=f"not for {('even', 'odd')[n % 2]} numbers", arm=None,
                                           cause=Cause.SKIPPED))
        for n in range(300)
    ]
    many = [failed(f"sizes.time_sort(n={n})", f"raised KeyError: {n}") for n in range(400)]
    report = samples.report([*many, *skips], suite=SUITE)
    for rendered in (text.render(report, width=100), markdown.render(report)):
        assert rendered.count("sizes.time_sort") < 6 and rendered.count("skips.time_x") == 6
        assert "and 397 more" in rendered and rendered.count("and 147 more") == 2
    for name in ("sizes.time_sort(n=399)", "skips.time_x(n=299)"):
        assert name in text.render(report, verbose=True) and name in as_json.render(report)


def test_skips_whose_texts_differ_in_numbers_are_one_and_other_reasons_are_few() -> None:
    def skipped(texts: list[str]) -> list[Comparison]:
        return [samples.absent(f"a.time_{n}", Verdict.SKIPPED, reason) for n, reason in enumerate(texts)]

    [one] = reasons.grouped(skipped([f"needs {n} GiB" for n in range(50)]), SUITE)
    assert one.sentence == "needs 0 GiB (text of the first)" and one.names().endswith(" and 47 more")
    many = skipped([f"needs {'x' * n}" for n in range(40)])
    for rendered in (text.render(samples.report(many)), markdown.render(samples.report(many))):
        assert rendered.count("needs") == reasons.SHOWN
        assert f"and {40 - reasons.SHOWN} more reasons, for {40 - reasons.SHOWN} benchmarks" in rendered
    assert text.render(samples.report(many), verbose=True).count("needs") == 40


def test_a_failure_is_one_line_of_the_table_and_whole_below_it() -> None:
    long = "raised ValueError: " + " ".join(f"word{n}" for n in range(40))
    lines = text.render(samples.report([failed("a.time_x", long)], suite=SUITE), width=80).splitlines()
    table, below = [number for number, line in enumerate(lines) if line.strip().startswith("a.time_x")]
    assert lines[table].endswith("…") and below == table + 2
    whole = " ".join(line.strip() for line in lines[below + 1 :])
    assert whole.startswith(long) and whole[len(long) :].startswith(" sizes.py:12, in time_sort")
