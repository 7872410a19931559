"""The picture of a suite, what changed in groups, and both in the terminal."""

from __future__ import annotations

from typing import Any

import pytest
import report_samples as samples
from rich.cells import cell_len

from dashboards.records import Change, Picture
from runner.model import Metric, Verdict
from runner.report import as_html, grouped, picture, text
from runner.report.picture import Item

SIZES = ("16MiB", "64B", "4KiB", "1MiB")


def item(name: str, state: str = "same", ratio: float | None = 1.0, **changes: Any) -> Item:
    params = changes.pop("params", {})
    inside = ", ".join(f"{parameter}={value}" for parameter, value in params.items())
    facts: dict[str, Any] = {
        "key": f"{name}({inside})" if inside else name, "name": name, "params": params, "timed": True, "state": state,
        "ratio": ratio, "base": 1e-6, "head": None if ratio is None else 1e-6 * ratio, "words": state, "link": "#",
    }
    return Item(**(facts | changes))


def over_sizes(name: str, base: list[float], head: list[float], sizes: tuple[str, ...] = ("64B", "4KiB", "1MiB"),
               **changes: Any) -> list[Item]:
    """A row: its values in each arm for each size; a change by more than 1 % is one."""
    return [
        item(name, "faster" if h / b < 0.99 else "slower" if h / b > 1.01 else "same", h / b, base=b, head=h,
             params={"size": size}, **changes)
        for size, b, h in zip(sizes, base, head, strict=True)
    ]


def shown(one: Picture) -> list[tuple[str, list[str], list[tuple[str, list[str]]]]]:
    return [(table.parameter, list(table.columns), [
        (row.label, ["" if cell is None else cell.mark for cell in row.cells]) for row in table.rows])
        for table in one.tables]


def test_what_shares_a_name_is_a_row_with_its_values_ascending() -> None:
    found = [item("a.f", "slower" if size == "4KiB" else "same", params={"size": size}) for size in SIZES]
    found += [item("a.g", params={"size": "1MiB"}), item("b.alone", "undecided")]
    assert shown(picture.picture(picture.rows(found))) == [
        ("size", ["64B", "4KiB", "1MiB", "16MiB"], [("a.f", ["=", "▲", "=", "="]), ("a.g", ["", "", "=", ""])]),
        ("", [], [("b.alone", ["?"])]),
    ]


def test_of_several_parameters_the_row_goes_along_the_one_that_most_vary() -> None:
    found = [item("f", params={"how": how, "n": n}) for how in ("x", "y") for n in ("10", "100", "9")]
    found += [item("g", params={"n": n}) for n in ("9", "10")]
    ((parameter, columns, rows),) = shown(picture.picture(picture.rows(found)))
    assert (parameter, columns) == ("n", ["9", "10", "100"])
    assert [label for label, _ in rows] == ["f(how=x)", "f(how=y)", "g"]


def test_benchmarks_that_read_alike_have_a_row_each() -> None:
    found = [item("f", params={"a": value}, key=f"f(a={value}) ({twin})") for value in "xy" for twin in range(3)]
    ((_, _, rows),) = shown(picture.picture(picture.rows(found)))
    assert rows == [("f", ["=", "="]), ("f (2)", ["=", "="]), ("f (3)", ["=", "="])]


def test_values_that_have_nothing_in_common_are_tables_of_their_own() -> None:
    found = [item("f", params={"p": value}) for value in ("a", "b")]
    found += [item("g", params={"p": value}) for value in ("1", "2")]
    assert [columns for _, columns, _ in shown(picture.picture(picture.rows(found)))] == [["a", "b"], ["1", "2"]]


def test_a_cell_has_the_size_of_its_change_and_a_colour_as_deep() -> None:
    found = [item("f", "faster", 1 / 246, params={"n": "1"}), item("f", "same", 1.0, params={"n": "2"})]
    first, second = picture.picture(picture.rows(found)).tables[0].rows[0].cells
    assert first is not None and second is not None
    assert (first.size, first.depth, first.told) == ("246x", 5, "f(n=1): faster")
    assert (second.size, second.depth) == ("", 0)


@pytest.mark.parametrize(("factor", "text"), [
    (1.031, "1.03x"), (1.99, "1.99x"), (2.04, "2.0x"), (9.94, "9.9x"), (9.96, "10x"), (17.4, "17x"), (999.0, "999x"),
    (84_000.0, "84kx"), (3e6, "3Mx"), (float("inf"), "∞"),
])
def test_sizes_in_a_few_letters(factor: float, text: str) -> None:
    assert picture.short(factor) == text


@pytest.mark.parametrize(("value", "size"), [
    ("64B", 64), ("4KiB", 4096), ("1 MiB", 2**20), ("10", 10), ("1e6", 1e6), ("2.5k", 2500), ("1_000", 1000),
    ("str", None), ("", None), ("(3, 4)", None), ("int64", None),
])
def test_what_counts_and_what_does_not(value: str, size: float | None) -> None:
    assert picture.magnitude(value) == size


def test_what_is_left_out_of_a_large_picture_is_what_is_the_same() -> None:
    found = [item(f"m.f{number}", "faster" if number > 7 else "same", params={"n": n})
             for number in range(10) for n in "12"]
    one = picture.picture(picture.rows(found), most=3)
    assert [row.label for row in one.tables[0].rows] == ["m.f0", "m.f8", "m.f9"]
    assert one.rest == "14 more benchmarks are not in this picture"


def changes(*rows: list[Item]) -> list[Change]:
    return grouped.changes(picture.rows(one for row in rows for one in row))


def test_constant_time_instead_of_a_copy_is_said_once() -> None:
    rows = [over_sizes(f"m.f{number}", [1.5e-7, 4e-7, 5e-5], [1.5e-7, 1.6e-7, 1.7e-7]) for number in range(8)]
    (one,) = changes(*rows)
    assert (one.title, one.count, len(one.members)) == ("The larger size, the larger the gain", 16, 8)
    assert one.members[0].count == "2 of 3" and one.members[0].where == "size 4KiB, 1MiB"
    assert one.members[0].range == "2.50x to 294x faster"


def test_growing_where_it_was_constant_comes_first() -> None:
    worse = over_sizes("m.g", [1e-7, 1e-7, 1.1e-7], [1e-7, 3e-7, 4e-5])
    better = over_sizes("m.f", [1e-7, 4e-7, 5e-5], [1e-7, 1e-7, 1e-7])
    first, second = changes(better, worse)
    assert (first.title, first.state) == ("The larger size, the larger the loss", "slower")
    assert second.state == "faster"


@pytest.mark.parametrize(("base", "head"), [
    ([1e-7, 4e-7, 5e-5], [1e-7, 2e-7, 2.5e-5]),  # twice, at the largest as at the one before
    ([1e-7, 9e-5, 5e-5], [1e-7, 1e-7, 1e-7]),  # not the largest at the largest
    ([3e-7, 3e-7, 3e-7], [1e-7, 1e-7, 1e-7]),  # as large everywhere
])
def test_what_is_neither_is_grouped_by_its_size(base: list[float], head: list[float]) -> None:
    (one,) = changes(over_sizes("m.f", base, head))
    assert one.title in ("Faster: 2x to 10x", "Faster: 10x and more")


def test_a_pattern_needs_values_far_apart_that_are_sizes() -> None:
    base, head = [1e-7, 4e-7, 5e-5], [1e-7, 1e-7, 1e-7]
    for sizes in (("64B", "128B", "256B"), ("small", "middle", "large")):
        (one,) = changes(over_sizes("m.f", base, head, sizes))
        assert one.title == "Faster: 10x and more"


def test_memory_is_less_and_a_change_from_zero_has_no_factor() -> None:
    memory = over_sizes("m.peak", [2e6, 2e6, 2e6], [1e6, 1e6, 1e6], timed=False)
    zero = [item("m.track", "slower", None, timed=False, words="more, from 0 B")]
    first, second = changes(memory, zero)
    assert (first.title, first.members[0].range) == ("More: from or to zero", "more, from 0 B")
    assert (second.title, second.members[0].range) == ("Less: 2x to 10x", "2.00x less")


def test_a_row_that_goes_both_ways_is_told_of_twice() -> None:
    first, second = changes(over_sizes("m.f", [1e-6, 1e-6, 1e-6], [1.5e-6, 1e-6, 0.95e-6]))
    assert (first.title, first.members[0].count) == ("Slower: 10 % to 2x", "1 of 3")
    assert (second.title, second.members[0].where) == ("Faster: less than 10 %", "size 1MiB")


def copies() -> list[Any]:
    sizes = ("64B", "4KiB", "1MiB", "16MiB")
    return [
        samples.measured(f"construct.F{number}.time_construct", Verdict.FASTER, ratio, 1e-7 / ratio,
                         params={"size": size}, clear=True, seed=place)
        for number in range(8) for place, (size, ratio) in enumerate(zip(sizes, (0.9, 0.4, 4e-3, 2e-4), strict=True))
    ] + [samples.measured("getvalue.time_it", Verdict.SAME, 1.001, 1e-6)]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_has_the_picture_and_the_groups(width: int) -> None:
    told = text.render(samples.report(copies()), width=width)
    lines = told.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert told.count("The larger size, the larger the gain") == 1
    assert sum("▼250x" in line for line in lines) == 8 and sum("▼5kx" in line for line in lines) == 8
    assert any(line.split() == ["size", *SIZES[1:], SIZES[0]] for line in lines)
    assert "Changed (32)" in told and "-v lists each" in told and "1/250" not in told
    assert "1/250" in text.render(samples.report(copies()), width=width, verbose=True)


def test_where_the_values_are_too_many_for_the_width_there_are_marks_alone() -> None:
    many = [samples.measured("m.time_it", Verdict.FASTER if n % 2 else Verdict.SAME, 0.5 if n % 2 else 1.0, 1e-6,
                             params={"n": str(10**5 + n)}, clear=True) for n in range(20)]
    told = text.render(samples.report(many), width=80)
    (row,) = [line for line in told.splitlines() if line.split()[:1] == ["time_it"]]
    assert row.split()[1:] == ["=", "▼"] * 10 and "100000 … 100019" in told


def test_a_few_changes_are_told_one_by_one() -> None:
    told = text.render(samples.report(copies()[:8]), width=100)
    assert "the larger the gain" not in told and "1/250" in told


def test_a_picture_that_says_no_more_than_a_list_is_none() -> None:
    alone = [samples.measured(f"m.time_{n}", Verdict.SAME, 1.0, 1e-6) for n in range(4)]
    assert "= same" not in text.render(samples.report(alone))
    assert 'class="picture"' not in as_html.render(samples.report(alone))


def test_the_page_has_both_before_the_table_and_each_cell_is_named() -> None:
    page = as_html.render(samples.report(copies()))
    places = [page.index(words) for words in ('class="picture"', "the larger the gain", 'id="benchmarks"', 'id="each"')]
    assert places == sorted(places)
    assert page.count('aria-label="construct.F0.time_construct(size=16MiB): ') == 1
    assert page.count("The larger size, the larger the gain") == 1


def test_hostile_values_of_parameters_are_text() -> None:
    hostile = [samples.measured("m.time_it", Verdict.SAME, 1.0, 1e-6,
                                params={"\x1b[2J": f"{samples.HOSTILE}{n}\x1b]0;x\x07"})
               for n in range(3)]
    assert not set("\x1b\x07") & set(text.render(samples.report(hostile)))
    assert samples.HOSTILE not in as_html.render(samples.report(hostile))


def test_every_metric_is_said_in_its_own_words() -> None:
    one = samples.measured("m.peakmem_it", Verdict.SLOWER, 1.2, 2e6, metric=Metric.PEAK_MEMORY, unit="bytes")
    assert not picture.items(samples.report([one]))[0].timed
